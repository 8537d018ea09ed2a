"""`os`: the real module plus what MicroPython adds."""

from os import *  # noqa: F403
from os import listdir, stat


def ilistdir(path="."):
    """(name, 0x4000 for a folder or 0x8000 for a file, inode, size) of each entry, in no useful order."""
    for name in listdir(path):
        found = stat(path.rstrip("/") + "/" + name if path else name)
        folder = (found.st_mode & 0o170000) == 0o040000
        yield (name, 0x4000 if folder else 0x8000, found.st_ino, 0 if folder else found.st_size)
