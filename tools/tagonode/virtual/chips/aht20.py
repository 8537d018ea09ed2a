"""AHT20 and AHT10: from Aosong's datasheets AHT20 version 1.1 (sections cited) and AHT10 version 1.1."""

from tagonode.virtual.bus import Nack
from tagonode.virtual.chips.sensirion import crc8

_STARTUP_S = 0.040  # 5.4
_BUSY, _CALIBRATED = 0x80, 0x18


class AHT20:
    """Status, humidity and temperature are readable at any time; a trigger keeps the chip busy for 80 ms.

    clock: callable, seconds. environment: see environment.py. lie: what reads give instead of the truth.
    """

    _FACTORY_CALIBRATED = True
    _INITIALISE = 0xBE
    _CRC = True

    def __init__(self, environment, clock, address: int = 0x38):
        self.address = address
        self.lie = None
        self._environment = environment
        self._clock = clock
        self.power_on()
        self._deaf_until = clock()  # it has been on for a while

    def power_on(self) -> None:
        self._reset(_STARTUP_S)

    def _reset(self, seconds):
        self._deaf_until = self._clock() + seconds
        self._calibrated = self._FACTORY_CALIBRATED
        self._busy_until = None
        self._measuring = False
        self._data = bytes(5)

    def _advance(self):
        now = self._clock()
        if now < self._deaf_until:
            raise Nack
        if self._busy_until is not None and now >= self._busy_until:
            if self._measuring:
                self._convert(self._busy_until)
            self._busy_until = None

    def write(self, data: bytes) -> None:
        self._advance()
        if not data:
            return
        if data[0] == 0xBA:
            self._reset(0.020)  # 5.5
        elif self._busy_until is not None:
            return
        elif data[0] == self._INITIALISE and data[1:] == b"\x08\x00":
            self._calibrated = True
            self._measuring = False
            self._busy_until = self._clock() + 0.010
        elif data == b"\xac\x33\x00":
            self._measuring = True
            self._busy_until = self._clock() + 0.080
        elif data[0] in (0xBE, 0xE1):
            raise Nack

    def read(self, length: int) -> bytes:
        self._advance()
        status = (_BUSY if self._busy_until is not None else 0) | (_CALIBRATED if self._calibrated else 0)
        frame = bytes((status,)) + self._data
        if self._CRC:
            frame += bytes((crc8(frame),))
        return ((self.lie or frame) + b"\xff" * length)[:length]

    def _convert(self, at):
        """6.1, 6.2: % = 100 · S / 2^20, °C = 200 · S / 2^20 - 50."""
        s_rh = round(self._environment.value("humidity", at) / 100 * 1048576)
        s_t = round((self._environment.value("temperature", at) + 50) / 200 * 1048576)
        if not self._calibrated:
            s_rh = s_t = 0
        word = min(s_rh, 0xFFFFF) << 20 | max(0, min(s_t, 0xFFFFF))
        self._data = word.to_bytes(5, "big")


class AHT10(AHT20):
    """It has to be initialised, with a command of its own, and sends no CRC."""

    _FACTORY_CALIBRATED = False
    _INITIALISE = 0xE1
    _CRC = False
