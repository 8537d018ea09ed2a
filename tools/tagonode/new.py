"""tagonode new: a folder with a commented node.toml, a place for its secrets, and the schema that editors use."""

import functools
import os
import shlex
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
import typer
from rich.console import Console
from rich.table import Table

from tagonode import config, fleet, places, schema
from tagonode.buses import SHARED, BoardBuses, board_buses
from tagonode.device import regions
from tagonode.device import settings as device_settings
from tagonode.drivers import Driver, Drivers
from tagonode.model import ABOUT, DERIVED_UNITS
from tagonode.problems import or_nearest
from tagonode.rules import ADDRESSES, PLACEHOLDER

SENSORS = ("bme280", "battery", "rssi")
IGNORED = config.SECRETS_FILE
_WIDTH = 32  # where remarks begin


class NewError(Exception):
    """Why nothing was written, with the remedy."""


class WrongUse(NewError):
    """What was asked for cannot be."""


@dataclass
class Answers:
    """What is asked for, as the command line gives it; None for what is to be asked, or takes its default."""

    board: str | None = None
    region: str | None = None
    wifi: str | None = None
    sensors: list[str] | None = None


@dataclass
class Placed:
    """A sensor with what `new` found for it. names: {channel: variable} where that is another one."""

    chip: Driver
    bus: str
    address: int | None = None
    names: dict[str, str] = field(default_factory=dict)


class Wiring:
    """Gives sensors a bus and an address of their own on a board, and their readings names of their own."""

    def __init__(self, board: str):
        self.buses: BoardBuses = board_buses(board)
        self.sensors: list[Placed] = []
        self._used: set[str] = set()  # pins, and buses that have none
        self._variables: set[str] = set()

    def bus_for(self, chip: Driver) -> str | None:
        """A bus that is free for it; None when there is none."""
        if chip.bus in SHARED and chip.bus != "onewire":
            for name in self.buses.fixed:
                if self.resolve(name)[0] == chip.bus and not self._clash(chip, name):
                    return name
            return None
        return self.buses.free(chip.bus, self._used)

    def resolve(self, bus: str) -> tuple[str, tuple[str, ...]]:
        """(kind, pins), raising ValueError with the remedy."""
        return self.buses.resolve(bus)

    def _addresses(self, bus: str) -> set[int | None]:
        return {placed.address for placed in self.sensors if placed.bus == bus}

    def address_on(self, chip: Driver, bus: str) -> int | None:
        """The first of its addresses that is free on a bus; None for a chip without, or when none is free."""
        if chip.bus != "i2c" or chip.address is None:
            return None
        possible = (chip.address, *ADDRESSES.get(chip.name, ()))
        return next((each for each in possible if each not in self._addresses(bus)), None)

    def _clash(self, chip: Driver, bus: str) -> str:
        """Why it cannot be on this bus, "" when it can."""
        kind, pins = self.resolve(bus)
        if kind != chip.bus:
            return f"{chip.name} does not work on {bus!r}: use {self.buses.remedy(chip.bus)}"
        shared = kind in SHARED and any(placed.bus == bus for placed in self.sensors)
        if not shared and self._used & {*pins, bus}:
            return f"{bus!r} is taken: give it another one"
        if shared and kind == "i2c" and chip.address is not None and self.address_on(chip, bus) is None:
            return f"{bus!r} has no address left for another {chip.name}: give it another bus"
        if shared and kind == "onewire":
            return f"{bus!r} is taken: give it another pin, or both their addresses in the file afterwards"
        return ""

    def place(self, chip: Driver, bus: str) -> None:
        """Put it there. Raises ValueError, with the remedy, when it cannot be there."""
        bus = bus.lower().replace(" ", "")
        wrong = self._clash(chip, bus)
        if wrong:
            raise ValueError(wrong)
        placed = Placed(chip, bus, self.address_on(chip, bus))
        for channel, _ in chip.channels({}):
            name, number = channel, 1
            while name in self._variables:
                number += 1
                name = f"{channel}_{chip.name}" if number == 2 else f"{channel}_{chip.name}_{number}"
            if name != channel:
                placed.names[channel] = name
            self._variables.add(name)
        self._used |= {*self.resolve(bus)[1], bus}
        self.sensors.append(placed)


# ---- asking


def _ask(question: str, default: str | None, check: Callable[[str], Any]) -> Any:
    """Ask until check(answer) raises no ValueError; what it returns."""
    while True:
        answer = typer.prompt(question, default=default, err=True)
        try:
            return check(str(answer).strip())
        except ValueError as error:
            typer.echo(f"  {error}", err=True)


def _board(name: str) -> str:
    if name not in places.boards():
        raise ValueError(f"there is no board {name!r}{or_nearest(name, places.boards())}")
    return name


def _server(text: str) -> tuple[str, int, str]:
    """(host, port, prefix) of a region, an address or a host's name."""
    scheme, host, port, prefix = regions.parse_url(
        text if text in regions.REGIONS or "://" in text else f"https://{text}"
    )
    if scheme != "https":
        raise ValueError("a node sends over verified TLS: give https://HOST")
    if "." not in host and not text.startswith("https://") and text not in regions.REGIONS:
        raise ValueError(f"there is no region {text!r}{or_nearest(text, regions.REGIONS)}; or give https://HOST")
    return host, port, prefix


def _network(name: str) -> str:
    if not 0 < len(name.encode()) <= 32:
        raise ValueError("a Wi-Fi network's name has 1 to 32 bytes")
    return name


def _chips(text: str, drivers: Drivers) -> list[Driver]:
    chips = []
    for name in text.replace(",", " ").split():
        if name not in drivers.names():
            raise ValueError(f"there is no driver {name!r}{or_nearest(name, drivers.names())}")
        chips.append(drivers.find(name))
    if not chips:
        raise ValueError("name at least one")
    return chips


def _offer(drivers: Drivers) -> Table:
    table = Table("sensor", "bus", "readings")
    for name in drivers.names():
        chip = drivers.find(name)
        table.add_row(name, chip.bus, ", ".join(f"{variable} {unit}".strip() for variable, unit in chip.channels({})))
    return table


def _wire(chips: list[Driver], board: str, interactive: bool) -> Wiring:
    wiring = Wiring(board)
    for chip in chips:
        bus = wiring.bus_for(chip)
        if bus is None:
            raise WrongUse(f"{board} has no bus left for {chip.name}: leave it out, or choose another board")
        if interactive and chip.bus != "wifi":
            number = sum(placed.chip is chip for placed in wiring.sensors) + 1
            which = chip.name if number == 1 else f"{chip.name} number {number}"
            _ask(f"Bus or pin of the {which}", bus, functools.partial(wiring.place, chip))
        else:
            wiring.place(chip, bus)
    return wiring


# ---- writing


def _quoted(text: str) -> str:
    return tomlkit.string(text).as_string()


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _line(text: str, remark: str) -> str:
    return f"{text:<{_WIDTH}}# {remark}".rstrip() if remark else text


def _rows(section: str, given: dict[str, Any]) -> list[str]:
    """The settings of a section: those given, the others as remarks with their defaults."""
    lines = []
    for key, kind, default, *_ in device_settings.TABLE:
        of, name = key.split(".")
        if of != section:
            continue
        shown = default / 1000 if kind == device_settings.SECONDS else default
        if name in given:
            lines.append(_line(f"{name} = {_value(given[name])}", ABOUT.get(key, "")))
        else:
            lines.append(_line(f"# {name} = {_value(shown)}", ABOUT.get(key, "")))
    return sorted(lines, key=lambda line: line.startswith("#"))


def _sensor(placed: Placed, buses: BoardBuses) -> list[str]:
    chip = placed.chip
    readings = ", ".join(f"{variable} {unit}".strip() for variable, unit in chip.channels({}))
    kind, pins = buses.resolve(placed.bus)
    wires = {"i2c": ("clock", "data"), "uart": ("TX", "RX"), "pins": ("data", "clock")}.get(kind, ("pin",))
    where = ", ".join(f"{wire} {pin}" for wire, pin in zip(wires, pins, strict=True)) if pins else ""
    lines = ["[[sensors]]", _line(f"driver = {_quoted(chip.name)}", readings)]
    lines.append(_line(f"bus = {_quoted(placed.bus)}", where))
    if placed.address is not None:
        others = [f"{each:#04x}" for each in ADDRESSES.get(chip.name, ()) if each != placed.address]
        lines.append(_line(f"address = {placed.address:#04x}", f"or {', '.join(others)}" if others else ""))
    if chip.options:
        lines.append(f"# options = {{…}}  takes: {', '.join(chip.options)}")
    for channel, name in placed.names.items():
        lines += [f"[sensors.channels.{channel}]", f"variable = {_quoted(name)}"]
    return lines


_CHANNELS = """\
# Any sensor may have an interval of its own, `every = 600`, and any of its readings, below the sensor:
#
#   [sensors.channels.temperature]
#   variable = "greenhouse"     # its name at TagoIO
#   decimals = 1
#   offset = -0.4               # after `scale` or `polynomial`, in this order
#   minimum = -40               # beyond minimum and maximum it is thrown away
#   maximum = 60
#   alarm = {above = 35, below = 2, hysteresis = 1}               # sent at once
#   filters = [{median = 5}, {window = "mean", every = 600}]      # or {average = 3}, {delta = 0.2, heartbeat = 3600}
"""


def node_toml(board: str, server: tuple[str, int, str], network: str, wiring: Wiring) -> str:
    """The text of a node.toml."""
    host, port, prefix = server
    own = {"host": host, **({} if port == 443 else {"port": port}), **({"prefix": prefix} if prefix else {})}
    others = ", ".join(name for name in places.boards() if name not in (board, "virtual"))
    lines = [
        f"#:schema ./{schema.FILE.name}",
        "# The settings of a sensor node. After each change: tagonode check node.toml",
        f"# Token and Wi-Fi password belong into {config.SECRETS_FILE}, never in here.",
        "",
        _line(f"board = {_quoted(board)}", f"or {others}"),
        "",
        "[wifi]",
        _line(f"networks = [{_quoted(network)}]", "the preferred one first; boards join 2.4 GHz networks only"),
        *_rows("wifi", {}),
        "",
        "[sample]",
        *_rows("sample", {"every": 60}),
        "",
        "[upload]",
        *_rows("upload", {"every": 300}),
        "",
        "[health]",
        *_rows("health", {"every": 3600}),
        "",
        "[tagoio]",
        *_rows("tagoio", own),
        "",
        "",
        "# ---- Sensors. `tagonode scan --port PORT` lists the chips on a board's I2C buses, with these lines.",
        "",
    ]
    for placed in wiring.sensors:
        lines += [*_sensor(placed, wiring.buses), ""]
    lines += _CHANNELS.splitlines()
    lines += [
        "",
        f"# Readings made of others: {', '.join(DERIVED_UNITS)}.",
        "#",
        "#   [[derived]]",
        '#   formula = "dew_point"       # of temperature and humidity; of = ["…", "…"] names others',
        "",
        "",
        "# ---- What seldom needs a change: take the # from a line to change its setting.",
        "",
        "[ntp]",
        '# servers = ["pool.ntp.org", "time.google.com"]',
        "",
    ]
    done = ("wifi", "sample", "upload", "health", "tagoio")
    for section in dict.fromkeys(row[0].split(".")[0] for row in device_settings.TABLE):
        if section not in done:
            lines += [f"[{section}]", *_rows(section, {}), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


_SECRETS = f"""\
# The secrets of this node. Keep this file to yourself: .gitignore names it, so that it stays out of version control.
# The environment variables {config.ENV_TOKEN} and {config.ENV_WIFI} come before what stands here.

# The device's token: `tagonode provision node.toml` makes the device and writes it here; or copy it from TagoIO's
# console, Devices, your device, its tokens.
token = ""

# The password of the Wi-Fi networks that node.toml names; "" where they are open.
# wifi_password = "…"

# Networks with a password of their own:
#
#   [wifi_passwords]
#   "name of the network" = "…"
"""


def _create(path: Path, text: str, mode: int = 0o666) -> bool:
    """Write a file that is not there yet. False when it is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return True


def _ignore_secrets(folder: Path) -> str | None:
    """Have .gitignore name secrets.toml; what was done, None when it does already."""
    path = folder / ".gitignore"
    if _create(path, IGNORED + "\n"):
        return "written"
    text = path.read_text(encoding="utf-8")
    if IGNORED in (line.strip().lstrip("/") for line in text.splitlines()):
        return None
    with open(path, "a", encoding="utf-8") as file:
        file.write(("" if text.endswith("\n") or not text else "\n") + IGNORED + "\n")
    return f"{IGNORED} added"


def new(folder: Path, answers: Answers, yes: bool) -> int:
    """Ask for what `answers` leaves open, unless `yes`, and write the folder's files. Returns 0.

    Raises NewError, after which nothing is written.
    """
    node = folder / "node.toml"
    if node.exists():
        raise NewError(f"{node} is there already: name another folder, or edit that file")
    if not yes and not sys.stdin.isatty():
        raise WrongUse("there is no terminal to ask on: add --yes to take the defaults")
    console = Console(stderr=True)
    drivers = Drivers(folder)

    def answer(given: str | None, question: str, default: str | None, check: Callable[[str], Any]) -> Any:
        if given is None and not yes:
            return _ask(question, default, check)
        try:
            return check(given if given is not None else default or PLACEHOLDER)
        except ValueError as error:
            raise WrongUse(str(error)) from None

    real = [name for name in places.boards() if name != "virtual"]
    board = answer(answers.board, f"Board ({', '.join(real)})", "pico_w", _board)
    named = f"TagoIO region ({', '.join(sorted(regions.REGIONS))}), or https://HOST"
    server = answer(answers.region, named, "us-e1", _server)
    network = answer(answers.wifi, "Wi-Fi network's name", None, _network)
    if answers.sensors is None and not yes:
        console.print(_offer(drivers))
    sensors = None if answers.sensors is None else " ".join(answers.sensors)
    chips = answer(sensors, "Sensors, with commas between", ", ".join(SENSORS), lambda text: _chips(text, drivers))
    try:
        wiring = _wire(chips, board, interactive=not yes and answers.sensors is None)
    except ValueError as error:
        raise WrongUse(str(error)) from None
    text = node_toml(board, server, network, wiring)
    config.check(tomllib.loads(text), str(node), drivers)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignored = _ignore_secrets(folder)
        has_secrets = not _create(folder / config.SECRETS_FILE, _SECRETS, 0o600)
        _create(folder / schema.FILE.name, schema.text())
        if not _create(node, text):
            raise NewError(f"{node} is there already: name another folder, or edit that file")
    except OSError as error:
        raise NewError(f"{error.filename}: {error.strerror}: name a folder that can be written to") from None
    _say(console, node, ignored, has_secrets)
    return 0


def _say(console: Console, node: Path, ignored: str | None, has_secrets: bool) -> None:
    secrets = node.parent / config.SECRETS_FILE
    kept = "is there already, and stays as it is" if has_secrets else "token and Wi-Fi password go in here"
    console.print(f"{node}: what you edit", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{secrets}: {kept}", markup=False, highlight=False, soft_wrap=True)
    if ignored and ignored != "written":
        console.print(f"{node.parent / '.gitignore'}: {ignored}", markup=False, highlight=False, soft_wrap=True)
    wrong = fleet.wrong_name(node.resolve().parent.name)
    if wrong:
        named = f"The folder's name, which would be the device's at TagoIO, {wrong}: give tagonode provision a --name"
        console.print(named, markup=False, highlight=False, soft_wrap=True)
    shown = shlex.quote(str(node))
    console.print(
        f"Next: tagonode check {shown}, and tagonode simulate {shown} to see it run on this PC",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
