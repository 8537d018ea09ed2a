"""The stand-in's own OpenAPI document, GET /openapi.json: what FastAPI knows of the routes, and what they read by hand.

For tools that make requests of it. What the API is like is TagoIO's documentation's to say.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from tagonode.cloud import faults, profile, queries
from tagonode.cloud.certificates import BAD_KINDS
from tagonode.cloud.limits import PLANS

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_LIST = {"type": "array", "items": _TEXT}


def _whole(least: int, most: int | None = None) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, **({} if most is None else {"maximum": most})}


def _choice(words: Any) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _one_or_many(schema: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "array", "items": schema, **({} if most is None else {"maxItems": most})}]}


_KINDS = (*queries.LISTS, *queries.ONE_PER_VARIABLE, *queries.NUMBERS, "aggregate")
_DATA_QUERY = {
    "query": _choice(_KINDS),
    "variables": _LIST,
    "groups": _LIST,
    "ids": _LIST,
    "values": _LIST,
    "qty": _whole(1, queries.QTY_MAX),
    "skip": _whole(0),
    "ordination": _choice(("ascending", "descending", "asc", "desc")),
    "start_date": _TEXT,
    "end_date": _TEXT,
    "timezone": _TEXT,
    "details": _FLAG,
    "function": _choice((*queries.AGGREGATES, *queries.CONDITIONS)),
    "interval": _choice(queries.INTERVALS),
    "value": _TEXT,
}
_LIST_QUERY = {"page": _whole(1), "amount": _whole(1, profile.AMOUNT_MAX), "fields": _LIST, "orderBy": _TEXT}
_DEVICE_QUERY = {
    **_LIST_QUERY,
    **{f"filter[{name}]": _TEXT for name in (*profile.DEVICE_FILTERS, "tags][0][key", "tags][0][value")},
    "serial": _TEXT,
    "resolveBucketName": _FLAG,
}
_SENT = {"sent_status": _FLAG}
_FIELDS: dict[str, Any] = {
    "value": {"anyOf": [_TEXT, {"type": "number"}, _FLAG]},
    "unit": {"type": "string", "maxLength": 25},
    "time": {"anyOf": [{"type": "string", "format": "date-time"}, _whole(0)]},
    "group": {"type": "string", "maxLength": 100},
    "serie": {"anyOf": [_TEXT, {"type": "number"}]},
    "location": _object(lat={"type": "number"}, lng={"type": "number"}, type=_TEXT, coordinates={"type": "array"}),
    "metadata": {"type": "object"},
}
_RECORDS = _one_or_many(_object(("variable",), variable={"type": "string", "maxLength": 100}, **_FIELDS))
_EDITS = _one_or_many(_object(("id",), id=_TEXT, **_FIELDS))
_PARAMETERS = _one_or_many(_object(id=_TEXT, key=_TEXT, value=_TEXT, sent=_FLAG), profile.PARAMETERS)
_DEVICE: dict[str, Any] = {
    "name": {"type": "string", "minLength": 3, "maxLength": 100},
    "description": _TEXT,
    "network": _TEXT,
    "connector": _TEXT,
    "serie_number": _TEXT,
    "active": _FLAG,
    "visible": _FLAG,
    "tags": {"type": "array", "items": _object(("key", "value"), key=_TEXT, value=_TEXT)},
    "payload_decoder": _TEXT,
    "chunk_retention": _whole(0, 36),
}
_STORAGE: dict[str, Any] = {"type": _choice(("mutable", "immutable")), "chunk_period": _choice(profile.RETENTION)}
_TOKEN = _object(
    ("device",),
    device=_TEXT,
    name=_TEXT,
    permission=_choice(profile.PERMISSIONS),
    expire_time=_TEXT,
    serie_number=_TEXT,
)
_FAULT = _object(("kind",), kind=_choice(faults.KINDS), seconds={"type": "number"}, times=_whole(1), uploads=_FLAG)
_LIMITS = _object(
    plan=_choice(PLANS),
    window_s=_whole(1),
    per_window={"type": "object"},
    devices=_whole(0),
    data_input=_whole(0),
    data_output=_whole(0),
)

# route: (parameters of its query, schema of its body)
_ROUTES: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any] | None]] = {
    ("get", "/device"): (_DEVICE_QUERY, None),
    ("post", "/device"): (
        {},
        _object(("name",), **_DEVICE, **_STORAGE, configuration_params={"type": "array", "items": {"type": "object"}}),
    ),
    ("put", "/device/{identity}"): ({}, _object(**_DEVICE)),
    ("post", "/device/{identity}/convert"): ({}, _object(("type",), **_STORAGE, chunk_retention=_whole(0, 36))),
    ("get", "/device/token/{identity}"): (_LIST_QUERY, None),
    ("post", "/device/token"): ({}, _TOKEN),
    ("get", "/device/params"): (_SENT, None),
    ("get", "/device/{identity}/params"): (_SENT, None),
    ("post", "/device/{identity}/params"): ({}, _PARAMETERS),
    ("put", "/admin/faults/{device}"): ({}, _FAULT),
    ("put", "/admin/limits"): ({}, _LIMITS),
    ("put", "/admin/certificate"): (
        {},
        _object(("kind",), kind=_choice(BAD_KINDS), seconds={"type": "number", "exclusiveMinimum": 0}),
    ),
}
for _path in ("/data", "/device/{identity}/data"):
    _ROUTES["get", _path] = (_DATA_QUERY, None)
    _ROUTES["post", _path] = ({}, _RECORDS)
    _ROUTES["put", _path] = ({}, _EDITS)
    _ROUTES["delete", _path] = (_DATA_QUERY, None)
for _method in ("get", "delete"):
    _ROUTES[_method, "/data/{target}"] = (_DATA_QUERY, None)


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    made = app.openapi()
    made["info"] = {"title": "A local TagoIO", "version": "1"}
    made["components"] = {
        "securitySchemes": {
            name: {"type": "apiKey", "in": "header", "name": name} for name in ("Device-Token", "Account-Token")
        }
    }
    for path, methods in made["paths"].items():
        by_device = path in ("/info", "/device/params", "/device/params/{identity}") or path.startswith("/data")
        for method, operation in methods.items():
            query, body = _ROUTES.get((method, path), ({}, None))
            operation["security"] = [{"Device-Token" if by_device else "Account-Token": []}]
            operation.setdefault("parameters", []).extend(
                {"name": name, "in": "query", "schema": schema} for name, schema in query.items()
            )
            if body is not None:
                operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
            operation["responses"] = {"default": {"description": "In TagoIO's envelope: status, and result or message"}}
    return made


def add_document_route(app: FastAPI) -> None:
    """Add GET /openapi.json, which needs no token. All other routes have to be there."""

    @app.get("/openapi.json", include_in_schema=False)
    async def get_document() -> JSONResponse:
        return JSONResponse(document(app))
