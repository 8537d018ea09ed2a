"""A virtual board's serial port: a pty, on which mpremote or any terminal program finds the board's prompt.

The interpreter reads and writes pipes. Between them and the pty this does what a port's C code does on a board:
Ctrl-C stops a program that runs, a soft reset comes back to the kind of prompt it was called from, lines end in
CR LF, and what nobody reads is lost. Linux only: whether a program runs is asked of /proc.
"""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import tty
from pathlib import Path

_CTRL_C = b"\x03"
_ENTER_RAW = b"\x01"
_RAW = b"raw REPL; CTRL-B to exit"
_FRIENDLY = b'Type "help()" for more information.'
_MODES = re.compile(re.escape(_RAW) + b"|" + re.escape(_FRIENDLY))
_LONE_LF = re.compile(rb"(?<!\r)\n")
_MESSAGE = b"\x18"  # begins what `mpremote mount` has the board send: binary from there on
_PATIENCE_MS = 1000  # how long a reader may stop reading before what it did not read is lost


class TerminalError(Exception):
    """Why there can be no terminal, with the remedy."""


def _ctrl_c(pid: int) -> signal.Signals | None:
    """The signal that raises KeyboardInterrupt in a stopped interpreter. None when it wants none.

    It has a handler for SIGINT while a program runs, unless that took Ctrl-C as data (micropython.kbd_intr(-1)), and
    none at the prompt. SIGUSR1 is the better one, where it is handled: see interpreter.py.
    """
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    caught = int(found[1], 16) if found else 0
    if not caught >> (signal.SIGINT - 1) & 1:
        return None
    return signal.SIGUSR1 if caught >> (signal.SIGUSR1 - 1) & 1 else signal.SIGINT


class Terminal:
    """`port` is the path to connect to; `fd` the descriptor to wait on: when it is readable, call typed().

    connect() hands over the interpreter's process at each boot, printed() takes what that writes.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise TerminalError("a virtual board has a terminal on Linux only: run it there")
        self.fd, self._line = pty.openpty()  # the line stays open: closed by its last reader, it would echo
        tty.setraw(self._line)
        os.set_blocking(self.fd, False)
        self.port = os.ttyname(self._line)
        self.raw = False  # the prompt was last a raw one
        self._process: subprocess.Popen | None = None
        self._tail = b""
        self._binary = False
        self._is_read = False  # somebody typed, and read, as far as is known

    def connect(self, process: subprocess.Popen) -> None:
        """The interpreter has started: `process` has a pipe for its stdin."""
        assert process.stdin is not None  # a pipe was asked for
        os.set_blocking(process.stdin.fileno(), False)
        self._process = process
        self._tail = b""
        self._binary = False
        if self.raw:
            self._pass_on(_ENTER_RAW)

    def soft_reset(self) -> None:
        """Say so, as boards do. The next boot ends at the same kind of prompt."""
        self.printed(b"MPY: soft reboot\r\n")

    def hard_reset(self) -> None:
        """What was typed and not read is lost; the next prompt is a friendly one."""
        self.raw = False
        termios.tcflush(self.fd, termios.TCIFLUSH)

    def typed(self) -> None:
        """Pass on what was typed, but for Ctrl-C where that stops a program."""
        self._is_read = True
        with contextlib.suppress(BlockingIOError):
            for piece in re.split(b"(" + _CTRL_C + b")", os.read(self.fd, 4096)):
                if piece and not (piece == _CTRL_C and self._stop_program()):
                    self._pass_on(piece)

    def _pass_on(self, data: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        # more than the pipe takes is lost, as with a serial port; a process that has ended reads no more
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._process.stdin.fileno(), data)

    def _stop_program(self) -> bool:
        """Raise KeyboardInterrupt in the program that runs; False when none does, and Ctrl-C is a byte as any other.

        The interpreter stands still meanwhile: a signal that came as the program ended would end the interpreter.
        """
        assert self._process is not None
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)
        found = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if found is None or found.si_code != os.CLD_STOPPED:
            return True  # it has ended: there is nobody to hear it
        interrupt = _ctrl_c(pid)
        if interrupt is not None:
            os.kill(pid, interrupt)
        os.kill(pid, signal.SIGCONT)
        return interrupt is not None

    def printed(self, data: bytes) -> None:
        """Show what the board printed, and learn from it which prompt it is at."""
        shown = data
        if not self.raw and not self._binary:
            self._binary = _MESSAGE in data
            if not self._binary:
                before = b"\r" if self._tail.endswith(b"\r") else b""
                shown = _LONE_LF.sub(b"\r\n", before + data)[len(before) :]
        seen = self._tail + data
        modes = _MODES.findall(seen)
        if modes:
            self.raw = modes[-1] == _RAW
        self._tail = seen[-max(len(_RAW), len(_FRIENDLY)) + 1 :]
        self._show(shown)

    def _show(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self.fd, data) :]
                continue
            except BlockingIOError:
                pass
            waiting = select.poll()
            waiting.register(self.fd, select.POLLOUT)
            if not self._is_read or not waiting.poll(_PATIENCE_MS):
                self._is_read = False
                termios.tcflush(self._line, termios.TCIFLUSH)

    def close(self) -> None:
        """The port is gone."""
        os.close(self.fd)
        os.close(self._line)
