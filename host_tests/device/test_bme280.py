"""BME280 and BMP280: worked examples, a grid against the simulated chip, its own traps, the fault suite."""

import struct

import drivers.bme280 as bme280
import drivers.bmp280 as bmp280
import faultsuite
import harness
import pytest
from drivers import SensorError
from faultsuite import Registers, Rig
from tagonode.virtual.chips import bme280 as chips

# What float compensation, the chip's integer arithmetic and 16-bit results (0.005 °C, 2.7 Pa) leave.
TOLERANCE = {"temperature": 0.006, "humidity": 0.02, "pressure": 0.04}
SCENES = (
    {"temperature": 21.5, "humidity": 45.0, "pressure": 1013.25},
    {"temperature": -17.3, "humidity": 91.0, "pressure": 702.4},
    {"temperature": 38.9, "humidity": 12.5, "pressure": 985.1},
)
KINDS = {"bme280": (bme280.BME280, chips.BME280), "bmp280": (bmp280.BMP280, chips.BMP280)}


def make_rig(kind, seed=1, trim=None, address=0x76):
    driver, chip = KINDS[kind]
    other = chips.BMP280 if kind == "bme280" else chips.BME280

    def stranger(cls):
        return lambda rig: cls(rig.environment, rig.clock.seconds, address=address)

    return Rig(
        lambda rig: driver(rig.i2c, address),
        lambda rig: chip(rig.environment, rig.clock.seconds, address=address, seed=seed, trim=trim),
        (bmp280,),
        SCENES,
        [TOLERANCE[name] for name, unit in driver.CHANNELS],
        strangers=(
            stranger(other),
            lambda rig: Registers(address, {0xD0: 0x61}),  # a BME680
            lambda rig: Registers(address, {0xD0: 0x55}, 0x80),  # a BMP180
        ),
        twin=lambda rig: chip(rig.environment, rig.clock.seconds, address=address, seed=seed + 1),
        patience_ms=60,
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("1M")
def test_survives(fault, kind):
    faultsuite.check(fault, lambda: make_rig(kind))


def test_channels_are_those_of_the_contract():
    assert bmp280.BMP280.CHANNELS == (("temperature", "°C"), ("pressure", "hPa"))
    assert bme280.BME280.CHANNELS == (("temperature", "°C"), ("humidity", "%"), ("pressure", "hPa"))


def test_worked_example_of_the_datasheet():
    # BST-BMP280-DS001, 3.12: 25.08 °C, 100653.27 Pa
    words = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000, 0)
    c = bmp280.calibration(struct.pack("<HhhHhhhhhhhhxB", *words))
    assert c == words
    celsius = bmp280.temperature(c, 519888)
    assert celsius == pytest.approx(25.0825, abs=0.00005)
    assert bmp280.pressure(c, 415148, celsius * 5120) == pytest.approx(1006.5327, abs=0.0005)
    frame = b"\x00\x24\xa0\x00" + bytes((415148 >> 12, 415148 >> 4 & 255, 415148 << 4 & 240))
    frame += bytes((519888 >> 12, 519888 >> 4 & 255, 519888 << 4 & 240))
    assert bmp280.decode(c, frame) == pytest.approx((25.0825, 1006.5327), abs=0.0005)


def test_t1_and_p1_are_unsigned_and_the_rest_is_signed():
    words = (65535, -32768, -1, 40000, -2, -3, -4, -5, -6, -7, -8, -9, 255)
    assert bmp280.calibration(struct.pack("<HhhHhhhhhhhhxB", *words)) == words


@pytest.mark.parametrize("h4", (-2048, -1, 0, 0x123, 2047))
@pytest.mark.parametrize("h5", (-2048, -16, -1, 0x12, 2047))
def test_h4_and_h5_are_signed_and_share_a_nibble(h4, h5):
    block = struct.pack("<hBbBbb", 362, 250, h4 >> 4, h4 & 15 | (h5 & 15) << 4, h5 >> 4, -30)
    assert bme280.calibration(block) == (362, 250, h4, h5, -30)


@pytest.mark.parametrize("seed", (1, 2, 3))
@pytest.mark.parametrize("kind", sorted(KINDS))
@harness.heap("512K")
def test_grid_against_the_chip(kind, seed):
    rig = make_rig(kind, seed, address=0x77)
    for celsius in (-40, -12.34, -0.01, 0, 25.3, 61.7, 85):
        for percent in (0, 3.2, 50, 96.7, 100):
            for hectopascal in (300, 612.7, 1013.25, 1100):
                rig.environment.set(temperature=celsius, humidity=percent, pressure=hectopascal)
                rig.check_values(rig.driver.measure())


@pytest.mark.parametrize(
    "trim, percents",
    (
        ({"H4": -50, "H5": -350}, (45, 60, 95)),
        ({"H4": 420, "H5": 1200, "H6": -30}, (5, 40, 80)),
        ({"H3": 12, "H6": 30}, (5, 40, 80)),
        ({"T3": 50, "P6": -7}, (5, 40, 80)),
    ),
    ids=("negative", "large", "H3", "T3"),
)
@harness.heap("512K")
def test_unusual_trimming(trim, percents):
    rig = make_rig("bme280", trim=trim)
    for celsius in (-15, 5.5, 48.25):
        for percent in percents:
            rig.environment.set(temperature=celsius, humidity=percent, pressure=990)
            rig.check_values(rig.driver.measure())


@harness.heap("512K")
def test_a_reading_is_two_transfers():
    rig = make_rig("bme280")
    rig.must_read()
    assert rig.transfers_of_attempt() == 2


@harness.heap("512K")
def test_waits_as_long_as_the_slowest_chip_takes():
    rig = make_rig("bme280")
    for osrs_t in (1, 2):
        assert rig.chip.duration(osrs_t, 1, 1) * 1000 < rig.driver.start() <= 15
        assert rig.chip._running == (3 - osrs_t, 1, 1)
        rig.clock.sleep_ms(15)


@pytest.mark.parametrize(
    "lie, said",
    (
        ({0xF7: 0x80, 0xF8: 0, 0xF9: 0}, "0x80000"),
        ({0xFA: 0x80, 0xFB: 0, 0xFC: 0}, "0x80000"),
        ({0xFD: 0x80, 0xFE: 0}, "0x8000"),
        ({0xF7: 0, 0xF8: 0, 0xF9: 0}, "no measurement"),
        ({0xF7: 0xFF, 0xF8: 0xFF, 0xF9: 0}, "no measurement"),
        ({0xFA: 0, 0xFB: 0, 0xFC: 0xF0}, "no measurement"),
        ({0xFA: 0xFF, 0xFB: 0xFF, 0xFC: 0xF0}, "no measurement"),
        ({0xFD: 0, 0xFE: 0}, "no measurement"),
        ({0xFD: 0xFF, 0xFE: 0xFF}, "no measurement"),
        ({0xFA: 0x20}, "out of range"),
        ({0xFA: 0xD0}, "out of range"),
        ({0xF7: 0x20}, "out of range"),
        ({0xF7: 0xF0}, "out of range"),
        ({0xF3: 0x08}, "never finishes"),
        ({0xF3: 0x01}, "never finishes"),
        ({0xF3: 0xFF}, "never finishes"),
        ({0xF5: 0x00}, "lost its settings"),
        ({0xF4: 0x00}, "lost its settings"),
        ({0xF4: 0xFC}, "lost its settings"),
    ),
    ids=lambda lie: "-".join("{:02x}{:02x}".format(*pair) for pair in sorted(lie.items())),
)
@harness.heap("512K")
def test_refuses_results_that_cannot_be(lie, said):
    rig = make_rig("bme280")
    rig.must_read()
    rig.chip.lie = lie
    rig.must_fail()
    assert said in rig.said, rig.said
    rig.chip.lie = {}
    rig.must_recover()


@pytest.mark.parametrize("low, high", ((0x88, 0xA1), (0xE1, 0xE7)))
@pytest.mark.parametrize("byte", (0x00, 0xFF))
@harness.heap("512K")
def test_refuses_a_blank_calibration(low, high, byte):
    rig = make_rig("bme280")
    rig.chip.lie = dict.fromkeys(range(low, high + 1), byte)
    rig.must_fail()
    assert "calibration" in rig.said
    rig.chip.lie = {}
    rig.must_recover()


@pytest.mark.parametrize("kind", sorted(KINDS))
@harness.heap("512K")
def test_whatever_state_the_chip_was_left_in(kind):
    rig = make_rig(kind)
    rig.chip.write(b"\xf2\x05\xf5\x1c\xf4\xb7")  # normal mode, filter on, all × 16
    rig.clock.sleep_ms(1000)
    rig.chip.spoil()
    rig.must_read()


@harness.heap("512K")
def test_a_poll_ends_when_ticks_wrap_and_when_they_stand_still():
    for wrap_after_ms in range(0, 40, 2):
        rig = make_rig("bmp280")
        rig.clock.wrap_after(wrap_after_ms)
        rig.must_read()
        rig.chip.lie = {0xF3: 0x08}
        rig.must_fail()
    rig = make_rig("bmp280")
    rig.must_read()
    rig.chip.lie = {0xF3: 0x08}
    rig.driver.start()
    rig.clock.ticks_ms = lambda: 7
    with pytest.raises(SensorError, match="never finishes"):
        rig.driver.read()
    assert rig.bus.transfers < 2000


@harness.heap("512K")
def test_a_division_by_zero_is_a_sensor_error():
    rig = make_rig("bme280")
    rig.chip.lie = {0x8E: 0, 0x8F: 0}  # P1
    rig.must_fail()
    assert "nonsense" in rig.said, rig.said


@harness.heap("512K")
def test_names_the_other_chip():
    rig = make_rig("bme280")
    rig.bus.chips[0] = chips.BMP280(rig.environment, rig.clock.seconds)
    with pytest.raises(SensorError, match="BME280 at 0x76: chip id 0x58"):
        rig.driver.start()


@harness.heap("512K")
def test_errors_say_chip_trouble_and_remedy():
    rig = make_rig("bme280", address=0x77)
    rig.bus.unplug(0x77)
    with pytest.raises(OSError, match="BME280 at 0x77: no answer .*: check wiring, supply and address"):
        rig.driver.measure()
    rig.bus.stuck = True
    with pytest.raises(SensorError, match="BME280 at 0x77: bus stuck"):
        rig.driver.measure()
    rig.bus.heal()
    rig.chip.lie = {0xD0: 0x60, 0xF3: 1}
    with pytest.raises(SensorError, match="stays in reset"):
        rig.driver.start()
