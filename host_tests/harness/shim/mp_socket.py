"""`socket` as on MicroPython's unix port: addresses are bytes from getaddrinfo, streams return None."""

import errno
import socket as real
import struct
from typing import Any

from . import mp_select
from .mp_stream import Stream

AF_INET, AF_INET6, AF_UNIX = real.AF_INET.value, real.AF_INET6.value, real.AF_UNIX.value
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW = real.SOCK_STREAM.value, real.SOCK_DGRAM.value, real.SOCK_RAW.value
SOL_SOCKET, SO_REUSEADDR, SO_ERROR = real.SOL_SOCKET, real.SO_REUSEADDR, real.SO_ERROR
SO_BROADCAST, SO_KEEPALIVE, SO_LINGER = real.SO_BROADCAST, real.SO_KEEPALIVE, real.SO_LINGER
MSG_PEEK = real.MSG_PEEK.value
# a board's socket module has these two; the unix port's has not, and takes the numbers
IPPROTO_TCP, TCP_NODELAY = 6, 1


def _pack(host: str, port: int) -> bytes:
    return struct.pack("=H", AF_INET) + struct.pack("!H", port) + real.inet_aton(host) + bytes(8)


def _unpack(address: Any) -> tuple[str, int]:
    if not isinstance(address, (bytes, bytearray)):
        raise TypeError("object with buffer protocol required: pass what getaddrinfo returned")
    return real.inet_ntoa(address[4:8]), struct.unpack("!H", address[2:4])[0]


def sockaddr(address: bytes) -> tuple:
    """(family, packed host, port) of an address."""
    host, port = _unpack(address)
    return (AF_INET, real.inet_aton(host), port)


def getaddrinfo(host: str, port: int, *args: int) -> list[tuple]:
    """As on the unix port: one row or more of (family, type, proto, canonical name, address as bytes)."""
    try:
        found = real.getaddrinfo(host, port, real.AF_INET, args[1] if len(args) > 1 else SOCK_STREAM)
    except real.gaierror as error:
        raise OSError(error.errno, str(error)) from None
    return [(AF_INET, int(kind), proto, None, _pack(*address)) for _, kind, proto, _, address in found]


def inet_pton(family: int, text: str) -> bytes:
    return real.inet_pton(family, text)


def inet_ntop(family: int, packed: bytes) -> str:
    return real.inet_ntop(family, packed)


class socket(Stream):
    def __init__(self, family: int = AF_INET, kind: int = SOCK_STREAM, proto: int = 0, _real: Any = None) -> None:
        self._socket = _real or real.socket(family, kind, proto)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def setblocking(self, flag: bool) -> None:
        self._socket.setblocking(bool(flag))

    def settimeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self._socket.setsockopt(level, option, value)

    def connect(self, address: bytes) -> None:
        """Raises OSError(EINPROGRESS) on a non-blocking socket."""
        self._socket.connect(_unpack(address))

    def bind(self, address: bytes) -> None:
        self._socket.bind(_unpack(address))

    def listen(self, backlog: int = 2) -> None:
        self._socket.listen(backlog)

    def accept(self) -> tuple["socket", bytes]:
        connection, address = self._socket.accept()
        return socket(_real=connection), _pack(*address)

    def recv(self, n: int, flags: int = 0) -> bytes:
        return self._socket.recv(n, flags)

    def recvfrom(self, n: int, flags: int = 0) -> tuple[bytes, bytes]:
        data, address = self._socket.recvfrom(n, flags)
        return data, _pack(*address)

    def send(self, data: Any, flags: int = 0) -> int:
        return self._socket.send(data, flags)

    def sendto(self, data: Any, *args: Any) -> int:
        return self._socket.sendto(data, *args[:-1], _unpack(args[-1]))

    def makefile(self, *args: Any) -> "socket":
        return self

    def _receive(self, n: int) -> bytes:
        try:
            return self._socket.recv(n)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "ETIMEDOUT") from None

    def _send(self, data: memoryview) -> int:
        return self._socket.send(data, real.MSG_NOSIGNAL)

    def poll_begin(self, mask: int) -> tuple[int, int, int]:
        return 0, self._socket.fileno(), mask

    def poll_end(self, mask: int, events: int) -> int:
        return events & (mask | mp_select.ALWAYS)
