"""TagoIO's rules for data: what one record may hold, what a whole body may hold, and how both are refused.

Pure functions without I/O. One bad record refuses the whole body, as the API does. Sizes given in kB by the
documentation are read as thousands of bytes, the stricter way: what passes here passes there.

Source: TagoIO API, "Sending Data" (field table and limits); TagoCore's input schemas for what the table
leaves open.
"""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any, NamedTuple

from tagonode.cloud import times

VARIABLE_CHARACTERS = 100
UNIT_CHARACTERS = 25
GROUP_CHARACTERS = 100
VALUE_BYTES = 6_000
METADATA_BYTES = 10_000
BODY_BYTES = 200_000
MUTABLE_RECORDS = 50_000
EDITS_PER_CALL = 25
FORBIDDEN = frozenset("*?!<>.-=$ ")

_INT64 = 2**63
_OBJECT = "Body must be a JSON object or an array of objects"


class Refused(Exception):
    """The API's answer to a request it does not accept: an HTTP status and the text of `message`."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message


class Record(NamedTuple):
    """One checked record. `value` is str, int, float, bool or None; `location` is (lng, lat)."""

    variable: str
    value: Any
    unit: str | None
    time: int
    group: str
    location: tuple[Any, Any] | None
    metadata: str | None


# -- JSON --------------------------------------------------------------------------------------------


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 16 else _real(text)


def _real(text: str) -> int | float:
    # JavaScript on the other side: every number is a double, and a whole one is printed without ".0"
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("number too large")
    return int(number) if number.is_integer() and abs(number) < _INT64 else number


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def read_json(body: bytes) -> Any:
    """The JSON value of a request body, its numbers as doubles. NaN and infinities are not JSON.

    Raises Refused 400.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_int=_integer, parse_float=_real, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise Refused(400, "Body is not valid UTF-8") from error
    except RecursionError as error:
        raise Refused(400, "Body is nested too deeply") from error
    except ValueError as error:
        raise Refused(400, f"Body is not valid JSON: {error}") from error


def write_json(value: Any) -> str:
    """Compact JSON text of `value`, as stored and as answered."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def whole_text(text: str) -> str:
    """The text, half surrogate pairs replaced."""
    # half of a surrogate pair is legal in a JSON escape and in no UTF-8 text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


# -- fields ------------------------------------------------------------------------------------------


def check_variable(value: Any) -> str:
    """The stored form of a variable's name, lower case. Raises ValueError naming the fault."""
    if not isinstance(value, str):
        raise ValueError("is required and must be a string")
    name = whole_text(value).lower()
    if not name:
        raise ValueError("must not be empty")
    if len(name) > VARIABLE_CHARACTERS:
        raise ValueError(f"must be at most {VARIABLE_CHARACTERS} characters")
    if not FORBIDDEN.isdisjoint(name):
        bad = " ".join(repr(c) for c in sorted(FORBIDDEN.intersection(name)))
        raise ValueError(f"must not contain {bad}")
    return name


def check_value(value: Any) -> Any:
    """A string of up to 6 kB, a number or a boolean, unchanged. Raises ValueError."""
    if isinstance(value, str):
        value = whole_text(value)
        if len(value.encode()) > VALUE_BYTES:
            raise ValueError("must be at most 6 kB")
    elif not isinstance(value, int | float):
        raise ValueError("must be a string, a number or a boolean")
    return value


def check_unit(value: Any) -> str:
    """A string of up to 25 characters. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if len(value) > UNIT_CHARACTERS:
        raise ValueError(f"must be at most {UNIT_CHARACTERS} characters")
    return whole_text(value)


def check_group(value: Any) -> str:
    """A string of up to 100 characters. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if len(value) > GROUP_CHARACTERS:
        raise ValueError(f"must be at most {GROUP_CHARACTERS} characters")
    return whole_text(value)


def check_serie(value: Any) -> str:
    """The old name of `group`, where a number was allowed too. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return write_json(value)
    return check_group(value)


def check_time(value: Any) -> int:
    """Milliseconds since 1970 from a text or from an epoch number in milliseconds. Raises ValueError."""
    if isinstance(value, str):
        try:
            return times.parse(value)[0]
        except ValueError as error:
            raise ValueError("must be an ISO 8601 date or a number of milliseconds") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be an ISO 8601 date or a number of milliseconds")
    if not times.EARLIEST <= value <= times.LATEST:
        raise ValueError("is out of range")
    return int(value)


def _coordinate(value: Any, name: str, limit: int) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number")
    if not -limit <= value <= limit:
        raise ValueError(f"{name} must be between -{limit} and {limit}")
    return value


def check_location(value: Any) -> tuple[Any, Any]:
    """(longitude, latitude) from `{"lat", "lng"}` or from a GeoJSON Point, whose order is longitude first.

    Raises ValueError.
    """
    if not isinstance(value, dict):
        raise ValueError("must be {lat, lng} or a GeoJSON Point")
    if "coordinates" in value:
        kind = value.get("type")
        coordinates = value["coordinates"]
        if kind is not None and not (isinstance(kind, str) and kind.lower() == "point"):
            raise ValueError("type must be Point")
        if not isinstance(coordinates, list) or len(coordinates) != 2:
            raise ValueError("coordinates must be [longitude, latitude]")
        longitude, latitude = coordinates
    elif "lat" in value and "lng" in value:
        longitude, latitude = value["lng"], value["lat"]
    else:
        raise ValueError("must be {lat, lng} or a GeoJSON Point")
    return _coordinate(longitude, "longitude", 180), _coordinate(latitude, "latitude", 90)


def check_metadata(value: Any) -> str:
    """The JSON text, up to 10 kB, of an object or an array. Raises ValueError."""
    if not isinstance(value, dict | list):
        raise ValueError("must be an object")
    text = whole_text(write_json(value))
    if len(text.encode()) > METADATA_BYTES:
        raise ValueError("must be at most 10 kB")
    return text


# field: (check, whether null counts as absent)
_FIELDS = {
    "value": (check_value, False),
    "unit": (check_unit, False),
    "time": (check_time, True),
    "group": (check_group, True),
    "serie": (check_serie, False),
    "location": (check_location, True),
    "metadata": (check_metadata, False),
}


def _fields(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Refused(400, f"{where or 'record'}: {_OBJECT}")
    checked = {}
    for name, (check, nullable) in _FIELDS.items():
        if name not in item or (nullable and item[name] is None):
            continue
        try:
            checked[name] = check(item[name])
        except ValueError as error:
            raise Refused(400, f"{where}{name} {error}") from error
    return checked


def check_record(item: Any, now: int, default_group: str, where: str = "") -> Record:
    """One record of a POST. `where` precedes the field's name in the text of a refusal.

    Raises Refused 400.
    """
    fields = _fields(item, where)
    try:
        variable = check_variable(item.get("variable"))
    except ValueError as error:
        raise Refused(400, f"{where}variable {error}") from error
    return Record(
        variable,
        fields.get("value"),
        fields.get("unit"),
        fields.get("time", now),
        fields.get("group") or fields.get("serie") or default_group,
        fields.get("location"),
        fields.get("metadata"),
    )


def new_id() -> str:
    """An id as the API makes them: 24 hexadecimal digits."""
    return secrets.token_hex(12)


def check_records(body: Any, now: int) -> list[Record]:
    """Every record of a POST body, or none: the first bad one raises Refused 400, which names it."""
    if isinstance(body, dict):
        return [check_record(body, now, new_id())]
    if not isinstance(body, list):
        raise Refused(400, _OBJECT)
    group = new_id()
    if len(body) == 1:
        return [check_record(body[0], now, group)]
    return [check_record(item, now, group, f"[{i}].") for i, item in enumerate(body)]


def check_edits(body: Any) -> list[tuple[str, dict[str, Any]]]:
    """(id, changed fields) for each item of a PUT body, at most 25 of them. Raises Refused 400."""
    items = body if isinstance(body, list) else [body]
    if len(items) > EDITS_PER_CALL:
        raise Refused(400, f"You have exceeded the maximum number of {EDITS_PER_CALL} items in a single request")
    edits = []
    for i, item in enumerate(items):
        where = f"[{i}]." if len(items) > 1 else ""
        fields = _fields(item, where)
        if not isinstance(item.get("id"), str):
            raise Refused(400, f"{where}id is required and must be a string")
        serie = fields.pop("serie", None)
        if serie is not None:
            fields.setdefault("group", serie)
        edits.append((item["id"], fields))
    return edits


def retention_start(now: int, period: str, retention: int) -> int:
    """Unix ms from which on an immutable device keeps records: `retention` whole periods back from `now`."""
    unit, count = ("month", 3 * retention) if period == "quarter" else (period, retention)
    return times.to_ms(times.start_of_period(times.shift(times.to_datetime(now), -count, unit), period))


def check_retention(records: list[Record], now: int, period: str, retention: int) -> None:
    """An immutable device keeps `retention` periods back, and takes times up to the end of tomorrow (UTC).

    Raises Refused 400.
    """
    end = times.start_of_period(times.to_datetime(now), "day") + timedelta(days=2, milliseconds=-1)
    first, last = retention_start(now, period, retention), times.to_ms(end)
    if any(not first <= record.time <= last for record in records):
        raise Refused(400, f"Time must be between {times.to_datetime(first).date()} and {end.date()}")
