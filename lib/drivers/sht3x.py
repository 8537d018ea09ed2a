"""SHT30, SHT31, SHT35: temperature and humidity over I2C (0x44, or 0x45 with ADDR high).

    from drivers.sht3x import SHT3X
    print(SHT3X(i2c).measure())     # (21.4, 45.2): °C, %

Sections cited are those of Sensirion's datasheet SHT3x-DIS (version 7).
"""

from drivers.sht4x import SHT4X, temperature


class SHT3X(SHT4X):
    """As SHT4X: single shot of high repeatability, no clock stretching, heater off."""

    _SOFT_RESET = b"\x30\xa2"  # 4.9, takes 1.5 ms
    _IDENTIFY = b"\xf3\x2d"  # status, 4.11
    _MEASURE = b"\x24\x00"  # 4.3; at most 15.5 ms (table 4)
    _CONVERSION_MS = 17

    @staticmethod
    def _decode(s_t: int, s_rh: int) -> tuple:
        """Words -> (°C, %) (4.13). All of 0 … 100 % is in use: a rail is fog, not an error."""
        return temperature(s_t), 100 * s_rh / 65535
