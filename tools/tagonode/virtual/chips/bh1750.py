"""BH1750FVI: from Rohm's technical note 11046EDT01."""

from tagonode.virtual.bus import Nack

# opcode & 3: (typical, longest) milliseconds at an MTreg of 69, counts per lx × 1.2 (page 2, 5)
_MODES = {0: (120, 180, 1), 1: (120, 180, 2), 3: (16, 24, 1)}


class BH1750:
    """Opcodes of one byte; the last result is readable at any time.

    clock: callable, seconds. environment: see environment.py. pace: 0 converts in the typical time, 1 in the
    longest.
    """

    def __init__(self, environment, clock, address: int = 0x23, pace: float = 1.0):
        self.address = address
        self._environment = environment
        self._clock = clock
        self._pace = pace
        self.power_on()

    def power_on(self) -> None:
        self._powered = False
        self._mtreg = 69
        self._result = 0
        self._mode = 0
        self._done_at = 0.0

    def write(self, data: bytes) -> None:
        self._advance()
        for opcode in data:
            self._obey(opcode)

    def _obey(self, opcode):
        if opcode == 0x00:
            self._powered = False
            self._mode = 0
        elif opcode == 0x01:
            self._powered = True
        elif opcode == 0x07:
            if self._powered:
                self._result = 0
        elif opcode & 0xF8 == 0x40:
            self._mtreg = opcode << 5 & 0xE0 | self._mtreg & 0x1F
        elif opcode & 0xE0 == 0x60:
            self._mtreg = self._mtreg & 0xE0 | opcode & 0x1F
        elif opcode & 0xFC in (0x10, 0x20) and opcode & 3 in _MODES:
            self._powered = True
            self._mode = opcode
            self._done_at = self._clock() + self._duration()
        else:
            raise Nack

    def _duration(self):
        typical, longest, _ = _MODES[self._mode & 3]
        return (typical + (longest - typical) * self._pace) / 1000 * self._mtreg / 69

    def read(self, length: int) -> bytes:
        self._advance()
        return (bytes((self._result >> 8, self._result & 0xFF)) + b"\xff" * length)[:length]

    def _advance(self):
        now = self._clock()
        if not self._mode or now < self._done_at:
            return
        if self._mode & 0x20:
            self._convert(self._done_at)
            self._mode = 0
            self._powered = False
        else:
            period = self._duration()
            self._done_at += int((now - self._done_at) / period) * period
            self._convert(self._done_at)
            self._done_at += period

    def _convert(self, at):
        gain = 1.2 * _MODES[self._mode & 3][2] * self._mtreg / 69
        counts = self._environment.value("illuminance", at) * gain
        step = 4 if self._mode & 3 == 3 else 1
        self._result = min(65535, int(counts / step) * step)
