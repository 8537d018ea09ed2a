"""Server-sent events: which nodes have news, at most a few times a second."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator

QUIET_S = 15  # a line in between, so that proxies and browsers keep the connection
GATHER_S = 0.25  # news of so long go out together
MOST_NAMED = 100  # with more nodes than that the browser asks for all


class Live:
    """`touch` may be called from any thread; `events` runs in the page's event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: dict[asyncio.Event, set[str]] = {}
        self._closed = False

    def touch(self, device: str | None = None) -> None:
        """Something changed, of this device or of the stand-in as a whole."""
        with self._lock:
            if not self._listeners or self._loop is None:
                return
            for news in self._listeners.values():
                news.add(device or "")
        self._wake()

    def close(self) -> None:
        """End every stream of events."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            loop, waiting = self._loop, list(self._listeners)
        if loop is not None and not loop.is_closed():
            for event in waiting:
                loop.call_soon_threadsafe(event.set)

    async def events(self) -> AsyncIterator[str]:
        """Lines of an event stream: `data: {"nodes": […]}`, with null in place of the list when it is long."""
        event, news = asyncio.Event(), set[str]()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._listeners[event] = news
        try:
            yield "retry: 1000\n\n"
            while not self._closed:
                try:
                    await asyncio.wait_for(event.wait(), QUIET_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if not self._closed:
                    await asyncio.sleep(GATHER_S)
                event.clear()
                with self._lock:
                    nodes = sorted(news)
                    news.clear()
                yield f"data: {json.dumps({'nodes': nodes if len(nodes) <= MOST_NAMED else None})}\n\n"
        finally:
            with self._lock:
                del self._listeners[event]
