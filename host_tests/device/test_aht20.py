"""AHT20 and AHT10: formulas with their extremes, calibration, stale results, the fault suite."""

import faultsuite
import harness
import pytest
from drivers import SensorError, aht20
from drivers.sensirion import crc8
from faultsuite import Registers, Rig
from tagonode.virtual.chips import aht20 as chips

SCENES = (
    {"temperature": 21.5, "humidity": 45.0},
    {"temperature": -17.3, "humidity": 91.0},
    {"temperature": 38.9, "humidity": 12.5},
)
KINDS = {"aht20": (aht20.AHT20, chips.AHT20), "aht10": (aht20.AHT10, chips.AHT10)}


class PortExpander(Registers):
    """A PCF8574A: reads give the byte last written, for ever."""

    def write(self, data):
        if data:
            self._rest = data[-1]


def make_rig(kind):
    driver, chip = KINDS[kind]

    def made(cls):
        return lambda rig: cls(rig.environment, rig.clock.seconds)

    return Rig(
        lambda rig: driver(rig.i2c),
        made(chip),
        (aht20,),
        SCENES,
        (0.0002, 0.0001),  # half a step of 20 bits
        strangers=(
            lambda rig: Registers(0x38),
            lambda rig: Registers(0x38, {}, 0x1C),
            lambda rig: PortExpander(0x38),
        ),
        twin=made(chip),
        crc=kind == "aht20",
        patience_ms=250,
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("512K")
def test_survives(fault, kind):
    faultsuite.check(fault, lambda: make_rig(kind))


def test_channels():
    assert aht20.AHT20.CHANNELS == aht20.AHT10.CHANNELS == (("temperature", "°C"), ("humidity", "%"))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_grid_against_the_chip(kind):
    rig = make_rig(kind)
    for celsius in (-40, -20.01, -0.004, 0, 21.37, 85):
        for percent in (0.1, 0.5, 33.3, 99.9):
            rig.environment.set(temperature=celsius, humidity=percent)
            rig.check_values(rig.driver.measure())


def test_formulas():
    # 6.1 and 6.2, by arithmetic: half and three eighths of the range
    assert aht20.decode(b"\x18\x80\x00\x06\x00\x00") == pytest.approx((25.0, 50.0), abs=1e-9)


@pytest.mark.parametrize(
    "data",
    (bytes(5), b"\xff" * 5, b"\x80\x00\x00\x00\x00", b"\x00\x00\x06\x00\x00"),
)
def test_refuses_rails(data):
    with pytest.raises(SensorError, match="no measurement"):
        aht20.decode(b"\x18" + data)


@pytest.mark.parametrize(
    "status, said", ((0x98, "does not start|never finishes"), (0x10, "not calibrated|does not start"))
)
def test_status(status, said):
    rig = make_rig("aht20")
    rig.must_read()
    frame = bytes((status,)) + b"\x80\x00\x06\x00\x00"
    rig.chip.lie = frame + bytes((crc8(frame, 0, 6),))
    rig.must_fail()
    rig.must_fail()
    rig.chip.lie = None
    rig.must_recover()


def test_loses_its_calibration_while_measuring():
    rig = make_rig("aht10")
    rig.must_read()
    rig.must_fail(between=rig.bus.power_on)
    rig.must_recover()
