"""One virtual board: a real MicroPython in its own process, on a flash image and simulated hardware.

The board is powered by `power_on`, loses power by `power_cut` (SIGKILL, like every reset of its CPU), and comes
back by itself after a reset, a watchdog bite, a crash of the interpreter or a deep sleep, as a board does. What
it prints goes to `on_line`. Its process stays in the caller's process group, so that killing the group leaves
nothing behind, and it dies with the caller in any case.
"""

import contextlib
import ctypes
import functools
import importlib.util
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tagonode.virtual import image
from tagonode.virtual.backplane import Backplane, WiresCut
from tagonode.virtual.guest import backplane as wire
from tagonode.virtual.hardware import BoardReset, Hardware
from tagonode.virtual.terminal import Terminal
from tagonode.virtual.virtualtime import VirtualTime

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5

# What the fakes keep of the interpreter's heap, where a board has its machine, network and flash driver in firmware:
# it comes on top of the board's own. host_tests/test_virtual_heap.py measures it.
FAKES_KIB = 45
# Tables of names that a node fills, begun at power-on (guest/power_on.py): taken from the board's own heap, in the size
# that they have here. A real board's are half as large, as are its other objects: all of a node is measured alike.
NAMES_KIB = 11
_VIRTUAL_TIME_KIB = 5  # and what virtual time takes
_STALLED_S = 20.0  # of the PC's time without a word from a board of virtual time: it blocks

_PR_SET_PDEATHSIG = 1


def interpreter() -> str:
    """Path of the MicroPython to run: $MICROPYTHON, else the wheel's, installed beside this Python."""
    chosen = os.environ.get("MICROPYTHON")
    if chosen:
        return chosen
    return str(Path(sys.executable).parent / "micropython")


@functools.cache
def _of_the_wheel() -> list[str]:
    """What runs the wheel's interpreter: a CPython that looks for nothing, and starts in half the time therefore."""
    found = importlib.util.find_spec("micropython_run")
    if found is None or found.origin is None:
        return [interpreter()]
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("interpreter.py")), str(Path(found.origin).parent)]


def _command(terminal: bool) -> list[str]:
    """What runs the interpreter."""
    command = [interpreter()] if os.environ.get("MICROPYTHON") else _of_the_wheel()
    return [*command, *(["-i"] if terminal else [])]


def _libc_prctl() -> Callable | None:
    """prctl, looked up before any fork: after one, a thread's lock may be held for ever."""
    if sys.platform != "linux":
        return None
    return ctypes.CDLL(None).prctl


_prctl = _libc_prctl()


def _in_the_child() -> None:
    # Ctrl-C at the terminal goes to the whole process group, and is meant for the command, not for the boards
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _die_with_the_parent()


def _die_with_the_parent() -> None:
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class VirtualBoard:
    """Run `image_path` on `hardware` with a heap of `heap_kib` KiB.

    geometry: image.Geometry of the flash; guest_path: folder with the compiled guest modules;
    on_line(text): every line the board prints; on_boot(cause): before each start after the first.
    terminal: its serial port, which whoever made it closes; with one, the board comes to a prompt after main.py, as
    boards do, and its process has a group of its own, so that Ctrl-C reaches it from its terminal alone.
    """

    def __init__(
        self,
        image_path: Path,
        geometry: "image.Geometry",
        hardware: Hardware,
        heap_kib: int,
        guest_path: Path,
        on_line: Callable[[str], None] = print,
        on_boot: Callable[[int], None] = lambda cause: None,
        terminal: Terminal | None = None,
    ):
        self.image_path = Path(image_path)
        self.geometry = geometry
        self.hardware = hardware
        self.heap_kib = heap_kib
        self.guest_path = guest_path
        self.on_line = on_line
        self.on_boot = on_boot
        self.terminal = terminal
        self.boots = 0
        self.halted = threading.Event()  # the board's program ended, or its power is off
        self.failure: BaseException | None = None
        self._power = threading.Event()
        self._process: subprocess.Popen | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> str | None:
        """Path of the serial port to connect to, when it has a terminal."""
        return self.terminal.port if self.terminal else None

    def power_on(self) -> None:
        """Cold start, in a thread of its own; returns at once."""
        self._power.set()
        self.halted.clear()
        if self._time:
            self._time.power_on()
        self.hardware.power_on()
        if self.terminal:
            self.terminal.hard_reset()
        self._thread = threading.Thread(target=self._live, name=f"board {self.hardware.serial}", daemon=True)
        self._thread.start()

    def power_cut(self) -> None:
        """Cut the power: SIGKILL at whatever moment this is, and wait until the process is gone."""
        self._power.clear()
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if self._time:
            self._time.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _live(self) -> None:
        try:
            while self._power.is_set():
                cause, pause = self._boot()
                if cause is None or not self._power.is_set():
                    break
                if pause and self._time:
                    self._time.sleep(pause)
                elif pause:
                    time.sleep(pause)
                if cause != SOFT_RESET or self.hardware.chip.port != "rp2":
                    self.hardware.reset_cause = cause  # rp2 knows of its watchdog's resets alone
                self._reset(cause)
                self.on_boot(cause)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the board
            self.failure = error
        finally:
            self.halted.set()
            if self._time:
                self._time.end()

    @property
    def _time(self) -> VirtualTime | None:
        return self.hardware.virtual_time

    def _reset(self, cause: int) -> None:
        if cause == SOFT_RESET:
            self.hardware.soft_reset()
        else:
            self.hardware.cpu_reset()
        if self.terminal and cause == SOFT_RESET:
            self.terminal.soft_reset()
        elif self.terminal:
            self.terminal.hard_reset()

    def _boot(self) -> tuple[int | None, float]:
        """One life of the process. Returns why it ended as a reset cause, None for the program's own end."""
        from_guest, guest_tx = os.pipe()
        guest_rx, to_guest = os.pipe()
        terminal = self.terminal
        prompt = "" if terminal is None else "raw" if terminal.raw else "friendly"
        arguments = [
            *_command(terminal is not None),
            "-X",
            f"heapsize={self.heap_kib + FAKES_KIB + (_VIRTUAL_TIME_KIB if self._time else 0)}K",
            "-c",
            "import power_on; power_on.start(globals())",
            str(guest_rx),
            str(guest_tx),
            str(self.image_path),
            str(self.geometry.blocks),
            str(self.geometry.prog),
            prompt,
            "virtual time" if self._time else "",
        ]
        environment = {**os.environ, "MICROPYPATH": str(self.guest_path)}
        environment.pop("HOME", None)  # where the prompt would keep its history
        if self.hardware.clock_of_tls:
            environment.update(self.hardware.clock_of_tls.environment)
        if self._time:
            self._time.boot()
        self.boots += 1
        process = self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE if terminal else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(guest_rx, guest_tx),
            env=environment,
            preexec_fn=_die_with_the_parent if terminal else _in_the_child,
            process_group=0 if terminal else None,
        )
        os.close(guest_rx)
        os.close(guest_tx)
        assert process.stdout is not None  # a pipe was asked for
        console = process.stdout
        wires = Backplane(self.hardware, from_guest, to_guest)
        if terminal:
            terminal.connect(process)
        if not self._power.is_set():
            process.kill()
        try:
            return self._attend(process, console, wires)
        finally:
            process.kill()
            process.wait()
            console.close()
            if process.stdin is not None:
                process.stdin.close()
            wires.close()
            self._process = None

    def _attend(self, process: subprocess.Popen, console: IO[bytes], wires: Backplane) -> tuple[int | None, float]:
        os.set_blocking(console.fileno(), False)
        pending = b""
        open_ends = 2
        started = False

        def printed() -> bytes | None:
            """Take what it has printed: b"" at its end, None when that was nothing."""
            nonlocal pending
            data = console.read(65536)
            if self.terminal and data:
                self.terminal.printed(data)
            *lines, pending = (pending + (data or b"")).split(b"\n")
            for line in lines:
                self.on_line(line.decode("utf-8", "replace").rstrip("\r"))
            return data

        def all_printed() -> None:
            while printed():
                pass

        if self._time:
            self._time.before = all_printed
        with selectors.DefaultSelector() as selector:
            selector.register(wires.rx_fd, selectors.EVENT_READ)
            selector.register(console.fileno(), selectors.EVENT_READ)
            while open_ends:
                events = selector.select(self._until_bite())
                if not events and self._time:
                    self._time.sleep(self.hardware.watchdog_s or 0)
                    return WDT_RESET, 0
                for key, _ in events:
                    if key.fd == console.fileno():
                        if printed() == b"":
                            selector.unregister(console.fileno())
                            open_ends -= 1
                        continue
                    if self.terminal and key.fd == self.terminal.fd:
                        self.terminal.typed()
                        continue
                    try:
                        if wires.serve_one() == wire.SYNC and self.terminal and not started:
                            started = True
                            selector.register(self.terminal.fd, selectors.EVENT_READ)
                    except WiresCut:
                        selector.unregister(wires.rx_fd)
                        open_ends -= 1
                    except BoardReset as reset:
                        if self._time:
                            all_printed()
                        if reset.bitten:
                            return WDT_RESET, 0
                        if reset.deepsleep_ms is not None:
                            return DEEPSLEEP_RESET, reset.deepsleep_ms / 1000
                        return (SOFT_RESET if reset.soft else HARD_RESET), 0
                if self._until_bite() == 0:
                    return WDT_RESET, 0
        if pending:
            self.on_line(pending.decode("utf-8", "replace"))
        status = process.wait()
        if self.terminal and started and self._power.is_set():
            # Ctrl-D at the prompt ends the interpreter as a soft reset does; a crash takes the whole board
            return (HARD_RESET if status < 0 else SOFT_RESET), 0
        if status == 0 or not self._power.is_set():
            return None, 0
        # the program ended in an error that it did not catch: a real board would sit at its prompt for ever,
        # and only the watchdog, if it was started, brings it back
        deadline = self.hardware.watchdog_deadline
        if self._time and self.hardware.watchdog_s:
            return WDT_RESET, self.hardware.watchdog_s
        if deadline is None:
            self.on_line(f"board halted: its program ended with status {status} and no watchdog was running")
            return None, 0
        return WDT_RESET, max(0.0, deadline - self.hardware.clock())

    def _until_bite(self) -> float | None:
        if self._time:
            return _STALLED_S if self.hardware.watchdog_s else None
        deadline = self.hardware.watchdog_deadline
        return None if deadline is None else max(0.0, deadline - self.hardware.clock())
