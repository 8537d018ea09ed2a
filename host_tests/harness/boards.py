"""A virtual board with a serial port, for tests of what a PC does with a board: its port, its chips, its flash."""

import functools
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tagonode import build, places
from tagonode.simulate import HEAP_KIB
from tagonode.virtual import image
from tagonode.virtual.board import VirtualBoard
from tagonode.virtual.terminal import Terminal
from tagonode.virtual.wiring import build_hardware

from . import commands

MPREMOTE = Path(sys.executable).parent / "mpremote"
_PATIENCE_S = 20


@functools.cache
def _guest() -> dict[str, bytes]:
    return {f"{source.stem}.mpy": build.compile_module(source, source.stem) for source in places.GUEST.glob("*.py")}


class Board:
    """`board` is the VirtualBoard; `lines` what it has printed, `boots` the causes of its starts after the first."""

    def __init__(self, folder: Path, name: str, sensors: list, terminal: Terminal, nameserver: str, serial: str):
        self.lines: list[str] = []
        self.boots: list[int] = []
        self._news = threading.Condition()
        guest = folder / "guest"
        guest.mkdir()
        for file, code in _guest().items():
            (guest / file).write_bytes(code)
        self.flash, self.geometry = folder / "board.img", image.GEOMETRIES[name]
        hardware = build_hardware(name, sensors, {"field": "no password"}, nameserver, serial=serial, seed=1)
        self.board = VirtualBoard(
            self.flash, self.geometry, hardware, HEAP_KIB[name], guest, self._line, self._boot, terminal
        )
        self.port = terminal.port

    def _line(self, line: str) -> None:
        with self._news:
            self.lines.append(line)
            self._news.notify_all()

    def _boot(self, cause: int) -> None:
        with self._news:
            self.boots.append(cause)
            self._news.notify_all()

    def wait(self, ready: Callable[[], Any]) -> Any:
        """Until ready() is true, asked whenever the board printed or started; fails after a while."""
        deadline = time.monotonic() + _PATIENCE_S
        with self._news:
            while not ready():
                left = deadline - time.monotonic()
                assert left > 0, "it did not happen; the board printed\n" + "\n".join(self.lines[-40:])
                self._news.wait(left)
            return ready()

    def wait_for_line(self, text: str, since: int = 0) -> None:
        """Until it has printed this line, after the first `since` of them."""
        self.wait(lambda: text in self.lines[since:])

    def mpremote(self, *arguments: object, **options: Any) -> SimpleNamespace:
        """Run the real mpremote on the board's port: .returncode, .stdout, .stderr, .output (both)."""
        done = commands.run(MPREMOTE, "connect", self.port, *arguments, timeout=60, stdin=-3, **options)
        return SimpleNamespace(**vars(done), output=done.stdout + done.stderr)

    def restart(self, files: dict[str, bytes | str] | None = None) -> int:
        """Cut the power, write these files to its flash, and switch it on. Returns how many lines there were before."""
        self.board.power_cut()
        content = {name: text.encode() if isinstance(text, str) else text for name, text in (files or {}).items()}
        with image.mounted(self.flash, self.geometry) as filesystem:
            image.write_tree(filesystem, content)
        before = len(self.lines)
        self.board.power_on()
        return before


@contextmanager
def board(
    files: dict[str, bytes | str] | None = None,
    name: str = "pico_w",
    sensors: tuple[dict, ...] = (),
    nameserver: str = "127.0.0.1:53",
    serial: str = "bench",
) -> Iterator[Board]:
    """A board that runs, with these files on its flash and chips for these sensors ({"driver", "bus", "address"?})."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagonode-")))
        terminal = Terminal()
        stack.callback(terminal.close)
        rows = [SimpleNamespace(**{"address": None, "options": {}, **sensor}) for sensor in sensors]
        made = Board(folder, name, rows, terminal, nameserver, serial)
        stack.callback(made.board.power_cut)
        made.restart(files)
        yield made
        assert made.board.failure is None
