"""More of our drivers beside third-party ones, on the same simulated chips: see test_driver_oracles.py."""

import drivers
import pytest
from drivers import aht20, bh1750, bmp280, sht3x, sht4x
from harness import oracles
from harness.guest.faultsuite import Clock
from tagonode.virtual.bus import DirectI2C, I2CBus
from tagonode.virtual.chips import aht20 as aht20_chips
from tagonode.virtual.chips import bh1750 as bh1750_chips
from tagonode.virtual.chips import bme280 as bme280_chips
from tagonode.virtual.chips import sht3x as sht3x_chips
from tagonode.virtual.chips import sht4x as sht4x_chips
from tagonode.virtual.environment import Environment

TEMPERATURES = (-40, -12.34, -0.01, 0, 21.5, 85)
HUMIDITIES = (0.1, 7.7, 50, 99.9)


@pytest.fixture
def bench(monkeypatch):
    clock = Clock()
    for module in (drivers, aht20, bh1750, bmp280, sht4x):
        monkeypatch.setattr(module, "time", clock, raising=False)
    monkeypatch.setattr(oracles.virtual_time, "clock", clock)
    return clock, Environment(illuminance=0), I2CBus(elapse=clock.elapse)


def test_bmp280(bench):
    clock, environment, bus = bench
    bus.chips.append(bme280_chips.BMP280(environment, clock.seconds, address=0x77))
    theirs = oracles.load("adafruit_bmp280").Adafruit_BMP280_I2C(oracles.CircuitI2C(bus))
    ours = bmp280.BMP280(DirectI2C(bus), 0x77)
    for celsius in TEMPERATURES:
        for hectopascal in (300, 655.35, 1013.25, 1100):
            environment.set(temperature=celsius, pressure=hectopascal)
            expected = theirs.temperature, theirs.pressure
            # Its conversions have 20 and 17 bits, ours 16: a step is 0.005 °C and 2.7 Pa.
            assert ours.measure() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("kind", ("sht4x", "sht3x"))
def test_sht(bench, kind):
    clock, environment, bus = bench
    if kind == "sht4x":
        module = oracles.load("adafruit_sht4x")
        bus.chips.append(sht4x_chips.SHT4X(environment, clock.seconds))
        theirs, ours = module.SHT4x(oracles.CircuitI2C(bus)), sht4x.SHT4X(DirectI2C(bus))
    else:
        module = oracles.load("adafruit_sht31d")
        # It waits 15 ms where the datasheet grants the chip 15.5 ms.
        bus.chips.append(sht3x_chips.SHT3X(environment, clock.seconds, pace=0.8))
        theirs, ours = module.SHT31D(oracles.CircuitI2C(bus)), sht3x.SHT3X(DirectI2C(bus))
    for celsius in (*TEMPERATURES, 125):
        for percent in (0, *HUMIDITIES, 100):
            environment.set(temperature=celsius, humidity=percent)
            expected = theirs.temperature, theirs.relative_humidity
            assert ours.measure() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", ("AHT20", "AHT10"))
def test_aht(bench, kind):
    clock, environment, bus = bench
    module = oracles.load("adafruit_ahtx0")
    bus.chips.append(getattr(aht20_chips, kind)(environment, clock.seconds))
    theirs, ours = module.AHTx0(oracles.CircuitI2C(bus)), getattr(aht20, kind)(DirectI2C(bus))
    for celsius in TEMPERATURES:
        for percent in HUMIDITIES:
            environment.set(temperature=celsius, humidity=percent)
            expected = theirs.temperature, theirs.relative_humidity
            assert ours.measure() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_bh1750(bench):
    clock, environment, bus = bench
    module = oracles.load("adafruit_bh1750")
    for lux in (0, 1, 4, 54, 1234.5, 20000):
        environment.set(illuminance=lux)
        bus.chips[:] = [bh1750_chips.BH1750(environment, clock.seconds)]
        # It reads at half a lux, ours at one.
        expected = module.BH1750(oracles.CircuitI2C(bus)).lux
        assert bh1750.BH1750(DirectI2C(bus)).measure() == pytest.approx((expected,), abs=0.84)
