"""firmware/boot.py finishes what was committed, whenever the power goes: on real littlefs, under both runtimes.

No device test of the collector: it has its own file systems, and its own `os` under CPython.
"""

import builtins
import contextlib
import json
import sys
from types import SimpleNamespace

import pytest
from campaigns import littlefs_cpython
from harness import commands
from harness.places import HOST_TESTS
from tagonode import deploy, places
from tagonode.virtual.board import interpreter

CAMPAIGNS = HOST_TESTS / "campaigns"
sys.path.append(str(CAMPAIGNS))  # as on the interpreter's command line

import boot_scenario  # noqa: E402

BOOT = (places.FIRMWARE / "boot.py").read_bytes()


class CPythonDisk(littlefs_cpython.CPythonDisk):
    """boot_scenario's disk on littlefs-python."""

    def __init__(self, program: int):
        self._given = SimpleNamespace()
        super().__init__(program, self._given)

    def run(self, boot: bytes) -> None:
        def importing(name, *more):
            return self._given.os if name == "os" else __import__(name, *more)

        names = {
            "__name__": "__main__",
            "open": self._open,
            "__builtins__": {**vars(builtins), "__import__": importing},
        }
        exec(compile(boot, "boot.py", "exec"), names)

    def _open(self, path: str):
        return littlefs_cpython._call(self.filesystem.open, path, "r")

    def listdir(self, path):
        return self._given.os.listdir(path)

    def mkdir(self, path):
        self._given.os.mkdir(path)

    def write(self, path, data):
        with self._given.open(path, "wb") as file:
            file.write(data)

    def read(self, path):
        try:
            with self.filesystem.open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None


def plan() -> tuple[list[str], list[str]]:
    """(journal, folders that deploy makes) of the scenario."""
    old, new = boot_scenario.versions(BOOT)
    return deploy.journal(new, old.keys() - new.keys(), new), deploy._folders(new)


def cut(runtime: str, boot: bytes, program: int, seed: int, folder) -> dict:
    journal, folders = plan()
    if runtime == "cpython":
        return boot_scenario.run(CPythonDisk(program), boot, seed, journal, folders)
    (folder / "boot.py").write_bytes(boot)
    arguments = [folder / "boot.py", program, seed, json.dumps(journal), json.dumps(folders)]
    command = [interpreter(), "-X", "heapsize=16M", CAMPAIGNS / "boot_scenario.py", CAMPAIGNS, *arguments]
    done = commands.run(*command)
    assert done.returncode == 0 and done.stdout, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("program", [32, 256])
@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_no_cut_leaves_anything_but_the_new_version(runtime, program, tmp_path):
    for seed in range(3):
        result = cut(runtime, BOOT, program, seed, tmp_path)
        assert result["operations"] > 15 and result["cuts"] == 2 * result["operations"]
        assert result["violations"] == []


_END = b'    os.remove("/incoming/commit")\n    os.remove("/incoming")\n'
BUGS = {
    "forgets what was committed before it is done": (
        b"            path = line[1:-1]\n",
        b"            path = line[1:-1]\n"
        b'            if "2.json" in path: os.rename("/incoming/commit", "/incoming/x")\n',
    ),
    "stops where it was cut": (b"error.errno != 2", b"error.errno"),
    "removes nothing": (b"os.remove(path)", b"pass"),
    "leaves the commit": (_END, b""),
    "removes the folder first": (_END, b'    os.remove("/incoming")\n    os.remove("/incoming/commit")\n'),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_of_these_bugs_is_seen(bug, tmp_path):
    right, wrong = BUGS[bug]
    assert BOOT.count(right) == 1
    with contextlib.suppress(OSError):  # without any cut
        assert cut("cpython", BOOT.replace(right, wrong), 256, 0, tmp_path)["violations"]


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_without_anything_committed_it_touches_nothing_and_leaves_no_name(runtime):
    """It runs at each start of a board that has 190 KB."""
    if runtime == "cpython":
        names = {"__name__": "__main__"}
        exec(compile(BOOT, "boot.py", "exec"), names)
        assert names.keys() == {"__name__", "__builtins__"}
        return
    code = (
        "import gc, sys\nboot = open(sys.argv[1]).read()\nnames = {'__name__': '__main__'}\n"
        "def start(): exec(compile(boot, 'boot.py', 'exec'), names)\n"
        "start(); gc.collect(); before = gc.mem_alloc(); start(); gc.collect()\n"
        "print(list(names), gc.mem_alloc() - before)\n"
    )
    command = [interpreter(), "-c", code, str(places.FIRMWARE / "boot.py")]
    done = commands.run(*command)
    names, kept = done.stdout.rsplit(" ", 1)
    assert names == "['__name__']" and int(kept) < 200, done.stdout + done.stderr
    assert len(BOOT) < 1200
