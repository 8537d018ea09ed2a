"""tagonode spool: what is in a node's queue, read from a copy or from a connected board."""

import contextlib
import hashlib
import sys
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from pathlib import Path

from mpremote.transport_serial import SerialTransport
from rich.console import Console
from rich.progress import Progress

from tagonode import places, port, spoolreader

_SCRIPTS = (places.ONBOARD / "files.py", places.ONBOARD / "spool.py")
_QUEUE = "/queue"
_PART = 2048  # bytes asked for at a time: what a board has room for twice, and half a second at 115200 baud
_SILENCE_MS = 8000  # after which the board starts by itself: RP2040's watchdog waits 8.3 s at most
_TRIES = 3


class SpoolError(Exception):
    """Why there is no queue to show, with the remedy."""


def _read(transport: SerialTransport, path: str, size: int, advance: Callable[[int], None]) -> bytes:
    """One file, right to the last bit: a serial line has no check of its own. Raises SpoolError."""
    for _ in range(_TRIES):
        content = bytearray()
        with contextlib.suppress(Base64Error, ValueError, SyntaxError):
            while len(content) < size:
                port.call(transport, "feed")
                piece = a2b_base64(port.call(transport, "part", path, len(content), _PART))
                if not piece:
                    break
                content += piece
                advance(len(piece))
            if hashlib.sha256(content).hexdigest() == port.call(transport, "sha256", path):
                return bytes(content)
        advance(-len(content))
    raise SpoolError(f"{path} does not arrive as the board has it: try another cable, or another USB port")


def fetch(where: str) -> dict[str, bytes]:
    """The files of a connected board's queue. Its program is interrupted, and started again afterwards.

    Raises PortError, and SpoolError when there is no queue.
    """
    errors = Console(stderr=True)

    def say(text: str) -> None:
        errors.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"the program of the board on {where} is stopped while its queue is copied")
    with port.board_at(where) as transport:
        for script in _SCRIPTS:
            transport.exec(script.read_bytes())
        port.call(transport, "hold", _SILENCE_MS)
        has_program = port.call(transport, "there", ["/main.py"])
        try:
            there = [(str(path), int(size)) for path, size in port.call(transport, "queue", _QUEUE)]
            if not there:
                raise SpoolError(
                    f"the board at {where} has no queue: it has not sampled yet, or it is no TagoNode (tagonode deploy)"
                )
            with Progress(console=errors, disable=not errors.is_terminal) as progress:
                task = progress.add_task("copying the queue", total=sum(size for _, size in there))

                def advance(count: int) -> None:
                    progress.advance(task, count)

                found = {Path(path).name: _read(transport, path, size, advance) for path, size in there}
        finally:
            if has_program:
                port.restart(transport)
                say("the board has been started again")
    return found


def _check_folder(folder: Path) -> None:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SpoolError(f"--save {folder}: there is something already: name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpoolError(f"--save {folder}: {error.strerror}: name another folder") from None


def _save(files: dict[str, bytes], folder: Path) -> None:
    try:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise SpoolError(f"--save {folder}: {error.strerror}: name another folder") from None
    sys.stderr.write(f"{len(files)} files of the queue are in {folder}\n")


def of_board(where: str, save: Path | None = None, as_json: bool = False) -> int:
    """Show the queue of a connected board, and keep a copy in a folder when one is named. Returns 0.

    Raises PortError, SpoolError.
    """
    if save is not None:
        _check_folder(save)  # before anything is interrupted for it
    files = fetch(where)
    if save is not None:
        _save(files, save)
    try:
        queue = spoolreader.read_files(files)
    except spoolreader.SpoolFormatError as error:
        raise SpoolError(f"the queue of the board at {where}: {error}") from None
    spoolreader.print_spool(queue, as_json)
    return 0
