"""Where things are in the project."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
LIB = ROOT / "lib"
BOARDS = ROOT / "boards"
DRIVERS = LIB / "drivers"
GUEST = Path(__file__).resolve().parent / "virtual" / "guest"
ONBOARD = Path(__file__).resolve().parent / "onboard"
DEFAULT_CONFIG = Path(__file__).resolve().parent / "default_node.toml"


def boards() -> list[str]:
    """Names of the boards there is a file for."""
    return sorted(path.stem for path in BOARDS.glob("*.py") if not path.stem.startswith("_"))


# What MicroPython 1.24 and newer has on esp32 and rp2, or freezes into its firmware.
_MICROPYTHON = (
    "_onewire _thread array asyncio binascii bluetooth builtins cmath collections cryptolib deflate dht "
    "ds18x20 errno esp esp32 espnow framebuf gc hashlib heapq io json machine math micropython mip neopixel network "
    "ntptime onewire os platform random re requests rp2 select socket ssl struct sys time tls uctypes vfs"
)
MICROPYTHON = frozenset(_MICROPYTHON.split(" "))


def drivers(folder: Path = DRIVERS) -> list[str]:
    """Names of the drivers: the files that have a class of the file's name; others hold what drivers share."""
    found = []
    for path in folder.glob("*.py"):
        names = re.findall(r"^(?:class|from \S+ import) (\w+)", path.read_text("utf-8"), re.MULTILINE)
        if path.stem.replace("_", "") in [name.lower() for name in names]:
            found.append(path.stem)
    return sorted(found)
