"""A flash chip in memory that counts what is done to it, for VfsLfs2 under MicroPython. Runs there only.

GEOMETRY: how littlefs is mounted on a port: (size of reads, size of programs).
"""

GEOMETRY = {"esp32": (32, 32), "rp2": (32, 256)}
BLOCK = 4096


class Flash:
    """blocks: of 4096 bytes. erases, programmed (bytes): since the start; set them to 0 as you like."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.image = bytearray(blocks * BLOCK)
        self.view = memoryview(self.image)
        self.erases = 0
        self.programmed = 0

    def readblocks(self, n, buffer, offset=0):
        at = n * BLOCK + offset
        buffer[:] = self.view[at : at + len(buffer)]

    def writeblocks(self, n, buffer, offset=0):
        at = n * BLOCK + offset
        self.view[at : at + len(buffer)] = buffer
        self.programmed += len(buffer)

    def ioctl(self, op, argument):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6:
            self.erases += 1
        return 0
