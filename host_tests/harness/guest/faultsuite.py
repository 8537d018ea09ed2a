"""What every driver must survive, written once: a test names a driver and its simulated chip.

    def rig():
        return Rig(lambda rig: BME280(rig.i2c), lambda rig: chips.BME280(rig.environment, …), …)

    @pytest.mark.parametrize("fault", faultsuite.FAULTS)
    def test_faults(fault):
        faultsuite.check(fault, rig)

The one rule: an attempt at reading gives values that are true at that moment, or SensorError, soon; and when
the fault is over, the second attempt at the latest gives values, with no reboot in between.
"""

import drivers
from drivers import SensorError
from tagonode.virtual.bus import DirectI2C, I2CBus, Nack
from tagonode.virtual.environment import Environment, chance

_TICKS = 1 << 30


class Clock:
    """Time that passes only when somebody sleeps or uses the bus. Stands in for a driver's `time` module.

    Ticks wrap as a board's do, 3 ms after the start unless told.
    """

    def __init__(self, wrap_after_ms=3):
        self.us = 0
        self.asked = set()  # milliseconds at which somebody looked at the ticks
        self.wrap_after(wrap_after_ms)

    def wrap_after(self, ms):
        """Ticks wrap that long after now."""
        self._ticks_at_0 = _TICKS - ms - self.us // 1000

    def seconds(self):
        return self.us / 1e6

    def elapse(self, seconds):
        self.us += int(seconds * 1e6)

    def sleep_ms(self, ms):
        self.us += ms * 1000

    def ticks_ms(self):
        self.asked.add(self.us // 1000)
        return (self._ticks_at_0 + self.us // 1000) % _TICKS

    def ticks_add(self, ticks, delta):
        return (ticks + delta) % _TICKS

    def ticks_diff(self, a, b):
        return (a - b + _TICKS // 2) % _TICKS - _TICKS // 2


class Registers:
    """A chip that is nothing but memory: `values` by register, `rest` elsewhere. It keeps what is written."""

    def __init__(self, address, values=None, rest=0):
        self.address = address
        self._values = dict(values or {})
        self._rest = rest
        self._pointer = 0

    def power_on(self):
        pass

    def write(self, data):
        if data:
            self._pointer = data[0]
            for i in range(1, len(data)):
                self._values[(data[0] + i - 1) & 0xFF] = data[i]

    def read(self, length):
        return bytes(self._values.get((self._pointer + i) & 0xFF, self._rest) for i in range(length))


class Babbler:
    """A chip that answers everything with noise."""

    def __init__(self, address):
        self.address = address
        self._said = 0

    def power_on(self):
        pass

    def write(self, data):
        pass

    def read(self, length):
        self._said += 1
        return bytes(int(256 * chance(self._said, str(i))) for i in range(length))


class Mute:
    """A chip that acknowledges no byte after its address."""

    def __init__(self, address):
        self.address = address

    def power_on(self):
        pass

    def write(self, data):
        if data:
            raise Nack

    def read(self, length):
        raise Nack


class Rig:
    """One driver, its chip, a bus, an environment, and a clock all of them run on.

    driver, chip: callables(rig) that make them. modules: those whose `time` the clock stands in for.
    scenes: environments (dicts), one an attempt, so that a stale value is a wrong one. tolerance: one number
    a channel. strangers: callables(rig) that make other chips for the same address, all to be refused.
    twin: callable(rig) that makes another specimen of the same chip. crc: True when the chip protects every
    result it sends. patience_ms: what an attempt may take.
    """

    CLOCK: type = Clock

    def __init__(self, driver, chip, modules, scenes, tolerance, strangers=(), twin=None, crc=False, patience_ms=500):
        self.clock = self.CLOCK()
        self.environment = Environment(**scenes[0])
        self.chip = chip(self)
        self.wire()
        for module in modules + (drivers,):
            module.time = self.clock
        self.driver = driver(self)
        self.strangers = strangers
        self.twin = twin
        self.crc = crc
        self._scenes = scenes
        self._tolerance = tolerance
        self._patience_ms = patience_ms
        self._attempts = 0

    def wire(self):
        """Put the chip on a bus."""
        self.bus = I2CBus([self.chip], elapse=self.clock.elapse)
        self.i2c = DirectI2C(self.bus)

    def rest(self):
        """What the chip needs between two attempts: nothing."""

    def set_scene(self):
        self._attempts += 1
        self.environment.set(**self._scenes[self._attempts % len(self._scenes)])

    def check_values(self, values):
        """Fails unless values are what the environment holds."""
        assert len(values) == len(self.driver.CHANNELS), values
        for value, channel, tolerance in zip(values, self.driver.CHANNELS, self._tolerance):  # noqa: B905
            truth = self.environment.value(channel[0], self.clock.seconds())
            if not abs(value - truth) <= tolerance:
                raise AssertionError(f"{channel[0]} reads {value} where there is {truth} ({channel[1]})")

    def attempt(self, between=None, trusted=True):
        """start(), wait, read() on another scene: True when that gave values, False with SensorError.

        between: called after start(), before the wait. trusted: False when values may be wrong.
        """
        self.set_scene()
        began_us, began_transfers = self.clock.us, self.bus.transfers
        try:
            wait_ms = self.driver.start()
            assert isinstance(wait_ms, int) and 0 <= wait_ms <= self._patience_ms, wait_ms
            if between:
                between()
            self.clock.sleep_ms(wait_ms)
            values = self.driver.read()
        except SensorError as error:
            values = None
            self.said = str(error)
            assert self.said.startswith(type(self.driver).__name__), self.said
        assert (self.clock.us - began_us) // 1000 <= self._patience_ms, "it took too long"
        assert self.bus.transfers - began_transfers <= 2000, "it used the bus without end"
        if values is not None and trusted:
            self.check_values(values)
        return values is not None

    def must_read(self):
        assert self.attempt(), self.said

    def must_fail(self, between=None):
        assert not self.attempt(between), "values, where there was no chip to give them"

    def must_recover(self):
        """The fault is over: values within two attempts, and from then on."""
        self.bus.heal()
        self.clock.sleep_ms(100)
        if not self.attempt():
            self.must_read()
        self.must_read()

    def transfers_of_attempt(self):
        before = self.bus.transfers
        self.must_read()
        return self.bus.transfers - before


def _at_every_transfer(make, inject, trusted=True):
    """inject(rig, n) for the n-th transfer of the first attempt, and of one when all was well before."""
    first = make().transfers_of_attempt()
    rig = make()
    rig.must_read()
    later = rig.transfers_of_attempt()
    outcomes = set()
    for warm, transfers in ((False, first), (True, later)):
        for n in range(1, transfers + 1):
            rig = make()
            if warm:
                rig.must_read()
            inject(rig, n)
            outcomes.add(rig.attempt(trusted=trusted))
            rig.must_recover()
    return outcomes


def nack(make):
    for errno in (5, 19):

        def inject(rig, n):
            rig.bus.nack_errno = errno  # noqa: B023 - called before the next round
            rig.bus.nack_at(n)

        assert False in _at_every_transfer(make, inject), "no NACK was noticed"


def lost_write(make):
    _at_every_transfer(make, lambda rig, n: rig.bus.lose_at(n))


def brown_out(make):
    _at_every_transfer(make, lambda rig, n: rig.bus.at(n, rig.bus.power_on))


def brown_out_between_readings(make):
    rig = make()
    rig.must_read()
    rig.bus.power_on()
    rig.clock.sleep_ms(1000)
    rig.attempt()
    rig.must_recover()


def brown_out_while_measuring(make):
    rig = make()
    rig.must_read()
    for _ in range(3):
        rig.must_fail(between=rig.bus.power_on)
        rig.must_recover()


def flipped_bit(make):
    """With a CRC no flip gives a value; without, it spoils one reading at most."""
    first = make().transfers_of_attempt()
    sizes = []
    rig = make()
    talk = rig.bus.transfer

    def spy(address, write, read, stop=True):
        sizes.append(read)
        return talk(address, write, read, stop)

    rig.bus.transfer = spy
    rig.must_read()
    rig.must_read()
    for index, size in enumerate(sizes):
        for bit in range(8 * size):
            rig = make()
            if index >= first:
                rig.must_read()
            rig.bus.flip_at(index + 1 - (first if index >= first else 0), bit)
            rig.attempt(trusted=rig.crc)
            rig.must_recover()


def _switch(name):
    def fault(make):
        for warm in (False, True):
            rig = make()
            if warm:
                rig.must_read()
            for _ in range(3):
                setattr(rig.bus, name, True)
                rig.must_fail()
            rig.must_recover()
            rig.must_fail(between=lambda: setattr(rig.bus, name, True))  # noqa: B023 - called at once
            rig.must_recover()

    return fault


def unplugged(make):
    for warm in (False, True):
        rig = make()
        address = rig.chip.address
        if warm:
            rig.must_read()
        rig.bus.unplug(address)
        for _ in range(3):
            rig.must_fail()
        rig.bus.plug(address)
        rig.must_recover()
        rig.must_fail(between=lambda: rig.bus.unplug(address))  # noqa: B023 - called at once
        rig.bus.plug(address)
        rig.must_recover()


def replugged_unnoticed(make):
    rig = make()
    rig.must_read()
    rig.bus.unplug(rig.chip.address)
    rig.clock.sleep_ms(1000)
    rig.bus.plug(rig.chip.address)
    rig.clock.sleep_ms(1000)
    rig.attempt()
    rig.must_recover()


def exchanged_for_a_twin(make):
    """Somebody puts another specimen in: its own trimming counts from now on."""
    if make().twin is None:
        return
    for while_measuring in (False, True):
        rig = make()
        rig.must_read()

        def exchange():
            rig.bus.chips[0] = rig.twin(rig)  # noqa: B023 - called at once

        if while_measuring:
            rig.attempt(between=exchange)
        else:
            exchange()
            rig.attempt()
        rig.must_recover()


def other_chip_at_the_address(make):
    count = len(make().strangers)
    for index in range(count + 2):
        for warm in (False, True):
            rig = make()
            others = tuple(rig.strangers) + (
                lambda rig: Babbler(rig.chip.address),
                lambda rig: Mute(rig.chip.address),
            )
            if warm:
                rig.must_read()
            rig.bus.chips[0] = others[index](rig)
            for _ in range(3):
                rig.must_fail()
            rig.bus.chips[0] = rig.chip
            rig.must_recover()


def ticks_wrap(make):
    """Before every look at the ticks in a first and a second attempt: where else between two is all the same."""
    rig = make()
    rig.must_read()
    rig.must_read()
    for wrap_after_ms in sorted(rig.clock.asked):
        rig = make()
        rig.clock.wrap_after(wrap_after_ms)
        rig.must_read()
        rig.must_read()


def calls_out_of_order(make):
    rig = make()
    for _ in range(2):  # before the first start(), and after a good reading
        try:
            values = rig.driver.read()
        except SensorError:
            pass
        else:
            raise AssertionError(f"read() without start() gives {values}")
        rig.must_recover()
    start_too_often_read_too_early(rig, 500)


def start_too_often_read_too_early(rig, pause_ms):
    rig.driver.start()
    rig.rest()
    rig.clock.sleep_ms(pause_ms)
    rig.must_read()  # a start() whose result nobody fetched
    rig.rest()
    rig.set_scene()
    rig.driver.start()
    try:  # noqa: SIM105 - contextlib is not on a board
        rig.check_values(rig.driver.read())  # too early: true values, after a bounded wait, or an error
    except SensorError:
        pass
    rig.must_recover()
    rig.set_scene()
    rig.check_values(rig.driver.measure())


def wired_wrongly_from_the_start(make):
    """Nothing at the address when the driver is made: no bus traffic then, an honest error later."""
    rig = make()
    assert rig.bus.transfers == 0, "the constructor uses the bus"
    rig.bus.unplug(rig.chip.address)
    rig.must_fail()
    assert f"{rig.chip.address:#x}" in rig.said, rig.said


_ALL = {
    "nack": nack,
    "lost_write": lost_write,
    "brown_out": brown_out,
    "brown_out_between_readings": brown_out_between_readings,
    "brown_out_while_measuring": brown_out_while_measuring,
    "flipped_bit": flipped_bit,
    "stuck": _switch("stuck"),
    "all_zeros": _switch("all_zeros"),
    "all_ones": _switch("all_ones"),
    "unplugged": unplugged,
    "replugged_unnoticed": replugged_unnoticed,
    "exchanged_for_a_twin": exchanged_for_a_twin,
    "other_chip_at_the_address": other_chip_at_the_address,
    "ticks_wrap": ticks_wrap,
    "calls_out_of_order": calls_out_of_order,
    "wired_wrongly_from_the_start": wired_wrongly_from_the_start,
}

FAULTS = sorted(_ALL)


def check(fault, make):
    """Put a rig, made afresh by make() as often as wanted, through one of FAULTS."""
    _ALL[fault](make)
