"""The clock: a count that never wraps, times of day stamped after the fact, where they come from, how wrong a crystal
is, and what servers say that nobody should believe."""

import asyncio

from agentworld import Console, Enough, Pulse, World

import pytest
from agent import clock, timing
from agent.log import Log
from agent.notes import Notes
from harness import kiss, network, ntp, nxdomain
from session.resolver import Resolver

BUILD_S = 1767225600  # 2026-01-01
NOW_MS = 1767322800123
DAY_MS = 86400000


class Made:
    """A clock in a world of its own, the RTC it writes and the console it uses."""

    def __init__(self, world=None, notes=None):
        self.world = world or World()
        self.world.install(clock)
        self.rtc = []
        self.console = Console()
        self.clock = clock.Clock(BUILD_S, self.rtc.append, Log("debug", self.console), notes)
        self.steps = []
        self.clock.stepped = self.steps.append

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
    made.set(NOW_MS + 1000 - 700)
    assert made.clock.mono() == 1000
    assert made.clock.now() == NOW_MS + 1000 - 700
    assert "info clock: corrected by -700 ms" in made.console.text()
    assert made.steps == []
    made.set(NOW_MS + 1000 + 40000)
    assert "warning clock: stepped by 40700 ms" in made.console.text()
    assert made.steps == ["clock stepped by 40700 ms"]


@pytest.mark.parametrize("off", (DAY_MS, -DAY_MS, 61000, -61000, 20 * 365 * DAY_MS))
def test_what_is_far_off_has_to_be_said_twice(off):
    made = Made()
    made.set(NOW_MS)
    with pytest.raises(ValueError, match="said twice" if off > -DAY_MS * 2 else "absurd"):
        made.set(NOW_MS + off)
    assert made.clock.now() == NOW_MS
    assert len(made.rtc) == 2
    with pytest.raises(ValueError, match="said twice"):
        made.set(NOW_MS - off if off < DAY_MS * 2 else NOW_MS + off // 2)  # that is no second time
    made.set(NOW_MS + 100)
    assert made.clock.now() == NOW_MS + 100
    with pytest.raises(ValueError):
        made.set(NOW_MS + off)  # what was said before is forgotten
    made.world.ms += 2000
    made.set(NOW_MS + off + 2500)
    assert made.clock.now() == NOW_MS + off + 2500
    assert len(made.steps) == 1


# how wrong the crystal is


def lived(made, ppm, hours, noise=lambda i: 0, every_h=6):
    """Let the crystal be so many ppm slow, and the clock be set every six hours."""
    start = made.world.ms
    for i in range(hours // every_h + 1):
        made.world.ms = start + i * every_h * 3600000
        elapsed = made.world.ms - start
        made.set(NOW_MS + elapsed + elapsed * ppm // 1000000 + noise(i))
    return NOW_MS + elapsed + elapsed * ppm // 1000000


@pytest.mark.parametrize("ppm", (0, 1, -1, 37, -50, 150, -199))
def test_the_crystal_is_measured(ppm):
    made = Made()
    truth = lived(made, ppm, 24)
    assert made.clock.drift == pytest.approx(ppm, abs=0.2)
    # a week without anybody who knows
    made.world.ms += 3 * DAY_MS
    made.clock.mono()
    made.world.ms += 4 * DAY_MS
    truth += 7 * DAY_MS + 7 * DAY_MS * ppm // 1000000
    assert abs(made.clock.now() - truth) < 150
    # and what was taken before is stamped by it as well
    assert abs(made.clock.stamp(made.clock.mono() - 3600000) - (truth - 3600000 - 3600000 * ppm // 1000000)) < 150


def test_noise_of_the_network_is_no_drift():
    made = Made()
    lived(made, 20, 240, lambda i: (i * 7919) % 100 - 50)
    assert made.clock.drift == pytest.approx(20, abs=6)


@pytest.mark.parametrize("ppm", (201, -300, 20000))
def test_no_crystal_is_that_bad(ppm):
    made = Made()
    try:
        lived(made, ppm, 6)
    except ValueError:
        pass  # more than a minute
    assert made.clock.drift is None


def test_a_jump_is_no_drift():
    made = Made()
    lived(made, 10, 24)
    drift = made.clock.drift
    for _ in range(2):
        try:
            made.set(made.clock.now() - DAY_MS)
        except ValueError:
            pass
    assert made.clock.drift == drift
    made.world.ms += 6 * 3600000
    made.set(made.clock.now())
    assert made.clock.drift == pytest.approx(drift, abs=0.3)


def test_a_small_jump_after_a_long_time_is_no_drift():
    made = Made()
    made.set(NOW_MS)
    made.world.ms += 4 * DAY_MS
    later = NOW_MS + 4 * DAY_MS + 61000  # 176 ppm, if it were
    for _ in range(2):
        try:
            made.set(later)
        except ValueError:
            pass
    assert made.clock.now() == later
    assert made.clock.drift is None


@pytest.mark.parametrize("lie", (-4900, 4900, 2000))
def test_a_lie_of_a_few_seconds_is_no_drift(lie):
    made = Made()
    truth = lived(made, -29, 24)
    drift = made.clock.drift
    for wrong in (0, lie, 0, 0, lie, 0):
        made.world.ms += 6 * 3600000
        truth += 6 * 3600000 - 6 * 3600 * 29 // 1000
        made.set(truth + wrong)
        assert made.clock.drift == pytest.approx(drift, abs=0.3)


def test_what_was_measured_wrong_is_measured_again():
    made = Made()
    truth = lived(made, 150, 6)
    for drift in (150, -29):
        made.world.ms += 6 * 3600000
        truth += 6 * 3600000 - 6 * 3600 * 29 // 1000
        made.set(truth)
        assert made.clock.drift == pytest.approx(drift, abs=0.3)


def test_the_date_of_an_answer_is_too_coarse_to_measure_by():
    made = Made()
    for i in range(5):
        made.world.ms += 6 * 3600000
        made.set(NOW_MS + made.world.ms + (i % 2) * 900, clock.Clock.BY_DATE)
    assert made.clock.drift is None
    assert made.clock.state == clock.SYNCED


def test_the_date_of_a_slow_answer_does_not_replace_what_a_time_server_said():
    made = Made()
    made.set(NOW_MS)
    made.world.ms += 3600000
    now = made.clock.now()
    made.set(now - 2184, clock.Clock.BY_DATE)
    assert made.clock.now() == now
    made.set(now - 7000, clock.Clock.BY_DATE)  # that far off no server's time may be after an hour
    assert made.clock.now() == now - 7000
    made.set(now - 3000, clock.Clock.BY_DATE)  # of two Dates the newer counts
    assert made.clock.now() == now - 3000


def test_asked_every_minute_it_measures_over_hours():
    made = Made()
    lived(made, 40, 8, lambda i: 30 if i % 2 else -30, every_h=1)
    assert made.clock.drift == pytest.approx(40, abs=8)


def test_asked_every_five_minutes_noise_is_no_drift():
    made = Made()
    for i in range(12 * 12):
        made.world.ms = i * 300000
        made.set(NOW_MS + made.world.ms + made.world.ms * 40 // 1000000 + (40 if i % 2 else -40))
    assert made.clock.drift == pytest.approx(40, abs=12)


def test_what_was_measured_is_kept_across_restarts(tmp):
    path = tmp + "/notes.json"
    made = Made(notes=Notes(path))
    lived(made, 42, 24)
    again = Made(notes=Notes(path))
    assert again.clock.drift == pytest.approx(42, abs=0.3)
    again.set(NOW_MS)
    again.world.ms += DAY_MS
    assert again.clock.now() == pytest.approx(NOW_MS + DAY_MS + DAY_MS * 42 // 1000000, abs=30)


def test_the_flash_is_not_written_for_nothing(tmp):
    written = []

    class Counting(Notes):
        def put(self, name, fact):
            written.append(fact)
            Notes.put(self, name, fact)

    made = Made(notes=Counting(tmp + "/notes.json"))
    lived(made, 20, 240, lambda i: (i % 3) * 10)
    assert len(written) == 1


@pytest.mark.parametrize("note", ("5", 2001, -9999, None, [1], True, 1.5))
def test_a_note_that_is_nonsense(tmp, note):
    notes = Notes(tmp + "/notes.json")
    notes.put("drift", note)
    made = Made(notes=Notes(tmp + "/notes.json"))
    assert not made.clock.drift
    lived(made, 30, 24)
    assert made.clock.drift == pytest.approx(30, abs=0.3)


def test_what_a_flipped_bit_makes_of_notes_is_worth_nothing(tmp):
    path = tmp + "/notes.json"
    notes = Notes(path)
    notes.put("aside", [[12, 0, "refused"]])
    notes.put("drift", 23)
    with open(path, "rb") as file:
        raw = bytearray(file.read())
    known = 0
    for bit in range(8 * len(raw)):
        raw[bit // 8] ^= 1 << bit % 8
        with open(path, "wb") as file:
            file.write(raw)
        raw[bit // 8] ^= 1 << bit % 8
        notes = Notes(path)
        assert (notes.get("drift"), notes.get("aside")) in ((None, None), (23, [[12, 0, "refused"]]))
        known += notes.get("drift") is not None
    assert known < 20
    with open(path, "w") as file:
        file.write('{"drift": 41}')  # as earlier firmware left it
    assert Notes(path).get("drift") == 41


# an estimate


def test_an_estimate_serves_the_rtc_alone():
    made = Made()
    timing.estimate(made.clock, NOW_MS, made.world.ticks_ms())
    assert made.clock.state == clock.ESTIMATED
    assert (made.clock.now(), made.clock.stamp(3), made.clock.synced.is_set()) == (None, None, False)
    assert made.rtc == [BUILD_S, NOW_MS // 1000]
    made.world.ms += 60000
    timing.disown(made.clock)
    assert (made.clock.state, made.rtc[-1]) == (clock.UNKNOWN, BUILD_S + 60)
    timing.estimate(made.clock, NOW_MS, made.world.ticks_ms())
    made.set(NOW_MS - DAY_MS)  # an estimate is not known: what is known now may be far from it
    assert (made.clock.state, made.clock.now(), made.steps) == (clock.SYNCED, NOW_MS - DAY_MS, [])


def test_who_knows_the_time_takes_no_estimate():
    made = Made()
    made.set(NOW_MS)
    before = list(made.rtc)
    timing.estimate(made.clock, NOW_MS + DAY_MS, made.world.ticks_ms())
    timing.disown(made.clock)
    assert (made.clock.state, made.clock.now(), made.rtc) == (clock.SYNCED, NOW_MS, before)


def test_an_impossible_estimate():
    made = Made()
    for impossible in ((BUILD_S - 1) * 1000, 0, (BUILD_S + 3155760000) * 1000):
        with pytest.raises(ValueError, match="absurd"):
            timing.estimate(made.clock, impossible, 0)
    assert (made.clock.state, made.rtc) == (clock.UNKNOWN, [BUILD_S])


# where it comes from


class Link:
    def __init__(self):
        self.up = asyncio.Event()
        self.up.set()


async def ask(made, pulse, net, servers, every_ms=3600000, otherwise=None):
    """Let the clock's task run until the pulse has had enough."""
    with pytest.raises(Enough):
        await made.clock.run(pulse, Link(), Resolver(lambda: net.dns), servers, every_ms, otherwise)


def after(sleeps):
    def at_sleep(_):
        if not sleeps:
            raise Enough
        sleeps.pop()

    return at_sleep


@network(ntp=[ntp(unix_ms=NOW_MS), ntp(unix_ms=NOW_MS + 3600000), ntp(unix_ms=NOW_MS + 7200000)])
async def test_asks_again_on_time(net):
    made = Made()
    pulse = Pulse(made.world, after([0, 0]))
    await ask(made, pulse, net, (net.ntp,))
    assert pulse.slept == [3600000] * 3
    assert net.time_queries() == 3
    # half a round trip is added; the world stands still while it asks
    assert abs(made.clock.now() - (NOW_MS + 3 * 3600000)) < 100
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


@network(ntp=kiss())
async def test_another_way_when_no_server_answers(net):
    made = Made()
    pulse = Pulse(made.world, after([0] * 3))
    asked = []

    async def otherwise(pulse):
        asked.append(made.world.ms)
        return len(asked) == 3

    await ask(made, pulse, net, (net.ntp,), otherwise=otherwise)
    assert pulse.slept == [1000, 2000, 3600000, 1000]


@network(ntp=[ntp(unix_ms=NOW_MS), ntp(unix_ms=NOW_MS + DAY_MS), ntp(unix_ms=NOW_MS + 3601000)])
async def test_one_server_that_is_wrong_once(net):
    made = Made()
    pulse = Pulse(made.world, after([0] * 2))
    await ask(made, pulse, net, (net.ntp,))
    assert pulse.slept[:2] == [3600000, 1000]
    assert made.steps == []
    assert "s off what is known" in made.console.text()


@network(ntp=[ntp(unix_ms=NOW_MS), ntp(unix_ms=NOW_MS - DAY_MS)])
async def test_a_day_back_is_believed_when_two_say_so(net):
    made = Made()
    pulse = Pulse(made.world, after([0]))
    await ask(made, pulse, net, (net.ntp, "localhost:" + net.ntp.split(":")[1]))
    assert pulse.slept == [3600000] * 2
    assert made.clock.now() - 3600000 == NOW_MS - DAY_MS
    assert len(made.steps) == 1
