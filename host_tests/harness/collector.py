"""Collects device tests once and runs each on CPython and on real MicroPython.

A device test is a function test_* in a file below a folder called `device`, or `drivers` (those of a user's own, beside
a node.toml). The rest is left to pytest.
"""

import base64
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from .runners import DEFAULT_HEAP, DEFAULT_TIMEOUT, CPython, Job, MicroPython, Outcome, WorkerDied

RUNTIMES = ("cpython", "micropython")


class Runtimes:
    """The runners of one pytest process."""

    def __init__(self, cache: Path):
        self.cpython = CPython(cache)
        self.micropython = MicroPython(cache)

    def run(self, runtime: str, job: Job) -> Outcome:
        return (self.cpython if runtime == "cpython" else self.micropython).run(job)


_RUNTIMES = pytest.StashKey[Runtimes]()


def pytest_configure(config: pytest.Config) -> None:
    for runtime in RUNTIMES:
        config.addinivalue_line("markers", f"{runtime}: device tests on this runtime")
    # without pytest's cache plugin there is none
    cached = getattr(config, "cache", None)
    cache = cached.mkdir("device") if cached else Path(tempfile.mkdtemp(prefix="device-"))
    config.stash[_RUNTIMES] = Runtimes(cache)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _RUNTIMES in config.stash:
        config.stash[_RUNTIMES].cpython.close()
        config.stash[_RUNTIMES].micropython.close()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    folders = module_path.parent.parts[len(parent.config.rootpath.parts) :]
    if "device" in folders or "drivers" in folders:
        return DeviceFile.from_parent(parent, path=module_path)
    return None


class DeviceFile(pytest.File):
    """A module of device tests. It is imported in a worker, never in pytest's process."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            tests = self.config.stash[_RUNTIMES].cpython.collect(self.path)
        except (ImportError, WorkerDied) as error:
            raise self.CollectError(f"cannot be imported under CPython:\n{error}") from None
        for test in tests:
            for case in test["cases"]:
                unknown = [name for name in test["arguments"] if name not in case["names"] and name not in FIXTURES]
                if unknown:
                    raise self.CollectError(
                        f"{test['name']} asks for {', '.join(unknown)}: a device test can have "
                        f"{', '.join(FIXTURES)} and what its own parametrize gives"
                    )
                for runtime in RUNTIMES:
                    name = runtime if case["id"] is None else f"{runtime}-{case['id']}"
                    yield DeviceItem.from_parent(
                        self, name=f"{test['name']}[{name}]", test=test, case=case, runtime=runtime
                    )


class DeviceItem(pytest.Item):
    """One test, one case, one runtime."""

    def __init__(self, *, test: dict, case: dict, runtime: str, **kwargs):
        super().__init__(**kwargs)
        self.test = test
        self.case = case
        self.runtime = runtime
        self.add_marker(runtime)

    def runtest(self) -> None:
        marks = self.test["marks"]
        if "skip" in marks:
            _skip(marks["skip"])
        only, why = marks.get("only", (self.runtime, ""))
        if only != self.runtime:
            _skip(f"only {only}: {why}")
        job = Job(
            file=self.path,
            test=self.test["name"],
            case=self.case["id"],
            heap=marks.get("heap", DEFAULT_HEAP),
            timeout=marks.get("timeout", DEFAULT_TIMEOUT),
        )
        with contextlib.ExitStack() as stack:
            for name in FIXTURES:
                if name in self.test["arguments"] and (name not in self.case["names"] or name in self.case["given"]):
                    job.fixtures[name] = FIXTURES[name](self, job, stack)
            outcome = self.config.stash[_RUNTIMES].run(self.runtime, job)
        if outcome.output:
            self.add_report_section("call", "stdout", outcome.output)
        if outcome.kind == "skipped":
            _skip(outcome.text)
        if outcome.kind != "passed":
            raise DeviceFailure(outcome)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, DeviceFailure):
            return excinfo.value.outcome.text
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, self.test["line"] - 1, self.name


def _skip(reason: str) -> NoReturn:
    raise pytest.skip.Exception(reason, _use_item_location=True)


class DeviceFailure(Exception):
    def __init__(self, outcome: Outcome):
        last = outcome.text.strip().splitlines()
        super().__init__(last[-1] if last else outcome.kind)
        self.outcome = outcome


def _tmp(item: DeviceItem, job: Job, stack: contextlib.ExitStack) -> dict:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="device-")))
    if item.runtime == "cpython":
        return {"folder": str(folder)}
    geometry = {"blocks": 128, "program": 256, **item.test["marks"].get("flash", {})}
    image = folder / "flash.img"
    with open(image, "wb") as file:
        file.truncate(geometry["blocks"] * 4096)
    return {"image": str(image), **geometry}


def _net(item: DeviceItem, job: Job, stack: contextlib.ExitStack) -> dict:
    from .network import Network

    plain = item.case["given"].get("net") or item.test["marks"].get("network") or {"script": [], "options": {}}
    return stack.enter_context(Network(*plain["script"], **plain["options"])).describe()


def _chips(item: DeviceItem, job: Job, stack: contextlib.ExitStack) -> dict:
    from .chips import Chips

    plain = item.case["given"].get("chips") or item.test["marks"].get("chips") or {"chips": [], "options": {}}
    options = dict(plain["options"])
    if "net" in job.fixtures:
        options.setdefault("nameserver", job.fixtures["net"]["dns"][0])
    chips = stack.enter_context(Chips(*plain["chips"], **options))
    job.passed_fds = chips.guest_fds
    return chips.describe()


def _cloud(item: DeviceItem, job: Job, stack: contextlib.ExitStack) -> dict:
    from tagonode.cloud import LocalCloud

    cloud = stack.enter_context(LocalCloud())
    token = cloud.create_device("Device of a test", "mutable")
    parameters = {"upload_every": "600", "name": ""}
    for key, value in parameters.items():
        cloud.set_parameter(token, key, value)
    root = base64.b64encode(cloud.ca_der).decode()
    return {"port": cloud.port, "root": root, "token": token, "parameters": parameters}


# name -> function(item, job, stack) that starts it in this process and gives the JSON for guest/fixtures.py
FIXTURES = {"net": _net, "chips": _chips, "tmp": _tmp, "cloud": _cloud}
