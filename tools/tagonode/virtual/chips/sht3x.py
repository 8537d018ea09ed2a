"""SHT30, SHT31, SHT35: from Sensirion's datasheet SHT3x-DIS, version 7. Single shot; no periodic modes."""

from tagonode.virtual.chips.sensirion import Sensirion, ticks, words

# repeatability: (typical, longest) milliseconds of a conversion (table 4)
_MEASURE = {0x2400: (12.5, 15.5), 0x240B: (4.5, 6.5), 0x2416: (2.5, 4.5)}
_RESET_DETECTED = 0x0010
_COMMAND_FAILED = 0x0002
_HEATER = 0x2000


class SHT3X(Sensirion):
    def power_on(self):
        super().power_on()
        self._status = _RESET_DETECTED

    def command(self, code, rest):
        code = code[0] << 8 | code[1]
        if code == 0x30A2:
            self._status = _RESET_DETECTED
            self.work(0.5, 1.5)
        elif code == 0xF32D:
            status = self._status
            self.work(0, 0, lambda: words(status))
        elif code == 0x3041:
            self._status &= _HEATER
        elif code in (0x306D, 0x3066):
            self._status = self._status & ~_HEATER | (_HEATER if code == 0x306D else 0)
        elif code in _MEASURE:
            self.work(*_MEASURE[code], self._result)
        elif code == 0x3093:
            self._answer = None  # break: ends the periodic modes
        else:
            self._status |= _COMMAND_FAILED
            return False
        self._status &= ~_COMMAND_FAILED
        return True

    def _result(self):
        """4.13: °C = -45 + 175 · S / 65535, % = 100 · S / 65535."""
        return words(ticks(self.measured("temperature"), -45, 175), ticks(self.measured("humidity"), 0, 100))
