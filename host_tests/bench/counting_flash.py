"""littlefs on an image file that counts what is done to it. Runs under MicroPython only.

Its time is Python and a file of the PC in the place of a board's driver and chip: `us` is to be taken out of what is
measured, and so are the instructions of what `diary` tells (replay_flash.py).
"""

import os
import time

from flash import BLOCK, ImageFlash

BLOCKS = 64
PROGRAM = {"esp32": 32, "rp2": 256}


class CountingFlash(ImageFlash):
    """us: spent here; erases, programmed (bytes): since begin(). diary: a file that every call is told to, or None."""

    us = erases = programmed = 0
    diary = None

    def begin(self):
        """Count from now on."""
        self.us = self.erases = self.programmed = 0

    def end(self):
        """What was done since begin()."""
        return {"flash_us": self.us, "erases": self.erases, "programmed": self.programmed}

    def readblocks(self, block, buf, offset=0):
        started = time.ticks_us()
        super().readblocks(block, buf, offset)
        if self.diary:
            self.diary.write("r %d %d %d\n" % (block, len(buf), offset))
        self.us += time.ticks_diff(time.ticks_us(), started)

    def writeblocks(self, block, buf, offset=0):
        started = time.ticks_us()
        super().writeblocks(block, buf, offset)
        self.programmed += len(buf)
        if self.diary:
            self.diary.write("w %d %d %d\n" % (block, len(buf), offset))
        self.us += time.ticks_diff(time.ticks_us(), started)

    def ioctl(self, op, arg):
        started = time.ticks_us()
        result = super().ioctl(op, arg)
        if op == 6:
            self.erases += 1
        if self.diary:
            self.diary.write("i %d %d 0\n" % (op, arg or 0))
        self.us += time.ticks_diff(time.ticks_us(), started)
        return result


def mount(order):
    """A new littlefs in order["image"], mounted at /flash as order["port"] does it; order["diary"]: a path, or ""."""
    import vfs

    with open(order["image"], "wb") as file:
        for _ in range(BLOCKS):
            file.write(b"\xff" * BLOCK)
    flash = CountingFlash(order["image"], BLOCKS)
    program = PROGRAM[order["board"]]
    vfs.VfsLfs2.mkfs(flash, readsize=32, progsize=program)
    vfs.mount(vfs.VfsLfs2(flash, readsize=32, progsize=program), "/flash")
    if order["diary"]:
        flash.diary = open(order["diary"], "w")  # noqa: SIM115 - open as long as the program runs
    flash.begin()
    return flash


def kept():
    """Bytes of it in use, the file system's own included."""
    stat = os.statvfs("/flash")
    return stat[0] * (stat[2] - stat[3])
