"""Where things are in the project."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
LIB = ROOT / "lib"
BOARDS = ROOT / "boards"
DRIVERS = LIB / "drivers"
GUEST = Path(__file__).resolve().parent / "virtual" / "guest"
DEFAULT_CONFIG = Path(__file__).resolve().parent / "default_node.toml"


def boards() -> list[str]:
    """Names of the boards there is a file for."""
    return sorted(path.stem for path in BOARDS.glob("*.py") if not path.stem.startswith("_"))


def drivers() -> list[str]:
    """Names of the drivers: the files with a class of the file's name in capitals; others hold what drivers share."""
    files = DRIVERS.glob("*.py")
    return sorted(path.stem for path in files if f"class {path.stem.upper()}(" in path.read_text("utf-8"))
