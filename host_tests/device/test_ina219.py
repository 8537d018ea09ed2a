"""INA219: the datasheet's example, signs, ranges, stale results, the fault suite."""

import faultsuite
import harness
import pytest
from drivers import SensorError, ina219
from faultsuite import Registers, Rig
from tagonode.virtual.chips import ina219 as chips


def scene(voltage, current):
    return {"voltage": voltage, "current": current, "power": voltage * current}


SCENES = (scene(5.02, 0.1832), scene(3.712, -0.5), scene(18.4, 2.9))
# Half a step of 4 mV and of 10 µV at 0.1 Ω, and what both make of the power.
TOLERANCE = (0.00201, 0.0000501, 0.0068)


def make_rig(address=0x40, pace=1.0, shunt_ohms=0.1, max_amperes=3.2):
    def made(rig):
        return chips.INA219(rig.environment, rig.clock.seconds, address, pace, shunt_ohms)

    return Rig(
        lambda rig: ina219.INA219(rig.i2c, address, shunt_ohms, max_amperes),
        made,
        (),
        SCENES,
        TOLERANCE,
        strangers=(
            lambda rig: Registers(address),
            lambda rig: Registers(address, {}, 0xFF),
            # memory that happens to say where CNVR is looked for that a result is there
            lambda rig: Registers(address, {2: 0x10, 3: 0x02}),
        ),
        twin=made,
        patience_ms=100,
    )


@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("512K")
def test_survives(fault):
    faultsuite.check(fault, make_rig)


def test_channels():
    assert ina219.INA219.CHANNELS == (("voltage", "V"), ("current", "A"), ("power", "W"))


def test_the_datasheets_example():
    """9.2.2, table 8: 12 V at a load that drops 20 mV over 2 mΩ: bus register 0x5D98, shunt register 0x07D0, 10 A."""
    assert ina219.decode(0x5D98, 0x07D0, 0.002, 32000) == pytest.approx((11.98, 10.0, 119.8), abs=1e-9)


@pytest.mark.parametrize(
    "shunt, millivolts",
    ((0x7CFF, 319.99), (0x0001, 0.01), (0, 0.0), (0xFFFF, -0.01), (0x8301, -319.99), (0xC180, -160.0)),
)
def test_the_shunts_voltage_is_signed(shunt, millivolts):
    assert ina219.decode(8 << 3 | 2, shunt, 1.0, 32000)[1] == pytest.approx(millivolts / 1000, abs=1e-9)


def test_the_bus_voltage_has_13_bits_above_three_of_state():
    # 4 mV a bit; CNVR set or not changes nothing
    for state in (0, 2, 4, 6):
        assert ina219.decode(0x1F3F << 3 | state, 0, 0.1, 32000)[0] == pytest.approx(31.996, abs=1e-9)
        assert ina219.decode(1 << 3 | state, 0, 0.1, 32000)[0] == pytest.approx(0.004, abs=1e-9)


@pytest.mark.parametrize("bus, shunt", ((8 << 3 | 3, 0), (8000 << 3 | 2, 0), (0xFFFE, 0), (66, 32000), (66, 0x8300)))
def test_refuses_overflow_and_rails(bus, shunt):
    with pytest.raises(SensorError, match="beyond its range"):
        ina219.decode(bus, shunt, 0.1, 32000)


@pytest.mark.parametrize("pace", (0.0, 1.0))
def test_grid_against_the_chip(pace):
    rig = make_rig(0x4F, pace)
    for volts in (0, 0.004, 3.3, 12.0, 26.0):
        for amperes in (-3.1999, -0.0001, 0, 0.0001, 0.5, 3.1999):
            rig.environment.set(**scene(volts, amperes))
            rig.check_values(rig.driver.measure())


@pytest.mark.parametrize(
    "shunt_ohms, max_amperes, gain, reach",
    (
        (0.1, 3.2, 3, 3.2),
        (0.1, 1.6, 2, 1.6),
        (0.1, 0.8, 1, 0.8),
        (0.1, 0.4, 0, 0.4),
        (0.01, 4, 0, 4.0),
        (0.1, 99, 3, 3.2),
    ),
)
def test_the_range_follows_the_largest_current(shunt_ohms, max_amperes, gain, reach):
    rig = make_rig(shunt_ohms=shunt_ohms, max_amperes=max_amperes)
    for amperes in (-0.999 * reach, 0.999 * reach):
        rig.environment.set(**scene(5, amperes))
        assert rig.driver.measure()[1] == pytest.approx(amperes, abs=0.000501 * 0.01 / shunt_ohms)
    assert rig.bus.transfer(0x40, b"\x00", 2)[0] >> 3 & 3 == gain
    for amperes in (-1.01 * reach, 1.01 * reach):
        rig.environment.set(**scene(5, amperes))
        with pytest.raises(SensorError, match="INA219 at 0x40: beyond its range .*max_amperes"):
            rig.driver.measure()


def test_zero_is_a_reading():
    rig = make_rig()
    rig.environment.set(**scene(0, 0))
    for _ in range(3):
        assert rig.driver.measure() == (0, 0, 0)


def test_a_result_of_before_is_no_result():
    """Its trigger is lost, the settings are the same, and CNVR would still be set."""
    rig = make_rig()
    rig.must_read()
    rig.must_read()
    rig.bus.lose_at(3)
    rig.must_fail()
    assert "never finishes" in rig.said
    rig.must_recover()


def test_works_after_somebody_else_left_it_calibrated():
    rig = make_rig()
    rig.bus.transfer(0x40, b"\x05\xff\xfe", 0)
    rig.must_read()
    assert rig.bus.transfer(0x40, b"\x05", 2) == b"\x00\x00"


def test_it_powers_down_between_readings():
    rig = make_rig()
    rig.must_read()
    before = rig.bus.transfer(0x40, b"\x02", 2)
    rig.set_scene()
    rig.clock.sleep_ms(1000)
    assert rig.bus.transfer(0x40, b"\x02", 2) == before


def test_the_chips_own_arithmetic():
    """Of the simulated chip, by table 8 of the datasheet: 10 A of 1 mA a bit, 119.8 W of 20 mW a bit."""
    rig = make_rig(shunt_ohms=0.002)
    rig.environment.set(voltage=11.98, current=10.0)
    rig.bus.transfer(0x40, b"\x05\x50\x00", 0)
    rig.clock.sleep_ms(3)
    rig.bus.transfer(0x40, b"\x00\x39\x98", 0)  # power-down: the results stay
    assert rig.bus.transfer(0x40, b"\x02", 2) == b"\x5d\x9a"
    assert rig.bus.transfer(0x40, b"\x04", 2) == b"\x27\x10"
    assert rig.bus.transfer(0x40, b"\x03", 2) == b"\x17\x66"
    # CNVR is cleared by that, until the next conversion; a calibration too large overflows
    assert rig.bus.transfer(0x40, b"\x02", 2) == b"\x5d\x98"
    rig.bus.transfer(0x40, b"\x00\x39\x9f", 0)
    rig.bus.transfer(0x40, b"\x05\xff\xfe", 0)
    rig.environment.set(current=150.0)
    rig.clock.sleep_ms(3)
    assert rig.bus.transfer(0x40, b"\x02", 2)[1] & 3 == 3
