"""`machine.UART` for a virtual board."""

import struct

import backplane


class UART:
    def __init__(self, id, baudrate=9600, bits=8, parity=None, stop=1, tx=None, rx=None, **others):
        self._unit = id
        backplane.call(backplane.UART_MAKE, id, b"" if tx is None else bytes((tx._unit, rx._unit)))

    def init(self, baudrate=9600, bits=8, parity=None, stop=1, **wires):
        pass

    def deinit(self):
        pass

    def any(self):
        return struct.unpack("<H", backplane.call(backplane.UART_ANY, self._unit))[0]

    def read(self, nbytes=256):
        return backplane.call(backplane.UART_READ, self._unit, struct.pack("<H", nbytes)) or None

    def readinto(self, buf, nbytes=None):
        data = self.read(len(buf) if nbytes is None else nbytes)
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def write(self, buf):
        backplane.call(backplane.UART_WRITE, self._unit, bytes(buf))
        return len(buf)
