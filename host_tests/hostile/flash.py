"""In the place of a virtual board's flash: a chip that fails when it is told to, and whose power goes in the middle.

What it is told is in a file beside the image: after how many programs and erases the power goes (0: not), how
much of that one arrives (0: nothing, 1: half, 2: all), in how many of 1000 a program or an erase fails, and whether it
was this chip at which the power went.
"""

import struct

import backplane
import sound_flash

_ORDERS = "<IHHH"
_EIO = 5


class Flash(sound_flash.ImageFlash):
    def __init__(self, path, blocks):
        super().__init__(path, blocks)
        self._orders = open(path + ".orders", "r+b", 0)  # noqa: SIM115 - open for the life of the board
        self._told = bytearray(struct.calcsize(_ORDERS))
        self._draw = 1

    def writeblocks(self, block, buf, offset=0):
        return self._operate(self._write, block * sound_flash.BLOCK + offset, buf)

    def _erase(self, block):
        return self._operate(self._write, block * sound_flash.BLOCK, b"\xff" * sound_flash.BLOCK)

    def _write(self, at, data):
        self._file.seek(at)
        self._file.write(data)

    def _operate(self, write, at, data):
        self._orders.seek(0)
        self._orders.readinto(self._told)
        left, share, fails, _ = struct.unpack(_ORDERS, self._told)
        if left:
            self._orders.seek(0)
            self._orders.write(struct.pack(_ORDERS, left - 1, share, fails, left == 1))
            if left == 1:
                write(at, memoryview(data)[: len(data) * share // 2])
                backplane.call(backplane.RESET)
        if fails:
            self._draw = self._draw * 1103515245 + 12345 & 0x3FFFFFFF
            if (self._draw >> 8) % 1000 < fails:
                return -_EIO
        write(at, data)
        return 0


sound_flash.ImageFlash = Flash
mount_root = sound_flash.mount_root
