"""A node that sleeps: what it keeps, how it goes on, when it links, what its clock is worth; its wakes, one by one."""

import asyncio
import gc

from agentworld import Console, Enough, Pulse, World

import pytest
from agent import clock as clock_module
from agent import duty
from agent.clock import Clock
from agent.log import Log
from agent.notes import Notes
from agent.pipeline import Pipeline
from agent.sampler import Sampler
from spool import Spool

BUILD_S = 1767225600
NOON_MS = (BUILD_S + 43200) * 1000
CHANNELS = (("temperature", "°C", 2),)


@pytest.mark.parametrize(
    "every, minutes",
    ((300000, (5, 10, 20, 40, 60, 60)), (60000, (1, 2, 4, 8, 16, 32, 60)), (7200000, (120, 120)), (0, (0, 0))),
    ids=["five minutes", "a minute", "two hours", "each"],
)
def test_pauses_after_failures_double_up_to_an_hour(every, minutes):
    assert [duty.pause(failed, every) // 60000 for failed in range(1, len(minutes) + 1)] == list(minutes)
    assert duty.pause(10**6, every) == max(every, 3600000) or not every


@pytest.mark.parametrize(
    "rate, odd, wrong, slept, learnt",
    (
        (0, 0, 3000, 1000000, (3000, 0)),
        (0, 0, -1800, 600000, (-3000, 0)),
        (3000, 0, 0, 3600000, (3000, 0)),
        (3000, 0, 720, 3600000, (3100, 0)),
        (0, 0, 0, 3600000, (1, 0)),  # known to be right
        (2000, 7, 3000, 200000, (2000, 7)),  # too short a sleep says nothing
        (0, 0, 300000, 3600000, (0, 0)),  # beyond what a clock can be
        (3000, 0, 36000, 3600000, (3000, 10000)),  # a time server lies
        (3000, 10000, -36000, 3600000, (3000, -10000)),  # and the truth comes back
        (3000, -10000, 0, 3600000, (3000, 0)),
        (3000, 2000, 10800, 3600000, (5500, 0)),
        (3000, -4000, -10800, 3600000, (-500, 0)),
        (2000, 49000, 180000, 3600000, (0, 0)),
        (3000, -14400, -2610, 3600000, (3000, -725)),  # the truth, after two different lies
        (3000, 725, 51840, 3600000, (3000, 14400)),
    ),
    ids=[
        "slow", "fast", "right", "half of what is new", "exact", "short", "impossible", "a lie", "after a lie",
        "long after a lie", "said twice", "said otherwise the second time", "impossible twice", "after two lies",
        "much more the second time",
    ],
)  # fmt: skip
def test_what_a_clock_in_sleep_is_worth(rate, odd, wrong, slept, learnt):
    assert duty.learn(rate, odd, wrong, slept) == learnt


class Board:
    """One that forgets in sleep, unless `memory` is None. sleeps: for how long; it raises Slept, as such a board never
    returns, or moves its world on."""

    def __init__(self, world, memory=b""):
        self.world = world
        self.kept = memory
        self.sleeps = []
        self.rtc = 0
        self.led_on = None
        self.over = lambda: False

    def rtc_memory(self):
        return None if self.kept is None else self.memory

    def memory(self, data=b""):
        if len(data) > 2048:
            raise ValueError("buffer too long")
        self.kept = data or self.kept
        return self.kept

    def rtc_ms(self):
        return self.rtc + self.world.ms

    def set_rtc(self, unix_s):
        self.rtc = unix_s * 1000 - self.world.ms

    def sleep(self, ms, feed):
        self.sleeps.append(ms)
        if self.kept is not None:
            raise Slept
        if self.over():
            raise Enough
        feed()
        self.world.ms += ms

    def led(self, on):
        self.led_on = on

    def wifi_off(self):
        pass

    def wifi(self):
        return self

    def status(self, what):
        return -60


class Slept(BaseException):
    pass


def clocks(world, board, kept=None):
    log = Log("debug", Console())
    made = Clock(BUILD_S, bool if kept else board.set_rtc, log)
    if kept:
        duty.resume(made, board, kept)
    return made


KEPT = {"rtc": 0, "mono": 5000, "wake": 65000, "rate": 0, "clock": [2, NOON_MS, 5000, False], "slept": 0}


@pytest.mark.parametrize(
    "change",
    (
        lambda board: setattr(board, "kept", board.kept[:-1]),
        lambda board: setattr(board, "kept", b"0" + board.kept[1:]),
        lambda board: setattr(board, "kept", b""),
        lambda board: setattr(board, "kept", b"\xff\x00garbage"),
        lambda board: setattr(board.world, "ms", 2 * 60000 + 600001),  # it did not sleep for so long
        lambda board: setattr(board, "rtc", -60001),
    ),
    ids=["cut", "damaged", "empty", "garbage", "too late", "back"],
)
def test_what_was_not_kept_whole_is_not_taken_up(change):
    board = Board(World())
    board.kept = duty.pack(KEPT)
    board.world.ms = 60000
    assert duty.recall(board, "deep sleep") == KEPT
    assert duty.recall(board, "power on") is None and duty.recall(board, "watchdog") is None
    change(board)
    assert duty.recall(board, "deep sleep") is None


def test_a_board_that_keeps_its_ram_has_nothing_to_take_up():
    assert duty.recall(Board(World(), None), "deep sleep") is None


@pytest.mark.parametrize("rate", (0, 3000, -3000))
def test_the_clock_goes_on_through_sleep(rate):
    world = World(wrap_after_ms=3000)
    world.install(clock_module)
    board = Board(world)
    before = clocks(world, board)
    world.ms = 2000
    before.set(NOON_MS, world.ticks_ms(), clock_module.SYNCED)
    world.ms = 5000
    kept = {
        "rtc": board.rtc_ms(),
        "mono": before.mono(),
        "wake": 605000,
        "rate": rate,
        "clock": [before.state, before._offset, before._at, before._coarse],
        "slept": 7,
    }
    world.ms += 600000
    after = clocks(world, board, kept)
    assert after.mono() == 605000 + 600000 * rate // 1000000
    assert after.synced.is_set() and after.now() == NOON_MS + 603000 + 600000 * rate // 1000000
    assert kept["slept"] == 600007
    world.ms += 4000  # and goes on as ever, past the wrap of the ticks
    assert after.mono() == 609000 + 600000 * rate // 1000000
    # the real-time clock was left alone, and is set again when a server says so
    rtc = board.rtc
    after.set(after.now() + 5000, world.ticks_ms(), clock_module.SYNCED)
    assert board.rtc != rtc


def test_a_clock_that_knew_no_time_knows_none_after_sleep():
    world = World()
    world.install(clock_module)
    board = Board(world)
    kept = dict(KEPT, clock=[0, 0, 0, False], rtc=board.rtc_ms())
    world.ms += 60000
    after = clocks(world, board, kept)
    assert after.now() is None and not after.synced.is_set() and after.mono() == 65000


# ---- wakes


class Sensor:
    def __init__(self, life):
        self.life = life

    name = "thermometer"
    channels = CHANNELS
    every_ms = 0
    problem = ""
    ready = None

    def start(self):
        return 0

    def read(self):
        self.life.taken.append(self.life.node.clock.now())
        return (self.life.value,)

    def recover(self):
        return False


class House:
    """In the place of the supervisor: runs what is started at once, up to its first wait."""

    def __init__(self):
        self.restarts = 0
        self.begun = []
        self.ended = []
        self.fed = 0

    def start(self, name, work):
        self.begun.append(name)
        if name == "uplink":
            asyncio.create_task(work(Pulse()))

    def stop(self, name):
        self.ended.append(name)

    def feed(self):
        self.fed += 1

    def rested(self):
        pass

    def short_of_memory(self):
        pass


class Uplink:
    def __init__(self, life, node):
        self.life = life
        self.node = node
        self.flush = asyncio.Event()
        self.failures = {}

    async def run(self, pulse):
        pass

    def begin(self, pulse):
        pass

    def until_due(self):
        every = self.node._every_ms
        return every - (self.node.clock.now() - self.life.offset) % every

    async def turn(self, pulse, longest):
        self.life.turns.append(len(self.life.taken))
        if self.life.works and self.node.spool.queued:
            self.node.spool.ack(self.node.spool.next_sequence - 1)


class Link:
    rounds = 0

    def __init__(self):
        self.up = asyncio.Event()
        self.up.set()

    async def run(self, pulse):
        pass


class Session:
    handshakes = 0

    def __init__(self, life):
        self.life = life

    def busy(self):
        return False

    def close(self):
        self.life.closed += 1


CONFIG = {
    "upload.samples": 0,
    "upload.every": 300000,
    "sample.every": 60000,
    "watchdog.on": True,
    "led.on": False,
    "clock.every": 21600000,
    "clock.http": "",
    "run.samples": 0,
    "run.time": 0,
    "duty.awake": 60000,
    "duty.stay": 0,
    "sensors": [{}],
    "steps": {},
    "commit": 1,
}


class Life:
    """A node from wake to wake. deep: its board forgets in sleep, and its program starts anew."""

    def __init__(self, tmp, deep, **config):
        self.tmp = tmp
        self.world = World()
        self.world.install(clock_module)
        self.board = Board(self.world, b"" if deep else None)
        self.config = dict(CONFIG)
        self.config.update(config)
        self.console = Console()
        self.log = Log("debug", self.console)
        self.cause = "power on"
        self.crashes = 0
        self.node = None
        self.taken = []  # unix ms of each sample
        self.turns = []  # numbers of the samples after which there was a turn
        self.value = 21.5
        self.works = True
        self.offset = self.closed = 0

    def start(self):
        """The interpreter does."""
        gc.collect()
        kept = duty.recall(self.board, self.cause)
        clock = Clock(BUILD_S, bool if kept else self.board.set_rtc, self.log)
        if kept:
            duty.resume(clock, self.board, kept)
        else:
            clock.set(NOON_MS, self.world.ticks_ms(), clock_module.SYNCED)
        rows = [("temperature", "°C", 2, self.config["steps"])]
        pipeline = Pipeline(rows, [], self.log)
        spool = Spool(self.tmp + "/queue", tuple(pipeline.channels), commit_samples=self.config["commit"])
        cause = kept["cause"] if kept else self.cause
        notes, crashes = Notes(self.tmp + "/notes"), self.crashes
        node = duty.DutyNode(self.config, self.board, self.log, clock, spool, cause, crashes, notes, None, pipeline)
        every = self.config["sample.every"]
        node.sampler = Sampler([Sensor(self)], spool, clock, every, 0, 0, self.log, node.committed, pipeline)
        if kept:
            duty.recover(node, kept)
        self.link = Link()
        node.attach(self.link, None, Uplink(self, node), Session(self))
        if node._asked is None:
            node._asked = clock.mono()
        self.house = node.house = House()
        node.report = lambda: None
        self.cause = "deep sleep"
        return node

    async def live(self, samples):
        """Until there are so many samples, and the wake of the last is over."""
        self.board.over = lambda: len(self.taken) >= samples
        while len(self.taken) < samples:
            self.node = self.node or self.start()
            try:
                await self.node._live(Pulse(self.world))
            except Slept:
                self.world.ms += self.board.sleeps[-1]
                self.node = None
            except Enough:
                pass


both = pytest.mark.parametrize("deep", (True, False), ids=["deep", "light"])


@both
@pytest.mark.parametrize("offset", (0, 1, 17000, 29990, 30010, 45000, 59999, 137000))
async def test_every_fifth_wake_links(tmp, deep, offset):
    life = Life(tmp, deep)
    life.offset = offset
    await life.live(21)
    assert [now % 60000 < 5 for now in life.taken] == [True] * 21
    assert [b - a for a, b in zip(life.taken, life.taken[1:])] == [60000] * 20
    assert [b - a for a, b in zip(life.turns, life.turns[1:])][1:] == [5] * (len(life.turns) - 2)
    assert len(life.turns) in (4, 5, 6)


@both
async def test_a_server_that_is_away_is_tried_less_and_less_often(tmp, deep):
    life = Life(tmp, deep)
    life.works = False
    await life.live(150)
    assert [b - a for a, b in zip(life.turns, life.turns[1:])] == [5, 10, 20, 40, 60]
    life.works = True
    await life.live(200)
    assert life.turns[-1] - life.turns[-2] in (4, 5)  # on the grid of uploads again


@both
async def test_an_alarm_links_at_once_and_one_that_lasts_does_not(tmp, deep):
    life = Life(tmp, deep, **{"upload.every": 86400000, "steps": {"alarm": [30, None, 1]}})
    await life.live(3)
    assert life.turns == [1]
    life.value = 35.0
    await life.live(8)
    assert life.turns == [1, 4]
    life.value = 20.0
    await life.live(10)
    assert life.turns == [1, 4, 9]


@both
async def test_an_alarm_that_cannot_be_told_is_tried_soon_again(tmp, deep):
    life = Life(tmp, deep, **{"upload.every": 86400000, "steps": {"alarm": [30, None, 1]}})
    await life.live(2)
    life.value, life.works = 35.0, False
    await life.live(20)
    assert life.turns == [1, 3, 4, 6, 10, 18]


@both
async def test_enough_samples_link(tmp, deep):
    life = Life(tmp, deep, **{"upload.every": 86400000, "upload.samples": 4})
    await life.live(13)
    assert life.turns == [1, 5, 9, 13]


@both
async def test_filters_go_on(tmp, deep):
    life = Life(tmp, deep, steps={"filters": [["average", 3]]})
    life.works = False
    for index in range(5):
        life.value = float(index)
        await life.live(index + 1)
    spool = Spool(tmp + "/queue", CHANNELS)
    assert [sample.values[0] for sample in spool.peek()] == [0.0, 0.5, 1.0, 2.0, 3.0]


@both
async def test_ten_good_wakes_make_a_crash_forgotten(tmp, deep):
    from agent import crash

    forgiven = []
    real, crash.forgive = crash.forgive, lambda: forgiven.append(len(life.taken))
    try:
        life = Life(tmp, deep)
        life.crashes = 3
        await life.live(9)
        assert forgiven == []
        await life.live(12)
        assert forgiven[0] == 10
    finally:
        crash.forgive = real


@both
async def test_what_crashes_at_each_wake_is_told_once_a_day(tmp, deep):
    life = Life(tmp, deep, **{"sample.every": 3600000, "upload.every": 3600000})
    told = []
    real = duty.Node.crashed
    duty.Node.crashed = lambda self, what, error=None: told.append((what, len(life.taken)))
    try:
        for samples in range(1, 28):
            life.node = life.node or life.start()
            life.node.crashed("sampler", ValueError("broken"))
            await life.live(samples)
    finally:
        duty.Node.crashed = real
    # deep sleep ends before the next start, light sleep after what follows
    assert told == [("sampler", 0), ("sampler", 23 if deep else 24)]


@both
async def test_hold_keeps_it_awake(tmp, deep):
    life = Life(tmp, deep)
    await life.live(2)
    life.node = life.node or life.start()
    life.board.sleeps.clear()
    life.node.hold(600000)
    began = life.world.ms
    stayed = []

    def at_sleep(ms):
        stayed.append(ms)
        if life.world.ms - began > 600000 or life.board.sleeps:
            raise Enough

    try:
        await life.node._live(Pulse(life.world, at_sleep))
    except (Enough, Slept):
        pass
    assert life.world.ms - began >= 600000
    assert {"link", "clock", "sampler", "uplink", "state"} <= set(life.node.house.begun)
    assert life.node.house.ended[-4:] == ["uplink", "clock", "link", "trial"]


async def test_more_than_the_memory_holds_costs_what_filters_had_in_mind(tmp):
    life = Life(tmp, True, steps={"filters": [["average", 99]]})
    life.value = 20.123456
    await life.live(1)
    life.node = life.node or life.start()
    life.node._pipeline._kept[0].extend([20.123456789] * 300)
    await life.live(2)
    kept = duty.recall(life.board, "deep sleep")
    assert kept["steps"] is None
    await life.live(4)
    assert [b - a for a, b in zip(life.taken, life.taken[1:])] == [60000] * 3


async def test_a_start_that_takes_its_time_begins_sooner(tmp):
    """The board needs 900 ms after each sleep: sampled on the point all the same, from the second wake on."""
    life = Life(tmp, True)
    real = life.start

    def slow():
        life.world.ms += 900
        return real()

    life.start = slow
    await life.live(8)
    assert [now % 60000 < 50 for now in life.taken[2:]] == [True] * 6


async def test_settings_that_are_lost_in_a_sleep_stop_no_sampling(tmp):
    life = Life(tmp, True)
    await life.live(3)
    life.config["sample.every"] = 120000
    await life.live(6)
    assert [now % 120000 < 50 for now in life.taken[3:]] == [True] * 3
    assert life.taken[5] - life.taken[4] == 120000


async def test_a_slow_clock_is_told_to_sleep_less(tmp):
    life = Life(tmp, True)
    Notes(tmp + "/notes").put("sleep_rate", 20000)  # 2 % slow
    await life.live(3)
    life.board.sleeps.clear()
    life.node = life.start()
    with pytest.raises(Slept):
        await life.node._rest(Pulse(life.world), life.node.clock.mono() + 50000)
    assert 48990 <= life.board.sleeps[0] <= 49010


async def test_what_waits_for_a_commit_is_written_before_a_sleep_that_forgets(tmp):
    life = Life(tmp, True, commit=10)
    life.works = False
    await life.live(4)
    assert [sample.sequence for sample in Spool(tmp + "/queue", CHANNELS).peek()] == [1, 2, 3, 4]


async def test_samples_without_a_time_belong_to_the_start_before_the_sleep(tmp):
    life = Life(tmp, True)
    life.works = False
    await life.live(2)
    boots = []
    for samples in (3, 4):
        life.node = life.node or life.start()
        boots.append(life.node.spool.boot)
        await life.live(samples)
    assert boots[0] == boots[1] == 1


@both
async def test_the_network_is_let_go_of(tmp, deep):
    life = Life(tmp, deep)
    await life.live(1)
    assert life.house.ended == ["uplink", "clock", "link", "trial"] and life.turns == [1]
    assert not life.link.up.is_set() and life.closed == 1


class OnTrial:
    trial = True
    _due = 0

    async def watch(self, pulse):
        pass


@both
async def test_a_wake_that_links_looks_after_what_is_on_trial(tmp, deep):
    life = Life(tmp, deep)
    real = life.start

    def start():
        node = real()
        node.remote = OnTrial()
        return node

    life.start = start
    await life.live(1)
    assert "trial" in life.house.begun
