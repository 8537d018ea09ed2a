"""node.toml: the one file people edit, checked in full before anything starts, and turned into a board's settings.

Keys, kinds, ranges and defaults of the sections are those of the device's own table (firmware/agent/settings.py);
what is nested (sensors, Wi-Fi networks, NTP servers) is described here.
"""

import ast
import contextlib
import difflib
import functools
import inspect
import os
import re
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from tagonode import device, places
from tagonode.device import settings as device_settings
from tagonode.drivers import BUILT_IN, Driver, Drivers

ENV_TOKEN = "TAGONODE_TOKEN"
ENV_WIFI = "TAGONODE_WIFI_PASSWORD"

# What a channel is printed with when the config says nothing: as many decimals as the sensors resolve.
_DECIMALS = {"°C": 2, "%": 2, "hPa": 2, "dBm": 0, "V": 3}


# formula: (unit, decimals)
_DERIVED_UNITS = {
    "dew_point": ("°C", 1),
    "absolute_humidity": ("g/m³", 2),
    "sea_level_pressure": ("hPa", 2),
    "battery_percent": ("%", 0),
}


class ConfigError(Exception):
    """Everything that is wrong with a config: `problems`, one line each, naming the key and the remedy."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Filter(_Section):
    """One step of `filters`: exactly one of median, average, window and delta, with what belongs to it.

    {median = 5}, {average = 5}: over the last so many readings. {window = "mean", every = 600}: one reading at the end
    of each 600 s of the clock (min, max, mean, last or sum). {delta = 0.5, heartbeat = 3600}: only what differs by so
    much from what was reported last, and one an hour all the same.
    """

    median: Annotated[int, Field(ge=2, le=99, strict=True)] | None = None
    average: Annotated[int, Field(ge=2, le=99, strict=True)] | None = None
    window: Literal["min", "max", "mean", "last", "sum"] | None = None
    every: Annotated[float, Field(gt=0, le=604800)] | None = None
    delta: Annotated[float, Field(gt=0)] | None = None
    heartbeat: Annotated[float, Field(gt=0, le=604800)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Filter":
        kinds = [name for name in ("median", "average", "window", "delta") if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError("has to be exactly one of median, average, window, delta")
        for extra, owner in (("every", "window"), ("heartbeat", "delta")):
            if (getattr(self, extra) is not None) != (kinds[0] == owner):
                raise ValueError(f"{owner} needs {extra}, and nothing else has it")
        return self

    def device_row(self) -> list[Any]:
        """[name, …] as firmware/agent/pipeline.py takes it."""
        if self.window is not None and self.every is not None:
            return ["window", self.window, round(self.every * 1000)]
        if self.delta is not None and self.heartbeat is not None:
            return ["delta", self.delta, round(self.heartbeat * 1000)]
        return ["median", self.median] if self.median is not None else ["average", self.average]


class Alarm(_Section):
    """An alarm goes off above or below a limit, is sent at once, and ends `hysteresis` back within it."""

    above: float | None = None
    below: float | None = None
    hysteresis: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_a_limit(self) -> "Alarm":
        if self.above is None and self.below is None:
            raise ValueError("needs above or below")
        if self.above is not None and self.below is not None and self.below >= self.above:
            raise ValueError("below has to be less than above")
        return self


class _Steps(_Section):
    """What readings pass through, in this order: polynomial, scale, offset, minimum and maximum, alarm, filters."""

    decimals: Annotated[int, Field(ge=0, le=6)] | None = None
    polynomial: Annotated[list[float], Field(min_length=1, max_length=8)] | None = None
    scale: float | None = None
    offset: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    alarm: Alarm | None = None
    filters: Annotated[list[Filter], Field(max_length=8)] = []

    @model_validator(mode="after")
    def _range_is_one(self) -> "_Steps":
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError("minimum has to be less than maximum")
        return self

    def device_steps(self) -> list[dict[str, Any]]:
        """[] or [{…}]: the last field of a channel's row."""
        steps: dict[str, Any] = {
            name: value
            for name in ("polynomial", "scale", "offset", "minimum", "maximum")
            if (value := getattr(self, name)) is not None
        }
        if self.alarm is not None:
            steps["alarm"] = [self.alarm.above, self.alarm.below, self.alarm.hysteresis]
        if self.filters:
            steps["filters"] = [each.device_row() for each in self.filters]
        return [steps] if steps else []


class ChannelSettings(_Steps):
    """Overrides for one channel of a sensor: its name at TagoIO, and what its readings pass through."""

    variable: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    unit: Annotated[str, Field(max_length=25)] | None = None


def _formulas() -> dict[str, Callable]:
    return device.load("agent.derived").FORMULAS


class Derived(_Steps):
    """One [[derived]] entry: a reading made of others of the same sample.

    `from` names the variables that the formula takes, in its order, where they are not called as its arguments are.
    """

    formula: str
    variable: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    unit: Annotated[str, Field(max_length=25)] | None = None
    of: Annotated[list[str], Field(min_length=1)] | None = None
    options: dict[str, float] = {}

    @field_validator("formula")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in _formulas():
            raise ValueError(f"there is no formula {name!r}{_nearest(name, list(_formulas()))}")
        return name

    @model_validator(mode="after")
    def _options_fit(self) -> "Derived":
        inputs, options = self.arguments()
        for name in self.options:
            if name not in options:
                raise ValueError(f"{self.formula} has no option {name!r}{_nearest(name, options)}")
        if self.of is not None and len(self.of) != len(inputs):
            raise ValueError(f"{self.formula} is made of {' and '.join(inputs)}: name one variable for each in `of`")
        return self

    def arguments(self) -> tuple[list[str], list[str]]:
        """(names of the readings it takes, names of its options)."""
        parameters = inspect.signature(_formulas()[self.formula]).parameters.values()
        needed = [each.name for each in parameters if each.default is each.empty]
        return needed, [each.name for each in parameters if each.default is not each.empty]

    @property
    def name(self) -> str:
        return self.variable or self.formula

    def device_row(self, variables: list[str]) -> dict[str, Any]:
        """As firmware/agent/pipeline.py takes it; `variables`: those of the sensors, in order."""
        unit, decimals = _DERIVED_UNITS[self.formula]
        shown = unit if self.unit is None else self.unit
        row = [self.name, shown, decimals if self.decimals is None else self.decimals, *self.device_steps()]
        return {
            "kind": self.formula,
            "from": [variables.index(each) for each in self.of or self.arguments()[0]],
            **({"options": self.options} if self.options else {}),
            "channel": row,
        }


class Sensor(_Section):
    """One [[sensors]] entry.

    bus: a fixed bus of the board ("i2c0"), or "<kind>:<pins>" with kind one of pin, onewire, adc and pins, and pins as
    they are printed on the board ("onewire:gp22", "pins:gp20,gp21").
    address: of an I2C chip, or the 16 hexadecimal digits of a 1-Wire chip's ROM code.
    """

    driver: str
    bus: Annotated[str, StringConstraints(min_length=1, to_lower=True)]
    address: Annotated[int, Field(strict=True)] | str | None = None
    every: Annotated[float, Field(ge=0.02, le=86400)] | None = None
    options: dict[str, Any] = {}
    channels: dict[str, ChannelSettings] = {}
    _chip: Driver = PrivateAttr()

    @field_validator("driver")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        drivers = _drivers(info)
        try:
            drivers.find(name)
        except KeyError:
            raise ValueError(f"there is no driver {name!r}{_nearest(name, drivers.names())}") from None
        return name

    @field_validator("bus")
    @classmethod
    def _without_spaces(cls, bus: str) -> str:
        return bus.replace(" ", "")

    @model_validator(mode="after")
    def _takes_its_driver(self, info: ValidationInfo) -> "Sensor":
        self._chip = _drivers(info).find(self.driver)
        return self

    @property
    def chip(self) -> Driver:
        """The driver that `driver` names."""
        return self._chip

    @model_validator(mode="after")
    def _address_fits(self) -> "Sensor":
        if self.address is None:
            return self
        if self.chip.address is None and self.chip.bus != "onewire":
            raise ValueError(f"{self.driver} has no address: leave it out")
        if self.chip.bus == "i2c":
            if not isinstance(self.address, int) or not 0x08 <= self.address <= 0x77:
                raise ValueError(f"address {self.address!r} is none of an I2C chip: give 0x08 to 0x77")
        elif not isinstance(self.address, int) and not re.fullmatch("[0-9a-fA-F]{16}", self.address):
            raise ValueError(f"address {self.address!r} is no ROM code: give its 16 hexadecimal digits")
        return self

    @model_validator(mode="after")
    def _channels_exist(self) -> "Sensor":
        allowed = self.chip.options
        for name in self.options:
            if name not in allowed:
                raise ValueError(f"{self.driver} has no option {name!r}{_nearest(name, allowed)}")
        known = [variable for variable, _ in self.chip.channels(self.options)]
        for name in self.channels:
            if name not in known:
                raise ValueError(f"{self.driver} has no channel {name!r}; it has {', '.join(known)}")
        return self

    def device_channels(self) -> list[list[Any]]:
        """[[variable, unit, decimals]] as the board's settings have them."""
        rows = []
        for variable, unit in self.chip.channels(self.options):
            own = self.channels.get(variable, ChannelSettings())
            shown = unit if own.unit is None else own.unit
            decimals = _DECIMALS.get(unit, 3) if own.decimals is None else own.decimals
            rows.append([own.variable or variable, shown, decimals, *own.device_steps()])
        return rows


class Wifi(_Section):
    """[wifi]: networks by name, in order of preference."""

    networks: Annotated[list[Annotated[str, Field(min_length=1, max_length=32)]], Field(min_length=1)]


class Ntp(_Section):
    """[ntp]: time servers, "name" or "name:port"."""

    servers: Annotated[list[str], Field(min_length=1)] = ["pool.ntp.org", "time.google.com"]


@dataclass(frozen=True)
class BoardBuses:
    """What a board's file says of its buses. Pins are called as they are printed on the board.

    fixed: {"i2c0": ("gp5", "gp4"), …}, those without pins of their own with (). pins: what "pin:" and the like may
    name. adc: what "adc:" may name. shown: `pins` in few words.
    """

    board: str
    fixed: dict[str, tuple[str, ...]]
    pins: tuple[str, ...]
    adc: tuple[str, ...]
    shown: str

    def resolve(self, bus: str) -> tuple[str, tuple[str, ...]]:
        """(kind, pins) of a sensor's `bus`. Raises ValueError, naming the remedy."""
        kind, colon, names = bus.partition(":")
        if not colon:
            if bus in self.pins or bus in self.adc:
                kinds = " or ".join(f'"{kind}:{bus}"' for kind in _PIN_KINDS if kind != "pins")
                raise ValueError(f"{bus!r} is a pin: say how it is used, {kinds}")
            if bus not in self.fixed:
                near = _nearest(bus, list(self.fixed))
                raise ValueError(f"{self.board} has no bus {bus!r}{near}")
            return _fixed_kind(bus), self.fixed[bus]
        if kind not in _PIN_KINDS:
            raise ValueError(f"there is no kind of bus {kind!r}{_nearest(kind, list(_PIN_KINDS))}")
        pins = tuple(names.split(","))
        if len(set(pins)) != _PIN_KINDS[kind]:
            raise ValueError(f"{bus!r}: give {('one pin', 'two pins, joined by a comma')[_PIN_KINDS[kind] - 1]}")
        for pin in pins:
            if kind == "adc" and pin not in self.adc:
                raise ValueError(f"{pin!r} has no ADC that works while Wi-Fi is on: use one of {', '.join(self.adc)}")
            if kind != "adc" and pin not in self.pins:
                raise ValueError(f"{self.board} has no pin {pin!r} that is free for sensors: there are {self.shown}")
        return kind, pins

    def remedy(self, kind: str) -> str:
        """How to name a bus of this kind."""
        named = [f'"{name}"' for name in self.fixed if _fixed_kind(name) == kind]
        if kind in _PIN_KINDS:
            taken = {*self.adc, *(pin for pins in self.fixed.values() for pin in pins)}
            free = self.adc if kind == "adc" else [pin for pin in self.pins if pin not in taken]
            named.append(f'"{kind}:{",".join(free[-_PIN_KINDS[kind] :])}"')
        return " or ".join(named)


_PIN_KINDS = {"pin": 1, "onewire": 1, "adc": 1, "pins": 2}  # how many pins each takes
_SHARED = ("i2c", "onewire", "wifi")


def _fixed_kind(name: str) -> str:
    return {"battery": "adc", "vsys": "adc"}.get(name, name.rstrip("0123456789"))


@functools.cache
def board_buses(board: str) -> BoardBuses:
    """Buses and pins of a board, read from the source of boards/<board>.py: importing that would reach for hardware.

    BUSES is a dict of pins joined by commas, ADC has numbers of pins, _PINS ranges ("gp0-gp22 gp26-gp28").
    """
    found: dict[str, Any] = {}
    for node in ast.parse((places.BOARDS / f"{board}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            called = isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "const"
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value.args[0] if called else node.value)  # type: ignore
    missing = {"BUSES", "ADC", "_PINS"} - set(found)
    if missing:
        raise ConfigError([f"board {board}: boards/{board}.py has no {', '.join(sorted(missing))}"])
    pins = []
    for part in found["_PINS"].split():
        first, _, last = part.partition("-")
        prefix = first.rstrip("0123456789")
        ends = [int(end.removeprefix(prefix)) for end in (first, last or first)]
        pins += [f"{prefix}{number}" for number in range(ends[0], ends[1] + 1)]
    fixed = {name: tuple(filter(None, text.split(","))) for name, text in found["BUSES"].items()}
    return BoardBuses(board, fixed, tuple(pins), tuple(f"{prefix}{number}" for number in found["ADC"]), found["_PINS"])


def _nearest(word: str, words: list[str]) -> str:
    near = difflib.get_close_matches(word, words, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(sorted(words))}" if words else ""


def _drivers(info: ValidationInfo) -> Drivers:
    return info.context["drivers"] if info.context else BUILT_IN


def _field(row: tuple) -> tuple[Any, Any]:
    _, kind, default, low, high = row
    if kind == device_settings.SECONDS:
        # device units are whole milliseconds
        return (Annotated[float, Field(ge=low / 1000, le=high / 1000)], default / 1000)
    if kind == device_settings.INT:
        return (Annotated[int, Field(ge=low, le=high, strict=True)], default)
    if kind == device_settings.TEXT:
        return (Annotated[str, Field(min_length=low, max_length=high)], default)
    if kind == device_settings.CHOICE:
        return (Literal[low], default)
    return (Annotated[bool, Field(strict=True)], default)


def _sections() -> dict[str, Any]:
    fields: dict[str, dict[str, Any]] = {}
    for row in device_settings.TABLE:
        section, name = row[0].split(".")
        fields.setdefault(section, {})[name] = _field(row)
    return {
        section: (
            create_model(f"{section.capitalize()}Section", __base__=_Section, **rows),
            Field(default={}, validate_default=True),
        )
        for section, rows in fields.items()
    }


class _NodeBase(_Section):
    board: str = "pico_w"
    wifi: Wifi
    ntp: Ntp = Ntp()
    sensors: Annotated[list[Sensor], Field(min_length=1)]
    derived: list[Derived] = []

    @field_validator("board")
    @classmethod
    def _known_board(cls, name: str) -> str:
        if name not in places.boards():
            raise ValueError(f"there is no board {name!r}{_nearest(name, places.boards())}")
        return name

    @model_validator(mode="after")
    def _buses_exist(self) -> "_NodeBase":
        buses = board_buses(self.board)
        chips: dict[tuple[str, Any], str] = {}
        pins: dict[str, Sensor] = {}
        for sensor in self.sensors:
            wanted = sensor.chip.bus
            try:
                kind, used = buses.resolve(sensor.bus)
            except ValueError as error:
                raise ValueError(f"{sensor.driver}: {error}") from None
            if kind != wanted:
                raise ValueError(f"{sensor.driver} does not work on {sensor.bus!r}: use {buses.remedy(wanted)}")
            for pin in used or (sensor.bus,):
                other = pins.setdefault(pin, sensor)
                if other is sensor or other.bus == sensor.bus and kind in _SHARED:
                    if other is not sensor and kind == "onewire" and None in (other.address, sensor.address):
                        raise ValueError(f"several sensors are on {sensor.bus}: give each of them its address")
                    continue
                if other.bus == sensor.bus:
                    raise ValueError(f"{other.driver} and {sensor.driver} are both on {sensor.bus}: move one of them")
                raise ValueError(
                    f"{other.driver} on {other.bus} and {sensor.driver} on {sensor.bus} both use {pin}: "
                    "give one of them another pin"
                )
            address = sensor.address or sensor.chip.address
            if address is None:
                continue
            shown = f"{address:#x}" if isinstance(address, int) else address
            if (sensor.bus, address) in chips:
                raise ValueError(
                    f"{chips[sensor.bus, address]} and {sensor.driver} are both at {shown} on {sensor.bus}: "
                    "give one another address, by its address pin, or the other bus"
                )
            chips[sensor.bus, address] = sensor.driver
        return self

    @model_validator(mode="after")
    def _variables_differ(self) -> "_NodeBase":
        seen: dict[str, str] = {}
        for sensor in self.sensors:
            for variable, *_ in sensor.device_channels():
                if variable in seen:
                    raise ValueError(
                        f"{seen[variable]} and {sensor.driver} both give {variable!r}: "
                        f'name one of them by [sensors.channels.{variable}] variable = "…"'
                    )
                seen[variable] = sensor.driver
        for row in self.derived:
            for each in row.of or row.arguments()[0]:
                if each not in seen:
                    raise ValueError(f"derived {row.name}: no sensor gives {each!r}{_nearest(each, list(seen))}")
        for row in self.derived:
            if row.name in seen:
                raise ValueError(f"derived {row.name}: there is a reading of that name: give it another `variable`")
            seen[row.name] = row.formula
        return self


NodeModel = create_model("NodeModel", __base__=_NodeBase, **_sections())


@dataclass
class NodeConfig:
    """A checked node.toml."""

    model: Any
    origin: str
    own_drivers: Drivers = BUILT_IN

    @property
    def board(self) -> str:
        return self.model.board

    @property
    def drivers(self) -> list[str]:
        return sorted({sensor.driver for sensor in self.model.sensors})

    def device_settings(self, token: str, wifi_password: str, built_at: float | None = None) -> dict[str, Any]:
        """The flat dict that the board reads, in device units; secrets go in here and nowhere else."""
        values: dict[str, Any] = {"format": device_settings.FORMAT, "board": self.board}
        for row in device_settings.TABLE:
            section, name = row[0].split(".")
            value = getattr(getattr(self.model, section), name)
            values[row[0]] = round(value * 1000) if row[1] == device_settings.SECONDS else value
        values["tagoio.token"] = token
        values["wifi.networks"] = [[ssid, wifi_password] for ssid in self.model.wifi.networks]
        values["ntp.servers"] = self.model.ntp.servers
        values["build.time"] = int(time.time() if built_at is None else built_at)
        values["sensors"] = [
            {
                "driver": sensor.driver,
                "bus": sensor.bus,
                **({} if sensor.address is None else {"address": sensor.address}),
                **({} if sensor.every is None else {"every": round(sensor.every * 1000)}),
                **({"options": sensor.options} if sensor.options else {}),
                "channels": sensor.device_channels(),
            }
            for sensor in self.model.sensors
        ]
        if self.model.derived:
            variables = [row[0] for sensor in values["sensors"] for row in sensor["channels"]]
            values["derived"] = [row.device_row(variables) for row in self.model.derived]
        return values


_SECRET_KEYS = {"token", "password", "key", "device_token", "wifi_password", "passwords"}


def _remedies(data: Any, error: ValidationError) -> list[str]:
    """One line a mistake: the key as it stands in the file, what is wrong, what to do."""
    lines = []
    for item in error.errors():
        path = [str(part) if not isinstance(part, int) else f"[{part + 1}]" for part in item["loc"]]
        key = ".".join(path).replace(".[", "[") or "sensors"
        context = item.get("ctx", {})
        kind = item["type"]
        if kind == "extra_forbidden":
            if path[-1] in _SECRET_KEYS:
                places_for = f"set {ENV_TOKEN} and {ENV_WIFI}, or write secrets.toml beside it"
                text = f"secrets do not belong in this file: {places_for}"
            else:
                text = "unknown key" + _nearest(path[-1], _keys_at(item["loc"][:-1]))
        elif kind == "missing":
            text = "is missing: add it"
        elif kind == "value_error":
            text = str(context["error"])
        elif kind in ("greater_than_equal", "less_than_equal", "greater_than"):
            bound = context.get("ge", context.get("le", context.get("gt")))
            more = "at least" if "ge" in context or "gt" in context else "at most"
            text = f"{item['input']} is out of range: give {more} {bound:g}"
        elif kind == "string_too_long":
            text = f"has {len(item['input'])} characters: shorten it to {context['max_length']} or fewer"
        elif kind in ("string_too_short", "too_short"):
            text = "is empty: give at least one" if kind == "too_short" else "is empty: fill it in"
        elif kind in ("model_type", "dict_type", "model_attributes_type"):
            text = f"has to be a section: write [{key}]"
        elif kind == "list_type":
            text = f"has to be a list: write [[{key}]]" if key == "sensors" else 'has to be a list: write ["…"]'
        elif kind == "literal_error":
            text = f"{item['input']!r} will not do: choose {context['expected']}"
        else:
            # the input may be a password in the wrong place: only numbers are repeated
            given = f": change {item['input']!r}" if isinstance(item["input"], (int, float)) else ""
            text = f"{item['msg'][0].lower()}{item['msg'][1:]}{given}"
        lines.append(f"{key}: {text}")
    return lines


def _keys_at(location: tuple) -> list[str]:
    """Keys that are allowed at a place in the config."""
    model: Any = NodeModel
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            return list(ChannelSettings.model_fields) if "channels" in location else []
        inner = field.annotation
        while getattr(inner, "__args__", None):
            inner = inner.__args__[-1]
        model = inner
    return list(getattr(model, "model_fields", {}))


def check(data: dict[str, Any], origin: str, drivers: Drivers = BUILT_IN) -> NodeConfig:
    """Check a config's data. Raises ConfigError with every mistake."""
    try:
        return NodeConfig(NodeModel.model_validate(data, context={"drivers": drivers}), origin, drivers)
    except ValidationError as error:
        raise ConfigError([f"{origin}: {line}" for line in _remedies(data, error)]) from None


def load(path: Path | None, overrides: dict[str, Any] | None = None) -> NodeConfig:
    """Read and check a node.toml (the default one for None). `overrides`: {"section.key": value}, as options give them.

    Raises ConfigError.
    """
    origin = str(path) if path is not None else "default config"
    file = path if path is not None else places.DEFAULT_CONFIG
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"{origin}: no such file: name a node.toml, or leave it out for the default node"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{origin}: cannot be read: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{origin}: not valid TOML: {error}"]) from None
    except RecursionError:
        raise ConfigError([f"{origin}: not valid TOML: nested too deeply"]) from None
    for key, value in (overrides or {}).items():
        *sections, name = key.split(".")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError([f"{origin}: {section}: has to be a section: write [{section}]"])
        place[name] = value
    return check(data, origin, Drivers(path.parent) if path is not None else BUILT_IN)


def secret(name: str, config_path: Path | None) -> str | None:
    """A secret from the environment (`name`), else from secrets.toml beside the config; None when it is in neither."""
    if os.environ.get(name):
        return os.environ[name]
    file = (config_path.parent if config_path else Path.cwd()) / "secrets.toml"
    if file.is_file():
        value = tomllib.loads(file.read_text(encoding="utf-8")).get(name.removeprefix("TAGONODE_").lower())
        return None if value is None else str(value)
    return None
