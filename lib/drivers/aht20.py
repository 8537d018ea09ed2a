"""AHT20, AHT21 and AHT10: temperature and humidity over I2C (0x38).

    from drivers.aht20 import AHT20     # AHT10 for that chip, which sends no CRC
    print(AHT20(i2c).measure())         # (21.4, 45.2): °C, %

Sections cited are those of Aosong's datasheet AHT20 (version 1.1).
"""

import time

from micropython import const

from drivers import Sensor, SensorError, polls
from drivers.sensirion import crc8

_BUSY = const(0x80)
_CALIBRATED = const(0x08)
_RAIL = const(0xFFFFF)


def decode(frame: bytes) -> tuple:
    """Status and 20 bits each of humidity and temperature -> (°C, %) (6.1, 6.2), or SensorError."""
    s_rh = frame[1] << 12 | frame[2] << 4 | frame[3] >> 4
    s_t = (frame[3] & 15) << 16 | frame[4] << 8 | frame[5]
    celsius = s_t * 200 / 1048576 - 50
    if s_rh in (0, _RAIL) or not -41 < celsius < 86:
        raise SensorError(f"{s_rh:#x}, {s_t:#x} is no measurement")
    return celsius, s_rh * 100 / 1048576


class AHT20(Sensor):
    """One conversion per reading."""

    CHANNELS = (("temperature", "°C"), ("humidity", "%"))
    _INITIALISE = b"\xbe\x08\x00"  # 5.4
    _FRAME = 7

    def __init__(self, bus, address: int = 0x38):
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"
        self._frame = bytearray(self._FRAME)

    def _status(self) -> int:
        return self._bus.readfrom(self._address, 1)[0]

    def _start(self) -> int:
        if not self._ready:
            self._bus.writeto(self._address, b"\xba")  # soft reset, at most 20 ms (5.5)
            time.sleep_ms(25)
            if not self._status() & _CALIBRATED:
                self._bus.writeto(self._address, self._INITIALISE)
                time.sleep_ms(12)
            if self._status() & (_BUSY | _CALIBRATED) != _CALIBRATED:
                raise SensorError("is not calibrated")
            self._ready = True
        self._bus.writeto(self._address, b"\xac\x33\x00")
        # The result before stays readable: it must not pass for one of a conversion that never began.
        if self._status() & (_BUSY | _CALIBRATED) != _BUSY | _CALIBRATED:
            raise SensorError("does not start measuring")
        return 85  # 80 ms (5.4)

    def _read(self) -> tuple:
        frame = self._frame
        for _ in polls(40):
            self._bus.readfrom_into(self._address, frame)
            if not frame[0] & _BUSY:
                if not frame[0] & _CALIBRATED:
                    raise SensorError("lost its calibration")
                if self._FRAME > 6 and crc8(frame, 0, 6) != frame[6]:
                    raise SensorError("CRC is wrong")
                return decode(frame)
        raise SensorError("never finishes measuring")


class AHT10(AHT20):
    """As AHT20, without a CRC."""

    _INITIALISE = b"\xe1\x08\x00"
    _FRAME = 6
