"""Commands that tests run. What they print is printed by the test: seen when it fails, and searched for secrets."""

import atexit
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .forked import Forker
from .places import HOST_TESTS

_forker = Forker("commands")
atexit.register(_forker.close)
_one_at_a_time = threading.Lock()


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """subprocess.run with its output captured as text, and shown. `options` are its own.

    `tagonode` and `mpremote` are forked from a process that has loaded them: forked.py.
    """
    argv = [*map(str, command)]
    program = Path(argv[0])
    ours = program.name in ("tagonode", "mpremote") and program.parent == Path(sys.executable).parent
    plain = set(options) <= {"timeout", "env", "cwd", "stdin"} and options.get("stdin") in (None, subprocess.DEVNULL)
    if ours and plain and _one_at_a_time.acquire(blocking=False):
        try:
            done = _forked(argv, options)
        finally:
            _one_at_a_time.release()
    else:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    show(done.stdout, done.stderr)
    return done


def run_pytest(folder: Path, *options: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest of its own with these options on the tests in `folder`, on whose path is what is in host_tests.

    schemathesis, whose plugin would take 2 s to load, is left out, and bytecode of the device's modules is kept for
    the next.
    """
    return run(
        *(sys.executable, "-m", "pytest", "-p", "no:schemathesis", "-p", "no:hypothesispytest", "--rootdir", folder),
        *("-o", f"cache_dir={folder.parent / 'pytest-cache'}", *options),
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(HOST_TESTS),
            "PYTEST_ADDOPTS": "",
            "PYTEST_XDIST_WORKER": "",
            **environment,
        },
        timeout=120,
    )


def _forked(argv: list[str], options: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    environment = os.environ if options.get("env") is None else options["env"]
    folder = options.get("cwd")
    with open(os.devnull) as nothing, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        fds = [nothing.fileno(), out.fileno(), err.fileno()]
        process = _forker.start(argv, fds, environment, None if folder is None else str(folder))
        try:
            process.wait(options.get("timeout"))
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(argv, process.returncode or 0, out.read(), err.read())


def lines(stream: IO[str] | None) -> Iterator[str]:
    """The lines of a running command's pipe as they come, each shown."""
    assert stream is not None
    for line in stream:
        show(line)
        yield line


def show(*texts: str | None) -> None:
    """Print what was read of a command in another way."""
    for text in texts:
        print(text or "", end="")
