"""One question, one answer over UDP, without blocking the event loop (used for DNS and SNTP)."""

import asyncio
import socket
from time import ticks_diff, ticks_ms

from session import ready


def endpoint(server: str, default_port: int) -> tuple:
    """Split "address" or "address:port". Raises ValueError for a port that is no number."""
    address, _, port = server.partition(":")
    return address, int(port) if port else default_port


async def ask(address: str, port: int, request: bytes, accept, timeout_ms: int):
    """Send `request` to a numeric address, return what `accept(datagram)` makes of the first one it wants.

    `accept` returns None for a datagram that is not the answer (another id, a stray). The socket is connected,
    so that datagrams of other addresses and ports never arrive. Raises OSError (ETIMEDOUT after `timeout_ms`,
    or what the network says) and what `accept` raises. The socket is closed on every path, cancelled or not.
    """
    # a numeric address never blocks in getaddrinfo, and comes out in the form that connect() takes here
    peer = socket.getaddrinfo(address, port)[0][-1]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(peer)
        sock.send(request)
        start = ticks_ms()
        while True:
            await asyncio.wait_for_ms(ready(sock, False), max(timeout_ms - ticks_diff(ticks_ms(), start), 0))
            answer = accept(sock.recv(512))
            if answer is not None:
                return answer
    except asyncio.TimeoutError:
        raise OSError(110, "no answer from " + address + " in " + str(timeout_ms) + " ms") from None
    finally:
        sock.close()
