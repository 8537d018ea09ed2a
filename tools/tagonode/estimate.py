"""What a config will cost: records, requests and bytes a month, wear of the flash, the outage that its queue covers.

Pure: from a board's settings, as the board reads them, and the size of its flash. Each figure comes with its
arithmetic. A month has 30 days. Rates are the highest that the config allows: a `delta` filter may report less.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tagonode import device

MONTH_S = 30 * 86400
YEAR_S = 365.25 * 86400

# POST /data, requests a minute of all devices of a profile together (TagoIO, "Rate limits")
PLANS = {"Free": 250, "Starter": 5000, "Scale": 15000}
MUTABLE_RECORDS = 50_000  # that a mutable device holds
IMMUTABLE_RECORDS = 36_000_000

# Measured (host_tests/bench/uplink.py): what TLS adds to a body, what head and answer of a request come to, and a new
# connection with a chain of two RSA-2048 certificates. Bytes of both directions; TCP/IP's own headers are not in them.
TLS_FACTOR = 1.006
REQUEST_BYTES = 560
CONNECTION_BYTES = 3222
# A server closes a connection on which nothing happens for so long: a longer pause costs a new one.
IDLE_S = 60

# Fitted to runs of host_tests/bench/spool_wear.py (3, 5, 8 readings; 1, 3, 6 samples a commit; 4 to 41 an upload), by
# bytes that the flash is programmed at once: erases that a commit costs, an upload, a sample, and a byte of it.
WEAR = {32: (0.041, 0.034, 0.0, 0.00074), 256: (0.091, 0.14, 0.002, 0.00061)}
# Erases that a block of the boards' flash stands: W25Q16JV and its like on a Pico, "min. 100K program-erase cycles per
# sector"; modules of the ESP32 family, "at least 100,000 program/erase cycles" (their datasheets).
ENDURANCE = 100_000
BLOCK = 4096
# Flash that firmware, drivers, roots and settings of a node take, littlefs's blocks counted.
FIRMWARE_BYTES = 409_600

# A sample in the queue: its number, time and CRC (lib/spool/FORMAT.md); and a slot's bytes for samples.
_SAMPLE_BYTES = 11
_SLOT_BYTES = 121
# What the queue needs beside its segments (lib/spool/queue.py).
_QUEUE_OVERHEAD = 20480 + 4096
# Of a segment's bytes what samples fill: the last move into it seldom fits.
_FILLED = 0.85

_TYPICAL = {
    "°C": 21.53,
    "%": 55.5,
    "hPa": 1013.25,
    "ppm": 600,
    "lx": 500,
    "V": 3.9,
    "A": 0.15,
    "W": 0.6,
    "dBm": -67,
    "kg": 12.5,
    "µg/m³": 12,
    "g/m³": 9.4,
    "s": 2_000_000,
    "B": 60_000,
}
_ANY = 123.4


@dataclass(frozen=True)
class Reading:
    """One channel. every_s: seconds between its records at the most frequent; seldom_s: at the least, when a filter
    leaves out what has not changed; json_bytes: of one record in a body; stored_bytes: of its value in the queue."""

    variable: str
    every_s: float
    seldom_s: float
    json_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class Load:
    """What a node does: its readings, seconds between uploads, samples that bring one forward (0: none), bytes of a
    body at most, bytes of the queue, samples of a commit and seconds after which there is one (0: not by time), seconds
    between looks for parameters (0: none)."""

    readings: tuple[Reading, ...]
    upload_s: float
    upload_samples: int
    body_bytes: int
    queue_bytes: int
    commit_samples: int
    commit_s: float
    look_s: float = 0.0
    sleeps: bool = False  # it is off between its samples, and each upload is a new connection

    @property
    def sample_s(self) -> float:
        """Mean seconds between samples that are stored."""
        return 1 / _rate({reading.every_s for reading in self.readings})


@dataclass(frozen=True)
class Flash:
    """size: bytes of the board's file system; program: bytes that are programmed at once, 32 or 256."""

    size: int
    program: int


@dataclass(frozen=True)
class Estimates:
    """A month's figures, unless said otherwise. See `lines` for how they come about."""

    samples: float
    records: float
    requests: float
    connections: float
    upload_s: float  # between two uploads, each of one request or more
    json_bytes: float
    wire_bytes: float
    wire_factor: float
    samples_a_request: float
    requests_a_minute: float
    nodes: dict[str, int]  # that a plan's rate limit takes
    mutable_days: float  # until a mutable device is full
    immutable_years: float
    erases_a_sample: float
    free_blocks: int
    flash_years: float
    stored_bytes: float  # of a sample in the queue
    held_samples: int
    outage_s: float


def _rate(every_s: Iterable[float]) -> float:
    """Points a second at which at least one of several grids has a point: all begin at the same moment."""
    intervals = sorted({max(1, round(each * 1000)) for each in every_s})
    # a multiple of another interval adds no point
    intervals = [each for each in intervals if not any(each % other == 0 for other in intervals if other < each)]
    if len(intervals) > 10:
        return min(sum(1000 / each for each in intervals), 1000.0)
    total = 0.0
    for count in range(1, len(intervals) + 1):
        for some in combinations(intervals, count):
            total += (-1) ** (count + 1) * 1000 / math.lcm(*some)
    return total


def load_of(settings: dict[str, Any]) -> Load:
    """From a board's settings (NodeConfig.device_settings())."""
    everybodys = settings["sample.every"]
    rows = [(row, sensor.get("every", everybodys)) for sensor in settings["sensors"] for row in sensor["channels"]]
    for derived in settings.get("derived", ()):
        # it is made of the readings of one pass: where all of its sources are read
        rows.append((derived["channel"], math.lcm(*(rows[index][1] for index in derived["from"]))))
    if settings["health.every"]:
        taken = {row[0] for row, _ in rows}
        health = device.load("agent.health").Health(settings["health.every"], taken)
        # those of failed attempts are the exception
        rows += [(list(row), health.every_ms) for row in health.channels if not row[0].startswith("failed_")]
    a_year = round(YEAR_S * _rate(every / 1000 for _, every in rows))
    return Load(
        tuple(_reading(row, every, len(str(a_year))) for row, every in rows),
        settings["upload.every"] / 1000,
        settings["upload.samples"],
        settings["upload.body"],
        settings["queue.bytes"],
        settings["queue.commit_samples"],
        settings["queue.commit_every"] / 1000,
        settings["remote.every"] / 1000,
        settings["duty.on"],
    )


def _reading(row: list[Any], every_ms: int, digits: int) -> Reading:
    """row: [variable, unit, decimals, {steps}?]; digits: of a sample's number."""
    variable, unit, decimals, *steps = row
    seldom_ms = every_ms
    for name, *rest in steps[0].get("filters", ()) if steps else ():
        if name == "window":
            every_ms = max(every_ms, rest[1])
            seldom_ms = max(seldom_ms, rest[1])
        elif name == "delta":
            seldom_ms = max(seldom_ms, rest[1])
    value = _TYPICAL.get(unit, _ANY)
    records = device.load("tagoio.records")
    json_bytes = (
        len('{"variable":"","value":,"time":"2026-01-02T03:04:05.678Z","group":"abcdef_"},')
        + len(records.clean_variable(variable))
        + len(f"{value:.{decimals}f}")
        + (len(b',"unit":' + records.quote(unit)) if unit else 0)
        + digits
    )
    # an integer of its decimals, seven bits a byte, its sign among them
    stored = max(1, math.ceil((2 * abs(round(value * 10**decimals))).bit_length() / 7))
    return Reading(variable, every_ms / 1000, seldom_ms / 1000, json_bytes, stored)


def held_samples(queue_bytes: int, stored_bytes: float) -> int:
    """Samples that are certain to be in a full queue: it gives up one segment at a time."""
    segment = min(max(queue_bytes // 16 // BLOCK * BLOCK, 8192), 32768)
    return int((queue_bytes - _QUEUE_OVERHEAD - segment) * _FILLED // stored_bytes)


def estimate(load: Load, flash: Flash) -> Estimates:
    """The figures of a node on a board with this flash."""
    sample_s = load.sample_s
    samples = MONTH_S / sample_s
    records = sum(MONTH_S / reading.every_s for reading in load.readings)
    json_bytes = sum(MONTH_S / reading.every_s * reading.json_bytes for reading in load.readings)

    upload_s = max(load.upload_s, sample_s)
    if load.upload_samples:
        upload_s = min(upload_s, max(1, load.upload_samples) * sample_s)
    uploads = MONTH_S / upload_s
    requests = uploads * max(1, math.ceil(json_bytes / uploads / load.body_bytes))
    connections = uploads if upload_s >= IDLE_S or load.sleeps else 0
    looks = MONTH_S / max(load.look_s, sample_s if load.look_s >= load.upload_s else 0) if load.look_s else 0
    # those that do not come with an upload have a connection of their own
    connections += looks if IDLE_S <= load.look_s < load.upload_s else 0
    wire_bytes = json_bytes * TLS_FACTOR + (requests + looks) * REQUEST_BYTES + connections * CONNECTION_BYTES

    stored = _SAMPLE_BYTES + sum(reading.stored_bytes * sample_s / reading.every_s for reading in load.readings)
    a_request = samples / requests
    at_once = min(load.commit_samples, max(1, _SLOT_BYTES / stored), max(1, a_request))
    if load.commit_s:
        at_once = min(at_once, max(1, math.ceil(load.commit_s / sample_s)))
    a_commit, an_upload, a_sample, a_byte = WEAR[flash.program]
    erases = a_commit / at_once + an_upload / a_request + a_sample + a_byte * stored
    free_blocks = max(1, (flash.size - FIRMWARE_BYTES - load.queue_bytes) // BLOCK)
    held = held_samples(load.queue_bytes, stored)
    return Estimates(
        samples=samples,
        records=records,
        requests=requests,
        connections=connections,
        upload_s=upload_s,
        json_bytes=json_bytes,
        wire_bytes=wire_bytes,
        wire_factor=wire_bytes / json_bytes,
        samples_a_request=a_request,
        requests_a_minute=requests * 60 / MONTH_S,
        nodes={plan: int(limit / (requests * 60 / MONTH_S)) for plan, limit in PLANS.items()},
        mutable_days=MUTABLE_RECORDS / records * 30,
        immutable_years=IMMUTABLE_RECORDS / records * MONTH_S / YEAR_S,
        erases_a_sample=erases,
        free_blocks=free_blocks,
        flash_years=free_blocks * ENDURANCE / (samples * erases) * MONTH_S / YEAR_S,
        stored_bytes=stored,
        held_samples=held,
        outage_s=held * sample_s,
    )


def shown_time(seconds: float) -> str:
    """A stretch of time in the unit that suits it: "90 s", "12 hours", "8.5 years"."""
    units = ((YEAR_S, "years"), (86400, "days"), (3600, "hours"), (60, "minutes"))
    for unit, name in units:
        if seconds >= 2 * unit:
            return f"{_round(seconds / unit)} {name}"
    return f"{_round(seconds)} s"


def _round(number: float) -> str:
    """With three digits, or all that a larger number has before its point."""
    if number >= 99.95:
        return f"{number:,.0f}"
    digits = 1 if number >= 9.995 else 2
    text = f"{number:.{digits}f}".rstrip("0").rstrip(".")
    return text or "0"


def _bytes(number: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if number >= unit:
            return f"{_round(number / unit)} {name}"
    return f"{_round(number)} bytes"


def lines(load: Load, result: Estimates) -> list[tuple[str, str, str]]:
    """(what, figure, the arithmetic behind it) of each estimate, for people."""
    groups = Counter(reading.every_s for reading in load.readings)
    readings = " + ".join(
        f"{count} reading{'s' if count > 1 else ''} × {MONTH_S:,} s ÷ {_round(every)} s"
        for every, count in sorted(groups.items())
    )
    at_most = "at most, as filters leave out what has not changed: " if _is_filtered(load) else ""
    batch = f"{_round(result.samples_a_request)} sample{'' if result.samples_a_request == 1 else 's'}"
    body = _bytes(result.json_bytes / result.requests)
    nodes = ", ".join(f"{count:,} nodes on {plan} ({PLANS[plan]:,})" for plan, count in result.nodes.items())
    requests = f"{result.requests:,.0f}"
    connections = ", one connection that stays open"
    if result.connections:
        connections = f" + {result.connections:,.0f} connections × {CONNECTION_BYTES:,}"
    a_thousand = result.erases_a_sample * result.samples / result.records * 1000
    return [
        ("records a month", f"{result.records:,.0f}", f"{at_most}{readings}; each is one data input of TagoIO's"),
        ("requests a month", requests, f"one every {shown_time(MONTH_S / result.requests)}, of {batch}, {body}"),
        (
            "rate limit",
            f"{_round(result.requests_a_minute)} a minute",
            f"of those that TagoIO takes a minute of all your devices together: enough for {nodes}",
        ),
        (
            "room at TagoIO",
            shown_time(result.immutable_years * YEAR_S),
            f"{IMMUTABLE_RECORDS:,} records of an immutable device ÷ {result.records:,.0f} a month; a mutable one, of "
            f"{MUTABLE_RECORDS:,}, is full after {shown_time(result.mutable_days * 86400)}",
        ),
        (
            "bytes a month",
            _bytes(result.wire_bytes),
            f"{_bytes(result.json_bytes)} of JSON ({_round(result.json_bytes / result.records)} bytes a record) × "
            f"{TLS_FACTOR} + {requests} requests × {REQUEST_BYTES}{connections}: {result.wire_factor:.2f} × the JSON; "
            "TCP/IP's own headers, about 5 %, come on top",
        ),
        (
            "flash life",
            shown_time(result.flash_years * YEAR_S),
            f"{result.free_blocks:,} blocks beside firmware and a full queue × {ENDURANCE:,} erases each ÷ "
            f"({result.samples:,.0f} samples a month × {result.erases_a_sample:.3f} erases; {a_thousand:.1f} per 1,000 "
            "records)",
        ),
        (
            "outage covered",
            shown_time(result.outage_s),
            f"{result.held_samples:,} samples of {_round(result.stored_bytes)} bytes in a queue of "
            f"{load.queue_bytes:,} × {_round(load.sample_s)} s between samples",
        ),
    ]


def _is_filtered(load: Load) -> bool:
    return any(reading.seldom_s > reading.every_s for reading in load.readings)
