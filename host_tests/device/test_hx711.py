"""HX711: signed results, rails, gains, a clock that is never high for long, the fault suite; pulse by pulse."""

import harness
import pytest
import wirefaults
from drivers import SensorError, hx711
from tagonode.virtual.chips import hx711 as chips
from tagonode.virtual.wires import ClockAndData, DirectPin
from wirefaults import WireRig

SCENES = ({"weight": 41.25}, {"weight": 0.0}, {"weight": -12.5})


def pins(rig):
    return DirectPin(rig.bus, rig.clock), DirectPin(rig.bus, rig.clock)


def make_rig(gain=128, rate=10.0, offset=84213, scale=21500.0, restart_shows=True):
    share = 1 if gain == 128 else 0.5
    return WireRig(
        lambda rig: hx711.HX711(pins(rig), gain, offset * share, scale * share),
        lambda rig: chips.HX711(rig.environment, rig.clock.seconds, rate=rate),
        ClockAndData,
        (hx711,),
        SCENES,
        (0.0001,),
        twin=lambda rig: chips.HX711(rig.environment, rig.clock.seconds, rate=rate),
        crc=False,
        patience_ms=700,
        stride=2,
        rest_ms=500,
        restart_shows=restart_shows,
    )


def gain_64():
    return make_rig(64, restart_shows=False)


def fast():
    return make_rig(rate=80.0)


def without_checksum(**options):
    """In the middle of a reading a restart shows in no bit."""
    return lambda: make_rig(restart_shows=False, **options)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
def test_survives(fault):
    wirefaults.check(fault, without_checksum() if fault == "brown_out" else make_rig)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
def test_other_gain_survives(fault):
    wirefaults.check(fault, gain_64)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
def test_at_80_a_second_survives(fault):
    wirefaults.check(fault, without_checksum(rate=80.0) if fault == "brown_out" else fast)


def test_channels():
    assert hx711.HX711.CHANNELS == (("weight", "kg"),)
    assert hx711.HX711(None, scale=2.0).CHANNELS == (("weight", "kg"),)
    assert hx711.HX711(None).CHANNELS == (("raw", ""),)


def test_twos_complement_of_24_bits():
    for bits, value in ((1, 1), (0x7FFFFE, 8388606), (0xFFFFFE, -2), (0x800001, -8388607), (0xFEB6F5, -84235)):
        assert hx711.decode(bits) == value
    for bits in (0x000000, 0x7FFFFF, 0x800000, 0xFFFFFF):
        with pytest.raises(SensorError, match="no measurement"):
            hx711.decode(bits)


def test_raw_before_calibration():
    rig = make_rig()
    rig.driver = hx711.HX711(pins(rig))
    for kilograms, raw in ((0.0, 84213), (1.0, 105713), (-8.0, -87787)):
        rig.environment.set(weight=kilograms)
        assert rig.driver.measure() == (raw,)
        rig.rest()


@pytest.mark.parametrize("kilograms", (-390, -3.92, -3.9, 0, 0.001, 200, 385))
def test_grid_against_the_chip(kilograms):
    for make in (make_rig, gain_64, fast):
        rig = make()
        rig.environment.set(weight=kilograms)
        rig.check_values(rig.driver.measure())


@pytest.mark.parametrize("kilograms", (400, -400))
def test_overload(kilograms):
    rig = make_rig().warm()
    rig.environment.set(weight=kilograms)
    with pytest.raises(SensorError, match="HX711: 0x[78].* no measurement"):
        rig.driver.measure()
    rig.must_recover()


def test_cell_turned_over():
    rig = make_rig()
    rig.driver = hx711.HX711(pins(rig), offset=84213, scale=-21500)
    rig.environment.set(weight=-7.5)
    assert rig.driver.measure() == pytest.approx((7.5,), abs=0.0001)


def test_gains():
    for gain, raw in ((128, 1000), (64, 500), (32, 4096)):
        rig = make_rig()
        rig.driver = hx711.HX711(pins(rig), gain)
        rig.environment.set(weight=(1000 - 84213) / 21500)
        for _ in range(3):
            assert rig.driver.measure() == (raw,)
    with pytest.raises(ValueError, match="128, 64 or 32"):
        hx711.HX711(None, gain=16)


def test_pulses_are_short_and_as_many_as_the_gain_wants():
    for gain, pulses in ((128, 25), (32, 26), (64, 27)):
        rig = make_rig()
        rig.driver = hx711.HX711(pins(rig), gain)
        seen = []
        pulse = rig.chip.pulse

        def spy(high_us, seen=seen, pulse=pulse):
            seen.append(high_us)
            pulse(high_us)

        rig.chip.pulse = spy
        rig.driver.measure()
        reset = [high_us for high_us in seen if high_us > 60]
        assert len(reset) == (1 if gain == 128 else 0)
        for _ in range(2):
            del seen[:]
            rig.clock.sleep_ms(1000)
            rig.driver.measure()
            assert len(seen) == 2 * pulses  # one result dropped, one read
            assert max(seen) <= 50


def test_an_interrupt_while_the_clock_is_high():
    """The chip takes a long pulse for power-down, forgets its gain and what it measured."""
    for make in (make_rig, gain_64):
        transfers = 2 * 25 * 3
        failed = 0
        for n in range(1, transfers, 7):
            for microseconds in (45, 75, 5000):
                rig = make().warm()
                rig.bus.at(n, lambda: rig.clock.elapse(microseconds / 1e6))  # noqa: B023 - before the next round
                failed += not rig.attempt()
                rig.must_recover()
        assert failed


def test_one_reading_after_the_other():
    for gain in (128, 64):
        rig = make_rig(gain)
        for _ in range(5):
            rig.must_read()
            rig.clock.sleep_ms(30)


def test_communication_that_broke_off():
    for count in (1, 7, 24):
        rig = make_rig()
        for _ in range(count):
            rig.chip.pulse(1)
        rig.must_read()


def test_waiting_for_ready_ends():
    rig = make_rig().warm()
    rig.bus.stuck = 1
    for step in (rig.driver.start, rig.driver.read):
        rig.driver._started = True
        began = rig.clock.us
        with pytest.raises(SensorError, match="HX711: is not ready"):
            step()
        assert rig.clock.us - began < 30000
