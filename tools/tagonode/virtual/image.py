"""A virtual board's flash: a littlefs image in a file, with the geometry that the board's MicroPython uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from littlefs import LittleFS, LittleFSError, UserContext

BLOCK = 4096


@dataclass(frozen=True)
class Geometry:
    """blocks: 4096-byte erase blocks of the file system; prog: the program size littlefs is told, in bytes."""

    blocks: int
    prog: int


# ports/rp2/rp2_flash.c and MICROPY_HW_FLASH_STORAGE_BYTES in mpconfigboard.h of the boards (all but 1200 KiB of 2 MiB,
# all but 1536 KiB of 4 MiB); `vfs` in ports/esp32/partitions-4MiB.csv and, ESP32_GENERIC_S3, partitions-8MiB.csv
GEOMETRIES = {
    "pico_w": Geometry(blocks=848 * 1024 // BLOCK, prog=256),
    "pico2_w": Geometry(blocks=2560 * 1024 // BLOCK, prog=256),
    "esp32": Geometry(blocks=2048 * 1024 // BLOCK, prog=32),
    "esp32s3": Geometry(blocks=6144 * 1024 // BLOCK, prog=32),
    "esp32c3": Geometry(blocks=2048 * 1024 // BLOCK, prog=32),
    "virtual": Geometry(blocks=2048 * 1024 // BLOCK, prog=32),
}


class _ImageFile(UserContext):
    def __init__(self, file):
        super().__init__(0)
        self._file = file

    def read(self, cfg, block, off, size):
        self._file.seek(block * BLOCK + off)
        return self._file.read(size)

    def prog(self, cfg, block, off, data):
        self._file.seek(block * BLOCK + off)
        self._file.write(data)
        return 0

    def erase(self, cfg, block):
        self._file.seek(block * BLOCK)
        self._file.write(b"\xff" * BLOCK)
        return 0

    def sync(self, cfg):
        self._file.flush()
        return 0


@contextmanager
def mounted(path: Path, geometry: Geometry) -> Iterator[LittleFS]:
    """The image's file system, formatted first when the file is new. Raises ValueError when it is not one of ours."""
    path = Path(path)
    size = geometry.blocks * BLOCK
    new = not path.exists() or path.stat().st_size == 0
    if new:
        path.write_bytes(b"\xff" * size)
    elif path.stat().st_size == size:
        with open(path, "rb") as file:
            new = file.read(2 * BLOCK) == b"\xff" * (2 * BLOCK)  # the power went before it was formatted
    else:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes, but this board's flash has {size}: "
            "name the board it was made with, or another file"
        )
    with open(path, "r+b", buffering=0) as file:
        filesystem = LittleFS(
            context=_ImageFile(file),
            block_size=BLOCK,
            block_count=geometry.blocks,
            read_size=32,
            prog_size=geometry.prog,
            cache_size=4 * max(32, geometry.prog),
            lookahead_size=32,
            mount=False,
        )
        if new:
            filesystem.format()
        try:
            filesystem.mount()
        except LittleFSError as error:
            raise ValueError(
                f"{path} holds no littlefs file system ({error}): delete it or name another file"
            ) from None
        try:
            yield filesystem
        finally:
            filesystem.unmount()


def write_tree(filesystem: LittleFS, files: dict[str, bytes]) -> list[str]:
    """Make each path hold its bytes; files that already do are left alone. Returns the paths written."""
    written = []
    for name, content in sorted(files.items()):
        folder = "/".join(name.split("/")[:-1])
        if folder:
            filesystem.makedirs(folder, exist_ok=True)
        try:
            with filesystem.open(name, "rb") as file:
                if file.read() == content:
                    continue
        except FileNotFoundError:
            pass
        with filesystem.open(name, "wb") as file:
            file.write(content)
        written.append(name)
    return written
