"""What the page asks of the database: each node's state, its series, its data as CSV. Read only, no HTTP.

Reads the tables of `store.py` through connections of its own, so that a long question never holds up the API.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import queue
import re
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tagonode.cloud import times

RAW_POINTS = 1_000  # of one variable: above that they are gathered into BUCKETS, with lowest and highest of each
BUCKETS = 600
VARIABLES = 60  # of one node
TEXTS = 100  # newest values that are no numbers
GAP = 3.5  # times the usual distance between samples
RECOUNT_S = 60
CSV_ROWS = 2_000  # at a time
HABIT_SAMPLES, HABIT_S = 16, 5  # known from so many samples, a node's habits are looked up no more often than that
LATE_MS = 604_800_000  # a sample that arrives later than that is not shown by its arrival

# what tells the state of a node, by the names that a reading or a key of its metadata may have
ROLES = {
    "queue": ("queue_depth", "queue", "queued"),
    "rssi": ("rssi",),
    "battery": ("battery", "battery_voltage", "state_of_charge", "vsys"),
    "version": ("firmware", "firmware_version", "version"),
}
TREND = ("temperature", "humidity", "pressure")  # whose newest values the overview draws, else of another number
TREND_POINTS = 40
NEWS_VARIABLES = ("alarm", "crash")  # worth telling for a day
ALARM = "alarm"  # the end of an alarm's name, temperature_alarm
_STARTED = re.compile(r"\bTagoNode (\S+) on\b")  # in the event with which a node tells that it has started
LOW = {"V": 3.3, "%": 20.0}  # battery
WEAK_DBM = -85
AHEAD_MS = 120_000  # a sample's time may lie so far in the future

_LATEST = """
WITH RECURSIVE name(v) AS (
    SELECT min(variable) FROM data WHERE device = :device
    UNION ALL SELECT (SELECT min(variable) FROM data WHERE device = :device AND variable > name.v)
    FROM name WHERE name.v IS NOT NULL)
SELECT variable, value, unit, time, created_at, metadata FROM name JOIN data ON number = (
    SELECT number FROM data WHERE device = :device AND variable = name.v ORDER BY time DESC, number DESC LIMIT 1)
WHERE name.v IS NOT NULL LIMIT :most"""
_NUMBER = "typeof(value) IN ('integer', 'real')"


class Node(NamedTuple):
    """A device's row, as far as the page shows it."""

    number: int
    id: str
    name: str
    type: str
    active: int
    created_at: int
    updated_at: int
    last_input: int | None


class Habits(NamedTuple):
    """How a node behaves: ms between samples and between uploads (None: not known yet), newest sample's time."""

    sample_ms: float | None
    upload_ms: float | None
    last_sample: int | None


def _width(span: tuple[int, int]) -> int:
    return max(1, (span[1] - span[0]) // BUCKETS)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value != b"\0"
    return value


def _rhythm(moments: list[int], least: float = 0) -> float | None:
    gaps = [b - a for a, b in zip(moments, moments[1:], strict=False) if b - a > least]
    return statistics.median(gaps) if gaps else None


class Overview:
    """Questions to the database file `path`; `now` arguments are Unix ms."""

    def __init__(self, path: Path):
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._counts: dict[int, int] = {}
        self._counted = (0, 0.0)  # up to which record, when
        self._habits: dict[str, tuple[Any, Habits]] = {}
        self._trends: dict[str, tuple[float, dict[str, Any]]] = {}
        self._settled: dict[str, float] = {}  # until when a node's habits need not be looked up
        self._versions: dict[str, tuple[Any, dict[str, Any] | None]] = {}

    def close(self) -> None:
        """Close every connection that is not in use; those in use are closed after it."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    @contextlib.contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        try:
            db = self._idle.get_nowait()
        except queue.Empty:
            db = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=10)
        try:
            yield db
        finally:
            if self._closed:
                db.close()
            else:
                self._idle.put(db)

    # -- nodes ---------------------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """Every device, those that were made first before the others."""
        columns = ", ".join(Node._fields)
        with self._db() as db:
            return [Node(*row) for row in db.execute(f"SELECT {columns} FROM device ORDER BY number")]

    def node(self, identity: str) -> Node | None:
        """The device of this id."""
        return next((node for node in self.nodes() if node.id == identity), None)

    def unread_parameters(self) -> dict[int, int]:
        """{device: how many of its parameters it has not marked as read}"""
        with self._db() as db:
            return dict(db.execute("SELECT device, count(*) FROM parameter WHERE sent = 0 GROUP BY device"))

    def counts(self) -> dict[int, int]:
        """{device: records it holds}. Only what is new is counted, and all of it once in a while."""
        with self._lock, self._db() as db:
            upto, at = self._counted
            full = time.monotonic() - at > RECOUNT_S or not upto
            (newest,) = db.execute("SELECT coalesce(max(number), 0) FROM data").fetchone()
            if full or newest < upto:
                self._counts = dict(db.execute("SELECT device, count(*) FROM data GROUP BY device"))
                self._counted = newest, time.monotonic()
            elif newest > upto:
                rows = db.execute(
                    "SELECT device, count(*) FROM data WHERE number > ? AND number <= ? GROUP BY device", (upto, newest)
                )
                for device, count in rows:
                    self._counts[device] = self._counts.get(device, 0) + count
                self._counted = newest, at
            return dict(self._counts)

    def recount(self) -> None:
        """Records were removed."""
        self._counted = (0, 0.0)

    def latest(self, node: Node) -> dict[str, dict[str, Any]]:
        """{variable: {value, unit, time, arrived, metadata}} of its newest record by time."""
        with self._db() as db:
            rows = db.execute(_LATEST, {"device": node.number, "most": VARIABLES}).fetchall()
        return {
            variable: {
                "value": _plain(value),
                "unit": unit,
                "time": at,
                "arrived": arrived,
                "metadata": json.loads(metadata) if metadata else None,
            }
            for variable, value, unit, at, arrived, metadata in rows
        }

    def habits(self, node: Node) -> Habits:
        """How often it samples and sends, from its newest records."""
        known = self._habits.get(node.id)
        if known and (known[0] == node.last_input or time.monotonic() < self._settled.get(node.id, 0)):
            return known[1]
        with self._db() as db:
            rows = db.execute(
                "SELECT time, created_at FROM data WHERE device = ? ORDER BY time DESC LIMIT 400", (node.number,)
            ).fetchall()
        samples = sorted({at for at, _ in rows})
        sample_ms = _rhythm(samples[-HABIT_SAMPLES:])
        # uploads that follow each other faster than samples come are a backlog's
        upload_ms = _rhythm(sorted({arrived for _, arrived in rows}), (sample_ms or 0) / 2)
        habits = Habits(sample_ms, upload_ms, samples[-1] if samples else None)
        self._habits[node.id] = node.last_input, habits
        if len(samples) >= HABIT_SAMPLES:
            self._settled[node.id] = time.monotonic() + HABIT_S
        return habits

    def version(self, node: Node) -> dict[str, Any] | None:
        """{value, unit, time} of the firmware that a node said it started with; None when it has not."""
        known = self._versions.get(node.id)
        if known and known[0] == node.last_input:
            return known[1]
        with self._db() as db:
            row = db.execute(
                "SELECT value, time FROM data WHERE device = ? AND variable = 'event' AND value LIKE 'started by %' "
                "ORDER BY time DESC, number DESC LIMIT 1",
                (node.number,),
            ).fetchone()
        found = _STARTED.search(row[0]) if row and isinstance(row[0], str) else None
        version = {"value": found[1], "unit": None, "time": row[1]} if found else None
        self._versions[node.id] = node.last_input, version
        return version

    def trend(self, node: Node, latest: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        """{name, values} of the variable that tells most of this node, the oldest first; looked up now and then."""
        known = self._trends.get(node.id)
        if known and time.monotonic() < known[0]:
            return known[1]
        roles = {name for names in ROLES.values() for name in names}
        numbers = [
            name
            for name, one in latest.items()
            if isinstance(one["value"], int | float) and not (name in roles or name.endswith("_" + ALARM))
        ]
        name = next((name for name in TREND if name in numbers), min(numbers, default=None))
        if name is None:
            return None
        with self._db() as db:
            rows = db.execute(
                f"SELECT value FROM data WHERE device = ? AND variable = ? AND {_NUMBER} ORDER BY time DESC LIMIT ?",
                (node.number, name, TREND_POINTS),
            ).fetchall()
        trend = {"name": name, "values": [value for (value,) in reversed(rows)]}
        self._trends[node.id] = time.monotonic() + (HABIT_S if len(rows) == TREND_POINTS else 1), trend
        return trend

    # -- series --------------------------------------------------------------------------------------------

    def series(
        self, node: Node, start: int, end: int, after: int | None = None, arrived: bool = False
    ) -> dict[str, Any]:
        """Numbers of each variable from `start` to `end` (Unix ms) by their time, or by when they `arrived`; in order.

        `{"last": number of the newest record, "first": time of the node's oldest, "variables": [{name, unit, raw, gap,
        t, v, a, lo, hi}]}`: `a` is when it arrived, `gap` ms without a reading that are one; of many points lowest,
        mean and highest of each interval.
        With `after` only records that came after that number, always point by point.
        """
        with self._db() as db:
            (last,) = db.execute("SELECT coalesce(max(number), 0) FROM data").fetchone()
            (first,) = db.execute("SELECT min(time) FROM data WHERE device = ?", (node.number,)).fetchone()
            if after is not None:
                found = self._new_points(db, node, (start, end), (after, last), arrived)
            else:
                found = [self._points(db, node, variable, (start, end), arrived) for variable in self._units(db, node)]
            for one in found:
                one["gap"] = max(self._gap(db, node, one["name"]), 0 if one["raw"] else 3 * _width((start, end)))
        return {"last": last, "first": first, "variables": [one for one in found if one["t"]]}

    @staticmethod
    def _gap(db: sqlite3.Connection, node: Node, name: str) -> float:
        rows = db.execute(
            "SELECT time FROM data WHERE device = ? AND variable = ? ORDER BY time DESC LIMIT 40", (node.number, name)
        )
        return (_rhythm(sorted({at for (at,) in rows})) or 0) * GAP

    def _units(self, db: sqlite3.Connection, node: Node) -> list[tuple[str, str | None]]:
        rows = db.execute(_LATEST, {"device": node.number, "most": VARIABLES}).fetchall()
        return [(row[0], row[2]) for row in rows if isinstance(row[1], int | float)]

    @staticmethod
    def _points(
        db: sqlite3.Connection, node: Node, variable: tuple[str, str | None], span: tuple[int, int], arrived: bool
    ) -> dict[str, Any]:
        name, unit = variable
        column = "created_at" if arrived else "time"
        where = f"device = ? AND variable = ? AND time BETWEEN ? AND ? AND {column} BETWEEN ? AND ? AND {_NUMBER}"
        # there is no index by arrival: the newest week of samples is looked through for it
        key = (node.number, name, span[0] - (LATE_MS if arrived else 0), span[1] + AHEAD_MS, *span)
        one: dict[str, Any] = {"name": name, "unit": unit, "raw": True}
        rows = db.execute(
            f"SELECT time, value, created_at FROM data WHERE {where} ORDER BY {column}, time LIMIT {RAW_POINTS + 1}",
            key,
        ).fetchall()
        if len(rows) > RAW_POINTS:
            one["raw"] = False
            width = _width(span)
            rows = db.execute(
                "SELECT cast(avg(time) AS INTEGER), avg(value), cast(avg(created_at) AS INTEGER), "
                "min(value), max(value) "
                f"FROM data WHERE {where} GROUP BY {column} / {width} ORDER BY {column}",
                key,
            ).fetchall()
            one["lo"], one["hi"] = [row[3] for row in rows], [row[4] for row in rows]
        one["t"], one["v"], one["a"] = ([row[i] for row in rows] for i in range(3))
        return one

    @staticmethod
    def _new_points(
        db: sqlite3.Connection, node: Node, span: tuple[int, int], numbers: tuple[int, int], arrived: bool
    ) -> list[dict[str, Any]]:
        column = "created_at" if arrived else "time"
        rows = db.execute(
            "SELECT variable, unit, time, value, created_at FROM data WHERE number > ? AND number <= ? AND device = ? "
            f"AND {column} BETWEEN ? AND ? AND {_NUMBER} ORDER BY {column}, time",
            (*numbers, node.number, *span),
        )
        found: dict[str, dict[str, Any]] = {}
        for name, unit, at, value, arrived in rows:
            one = found.setdefault(name, {"name": name, "unit": unit, "raw": True, "t": [], "v": [], "a": []})
            one["t"].append(at)
            one["v"].append(value)
            one["a"].append(arrived)
        return list(found.values())

    def texts(self, node: Node) -> list[dict[str, Any]]:
        """The newest records whose value is no number: texts, booleans, places."""
        with self._db() as db:
            rows = db.execute(
                "SELECT variable, value, location, time, created_at FROM "
                "(SELECT * FROM data WHERE device = ? ORDER BY time DESC LIMIT 5000) "
                f"WHERE NOT {_NUMBER} LIMIT {TEXTS}",
                (node.number,),
            ).fetchall()
        return [
            {"variable": name, "value": location if value is None else _plain(value), "time": at, "arrived": arrived}
            for name, value, location, at, arrived in rows
        ]

    # -- export --------------------------------------------------------------------------------------------

    def csv(self, node: Node, start: int, end: int) -> Iterator[str]:
        """Its records by time, as CSV (RFC 4180) in pieces, with a heading."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(("time", "arrived", "variable", "value", "unit", "group", "location", "metadata"))
        last, number = start, -1
        while True:
            # in pieces, for who reads slowly must not hold up the database's housekeeping
            with self._db() as db:
                rows = db.execute(
                    'SELECT number, time, created_at, variable, value, unit, "group", location, metadata FROM data '
                    "WHERE device = ? AND time BETWEEN ? AND ? AND (time > ? OR number > ?) "
                    "ORDER BY time, number LIMIT ?",
                    (node.number, last, end, last, number, CSV_ROWS),
                ).fetchall()
            for number, last, arrived, *rest in rows:  # noqa: B007
                writer.writerow((times.iso8601(last), times.iso8601(arrived), *map(_cell, rest)))
            yield out.getvalue()
            out.seek(0)
            out.truncate()
            if len(rows) < CSV_ROWS:
                return


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    value = _plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return "'" + value
    return value
