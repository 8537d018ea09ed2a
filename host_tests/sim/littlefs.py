"""The real littlefs behind the calls of `flash.Disk`, on a chip in memory that power can leave at any program or erase.

A cut tears the operation: nothing, half or all of its bytes arrive. Slower than the model by an order of magnitude; a
tenth of the seeds runs on it.
"""

import errno
import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from littlefs import LittleFS, LittleFSError, UserContext

from .flash import BLOCK, Disk, Faulty, absolute
from .loop import Ended

_READ = 32
_IO_ERROR = -5
_BALLAST = "/ballast"


class _Chip(UserContext):
    """One mount's way to the chip. blocks: what it holds; operate(change, torn): does a program or an erase, in part,
    or not, and gives an error number."""

    def __init__(self, blocks: list[bytearray], operate: Callable[[Callable[[], None], Callable[[], None]], int]):
        self.blocks = blocks
        self._operate = operate

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        return self.blocks[block][off : off + size]

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        data = bytes(data)

        def write(end: int) -> Callable[[], None]:
            def change() -> None:
                self.blocks[block][off : off + end] = data[:end]

            return change

        return self._operate(write(len(data)), write(len(data) // 2))

    def erase(self, cfg: Any, block: int) -> int:
        def wipe(end: int) -> Callable[[], None]:
            def change() -> None:
                self.blocks[block][:end] = b"\xff" * end

            return change

        return self._operate(wipe(BLOCK), wipe(BLOCK // 2))

    def sync(self, cfg: Any) -> int:
        return 0


class _Faulty(Faulty):
    """As its base; what is taken of the flash is taken by a file."""

    def __init__(self, disk: "LittleDisk"):
        self._disk = disk
        super().__init__()

    @property
    def full(self) -> int:  # type: ignore[override]
        return self._full

    @full.setter
    def full(self, size: int) -> None:
        self._full = size
        self._disk.fill(size)


class LittleDisk(Disk):
    """program: bytes of a program: 256 on rp2, 32 on esp32."""

    def __init__(self, size: int, draw: Callable[[], float], program: int):
        self._program = program
        self._blocks = [bytearray(b"\xff" * BLOCK) for _ in range(size // BLOCK)]
        self._mounts = 0
        self._handles: set[Any] = set()
        self._quiet = True  # what comes from outside fails never
        self.dead = False
        self.filesystem: Any = None
        self._make(False).format()
        self.filesystem = self._make(True)
        super().__init__(size, draw)
        self.faulty = _Faulty(self)
        self.folders = set()

    def _make(self, mount: bool) -> LittleFS:
        self._mounts += 1
        number = self._mounts

        def operate(change: Callable[[], None], torn: Callable[[], None]) -> int:
            # an earlier mount is a program that died: what it would still write is nobody's
            return self._operation(change, torn) if number == self._mounts else _IO_ERROR

        return LittleFS(
            _Chip(self._blocks, operate),
            mount=mount,
            **self._geometry(),
        )

    def power_on(self) -> None:
        super().power_on()
        self._quiet = True
        self.filesystem = self._make(True)
        self._quiet = False

    def power_off(self) -> None:
        super().power_off()
        for raw in self._handles:
            closed(raw)
        self._handles.clear()

    def _operation(self, change: Callable[[], None], torn: Callable[[], None]) -> int:
        if self.dead:
            return _IO_ERROR
        if self._quiet:
            change()
            return 0
        self.operations += 1
        if self.cut_in:
            self.cut_in -= 1
            if not self.cut_in:
                (change if self.cut_after else torn)()
                self.dead = True
                return _IO_ERROR
        faulty = self.faulty
        if faulty.write and self._draw() < faulty.write:
            return _IO_ERROR
        change()
        return 0

    def call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """One of littlefs's, with its errors as MicroPython gives them."""
        if self.dead:
            raise Ended("power cut")
        try:
            return function(*arguments, **keywords)
        except LittleFSError as error:
            raise OSError(abs(error.code), str(error)) from None
        except FileNotFoundError as error:
            raise OSError(errno.ENOENT, str(error)) from None
        except FileExistsError as error:
            raise OSError(errno.EEXIST, str(error)) from None
        finally:
            if self.dead:
                raise Ended("power cut")

    # ---- from outside

    def make_folder(self, path: str) -> None:
        self.filesystem.mkdir(path)

    def put(self, path: str, content: bytes) -> None:
        with self.filesystem.open(path, "wb") as file:
            file.write(content)

    def fill(self, size: int) -> None:
        if self.filesystem is None:
            return
        quiet, self._quiet = self._quiet, True
        dead, self.dead = self.dead, False
        # on a mount of its own: the board's has files open
        filesystem = self.filesystem
        try:
            if size:
                with filesystem.open(_BALLAST, "wb") as file:
                    file.write(bytes(max(0, size - BLOCK)))
            else:
                filesystem.remove(_BALLAST)
        except (LittleFSError, FileNotFoundError):
            pass  # it is as full as it gets
        finally:
            self._quiet, self.dead = quiet, dead

    def content(self, folder: str) -> dict[str, bytes]:
        found = {}
        filesystem = self._looking()
        try:
            names = filesystem.listdir(folder)
        except (LittleFSError, FileNotFoundError):
            return {}
        for name in names:
            with filesystem.open(folder + "/" + name, "rb") as file:
                found[name] = file.read()
        return found

    def _looking(self) -> LittleFS:
        """A mount of its own, that changes nothing."""

        def refuse(change: Callable[[], None], torn: Callable[[], None]) -> int:
            return _IO_ERROR

        return LittleFS(_Chip(self._blocks, refuse), mount=True, **self._geometry())

    def _geometry(self) -> dict[str, int]:
        return {
            "block_size": BLOCK,
            "block_count": len(self._blocks),
            "read_size": _READ,
            "prog_size": self._program,
            "cache_size": 4 * self._program,
            "lookahead_size": 32,
            "block_cycles": 100,
        }

    def used(self) -> int:
        return self.filesystem.used_block_count * BLOCK

    # ---- the board's

    def open(self, path: str, mode: str = "r", *_: Any) -> "LittleFile":  # type: ignore[override]
        self.check_read()
        path = absolute(path)
        raw_mode = {"r": "rb", "rb": "rb", "w": "wb", "wb": "wb", "ab": "ab", "a": "ab"}[mode]
        try:
            raw = self.call(self.filesystem.open, path, raw_mode, buffering=0)
        except OSError as error:
            if raw_mode != "ab" or error.errno != errno.ENOENT:
                raise
            raw = self.call(self.filesystem.open, path, "wb", buffering=0)  # its append does not create
        self._handles.add(raw)
        return LittleFile(self, raw, "b" not in mode)

    def forget(self, raw: Any) -> None:
        self._handles.discard(raw)

    def listdir(self, folder: str = "/") -> list[str]:
        return sorted(self.call(self.filesystem.listdir, absolute(folder)))

    def mkdir(self, folder: str) -> None:
        self.call(self.filesystem.mkdir, absolute(folder))

    def remove(self, path: str) -> None:
        self.call(self.filesystem.remove, absolute(path))

    def rename(self, old: str, new: str) -> None:
        self.call(self.filesystem.rename, absolute(old), absolute(new))

    def stat(self, path: str) -> tuple:
        found = self.call(self.filesystem.stat, absolute(path))
        return (0x8000 if found.type == 1 else 0x4000, 0, 0, 0, 0, 0, found.size, 0, 0, 0)

    def statvfs(self, path: str = "/") -> tuple:
        blocks = len(self._blocks)
        free = blocks - self.call(lambda: self.filesystem.used_block_count)
        return (BLOCK, BLOCK, blocks, free, free, 0, 0, 0, 0, 255)

    def module(self, urandom: Callable[[int], bytes]) -> SimpleNamespace:
        return super().module(urandom)


def closed(raw: Any) -> None:
    """littlefs-python takes this handle for closed."""
    setattr(raw, "__IOBase_closed", True)  # noqa: B010 - the name that io.IOBase has for it


class LittleFile:
    """A file as MicroPython opens it."""

    def __init__(self, disk: LittleDisk, raw: Any, text: bool):
        self._disk = disk
        self._raw = raw
        self._text = text
        self._open = True
        self._whole: io.BytesIO | None = None
        disk.open_files += 1

    def __enter__(self) -> "LittleFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> "LittleFile":
        return self

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _content(self) -> io.BytesIO:
        if self._whole is None:
            self._whole = io.BytesIO(self._disk.call(self._raw.readall))
        return self._whole

    def read(self, size: int = -1) -> Any:
        if self._text:
            whole = self._content()
            text = whole.getvalue()[whole.tell() :].decode()
            text = text if size < 0 else text[:size]
            whole.seek(len(text.encode()), 1)
            return text
        return self._disk.call(self._raw.read, size) if size >= 0 else self._disk.call(self._raw.readall)

    def readline(self) -> Any:
        line = self._content().readline()
        return line.decode() if self._text else line

    def readinto(self, buffer: Any) -> int:
        self._disk.check_read()
        data = self._disk.call(self._raw.read, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, at: int, whence: int = 0) -> int:
        return self._disk.call(self._raw.seek, at, whence)

    def write(self, data: Any) -> int:
        self._disk.call(self._raw.write, data.encode() if isinstance(data, str) else bytes(data))
        return len(data)

    def flush(self) -> None:
        self._disk.call(self._raw.flush)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._disk.open_files -= 1
            if self._disk.dead:
                closed(self._raw)
                return
            self._disk.forget(self._raw)
            try:
                self._disk.call(self._raw.close)
            except BaseException:
                closed(self._raw)  # it is, and to close it twice ends littlefs
                raise
