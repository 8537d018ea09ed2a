"""Seeds bugs in a copy of the tree, one at a time, and shows which test notices each: what *_mutations.py share."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

_PARTS = ("lib", "firmware", "boards", "host_tests", "tools", "pyproject.toml")
_ENDLESS_S = 600
_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?(test_\w+\.py)(?:::(.*?))?(?: - .*)?$", re.MULTILINE)

# (what is wrong, name of the file, text, what the bug makes of it)
Mutation = tuple[str, str, str, str]


def failing(tree: Path, tests: Iterable[str]) -> list[str]:
    """Names of those tests, files in host_tests, that fail under CPython. Raises TimeoutError when they do not end."""
    options = ("-q", "-p", "no:cacheprovider", "-m", "not micropython", "--tb=no", "-o", "faulthandler_timeout=300")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *(f"host_tests/{test}" for test in tests)],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=_ENDLESS_S)
    except subprocess.TimeoutExpired:
        # with all that it started: whoever of them lives on would hold the pipe open
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        raise TimeoutError(printed) from None
    failed = _FAILED.findall(printed)
    if process.returncode and not failed:
        raise SystemExit(f"pytest itself failed:\n{printed}")
    return [test.replace("cpython-", "").replace("[cpython]", "") or file for file, test in failed]


def chosen(mutations: list[Mutation], wanted: str) -> list[Mutation]:
    """Those with a word in their name, or of a file of that name; of a number so many, from all files in turn."""
    if not wanted.isdecimal():
        return [row for row in mutations if wanted in row[0] or wanted == row[1]]
    seen: Counter[str] = Counter()
    ranks = []
    for row in mutations:
        ranks.append(seen[row[1]])
        seen[row[1]] += 1
    order = sorted(range(len(mutations)), key=lambda index: ranks[index])
    return [mutations[index] for index in order[: int(wanted)]]


def campaign(
    mutations: list[Mutation], place: Callable[[str], str], tests_of: Callable[[str], list[str]], wanted: str = ""
) -> int:
    """Seed those of `mutations` that are wanted; exit status: 0 when each was noticed.

    place: a file's folder, by its name; tests_of: the files in host_tests that are to notice.
    """
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in _PARTS:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        for bug, file, text, becomes in chosen(mutations, wanted):
            path = tree / place(file) / f"{file}.py"
            sound = path.read_text(encoding="utf-8")
            if text not in sound:
                raise SystemExit(f"{bug}: {file}.py no longer has {text!r}: bring the mutation up to date")
            path.write_text(sound.replace(text, becomes), encoding="utf-8")
            try:
                failed = failing(tree, tests_of(file))
                seen = f"{len(failed):3} tests, first {failed[0]}" if failed else "NOBODY NOTICED"
            except TimeoutError as endless:
                failed = []
                seen = f"NO END within {_ENDLESS_S} s:\n{endless}"
            path.write_text(sound, encoding="utf-8")
            unnoticed += not failed
            print(f"{file:13} {bug:50} {seen}", flush=True)
    print(f"{unnoticed} unnoticed")
    return 1 if unnoticed else 0
