"""Run one device test on one runtime: CPython in a worker, or a fresh MicroPython with a capped heap."""

import contextlib
import json
import linecache
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .bytecode import Bytecode
from .forked import Forked, Forker
from .places import DEVICE_PATH, HARNESS, REPOSITORY

DEFAULT_HEAP = "192K"
_HARNESS_HEAP = 20 * 1024  # what guest/*.py keep of a heap; a test gets what it asks for on top of that
DEFAULT_TIMEOUT = 30.0
_GRACE = 2.0  # seconds to say where it hangs before it is killed


@dataclass
class Job:
    """One test to run. fixtures: {name: JSON for guest/fixtures.py}; passed_fds: inherited as they are."""

    file: Path
    test: str
    case: str | None
    fixtures: dict = field(default_factory=dict)
    heap: str = DEFAULT_HEAP
    timeout: float = DEFAULT_TIMEOUT
    passed_fds: tuple[int, ...] = ()


@dataclass
class Outcome:
    """kind: passed, skipped, failed or broken (file or case not usable). text: reason or traceback."""

    kind: str
    text: str = ""
    output: str = ""


class WorkerDied(Exception):
    pass


class CPython:
    """Workers that run device tests on CPython with the shim: forked from a warm process, one a module."""

    def __init__(self, cache: Path):
        self._cache = cache
        self._process: subprocess.Popen | None = None
        self._file: Path | None = None  # the module whose worker is alive
        self._worker_pid = 0

    def collect(self, file: Path) -> list[dict]:
        """The module's tests: {name, line, cases, arguments, marks}. Raises ImportError with a traceback."""
        self._leave()
        reply = self._ask({"op": "collect", "file": str(file)}, 60.0)
        if "error" in reply:
            raise ImportError(reply["error"])
        return reply["tests"]

    def run(self, job: Job) -> Outcome:
        with tempfile.NamedTemporaryFile() as output:
            try:
                outcome = self._run(job, output.name)
            except WorkerDied as died:
                outcome = Outcome("failed", f"the CPython worker died: {died}")
                self._file = None
            output.seek(0)
            outcome.output = output.read().decode("utf-8", "replace")
        return outcome

    def _run(self, job: Job, output: str) -> Outcome:
        if self._file != job.file:
            self._leave()
            self._worker_pid = self._ask({"op": "open", "file": str(job.file)}, 60.0)["pid"]
            self._file = job.file
        order = {"op": "run", "test": job.test, "case": job.case, "fixtures": job.fixtures}
        self._send({**order, "output": output}, job.passed_fds)
        reply = self._receive(job.timeout)
        if reply is not None:
            return Outcome(reply["kind"], reply["text"])
        os.kill(self._worker_pid, signal.SIGINT)  # raises KeyboardInterrupt where it hangs
        reply = self._receive(_GRACE)
        where = reply["text"] if reply is not None else "it did not react to an interrupt"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._worker_pid, signal.SIGKILL)
        self._file = None
        with contextlib.suppress(WorkerDied):  # which is what the warm process reports now
            self._receive(_GRACE)
        return Outcome("failed", _timed_out(job.timeout, where))

    def _leave(self) -> None:
        if self._file is not None:
            self._file = None
            self._ask({"op": "close"}, 60.0)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._wire.close()
            self._process = None

    def _start(self) -> None:
        self._wire, far_end = socket.socketpair()
        with far_end:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(HARNESS / "worker.py"), str(far_end.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(far_end.fileno(),),
            )
        setup = {
            "op": "setup",
            "path": [[str(folder), parts] for _, folder, parts in DEVICE_PATH],
            "cache": str(self._cache / "cpython"),
        }
        self._send(setup)

    def _send(self, message: dict, fds: tuple[int, ...] = ()) -> None:
        if self._process is None:
            self._start()
        data = json.dumps(message).encode()
        try:
            socket.send_fds(self._wire, [struct.pack("<I", len(data))], fds)
            self._wire.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            raise WorkerDied("its process is gone") from None

    def _receive(self, timeout: float) -> dict | None:
        """The next reply, None when there is none in time. Raises WorkerDied."""
        deadline = time.monotonic() + timeout
        data = b""
        wanted = 4
        with selectors.DefaultSelector() as selector:
            selector.register(self._wire, selectors.EVENT_READ)
            while len(data) < wanted:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                try:
                    more = self._wire.recv(wanted - len(data))
                except ConnectionResetError:
                    more = b""
                if not more:
                    self.close()
                    raise WorkerDied("its process is gone")
                data += more
                if wanted == 4 and len(data) == 4:
                    wanted += struct.unpack("<I", data)[0]
        reply = json.loads(data[4:])
        if "died" in reply:
            raise WorkerDied(_status(reply["died"]))
        return reply

    def _ask(self, message: dict, timeout: float) -> dict:
        self._send(message)
        reply = self._receive(timeout)
        if reply is None:
            self.close()
            raise WorkerDied(f"no answer to {message['op']} within {timeout:g} s")
        return reply


def interpreter() -> str:
    """The MicroPython to run: $MICROPYTHON, else the wheel's, installed beside this Python."""
    return os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")


def _bytes(heap: str) -> int:
    unit = {"K": 1024, "M": 1024 * 1024}.get(heap[-1:].upper(), 1)
    return int(heap[:-1] if unit > 1 else heap) * unit


class MicroPython:
    """Runs each test in a fresh MicroPython process with a capped heap."""

    def __init__(self, cache: Path):
        self._bytecode = Bytecode(cache / "micropython")
        self._forker = Forker("micropython")

    def close(self) -> None:
        self._forker.close()

    def run(self, job: Job) -> Outcome:
        path = self._bytecode.path_for(job.file.parent)
        order = {
            "module": job.file.stem,
            "test": job.test,
            "case": job.case,
            "fixtures": job.fixtures,
            "fds": tuple(range(4, 4 + len(job.passed_fds))),
        }
        chosen = os.environ.get("MICROPYTHON")  # which cannot be forked
        if chosen:
            order["fds"] = job.passed_fds
        with (
            tempfile.NamedTemporaryFile("w", suffix=".json") as order_file,
            tempfile.TemporaryFile() as output,
            open(os.devnull, "rb") as nothing,
        ):
            json.dump(order, order_file)
            order_file.flush()
            result_rx, result_tx = os.pipe()
            heap = f"heapsize={_bytes(job.heap) + _HARNESS_HEAP}"
            argv = ["-X", heap, "-c", "import device_run", str(result_tx if chosen else 3), order_file.name]
            environment = {**os.environ, "MICROPYPATH": ":".join([".frozen", *path])}
            process: subprocess.Popen | Forked
            if chosen:
                process = subprocess.Popen(
                    [chosen, *argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(result_tx, *job.passed_fds),
                    env=environment,
                )
            else:
                fds = [nothing.fileno(), output.fileno(), output.fileno(), result_tx, *job.passed_fds]
                process = self._forker.start(["micropython", *argv], fds, environment)
            os.close(result_tx)
            try:
                text, in_time = _read_result(result_rx, process, job.timeout)
            finally:
                process.kill()
                process.wait()
                os.close(result_rx)
            output.seek(0)
            printed = output.read().decode("utf-8", "replace")
        if not in_time:
            where = (
                _with_sources(text.partition("\n")[2].removesuffix(".\n"))
                if text
                else "it did not react to an interrupt"
            )
            return Outcome("failed", _timed_out(job.timeout, where), printed)
        return _parse(text, process.returncode, printed, job.heap)


def _read_result(fd: int, process: subprocess.Popen | Forked, timeout: float) -> tuple[str, bool]:
    """What came over the result pipe until its end, and whether it came in time."""
    data = b""
    deadline = time.monotonic() + timeout
    in_time = True
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                if not in_time:
                    break
                in_time = False
                process.send_signal(signal.SIGINT)
                deadline = time.monotonic() + _GRACE
                continue
            more = os.read(fd, 65536)
            data += more
            if not more or data.endswith(b"\n.\n"):
                break
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    return data.decode("utf-8", "replace"), in_time


def _parse(text: str, status: int, printed: str, heap: str) -> Outcome:
    head, _, rest = text.removesuffix(".\n").partition("\n")
    kind, _, reason = head.partition(" ")
    if not text.endswith("\n.\n") or kind not in ("passed", "skipped", "failed", "broken"):
        said = _with_sources(text) if text.strip() else ""
        return Outcome(
            "failed",
            f"MicroPython ended with {_status(status)} before the test did (heap {heap}).\n{said}",
            printed,
        )
    if kind == "skipped":
        return Outcome("skipped", reason, printed)
    text = _with_sources(rest)
    if "MemoryError" in rest:
        text += f"\nThe heap of this run is {heap}: use less, or ask for more with @harness.heap(...)."
    return Outcome(kind, text.rstrip(), printed)


_FRAME = re.compile(r'  File "([^"]+)", line (\d+)(?:, in (.*))?')
_HIDDEN = ("guest/device_run.py", "guest/pytest.py", "<stdin>")


def _with_sources(text: str) -> str:
    """MicroPython's traceback with each frame's source line, the harness's own frames left out."""
    lines = []
    for line in text.splitlines():
        frame = _FRAME.fullmatch(line)
        if frame is None:
            lines.append(line)
            continue
        name, number = frame.group(1), int(frame.group(2))
        if name.endswith(_HIDDEN):
            continue
        lines.append(line)
        source = linecache.getline(str(REPOSITORY / name), number).strip()
        if source and not name.startswith("asyncio/"):
            lines.append("    " + source)
    return "\n".join(lines)


def _timed_out(timeout: float, where: str) -> str:
    return f"timed out after {timeout:g} s (@harness.timeout(seconds) gives it longer). It was here:\n{where}"


def _status(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
