"""More of our drivers beside third-party ones, on the same simulated chips: see test_driver_oracles.py."""

import drivers
import pytest
from drivers import ads1115, aht20, bh1750, bmp280, ina219, max17048, scd4x, sht3x, sht4x
from harness import oracles
from harness.guest.faultsuite import Clock
from tagonode.virtual.bus import DirectI2C, I2CBus
from tagonode.virtual.chips import ads1115 as ads1115_chips
from tagonode.virtual.chips import aht20 as aht20_chips
from tagonode.virtual.chips import bh1750 as bh1750_chips
from tagonode.virtual.chips import bme280 as bme280_chips
from tagonode.virtual.chips import ina219 as ina219_chips
from tagonode.virtual.chips import max17048 as max17048_chips
from tagonode.virtual.chips import scd4x as scd4x_chips
from tagonode.virtual.chips import sht3x as sht3x_chips
from tagonode.virtual.chips import sht4x as sht4x_chips
from tagonode.virtual.environment import Environment

TEMPERATURES = (-40, -12.34, -0.01, 0, 21.5, 85)
HUMIDITIES = (0.1, 7.7, 50, 99.9)


@pytest.fixture
def bench(monkeypatch):
    clock = Clock()
    for module in (drivers, ads1115, aht20, bh1750, bmp280, scd4x, sht4x):
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


def scd4x_scenes(environment, clock):
    for co2 in (1, 417, 5000, 40000):
        for celsius in (-10, -0.01, 21.5, 60):
            for percent in (0, 33.3, 100):
                environment.set(co2=co2, temperature=celsius, humidity=percent)
                clock.sleep_ms(5500)
                yield


def test_scd4x_against_adafruit(bench):
    clock, environment, bus = bench
    environment.set(co2=500)
    bus.chips.append(scd4x_chips.SCD4X(environment, clock.seconds))
    theirs = oracles.load("adafruit_scd4x").SCD4X(oracles.CircuitI2C(bus))
    ours = scd4x.SCD4X(DirectI2C(bus))
    ours.measure()
    for _ in scd4x_scenes(environment, clock):
        expected = theirs.CO2, theirs.temperature, theirs.relative_humidity
        clock.sleep_ms(5500)
        assert ours.measure() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_scd4x_against_sensirion(bench):
    clock, environment, bus = bench
    environment.set(co2=500)
    bus.chips.append(scd4x_chips.SCD4X(environment, clock.seconds, pace=0.0))
    connection = oracles.load("sensirion_i2c_driver").I2cConnection(oracles.Transceiver(bus))
    crc = oracles.load("sensirion_i2c_driver").CrcCalculator(8, 0x31, 0xFF, 0)
    channel = oracles.load("sensirion_driver_adapters.i2c_adapter.i2c_channel").I2cChannel(connection, 0x62, crc)
    theirs = oracles.load("sensirion_i2c_scd4x.device").Scd4xDevice(channel)
    ours = scd4x.SCD4X(DirectI2C(bus), altitude=1600)
    ours.measure()
    for _ in scd4x_scenes(environment, clock):
        assert theirs.get_data_ready_status()
        expected = [signal.value for signal in theirs.read_measurement()]
        assert not theirs.get_data_ready_status()
        clock.sleep_ms(5500)
        assert ours.measure() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    theirs.stop_periodic_measurement()
    assert theirs.get_sensor_altitude() == 1600


@pytest.mark.parametrize("pace", (0.0, 1.0))
def test_ina219(bench, pace):
    clock, environment, bus = bench
    environment.set(voltage=0, current=0)
    bus.chips.append(ina219_chips.INA219(environment, clock.seconds, 0x41, pace))
    module = oracles.load("adafruit_ina219")
    theirs = module.INA219(oracles.CircuitI2C(bus), 0x41)
    ours = ina219.INA219(DirectI2C(bus), 0x41)
    for volts in (0, 0.004, 3.3, 12, 26):
        for amperes in (-3.1999, -0.5, -0.0001, 0, 0.0001, 1.2345, 3.1999):
            environment.set(voltage=volts, current=amperes)
            theirs.set_calibration_32V_2A()  # ours resets the chip, and it never looks whether it was
            clock.sleep_ms(3)
            # It gives milliamperes, and the chip's own power: the current's amount, cut to 2 mW.
            expected = theirs.bus_voltage, theirs.current / 1000
            power = theirs.power
            reading = ours.measure()
            assert reading[:2] == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert power <= abs(reading[2]) + 1e-9 < power + 0.002 + 2e-9


@pytest.mark.parametrize("pace", (0.0, 1.0))
@pytest.mark.parametrize("gain, full_scale", ((2 / 3, 6.144), (1, 4.096), (2, 2.048), (16, 0.256)))
def test_ads1115(bench, gain, full_scale, pace):
    clock, environment, bus = bench
    environment.set(voltage_0=0, voltage_1=0, voltage_2=0, voltage_3=0)
    bus.chips.append(ads1115_chips.ADS1115(environment, clock.seconds, 0x49, pace))
    module = oracles.load("adafruit_ads1x15")
    theirs = module.ADS1115(oracles.CircuitI2C(bus), gain=gain, address=0x49)
    ours = ads1115.ADS1115(DirectI2C(bus), 0x49, full_scale)
    for share in (-0.01, -0.00003, 0, 0.00003, 0.33333, 0.99993):
        volts = [share * full_scale, 0.2 * full_scale, 0.4 * full_scale * share, -0.0002]
        environment.set(**{f"voltage_{i}": v for i, v in enumerate(volts)})
        expected = [module.AnalogIn(theirs, i).voltage for i in range(4)]
        assert ours.measure() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_max17048(bench):
    clock, environment, bus = bench
    environment.set(battery=3.9, state_of_charge=70)
    bus.chips.append(max17048_chips.MAX17048(environment, clock.seconds))
    theirs = oracles.load("adafruit_max1704x").MAX17048(oracles.CircuitI2C(bus))
    ours = max17048.MAX17048(DirectI2C(bus))
    for volts in (2.5, 2.9, 3.7, 4.2, 4.5):
        for percent in (0, 0.004, 8.25, 99.998, 100):
            environment.set(battery=volts, state_of_charge=percent)
            clock.sleep_ms(260)
            expected = theirs.cell_voltage, theirs.cell_percent
            assert ours.measure() == pytest.approx(expected, rel=1e-9, abs=1e-9)
