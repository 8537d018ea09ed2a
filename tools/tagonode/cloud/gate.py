"""What every route needs: the envelope of answers, bodies of requests, and who may come in with which token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from tagonode.cloud import rules
from tagonode.cloud.limits import Quotas, RateLimits
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


class Answer(Response):
    """A JSON answer in the API's envelope."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        """The UTF-8 JSON of `content`."""
        return rules.write_json(content).encode()


def accepted(result: Any, status: int = 200) -> Answer:
    """200, or another 2xx, with a result, which is never null."""
    return Answer({"status": True, "result": result}, status)


def refused(status: int, message: str) -> Answer:
    """A failure: the text is on top, where both official SDKs look for it."""
    return Answer({"status": False, "message": message}, status)


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


async def read_json(request: Request) -> Any:
    """The JSON of the request's body. Raises Refused 400 or 413."""
    return rules.read_json(await read_body(request))


def token_of(headers: Any) -> str:
    """The token of a request, "" when it has none. `headers`: anything with `get`, names in lower case."""
    return next((token for name in TOKEN_HEADERS if (token := (headers.get(name) or "").strip())), "")


class Gate:
    """Tokens, limits and quotas of the one profile that a stand-in has. `clock` gives Unix seconds."""

    def __init__(self, store: Store, limits: RateLimits, quotas: Quotas, clock: Callable[[], float]):
        self.store = store
        self.limits = limits
        self.quotas = quotas
        self._clock = clock

    def now(self) -> int:
        """Unix ms, by which arrivals, relative dates and limits go."""
        return int(self._clock() * 1000)

    def _access(self, request: Request, kind: str, need: str) -> Access:
        access = self.store.access(token_of(request.headers))  # a read of microseconds: not worth a thread
        if access is None or access.kind != kind or access.permission not in PERMISSIONS[need]:
            raise Refused(401, "Authorization denied")
        return access

    def device(self, request: Request, need: str, route: str) -> Device:
        """The device whose token came with the request. `need`: read, write or delete. Raises Refused 401, 403, 429."""
        device = self._access(request, "device", need).device
        if device is None:
            raise Refused(401, "Authorization denied")
        if not device.active:
            raise Refused(403, "Device is deactivated")
        self.limits.take(route, device.id, self.now())
        return device

    def account(self, request: Request, need: str, route: str, device: str = "") -> None:
        """Let the profile's owner in; `device`: the id that he asks for. Raises Refused 401 or 429."""
        self._access(request, "account", need)
        self.limits.take(route, device, self.now())

    def network(self, request: Request, route: str) -> None:
        """Let a network's token in. Raises Refused 401 or 429."""
        self._access(request, "network", "read")
        self.limits.take(route, "", self.now())
