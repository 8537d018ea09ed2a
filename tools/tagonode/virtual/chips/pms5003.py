"""PMS5003: from Plantower's manual PMS5003 V2.3, appendix I and II."""

_BYTE_S = 10 / 9600
_START_S = 1.0  # until it first speaks
_WARM_UP_S = 30.0


def framed(body: bytes) -> bytes:
    """Start characters before, and the sum of all bytes behind."""
    head = b"\x42\x4d" + body
    return head + (sum(head) & 0xFFFF).to_bytes(2, "big")


class PMS5003:
    """On a SerialLine: said() and hears(). It speaks every `every_s` seconds until it is told to be passive.

    clock: callable, seconds. environment: see environment.py: pm1_0, pm2_5, pm10 (µg/m³). In its first 30 s the fan
    has not come up to speed, and it reports too little. answers: False for specimens that do not confirm commands.
    """

    def __init__(self, environment, clock, every_s: float = 2.3, answers: bool = True):
        self._environment = environment
        self._clock = clock
        self._every_s = every_s
        self._answers = answers
        self.power_on()
        self._on_since = clock() - 3600  # it has been on for a while

    def power_on(self) -> None:
        now = self._clock()
        self._on_since = now
        self._passive = False
        self._awake = True
        self._next = now + _START_S
        self._sent = now
        self._line: list = []  # (when its first byte leaves, frame)

    def hears(self, data: bytes) -> None:
        """Commands: 42 4D, command, two bytes of data, sum (appendix II)."""
        while len(data) >= 7:
            frame, data = data[:7], data[7:]
            if frame != framed(frame[2:5]):
                continue
            command, on = frame[2], frame[4]
            now = self._clock()
            if command == 0xE1:
                self._passive = not on
                self._next = now + self._every_s
            elif command == 0xE2 and self._passive and self._awake:
                self._say(now + 0.05, self._frame)
                continue
            elif command == 0xE4:
                self._awake = bool(on)
                self._on_since = now
            else:
                continue
            if self._answers:
                self._say(now + 0.02, lambda at, said=bytes((command, on)): framed(b"\x00\x04" + said))

    def said(self) -> bytes:
        """What has arrived since it was asked before."""
        now = self._clock()
        missed = int((now - self._next) / self._every_s) - 12
        if missed > 0:
            self._next += missed * self._every_s  # no buffer would hold them
        while self._next <= now:
            if self._awake and not self._passive:
                self._say(self._next, self._frame)
            self._next += self._every_s
        data = b""
        waiting = []
        for at, frame in self._line:
            gone = max(0, int((self._sent - at) / _BYTE_S + 1e-6))
            ready = max(0, int((now - at) / _BYTE_S + 1e-6))
            data += frame[gone:ready]
            if ready < len(frame):
                waiting.append((at, frame))
        self._line = waiting
        self._sent = now
        return data

    def _say(self, at, make):
        if self._line:
            before, frame = self._line[-1]
            at = max(at, before + len(frame) * _BYTE_S)
        self._line.append((at, make(at)))

    def _frame(self, at):
        share = min(1.0, (at - self._on_since) / _WARM_UP_S)
        air = [int(self._environment.value(name, at) * share + 0.5) for name in ("pm1_0", "pm2_5", "pm10")]
        # Of standard particles it reports more in dirty air; then come counts per 0.1 l, and its version.
        standard = [value if value < 30 else value * 3 // 2 for value in air]
        counts = [air[2] * 190, air[2] * 57, air[1] * 9, air[0], air[2] // 10, air[2] // 20]
        words = standard + air + counts + [0x9700]
        body = b"".join([min(word, 0xFFFF).to_bytes(2, "big") for word in words])
        return framed(b"\x00\x1c" + body)
