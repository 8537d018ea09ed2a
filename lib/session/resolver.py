"""Host names to addresses by a UDP query of our own: getaddrinfo blocks on every port, on some of them for ever."""

import os

from session import dns, udp

_PORT = 53
_TRIES = 2
_TRY_MS = 2000
_ALIASES = 4


def is_address(host: str) -> bool:
    """True for dotted-quad IPv4, which needs no question."""
    parts = host.split(".")
    return len(parts) == 4 and all([part.isdigit() and int(part) < 256 for part in parts])


class Resolver:
    """Asks the name servers that `servers()` lists ("address" or "address:port"), in order, and caches one answer.

    The cached address lives until `forget()`: the session calls it when a connection to it fails, so a moved server
    is found again without ever asking on a healthy connection.
    """

    def __init__(self, servers, try_ms: int = _TRY_MS):
        self._servers = servers
        self._try_ms = try_ms
        self._name = self._address = None

    def forget(self) -> None:
        """Drop the cached address."""
        self._name = self._address = None

    async def resolve(self, name: str) -> str:
        """The IPv4 address of `name`. Raises OSError when nobody answers, DnsError when the answer is no use."""
        if is_address(name):
            return name
        if name != self._name:
            self._address = await self._follow(name)
            self._name = name
        return self._address

    async def _follow(self, name):
        for _ in range(_ALIASES):
            address, alias = await self._ask(name)
            if address:
                return address
            name = alias
        raise dns.DnsError("too many aliases behind " + name)

    async def _ask(self, name):
        failure = None
        servers = self._servers()
        for _ in range(_TRIES):
            for server in servers:
                ident = int.from_bytes(os.urandom(2), "big")
                try:
                    address, port = udp.endpoint(server, _PORT)
                    return await udp.ask(
                        address,
                        port,
                        dns.encode_query(ident, name),
                        lambda datagram: dns.decode_answer(datagram, ident, name),
                        self._try_ms,
                    )
                except (OSError, ValueError) as error:
                    failure = error
        if failure is None:
            raise OSError(113, "no name server: the network gave none")
        raise failure
