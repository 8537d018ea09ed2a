"""ADS1115: four voltages over I2C (0x48, 0x49, 0x4A or 0x4B, by ADDR).

    from drivers.ads1115 import ADS1115
    print(ADS1115(i2c).measure())   # (1.204, 0.873, 3.301, 0.002): V at AIN0 … AIN3 against ground

Sections cited are those of Texas Instruments' datasheet SBAS444D.
"""

import time

from micropython import const

from drivers import Sensor, SensorError, polls

_CONVERSION = const(0)
_CONFIG = const(1)
_LO_THRESH = const(2)

_OS = const(0x8000)
# AIN0 against ground, single-shot, 250 samples per second, no comparator (9.6.3); the range comes to it.
_SETTINGS = const(0xC1A3)
_MUX = const(12)
_PGA = const(9)
_RANGES = (6144, 4096, 2048, 1024, 512, 256)
# 4 ms; the rate may be 10 % low (7.5).
_CONVERSION_MS = const(5)
# The comparator is off, so its threshold is free for a word that is gone after a loss of power.
_MARK = const(0x5A10)


def decode(word: int, full_scale: float) -> float:
    """Two's complement of 16 bits -> V (9.5.4). SensorError at a rail, and below what an input may carry (7.1)."""
    if word & 0x8000:
        word -= 0x10000
    volts = word * full_scale / 32768
    if word == 0x7FFF or volts < -0.3 or word == -0x8000:
        raise SensorError(f"{volts:.3f} V is out of range (0 … {full_scale:.3f})")
    return volts


class ADS1115(Sensor):
    """Each input in turn, one conversion each per reading; the chip powers down in between (0.5 µA).

    start() begins the first conversion, read() fetches it and sleeps 5 ms for each of the other three: all four
    belong to the same 20 ms. One input out of range makes the reading an error.

    full_scale: 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256 V. No input may exceed the supply (by 0.3 V).
    """

    CHANNELS = (("voltage_0", "V"), ("voltage_1", "V"), ("voltage_2", "V"), ("voltage_3", "V"))

    def __init__(self, bus, address: int = 0x48, full_scale: float = 4.096):
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"
        self._full_scale = full_scale
        millivolts = round(full_scale * 1000)
        if millivolts not in _RANGES:
            raise ValueError("full_scale: choose 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256 V")
        self._settings = _SETTINGS | _RANGES.index(millivolts) << _PGA

    def _word(self, register: int) -> int:
        high, low = self._bus.readfrom_mem(self._address, register, 2)
        return high << 8 | low

    def _write(self, register: int, value: int):
        self._bus.writeto_mem(self._address, register, bytes((value >> 8, value & 0xFF)))

    def _start(self) -> int:
        if not self._ready:
            self._write(_LO_THRESH, _MARK)
        self._write(_CONFIG, self._settings)
        if not self._ready:
            # Memory would say OS as it was written.
            if self._word(_CONFIG) != self._settings ^ _OS:
                raise SensorError("does not convert, as an ADS1115 would")
            self._ready = True
        return _CONVERSION_MS

    def _result(self, config: int) -> float:
        for _ in polls(_CONVERSION_MS):
            # The input, too, is read back, so that a result of the one before cannot be taken for this one's.
            state = self._word(_CONFIG)
            if (state ^ config) & ~_OS:
                raise SensorError("lost its settings")
            if state & _OS:
                return decode(self._word(_CONVERSION), self._full_scale)
        raise SensorError("never finishes converting")

    def _read(self) -> tuple:
        volts = [self._result(self._settings)]
        for channel in (1, 2, 3):
            config = self._settings | channel << _MUX
            self._write(_CONFIG, config)
            time.sleep_ms(_CONVERSION_MS)
            volts.append(self._result(config))
        if self._word(_LO_THRESH) != _MARK:
            raise SensorError("lost its power")
        return tuple(volts)
