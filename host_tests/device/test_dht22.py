"""DHT22 and DHT11: worked examples, clones, the pace they want, the fault suite; pulse by pulse on a simulated wire."""

import dht

import harness
import pytest
import wirefaults
from drivers import SensorError, dht22
from drivers.dht11 import DHT11
from tagonode.virtual.chips import dht22 as chips
from tagonode.virtual.wires import DhtLine, DirectPin
from wirefaults import WireRig

SCENES = (
    {"temperature": 21.4, "humidity": 45.2},
    {"temperature": -10.1, "humidity": 99.9},
    {"temperature": 35.1, "humidity": 65.2},
)


def make_rig(twos_complement=False):
    return WireRig(
        lambda rig: dht22.DHT22(DirectPin(rig.bus)),
        lambda rig: chips.DHT22(rig.environment, rig.clock.seconds, twos_complement),
        DhtLine,
        (dht22,),
        SCENES,
        (0.051, 0.051),
        patience_ms=3000,
        rest_ms=2500,
    )


def make_dht11():
    return WireRig(
        lambda rig: DHT11(DirectPin(rig.bus)),
        lambda rig: chips.DHT11(rig.environment, rig.clock.seconds),
        DhtLine,
        (dht22,),
        SCENES[:1] + SCENES[2:] + ({"temperature": -10.1, "humidity": 89.0},),
        (0.051, 1.0),
        patience_ms=2000,
        rest_ms=1500,
    )


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
def test_dht22_survives(fault):
    wirefaults.check(fault, make_rig)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
def test_dht11_survives(fault):
    wirefaults.check(fault, make_dht11)


def test_channels():
    for driver in (dht22.DHT22, DHT11):
        assert driver.CHANNELS == (("temperature", "°C"), ("humidity", "%"))


def test_worked_examples_of_the_datasheet():
    assert dht22.decode_dht22(b"\x02\x8c\x01\x5f\xee") == pytest.approx((35.1, 65.2))
    assert dht22.decode_dht22(b"\x02\x8c\x80\x65\x73") == pytest.approx((-10.1, 65.2))
    # two's complement, of clones
    assert dht22.decode_dht22(b"\x02\x8c\xff\x9b\x28") == pytest.approx((-10.1, 65.2))
    assert dht22.decode_dht11(b"\x35\x00\x18\x04\x51") == pytest.approx((24.4, 53))
    assert dht22.decode_dht11(b"\x35\x00\x0a\x81\xc0") == pytest.approx((-10.1, 53))


@pytest.mark.parametrize("twos_complement", (False, True))
def test_grid_against_the_chip(twos_complement):
    rig = make_rig(twos_complement)
    for celsius in (-40, -12.3, -0.1, 0, 0.1, 25.6, 51.2, 80):
        for percent in (0.1, 25.6, 99.9, 100):
            rig.environment.set(temperature=celsius, humidity=percent)
            rig.check_values(rig.driver.measure())
            rig.rest()


def frame(*four):
    return bytes(four) + bytes((sum(four) & 0xFF,))


def test_frames_that_are_no_measurement():
    wrong = (
        (make_rig, frame(0, 0, 0, 0)),
        (make_rig, frame(0, 0, 1, 0x5F)),  # 0 %
        (make_rig, frame(3, 0xE9, 1, 0x5F)),  # 100.1 %
        (make_rig, frame(2, 0x8C, 3, 0x21)),  # 80.1 °C
        (make_rig, frame(2, 0x8C, 0x81, 0x91)),  # -40.1 °C
        (make_rig, frame(2, 0x8C, 0xFE, 0x6F)),
        (make_rig, frame(0x35, 0, 0x18, 4)),  # a DHT11
        (make_rig, b"\xff\xff\xff\xff\xff"),
        (make_dht11, frame(0, 0, 0, 0)),
        (make_dht11, frame(0, 0, 24, 4)),
        (make_dht11, frame(101, 0, 24, 4)),
        (make_dht11, frame(53, 0, 61, 0)),
        (make_dht11, frame(53, 0, 21, 0x80)),
        (make_dht11, frame(2, 0x8C, 1, 0x5F)),  # a DHT22
        (make_dht11, frame(53, 0, 24, 10)),
    )
    for make, lie in wrong:
        rig = make().warm()
        rig.chip.lie = lie
        rig.must_fail()
        rig.chip.lie = None
        rig.must_recover()


def test_a_wrong_sum_says_so():
    rig = make_rig().warm()
    rig.chip.lie = b"\x02\x8c\x01\x5f\xef"
    rig.must_fail()
    assert "checksum" in rig.said
    rig.bus.unplug()
    rig.must_fail()
    assert "no answer" in rig.said


def test_it_is_not_asked_more_often_than_it_can_bear():
    """Whatever the interval between samples, and without a blocking sleep."""
    for interval_ms in (500, 2000, 2600, 3000, 60000):
        rig = make_rig().warm()
        line, asked = rig.bus, []
        frame_of = line.frame

        def spy(asked=asked, rig=rig, frame_of=frame_of):
            asked.append(rig.clock.us)
            return frame_of()

        line.frame = spy
        for _ in range(5):
            began = rig.clock.us
            wait_ms = rig.driver.start()
            assert rig.clock.us - began <= 270000
            rig.clock.sleep_ms(wait_ms)
            rig.driver.read()
            rig.clock.sleep_ms(interval_ms)
        assert min([b - a for a, b in zip(asked, asked[1:])]) >= 2000000


def test_what_it_measured_a_minute_ago_is_not_told():
    rig = make_rig().warm()
    rig.environment.set(temperature=5.0, humidity=80.0)
    rig.clock.sleep_ms(60000)
    assert rig.driver.measure() == pytest.approx((5.0, 80.0))


def test_the_firmwares_own_module_reads_the_same_chip():
    rig = make_rig()
    theirs = dht.DHT22(DirectPin(rig.bus))
    for celsius in (-12.3, 0.1, 42.0):
        rig.environment.set(temperature=celsius, humidity=33.3)
        rig.rest()
        theirs.measure()
        rig.rest()
        theirs.measure()
        assert (theirs.temperature(), theirs.humidity()) == pytest.approx((celsius, 33.3))
        rig.rest()
        assert rig.driver.measure() == pytest.approx((celsius, 33.3))


def test_early_reading():
    rig = make_rig().warm()
    rig.driver.start()
    with pytest.raises(SensorError, match="too early"):
        rig.driver.read()
