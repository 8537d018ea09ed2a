"""DS18B20: worked examples, ROM addresses, resolutions, the fault suite; bit by bit on a simulated wire."""

from onewire import OneWire

import harness
import pytest
import wirefaults
from drivers import SensorError, ds18b20
from tagonode.virtual.chips import ds18b20 as chips
from tagonode.virtual.wires import DirectPin, OneWireBus
from wirefaults import WireRig

ROM = chips.rom_code(1)
SCENES = ({"temperature": 21.4375}, {"temperature": -10.125}, {"temperature": 84.9375})
# datasheet, table 1
EXAMPLES = (
    (0x07D0, 125),
    (0x0191, 25.0625),
    (0x00A2, 10.125),
    (0x0008, 0.5),
    (0x0000, 0),
    (0xFFF8, -0.5),
    (0xFF5E, -10.125),
    (0xFE6F, -25.0625),
    (0xFC90, -55),
)


def make_rig(address=ROM, resolution=12, **options):
    options.setdefault("stride", 3)
    return WireRig(
        lambda rig: ds18b20.DS18B20(OneWire(DirectPin(rig.bus)), address, resolution),
        lambda rig: chips.DS18B20(rig.environment, rig.clock.seconds),
        OneWireBus,
        (ds18b20,),
        SCENES,
        (0.033 * 2 ** (12 - resolution),),
        **options,
    )


def found_by_itself():
    return make_rig(None, twin=lambda rig: chips.DS18B20(rig.environment, rig.clock.seconds, seed=9), stride=31)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
@harness.timeout(60)
def test_survives(fault):
    wirefaults.check(fault, make_rig)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
@harness.timeout(60)
def test_without_an_address_survives(fault):
    wirefaults.check(fault, found_by_itself)


def test_channels():
    assert ds18b20.DS18B20.CHANNELS == (("temperature", "°C"),)


@pytest.mark.parametrize("raw, celsius", EXAMPLES)
def test_worked_examples_of_the_datasheet(raw, celsius):
    assert ds18b20.decode(bytes((raw & 0xFF, raw >> 8, 0, 0, 0x7F))) == celsius


def test_says_what_is_wrong():
    rig = make_rig().warm()
    rig.bus.unplug()
    rig.must_fail()
    assert "DS18B20 " + ROM.hex() + ": nobody there: check data wire" in rig.said


def test_bits_that_a_low_resolution_does_not_define():
    for config, celsius in ((0x1F, 25.0), (0x3F, 25.25), (0x5F, 25.375), (0x7F, 25.4375)):
        assert ds18b20.decode(bytes((0x97, 0x01, 0, 0, config))) == celsius
    assert ds18b20.decode(b"\xff\xff\x00\x00\x1f") == -0.5


def test_power_on_value_and_what_no_chip_measures():
    for raw in (0x0550, 0x07D1, 0xFC8F, 0x7FFF, 0x8000):
        with pytest.raises(SensorError, match="°C"):
            ds18b20.decode(bytes((raw & 0xFF, raw >> 8, 0, 0, 0x7F)))


@pytest.mark.parametrize("resolution, wait_ms", ((9, 93.75), (10, 187.5), (11, 375), (12, 750)))
def test_resolutions(resolution, wait_ms):
    rig = make_rig(resolution=resolution)
    assert wait_ms < rig.driver.start() < wait_ms + 20
    for celsius in (-55, -12.34, -0.01, 0, 0.49, 84.9, 125):
        rig.environment.set(temperature=celsius)
        (value,) = rig.driver.measure()
        # the bits left out are cut off, not rounded
        assert -0.0313 <= celsius - value <= 0.0313 + 0.0625 * (2 ** (12 - resolution) - 1)
        assert value * 2 ** (resolution - 8) % 1 == 0, "bits that this resolution does not define"
    with pytest.raises(ValueError, match="9 … 12"):
        ds18b20.DS18B20(None, resolution=13)


def test_scratchpad_of_zeros_passes_the_crc_and_is_no_reading():
    rig = make_rig().warm()
    rig.chip.lie = bytes(9)
    rig.must_fail()
    assert "settings" in rig.said


def test_85_degrees_that_were_never_measured():
    """A chip which keeps its settings and does not measure: power-on value, CRC and settings are right."""
    rig = make_rig().warm()
    rig.chip._temperature = b"\x50\x05"
    rig.chip._advance = lambda: None
    busy = [0]
    rig.chip._status = lambda: busy.pop() if busy else 1
    rig.must_fail()
    assert "85 °C" in rig.said


@pytest.mark.parametrize("pace, late", ((1.1, True), (1.7, True), (2.5, False), (1e9, False)))
def test_one_that_is_slower_than_the_datasheet(pace, late):
    """The result before stays readable: it may not be taken for the new one."""
    rig = make_rig().warm()
    rig.chip._pace = pace
    for celsius in (-3.5, 40.25):
        rig.environment.set(temperature=celsius)
        if late:
            assert rig.driver.measure() == (celsius,)
        else:
            with pytest.raises(SensorError, match="still measures"):
                rig.driver.measure()


def test_a_clone_that_keeps_its_resolution():
    rig = make_rig(resolution=10)
    rig.chip.keeps_resolution = False
    rig.must_fail()
    assert "settings" in rig.said
    rig = make_rig()
    rig.chip.keeps_resolution = False
    rig.warm()


ADDRESSES = (bytes, bytearray, lambda rom: bytes(rom).hex(), lambda rom: int.from_bytes(rom, "big"))


@pytest.mark.parametrize("form", ADDRESSES, ids=("bytes", "bytearray", "text", "int"))
def test_several_on_one_wire(form):
    def others(seed):
        return lambda rig: chips.DS18B20(rig.environment, rig.clock.seconds, seed=seed)

    rig = make_rig(form(chips.rom_code(3)), parts=[others(seed) for seed in (2, 3, 4, 5)])
    rig.warm()
    for part in rig.bus.parts:
        if part.rom != chips.rom_code(3):
            part.lie = b"\x11" * 9
    rig.warm()
    # all of them found, none twice
    pin = DirectPin(rig.bus)
    roms = [bytes(rom) for rom in OneWire(pin).scan()]
    assert sorted(roms) == sorted([part.rom for part in rig.bus.parts])
    # started together, read one after the other
    drivers = [ds18b20.DS18B20(OneWire(pin), part.rom) for part in rig.bus.parts if part.lie is None]
    wait_ms = max([driver.start() for driver in drivers])
    rig.clock.sleep_ms(wait_ms)
    for driver in drivers:
        rig.check_values(driver.read())


def test_without_an_address_several_are_listed():
    rig = make_rig(None, parts=[lambda rig: chips.DS18B20(rig.environment, rig.clock.seconds, seed=2)])
    rig.must_fail()
    for part in rig.bus.parts:
        assert part.rom.hex() in rig.said
    rig.bus.parts.pop()
    rig.must_read()


def test_wrong_addresses():
    for wrong in (ROM[:7] + b"\x00", ROM.hex()[:-1] + "0", b"\x10" + ROM[1:], "28ff", "of the pond", 1 << 65):
        rig = make_rig(wrong)
        rig.must_fail()
    rig = make_rig(chips.rom_code(7))
    rig.must_fail()
    assert chips.rom_code(7).hex() in rig.said


def test_a_chip_of_another_scale():
    """A DS18S20 counts half degrees."""
    rom = chips.rom_code(1, 0x10)
    rig = make_rig(rom)
    rig.chip.rom = rom
    rig.must_fail()
    assert "no address of a DS18B20" in rig.said
    rig.driver = ds18b20.DS18B20(OneWire(DirectPin(rig.bus)))
    rig.must_fail()
    assert "nobody" in rig.said


def test_other_devices_on_the_wire_are_passed_over():
    rig = make_rig(None, parts=[lambda rig: chips.DS18B20(rig.environment, rig.clock.seconds, family=0x2D)])
    rig.warm()
