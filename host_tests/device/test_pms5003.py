"""PMS5003: frames found in any rubble, warm-up, restarts, the fault suite; byte by byte on a simulated line."""

import harness
import pytest
import wirefaults
from drivers import SensorError, pms5003
from tagonode.virtual.chips import pms5003 as chips
from tagonode.virtual.wires import DirectUART, SerialLine
from wirefaults import WireRig

SCENES = (
    {"pm1_0": 4, "pm2_5": 7, "pm10": 9},
    {"pm1_0": 260, "pm2_5": 300, "pm10": 400},
    {"pm1_0": 0, "pm2_5": 0, "pm10": 1},
)
HEADER = b"\x42\x4d\x00\x1c"
FRAME = HEADER + bytes.fromhex("000500070007000500070007049b016c003a000600020000") + b"\x97\x00\x02\xb6"


def make_rig(hears=True, standard=False, **specimen):
    rig = WireRig(
        lambda rig: pms5003.PMS5003(DirectUART(rig.bus), standard),
        lambda rig: chips.PMS5003(rig.environment, rig.clock.seconds, **specimen),
        SerialLine,
        (pms5003,),
        SCENES,
        (0.5, 0.5, 0.5),
        twin=lambda rig: chips.PMS5003(rig.environment, rig.clock.seconds),
        patience_ms=2600,
        rest_ms=32000,
        restart_shows=False,
    )
    rig.bus.hears = hears
    return rig


def one_wire():
    return make_rig(hears=False)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
def test_survives(fault):
    wirefaults.check(fault, make_rig)


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
@harness.heap("512K")
def test_with_its_tx_alone_survives(fault):
    wirefaults.check(fault, one_wire)


def test_channels():
    assert pms5003.PMS5003.CHANNELS == (("pm1_0", "µg/m³"), ("pm2_5", "µg/m³"), ("pm10", "µg/m³"))


def test_worked_example():
    assert sum(FRAME[:30]) == 0x02B6
    assert pms5003.frames(FRAME) == [0]
    assert pms5003.decode(FRAME, 0, 4) == (5, 7, 7)
    assert pms5003.decode(FRAME, 0, 1) == (5, 7, 7)


def framed(*words):
    return chips.framed(b"\x00\x1c" + b"".join([word.to_bytes(2, "big") for word in words]))


def test_words_are_unsigned_and_in_their_places():
    frame = framed(1, 2, 3, 1000, 40000, 65534, 7, 8, 9, 10, 11, 12, 13)
    assert pms5003.decode(frame, 0, 4) == (1000, 40000, 65534)
    assert pms5003.decode(frame, 0, 1) == (1, 2, 3)
    with pytest.raises(SensorError, match="rail"):
        pms5003.decode(framed(1, 2, 3, 1, 2, 0xFFFF, 7, 8, 9, 10, 11, 12, 13), 0, 4)


def test_frames_are_found_in_any_rubble():
    other = framed(*range(1, 14))
    wrong_sum = FRAME[:-1] + b"\x00"
    wrong_length = chips.framed(b"\x00\x14" + FRAME[4:30])
    inside = framed(1, 2, 3, 4, 5, 6, 7, 8, 0x424D, 0x001C, 0x424D, 0x001C, 13)  # headers among the data
    for rubble, found in (
        (b"", []),
        (FRAME[:-1], []),
        (bytes(200), []),
        (b"\xff" * 200, []),
        (HEADER * 50, []),
        (wrong_sum, []),
        (wrong_length, []),
        (wrong_sum + FRAME, [32]),
        (FRAME[5:] + FRAME, [27]),
        (b"\x42" + FRAME, [1]),
        (FRAME[:20] + FRAME, [20]),
        (FRAME + other, [0, 32]),
        (FRAME[3:] + other + FRAME[:31], [29]),
        (inside, [0]),
        (inside[:31] + inside, [31]),
        (HEADER + FRAME + HEADER, [4]),
    ):
        assert pms5003.frames(rubble) == found, rubble


@pytest.mark.parametrize("cut", (1, 2, 4, 16, 31))
def test_cut_and_stale_bytes(cut):
    for make in (make_rig, one_wire):
        rig = make().warm()
        rig.bus.inject(FRAME * 7)
        rig.bus.inject(FRAME[:cut])
        rig.attempt()  # what came unasked may be a restart
        rig.rest()
        rig.must_read()
        rig.bus.cut(cut)
        rig.attempt()
        rig.must_recover()
        rig.rest()
        rig.attempt(between=lambda: rig.bus.inject(FRAME[:cut]))  # noqa: B023 - called at once
        rig.must_recover()


def test_stale_frames_are_not_taken_for_new_ones():
    rig = one_wire().warm()
    for _ in range(5):
        rig.clock.sleep_ms(600000)  # ten minutes of frames came, of which the buffer has kept the first
        rig.must_read()


def test_first_30_seconds():
    for make in (make_rig, one_wire):
        rig = make()
        rig.chip.power_on()
        began = rig.clock.seconds()
        while not rig.attempt():
            assert "warming up" in rig.said or "silence" in rig.said, rig.said
            rig.clock.sleep_ms(400)
        assert 30 <= rig.clock.seconds() - began < 40


def test_a_restart_is_noticed():
    """It forgets that it speaks when it is asked only."""
    rig = make_rig().warm()
    rig.bus.power_on()
    rig.clock.sleep_ms(5000)
    rig.must_fail()
    assert "warming up" in rig.said
    rig.clock.sleep_ms(30000)
    rig.must_read()


def test_specimens_that_confirm_no_command():
    for hears in (True, False):
        rig = make_rig(hears=hears, answers=False)
        rig.attempt()  # the first command only makes it passive
        rig.rest()
        rig.warm()
        for _ in range(3):
            rig.must_read()


def test_its_rx_wire_is_connected_later():
    rig = one_wire().warm()
    rig.clock.sleep_ms(7 * 86400000)
    rig.bus.hears = True
    if not rig.attempt():
        rig.must_recover()


@pytest.mark.parametrize("every_s", (0.2, 0.8, 2.3))
def test_fast_and_stable_mode(every_s):
    rig = make_rig(hears=False, every_s=every_s).warm()
    for _ in range(5):
        rig.must_read()


def test_standard_particles():
    rig = make_rig(standard=True)
    rig.environment.set(**SCENES[1])
    rig.attempt(trusted=False)
    rig.rest()
    rig.environment.set(**SCENES[1])
    rig.driver.start()
    rig.clock.sleep_ms(2500)
    assert rig.driver.read() == (390, 450, 600)


def test_a_uart_that_fails():
    class Broken:
        def any(self):
            raise OSError(5)

    with pytest.raises(SensorError, match="PMS5003: no answer"):
        pms5003.PMS5003(Broken()).start()
