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
from email.utils import formatdate
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from tagonode.cloud.account import add_account_routes
from tagonode.cloud.data import add_device_routes
from tagonode.cloud.gate import DRAINED_BYTES, Answer, Gate, refused
from tagonode.cloud.limits import Quotas, RateLimits
from tagonode.cloud.rules import Refused
from tagonode.cloud.store import Store

_log = logging.getLogger("tagonode.cloud")


class Traffic:
    """The one place that every request passes: it counts them, and may answer in the API's stead.

    `clock` gives the Unix seconds of their `Date`. `.requests` and `.answers` (status: how many) are read by tests and
    by the simulation. `.intercept`, when set, is called with the ASGI triple before the API and says by True that it
    has dealt with the request itself: faults on request (delays, resets, lost answers) belong there.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.time):
        self._app = app
        self._clock = clock
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

        left = DRAINED_BYTES  # of a body that nobody has asked for yet; 0 once it has come

        async def hearing() -> Any:
            nonlocal left
            message = await receive()
            more = message["type"] == "http.request" and message.get("more_body", False)
            left = max(0, left - len(message.get("body", b""))) if more else 0
            return message

        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start":
                while left:  # as the cloud does: who is answered in the middle of his request takes it for a fault
                    await hearing()
                date = formatdate(self._clock(), usegmt=True).encode()
                message = {**message, "headers": [(b"date", date), *message.get("headers", ())]}
                with self._lock:
                    self.answers[message["status"]] = self.answers.get(message["status"], 0) + 1
            await send(message)

        if self.intercept is None or not await self.intercept(scope, hearing, counting):
            await self._app(scope, hearing, counting)
        return None


def create_app(store: Store, limits: RateLimits, quotas: Quotas, clock: Callable[[], float] = time.time) -> FastAPI:
    """The API over `store`. `clock` gives Unix seconds, for arrival times, relative dates and limits."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    gate = Gate(store, limits, quotas, clock)
    add_device_routes(app, gate)  # first: /device/params is no device's id
    add_account_routes(app, gate)
    app.state.gate = gate

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
