"""A simulated I2C bus: chips on it, and switches for everything that goes wrong with wires.

What belongs here: addressing, acknowledgement and faults. What a chip does with its bytes is in chips/. Plain
Python that MicroPython runs as well, so that a test can have bus, chips and driver in one process.
"""

EIO = 5  # a NACK on rp2
ENODEV = 19  # a NACK on esp32 and with SoftI2C
ETIMEDOUT = 110  # a stuck bus


class Nack(Exception):
    """Raised by a chip which does not acknowledge what it was just sent."""


class I2CBus:
    """Chips by address, and fault switches.

    chips: anything iterable; `bus.chips` may be changed at any time. nack_errno: 5 as rp2, 19 as esp32.
    elapse: optional callable(seconds), told how long each transfer takes at `frequency`, for tests that run
    on a clock of their own.

    Switches: `stuck` (nothing can be transferred), `all_zeros` and `all_ones` (chips hear nothing, and reads
    give that), pulled_up (off: nothing holds the lines up), hold_sda, unplug/plug, and plans for one coming
    transfer, where 1 is the next: nack_at, lose_at, flip_at, at.
    """

    def __init__(self, chips=(), nack_errno: int = EIO, elapse=None, frequency: int = 400000):
        self.chips = list(chips)
        self.nack_errno = nack_errno
        self.transfers = 0
        self._elapse = elapse
        self._bit_s = 1 / frequency
        self.heal()

    def heal(self) -> None:
        """Take back every fault."""
        self.stuck = self.all_zeros = self.all_ones = False
        self.pulled_up = True
        self._unplugged: set = set()
        self._plans: dict = {}
        self._losing = False
        self._flip = -1
        self._holds = 0
        self._deaf = False

    def power_on(self) -> None:
        """The supply of all chips went away and came back."""
        for chip in self.chips:
            chip.power_on()

    def unplug(self, address: int) -> None:
        """The chip at this address is gone from the bus, and without power."""
        self._unplugged.add(address)

    def plug(self, address: int) -> None:
        """It is back, in its power-on state."""
        self._unplugged.discard(address)
        for chip in self.chips:
            if chip.address == address:
                chip.power_on()

    def hold_sda(self, clocks: int = 9) -> None:
        """A chip that has lost count of the clock holds SDA low, until it has seen so many more; it listens again after
        STOP."""
        self._holds = clocks
        self._deaf = True

    def sda(self) -> int:
        """The level of SDA while nothing is transferred."""
        return 0 if self.stuck or self._holds or not self.pulled_up else 1

    def clock(self) -> None:
        """SCL went up, and nothing was transferred."""
        self._holds = max(0, self._holds - 1)

    def stop_condition(self) -> None:
        """SDA went up while SCL was."""
        if not self._holds:
            self._deaf = False

    def at(self, n: int, action) -> None:
        """Call action() just before the n-th transfer from now; it may raise OSError in its place."""
        self._plans[self.transfers + n] = action

    def nack_at(self, n: int) -> None:
        """The n-th transfer from now is not acknowledged."""
        self.at(n, self._nack)

    def lose_at(self, n: int) -> None:
        """The n-th transfer from now is acknowledged, but what it writes never reaches the chip."""
        self.at(n, self._lose)

    def flip_at(self, n: int, bit: int) -> None:
        """The n-th transfer from now reads one bit wrongly; bit 7 is the highest of the first byte."""

        def flip():
            self._flip = bit

        self.at(n, flip)

    def _nack(self):
        raise OSError(self.nack_errno)

    def _lose(self):
        self._losing = True

    def scan(self) -> list:
        """Addresses that answer."""
        if self.stuck or self._deaf or self.all_ones or not self.pulled_up:
            return []
        if self.all_zeros:
            return list(range(0x08, 0x78))
        return sorted(chip.address for chip in self.chips if chip.address not in self._unplugged)

    def transfer(self, address: int, write: bytes, read: int, stop: bool = True) -> bytes:
        """Write, then read (with a repeated start when both). Raises OSError as the board's port does."""
        self.transfers += 1
        self._losing = False
        self._flip = -1
        if self._elapse:
            # A start, an address byte and a stop or restart for each direction; nine clocks a byte.
            self._elapse(self._bit_s * (9 * (len(write) + read) + 11 * (bool(write) + bool(read))))
        plan = self._plans.pop(self.transfers, None)
        if plan:
            plan()
        if self.stuck or self._deaf or not self.pulled_up:
            raise OSError(ETIMEDOUT)
        if self.all_zeros or self.all_ones:
            return (b"\xff" if self.all_ones else b"\x00") * read
        if address in self._unplugged:
            self._nack()
        for chip in self.chips:
            if chip.address == address:
                return self._talk(chip, write, read)
        return self._nack()

    def _talk(self, chip, write, read):
        try:
            # Only pure writes are lost: without its register pointer, a read would come from elsewhere.
            if write and (read or not self._losing):
                chip.write(bytes(write))
            data = chip.read(read) if read else b""
        except Nack:
            self._nack()
        if self._flip >= 0 and read:
            data = bytearray(data)
            data[self._flip // 8 % read] ^= 1 << self._flip % 8
        return bytes(data)


class DirectI2C:
    """machine.I2C's methods on a bus in the same process."""

    def __init__(self, bus: I2CBus):
        self._bus = bus

    def scan(self):
        return self._bus.scan()

    def writeto(self, addr, buf, stop=True):
        self._bus.transfer(addr, bytes(buf), 0, stop)
        return len(buf)

    def readfrom(self, addr, nbytes, stop=True):
        return self._bus.transfer(addr, b"", nbytes, stop)

    def readfrom_into(self, addr, buf, stop=True):
        buf[:] = self._bus.transfer(addr, b"", len(buf), stop)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        return self._bus.transfer(addr, memaddr.to_bytes(addrsize // 8, "big"), nbytes)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        buf[:] = self._bus.transfer(addr, memaddr.to_bytes(addrsize // 8, "big"), len(buf))

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self._bus.transfer(addr, memaddr.to_bytes(addrsize // 8, "big") + bytes(buf), 0)
