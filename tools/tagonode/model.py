"""What a node.toml may hold: pydantic models of its sections.

Keys, kinds, ranges and defaults of the plain sections are those of the device's own table (firmware/agent/settings.py);
what is nested (sensors, Wi-Fi networks, NTP servers, derived readings) is described here. What takes more than one
value to judge is in rules.py.
"""

import functools
import inspect
import ipaddress
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from tagonode import device, places
from tagonode.device import settings as device_settings
from tagonode.drivers import BUILT_IN, Driver, Drivers
from tagonode.problems import or_nearest

# What a channel is printed with when the config says nothing: as many decimals as the sensors resolve.
DECIMALS = {
    "°C": 2,
    "%": 2,
    "hPa": 2,
    "ppm": 0,
    "lx": 1,
    "V": 3,
    "A": 4,
    "W": 3,
    "dBm": 0,
    "kg": 3,
    "µg/m³": 0,
    "pulses": 0,
    "pulses/min": 2,
}
# of a unit that is not among them, as a user's own driver may have
_OTHER_DECIMALS = 3
_MOST_DECIMALS = 6

# formula: (unit, decimals)
DERIVED_UNITS = {
    "dew_point": ("°C", 1),
    "absolute_humidity": ("g/m³", 2),
    "sea_level_pressure": ("hPa", 2),
    "battery_percent": ("%", 0),
}

# What each setting of the device's table is for, as editors show it and `tagonode new` writes it. Seconds where the
# table has milliseconds.
ABOUT = {
    "tagoio.host": "name of TagoIO's server in your region, or of a server of your own",
    "tagoio.port": "its TCP port",
    "tagoio.prefix": 'what comes before /data in its paths, "/iot" for example',
    "tagoio.ssl": "false sends token and readings in the open: only for a server on the bench",
    "sample.every": "seconds between samples, on a grid aligned with the clock: 60 means on the minute",
    "upload.every": "seconds between uploads; 0: after every sample",
    "upload.samples": "send as soon as so many samples wait, whatever the time; 0: by time only",
    "upload.body": "bytes of one request at most",
    "upload.patience": "seconds that a server may be silent",
    "upload.window": "seconds in which a server counts its rate limit; waits after failures go with it",
    "queue.bytes": "flash that readings waiting to be sent may take",
    "queue.policy": 'when it is full: "drop_oldest", or "drop_newest" to keep what was measured first',
    "queue.commit_samples": "samples written to flash at once: more spare it, and a power cut costs as many",
    "queue.commit_every": "write at the latest after so many seconds; 0: by number of samples only",
    "clock.every": "seconds between questions to a time server",
    "clock.http": 'where to ask for the time over HTTP when no time server answers; "": tagoio.host',
    "wifi.country": 'two letters of the country where the node is, "DE": which channels it may use',
    "wifi.hostname": 'its name in the network; "": the board\'s own',
    "wifi.address": 'a fixed address, "192.168.1.50/24"; "": the one that the network gives',
    "wifi.gateway": "the router, with a fixed address",
    "wifi.dns": "the name server, with a fixed address",
    "wifi.power_save": '"auto" as MicroPython sets it, "none" answers fastest, "powersave" needs least',
    "watchdog.on": "restart the board when its program hangs",
    "led.on": "the light tells how the node is",
    "log.level": 'what it prints: "error", "warning", "info" or "debug"',
    "log.keep": "lines kept in memory, and written down when something crashes",
    "health.every": "seconds between reports of how the node itself is, and of what happened; 0: never",
    "duty.on": "sleep between samples, for a battery; upload.every says how often it links",
    "duty.awake": "seconds that a wake with the radio on may take: a bad day ends early",
    "duty.stay": "seconds that it stays awake after power on, within a computer's reach",
    "remote.every": "seconds between looks at the device's parameters, which change these settings; 0: never",
    "run.samples": "stop after so many samples; 0: never",
    "run.time": "stop after so many seconds; 0: never",
}


class _Section(BaseModel):
    # strict: a number in quotes is a text; infinities and NaN are no JSON
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


_Variable = Annotated[str, Field(min_length=1, max_length=100, description="its name at TagoIO")]
_Unit = Annotated[str, Field(max_length=25)]


class Filter(_Section):
    """One step of `filters`: exactly one of median, average, window and delta, with what belongs to it.

    {median = 5}, {average = 5}: over the last so many readings. {window = "mean", every = 600}: one reading at the end
    of each 600 s of the clock (min, max, mean, last or sum). {delta = 0.5, heartbeat = 3600}: only what differs by so
    much from what was reported last, and one an hour all the same.
    """

    median: Annotated[int, Field(ge=2, le=99)] | None = None
    average: Annotated[int, Field(ge=2, le=99)] | None = None
    window: Literal["min", "max", "mean", "last", "sum"] | None = None
    every: Annotated[float, Field(ge=1, le=604800, description="seconds that a window lasts")] | None = None
    delta: Annotated[float, Field(gt=0)] | None = None
    heartbeat: (
        Annotated[float, Field(ge=1, le=604800, description="seconds after which it is sent all the same")] | None
    ) = None

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
        if self.above is not None and self.below is not None and self.hysteresis >= self.above - self.below:
            raise ValueError(f"hysteresis has to be less than above - below, {self.above - self.below:g}")
        return self


class _Steps(_Section):
    """What readings pass through, in this order: polynomial, scale, offset, minimum and maximum, alarm, filters."""

    decimals: Annotated[int, Field(ge=0, le=_MOST_DECIMALS, description="of what is sent")] | None = None
    polynomial: (
        Annotated[list[float], Field(min_length=1, max_length=8, description="coefficients, the constant first")] | None
    ) = None
    scale: Annotated[float, Field(description="what a reading is multiplied by")] | None = None
    offset: Annotated[float, Field(description="what is added to it then")] | None = None
    minimum: Annotated[float, Field(description="below it, a reading is thrown away")] | None = None
    maximum: Annotated[float, Field(description="above it, a reading is thrown away")] | None = None
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

    variable: _Variable | None = None
    unit: _Unit | None = None


# Of what formulas are made: the units of their arguments.
ARGUMENT_UNITS = {"temperature": "°C", "humidity": "%", "pressure": "hPa", "voltage": "V"}


def formulas() -> dict[str, Callable]:
    """Those of the agent."""
    return device.load("agent.derived").FORMULAS


class Derived(_Steps):
    """One [[derived]] entry: a reading made of others of the same sample.

    `of` names the variables that the formula takes, in its order, where they are not called as its arguments are.
    """

    formula: Annotated[str, Field(json_schema_extra={"enum": sorted(DERIVED_UNITS)})]
    variable: _Variable | None = None
    unit: _Unit | None = None
    of: Annotated[list[str], Field(min_length=1)] | None = None
    options: dict[str, float] = {}

    @field_validator("formula")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in formulas():
            raise ValueError(f"there is no formula {name!r}{or_nearest(name, formulas())}")
        return name

    def arguments(self) -> tuple[list[str], list[str]]:
        """(names of the readings it takes, names of its options)."""
        parameters = inspect.signature(formulas()[self.formula]).parameters.values()
        needed = [each.name for each in parameters if each.default is each.empty]
        return needed, [each.name for each in parameters if each.default is not each.empty]

    @property
    def sources(self) -> list[str]:
        """The variables that it is made of."""
        return self.of or self.arguments()[0]

    @property
    def name(self) -> str:
        """Its variable."""
        return self.variable or self.formula

    def device_channel(self) -> list[Any]:
        """[variable, unit, decimals, …] as the board's settings have it."""
        unit, decimals = DERIVED_UNITS[self.formula]
        shown = unit if self.unit is None else self.unit
        if shown != unit:
            decimals = DECIMALS.get(shown, _OTHER_DECIMALS)
        return [self.name, shown, decimals if self.decimals is None else self.decimals, *self.device_steps()]

    def device_row(self, variables: list[str]) -> dict[str, Any]:
        """As firmware/agent/pipeline.py takes it; `variables`: those of the sensors, in order."""
        return {
            "kind": self.formula,
            "from": [variables.index(each) for each in self.sources],
            **({"options": self.options} if self.options else {}),
            "channel": self.device_channel(),
        }


class Sensor(_Section):
    """One [[sensors]] entry.

    bus: a fixed bus of the board ("i2c0"), or "<kind>:<pins>" with kind one of pin, onewire, adc and pins, and pins as
    they are printed on the board ("onewire:gp22", "pins:gp20,gp21").
    address: of an I2C chip, or the 16 hexadecimal digits of a 1-Wire chip's ROM code.
    """

    # the project's drivers are offered, a config's own are taken, too
    driver: Annotated[str, Field(json_schema_extra={"anyOf": [{"enum": places.drivers()}, {"type": "string"}]})]
    bus: Annotated[
        str,
        StringConstraints(min_length=1, to_lower=True),
        Field(description='a bus of the board ("i2c0", "wifi", …) or a pin and its use ("onewire:gp22", "adc:gp27")'),
    ]
    address: (
        Annotated[
            int | str, Field(union_mode="left_to_right", description="of an I2C chip, 0x76; a 1-Wire chip's ROM code")
        ]
        | None
    ) = None
    every: Annotated[float, Field(ge=0.02, le=86400, description="seconds between its readings")] | None = None
    options: Annotated[dict[str, Any], Field(description="what else its driver is told")] = {}
    channels: Annotated[dict[str, ChannelSettings], Field(description="what becomes of its readings")] = {}
    _chip: Driver = PrivateAttr()

    @field_validator("driver")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        drivers = _drivers(info)
        try:
            drivers.find(name)
        except KeyError:
            raise ValueError(f"there is no driver {name!r}{or_nearest(name, drivers.names())}") from None
        return name

    @field_validator("bus")
    @classmethod
    def _without_spaces(cls, bus: str) -> str:
        return bus.replace(" ", "")

    @field_validator("address", mode="before")
    @classmethod
    def _number_or_text(cls, address: Any) -> Any:
        if isinstance(address, bool) or not isinstance(address, (int, str)):
            raise ValueError("has to be a number as on the chip's bus, 0x76, or a 1-Wire chip's ROM code in quotes")
        return address

    @model_validator(mode="after")
    def _takes_its_driver(self, info: ValidationInfo) -> "Sensor":
        self._chip = _drivers(info).find(self.driver)
        return self

    @property
    def chip(self) -> Driver:
        """The driver that `driver` names."""
        return self._chip

    def device_channels(self) -> list[list[Any]]:
        """[[variable, unit, decimals]] as the board's settings have them."""
        rows = []
        for variable, unit in self.chip.channels(self.options):
            own = self.channels.get(variable, ChannelSettings())
            shown = unit if own.unit is None else own.unit
            decimals = DECIMALS.get(shown, _OTHER_DECIMALS)
            if own.scale:
                # what the sensor resolves, after it: ppm as % have four, V as mV none
                resolved = DECIMALS.get(unit, _OTHER_DECIMALS) - math.log10(abs(own.scale))
                decimals = min(max(math.ceil(resolved - 1e-9), 0), _MOST_DECIMALS)
            rows.append(
                [
                    own.variable or variable,
                    shown,
                    decimals if own.decimals is None else own.decimals,
                    *own.device_steps(),
                ]
            )
        return rows


class Wifi(_Section):
    """[wifi]: networks by name, in order of preference."""

    networks: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=32)]],
        Field(min_length=1, description="names of Wi-Fi networks, the preferred one first"),
    ]

    @field_validator("networks", mode="before")
    @classmethod
    def _names_alone(cls, networks: Any) -> Any:
        if isinstance(networks, list) and any(isinstance(each, dict) for each in networks):
            raise ValueError('give the names alone: networks = ["…"]; the password belongs into secrets.toml')
        return networks

    @model_validator(mode="after")
    def _address_is_whole(self) -> "Wifi":
        country = getattr(self, "country", "")
        if country and not (len(country) == 2 and country.isalpha() and country.isascii()):
            raise ValueError(f"country {country!r} is none: give its two letters, such as DE")
        fixed = {name: getattr(self, name, "") for name in ("address", "gateway", "dns")}
        for name, text in fixed.items():
            if not text and any(fixed.values()):
                raise ValueError(f"{name} is missing: a fixed address needs address, gateway and dns")
        if fixed["address"]:
            try:
                place = ipaddress.IPv4Interface(fixed["address"])
                gateway, _ = ipaddress.IPv4Address(fixed["gateway"]), ipaddress.IPv4Address(fixed["dns"])
            except ValueError as error:
                raise ValueError(f'{error}: write address = "192.168.1.50/24" and the like') from None
            if "/" not in fixed["address"] or gateway not in place.network:
                raise ValueError(f"gateway {gateway} is not in the network of address, such as 192.168.1.50/24")
        return self


class Ntp(_Section):
    """[ntp]: time servers, "name" or "name:port"."""

    servers: Annotated[list[str], Field(min_length=1, description='"name" or "name:port" each')] = [
        "pool.ntp.org",
        "time.google.com",
    ]


def _drivers(info: ValidationInfo) -> Drivers:
    return info.context["drivers"] if info.context else BUILT_IN


def _by_the_device(row: tuple, seconds: float) -> float:
    """What the board itself would say."""
    wrong = device_settings.problem(row, round(seconds * 1000))
    if wrong:
        raise ValueError(wrong)
    return seconds


def _field(row: tuple) -> tuple[Any, Any]:
    key, kind, default, low, high = row
    about = ABOUT.get(key)
    if kind == device_settings.SECONDS:
        # device units are whole milliseconds
        annotated: Any = Annotated[float, Field(ge=low / 1000, le=high / 1000, description=about)]
        if key in device_settings.SELDOM:
            between = Field(json_schema_extra={"not": {"exclusiveMinimum": 0, "exclusiveMaximum": 1}})
            annotated = Annotated[annotated, AfterValidator(functools.partial(_by_the_device, row)), between]
        return (annotated, default / 1000)
    if kind == device_settings.INT:
        return (Annotated[int, Field(ge=low, le=high, description=about)], default)
    if kind == device_settings.TEXT:
        return (Annotated[str, Field(min_length=low, max_length=high, description=about)], default)
    if kind == device_settings.CHOICE:
        return (Annotated[Literal[low], Field(description=about)], default)
    return (Annotated[bool, Field(description=about)], default)


def _sections() -> dict[str, Any]:
    fields: dict[str, dict[str, Any]] = {}
    for row in device_settings.TABLE:
        section, name = row[0].split(".")
        fields.setdefault(section, {})[name] = _field(row)
    return {
        section: (
            create_model(f"{section.capitalize()}Section", __base__=_BASES.get(section, _Section), **rows),
            Field() if section in _BASES else Field(default={}, validate_default=True),
        )
        for section, rows in fields.items()
    }


# sections of which the device's table has a part only
_BASES: dict[str, type[_Section]] = {"wifi": Wifi}


class _NodeBase(_Section):
    board: Annotated[str, Field(json_schema_extra={"enum": places.boards()})] = "pico_w"
    wifi: Wifi
    ntp: Ntp = Ntp()
    sensors: Annotated[list[Sensor], Field(min_length=1)]
    derived: list[Derived] = []

    @field_validator("board")
    @classmethod
    def _known_board(cls, name: str) -> str:
        if name not in places.boards():
            raise ValueError(f"there is no board {name!r}{or_nearest(name, places.boards())}")
        return name


NodeModel = create_model("NodeModel", __base__=_NodeBase, __doc__="A TagoNode's settings.", **_sections())
