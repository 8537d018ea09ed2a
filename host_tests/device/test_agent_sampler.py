"""Sampling: on the grid whatever the clock does, and no sensor's trouble is another's."""

import asyncio

from agentworld import Console, Enough, Pulse, World

import pytest
from agent import clock
from agent.log import Log
from agent.pipeline import Pipeline
from agent.sampler import Sampler, Sensor
from harness import heap
from spool import Spool, SpoolError

BUILD_S = 1767225600  # 2026-01-01T00:00:00Z
DAY_MS = 86400000


class Chip:
    """A driver that gives, in turn, what it is told: a tuple, an exception, or anything else. The last one stays."""

    def __init__(self, *says, wait_ms=0, starts=()):
        self.says = list(says)
        self.wait_ms = wait_ms
        self.starts = list(starts)

    def start(self):
        if self.starts:
            said = self.starts.pop(0)
            if isinstance(said, Exception):
                raise said
        return self.wait_ms

    def read(self):
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Exception):
            raise said
        return said


class Spooled:
    """In the place of a spool: keeps the samples; `refuses` are exceptions to raise first."""

    def __init__(self, *refuses):
        self.samples = []
        self.refuses = list(refuses)

    def append(self, values, time=None, mono=0):
        if self.refuses:
            raise self.refuses.pop(0)
        self.samples.append((list(values), time, mono))
        return len(self.samples)


class Rig:
    """A sampler over these chips, one channel each unless `channels` says how many."""

    def __init__(
        self, *chips, every=60000, samples=0, time_ms=0, spool=None, at_sleep=None, channels=None, own=(), pipeline=None
    ):
        self.world = World()
        self.world.install(clock)
        self.console = Console()
        log = Log("debug", self.console)
        self.clock = clock.Clock(BUILD_S, lambda second: None, log)
        self.spool = spool or Spooled()
        counts = channels or [1] * len(chips)
        sensors = []
        for i, chip in enumerate(chips):
            rows = tuple([(f"v{i}_{k}", "", 2) for k in range(counts[i])])
            sensors.append(Sensor("chip" + str(i), lambda bus, chip=chip: chip, Board(), "i2c0", None, rows))
        for sensor, every_ms in zip(sensors, own):
            sensor.every_ms = every_ms
        self.commits = 0
        self.urgent = []
        self.sampler = Sampler(
            sensors, self.spool, self.clock, every, samples, time_ms, log, self._committed, pipeline and pipeline(log)
        )
        self.pulse = Pulse(self.world, at_sleep and (lambda ms: at_sleep(self)))

    def _committed(self, urgent):
        self.commits += 1
        self.urgent.append(urgent)

    def set_time(self, unix_ms):
        """As time servers say it, who have to say it again when it is far off."""
        for _ in range(2):
            try:
                self.clock.set(unix_ms, self.world.ticks_ms(), clock.SYNCED)
                break
            except ValueError as error:
                assert "twice" in str(error)

    async def run(self):
        await self.sampler.run(self.pulse)

    def column(self, index):
        return [values[index] for values, _, _ in self.spool.samples]


@heap("512K")
@pytest.mark.parametrize("every", (20, 1000, 60000, 3600000, DAY_MS))
async def test_on_the_grid_from_boot_without_a_clock(every):
    rig = Rig(Chip((1,)), every=every, samples=5)
    await rig.run()
    assert [sample[1:] for sample in rig.spool.samples] == [(None, every * (i + 1)) for i in range(5)]
    assert rig.sampler.over.is_set()
    assert rig.commits == 6  # one a sample, and one when it is over


@pytest.mark.parametrize("every", (1000, 60000, 900000))
async def test_on_the_grid_of_the_day_with_one(every):
    rig = Rig(Chip((1,)), every=every, samples=5)
    rig.world.ms = 333
    rig.set_time(BUILD_S * 1000 + 12 * 3600000 + 123457)
    await rig.run()
    times = [time for _, time, _ in rig.spool.samples]
    first = (BUILD_S * 1000 + 12 * 3600000 + 123457) // every * every + every
    assert times == [first + i * every for i in range(5)]
    assert [time - mono for _, time, mono in rig.spool.samples] == [times[0] - rig.spool.samples[0][2]] * 5


@heap("384K")
async def test_moves_to_the_grid_of_the_day_when_the_time_comes():
    """Also in the middle of a long wait."""

    def at_sleep(rig):
        if rig.clock.state == clock.UNKNOWN:
            rig.set_time(BUILD_S * 1000 + 10 * 3600000 + 1800000)

    rig = Rig(Chip((1,)), every=DAY_MS, samples=3, at_sleep=at_sleep)
    await rig.run()
    assert [time for _, time, _ in rig.spool.samples] == [(BUILD_S * 1000) + i * DAY_MS for i in (1, 2, 3)]


@pytest.mark.parametrize("every", (1000, 60000, 900000))
@pytest.mark.parametrize("step", (-DAY_MS, -61000, -40000, -700, -1, 1, 300, 59999, 60001, 5 * DAY_MS))
async def test_a_clock_that_steps_neither_crowds_nor_skips(every, step):
    def at_sleep(rig):
        if len(rig.spool.samples) == 4 and not stepped:
            stepped.append(1)
            rig.set_time(rig.clock.now() + step)

    stepped = []
    rig = Rig(Chip((1,)), every=every, samples=9, at_sleep=at_sleep)
    rig.set_time(BUILD_S * 1000 + 7 * DAY_MS + 1)
    await rig.run()
    monos = [mono for _, _, mono in rig.spool.samples]
    gaps = [b - a for a, b in zip(monos, monos[1:])]
    assert min(gaps) >= every // 2
    assert max(gaps) <= every + every // 2
    # the first after the step may have been on its way already
    assert [time % every for _, time, _ in rig.spool.samples[5:]] == [0] * 4


async def test_a_conversion_longer_than_the_interval_is_read_in_a_later_pass():
    rig = Rig(Chip((1,), wait_ms=2500), Chip((2,)), every=1000, samples=8)
    await rig.run()
    assert [(values, mono) for values, _, mono in rig.spool.samples] == [
        ([1 if second in (3, 6) else None, 2], second * 1000) for second in range(1, 9)
    ]


async def test_each_is_read_as_soon_as_it_is_done():
    seen = []
    worlds = []

    class Timed(Chip):
        def read(self):
            seen.append((self.wait_ms, worlds[0].ms))
            return (1,)

    rig = Rig(*[Timed((1,), wait_ms=wait) for wait in (5500, 20, 0, 750)], every=60000, samples=1)
    worlds.append(rig.world)
    await rig.run()
    assert seen == [(0, 60000), (20, 60020), (750, 60750), (5500, 65500)]


async def test_the_time_is_that_of_the_point_not_of_the_end_of_the_conversion():
    rig = Rig(Chip((1,), wait_ms=750), every=10000, samples=2)
    await rig.run()
    assert [mono for _, _, mono in rig.spool.samples] == [10000, 20000]


@heap("384K")
@pytest.mark.parametrize("time_ms, taken", ((999, 0), (1000, 1), (3500, 3), (200000, 200)))
async def test_a_run_of_so_much_time(time_ms, taken):
    rig = Rig(Chip((1,)), every=1000, time_ms=time_ms)
    await rig.run()
    assert len(rig.spool.samples) == taken
    assert rig.world.ms == time_ms
    assert rig.sampler.over.is_set()


ODD = (
    OSError(5),
    ValueError("odd"),
    MemoryError("no room"),
    ZeroDivisionError("divide by zero"),
    OverflowError("much"),
    TypeError("odd"),
    IndexError("odd"),
    KeyError("odd"),
    AttributeError("odd"),
    RuntimeError("odd"),
    AssertionError("odd"),
    asyncio.TimeoutError(),
)


@pytest.mark.parametrize("place", ("start", "read"))
@pytest.mark.parametrize("error", ODD, ids=[str(i) for i in range(len(ODD))])
async def test_a_sensor_that_fails_costs_its_own_readings(error, place):
    bad = Chip((5,), starts=[None, error, error]) if place == "start" else Chip((5,), error, error, (5,))
    rig = Rig(Chip((1,)), bad, Chip((2,)), samples=4)
    await rig.run()
    assert rig.column(0) == [1] * 4
    assert rig.column(1) == [5, None, None, 5]
    assert rig.column(2) == [2] * 4
    assert rig.sampler.errors == 2
    said = [line for line in rig.console.lines if "chip1" in line]
    assert len(said) == 2, said  # once when it fails, once when it works again
    assert "works again" in said[1]


BAD_TUPLES = ((), (1,), (1, 2, 3), None, 7, "ab?")


@pytest.mark.parametrize("said", BAD_TUPLES, ids=[str(i) for i in range(len(BAD_TUPLES))])
async def test_another_number_of_readings_is_an_error(said):
    rig = Rig(Chip((1,)), Chip((3, 4), said, (3, 4)), channels=(1, 2), samples=3)
    await rig.run()
    assert rig.column(0) == [1] * 3
    assert rig.column(1) == [3, None, 3]
    assert rig.column(2) == [4, None, 4]
    assert rig.sampler.errors == 1


BAD_VALUES = (float("nan"), float("inf"), float("-inf"), b"bytes", [1], {"a": 1}, 1j, object())


@pytest.mark.parametrize("value", BAD_VALUES, ids=[str(i) for i in range(len(BAD_VALUES))])
async def test_a_value_that_is_no_reading_costs_itself_alone(value):
    rig = Rig(Chip((1,)), Chip((3.5, value)), channels=(1, 2), samples=5)
    await rig.run()
    assert rig.column(0) == [1] * 5
    assert rig.column(1) == [3.5] * 5
    assert rig.column(2) == [None] * 5
    assert len([line for line in rig.console.lines if "chip1" in line]) == 1  # not every minute for a year


async def test_what_may_be_a_reading_stays_as_it_is():
    rig = Rig(Chip((-0.5, 3, True, "open", None)), channels=(5,), samples=1)
    await rig.run()
    assert rig.spool.samples[0][0] == [-0.5, 3, True, "open", None]
    assert rig.sampler.errors == 0


async def test_what_is_stored_has_the_decimals_that_are_sent():
    """More of them cost flash: a float of its decimals is stored in two or three bytes, any other in nine."""
    given = (21.43751, -0.004, 1013.255001, 1.7e308, True, "21.43751", 20000000001.126)
    rig = Rig(Chip(given), channels=(7,), samples=1)
    await rig.run()
    assert rig.spool.samples[0][0] == [21.44, -0.0, 1013.26, 1.7e308, True, "21.43751", 20000000001.126]


async def test_rounding_comes_after_what_the_pipeline_does():
    rows = [["v0_0", "", 0, {"scale": 100}], ["v0_1", "", 1]]
    rig = Rig(Chip((0.12345, 0.06)), channels=(2,), samples=1, pipeline=lambda log: Pipeline(rows, [], log))
    await rig.run()
    assert rig.spool.samples[0][0] == [12, 0.1]


async def test_a_conversion_is_timed_from_the_end_of_its_start():
    seen = []
    worlds = []

    class Slow(Chip):
        def start(self):
            worlds[0].ms += 30
            return 100

        def read(self):
            seen.append(worlds[0].ms)
            return (1,)

    rig = Rig(Slow((1,)), samples=1)
    worlds.append(rig.world)
    await rig.run()
    assert seen == [60130]


@pytest.mark.parametrize("waits, slept", (((0, 750, 20), [20, 730]), ((7.5,), [7]), ((10**9,), [60000])))
async def test_waits_for_the_slowest_but_not_for_ever(waits, slept):
    rig = Rig(*[Chip((1,), wait_ms=wait) for wait in waits], every=60000, samples=1)
    await rig.run()
    assert rig.pulse.slept == [60000] + slept


@pytest.mark.parametrize("wait", (None, "soon"))
async def test_a_wait_that_is_none(wait):
    rig = Rig(Chip((1,), wait_ms=wait), Chip((2,)), samples=1)
    await rig.run()
    assert rig.spool.samples[0][0] == [None, 2]


async def test_no_sample_without_any_reading():
    rig = Rig(Chip(OSError(5), OSError(5), (1,)), samples=1)
    await rig.run()
    assert [mono for _, _, mono in rig.spool.samples] == [180000]


async def test_a_full_flash_costs_that_sample_alone():
    rig = Rig(Chip((1,)), samples=2, spool=Spooled(SpoolError("full"), ValueError("too long"), SpoolError("full")))
    await rig.run()
    assert [mono for _, _, mono in rig.spool.samples] == [240000, 300000]
    assert rig.console.text().count("sample not stored: ") == 3
    assert rig.commits == 3


async def test_a_sampler_that_starts_again_keeps_count():
    class Stop(Exception):
        pass

    def at_sleep(rig):
        if len(rig.spool.samples) == 2 and not stopped:
            stopped.append(1)
            raise Stop

    stopped = []
    rig = Rig(Chip((1,)), samples=5, at_sleep=at_sleep)
    with pytest.raises(Stop):
        await rig.run()
    await rig.run()
    assert len(rig.spool.samples) == 5


async def test_never_promises_much():
    def at_sleep(rig):
        if len(rig.spool.samples) == 3:
            raise Enough

    rig = Rig(Chip((1,), wait_ms=900), every=3600000, at_sleep=at_sleep)
    with pytest.raises(Enough):
        await rig.run()
    assert max(rig.pulse.beats) <= 15000
    assert max(rig.pulse.slept) <= 60000


async def test_into_a_real_queue(tmp):
    spool = Spool(tmp + "/queue", (("v0_0", "", 2), ("v1_0", "", 2)))
    rig = Rig(Chip((21.5,)), Chip(OSError(5)), samples=3, spool=spool)
    await rig.run()
    assert [(s.sequence, list(s.values), s.time, s.mono) for s in spool.peek()] == [
        (i, [21.5, None], None, 60000 * i) for i in (1, 2, 3)
    ]
    assert spool.counters[:3] == (3, 0, 3)


class Board:
    """Buses by name; what was asked for. stuck: how many recoveries find the bus held; an exception is raised."""

    def __init__(self, stuck=0):
        self.asked = []
        self.recovered = []
        self.stuck = stuck

    def bus(self, name):
        self.asked.append(name)
        if name != "i2c0":
            raise ValueError("this board has no bus " + name)

    def recover(self, name):
        self.recovered.append(name)
        if isinstance(self.stuck, Exception):
            raise self.stuck
        self.stuck -= 1
        return self.stuck >= 0


async def test_a_bus_that_the_board_has_not_is_said_and_harms_nobody():
    rig = Rig(Chip((1,)), Chip((2,)), samples=2)
    rig.sampler._sensors[1] = Sensor("chip1", lambda bus: Chip((2,)), Board(), "i2c7", None, (("v1_0", "", 2),))
    await rig.run()
    assert rig.column(0) == [1, 1]
    assert rig.column(1) == [None, None]
    assert rig.console.text().count("this board has no bus i2c7") == 1


async def test_each_sensor_on_the_grid_of_its_own_interval():
    rig = Rig(Chip((1,)), Chip((2,)), Chip((3,)), every=60000, own=(0, 90000, 120000), samples=8)
    rig.set_time(BUILD_S * 1000 + 5000)
    await rig.run()
    assert [(values, time - BUILD_S * 1000) for values, time, _ in rig.spool.samples] == [
        ([1, None, None], 60000),
        ([None, 2, None], 90000),
        ([1, None, 3], 120000),
        ([1, 2, None], 180000),
        ([1, None, 3], 240000),
        ([None, 2, None], 270000),
        ([1, None, None], 300000),
        ([1, 2, 3], 360000),
    ]


async def test_a_sensor_that_is_not_due_is_not_asked():
    asked = []

    class Counting(Chip):
        def start(self):
            asked.append(self)
            return 0

    often, seldom = Counting((1,)), Counting((2,))
    rig = Rig(often, seldom, every=10000, own=(0, 30000), samples=6)
    await rig.run()
    assert (asked.count(often), asked.count(seldom)) == (6, 2)


async def test_a_sensor_in_trouble_that_is_not_due_stays_in_trouble():
    rig = Rig(Chip((1,)), Chip(OSError(5), OSError(5), (2,)), every=10000, own=(0, 20000), samples=6)
    await rig.run()
    text = rig.console.text()
    assert text.count("warning sampler: chip1: ") == 1
    assert text.count("chip1 works again") == 1


async def test_what_the_pipeline_holds_back_is_no_sample():
    rows = [["v0_0", "", 2, {"filters": [["delta", 1, 9999999]], "alarm": [5, None, 0]}]]
    readings = [(1,), (1.5,), (2,), (2.5,), (9,), (9.5,), (3,)]
    rig = Rig(Chip(*readings), samples=4, every=1000, pipeline=lambda log: Pipeline(rows, [], log))
    await rig.run()
    assert [(values, mono) for values, _, mono in rig.spool.samples] == [
        ([1, 0], 1000),
        ([2, None], 3000),
        ([9, 1], 5000),
        ([3, 0], 7000),
    ]
    # an alarm's beginning and end are sent at once, as is what there is at the end of the run
    assert rig.urgent == [False, False, True, True, True]


@pytest.mark.parametrize("error", (SpoolError("full"), ValueError("too long")))
async def test_an_alarm_that_could_not_be_stored_is_told_until_it_is(error):
    class Full(Spooled):
        def append(self, values, time=None, mono=0):
            if mono in (3000, 4000, 7000):
                raise error
            return super().append(values, time, mono)

    alarm = {"alarm": [5, None, 0]}
    rows = [["a", "", 2, dict(alarm, filters=[["delta", 1, 9999999]])], ["b", "", 2, alarm]]
    chips = (Chip((1,), (1,), (9,), (None,), (9,), (9,), (1,), (1,), (1,)), Chip((9,)))
    rig = Rig(*chips, samples=6, every=1000, spool=Full(), pipeline=lambda log: Pipeline(rows, [], log))
    await rig.run()
    assert [(values, mono) for values, _, mono in rig.spool.samples] == [
        ([1, 9, 0, 1], 1000),
        ([None, 9, None, None], 2000),
        ([9, 9, 1, None], 5000),
        ([None, 9, None, None], 6000),
        ([1, 9, 0, None], 8000),
        ([None, 9, None, None], 9000),
    ]
    assert rig.urgent == [True, False, True, False, True, False, True]


@pytest.mark.parametrize("late", (0, 3, 40))
@pytest.mark.parametrize("wait", (0, 1, 750))
async def test_filters_go_by_the_point_of_the_grid(wait, late):
    """However long the conversion takes, and however late the board comes to it."""
    rows = [["v0_0", "", 2, {"filters": [["window", "sum", 3000]]}], ["v1_0", "", 2, {"filters": [["delta", 9, 4000]]}]]
    chips = [Chip(*[(i,) for i in range(1, 40)], wait_ms=wait), Chip((5,))]

    def at_sleep(rig):
        rig.world.ms += late * (len(rig.spool.samples) % 2)

    rig = Rig(*chips, samples=6, every=1000, pipeline=lambda log: Pipeline(rows, [], log), at_sleep=at_sleep)
    rig.set_time(BUILD_S * 1000)
    await rig.run()
    seen = [(values, (time + 500) // 1000 - BUILD_S) for values, time, _ in rig.spool.samples]
    assert seen == [
        ([None, 5], 1),
        ([6, None], 3),
        ([None, 5], 5),
        ([15, None], 6),
        ([24, 5], 9),
        ([33, None], 12),
    ]


@pytest.mark.parametrize("by", (-2, -1, 1, 400))
async def test_a_clock_that_is_set_a_little_in_the_meantime_moves_no_reading_to_another_window(by):
    def at_sleep(rig):
        if len(moved) < 40:
            moved.append(by)
            rig.set_time(rig.clock.now() + (by if len(moved) % 2 else -by))

    moved = []
    rows = [["v0_0", "", 2, {"filters": [["window", "sum", 3000]]}]]
    rig = Rig(Chip((1,)), samples=8, every=1000, pipeline=lambda log: Pipeline(rows, [], log), at_sleep=at_sleep)
    rig.set_time(BUILD_S * 1000)
    await rig.run()
    assert rig.column(0) == [3] * 8


async def test_a_window_ends_on_its_end_whatever_its_sensor_does():
    """It has a grid of its own, whose points neither a failed sensor nor another interval takes from it."""
    rows = [["v0_0", "", 2, {"filters": [["window", "max", 10000]]}]]
    chip = Chip((1,), (2,), (3,), OSError(5), OSError(5), (4,), OSError(5))
    rig = Rig(chip, samples=3, every=4000, pipeline=lambda log: Pipeline(rows, [], log))
    rig.set_time(BUILD_S * 1000)
    await rig.run()
    # read at 4 and 8; 12; 24
    assert [(values, time - BUILD_S * 1000) for values, time, _ in rig.spool.samples] == [
        ([2], 10000),
        ([3], 20000),
        ([4], 30000),
    ]


@heap("384K")
async def test_a_point_that_passes_while_a_slow_sensor_is_read_is_late_and_not_lost():
    """Intervals that are no multiples of each other come close to each other's points."""
    rig = Rig(Chip((1,), wait_ms=5000), Chip((2,)), every=60000, own=(0, 59000), samples=125)
    await rig.run()
    monos = [mono for values, _, mono in rig.spool.samples if values[1] is not None]
    assert [mono // 59000 for mono in monos] == list(range(1, len(monos) + 1))
    assert max([mono % 59000 for mono in monos]) <= 5000
    monos = [mono for values, _, mono in rig.spool.samples if values[0] is not None]
    assert monos == [60000 * (i + 1) for i in range(len(monos))]


@heap("384K")
async def test_a_slow_sensor_is_read_when_it_is_done_not_when_it_is_due_again():
    """Beside a fast one its conversion may not be waited for; a value that is an interval old is none."""
    rig = Rig(Chip((1,)), Chip((2,), wait_ms=2500), every=60000, own=(1000, 0), samples=125)
    await rig.run()
    assert [mono for values, _, mono in rig.spool.samples if values[1] is not None] == [62000, 122000]
    assert rig.column(0) == [1] * 125


LONG = "x" * 9000


async def test_a_text_as_long_as_a_sample_costs_itself_alone():
    rig = Rig(Chip((1,)), Chip((LONG,), ("é" * 400,), (LONG,), ("fine",)), samples=4)
    await rig.run()
    assert rig.column(0) == [1] * 4
    assert rig.column(1) == [None, "é" * 400, None, "fine"]
    assert rig.console.text().count("warning sampler: chip1") == 2


async def test_a_bus_that_is_stuck_is_freed_before_the_next_sensor():
    rig = Rig(Chip((1,)), Chip(OSError(110), (2,)), Chip((3,)), samples=2)
    board = Board(stuck=1)
    rig.sampler._sensors[1]._board = board
    await rig.run()
    assert rig.column(1) == [None, 2]
    assert board.recovered == ["i2c0"]  # once a failure, and never while all is well
    assert "chip1: 110; bus freed" in rig.console.text() or "ETIMEDOUT; bus freed" in rig.console.text()


async def test_a_bus_that_is_not_stuck_is_not_said_to_be():
    rig = Rig(Chip((1,)), Chip(OSError(5), (2,)), samples=2)
    await rig.run()
    assert "freed" not in rig.console.text()


@pytest.mark.parametrize("error", (OSError(5), ValueError("invalid pin")), ids=("OSError", "ValueError"))
async def test_a_recovery_that_fails_harms_nobody(error):
    rig = Rig(Chip((1,)), Chip(OSError(110), OSError(110), (2,)), Chip((3,)), samples=3)
    rig.sampler._sensors[1]._board = board = Board(stuck=error)
    await rig.run()
    assert rig.column(1) == [None, None, 2]
    assert rig.column(2) == [3] * 3
    assert len(board.recovered) == 2


async def test_who_is_in_trouble():
    rig = Rig(Chip((1,)), Chip(OSError(5), (2,), OSError(5)), samples=3)
    seen = []
    committed = rig.sampler._committed
    rig.sampler._committed = lambda urgent: (seen.append(rig.sampler.failing()), committed(urgent))
    assert not rig.sampler.failing()
    await rig.run()
    assert seen == [True, False, True, True]


async def test_tells_each_sample_at_debug_level():
    """With names and units, so that whoever starts to listen now can read it."""
    rig = Rig(Chip((1.5,), OSError(5)), Chip((7,)), samples=2, every=1000)
    await rig.run()
    told = [line for line in rig.console.lines if "sample:" in line]
    channels = "[('v0_0', '', 2), ('v1_0', '', 2)]"
    assert told == [
        f"0.000 debug sample: ({channels}, [1.5, 7])",
        f"0.000 debug sample: ({channels}, [None, 7])",
    ]
    rig = Rig(Chip((1,)), samples=2, every=1000)
    rig.console.lines.clear()
    rig.sampler._log.set_level("info")
    await rig.run()
    assert not rig.console.lines
