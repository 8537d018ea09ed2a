"""Runs device tests on CPython with the shim. Started by runners.py; speaks JSON in frames on a socket.

The process that is started stays clean and warm; for each module it forks a worker, which imports the module
and runs its tests. Nothing of the shim ever gets into pytest's process.
"""

# everything of the real standard library that is needed here or by the shim, before that takes the names over
import ast
import binascii  # noqa: F401
import collections  # noqa: F401
import ctypes
import errno
import gc
import hashlib  # noqa: F401
import importlib.machinery
import importlib.util
import inspect
import io  # noqa: F401
import json
import os
import random  # noqa: F401
import re  # noqa: F401
import signal
import socket
import ssl  # noqa: F401
import struct
import sys
import traceback
import types
from pathlib import Path

HARNESS = Path(__file__).resolve().parent
DEVICE_FOLDERS: list[tuple[Path, list[str] | None]] = []
_HIDDEN = (str(HARNESS / "worker.py"), str(HARNESS / "guest" / "pytest.py"), "<frozen")
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def receive() -> dict:
    """The next order; "fds" are the descriptors that came with it."""
    head, fds, _, _ = socket.recv_fds(wire, 4, 8)
    head += _read(4 - len(head))
    return {**json.loads(_read(struct.unpack("<I", head)[0])), "fds": fds}


def _read(length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = wire.recv(length - len(data))
        if not more:
            os._exit(0)  # pytest is gone
        data += more
    return data


def send(message: dict) -> None:
    data = json.dumps(message).encode()
    wire.sendall(struct.pack("<I", len(data)) + data)


class _ErrnoOfOSError(ast.NodeTransformer):
    """OSError(5) has .errno 5 and a text on MicroPython, .errno None on CPython: give it two arguments."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        plain = len(node.args) == 1 and not isinstance(node.args[0], ast.Starred) and not node.keywords
        if isinstance(node.func, ast.Name) and node.func.id == "OSError" and plain:
            node.func = ast.copy_location(ast.Name("_os_error_", ast.Load()), node.func)
        return node


def _os_error(value: object) -> OSError:
    return OSError(value, errno.errorcode.get(value, "")) if isinstance(value, int) else OSError(value)


class DeviceLoader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, *, _optimize=-1):
        tree = ast.parse(self.prepared(bytes(data)), path)
        tree = ast.fix_missing_locations(_ErrnoOfOSError().visit(tree))
        return compile(tree, path, "exec", dont_inherit=True)

    def prepared(self, data: bytes) -> bytes | str:
        return data


class TestLoader(DeviceLoader):
    def prepared(self, data: bytes) -> bytes | str:
        from rewrite import rewrite_asserts

        return rewrite_asserts(data.decode())


class _OnlyThese(importlib.machinery.FileFinder):
    """Finds modules of a folder that are inside one of its device parts."""

    root = Path()
    parts: list[str] | None = None

    def find_spec(self, fullname, target=None):
        spec = super().find_spec(fullname, target)
        if spec is None or self.parts is None or spec.origin is None:
            return spec
        place = Path(spec.origin)
        return spec if any(place.is_relative_to(self.root / part) for part in self.parts) else None


def _device_finder(path: str) -> importlib.machinery.FileFinder:
    if path in test_folders:
        return importlib.machinery.FileFinder(path, (TestLoader, [".py"]))
    # the nearest root wins: the repository itself is one, and has the others inside
    for root, parts in sorted(DEVICE_FOLDERS, key=lambda row: -len(row[0].parts)):
        if Path(path).is_relative_to(root):
            finder = _OnlyThese(path, (DeviceLoader, [".py"]))
            finder.root, finder.parts = root, parts
            return finder
    raise ImportError("not a folder of device code")


test_folders: set[str] = set()


def setup(order: dict) -> None:
    """Take over the standard library's names and the import path. Called once, before any fork."""
    sys.path.insert(0, str(HARNESS))
    import rewrite  # noqa: F401
    import shim

    shim.install()
    sys.path.remove(str(HARNESS))
    import builtins

    builtins._os_error_ = _os_error  # type: ignore[attr-defined]
    sys.pycache_prefix = order["cache"]
    for folder, parts in order["path"]:
        DEVICE_FOLDERS.append((Path(folder), parts))
    sys.path[:0] = [folder for folder, _ in order["path"]]
    sys.path_hooks.insert(0, _device_finder)
    sys.path_importer_cache.clear()
    import asyncio  # noqa: F401
    import time  # noqa: F401

    import fixtures  # noqa: F401
    import harness  # noqa: F401
    import pytest  # noqa: F401

    gc.freeze()


def import_tests(file: str) -> types.ModuleType:
    path = Path(file)
    test_folders.add(str(path.parent))
    sys.path.insert(0, str(path.parent))
    loader = TestLoader(path.stem, file)
    spec = importlib.util.spec_from_file_location(path.stem, file, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader.exec_module(module)
    return module


def traceback_text(error: BaseException) -> str:
    """The traceback without the harness's own frames."""
    seen = traceback.TracebackException.from_exception(error)
    link: traceback.TracebackException | None = seen
    while link is not None:
        link.stack = traceback.StackSummary.from_list(
            [frame for frame in link.stack if not frame.filename.startswith(_HIDDEN)]
        )
        link = link.__cause__ or link.__context__
    return "".join(seen.format()).rstrip()


def describe(module: types.ModuleType) -> list[dict]:
    """The module's tests as the collector wants them."""
    import pytest

    tests = []
    for name, function in vars(module).items():
        if not name.startswith("test_") or not inspect.isfunction(function):
            continue
        if function.__module__ != module.__name__:
            continue
        cases = pytest.cases(function)
        marks = {
            kind: pytest.mark_of(function, kind)
            for kind in ("skip", "only", "heap", "timeout", "flash", "network", "chips")
        }
        tests.append(
            {
                "name": name,
                "line": function.__code__.co_firstlineno,
                "arguments": list(inspect.signature(function).parameters),
                "marks": {kind: data for kind, data in marks.items() if data is not None},
                # a parametrised fixture travels as JSON, everything else stays here
                "cases": [
                    {
                        "id": id,
                        "names": list(given),
                        "given": {name: value.plain for name, value in given.items() if _is_script(value)},
                    }
                    for id, given in cases
                ],
            }
        )
    return tests


def _is_script(value: object) -> bool:
    return hasattr(value, "plain") and hasattr(value, "is_script")


def collect(order: dict) -> None:
    try:
        send({"tests": describe(import_tests(order["file"]))})
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is shown to the user
        send({"error": traceback_text(error)})


def serve_module(order: dict) -> None:
    """The worker of one module."""
    failure = module = None
    try:
        module = import_tests(order["file"])
    except BaseException as error:  # noqa: BLE001
        failure = traceback_text(error)
    send({"pid": os.getpid()})
    while True:
        order = receive()
        if order["op"] == "close":
            send({})
            return
        output = os.open(order["output"], os.O_WRONLY | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        if failure is not None:
            send({"kind": "broken", "text": failure})
            continue
        kind, text = run(module, order)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(null, 1)
        os.dup2(null, 2)
        send({"kind": kind, "text": text})


def run(module: types.ModuleType, order: dict) -> tuple[str, str]:
    import asyncio
    import time

    import fixtures
    import pytest

    # ticks start just before their wrap, so that code which subtracts them by hand fails here
    time.set_ticks(time.TICKS_PERIOD - 20)
    asyncio.new_event_loop()
    coroutine = None
    try:
        function = getattr(module, order["test"])
        arguments = next(given for id, given in pytest.cases(function) if id == order["case"])
        arguments = dict(arguments)
        for name, given in order["fixtures"].items():
            arguments[name] = fixtures.make(name, given, order["fds"])
        coroutine = function(**arguments)
        if inspect.iscoroutine(coroutine):
            asyncio.run(coroutine)
    except pytest.Skipped as skipped:
        return "skipped", str(skipped)
    except KeyboardInterrupt as interrupt:
        text = traceback_text(interrupt)
        if inspect.iscoroutine(coroutine):
            text = _where_waiting(coroutine) or text
        return "failed", text
    except BaseException as error:  # noqa: BLE001
        return "failed", traceback_text(error)
    finally:
        if inspect.iscoroutine(coroutine):
            coroutine.close()
        gc.collect()
    return "passed", ""


class TimedOut(BaseException):
    pass


def _where_waiting(coroutine: types.CoroutineType) -> str | None:
    if coroutine.cr_frame is None or coroutine.cr_running:
        return None
    try:
        coroutine.throw(TimedOut("still waiting here"))
    except TimedOut as error:
        return traceback_text(error)
    except BaseException:  # noqa: BLE001 - the test's own clean-up failed; the interrupt's traceback must do
        return None
    return None


def main() -> None:
    setup(receive())
    while True:
        order = receive()
        child = os.fork()
        if child == 0:
            if _prctl is not None:
                _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive pytest
            if order["op"] == "collect":
                collect(order)
            else:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                serve_module(order)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != 0:
            send({"died": status})


if __name__ == "__main__":
    wire = socket.socket(fileno=int(sys.argv[1]))
    null = os.open(os.devnull, os.O_RDWR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's; it closes the pipe
    main()
