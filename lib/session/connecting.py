"""How a Session gets its connection: loaded for that, and forgotten. Its time is bounded, and told, by the session."""

import errno
import gc
import select
import socket
import ssl

from micropython import const

from session import ready

_IPPROTO_TCP = const(6)
_TCP_NODELAY = const(1)


def verifying_context(roots):
    """A TLS client context that trusts the DER certificates that `roots()` yields one by one, nothing else.

    Raises ValueError when there is none or one cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    count = 0
    for der in roots():
        # one call each: concatenated DER is silently cut to the first certificate
        context.load_verify_locations(cadata=der)
        count += 1
    if not count:
        raise ValueError("no trusted root certificate on this board: build and deploy again")
    return context


def trust(session) -> None:
    """As Session.trust."""
    if session._context is None:
        session._context = verifying_context(session._roots)


async def connect(session) -> None:
    """Open the connection of a session that has none. Raises what the network and TLS raise."""
    session._stage = "resolve"
    if session._address is None:
        looking = session._resolver.resolve(session.host)
        session._address = await session._within(looking, session._deadlines.resolve)
    session._stage = "connect"
    session.handshakes += 1
    sock = session._sock = session._raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
    try:
        sock.connect(socket.getaddrinfo(session._address, session.port)[0][-1])
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            raise
    await session._within(ready(sock, True), session._deadlines.connect)
    # the socket itself, below TLS: asking a TLS object takes a millisecond on some ports
    poller = session._wire = select.poll()
    poller.register(sock, select.POLLOUT)
    for _, event in poller.poll(0):
        if event & (select.POLLERR | select.POLLHUP):
            raise OSError(errno.ECONNREFUSED, "refused, or no way there")
    poller.modify(sock, select.POLLIN)
    if session._roots is not None:
        session._stage = "handshake"
        trust(session)
        gc.collect()  # the handshake needs one piece of 16.7 KB where TLS lives on the heap
        sock = session._sock = session._context.wrap_socket(
            sock, server_hostname=session.host, do_handshake_on_connect=False
        )
    poller = session._poller = select.poll()
    poller.register(sock, select.POLLIN)
