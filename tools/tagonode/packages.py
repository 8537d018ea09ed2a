"""The lists by which `mpremote mip install` gets the libraries: lib/package.json, and one for each package.

    python -m tagonode.packages      writes them; the tests see to it that they are up to date

Addresses in them are relative to the list, so that they work from any server, from GitHub, and from a folder. A package
comes with those that it imports.
"""

import ast
import json
from importlib import metadata
from pathlib import Path

from tagonode import places

# goes to the root of a board, where it comes before the one that firmware has built in: mip's --target /
_ELSEWHERE = "urequests"


def names() -> list[str]:
    """The packages of lib/."""
    return sorted(path.parent.name for path in places.LIB.glob("*/__init__.py"))


def files(package: str) -> list[str]:
    """Its modules, as paths from lib/."""
    return sorted(path.relative_to(places.LIB).as_posix() for path in (places.LIB / package).rglob("*.py"))


def _imported(package: str) -> set[str]:
    found: set[str] = set()
    for name in files(package):
        for node in ast.walk(ast.parse((places.LIB / name).read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return (found & set(names())) - {package}


def with_imports(package: str) -> list[str]:
    """The package and all that it needs of the others."""
    found: set[str] = set()
    open_ones = {package}
    while open_ones:
        found |= open_ones
        open_ones = {other for each in open_ones for other in _imported(each)} - found
    return sorted(found)


def _list(packages: list[str]) -> str:
    urls = [[name, name] for package in packages for name in files(package)]
    rows = ",\n".join("    " + json.dumps(row) for row in urls)
    version = metadata.version("tagonode")
    return f'{{\n  "urls": [\n{rows}\n  ],\n  "deps": [],\n  "version": "{version}"\n}}\n'


def lists() -> dict[str, str]:
    """Name in lib/ -> content of each list."""
    found = {"package.json": _list([name for name in names() if name != _ELSEWHERE])}
    for name in names():
        found[f"{name}.json"] = _list(with_imports(name))
    return found


def main() -> None:
    for name, content in lists().items():
        Path(places.LIB / name).write_text(content, "utf-8")


if __name__ == "__main__":
    main()
