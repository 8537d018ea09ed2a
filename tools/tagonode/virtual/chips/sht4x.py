"""SHT40, SHT41, SHT45: from Sensirion's datasheet SHT4x, version 6 (tables 4, 5 and 8)."""

from tagonode.virtual.chips.sensirion import Sensirion, ticks, words

# command: (typical, longest) milliseconds of a conversion
_MEASURE = {0xFD: (6.9, 8.3), 0xF6: (3.7, 4.5), 0xE0: (1.3, 1.6)}
_HEAT = {0x39: 1000, 0x2F: 1000, 0x1E: 1000, 0x32: 100, 0x24: 100, 0x15: 100}


class SHT4X(Sensirion):
    command_length = 1

    def __init__(self, environment, clock, address: int = 0x44, seed: int = 1, pace: float = 1.0):
        super().__init__(environment, clock, address, pace)
        self._serial = (0x0F00 + seed & 0xFFFF, 0x1A2B ^ seed & 0xFFFF)

    def command(self, code, rest):
        code = code[0]
        if rest:
            return False
        if code == 0x94:
            self.work(1, 1)
        elif code == 0x89:
            self.work(0.1, 1, lambda: words(*self._serial))
        elif code in _MEASURE:
            self.work(*_MEASURE[code], self._result)
        elif code in _HEAT:
            self.work(_HEAT[code], _HEAT[code] * 1.1, self._result)
        else:
            return False
        return True

    def _result(self):
        """4.6: °C = -45 + 175 · S / 65535, % = -6 + 125 · S / 65535."""
        return words(ticks(self.measured("temperature"), -45, 175), ticks(self.measured("humidity"), -6, 125))
