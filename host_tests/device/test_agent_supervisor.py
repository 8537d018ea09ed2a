"""The supervisor: tasks start again, the watchdog is fed on kept promises and on nothing else."""

import asyncio

from agentworld import Console, World

import pytest
from agent import supervisor
from agent.log import Log


class House:
    """A supervisor in a world of its own; `fed`: the moments at which the watchdog was fed."""

    def __init__(self, wrap_after_ms=500):
        self.world = World(wrap_after_ms)
        self.world.install(supervisor)
        self.console = Console()
        self.fed = []
        self.supervisor = supervisor.Supervisor(lambda: self.fed.append(self.world.ms), Log("info", self.console))
        self.start = self.supervisor.start

    async def run(self, ms):
        task = asyncio.create_task(self.supervisor.run())
        await self.world.spend(ms)
        task.cancel()
        return task

    def longest_gap(self):
        moments = [0] + self.fed + [self.world.ms]
        return max([b - a for a, b in zip(moments, moments[1:])])


async def idle(pulse):
    while True:
        await pulse.sleep(1000)


async def test_feeds_while_every_promise_is_kept():
    house = House()
    event = asyncio.Event()

    async def waits(pulse):
        await pulse.wait(event)

    async def sleeps_long(pulse):
        await pulse.sleep(3 * 3600000)

    house.start("idle", idle)
    house.start("waits", waits)
    house.start("sleeps", sleeps_long)
    await house.run(200000)
    assert house.longest_gap() <= 1000
    assert house.console.lines == []


async def test_a_hang_is_noticed_and_not_fed():
    house = House()

    async def hangs(pulse):
        pulse.beat(20000)
        await asyncio.Event().wait()

    house.start("good", idle)
    house.start("hangs", hangs)
    await house.run(120000)
    assert 19000 <= house.fed[-1] <= 20000
    assert "no progress in hangs" in house.console.text()
    assert len(house.console.lines) == 1  # said once


async def test_a_task_that_never_beats_has_fifteen_seconds():
    house = House()

    async def mute(pulse):
        await asyncio.Event().wait()

    house.start("mute", mute)
    await house.run(40000)
    assert 14500 <= house.fed[-1] <= 15000


async def test_progress_after_a_broken_promise_is_progress():
    house = House()

    async def late(pulse):
        pulse.beat(5000)
        await house.world.sleep_ms(9000)
        await idle(pulse)

    house.start("late", late)
    await house.run(60000)
    assert 3500 <= house.longest_gap() <= 4500
    assert house.fed[-1] > 59000


ERRORS = (ValueError("x"), OSError(5), MemoryError("y"), KeyError("z"), asyncio.TimeoutError())


@pytest.mark.parametrize("error", ERRORS)
async def test_a_task_that_fails_starts_again(error):
    house = House()
    starts = []

    async def fails(pulse):
        starts.append(house.world.ms)
        raise error

    house.start("fails", fails)
    house.start("good", idle)
    await house.run(190000)
    pauses = [b - a for a, b in zip(starts, starts[1:])]
    assert pauses == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
    assert house.supervisor.restarts == len(starts)
    assert house.console.text().count("error fails: failed: " + repr(error)) == len(starts)
    assert house.longest_gap() <= 1000  # an outage of one task is no reason to reset


async def test_each_failure_and_each_hang_is_told():
    house = House()
    told = []
    house.supervisor._crashed = lambda what, error: told.append((what, repr(error)[:10]))

    async def fails(pulse):
        raise ValueError("x")

    async def hangs(pulse):
        pulse.beat(20000)
        await asyncio.Event().wait()

    house.start("fails", fails)
    house.start("hangs", hangs)
    await house.run(40000)
    assert told[:2] == [("fails", "ValueError")] * 2
    assert ("no progress in hangs", "None") in told
    assert told.count(("no progress in hangs", "None")) == 1


LOOKS_AN_HOUR = 4 * 3600
SHORT = (
    # (looks before the first, milliseconds before it runs out of memory each time, whether that ends all)
    (LOOKS_AN_HOUR, [1000] * 5, True),
    (LOOKS_AN_HOUR, [1000] * 4, False),
    (LOOKS_AN_HOUR, [1000] * 4 + [601000], False),
    (LOOKS_AN_HOUR, [1000, 1000, 601000, 1000, 1000, 1000, 1000], True),
    # a heap that is too small from the start is not mended by a reset
    (0, [1000] * 9, False),
    (LOOKS_AN_HOUR - 400, [1000] * 5, True),
)


@pytest.mark.parametrize("looks, waits, ends", SHORT, ids=[str(i) for i in range(len(SHORT))])
async def test_a_heap_that_runs_out_again_and_again_ends_in_a_reset(looks, waits, ends):
    house = House()
    left = list(waits)
    house.supervisor._looks = looks

    async def starves(pulse):
        if left:
            await pulse.sleep(left.pop(0))
            raise MemoryError("memory allocation failed")
        await idle(pulse)

    house.start("starves", starves)
    task = asyncio.create_task(house.supervisor.run())
    await house.world.spend(sum(waits) + 200000)
    assert left == []
    assert task.done() is ends
    if not ends:
        task.cancel()
        return
    with pytest.raises(MemoryError, match="only a reset helps"):
        await task


async def test_the_pause_is_short_again_after_a_good_while():
    house = House()
    starts = []

    async def fails(pulse):
        starts.append(house.world.ms)
        if len(starts) > 3:
            await pulse.sleep(61000)
        raise ValueError

    house.start("fails", fails)
    await house.run(200000)
    pauses = [b - a for a, b in zip(starts, starts[1:])]
    assert pauses == [1000, 2000, 4000, 62000, 62000, 62000]


async def test_a_task_that_ends_is_no_longer_waited_for():
    house = House()

    async def ends(pulse):
        await pulse.sleep(1000)

    house.start("ends", ends)
    house.start("good", idle)
    await house.run(100000)
    assert house.longest_gap() <= 1000


async def test_it_ends_with_the_last_task():
    house = House()

    async def ends(pulse):
        await pulse.sleep(5000)

    house.start("ends", ends)
    task = await house.run(6000)
    assert task.done()


@pytest.mark.parametrize("ms", (-5, 0))
async def test_a_sleep_of_nothing_gives_the_others_their_turn(ms):
    house = House()
    turns = []

    async def other():
        while True:
            turns.append(0)
            await asyncio.sleep_ms(0)

    task = asyncio.create_task(other())
    pulse = supervisor.Pulse("x")
    for _ in range(10):
        await pulse.sleep(ms)
    task.cancel()
    assert len(turns) >= 5
    assert house.world.ms == 0


@pytest.mark.parametrize("ms", (1, 999, 59999, 60000, 60001, 240123))
async def test_a_sleep_takes_its_time_and_promises_no_more_than_a_minute_and_a_quarter(ms):
    house = House()
    promises = []
    woken = []

    async def sleeps(pulse):
        beat = pulse.beat

        def spy(within_ms=15000):
            promises.append(within_ms)
            beat(within_ms)

        pulse.beat = spy
        await pulse.sleep(ms)
        woken.append(house.world.ms)

    house.start("sleeps", sleeps)
    await house.run(ms + 1000)
    assert woken == [ms]
    assert max(promises) <= 75000
    assert promises[-1] == 15000


@pytest.mark.parametrize("limit", (-1, 500, 150000))
async def test_waiting_for_an_event(limit):
    house = House()
    event = asyncio.Event()
    seen = []

    async def waits(pulse):
        seen.append(await pulse.wait(event, limit))
        seen.append(house.world.ms)

    house.start("good", idle)
    house.start("waits", waits)
    task = asyncio.create_task(house.supervisor.run())
    await house.world.spend(200000)
    event.set()
    await house.world.spend(10)
    task.cancel()
    assert seen[0] is (limit < 0)
    assert seen[1] == (200000 if limit < 0 else limit)
    assert house.longest_gap() <= 1000


async def test_an_event_that_is_set_is_not_waited_for():
    house = House()
    event = asyncio.Event()
    event.set()
    assert await supervisor.Pulse("x").wait(event, 1000)
    assert house.world.ms == 0


async def test_a_task_that_has_missed_its_end_is_told_again():
    """As wait_for() does when it is cancelled in the moment in which its time is over."""
    house = House()
    rounds = []

    async def misses(pulse):
        try:
            await pulse.sleep(10000)
        except asyncio.CancelledError:
            pass
        while True:
            await pulse.sleep(700)
            rounds.append(house.world.ms)

    async def stops(pulse):
        await pulse.sleep(5000)
        house.supervisor.stop("misses")

    house.start("misses", misses)
    house.start("stops", stops)
    house.start("idle", idle)
    await house.run(30000)

    assert len(rounds) <= 2
