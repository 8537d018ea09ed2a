"""Forks programs from a process that has loaded them. Started by forked.py, which says why.

Orders and replies are lines of JSON on a socket. An order is {"argv", "env", "cwd"} with the descriptors that the
program gets as 0, 1, 2 …; a first reply is the program's process id, a second its exit status.
"""

import ctypes
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import time
from collections.abc import Callable

_FREE = 64  # descriptors from here on are nobody's
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
Program = Callable[[list[str]], int]


def _interpreter() -> Program:
    import micropython_run

    def run(argv: list[str]) -> int:
        os._exit(micropython_run.run_main(argv))

    return run


def _commands() -> Program:
    import mpremote.main

    import tagonode.build
    import tagonode.cli
    import tagonode.places

    for module in pkgutil.iter_modules(tagonode.__path__, "tagonode."):
        if not module.ispkg:
            importlib.import_module(module.name)
    build, places = tagonode.build, tagonode.places
    for board in places.boards():
        build.firmware_files(board, places.drivers())  # compiled code is kept by its source's text
    for source in places.GUEST.glob("*.py"):
        build.compile_module(source, source.stem)

    def run(argv: list[str]) -> int:
        sys.argv = argv
        return {"tagonode": tagonode.cli.main, "mpremote": mpremote.main.main}[os.path.basename(argv[0])]()

    return run


LOADED = {"micropython": _interpreter, "commands": _commands}


def _order(wire: socket.socket) -> tuple[dict, list[int]] | None:
    data, fds, _, _ = socket.recv_fds(wire, 1 << 16, 16)
    while data and not data.endswith(b"\n"):
        data += wire.recv(1 << 16)
    return (json.loads(data), fds) if data else None


def _become(order: dict, fds: list[int]) -> None:
    """Make of this process what a started one would be."""
    if _prctl is not None:
        _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the tests
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, _FREE) for fd in fds]
    for number, fd in enumerate(moved):
        os.dup2(fd, number)
    os.closerange(len(fds), _FREE + 2 * len(fds))
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    os.chdir(order["cwd"])


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's, which closes the socket
    wire = socket.socket(fileno=int(sys.argv[1]))
    program = LOADED[sys.argv[2]]()
    gc.freeze()
    while True:
        got = _order(wire)
        if got is None:
            return 0
        order, fds = got
        child = os.fork()
        if child == 0:
            break
        for fd in fds:
            os.close(fd)
        wire.sendall(b"%d\n" % child)
        wire.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    wire.detach()
    _become(order, fds)
    return program(order["argv"])


if __name__ == "__main__":
    sys.exit(main())
