"""Remote settings by parts: the rows of an answer however it is cut, what a parameter may change, when it is looked."""

import json
import os

from agentworld import Console, Pulse, World

import pytest
from agent import app, changes, overlay, parameters, remote, settings
from agent.log import Log
from tagoio import verdicts

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"


def rows_of(body, size=100000, limit=4096):
    """(what `take` was given, envelope) of an answer with this body that comes in pieces of `size` bytes."""
    found = []
    answer = changes.Rows(bytearray(limit), lambda row, whole: found.append((bytes(row), whole)))
    answer.begin("GET")
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body):
        for at in range(0, len(data), size):
            answer.feed(memoryview(data)[at : at + size])
    assert answer.complete
    return found, answer.body()


BODIES = [
    '{"status":true,"result":[]}',
    '{"status":true,"result":[{"id":"1","key":"a","value":"b","sent":false}]}',
    '{"status":true,"result":[{"id":"1","key":"a","value":"b"},{"id":"2","key":"c","value":"d"}],"x":1}',
    ' { "status" : true , "result" : [ { "id" : "1" , "key" : "a b" } , { "id" : "2" } ] } ',
    '{"result":[{"id":"1","value":"} ] , { \\" \\\\"},{"id":"\\u00e9 é 🌡"}],"status":true}',
    '{"status":true,"result":[{"id":"\\\\"},{"id":"\\\\\\""}]}',
]


@pytest.mark.parametrize("body", BODIES)
def test_rows_are_those_of_a_json_reader_however_the_answer_is_cut(body):
    expected = json.loads(body)
    data = body.encode()
    for size in (1, 2, 3, 7, 50, 100000):
        found, envelope = rows_of(data, size)
        assert [json.loads(row) for row, _ in found] == expected["result"]
        assert all([whole for _, whole in found])
        skeleton = json.loads(envelope)
        assert skeleton["status"] is True and skeleton["result"] == []


def test_a_row_beyond_the_buffer_is_given_as_far_as_it_fits():
    body = b'{"status":true,"result":[{"id":"1","key":"a","value":"%s"},{"id":"2"}]}' % (b"x" * 300)
    found, _ = rows_of(body, 64, 100)
    assert [(len(row), whole) for row, whole in found] == [(100, False), (10, True)]


def test_what_is_nested_is_no_row():
    found, _ = rows_of(b'{"status":true,"result":[{"id":{"a":[1]}},[[1]],{"id":"2"},"x",1,null,[]]}')
    assert [row for row, _ in found] == [b'{"id":"2"}', b"[]"]


def test_depth_without_end_costs_nothing():
    for opening in (b"[", b"{", b'[{"a":'):
        found, envelope = rows_of(opening * (10000 // len(opening)), 512)
        assert found == [] and len(envelope) <= 256


def test_an_error_is_read_as_ever():
    body = b'{"status":false,"message":"Authorization denied"}'
    found, envelope = rows_of(body, 5)
    assert found == [] and envelope == body
    assert verdicts.message_of(verdicts.parse_envelope(envelope)) == "Authorization denied"


def test_a_long_parameter_is_read_without_a_copy_of_it():
    for value in ("x" * 10, "x" * 600, "x" * 3000):
        for sent in ("true", "false"):
            row = ('{"id":"1a","key":"root","value":"%s","sent":%s}' % (value, sent)).encode()
            identity, key, checksum, given, read = changes._parameter(memoryview(row), True)
            assert (identity, key, read) == ("1a", "root", sent == "true")
            assert given == (value if len(value) < 100 else None)
            other = row.replace(b"xx", b"xy")
            assert changes._parameter(memoryview(other), True)[2] != checksum
            # in another order
            row = ('{"value":"%s","sent":%s,"key":"root","id":"1a"}' % (value, sent)).encode()
            found = changes._parameter(memoryview(row), True)
            assert (found[0], found[1], found[4]) == ("1a", "root", sent == "true")
    row = b'{"id":"1a","key":"root","value":"' + b"x" * 900
    assert changes._parameter(memoryview(row), False)[:2] == ("1a", "root")


def test_what_a_parameter_is_known_by_are_key_and_value():
    """Not its mark: whether it was edited is seen by it."""
    for length in [1, 10, 600, 3000] + list(range(330, 380)):
        value = "x" * length
        row = '{"id":"1a","key":"root","value":"%s","sent":%s}'
        known = changes._parameter(memoryview((row % (value, "false")).encode()), True)[2]
        assert changes._parameter(memoryview((row % (value, "true")).encode()), True)[2] == known
        assert changes._parameter(memoryview((row % (value + "x", "true")).encode()), True)[2] != known
        assert changes._parameter(memoryview((row % (value[1:] + "y", "true")).encode()), True)[2] != known
        renamed = (row % (value, "true")).replace("root", "rood").encode()
        assert changes._parameter(memoryview(renamed), True)[2] != known


NO_PARAMETERS = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"id":"1","key":"a","value":5}',
    b'{"id":"1","key":"a"}',
    b'{"id":1,"key":"a","value":"b"}',
    b'{"id":"1","key":null,"value":"b"}',
    b'{"id":"../data","key":"a","value":"b"}',
    b'{"id":"1 2","key":"a","value":"b"}',
    b'{"id":"1?x","key":"a","value":"b"}',
    b'{"id":"1","key":"a","value":"b"',
    b'{"id":"\xff","key":"a","value":"b"}',
    b"\x00\x01" * 300,
    b'{"id":"1","key":"a"' + b" " * 500,
]


@pytest.mark.parametrize("row", NO_PARAMETERS)
def test_what_is_no_parameter_is_passed_over(row):
    assert changes._parameter(memoryview(row), True) is None


# ---- what a parameter may change


def config():
    rows = [["temperature", "°C", 2], ["humidity", "%", 2, {"minimum": 0.0, "maximum": 100.0}]]
    values = {row[0]: row[2] for row in settings.TABLE}
    values["sensors"] = [
        {"driver": "bme280", "bus": "i2c0", "channels": rows},
        {"driver": "ds18b20", "bus": "onewire:gp2", "channels": [["soil", "°C", 1]]},
        {"driver": "ds18b20", "bus": "onewire:gp3", "every": 5000, "channels": [["water", "°C", 1]]},
    ]
    values["derived"] = [{"kind": "dew_point", "from": [0, 1], "channel": ["dew_point", "°C", 1]}]
    return values


GOOD = [
    ("sample.every", "30", 30000),
    ("sample.every", " 0.5 ", 500),
    ("sample.every", "2.0", 2000),
    ("sample.every", "1e1", 10000),
    ("sample.every", "86400", 86400000),
    ("upload.every", "0", 0),
    ("upload.samples", "100000", 100000),
    ("upload.body", "4096", 4096),
    ("log.level", "debug", "debug"),
    ("log.level", '"error"', "error"),
    ("led.on", "false", False),
    ("health.every", "3600", 3600000),
    ("duty.on", "true", True),
    ("remote.every", "10", 10000),
    ("queue.commit_samples", "6", 6),
    ("clock.every", "7200", 7200000),
]


@pytest.mark.parametrize("key,text,value", GOOD)
def test_a_setting_of_the_table(key, text, value):
    values = config()
    overlay.put(values, key, text)
    assert values[key] == value and type(values[key]) is type(value)


def test_all_that_may_be_changed_is_in_the_table():
    keys = [row[0] for row in settings.TABLE]
    sections = [key.split(".")[0] for key in keys]
    for name in settings.REMOTE:
        assert name in keys or name in sections, name
    for key in keys:
        if key.split(".")[0] in ("tagoio", "wifi", "watchdog", "run"):
            with pytest.raises(ValueError):
                overlay.put(config(), key, "1")


def test_channels_and_sensors():
    values = config()
    for key, text in (
        ("temperature.offset", "-0.5"),
        ("temperature.scale", "1.01"),
        ("temperature.decimals", "3"),
        ("temperature.on", "false"),
        ("humidity.minimum", "5"),
        ("humidity.alarm.above", "80"),
        ("humidity.alarm.hysteresis", "2"),
        ("dew_point.offset", "1"),
        ("ds18b20.every", "60"),
    ):
        overlay.put(values, key, text)
    bme280, soil, water = values["sensors"]
    assert bme280["channels"][0] == ["temperature", "°C", 3, {"offset": -0.5, "scale": 1.01, "on": False}]
    assert bme280["channels"][1][3] == {"minimum": 5, "maximum": 100, "alarm": [80, None, 2]}
    assert values["derived"][0]["channel"] == ["dew_point", "°C", 1, {"offset": 1}]
    assert (soil["every"], water["every"], "every" in bme280) == (60000, 60000, False)


BAD = [
    ("sample.every", "", "has to be a number"),
    ("sample.every", "0.019", "has to be from 0.02 to 86400.0 seconds"),
    ("sample.every", "86400.1", "has to be from 0.02 to 86400.0 seconds"),
    ("sample.every", "-1", "has to be from 0.02 to 86400.0 seconds"),
    ("sample.every", "nan", "has to be a number"),
    ("sample.every", "inf", "has to be a number"),
    ("sample.every", "30 s", "has to be a number"),
    ("sample.every", "0x10", "has to be a number"),
    ("sample.every", "9" * 400, "has to be a number"),
    ("sample.every", "²", "has to be a number"),
    ("upload.samples", "1.5", "has to be a whole number"),
    ("upload.samples", "100001", "has to be from 0 to 100000"),
    ("upload.samples", "true", "has to be a number"),
    ("led.on", "1", "has to be true or false"),
    ("led.on", "True", "has to be true or false"),
    ("log.level", "loud", "has to be one of error, warning, info, debug"),
    ("remote.every", "0", "cannot be 0 from here: remote settings would be over for good"),
    ("tagoio.token", "x", "there is no such setting"),
    ("tagoio.host", "x", "can be changed by tagonode deploy alone"),
    ("watchdog.on", "false", "can be changed by tagonode deploy alone"),
    ("sensors", "[]", "there is no such setting"),
    ("board", "virtual", "there is no such setting"),
    ("", "1", "there is no such setting"),
    (".", "1", "there is no such setting"),
    ("temperature", "1", "there is no such setting"),
    ("temperature.", "1", "there is no such setting"),
    ("temperature.polynomial", "1", "there is no such setting"),
    ("temperature.alarm", "1", "there is no such setting"),
    ("temperature.alarm.", "1", "there is no such setting"),
    ("temperature.alarm.sideways", "1", "there is no such setting"),
    ("pressure.offset", "1", "there is no such setting"),
    ("rssi.every", "60", "there is no such setting"),
    ("temperature.offset", "warm", "has to be a number"),
    ("temperature.on", "off", "has to be true or false"),
    ("temperature.decimals", "7", "has to be from 0 to 6"),
    ("temperature.decimals", "1.5", "has to be a whole number"),
    ("bme280.every", "0", "has to be from 0.02 to 86400.0 seconds"),
    ("humidity.minimum", "100", "minimum has to be less than maximum"),
    ("humidity.alarm.hysteresis", "1", "needs alarm.above or alarm.below"),
]


@pytest.mark.parametrize("key,text,why", BAD)
def test_what_is_refused_changes_nothing(key, text, why):
    values = config()
    with pytest.raises(ValueError) as caught:
        overlay.put(values, key, text)
    assert str(caught.value) == why
    assert values == config()


def test_limits_of_an_alarm_fit_together():
    values = config()
    overlay.put(values, "temperature.alarm.above", "30")
    for key, text in (("below", "30"), ("below", "40"), ("hysteresis", "-1")):
        with pytest.raises(ValueError):
            overlay.put(values, "temperature.alarm." + key, text)
    overlay.put(values, "temperature.alarm.below", "20")
    with pytest.raises(ValueError):
        overlay.put(values, "temperature.alarm.hysteresis", "10")
    assert values["sensors"][0]["channels"][0][3] == {"alarm": [30, 20, 0]}


COMMANDS = {
    "reboot": ("reboot", 0),
    " Flush ": ("flush", 0),
    "identify": ("identify", 0),
    "maintenance 30": ("maintenance", 30),
    "maintenance 1440": ("maintenance", 1440),
}


def test_commands():
    for text in COMMANDS:
        assert parameters.command(text) == COMMANDS[text]
    for text in ("", "explode", "reboot now", "maintenance", "maintenance 0", "maintenance 1441", "maintenance x"):
        with pytest.raises(ValueError):
            parameters.command(text)


# ---- on flash


def test_lines_that_are_damaged_are_left_out(tmp):
    path = tmp + "/list"
    with open(path, "wb") as file:
        parameters.write(file, [1, "tag", 0, "", ""])
        parameters.write(file, b'{"id":"1"}')
        file.write(b"00000000 [1]\n\nnonsense\n")
        parameters.write(file, ["é", "x"])
        file.write(b"12")
    assert list(parameters.rows(path)) == [[1, "tag", 0, "", ""], {"id": "1"}, ["é", "x"]]


def test_damaged_files_are_no_reason_not_to_start(tmp):
    """Whatever lies in the folder, the settings of the deployment are in force."""
    log = Log("info", Console())
    for name in ("values", "next", "rows", "trial.3", "done", "told", "undone", "x.der"):
        for content in (b"", b"\xff\xfe", b"{}\n00000000\n", b'{"format":1,"values":{"sample.every":"1"}}\n'):
            folder = tmp + "/remote"
            parameters.folder(folder)
            with open(folder + "/" + name, "wb") as file:
                file.write(content)
            values = config()
            overlay.apply(values, log, folder)
            del values["remote.stage"]
            assert values == config(), (name, content)
            for each in ("values", "next", "rows", "trial.3", "trial.4", "done", "told", "undone", "x.der", "new"):
                parameters.remove(folder + "/" + each)


def test_a_damaged_root_from_afar_keeps_no_other_from_use(tmp):
    before = app._ROOTS
    app._ROOTS = (tmp + "/roots", tmp + "/remote")
    try:
        for name, der in (("roots/0.der", b"one"), ("remote/11ca8a66.der", b"two"), ("remote/46c5d8f5.der", b"thref")):
            parameters.folder(tmp + "/" + name.split("/")[0])
            with open(tmp + "/" + name, "wb") as file:
                file.write(der)
        assert list(app.roots()) == [b"one", b"two"]
    finally:
        app._ROOTS = before


def test_a_wake_is_no_start_that_counts(tmp):
    """Of a node that starts anew whenever it wakes."""
    log = Log("info", Console())
    folder = tmp + "/remote"
    parameters.folder(folder)
    with open(folder + "/trial.1", "wb") as file:
        parameters.write(file, [1, "tag", 0, "", ""])
    with open(folder + "/next", "w") as file:
        file.write(settings.seal({"format": 1, "values": {"sample.every": "10"}, "roots": []}))
    for cause, stage in [("deep sleep", "trial.1")] * 20 + [("reset", "trial.2"), ("deep sleep", "trial.2")]:
        values = config()
        overlay.apply(values, log, folder, cause)
        assert values["sample.every"] == 10000 and values["remote.stage"] == stage == parameters.stage(folder)


def trial(tmp, starts=1):
    """A change of sample.every on trial: its folder."""
    folder = tmp + "/remote"
    parameters.folder(folder)
    with open(folder + "/trial.%d" % starts, "wb") as file:
        parameters.write(file, [1, "tag", 0, "", ""])
        parameters.write(file, ["1", "sample.every", 7, "", "10"])
    with open(folder + "/next", "w") as file:
        file.write(settings.seal({"format": 1, "values": {"sample.every": "10"}, "roots": []}))
    return folder


def reasons(folder, stage):
    return [row[3] for row in parameters.rows(folder + "/" + stage) if row[3]]


def test_a_trial_that_cannot_be_read_is_taken_back(tmp):
    folder = trial(tmp)
    with open(folder + "/values", "w") as file:
        file.write(settings.seal({"format": 1, "values": {"sample.every": "30"}, "roots": []}))
    with open(folder + "/next", "a") as file:
        file.write("!")
    values = config()
    overlay.apply(values, Log("info", Console()), folder)
    assert values["sample.every"] == 30000 and values["remote.stage"] == parameters.stage(folder) == "undone"
    assert reasons(folder, "undone") == ["damaged on flash"]


def test_a_trial_that_was_confirmed_is_not_taken_back_for_its_starts(tmp):
    """The power went before it was said, again and again."""
    folder = trial(tmp, 5)
    os.rename(folder + "/next", folder + "/values")
    values = config()
    overlay.apply(values, Log("info", Console()), folder)
    assert values["sample.every"] == 10000 and values["remote.stage"] == parameters.stage(folder) == "told"


async def test_what_this_start_did_not_try_is_not_confirmed_by_it(tmp):
    """The flash failed at the start, when the trial was to be counted, or to be taken back for its starts."""
    folder = trial(tmp)
    node = Node(ValueError("nothing is sent"))
    node.status["verdict"] = verdicts.ACCEPTED
    looks = remote.Remote(node, 3600000, 300000, "")
    assert not await changes.Look(None, node, node, looks, folder).go()
    assert node.restarted == 1 and node.asked == 0
    assert parameters.stage(folder) == "undone" and reasons(folder, "undone") == ["the flash failed at a start"]
    values = config()
    overlay.apply(values, Log("info", Console()), folder)
    assert values["sample.every"] == config()["sample.every"]


def test_what_was_dealt_with_is_written_when_it_changes(tmp):
    node = Node()
    look = changes.Look(None, node, node, None, tmp)
    assert look.seen() == {}
    look.remember({})
    assert not parameters.there(tmp + "/seen")
    seen = {parameters.checksum(str(number)): number for number in range(60)}
    look.remember(seen)
    assert look.seen() == seen and not parameters.there(tmp + "/new")
    with open(tmp + "/seen", "ab") as file:
        file.write(b"damaged")
    look.remember(dict(seen))
    with open(tmp + "/seen", "rb") as file:
        assert file.read().endswith(b"damaged")
    seen[1] = 2
    look.remember(seen)
    assert changes.Look(None, node, node, None, tmp).seen() == seen


# ---- when


class Node:
    """A node and its uplink, whose requests end in this error."""

    tag = "tag"
    buffer = bytearray(256)

    def __init__(self, error=None):
        self.world = World()
        self.clock = self.spool = self
        self.console = Console()
        self.log = Log("info", self.console)
        self.status = {"verdict": "", "error": ""}
        self.asked = self.restarted = 0
        self._error = error

    def now(self):
        return 1767268800000 + self.world.ms

    async def exchange(self, pulse, method, path, body=None, size=None, response=None):
        self.asked += 1
        raise self._error

    def mono(self):
        return self.world.ms

    def restart(self):
        self.restarted += 1


def test_it_looks_with_the_uplink_unless_that_is_seldom():
    node = Node()
    often, seldom = remote.Remote(node, 3600000, 300000, ""), remote.Remote(node, 60000, 300000, "")
    assert often.until_due() > 3600000 and seldom.until_due() == 10000
    node.world.ms = 9000
    assert seldom.until_due() == 1000
    node.world.ms = 90000
    assert seldom.until_due() == 0
    often.maintenance = 100000
    assert often.until_due() == 0
    assert remote.Remote(node, 3600000, 300000, "trial.1").until_due() == 15000


async def test_whatever_goes_wrong_costs_a_line_and_it_tries_again():
    for error in (OSError(28), ValueError("nonsense"), MemoryError()):
        node = Node(error)
        looks = remote.Remote(node, 3600000, 300000, "")
        for seconds, asked in ((5, 0), (11, 1), (30, 1), (70, 1), (72, 2), (140, 2), (193, 3)):
            node.world.ms = seconds * 1000
            await looks.errand(Pulse(node.world), node)
            assert node.asked == asked, seconds
        assert len(node.console.lines) == 3
