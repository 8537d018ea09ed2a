"""Sockets, TLS outcomes, name servers and time servers: `socket`, `ssl` and `select` of a simulated board.

Bytes travel as the agent sends them, DNS and SNTP in their wire formats. TLS is a model: handshakes take their round
trips and end as certificates, roots and the board's clock would have it, with the texts of mbedTLS; nothing is
encrypted. What goes wrong is in the attributes of `Network`, which faults.py sets.
"""

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

from .loop import Loop, Time

POLLIN, POLLOUT, POLLERR, POLLHUP = 1, 4, 8, 16
_WINDOW = 5744  # bytes in flight: what lwIP has for sending on a Pico W
_NTP_EPOCH_S = 2208988800

_EXPIRED = "The certificate validity has expired\n"
_FUTURE = "The certificate validity starts in the future\n"
_UNTRUSTED = "The certificate is not correctly signed by the trusted CA\n"
_WRONG_HOST = "The certificate Common Name (CN) does not match with the expected CN\n"


@dataclass
class Certificate:
    """What a server shows. issuer: the root that vouches for it; since, until: Unix seconds."""

    name: str
    issuer: bytes
    since: float
    until: float

    def problems(self, name: str, roots: set[bytes], now: float) -> str:
        text = _EXPIRED if now > self.until else ""
        text += _WRONG_HOST if name != self.name else ""
        text += _UNTRUSTED if self.issuer not in roots else ""
        return text + (_FUTURE if now < self.since else "")


class Peer:
    """The other end of a connection. `certificate`: None where there is no TLS; `line` is set when it is connected."""

    certificate: Certificate | None = None
    line: "Tcp"

    def feed(self, data: bytes) -> None:
        """What has come."""

    def gone(self) -> None:
        """The board closed."""


@dataclass
class Network:
    """The network behind the radio, and what is wrong with it now.

    Chances are per connection or per datagram. lag: one way, ms; silent: nothing comes through; refused, lost: chances
    that a connection is refused, that nobody answers; cut_up, cut_down: chances that it ends at some byte on its way;
    stalls: of those, the share that ends in silence instead of a reset; datagrams: chance that one is lost; dns: "" or
    what the name server does ("silent", "nxdomain", "servfail", "garbage", "wrong", "alias"); ntp: "" or what time
    servers do ("silent", "kiss", "unsynchronised", "zero"); ntp_wrong: ms by which they are wrong; tls: "" or what
    becomes of handshakes ("stall", "reset", "version", "memory"); busy: ms that a handshake holds up the board.
    """

    time: Time
    loop: Loop
    draw: Random
    unix: Callable[[], float]
    rtc: Callable[[], float]
    up: Callable[[], bool]
    said: Callable[[str], None] = lambda text: None
    lag: int = 30
    silent: bool = False
    refused: float = 0.0
    lost: float = 0.0
    cut_up: float = 0.0
    cut_down: float = 0.0
    stalls: float = 0.3
    datagrams: float = 0.0
    dns: str = ""
    ntp: str = ""
    ntp_wrong: int = 0
    tls: str = ""
    busy: int = 40
    addresses: dict[str, str] = field(default_factory=dict)
    servers: dict[tuple[str, int], Callable[[], Peer]] = field(default_factory=dict)
    sockets: set = field(default_factory=set)
    wrong_time_told: int = 0

    def link_changed(self, up: bool) -> None:
        """The radio lost its link: what was on its way is lost, and connections are dead. Some stacks say so."""
        if not up:
            for sock in list(self.sockets):
                sock.broken = True
                if self.draw.random() < 0.5:
                    sock.fail(errno.ECONNABORTED)

    def power_off(self) -> None:
        for sock in list(self.sockets):
            sock.close()

    def delay(self) -> int:
        return self.lag + int(self.draw.random() ** 4 * self.lag * 4)

    @property
    def reachable(self) -> bool:
        return self.up() and not self.silent

    # ---- datagrams

    def datagram(self, sock: "Udp", data: bytes) -> None:
        if not self.up():
            raise OSError(errno.EHOSTUNREACH, "no route")
        if not self.reachable or self.draw.random() < self.datagrams:
            return
        there, back = self.delay(), self.delay()
        answer = None
        if sock.peer[1] == 53:
            answer = self._resolve(data)
        elif sock.peer[1] == 123:
            answer = self._tell_time(data, there)
        if answer is not None:
            self.time.at(self.time.now + there + back, lambda: sock.arrive(answer))

    def _resolve(self, query: bytes) -> bytes | None:
        kind = self.dns
        if kind == "silent":
            return None
        if kind == "garbage":
            return query[:2] + bytes(self.draw.getrandbits(8) for _ in range(self.draw.randrange(60)))
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12 : at + 5]
        name = ".".join(labels)
        address = self.addresses.get(name)
        code = {"nxdomain": 3, "servfail": 2}.get(kind, 0 if address else 3)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 0 if code else 1, 0, 0)
        if code:
            return head + question
        if kind == "wrong":
            address = "10.66.66.66"
        if kind == "alias" and not name.startswith("alias-"):
            alias = b"".join(bytes([len(part)]) + part.encode() for part in ("alias-" + name).split(".")) + b"\0"
            self.addresses.setdefault("alias-" + name, self.addresses[name])
            return head + question + b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, len(alias)) + alias
        assert address is not None
        octets = bytes(int(part) for part in address.split("."))
        return head + question + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + octets

    def _tell_time(self, request: bytes, after: int) -> bytes | None:
        if self.ntp == "silent":
            return None
        now = self.unix() + after / 1000 + self.ntp_wrong / 1000
        if self.ntp_wrong:
            self.wrong_time_told += 1
        seconds = int(now)
        stamp = struct.pack(">II", (seconds + _NTP_EPOCH_S) & 0xFFFFFFFF, int((now - seconds) * (1 << 32)))
        first, stratum = 0x24, 2
        if self.ntp == "kiss":
            stratum = 0
        elif self.ntp == "unsynchronised":
            first, stratum = 0xE4, 16
        elif self.ntp == "zero":
            stamp = bytes(8)
        return bytes((first, stratum, 6, 0xEC)) + bytes(20) + request[40:48] + stamp + stamp

    # ---- modules

    def modules(self) -> dict[str, Any]:
        network = self

        def make(family: int = 2, kind: int = 1, proto: int = 0) -> Any:
            return Udp(network) if kind == 2 else Tcp(network)

        def getaddrinfo(host: str, port: int, *_: int) -> list:
            if host.strip("0123456789."):
                network.time.spend(14000)  # as lwIP does where two name servers are silent
                raise OSError(-2, "no address")
            return [(2, 1, 0, "", (host, port))]

        class Context:
            def __init__(self, protocol: int):
                self.verify_mode = 0
                self.roots: set[bytes] = set()

            def load_verify_locations(self, cadata: bytes) -> None:
                if not isinstance(cadata, bytes):
                    raise TypeError("cadata has to be bytes")
                if not cadata.startswith((b"root", b"nobody")):
                    raise ValueError("invalid cert")
                self.roots.add(cadata)

            def wrap_socket(self, sock: Tcp, *, server_hostname: Any = None, do_handshake_on_connect: bool = True):
                if network.tls == "memory":
                    raise OSError(errno.ENOMEM, "ENOMEM")
                return Tls(sock, self, server_hostname)

        return {
            "socket": SimpleNamespace(AF_INET=2, SOCK_STREAM=1, SOCK_DGRAM=2, socket=make, getaddrinfo=getaddrinfo),
            "ssl": SimpleNamespace(SSLContext=Context, PROTOCOL_TLS_CLIENT=0, CERT_NONE=0, CERT_REQUIRED=2),
            "select": SimpleNamespace(poll=_Poll, POLLIN=POLLIN, POLLOUT=POLLOUT, POLLERR=POLLERR, POLLHUP=POLLHUP),
        }


class _Poll:
    def __init__(self) -> None:
        self._wanted: dict[Any, int] = {}

    def register(self, sock: Any, events: int = POLLIN | POLLOUT) -> None:
        self._wanted[sock] = events

    modify = register

    def unregister(self, sock: Any) -> None:
        del self._wanted[sock]

    def poll(self, ms: int = -1) -> list:
        found = []
        for sock, wanted in self._wanted.items():
            events = sock.events() & (wanted | POLLERR | POLLHUP)
            if events:
                found.append((sock, events))
        return found


class _Socket:
    """waiters: the tasks that wait for it to be readable, and writable."""

    def __init__(self, network: Network):
        self.network = network
        self.waiters: list = [None, None]
        self.error = 0
        self.closed = False
        self.broken = False  # nothing comes through any more, and nobody says so
        self.peer: tuple[str, int] = ("", 0)
        network.sockets.add(self)

    def readable(self) -> bool:
        return bool(self.error)

    def writable(self) -> bool:
        return True

    def events(self) -> int:
        return (
            (POLLIN if self.readable() else 0)
            | (POLLOUT if self.writable() else 0)
            | (POLLERR | POLLHUP if self.error else 0)
        )

    def remove(self, task: Any) -> None:
        self.waiters = [None if waiter is task else waiter for waiter in self.waiters]

    def wake(self) -> None:
        for direction in (0, 1):
            if self.waiters[direction] is not None and (self.writable() if direction else self.readable()):
                self.network.loop.wake(self, direction)

    def fail(self, number: int) -> None:
        if not self.closed and not self.error:
            self.error = number
            self.wake()

    def setblocking(self, on: bool) -> None:
        if on:
            raise NotImplementedError("the agent never blocks on a socket")

    def setsockopt(self, *_: Any) -> None:
        pass

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.network.sockets.discard(self)

    def _usable(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, "EBADF")
        if self.error:
            raise OSError(self.error, errno.errorcode[self.error])


class Udp(_Socket):
    def __init__(self, network: Network):
        super().__init__(network)
        self._inbox: list[bytes] = []

    def readable(self) -> bool:
        return bool(self._inbox or self.error)

    def connect(self, peer: tuple[str, int]) -> None:
        self.peer = peer

    def send(self, data: bytes) -> int:
        self._usable()
        self.network.datagram(self, bytes(data))
        return len(data)

    def arrive(self, data: bytes) -> None:
        if not self.closed and not self.broken and self.network.up():
            self._inbox.append(data)
            self.wake()

    def recv(self, size: int) -> bytes:
        self._usable()
        if not self._inbox:
            raise OSError(errno.EAGAIN, "EAGAIN")
        return self._inbox.pop(0)[:size]


class Tcp(_Socket):
    """A connection, and what the network does to it: its bytes may end anywhere."""

    def __init__(self, network: Network):
        super().__init__(network)
        self.connected = False
        self.end: Peer | None = None
        self.tls: Tls | None = None
        self._inbox = bytearray()
        self._fin = False
        self._room = _WINDOW
        self._sent = self._received = 0
        self._cut_up = self._cut_down = 1 << 40
        self._cut_silent = False
        self._up_at = self._down_at = 0

    def readable(self) -> bool:
        return bool(self._inbox or self._fin or self.error)

    def writable(self) -> bool:
        return bool(self.error or self.connected and self._room > 0)

    def wake(self) -> None:
        super().wake()
        if self.tls is not None:
            _Socket.wake(self.tls)

    def connect(self, peer: tuple[str, int]) -> None:
        self._usable()
        network, time, draw = self.network, self.network.time, self.network.draw
        self.peer = peer
        if not network.up():
            raise OSError(errno.EHOSTUNREACH, "no route")
        make = network.servers.get(peer)
        if network.reachable and make is not None and draw.random() >= network.lost:
            when = time.now + 2 * network.delay()
            if draw.random() < network.refused:
                time.at(when, lambda: self.fail(errno.ECONNREFUSED))
            else:
                time.at(when, lambda: self._join(make))
        raise OSError(errno.EINPROGRESS, "EINPROGRESS")

    def _join(self, make: Callable[[], Peer]) -> None:
        if self.closed or self.broken or self.error:
            return
        network, draw = self.network, self.network.draw
        self.end = make()
        self.end.line = self
        self.connected = True
        # anywhere, but often near the beginning, where heads and short answers are
        if draw.random() < network.cut_up:
            self._cut_up = int(draw.random() ** 3 * 20000)
        if draw.random() < network.cut_down:
            self._cut_down = int(draw.random() ** 2 * 600)
        self._cut_silent = draw.random() < network.stalls
        self.wake()

    def _cut(self, number: int) -> None:
        self.broken = True
        if not self._cut_silent:
            self.network.time.at(self.network.time.now + self.network.delay(), lambda: self.fail(number))

    def write(self, data: Any) -> int | None:
        self._usable()
        if not self.connected:
            raise OSError(errno.ENOTCONN, "ENOTCONN")
        n = min(len(data), self._room)
        if not n:
            return None
        self._room -= n
        piece = bytes(data[:n])
        time = self.network.time
        self._up_at = max(self._up_at, time.now + self.network.delay())
        time.at(self._up_at, lambda: self._up(piece))
        return n

    def _up(self, data: bytes) -> None:
        if self.broken or not self.network.reachable:
            self.broken = True
            return
        self._sent += len(data)
        over = self._sent - self._cut_up
        end = self.end
        assert end is not None
        if over > 0:
            data = data[: max(0, len(data) - over)]
        if data:
            end.feed(data)
        if over > 0:
            self._cut(errno.ECONNRESET)
            return
        self._room = min(_WINDOW, self._room + len(data) if not over > 0 else 0)
        if not self.closed:
            self.wake()

    # ---- what the peer does

    def send(self, data: bytes, after: int = 0) -> None:
        time = self.network.time
        self._down_at = max(self._down_at, time.now + after + self.network.delay())
        time.at(self._down_at, lambda: self._down(data))

    def finish(self, after: int = 0) -> None:
        self.send(b"", after)

    def reset(self, after: int = 0) -> None:
        self.network.time.at(self.network.time.now + after + self.network.delay(), lambda: self._reset())

    def _reset(self) -> None:
        if not self.broken and self.network.reachable:
            self.fail(errno.ECONNRESET)

    def _down(self, data: bytes) -> None:
        if self.closed or self.broken or self.error:
            return
        if not self.network.reachable:
            self.broken = True
            return
        if not data:
            self._fin = True
            self.wake()
            return
        self._received += len(data)
        over = self._received - self._cut_down
        if over > 0:
            data = data[: max(0, len(data) - over)]
        self._inbox += data
        if over > 0:
            self._cut(errno.ECONNRESET)
        self.wake()

    # ---- reading

    def readinto(self, buffer: Any) -> int | None:
        if self.closed:
            raise OSError(errno.EBADF, "EBADF")
        if self._inbox:
            n = min(len(buffer), len(self._inbox))
            buffer[:n] = self._inbox[:n]
            del self._inbox[:n]
            return n
        self._usable()
        return 0 if self._fin else None

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self.end is not None:
                self.end.gone()


class Tls(_Socket):
    """TLS over a Tcp. Closing it closes that, but not after a handshake that failed: as MicroPython does."""

    def __init__(self, sock: Tcp, context: Any, name: str | None):
        super().__init__(sock.network)
        self.network.sockets.discard(self)
        if context.verify_mode and name is None:
            raise ValueError("CERT_REQUIRED requires server_hostname")
        self._sock = sock
        self._context = context
        self._name = name
        self._done_at: int | None = None
        self._shaken = False
        self._failed = False
        sock.tls = self

    def readable(self) -> bool:
        return self._sock.readable()

    def events(self) -> int:
        return self._sock.events()

    def writable(self) -> bool:
        if self._sock.error or self._sock._fin:
            return True
        if self._shaken or self._done_at is None:
            return self._sock.writable()
        return self.network.time.now >= self._done_at

    def _shake(self) -> bool:
        network, time = self.network, self.network.time
        if self._done_at is None:
            time.spend(int(network.busy * network.draw.random()))
            if network.tls == "stall" or self._sock.broken or not network.reachable:
                self._done_at = 1 << 60
            else:
                self._done_at = time.now + 4 * network.delay()
                time.at(self._done_at, lambda: _Socket.wake(self))
            if network.tls == "reset":
                self._sock.reset(network.draw.randrange(200))
            return False
        self._sock._usable()
        if self._sock._fin:
            raise OSError(-0x7280, "MBEDTLS_ERR_SSL_CONN_EOF")
        if time.now < self._done_at:
            return False
        time.spend(int(network.busy * network.draw.random()))
        self._verify()
        self._shaken = True
        return True

    def _verify(self) -> None:
        end = self._sock.end
        assert end is not None
        if self.network.tls == "version" or end.certificate is None:
            raise OSError(-30592, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE")
        if self._context.verify_mode:
            if not self._context.roots:
                raise OSError(-30336, "MBEDTLS_ERR_SSL_CA_CHAIN_REQUIRED")
            problems = end.certificate.problems(self._name or "", self._context.roots, self.network.rtc())
            if problems:
                raise ValueError(problems)

    def write(self, data: Any) -> int | None:
        if self.closed or self._failed:
            raise OSError(errno.EBADF, "EBADF")
        if not self._shaken:
            try:
                if not self._shake():
                    return None
            except (OSError, ValueError):
                self._failed = True
                raise
        return self._sock.write(data)

    def readinto(self, buffer: Any) -> int | None:
        return self._sock.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if not self._failed:
                self._sock.close()
