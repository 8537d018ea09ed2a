"""What Sensirion's humidity sensors have in common: commands, words with a CRC, answers given once."""

from tagonode.virtual.bus import Nack

_STARTUP_S = 0.001


def crc8(data: bytes) -> int:
    """CRC-8 of the SHT4x datasheet, 4.4, bit by bit as a shift register does it."""
    register = 0xFF
    for byte in data:
        for i in range(8):
            high = register >> 7 ^ byte >> 7 - i & 1
            register = register << 1 & 0xFF
            if high:
                register ^= 0x31
    return register


def words(*values: int) -> bytes:
    """Each 16-bit value followed by its CRC."""
    out = b""
    for value in values:
        pair = bytes((value >> 8, value & 0xFF))
        out += pair + bytes((crc8(pair),))
    return out


def ticks(value: float, offset: float, span: float) -> int:
    """The word in 0 … 65535 for a value of offset … offset + span."""
    return min(65535, max(0, round((value - offset) / span * 65535)))


class Sensirion:
    """A chip that takes commands of `command_length` bytes, is deaf at work, and gives each answer once.

    clock: callable, seconds. environment: see environment.py. pace: 0 takes the typical times, 1 the
    longest.
    """

    command_length = 2

    def __init__(self, environment, clock, address: int = 0x44, pace: float = 1.0):
        self.address = address
        self._environment = environment
        self._clock = clock
        self._pace = pace
        self.power_on()
        self._busy_until = clock()  # it has been on for a while

    def power_on(self) -> None:
        self._answer = None  # callable() -> bytes, made when it is done
        self._busy_until = self._clock() + _STARTUP_S

    def write(self, data: bytes) -> None:
        if self._clock() < self._busy_until:
            raise Nack
        if not data:
            return
        if len(data) < self.command_length:
            self._answer = None
            return
        if not self.command(data[: self.command_length], data[self.command_length :]):
            raise Nack

    def read(self, length: int) -> bytes:
        if self._clock() < self._busy_until or self._answer is None:
            raise Nack
        answer = self._answer()
        self._answer = None
        # Nobody drives the line after the last byte.
        return (answer + b"\xff" * length)[:length]

    def work(self, typical_ms: float, longest_ms: float, answer=None) -> None:
        """Be busy, then have answer() for one read."""
        self._busy_until = self._clock() + (typical_ms + (longest_ms - typical_ms) * self._pace) / 1000
        self._answer = answer

    def measured(self, quantity: str) -> float:
        return self._environment.value(quantity, self._busy_until)

    def command(self, code: bytes, rest: bytes) -> bool:
        """Carry out a command; False when there is no such."""
        raise NotImplementedError
