"""The DNS server of a virtual board's network: answers A queries with what this PC knows, or is told to say."""

import socket
import socketserver
import struct
import threading

_HEADER = struct.Struct(">HHHHHH")
_NXDOMAIN = 3


def _question(message: bytes) -> tuple[str, int]:
    """(name, index after the question) of a query's only question."""
    labels, at = [], 12
    while message[at]:
        length = message[at]
        labels.append(message[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels).lower(), at + 5


class _Server(socketserver.ThreadingUDPServer):
    daemon_threads = True
    nameserver: "NameServer"


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        query, sock = self.request
        if self.server.nameserver.silent:
            return
        try:
            ident, _, count, *_ = _HEADER.unpack_from(query)
            if count != 1:
                return
            name, end = _question(query)
        except (struct.error, IndexError, UnicodeDecodeError):
            return
        address = self.server.nameserver.address_of(name)
        flags = 0x8180 if address else 0x8180 | _NXDOMAIN
        reply = _HEADER.pack(ident, flags, 1, 1 if address else 0, 0, 0) + query[12:end]
        if address:
            reply += struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address)
        sock.sendto(reply, self.client_address)


class NameServer:
    """Serves on a free UDP port of 127.0.0.1 while the context lasts. `overrides`: {name: address}, of which "*" is
    every other name's. `silent`: it does not answer."""

    def __init__(self, overrides: dict[str, str] | None = None):
        self.overrides = dict(overrides or {})
        self.silent = False
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.nameserver = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def address(self) -> str:
        """ "address:port", as a board is told."""
        return "{}:{}".format(*self._server.server_address)

    def address_of(self, name: str) -> str | None:
        for known in (name, "*"):
            if known in self.overrides:
                return self.overrides[known]
        try:
            return str(socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0])
        except OSError:
            return None

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self._server.shutdown()
        self._server.server_close()
