"""Runs device code as it is under CPython, with modules of its own: nothing of it meets the host's.

An Interpreter has its own `sys.modules`, `open` and `print`. Device modules are found where the repository has them and
executed once; a restart gives them their first globals back, which takes a tenth of the time that importing does. What
a device imports beyond them is given (`provided`), or is one of the few modules that CPython has alike.

`overlay` replaces texts in sources, which is how a bug is seeded without a copy of the tree.
"""

import builtins
import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

REPOSITORY = Path(__file__).absolute().parents[2]
_PLACES = (REPOSITORY / "firmware", REPOSITORY / "lib", REPOSITORY)
_ALIKE = ("binascii", "collections", "errno", "json", "math", "struct")

# (module, text, what it becomes)
Overlay = tuple[tuple[str, str, str], ...]

_compiled: dict[tuple[str, Overlay], CodeType] = {}


def find(name: str) -> Path | None:
    """The file of a module; its folder, for packages like boards that have no __init__.py."""
    parts = name.split(".")
    for place in _PLACES:
        path = place.joinpath(*parts)
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
    folder = REPOSITORY.joinpath(*parts)
    return folder if folder.is_dir() else None


def _code(name: str, path: Path, overlay: Overlay) -> CodeType:
    mine = tuple(row for row in overlay if row[0] == name)
    key = (str(path), mine)
    if key not in _compiled:
        source = path.read_text(encoding="utf-8")
        for _, text, becomes in mine:
            source = source.replace(text, becomes)
        code = compile(source, str(path.relative_to(REPOSITORY)), "exec", dont_inherit=True)
        if any(instruction == "global" for instruction in source.split()):
            _no_rebinding(name, source)
        _compiled[key] = code
    return _compiled[key]


def _no_rebinding(name: str, source: str) -> None:
    for line in source.splitlines():
        if line.strip().startswith("global "):
            raise NotImplementedError(f"{name} rebinds a global: a restart has to put it back, see interpreter.py")


class Interpreter:
    """provided: modules by name; opener, printer: in the place of open() and print()."""

    def __init__(
        self,
        provided: dict[str, Any],
        opener: Callable[..., Any],
        printer: Callable[..., None],
        overlay: Overlay = (),
    ):
        for name, text, _ in overlay:
            found = find(name)
            if found is None or text not in found.read_text(encoding="utf-8"):
                raise LookupError(f"{name} no longer has {text!r}: bring the mutation up to date")
        self.modules: dict[str, Any] = {}
        self._provided = provided
        self._overlay = overlay
        self._known: dict[str, ModuleType] = {}
        self._first: list[tuple[Any, Any]] = []  # containers among the globals, and what they held
        self._submodules: dict[str, list[str]] = {}
        self._needs: dict[str, list[str]] = {}  # module: what it imports when it is imported
        self._importing: list[list[str]] = []
        self.loaded: Callable[[str, Any], None] = lambda name, module: None  # told of each module that was executed
        names = dict(vars(builtins))
        names.update(__import__=self._import, open=opener, print=printer)
        self._builtins = names

    def restart(self) -> None:
        """As after a reset: nothing is imported, and what modules keep is as when they were imported first."""
        self.modules.clear()
        for container, content in self._first:
            if isinstance(container, (list, bytearray)):
                container[:] = content
            else:
                container.clear()
                container.update(content)
        for name, children in self._submodules.items():
            module = self._known[name]
            for child in children:
                module.__dict__.pop(child, None)

    def run(self, path: Path, overlay_name: str) -> None:
        """Execute a file as the board does boot.py and main.py."""
        exec(_code(overlay_name, path, self._overlay), {"__builtins__": self._builtins, "__name__": "__main__"})

    def module(self, name: str) -> Any:
        """A module of the device's, imported."""
        self._import(name)
        return self.modules[name]

    def _import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Iterable[str] | None = (), level: int = 0
    ) -> Any:
        modules = self.modules
        module = modules.get(name)
        if module is None or self._importing:
            module = self._load(name)
        if not fromlist:
            return modules[name.partition(".")[0]]
        if hasattr(module, "__path__"):
            for each in fromlist:
                submodule = f"{name}.{each}"
                if each != "*" and (not hasattr(module, each) or submodule in self.modules):
                    self._load(submodule)
        return module

    def _load(self, name: str) -> Any:
        modules = self.modules
        if self._importing:
            self._importing[-1].append(name)
        elif name in self._known:
            return self._again(name)
        if name in modules:
            return modules[name]
        if name in self._provided:
            modules[name] = self._provided[name]
            return modules[name]
        if name in _ALIKE:
            modules[name] = importlib.import_module(name)
            return modules[name]
        parent, _, child = name.rpartition(".")
        package = self._load(parent) if parent else None
        module = self._known.get(name)
        if module is None:
            module = self._execute(name)
        else:
            modules[name] = module
            for needed in self._needs[name]:
                if needed not in modules:
                    self._load(needed)
        if package is not None:
            setattr(package, child, module)
            children = self._submodules.setdefault(parent, [])
            if child not in children:
                children.append(child)
        return module

    def _again(self, name: str) -> Any:
        """A module that was executed before, and what it needed then."""
        modules, known = self.modules, self._known
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each in modules:
                continue
            if each not in known:
                self._load(each)
                continue
            modules[each] = known[each]
            parent, _, child = each.rpartition(".")
            if parent:
                if parent not in modules:
                    waiting.append(parent)
                setattr(known[parent], child, known[each])
            waiting += self._needs[each]
        return modules[name]

    def _execute(self, name: str) -> ModuleType:
        path = find(name)
        if path is None:
            raise ImportError(f"no module named '{name}'")
        module = ModuleType(name)
        if path.name == "__init__.py" or path.is_dir():
            module.__path__ = []
        module.__dict__["__builtins__"] = self._builtins
        self.modules[name] = module
        needs: list[str] = []
        self._importing.append(needs)
        try:
            if path.is_file():
                exec(_code(name, path, self._overlay), module.__dict__)
        except BaseException:
            del self.modules[name]
            raise
        finally:
            self._importing.pop()
        self._needs[name] = list(dict.fromkeys(needs))
        self._known[name] = module
        self.loaded(name, module)
        for key, value in module.__dict__.items():
            if not key.startswith("__") and isinstance(value, (dict, list, set, bytearray)):
                self._first.append((value, value.copy()))
        return module
