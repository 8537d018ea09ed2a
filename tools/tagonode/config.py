"""node.toml: the one file people edit, checked in full before anything starts, and turned into a board's settings.

What it may hold is in model.py; what goes wrong between its values in rules.py. Here every mistake of a file is found
at once: what a message says to do is done in a copy, and the copy is checked again.
"""

import copy
import difflib
import os
import re
import stat
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tagonode import estimate, places, rules
from tagonode.buses import board_buses
from tagonode.device import settings as device_settings
from tagonode.drivers import BUILT_IN, Drivers
from tagonode.locate import Location, line_of, lines_of
from tagonode.model import NodeModel, formulas
from tagonode.problems import ConfigError, Problem, nearest, or_nearest, shown

__all__ = ["ConfigError", "NodeConfig", "board_buses", "check", "flash_of", "load", "secret"]

ENV_TOKEN = "TAGONODE_TOKEN"
ENV_WIFI = "TAGONODE_WIFI_PASSWORD"
ENV_ACCOUNT = "TAGOIO_ACCOUNT_TOKEN"
SECRETS_FILE = "secrets.toml"
_SECRETS = ("token", "wifi_password", "wifi_passwords")  # keys of secrets.toml
_OWN = "wifi_passwords"  # which is a table: a network's name, its own password

# set for one run by the command line: what a file's intervals would forbid is then wanted
_FOR_A_RUN = (("sample", "every"), ("upload", "every"))


@dataclass
class NodeConfig:
    """A checked node.toml. lines: where its values stand, {} when that is not known."""

    model: Any
    origin: str
    own_drivers: Drivers = BUILT_IN
    lines: dict[Location, int] | None = None

    @property
    def board(self) -> str:
        """Name of the board."""
        return self.model.board

    @property
    def drivers(self) -> list[str]:
        """Names of the drivers that its sensors need."""
        return sorted({sensor.driver for sensor in self.model.sensors})

    def device_settings(
        self, token: str, wifi_password: str | Mapping[str, str], built_at: float | None = None
    ) -> dict[str, Any]:
        """The flat dict that the board reads, in device units; secrets go in here and nowhere else. wifi_password: one
        for all networks, or {name: password}."""
        values: dict[str, Any] = {"format": device_settings.FORMAT, "board": self.board}
        for row in device_settings.TABLE:
            section, name = row[0].split(".")
            value = getattr(getattr(self.model, section), name)
            values[row[0]] = round(value * 1000) if row[1] == device_settings.SECONDS else value
        values["tagoio.token"] = token
        values["wifi.networks"] = [
            [ssid, wifi_password if isinstance(wifi_password, str) else wifi_password[ssid]]
            for ssid in self.model.wifi.networks
        ]
        values["ntp.servers"] = self.model.ntp.servers
        values["build.version"] = version("tagonode")
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


def flash_of(board: str) -> estimate.Flash | None:
    """The flash that a board has for files; None for one whose size is not known."""
    from tagonode.virtual.image import BLOCK, GEOMETRIES

    geometry = GEOMETRIES.get(board)
    return estimate.Flash(geometry.blocks * BLOCK, geometry.prog) if geometry else None


# ---- secrets in the wrong place

_SECRET_KEY = re.compile(r"(.*_)?(token|password|passwords|passwd|passphrase|psk|secret|secrets|key)")
_SECRET_WORDS = ("password", "passphrase", "token", "device_token", "wifi_password")
# TagoIO's tokens, those with a prefix included, and a WPA key in hexadecimal
_SECRET_VALUE = re.compile(
    r"(?<![0-9a-fA-F])([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{64})(?![0-9a-fA-F])",
    re.IGNORECASE,
)


_USER_IN_URL = re.compile(r"://[^/\s]*@")
_WITH_SERVERS = ("tagoio", "ntp", "clock")


def looks_secret(text: str) -> bool:
    """Whether a text holds what looks like a token or a key, or a URL with a user or password."""
    return bool(_SECRET_VALUE.search(text) or _USER_IN_URL.search(text))


def _is_secret_key(key: str) -> bool:
    key = key.lower()
    return bool(_SECRET_KEY.fullmatch(key) or difflib.get_close_matches(key, _SECRET_WORDS, 1, 0.85))


def _where_secrets_belong(key: str) -> str:
    if "account" in key.lower() or "profile" in key.lower():
        return f"set {ENV_ACCOUNT} in the environment"
    return f"set {ENV_TOKEN} and {ENV_WIFI}, or write {SECRETS_FILE} beside it"


def _secrets_in(value: Any, at: Location = ()) -> Iterator[tuple[Location, str]]:
    """Keys and values that look like secrets; they are never repeated."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if looks_secret(key):
                yield at, f"a key in it looks like a token: {_where_secrets_belong('')}, and make a new token"
            elif _is_secret_key(key) and not isinstance(inner, dict):
                yield (*at, key), f"secrets do not belong in this file: {_where_secrets_belong(key)}"
            else:
                yield from _secrets_in(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets_in(inner, (*at, index))
    elif isinstance(value, str) and (_USER_IN_URL.search(value) or at[:1] and at[0] in _WITH_SERVERS and "@" in value):
        yield at, "holds a user or a password, which belongs to no server here: write what stands behind the @ alone"
    elif isinstance(value, str) and _SECRET_VALUE.search(value):
        yield at, f"looks like a token or a key, and secrets do not belong in this file: {_where_secrets_belong('')}"


def _secrets_in_comments(text: str) -> Iterator[int]:
    """Lines with a comment that holds what looks like a token."""
    for number, line in enumerate(text.split("\n"), 1):
        if "#" in line and _SECRET_VALUE.search(line.partition("#")[2]):
            yield number


# ---- the form of the values


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(each) for each in getattr(annotation, "__args__", ()))
    return next((each for each in inner if each), None)


def _keys_at(location: Location) -> list[str]:
    """Keys that are allowed at a place in the config."""
    model: type[BaseModel] | None = NodeModel
    is_map = False  # the next part is a name of the user's
    for part in location:
        if isinstance(part, int) or is_map:
            is_map = False
            continue
        field = model.model_fields.get(part) if model else None
        model = _model_in(field.annotation) if field else None
        is_map = field is not None and getattr(field.annotation, "__origin__", None) is dict
    return list(model.model_fields) if model else []


_MISSING = {
    "wifi": 'is missing: add [wifi] with networks = ["…"]',
    "networks": 'is missing: add networks = ["…"]',
    "sensors": "is missing: add [[sensors]] with driver and bus",
    "driver": 'is missing: add driver = "bme280", or which chip it is',
    "bus": 'is missing: say where it is connected, bus = "i2c0" for example',
    "formula": 'is missing: add formula = "dew_point", or another',
}
_WRONG_TYPE = {
    "float_type": "has to be a number, without quotes",
    "int_type": "has to be a whole number, without quotes",
    "bool_type": "has to be true or false, without quotes",
    "string_type": "has to be a text, in quotes",
    "finite_number": "has to be a finite number",
}


def _text_of(item: Any, location: Location) -> str:
    """What is wrong and what to do, of one of pydantic's findings."""
    context = item.get("ctx", {})
    kind = item["type"]
    key = str(location[-1]) if location else ""
    if kind == "extra_forbidden":
        return "unknown key" + or_nearest(key, _keys_at(location[:-1]))
    if kind == "missing":
        return _MISSING.get(key, "is missing: add it")
    if kind == "value_error":
        return str(context["error"])
    if kind in ("greater_than_equal", "less_than_equal", "greater_than"):
        bound = context.get("ge", context.get("le", context.get("gt")))
        more = "at least" if "ge" in context else "at most" if "le" in context else "more than"
        return f"{item['input']} is out of range: give {more} {bound:g}"
    if kind == "string_too_long":
        return f"has {len(item['input'])} characters: shorten it to {context['max_length']} or fewer"
    if kind == "too_long":
        return f"has {context['actual_length']} entries: give {context['max_length']} or fewer"
    if kind in ("string_too_short", "too_short"):
        return "is empty: give at least one" if kind == "too_short" else "is empty: fill it in"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"has to be a section: write {f'[[{location[0]}]]' if isinstance(location[-1], int) else f'[{key}]'}"
    if kind == "list_type":
        return (
            f"has to be a list: write [[{key}]]" if key in ("sensors", "derived") else 'has to be a list: write ["…"]'
        )
    if kind == "literal_error":
        return f"{item['input']!r} will not do: choose {context['expected']}"
    # the input may be a password in the wrong place: only numbers are repeated
    given = f": change {item['input']!r}" if isinstance(item["input"], (int, float)) else ""
    return _WRONG_TYPE.get(kind, f"{item['msg'][0].lower()}{item['msg'][1:]}") + given


# What stands in for a part that has to be there, so that the rest can be checked; nothing is said of it itself.
_IN_PLACE: dict[str, Any] = {
    "wifi": {"networks": ["x"]},
    "networks": ["x"],
    "sensors": [{"driver": "rssi", "bus": "wifi"}],
    "bus": "wifi",
    "derived": [{"formula": "dew_point"}],
    "board": "pico_w",
}
_MOST_ROUNDS = 40


class _Form:
    """A copy of a config's data, in which what has the wrong form is found, and put right as its message says.

    found: (location, text) each. spoiled: where something was made up, or left out. renamed: {location: key that
    stands there in the file}.
    """

    def __init__(self, data: dict[str, Any], drivers: Drivers):
        self.found: list[tuple[Location, str]] = []
        self.spoiled: set[Location] = set()
        self.renamed: dict[Location, str] = {}
        self._data = copy.deepcopy(data)
        self._drivers = drivers

    def model(self) -> Any:
        """The model of what was made of the data; None when it cannot be put right."""
        for _ in range(_MOST_ROUNDS):
            try:
                return NodeModel.model_validate(self._data, context={"drivers": self._drivers})
            except ValidationError as error:
                # a key that is misspelt is there, and not missing: so these come first
                kinds: list[list[Any]] = [[], []]
                for item in error.errors():
                    kinds[item["type"] != "extra_forbidden"].append(item)
                for items in kinds:
                    open_ones = [item for item in items if self._is_open(item)]
                    self.found += [
                        (self.original(item["loc"]), _text_of(item, item["loc"]))
                        for item in open_ones
                        if self.known(*item["loc"])
                    ]
                    for item in open_ones:
                        if self._is_open(item):
                            self._put_right(item)
        return None

    def known(self, *location: str | int) -> bool:
        """Whether what stands there is what the user wrote, all below it included."""
        return not any(bad[: len(location)] == location or location[: len(bad)] == bad for bad in self.spoiled)

    def original(self, location: Location) -> Location:
        """The location in the file."""
        return tuple(self.renamed.get(location[: length + 1], part) for length, part in enumerate(location))

    def _at(self, location: Location) -> Any:
        place: Any = self._data
        for part in location:
            place = place[part]
        return place

    def _is_open(self, item: Any) -> bool:
        """Whether the finding is still so, after what has been put right meanwhile."""
        *above, key = item["loc"]
        try:
            holder = self._at(tuple(above))
        except (KeyError, IndexError, TypeError):
            return False  # what held it has been replaced
        return isinstance(holder, (dict, list)) and not (item["type"] == "missing" and key in holder)

    def _put_right(self, item: Any) -> None:
        location: Location = item["loc"]
        if item["type"] == "extra_forbidden":
            self._rename(self._at(location[:-1]), location)
        elif item["type"] == "missing":
            self._replace(location)
        else:
            self._correct(item, self._at(location[:-1]), location)

    def _rename(self, holder: Any, location: Location) -> None:
        value = holder.pop(location[-1], None)
        near = nearest(str(location[-1]), _keys_at(location[:-1]))
        if near and near not in holder:
            holder[near] = value
            self.renamed[(*location[:-1], near)] = str(location[-1])

    def _correct(self, item: Any, holder: Any, location: Location) -> None:
        key = location[-1]
        words = {"board": places.boards, "driver": self._drivers.names, "formula": lambda: list(formulas())}
        if isinstance(holder, list) or key not in holder:
            self._replace(location)
            return
        if key in words and isinstance(holder[key], str):
            near = nearest(holder[key], words[str(key)]())
            if near and near != holder[key]:
                holder[key] = near
                return
        if item["type"] == "list_type" and key in ("sensors", "derived") and isinstance(holder[key], dict):
            holder[key] = [holder[key]]
            return
        self._replace(location)

    def _replace(self, location: Location) -> None:
        """Leave out what stands there, or what holds it when that cannot do without."""
        while len(location) > 1 and (
            isinstance(location[-1], int)
            and location[-2] not in ("sensors", "derived")
            or location[-1] in ("driver", "formula")
        ):
            location = location[:-1]
        self.spoiled.add(location)
        key = location[-1]
        holder = self._at(location[:-1])
        if isinstance(key, int):
            holder[key] = dict(_IN_PLACE[str(location[-2])][0])
        elif key in _IN_PLACE and (key != "derived" or key in holder):
            holder[key] = copy.deepcopy(_IN_PLACE[key])
        else:
            holder.pop(key, None)


def check(
    data: dict[str, Any],
    origin: str,
    drivers: Drivers = BUILT_IN,
    lines: dict[Location, int] | None = None,
    overridden: Iterable[Location] = (),
) -> NodeConfig:
    """Check a config's data. origin: what it is called in messages. lines: where in the file its values stand.
    overridden: locations of what the command line has set. Raises ConfigError with every mistake."""
    lines = {} if lines is None else lines
    overridden = set(overridden)
    secret_places = dict(_secrets_in(data))
    form = _Form(data, drivers)
    model = form.model()
    found = list(form.found)
    if model is not None:
        form.spoiled.update(overridden.intersection(_FOR_A_RUN))

        def settings() -> dict[str, Any]:
            return NodeConfig(model, origin, drivers).device_settings("", "", 0)

        found += [
            (form.original(location), text)
            for location, text in rules.mistakes(model, form.known, flash_of(model.board), settings)
        ]
    # of what may be a secret, no more is said
    found = [(at, text) for at, text in found if not any(at[: len(place)] == place for place in secret_places)]
    found += secret_places.items()
    if found or model is None:
        problems = [
            Problem(origin, None if at in overridden else line_of(lines, at), shown(at), text) for at, text in found
        ]
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return NodeConfig(model, origin, drivers, lines)


# ---- files

_SYNTAX = (
    ("Cannot overwrite a value", "this key is there already: leave one of them out"),
    ("twice", "this section is there already: put its lines together"),
    ("Cannot mutate immutable", "this was given in { } or [ ] already: put it together"),
    ("Expected '=' after a key", "write key = value, or [section]"),
    ("Invalid value", 'not a value: a text needs quotes, name = "text"; true and false are written small'),
    ("Invalid statement", "not a line of TOML: write key = value, [section] or # and a remark"),
    (
        "Expected newline or end of document",
        "more follows the value than belongs there: a text needs quotes all around",
    ),
    ("Unterminated string", 'a text is not closed: put a " at its end'),
    ("Illegal character '\\n'", 'a text is not closed: put a " at its end'),
    ("Unclosed array", "a list is not closed: put a ] at its end"),
    ("Unclosed inline table", "a table is not closed: put a } at its end"),
)


def _syntax_problem(file: str, text: str, error: tomllib.TOMLDecodeError, is_secret: bool = False) -> Problem:
    """In words, and with the line."""
    message = str(error)
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(where[1]) if where and where[1] else text.rstrip("\n").count("\n") + 1
    said = message[: where.start()] if where else message
    remedy = next((words for beginning, words in _SYNTAX if beginning in said), said[:1].lower() + said[1:])
    if is_secret:
        remedy = 'write name = "…", with quotes'  # nothing of what stands there
    return Problem(file, line, "", f"not valid TOML: {remedy}")


_LARGEST = 1 << 20  # bytes of a file
_DEEPEST = 32  # sections and lists in one another


def _parse(text: str, origin: str, is_secret: bool = False) -> dict[str, Any]:
    """A file's data. Raises ConfigError for what is no TOML, and for what no node.toml can mean."""

    def wrong(what: str) -> ConfigError:
        return ConfigError([Problem(origin, None, "", f"not valid TOML: {what}")])

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(origin, text, error, is_secret)]) from None
    except RecursionError:
        raise wrong("nested too deeply") from None
    except ValueError:
        raise wrong("a number has too many digits") from None
    inside: list[tuple[Any, int]] = [(data, 0)]
    while inside:
        value, depth = inside.pop()
        if depth > _DEEPEST:
            raise wrong("nested too deeply")
        if isinstance(value, int) and value.bit_length() > 64:
            raise wrong("a number has too many digits")
        if isinstance(value, (dict, list)):
            inside += ((each, depth + 1) for each in (value.values() if isinstance(value, dict) else value))
    return data


def _read(file: Path, origin: str) -> str:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise ConfigError([Problem(origin, None, "", "is no ordinary file: name a node.toml")])
        if found.st_size > _LARGEST:
            raise ConfigError([Problem(origin, None, "", "is larger than 1 MB: name a node.toml")])
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        missing = "no such file: name a node.toml, or write one with `tagonode new`"
        raise ConfigError([Problem(origin, None, "", missing)]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(origin, line, "", "cannot be read: not UTF-8; save it as UTF-8")]) from None
    except IsADirectoryError:
        raise ConfigError([Problem(origin, None, "", "is a folder: name the node.toml in it")]) from None
    except OSError as error:
        raise ConfigError([Problem(origin, None, "", f"cannot be read: {error.strerror}")]) from None


def load(path: Path | None, overrides: dict[str, Any] | None = None) -> NodeConfig:
    """Read and check a node.toml (the default one for None). `overrides`: {"section.key": value}, as options give them.

    Raises ConfigError.
    """
    origin = str(path) if path is not None else "default config"
    text = _read(path if path is not None else places.DEFAULT_CONFIG, origin)
    data = _parse(text, origin)
    overridden = []
    for key, value in (overrides or {}).items():
        *sections, name = key.split(".")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                break
        else:
            place[name] = value
            overridden.append((*sections, name))
    lines = lines_of(text)
    problems = [
        Problem(origin, number, "", "a remark looks like a token, and secrets do not belong in this file: take it out")
        for number in _secrets_in_comments(text)
    ]
    try:
        checked = check(data, origin, Drivers(path.parent) if path is not None else BUILT_IN, lines, overridden)
    except ConfigError as error:
        problems += error.mistakes
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return checked


def _secrets_file(config_path: Path | None) -> Path:
    return (config_path.parent if config_path else Path.cwd()) / SECRETS_FILE


def read_secrets(config_path: Path | None) -> dict[str, Any]:
    """What secrets.toml beside a config holds; {} when there is none. Raises ConfigError, which repeats none of it."""
    file = _secrets_file(config_path)
    if not file.exists():
        return {}
    return _parse(_read(file, str(file)), str(file), is_secret=True)


def secret_problems(config_path: Path | None) -> list[Problem]:
    """What is wrong with secrets.toml beside a config, and with secrets of the environment."""
    problems = [
        Problem(name, None, "", text)
        for name in (ENV_TOKEN, ENV_WIFI)
        if (text := _wrong_secret(os.environ.get(name, "")))
    ]
    file = _secrets_file(config_path)
    try:
        held = read_secrets(config_path)
    except ConfigError as error:
        return problems + error.mistakes
    lines = lines_of(_read(file, str(file))) if held else {}
    for key, value in held.items():
        text = None
        if key not in _SECRETS and "account" in key:
            text = f"an account token belongs into the environment alone: {_where_secrets_belong(key)}"
        elif key not in _SECRETS:
            text = "unknown key" + or_nearest(key, _SECRETS)
        elif key == _OWN and not isinstance(value, dict):
            text = f'has to be a section: write [{_OWN}], and below it "name of the network" = "…"'
        elif key == _OWN:
            for ssid, password in value.items():
                if wrong := _wrong_secret(password):
                    problems.append(Problem(str(file), lines.get((key, ssid)), f"{_OWN}.{ssid}", wrong))
        else:
            text = _wrong_secret(value)
        if text:
            # what is no word may be the secret itself
            name = key if re.fullmatch("[a-z_]+", key, re.IGNORECASE) else ""
            problems.append(Problem(str(file), lines.get((key,)), name, text))
    return problems


def _wrong_secret(value: Any) -> str | None:
    if not isinstance(value, str):
        return "has to be a text, in quotes"
    if not value.isprintable():
        return "holds a line break or another control character: take it out"
    return "has white space at its ends: take it out" if value != value.strip() else None


def unknown_networks(node: NodeConfig, config_path: Path | None) -> list[Problem]:
    """Passwords in secrets.toml of networks that the config does not name."""
    try:
        own = read_secrets(config_path).get(_OWN)
    except ConfigError:
        return []  # which secret_problems tells
    file = _secrets_file(config_path)
    lines = lines_of(_read(file, str(file))) if own else {}
    names = node.model.wifi.networks
    return [
        Problem(str(file), lines.get((_OWN, ssid)), _OWN, "node.toml has no such network" + or_nearest(ssid, names))
        for ssid in (own if isinstance(own, dict) else ())
        if ssid not in names
    ]


def wifi_passwords(node: NodeConfig, config_path: Path | None) -> dict[str, str]:
    """{network: password} of those that have one, "" of an open one: its own in secrets.toml, else that for all of them
    from the environment, else that from secrets.toml. Raises ConfigError."""
    held = read_secrets(config_path)
    common = os.environ.get(ENV_WIFI, held.get("wifi_password"))
    found = {ssid: held.get(_OWN, {}).get(ssid, common) for ssid in node.model.wifi.networks}
    return {ssid: password for ssid, password in found.items() if password is not None}


def secret(name: str, config_path: Path | None) -> str | None:
    """A secret from the environment (`name`), else from secrets.toml beside the config; None when it is in neither, or
    empty. Raises ConfigError when that file cannot be read."""
    value = os.environ.get(name) or read_secrets(config_path).get(name.removeprefix("TAGONODE_").lower())
    return str(value) if value else None
