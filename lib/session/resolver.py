"""Host names to addresses by a UDP query of our own: getaddrinfo blocks on every port, on some for ever."""

import os
import sys

from micropython import const

from session import DnsError, udp

_PORT = const(53)
_TRIES = const(2)
_TRY_MS = const(2000)
_ALIASES = const(4)


def is_address(host: str) -> bool:
    """True for dotted-quad IPv4, which needs no question."""
    parts = host.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)


class Resolver:
    """Asks the name servers that `servers()` lists ("address" or "address:port"), one after the other, twice.

    try_ms: how long each may take to answer.
    """

    def __init__(self, servers, try_ms: int = _TRY_MS):
        self._servers = servers
        self._try_ms = try_ms

    async def resolve(self, name: str) -> str:
        """The IPv4 address of `name`, asked anew each time; an address is its own.

        Raises OSError when nobody answers, DnsError when the answer is no use.
        """
        if is_address(name):
            return name
        # a connection is kept for hours: in between the messages' code is not
        from session import dns

        del sys.modules["session.dns"]
        delattr(sys.modules["session"], "dns")
        for _ in range(_ALIASES):
            address, alias = await self._ask(dns, name)
            if address:
                return address
            name = alias
        raise DnsError("too many aliases behind " + name)

    async def _ask(self, dns, name):
        failure = None
        for server in list(self._servers()) * _TRIES:
            try:
                return await self._ask_one(dns, server, name)
            except (OSError, ValueError) as error:
                failure = error
        raise failure or OSError(113, "no name server: the network gave none")

    async def _ask_one(self, dns, server, name):
        ident = int.from_bytes(os.urandom(2), "big")
        address, port = udp.endpoint(server, _PORT)
        query = dns.encode_query(ident, name)
        return await udp.ask(
            address, port, query, lambda datagram: dns.decode_answer(datagram, ident, name), self._try_ms
        )
