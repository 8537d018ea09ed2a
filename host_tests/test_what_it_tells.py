"""Every row of "What the node tells you": the node says it, and the table says what it says.

The tables are read from the README. A row without a case here fails, and so does a message in the code without a row.
"""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import mode
from typing import Any

import pytest
from tagonode import device, places
from tagonode.cloud import faults
from tagonode.virtual import image
from virtualnode import VirtualNode

HEADING = "## What the node tells you"
START = 1767323120.0  # 2026-01-02T03:05:20Z
LIGHT, HEALTH, CAUSES, VERDICTS, LOG = range(5)
LED = 254  # the pin that a Pico W's radio switches


def readme() -> str:
    for place in (places.ROOT / "README.md", places.FIRMWARE / "README.md"):
        text = place.read_text(encoding="utf-8")
        if HEADING in text:
            return text.partition(HEADING)[2].partition("\n## ")[0]
    raise AssertionError(f"no README has {HEADING!r}")


def tables() -> list[list[list[str]]]:
    """Of each table its rows, of each row its cells; the heads are left out."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", readme(), re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append([[cell.strip("| ") for cell in row] for row in rows[2:]])
    return found


TABLES = tables()


def test_each_row_says_what_to_do():
    assert len(TABLES) == 5
    for rows in TABLES:
        assert len(rows) >= 6
        for row in rows:
            assert len(row) == 3 and all(row), row


# ---- the light

light = device.load("agent.light")
# (joined, time known, upload error, sensor error)
LIGHTS = {
    "blinks fast": (False, False, False, False),
    "1 flash, pause": (True, True, False, False),
    "2 flashes": (True, False, False, False),
    "3 flashes": (True, True, True, False),
    "4 flashes": (True, True, False, True),
    "5 flashes": light.SAFE,
    "10 flashes": light.IDENTIFY,
}


class Shown(Exception):
    """Enough of the light was seen."""


async def flashes(state: int) -> int:
    """How often the light goes on before it is dark for a second; 0: it blinks without a pause."""
    on = 0

    class Pulse:
        async def sleep(self, ms: int) -> None:
            if ms > 1000:
                raise Shown

    def led(is_on: bool) -> None:
        nonlocal on
        on += is_on
        if on > 20:
            on = 0
            raise Shown

    with pytest.raises(Shown):
        await light.run(Pulse(), led, lambda: state)
    return on


@pytest.mark.parametrize("row", TABLES[LIGHT], ids=lambda row: row[0])
def test_light(row):
    facts = LIGHTS[row[0]]
    state = light.state(*facts) if isinstance(facts, tuple) else facts
    digits = re.search(r"\d+", row[0])
    assert asyncio.run(flashes(state)) == (int(digits[0]) if digits else 0)


class Watched(dict):
    """A board's pins, {unit: level}, that remember what the light did: (when, whether it went on)."""

    def __init__(self, node: VirtualNode):
        self.seen: list[tuple[float, int]] = []
        self._now = node.clock

    def __setitem__(self, unit: int, level: int) -> None:
        if unit == LED:
            self.seen.append((self._now(), level))
        super().__setitem__(unit, level)

    def groups(self) -> list[int]:
        """How often it went on between two pauses, each time."""
        found: list[int] = []
        before = 0.0
        for at, on in self.seen:
            if on and (not found or at - before > 1):
                found.append(0)
            if on:
                found[-1] += 1
            else:
                before = at
        return found


def seen_of(node: VirtualNode, pins: Watched, seconds: float = 30) -> int:
    """How often the light goes on between two pauses, most of the time; 0: there is none."""
    pins.seen.clear()
    node.run(seconds)
    groups = pins.groups()
    assert groups, "it is dark"
    return 0 if len(groups) == 1 and groups[0] > seconds else mode(groups[1:-1])


@pytest.fixture(scope="module")
def shown() -> dict[str, int]:
    """{state of the light, as LIGHTS has them: flashes of a virtual Pico W in it}."""
    settings = {"led": {"on": True}, "upload": {"every": 30}, "sample": {"every": 10}, "remote": {"every": 60}}
    found = {}
    with VirtualNode(settings, unix=START) as node:
        node.hardware.pins = pins = Watched(node)
        (point,) = node.hardware.radio.access_points
        node.hardware.radio.access_points.clear()
        node.offline()
        found["blinks fast"] = seen_of(node, pins)
        node.hardware.radio.access_points.append(point)
        node.run(60)
        found["2 flashes"] = seen_of(node, pins)
        node.online()
        node.run(100)
        found["1 flash, pause"] = seen_of(node, pins)
        node.cloud.set_parameter(node.token, "command", "identify")
        node.run_until(lambda: pins.groups()[-1] > 5, 120)
        found["10 flashes"] = seen_of(node, pins)
        node.run(100)
        node.cloud.faults.set(faults.EVERY, faults.Fault("500", uploads=True))
        node.run(60)
        found["3 flashes"] = seen_of(node, pins)
        node.cloud.faults.set(faults.EVERY, None)
        node.hardware.i2c[0].unplug(0x76)
        node.run_until(lambda: not node.state["error"], 900, 10)
        found["4 flashes"] = seen_of(node, pins)
        node.board.power_cut()
        node.write({"/crashes": b"wwwww"})
        node.board.power_on()
        node.run(10)
        found["5 flashes"] = seen_of(node, pins)
        node.figure(f"{len(found)} states of the light, each with flashes of its own")
    return found


@pytest.mark.parametrize("row", TABLES[LIGHT], ids=lambda row: row[0])
def test_the_light_of_a_board_shows_it(shown, row):
    digit = re.search(r"\d+", row[0])
    assert shown[row[0]] == (int(digit[0]) if digit else 0)


def test_every_light_has_a_row():
    assert [row[0] for row in TABLES[LIGHT]] == list(LIGHTS)


# ---- verdicts and reset causes

verdicts = device.load("tagoio.verdicts")
vitals = device.load("agent.vitals")
OK = b'{"status":true,"result":"5 Data Added"}'


def _refused(text: str) -> bytes:
    return b'{"status":false,"message":"%s"}' % text.encode()


def judged(status: int, body: bytes) -> str:
    return verdicts.judge(status, {}.get, body)[0]


JUDGED = {
    "accepted": lambda: judged(200, OK),
    "accepted with warning": lambda: judged(200, b'{"status":true,"result":"","message":"soon full"}'),
    "rejected": lambda: judged(400, _refused("Error on object parse")),
    "too large": lambda: judged(413, _refused("Body must be at most 200 kB")),
    "device refuses": lambda: judged(400, _refused("The device has reached the limit of 50000 data registers")),
    "throttled": lambda: judged(429, _refused("Too many requests")),
    "unauthorised": lambda: judged(401, _refused("Authorization denied")),
    "unavailable": lambda: verdicts.judge_failure("connect", "refused", False)[0],
    "untrusted": lambda: verdicts.judge_failure("handshake", "The certificate validity has expired", False)[0],
    "misconfigured": lambda: judged(404, _refused("Route Not Found")),
    "ambiguous": lambda: verdicts.judge_failure("answer", "nothing came", True)[0],
}


@pytest.mark.parametrize("row", TABLES[VERDICTS], ids=lambda row: row[0])
def test_verdict(row):
    assert JUDGED[row[0]]() == row[0]


def test_every_verdict_has_a_row():
    words = {value for name, value in vars(verdicts).items() if name[0].isupper() and isinstance(value, str)}
    assert {row[0] for row in TABLES[VERDICTS]} == words == set(JUDGED)


def test_every_cause_has_a_row():
    shown = {int(row[0]): row[1] for row in TABLES[CAUSES]}
    assert sorted(shown) == list(range(1, len(vitals.CAUSES)))
    for number, text in shown.items():
        words = vitals.CAUSES[number].split()
        assert all(word in text for word in words), (number, text)


RESETS = b"""
import machine, time
from drivers import Sensor

class RSSI(Sensor):
    CHANNELS = (("rssi", "dBm"),)
    BUS = "wifi"

    def __init__(self, wlan):
        self._wlan = wlan

    def _read(self):
        dbm = self._wlan.status("rssi")
        if dbm == -102:
            machine.reset()
        if dbm == -103:
            time.sleep(1000)
        if dbm == -104:
            machine.deepsleep(1000)
        if dbm == -105:
            machine.soft_reset()
        return (dbm,)
"""


def again(node: VirtualNode, cause: str) -> None:
    """Let it start for this reason."""
    number = int(cause)
    point = node.hardware.radio.access_points[0]
    starts = len(node.boots)
    if number == 1:
        node.power_cycle()
    elif number == 6:
        driver = "/lib/drivers/rssi.py"
        for content in (b"raise ImportError('half of it is missing')", RESETS):
            node.board.power_cut()
            node.write({driver: content})
            node.board.power_on()
            node.run(10)
        assert node.said("TagoNode could not go on")
    else:
        point.rssi = lambda: -100 - number
        node.run_until(lambda: len(node.boots) > starts, 200)
    point.rssi = lambda: -60
    node.run(200)


@pytest.fixture(scope="module")
def restarted() -> Iterator[dict[str, tuple[list[Any], list[Any]]]]:
    """{reset cause: (values of reset_cause, events) that a board that can tell them all has sent after it}."""
    settings = {"board": "esp32", "health": {"every": 60}, "upload": {"every": 60}}
    sent = {}
    with VirtualNode(settings, files={"/lib/drivers/rssi.py": RESETS}, unix=START) as node:
        node.may_be_bitten = True
        node.run(150)
        for cause, _, _ in TABLES[CAUSES]:
            before = len(node.records())
            again(node, cause)
            fresh = node.records()[before:]
            sent[cause] = tuple(
                [record["value"] for record in fresh if record["variable"] == name] for name in ("reset_cause", "event")
            )
        node.figure(f"{len(sent)} reasons to start, each told")
        yield sent


@pytest.mark.parametrize("row", TABLES[CAUSES], ids=lambda row: row[0])
def test_the_node_tells_why_it_started(restarted, row):
    numbers, events = restarted[row[0]]
    assert numbers and numbers[-1] == int(row[0])
    words = vitals.CAUSES[int(row[0])]
    assert any(event.startswith(f"started by {words}: ") for event in events), events


# ---- a node to which everything happens

DRIVER = b"""
from drivers import Sensor

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("this error cannot be told")

class RSSI(Sensor):
    CHANNELS = (("rssi", "dBm"),)
    BUS = "wifi"

    def __init__(self, wlan):
        self._wlan = wlan

    def _read(self):
        dbm = self._wlan.status("rssi")
        if dbm == -111:
            raise Odd()
        return ("x" * 6500 if dbm == -112 else dbm,)
"""
HANGING_LIGHT = b"""
import asyncio
SAFE = 5
def state(*facts):
    return 0
async def run(pulse, led, look):
    if look() != SAFE:
        await asyncio.Event().wait()
"""
_JSON = "application/json"
ANSWERS = {
    "device refuses": (402, b'{"status":false,"message":"plan limit reached"}'),
    "misconfigured": (404, b'{"status":false,"message":"Route Not Found"}'),
    "accepted with warning": (200, b'{"status":true,"result":"1 Data Added","message":"nearly full"}'),
    "unavailable": (500, b""),
    "ambiguous": (502, b""),
    "throttled": (429, b'{"status":false,"message":"Too many requests"}'),
    "rejected": (400, b'{"status":false,"message":"Error on object parse"}'),
    "too large": (413, b'{"status":false,"message":"Body must be at most 200 kB"}'),
    "unauthorised": (401, b'{"status":false,"message":"Authorization denied"}'),
}


class Told:
    """What nodes have said, and what TagoIO has of the last one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.records: list[dict[str, Any]] = []

    def take(self, node: VirtualNode) -> None:
        self.lines += [line for _, line in node.lines]
        self.records += node.records()


def refuse(node: VirtualNode, monkeypatch, verdict: str) -> None:
    """Uploads get an answer that comes to this verdict, until one of readings has got it."""
    status, body = ANSWERS[verdict]
    monkeypatch.setitem(faults._ANSWERS, verdict, (verdict, status, _JSON, body.decode()))
    monkeypatch.setitem(faults.KINDS, verdict, verdict)
    before = len(node.said("uplink: " + verdict))

    def said() -> bool:
        if not node.cloud.faults.all():
            node.cloud.faults.set(faults.EVERY, faults.Fault(verdict, left=1, uploads=True))
        return len(node.said("uplink: " + verdict)) > before

    node.run_until(said, 7200, step=20)
    node.cloud.faults.set(faults.EVERY, None)


def picky(node: VirtualNode) -> None:
    """TagoIO refuses any upload that holds a reading of -77."""
    others = node.cloud.traffic.intercept

    async def intercept(scope: Any, receive: Any, send: Any) -> bool:
        if (scope["method"], scope["path"]) != ("POST", "/data"):
            return await others(scope, receive, send)
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        body = b"".join(message.get("body", b"") for message in messages)

        async def again() -> Any:
            return messages.pop(0) if messages else await receive()

        if b'"value":-77' in body:
            node.cloud.faults.set(faults.EVERY, faults.Fault("400", left=1))
            return await others(scope, again, send)
        await node.cloud.faults._app(scope, again, send)
        return True

    node.cloud.traffic.intercept = intercept


def everything(told: Told, monkeypatch) -> None:
    """Hours of trouble with network, server, time and sensors."""
    settings = {
        "sample": {"every": 60},
        "upload": {"every": 60},
        "clock": {"every": 600},
        "health": {"every": 300},
        "sensors": [
            {"driver": "bme280", "bus": "i2c0", "channels": {"humidity": {"maximum": 1.5}}},
            {"driver": "rssi", "bus": "wifi"},
        ],
    }
    with VirtualNode(
        settings, files={"/lib/drivers/rssi.py": DRIVER, "/notes.json": b'{"drift":41}'}, unix=START
    ) as node:
        point = node.hardware.radio.access_points[0]
        node.cloud.faults.set(faults.EVERY, faults.Fault("429", left=1))
        node.run(600)
        for verdict in ANSWERS:
            refuse(node, monkeypatch, verdict)
            node.run_until(lambda: not node.state["queued"], 7200, step=60)
        node.hardware.i2c[0].unplug(0x76)
        node.run(130)
        point.rssi = lambda: -111  # an error that cannot be told
        node.run(130)
        point.rssi = lambda: -77
        node.run(60)
        point.rssi = lambda: -60
        intercept = node.cloud.traffic.intercept
        picky(node)
        node.run_until(lambda: node.state["quarantined"], 3600, step=20)
        node.cloud.traffic.intercept = intercept
        right = node.ntp._clock
        for wrong in (20, 86400):
            node.ntp._clock = lambda: right() + wrong  # noqa: B023 - asked while this goes on
            node.run(900)
        node.ntp._clock = right
        for key in ("another key 4711", node.values["wifi.networks"][0][1]):
            point.key = key
            node.hardware.radio._wanted = None
            node.run(900)
        node.hardware.radio.access_points.remove(point)
        node.run(900)
        node.hardware.radio.access_points.append(point)
        node.run(900)
        node.hardware.radio.broken = True
        node.run_until(lambda: node.said("the radio does not answer: starting the board again"), 7200, step=60)
        node.hardware.radio.broken = False
        node.board.power_cut()
        node.names.overrides["elsewhere.example"] = "127.0.0.1"
        host = node.values["tagoio.host"]
        for name in ("elsewhere.example", host):
            node.board.power_cut()
            node.set(tagoio__host=name)
            node.board.power_on()
            node.run(900)
        told.take(node)
        node.figure(
            f"{len({row_of(line) for line in complaints(told)})} kinds of trouble, each said, all readings arrive"
        )
        assert node.state["queued"] <= 5


def worn_out(told: Told) -> None:
    """A flash that is full, a damaged copy of the settings, one that can be none, no usable root, no time server."""
    files = {
        "/lib/drivers/rssi.py": DRIVER,
        "/settings.json": b"garbage",
        "/queue/mine": b"x",
        "/roots/00.der": b"x",
        "/events": b"a file where the folder has to be",
    }
    extra = {"log.keep": 1000, "ntp.servers": []}
    with VirtualNode({"health": {"every": 3600}}, extra, files=files, unix=START) as node:
        node.run(1)
        node.board.power_cut()
        with image.mounted(node.flash, node.geometry) as filesystem:
            left = node.geometry.blocks - filesystem.used_block_count
            image.write_tree(filesystem, {"/fill": b"x" * (left - 1) * image.BLOCK})
        node.board.power_on()
        node.hardware.radio.access_points[0].rssi = lambda: -111
        node.run(130)
        node.hardware.radio.access_points[0].rssi = lambda: -60
        node.run(1200)
        told.take(node)


def hanging(told: Told) -> None:
    """A task that hangs, again and again: safe mode, and its end."""
    settings = {"led": {"on": True}, "health": {"every": 3600}}
    with VirtualNode(settings, files={"/agent/light.py": HANGING_LIGHT}, unix=START) as node:
        node.run(hours=1.2)
        told.take(node)


def changed_from_afar(told: Told) -> None:
    """Parameters that cannot be read at first, and then a change with which nothing is delivered."""
    refused = faults.Fault("500")
    with VirtualNode({"remote": {"every": 60}, "upload": {"every": 86400}}, unix=START) as node:
        node.cloud.faults.set(faults.EVERY, refused)
        node.run(30)
        node.cloud.faults.set(faults.EVERY, faults.Fault("500", uploads=True))
        node.cloud.set_parameter(node.token, "sample.every", "30")
        node.run(1200)
        told.take(node)


def asleep(told: Told) -> None:
    """A node that sleeps, and reaches nobody when it links."""
    with VirtualNode({"duty": {"on": True, "stay": 0}}, unix=START) as node:
        node.run(130)
        node.cloud.faults.set(faults.EVERY, faults.Fault("500", uploads=True))
        node.run(900)
        told.take(node)


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        told = Told()
        everything(told, monkeypatch)
        worn_out(told)
        hanging(told)
        changed_from_afar(told)
        asleep(told)
        yield told


def pattern(shown: str) -> str:
    """A regular expression of a message as the table has it."""
    return ".+".join(re.escape(part) for part in shown.strip("`").split("…"))


def messages(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


SAID = [row[0] for row in TABLES[LOG]]


@pytest.mark.parametrize("shown", SAID)
def test_the_node_says_it(told, shown):
    wanted = re.compile(r"\d+\.\d{3} (?:warning|error) " + pattern(shown))
    lines = [line for line in told.lines if wanted.fullmatch(line) and row_of(line) == shown]
    assert lines, "\n".join(line for line in told.lines if not line.startswith(" "))


def row_of(line: str) -> str:
    """The row that this line fits best: with the most words of its own."""
    text = line.split(" ", 2)[2]
    fits = [shown for shown in SAID if re.fullmatch(pattern(shown), text)]
    return max(fits, key=len, default="")


def complaints(told: Told) -> list[str]:
    return [line for line in told.lines if re.match(r"\d+\.\d{3} (?:warning|error) ", line)]


def test_whatever_it_says_has_a_row(told):
    assert [line for line in complaints(told) if not row_of(line)] == []


def variables() -> list[str]:
    return [name for row in TABLES[HEALTH] for name in messages(row[0])]


ACCEPTED = {"accepted", "accepted with warning"}


def test_every_health_variable_has_a_row():
    assert variables() == [row[0] for row in vitals.ROWS]


@pytest.mark.parametrize("name", variables())
def test_the_node_reports_it(told, name):
    values = [record["value"] for record in told.records if record["variable"] == name]
    if name == "failed_verdicts":
        words = re.findall("([a-z ]+) [0-9]+", ", ".join(values))
        assert {word.strip() for word in words} == {row[0] for row in TABLES[VERDICTS]} - ACCEPTED, values
        return
    assert values and all(isinstance(value, (int, float)) for value in values)
    if name == "upload_failures":
        assert max(values) >= 10


def sources() -> Iterator[tuple[Path, str, str]]:
    """(file, who, text with … for what varies) of every warning and error in the agent's code."""
    for file in sorted((places.FIRMWARE / "agent").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) != 2:
                continue
            if node.func.attr in ("warning", "error") and "log" in ast.unparse(node.func).lower():
                yield file, text_of(node.args[0]), text_of(node.args[1])


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return re.sub(r"%[sd]|%\.\d+f", "…", str(node.value))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return text_of(node.left)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "…"


def test_every_message_in_the_code_has_a_row():
    for file, who, text in sources():
        line = f"{who}: {text}"
        rows = [shown for shown in SAID if re.fullmatch(pattern(shown), line)]
        if text == "…":
            # made elsewhere: the nodes above have said it, which test_whatever_it_says_has_a_row looks at
            rows = [shown for shown in SAID if shown.startswith(f"`{who}: ")]
        assert rows, f"{file.name}: no row for {line!r}"
