"""One client's connection, as the request inspector tells of it and as faults end it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

HANDSHAKE_NEW, HANDSHAKE_RESUMED, HANDSHAKE_REUSED, HANDSHAKE_NONE = "new", "resumed", "reused", "none"


class Connection:
    """In `scope["state"]["connection"]` of every request that came over it.

    `number`: rises with each connection. `requests`: how many have come so far. `measure`: gives (bytes received,
    bytes sent) of its transport, TLS included.
    """

    def __init__(self, transport: Any, number: int, measure: Callable[[Any], tuple[int, int]]):
        self._transport = transport
        self._measure = measure
        self._counted = (0, 0)
        self.number = number
        self.requests = 0
        tls = transport.get_extra_info("ssl_object")
        self.secure = tls is not None
        self._resumed = bool(getattr(tls, "session_reused", False))

    def begin(self) -> str:
        """A request has come: how its TLS session came about. One of the HANDSHAKE_ words."""
        self.requests += 1
        if not self.secure:
            return HANDSHAKE_NONE
        if self.requests > 1:
            return HANDSHAKE_REUSED
        return HANDSHAKE_RESUMED if self._resumed else HANDSHAKE_NEW

    def heard(self) -> int:
        """Bytes that came over the wire since this was asked last, the handshake's in the first answer: to be asked
        before a request is answered, since the next one may come right after that."""
        up, (before, down) = self._measure(self._transport)[0], self._counted
        self._counted = max(up, before), down
        return max(0, up - before)

    def said(self) -> int:
        """Bytes that went out since this was asked last."""
        down, (up, before) = self._measure(self._transport)[1], self._counted
        self._counted = up, max(down, before)
        return max(0, down - before)

    def close(self) -> None:
        """End it without another byte."""
        self._transport.abort()

    def reset(self) -> None:
        """End it by RST, so that the client reads "connection reset by peer"."""
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
