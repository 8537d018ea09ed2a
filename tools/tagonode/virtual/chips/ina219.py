"""INA219: from Texas Instruments' datasheet SBOS448G (sections cited)."""

_RESET = 0x399F  # table 2
_SHUNT, _BUS, _POWER, _CURRENT, _CALIBRATION = 1, 2, 3, 4, 5
_CNVR, _OVF = 2, 1
# 6.5: a conversion of 12 bits takes 532 µs, 586 µs at most; table 5 has the others' typical times
_SLOW = 586 / 532
_BITS_US = (84, 148, 276, 532)


class INA219:
    """Converts continuously after power-on, or once per write of a triggered mode.

    The environment's `voltage` (V, between the load's side of the shunt and ground) and `current` (A).
    clock: callable, seconds. pace: 0 converts in the typical time, 1 in the longest. lie: {register: word} that
    reads give instead of the truth.
    """

    def __init__(self, environment, clock, address: int = 0x40, pace: float = 1.0, shunt_ohms: float = 0.1):
        self.address = address
        self.lie: dict = {}
        self._environment = environment
        self._clock = clock
        self._pace = pace
        self._shunt_ohms = shunt_ohms
        self.power_on()

    def power_on(self) -> None:
        self._pointer = 0
        self._shunt = self._bus = self._current = self._power = self._calibration = 0
        self._overflow = self._converted = False
        self._configure(_RESET)

    def write(self, data: bytes) -> None:
        self._advance()
        if not data:
            return
        self._pointer = data[0]
        if len(data) < 3:
            return
        value = data[1] << 8 | data[2]
        if data[0] == 0 and value & 0x8000:
            self.power_on()
        elif data[0] == 0:
            self._configure(value)
        elif data[0] == _CALIBRATION:
            self._calibration = value & 0xFFFE  # 8.6.4.1: bit 0 is not there

    def read(self, length: int) -> bytes:
        self._advance()
        value = self.lie.get(self._pointer, self._register(self._pointer))
        if self._pointer == _POWER:
            self._converted = False
        return (bytes((value >> 8, value & 0xFF)) + b"\xff" * length)[:length]

    def _register(self, pointer):
        if pointer == _BUS:
            return self._bus << 3 | (_CNVR if self._converted else 0) | (_OVF if self._overflow else 0)
        values = {0: self._config, _SHUNT: self._shunt, _POWER: self._power, _CURRENT: self._current}
        values[_CALIBRATION] = self._calibration
        return values.get(pointer, 0) & 0xFFFF

    def _configure(self, value):
        self._config = value & 0x3FFF
        self._mode = value & 7
        if self._mode not in (0, 4):
            self._converted = False
        self._done_at = self._clock() + self._duration()

    def _duration(self):
        """Seconds that the conversions of the configured mode take."""
        us = 0
        for bit, setting in ((1, self._config >> 3 & 15), (2, self._config >> 7 & 15)):
            if self._mode & bit:
                us += 532 << (setting & 7) if setting & 8 else _BITS_US[setting & 3]
        return us * (1 + (_SLOW - 1) * self._pace) / 1e6

    def _advance(self):
        now = self._clock()
        if self._mode in (0, 4) or now < self._done_at:
            return
        at = self._done_at
        if self._mode & 4:
            period = self._duration()
            at += int((now - at) / period) * period
            self._done_at = at + period
        self._convert(at)
        if not self._mode & 4:
            self._mode = 0  # triggered: powered down until the next write; the register keeps its bits

    def _convert(self, at):
        if self._mode & 1:
            reach = 4000 << (self._config >> 11 & 3)  # table 4
            microvolts = self._environment.value("current", at) * self._shunt_ohms * 1e6
            self._shunt = min(reach, max(-reach, round(microvolts / 10)))
        if self._mode & 2:
            reach = 8000 if self._config & 0x2000 else 4000
            self._bus = min(reach, max(0, round(self._environment.value("voltage", at) / 0.004)))
        # 8.5.1, equations 4 and 5
        current = int(self._shunt * self._calibration / 4096)
        power = abs(current) * self._bus // 5000
        self._overflow = not -32768 <= current <= 32767 or power > 0xFFFF
        self._current = current & 0xFFFF
        self._power = power & 0xFFFF
        self._converted = True
