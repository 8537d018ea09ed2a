"""SCD4X: the worked example, what a measuring chip refuses, readings that are given once, the fault suite."""

import faultsuite
import harness
import pytest
from drivers import SensorError, scd4x
from faultsuite import Registers, Rig
from tagonode.virtual.bus import Nack
from tagonode.virtual.chips import scd4x as chips
from tagonode.virtual.chips import sensirion as wire
from tagonode.virtual.chips import sht3x as sht3x_chip

SCENES = (
    {"co2": 612, "temperature": 21.5, "humidity": 45.0},
    {"co2": 4210, "temperature": -7.3, "humidity": 91.0},
    {"co2": 418, "temperature": 38.9, "humidity": 12.5},
)
EXAMPLE = b"\x01\xf4\x33\x66\x67\xa2\x5e\xb9\x3c"


class SlowRig(Rig):
    """A world that changes slowly, as the chip measures: every 5 s. And it takes 1 s to power up."""

    def set_scene(self):
        super().set_scene()
        self.clock.sleep_ms(5500)

    def must_recover(self):
        self.clock.sleep_ms(1000)
        super().must_recover()


def make_rig(altitude=None, pace=1.0):
    def made(rig):
        return chips.SCD4X(rig.environment, rig.clock.seconds, pace=pace)

    return SlowRig(
        lambda rig: scd4x.SCD4X(rig.i2c, altitude=altitude),
        made,
        (scd4x,),
        SCENES,
        (0.5, 0.0014, 0.0008),  # half a step of 16 bits
        strangers=(
            lambda rig: sht3x_chip.SHT3X(rig.environment, rig.clock.seconds, 0x62),
            lambda rig: Registers(0x62),
            lambda rig: Registers(0x62, {}, 0xFF),
        ),
        twin=made,
        crc=True,
        patience_ms=6100,
    )


@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("512K")
@harness.timeout(60)
def test_survives(fault):
    faultsuite.check(fault, make_rig)


@pytest.mark.parametrize("fault", ("nack", "lost_write", "brown_out", "flipped_bit"))
@harness.heap("512K")
def test_survives_with_an_altitude(fault):
    faultsuite.check(fault, lambda: make_rig(altitude=1600, pace=0.0))


def test_channels():
    assert scd4x.SCD4X.CHANNELS == (("co2", "ppm"), ("temperature", "°C"), ("humidity", "%"))


def test_worked_example_of_the_datasheet():
    assert scd4x.decode(EXAMPLE) == pytest.approx((500, 25.0, 37.0), abs=0.01)
    rig = make_rig()
    rig.chip.lie = EXAMPLE
    assert rig.driver.measure() == scd4x.decode(EXAMPLE)
    rig.chip.lie = None
    rig.must_read()


def test_each_bit_of_the_example_is_protected():
    for bit in range(72):
        frame = bytearray(EXAMPLE)
        frame[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SensorError, match="CRC"):
            scd4x.decode(frame)


@pytest.mark.parametrize("pace", (0.0, 1.0))
def test_grid_against_the_chip(pace):
    rig = make_rig(pace=pace)
    rig.must_read()
    for co2 in (1, 400, 5000, 40000):
        for celsius in (-10, -0.01, 0, 25, 60):
            for percent in (0, 33.3, 100):
                rig.environment.set(co2=co2, temperature=celsius, humidity=percent)
                rig.clock.sleep_ms(5500)
                rig.check_values(rig.driver.measure())


@pytest.mark.parametrize(
    "words", ((0, 0x6667, 0x5EB9), (40001, 0x6667, 0x5EB9), (500, 0, 0x5EB9), (500, 0xFFFF, 0x5EB9))
)
def test_refuses_what_is_no_measurement(words):
    with pytest.raises(SensorError, match="out of range"):
        scd4x.decode(wire.words(*words))


def test_a_reading_is_given_once_and_is_fresh():
    rig = make_rig()
    rig.must_read()
    # at once again: the next result is still to come, and is awaited
    wait_ms = rig.driver.start()
    assert 5000 <= wait_ms <= 6000
    with pytest.raises(SensorError, match="SCD4X at 0x62: does not measure"):
        rig.driver.read()
    rig.must_recover()
    # a result is there already
    rig.clock.sleep_ms(60000)
    assert rig.driver.start() == 0
    rig.driver.read()


def test_the_first_wait_fits_what_a_node_grants():
    rig = make_rig()
    before = rig.clock.us
    wait_ms = rig.driver.start()
    assert wait_ms + (rig.clock.us - before) // 1000 < 6100
    rig.clock.sleep_ms(wait_ms)
    rig.driver.read()


def test_finds_a_chip_that_measures_since_before():
    """The board was reset, the chip was not: it measures on, every 30 s even, and refuses most commands."""
    for start in (b"\x21\xb1", b"\x21\xac"):
        rig = make_rig()
        rig.bus.transfer(0x62, start, 0)
        for command in (start, b"\x36\x82", b"\x24\x27\x00\x00\x81"):
            with pytest.raises(OSError):
                rig.bus.transfer(0x62, command, 0)
        rig.must_read()


def test_a_chip_that_stalls_is_started_again():
    rig = make_rig()
    rig.must_read()
    rig.chip.stalled = True
    rig.must_fail()
    rig.must_fail()
    rig.chip.stalled = False
    rig.must_recover()


def test_only_the_low_bits_tell_that_a_result_is_there():
    rig = make_rig()
    rig.must_read()
    rig.bus.transfer(0x62, b"\xe4\xb8", 0)
    rig.clock.sleep_ms(1)
    assert rig.bus.transfer(0x62, b"", 3) == b"\x80\x00\xa2"
    assert rig.driver.start() > 0


def test_altitude():
    rig = make_rig(altitude=1600)
    rig.must_read()
    assert rig.chip.altitude() == 1600
    rig.bus.power_on()
    assert rig.chip.altitude() == 0
    rig.must_fail()
    rig.must_recover()
    assert rig.chip.altitude() == 1600
    # without the option, what is stored in the chip stays
    rig = make_rig()
    rig.must_read()
    assert rig.chip.altitude() == 0


@pytest.mark.parametrize("altitude", (-1, 3001, 65536))
def test_an_altitude_that_the_chip_is_not_made_for(altitude):
    with pytest.raises(ValueError, match="altitude is 0 … 3000 m"):
        make_rig(altitude)


@pytest.mark.parametrize("altitude", (0, 3000))
def test_the_ends_of_the_altitude(altitude):
    rig = make_rig(altitude)
    rig.must_read()
    assert rig.chip.altitude() == altitude


def test_an_altitude_that_is_not_taken():
    rig = make_rig(altitude=1600)
    command = rig.chip.command

    def forgetful(code, rest):
        done = command(code, rest)
        rig.chip._settings[0x2427] = 0
        return done

    rig.chip.command = forgetful
    rig.must_fail()
    assert "altitude" in rig.said


def test_a_command_cut_short_is_an_error():
    class I2C:
        def writeto(self, address, data):
            return len(data) - 1  # acknowledged bytes, as ports count that do not raise

    with pytest.raises(SensorError, match="SCD4X at 0x62: refuses a command"):
        scd4x.SCD4X(I2C()).start()


def test_the_chip_forgets_and_sleeps():
    """Of the simulated chip: settings last when they are stored, sleep ends with a wake-up that is not acknowledged."""
    rig = make_rig()
    chip = rig.chip

    def tell(command, ms):
        chip.write(command)
        rig.clock.sleep_ms(ms)

    tell(b"\x24\x27" + wire.words(800), 1)
    tell(b"\x36\x15", 800)
    rig.bus.power_on()
    with pytest.raises(Nack):
        chip.write(b"\xe4\xb8")
    rig.clock.sleep_ms(1001)
    assert chip.altitude() == 800
    tell(b"\x36\xe0", 1)
    for command in (b"\xe4\xb8", b"\x36\xf6"):
        with pytest.raises(Nack):
            chip.write(command)
    rig.clock.sleep_ms(21)
    tell(b"\x21\x9d", 5001)
    tell(b"\xec\x05", 2)
    assert scd4x.decode(chip.read(9))[0] == 612
    with pytest.raises(Nack):
        chip.write(b"\x24\x27\x00\x00\x00")  # a wrong CRC
