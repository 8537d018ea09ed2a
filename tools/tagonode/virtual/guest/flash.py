"""The virtual board's flash chip: an image file as a block device for littlefs.

Every program and erase is one write(2) to the file, so what the board was told is written survives the
death of its process at any moment, as it does on a real chip.
"""

import os
import sys

BLOCK = 4096
_ERASED = b"\xff" * BLOCK


class ImageFlash:
    """Block device on an image file opened for reading and writing without a buffer."""

    def __init__(self, path, blocks):
        self._file = open(path, "r+b", 0)  # noqa: SIM115 - open for the life of the board
        self._blocks = blocks

    def readblocks(self, block, buf, offset=0):
        self._file.seek(block * BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        self._file.seek(block * BLOCK + offset)
        self._file.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return BLOCK
        if op == 6:
            self._file.seek(arg * BLOCK)
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
