"""DHT22 and DHT11: from Aosong's datasheets AM2302 (DHT22) and DHT11 version 1.3."""


class DHT22:
    """On a DhtLine: respond(). It tells what it measured when it was asked before, and then measures.

    clock: callable, seconds. environment: see environment.py. twos_complement: as some clones send what is below
    zero. lie: five bytes to send instead of the truth.
    """

    _INTERVAL_S = 2.0
    _UNSTABLE_S = 1.0  # after power-on nothing is to be sent to it

    def __init__(self, environment, clock, twos_complement: bool = False):
        self.lie = None
        self._environment = environment
        self._clock = clock
        self._twos_complement = twos_complement
        self.power_on()
        self._deaf_until = clock()  # it has been on for a while

    def power_on(self) -> None:
        self._deaf_until = self._clock() + self._UNSTABLE_S
        self._measured = bytes(4)

    def respond(self):
        """Lengths of high level in µs: 26 is a 0, 70 a 1. None while it does not answer."""
        now = self._clock()
        if now < self._deaf_until:
            return None
        self._deaf_until = now + self._INTERVAL_S
        frame = self._measured + bytes((sum(self._measured) & 0xFF,))
        frame = self.lie or frame
        self._measured = self._measure(now)
        return [70 if frame[i // 8] >> 7 - i % 8 & 1 else 26 for i in range(40)]

    def _measure(self, at):
        humidity = _tenths(self._environment.value("humidity", at), 0, 1000)
        celsius = _tenths(self._environment.value("temperature", at), -400, 800)
        if celsius < 0:
            celsius = celsius & 0xFFFF if self._twos_complement else 0x8000 | -celsius
        return bytes((humidity >> 8, humidity & 0xFF, celsius >> 8, celsius & 0xFF))


class DHT11(DHT22):
    """Whole percents; degrees and tenths, and in the tenths a sign."""

    _INTERVAL_S = 1.0

    def _measure(self, at):
        humidity = _tenths(self._environment.value("humidity", at), 50, 950) // 10
        celsius = _tenths(self._environment.value("temperature", at), -200, 600)
        sign = 0x80 if celsius < 0 else 0
        return bytes((humidity, 0, abs(celsius) // 10, abs(celsius) % 10 | sign))


def _tenths(value, lowest, highest):
    return max(lowest, min(highest, int(value * 10 + 10000.5) - 10000))
