"""SCD40 and SCD41: from Sensirion's datasheet SCD4x, version 1.3 (sections cited)."""

from tagonode.virtual.bus import Nack
from tagonode.virtual.chips.sensirion import Sensirion, crc8, ticks, words

_POWER_UP_S = 1.0  # 2.4: from power to idle
_READY = 0x8006
_NOT_READY = 0x8000

# The signal update interval in seconds (3.5.1, 3.8.1).
_PERIODIC = {0x21B1: 5.0, 0x21AC: 30.0}
# Commands that a measuring chip obeys (table 9).
_WHILE_MEASURING = (0xEC05, 0xE4B8, 0x3F86, 0xE000)
# Settings: the command that sets, and the one that reads, what a chip fresh from the factory holds.
_SETTINGS = {0x241D: (0x2318, 1498), 0x2427: (0x2322, 0), 0x2416: (0x2313, 1)}


class SCD4X(Sensirion):
    """Measures by itself once told to, keeps the newest result, and gives it once.

    seed: which chip of the reel (serial number). single_shot: an SCD41, which the SCD40 is not. pace: how slow
    its clock is: 1 takes 5.25 s for an interval of 5 s, 0 takes 4.75 s.
    lie: nine bytes that it sends instead of the truth. stalled: it goes on measuring for ever, as some do.
    """

    def __init__(self, environment, clock, address: int = 0x62, pace: float = 1.0, seed: int = 1, single_shot=True):
        self.lie = None
        self.stalled = False
        self._serial = (0xF896, 0x9F07 ^ seed & 0xFFFF, 0x3BBE)
        self._single_shot = single_shot
        self._stored = {number: usual for number, (_, usual) in _SETTINGS.items()}
        super().__init__(environment, clock, address, pace)

    def power_on(self):
        super().power_on()
        self._busy_until = self._clock() + _POWER_UP_S
        self._asleep = False
        self._idle()
        self._settings = dict(self._stored)

    def _idle(self):
        self._interval = 0.0
        self._next = None  # when the measurement that runs is done
        self._frame = None

    def altitude(self) -> int:
        """Metres above sea level that it compensates for."""
        return self._settings[0x2427]

    def write(self, data: bytes) -> None:
        if self._asleep:
            # wake_up is not acknowledged either (3.10.4)
            if data == b"\x36\xf6" and self._clock() >= self._busy_until:
                self._asleep = False
                self._busy_until = self._clock() + 0.020
            raise Nack
        self._advance()
        super().write(data)

    def read(self, length: int) -> bytes:
        self._advance()
        return super().read(length)

    def _advance(self):
        now = self._clock()
        if self._next is None or now < self._next or self.stalled:
            return
        if self._interval:
            missed = int((now - self._next) / self._interval)
            done = self._next + missed * self._interval
            self._next = done + self._interval
        else:
            done = self._next
            self._next = None
        self._frame = words(
            min(40000, max(0, round(self._environment.value("co2", done)))),
            ticks(self._environment.value("temperature", done), -45, 175),
            ticks(self._environment.value("humidity", done), 0, 100),
        )

    def _take(self):
        """The result, which is gone then; refused when there is none (3.5.2)."""
        frame, self._frame = self._frame, None
        if frame is None:
            raise Nack
        return self.lie or frame

    def _say(self, *values):
        self.work(1, 1, lambda: words(*values))
        return True

    def command(self, code, rest):
        code = code[0] << 8 | code[1]
        measuring = self._next is not None
        if measuring and code not in _WHILE_MEASURING:
            return False
        if code in _SETTINGS or code == 0xE000:
            if len(rest) != 3 or crc8(rest[:2]) != rest[2]:
                return False
            self._settings[code] = rest[0] << 8 | rest[1]
            self.work(1, 1)
            return True
        if rest:
            return False
        for number, (ask, _) in _SETTINGS.items():
            if code == ask:
                return self._say(self._settings[number])
        if code in _PERIODIC:
            self._idle()
            self._interval = _PERIODIC[code] * (0.95 + 0.1 * self._pace)
            self._next = self._clock() + self._interval
        elif code == 0xE4B8:
            self._say(_NOT_READY if self._frame is None else _READY)
        elif code == 0xEC05:
            self.work(1, 1, self._take)
        elif code == 0x3F86:
            self._idle()
            self.work(500, 500)
        elif code == 0x219D and self._single_shot:
            self._idle()
            self._next = self._clock() + 5.0
            self.work(5000, 5000)
        elif code == 0x3682:
            self._say(*self._serial)
        elif code == 0x3615:
            self._stored = {number: self._settings[number] for number in _SETTINGS}
            self.work(800, 800)
        elif code == 0x3646:
            self._settings = dict(self._stored)
            self.work(20, 20)
        elif code == 0x36E0 and self._single_shot:
            self._idle()
            self._asleep = True
            self._busy_until = self._clock() + 0.001
        else:
            return False
        return True
