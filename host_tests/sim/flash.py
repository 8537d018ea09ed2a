"""The board's flash: what littlefs promises, cheap, with a power cut at any operation and errors on demand.

`Disk` keeps files by name. It has of littlefs what host_tests/campaigns (33,180 power cuts of the real one) and its
specification say: opening a new file for writing commits an empty one; what is written is committed whole when the
file is closed, or not at all; rename and remove are one step. `littlefs.py` is the real thing behind the same calls,
which a share of the seeds runs on.

An operation is what changes the flash. `cut_in`: so many operations from now the power goes; `cut_after`: after that
operation took effect, instead of before. `faulty`: see Faulty.
"""

import errno
import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .loop import Ended

BLOCK = 4096
_INLINE = 512  # bytes of a file that takes no block of its own


class Faulty:
    """What goes wrong on flash now. write, read: chances that an operation fails; late: of those that fail when
    writing, the share that took effect all the same; full: bytes that somebody else has taken."""

    def __init__(self) -> None:
        self.write = 0.0
        self.read = 0.0
        self.late = 0.5
        self.full = 0


class Disk:
    """Survives boots. draw: a random number from 0 to 1."""

    def __init__(self, size: int, draw: Callable[[], float]):
        self.files: dict[str, bytes] = {}
        self.folders = {"/"}
        self.size = size
        self.faulty = Faulty()
        self.cut_in = 0
        self.cut_after = False
        self.operations = 0
        self.dead = False  # the power is off
        self.open_files = 0
        self._draw = draw

    def power_on(self) -> None:
        self.dead = False
        self.cut_in = 0
        self.open_files = 0

    def power_off(self) -> None:
        self.dead = True

    # ---- what changes the flash

    def _operate(self, change: Callable[[], None]) -> None:
        if self.dead:
            return
        self.operations += 1
        if self.cut_in:
            self.cut_in -= 1
            if not self.cut_in:
                if self.cut_after:
                    change()
                self.dead = True
                raise Ended("power cut")
        faulty = self.faulty
        if faulty.write and self._draw() < faulty.write:
            if self._draw() < faulty.late:
                change()
            raise OSError(errno.EIO, "program failed")
        change()

    def used(self) -> int:
        blocks = 2 * len(self.folders)
        for content in self.files.values():
            if len(content) > _INLINE:
                blocks += -(-len(content) // BLOCK)
        return blocks * BLOCK + self.faulty.full

    def room(self, path: str, size: int) -> bool:
        """Whether a file of this size fits in the place of what is there. A block is held back for the folder."""
        if size <= _INLINE:
            return True
        free = self.size - self.used() - BLOCK
        old = len(self.files.get(path, b""))
        if old > _INLINE:
            free += -(-old // BLOCK) * BLOCK
        return -(-size // BLOCK) * BLOCK <= free

    def make_folder(self, path: str) -> None:
        """From outside of the board."""
        self.folders.add(path)

    def put(self, path: str, content: bytes) -> None:
        """From outside of the board."""
        self.files[path] = content

    def content(self, folder: str) -> dict[str, bytes]:
        """The files in a folder, as a PC that reads the chip finds them."""
        head = folder.rstrip("/") + "/"
        return {p[len(head) :]: c for p, c in self.files.items() if p.startswith(head)}

    def check_read(self) -> None:
        if self.faulty.read and self._draw() < self.faulty.read:
            raise OSError(errno.EIO, "read failed")

    def open(self, path: str, mode: str = "r", *_: Any) -> "File":
        path = absolute(path)
        if path in self.folders:
            raise OSError(errno.EISDIR, "EISDIR")
        new = path not in self.files
        if "r" in mode and "+" not in mode:
            if new:
                raise OSError(errno.ENOENT, "ENOENT")
            self.check_read()
            return File(self, path, mode, self.files[path])
        if path.rpartition("/")[0] not in self.folders and path.count("/") > 1:
            raise OSError(errno.ENOENT, "ENOENT")
        if new:
            if "r" in mode:
                raise OSError(errno.ENOENT, "ENOENT")
            self._operate(lambda: self.files.setdefault(path, b""))  # type: ignore[arg-type, return-value]
        return File(self, path, mode, b"" if "w" in mode else self.files.get(path, b""))

    def commit(self, path: str, content: bytes) -> None:
        if self.dead:
            return
        if not self.room(path, len(content)):
            raise OSError(errno.ENOSPC, "ENOSPC")
        self._operate(lambda: self.files.__setitem__(path, content))

    # ---- os

    def module(self, urandom: Callable[[int], bytes]) -> SimpleNamespace:
        """The device's `os`."""
        return SimpleNamespace(
            listdir=self.listdir,
            mkdir=self.mkdir,
            remove=self.remove,
            rename=self.rename,
            rmdir=self.remove,
            stat=self.stat,
            statvfs=self.statvfs,
            unlink=self.remove,
            urandom=urandom,
        )

    def listdir(self, folder: str = "/") -> list[str]:
        folder = absolute(folder)
        if folder not in self.folders:
            raise OSError(errno.ENOENT, "ENOENT")
        head = folder if folder == "/" else folder + "/"
        size = len(head)
        names = [p[size:] for p in self.files if p.startswith(head) and "/" not in p[size:]]
        names += [p[size:] for p in self.folders if p.startswith(head) and p != folder and "/" not in p[size:]]
        return sorted(names)

    def mkdir(self, folder: str) -> None:
        folder = absolute(folder)
        if folder in self.folders or folder in self.files:
            raise OSError(errno.EEXIST, "EEXIST")
        self._operate(lambda: self.folders.add(folder))

    def remove(self, path: str) -> None:
        path = absolute(path)
        if path in self.folders:
            if any(p.startswith(path + "/") for p in self.files):
                raise OSError(errno.ENOTEMPTY, "ENOTEMPTY")
            self._operate(lambda: self.folders.discard(path))
            return
        if path not in self.files:
            raise OSError(errno.ENOENT, "ENOENT")
        self._operate(lambda: self.files.__delitem__(path))

    def rename(self, old: str, new: str) -> None:
        old, new = absolute(old), absolute(new)
        if old not in self.files:
            raise OSError(errno.ENOENT, "ENOENT")

        def change() -> None:
            self.files[new] = self.files.pop(old)

        self._operate(change)

    def stat(self, path: str) -> tuple:
        path = absolute(path)
        if path in self.files:
            return (0x8000, 0, 0, 0, 0, 0, len(self.files[path]), 0, 0, 0)
        if path in self.folders:
            return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(errno.ENOENT, "ENOENT")

    def statvfs(self, path: str = "/") -> tuple:
        free = max(0, self.size - self.used()) // BLOCK
        return (BLOCK, BLOCK, self.size // BLOCK, free, free, 0, 0, 0, 0, 255)


def absolute(path: str) -> str:
    path = path if path.startswith("/") else "/" + path
    return path.rstrip("/") or "/"


class File:
    """A file as MicroPython opens it. A program that failed makes it useless: closing it commits nothing more."""

    def __init__(self, disk: Disk, path: str, mode: str, content: bytes):
        self._disk = disk
        self._path = path
        self._text = "b" not in mode
        self._writes = "r" not in mode
        self._raw = io.BytesIO(content)
        if "a" in mode:
            self._raw.seek(0, 2)
        self._dirty = "w" in mode and self._writes and bool(disk.files.get(path))
        self._open = True
        disk.open_files += 1

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> "File":
        return self

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _out(self, data: bytes) -> Any:
        return data.decode() if self._text else data

    def read(self, size: int = -1) -> Any:
        self._disk.check_read()
        if not self._text or size < 0:
            return self._out(self._raw.read(size))
        whole = self._raw.getvalue()[self._raw.tell() :].decode()[:size]
        self._raw.seek(len(whole.encode()), 1)
        return whole

    def readline(self) -> Any:
        return self._out(self._raw.readline())

    def readinto(self, buffer: Any) -> int:
        self._disk.check_read()
        return self._raw.readinto(buffer)

    def seek(self, at: int, whence: int = 0) -> int:
        return self._raw.seek(at, whence)

    def write(self, data: Any) -> int:
        if not self._writes:
            raise OSError(errno.EBADF, "EBADF")
        self._dirty = True
        self._raw.write(data.encode() if isinstance(data, str) else data)
        return len(data)

    def flush(self) -> None:
        if self._dirty and self._open:
            self._dirty = False
            self._disk.commit(self._path, self._raw.getvalue())

    def close(self) -> None:
        if self._open:
            try:
                self.flush()
            finally:
                self._open = False
                self._disk.open_files -= 1
