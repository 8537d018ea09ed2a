"""A profile's devices, tokens and parameters: what bodies and lists of the account's routes may say, both pure.

Source: TagoIO API, "Managing Devices", "Device Tokens", "Configuration Parameters"; TagoCore's schemas for lengths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tagonode.cloud import rules, times
from tagonode.cloud.rules import Refused

NAME_CHARACTERS = (3, 100)
TEXT_CHARACTERS = 100  # of serial numbers, tags, ids
LONG_CHARACTERS = 65_536  # of descriptions and parsers
TAGS = 30
PARAMETERS = 60
PARAMETER_BYTES = rules.VALUE_BYTES
RETENTION = {"day": 31, "week": 26, "month": 36, "quarter": 36}
PERMISSIONS = ("full", "write", "read", "deny")
EXPIRE_TIME = "1 month"  # of a token that does not say
PROTECTION = "_deletion_protection"  # a tag of this key keeps a device from being deleted
AMOUNT, AMOUNT_MAX = 20, 10_000

_LIST_KEY = re.compile(r"(fields|orderBy)(?:\[(\d*)\])?|filter\[(\w+)\](?:\[(?:\d*\]\[)?(key|value)\])?")
_INDEX = re.compile(r"\[tags\]\[(\d*)\]")


# -- bodies ------------------------------------------------------------------------------------------------


def _text(name: str, value: Any, most: int = TEXT_CHARACTERS, least: int = 0) -> str:
    if not isinstance(value, str):
        raise Refused(400, f"{name} must be a string")
    if not least <= len(value) <= most:
        raise Refused(400, f"{name} must have {least} to {most} characters")
    return rules.whole_text(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Refused(400, f"{name} must be true or false")
    return value


def _choice(name: str, value: Any, allowed: Any) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise Refused(400, f"{name} must be one of {', '.join(allowed)}")
    return value


def check_tags(value: Any) -> list[dict[str, str]]:
    """At most 30 {key, value}, both texts. Raises Refused 400."""
    if not isinstance(value, list):
        raise Refused(400, "tags must be an array")
    if len(value) > TAGS:
        raise Refused(400, f"tags must be at most {TAGS}")
    tags = []
    for i, tag in enumerate(value):
        if not isinstance(tag, dict):
            raise Refused(400, f"tags[{i}] must be {{key, value}}")
        tags.append(
            {
                "key": _text(f"tags[{i}].key", tag.get("key"), least=1),
                "value": _text(f"tags[{i}].value", tag.get("value")),
            }
        )
    return tags


def check_parameters(body: Any, where: str = "") -> list[dict[str, Any]]:
    """[{id?, key?, value?, sent?}] of one object or an array of them: with an id an edit, else both texts are there.

    A number or a boolean as value becomes its text. Raises Refused 400.
    """
    items = body if isinstance(body, list) else [body]
    if len(items) > PARAMETERS:
        raise Refused(400, f"{where or 'params'} must be at most {PARAMETERS}")
    checked = []
    for i, item in enumerate(items):
        name = f"{where or 'params'}[{i}]"
        if not isinstance(item, dict):
            raise Refused(400, f"{name} must be an object")
        row: dict[str, Any] = {}
        if item.get("id") not in (None, ""):
            row["id"] = _text(f"{name}.id", item["id"])
        if "key" in item or "id" not in row:
            row["key"] = _text(f"{name}.key", item.get("key"), least=1)
        if "value" in item or "id" not in row:
            value = item.get("value", "")
            if isinstance(value, bool | int | float):
                value = rules.write_json(value)
            row["value"] = _text(f"{name}.value", value, PARAMETER_BYTES)
        if item.get("sent") is not None:
            row["sent"] = _flag(f"{name}.sent", item["sent"])
        checked.append(row)
    return checked


def _device_fields(body: Any) -> dict[str, Any]:
    """What creating and editing a device have in common; null counts as absent."""
    if not isinstance(body, dict):
        raise Refused(400, "Body must be a JSON object")
    given = {name: value for name, value in body.items() if value is not None}
    fields: dict[str, Any] = {}
    if "name" in given:
        fields["name"] = _text("name", given["name"], NAME_CHARACTERS[1], NAME_CHARACTERS[0])
    for name in ("network", "connector", "serie_number"):
        if name in given:
            fields[name] = _text(name, given[name]) or None
    for name in ("description", "payload_decoder"):
        if name in given:
            fields[name] = _text(name, given[name], LONG_CHARACTERS)
    for name in ("active", "visible"):
        if name in given:
            fields[name] = _flag(name, given[name])
    if "tags" in given:
        fields["tags"] = check_tags(given["tags"])
    if "chunk_retention" in given:
        fields["chunk_retention"] = given["chunk_retention"]  # its range depends on the period
    return fields


def check_retention(period: str, retention: Any) -> int:
    """How many periods an immutable device keeps. Raises Refused 400."""
    most = RETENTION[period]
    if isinstance(retention, str) and retention.isascii() and retention.isdigit():
        retention = int(retention[:4])
    if isinstance(retention, bool) or not isinstance(retention, int) or not 0 <= retention <= most:
        raise Refused(400, f"chunk_retention must be a whole number between 0 and {most} for {period}")
    return retention


def check_storage(body: dict[str, Any]) -> dict[str, Any]:
    """type, chunk_period and chunk_retention of a new or converted device. Raises Refused 400."""
    kind = _choice("type", body.get("type") or "mutable", ("mutable", "immutable"))
    if kind == "mutable":
        return {"type": kind, "chunk_period": None, "chunk_retention": None}
    period = _choice("chunk_period", body.get("chunk_period") or "month", RETENTION)
    retention = body.get("chunk_retention")
    return {
        "type": kind,
        "chunk_period": period,
        "chunk_retention": RETENTION[period] if retention is None else check_retention(period, retention),
    }


def check_device(body: Any) -> dict[str, Any]:
    """The fields of POST /device, for Store.create_device. Raises Refused 400."""
    fields = _device_fields(body)
    if "name" not in fields:
        raise Refused(400, "name is required and must be a string")
    fields.update(check_storage(body))
    if body.get("configuration_params") is not None:
        given = body["configuration_params"]
        if not isinstance(given, list):
            raise Refused(400, "configuration_params must be an array")
        fields["parameters"] = [
            {name: row[name] for name in row if name != "id"}
            for row in check_parameters(given, "configuration_params")
            if "key" in row
        ]
    return fields


def check_device_edit(body: Any) -> dict[str, Any]:
    """The fields of PUT /device/:id. Raises Refused 400; a retention's range is checked against its device later."""
    return _device_fields(body)


@dataclass(frozen=True, slots=True)
class NewToken:
    """POST /device/token as asked for. `expires_at` in ms, None for never."""

    device: str
    name: str
    permission: str
    serial: str | None
    expires_at: int | None


def check_token(body: Any, now: int) -> NewToken:
    """The body of POST /device/token. Raises Refused 400."""
    if not isinstance(body, dict):
        raise Refused(400, "Body must be a JSON object")
    expire = body.get("expire_time") or EXPIRE_TIME
    expires_at = None
    if expire != "never":
        try:
            expires_at = times.parse_bound(_text("expire_time", expire), now, end=True)
        except (ValueError, OverflowError) as error:
            raise Refused(400, 'expire_time must be "never", a date, or a span such as "1 day"') from error
    serial = body.get("serie_number")
    return NewToken(
        device=_text("device", body.get("device"), least=1),
        name=_text("name", body.get("name") or "Token"),
        permission=_choice("permission", body.get("permission") or "full", PERMISSIONS),
        serial=None if serial is None else _text("serie_number", serial) or None,
        expires_at=expires_at,
    )


# -- lists -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One page of a list: `where` and `arguments` are SQL, `fields` what was asked for, () for the route's own."""

    where: str
    arguments: tuple[Any, ...]
    order: str
    page: int
    amount: int
    fields: tuple[str, ...]
    serial: str
    bucket_names: bool


_TEXTS = ("id", "connector", "network", "type", "token", "permission", "serie_number")
_FLAGS = ("visible", "active")
_SINCE = ("updated_at", "created_at", "last_input")
DEVICE_FILTERS = ("id", "name", "visible", "active", "connector", "network", "type", *_SINCE)
TOKEN_FILTERS = ("name", "token", "permission", "serie_number", "created_at")


def _number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:12]) <= most:
        raise Refused(400, f"{name} must be a whole number between 1 and {most}")
    return int(text)


def _like(text: str) -> str:
    for plain in "\\%_":
        text = text.replace(plain, "\\" + plain)
    return text.replace("*", "%")


def _condition(name: str, text: str, now: int) -> tuple[str, list[Any]]:
    if name == "name":
        return "name LIKE ? ESCAPE '\\'", [_like(text)]
    if name in _FLAGS:
        if text.lower() not in ("true", "false"):
            raise Refused(400, f"filter[{name}] must be true or false")
        return f"{name} = ?", [text.lower() == "true"]
    if name in _SINCE:
        try:
            return f"{name} >= ?", [times.parse_bound(text, now, end=False)]
        except (ValueError, OverflowError) as error:
            raise Refused(400, f"filter[{name}] must be a date or a span such as 1 day") from error
    return f"{name} = ?", [text]


def read_list(pairs: list[tuple[str, str]], now: int, filters: tuple[str, ...], order: str) -> ListQuery:
    """The page of a list that the pairs of a query string ask for; unknown parameters and filters are ignored.

    `order`: the route's own, such as "name,asc". Lists come as in queries.read. Raises Refused 400.
    """
    single: dict[str, str] = {}
    fields: list[str] = []
    ordered: list[str] = []
    tags: dict[str, dict[str, str]] = {}
    clauses: list[str] = []
    arguments: list[Any] = []
    for key, text in pairs:
        match = _LIST_KEY.fullmatch(key)
        if not match:
            single[key] = text
        elif match[1]:
            (fields if match[1] == "fields" else ordered).extend(text.split(","))
        elif match[3] == "tags" and match[4]:
            index = _INDEX.search(key)
            tags.setdefault(index[1] if index else "", {})[match[4]] = text
        elif match[3] in filters and match[3] in ("name", *_TEXTS, *_FLAGS, *_SINCE) and text:
            clause, values = _condition(match[3], text, now)
            clauses.append(clause)
            arguments += values
    for tag in tags.values():
        parts = " AND ".join(f"json_extract(value, '$.{part}') = ?" for part in tag)
        clauses.append(f"EXISTS (SELECT 1 FROM json_each(tags) WHERE {parts})")
        arguments += tag.values()
    column, _, way = ",".join(ordered or [order]).partition(",")
    known = ("name", "visible", "active", "last_input", "created_at", "updated_at", "id", "permission", "serie_number")
    if column not in known or (column != "name" and column not in filters) or way.lower() not in ("", "asc", "desc"):
        raise Refused(400, "orderBy must be a field, a comma, and asc or desc")
    return ListQuery(
        where=" AND ".join(clauses) or "1",
        arguments=tuple(arguments),
        order=f"{column} {way.upper() or 'ASC'}",
        page=_number("page", single["page"], 10**9) if single.get("page") else 1,
        amount=_number("amount", single["amount"], AMOUNT_MAX) if single.get("amount") else AMOUNT,
        fields=tuple(field for field in fields if field),
        serial=single.get("serial", ""),
        bucket_names=single.get("resolveBucketName", "").lower() == "true",
    )
