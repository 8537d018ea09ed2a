"""The drivers that a config may name: those in the folder `drivers` beside it first, then the project's own.

A driver is loaded here to be asked for its channels, its bus and its options; it runs on a board, and nowhere else.
"""

import ast
import contextlib
import importlib
import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tagonode import device, places

_BUSES = ("i2c", "onewire", "pin", "pins", "uart", "adc", "wifi")
_NAME = re.compile("[a-z][a-z0-9_]*")

# Milliseconds from start() to read(), of the project's drivers that have any: lib/drivers/README.md
_WAIT_MS = {
    "ads1115": 5,
    "aht10": 85,
    "aht20": 85,
    "bh1750": 182,
    "bme280": 13,
    "bmp280": 13,
    "dht11": 1000,
    "dht22": 2000,
    "ds18b20": 760,
    "hx711": 450,
    "ina219": 20,
    "pms5003": 2500,
    "scd4x": 5500,
    "sht3x": 17,
    "sht4x": 10,
}


class Driver:
    """What a config has to know of a driver."""

    def __init__(self, name: str, made_by: Any, is_own: bool = False):
        self.name = name
        self.is_own = is_own  # from the folder of the config
        self._class = made_by
        parameters = list(inspect.signature(made_by).parameters.values())[1:]
        self.options = [each.name for each in parameters if each.name != "address"]
        self._kinds = {each.name: each.annotation for each in parameters}
        # what it takes when it is given none; None for one that has no address, or finds its chip
        self.address = next((each.default for each in parameters if each.name == "address"), None)

    @property
    def counts(self) -> bool:
        """Whether it counts what happens between two readings."""
        return bool(getattr(self._class, "COUNTS", False))

    @property
    def bus(self) -> str:
        """The kind of bus that it needs: i2c, onewire, pin, pins, uart, adc or wifi."""
        return self._class.BUS

    def wait_ms(self, options: dict[str, Any]) -> int:
        """How long a reading takes; 0 when that is not known, as of a config's own driver."""
        if self.is_own:
            return 0
        if self.name == "ds18b20":
            return (750 >> 12 - options.get("resolution", 12)) + 10
        return _WAIT_MS.get(self.name, 0)

    def channels(self, options: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """CHANNELS with these options: (variable, unit) each. Raises ValueError for what it does not take."""
        for name, value in options.items():
            wanted = _other_kind(self._kinds.get(name), value)
            if wanted:
                raise ValueError(f"{self.name}: option {name} has to be {wanted}, and is {value!r}")
        try:
            return tuple(self._class(None, **options).CHANNELS)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{self.name}: its options will not do: {error}") from None


def _other_kind(kind: Any, value: Any) -> str | None:
    """What an option of this annotation has to be, when `value` is something else."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    wanted = {
        bool: (isinstance(value, bool), "true or false"),
        int: (number and isinstance(value, int), "a whole number"),
        float: (number, "a number"),
        str: (isinstance(value, str), "a text"),
    }
    fits, words = wanted.get(kind, (True, ""))
    return None if fits else words


class Drivers:
    """Drivers by name. project: the folder of the config, whose folder `drivers` comes first."""

    def __init__(self, project: Path | None = None):
        self._folder = project / "drivers" if project is not None else None
        self._found: dict[str, Driver] = {}

    def own(self) -> dict[str, Path]:
        """{module: file} of the config's folder, what its drivers share included; not its tests."""
        files = sorted(self._folder.glob("*.py")) if self._folder else []
        return {file.stem: file for file in files if file.stem != "__init__" and not file.stem.startswith("test_")}

    def names(self) -> list[str]:
        """All there are."""
        own = places.drivers(self._folder) if self._folder else []
        return sorted({*places.drivers(), *(name for name in own if name in self.own())})

    def find(self, name: str) -> Driver:
        """One of them. Raises KeyError when there is no file of its name, ValueError when that cannot be used."""
        if name not in self._found:
            own = self.own()
            if name in own:
                self._found[name] = _checked(name, self._load(own[name]))
            elif name in places.drivers():
                self._found[name] = Driver(name, device.load("drivers").driver_class(name))
            else:
                raise KeyError(name)
        return self._found[name]

    def _load(self, file: Path) -> Any:
        shown = f"drivers/{file.name}"
        if not _NAME.fullmatch(file.stem):
            raise ValueError(f"{shown} has a name that will not do: small letters, digits and _, a letter first")
        try:
            _check_imports(shown, ast.parse(file.read_bytes()))
            with self._in_front():
                return device.load("drivers").driver_class(file.stem)
        except ImportError as error:
            if error.name is None:  # there is no class of its name
                wanted = "".join(part.capitalize() for part in file.stem.split("_"))
                raise ValueError(f"{shown} has no class called {file.stem.upper()} or {wanted}") from None
            if error.name.startswith("drivers"):
                raise ValueError(f"{shown}: {error.msg}") from None
            raise ValueError(
                f"{shown} imports {error.name}, which only boards have: import it inside the function that uses it"
            ) from None
        except SyntaxError as error:
            raise ValueError(f"{shown}, line {error.lineno}: {error.msg}") from None
        except OSError as error:
            raise ValueError(f"{shown} cannot be read: {error.strerror}") from None
        except Exception as error:  # noqa: BLE001 - anything may go wrong in it, and is its author's to know
            raise ValueError(f"{shown} cannot be loaded: {type(error).__name__}: {error}") from None

    @contextlib.contextmanager
    def _in_front(self) -> Iterator[None]:
        """Have `drivers.<name>` found in the config's folder first, and forgotten afterwards."""
        package = device.load("drivers")
        names = [f"drivers.{name}" for name in self.own()]
        before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        package.__path__.insert(0, str(self._folder))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            del package.__path__[0]
            sys.dont_write_bytecode = writes
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(before)

    def chip(self, name: str) -> Callable | None:
        """The simulated chip for one of the config's own drivers: the class of its name in drivers/chips/<name>.py.
        None when there is no such file. Raises ValueError when it cannot be used."""
        file = self._folder / "chips" / f"{name}.py" if self._folder else None
        if file is None or not file.is_file():
            return None
        spec = importlib.util.spec_from_file_location(f"chips_of_a_config.{name}", file)
        assert spec is not None and spec.loader is not None  # it has a file
        module = importlib.util.module_from_spec(spec)
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # noqa: BLE001 - as above
            raise ValueError(f"drivers/chips/{name}.py cannot be loaded: {type(error).__name__}: {error}") from None
        finally:
            sys.dont_write_bytecode = writes
        wanted = name.replace("_", "")
        found = next((each for key, each in vars(module).items() if key.lower() == wanted), None)
        if found is None:
            raise ValueError(f"drivers/chips/{name}.py has no class called {name.upper()}")
        return found


def _check_imports(shown: str, tree: ast.Module) -> None:
    """Raises ValueError for modules that no board has: they would be missed there, and not here."""
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{shown}, line {node.lineno}: write `from drivers.… import …`, with the whole name")
            modules = [node.module or ""]
        for module in modules:
            top = module.partition(".")[0]
            if top != "drivers" and top not in places.MICROPYTHON:
                raise ValueError(f"{shown}, line {getattr(node, 'lineno', 0)}: imports {module}, which no board has")


def _checked(name: str, made_by: Any) -> Driver:
    """Raises ValueError for a class that is not what the agent expects of a driver."""
    shown = f"drivers/{name}.py"
    if not all(hasattr(made_by, attribute) for attribute in ("BUS", "CHANNELS", "start", "read")):
        raise ValueError(f"{shown}: make its class a subclass of drivers.Sensor")
    if made_by.BUS not in _BUSES:
        raise ValueError(f"{shown}: BUS is {made_by.BUS!r}: choose one of {', '.join(_BUSES)}")
    rows = made_by.CHANNELS
    fits = isinstance(rows, tuple) and all(
        isinstance(row, tuple) and len(row) == 2 and all(isinstance(text, str) for text in row) for row in rows
    )
    if not rows or not fits:
        raise ValueError(f'{shown}: CHANNELS has to be like (("temperature", "°C"),): a name and a unit for each value')
    return Driver(name, made_by, is_own=True)


BUILT_IN = Drivers()
