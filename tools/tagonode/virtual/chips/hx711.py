"""HX711, pulse by pulse: from Avia Semiconductor's datasheet."""

_GAIN = {25: 128, 26: 32, 27: 64}  # table 3
_POWER_DOWN_US = 60


class HX711:
    """On ClockAndData: pulse(high_us) and level().

    clock: callable, seconds. environment: see environment.py: weight (kg) on the cell of channel A. per_kg, zero:
    counts at a gain of 128. rate: conversions a second, 10 or 80. Channel B has nothing on it but `channel_b`.
    lie: 24 bits to send instead of the truth.
    """

    def __init__(self, environment, clock, per_kg: float = 21500.0, zero: float = 84213.0, rate: float = 10.0):
        self.channel_b = 4096
        self.lie = None
        self._environment = environment
        self._clock = clock
        self._per_kg = per_kg
        self._zero = zero
        self._period = 1 / rate
        self.power_on()
        self._next = clock()  # it has been on for a while

    def power_on(self) -> None:
        self._gain = 128
        self._settle()
        self._result = 0

    def _settle(self):
        """The filter takes four conversions after power-on and after a change of gain or channel (page 3)."""
        self._next = self._clock() + 4 * self._period
        self._pulses = 0
        self._ready = False

    def _advance(self):
        now = self._clock()
        if now >= self._next and (not self._pulses or self._pulses > 24):
            self._close()
            if now < self._next:
                return
            at = self._next + int((now - self._next) / self._period) * self._period
            self._result = self._convert(at)
            self._ready = True
            self._next = at + self._period

    def _close(self):
        """The communication is over: the number of pulses was the gain of what comes next."""
        if self._pulses > 24:
            gain = _GAIN.get(self._pulses, self._gain)
            if gain != self._gain:
                self._gain = gain
                self._next = self._last + 4 * self._period
            self._pulses = 0
            self._ready = False

    def pulse(self, high_us: int) -> None:
        """The clock was high for that long."""
        self._advance()
        if high_us > _POWER_DOWN_US:
            self.power_on()
        elif self._ready:
            self._pulses += 1
            self._last = self._clock()

    def level(self) -> int:
        """Of DOUT: low when a result is ready; bit by bit after the pulses; high after the 25th."""
        self._advance()
        if not self._ready or self._pulses > 24:
            return 1
        if not self._pulses:
            return 0
        return self._result >> 24 - self._pulses & 1

    def _convert(self, at):
        if self.lie is not None:
            return self.lie
        if self._gain == 32:
            counts = self.channel_b
        else:
            counts = (self._zero + self._per_kg * self._environment.value("weight", at)) * self._gain / 128
        return max(-0x800000, min(0x7FFFFF, int(counts + 0x1000000 + 0.5) - 0x1000000)) & 0xFFFFFF
