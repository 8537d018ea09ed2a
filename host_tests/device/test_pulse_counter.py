"""PulseCounter: every pulse once, however it bounces; rates; resets; dry weeks; noise; on a simulated contact."""

import drivers
import pytest
from drivers import SensorError, pulse_counter
from tagonode.virtual.chips.rain_gauge import RainGauge
from tagonode.virtual.environment import Environment
from tagonode.virtual.wires import Contact, DirectPin
from wirefaults import WireClock


class PlainClock(WireClock):
    """It does not keep when it was asked: it is asked thousands of times."""

    def ticks_ms(self):
        return (self._ticks_at_0 + self.us // 1000) % (1 << 30)


class Bench:
    """A rain gauge, a contact, a pin, and a clock all of them run on; the counter is made by count()."""

    def __init__(self, **gauge):
        self.clock = PlainClock()
        for module in (drivers, pulse_counter):
            module.time = self.clock
        self.environment = Environment(rain=0.0)
        self.gauge = RainGauge(self.environment, self.clock.seconds, **gauge)
        self.contact = Contact(self.gauge, clock=self.clock.seconds)
        self.pin = DirectPin(self.contact, self.clock)

    def count(self, **options):
        self.counter = pulse_counter.PulseCounter(self.pin, **options)
        return self.counter

    def read(self):
        self.counter.start()
        return self.counter.read()

    def wait(self, seconds):
        self.clock.elapse(seconds)

    def tip(self, times=1, every_s=1.0):
        for _ in range(times):
            self.gauge.tip()
            self.wait(every_s)
            self.pin.serve()


class ByHand:
    """A contact's part whose edges a test names: {ms: level} from now on."""

    def __init__(self, clock):
        self._clock = clock
        self._edges = []

    def power_on(self):
        pass

    def play(self, *edges):
        """Each (ms from now, level); time passes with them."""
        now = self._clock.seconds()
        self._edges = [(now + ms / 1000, level) for ms, level in edges]
        self._clock.elapse(edges[-1][0] / 1000)

    def edges(self):
        edges, self._edges = self._edges, []
        return edges


def by_hand(**options):
    bench = Bench()
    bench.gauge = ByHand(bench.clock)
    bench.contact.parts[0] = bench.gauge
    bench.count(**options)
    bench.read()
    bench.wait(10)
    return bench


def test_channels():
    assert pulse_counter.PulseCounter.CHANNELS == (("count", "pulses"), ("rate", "pulses/min"))
    rain = pulse_counter.PulseCounter(None, factor=0.2794, unit="mm", per_s=3600)
    assert rain.CHANNELS == (("count", "mm"), ("rate", "mm/h"))
    assert pulse_counter.PulseCounter(None, per_s=1).CHANNELS[1] == ("rate", "pulses/s")
    assert pulse_counter.PulseCounter(None, per_s=86400).CHANNELS[1] == ("rate", "pulses/86400 s")


def test_counts_and_rates():
    bench = Bench()
    bench.count()
    assert bench.read() == (0, None)
    bench.tip(10, every_s=6)
    assert bench.read() == (10, pytest.approx(10))
    bench.wait(60)
    assert bench.read() == (10, 0)
    bench.tip(4, every_s=30)
    assert bench.read() == (14, pytest.approx(2))


def test_factor():
    """450 pulses a litre, in litres an hour; 1 Wh a pulse is as many watts as Wh an hour."""
    for factor, per_s, count, rate in ((1 / 450, 3600, 0.1, 1.2), (1, 3600, 45, 540), (0.5, 1, 22.5, 0.075)):
        bench = Bench(closed_ms=20.0)
        bench.count(factor=factor, per_s=per_s)
        bench.read()
        bench.tip(45, every_s=300 / 45)
        assert bench.read() == pytest.approx((count, rate))


@pytest.mark.parametrize("ms, rate", ((0, None), (999, None), (1000, 0), (60000, 0)))
def test_a_counter_that_has_just_been_started_knows_no_rate(ms, rate):
    """0 would be a reading: a mill that stands still at each start of its node."""
    bench = Bench()
    bench.count()
    bench.counter.start()
    bench.wait(ms / 1000)
    assert bench.counter.read() == (0, rate)
    bench.wait(0.5)
    assert bench.read() == (0, 0)


def test_nor_does_one_that_was_started_anew():
    bench = Bench()
    bench.count()
    bench.read()
    bench.tip(3, every_s=20)
    assert bench.read() == (3, pytest.approx(3))
    bench.counter._ready = False  # as after a failure
    assert bench.read() == (3, None)


def test_first_reading_has_a_rate_of_one_second_at_least():
    bench = Bench()
    bench.count()
    bench.counter.start()
    bench.tip(1, every_s=0.01)
    assert bench.counter.read() == (1, 60)


@pytest.mark.parametrize("bounce_ms", (0.0, 0.5, 2.0, 4.0))
def test_bounces_count_once(bounce_ms):
    for seed in range(1, 8):
        bench = Bench(bounce_ms=bounce_ms, seed=seed)
        bench.count()
        bench.read()
        bench.tip(40, every_s=0.4)
        assert bench.read()[0] == 40 == bench.gauge.tips


def test_a_contact_that_bounces_for_longer_wants_a_longer_debounce():
    bench = Bench(bounce_ms=40.0, closed_ms=120.0, seed=3)
    bench.count(debounce_ms=60)
    bench.read()
    bench.tip(40, every_s=0.5)
    assert bench.read()[0] == 40


def test_rain():
    """A shower of 12 mm/h, an hour: as many tips as it fills, and millimetres by the factor."""
    bench = Bench()
    bench.count(factor=0.2794, unit="mm", per_s=3600)
    bench.read()
    bench.environment.set(rain=12.0)
    for _ in range(60):
        bench.wait(60)
        millimetres, rate = bench.read()
    assert bench.gauge.tips == 42  # 12 ÷ 0.2794 = 42.9
    assert millimetres == pytest.approx(42 * 0.2794)
    assert rate in (0.0, pytest.approx(0.2794 * 60))


def test_tips_do_not_depend_on_when_somebody_looks():
    counts = []
    for step in (1, 7, 60, 3600):
        bench = Bench()
        bench.count()
        bench.read()
        bench.environment.set(rain=7.3)
        for _ in range(7200 // step):
            bench.wait(step)
            bench.read()
        counts.append(bench.gauge.tips)
    assert max(counts) - min(counts) <= 1 and counts[0] == 52


def test_no_bounce_no_debounce():
    """A flow meter's open collector at 400 Hz."""
    bench = by_hand(debounce_ms=0)
    bench.gauge.play(*[(1.25 * i, i % 2) for i in range(400)])
    assert bench.read()[0] == 200


def test_noise_shorter_than_the_interrupt_is_no_pulse():
    bench = by_hand()
    bench.pin.serve()
    for _ in range(20):
        bench.counter._edge(bench.pin)  # the line is high again when the handler looks
    assert bench.read()[0] == 0


def test_closed_when_the_counter_starts():
    bench = Bench()
    bench.contact.now = 0
    bench.count()
    assert bench.read()[0] == 0
    bench.contact.now = 1
    bench.wait(5)
    assert bench.read()[0] == 0
    bench.tip()
    assert bench.read()[0] == 1


def test_a_lost_interrupt_is_made_up_for():
    bench = by_hand()
    handler, bench.pin.handler = bench.pin.handler, None
    bench.gauge.play((10, 0), (40, 0))
    bench.pin.serve()
    bench.pin.handler = handler
    assert bench.read()[0] == 1  # closed still: seen by looking
    bench.gauge.play((10, 1), (60, 0), (100, 1), (200, 1))
    assert bench.read()[0] == 2


def test_dry_weeks():
    """Ticks wrap between two pulses, at whatever moment."""
    for days in (3, 6.2, 6.3, 9, 12.4, 12.5, 25):
        bench = Bench()
        bench.count()
        bench.read()
        for _ in range(3):
            bench.tip()
            bench.read()
            for _ in range(int(days * 3)):
                bench.wait(8 * 3600)
                bench.read()
        assert bench.gauge.tips == 3
        assert bench.counter.total == 3


def test_counts_survive_a_reset():
    bench = Bench()
    bench.count()
    bench.read()
    bench.tip(5)
    assert bench.read()[0] == 5
    bench.count(total=bench.counter.total)  # another life of the same program
    count, rate = bench.read()
    assert (count, rate) == (5, None)
    bench.tip(2, every_s=30)
    assert bench.read() == (7, pytest.approx(2))


@pytest.mark.parametrize("level", (0, 1))
def test_stuck_line(level):
    bench = Bench()
    bench.count()
    bench.read()
    bench.tip(3)
    assert bench.read()[0] == 3
    bench.contact.stuck = level
    for _ in range(5):
        bench.tip(2)
        count, rate = bench.read()
    assert count == 3 + (level == 0) and rate == 0
    bench.contact.heal()
    bench.wait(1)
    bench.read()
    bench.tip(3)
    assert bench.read()[0] == count + 3


def test_unplugged_and_back():
    bench = Bench()
    bench.count()
    bench.read()
    bench.tip(3)
    bench.read()
    bench.contact.unplug()
    bench.tip(3)
    assert bench.read()[0] == 3
    bench.contact.plug()
    bench.tip(3)
    assert bench.read()[0] == 6


def test_ports_with_and_without_hard_interrupts():
    class SoftOnly(DirectPin):
        def irq(self, handler=None, trigger=12, *, wake=None):
            super().irq(handler, trigger)

    for kind in (DirectPin, SoftOnly):
        bench = Bench()
        bench.pin = kind(bench.contact, bench.clock)
        bench.count()
        bench.read()
        bench.tip(3)
        assert bench.read()[0] == 3


def test_a_pin_without_interrupts():
    class NoInterrupts(DirectPin):
        broken = True

        def irq(self, handler=None, trigger=12, *, hard=False):
            if self.broken:
                raise OSError(22)
            super().irq(handler, trigger)

    bench = Bench()
    bench.pin = NoInterrupts(bench.contact, bench.clock)
    bench.count()
    for _ in range(2):
        with pytest.raises(SensorError, match="PulseCounter: no answer .*interrupts"):
            bench.read()
    bench.pin.broken = False
    bench.read()
    bench.tip(2)
    assert bench.read()[0] == 2


def test_the_interrupt_handler_allocates_nothing():
    import micropython

    if not hasattr(micropython, "heap_lock"):
        pytest.skip("only MicroPython has a heap that can be locked")

    class Level:
        level = 0

        def value(self):
            return self.level

    class Ticks:
        now = 0

        def ticks_ms(self):
            return self.now

        def ticks_diff(self, a, b):
            return a - b

    bench = by_hand()
    counter, pin, pulse_counter.time = bench.counter, Level(), Ticks()
    counter._changed = 0
    edge = counter._edge
    for now, level in ((100, 0), (101, 1), (200, 1), (300, 0)):
        pulse_counter.time.now, pin.level = now, level
        micropython.heap_lock()
        try:
            edge(pin)
        finally:
            micropython.heap_unlock()
    assert counter.total == 2
