"""How the stand-in's servers listen: their sockets, and what uvicorn is told to leave alone."""

from __future__ import annotations

import socket
from typing import Any

# options of uvicorn.Config: one ASGI app, no logs of its own, nothing told about itself
PLAIN: dict[str, Any] = {
    "ws": "none",
    "loop": "asyncio",
    "interface": "asgi3",
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "timeout_graceful_shutdown": 1,
}


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
