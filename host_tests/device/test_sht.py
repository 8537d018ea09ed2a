"""SHT4X and SHT3X: the CRC, conversion formulas with their extremes, what they refuse, the fault suite."""

import faultsuite
import harness
import pytest
from drivers import SensorError, sensirion, sht4x
from drivers.sht3x import SHT3X
from drivers.sht4x import SHT4X
from faultsuite import Registers, Rig
from tagonode.virtual.chips import sensirion as wire
from tagonode.virtual.chips import sht3x as sht3x_chip
from tagonode.virtual.chips import sht4x as sht4x_chip

SCENES = (
    {"temperature": 21.5, "humidity": 45.0},
    {"temperature": -17.3, "humidity": 91.0},
    {"temperature": 38.9, "humidity": 12.5},
)
KINDS = {"sht4x": (SHT4X, sht4x_chip.SHT4X), "sht3x": (SHT3X, sht3x_chip.SHT3X)}


def make_rig(kind, address=0x44):
    driver, chip = KINDS[kind]
    other = KINDS["sht3x" if kind == "sht4x" else "sht4x"][1]

    def made(cls):
        return lambda rig: cls(rig.environment, rig.clock.seconds, address)

    return Rig(
        lambda rig: driver(rig.i2c, address),
        made(chip),
        (sht4x,),
        SCENES,
        (0.0014, 0.001),  # half a step of 16 bits
        strangers=(made(other), lambda rig: Registers(address), lambda rig: Registers(address, {}, 0xFF)),
        twin=made(chip),
        crc=True,
        patience_ms=60,
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("512K")
def test_survives(fault, kind):
    faultsuite.check(fault, lambda: make_rig(kind))


def test_channels():
    assert SHT4X.CHANNELS == SHT3X.CHANNELS == (("temperature", "°C"), ("humidity", "%"))


def test_crc_of_the_datasheet():
    assert sensirion.crc8(b"\xbe\xef", 0, 2) == 0x92
    assert wire.words(0xBEEF) == b"\xbe\xef\x92"
    assert sensirion.word(b"\x00\xbe\xef\x92", 1) == 0xBEEF
    for bit in range(24):
        frame = bytearray(b"\xbe\xef\x92")
        frame[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SensorError, match="CRC"):
            sensirion.word(frame, 0)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_grid_against_the_chip(kind):
    rig = make_rig(kind, 0x45)
    for celsius in (-40, -20.01, -0.004, 0, 21.37, 85, 125):
        for percent in (0, 0.5, 33.3, 99.9, 100):
            rig.environment.set(temperature=celsius, humidity=percent)
            rig.check_values(rig.driver.measure())


def test_formulas():
    # SHT4x datasheet 4.6, SHT3x datasheet 4.13, by arithmetic
    assert SHT4X._decode(0x6666, 0x6666) == pytest.approx((25.0, 44.0), abs=1e-9)
    assert SHT3X._decode(0x6666, 0x6666) == pytest.approx((25.0, 40.0), abs=1e-9)


def test_sht4x_cuts_humidity_and_refuses_rails():
    assert SHT4X._decode(0x6666, 1)[1] == 0.0
    assert SHT4X._decode(0x6666, 0xFFFE)[1] == 100.0
    for s_rh in (0, 0xFFFF):
        with pytest.raises(SensorError, match="no measurement"):
            SHT4X._decode(0x6666, s_rh)


def test_sht3x_knows_fog():
    assert SHT3X._decode(0x6666, 0xFFFF)[1] == 100.0


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("s_t", (0, 1, 0xFFFE, 0xFFFF))
def test_refuses_temperatures_out_of_range(kind, s_t):
    with pytest.raises(SensorError, match="out of range"):
        KINDS[kind][0]._decode(s_t, 0x8000)


def test_a_command_cut_short_is_an_error():
    class I2C:
        def writeto(self, address, data):
            return len(data) - 1  # acknowledged bytes, as ports count that do not raise

    with pytest.raises(SensorError, match="SHT3X at 0x44: refuses a command"):
        SHT3X(I2C()).start()
