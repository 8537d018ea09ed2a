"""`onewire` for a virtual board: the names and signatures of the module that esp32 and rp2 firmware freezes."""

import _onewire as _ow


class OneWireError(Exception):
    pass


class OneWire:
    SEARCH_ROM = 0xF0
    MATCH_ROM = 0x55
    SKIP_ROM = 0xCC

    def __init__(self, pin):
        self.pin = pin
        pin.init(pin.OPEN_DRAIN, pin.PULL_UP)

    def reset(self, required=False):
        present = _ow.reset(self.pin)
        if required and not present:
            raise OneWireError
        return present

    def readbit(self):
        return _ow.readbit(self.pin)

    def readbyte(self):
        return _ow.readbyte(self.pin)

    def readinto(self, buf):
        for i in range(len(buf)):
            buf[i] = _ow.readbyte(self.pin)

    def writebit(self, value):
        _ow.writebit(self.pin, value)

    def writebyte(self, value):
        _ow.writebyte(self.pin, value)

    def write(self, buf):
        for byte in buf:
            _ow.writebyte(self.pin, byte)

    def select_rom(self, rom):
        self.reset()
        self.writebyte(self.MATCH_ROM)
        self.write(rom)

    def crc8(self, data):
        return _ow.crc8(data)

    def scan(self):
        """ROM codes of all that answer, each a bytearray. The binary tree is walked as in Maxim's AN187."""
        found = []
        choices = []  # directions taken where devices differ; the last may still be 0
        for _ in range(255):
            rom = self._walk(choices)
            if rom is None:
                break
            found.append(rom)
            while choices and choices[-1]:
                choices.pop()
            if not choices:
                break
            choices[-1] = 1
        return found

    def _walk(self, choices):
        if not self.reset():
            return None
        self.writebyte(self.SEARCH_ROM)
        rom = bytearray(8)
        forks = 0
        for i in range(64):
            bit, complement = self.readbit(), self.readbit()
            if bit and complement:
                return None
            if not bit and not complement:
                if forks == len(choices):
                    choices.append(0)
                bit = choices[forks]
                forks += 1
            self.writebit(bit)
            rom[i // 8] |= bit << i % 8
        return rom
