"""Programs forked from a process that has loaded them, thousands of times in a run of the tests.

The wheel's MicroPython is an extension module of CPython: to start a CPython and to load it takes 30 ms of processor
time, several times what most tests take; `tagonode` takes up to a second to load what it needs; a fork takes 1 ms. Each
program begins at its beginning, in a process of its own, with descriptors, environment, and folder of its own.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping

from .places import HARNESS


class Forked:
    """A program that runs: as much of a Popen as is needed here."""

    def __init__(self, argv: list[str], wire: socket.socket):
        self.args = argv
        self.returncode: int | None = None
        self._wire = wire
        self._said = b""
        self.pid = self._number(None)

    def _number(self, timeout: float | None) -> int:
        self._wire.settimeout(timeout)
        while b"\n" not in self._said:
            try:
                more = self._wire.recv(64)
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            if not more:
                raise RuntimeError("what forks programs is gone")
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return int(line)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = self._number(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forker:
    """A process that has loaded what `kind` names in forker.py; started when it is needed first, ends with this one.

    It runs one program at a time: wait() for one before the next.
    """

    def __init__(self, kind: str):
        self._kind = kind
        self._process: subprocess.Popen | None = None

    def start(self, argv: list[str], fds: list[int], env: Mapping[str, str], cwd: str | None = None) -> Forked:
        """Run it with these descriptors as 0, 1, 2 …"""
        if self._process is None or self._process.poll() is not None:
            self._wire, far_end = socket.socketpair()
            with far_end:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(HARNESS / "forker.py"), str(far_end.fileno()), self._kind],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(far_end.fileno(),),
                )
        order = json.dumps({"argv": argv, "env": dict(env), "cwd": cwd or os.getcwd()}).encode() + b"\n"
        self._wire.settimeout(None)
        sent = socket.send_fds(self._wire, [order], fds)
        self._wire.sendall(order[sent:])
        return Forked(argv, self._wire)

    def close(self) -> None:
        if self._process is not None:
            self._wire.close()
            self._process.wait()
            self._process = None
