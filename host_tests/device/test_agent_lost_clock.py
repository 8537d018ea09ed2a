"""Samples of a start whose clock was lost before anybody told the time: without `time`, and marked."""

import json

from agentworld import Console, Pulse, World

from agent import batch, clock
from agent.log import Log
from spool import Spool

BUILD_S = 1767225600
NOON_MS = (BUILD_S + 43200) * 1000
CHANNELS = (("temperature", "°C", 1), ("note", "", 0))


async def sent(spool, told):
    """The records of one batch, and how long it was said to be."""
    made = batch.Batch(spool, told, bytearray(512), 32768, Log("debug", Console()))
    assert await made.choose(Pulse())
    body = b"".join([bytes(piece) for piece in made.body()])
    assert len(body) == made.size
    return json.loads(body)


async def test_only_those_of_lost_starts_are_marked(tmp):
    spool = Spool(tmp + "/queue", CHANNELS)
    spool.append([1.5, "a"], None, 1000)
    spool.append([2.5, None], None, 61000, metadata={"who": "me"})
    spool.append([3.5, None], NOON_MS - 7200000, 121000)  # the clock was known for a moment
    spool = Spool(tmp + "/queue", CHANNELS)
    spool.append([4.5, None], None, 5000)
    spool.append([5.5, None], None, 65000, metadata={"who": "me"})
    world = World()
    world.install(clock)
    told = clock.Clock(BUILD_S, lambda second: None, Log("debug", Console()))
    world.ms = 100000
    told.set(NOON_MS, world.ticks_ms(), clock.SYNCED)
    records = await sent(spool, told)
    assert [record["value"] for record in records] == [1.5, "a", 2.5, 3.5, 4.5, 5.5]
    assert [record.get("time") for record in records] == [
        None,
        None,
        None,
        "2026-01-01T10:00:00.000Z",
        "2026-01-01T11:58:25.000Z",
        "2026-01-01T11:59:25.000Z",
    ]
    assert [record.get("metadata") for record in records] == [
        {"clock": "unknown"},
        {"clock": "unknown"},
        {"who": "me", "clock": "unknown"},
        None,
        None,
        {"who": "me"},
    ]
