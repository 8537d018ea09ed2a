"""Faults on request: what the stand-in does to one device, or to all, in place of what TagoIO documents.

`Faults.intercept` is what `Traffic.intercept` is for. A fault lasts for so many requests, or until it is removed.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

EVERY = "*"  # in place of a device's id: all of them
SECONDS_MAX = 300
TIMES_MAX = 1_000_000

_JSON = "application/json; charset=utf-8"
_PROXY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_PORTAL = '<html><head><meta http-equiv="refresh" content="0; url=/login"></head><body>Please log in</body></html>'


def _failure(message: str) -> dict[str, Any]:
    return {"status": False, "message": message}


# kind: (its name for people, HTTP status, content type, body); {seconds} is put into texts
_ANSWERS: dict[str, tuple[str, int, str, Any]] = {
    "429": ("429, too many requests", 429, _JSON, _failure("Too many requests (Retry-After: {seconds})")),
    "429_inside": (
        "429, its text inside result",
        429,
        _JSON,
        {"status": False, "result": {"message": "Too many requests (Retry-After: {seconds})"}},
    ),
    "500": ("500, server error", 500, _JSON, _failure("Internal Server Error")),
    "502": ("502, a proxy's HTML", 502, "text/html", _PROXY),
    "503": ("503, an empty body", 503, _JSON, ""),
    "401": ("401, token refused", 401, _JSON, _failure("Authorization denied")),
    "401_text": ("401, its text as result", 401, _JSON, {"status": False, "result": "Authorization denied"}),
    "400": ("400, data refused", 400, _JSON, _failure("Error on object parse")),
    "400_inside": (
        "400, its text inside result",
        400,
        _JSON,
        {"status": False, "result": {"message": "Error on object parse"}},
    ),
    "413": ("413, body too large", 413, _JSON, _failure("Body must be at most 200 kB")),
    "200_false": ("200 with status false", 200, _JSON, _failure("Error on object parse")),
    "200_portal": ("200, a captive portal's HTML", 200, "text/html", _PORTAL),
    "200_cut": ("200, JSON cut short", 200, _JSON, '{"status": true, "resu'),
}
_SLOW, _RESET, _LOST = "slow", "reset", "lost"
KINDS = {
    **{kind: row[0] for kind, row in _ANSWERS.items()},
    _SLOW: "Slow: answers late",
    _RESET: "Connection reset",
    _LOST: "Stored, but the answer is lost",
}
TIMED = ("429", "429_inside", _SLOW)  # `seconds` means something to them


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind`: one of KINDS. `seconds`: of the wait, or told in the answer. `left`: for so many requests more, None
    for any number. `uploads`: only POST /data, else every request. Raises ValueError."""

    kind: str
    seconds: float = 10
    left: int | None = None
    uploads: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if not 0 <= self.seconds <= SECONDS_MAX:
            raise ValueError(f"seconds must be from 0 to {SECONDS_MAX}")
        if self.left is not None and not 1 <= self.left <= TIMES_MAX:
            raise ValueError(f"times must be from 1 to {TIMES_MAX}, or left out")

    def __str__(self) -> str:
        text = KINDS[self.kind]
        if self.kind in TIMED:
            text += f" ({self.seconds:g} s)"
        if self.left is not None:
            text += f", {self.left} more"
        return text


class Faults:
    """The faults that are switched on. `app`: the API. `device_of`: whose request it is, by its headers."""

    def __init__(self, app: ASGIApp, device_of: Callable[[dict[str, str]], str | None]):
        self._app = app
        self._device_of = device_of
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}

    def set(self, device: str, fault: Fault | None) -> None:
        """Switch a fault on for a device's id or EVERY one, in place of the one it has; None switches it off."""
        with self._lock:
            if fault is None:
                self._faults.pop(device, None)
            else:
                self._faults[device] = fault

    def all(self) -> dict[str, Fault]:
        """{device's id or EVERY: its fault}"""
        with self._lock:
            return dict(self._faults)

    def _take(self, scope: Scope) -> Fault | None:
        """The fault that this request meets, which is one of those it has left."""
        if not self._faults:
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        device = self._device_of(headers)
        upload = (scope["method"], scope["path"]) == ("POST", "/data")
        with self._lock:
            for key in (device, EVERY):
                fault = self._faults.get(key) if key else None
                if key and fault and (upload or not fault.uploads):
                    if fault.left == 1:
                        del self._faults[key]
                    elif fault.left is not None:
                        self._faults[key] = replace(fault, left=fault.left - 1)
                    return fault
        return None

    async def intercept(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Play the fault that is due, if any. Returns whether the request has been dealt with."""
        fault = self._take(scope)
        if fault is None:
            return False
        scope.setdefault("state", {})["fault"] = KINDS[fault.kind]
        if fault.kind == _SLOW:
            await asyncio.sleep(fault.seconds)
            return False
        connection = scope["state"].get("connection")
        if fault.kind == _RESET and connection is not None:
            connection.reset()
            await _until_gone(receive)
        elif fault.kind == _LOST and connection is not None:
            await self._app(scope, receive, _swallow)
            connection.close()
            await _until_gone(receive)
        else:
            await _answer(fault, receive, send)
        return True


async def _swallow(message: Any) -> None:
    pass


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(fault: Fault, receive: Receive, send: Send) -> None:
    more = True
    while more:  # the client gets to send all of it, and then to read why
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
    _, status, kind, body = _ANSWERS[fault.kind]
    text = body if isinstance(body, str) else json.dumps(body).replace("{seconds}", f"{fault.seconds:.0f}")
    head = [(b"content-type", kind.encode()), (b"content-length", str(len(text.encode())).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": text.encode()})
