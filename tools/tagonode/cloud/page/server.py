"""`PageServer`: the page on a port of its own, over plain HTTP, in a thread of its own."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from tagonode.cloud import lan
from tagonode.cloud.gate import TOKEN_HEADERS
from tagonode.cloud.listening import PLAIN, Timely, listen
from tagonode.cloud.page.guard import Guard
from tagonode.cloud.page.live import Live
from tagonode.cloud.page.overview import Overview
from tagonode.cloud.page.recorder import NOBODY, Exchange, Recorder, Sender
from tagonode.cloud.page.routes import create_page

if TYPE_CHECKING:
    from tagonode.cloud.server import LocalCloud

USUAL_PORT = 8090  # taken where it is free, so that a bookmark goes on working
START_S = 15


class _Server(uvicorn.Server):
    ready: threading.Event

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def page_listener(host: str, port: int | None) -> socket.socket:
    """A listening socket; `port` None: the usual one, or any where that is taken. Raises OSError."""
    if port is None:
        with contextlib.suppress(OSError):
            return listen(host, USUAL_PORT)
    return listen(host, port or 0)


class PageServer:
    """The live page of `cloud`. `start` when the API listens, `stop` before its database is closed.

    `recorder`: to be put around the API. `address`: to be opened in a browser. On loopback it needs no key: the
    operating system lets nobody else in, and the Guard no other site. Opened to a network it does.
    """

    def __init__(self, cloud: LocalCloud, host: str, port: int | None):
        self._cloud = cloud
        self._listener = page_listener(host, port)
        self.port: int = self._listener.getsockname()[1]
        names = lan.names(host)
        self.key = secrets.token_urlsafe(16) if names else None
        self._name = names[0] if names else host
        self._names = ["localhost", *names]
        self.live = Live()
        self.overview = Overview(Path(cloud.db))
        self.recorder = Recorder(TOKEN_HEADERS, self._identify, cloud.now_ms)
        self.recorder.listeners.append(self._heard)
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """What to open in a browser, with the key where one is needed."""
        name = f"[{self._name}]" if ":" in self._name else self._name
        return f"http://{name}:{self.port}/page/" + (f"?key={self.key}" if self.key else "")

    def _identify(self, token: str) -> Sender:
        access = self._cloud.store.access(token)
        if access is None:
            return NOBODY
        device = access.device
        return Sender(access.kind, device.id if device else None, device.name if device else access.kind)

    def _heard(self, exchange: Exchange) -> None:
        self.live.touch(exchange.sender.device)

    def start(self) -> None:
        """Serve it; it is reachable when this returns."""
        app = Guard(create_page(self._cloud, self), self._names, self.key)
        config = uvicorn.Config(app, http=Timely, timeout_keep_alive=30, **PLAIN)
        self._server = _Server(config)
        self._server.ready = threading.Event()
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="cloud-page", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(START_S):
            raise RuntimeError(f"The page did not start within {START_S} s")

    def stop(self) -> None:
        """End it, with the streams of events that browsers hold open."""
        self.live.close()
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
        self._listener.close()
        self.overview.close()
