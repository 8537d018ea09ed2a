"""BH1750FVI: illuminance over I2C (0x23, or 0x5C with ADDR high).

    from drivers.bh1750 import BH1750
    print(BH1750(i2c).measure())        # (312.5,): lx

Pages cited are those of Rohm's technical note 11046EDT01.
"""

import time

from micropython import const

from drivers import Sensor, SensorError

_POWER_ON = const(0x01)
_RESET = const(0x07)
_ONE_TIME_H = const(0x20)
_ONE_TIME_L = const(0x23)
# MTreg of 69: its upper three bits, its lower five (page 11).
_MTREG_HIGH = const(0x42)
_MTREG_LOW = const(0x65)
# 180 and 24 ms (page 2), and what a port's sleep may end early.
_LONGEST_H_MS = const(182)
_LONGEST_L_MS = const(26)
_NOBODY = const(0x7F)  # a reserved address


class BH1750(Sensor):
    """One conversion of high resolution (1 lx) per reading; the chip powers down by itself.

    It reaches 54 612 lx; more, as outdoors in the sun, is an error. MTreg (page 11), which would reach further,
    stays at 69: the chip does not tell it, and falls back to it with every loss of power, unnoticed.
    """

    CHANNELS = (("illuminance", "lx"),)

    def __init__(self, bus, address: int = 0x23):
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"
        self._raw = bytearray(2)

    def _instruct(self, opcode: int):
        if self._bus.writeto(self._address, bytes((opcode,))) not in (None, 1):
            raise SensorError("refuses an instruction")

    def _result(self) -> int:
        self._bus.readfrom_into(self._address, self._raw)
        return self._raw[0] << 8 | self._raw[1]

    def _start(self) -> int:
        self._instruct(_POWER_ON)
        self._instruct(_MTREG_HIGH)
        self._instruct(_MTREG_LOW)
        # Clears the result (page 5), so that one of before cannot be taken for the next, and shows that
        # it is a BH1750 which answers.
        self._instruct(_RESET)
        if self._result():
            raise SensorError("does not reset, as a BH1750 would")
        self._instruct(_ONE_TIME_H)
        return _LONGEST_H_MS

    def _read(self) -> tuple:
        raw = self._result()
        if raw == 0xFFFF:
            raise SensorError("too bright, or no measurement")
        if not raw:
            self._confirm_darkness()
        return (raw / 1.2,)  # page 7

    def _confirm_darkness(self):
        """0 is also what a chip says that lost its power meanwhile, and a bus that is held low."""
        self._instruct(_ONE_TIME_L)  # 4 lx
        time.sleep_ms(_LONGEST_L_MS)
        if self._result() > 4:
            raise SensorError("lost its measurement")
        try:
            self._bus.readfrom(_NOBODY, 1)
        except OSError:
            return
        raise SensorError("bus held low")
