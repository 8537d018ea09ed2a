"""The import rules of the house, checked by reading the code: main → agent → {lib, boards}, session → http1.

Each rule carries its reason, which is printed with every breach. Imports inside functions count, and so do
__import__ calls whose name begins with a text that can be read ("boards." + name).
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tagonode.places import MICROPYTHON

REPOSITORY = Path(__file__).resolve().parent.parent

# part of the house -> (folder or files, top-level module names)
PARTS = {
    "main": (("firmware/boot.py", "firmware/main.py"), ("boot", "main")),
    "agent": (("firmware/agent",), ("agent",)),
    "session": (("lib/session",), ("session",)),
    "urequests": (("lib/urequests",), ("urequests",)),
    "http1": (("lib/http1",), ("http1",)),
    "tagoio": (("lib/tagoio",), ("tagoio",)),
    "spool": (("lib/spool",), ("spool",)),
    "drivers": (("lib/drivers",), ("drivers",)),
    "boards": (("boards",), ("boards",)),
    "tools": (("tools",), ("tagonode",)),
    "host_tests": (("host_tests",), ("host_tests", "harness", "conftest", "pytest")),
}

_LIB = ("session", "http1", "tagoio", "spool", "drivers")
_DEVICE = ("main", "agent", *_LIB, "urequests", "boards")

# part -> (what else of the house it may import, why nothing more)
ARROWS = {
    "main": (
        ("agent",),
        "main.py and boot.py stay so small that they cannot fail: everything else is the agent's to load",
    ),
    "agent": (
        (*_LIB, "boards"),
        "the agent knows lib and the board it is handed; what boots it, and the PC's tools, know the agent",
    ),
    "session": (("http1",), "session speaks HTTP and knows nothing of readings, so it serves any peer"),
    "urequests": (
        ("session", "http1"),
        "urequests is for users' own programs: it works on a board that has nothing else of this project",
    ),
    "http1": ((), "a protocol without I/O stands alone: anyone can use it, and test it byte by byte"),
    "tagoio": ((), "TagoIO's rules are pure functions that the board and the PC share, and stand alone"),
    "spool": ((), "the queue keeps readings whatever they are and wherever they go, and stands alone"),
    "drivers": ((), "a driver knows its chip and the bus it is handed, so that it works in any program"),
    "boards": ((), "a board file says pins and limits: it knows MicroPython only, and anyone may read it"),
}

NEVER = {
    "tools": "device code never imports the PC's tools: they are not on the board",
    "host_tests": "device code never imports its tests: they are not on the board",
}


@dataclass(frozen=True)
class Ban:
    """Modules outside the house that some parts may not import."""

    parts: tuple[str, ...]
    modules: frozenset[str]
    why: str


BANS = (
    Ban(
        tuple(part for part in _DEVICE if part != "session"),
        frozenset({"socket", "ssl", "tls", "requests", "urequests", "usocket", "ussl"}),
        "session is the only place with sockets and TLS, so that no other can forget to verify a server",
    ),
    Ban(
        (*_LIB, "agent"),
        frozenset({"machine", "network", "rp2", "esp32", "esp", "vfs", "umachine"}),
        "clock, radio, flash and buses are handed in by the board: so the code runs on any, and in tests",
    ),
    Ban(
        ("urequests",),
        frozenset({"machine", "rp2", "esp32", "esp", "vfs", "umachine"}),
        "of the hardware, urequests asks the joined Wi-Fi for its name server, and nothing else",
    ),
    Ban(
        ("http1", "tagoio"),
        frozenset({"asyncio", "select", "os", "time", "_thread"}),
        "these parts do no I/O and read no clock: what they need is handed to them",
    ),
    Ban(
        ("spool", "drivers"),
        frozenset({"asyncio", "select", "_thread"}),
        "these parts do not wait for anybody: the agent decides when they run",
    ),
)

NOT_ON_BOARD = "MicroPython has no such module on a board: it would fail where nobody is there to see it"


@dataclass(frozen=True)
class Breach:
    file: Path
    line: int
    part: str
    module: str
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.part} imports {self.module}: {self.why}"


def check(root: Path = REPOSITORY) -> list[Breach]:
    """Every breach of the rules in the device code below `root`."""
    breaches = []
    for part in ARROWS:
        for file in _files(root, part):
            for line, module in imports(ast.parse(file.read_text(), str(file))):
                why = judge(part, module)
                if why is not None:
                    breaches.append(Breach(file.relative_to(root), line, part, module, why))
    return breaches


def judge(part: str, module: str) -> str | None:
    """Why `part` must not import `module`; None when it may."""
    top = module.split(".")[0]
    target = next((name for name, (_, modules) in PARTS.items() if top in modules), None)
    if target in NEVER:
        return NEVER[target]
    if target is not None:
        allowed, why = ARROWS[part]
        return None if target == part or target in allowed else why
    for ban in BANS:
        if part in ban.parts and top in ban.modules:
            return ban.why
    return None if top in MICROPYTHON else NOT_ON_BOARD


def _files(root: Path, part: str) -> Iterator[Path]:
    for place in PARTS[part][0]:
        path = root / place
        if path.is_dir():
            yield from sorted(path.rglob("*.py"))
        elif path.exists():
            yield path


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import, at whatever depth. Relative imports stay inside their package."""
    texts = _assigned_texts(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            for name in _beginnings(node.args[0], texts) if node.args else ():
                yield node.lineno, name


def _assigned_texts(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Every value assigned to a plain name in the module, for __import__(name)."""
    texts: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            texts.setdefault(node.targets[0].id, []).append(node.value)
    return texts


def _beginnings(node: ast.expr, texts: dict[str, list[ast.expr]]) -> Iterator[str]:
    """What the text that `node` makes begins with, as far as it can be read."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.BinOp):
        yield from _beginnings(node.left, texts)
    elif isinstance(node, ast.JoinedStr) and node.values:
        yield from _beginnings(node.values[0], texts)
    elif isinstance(node, ast.Name):
        for value in texts.get(node.id, ()):
            if not isinstance(value, ast.Name):
                yield from _beginnings(value, texts)


def main() -> int:
    breaches = check()
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
