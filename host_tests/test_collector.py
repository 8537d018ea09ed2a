"""The collector of device tests tells the truth: what is wrong fails, on both runtimes, and says where."""

import re
import subprocess
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from harness import commands

HOST_TESTS = Path(__file__).resolve().parent
RUNTIMES = ("cpython", "micropython")

WRONG = """
import asyncio
import os
import sys

import harness
import pytest

HOARD = []


def test_passes():
    print("said by the test")


def test_asserts_wrongly():
    readings = [1, 2]
    assert len(readings) == 3, "a reading is missing"


def test_asserts_wrongly_over_lines():
    limit = 7
    assert (
        limit
        + 1
        in [
            1,  # a comment
            2,
        ]
    )


def test_asserts_without_comparison():
    assert not os.getcwd()


def helper(value):
    return {"a": 1}[value]


def test_raises():
    helper("missing")


async def test_coroutine_raises():
    await asyncio.sleep_ms(1)
    raise OSError(110)


@harness.timeout(0.4)
def test_hangs():
    while True:
        pass


@harness.timeout(0.4)
async def test_coroutine_hangs():
    await asyncio.sleep_ms(1)
    await asyncio.Event().wait()


@harness.timeout(0.4)
async def test_coroutine_hangs_in_wait_for():
    async def inner():
        await asyncio.sleep(100)

    await asyncio.wait_for(inner(), 100)


@harness.only("micropython", why="CPython has no capped heap")
def test_runs_out_of_memory():
    while True:
        HOARD.append(bytearray(3000))


@harness.heap("64K")
@harness.only("micropython", why="CPython has no capped heap")
def test_heap_as_told():
    HOARD.append(bytearray(80000))


def test_exits():
    sys.exit(0)


@pytest.mark.parametrize("how", ["by the test", "in between"])
def test_skips(how):
    if how == "by the test":
        pytest.skip("no need, said the test")
    assert how != "in between"


@pytest.mark.skip(reason="not today")
def test_marked_skip():
    assert False


def test_raises_other():
    with pytest.raises(ValueError):
        raise TypeError("not what was expected")


def test_raises_nothing():
    with pytest.raises(ValueError):
        pass


def test_raises_another_text():
    with pytest.raises(ValueError, match="expired$"):
        raise ValueError("validity starts in the future")


def test_approx():
    assert 20.0 == pytest.approx(20.0 + 1e-9)
    assert (1.0, 2.0) == pytest.approx((1.0, 2.1), abs=0.05)


def test_one_runtime_only():
    assert sys.implementation.name == "cpython"


@pytest.mark.parametrize("n", [1] if sys.implementation.name == "cpython" else [2])
def test_cases_differ(n):
    pass


def test_dies():
    if sys.implementation.name == "cpython":
        os._exit(3)
    os.system("kill -9 $PPID")


def test_after_a_death():
    pass


def test_left_behind(tmp):
    with open(tmp + "/left", "w") as file:
        file.write("behind")


def test_finds_nothing_left_behind(tmp):
    assert os.listdir(tmp) == []


async def never_ends():
    while True:
        await asyncio.sleep_ms(1)
        HOARD.append("still here")


async def test_leaves_a_task():
    asyncio.create_task(never_ends())


async def test_sees_no_task_of_another():
    before = len(HOARD)
    await asyncio.sleep_ms(20)
    assert len(HOARD) == before
"""


Outcomes = dict[str, tuple[str, str]]


def run_pytest(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess, Outcomes]:
    """Run pytest with the collector in `folder`; gives {item name: (outcome, all its text)} besides."""
    report = folder / "report.xml"
    options = ("-p", "harness.collector", "--junitxml", report, "-o", "junit_logging=all", "-q", *arguments)
    ran = commands.run_pytest(folder, *options)
    outcomes = {}
    for case in ET.parse(report).iter("testcase") if report.exists() else ():
        found = [child for child in case if child.tag in ("failure", "error", "skipped")]
        text = "".join((child.get("message") or "") + (child.text or "") for child in case)
        outcomes[case.get("name")] = (found[0].tag if found else "passed", text)
    return ran, outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[str, str]]:
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "device").mkdir()
    (folder / "device" / "test_wrong.py").write_text(WRONG)
    ran, outcomes = run_pytest(folder)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return outcomes


# test, outcome, what its report must say
EXPECTED = [
    ("test_passes", "passed", "said by the test"),
    ("test_asserts_wrongly", "failure", "a reading is missing\nassert 2 == 3"),
    ("test_asserts_wrongly", "failure", 'assert len(readings) == 3, "a reading is missing"'),
    ("test_asserts_wrongly_over_lines", "failure", "8 in [1, 2]"),
    ("test_asserts_without_comparison", "failure", "assert not os.getcwd()"),
    ("test_raises", "failure", 'return {"a": 1}[value]'),
    ("test_raises", "failure", 'helper("missing")'),
    ("test_raises", "failure", "KeyError"),
    ("test_coroutine_raises", "failure", "ETIMEDOUT"),
    ("test_hangs", "failure", "timed out after 0.4 s"),
    ("test_hangs", "failure", "in test_hangs"),
    ("test_coroutine_hangs", "failure", "timed out after 0.4 s"),
    ("test_coroutine_hangs", "failure", "await asyncio.Event().wait()"),
    ("test_coroutine_hangs_in_wait_for", "failure", "await asyncio.wait_for(inner(), 100)"),
    ("test_exits", "failure", "SystemExit"),
    ("test_skips", "skipped", "no need, said the test"),
    ("test_marked_skip", "skipped", "not today"),
    ("test_raises_other", "failure", "not what was expected"),
    ("test_raises_nothing", "failure", "did not raise"),
    ("test_raises_another_text", "failure", "expired$"),
    ("test_approx", "failure", "(1.0, 2.0) == approx((1.0, 2.1))"),
    ("test_after_a_death", "passed", ""),
    ("test_left_behind", "passed", ""),
    ("test_finds_nothing_left_behind", "passed", ""),
    ("test_leaves_a_task", "passed", ""),
    ("test_sees_no_task_of_another", "passed", ""),
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("test, outcome, text", EXPECTED)
def test_reports(outcomes, runtime, test, outcome, text):
    name = f"{test}[{runtime}]" if test != "test_skips" else f"test_skips[{runtime}-by the test]"
    found, said = outcomes[name]
    assert found == outcome, said
    assert text in said


ONE_RUNTIME = [
    ("test_runs_out_of_memory[micropython]", "failure", "MemoryError"),
    ("test_runs_out_of_memory[micropython]", "failure", "The heap of this run is 192K"),
    ("test_runs_out_of_memory[micropython]", "failure", "HOARD.append(bytearray(3000))"),
    ("test_runs_out_of_memory[cpython]", "skipped", "only micropython: CPython has no capped heap"),
    ("test_heap_as_told[micropython]", "failure", "The heap of this run is 64K"),
    ("test_skips[cpython-in between]", "failure", "'in between' != 'in between'"),
    ("test_skips[micropython-in between]", "failure", "'in between' != 'in between'"),
    ("test_one_runtime_only[cpython]", "passed", ""),
    ("test_one_runtime_only[micropython]", "failure", "'micropython' == 'cpython'"),
    ("test_cases_differ[cpython-1]", "passed", ""),
    ("test_cases_differ[micropython-1]", "failure", "parametrize gives other values or ids on MicroPython"),
    ("test_dies[cpython]", "failure", "the CPython worker died: exit status 3"),
    ("test_dies[micropython]", "failure", "MicroPython ended with signal SIGKILL"),
]


@pytest.mark.parametrize("name, outcome, text", ONE_RUNTIME)
def test_reports_on_one_runtime(outcomes, name, outcome, text):
    found, said = outcomes[name]
    assert found == outcome, said
    assert text in said


def test_reports_every_item(outcomes):
    """Nothing is lost: each test of the module has its item on each runtime."""
    tests = set(re.findall(r"def (test_\w+)", WRONG))
    for runtime in RUNTIMES:
        assert {name.split("[")[0] for name in outcomes if f"[{runtime}" in name} == tests


def test_tracebacks_show_the_test_and_not_the_harness(outcomes):
    for name, (outcome, said) in outcomes.items():
        elsewhere = "died" in said or "ended with" in said or "cases_differ" in name
        if outcome == "failure" and not elsewhere:
            assert "test_wrong.py" in said, name
            assert not re.search(r'File ".*(device_run|worker|guest/pytest)\.py"', said), name


CANNOT_COLLECT = {
    "import dataclasses_of_another_world": "No module named 'dataclasses_of_another_world'",
    "def test_x(:\n    pass": "SyntaxError",
    "def test_x(neet):\n    pass": "test_x asks for neet: a device test can have net, chips, tmp",
    "import pytest\n@pytest.mark.parametrize('a, b', [(1,)])\ndef test_x(a, b): pass": "has not 2 values",
    "import harness\n@harness.only('pypy', why='-')\ndef test_x(): pass": 'runtime is "cpython" or',
}


@pytest.mark.parametrize("source", CANNOT_COLLECT)
def test_a_module_that_cannot_be_collected_says_why(tmp_path, source):
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "test_x.py").write_text(source)
    ran, _ = run_pytest(tmp_path)
    assert ran.returncode == 2
    assert CANNOT_COLLECT[source] in ran.stdout


def test_a_module_that_only_cpython_can_import_fails_on_micropython(tmp_path):
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "test_x.py").write_text("import dataclasses\n\ndef test_x():\n    pass\n")
    _, outcomes = run_pytest(tmp_path)
    assert outcomes["test_x[cpython]"][0] == "passed"
    outcome, said = outcomes["test_x[micropython]"]
    assert outcome == "failure"
    assert "ImportError: no module named 'dataclasses'" in said
    assert "import dataclasses" in said


def test_nothing_of_the_shim_gets_into_pytest(tmp_path):
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "test_x.py").write_text("import time\ndef test_x(): assert time.ticks_ms() >= 0\n")
    (tmp_path / "test_y.py").write_text(
        textwrap.dedent("""
        def test_y():
            import asyncio, sys, time
            assert not hasattr(time, "ticks_ms") and not hasattr(sys, "print_exception")
            assert hasattr(asyncio, "TaskGroup")
        """)
    )
    ran, outcomes = run_pytest(tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert set(outcomes) == {"test_x[cpython]", "test_x[micropython]", "test_y"}


def test_works_with_xdist(tmp_path):
    (tmp_path / "device").mkdir()
    for name in "ab":
        (tmp_path / "device" / f"test_{name}.py").write_text("def test_x(tmp):\n    assert tmp\n" * 1)
    ran, outcomes = run_pytest(tmp_path, "-n", "2", "--dist", "loadscope", "-vv")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 passed" in ran.stdout
    assert "test_x[cpython]" in ran.stdout
    assert "test_x[micropython]" in ran.stdout
    assert set(outcomes) == {"test_x[cpython]", "test_x[micropython]"}


def test_another_interpreter_can_be_chosen(tmp_path):
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "test_x.py").write_text("def test_x():\n    pass\n")
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho another interpreter\nexit 7\n")
    other.chmod(0o755)
    ran = commands.run_pytest(tmp_path, "-p", "harness.collector", "-q", MICROPYTHON=str(other))
    assert "MicroPython ended with exit status 7" in ran.stdout
    assert "another interpreter" in ran.stdout
