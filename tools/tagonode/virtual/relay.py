"""A TCP relay that counts what passes: the bytes on the wire, TLS and handshakes included."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable


class CountingRelay:
    """Listens on `listen` (address, port; port 0 for a free one) and passes everything on to `target`.

    `up` and `down` count the bytes from and to the boards, `connections` what was accepted. A side that closes
    closes the other. unreachable(): called when the target cannot be connected to; a relay cannot refuse a
    connection the way its target does. Raises OSError when it cannot listen there.
    """

    def __init__(
        self, listen: tuple[str, int], target: tuple[str, int], unreachable: Callable[[], object] = lambda: None
    ):
        self._unreachable = unreachable
        self.up = self.down = self.connections = 0
        self._target = target
        self._socket = socket.create_server(listen)
        self.address = self._socket.getsockname()[:2]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> "CountingRelay":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exc_info) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._links: set[asyncio.Task] = set()
        server = await asyncio.start_server(self._accept, sock=self._socket)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            there = await asyncio.open_connection(*self._target)
        except OSError:
            self._unreachable()
            writer.transport.abort()
            self._links.discard(task)
            return
        try:
            for one in (writer, there[1]):
                one.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pumps = [
                asyncio.ensure_future(self._pump(reader, there[1], "up")),
                asyncio.ensure_future(self._pump(there[0], writer, "down")),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except asyncio.CancelledError:
            pass  # the relay stops; asyncio's own callback would print a traceback
        finally:
            for one in (writer, there[1]):
                one.close()
            self._links.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: str) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                setattr(self, counter, getattr(self, counter) + len(data))
                writer.write(data)
                await writer.drain()
