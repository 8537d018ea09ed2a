"""The clock: a count that never wraps, times of day stamped after the fact, and where they come from."""

import asyncio

from agentworld import Console, Enough, Pulse, World

import pytest
from agent import clock
from agent.log import Log
from harness import kiss, network, ntp, nxdomain
from session import sntp
from session.resolver import Resolver

BUILD_S = 1767225600  # 2026-01-01
NOW_MS = 1767322800123
DAY_MS = 86400000


class Made:
    """A clock in a world of its own, the RTC it writes and the console it uses."""

    def __init__(self, world=None):
        self.world = world or World()
        self.world.install(clock, sntp)
        self.rtc = []
        self.console = Console()
        self.clock = clock.Clock(BUILD_S, self.rtc.append, Log("debug", self.console))

    def set(self, unix_ms, state=clock.SYNCED):
        self.clock.set(unix_ms, self.world.ticks_ms(), state)


def test_before_anybody_told_the_time():
    made = Made()
    assert made.rtc == [BUILD_S]  # certificates have a chance to be valid
    assert (made.clock.state, made.clock.now(), made.clock.stamp(5)) == (clock.UNKNOWN, None, None)
    assert not made.clock.synced.is_set()


def test_the_count_never_wraps():
    made = Made()
    truth = 0
    for step in (0, 1, 499, 1, 1, 60000, DAY_MS, 6 * DAY_MS, 6 * DAY_MS, (1 << 29) - 1, 20, (1 << 29) - 1, 5):
        made.world.ms += step
        truth += step
        assert made.clock.mono() == truth
        assert made.clock.mono() == truth


def test_a_year_of_minutes_on_one_set():
    made = Made()
    made.set(NOW_MS)
    for _ in range(366 * 4):
        made.world.ms += DAY_MS // 4
        made.clock.mono()
    assert made.clock.now() == NOW_MS + 366 * DAY_MS


def test_samples_are_stamped_after_the_fact():
    made = Made()
    made.world.ms = 700  # beyond the wrap
    taken = made.clock.mono()
    made.world.ms += 3 * 3600000
    made.set(NOW_MS)
    assert made.clock.stamp(taken) == NOW_MS - 3 * 3600000
    assert made.clock.stamp(0) == NOW_MS - 3 * 3600000 - 700
    assert made.clock.now() == NOW_MS
    assert made.clock.synced.is_set()


@pytest.mark.parametrize("late", (0, 40, 5000))
def test_an_answer_that_is_used_late_still_counts_from_its_own_moment(late):
    made = Made(World(wrap_after_ms=20))
    at = made.world.ticks_ms()
    made.world.ms += late
    made.clock.set(NOW_MS, at, clock.SYNCED)
    assert made.clock.now() == NOW_MS + late


def test_the_rtc_gets_the_nearest_second():
    made = Made()
    for ms, second in ((499, 0), (500, 1), (999, 1), (1000, 1)):
        made.set(BUILD_S * 1000 + ms)
        assert made.rtc[-1] == BUILD_S + second


@pytest.mark.parametrize(
    "unix_ms",
    (0, -1, BUILD_S * 1000 - 1, (BUILD_S + 3155760000) * 1000, 1 << 62),
)
def test_impossible_times_change_nothing(unix_ms):
    made = Made()
    with pytest.raises(ValueError, match="absurd"):
        made.set(unix_ms)
    assert made.clock.state == clock.UNKNOWN
    assert made.rtc == [BUILD_S]
    made.set(NOW_MS)
    made.world.ms += 10
    with pytest.raises(ValueError):
        made.set(unix_ms)
    assert made.clock.now() == NOW_MS + 10


def test_the_build_time_itself_is_possible():
    made = Made()
    made.set(BUILD_S * 1000)
    assert made.clock.now() == BUILD_S * 1000


def test_a_correction_is_said_and_moves_no_count():
    made = Made()
    made.set(NOW_MS)
    assert made.console.lines == []
    made.world.ms += 1000
    made.set(NOW_MS + 1000 - DAY_MS)
    assert made.clock.mono() == 1000
    assert made.clock.now() == NOW_MS + 1000 - DAY_MS
    assert f"corrected by {-DAY_MS} ms" in made.console.text()


class Link:
    def __init__(self):
        self.up = asyncio.Event()
        self.up.set()


async def ask(made, pulse, net, servers, every_ms=3600000):
    """Let the clock's task run until the pulse has had enough."""
    with pytest.raises(Enough):
        await made.clock.run(pulse, Link(), Resolver(lambda: net.dns), servers, every_ms)


def after(sleeps):
    def at_sleep(_):
        if not sleeps:
            raise Enough
        sleeps.pop()

    return at_sleep


@network(ntp=ntp(unix_ms=NOW_MS))
async def test_asks_again_on_time(net):
    made = Made()
    pulse = Pulse(made.world, after([0, 0]))
    await ask(made, pulse, net, (net.ntp,))
    assert pulse.slept == [3600000] * 3
    assert net.time_queries() == 3
    # half a round trip is added; the world stands still while it asks
    assert made.clock.now() == NOW_MS + 3600000
    assert made.clock.state == clock.SYNCED
    # and it is never longer silent than it promised: names, then two seconds of waiting
    assert min(pulse.beats) >= 20000


@network(ntp=[kiss("DENY"), ntp(stratum=16, leap=3), ntp(forged=False, unix_ms=NOW_MS)])
async def test_retries_in_growing_steps_and_starts_over_after_a_success(net):
    made = Made()
    pulse = Pulse(made.world, after([0] * 2))
    await ask(made, pulse, net, (net.ntp,))
    assert pulse.slept == [1000, 2000, 3600000]
    assert made.clock.state == clock.SYNCED
    assert made.console.text().count("no time from " + net.ntp) == 2


@network(ntp=kiss())
async def test_retries_are_bounded(net):
    made = Made()
    pulse = Pulse(made.world, after([0] * 12))
    await ask(made, pulse, net, (net.ntp,))
    assert pulse.slept == [1000 << i for i in range(10)] + [900000] * 3
    assert made.clock.state == clock.UNKNOWN


@network(ntp=[kiss(), ntp(unix_ms=NOW_MS)])
async def test_the_second_server_serves(net):
    made = Made()
    pulse = Pulse(made.world, after([]))
    await ask(made, pulse, net, (net.ntp, "localhost:" + net.ntp.split(":")[1]))
    assert pulse.slept == [3600000]
    assert made.clock.now() - pulse.slept[0] == NOW_MS


@network(ntp=ntp(unix_ms=(BUILD_S - 60) * 1000))
async def test_a_time_before_the_build_is_refused(net):
    made = Made()
    await ask(made, Pulse(made.world, after([])), net, (net.ntp,))
    assert made.clock.state == clock.UNKNOWN
    assert "absurdly late" in made.console.text()


@network(dns=nxdomain())
async def test_a_server_without_a_name(net):
    made = Made()
    await ask(made, Pulse(made.world, after([])), net, ("time.example", "time.example:nonsense"))
    assert made.clock.state == clock.UNKNOWN
    assert "no such name: time.example" in made.console.text()
    assert net.time_queries() == 0


async def test_no_server_is_said():
    made = Made()
    pulse = Pulse(made.world, after([]))
    with pytest.raises(Enough):
        await made.clock.run(pulse, Link(), None, (), 1000)
    assert "no time server" in made.console.text()
    assert pulse.slept == [1000]


async def test_waits_for_the_link():
    made = Made()
    link = Link()
    link.up.clear()
    pulse = Pulse(made.world)
    with pytest.raises(Enough, match="for ever"):
        await made.clock.run(pulse, link, None, ("time.example",), 1000)
    assert pulse.waited == [-1]
