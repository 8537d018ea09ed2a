"""The last requests and their answers, for the page's inspector. Tokens and passwords never get in here.

A request is taken down once it is over. Bodies are cut at BODY_KEPT, and masked before they are kept.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from tagonode.cloud.connection import HANDSHAKE_NONE, Connection

KEPT = 1_000  # requests
BODY_KEPT = 16_384  # bytes of each body
PATH_KEPT, HEADER_KEPT = 2_000, 1_000  # characters of a path with its query, and of each header
MASK = "•••"

# what a token looks like, whoever made it up: its beginning is enough, since bodies are cut
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}\b[0-9a-f-]*", re.I)
_UUID_MARK = re.compile("-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}")
_WORDS = ("token", "password", "passphrase", "secret", "authorization")
# no quantifier inside another one: a body is a stranger's text
_JSON_SECRET = re.compile(rf'("[^"\\]{{0,40}}?(?:{"|".join(_WORDS)})"\s{{0,9}}:\s{{0,9}}")[^"]*', re.I)
_QUERY_SECRET = re.compile(r"([?&][^=&]{0,40}?(?:token|password|secret|authorization)=)[^&]*", re.I)
_SECRET_HEADER = re.compile(r"token|authori[sz]ation|authentication|cookie|password|secret", re.I)
_TOKEN_PATH = re.compile(r"^(/device/token/)([^/]+)")
_DEVICE_PATH = re.compile(r"^/device/(?:token/)?([0-9a-f]{24})(?:/|$)")


class Sender(NamedTuple):
    """Whom a token belongs to: its kind (device, account, network, or "" when it is unknown) and the device's id."""

    kind: str
    device: str | None
    name: str


NOBODY = Sender("", None, "")


@dataclass(slots=True)
class Exchange:
    """One request and its answer. `status` is None where no answer was sent; `fault`: what played a part in that."""

    number: int
    at: int  # Unix ms
    method: str
    path: str
    sender: Sender
    status: int | None = None
    ms: float = 0.0
    body_up: int = 0
    body_down: int = 0
    wire_up: int | None = None  # TLS and handshake included; None where nobody counts
    wire_down: int | None = None
    connection: int | None = None
    nth: int = 1  # request of its connection
    handshake: str = HANDSHAKE_NONE
    fault: str = ""
    request_headers: list[tuple[str, str]] = field(default_factory=list)
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    request_body: str = ""
    answer_body: str = ""


class _Body:
    """Counts a body and keeps its beginning; a little more, so that a token at the cut is still known for one."""

    def __init__(self) -> None:
        self.size = 0
        self._kept = bytearray()

    def add(self, part: bytes) -> None:
        self.size += len(part)
        room = BODY_KEPT + 512 - len(self._kept)
        if room > 0:
            self._kept += part[:room]

    def text(self, secrets: list[str]) -> str:
        try:
            text = bytes(self._kept).decode()
        except UnicodeDecodeError as error:
            if error.start < BODY_KEPT and self.size <= len(self._kept):
                return f"{self.size} bytes, not text: {bytes(self._kept[:256]).hex(' ')}"
            text = bytes(self._kept).decode(errors="replace")
        return mask(text, secrets)[:BODY_KEPT]


def mask(text: str, secrets: list[str] | None = None) -> str:
    """`text` without the given secrets, without anything in a token's form, without values of telling JSON names."""
    for secret in secrets or ():
        text = text.replace(secret, MASK)
    # most bodies hold nothing of the kind, and this says so thirty times as fast
    if _UUID_MARK.search(text):
        text = _UUID.sub(MASK, text)
    lower = text.lower()
    if any(word in lower for word in _WORDS):
        text = _JSON_SECRET.sub(rf"\1{MASK}", text)
    return text


def _headers(raw: Any, secrets: list[str]) -> list[tuple[str, str]]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
    return [
        (name[:HEADER_KEPT], MASK if _SECRET_HEADER.search(name) else mask(value, secrets)[:HEADER_KEPT])
        for name, value in pairs
    ]


def _path(scope: Scope, secrets: list[str]) -> str:
    path = _TOKEN_PATH.sub(lambda m: m[0] if _DEVICE_PATH.match(m[0]) else m[1] + MASK, scope["path"])
    query = scope["query_string"].decode("latin-1")
    return mask(_QUERY_SECRET.sub(rf"\1{MASK}", f"{path}?{query}" if query else path), secrets)[:PATH_KEPT]


class Recorder:
    """Takes down what passes through the ASGI apps it is put `around`.

    `token_headers`: names of those that carry a token, the first that is not empty counts. `identify`: whose token
    it is. `now`: Unix ms. `listeners` are called with each exchange, in the thread that served it.
    """

    def __init__(self, token_headers: tuple[str, ...], identify: Callable[[str], Sender], now: Callable[[], int]):
        self._token_headers = [name.encode() for name in token_headers]
        self._identify = identify
        self._now = now
        self._lock = threading.Lock()
        self._exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self._newest: dict[str, Exchange] = {}  # that each device sent
        self._number = 0
        self.listeners: list[Callable[[Exchange], None]] = []

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, with each of its requests taken down."""

        async def recording(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            return await self._record(app, scope, receive, send)

        return recording

    async def _record(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        at, began = self._now(), time.perf_counter()
        headers = dict(reversed(scope["headers"]))
        tokens = [token for name in self._token_headers if (token := headers.get(name, b"").strip().decode("latin-1"))]
        connection: Connection | None = scope.get("state", {}).get("connection")
        handshake = connection.begin() if connection else HANDSHAKE_NONE
        nth = connection.requests if connection else 1
        up, down = _Body(), _Body()
        answer: dict[str, Any] = {}
        wire_up: int | None = None
        taken = False

        async def hearing() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                up.add(message.get("body", b""))
            return message

        async def saying(message: Any) -> None:
            nonlocal wire_up
            if message["type"] == "http.response.start":
                answer.update(message)
                wire_up = connection.heard() if connection else None
            elif message["type"] == "http.response.body":
                down.add(message.get("body", b""))
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                take_down()  # before anything else comes over this connection

        def take_down() -> None:
            nonlocal taken
            if taken:
                return
            taken = True
            heard = wire_up
            if connection and heard is None:  # nothing was answered
                heard = connection.heard()
            exchange = Exchange(
                number=0,
                at=at,
                method=scope["method"],
                path=_path(scope, tokens),
                sender=self._sender(scope["path"], tokens),
                status=answer.get("status"),
                ms=(time.perf_counter() - began) * 1000,
                body_up=up.size,
                body_down=down.size,
                wire_up=heard,
                wire_down=connection.said() if connection else None,
                connection=connection.number if connection else None,
                nth=nth,
                handshake=handshake,
                fault=scope.get("state", {}).get("fault", ""),
                request_headers=_headers(scope["headers"], tokens),
                answer_headers=_headers(answer.get("headers", ()), tokens),
                request_body=up.text(tokens),
                answer_body=down.text(tokens),
            )
            self._keep(exchange)

        try:
            await app(scope, hearing, saying)
        finally:
            take_down()  # those that got no answer, or half of one

    def _sender(self, path: str, tokens: list[str]) -> Sender:
        sender = self._identify(tokens[0]) if tokens else NOBODY
        named = _DEVICE_PATH.match(path)
        if named and sender.kind != "device":
            sender = sender._replace(device=named[1])
        return sender

    def _keep(self, exchange: Exchange) -> None:
        with self._lock:
            self._number += 1
            exchange.number = self._number
            if len(self._exchanges) == KEPT:
                oldest = self._exchanges[0]
                if self._newest.get(oldest.sender.device or "") is oldest:
                    del self._newest[oldest.sender.device or ""]
            self._exchanges.append(exchange)
            if exchange.sender.kind == "device" and exchange.sender.device is not None:
                self._newest[exchange.sender.device] = exchange
        for listener in self.listeners:
            listener(exchange)

    # -- reading it ----------------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """Number of the newest exchange; they count from 1."""
        return self._number

    def exchanges(self, device: str | None = None, failed: bool = False, limit: int = KEPT) -> list[Exchange]:
        """The newest first: all, or those of one device, or those that were not accepted."""
        with self._lock:
            found = list(self._exchanges)
        chosen = []
        for exchange in reversed(found):
            if device is not None and exchange.sender.device != device:
                continue
            if failed and exchange.status is not None and exchange.status < 400 and not exchange.fault:
                continue
            chosen.append(exchange)
            if len(chosen) == limit:
                break
        return chosen

    def newest(self, device: str) -> Exchange | None:
        """The last exchange that came with a token of this device, as long as it is kept."""
        with self._lock:
            return self._newest.get(device)

    def exchange(self, number: int) -> Exchange | None:
        """The exchange of this number; None when it is not kept any more."""
        with self._lock:
            return next((e for e in self._exchanges if e.number == number), None)

    def clear(self) -> None:
        """Forget all of them; numbers go on."""
        with self._lock:
            self._exchanges.clear()
            self._newest.clear()
