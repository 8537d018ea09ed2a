"""BH1750: the worked example, darkness told from a dead chip, too much light, the fault suite."""

import faultsuite
import harness
import pytest
from drivers import SensorError, bh1750
from faultsuite import Registers, Rig
from tagonode.virtual.chips import bh1750 as chips

SCENES = ({"illuminance": 312.5}, {"illuminance": 28000.0}, {"illuminance": 17.5})


class PortExpander(Registers):
    """A PCF8574: reads give the byte last written, for ever."""

    def write(self, data):
        if data:
            self._rest = data[-1]


def make_rig(address=0x23):
    def made(rig):
        return chips.BH1750(rig.environment, rig.clock.seconds, address)

    return Rig(
        lambda rig: bh1750.BH1750(rig.i2c, address),
        made,
        (bh1750,),
        SCENES,
        (0.84,),  # a count
        strangers=(lambda rig: PortExpander(address), lambda rig: Registers(address, {}, 0xFF)),
        twin=made,
    )


@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("512K")
def test_survives(fault):
    faultsuite.check(fault, make_rig)


def test_channels():
    assert bh1750.BH1750.CHANNELS == (("illuminance", "lx"),)


def test_worked_example_of_the_datasheet():
    rig = make_rig()
    rig.chip._convert = lambda at: setattr(rig.chip, "_result", 0x8390)
    assert rig.driver.measure() == pytest.approx((28066.67,), abs=0.01)


def test_grid_against_the_chip():
    rig = make_rig(0x5C)
    for lux in (0, 0.5, 1, 4, 54, 1234.5, 14000, 54000):
        rig.environment.set(illuminance=lux)
        rig.check_values(rig.driver.measure())


def test_darkness_is_a_reading():
    rig = make_rig()
    rig.must_read()
    for _ in range(3):
        rig.environment.set(illuminance=0)
        assert rig.driver.measure() == (0.0,)


def test_beyond_its_reach():
    rig = make_rig()
    rig.environment.set(illuminance=60000)
    with pytest.raises(SensorError, match="too bright"):
        rig.driver.measure()


def test_sets_the_measurement_time_that_somebody_changed():
    for opcodes in (b"\x47\x7e", b"\x40\x7f", b"\x42\x7f", b"\x47\x65"):
        rig = make_rig()
        rig.chip.write(opcodes)
        rig.must_read()


def test_an_instruction_that_is_not_acknowledged():
    class I2C:
        def writeto(self, address, data):
            return 0

    with pytest.raises(SensorError, match="BH1750 at 0x23: refuses an instruction"):
        bh1750.BH1750(I2C()).start()
