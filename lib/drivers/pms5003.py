"""PMS5003 (and PMS7003, PMSA003): particulate matter over UART, 9600 baud.

    from machine import UART
    from drivers.pms5003 import PMS5003
    print(PMS5003(UART(1, 9600)).measure())     # (4, 7, 9): µg/m³; an error in the first 30 s

Source: Plantower's manual PMS5003 V2.3, appendix I.
"""

import time

from micropython import const

from drivers import Sensor, SensorError

_DATA = b"\x42\x4d\x00\x1c"
_IS_PASSIVE = b"\x42\x4d\x00\x04\xe1\x00\x01\x74"
# One that is passive already sends a frame; one that speaks by itself becomes passive.
_READ_AND_BE_PASSIVE = b"\x42\x4d\xe2\x00\x00\x01\x71\x42\x4d\xe1\x00\x00\x01\x70"
_WARM_UP_MS = const(30000)
_FRAME_MS = const(2500)  # the longest from one frame to the next is 2.3 s


def frames(received: bytes) -> list:
    """Where whole frames with a right checksum begin; whatever is between them is passed over."""
    found = []
    at = received.find(_DATA)
    while at >= 0 and at + 32 <= len(received):
        if sum(received[at : at + 30]) == received[at + 30] << 8 | received[at + 31]:
            found.append(at)
        at = received.find(_DATA, at + 1)
    return found


def decode(received: bytes, at: int, first: int) -> tuple:
    """Three words of a frame, µg/m³, or SensorError."""
    at += 2 + 2 * first
    values = tuple([received[i] << 8 | received[i + 1] for i in (at, at + 2, at + 4)])
    if 0xFFFF in values:
        raise SensorError("is at its rail")
    return values


class PMS5003(Sensor):
    """bus: machine.UART at 9600 baud. The sensor's TX is enough; with its RX wired, too, a restart is noticed: it is
    told to speak when asked only, which it forgets without power. (Not by a reading in the very next 4 s.)

    standard: False for the values of atmospheric air, True for those of standard particles (CF=1).
    For 30 s after power-on, a restart or a silence, while the fan comes up to speed, readings are errors.
    """

    CHANNELS = (("pm1_0", "µg/m³"), ("pm2_5", "µg/m³"), ("pm10", "µg/m³"))
    BUS = "uart"
    _REMEDY = "check its TX wire, 5 V and 9600 baud"

    def __init__(self, bus, standard: bool = False):
        self._bus = bus
        self._first = 1 if standard else 4  # data word
        self._passive = False
        self._warming = False
        self._since = None  # ticks

    def _received(self) -> bytes:
        waiting = self._bus.any()
        return waiting and self._bus.read(min(waiting, 1024)) or b""

    def _start(self) -> int:
        # What came before is old, and whoever speaks without being asked was restarted.
        if self._received() and self._passive and not self._started:
            self._ready = self._warming = False
        if not self._ready and not self._warming:
            self._since = time.ticks_ms()
            self._passive = False
        self._bus.write(_READ_AND_BE_PASSIVE)
        return _FRAME_MS

    def _read(self) -> tuple:
        self._warming = False
        received = self._received()
        found = frames(received)
        now_passive = _IS_PASSIVE in received
        if not found and (self._ready or not now_passive):
            raise SensorError("no whole frame" if received else "silence")
        if self._passive and len(found) > 1:
            raise SensorError("was restarted")
        self._passive = self._passive or now_passive
        if not found or not self._ready and time.ticks_diff(time.ticks_ms(), self._since) < _WARM_UP_MS:
            self._warming = True
            raise SensorError("warming up, 30 s")
        self._ready = True
        return decode(received, found[-1], self._first)
