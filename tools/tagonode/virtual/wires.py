"""Simulated wires other than I2C: 1-Wire, a DHT's data line, a serial line, clock and data, a contact.

What belongs here: how parts hang on a wire, and everything that goes wrong with wires. What a part says is in
chips/. Below them the ends that a board holds, Direct…, for tests that have wire and driver in one process. Plain
Python that MicroPython runs as well.
"""

ETIMEDOUT = 110


class Wire:
    """What all wires have in common: parts, and moments, counted, at which something can be made to happen.

    parts: simulated chips on it, each with power_on(). elapse: optional callable(seconds), told how long each use
    takes, for tests that run on a clock of their own.

    Switches: `stuck` (None, or the level that the wire is held at), unplug/plug, and plans for one coming use,
    where 1 is the next: flip_at, at.
    """

    def __init__(self, *parts, elapse=None):
        self.parts = list(parts)
        self.transfers = 0
        self._elapse = elapse
        self.heal()

    def heal(self) -> None:
        """Take back every fault."""
        self.stuck = None
        self.unplugged = False
        self._plans: dict = {}
        self._flipped = -1

    def power_on(self) -> None:
        """The parts' supply went away and came back."""
        for part in self.parts:
            part.power_on()

    def unplug(self) -> None:
        """All parts are gone, and without power."""
        self.unplugged = True

    def plug(self) -> None:
        """They are back, in their power-on state."""
        self.unplugged = False
        self.power_on()

    def at(self, n: int, action) -> None:
        """Call action() just before the n-th use from now."""
        self._plans[self.transfers + n] = action

    def flip_at(self, n: int, bit: int = 0) -> None:
        """The n-th use from now has one bit wrong."""

        def flip():
            self._flipped = bit

        self.at(n, flip)

    def _use(self, seconds):
        self.transfers += 1
        self._flipped = -1
        if self._elapse:
            self._elapse(seconds)
        plan = self._plans.pop(self.transfers, None)
        if plan:
            plan()

    def _present(self):
        return [] if self.unplugged else self.parts


class OneWireBus(Wire):
    """1-Wire, slot by slot. Its parts have reset() and slot(bit), which gives the level they let the line have."""

    def reset(self) -> bool:
        """Reset pulse; True when somebody answers with a presence pulse, or the line is held low."""
        self._use(0.00096)
        if self.stuck is not None:
            return not self.stuck
        for part in self._present():
            part.reset()
        return bool(self._present())

    def slot(self, bit: int) -> int:
        """One time slot: writes `bit`; a 1 is a read as well. The level the master sees."""
        self._use(0.00007)
        if self.stuck is not None:
            return self.stuck
        noise = self._flipped >= 0
        level = bit
        for part in self._present():
            level &= part.slot(bit ^ noise)
        return level ^ noise

    def slots(self, count: int, bits: int) -> int:
        """So many slots, the lowest bit first."""
        seen = 0
        for i in range(count):
            seen |= self.slot(bits >> i & 1) << i
        return seen


class DhtLine(Wire):
    """The data line of a DHT, which has respond() -> 40 lengths of high level in µs, or None for silence."""

    def frame(self) -> bytes:
        """Start signal and answer, as the firmware's dht_readinto does it. Raises OSError(ETIMEDOUT)."""
        self._use(0.27)
        pulses = None
        if self.stuck is None:
            for part in self._present():
                pulses = part.respond()
        if pulses is None:
            raise OSError(ETIMEDOUT)
        frame = bytearray(5)
        for i, microseconds in enumerate(pulses):
            one = (microseconds > 48) ^ (i == self._flipped)
            frame[i // 8] = frame[i // 8] << 1 & 0xFF | one
        return bytes(frame)


class SerialLine(Wire):
    """A UART's receive buffer and the wires to it. Its part has said() -> bytes since it was asked before, and
    hears(bytes).

    Like a board's, the buffer keeps the oldest `size` bytes. hears: False when nothing leads to the part's RX.
    cut(n) loses the next n bytes; inject(bytes) puts others into the buffer.
    """

    def __init__(self, *parts, elapse=None, size=256):
        self.size = size
        self.hears = True
        self._buffer = b""
        self._cut = 0
        super().__init__(*parts, elapse=elapse)

    def cut(self, count: int) -> None:
        self._cut = count

    def inject(self, data: bytes) -> None:
        self._buffer = (self._buffer + data)[: self.size]

    def _listen(self):
        self._use(0.00001)
        for part in self.parts:
            said = part.said()
            if self.unplugged or self.stuck == 1:
                said = b""
            elif self.stuck == 0:
                said = bytes(len(said))
            if self._flipped >= 0 and said:
                said = bytearray(said)
                said[self._flipped // 8 % len(said)] ^= 1 << self._flipped % 8
            lost = min(self._cut, len(said))
            self._cut -= lost
            self.inject(bytes(said[lost:]))

    def any(self) -> int:
        self._listen()
        return len(self._buffer)

    def read(self, count: int) -> bytes:
        self._listen()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def write(self, data: bytes) -> None:
        self._use(0.00001)
        if self.hears and self.stuck is None:
            for part in self._present():
                part.hears(bytes(data))


class ClockAndData(Wire):
    """Two wires: a clock that the board drives, data from a part which has pulse(high_us) and level()."""

    def pulse(self, high_us: int) -> None:
        """The clock was high for so long."""
        for part in self._present():
            part.pulse(high_us)

    def level(self) -> int:
        """Of the data wire, which a pull-up holds high when nobody drives it."""
        self._use(0.000002)
        if self.stuck is not None:
            return self.stuck
        for part in self._present():
            return part.level()
        return 1


class Contact(Wire):
    """A contact to ground with a pull-up. Its part has edges() -> [(seconds, level)] since it was asked before.

    clock: callable, seconds, which the part runs on. now: the level.
    """

    def __init__(self, *parts, clock, elapse=None):
        self.clock = clock
        self.now = 1
        super().__init__(*parts, elapse=elapse)

    def edges(self) -> list:
        """What happened since it was asked before: (when in seconds, level) each."""
        found = []
        for part in self.parts:
            found.extend(part.edges())
        if self.unplugged or self.stuck is not None:
            level = 1 if self.stuck is None else self.stuck
            found = [] if level == self.now else [(self.clock(), level)]
        if found:
            self.now = found[-1][1]
        return found


class DirectPin:
    """machine.Pin's methods on a wire in the same process; onewire and dht of guest/ take it, too.

    clock: anything with `us`, for ClockAndData: the time a call takes passes on it, and what happens in between.
    """

    IN, OUT, OPEN_DRAIN, PULL_UP, PULL_DOWN = 0, 1, 2, 1, 2
    IRQ_FALLING, IRQ_RISING = 4, 8

    def __init__(self, wire, clock=None):
        self.wire = wire
        self._clock = clock
        self._rose = 0
        self._level = None  # of an edge whose interrupt is being served
        self.handler = None
        self._trigger = 0

    def init(self, mode=-1, pull=-1, *, value=None):
        pass

    def value(self, level=None):
        if level is None:
            if self._level is not None:
                return self._level
            if isinstance(self.wire, Contact):
                self.serve()
                return self.wire.now
            return self.wire.level()
        self.wire._use(0.000002)
        if level:
            self._rose = self._clock.us
        else:
            self.wire.pulse(self._clock.us - self._rose)
        return None

    def irq(self, handler=None, trigger=12, *, hard=False):
        self.serve()
        self.handler = handler
        self._trigger = trigger

    def serve(self) -> None:
        """Run the interrupts that are due, each at its own time."""
        now = self._clock.us
        for at, level in self.wire.edges():
            self._level = level
            if self.handler and self._trigger & (self.IRQ_RISING if level else self.IRQ_FALLING):
                self._clock.us = int(at * 1e6)
                self.handler(self)
        self._level = None
        self._clock.us = now


class DirectUART:
    """machine.UART's methods on a serial line in the same process."""

    def __init__(self, line):
        self._line = line

    def any(self):
        return self._line.any()

    def read(self, nbytes=None):
        return self._line.read(self._line.size if nbytes is None else nbytes) or None

    def write(self, buf):
        self._line.write(buf)
        return len(buf)
