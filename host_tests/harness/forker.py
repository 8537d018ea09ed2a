"""Forks MicroPythons from a process that has loaded the wheel's interpreter. Started by runners.py.

The wheel's MicroPython is an extension module of CPython: to start a CPython and to load it takes 30 ms of processor
time, several times what most tests take, a fork 1 ms. Each fork runs one program from the beginning and ends, so that
every test still has an interpreter of its own that nobody used before.

Orders and replies are lines of JSON on a socket. An order is {"argv", "path"} with descriptors: the output, and those
that the program gets as 3, 4 …; a first reply is the program's process id, a second its exit status.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import sys

import micropython_run

_FREE = 64  # descriptors from here on are nobody's
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def become(order: dict, fds: list[int]) -> int:
    """Run the program in this process; its exit status."""
    if _prctl is not None:
        _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the tests
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, _FREE) for fd in fds]
    for number, fd in enumerate((moved[0], *moved), 1):
        os.dup2(fd, number)
    os.closerange(len(fds) + 2, _FREE + 2 * len(fds))
    os.environ["MICROPYPATH"] = order["path"]
    return micropython_run.run_main(order["argv"])


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's, which closes the socket
    wire = socket.socket(fileno=int(sys.argv[1]))
    lines = wire.makefile("w")
    while True:
        text, fds, _, _ = socket.recv_fds(wire, 1 << 16, 16)
        if not text:
            return
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = become(json.loads(text), fds)
            finally:
                os._exit(status)
        for fd in fds:
            os.close(fd)
        print(child, file=lines, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=lines, flush=True)


if __name__ == "__main__":
    main()
