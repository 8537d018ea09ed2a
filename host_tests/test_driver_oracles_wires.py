"""Our drivers on 1-Wire, pins and UARTs beside third-party ones, on the same simulated parts."""

import importlib
import itertools
import sys
from unittest import mock

import drivers
import pytest
from drivers import analog, dht22, ds18b20, hx711, pms5003
from harness import oracles
from harness.places import GUEST, VIRTUAL_GUEST
from tagonode.virtual import wires
from tagonode.virtual.chips import dht22 as dht22_chips
from tagonode.virtual.chips import ds18b20 as ds18b20_chips
from tagonode.virtual.chips import hx711 as hx711_chips
from tagonode.virtual.chips import pms5003 as pms5003_chips
from tagonode.virtual.chips import voltages
from tagonode.virtual.environment import Environment


def guest(name):
    """A module that device tests have, or a board in its firmware."""
    with mock.patch.object(sys, "path", [str(GUEST), str(VIRTUAL_GUEST), *sys.path]):
        return importlib.import_module(name)


@pytest.fixture
def bench(monkeypatch):
    """Clock and environment, with our drivers and the oracles on that clock."""
    clock = guest("wirefaults").WireClock()
    guest("dht")
    for module in (drivers, dht22, ds18b20, hx711, pms5003):
        monkeypatch.setattr(module, "time", clock, raising=False)
    monkeypatch.setattr(oracles.virtual_time, "clock", clock)
    return clock, Environment()


class OneWireIO:
    """onewireio.OneWire on a simulated wire; its reset() is True when nobody answers."""

    def __init__(self, wire):
        self._wire = wire

    def reset(self):
        return not self._wire.reset()

    def read_bit(self):
        return bool(self._wire.slot(1))

    def write_bit(self, bit):
        self._wire.slot(1 if bit else 0)


@pytest.mark.parametrize("resolution", (9, 10, 11, 12))
def test_ds18b20(bench, monkeypatch, resolution):
    clock, environment = bench
    module, bus_module = oracles.load("adafruit_ds18x20"), oracles.load("adafruit_onewire.bus")
    monkeypatch.setattr(bus_module.onewireio, "OneWire", OneWireIO)
    parts = [ds18b20_chips.DS18B20(environment, clock.seconds, seed=seed) for seed in (1, 2, 3)]
    wire = wires.OneWireBus(*parts, elapse=clock.elapse)
    bus = bus_module.OneWireBus(wire)
    onewire = guest("onewire").OneWire(wires.DirectPin(wire, clock))
    addresses = bus.scan()
    assert sorted(bytes(address.rom) for address in addresses) == sorted(part.rom for part in parts)
    assert sorted(bytes(rom) for rom in onewire.scan()) == sorted(part.rom for part in parts)
    for address in addresses:
        ours = ds18b20.DS18B20(onewire, bytes(address.rom), resolution)
        theirs = module.DS18X20(bus, address)
        for celsius in (-55, -25.0625, -10.125, -0.5, 0, 0.0625, 21.4375, 84.9, 85.5, 125):
            environment.set(temperature=celsius)
            reading = ours.measure()
            expected = theirs.temperature  # at the resolution that ours has set
            assert reading == (expected,)


class Pulses:
    """What CircuitPython's PulseIn collects of a DHT's answer: low and high times in turn."""

    def __init__(self, part):
        self.part = part

    def __call__(self):
        answer = self.part.respond()
        return [] if answer is None else [time for high in answer for time in (54, high)]


@pytest.mark.parametrize("kind", ("DHT22", "DHT11"))
def test_dht(bench, kind):
    """Its DHT11 knows no temperature below zero."""
    clock, environment = bench
    module = oracles.load("adafruit_dht")
    part = getattr(dht22_chips, kind)(environment, clock.seconds)
    ours = getattr(dht22, kind)(wires.DirectPin(wires.DhtLine(part, elapse=clock.elapse), clock))
    with mock.patch.object(module, "uname", lambda: ("Linux",)):
        theirs = getattr(module, kind)(None)
    theirs._get_pulses_bitbang = theirs._get_pulses_pulseio = Pulses(part)
    celsius_of = (-40, -10.1, -0.1, 0, 0.1, 25.6, 51.2, 80) if kind == "DHT22" else (0, 0.1, 25.6, 51.2)
    for celsius, percent in itertools.product(celsius_of, (5, 25.6, 65.2, 95)):
        environment.set(temperature=celsius, humidity=percent)
        clock.sleep_ms(3000)
        reading = ours.measure()
        clock.sleep_ms(3000)
        theirs.measure()
        assert reading == pytest.approx((theirs._temperature, theirs._humidity), rel=1e-9)


class Serial:
    """A UART that waits for what it is asked for, up to 4 s, as CircuitPython's and pyserial's do."""

    def __init__(self, line, clock):
        self._line = line
        self._clock = clock

    def read(self, count):
        data = b""
        for _ in range(4000):
            data += self._line.read(count - len(data))
            if len(data) == count:
                break
            self._clock.sleep_ms(1)
        return data


@pytest.mark.parametrize("standard", (False, True))
def test_pms5003(bench, standard):
    clock, environment = bench
    environment.set(pm1_0=0, pm2_5=0, pm10=0)
    part = pms5003_chips.PMS5003(environment, clock.seconds)
    line = wires.SerialLine(part, elapse=clock.elapse)
    line.hears = False
    ours = pms5003.PMS5003(wires.DirectUART(line), standard)
    adafruit = oracles.load("adafruit_pm25.uart").PM25_UART(Serial(line, clock))
    with pytest.raises(drivers.SensorError, match="warming up"):
        ours.measure()
    clock.sleep_ms(30000)
    for air in ((0, 0, 0), (4, 7, 9), (31, 255, 256), (999, 1000, 1001), (40000, 41000, 42000)):
        environment.set(pm1_0=air[0], pm2_5=air[1], pm10=air[2])
        reading = ours.measure()
        while line.any():
            line.read(100)
        theirs = adafruit.read()
        where = "standard" if standard else "env"
        assert reading == tuple(theirs[f"{size} {where}"] for size in ("pm10", "pm25", "pm100"))


def test_pms5003_against_pimoroni(bench):
    """It cannot give PM10 of atmospheric air."""
    pytest.importorskip("gpiod")
    clock, environment = bench
    environment.set(pm1_0=0, pm2_5=0, pm10=0)
    line = wires.SerialLine(pms5003_chips.PMS5003(environment, clock.seconds), elapse=clock.elapse)
    line.hears = False
    module = oracles.load("pms5003")
    pimoroni = module.PMS5003.__new__(module.PMS5003)
    pimoroni._serial = Serial(line, clock)
    for air in ((0, 0, 0), (4, 7, 9), (31, 255, 256), (999, 1000, 1001)):
        environment.set(pm1_0=air[0], pm2_5=air[1], pm10=air[2])
        clock.sleep_ms(2400)
        while line.any():
            line.read(100)
        theirs = pimoroni.read()
        frame = b"\x42\x4d\x00\x1c" + bytes(theirs.raw_data)
        assert pms5003.frames(frame) == [0]
        assert pms5003.decode(frame, 0, 1) == tuple(theirs.pm_ug_per_m3(size) for size in (1.0, 2.5, 10))
        assert pms5003.decode(frame, 0, 4)[:2] == tuple(theirs.pm_ug_per_m3(size, True) for size in (1.0, 2.5))


class ClockPin:
    """digitalio.DigitalInOut for a clock."""

    def __init__(self, pin):
        self._pin = pin
        self._level = self._rising = False

    @property
    def value(self):
        return self._level

    @value.setter
    def value(self, level):
        if level and not self._level:
            self._pin.value(1)
            self._rising = True
        if not level:
            self.fall()
        self._level = level

    def fall(self):
        """Simulated parts hear of a pulse at its end: it is over when somebody looks at the data."""
        if self._rising:
            self._pin.value(0)
            self._rising = False


class DataPin:
    """The same for data."""

    def __init__(self, pin, clock_pin):
        self._pin = pin
        self._clock_pin = clock_pin

    @property
    def value(self):
        self._clock_pin.fall()
        return bool(self._pin.value())


@pytest.mark.parametrize("gain, pulses", ((128, 25), (64, 27), (32, 26)))
def test_hx711(bench, monkeypatch, gain, pulses):
    """It gives what is negative 2**32 too much."""
    clock, environment = bench
    module = oracles.load("adafruit_hx711.hx711")
    for name in ("disable_interrupts", "enable_interrupts"):
        monkeypatch.setattr(module.microcontroller, name, lambda: None, raising=False)
    monkeypatch.setattr(module.microcontroller, "delay_us", lambda us: clock.elapse(us / 1e6), raising=False)
    environment.set(weight=0.0)
    part = hx711_chips.HX711(environment, clock.seconds, rate=80.0)
    pin = wires.DirectPin(wires.ClockAndData(part, elapse=clock.elapse), clock)
    ours = hx711.HX711((pin, pin), gain)
    clock_pin = ClockPin(pin)
    theirs = module.HX711(DataPin(pin, clock_pin), clock_pin)
    clock.sleep_ms(500)
    for kilograms in (-250, -12.5, -3.9, 0, 0.01, 41.25, 380):
        environment.set(weight=kilograms)
        (reading,) = ours.measure()
        clock.sleep_ms(500)
        expected = theirs.read(pulses)
        assert reading == (expected - (1 << 32) if expected & 1 << 31 else expected)
        clock.sleep_ms(500)


@pytest.mark.parametrize("high_side", (False, True))
def test_thermistor(bench, monkeypatch, high_side):
    clock, environment = bench
    module = oracles.load("adafruit_thermistor")

    class AnalogIn:
        def __init__(self, part):
            self._part = part

        @property
        def value(self):
            return self._part.microvolts() / 3.3e6 * 65535

    class ADC:
        def __init__(self, part):
            self._part = part

        def read_uv(self):
            return self._part.microvolts()

        def read_u16(self):
            return int(self._part.microvolts() / 3.3e6 * 65535)

    monkeypatch.setattr(module.analogio, "AnalogIn", AnalogIn)
    part = voltages.Thermistor(environment, clock.seconds, series_ohms=4700, beta=3435, high_side=high_side)
    ours = analog.Analog(ADC(part), mode="ntc", series_ohms=4700, beta=3435, high_side=high_side)
    theirs = module.Thermistor(part, 4700, 10000, 25, 3435, high_side=high_side)
    for celsius in (-40, -12.3, 0, 25, 60, 120):
        environment.set(temperature=celsius)
        # On the high side it counts to 1023 where its ADC counts to 1023.98.
        assert ours.measure() == pytest.approx((theirs.temperature,), abs=0.5 if high_side else 1e-6)
