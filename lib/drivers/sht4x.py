"""SHT40, SHT41, SHT43, SHT45: temperature and humidity over I2C (0x44, 0x45 or 0x46, by part number).

    from drivers.sht4x import SHT4X
    print(SHT4X(i2c).measure())     # (21.4, 45.2): °C, %

Sections cited are those of Sensirion's datasheet SHT4x (version 6). The SHT3x does the same with other
commands: see drivers.sht3x.
"""

import time

from micropython import const

from drivers import Sensor, SensorError
from drivers.sensirion import word

_INITIALISE_MS = const(10)


class SHT4X(Sensor):
    """One conversion of high precision per reading, heater off.

    A result can be fetched once: a conversion that never started has none, and the read is not acknowledged.
    """

    CHANNELS = (("temperature", "°C"), ("humidity", "%"))
    # Table 8. A reset takes 1 ms, a conversion at most 8.3 ms (table 5).
    _SOFT_RESET = b"\x94"
    _IDENTIFY = b"\x89"  # serial number
    _MEASURE = b"\xfd"
    _CONVERSION_MS = 10

    def __init__(self, bus, address: int = 0x44):
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"
        self._frame = bytearray(6)

    def _command(self, command: bytes):
        # Not every port raises when a byte after the address is not acknowledged.
        if self._bus.writeto(self._address, command) not in (None, len(command)):
            raise SensorError("refuses a command")

    def _start(self) -> int:
        if not self._ready:
            self._command(self._SOFT_RESET)
            time.sleep_ms(_INITIALISE_MS)
            self._command(self._IDENTIFY)
            time.sleep_ms(_INITIALISE_MS)
            # Whatever the word is: its CRC says that a Sensirion chip is there.
            word(self._bus.readfrom(self._address, 3), 0)
            self._ready = True
        self._command(self._MEASURE)
        return self._CONVERSION_MS

    def _read(self) -> tuple:
        self._bus.readfrom_into(self._address, self._frame)
        return self._decode(word(self._frame, 0), word(self._frame, 3))

    @staticmethod
    def _decode(s_t: int, s_rh: int) -> tuple:
        """Words -> (°C, %) (4.6). Humidity may leave 0 … 100 and is cut; the rails are errors."""
        if s_rh in (0, 0xFFFF):
            raise SensorError(f"{s_rh:#x} is no measurement")
        return temperature(s_t), min(max(125 * s_rh / 65535 - 6, 0.0), 100.0)


def temperature(s_t: int) -> float:
    """°C (4.6, SHT3x 4.13), within the chip's range (3.2). SensorError outside."""
    celsius = 175 * s_t / 65535 - 45
    if not -41 < celsius < 126:
        raise SensorError(f"{celsius:.1f} °C is out of range")
    return celsius
