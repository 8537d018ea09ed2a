"""ADS1115: two's complement, ranges, four inputs in turn, results of the input before, the fault suite."""

import faultsuite
import harness
import pytest
from drivers import SensorError, ads1115
from faultsuite import Registers, Rig
from tagonode.virtual.chips import ads1115 as chips


class Words:
    """A chip of 16-bit registers that keep what is written, as many a thermometer at 0x48 has them."""

    def __init__(self, address):
        self.address = address
        self._registers = {0: 0x0C80}
        self._pointer = 0

    def power_on(self):
        pass

    def write(self, data):
        if data:
            self._pointer = data[0]
        if len(data) == 3:
            self._registers[data[0]] = data[1] << 8 | data[2]

    def read(self, length):
        word = self._registers.get(self._pointer, 0)
        return bytes((word >> 8, word & 0xFF))[:length]


def scene(*volts):
    return {f"voltage_{i}": v for i, v in enumerate(volts)}


SCENES = (scene(0.5, 1.204, 3.301, 0.002), scene(4.05, 0.0, 2.2, -0.004), scene(1.1, 3.3, 0.9, 2.7))


def make_rig(address=0x48, full_scale=4.096, pace=1.0):
    def made(rig):
        return chips.ADS1115(rig.environment, rig.clock.seconds, address, pace)

    return Rig(
        lambda rig: ads1115.ADS1115(rig.i2c, address, full_scale),
        made,
        (ads1115,),
        SCENES,
        4 * (0.501 * full_scale / 32768,),
        strangers=(
            lambda rig: Registers(address),
            lambda rig: Registers(address, {}, 0xFF),
            lambda rig: Words(address),
        ),
        twin=made,
        patience_ms=100,
    )


@pytest.mark.parametrize("pace", (0.0, 1.0))
@pytest.mark.parametrize("fault", faultsuite.FAULTS)
@harness.heap("512K")
def test_survives(fault, pace):
    faultsuite.check(fault, lambda: make_rig(pace=pace))


def test_channels():
    channels = ads1115.ADS1115.CHANNELS
    assert channels == (("voltage_0", "V"), ("voltage_1", "V"), ("voltage_2", "V"), ("voltage_3", "V"))


@pytest.mark.parametrize(
    "word, volts",
    ((0x7FFE, 2.047875), (0x4000, 1.024), (1, 0.0000625), (0, 0.0), (0xFFFF, -0.0000625), (0xF000, -0.256)),
)
def test_codes_of_the_datasheet(word, volts):
    """9.5.4: two's complement, the upper rail at FS · (2^15 - 1) / 2^15."""
    assert ads1115.decode(word, 2.048) == pytest.approx(volts, abs=1e-9)


@pytest.mark.parametrize("word", (0x7FFF, 0x8000, 0x8001, 0xED00))
def test_refuses_rails_and_what_no_input_can_carry(word):
    with pytest.raises(SensorError, match="out of range"):
        ads1115.decode(word, 2.048)


def test_refuses_the_lower_rail_of_a_small_range():
    assert ads1115.decode(0x8001, 0.256) == pytest.approx(-0.256, abs=0.00001)
    with pytest.raises(SensorError, match="out of range"):
        ads1115.decode(0x8000, 0.256)


@pytest.mark.parametrize("full_scale", (6.144, 4.096, 2.048, 1.024, 0.512, 0.256))
def test_grid_against_the_chip(full_scale):
    rig = make_rig(0x4B, full_scale)
    for i, share in enumerate((0, 0.0001, 0.25, 0.5, 0.75, 0.9999)):
        for volts in (share * full_scale, -0.2 * share):
            values = [1.0 * full_scale * (n + 1) / 5 for n in range(4)]
            values[i % 4] = volts
            rig.environment.set(**scene(*values))
            rig.check_values(rig.driver.measure())


def test_a_range_there_is_not():
    with pytest.raises(ValueError, match="full_scale: choose 6.144, 4.096"):
        ads1115.ADS1115(None, full_scale=3.3)


@pytest.mark.parametrize("channel", range(4))
def test_an_input_out_of_range(channel):
    rig = make_rig(full_scale=1.024)
    values = [0.5, 0.5, 0.5, 0.5]
    values[channel] = 3.3
    rig.environment.set(**scene(*values))
    with pytest.raises(SensorError, match="ADS1115 at 0x48: 1.024 V is out of range"):
        rig.driver.measure()


@pytest.mark.parametrize("channel", range(4))
def test_a_result_of_the_input_before_is_no_result(channel):
    """The trigger of one input is lost: the chip still has the result, and the settings, of the one before."""
    rig = make_rig()
    rig.must_read()
    rig.bus.lose_at(1 + 3 * channel)  # trigger, configuration, conversion
    rig.must_fail()
    assert "lost its settings" in rig.said
    rig.must_recover()


def test_power_lost_just_before_a_result_is_fetched():
    """It would be 0 V, with the settings seen a moment before."""
    for n in range(4):
        rig = make_rig()
        rig.must_read()

        def dip():
            rig.bus.power_on()  # noqa: B023 - called at once
            rig.clock.sleep_ms(1)  # noqa: B023

        rig.bus.at(3 + 3 * n, dip)
        rig.must_fail()
        rig.must_recover()


def test_looks_whether_it_is_done():
    """A chip as slow as the datasheet lets it, and slower: OS says when."""
    rig = make_rig(pace=1.0)
    rig.must_read()
    rig.chip._pace = 2.5  # 60 % of the rate: 6.7 ms
    rig.must_read()
    rig.chip._pace = 4.9
    rig.must_fail()
    assert "never finishes" in rig.said


def test_read_is_short():
    rig = make_rig()
    rig.must_read()
    rig.clock.sleep_ms(rig.driver.start())
    before = rig.clock.us
    rig.driver.read()
    assert rig.clock.us - before < 20000


def test_differences_and_continuous_conversion():
    """Of the simulated chip: MUX 0 … 3 are differences, and without the single-shot bit it never ends."""
    rig = make_rig()
    rig.environment.set(**scene(1.0, 1.5, 0.25, 0.0))
    for mux, volts in enumerate((-0.5, 1.0, 1.5, 0.25)):
        rig.bus.transfer(0x48, bytes((1, 0x82 | mux << 4, 0xE3)), 0)
        assert not rig.bus.transfer(0x48, b"\x01", 2)[0] & 0x80
        rig.clock.sleep_ms(2)
        assert not rig.bus.transfer(0x48, b"\x01", 2)[0] & 0x80
        word = int.from_bytes(rig.bus.transfer(0x48, b"\x00", 2), "big")
        assert word == int(volts * 8000) & 0xFFFF
