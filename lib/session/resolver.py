"""Host names to addresses by a UDP query of our own: getaddrinfo blocks on every port, on some for ever."""

from micropython import const

from session import forget

_TRY_MS = const(2000)


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
        # a connection is kept for hours: in between the code is not
        from session import lookup

        forget("lookup")
        return await lookup.resolve(self._servers, self._try_ms, name)
