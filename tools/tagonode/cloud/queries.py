"""GET /data and DELETE /data: the query string read into a Query, and a Query turned into SQL, both pure.

Source: TagoIO API, "Getting Data" and "Deleting Data"; both official SDKs for the spellings they send.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from tagonode.cloud import times
from tagonode.cloud.rules import Refused

QTY = 15
QTY_MAX = 10_000
ALL = -1  # LIMIT -1 is "no limit" in SQLite

# kind: (what it needs of a record, what it is ordered by, newest or highest first), one record per variable
_NUMBER = "typeof(value) IN ('integer','real')"
ONE_PER_VARIABLE = {
    "last_item": ("1", "time DESC, number DESC"),
    "first_item": ("1", "time, number"),
    "last_value": ("value IS NOT NULL", "time DESC, number DESC"),
    "first_value": ("value IS NOT NULL", "time, number"),
    "last_location": ("location IS NOT NULL", "time DESC, number DESC"),
    "first_location": ("location IS NOT NULL", "time, number"),
    "last_insert": ("1", "number DESC"),
    "first_insert": ("1", "number"),
    "min": (_NUMBER, "value, time DESC, number DESC"),
    "max": (_NUMBER, "value DESC, time DESC, number DESC"),
}
NUMBERS = {
    "count": "count(*)",
    "sum": f"total(value) FILTER (WHERE {_NUMBER})",
    "avg": f"avg(value) FILTER (WHERE {_NUMBER})",
}
AGGREGATES = ("avg", "sum", "min", "max")
CONDITIONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "ne": "<>"}
LISTS = ("default", "defaultQ", "conditional")

_DAY = "date(time / 1000.0, 'unixepoch')"
_FLOOR = "time - ((time % {0}) + {0}) % {0}"
INTERVALS = {
    "minute": _FLOOR.format(60_000),
    "hour": _FLOOR.format(3_600_000),
    "day": _FLOOR.format(86_400_000),
    "week": f"date({_DAY}, 'weekday 0', '-6 days')",
    "month": f"date({_DAY}, 'start of month')",
    "quarter": f"date({_DAY}, 'start of month', (-((strftime('%m', {_DAY}) - 1) % 3)) || ' months')",
    "year": f"date({_DAY}, 'start of year')",
}

COLUMNS = 'number, variable, time, "group", value, unit, location, metadata, created_at'
MONTH_AND_A_BIT = int(1.1 * 30.436875 * times.DAY_MS)  # the longest span that min, max, sum and avg may cover

_KEY = re.compile(r"([A-Za-z_]+)(?:\[\d*\])?")
_JSON_NUMBER = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?")
_PLURAL = {"variable": "variables", "group": "groups", "serie": "groups", "series": "groups", "id": "ids"}
_LISTED = ("variables", "groups", "ids", "values")


@dataclass(frozen=True, slots=True)
class Query:
    """One GET /data as asked for. Times in ms; `qty` is ALL for no limit; `operand` belongs to `function`."""

    kind: str = "default"
    variables: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    qty: int = QTY
    skip: int = 0
    ascending: bool = False
    details: bool = False
    function: str = ""
    interval: str = ""
    operand: float = 0


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:20]) <= most:
        raise Refused(400, f"{name} must be a whole number between {least} and {most}")
    return int(text)


def _number(text: str) -> float | None:
    return float(text) if _JSON_NUMBER.fullmatch(text) else None


def _choice(name: str, text: str, allowed: Any) -> str:
    if text not in allowed:
        raise Refused(400, f"{name} must be one of {', '.join(allowed)}")
    return text


def read(pairs: list[tuple[str, str]], now: int, immutable: bool = False, delete: bool = False) -> Query:
    """The Query that the decoded pairs of a query string ask for. Unknown parameters are ignored.

    Lists come as `variable=a`, `variables=a`, repeated, as `variable[]=a` or as `variables[0]=a`.
    `delete`: as DELETE /data reads it, where `qty=all` is allowed. Raises Refused 400.
    """
    lists: dict[str, list[str]] = {name: [] for name in _LISTED}
    single: dict[str, str] = {}
    for key, text in pairs:
        match = _KEY.fullmatch(key)
        if not match:
            continue
        name = _PLURAL.get(match[1], match[1])
        if name in lists:
            lists[name].append(text)
        else:
            single[name] = text
            if name == "value":
                lists["values"].append(text)

    kind = single.get("query") or "default"
    if kind not in (*LISTS, "aggregate", *ONE_PER_VARIABLE, *NUMBERS):
        raise Refused(400, f"Invalid query {kind!r:.40}")
    if delete and kind not in LISTS and kind not in ONE_PER_VARIABLE:
        raise Refused(400, "Invalid query")
    if lists["ids"] and immutable:
        raise Refused(400, "Filter using ID(s) is not supported on Immutable Storage Type")

    zone: tzinfo = UTC
    if single.get("timezone"):
        try:
            zone = ZoneInfo(single["timezone"])
        except (KeyError, ValueError, OSError) as error:
            raise Refused(400, "Invalid timezone") from error
    bounds = {}
    for name in ("start_date", "end_date"):
        if single.get(name):
            try:
                bounds[name] = times.parse_bound(single[name], now, name == "end_date", zone)
            except (ValueError, OverflowError) as error:
                raise Refused(400, f"Invalid {name}") from error

    qty = single.get("qty", "")
    order = (single.get("ordination") or "descending").lower()
    detail = single.get("details", single.get("detail", "")).lower()
    query = Query(
        kind=kind,
        variables=tuple(dict.fromkeys(name.lower() for name in lists["variables"] if name)),
        groups=tuple(lists["groups"]),
        ids=tuple(lists["ids"]),
        values=tuple(lists["values"]),
        start=bounds.get("start_date"),
        end=bounds.get("end_date"),
        qty=ALL if delete and qty == "all" else _whole("qty", qty, 1, QTY_MAX) if qty else QTY,
        skip=_whole("skip", single["skip"], 0, 2**53) if single.get("skip") else 0,
        ascending=_choice("ordination", order, ("descending", "ascending", "desc", "asc")).startswith("asc"),
        details=detail in ("true", "1"),
    )
    if kind in ("sum", "avg", "conditional") and query.start is None:
        raise Refused(400, "start_date field is required")
    if kind in ("sum", "avg", "min", "max") and query.start is not None:
        end = now if query.end is None else query.end
        if end - query.start > MONTH_AND_A_BIT:
            raise Refused(400, "The range between start_date and end_date must be at most one month")
    if kind == "aggregate":
        return replace(
            query,
            function=_choice("function", single.get("function", ""), AGGREGATES),
            interval=_choice("interval", single.get("interval", ""), INTERVALS),
            qty=query.qty if qty else QTY_MAX,
        )
    if kind == "conditional":
        operand = _number(single.get("value", ""))
        if operand is None:
            raise Refused(400, "value must be a number")
        function = _choice("function", single.get("function", ""), CONDITIONS)
        return replace(query, function=function, operand=operand, values=())
    return query


def _marks(items: Any) -> str:
    return ",".join("?" * len(items))


def _filters(query: Query, number_of: Callable[[str], int]) -> tuple[str, list[Any]]:
    """The conditions, other than device and variable, each as " AND …", and their arguments."""
    text = ""
    arguments: list[Any] = []
    if query.groups:
        text += f' AND "group" IN ({_marks(query.groups)})'
        arguments += query.groups
    if query.ids:
        text += f" AND number IN ({_marks(query.ids)})"
        arguments += map(number_of, query.ids)
    if query.values:
        candidates: list[Any] = []
        for value in query.values:  # a query string has no types: 25 finds the number and the text
            candidates.append(value)
            if (number := _number(value)) is not None:
                candidates.append(number)
            if value.lower() in ("true", "false"):
                candidates.append(b"\1" if value.lower() == "true" else b"\0")
        text += f" AND value IN ({_marks(candidates)})"
        arguments += candidates
    if query.start is not None:
        text += " AND time >= ?"
        arguments.append(query.start)
    if query.end is not None:
        text += " AND time <= ?"
        arguments.append(query.end)
    if query.kind == "conditional":
        text += f" AND {_NUMBER} AND value {CONDITIONS[query.function]} ?"
        arguments.append(query.operand)
    return text, arguments


def build(query: Query, device: int, number_of: Callable[[str], int], columns: str = COLUMNS) -> tuple[str, list[Any]]:
    """(SQL, arguments) for a Query on the device with row number `device`.

    `number_of` gives the row number for a record's id. Records come as `columns`, numbers as one row of one
    column, buckets as (start, value).
    """
    filters, arguments = _filters(query, number_of)
    # left to itself, SQLite walks through a device's whole time for the sake of the order
    source = "data NOT INDEXED" if query.ids else "data INDEXED BY data_group" if query.groups else "data"
    named = f" AND variable IN ({_marks(query.variables)})" if query.variables else ""
    where = f"device = ?{named}{filters}"
    scope = [device, *query.variables, *arguments]

    if query.kind in NUMBERS:
        return f"SELECT {NUMBERS[query.kind]} FROM {source} WHERE {where}", scope
    if query.kind == "aggregate":
        way = "ASC" if query.ascending else "DESC"
        return (
            f"SELECT {INTERVALS[query.interval]} AS start, {query.function}(value) FROM {source} "
            f"WHERE {where} AND {_NUMBER} GROUP BY start ORDER BY start {way} LIMIT ? OFFSET ?",
            [*scope, query.qty, query.skip],
        )

    order = "time, number" if query.ascending else "time DESC, number DESC"
    one_variable = f"SELECT number FROM {source} WHERE device = ? AND variable = name.variable{filters}"
    if query.kind in ONE_PER_VARIABLE:
        need, pick = ONE_PER_VARIABLE[query.kind]
        chosen = f"{one_variable} AND {need} ORDER BY {pick} LIMIT 1"
        limits: list[Any] = []
    elif len(query.variables) > 1:  # qty and skip count for each variable
        chosen = f"{one_variable} ORDER BY {order} LIMIT ? OFFSET ?"
        limits = [query.qty, query.skip]
    else:
        return f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?", [
            *scope,
            query.qty,
            query.skip,
        ]

    if query.variables:
        names = f"VALUES {','.join(['(?)'] * len(query.variables))}"
        named_arguments: list[Any] = list(query.variables)
    else:  # hop through the index from name to name rather than reading every row
        names = (
            "SELECT min(variable) FROM data WHERE device = ? UNION ALL "
            "SELECT (SELECT min(variable) FROM data WHERE device = ? AND variable > name.variable) FROM name "
            "WHERE name.variable IS NOT NULL"
        )
        named_arguments = [device, device]
    columns = ", ".join(f"data.{column.strip()}" for column in columns.split(","))
    return (
        f"WITH RECURSIVE name (variable) AS ({names}) SELECT {columns} FROM name CROSS JOIN data "
        f"WHERE data.number IN ({chosen}) ORDER BY {', '.join(f'data.{part}' for part in order.split(', '))}",
        [*named_arguments, device, *arguments, *limits],
    )


def bucket_time(start: int | str) -> str:
    """The time of an aggregate's bucket, as answered: `start` is ms, or a date for the calendar intervals."""
    return times.iso8601(start) if isinstance(start, int) else f"{start}T00:00:00.000Z"
