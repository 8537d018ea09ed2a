"""ADS1115: from Texas Instruments' datasheet SBAS444D (sections cited)."""

from tagonode.virtual.bus import Nack

_STARTUP_S = 50e-6  # 9.4.1
_RATES = (8, 16, 32, 64, 128, 250, 475, 860)
_FULL_SCALE = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
_PAIRS = ((0, 1), (0, 3), (1, 3), (2, 3))  # MUX 0 … 3
_OS, _SINGLE_SHOT = 0x8000, 0x0100


class ADS1115:
    """Four registers; single-shot or continuous conversions of one input, or the difference of two.

    The environment's `voltage_0` … `voltage_3`, in V. clock: callable, seconds. pace: 0 has data rates 10 % high,
    1 has them 10 % low, as far as the datasheet lets them (7.5). lie: {register: word} that reads give instead.
    """

    def __init__(self, environment, clock, address: int = 0x48, pace: float = 1.0):
        self.address = address
        self.lie: dict = {}
        self._environment = environment
        self._clock = clock
        self._pace = pace
        self.power_on()
        self._deaf_until = clock()  # it has been on for a while

    def power_on(self) -> None:
        self._deaf_until = self._clock() + _STARTUP_S
        self._pointer = 0
        # conversion, configuration (OS is not kept), low and high threshold (9.6)
        self._registers = [0, 0x0583, 0x8000, 0x7FFF]
        self._done_at = None

    def write(self, data: bytes) -> None:
        self._advance()
        if not data:
            return
        self._pointer = data[0] & 3
        if len(data) < 3 or not self._pointer:
            return
        value = data[1] << 8 | data[2]
        if self._pointer != 1:
            self._registers[self._pointer] = value
            return
        busy = self._done_at is not None
        self._registers[1] = value & ~_OS
        if not value & _SINGLE_SHOT or (value & _OS and not busy):
            self._begin()

    def read(self, length: int) -> bytes:
        self._advance()
        value = self._registers[self._pointer]
        if self._pointer == 1 and (value & _SINGLE_SHOT and self._done_at is None):
            value |= _OS
        value = self.lie.get(self._pointer, value)
        return (bytes((value >> 8, value & 0xFF)) + b"\xff" * length)[:length]

    def _begin(self):
        self._started_with = self._registers[1]
        self._done_at = self._clock() + 25e-6 + self._period()

    def _period(self):
        return 1 / (_RATES[self._registers[1] >> 5 & 7] * (1.1 - 0.2 * self._pace))

    def _advance(self):
        now = self._clock()
        if now < self._deaf_until:
            raise Nack
        if self._done_at is None or now < self._done_at:
            return
        at = self._done_at
        if self._registers[1] & _SINGLE_SHOT:
            self._done_at = None
        else:
            at += int((now - at) / self._period()) * self._period()
            self._done_at = at + self._period()
        config = self._started_with
        mux = config >> 12 & 7
        volts = self._environment.value(f"voltage_{mux & 3 if mux & 4 else _PAIRS[mux][0]}", at)
        if not mux & 4:
            volts -= self._environment.value(f"voltage_{_PAIRS[mux][1]}", at)
        code = round(volts / _FULL_SCALE[config >> 9 & 7] * 32768)
        self._registers[0] = min(32767, max(-32768, code)) & 0xFFFF
