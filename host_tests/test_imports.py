"""Every module that goes to a board imports on real MicroPython, alone, in a small heap, touching nothing."""

import os

import pytest
from harness import commands
from harness.bytecode import Bytecode
from harness.places import HOST_TESTS, REPOSITORY
from harness.runners import interpreter

# KiB: a module with what it imports itself; agent.assemble imports the whole node
SMALL = 96
WHOLE_NODE = 160


def module_names() -> list[str]:
    # boot.py and main.py start a node when they are imported
    files = [*(REPOSITORY / "firmware" / "agent").rglob("*.py"), *(REPOSITORY / "boards").rglob("*.py")]
    names = [file.relative_to(file.parents[1]) for file in files]
    names += [file.relative_to(REPOSITORY / "lib") for file in (REPOSITORY / "lib").rglob("*.py")]
    return sorted(str(name.with_suffix("")).replace("/", ".").removesuffix(".__init__") for name in names)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    return ":".join([".frozen", *Bytecode(tmp_path_factory.mktemp("bytecode")).path_for(HOST_TESTS / "device")])


@pytest.mark.parametrize("module", module_names())
def test_imports(path, module):
    heap = WHOLE_NODE if module == "agent.assemble" else SMALL
    ran = commands.run(
        *(interpreter(), "-X", f"heapsize={heap}K", "-c", f"import {module}"),
        env={**os.environ, "MICROPYPATH": path},
        timeout=30,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), f"{module} with a heap of {heap}K"


def test_there_is_something_to_import():
    assert {"agent.app", "boards.pico_w", "drivers.bme280", "spool", "tagoio.records"} <= set(module_names())
