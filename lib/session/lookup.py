"""The look-up behind a Resolver: loaded for one name, and forgotten."""

import os

from micropython import const

from session import DnsError, dns, forget, udp

forget("dns")
forget("udp")

_PORT = const(53)
_TRIES = const(2)
_ALIASES = const(4)


def is_address(host: str) -> bool:
    """True for dotted-quad IPv4, which needs no question."""
    parts = host.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)


async def resolve(servers, try_ms: int, name: str) -> str:
    """As Resolver.resolve: its servers(), its try_ms."""
    if is_address(name):
        return name
    for _ in range(_ALIASES):
        address, alias = await _ask(servers, try_ms, name)
        if address:
            return address
        name = alias
    raise DnsError("too many aliases behind " + name)


async def _ask(servers, try_ms, name):
    failure = None
    for server in list(servers()) * _TRIES:
        try:
            return await _ask_one(server, try_ms, name)
        except (OSError, ValueError) as error:
            failure = error
    raise failure or OSError(113, "no name server: the network gave none")


async def _ask_one(server, try_ms, name):
    ident = int.from_bytes(os.urandom(2), "big")
    address, port = udp.endpoint(server, _PORT)
    query = dns.encode_query(ident, name)
    return await udp.ask(address, port, query, lambda datagram: dns.decode_answer(datagram, ident, name), try_ms)
