"""MAX17048: units, what it says before its first measurement, exchanged cells, look-alikes, the fault suite."""

import faultsuite
import harness
import pytest
from drivers import SensorError, max17048
from faultsuite import Registers, Rig
from tagonode.virtual.bus import Nack
from tagonode.virtual.chips import max17048 as chips


def scene(voltage, percent):
    return {"voltage": voltage, "battery": voltage, "state_of_charge": percent}


SCENES = (scene(3.912, 71.4), scene(3.45, 8.25), scene(4.187, 99.5))


class SlowRig(Rig):
    """A cell changes slowly, and the chip looks at it four times a second."""

    def set_scene(self):
        super().set_scene()
        self.clock.sleep_ms(260)


def make_rig():
    def made(rig):
        return chips.MAX17048(rig.environment, rig.clock.seconds)

    def exchanged(rig):
        chip = made(rig)
        chip.power_on()
        return chip

    return SlowRig(
        lambda rig: max17048.MAX17048(rig.i2c),
        made,
        (),
        SCENES,
        (0.00016, 0.002),  # half a step of 312.5 µV (four conversions of 12 bits), and of 1/256 %
        strangers=(
            lambda rig: chips.MAX17048(rig.environment, rig.clock.seconds, version=0x0003),  # a MAX17043
            lambda rig: Registers(0x36),
            lambda rig: Registers(0x36, {}, 0xFF),
        ),
        twin=exchanged,
        patience_ms=210,
    )


@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("512K")
def test_survives(fault):
    faultsuite.check(fault, make_rig)


def test_channels():
    assert max17048.MAX17048.CHANNELS == (("voltage", "V"), ("state_of_charge", "%"))


@pytest.mark.parametrize(
    "vcell, soc, values",
    ((0xC800, 0x6400, (4.0, 100.0)), (0x8000, 0x0001, (2.56, 0.00390625)), (0xD2F0, 0x3280, (4.21875, 50.5))),
)
def test_units_of_the_datasheet(vcell, soc, values):
    """78.125 µV a bit of VCELL, 1/256 % a bit of SOC."""
    assert max17048.decode(vcell, soc) == pytest.approx(values, abs=1e-9)
    assert max17048.decode(vcell, soc)[0] == pytest.approx(vcell * 78.125e-6, rel=1e-12)


def test_a_full_cell_is_full():
    assert max17048.decode(0xD000, 0x6580)[1] == 100.0


@pytest.mark.parametrize("vcell, soc", ((0, 0), (0xFFFF, 0x6400), (0xC800, 0xFFFF), (0, 0xFFFF), (0x6400, 0x1000)))
def test_refuses_what_is_no_measurement(vcell, soc):
    with pytest.raises(SensorError, match="no measurement"):
        max17048.decode(vcell, soc)


def test_grid_against_the_chip():
    rig = make_rig()
    rig.must_read()
    for volts in (2.5, 3.0, 3.7, 4.2, 4.5):
        for percent in (0, 0.004, 33.3, 100):
            rig.environment.set(**scene(volts, percent))
            rig.clock.sleep_ms(260)
            rig.check_values(rig.driver.measure())


def test_waits_for_the_first_measurement_after_power_on():
    rig = make_rig()
    rig.bus.power_on()
    wait_ms = rig.driver.start()
    rig.clock.sleep_ms(10)
    with pytest.raises(SensorError, match="MAX17048 at 0x36: 0.000 V, 0 % is no measurement"):
        rig.driver.read()
    rig = make_rig()
    rig.bus.power_on()
    assert rig.driver.start() == wait_ms == 200
    rig.clock.sleep_ms(wait_ms)
    rig.check_values(rig.driver.read())
    assert rig.driver.start() == 0


def test_an_empty_cell_is_a_reading():
    rig = make_rig()
    rig.environment.set(**scene(2.9, 0))
    rig.clock.sleep_ms(260)
    assert rig.driver.measure()[1] == 0


def test_an_exchanged_cell_costs_one_reading():
    rig = make_rig()
    rig.must_read()
    rig.bus.power_on()
    rig.clock.sleep_ms(5000)
    rig.must_fail()
    assert "lost its power" in rig.said
    rig.must_read()


def test_leaves_the_other_flags_of_status_alone():
    rig = make_rig()
    rig.bus.power_on()
    rig.bus.transfer(0x36, b"\x1a\x41\x00", 0)  # EnVR and RI
    rig.must_read()
    assert rig.bus.transfer(0x36, b"\x1a", 2) == b"\x40\x00"


def test_never_quick_starts():
    rig = make_rig()
    written = []
    write = rig.chip.write

    def spy(data):
        written.append(bytes(data))
        write(data)

    rig.chip.write = spy
    for _ in range(3):
        rig.must_read()
    rig.bus.power_on()
    rig.must_fail()
    rig.must_recover()
    assert not [data for data in written if data[0] in (0x06, 0xFE) and len(data) > 1]


def test_one_that_was_put_to_sleep_is_woken():
    """By whoever had it before: what it measured last is still there, and no reading."""
    rig = make_rig()
    rig.must_read()
    rig.bus.transfer(0x36, b"\x06\x20\x00", 0)
    rig.bus.transfer(0x36, b"\x0c\x97\x9c", 0)
    rig.environment.set(**scene(3.5, 20))
    rig.clock.sleep_ms(5000)
    rig.must_fail()
    assert "asleep" in rig.said
    assert rig.bus.transfer(0x36, b"\x0c", 2) == b"\x97\x1c"  # its other bits are as they were
    rig.clock.sleep_ms(1000)
    rig.must_read()


def test_hibernation():
    """While nothing happens it looks every 45 s: a reading is that old at most, and none the worse."""
    rig = make_rig()
    rig.environment.set(**scene(3.9, 70))
    for _ in range(8):
        rig.clock.sleep_ms(60000)
        assert rig.driver.measure()[1] == 70
    assert rig.chip.hibernating
    rig.environment.set(**scene(3.7, 50))
    rig.clock.sleep_ms(46000)
    rig.check_values(rig.driver.measure())
    assert not rig.chip.hibernating


def test_the_chips_commands():
    """Of the simulated chip: its reset is not acknowledged, a quick-start estimates afresh, single bytes do nothing."""
    rig = make_rig()
    chip = rig.chip
    chip.write(b"\x0c\x97\x3c")
    with pytest.raises(Nack):
        chip.write(b"\xfe\x54\x00")
    assert rig.bus.transfer(0x36, b"\x0c", 2) == b"\x97\x1c"
    assert rig.bus.transfer(0x36, b"\x1a", 2) == b"\x01\x00"
    rig.bus.transfer(0x36, b"\x1a\x00", 0)
    assert rig.bus.transfer(0x36, b"\x1a", 2) == b"\x01\x00"
    rig.clock.sleep_ms(200)
    assert rig.bus.transfer(0x36, b"\x04", 2) == b"\x47\x66"
    rig.environment.set(state_of_charge=50)
    chip.write(b"\x06\x40\x00")
    rig.clock.sleep_ms(50)
    assert rig.bus.transfer(0x36, b"\x04", 2) == b"\x00\x00"
    rig.clock.sleep_ms(150)
    assert rig.bus.transfer(0x36, b"\x04", 2) == b"\x32\x00"
