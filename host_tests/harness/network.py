"""A network that does what a script says: a server (TLS or plain), a name server and a time server.

Connection n meets step n of the script, the last step repeats. Everything runs in threads of this process on
127.0.0.1; the device under test is somewhere else and asks a control socket for what the server has seen. The
steps and their meaning: guest/steps.py. A server that decides while it runs overrides `meet`, `answer_to` and
`tls_context`.
"""

import base64
import contextlib
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from . import certificates
from .control import Control
from .guest import steps

_LOCAL = "127.0.0.1"
SERVE = {"do": "serve"}  # a step: read a request, play what `answer_to` says
_LINGER_RST = struct.pack("ii", 1, 0)
_STEPS = (
    *("answer", "raw", "cut", "cut_request", "cut_handshake", "drip", "endless", "stall", "refuse", "hang_up"),
    *("conn", "slowly", "serve"),
)
_REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 400: "Bad Request"}


class Network:
    """Use it as a context manager, or start() and close().

    script: steps of guest/steps.py. tls: True, False or "1.3" (a server that knows nothing older).
    certificate: one of certificates.KINDS. host: the server's name in its certificate and in `url`.
    dns: a step or a list of steps for every name, or {name: those} with "*" for the others. ntp: the same.
    address: the server's own, name and time are served on 127.0.0.1; port: 0 for any.
    """

    def __init__(
        self,
        *script: dict,
        tls: bool | str = True,
        certificate: str = "good",
        host: str = "localhost",
        dns: Any = None,
        ntp: Any = None,
        address: str = _LOCAL,
        port: int = 0,
    ):
        self.script = list(script) or [steps.answer()]
        self.tls = bool(tls)
        self.host = host
        self.address = address
        self.port = port
        self.requests: list[dict] = []
        self.connections: list[dict] = []
        self.queries: list[str] = []
        self.time_queries = 0
        self._context: ssl.SSLContext | None = None
        if tls:
            newest_only = ssl.TLSVersion.TLSv1_3 if tls == "1.3" else ssl.TLSVersion.TLSv1_2
            self._context = certificates.chain(certificate, host).server_context(newest_only)
        self.name(dns if dns is not None else steps.a(_LOCAL))
        self._ntp = _as_list(ntp if ntp is not None else steps.ntp())
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._failures: list[BaseException] = []
        self._listening: list[tuple] = []  # (address, kind) of those with a thread waiting on them
        for step in self.script:
            _check(step, self.script)

    def __enter__(self) -> "Network":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def start(self) -> None:
        server = self._bind(socket.SOCK_STREAM, self.address, self.port)
        self.port = server.getsockname()[1]
        if self.script[0] == steps.stall("connect"):
            self._ignore_connections(server)
        elif any(step != steps.refuse() for step in self.script):
            server.listen(64)
            self._serve_in_thread(server, self._accept, server)
        name_server, time_server = self._bind(socket.SOCK_DGRAM), self._bind(socket.SOCK_DGRAM)
        self.dns_port, self.ntp_port = name_server.getsockname()[1], time_server.getsockname()[1]
        self._serve_in_thread(name_server, self._serve_datagrams, name_server, self._answer_name)
        self._serve_in_thread(time_server, self._serve_datagrams, time_server, self._answer_time)
        self._control = Control(self._told)

    def name(self, dns: Any) -> None:
        """From now on names meet these steps, counted from the first again."""
        self._asked: Counter[str] = Counter()
        self._dns = _by_name(dns)

    def meet(self, number: int) -> dict:
        """What connection `number` meets, counted from 0."""
        return self.script[min(number, len(self.script) - 1)]

    def answer_to(self, request: dict) -> dict:
        """What a request in a SERVE step is answered with: a step."""
        return steps.answer()

    def tls_context(self) -> ssl.SSLContext | None:
        """The server's side of TLS for a connection that was just made; None without TLS."""
        return self._context

    def close(self) -> None:
        """End everything. Raises what went wrong inside the servers: no test passes by accident."""
        self._control.close()
        self._closing.set()
        for place, kind in self._listening:
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind) as bell:
                bell.connect(place)  # wakes the thread that waits there
                bell.send(b"")
        for each in list(self._sockets):
            # shutdown wakes the thread that waits on it, close alone does not
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
        for each in list(self._sockets):
            each.close()
        if self._failures:
            raise self._failures[0]

    def describe(self) -> dict:
        """JSON for guest/fixtures.py."""
        return {
            "host": self.host,
            "port": self.port,
            "url": self.url,
            "tls": self.tls,
            "roots": [base64.b64encode(certificates.root_der()).decode()] if self.tls else [],
            "dns": [f"{_LOCAL}:{self.dns_port}"],
            "ntp": f"{_LOCAL}:{self.ntp_port}",
            "control": self._control.port,
        }

    # threads and sockets

    def _bind(self, kind: int, address: str = _LOCAL, port: int = 0) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        made.bind((address, port))
        return self._keep(made)

    def _ignore_connections(self, server: socket.socket) -> None:
        # with the queue of unaccepted connections full, Linux ignores those who knock
        server.listen(0)
        for _ in range(2):
            filler = self._keep(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())

    def _keep(self, made: socket.socket) -> socket.socket:
        self._sockets.append(made)
        return made

    def _drop(self, *ended: socket.socket) -> None:
        for each in ended:
            with contextlib.suppress(OSError):
                each.close()
            if each in self._sockets:
                self._sockets.remove(each)

    def _serve_in_thread(self, server: socket.socket, function: Callable, *arguments: Any) -> None:
        self._listening.append((server.getsockname(), server.type))
        self._thread(function, *arguments)

    def _thread(self, function: Callable, *arguments: Any) -> None:
        def run() -> None:
            try:
                function(*arguments)
            except Exception as error:  # noqa: BLE001 - raised again by close()
                if not self._closing.is_set():
                    self._failures.append(error)
            finally:
                self._threads.remove(thread)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # the server

    def _accept(self, server: socket.socket) -> None:
        number = 0
        while True:
            connection, _ = server.accept()
            if self._closing.is_set():
                connection.close()
                return
            entry = {"connection": number, "tls": self.tls, "handshake": "pending" if self.tls else "none"}
            self.connections.append(entry)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._thread(self._serve, self._keep(connection), self.meet(number), entry)
            number += 1

    def _serve(self, connection: socket.socket, step: dict, entry: dict) -> None:
        if step["do"] == "slowly":
            connection = self._keep(self._slow(connection, step["ms"], step["size"]))
            step = step["of"]
        try:
            self._play(connection, step["steps"] if step["do"] == "conn" else [step], entry)
        finally:
            self._drop(connection)

    def _play(self, connection: socket.socket, requests: list[dict], entry: dict) -> None:
        first = requests[0]
        if first["do"] == "refuse":
            entry["handshake"] = "refused"
            _end(connection, "rst")
            return
        if first == steps.stall("handshake"):
            entry["handshake"] = "stalled"
            self._note()
            self._until_gone(connection)
            return
        context = self.tls_context()
        if first["do"] == "cut_handshake" and context is not None:
            entry["handshake"] = "cut"
            self._cut_handshake(connection, context, first)
            self._note()
            self._finish(connection, first["how"])
            return
        if context is None:
            self._converse(connection, requests, entry)
            return
        try:
            secure = self._keep(context.wrap_socket(connection, server_side=True))
        except OSError as error:
            entry["handshake"] = "failed"
            entry["error"] = str(error)
            self._note()
            _end(connection, "fin")
            return
        entry["handshake"] = "ok"
        self._note()
        try:
            self._converse(secure, requests, entry)
        finally:
            self._drop(secure)

    def _cut_handshake(self, connection: socket.socket, context: ssl.SSLContext, step: dict) -> None:
        """The flights of a TLS 1.2 handshake (RFC 5246, 7.3) up to the one that the step names."""
        received, made = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, made, server_side=True)
        flight = 1  # the one that is on its way
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                flights = made.read()
                if flights:  # so the client's flight is complete
                    if flight == step["flights"]:
                        connection.sendall(step["data"].encode("latin-1"))
                        return
                    last = flight + 1 == step["flights"]
                    connection.sendall(flights[: round(len(flights) * step["part"])] if last else flights)
                    if last:
                        return
                    flight += 2
                data = connection.recv(65536)
                if not data:
                    return
                received.write(data)

    def _slow(self, connection: socket.socket, ms: float, size: int) -> socket.socket:
        """A socket in place of `connection`, whose bytes go out `size` at a time, one piece every `ms`."""
        ours, theirs = socket.socketpair()
        self._keep(theirs)

        def pump(source: socket.socket, target: socket.socket, piece: int, pause: float) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(piece):
                    target.sendall(data)
                    if pause and self._closing.wait(pause):
                        break
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        def both() -> None:
            self._thread(pump, connection, theirs, 65536, 0)
            pump(theirs, connection, size, ms / 1000)
            self._until_gone(connection)
            self._drop(connection, theirs)

        self._thread(both)
        return ours

    def _until_gone(self, connection: socket.socket) -> None:
        """Wait for the peer's end, or ours, without reading a byte."""
        gone = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
        poller = select.poll()
        poller.register(connection.fileno(), gone)
        while not self._closing.is_set() and not poller.poll(1000):
            pass

    def _finish(self, connection: socket.socket, how: str) -> None:
        if how == "stall":
            self._until_gone(connection)
        else:
            _end(connection, how)

    def _converse(self, connection: socket.socket, requests: list[dict], entry: dict) -> None:
        reader = _Reader(connection)
        number = 0
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            while self._one(connection, reader, requests[min(number, len(requests) - 1)], entry):
                number += 1

    def _one(self, connection: socket.socket, reader: "_Reader", step: dict, entry: dict) -> bool:
        """Play one step. False when the connection has ended."""
        do = step["do"]
        if do == "hang_up":
            if self._closing.wait(step["ms"] / 1000):
                return False
            connection.sendall(step["data"].encode("latin-1"))
            _end(connection, step["how"])
            return False
        if do == "cut_request":
            return self._cut_request(connection, reader, step, entry)
        head = reader.request()
        if head is None:
            return False
        request = self._record(entry, head, complete=reader.complete)
        if not reader.complete:
            return False
        if do == "serve":
            step = self.answer_to(request)
        return self._say(connection, step)

    def _cut_request(self, connection: socket.socket, reader: "_Reader", step: dict, entry: dict) -> bool:
        after = step["after"]
        if after < 0 or isinstance(after, float):
            size = reader.size()
            after = round(size * after) if isinstance(after, float) else size + after
        self._record(entry, reader.read(after), complete=False)
        self._finish(connection, step["how"])
        return False

    def _say(self, connection: socket.socket, step: dict) -> bool:
        """Answer a request that was read. False when the connection has ended."""
        do = step["do"]
        if do == "stall":
            self._until_gone(connection)
            return False
        if do == "raw":
            connection.sendall(step["data"].encode("latin-1"))
        elif do == "cut":
            connection.sendall(encode(step["of"])[: step["after"]])
            self._finish(connection, step["how"])
            return False
        elif do == "drip":
            data = encode(step["of"])
            for place in range(0, len(data), step["size"]):
                if self._closing.wait(step["ms"] / 1000):
                    return False
                connection.sendall(data[place : place + step["size"]])
        elif do == "endless":
            connection.sendall(step["head"].encode("latin-1"))
            while not self._closing.wait(step["ms"] / 1000):
                connection.sendall(step["again"].encode("latin-1"))
            return False
        else:
            connection.sendall(encode(step))
        if step.get("close"):
            _end(connection, "notify")
            return False
        return True

    def _record(self, entry: dict, data: bytes, complete: bool) -> dict:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, *_ = (lines[0].split(" ") + ["", ""])[:3]
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        request = {
            "method": method,
            "path": path,
            "headers": headers,
            "body": body.decode("utf-8", "replace"),
            "complete": complete,
            **{name: entry[name] for name in ("connection", "tls", "handshake")},
        }
        self.requests.append(request)
        return request

    # names and time

    def _serve_datagrams(self, server: socket.socket, respond: Callable[[bytes], list[bytes]]) -> None:
        while True:
            data, peer = server.recvfrom(2048)
            if self._closing.is_set():
                return
            for reply in respond(data):
                server.sendto(reply, peer)

    def _answer_name(self, query: bytes) -> list[bytes]:
        name, end = _read_name(query, 12)
        question = query[12 : end + 4]
        number = self._asked[name]
        self._asked[name] += 1
        self.queries.append(name)
        script = self._dns.get(name) or self._dns.get("*") or [steps.nxdomain()]
        return self._name_replies(query[:2], question, script[min(number, len(script) - 1)])

    def _name_replies(self, ident: bytes, question: bytes, step: dict) -> list[bytes]:
        do = step["do"]
        if do == "silence":
            return []
        if do == "garbage":
            return [step["data"].encode("latin-1")]
        if do == "rcode":
            return [ident + struct.pack("!HHHHH", 0x8180 | step["rcode"], 1, 0, 0, 0) + question]
        if do == "wrong_id":
            forged = bytes([ident[0] ^ 0x55, ident[1]])
            replies = self._name_replies(forged, question, steps.a(step["address"]))
            if step["then"] is not None:
                replies += self._name_replies(ident, question, step["then"])
            return replies
        owner = b"\xc0\x0c"  # compressed: the name in the question
        records = []
        for alias in step["names"]:
            target = b"".join(bytes([len(part)]) + part.encode() for part in alias.split(".")) + b"\0"
            records.append(owner + struct.pack("!HHIH", 5, 1, step["ttl"], len(target)) + target)
            owner = target
        for address in step["addresses"]:
            records.append(owner + struct.pack("!HHIH", 1, 1, step["ttl"], 4) + socket.inet_aton(address))
        return [ident + struct.pack("!HHHHH", 0x8180, 1, len(records), 0, 0) + question + b"".join(records)]

    def _answer_time(self, query: bytes) -> list[bytes]:
        step = self._ntp[min(self.time_queries, len(self._ntp) - 1)]
        self.time_queries += 1
        if step["do"] == "silence" or len(query) < 48:
            return []
        if step["do"] == "garbage":
            return [step["data"].encode("latin-1")]
        version = query[0] & 0x38
        if step["do"] == "kiss":
            code = step["code"].encode()
            return [bytes([0xC0 | version | 4, 0, 6, 0xEC]) + bytes(8) + code + bytes(8) + query[40:48] + bytes(16)]
        unix = time.time() + step["offset"] if step["unix_ms"] is None else step["unix_ms"] / 1000
        since_1900 = unix + 2208988800  # RFC 5905, figure 4
        stamp = struct.pack("!II", int(since_1900) & 0xFFFFFFFF, int(since_1900 % 1 * (1 << 32)))
        originate = bytes(8) if step["forged"] else query[40:48]
        head = bytes([step["leap"] << 6 | version | 4, step["stratum"], 6, 0xEC])
        return [head + bytes(8) + b"LOCL" + stamp + originate + stamp + stamp]

    def _told(self, asked: str) -> Any:
        if asked == "connections":
            # a server learns of a handshake that the client broke off a moment after the client does
            with self._changed:
                self._changed.wait_for(
                    lambda: all(entry["handshake"] != "pending" for entry in self.connections), timeout=5
                )
        return {
            "requests": self.requests,
            "connections": self.connections,
            "queries": self.queries,
            "time_queries": self.time_queries,
        }[asked]


class _Reader:
    """Reads requests from a connection, head and body by Content-Length or chunks."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._data = b""
        self.complete = True

    def _more(self) -> bool:
        more = self._connection.recv(65536)
        self._data += more
        return bool(more)

    def read(self, length: int) -> bytes:
        while len(self._data) < length and self._more():
            pass
        data, self._data = self._data[:length], self._data[length:]
        return data

    def size(self) -> int:
        """Bytes of the request that is coming, by the Content-Length in its head."""
        while b"\r\n\r\n" not in self._data and self._more():
            pass
        head = self._data.partition(b"\r\n\r\n")[0]
        return len(head) + 4 + _content_length(head)

    def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            if not self._more():
                self.complete = False
                return b""
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    def request(self) -> bytes | None:
        """The next request, body unchunked; None when the client is gone. See `complete`."""
        while b"\r\n\r\n" not in self._data:
            if not self._more():
                self.complete = not self._data
                return self._data or None
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        lower = head.lower()
        body = b""
        if b"transfer-encoding: chunked" in lower:
            while size := int(self._line() or b"0", 16):
                body += self.read(size)
                self._line()
            if self.complete:
                self._line()
        elif length := _content_length(head):
            body = self.read(length)
            self.complete = len(body) == length
        return head + b"\r\n\r\n" + body


def _content_length(head: bytes) -> int:
    return int((head.lower() + b"\r\n").partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")


def encode(step: dict) -> bytes:
    """The bytes of an answer(…) or raw(…)."""
    if step["do"] == "raw":
        return step["data"].encode("latin-1")
    body = step["body"].encode("latin-1" if step["binary"] else "utf-8")
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **step["headers"]}
    if "Transfer-Encoding" in step["headers"]:
        del headers["Content-Length"]
    if step["close"]:
        headers.setdefault("Connection", "close")
    lines = [f"HTTP/1.1 {step['status']} {_REASONS.get(step['status'], 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _end(connection: socket.socket, how: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        if how == "rst":
            _wait_until_read(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RST)
            connection.close()
            return
        connection.settimeout(5)
        if how == "notify" and isinstance(connection, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                connection.settimeout(0.05)
                connection.unwrap()  # sends close_notify; whether the peer answers is its own affair
        plain = socket.socket(fileno=connection.detach())
        with plain:
            plain.settimeout(5)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(65536):  # unread bytes would turn the end into a reset
                pass


def _wait_until_read(connection: socket.socket) -> None:
    """A read that meets a reset loses what it had (py/stream.c): reset when the peer has read all."""
    ends = [_hex_address(connection.getsockname()), _hex_address(connection.getpeername())]
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            with open("/proc/net/tcp") as table:
                rows = [line.split() for line in table]
        except FileNotFoundError:
            time.sleep(0.25)  # not Linux: nobody says how far the peer is
            return
        unacknowledged = [row[4].split(":")[0] for row in rows if row[1:3] == ends]
        unread = [row[4].split(":")[1] for row in rows if row[1:3] == ends[::-1]]
        if not any(int(count, 16) for count in unacknowledged + unread):
            return
        time.sleep(0.001)


def _hex_address(address: tuple) -> str:
    return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"


def _read_name(data: bytes, place: int) -> tuple[str, int]:
    parts = []
    while length := data[place]:
        parts.append(data[place + 1 : place + 1 + length].decode("ascii", "replace"))
        place += 1 + length
    return ".".join(parts).lower(), place + 1


def _as_list(step: Any) -> list[dict]:
    return list(step) if isinstance(step, (list, tuple)) else [step]


def _by_name(script: Any) -> dict[str, list[dict]]:
    if isinstance(script, dict) and "do" not in script:
        return {name.lower(): _as_list(step) for name, step in script.items()}
    return {"*": _as_list(script)}


def _check(step: Any, script: list[dict]) -> None:
    if not isinstance(step, dict) or step.get("do") not in _STEPS:
        raise ValueError(f"{step!r} is no step of a connection: see host_tests/harness/guest/steps.py")
    if step["do"] == "conn":
        for inner in step["steps"]:
            _check(inner, step["steps"])
    if step["do"] == "slowly":
        _check(step["of"], [step["of"]])
    if step["do"] == "stall" and step["at"] not in ("connect", "handshake", "answer"):
        raise ValueError(f'stall(at={step["at"]!r}): choose "connect", "handshake" or "answer"')
    if step == steps.stall("connect") and len(script) > 1:
        raise ValueError('stall(at="connect") must be the only step: nobody can see how often it was met')
