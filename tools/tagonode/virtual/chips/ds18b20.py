"""DS18B20, bit by bit: from Maxim's datasheet 19-7487 Rev 6 (pages cited)."""

from tagonode.virtual.environment import chance

_POWER_ON = b"\x50\x05"  # +85 °C (page 6)


def crc8(data: bytes) -> int:
    """CRC = X^8 + X^5 + X^4 + 1, as a shift register does it (page 8)."""
    register = 0
    for byte in data:
        for i in range(8):
            feedback = (register ^ byte >> i) & 1
            register >>= 1
            if feedback:
                register ^= 0x8C
    return register


def rom_code(seed: int, family: int = 0x28) -> bytes:
    """Family, 48 bits of serial number, CRC (page 7)."""
    code = bytes([family] + [int(256 * chance(seed, f"rom{i}")) for i in range(6)])
    return code + bytes((crc8(code),))


def rom_of(address):
    """The ROM code that an address of a config means (text or int of 16 hexadecimal digits); None for none."""
    if address is None:
        return None
    return (int(address, 16) if isinstance(address, str) else address).to_bytes(8, "big")


class DS18B20:
    """On a OneWireBus: reset() and slot(bit).

    clock: callable, seconds. environment: see environment.py. seed: which ROM code. pace: 1 converts in the longest
    time. keeps_resolution: False for clones which are always at 12 bits. lie: a scratchpad to send instead.
    """

    def __init__(self, environment, clock, seed: int = 1, pace: float = 1.0, family: int = 0x28, rom=None):
        self.rom = rom or rom_code(seed, family)
        self.lie = None
        self.keeps_resolution = True
        self._environment = environment
        self._clock = clock
        self._pace = pace
        self._eeprom = b"\x4b\x46\x7f"  # TH, TL, configuration: as delivered
        self.power_on()

    def power_on(self) -> None:
        self._temperature = _POWER_ON
        self._settings = bytearray(self._eeprom)
        self._done_at = None
        self._sleep()

    def _sleep(self):
        """Deaf until the next reset pulse."""
        self._step = None
        self._bits = []
        self._answer = None

    # 1-Wire (pages 10 … 16)

    def reset(self) -> None:
        self._advance()
        self._sleep()
        self._step = self._rom_command

    def slot(self, bit: int) -> int:
        """One time slot: the level it lets the line have."""
        self._advance()
        if self._answer is not None:
            return self._answer()
        if self._step is not None:
            self._bits.append(bit)
            self._step()
        return 1

    def _taken(self, count):
        """So many bytes, once they are there."""
        if len(self._bits) < 8 * count:
            return None
        data = bytes([sum([self._bits[8 * i + j] << j for j in range(8)]) for i in range(count)])
        self._bits = []
        return data

    def _rom_command(self):
        code = self._taken(1)
        if code is None:
            return
        if code == b"\xcc":
            self._step = self._function
        elif code == b"\x55":
            self._step = self._match
        elif code == b"\x33":
            self._send(self.rom)
            self._step = self._function
        elif code == b"\xf0":
            self._searching = [self.rom[i // 8] >> i % 8 & 1 for i in range(64)]
            self._answer = self._search
            self._phase = 0
        else:
            self._sleep()

    def _match(self):
        rom = self._taken(8)
        if rom == self.rom:
            self._step = self._function
        elif rom is not None:
            self._sleep()

    def _search(self):
        """Bit, complement, and then the direction that the master takes (page 11)."""
        bit = self._searching[0]
        if self._phase < 2:
            self._phase += 1
            if self._phase == 2:
                self._answer = None
                self._step = self._direction
                return 1 - bit
            return bit
        return 1

    def _direction(self):
        bit = self._bits.pop()
        if bit != self._searching.pop(0):
            self._sleep()
        elif self._searching:
            self._phase = 0
            self._answer = self._search
        else:
            self._step = self._function

    def _function(self):
        code = self._taken(1)
        if code is None:
            return
        if code == b"\x44":
            self._done_at = self._clock() + 0.75 * self._pace / 2 ** (3 - (self._settings[2] >> 5 & 3))
            self._answer = self._status
        elif code == b"\xbe":
            scratchpad = self._temperature + bytes(self._settings) + b"\xff\x0c\x10"
            self._send(self.lie or scratchpad + bytes((crc8(scratchpad),)))
        elif code == b"\x4e":
            self._step = self._write_scratchpad
        elif code == b"\x48":
            self._eeprom = bytes(self._settings)
        elif code == b"\xb8":
            self._settings = bytearray(self._eeprom)
        elif code == b"\xb4":
            self._answer = self._released  # external supply
        else:
            self._sleep()

    def _write_scratchpad(self):
        if len(self._bits) % 8 == 0:
            index = len(self._bits) // 8 - 1
            byte = sum([self._bits[8 * index + j] << j for j in range(8)])
            if index == 2:
                byte = byte & 0x60 | 0x1F if self.keeps_resolution else 0x7F
                self._step = None
            self._settings[index] = byte

    def _send(self, data):
        bits = [data[i // 8] >> i % 8 & 1 for i in range(8 * len(data))]

        def answer():
            return bits.pop(0) if bits else 1

        self._answer = answer

    def _status(self):
        return int(self._done_at is None)

    def _released(self):
        return 1

    # Conversion (pages 5, 6)

    def _advance(self):
        if self._done_at is not None and self._clock() >= self._done_at:
            celsius = self._environment.value("temperature", self._done_at)
            self._done_at = None
            raw = int(max(-55.0, min(125.0, celsius)) * 16 + 16384.5) - 16384
            raw &= -8 >> (self._settings[2] >> 5 & 3)
            self._temperature = bytes((raw & 0xFF, raw >> 8 & 0xFF))
