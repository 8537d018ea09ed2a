"""The libraries for others: `mpremote mip install` from a server into a virtual board; firmware/manifest.py."""

import ast
import functools
import hashlib
import http.server
import json
import os
import re
import threading
from pathlib import Path

import arrows
import pytest
from harness import boards, commands
from harness.places import REPOSITORY
from harness.runners import interpreter
from tagonode import build, packages, places

LIB = places.LIB
LISTS = sorted(packages.lists())


# ---- the lists


@pytest.mark.parametrize("name", LISTS)
def test_each_list_is_what_the_folder_holds(name):
    assert (LIB / name).read_text() == packages.lists()[name], "write them anew: python -m tagonode.packages"


def test_there_are_no_other_lists():
    assert sorted(path.name for path in LIB.glob("*.json")) == LISTS
    assert {f"{path.parent.name}.json" for path in LIB.glob("*/__init__.py")} | {"package.json"} == set(LISTS)


@pytest.mark.parametrize("name", LISTS)
def test_what_a_list_names_imports_with_nothing_else(name, tmp_path):
    """On real MicroPython. `network` is the firmware's."""
    for target, url in json.loads((LIB / name).read_text())["urls"]:
        file = tmp_path / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((LIB / url).read_bytes())
    (tmp_path / "network.py").write_text("")
    modules = sorted(
        str(path.relative_to(tmp_path).with_suffix("")).replace("/", ".").removesuffix(".__init__")
        for path in tmp_path.rglob("*.py")
    )
    assert modules != ["network"]
    ran = commands.run(
        *(interpreter(), "-X", "heapsize=2M", "-c", "\n".join(f"import {module}" for module in modules)),
        env={**os.environ, "MICROPYPATH": f"{tmp_path}:.frozen"},
        timeout=30,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_package_comes_with_those_it_imports():
    """As the table of the house's arrows has them."""
    for name in packages.names():
        allowed = set(arrows.ARROWS[name][0]) | {name}
        assert set(packages.with_imports(name)) <= allowed | {"http1"}
    assert packages.with_imports("urequests") == ["http1", "session", "urequests"]
    assert packages.with_imports("drivers") == ["drivers"]


# ---- mip


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def serve(folder: Path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture(scope="module")
def site():
    server, address = serve(REPOSITORY)
    yield address
    server.shutdown()
    server.server_close()


@pytest.fixture
def board():
    with boards.board({"/boot.py": "", "/main.py": ""}, sensors=({"driver": "bme280", "bus": "i2c0"},)) as made:
        yield made


def example() -> str:
    (text,) = re.findall(r"```python\n(.*?)```", (LIB / "README.md").read_text(), re.S)
    return text


def test_the_libraries_from_a_server_and_the_example_that_uses_nothing_else(board, site, tmp_path):
    done = board.mpremote("mip", "install", f"{site}/lib/package.json")
    assert done.returncode == 0, done.output
    listed = [target for target, _ in json.loads((LIB / "package.json").read_text())["urls"]]
    assert re.findall("Installing: /lib/(.*)", done.output) == listed
    (tmp_path / "example.py").write_text(example())
    done = board.mpremote("run", tmp_path / "example.py")
    assert done.returncode == 0, done.output
    sent, books = done.stdout.splitlines()
    records = json.loads(sent)
    assert [(record["variable"], record["unit"]) for record in records[:3]] == [
        ("temperature", "°C"),
        ("humidity", "%"),
        ("pressure", "hPa"),
    ]
    assert [record["group"][-2:] for record in records] == ["_1"] * 3 + ["_2"] * 3 + ["_3"] * 3
    assert -40 < records[0]["value"] < 85 and 800 < records[2]["value"] < 1100
    assert books == "Counters(sampled=9, acknowledged=9, queued=0, quarantined=0, dropped=0, damaged=0)"
    # again, over a power cut: the queue is still there
    board.restart()
    done = board.mpremote("run", tmp_path / "example.py")
    assert "sampled=18, acknowledged=18" in done.stdout and '_6"}]' in done.stdout


def test_from_an_index(board, tmp_path):
    """In the form of micropython.org/pi: a package by its name, its files by their hashes."""
    listed = json.loads((LIB / "drivers.json").read_text())
    hashes = []
    for target, url in listed["urls"]:
        content = (LIB / url).read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:8]
        file = tmp_path / "file" / digest[:2] / digest
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        hashes.append([target, digest])
    package = tmp_path / "package" / "6" / "tagonode-drivers" / "latest.json"
    package.parent.mkdir(parents=True)
    package.write_text(json.dumps({"v": 1, "version": listed["version"], "hashes": hashes, "deps": []}))
    server, address = serve(tmp_path)
    try:
        done = board.mpremote("mip", "install", "--index", address, "tagonode-drivers")
        assert done.returncode == 0, done.output
        again = board.mpremote("mip", "install", "--index", address, "tagonode-drivers")
        assert again.output.count("Exists: /lib/drivers/") == len(hashes)
    finally:
        server.shutdown()
        server.server_close()
    program = "from drivers.bme280 import BME280; import machine; print(len(BME280(machine.I2C(0)).measure()))"
    assert board.mpremote("exec", program).stdout == "3\n"


def test_one_package_where_it_belongs(board, site):
    done = board.mpremote("mip", "install", "--target", "/", f"{site}/lib/urequests.json")
    assert done.returncode == 0, done.output
    program = "import urequests; print(urequests.__file__, urequests.configure)"
    assert "urequests/__init__.py <function" in board.mpremote("exec", program).stdout
    listed = board.mpremote("ls", ":/").stdout
    assert "session/" in listed and "http1/" in listed and "spool/" not in listed


# ---- frozen into a firmware


class Manifest:
    """What a manifest freezes: the functions of MicroPython's manifest files ("MicroPython manifest files", its
    documentation), as far as ours calls them. files: target -> source; others: what it takes from MicroPython."""

    def __init__(self, path: Path):
        self.files: dict[str, Path] = {}
        self.others: list[str] = []
        self._folder = path.parent
        known = {"include": self._other, "require": self._other, "package": self._package, "metadata": self._metadata}
        exec(compile(path.read_text(), str(path), "exec"), known)

    def _other(self, name: str) -> None:
        self.others.append(name)

    def _metadata(self, **told: str) -> None:
        assert set(told) <= {"description", "version", "license", "author"}

    def _package(self, name: str, base_path: str = ".") -> None:
        base = (self._folder / base_path).resolve()
        found = sorted((base / name).rglob("*.py"))
        assert found, f"there is no {name} in {base}"
        for file in found:
            target = file.relative_to(base).as_posix()
            assert target not in self.files, f"{target} is frozen twice"
            self.files[target] = file


@pytest.fixture(scope="module")
def manifest():
    return Manifest(places.FIRMWARE / "manifest.py")


def test_the_manifest_freezes_the_node_and_nothing_else(manifest):
    packaged = {f"{name}/{path.name}" for name in ("agent",) for path in (places.FIRMWARE / name).glob("*.py")}
    packaged |= {f"boards/{path.name}" for path in places.BOARDS.glob("*.py")}
    packaged |= {name for package in packages.names() if package != "urequests" for name in packages.files(package)}
    assert set(manifest.files) == packaged
    assert manifest.others == ["$(PORT_DIR)/boards/manifest.py", "ssl"]
    # whatever a config may need is in it
    needed = build.modules_for(["agent.app", "agent.assemble", *(f"boards.{name}" for name in places.boards())])
    assert set(build.compile_all(needed)) <= {
        ("/" if name.startswith(("agent/", "boards/")) else "/lib/") + name.removesuffix(".py") + ".mpy"
        for name in manifest.files
    }


def test_all_that_is_frozen_finds_what_it_imports(manifest):
    own = {name.partition("/")[0] for name in manifest.files}
    for name, source in manifest.files.items():
        for line, module in arrows.imports(ast.parse(source.read_text())):
            top = module.partition(".")[0]
            assert top in own or top in places.MICROPYTHON, f"{name}:{line} imports {module}"
            inside = module.replace(".", "/")
            if top in own and top != module and not module.endswith("."):
                there = {f"{inside}.py", f"{inside}/__init__.py"} & set(manifest.files)
                assert there, f"{name}:{line} imports {module}, which is not frozen"


def test_what_is_frozen_imports_with_nothing_else(manifest, tmp_path):
    for name, source in manifest.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).with_suffix(".mpy").write_bytes(build.compile_module(source, name))
    ran = commands.run(
        *(interpreter(), "-X", "heapsize=256K", "-c", "import agent.assemble, agent.app, drivers.bme280"),
        env={**os.environ, "MICROPYPATH": f"{tmp_path}:.frozen"},
        timeout=30,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
