"""Our drivers and third-party ones read the same simulated chip over a grid of values with its extremes."""

import itertools

import drivers
import pytest
from drivers import bme280, bmp280
from harness import oracles
from harness.guest.faultsuite import Clock
from tagonode.virtual.bus import DirectI2C, I2CBus
from tagonode.virtual.chips import bme280 as chips
from tagonode.virtual.environment import Environment

adafruit_bme280 = oracles.load("adafruit_bme280.basic")
rpi_bme280 = oracles.load("bme280")

TEMPERATURES = (-40, -21.37, -0.01, 0, 19.99, 42.5, 85)
HUMIDITIES = (0, 7.7, 50, 99.9, 100)
PRESSURES = (300, 655.35, 1013.25, 1100)
TRIMS = {"usual": None, "negative": {"H4": -50, "H5": -350, "H6": -30}}


@pytest.fixture
def bench(monkeypatch):
    """Clock, environment and a bus for the test's chip, with our drivers and the oracles on that clock."""
    clock = Clock()
    for module in (drivers, bmp280):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(oracles.virtual_time, "clock", clock)
    return clock, Environment(), I2CBus(elapse=clock.elapse)


def grid(*axes):
    return itertools.product(*axes)


def registers(bus, address, first, length):
    return bus.transfer(address, bytes((first,)), length)


@pytest.mark.parametrize("trim", TRIMS.values(), ids=TRIMS)
@pytest.mark.parametrize("seed", (1, 2))
def test_bme280_against_adafruit(bench, seed, trim):
    """H3 is 0 here, as in every chip: with another H3 this oracle has a factor that the datasheet has not."""
    clock, environment, bus = bench
    bus.chips.append(chips.BME280(environment, clock.seconds, address=0x77, seed=seed, trim=trim))
    ours = bme280.BME280(DirectI2C(bus), 0x77)
    theirs = adafruit_bme280.Adafruit_BME280_I2C(oracles.CircuitI2C(bus))
    ours.measure()
    for celsius, percent, hectopascal in grid(TEMPERATURES, HUMIDITIES if not trim else (60, 90), PRESSURES):
        environment.set(temperature=celsius, humidity=percent, pressure=hectopascal)
        theirs.mode = adafruit_bme280.MODE_SLEEP  # its three properties convert once each: the same scene
        expected = theirs.temperature, theirs.humidity, theirs.pressure
        # The same registers, decoded by us: it truncates t_fine to an integer, worth 0.0002 °C.
        ours._frame[:] = registers(bus, 0x77, 0xF3, 12)
        assert ours._decode(ours._frame) == pytest.approx(expected, abs=0.0005)


@pytest.mark.parametrize("trim", (*TRIMS.values(), {"H3": 12}), ids=(*TRIMS, "H3"))
@pytest.mark.parametrize("seed", (1, 2))
def test_bme280_against_rpi_bme280(bench, seed, trim):
    clock, environment, bus = bench
    bus.chips.append(chips.BME280(environment, clock.seconds, seed=seed, trim=trim))
    ours = bme280.BME280(DirectI2C(bus))
    smbus = oracles.SMBus(bus)
    parameters = rpi_bme280.load_calibration_params(smbus, 0x76)
    for celsius, percent, hectopascal in grid(TEMPERATURES, HUMIDITIES if not trim else (60, 90), PRESSURES):
        environment.set(temperature=celsius, humidity=percent, pressure=hectopascal)
        reading = ours.measure()
        registers_now = registers(bus, 0x76, 0xF7, 8)
        raw = rpi_bme280.uncompensated_readings(registers_now)
        theirs = rpi_bme280.compensated_readings(raw, parameters)
        expected = theirs.temperature, theirs.humidity, theirs.pressure
        assert reading == pytest.approx(expected, rel=1e-9, abs=1e-9)
        # and with its own conversion: pressure × 1 and temperature × 1 or × 2 differ by a step of 16 bits
        theirs = rpi_bme280.sample(smbus, 0x76, parameters)
        assert reading == pytest.approx((theirs.temperature, theirs.humidity, theirs.pressure), abs=0.03)


def test_bmp280_against_rpi_bme280(bench):
    """The BMP280's share of the arithmetic is the BME280's."""
    clock, environment, bus = bench
    bus.chips.append(chips.BMP280(environment, clock.seconds, seed=3))
    ours = bmp280.BMP280(DirectI2C(bus))
    parameters = rpi_bme280.load_calibration_params(oracles.SMBus(bus), 0x76)
    for celsius, hectopascal in grid(TEMPERATURES, PRESSURES):
        environment.set(temperature=celsius, pressure=hectopascal)
        reading = ours.measure()
        raw = rpi_bme280.uncompensated_readings(registers(bus, 0x76, 0xF7, 6) + b"\x80\x00")
        theirs = rpi_bme280.compensated_readings(raw, parameters)
        assert reading == pytest.approx((theirs.temperature, theirs.pressure), rel=1e-9)
