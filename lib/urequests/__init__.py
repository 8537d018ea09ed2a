"""Programs written for micropython-lib's `requests` (once `urequests`), on connections that verify the server.

Shapes and behaviour are those of the original, with the differences that README.md lists. Every call blocks until the
answer is complete, inside a running event loop, too: its other tasks stand still meanwhile.
"""

import os
from asyncio import core  # type: ignore[attr-defined]
from binascii import b2a_base64
from io import BytesIO
from json import dumps, loads

from micropython import const

import http1
from session.client import Deadlines, Session, SessionError
from session.resolver import Resolver

_PIECE = const(2048)  # a TLS record of TagoNode's firmware holds 4096
_STEP = const(2048)
_HOPS = const(5)
_EIO = const(5)
_HTTPS = const("https://")
# part of what went wrong, what to do
_REMEDIES = const(
    (
        ("trusted", "put its root (DER) into /roots"),
        ("future", "set the clock: ntptime.settime()"),
        ("body longer", "configure(limit=...)"),
        ("no name server", "join a network first"),
    )
)

_roots = "/roots"
_name_servers = _progress = None
_limit = 32768


def configure(roots=None, name_servers=None, limit: int = None, progress=None) -> None:
    """Change what all later calls use; what is not given stays.

    roots: a folder of DER files, "/roots" unless told, or a list of DER certificates as bytes.
    name_servers: list of "address" or "address:port"; unless told, what the joined Wi-Fi gave.
    limit: bytes that an answer's body may have, 32768 unless told.
    progress: called with milliseconds, within which it is called again: feed a watchdog of your own there.
    """
    global _roots, _name_servers, _limit, _progress
    _roots = roots or _roots
    _name_servers = name_servers or _name_servers
    _limit = limit or _limit
    _progress = progress or _progress


def _trusted():
    if not isinstance(_roots, str):
        yield from _roots
        return
    try:
        names = os.listdir(_roots)
    except OSError:
        return  # no folder, no roots: Session says so
    for name in names:
        with open(_roots + "/" + name, "rb") as file:
            yield file.read()


def _servers():
    if _name_servers:
        return _name_servers
    import network

    wlan = network.WLAN(network.STA_IF)
    return [wlan.ifconfig()[3]] if wlan.isconnected() else []


class Response:
    """An answer, complete and in memory.

    status_code; reason: bytes, as in the original; headers: {name as sent: text}, or what `parse_headers` made;
    content: the body's bytes, None after close(); encoding.
    """

    def __init__(self, status_code: int, reason: bytes, headers: dict, content: bytes):
        self.status_code = status_code
        self.reason = reason
        self.headers = headers
        self.content = content
        self.encoding = "utf-8"

    def close(self) -> None:
        """Let go of the body. The connection is closed already."""
        self.content = None

    @property
    def text(self) -> str:
        """The body as text. Raises UnicodeError (a ValueError) when it is none."""
        return str(self.content, self.encoding)

    @property
    def raw(self):
        """The body as a stream to read from, from its beginning each time."""
        return BytesIO(self.content)

    def json(self):
        """The body as what its JSON says. Raises ValueError when it is none."""
        return loads(self.content)


class _Answer(http1.Response):
    """Keeps the head as it came, and has room for a body of any size within the limit."""

    def __init__(self, method):
        self.lines = bytearray()
        self.room = bytearray()
        super().__init__(self.room, _limit)
        self.begin(method)

    def feed(self, data, n=None):
        room = self.room
        if not room:
            room.extend(data)
        if self.status is None:
            self.lines.extend(data[:n])
        super().feed(data, n)
        # in one piece when the length is known: growing leaves holes in the heap
        if self.size + len(data) > len(room):
            length = int(self.header("content-length") or self.size + _STEP)
            room.extend(bytes(length + len(data) - len(room)))


def _head(lines, parse):
    """(reason, headers, location or "") of the last answer whose head begins in `lines`."""
    headers = {}
    location = ""
    for line in bytes(lines).split(b"\n"):
        line = line.strip()
        if line[:7] == b"HTTP/1.":
            final = line[9:10] != b"1"
            reason = line[13:]
        elif final:
            if not line:
                break
            if callable(parse):
                parse(line + b"\r\n", headers)
            try:
                name, _, value = str(line, "utf-8").partition(":")
            except ValueError:
                continue  # nobody promises UTF-8
            value = value.strip()
            if parse is True:
                headers[name] = value
            if name.lower() == "location":
                location = value
    return reason, headers, location


def _split(url):
    """(scheme://, host[:port], host, port, target) of a URL. A ValueError does not repeat it: it may hold a key."""
    scheme, mark, rest = url.split("#")[0].partition("://")
    scheme += mark
    name, _, target = rest.partition("/")
    host, colon, port = name.partition(":")
    if scheme not in (_HTTPS, "http://") or not host or "@" in name or "?" in name or colon and not port.isdigit():
        raise ValueError("not http(s)://host[:port]/path")
    # what a request line cannot hold
    target = "".join([chr(c) if 32 < c < 127 else "%%%02X" % c for c in target.encode()])
    return scheme, name, host, int(port or (443 if scheme == _HTTPS else 80)), "/" + target


def _pieces(data, chunked):
    for piece in data:
        piece = memoryview(piece.encode() if isinstance(piece, str) else piece)
        for at in range(0, len(piece), _PIECE):
            part = piece[at : at + _PIECE]
            yield b"%x\r\n" % len(part) + part + b"\r\n" if chunked else part
    if chunked:
        yield b"0\r\n\r\n"


def _block(session, request):
    # A loop of our own for as long as this takes: asyncio.run() inside a task would run the others in between, and
    # the task that called it could never wait again.
    kept = core._task_queue, core._io_queue, core.cur_task
    try:
        core.new_event_loop()
        task = core.create_task(request)
        try:
            core.run_until_complete(task)
        finally:
            core.cur_task = None
            task.cancel()  # after Ctrl-C it is still on its way
            core.run_until_complete()  # what was cancelled closes its sockets
    finally:
        session.close()
        core._task_queue, core._io_queue, core.cur_task = kept


def request(
    method: str,
    url: str,
    data=None,
    json=None,
    headers: dict = None,
    stream=None,
    auth: tuple = None,
    timeout: float = None,
    parse_headers=True,
) -> Response:
    """Ask, and wait for the whole answer.

    data: str, bytes, bytearray, or an iterator of those, which is sent in chunks (or as it is, when the headers have
    its Content-Length); json: what to send as JSON instead. headers: {name: str or bytes}. stream: taken and not
    needed. auth: (user, password). timeout: seconds that each wait may take, the whole call three times that; 20 s
    unless told. parse_headers: True, False, or a function of (line, headers) to fill `headers` of the response.
    Raises ValueError for what cannot be sent, or a redirect to what is no URL; OSError for what the network or the
    server did wrong: its errno is ETIMEDOUT, what the network said, or EIO; its text names the host, where it failed,
    and what to do.
    """
    fields = {"connection": "close"}
    for name in headers or ():
        value = headers[name]
        fields[name.lower()] = value if isinstance(value, str) else str(value, "utf-8")
    if auth:
        fields["authorization"] = "Basic " + b2a_base64(("%s:%s" % tuple(auth)).encode()).decode().strip()
    if json is not None:
        if data is not None:
            raise ValueError("data or json, not both")
        data = dumps(json)
        fields.setdefault("content-type", "application/json")
    length = int(fields.pop("content-length", -1))
    fields.pop("transfer-encoding", None)
    once = hasattr(data, "__next__")
    if not once:
        if isinstance(data, str):
            data = data.encode()
        length = len(memoryview(data)) if data else 0 if method[:1] == "P" else None
        data = (data,) if data else ()
    elif length < 0:
        length = None
        fields["transfer-encoding"] = "chunked"
    limits = Deadlines(int(timeout * 1000)) if timeout else Deadlines()
    limits.resolve = limits.connect = limits.answer
    asks = method in ("GET", "HEAD")
    for _ in range(_HOPS):
        scheme, name, host, port, target = _split(url)
        session = Session(host, port, _trusted if scheme == _HTTPS else None, Resolver(_servers), limits)
        session.progress = _progress or session.progress
        answer = _Answer(method)
        try:
            head = http1.encode_head(method, target, fields.pop("host", name), fields.items(), length)
            _block(session, session.request(head, _pieces(data, once and length is None), answer))
        except http1.LocalProtocolError as error:
            raise ValueError(str(error)) from None
        except SessionError as error:
            said = host + ": " + " ".join(str(error).split())
            for part, remedy in _REMEDIES:
                if part in said:
                    said += "; " + remedy
            raise OSError(error.errno or _EIO, said) from None
        reason, found, location = _head(answer.lines, parse_headers)
        if not location or answer.status not in (301, 302, 303, 307, 308):
            break
        here = scheme + name
        if location[0] == "/" and location[1:2] != "/":
            location = here + location
        if not (location + "/").startswith(here + "/"):
            # to another server goes no body, and no header that may be a secret; and nothing from https to http
            if not asks or location[:8] != _HTTPS and not location.startswith(scheme):
                break
            fields = {name: fields[name] for name in fields if name in ("accept", "user-agent")}
        elif once or not (asks or answer.status > 303):
            break
        url = location
    return Response(answer.status, reason, found, answer.body())


def _verb(method):
    return lambda url, **options: request(method, url, **options)


# (url, **options): request(), with this method
get = _verb("GET")
head = _verb("HEAD")
post = _verb("POST")
put = _verb("PUT")
patch = _verb("PATCH")
delete = _verb("DELETE")
