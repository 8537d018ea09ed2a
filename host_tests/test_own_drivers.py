"""A user's own drivers: the guide's template works as printed, and what is wrong with one is said with its remedy."""

import json
import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from harness import commands
from harness.places import HOST_TESTS, REPOSITORY
from tagonode import build, config, places
from tagonode.drivers import Drivers

GUIDE = places.DRIVERS / "WRITING.md"
TAGONODE = Path(sys.executable).parent / "tagonode"
NODE = """
board = "pico_w"
[wifi]
networks = ["field"]
[[sensors]]
driver = "mine"
bus = "i2c0"
"""
GOOD = """
from drivers import Sensor

class Mine(Sensor):
    CHANNELS = (("temperature", "°C"), ("ph", ""))

    def __init__(self, bus, address=0x10, gain=1):
        self._bus = bus
        self._address = address

    def _read(self):
        raw = self._bus.readfrom(self._address, 2)
        return raw[0], raw[1]
"""
CHIP = """
class Mine:
    def __init__(self, environment, clock, address=0x10):
        self.address = address

    def power_on(self):
        pass

    def write(self, data):
        pass

    def read(self, length):
        return bytes((21, 7))[:length]
"""
FAST = ("--samples", 3, "--sample-every", "0.1", "--upload-every", "0.3", "--json")


def project(folder: Path, **files: str) -> Path:
    """A config with these drivers beside it ("chips/mine" is a name as well): node.toml's path."""
    (folder / "node.toml").write_text(NODE)
    (folder / "drivers" / "chips").mkdir(parents=True)
    for name, text in files.items():
        (folder / "drivers" / f"{name}.py").write_text(text)
    return folder / "node.toml"


def simulate(node: Path) -> tuple[int, dict, str]:
    done = commands.run(TAGONODE, "simulate", node, *FAST, timeout=120)
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stdout + done.stderr


# ---- the guide


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """The guide's files, as it tells to lay them out."""
    folder = tmp_path_factory.mktemp("my_node")
    files = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == [
        "node.toml",
        "drivers/tmp117.py",
        "drivers/chips/tmp117.py",
        "drivers/test_tmp117.py",
    ]
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_guides_test_passes_on_both_runtimes(template, tmp_path):
    """As `make test-drivers NODE=…` runs it."""
    recipe = re.search(r"^test-drivers:.*?\n((?:\t.*\n)+)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert recipe, "the Makefile has no test-drivers"
    words = recipe[1].replace("$(BIN)/python", sys.executable).replace("$(NODE)", str(template)).replace("$(ARGS)", "")
    environment, _, command = words.strip().removeprefix("@").partition(" ")
    assert environment == "PYTHONPATH=host_tests"
    report = tmp_path / "report.xml"
    ran = commands.run(
        *(*command.split(), "--junitxml", report),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(HOST_TESTS), "PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": ""},
        timeout=300,
    )
    assert ran.returncode == 0
    names = [case.get("name") or "" for case in ET.parse(report).iter("testcase")]
    assert sum("[cpython" in name for name in names) == sum("[micropython" in name for name in names) > 20
    assert sorted(path.name for path in template.iterdir()) == ["drivers", "node.toml"]  # nothing is left behind


def test_the_guides_driver_runs_by_name(template):
    status, result, said = simulate(template / "node.toml")
    assert (status, result["acknowledged"], result["last_error"]) == (0, 3, None), said
    assert sorted(path.name for path in (template / "drivers").iterdir()) == ["chips", "test_tmp117.py", "tmp117.py"]


def test_the_guides_code_is_as_tidy_as_the_projects(template):
    ruff = commands.run(
        *(sys.executable, "-m", "ruff", "check", "--config", REPOSITORY / "pyproject.toml", "--ignore", "I001"),
        *("--no-cache", template),
    )
    assert ruff.returncode == 0, ruff.stdout
    options = ("--config", REPOSITORY / "pyproject.toml", "--no-cache", "--check")
    assert commands.run(sys.executable, "-m", "ruff", "format", *options, template).returncode == 0


def test_a_readme_names_the_guide():
    assert "WRITING.md" in (places.DRIVERS / "README.md").read_text()
    assert len(GUIDE.read_text().splitlines()) < 260


# ---- a folder drivers/ beside node.toml


def test_a_driver_with_its_simulated_chip(tmp_path):
    status, result, said = simulate(project(tmp_path, **{"mine": GOOD, "chips/mine": CHIP}))
    assert (status, result["acknowledged"], result["last_error"]) == (0, 6, None), said


def test_without_a_simulated_chip_nothing_answers_and_the_node_says_so(tmp_path):
    node = project(tmp_path, mine=GOOD)
    done = commands.run(
        TAGONODE, "simulate", node, "--for", 1, "--sample-every", "0.1", "--drain", 0, "--json", timeout=60
    )
    status, result, said = done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr
    assert (status, result["acknowledged"], result["delivered"]) == (1, 0, False), said
    assert "mine has no simulated chip (drivers/chips/mine.py): nothing will answer it" in said
    assert "Mine: no answer" in result["last_error"]


def test_it_goes_onto_the_board_with_what_it_imports_and_before_the_projects_own(tmp_path):
    node = project(
        tmp_path,
        mine="from drivers.shared import CHANNELS\n" + GOOD.replace("Sensor):", "Sensor):\n    CHANNELS = CHANNELS\n"),
        shared='CHANNELS = (("x", ""),)\n',
        bme280=GOOD.replace("Mine", "BME280"),
        test_mine="import nothing\n",
    )
    checked = config.load(node)
    own = checked.own_drivers.own()
    modules = build.modules_for(["drivers.mine", "drivers.bme280"], own)
    folder = tmp_path / "drivers"
    assert modules["/lib/drivers/mine"] == folder / "mine.py"
    assert modules["/lib/drivers/shared"] == folder / "shared.py"
    assert modules["/lib/drivers/bme280"] == folder / "bme280.py"
    assert modules["/lib/drivers/__init__"] == places.DRIVERS / "__init__.py"
    assert "/lib/drivers/test_mine" not in modules and "/lib/drivers/bmp280" not in modules
    assert build.modules_for(["drivers.bme280"])["/lib/drivers/bme280"] == places.DRIVERS / "bme280.py"


def test_two_configs_have_drivers_of_their_own(tmp_path):
    """And neither leaves anything to the other, or to the project's."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = config.load(project(tmp_path / "one", mine=GOOD))
    two = config.load(project(tmp_path / "two", mine=GOOD.replace('"temperature"', '"pressure"').replace("°C", "hPa")))
    channels = [[row[:2] for row in each.model.sensors[0].device_channels()] for each in (one, two)]
    assert channels == [[["temperature", "°C"], ["ph", ""]], [["pressure", "hPa"], ["ph", ""]]]
    assert "drivers.mine" not in sys.modules
    with pytest.raises(config.ConfigError, match="there is no driver 'mine'"):
        config.check(NODE_DATA, "elsewhere")


NODE_DATA = {"wifi": {"networks": ["field"]}, "sensors": [{"driver": "mine", "bus": "i2c0"}]}


def test_one_that_takes_the_place_of_the_projects(tmp_path):
    node = project(tmp_path, bh1750=GOOD.replace("Mine", "BH1750"))
    node.write_text(NODE.replace("mine", "bh1750"))
    assert [row[0] for row in config.load(node).model.sensors[0].device_channels()] == ["temperature", "ph"]
    node.write_text(NODE.replace("mine", "bme280"))
    assert [row[0] for row in config.load(node).model.sensors[0].device_channels()][1] == "humidity"


def test_its_options_address_and_bus_are_checked_like_any(tmp_path):
    node = project(
        tmp_path, mine=GOOD, wire=GOOD.replace("Mine", "Wire").replace("CHANNELS", 'BUS = "onewire"; CHANNELS')
    )
    cases = {
        "options = { gian = 2 }": "mine has no option 'gian'; did you mean 'gain'?",
        "address = 0x80": "address 0x80 is none of an I2C chip: give 0x08 to 0x77",
        "[sensors.channels.temp]": "mine has no channel 'temp'; it has temperature, ph",
    }
    for line, expected in cases.items():
        node.write_text(NODE + line + "\n")
        with pytest.raises(config.ConfigError, match=re.escape(expected)):
            config.load(node)
    node.write_text(NODE.replace("mine", "wire"))
    with pytest.raises(config.ConfigError, match="wire does not work on 'i2c0': use \"onewire:gp"):
        config.load(node)


MISTAKES = {
    "no such driver": ({"other": GOOD.replace("Mine", "Other")}, "there is no driver 'mine'; there are"),
    "nearly": ({"nine": GOOD.replace("Mine", "Nine")}, "there is no driver 'mine'; did you mean 'nine'?"),
    "no class": ({"mine": "X = 1\n"}, "drivers/mine.py has no class called MINE or Mine"),
    "syntax": ({"mine": "class Mine:\n  def\n"}, "drivers/mine.py, line 2: "),
    "PC module": (
        {"mine": "import datetime\n" + GOOD},
        "drivers/mine.py, line 1: imports datetime, which no board has",
    ),
    "relative": ({"mine": "from .x import y\n" + GOOD}, "drivers/mine.py, line 1: write `from drivers."),
    "board module": (
        {"mine": "import machine\n" + GOOD},
        "drivers/mine.py imports machine, which only boards have: import it inside the function that uses it",
    ),
    "no such name": ({"mine": "from drivers import Sensr\n" + GOOD}, "drivers/mine.py: cannot import name 'Sensr'"),
    "no such file": ({"mine": "import drivers.absent\n" + GOOD}, "drivers/mine.py: No module named 'drivers.absent'"),
    "fails": ({"mine": "1 / 0\n" + GOOD}, "drivers/mine.py cannot be loaded: ZeroDivisionError: division by zero"),
    "no sensor": ({"mine": "class Mine:\n    pass\n"}, "drivers/mine.py: make its class a subclass of drivers.Sensor"),
    "no channels": ({"mine": GOOD.replace("CHANNELS", "CHANELS")}, 'drivers/mine.py: CHANNELS has to be like (("temp'),
    "flat channels": (
        {"mine": GOOD.replace('(("temperature", "°C"), ("ph", ""))', '("temperature", "°C")')},
        "drivers/mine.py: CHANNELS has to be like",
    ),
    "no bus": ({"mine": GOOD.replace("CHANNELS", 'BUS = "spi"; CHANNELS')}, "BUS is 'spi': choose one of i2c, onewire"),
    "name": ({"Mine": GOOD}, "there is no driver 'mine'"),
}


@pytest.mark.parametrize("files, expected", MISTAKES.values(), ids=MISTAKES)
def test_what_is_wrong_with_a_driver_is_said(tmp_path, files, expected):
    with pytest.raises(config.ConfigError) as raised:
        config.load(project(tmp_path, **files))
    (problem,) = raised.value.problems
    assert problem.startswith(f"{tmp_path / 'node.toml'}:6: sensors[1].driver: ") and expected in problem


@pytest.mark.parametrize(
    "chip, expected",
    [
        ("class Yours:\n    pass\n", "drivers/chips/mine.py has no class called MINE"),
        ("import nothing\n", "drivers/chips/mine.py cannot be loaded: ModuleNotFoundError: No module named 'nothing'"),
    ],
)
def test_what_is_wrong_with_a_simulated_chip_is_said(tmp_path, chip, expected):
    done = commands.run(
        TAGONODE, "simulate", project(tmp_path, **{"mine": GOOD, "chips/mine": chip}), *FAST, timeout=60
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, expected)


def test_nothing_is_written_beside_the_drivers(tmp_path):
    project(tmp_path, **{"mine": GOOD, "chips/mine": CHIP})
    drivers = Drivers(tmp_path)
    assert drivers.find("mine").bus == "i2c" and drivers.chip("mine") is not None
    assert not list(tmp_path.rglob("__pycache__"))
