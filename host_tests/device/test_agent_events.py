"""Events: kept until TagoIO has them, few of them, in order, with the time at which they happened, without secrets."""

import json
import os
import sys

from agentworld import Console, Pulse, World

import pytest
from agent import clock, diary, events
from agent.log import Log, Secret
from tagoio import verdicts

TOKEN = "5a16405f-b32c-4c91-ae39-cbb2caba18d8"
WIFI_PASSWORD = "hunter2 and a half"
BUILD_S = 1767225600
NOON_MS = (BUILD_S + 43200) * 1000


class Uplink:
    """Takes what is sent: `records`; answers with the next of `verdicts`, the last repeats."""

    def __init__(self, *answers):
        self.answers = list(answers) or [verdicts.ACCEPTED]
        self.sent = []

    async def exchange(self, pulse, method, path, body=None, size=None):
        data = b"".join([bytes(piece) for piece in body])
        assert (method, path, len(data)) == ("POST", "/data", size)
        assert max([len(piece) for piece in body]) <= 4096
        self.sent += json.loads(data)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]), "why", None


class Rig:
    """Events in a folder of their own; `boot` starts the board again on the same flash."""

    def __init__(self, tmp, synced=True):
        self.folder = tmp + "/events"
        self.console = Console()
        self.boot(synced)

    def boot(self, synced=True):
        events.young.clear()
        self.world = World()
        self.world.install(clock)
        self.clock = clock.Clock(BUILD_S, lambda second: None, Log("info", self.console))
        if synced:
            self.sync()
        secrets = (Secret(TOKEN), Secret(WIFI_PASSWORD), Secret(""))
        self.events = events.Events(self.clock, "abc123", secrets, Log("info", self.console), self.folder)
        self.add = self.events.add

    def sync(self):
        self.clock.set(NOON_MS, self.world.ticks_ms(), clock.SYNCED)

    async def send(self, *answers):
        uplink = Uplink(*answers)
        await self.events.send(Pulse(self.world), uplink)
        return uplink.sent

    def names(self):
        return [name for _, name in diary.listing(self.folder)]


async def test_an_event_is_a_record_sent_once(tmp):
    rig = Rig(tmp)
    rig.add("event", 'started by "power on": 21.5 °C\nline two')
    rig.world.ms += 1500
    rig.add("event", "second")
    assert await rig.send() == [
        {
            "variable": "event",
            "value": 'started by "power on": 21.5 °C\nline two',
            "group": "abc123_e1",
            "time": "2026-01-01T12:00:00.000Z",
        },
        {"variable": "event", "value": "second", "group": "abc123_e2", "time": "2026-01-01T12:00:01.500Z"},
    ]
    assert await rig.send() == []


async def test_the_numbers_rise_across_boots(tmp):
    rig = Rig(tmp)
    groups = []
    for boot in range(4):
        rig.add("event", "boot %d" % boot)
        groups += [record["group"] for record in await rig.send()]
        rig.boot()
    assert groups == ["abc123_e%d" % n for n in (1, 2, 3, 4)]
    assert rig.names() == ["4.event.sent"]


async def test_what_happened_before_the_time_was_known_gets_its_time(tmp):
    rig = Rig(tmp, synced=False)
    rig.world.ms += 1000
    rig.add("event", "early")
    rig.world.ms += 5000
    rig.sync()
    (record,) = await rig.send()
    assert record["time"] == "2026-01-01T11:59:55.000Z"


async def test_what_happens_while_others_are_sent_is_sent_next(tmp):
    rig = Rig(tmp)
    rig.add("event", "first")
    uplink = Uplink()
    exchange = uplink.exchange

    async def busy(*what):
        rig.add("event", "second")
        uplink.exchange = exchange
        return await exchange(*what)

    uplink.exchange = busy
    await rig.events.send(Pulse(rig.world), uplink)
    assert [record["value"] for record in uplink.sent] == ["first"]
    assert [record["value"] for record in await rig.send()] == ["second"]


async def test_what_makes_room_while_it_is_sent_ends_nothing(tmp):
    rig = Rig(tmp)
    for n in range(16):
        rig.add("event", str(n))
    uplink = Uplink()
    exchange = uplink.exchange

    async def busy(*what):
        if len(uplink.sent) < 3:  # for which the one on its way makes room, and the next
            rig.add("event", "late")
            rig.add("event", "late")
        return await exchange(*what)

    uplink.exchange = busy
    await rig.events.send(Pulse(rig.world), uplink)
    rig.world.ms += 60000
    await rig.send()
    assert [name for name in rig.names() if name[-5:] != ".sent"] == []


async def test_of_a_boot_that_never_knew_the_time_it_goes_without(tmp):
    rig = Rig(tmp, synced=False)
    rig.add("event", "early")
    rig.boot()
    (record,) = await rig.send()
    assert "time" not in record and record["metadata"] == {"clock": "unknown"}


async def test_sixteen_wait_at_most_and_the_oldest_goes(tmp):
    rig = Rig(tmp)
    for n in range(1, 41):
        rig.add("event", str(n))
        assert len(rig.names()) <= 16
    assert [record["value"] for record in await rig.send()] == [str(n) for n in range(25, 41)]


async def test_the_last_three_crashes_wait_and_are_kept_for_a_cable(tmp):
    rig = Rig(tmp)
    rig.add("event", "first")
    for n in range(1, 8):
        rig.add("crash", "crash %d" % n)
    rig.add("event", "last")
    assert [record["value"] for record in await rig.send()] == ["first", "crash 5", "crash 6", "crash 7", "last"]
    assert rig.names() == ["6.crash.sent", "7.crash.sent", "8.crash.sent", "9.event.sent"]
    rig.add("crash", "crash 8")
    await rig.send()
    assert rig.names() == ["7.crash.sent", "8.crash.sent", "9.event.sent", "10.crash.sent"]


NOT_TAKEN = (
    verdicts.UNAVAILABLE,
    verdicts.AMBIGUOUS,
    verdicts.THROTTLED,
    verdicts.UNAUTHORISED,
    verdicts.DEVICE_REFUSES,
    verdicts.UNTRUSTED,
    verdicts.MISCONFIGURED,
)


@pytest.mark.parametrize("verdict", NOT_TAKEN)
async def test_what_was_not_taken_goes_again_the_same_after_a_pause_that_grows(tmp, verdict):
    rig = Rig(tmp)
    rig.add("event", "first")
    rig.add("event", "second")
    tried = []
    for _ in range(600):
        sent = await rig.send(verdict)
        if sent:
            tried.append(rig.world.ms)
            assert [record["group"] for record in sent] == ["abc123_e1"]  # the others wait behind it
        rig.world.ms += 60000
    pauses = [b - a for a, b in zip(tried, tried[1:])]
    assert pauses[:6] == [60000, 120000, 240000, 480000, 960000, 1920000]
    assert set(pauses[6:]) == {3600000}
    rig.world.ms += 3600000
    assert [record["value"] for record in await rig.send()] == ["first", "second"]


@pytest.mark.parametrize("verdict", (verdicts.REJECTED, verdicts.TOO_LARGE))
async def test_what_tagoio_refuses_blocks_nobody_and_goes_again_for_three_days(tmp, verdict):
    """A server in trouble refuses anything for a while."""
    rig = Rig(tmp)
    rig.add("event", "odd")
    rig.add("event", "good")
    assert [record["value"] for record in await rig.send(verdict, verdicts.ACCEPTED)] == ["odd", "good"]
    assert "refused: why" in rig.console.text()
    assert await rig.send() == [] and rig.names() == ["1.event", "2.event.sent"]
    tried = 0
    while True:
        rig.world.ms += 3600000
        sent = await rig.send(verdict)
        if not sent:
            break
        assert [record["value"] for record in sent] == ["odd"]
        tried += 1
    assert tried == 72 and rig.names() == ["2.event.sent"]


async def test_what_was_refused_while_the_server_was_in_trouble_arrives_later(tmp):
    rig = Rig(tmp, synced=False)
    rig.add("crash", "without a time")
    rig.boot()
    rig.add("event", "first")
    rig.add("event", "second")
    assert len(await rig.send(verdicts.REJECTED)) == 3
    rig.world.ms += 59999
    assert await rig.send() == []
    rig.world.ms += 1
    assert [record["value"] for record in await rig.send()] == ["without a time", "first", "second"]
    rig.world.ms += 3600000
    assert await rig.send() == []


async def test_a_secret_leaves_with_no_event(tmp):
    rig = Rig(tmp)
    rig.add("crash", "OSError: %s, then %s at %s" % (TOKEN, WIFI_PASSWORD, TOKEN))
    (record,) = await rig.send()
    assert record["value"] == "OSError: <secret>, then <secret> at <secret>"
    assert TOKEN not in rig.console.text()


async def test_a_long_text_is_cut_and_sent_in_pieces(tmp):
    rig = Rig(tmp)
    rig.add("crash", "°\n" * 3000)
    (record,) = await rig.send()
    assert record["value"] == "°\n" * 900


async def test_what_is_none_of_ours_or_empty_is_passed_over(tmp):
    rig = Rig(tmp)
    rig.add("event", "good")
    for name, text in (("7.crash", ""), ("8.event", "no time\n"), ("notes.txt", "mine")):
        with open(rig.folder + "/" + name, "w") as file:
            file.write(text)
    assert [record["value"] for record in await rig.send()] == ["good"]
    assert sorted(os.listdir(rig.folder)) == ["1.event.sent", "notes.txt"]


async def test_what_cannot_be_read_just_now_is_sent_later(tmp):
    rig = Rig(tmp)
    rig.add("event", "first")
    rig.add("event", "second")
    from agent import mail

    def fails(path):
        if "1.event" in path:
            raise OSError(5)
        return open(path)

    mail.open = fails
    try:
        await mail.send(rig.events, Pulse(rig.world), Uplink())
    finally:
        del mail.open
    assert rig.names() == ["1.event", "2.event.sent"]
    assert await rig.send() == []
    rig.world.ms += 60000
    assert [record["value"] for record in await rig.send()] == ["first"]


async def test_a_flash_that_takes_no_more_is_said(tmp):
    rig = Rig(tmp)
    with open(rig.folder, "w") as file:
        file.write("a file where the folder has to be")
    rig.add("event", "x")
    assert "not kept: x" in rig.console.text()
    assert await rig.send() == []


def test_too_little_memory_for_an_event_is_said(tmp):
    class Full:
        @staticmethod
        def create(variable, clock, folder):
            raise MemoryError("memory allocation failed")

    rig = Rig(tmp)
    sys.modules["agent.diary"] = sys.modules["agent"].diary = Full
    rig.add("event", "x")
    assert "not kept: x: memory" in rig.console.text()
    rig.add("event", "y")
    assert rig.names() == ["1.event"]
