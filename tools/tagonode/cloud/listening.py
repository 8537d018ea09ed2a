"""How the stand-in's servers listen: their sockets, how long they wait, and what uvicorn is told to leave alone."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 120  # from its first byte, or from the connection's beginning, until a request has come as a whole

# options of uvicorn.Config: one ASGI app, no logs of its own, nothing told about itself
PLAIN: dict[str, Any] = {
    "ws": "none",
    "loop": "asyncio",
    "interface": "asgi3",
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "proxy_headers": False,  # there is none: who sends them lies
    "server_header": False,
    "timeout_graceful_shutdown": 1,
}


class Timely(H11Protocol):
    """uvicorn's HTTP/1.1 for clients that take their time, but not for ever: uvicorn has no limit to that."""

    _since: float | None = None  # a request has begun to come; by the loop's clock
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See to it that its first request comes."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(REQUEST_S, self._look)

    def data_received(self, data: bytes) -> None:
        """Note when a request begins, and when it is there."""
        if self._since is None:
            self._since = self.loop.time()
        super().data_received(data)
        state = self.conn.their_state
        if state is not h11.SEND_BODY and (state is not h11.IDLE or not self.conn.trailing_data[0]):
            self._since = None

    def _look(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused and self._since is not None:
            self._since = now  # it is the server that does not go on
        due = now + REQUEST_S if self._since is None else self._since + REQUEST_S
        if due <= now:
            self.transport.abort()
        else:
            self._timer = self.loop.call_at(due, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no longer."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError, whose text says what to do."""
    # asyncio sets TCP_NODELAY only where the protocol is spelled out
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno,
            f"Port {port} on {host} cannot be used ({error.strerror}); stop what holds it, or name another",
        ) from error
    return listener
