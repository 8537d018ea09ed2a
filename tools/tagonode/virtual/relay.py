"""A TCP relay that counts what passes: the bytes on the wire, TLS and handshakes included."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable

_SEGMENTS = struct.Struct("=152xII")  # linux/tcp.h, struct tcp_info: tcpi_data_segs_in, tcpi_data_segs_out
_CHUNK = 65536


class CountingRelay:
    """Listens on `listen` (address, port; port 0 for a free one) and passes everything on to `target`.

    While `passing` is set to False nothing comes through: a connection that loses something then stays dead, and nobody
    is told. `up` and `down` count the bytes from and to the boards, `connections` what was accepted. A side that closes
    closes the other. unreachable(): called when the target cannot be connected to; a relay cannot refuse a
    connection the way its target does.

    `segments_up` and `segments_down` count the TCP segments with data of connections that have ended, and not the bare
    acknowledgements, whose number is the system's mood; they stay 0 where the system does not tell (it does on Linux).
    delay_acks: how what comes from the boards is acknowledged: True late, as servers do (on Linux up to 40 ms, sooner
    with an answer or at the second full segment), so that a client that waits for acknowledgements pays for it as it
    would out there; False at once; None as the system likes. mss: bytes of the longest segment either side of a
    board's connection sends, 1460 on Ethernet and Wi-Fi; None for loopback's own, which holds anything.
    Raises OSError when it cannot listen there, or when the system has no such options.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        target: tuple[str, int],
        unreachable: Callable[[], object] = lambda: None,
        delay_acks: bool | None = None,
        mss: int | None = None,
    ):
        self._unreachable = unreachable
        self._delay_acks = delay_acks
        self.up = self.down = self.connections = 0
        self.segments_up = self.segments_down = 0
        self.passing = True
        self._target = target
        self._socket = socket.create_server(listen)
        try:
            self._acknowledge(self._socket)
            if mss is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)  # accepted ones inherit it
        except (OSError, AttributeError) as error:
            self._socket.close()
            raise OSError(f"delay_acks and mss need Linux, mss at least 88: {error}") from None
        self._socket.setblocking(False)
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
        links: set[asyncio.Task] = set()

        async def accept() -> None:
            while True:
                try:
                    board, _ = await self._loop.sock_accept(self._socket)
                except OSError:  # gone again, or no descriptor is free
                    await asyncio.sleep(0.1)
                    continue
                self.connections += 1
                link = asyncio.ensure_future(self._link(board))
                links.add(link)
                link.add_done_callback(links.discard)

        accepting = asyncio.ensure_future(accept())
        self._ready.set()
        await self._stop.wait()
        tasks = [accepting, *links]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    async def _link(self, board: socket.socket) -> None:
        """Carry one connection to its end."""
        with board:
            if not self.passing:
                await self._swallow(board)
                return
            try:
                server = await self._connect()
            except OSError:
                self._unreachable()
                return
            with server:
                pumps = [
                    asyncio.ensure_future(self._pump(board, server, "up")),
                    asyncio.ensure_future(self._pump(server, board, "down")),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
                    self._count_segments(board)

    async def _connect(self) -> socket.socket:
        """A connection to the first of the target's addresses that takes one. Raises OSError."""
        failure = OSError("no address")
        for family, kind, protocol, _, address in await self._loop.getaddrinfo(*self._target, type=socket.SOCK_STREAM):
            server = socket.socket(family, kind, protocol)
            server.setblocking(False)
            try:
                await self._loop.sock_connect(server, address)
                return server
            except OSError as error:
                failure = error
                server.close()
            except asyncio.CancelledError:
                server.close()
                raise
        raise failure

    async def _pump(self, source: socket.socket, sink: socket.socket, counter: str) -> None:
        with contextlib.suppress(OSError):
            sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                # the system leaves either way of acknowledging by itself, so it is chosen anew around every read
                if counter == "up":
                    self._acknowledge(source)
                data = await self._loop.sock_recv(source, _CHUNK)
                if counter == "up":
                    self._acknowledge(source)
                if not data:
                    return
                if not self.passing:
                    await self._swallow(source)
                    return
                setattr(self, counter, getattr(self, counter) + len(data))
                await self._loop.sock_sendall(sink, data)

    async def _swallow(self, source: socket.socket) -> None:
        """All that comes from now on is lost, until the end."""
        with contextlib.suppress(OSError):
            while await self._loop.sock_recv(source, _CHUNK):
                pass

    def _acknowledge(self, board: socket.socket) -> None:
        if self._delay_acks is not None:
            board.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, not self._delay_acks)

    def _count_segments(self, board: socket.socket) -> None:
        with contextlib.suppress(OSError, AttributeError, struct.error):
            info = board.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS.size)
            up, down = _SEGMENTS.unpack(info)
            self.segments_up += up
            self.segments_down += down
