"""Connections: the only package with sockets and TLS."""

import asyncio
import sys


class DnsError(ValueError):
    """The answer of a name server is not one: malformed, refused, or without the address asked for."""


def forget(name: str) -> None:
    """Let go of a module of this package that is loaded for one job: its code is gone when its importer is done."""
    del sys.modules["session." + name]
    delattr(sys.modules["session"], name)


def ready(sock, write: bool):
    """Wait until a socket can be read from, or written to: as asyncio's own streams do, to whose tasks a generator is a
    coroutine."""
    queue = asyncio.core._io_queue  # type: ignore[attr-defined]
    yield queue.queue_write(sock) if write else queue.queue_read(sock)
