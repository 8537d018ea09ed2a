"""tagonode flash: puts MicroPython on a board.

The ESP32 family by esptool, run as a program of its own; a Pico by copying a UF2 to the drive that its bootloader
shows, or by picotool where that is installed. Nothing is written before the image has been looked at in full, and is
known to be for the chip that is there.
"""

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import serial.tools.list_ports
from rich.console import Console
from rich.progress import Progress

from tagonode import firmware_image, port
from tagonode.firmware_image import TARGETS, Image, ImageError

RASPBERRY_PI, ESPRESSIF = 0x2E8A, 0x303A
_BOOTLOADERS = {0x0003: "RP2040", 0x000F: "RP2350"}  # what a Pico is on USB while BOOTSEL was held
# USB bridges on ESP32 boards: Silicon Labs, WCH, FTDI, Prolific
_BRIDGES = (0x10C4, 0x1A86, 0x0403, 0x067B)
_DRIVE_CHIPS = {"RPI-RP2": "RP2040", "RP2350": "RP2350"}
_BAUD = 460800
_PIECE = 64 * 1024
_PATIENCE_S = 20
_LOOK_S = 0.25


class FlashError(Exception):
    """Why nothing, or not all, was written, with the remedy."""


class WrongUse(FlashError):
    """What was asked for cannot be, or is not enough."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see its help."""

    port: str | None = None
    drive: Path | None = None
    board: str | None = None
    image: str | None = None
    sha256: str | None = None
    erase: bool = False
    yes: bool = False


@dataclass(frozen=True)
class Place:
    """Where a board was found. way: "esptool", "drive", "picotool" or "prompt" (a Pico that runs MicroPython);
    chip: None while it is not known; named: the user said which."""

    way: str
    where: str
    chip: str | None
    named: bool


# ---- finding the board


def _mounted() -> Iterator[Path]:
    """Where drives are mounted."""
    if sys.platform == "darwin":
        yield from Path("/Volumes").iterdir()
    elif os.name == "nt":
        yield from (Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ")
    else:
        for line in Path("/proc/mounts").read_text().splitlines():
            _, where, kind, *_ = line.split()
            if kind in ("vfat", "msdos"):
                yield Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), where))


def drive_chip(folder: Path) -> str | None:
    """The chip whose bootloader shows this drive, by its INFO_UF2.TXT; None when it is another kind of drive."""
    try:
        text = (folder / "INFO_UF2.TXT").read_text("ascii", "replace")
    except OSError:
        return None
    found = re.search(r"^Board-ID:\s*(\S+)", text, re.MULTILINE)
    return _DRIVE_CHIPS.get(found[1]) if found else None


def _drives() -> list[Place]:
    found = []
    with contextlib.suppress(OSError):
        for folder in _mounted():
            chip = drive_chip(folder)
            if chip is not None:
                found.append(Place("drive", str(folder), chip, False))
    return found


def _unmounted() -> str | None:
    """A Pico's drive that the PC has seen and not mounted."""
    for label in _DRIVE_CHIPS:
        path = Path("/dev/disk/by-label") / label
        if path.exists():
            return str(path)
    return None


def _ports() -> list[Place]:
    """Boards on USB serial ports, as far as the USB ids tell."""
    found = []
    for each in serial.tools.list_ports.comports():
        if each.vid == RASPBERRY_PI and each.pid not in _BOOTLOADERS:
            found.append(Place("prompt", each.device, None, False))
        elif each.vid == ESPRESSIF or each.vid in _BRIDGES:
            found.append(Place("esptool", each.device, None, False))
    return found


def _picotool() -> list[Place]:
    """A Pico in its bootloader that picotool sees."""
    tool = shutil.which("picotool")
    if tool is None:
        return []
    ran = subprocess.run([tool, "info", "-d"], capture_output=True, text=True, check=False)
    chip = re.search(r"RP2040|RP2350", ran.stdout)
    return [Place("picotool", tool, chip[0] if chip else None, False)] if ran.returncode == 0 else []


def _fits(place: Place, wanted: str | None) -> bool:
    if wanted is None:
        return True
    is_pico = TARGETS[wanted].offset is None
    if place.chip is not None:
        return place.chip == TARGETS[wanted].chip
    return (place.way != "esptool") == is_pico


def find(options: Options) -> Place:
    """The one board that is meant. Raises FlashError when there is none, or more than one."""
    if options.drive is not None:
        chip = drive_chip(options.drive)
        if chip is None:
            raise FlashError(
                f"{options.drive} is no drive of a Pico's bootloader: hold the board's BOOTSEL button while you plug "
                "it in, and name the drive that comes"
            )
        return Place("drive", str(options.drive), chip, True)
    if options.port is not None:
        return Place(_way_of_port(options.port, options.board), options.port, None, True)
    found = _drives() or _picotool() or _ports()
    fitting = [place for place in found if _fits(place, options.board)]
    if len(fitting) > 1:
        places = ", ".join(sorted(place.where for place in fitting))
        raise WrongUse(f"there is more than one board ({places}): say which with --port or --drive")
    if not fitting:
        raise FlashError(_nothing_found(options.board, found))
    return fitting[0]


def _way_of_port(where: str, board: str | None) -> str:
    if board is not None:
        return "prompt" if TARGETS[board].offset is None else "esptool"
    for each in serial.tools.list_ports.comports():
        if each.device == where:
            return "prompt" if each.vid == RASPBERRY_PI else "esptool"
    return "esptool"


def _nothing_found(board: str | None, others: list[Place]) -> str:
    unmounted = _unmounted()
    if unmounted and (board is None or TARGETS[board].offset is None):
        return f"a Pico's drive is there but not mounted: udisksctl mount -b {unmounted}, and try again"
    pico = "a Pico: hold its BOOTSEL button while you plug it in, and wait for the drive RPI-RP2 or RP2350"
    esp = "an ESP32: plug it in with a cable that carries data; if no port comes, its USB bridge may need a driver"
    if board is None:
        return f"no board is found. {pico[0].upper()}{pico[1:]}. {esp[0].upper()}{esp[1:]}"
    seen = f" (there is {', '.join(place.where for place in others)}, which is none)" if others else ""
    return f"no {board} is found{seen}. {pico if TARGETS[board].offset is None else esp}"


# ---- asking


def _confirm(question: str, options: Options) -> None:
    """Raises WrongUse when nobody can be asked, FlashError when the answer is no."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise WrongUse(f"{question} Say --yes to go on without being asked")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise FlashError("nothing was written")


# ---- the ESP32 family


class _Esptool:
    """esptool on one port. Its texts are its own version's, which pyproject.toml pins."""

    def __init__(self, where: str):
        self._where = where

    def _run(self, *arguments: str, percent: Callable[[float], None] = lambda part: None) -> str:
        """All it said. Raises FlashError, with what to do."""
        command = [sys.executable, "-m", "esptool", "--port", self._where, *arguments]
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )
        said = ""
        assert process.stdout is not None  # a pipe was asked for
        try:
            while piece := os.read(process.stdout.fileno(), 4096):
                said += piece.decode("utf-8", "replace")
                parts = re.findall(r"(\d+(?:\.\d+)?) ?%", said[-400:])
                if parts:
                    percent(float(parts[-1]))
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            process.stdout.close()
        if status != 0:
            raise FlashError(self._why(said))
        return said

    def _why(self, said: str) -> str:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "no reason given")
        last = last.partition("A fatal error occurred: ")[2] or last
        low = said.lower()
        if "failed to connect" in low or "no serial data" in low or "wrong boot mode" in low:
            return (
                f"no ESP32 answers at {self._where}: hold its BOOT button while you press RESET (or plug it in), then "
                "try again; make sure that it is this board's port"
            )
        if "md5" in low or "does not match" in low:
            return (
                f"what is on the flash now is not what was sent to {self._where}: try again, with another cable or "
                "USB port"
            )
        if "secure" in low or "encrypt" in low:
            return f"the chip at {self._where} is locked ({last}): take another board"
        if any(words in low for words in ("serialexception", "disconnected", "input/output error", "lost")):
            return f"the board at {self._where} went away: check its cable, and try again"
        return f"esptool could not do it: {last}"

    def chip(self) -> str:
        """The chip at the port, "ESP32-S3". Resets it into its bootloader and back."""
        said = self._run("--no-stub", "read-mac")
        found = re.search(r"(?:Detecting chip type\.\.\. *|Chip type: *|Connected to )(ESP32(?:-[A-Z]\d+)?)\b", said)
        if not found:
            raise FlashError(f"esptool does not say which chip is at {self._where}: name the board with --board")
        return found[1]

    def write(self, image: Path, chip: str, offset: int, erase: bool, percent: Callable[[float], None]) -> None:
        chip_argument = chip.lower().replace("-", "")
        erasing = ["--erase-all"] if erase else []
        baud = ["--chip", chip_argument, "--baud", str(_BAUD)]
        self._run(*baud, "write-flash", *erasing, hex(offset), str(image), percent=percent)


# ---- the Pico


def _copy(image: Image, folder: Path, advance: Callable[[int], None]) -> None:
    """Copy a UF2 to the bootloader's drive. The board starts by itself when it has the last block, and then the drive
    is gone: an error there is none, one before is. Raises FlashError."""
    done, total = 0, len(image.content)
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(folder / "firmware.uf2", how, 0o644)
    except OSError as error:
        raise FlashError(
            f"{folder} cannot be written to ({error.strerror}): mount it for your user, and try again"
        ) from None
    try:
        try:
            while done < total:
                sent = os.write(file, image.content[done : done + _PIECE])
                os.fsync(file)  # to the board, not into the PC's memory: only then is it known how far it came
                done += sent
                advance(sent)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise FlashError(
                f"{folder} is full after {done // 1024} of {total // 1024} KB: the board has no whole MicroPython now; "
                "make sure that this is the bootloader's drive, plug the board in again with BOOTSEL held, and start "
                "over"
            ) from None
        if total - done > _PIECE:
            raise FlashError(
                f"the drive went away after {done // 1024} of {total // 1024} KB ({error.strerror}): the board has no "
                "whole MicroPython now; hold BOOTSEL while you plug it in again, and start over"
            ) from None
    deadline = time.monotonic() + _PATIENCE_S
    while drive_chip(folder) is not None:
        if time.monotonic() > deadline:
            raise FlashError(
                f"the board took the image and did not start it: its drive is still at {folder}; plug it in anew "
                "with BOOTSEL held, and try again"
            )
        time.sleep(_LOOK_S)


def _to_bootloader(where: str) -> Place:
    """Have a Pico that runs MicroPython show its drive. Raises PortError, FlashError."""
    try:
        with port.board_at(where) as transport:
            name = str(transport.eval("__import__('os').uname()[4]"))
            chip = next((chip for chip in _DRIVE_CHIPS.values() if chip in name), None)
            if chip is None:
                raise FlashError(f"the board at {where} is no Pico, but a {name}: correct --board or --port")
            transport.exec_raw_no_follow("import machine; machine.bootloader()")
            transport.in_raw_repl = False
    except port.NoPrompt:
        raise FlashError(
            f"no MicroPython answers at {where} that could show its drive: hold the board's BOOTSEL button while you "
            "plug it in, and leave --port out"
        ) from None
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for place in _drives() or _picotool():
            if place.chip in (chip, None):
                return Place(place.way, place.where, chip, True)
        time.sleep(_LOOK_S)
    unmounted = _unmounted()
    if unmounted:
        raise FlashError(_nothing_found(None, []))
    raise FlashError(
        f"the board at {where} went into its bootloader, but no drive came in {_PATIENCE_S} s: mount it, and name it "
        "with --drive"
    )


def _by_picotool(tool: str, image: Path, erase: bool) -> None:
    commands = [[tool, "erase", "-a"]] if erase else []
    commands.append([tool, "load", "-v", "-x", str(image)])
    for command in commands:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            lines = (ran.stderr.strip() or ran.stdout.strip() or "no reason given").splitlines()
            raise FlashError(
                f"picotool {command[1]}: {lines[-1]}: hold BOOTSEL while you plug the board in, and try again"
            )


def _new_port(before: set[str]) -> str | None:
    """The port of a Pico that has started, None when none comes."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        now = [each.device for each in serial.tools.list_ports.comports() if each.vid == RASPBERRY_PI]
        fresh = [device for device in now if device not in before]
        if fresh:
            return str(fresh[0])
        time.sleep(_LOOK_S)
    return None


# ---- all of it


@contextlib.contextmanager
def _progress(console: Console, text: str) -> Iterator[Callable[[float], None]]:
    """A bar of per cent on a terminal, a line elsewhere."""
    if not console.is_terminal:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        yield lambda part: None
        return
    with Progress(console=console) as progress:
        task = progress.add_task(text, total=100)
        yield lambda part: progress.update(task, completed=part)


def _load(options: Options, console: Console, chip: str | None) -> Image:
    if options.image is None:
        board = options.board or (firmware_image.board_with(chip) if chip else None)
        page = TARGETS[board].page if board else f"{firmware_image.DOWNLOADS}/"
        raise WrongUse(f"give --image FILE or URL: MicroPython for {board or 'your board'} is at {page}")
    # a URL with a password in it is refused there, and not shown
    with _progress(console, f"reading {'it' if '@' in options.image else options.image}") as percent:
        image = firmware_image.load(options.image, lambda done, total: percent(100 * done / total if total else 0))
    if options.sha256 is not None:
        firmware_image.check_hash(image, options.sha256)
    console.print(f"{image.name}: MicroPython {image.version or '?'} for {image.chip}", markup=False, highlight=False)
    console.print(f"SHA-256 {image.sha256}", markup=False, highlight=False)
    return image


def _check(options: Options) -> None:
    if options.board is not None and options.board not in TARGETS:
        raise WrongUse(f"--board {options.board}: there is no such board to flash; there are {', '.join(TARGETS)}")
    if options.port is not None and options.drive is not None:
        raise WrongUse("--port and --drive exclude each other: give one of them")
    if options.sha256 is not None:
        try:
            firmware_image.check_digits(options.sha256)
        except ImageError as error:
            raise WrongUse(str(error)) from None


def _find_chip(place: Place) -> Place:
    """With the chip, which an ESP32 is asked for."""
    if place.way != "esptool":
        return place
    try:
        serial.Serial(place.where, exclusive=True).close()
    except (OSError, ValueError):
        raise port.PortError(port.why_not(place.where)) from None
    chip = _Esptool(place.where).chip()
    if firmware_image.board_with(chip) is None:
        raise FlashError(f"the board at {place.where} has an {chip}; TagoNode runs on {', '.join(TARGETS)}")
    return Place(place.way, place.where, chip, place.named)


def flash(options: Options) -> int:
    """Put MicroPython on a board. Returns 0. Raises FlashError, ImageError, PortError."""
    _check(options)
    console = Console(stderr=True)
    if options.image is None:
        # nothing to write: say where to find it, for the board that is there
        chip = None
        with contextlib.suppress(FlashError, OSError):
            chip = find(options).chip
        _load(options, console, chip)
    place = _find_chip(find(options))
    chip = place.chip
    if options.board is not None and chip is not None and chip != TARGETS[options.board].chip:
        raise FlashError(
            f"the board at {place.where} has an {chip}, but --board {options.board} an {TARGETS[options.board].chip}: "
            "correct one of them"
        )
    image = _load(options, console, chip)
    if image.is_uf2 and image.version is None and options.yes:
        raise WrongUse(
            f"{image.name} does not say that it is MicroPython, and --yes does not answer for that: take one from "
            f"{firmware_image.DOWNLOADS}/, or leave --yes out and answer yourself"
        )
    if chip is not None:
        firmware_image.check_board(image, chip, options.board)
    if place.way == "esptool" and image.is_uf2:
        raise ImageError(f"{image.name} is a UF2, which goes to a drive: an {chip} at a port takes the .bin")
    if options.erase and place.way != "esptool" and shutil.which("picotool") is None:
        raise FlashError(
            "--erase needs picotool for a Pico: install it, or erase its files with mpremote connect PORT rm -r :"
        )
    _ask(options, place, image)
    where = _write(options, place, image, console)
    version = f"MicroPython {image.version}" if image.version else image.name
    sys.stdout.write(f"{version} is on the board{f' at {where}' if where else ''}\n")
    sys.stdout.write(f"next: tagonode deploy node.toml --port {where or 'PORT'}\n")
    return 0


def _ask(options: Options, place: Place, image: Image) -> None:
    doubts = [] if image.version else [f"{image.name} does not say that it is MicroPython."]
    if options.erase:
        doubts.append("This erases the whole board, its settings and its queue, too.")
    if doubts or not place.named:
        doubts.append(f"Write {image.name} to the {place.chip or 'board'} at {place.where}?")
        _confirm(" ".join(doubts), options)


def _write(options: Options, place: Place, image: Image, console: Console) -> str | None:
    """Returns the port at which the board is then, None when it is not known."""
    before = {each.device for each in serial.tools.list_ports.comports()}
    if place.way == "prompt":
        before.discard(place.where)  # it comes back there
        place = _to_bootloader(place.where)
        firmware_image.check_board(image, place.chip or "", options.board)
    with tempfile.TemporaryDirectory(prefix="tagonode-") as folder, _progress(console, "writing") as percent:
        if place.way == "drive" and not options.erase:
            done = 0

            def advance(size: int) -> None:
                nonlocal done
                done += size
                percent(100 * done / len(image.content))

            _copy(image, Path(place.where), advance)
            return _started(before)
        file = Path(folder) / ("firmware.uf2" if image.is_uf2 else "firmware.bin")
        file.write_bytes(image.content)
        if place.way == "esptool":
            offset = TARGETS[firmware_image.board_with(image.chip) or ""].offset or 0
            _Esptool(place.where).write(file, image.chip, offset, options.erase, percent)
            return place.where
        _by_picotool(shutil.which("picotool") or "picotool", file, options.erase)
        return _started(before)


def _started(before: set[str]) -> str | None:
    """The port of the Pico that was just written. Raises FlashError when it does not come back."""
    where = _new_port(before)
    if where is None:
        raise FlashError(
            f"the image is written, but no port has come in {_PATIENCE_S} s: unplug the board and plug it in again "
            "without BOOTSEL; if no port comes then, write the image once more"
        )
    return where
