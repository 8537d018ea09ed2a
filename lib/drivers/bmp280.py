"""BMP280: temperature and pressure over I2C (0x76, or 0x77 with SDO high).

    from drivers.bmp280 import BMP280
    print(BMP280(i2c).measure())        # (21.4, 1013.2): °C, hPa

Sections cited are those of Bosch's datasheets BST-BMP280-DS001 ("BMP") and BST-BME280-DS002 ("BME").
The BME280 is the same chip with a humidity sensor: drivers.bme280 adds that and nothing else.
"""

import struct
import time

from micropython import const

from drivers import Sensor, SensorError, polls

_CALIB = const(0x88)
_ID = const(0xD0)
_RESET = const(0xE0)
_STATUS = const(0xF3)
_CTRL_MEAS = const(0xF4)
_CONFIG = const(0xF5)

_IM_UPDATE = const(0x01)
_MEASURING = const(0x08)
# t_sb, filter off. The standby time has no effect in forced mode; it is here because it is not the power-on
# value: a chip that lost its power, or was exchanged, since it was initialised shows itself by a config of 0.
_MARK = const(0xA0)
# Forced mode, pressure × 1, temperature × 1 ("weather monitoring", BME 3.5.1). Every other conversion takes
# temperature × 2: results of a conversion that never started carry the setting of the one before.
_FORCED = const(0x25)
_ALTERNATE = const(0x60)
# Longest conversion (BME 9.1): 1.25 + 2.3 × 2 + 2.3 + 0.575 + 2.3 + 0.575 = 11.6 ms, and one for the clock's
# grain.
_CONVERSION_MS = const(13)


def calibration(block: bytes) -> tuple:
    """26 bytes from 0x88 -> (T1, T2, T3, P1 … P9, H1) (BMP 3.11.2, BME 4.2.2). H1 is reserved in a BMP280."""
    return struct.unpack("<HhhHhhhhhhhhxB", block)


def result(frame: bytes, at: int) -> int:
    """The 20-bit result at frame[at] (BMP 4.3.6). SensorError for "not measured" (BMP 3.3) and rails."""
    adc = frame[at] << 12 | frame[at + 1] << 4 | frame[at + 2] >> 4
    # Conversions of 16 bits leave the four lowest bits zero, also at the upper rail.
    if adc == 0x80000 or not 0xF < adc < 0xFFFF0:
        raise SensorError(f"{adc:#x} is no measurement")
    return adc


def temperature(c: tuple, adc: int) -> float:
    """Temperature in °C (floating point, BMP 8.1, BME 8.1; t_fine is 5120 times it)."""
    # Subtracting T1 as an integer first is exact, which matters in single precision.
    d = adc - (c[0] << 4)
    return (d / 16384 * c[1] + (d / 131072) * (d / 131072) * c[2]) / 5120


def pressure(c: tuple, adc: int, t_fine: float) -> float:
    """Pressure in hPa (floating point, BMP 8.1, BME 8.1)."""
    v1 = t_fine / 2 - 64000
    v2 = v1 * v1 * c[8] / 32768 + v1 * c[7] * 2
    v2 = v2 / 4 + c[6] * 65536
    v1 = (c[5] * v1 * v1 / 524288 + c[4] * v1) / 524288
    v1 = (1 + v1 / 32768) * c[3]
    p = (1048576 - adc - v2 / 4096) * 6250 / v1
    return (p + (c[11] * p * p / 2147483648 + p * c[10] / 32768 + c[9]) / 16) / 100


def decode(c: tuple, frame: bytes) -> tuple:
    """Registers from 0xF3 on -> (°C, hPa), within the chip's range (BMP 1, BME 1.2, 1.3), or SensorError."""
    celsius = temperature(c, result(frame, 7))
    hectopascal = pressure(c, result(frame, 4), celsius * 5120)
    if not (-41 < celsius < 86 and 299 < hectopascal < 1101):
        raise SensorError(f"out of range ({celsius:.1f} °C, {hectopascal:.0f} hPa)")
    return celsius, hectopascal


class BMP280(Sensor):
    """One conversion per reading in forced mode; the chip sleeps in between (0.1 µA).

    bus: machine.I2C or alike, up to 400 kHz. address: 0x76 (SDO low) or 0x77 (SDO high).
    """

    CHANNELS: tuple = (("temperature", "°C"), ("pressure", "hPa"))
    _CHIP_ID = 0x58
    _FRAME = 10  # registers 0xF3 … 0xFC

    def __init__(self, bus, address: int = 0x76):
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"
        self._frame = bytearray(self._FRAME)
        self._ctrl_meas = bytearray((_FORCED,))

    def _write(self, register: int, value: int):
        self._bus.writeto_mem(self._address, register, bytes((value,)))

    def _trimming(self, register: int, length: int) -> bytes:
        """Calibration registers, read twice: one flipped bit in them would falsify every reading to come."""
        block = self._bus.readfrom_mem(self._address, register, length)
        if min(block) == max(block):
            raise SensorError("blank calibration")
        if block != self._bus.readfrom_mem(self._address, register, length):
            raise SensorError("reads differ (wires too long?)")
        return block

    def _initialise(self):
        chip_id = self._bus.readfrom_mem(self._address, _ID, 1)[0]
        if chip_id != self._CHIP_ID:
            raise SensorError(f"chip id {chip_id:#x} (0x58: use bmp280, 0x60: use bme280)")
        # The calibration is loaded from NVM by a reset, so a reset also repairs what a brown-out spoilt.
        self._write(_RESET, 0xB6)
        time.sleep_ms(4)  # start-up takes 2 ms (BMP 1, BME 1.1), in which it need not answer
        if self._bus.readfrom_mem(self._address, _STATUS, 1)[0] & _IM_UPDATE:
            raise SensorError("stays in reset")
        self._calibration = calibration(self._trimming(_CALIB, 26))
        self._write(_CONFIG, _MARK)

    def _start(self) -> int:
        if not self._ready:
            self._initialise()
            self._ready = True
        self._ctrl_meas[0] ^= _ALTERNATE
        self._bus.writeto_mem(self._address, _CTRL_MEAS, self._ctrl_meas)
        return _CONVERSION_MS

    def _read(self) -> tuple:
        frame = self._frame
        for _ in polls(_CONVERSION_MS):
            # Result and settings come in one transfer, so that they belong together (shadowing, BME 4).
            self._bus.readfrom_mem_into(self._address, _STATUS, frame)
            if (frame[1] ^ self._ctrl_meas[0]) & 0xFC or frame[2] != _MARK:
                raise SensorError("lost its settings")
            if not frame[0] & (_MEASURING | _IM_UPDATE):
                return self._decode(frame)
        raise SensorError("never finishes measuring")

    def _decode(self, frame: bytes) -> tuple:
        return decode(self._calibration, frame)
