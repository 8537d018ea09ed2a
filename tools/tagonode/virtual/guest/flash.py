"""The virtual board's flash chip: an image file as a block device for littlefs.

Every program and erase is one write(2) to the file, so what the board was told is written survives the
death of its process at any moment, as it does on a real chip.
"""

import os
import sys

BLOCK = 4096
_ERASED = b"\xff" * BLOCK


class ImageFlash:
    """Block device on an image file opened for reading and writing without a buffer.

    Without a single jump: that is where MicroPython looks for Ctrl-C, which must not end an operation of littlefs in
    the middle, and does not on a board, whose block device is C.
    """

    def __init__(self, path, blocks):
        self._file = open(path, "r+b", 0)  # noqa: SIM115 - open for the life of the board
        self._answers = (self._nothing,) * 4 + (lambda arg: blocks, lambda arg: BLOCK, self._erase)

    def readblocks(self, block, buf, offset=0):
        self._file.seek(block * BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        self._file.seek(block * BLOCK + offset)
        self._file.write(buf)

    def ioctl(self, op, arg):
        return self._answers[op](arg)

    def _nothing(self, arg):
        return 0

    def _erase(self, block):
        self._file.seek(block * BLOCK)
        self._file.write(_ERASED)
        return 0


def mount_root(path, blocks, prog):
    """Make the image's littlefs the board's `/`, in place of the PC's files."""
    import vfs

    filesystem = vfs.VfsLfs2(ImageFlash(path, blocks), readsize=32, progsize=prog)
    vfs.umount("/")
    vfs.mount(filesystem, "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
