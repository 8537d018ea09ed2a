"""tagonode new: what it writes passes check and runs; what it asks; what it leaves alone."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shlex
import stat
import sys
import termios
import time
import tomllib
from pathlib import Path
from subprocess import DEVNULL, Popen

import jsonschema

import pytest
from harness import commands
from tagonode import config, model, new, places, schema
from tagonode.device import settings as device_settings
from tagonode.drivers import BUILT_IN

TAGONODE = Path(sys.executable).parent / "tagonode"
BOARDS = [name for name in places.boards() if name != "virtual"]


def run(*arguments: object, **options) -> tuple[int, str]:
    done = commands.run(TAGONODE, *arguments, timeout=60, stdin=DEVNULL, **options)
    return done.returncode, done.stdout + done.stderr


def write(folder: Path, yes: bool = True, **given) -> Path:
    """A folder's node.toml, made in this process."""
    assert new.new(folder, new.Answers(**given), yes) == 0
    return folder / "node.toml"


# ---- what it writes


def test_defaults_need_no_terminal(tmp_path):
    folder = tmp_path / "deep" / "greenhouse"
    status, said = run("new", folder, "--yes")
    assert status == 0, said
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore",
        "node.schema.json",
        "node.toml",
        "secrets.toml",
    ]
    assert (folder / ".gitignore").read_text() == "secrets.toml\n"
    assert stat.S_IMODE((folder / "secrets.toml").stat().st_mode) == 0o600
    secrets = tomllib.loads((folder / "secrets.toml").read_text())
    assert secrets == {"token": ""}  # an empty password would be that of an open network
    assert config.secret_problems(folder / "node.toml") == []
    status, said = run("check", folder / "node.toml")
    assert status == 0 and "no mistake" in said


def test_it_runs(tmp_path):
    node = write(tmp_path)
    done = commands.run(
        *(TAGONODE, "simulate", node, "--samples", 3, "--sample-every", 0.2, "--upload-every", 0.5, "--json"),
        timeout=120,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, result["conserved"], result["samples"]) == (0, True, 3), done.stderr


@pytest.mark.parametrize("board", BOARDS)
def test_every_sensor_on_every_board(tmp_path, board):
    """Each at a place that the board has, and its config good."""
    for name in BUILT_IN.names():
        checked = config.load(write(tmp_path / name, board=board, sensors=[name]))
        assert (checked.board, checked.drivers) == (board, [name])


@pytest.mark.parametrize("board", BOARDS)
def test_many_sensors_get_places_and_names_of_their_own(tmp_path, board):
    sensors = [
        "bme280",
        "bme280",
        "bmp280" if board != "esp32c3" else "sht4x",
        "sht3x",
        "ds18b20",
        "ds18b20",
        "battery",
    ]
    sensors += ["pulse_counter", "hx711", "pms5003"] if board != "esp32c3" else []
    checked = config.load(write(tmp_path, board=board, sensors=sensors))
    assert [sensor.driver for sensor in checked.model.sensors] == sensors
    variables = [row[0] for sensor in checked.model.sensors for row in sensor.device_channels()]
    assert len(variables) == len(set(variables)) and {"temperature", "temperature_bme280"} <= set(variables)


def test_a_board_without_a_bus_left(tmp_path):
    with pytest.raises(
        new.NewError, match="^pico_w has no bus left for pms5003: leave it out, or choose another board$"
    ):
        write(tmp_path / "node", sensors=["pms5003", "pms5003"])
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize(
    "region, host, port, prefix",
    [
        ("us-e1", "api.us-e1.tago.io", 443, ""),
        ("eu-w1", "api.eu-w1.tago.io", 443, ""),
        ("https://api.mine.tagoio.net", "api.mine.tagoio.net", 443, ""),
        ("tago.example.com:8443/iot/", "tago.example.com", 8443, "/iot"),
        ("https://bench:444", "bench", 444, ""),
    ],
)
def test_servers(tmp_path, region, host, port, prefix):
    tagoio = config.load(write(tmp_path, region=region)).model.tagoio
    assert (tagoio.host, tagoio.port, tagoio.prefix, tagoio.ssl) == (host, port, prefix, True)


@pytest.mark.parametrize("network", ['a "quoted" \\ name', "Caña 🌱", "tab\there", "#1", "x" * 32])
def test_names_of_networks_come_out_as_they_go_in(tmp_path, network):
    assert config.load(write(tmp_path, wifi=network)).model.wifi.networks == [network]


def test_every_setting_is_in_it_with_its_default(tmp_path):
    """And taking the # away from all of them changes nothing."""
    node = write(tmp_path)
    text = node.read_text()
    before = config.load(node).device_settings("", "", 0)
    lines = text.splitlines()
    settings = [line.removeprefix("# ") for line in lines if re.match(r"# \w+ = ", line)]
    for row in device_settings.TABLE:
        section, name = row[0].split(".")
        header = lines.index(f"[{section}]")
        (line,) = [
            line
            for line in lines[header : (lines + [""]).index("", header)]
            if line.removeprefix("# ").startswith(f"{name} = ")
        ]
        assert model.ABOUT[row[0]] in line
    options = [line for line in settings if line.startswith("options")]
    for line in settings:
        if line not in options:
            text = text.replace(f"# {line}", line)
    node.write_text(text)
    assert config.load(node).device_settings("", "", 0) == before
    assert len(settings) - len(options) >= len(device_settings.TABLE) - 8


def test_what_it_shows_in_remarks_is_good(tmp_path):
    """The lines of the examples, too, once they are no remarks."""
    node = write(tmp_path)
    text = node.read_text()
    example = [
        line[4:] for line in text.splitlines() if line.startswith("#   ") and line[4] in "[abcdefghijklmnopqrstuv"
    ]
    derived = example.index("[[derived]]")
    channel, derived_lines = example[:derived], example[derived:]
    lines = text.split("\n")
    at = lines.index('driver = "battery"' + " " * 14 + "# battery V") - 1
    lines[at:at] = channel
    derived_lines.append('of = ["greenhouse", "humidity"]')
    node.write_text("\n".join([*lines, *derived_lines]) + "\n")
    rows = config.load(node).device_settings("", "", 0)
    assert rows["sensors"][0]["channels"][0][:3] == ["greenhouse", "°C", 1]
    assert set(rows["sensors"][0]["channels"][0][3]) == {"offset", "minimum", "maximum", "alarm", "filters"}
    assert rows["derived"][0]["kind"] == "dew_point"


def test_editors_find_the_schema(tmp_path):
    node = write(tmp_path)
    first = node.read_text().splitlines()[0]
    assert first == "#:schema ./node.schema.json"
    written = json.loads((tmp_path / first.removeprefix("#:schema ")).read_text(encoding="utf-8"))
    assert written == schema.schema()
    jsonschema.Draft202012Validator(written).validate(tomllib.loads(node.read_text()))


# ---- what it leaves alone


def test_it_never_overwrites(tmp_path):
    node = write(tmp_path)
    for path in tmp_path.iterdir():
        path.write_text(f"my own {path.name}\n")
    node.unlink()
    write(tmp_path)
    assert (tmp_path / "secrets.toml").read_text() == "my own secrets.toml\n"
    assert (tmp_path / "node.schema.json").read_text() == "my own node.schema.json\n"
    assert (tmp_path / ".gitignore").read_text() == "my own .gitignore\nsecrets.toml\n"
    node.write_text("my own\n")
    status, said = run("new", tmp_path, "--yes")
    assert (status, said) == (1, f"{node} is there already: name another folder, or edit that file\n")
    assert node.read_text() == "my own\n"
    node.unlink()
    (tmp_path / ".gitignore").write_text("build\n/secrets.toml")
    write(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "build\n/secrets.toml"


def test_a_folder_with_drivers_of_its_own(tmp_path):
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers" / "mine.py").write_text(
        'from drivers import Sensor\n\nclass Mine(Sensor):\n    CHANNELS = (("ph", ""),)\n\n'
        "    def __init__(self, bus, address=0x10):\n        pass\n"
    )
    checked = config.load(write(tmp_path, sensors=["mine"]))
    assert [row[0] for row in checked.model.sensors[0].device_channels()] == ["ph"]


REFUSED = {
    "no terminal": ((), "there is no terminal to ask on: add --yes to take the defaults"),
    "board": (("--yes", "--board", "pico"), "there is no board 'pico'; did you mean 'pico_w'?"),
    "region": (
        ("--yes", "--region", "eu"),
        "there is no region 'eu'; there are eu-w1, us-e1; or give https://HOST",
    ),
    "no TLS": (("--yes", "--region", "http://bench"), "a node sends over verified TLS: give https://HOST"),
    "sensor": (("--yes", "--sensor", "bme208"), "there is no driver 'bme208'; did you mean 'bme280'?"),
    "network": (("--yes", "--wifi", "é" * 17), "a Wi-Fi network's name has 1 to 32 bytes"),
    "too much": (
        ("--yes", *("--sensor", "pms5003") * 3),
        "pico_w has no bus left for pms5003: leave it out, or choose another board",
    ),
}


@pytest.mark.parametrize("arguments, expected", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(tmp_path, arguments, expected):
    folder = tmp_path / "node"
    assert run("new", folder, *arguments) == (2, expected + "\n")
    assert not folder.exists()


@pytest.mark.parametrize(
    "name, named",
    [("gh", "has 2 characters: give 3 to "), ("x" * 101, "has 101 characters: give 3 to "), ("a greenhouse", None)],
    ids=["two letters", "too long", "of two words"],
)
def test_what_comes_next_can_be_pasted(tmp_path, name, named):
    """Each path in quotes where it needs them; and a --name where the folder's will not do."""
    status, said = run("new", tmp_path / name, "--yes")
    assert status == 0
    assert (f"at TagoIO, {named}" in said and "give tagonode provision a --name" in said) == bool(named)
    commands_said = said.rpartition("Next: ")[2].replace(", and", "\n").replace(" to see it run", "\n").splitlines()
    for line, word in zip(commands_said, ("check", "simulate"), strict=False):
        assert shlex.split(line) == ["tagonode", word, str(tmp_path / name / "node.toml")]


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    status, said = run("new", tmp_path / "file", "--yes")
    assert status == 1 and said.endswith(": name a folder that can be written to\n") and len(said.splitlines()) == 1


# ---- what it asks


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # which sends it Ctrl-C


class Person:
    """Someone at a terminal, who answers each question once it stands there."""

    def __init__(self, *command: object):
        self._fd, terminal = pty.openpty()
        self._process = Popen(
            [*map(str, command)], stdin=terminal, stdout=terminal, stderr=terminal, preexec_fn=_own_terminal
        )
        os.close(terminal)
        self.screen = ""
        self._answered = 0  # how much of the screen was there when the last answer was given

    def wait_for(self, question: str) -> None:
        """Until it stands at the end of the screen."""
        deadline = time.monotonic() + 60
        while not self.screen[self._answered :].rstrip().endswith(question):
            if not select.select([self._fd], [], [], deadline - time.monotonic())[0]:
                self._process.kill()
                raise AssertionError(f"no question {question!r} after {self.screen!r}")
            self.screen += os.read(self._fd, 4096).decode()

    def answer(self, question: str, text: str) -> None:
        """Type it once the question is there."""
        self.wait_for(question)
        self._answered = len(self.screen)
        os.write(self._fd, text.encode() + b"\n")

    def press(self, control: bytes) -> None:
        os.write(self._fd, control)

    def leave(self) -> int:
        """All that comes yet, and the exit status."""
        with contextlib.suppress(OSError):  # its other end is closed
            while data := os.read(self._fd, 4096):
                self.screen += data.decode()
        os.close(self._fd)
        commands.show(self.screen)
        return self._process.wait(30)


def test_questions_and_answers(tmp_path):
    folder = tmp_path / "node"
    person = Person(TAGONODE, "new", folder)
    board = "Board (esp32, esp32c3, esp32s3, pico2_w, pico_w) [pico_w]:"
    person.answer(board, "pico")
    person.answer(board, "pico2_w")
    assert "there is no board 'pico'; did you mean 'pico_w'?" in person.screen
    region = "TagoIO region (eu-w1, us-e1), or https://HOST [us-e1]:"
    person.answer(region, "mars")
    person.answer(region, "eu-w1")
    person.answer("Wi-Fi network's name:", "field")
    sensors = "Sensors, with commas between [bme280, battery, rssi]:"
    person.answer(sensors, "bme280, sth4x")
    person.answer(sensors, "bme280, bme280 ds18b20,rssi")
    assert "there is no driver 'sth4x'; did you mean 'sht4x'?" in person.screen
    assert "scd4x" in person.screen and "co2 ppm" in person.screen
    person.answer("Bus or pin of the bme280 [i2c0]:", "")
    person.answer("Bus or pin of the bme280 number 2 [i2c0]:", "uart1")
    person.answer("Bus or pin of the bme280 number 2 [i2c0]:", "i2c1")
    assert 'bme280 does not work on \'uart1\': use "i2c0" or "i2c1"' in person.screen
    person.answer("Bus or pin of the ds18b20 [onewire:gp22]:", "onewire:gp4")
    person.answer("Bus or pin of the ds18b20 [onewire:gp22]:", "OneWire: GP15")
    assert person.leave() == 0
    assert "'onewire:gp4' is taken: give it another one" in person.screen
    checked = config.load(folder / "node.toml")
    assert (checked.board, checked.model.tagoio.host) == ("pico2_w", "api.eu-w1.tago.io")
    assert [(sensor.driver, sensor.bus, sensor.address) for sensor in checked.model.sensors] == [
        ("bme280", "i2c0", 0x76),
        ("bme280", "i2c1", 0x76),
        ("ds18b20", "onewire:gp15", None),
        ("rssi", "wifi", None),
    ]


@pytest.mark.parametrize("control, status", [(b"\x04", 1), (b"\x03", 130)], ids=["Ctrl-D", "Ctrl-C"])
def test_who_leaves_in_the_middle_leaves_nothing(tmp_path, control, status):
    person = Person(TAGONODE, "new", tmp_path / "node")
    person.answer("[pico_w]:", "esp32")
    person.wait_for("[us-e1]:")
    person.press(control)
    assert person.leave() == status
    assert not (tmp_path / "node").exists()
    assert "Traceback" not in person.screen
