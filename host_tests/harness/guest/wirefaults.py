"""What drivers on 1-Wire, serial and other wires must survive: faultsuite's rule, for what is no I2C.

def rig():
    return WireRig(lambda rig: DS18B20(OneWire(DirectPin(rig.bus))), lambda rig: chips.DS18B20(…), OneWireBus, …)

@pytest.mark.parametrize("fault", wirefaults.FAULTS)
def test_faults(fault):
    wirefaults.check(fault, rig)
"""

from drivers import SensorError
from faultsuite import Clock, Rig, start_too_often_read_too_early
from tagonode.virtual.wires import Wire


class WireClock(Clock):
    def elapse(self, seconds):
        self.us += int(seconds * 1e6 + 0.5)

    def sleep_us(self, us):
        self.us += us

    def ticks_us(self):
        return (self._ticks_at_0 * 1000 + self.us) % (1 << 30)


class AdcWire(Wire):
    """An ADC's pin of 12 bits, machine.ADC's methods on it. Its part has microvolts(); without it, ground does."""

    def power_on(self):
        """What is measured has no state."""

    def _code(self):
        self._use(0.00002)
        if self.stuck is not None:
            return 4095 * self.stuck
        code = max([0] + [round(part.microvolts() / 3300000 * 4095) for part in self._present()])
        return min(4095, code ^ (1 << self._flipped % 12 if self._flipped >= 0 else 0))

    def read_u16(self):
        code = self._code()
        return code << 4 | code >> 8

    def read_uv(self):
        return self._code() * 3300000 // 4095


class WireRig(Rig):
    """One driver, its part, a wire, an environment, and a clock all of them run on.

    driver, chip: callables(rig) that make them; wire: class of wires.py. modules, scenes, tolerance, twin,
    patience_ms: as for faultsuite.Rig. rest_ms: between two attempts, what the part needs to be well again.
    crc: True when no wrong bit may give a value. restart_shows: False when a part just restarted gives values like
    any other, wrong ones, to the first reading. stride: of so many places for a fault, one is tried.
    parts: further ones for the same wire.
    """

    CLOCK = WireClock

    def __init__(
        self,
        driver,
        chip,
        wire,
        modules,
        scenes,
        tolerance,
        twin=None,
        crc=True,
        restart_shows=True,
        patience_ms=1500,
        rest_ms=100,
        stride=1,
        parts=(),
    ):
        self._wire = wire, parts
        super().__init__(driver, chip, modules, scenes, tolerance, twin=twin, crc=crc, patience_ms=patience_ms)
        self.restart_shows = restart_shows
        self.rest_ms = rest_ms
        self.stride = stride

    def wire(self):
        wire, parts = self._wire
        self.bus = wire(self.chip, *[part(self) for part in parts], elapse=self.clock.elapse)

    def rest(self):
        self.clock.sleep_ms(self.rest_ms)

    def warm(self):
        """A rig that has been at work for a while."""
        if not self.attempt():
            self.rest()
            self.must_read()
        self.rest()
        self.must_read()
        self.rest()
        return self

    def must_recover(self):
        """The fault is over: values within two attempts, and from then on."""
        self.bus.heal()
        self.rest()
        self.warm()


def _rigs(make):
    """A fresh one, and one that was at work."""
    yield make()
    yield make().warm()


def _at_every_transfer(make, inject, trusted=True):
    """inject(rig, n) for the n-th transfer of the first attempt, and of one when all was well before."""
    for warm in (False, True):
        rig = make()
        if warm:
            rig.warm()
        before = rig.bus.transfers
        rig.attempt()
        count = rig.bus.transfers - before
        for n in range(1, count + 1, rig.stride):
            rig = make()
            if warm:
                rig.warm()
            inject(rig, n)
            rig.attempt(trusted=trusted)
            rig.must_recover()


def reads(make):
    make().warm()


def brown_out(make):
    _at_every_transfer(make, lambda rig, n: rig.bus.at(n, rig.bus.power_on), trusted=make().restart_shows)


def brown_out_between_readings(make):
    rig = make().warm()
    for pause_ms in (0, 1000):
        rig.bus.power_on()
        rig.clock.sleep_ms(pause_ms)
        rig.attempt(trusted=rig.restart_shows)
        rig.must_recover()


def brown_out_while_measuring(make):
    rig = make().warm()
    for _ in range(3):
        rig.attempt(between=rig.bus.power_on, trusted=rig.restart_shows)
        rig.must_recover()


def flipped_bit(make):
    _at_every_transfer(make, lambda rig, n: rig.bus.flip_at(n, 13 * n % 40), trusted=make().crc)


def _stuck(level):
    def fault(make):
        for rig in _rigs(make):
            for _ in range(3):
                rig.bus.stuck = level
                rig.must_fail()
                rig.rest()
            rig.must_recover()
            rig.must_fail(between=lambda: setattr(rig.bus, "stuck", level))  # noqa: B023 - called at once
            rig.must_recover()

    return fault


def unplugged(make):
    for rig in _rigs(make):
        rig.bus.unplug()
        for _ in range(3):
            rig.must_fail()
            rig.rest()
        rig.bus.plug()
        rig.must_recover()
        rig.must_fail(between=rig.bus.unplug)
        rig.bus.plug()
        rig.must_recover()


def replugged_unnoticed(make):
    rig = make().warm()
    for pause_ms in (50, 1000):
        rig.bus.unplug()
        rig.clock.sleep_ms(1000)
        rig.bus.plug()
        rig.clock.sleep_ms(pause_ms)
        rig.attempt(trusted=rig.restart_shows)
        rig.must_recover()


def exchanged_for_a_twin(make):
    if make().twin is None:
        return
    for while_measuring in (False, True):
        rig = make().warm()

        def exchange():
            rig.bus.parts[0] = rig.twin(rig)  # noqa: B023 - called at once

        if while_measuring:
            rig.attempt(between=exchange, trusted=rig.restart_shows)
        else:
            exchange()
            rig.attempt()
        rig.must_recover()


def ticks_wrap(make):
    """At every millisecond of a first and a later attempt at which the ticks are looked at, and next to it."""
    for warm in (False, True):
        rig = make()
        if warm:
            rig.warm()
        began_ms = rig.clock.us // 1000
        rig.clock.asked.clear()
        rig.attempt()
        looks = {ms - began_ms for ms in rig.clock.asked}
        for wrap_after_ms in sorted({0, 1} | looks | {look + 1 for look in looks}):
            rig = make()
            if warm:
                rig.warm()
            rig.clock.wrap_after(wrap_after_ms)
            rig.attempt()
            rig.rest()
            rig.must_read()


def a_week_of_silence(make):
    """Half the period of the ticks goes by between two readings, give or take."""
    for days in (6, 7, 12, 13):
        rig = make().warm()
        rig.clock.sleep_ms(days * 86400000)
        if not rig.attempt():
            rig.rest()
            rig.must_read()


def calls_out_of_order(make):
    rig = make().warm()
    for _ in range(2):  # after a good reading, and after an error
        try:
            values = rig.driver.read()
        except SensorError:
            pass
        else:
            raise AssertionError(f"read() without start() gives {values}")
    rig.must_recover()
    start_too_often_read_too_early(rig, 3000)


def nobody_from_the_start(make):
    """Nothing on the wire when the driver is made: not used then, an honest error later."""
    rig = make()
    assert rig.bus.transfers == 0, "the constructor uses the wire"
    rig.bus.unplug()
    rig.must_fail()
    assert rig.said.count(": ") >= 2, f"{rig.said} names no remedy"


_ALL = {
    "reads": reads,
    "brown_out": brown_out,
    "brown_out_between_readings": brown_out_between_readings,
    "brown_out_while_measuring": brown_out_while_measuring,
    "flipped_bit": flipped_bit,
    "stuck_low": _stuck(0),
    "stuck_high": _stuck(1),
    "unplugged": unplugged,
    "replugged_unnoticed": replugged_unnoticed,
    "exchanged_for_a_twin": exchanged_for_a_twin,
    "ticks_wrap": ticks_wrap,
    "a_week_of_silence": a_week_of_silence,
    "calls_out_of_order": calls_out_of_order,
    "nobody_from_the_start": nobody_from_the_start,
}

FAULTS = sorted(_ALL)


def check(fault, make):
    """Put a rig, made afresh by make() as often as wanted, through one of FAULTS."""
    _ALL[fault](make)
