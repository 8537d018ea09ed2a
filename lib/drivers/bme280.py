"""BME280: temperature, humidity and pressure over I2C (0x76, or 0x77 with SDO high).

    from drivers.bme280 import BME280
    print(BME280(i2c).measure())        # (21.4, 45.2, 1013.2): °C, %, hPa

A BMP280 with a humidity sensor: everything the two share is in drivers.bmp280. Sections cited are those of
Bosch's datasheet BST-BME280-DS002.
"""

import struct

from micropython import const

from drivers import SensorError
from drivers.bmp280 import BMP280, decode

_CALIB_H = const(0xE1)
_CTRL_HUM = const(0xF2)


def calibration(block: bytes) -> tuple:
    """7 bytes from 0xE1 -> (H2, H3, H4, H5, H6) (4.2.2). H4 and H5 are signed, of 12 bits, and share 0xE5."""
    h2, h3, e4, e5, e6, h6 = struct.unpack("<hBbBbb", block)
    return h2, h3, e4 << 4 | e5 & 15, e6 << 4 | e5 >> 4, h6


def humidity(c: tuple, adc: int, t_fine: float) -> float:
    """Relative humidity in %, clamped to 0 … 100 (floating point, 8.1). c: (T1 … P9, H1, H2 … H6)."""
    v = t_fine - 76800
    h = adc - (c[15] * 64 + c[16] / 16384 * v)
    h *= c[13] / 65536 * (1 + c[17] / 67108864 * v * (1 + c[14] / 67108864 * v))
    return min(max(h * (1 - c[12] * h / 524288), 0.0), 100.0)


class BME280(BMP280):
    """As BMP280, with humidity × 1."""

    CHANNELS = (("temperature", "°C"), ("humidity", "%"), ("pressure", "hPa"))
    _CHIP_ID = 0x60
    _FRAME = 12  # registers 0xF3 … 0xFE

    def _initialise(self):
        super()._initialise()
        self._calibration += calibration(self._trimming(_CALIB_H, 7))
        self._write(_CTRL_HUM, 1)  # takes effect with the next write of ctrl_meas (5.4.3)

    def _decode(self, frame: bytes) -> tuple:
        celsius, hectopascal = decode(self._calibration, frame)
        adc = frame[10] << 8 | frame[11]
        # 0x8000: not measured, or ctrl_hum was lost (5.4.3, 4).
        if adc in (0, 0x8000, 0xFFFF):
            raise SensorError(f"{adc:#x} is no measurement")
        return celsius, humidity(self._calibration, adc, celsius * 5120), hectopascal
