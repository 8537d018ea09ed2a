"""A model of TagoIO's server: what it stores, how it answers, what it does wrong when told to.

The rules are those of the stand-in (tools/tagonode/cloud), which TagoIO's own API file checks; here they take a tenth
of the time. Everything that arrives is told to `witness`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from .net import Certificate, Peer

_JSON = "Content-Type: application/json\r\n"
_PORTAL = "<html><body>Please sign in to the network</body></html>"
_ANSWERED = ("slow", "garbage", "chunked", "split", "close", "warning")  # moods in which a request counts
_REFUSALS = (200, 400, 413)  # may be those of readings
_ALIKE = 50  # characters by which two refusals are told apart
_REASONS = {200: "OK", 400: "Bad Request", 429: "Too Many Requests"}


class Witness(Protocol):
    """Who is told what arrives."""

    def record(self, record: dict[str, Any]) -> None:
        """One is stored."""

    def violation(self, what: str) -> None:
        """What must never be, is."""


@dataclass
class Mood:
    """What a server does with requests: `kind` with this chance.

    Kinds: "status" (answers `status` with `text` in an envelope, or `raw`; stores first if `store`), "silence" (stores
    if `store`, and never answers), "drop" (stores if `store`, and closes or resets), "slow" (answers after `ms`),
    "garbage", "chunked", "portal", "split", "warning", "close" (answers, and closes).
    """

    kind: str
    chance: float = 1.0
    status: int = 500
    text: str = ""
    store: bool = False
    raw: bool = False
    ms: int = 0
    header: str = ""
    methods: tuple[str, ...] = ("GET", "POST", "HEAD", "PUT")


def no_route(method: str, path: str, body: bytes) -> tuple[int, Any] | None:
    """What else a device may ask for: nothing. (wishes.py answers for its parameters.)"""
    return None


@dataclass
class Server:
    """token: of the one device; poison(record): why it is refused, None for a good one. limit: requests a minute; lag:
    ms until what is stored can be found."""

    token: str
    unix: Callable[[], float]
    draw: Random
    witness: Witness
    certificate: Certificate
    moods: list[Mood] = field(default_factory=list)
    poison: Callable[[dict[str, Any]], str | None] = lambda record: None
    limit: int = 0
    body_max: int = 200000
    may_get: bool = True
    lag: int = 0
    requests: int = 0
    posts: int = 0
    taken: int = 0  # POSTs
    other: Callable[[str, str, bytes], tuple[int, Any] | None] = no_route
    stored: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)  # group -> variable -> record
    # group -> variable -> which of `posts` was the first of it to be refused; 0: it was this reading's own fault
    turned_away: dict[str, dict[str, int]] = field(default_factory=dict)
    took: int = 0  # the last of `posts` that was stored
    said: set[str] = field(default_factory=set)  # how refusals begin, since then
    _minute: int = 0
    _taken: int = 0

    def find(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        group, variable = query.get("groups", [""])[0], query.get("variables", [""])[0]
        groups = [self.stored.get(group, {})] if group else list(self.stored.values())
        start = query.get("start_date", [""])[0]
        seen = self.unix() - self.lag / 1000
        found = []
        for rows in groups:
            record = rows.get(variable)
            if record and record["_at"] <= seen and (not start or record.get("time") == start):
                found.append({k: v for k, v in record.items() if k != "_at"})
        return found[: int(query.get("qty", ["15"])[0])]

    def _limited(self) -> bool:
        minute = int(self.unix() // 60)
        if minute != self._minute:
            self._minute = minute
            self._taken = 0
        self._taken += 1
        return bool(self.limit) and self._taken > self.limit

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, str]:
        """(status, envelope, more headers); stores what is to be stored."""
        if headers.get("device-token") != self.token:
            return 401, _no("Authorization Denied"), ""
        if self._limited():
            left = 60 - int(self.unix()) % 60
            return 429, _no(f"Too many requests (Retry-After: {left})"), ""
        url = urlsplit(target)
        own = self.other(method, target, body)
        if own is not None:
            return own[0], own[1], ""
        if url.path != "/data":
            return 404, _no("Route not found"), ""
        if method == "GET":
            if not self.may_get:
                return 401, _no("Authorization Denied"), ""
            return 200, {"status": True, "result": self.find(parse_qs(url.query))}, ""
        if len(body) > self.body_max:
            return 413, _no("Request Entity Too Large"), ""
        try:
            records = json.loads(body)
        except ValueError:
            self.witness.violation(f"a body that is no JSON: {body[:80]!r}")
            return 400, _no("Invalid JSON"), ""
        for record in records:
            problem = self.poison(record)
            if problem:
                self.turned_away.setdefault(record["group"], {})[record["variable"]] = 0
                return 400, _no(problem), ""
        for record in records:
            self.witness.record(record)
            rows = self.stored.setdefault(record.get("group", ""), {})
            rows[record["variable"]] = {**record, "_at": self.unix()}
        self.took = self.posts
        self.said.clear()
        self.taken += 1
        return 200, {"status": True, "result": f"{len(records)} Data Added"}, ""

    def forget(self, group: str) -> None:
        """It will not be asked for again."""
        self.stored.pop(group, None)
        self.turned_away.pop(group, None)

    def turn_away(self, body: bytes, text: str) -> None:
        """A POST was answered by a refusal."""
        self.said.add(text[:_ALIKE])
        for record in json.loads(body):
            self.turned_away.setdefault(record.get("group", ""), {}).setdefault(record["variable"], self.posts)


def _no(message: str) -> dict[str, Any]:
    return {"status": False, "message": message}


class Endpoint(Peer):
    """A connection to the server."""

    def __init__(self, server: Server):
        self.server = server
        self.certificate = server.certificate
        self._buffer = b""
        self._head: tuple[str, str, dict[str, str], int] | None = None
        self._over = False

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer and not self._over:
            if self._head is None:
                head, end, rest = self._buffer.partition(b"\r\n\r\n")
                if not end:
                    return
                lines = head.decode().split("\r\n")
                method, target, _ = lines[0].split(" ")
                headers = {}
                for line in lines[1:]:
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                self._head = (method, target, headers, int(headers.get("content-length", 0)))
                self._buffer = rest
            if len(self._buffer) < self._head[3]:
                return
            method, target, headers, size = self._head
            body, self._buffer = self._buffer[:size], self._buffer[size:]
            self._head = None
            self._serve(method, target, headers, body)

    def _mood(self, method: str) -> Mood | None:
        for mood in self.server.moods:
            if method in mood.methods and self.server.draw.random() < mood.chance:
                return mood
        return None

    def _serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        server = self.server
        server.requests += 1
        server.posts += method == "POST"
        mood = self._mood(method)
        think = 5 + int(server.draw.random() ** 3 * 200)
        if method == "HEAD":
            status, envelope, more = 404, None, ""
        elif mood is None or mood.store or mood.kind in _ANSWERED:
            status, envelope, more = server.answer(method, target, headers, body)
        else:
            status, envelope, more = mood.status, _no(mood.text), ""
        if mood is not None and mood.kind == "warning" and status == 200:
            envelope = {**envelope, "message": "The limit of this plan is near"}
        text = "" if envelope is None else json.dumps(envelope, ensure_ascii=False)
        if mood is not None:
            if mood.kind == "silence":
                return
            if mood.kind == "drop":
                self._over = True
                if server.draw.random() < 0.5:
                    self.line.reset(think)
                else:
                    self.line.finish(think)
                return
            if mood.kind == "status":
                status, more = mood.status, mood.header
                text = mood.text if mood.raw else json.dumps(_no(mood.text))
            elif mood.kind == "portal":
                status, text = 200, _PORTAL
            elif mood.kind == "slow":
                think += mood.ms
            elif mood.kind == "garbage":
                self._over = True
                junk = bytes(server.draw.getrandbits(8) for _ in range(server.draw.randrange(1, 300)))
                self.line.send(junk, think)
                self.line.finish(think)
                return
        if method == "POST" and status in _REFUSALS and target.startswith("/data") and '"status": false' in text:
            server.turn_away(body, text)
        data = text.encode()
        reason = _REASONS.get(status, "X")
        date = formatdate(server.unix() + think / 1000, usegmt=True)
        head = f"HTTP/1.1 {status} {reason}\r\nDate: {date}\r\n{_JSON}{more}"
        if mood is not None and mood.kind == "chunked" and data and method != "HEAD":
            cut = server.draw.randrange(1, len(data) + 1)
            raw = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
            for piece in (data[:cut], data[cut:]):
                if piece:
                    raw += b"%x\r\n" % len(piece) + piece + b"\r\n"
            raw += b"0\r\n\r\n"
        else:
            close = mood is not None and mood.kind == "close"
            head += "Connection: close\r\n" if close else ""
            raw = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + (b"" if method == "HEAD" else data)
            if close:
                self._over = True
                self.line.send(raw, think)
                self.line.finish(think)
                return
        if mood is not None and mood.kind == "split":
            at = server.draw.randrange(1, len(raw))
            self.line.send(raw[:at], think)
            self.line.send(raw[at:], think + 20)
        else:
            self.line.send(raw, think)


class PlainDate(Peer):
    """Port 80: tells the Date to anybody, a wrong one perhaps. Nothing of value may ever come here."""

    def __init__(self, unix: Callable[[], float], witness: Witness, secrets: tuple[str, ...]):
        self._unix = unix
        self._witness = witness
        self._secrets = secrets
        self._seen = b""

    def feed(self, data: bytes) -> None:
        self._seen += data
        if b"\r\n\r\n" in self._seen:
            text = self._seen.decode("utf-8", "replace")
            self._seen = b""
            if any(secret in text for secret in self._secrets) or '"value"' in text:
                self._witness.violation("token or readings over plain HTTP")
            date = formatdate(self._unix(), usegmt=True)
            self.line.send(f"HTTP/1.1 301 X\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())


class Impostor(Peer):
    """Somebody else behind the server's address. Whatever it is told is a leak."""

    def __init__(self, certificate: Certificate, witness: Witness):
        self.certificate = certificate
        self._witness = witness

    def feed(self, data: bytes) -> None:
        self._witness.violation(f"{len(data)} bytes went to a server that was not verified")
