"""The HTTP side of the stand-in: TagoIO's routes, tokens and envelope over a Store.

Every answer is `{"status": true, "result": …}` or `{"status": false, "message": …}` with a fitting HTTP
status. Source: TagoIO API, "API Overview", "Sending Data", "Getting Data", "Deleting Data", "Managing
Devices".
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from tagonode.cloud import queries, rules
from tagonode.cloud.limits import AGGREGATE, RateLimits
from tagonode.cloud.rules import Refused
from tagonode.cloud.store import Access, Device, Store

# the first one that is not empty counts, whatever kind of token its name promises
TOKEN_HEADERS = (
    "account-token",
    "profile-token",
    "device-token",
    "public-token",
    "analysis-token",
    "token",
    "authorization",
    "middleware-token",
    "authentication",
)
PERMISSIONS = {"read": ("full", "read"), "write": ("full", "write"), "delete": ("full",)}
DRAINED_BYTES = 4_000_000  # of a body that is too large: read it to its end, so that the client gets to read why

_log = logging.getLogger("tagonode.cloud")


class Answer(Response):
    """A JSON answer in the API's envelope."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        """The UTF-8 JSON of `content`."""
        return rules.write_json(content).encode()


def accepted(result: Any) -> Answer:
    """200 with a result, which is never null."""
    return Answer({"status": True, "result": result})


def refused(status: int, message: str) -> Answer:
    """A failure: the text is on top, where both official SDKs look for it."""
    return Answer({"status": False, "message": message}, status)


class Traffic:
    """The one place that every request passes: it counts them, and may answer in the API's stead.

    `.requests` and `.answers` (status: how many) are read by tests and by the simulation. `.intercept`, when
    set, is called with the ASGI triple before the API and says by True that it has dealt with the request
    itself: faults on request (delays, resets, lost answers) belong there.
    """

    def __init__(self, app: ASGIApp):
        self._app = app
        self._lock = threading.Lock()
        self.requests = 0
        self.answers: dict[int, int] = {}
        self.intercept: Callable[[Scope, Receive, Send], Awaitable[bool]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        with self._lock:
            self.requests += 1

        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start":
                with self._lock:
                    self.answers[message["status"]] = self.answers.get(message["status"], 0) + 1
            await send(message)

        if self.intercept is None or not await self.intercept(scope, receive, counting):
            await self._app(scope, receive, counting)
        return None


async def read_body(request: Request) -> bytes:
    """The request's body, up to 200 kB. Raises Refused 413 or, for what the API cannot read as JSON, 400."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = bytearray()
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= rules.BODY_BYTES:
            body += part
        elif size > DRAINED_BYTES:
            break
    if size > rules.BODY_BYTES:
        raise Refused(413, f"Body must be at most {rules.BODY_BYTES // 1000} kB")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(400, "Content-Encoding is not supported, send the body as it is")
    if content_type not in ("", "application/json"):
        raise Refused(400, f"Content-Type must be application/json, not {content_type!r:.40}")
    return bytes(body)


def create_app(store: Store, limits: RateLimits, clock: Callable[[], float] = time.time) -> FastAPI:
    """The API over `store`. `clock` gives Unix seconds, for arrival times, relative dates and limits."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    def now() -> int:
        return int(clock() * 1000)

    def authorise(request: Request, need: str) -> Access:
        """What the request's token opens. Raises Refused 401."""
        for name in TOKEN_HEADERS:
            token = request.headers.get(name, "").strip()
            if token:
                access = store.access(token)  # a read of microseconds: not worth a thread
                if access and access.permission in PERMISSIONS[need]:
                    return access
                break
        raise Refused(401, "Authorization denied")

    def device_of(request: Request, need: str, route: str) -> Device:
        """The device whose token came with the request. Raises Refused 401, 403 or 429."""
        access = authorise(request, need)
        if access.device is None:
            raise Refused(401, "Authorization denied")
        if not access.device.active:
            raise Refused(403, "Device is deactivated")
        limits.take(route, access.device.id, now())
        return access.device

    def query_of(request: Request, device: Device, target: str = "", delete: bool = False) -> queries.Query:
        pairs = parse_qsl(request.url.query, keep_blank_values=True, errors="replace")
        bare = not pairs
        if target:
            is_id = len(target) == 24 and not set(target.lower()) - set("0123456789abcdef")
            pairs = [pair for pair in pairs if not (is_id and pair[0] == "qty")]
            pairs.append(("id" if is_id else "variable", target))
        if delete and bare:
            pairs.append(("qty", "1"))
        return queries.read(pairs, now(), device.type == "immutable", delete)

    # -- data ----------------------------------------------------------------------------------------------

    @app.post("/data")
    async def post_data(request: Request) -> Answer:
        device = device_of(request, "write", "POST /data")
        body = rules.read_json(await read_body(request))
        arrival = now()
        records = rules.check_records(body, arrival)
        if device.type == "immutable" and device.chunk_period:
            rules.check_retention(records, arrival, device.chunk_period, device.chunk_retention or 0)
        await run_in_threadpool(store.add, device, records, arrival)
        return accepted(f"{len(records)} Data Added")

    @app.get("/data")
    @app.get("/data/{target}")
    async def get_data(request: Request, target: str = "") -> Answer:
        aggregate = request.query_params.get("query") == "aggregate"
        device = device_of(request, "read", AGGREGATE if aggregate else "GET /data")
        return accepted(await run_in_threadpool(store.select, device, query_of(request, device, target)))

    @app.put("/data")
    async def put_data(request: Request) -> Answer:
        device = device_of(request, "write", "PUT /data")
        body = rules.read_json(await read_body(request))
        if device.type == "immutable":
            raise Refused(400, "You cannot edit data on immutable device")
        changed = await run_in_threadpool(store.edit, device, rules.check_edits(body))
        return accepted(f"{changed} item(s) updated")

    @app.delete("/data")
    @app.delete("/data/{target}")
    async def delete_data(request: Request, target: str = "") -> Answer:
        device = device_of(request, "delete", "DELETE /data")
        if device.type == "immutable":
            raise Refused(400, "Data in immutable devices cannot be deleted")
        query = query_of(request, device, target, delete=True)
        return accepted(f"{await run_in_threadpool(store.delete, device, query)} Data Removed")

    # -- the device itself ---------------------------------------------------------------------------------

    @app.get("/info")
    async def get_info(request: Request) -> Answer:
        device = device_of(request, "read", "GET /info")
        return accepted(store.info(device))

    @app.get("/device/params")
    async def get_params(request: Request) -> Answer:
        device = device_of(request, "read", "GET /device/params")
        asked = request.query_params.get("sent_status", "").lower()
        if asked not in ("", "true", "false"):
            raise Refused(400, "sent_status must be true or false")
        return accepted(await run_in_threadpool(store.parameters, device, asked == "true" if asked else None))

    @app.put("/device/params/{identity}")
    async def put_params(request: Request, identity: str) -> Answer:
        device = device_of(request, "write", "PUT /device/params")
        await run_in_threadpool(store.mark_parameter_read, device, identity)
        return accepted("Params Successfully Updated")

    # -- what goes wrong -----------------------------------------------------------------------------------

    async def on_refused(request: Request, error: Exception) -> Answer:
        assert isinstance(error, Refused)
        return refused(error.status, error.message)

    async def on_http(request: Request, error: Exception) -> Answer:
        assert isinstance(error, HTTPException)
        if error.status_code in (404, 405):
            return refused(404, "Route Not Found")
        return refused(error.status_code, error.detail)

    async def on_fault(request: Request, error: Exception) -> Answer:
        fault = "a fault of the local TagoIO's own in %s %s"
        _log.error(fault, request.method, request.url.path, exc_info=error)
        return refused(500, "Internal Server Error")

    async def on_database(request: Request, error: Exception) -> Answer:
        _log.error("the local TagoIO's database fails (%s): make room, or name another file", error)
        return refused(500, "Internal Server Error")

    async def on_gone(request: Request, error: Exception) -> Answer:
        return refused(400, "Request was cut short")  # nobody is left to read it

    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(sqlite3.OperationalError, on_database)
    app.add_exception_handler(Exception, on_fault)
    return app
