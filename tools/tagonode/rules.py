"""What is wrong in a config although each of its values may be: clashes, chips that are not where they are said to be,
intervals that do not fit each other. And what is allowed, but should be known."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from tagonode import device, estimate
from tagonode.buses import SHARED, board_buses
from tagonode.device import regions
from tagonode.locate import Location
from tagonode.model import ARGUMENT_UNITS, Derived, Sensor
from tagonode.problems import nearest, or_nearest

Mistake = tuple[Location, str]
Known = Callable[..., bool]

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_SERVER = re.compile(rf"{_HOST.pattern}(:[0-9]{{1,5}})?")

PLACEHOLDER = "your-network"

# Addresses that a chip can be given: as its datasheet says, and as `tagonode scan` looks for it.
ADDRESSES: dict[str, tuple[int, ...]] = {
    "ads1115": tuple(range(0x48, 0x4C)),
    "aht10": (0x38,),
    "aht20": (0x38,),
    "bh1750": (0x23, 0x5C),
    "bme280": (0x76, 0x77),
    "bmp280": (0x76, 0x77),
    "ina219": tuple(range(0x40, 0x50)),
    "max17048": (0x36,),
    "scd4x": (0x62,),
    "sht3x": (0x44, 0x45),
    "sht4x": (0x44, 0x45, 0x46),
}


def mistakes(model: Any, known: Known, flash: estimate.Flash | None, settings: Callable[[], dict]) -> Iterator[Mistake]:
    """(location, what is wrong and what to do) of each. known(*location): whether what stands there can be relied on,
    since it was neither given by the command line nor made up in place of something that will not do. flash: of the
    board. settings(): what the board would read; called only when all of the config is known."""
    yield from _servers(model, known)
    sound = []
    for index, sensor in enumerate(model.sensors):
        if known("sensors", index, "driver"):
            found = list(_sensor(("sensors", index), sensor, known))
            yield from found
            sound.append(not any(_hides_names(location) for location, _ in found))
        else:
            sound.append(False)
    yield from _buses(model, known)
    named = list(_variables(model, known, sound))
    yield from named
    if known("sample", "every"):
        yield from _too_slow(model, known)
    if known("duty") and model.duty.on:
        yield from _asleep(model, known)
    if flash and all(sound) and known() and not named:
        yield from _queue(model, flash, settings())


def _hides_names(location: Location) -> bool:
    """Whether a mistake at this place of a sensor leaves open how its readings are called."""
    return location[2] == "options" or location[2] == "channels" and len(location) == 4


def _servers(model: Any, known: Known) -> Iterator[Mistake]:
    host = model.tagoio.host
    if known("tagoio", "host") and not _HOST.fullmatch(host):
        try:
            _, name, port, prefix = regions.parse_url(host)
        except ValueError:
            yield ("tagoio", "host"), f'{host!r} is no host name: write it as in host = "api.us-e1.tago.io"'
        else:
            more = f", port = {port}" if port != model.tagoio.port else ""
            more += f', prefix = "{prefix}"' if prefix else ""
            yield ("tagoio", "host"), f'{host!r} is an address: write host = "{name}"{more}'
    elif known("tagoio", "host") and host in regions.REGIONS:
        yield ("tagoio", "host"), f'{host!r} is a region: write host = "{regions.parse_url(host)[1]}"'
    prefix = model.tagoio.prefix
    if known("tagoio", "prefix") and prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        yield ("tagoio", "prefix"), f'{prefix!r} will not do: write "/{prefix.strip("/")}"'
    for index, server in enumerate(model.ntp.servers):
        if known("ntp", "servers") and not _SERVER.fullmatch(server):
            yield ("ntp", "servers", index), f'{server!r} is no time server: write "name" or "name:port"'
    for index, network in enumerate(model.wifi.networks):
        if known("wifi", "networks"):
            if len(network.encode()) > 32:
                yield ("wifi", "networks", index), f"has {len(network.encode())} bytes in UTF-8: Wi-Fi names have 32"
            elif network in model.wifi.networks[:index]:
                yield ("wifi", "networks", index), f"{network!r} is there already: leave one of them out"


def _sensor(at: Location, sensor: Sensor, known: Known) -> Iterator[Mistake]:
    """What can be said of a sensor by itself."""
    name, chip = sensor.driver, sensor.chip
    unknown = [option for option in sensor.options if option not in chip.options]
    for option in unknown:
        yield (*at, "options", option), f"{name} has no option {option!r}{_taken_options(option, chip.options)}"
    variables: list[str] | None = None
    if not unknown:
        try:
            variables = [variable for variable, _ in chip.channels(sensor.options)]
        except ValueError as error:
            yield (*at, "options"), str(error)
    if variables is not None and known(*at, "options"):
        for channel in sensor.channels:
            if channel not in variables:
                has = ", ".join(variables)
                yield (*at, "channels", channel), f"{name} has no channel {channel!r}; it has {has}"
    for channel, steps in sensor.channels.items():
        yield from _alarm((*at, "channels", channel), steps)
    if sensor.address is not None and known(*at, "address"):
        wrong = _address(sensor)
        if wrong:
            yield (*at, "address"), wrong


def _taken_options(option: str, options: list[str]) -> str:
    near = nearest(option, options)
    return f"; did you mean {near!r}?" if near else f"; it takes {', '.join(options) or 'none'}"


def _address(sensor: Sensor) -> str | None:
    address = sensor.address
    if sensor.chip.address is None and sensor.chip.bus != "onewire":
        return f"{sensor.driver} has no address: leave it out"
    if sensor.chip.bus == "i2c":
        if not isinstance(address, int):
            return f"address {address!r} is none of an I2C chip: give a number from 0x08 to 0x77, without quotes"
        if not 0x08 <= address <= 0x77:
            return f"address {address:#04x} is none of an I2C chip: give 0x08 to 0x77"
        possible = ADDRESSES.get(sensor.driver, (address,))
        if sensor.chip.is_own or address in possible:
            return None
        span = f"{possible[0]:#04x} to {possible[-1]:#04x}" if len(possible) > 3 else _listed(possible)
        return f"{sensor.driver} cannot be at {address:#04x}: it is at {span}"
    if isinstance(address, str) and not re.fullmatch("[0-9a-fA-F]{16}", address):
        return f"address {address!r} is no ROM code: give its 16 hexadecimal digits"
    return None


def _listed(addresses: tuple[int, ...]) -> str:
    return " or ".join(f"{each:#04x}" for each in addresses)


def _alarm(at: Location, steps: Any) -> Iterator[Mistake]:
    """An alarm beyond the range check never goes off."""
    if steps.alarm is None:
        return
    for limit, bound, beyond in (("above", "maximum", float.__ge__), ("below", "minimum", float.__le__)):
        alarm, end = getattr(steps.alarm, limit), getattr(steps, bound)
        if alarm is not None and end is not None and beyond(float(alarm), float(end)):
            yield (
                (*at, "alarm", limit),
                f"{alarm:g} never goes off: readings beyond {bound} = {end:g} are thrown away; choose another limit",
            )


def _buses(model: Any, known: Known) -> Iterator[Mistake]:
    """Buses that the board has not, pins and addresses that are taken."""
    if not known("board"):
        return
    buses = board_buses(model.board)
    chips: dict[tuple[str, Any], Sensor] = {}
    pins: dict[str, Sensor] = {}
    for index, sensor in enumerate(model.sensors):
        at: Location = ("sensors", index)
        if not (known(*at, "driver") and known(*at, "bus")):
            continue
        wanted = sensor.chip.bus
        try:
            kind, used = buses.resolve(sensor.bus)
        except ValueError as error:
            yield (*at, "bus"), f"{sensor.driver}: {error}"
            continue
        if kind != wanted:
            text = f"{sensor.driver} does not work on {sensor.bus!r}: use {buses.remedy(wanted)}"
            yield (*at, "bus"), text
            continue
        clash = None
        for pin in used or (sensor.bus,):
            other = pins.setdefault(pin, sensor)
            clash = clash or _clash(other, sensor, pin, kind)
        if clash:
            yield (*at, "bus"), clash
            continue
        address = sensor.address or sensor.chip.address
        if address is None or not known(*at, "address"):
            continue
        taken = chips.setdefault((sensor.bus, _as_rom(address) if kind == "onewire" else address), sensor)
        if taken is not sensor:
            shown = f"{address:#x}" if isinstance(address, int) else address
            remedy = "give one another address, by its address pin, or the other bus"
            if kind == "onewire":
                remedy = "each chip has a ROM code of its own"
            yield (
                (*at, "address") if sensor.address else at,
                f"{taken.driver} and {sensor.driver} are both at {shown} on {sensor.bus}: {remedy}",
            )


def _as_rom(address: int | str) -> int:
    try:
        return address if isinstance(address, int) else int(address, 16)
    except ValueError:
        return id(address)  # no ROM code at all, which is said elsewhere


def _clash(other: Sensor, sensor: Sensor, pin: str, kind: str) -> str | None:
    if other is sensor:
        return None
    if other.bus != sensor.bus:
        return (
            f"{other.driver} on {other.bus} and {sensor.driver} on {sensor.bus} both use {pin}: "
            "give one of them another pin"
        )
    if kind not in SHARED:
        return f"{other.driver} and {sensor.driver} are both on {sensor.bus}: move one of them"
    if kind == "onewire" and None in (other.address, sensor.address):
        return f"several sensors are on {sensor.bus}: give each of them its address"
    return None


def _variables(model: Any, known: Known, sound: list[bool]) -> Iterator[Mistake]:
    """Names given twice, as TagoIO sees them; derived readings and what they are made of."""
    clean = device.load("tagoio.records").clean_variable
    taken: dict[str, tuple[str, str]] = {}  # name at TagoIO: as it is written, and who gives it
    # names of health readings; the board leaves one out that a sensor gives under the very same name
    health: set[str] = set()
    if known("health", "every") and model.health.every:
        health = {row[0] for row in device.load("agent.health").Health(0, ()).channels}
    alarms: list[tuple[Location, str]] = []  # (where, variable that it is about)
    complete = all(sound)
    for index, sensor in enumerate(model.sensors):
        at: Location = ("sensors", index)
        if not sound[index] or not known(*at, "channels"):
            complete = False
            continue
        channels = [channel for channel, _ in sensor.chip.channels(sensor.options)]
        for channel, (variable, *_) in zip(channels, sensor.device_channels(), strict=True):
            name = clean(variable)
            own = sensor.channels.get(channel)
            place = (*at, "channels", channel, "variable") if own and own.variable else at
            if own and own.alarm and known(*at, "channels", channel, "alarm"):
                alarms.append(((*at, "channels", channel, "alarm"), variable))
            if name not in taken:
                taken[name] = variable, sensor.driver
                if name in health and name != variable:
                    yield place, _like_health(sensor.driver, variable, name)
                continue
            other, owner = taken[name]
            alike = f"both give {variable!r}"
            if other != variable:
                alike = f"give {other!r} and {variable!r}, which are both {name!r} at TagoIO"
            yield (
                place,
                f'{owner} and {sensor.driver} {alike}: name one of them by [sensors.channels.{channel}] variable = "…"',
            )
    # {variable: its unit, None for one that is but called otherwise}
    written: dict[str, str | None] = {}
    for index, sensor in enumerate(model.sensors):
        if sound[index] and known("sensors", index, "channels"):
            written |= _units(sensor)
    for index, row in enumerate(model.derived):
        if known("derived", index, "formula"):
            yield from _derived(("derived", index), row, known, written if complete else None)
            name = clean(row.name)
            place = ("derived", index, "variable" if row.variable else "formula")
            if known("derived", index, "variable") and name in taken:
                yield place, f"derived {row.name}: there is a reading of that name: give it another `variable`"
            elif known("derived", index, "variable") and name in health:
                yield place, _like_health(f"derived {row.name}", row.name, name)
            taken.setdefault(name, (row.name, row.formula))
            if row.alarm and known("derived", index, "variable") and known("derived", index, "alarm"):
                alarms.append((("derived", index, "alarm"), row.name))
    for place, variable in alarms:
        name = clean(variable + "_alarm")
        if name in taken:
            other, owner = taken[name]
            yield (
                place,
                f"the alarm is sent as {name!r}, and {owner} gives {other!r}: give one of them another `variable`",
            )


def _like_health(owner: str, variable: str, name: str) -> str:
    return f"{owner} gives {variable!r}, and health readings have {name!r}: give it another `variable`"


def _units(sensor: Any) -> dict[str, str | None]:
    """{variable that it gives: unit of its readings, None where `unit` is but another word for it}."""
    units: dict[str, str | None] = {}
    for (channel, unit), (variable, shown, *_) in zip(
        sensor.chip.channels(sensor.options), sensor.device_channels(), strict=True
    ):
        own = sensor.channels.get(channel)
        converted = own is not None and (own.scale is not None or own.polynomial is not None)
        units[variable] = unit if shown == unit else shown if converted else None
    return units


def _derived(at: Location, row: Derived, known: Known, written: dict[str, str | None] | None) -> Iterator[Mistake]:
    """written: the variables that the sensors give with their units, None when that is not known."""
    inputs, options = row.arguments()
    for option in row.options:
        if option not in options:
            yield (*at, "options", option), f"{row.formula} has no option {option!r}{_taken_options(option, options)}"
    yield from _alarm(at, row)
    if not known(*at, "of"):
        return
    if row.of is not None and len(row.of) != len(inputs):
        yield (*at, "of"), f"{row.formula} is made of {' and '.join(inputs)}: name one variable for each in `of`"
    elif written is not None:
        for place, each in enumerate(row.sources):
            if each not in written:
                where = (*at, "of", place) if row.of else (*at, "formula")
                name_it = "" if row.of else f'; or name one by of = ["…"] in place of {", ".join(inputs)}'
                yield where, f"derived {row.name}: no sensor gives {each!r}{or_nearest(each, written)}{name_it}"
                continue
            unit, wanted = written[each], ARGUMENT_UNITS[inputs[place]]
            if unit not in (None, wanted):
                where = (*at, "of", place) if row.of else (*at, "formula")
                yield (
                    where,
                    f"derived {row.name}: {row.formula} takes {inputs[place]} in {wanted}, and {each!r} is in "
                    f"{unit or 'no unit'}: let `scale` and `offset` of its channel make {wanted} of it, or leave them",
                )


def _too_slow(model: Any, known: Known) -> Iterator[Mistake]:
    for index, sensor in enumerate(model.sensors):
        at: Location = ("sensors", index)
        if not (known(*at, "driver") and known(*at, "every") and known(*at, "options")):
            continue
        every = sensor.every or model.sample.every
        wait_s = conversion_s(sensor)
        if wait_s > every:
            yield (
                (*at, "every") if sensor.every else at,
                f"{sensor.driver} takes {wait_s:g} s for a reading, more than the {every:g} s between two of them: "
                f"give it every = {math.ceil(wait_s)}, or more",
            )


def _asleep(model: Any, known: Known) -> Iterator[Mistake]:
    """What a node that sleeps cannot do."""
    for index, sensor in enumerate(model.sensors):
        if known("sensors", index, "driver") and sensor.chip.counts:
            yield (
                ("sensors", index, "driver"),
                f"{sensor.driver} would miss what happens while the board sleeps: leave it out, or set duty.on = false",
            )


def conversion_s(sensor: Sensor) -> float:
    """Seconds from the beginning of a conversion until its readings are there."""
    try:
        return sensor.chip.wait_ms(sensor.options) / 1000
    except (TypeError, ValueError):
        return 0.0  # of options that will not do, which is said elsewhere


def _queue(model: Any, flash: estimate.Flash, settings: dict[str, Any]) -> Iterator[Mistake]:
    room = (flash.size - estimate.FIRMWARE_BYTES) // estimate.BLOCK * estimate.BLOCK
    if model.queue.bytes > room:
        yield (
            ("queue", "bytes"),
            f"{model.queue.bytes} do not fit on {model.board}: it has {flash.size // 1024} KB of flash for files, of "
            f"which the firmware takes {estimate.FIRMWARE_BYTES // 1024}; give at most {room}",
        )
        return
    load = estimate.load_of(settings)
    result = estimate.estimate(load, flash)
    if result.upload_s > result.outage_s:
        yield (
            ("upload", "every"),
            f"the queue is full after {estimate.shown_time(result.outage_s)} ({result.held_samples:,} samples), before "
            f"the next upload, after {estimate.shown_time(result.upload_s)}: upload oftener, or give queue.bytes more",
        )


def notes(model: Any) -> Iterator[Mistake]:
    """(location, what should be known) of what is allowed in a config that has no mistakes."""
    clean = device.load("tagoio.records").clean_variable
    for network in model.wifi.networks:
        if network == PLACEHOLDER:
            yield ("wifi", "networks"), "still has the name that `tagonode new` wrote: put your network's there"
    if not model.tagoio.ssl:
        yield ("tagoio", "ssl"), "token and readings travel in the open: anyone on the way can read and change them"
    if not model.watchdog.on:
        yield ("watchdog", "on"), "a program that hangs will not be restarted: leave it on in the field"
    if model.run.samples or model.run.time:
        yield ("run",), "the node stops by itself and stays so: leave it out in the field"
    intervals = [sensor.every or model.sample.every for sensor in model.sensors]
    # firmware/agent/sampler.py: what takes longer is read in a later pass
    limit = min(60.0 if model.duty.on else 6.0, min(intervals) * 0.75)
    if model.duty.on:
        yield from _of_sleep(model, min(intervals))
    gives: dict[str, float] = {}
    for index, sensor in enumerate(model.sensors):
        at: Location = ("sensors", index)
        channels = [channel for channel, _ in sensor.chip.channels(sensor.options)]
        for channel, (variable, *_) in zip(channels, sensor.device_channels(), strict=True):
            gives[variable] = intervals[index]
            if clean(variable) != variable:
                yield (*at, "channels", channel), f"{variable!r} is called {clean(variable)!r} at TagoIO"
        if conversion_s(sensor) > limit:
            late = "it may give one in every second sample only"
            if intervals[index] > min(intervals):
                late = "they go with a later sample than they were begun for"
            wait = f"{sensor.driver} takes {conversion_s(sensor):g} s for its readings"
            yield (*at, "every"), f"{wait}, a sample waits {limit:g} s at most: {late}"
    for index, row in enumerate(model.derived):
        if clean(row.name) != row.name:
            yield ("derived", index, "variable"), f"{row.name!r} is called {clean(row.name)!r} at TagoIO"
        if len({gives[each] for each in row.sources}) > 1:
            yield ("derived", index), f"{row.name} comes only when all of {', '.join(row.sources)} are read at once"


def _of_sleep(model: Any, every_s: float) -> Iterator[Mistake]:
    """What should be known of a node that sleeps between its samples."""
    forgets = model.board not in ("pico_w", "pico2_w")
    # firmware/agent/duty.py: from deep sleep a board starts anew
    shortest = 4 if forgets else 0.1
    if every_s < shortest:
        yield ("sample", "every"), f"{every_s:g} s are too few to sleep in: from {shortest:g} s on it does"
    for index, sensor in enumerate(model.sensors):
        if sensor.driver == "rssi":
            yield (
                ("sensors", index),
                "rssi cannot be read while the radio is off, as it is when a node that sleeps takes its samples: leave "
                "it out, health.every reports that of the last link",
            )
    if forgets and model.queue.commit_samples > 1:
        yield ("queue", "commit_samples"), f"{model.board} forgets its RAM in sleep: each sample is written at once"
