"""Streams on a socket that the caller made: plain or TLS, non-blocking."""

from collections.abc import Generator
from errno import EINPROGRESS
from typing import Any

from .. import mp_socket as socket
from . import core


class Ready:
    """Wait until the stream is readable, or writable."""

    def __init__(self, stream: Any, write: bool = False) -> None:
        self.stream = stream
        self.write = write

    def __await__(self) -> Generator[None, None, None]:
        if self.write:
            core._io_queue.queue_write(self.stream)
        else:
            core._io_queue.queue_read(self.stream)
        yield


class Stream:
    """s: the socket. out_buf: what write() could not get rid of; drain() sends it."""

    def __init__(self, s: Any, e: dict | None = None) -> None:
        self.s = s
        self.e = {} if e is None else e
        self.out_buf = b""

    def get_extra_info(self, name: str) -> Any:
        return self.e[name]

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        self.s.close()

    aclose = wait_closed

    async def read(self, n: int = -1) -> bytes:
        """Up to n bytes, as many as there are; b"" at the end. Without n everything until the end."""
        whole = b""
        while True:
            await Ready(self.s)
            data = self.s.read(n)
            if data is None:
                continue
            if n >= 0:
                return data
            if not data:
                return whole
            whole += data

    async def readinto(self, buf: Any) -> int | None:
        """One try after the stream became readable: None when nothing was there after all."""
        await Ready(self.s)
        return self.s.readinto(buf)

    async def readexactly(self, n: int) -> bytes:
        whole = b""
        while n:
            await Ready(self.s)
            data = self.s.read(n)
            if data is not None:
                if not data:
                    raise EOFError
                whole += data
                n -= len(data)
        return whole

    async def readline(self) -> bytes:
        line = b""
        while True:
            await Ready(self.s)
            data = self.s.readline()
            if data is None:
                continue
            line += data
            if not data or line.endswith(b"\n"):
                return line

    def write(self, buf: Any) -> None:
        """Tries at once; what is left waits for drain(). Raises what the socket or TLS raises."""
        if not self.out_buf:
            sent = self.s.write(buf)
            if sent == len(buf):
                return
            if sent is not None:
                buf = buf[sent:]
        self.out_buf += bytes(buf)

    async def drain(self) -> None:
        if not self.out_buf:
            return await core.sleep_ms(0)
        left = memoryview(self.out_buf)
        while left:
            await Ready(self.s, write=True)
            sent = self.s.write(left)
            if sent is not None:
                left = left[sent:]
        self.out_buf = b""
        return None


StreamReader = StreamWriter = Stream


async def open_connection(host: str, port: int, ssl: Any = None, server_hostname: str | None = None) -> tuple:
    address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    s: Any = socket.socket(*address[:3])
    s.setblocking(False)
    try:
        s.connect(address[-1])
    except OSError as error:
        if error.errno != EINPROGRESS:
            raise
    if ssl:
        if ssl is True:
            from .. import mp_ssl

            ssl = mp_ssl.SSLContext(mp_ssl.PROTOCOL_TLS_CLIENT)
        s = ssl.wrap_socket(s, server_hostname=server_hostname or host, do_handshake_on_connect=False)
        s.setblocking(False)
    stream = Stream(s)
    await Ready(s, write=True)
    return stream, stream


class Server:
    def __init__(self) -> None:
        self.closing = False
        self.task: core.Task

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.close()
        await self.wait_closed()

    def close(self) -> None:
        self.closing = True
        self.task.cancel()

    async def wait_closed(self) -> None:
        await self.task

    async def _serve(self, s: Any, callback: Any, ssl: Any) -> None:
        while True:
            try:
                await Ready(s)
            except core.CancelledError:
                s.close()
                if self.closing:
                    return
                raise
            try:
                connection, address = s.accept()
            except OSError:
                continue
            if ssl:
                connection = ssl.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            connection.setblocking(False)
            stream = Stream(connection, {"peername": address})
            core.create_task(callback(stream, stream))


async def start_server(cb: Any, host: str, port: int, backlog: int = 5, ssl: Any = None) -> Server:
    address = socket.getaddrinfo(host, port)[0]
    s = socket.socket(address[0])
    s.setblocking(False)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address[-1])
    s.listen(backlog)
    server = Server()
    server.task = core.create_task(server._serve(s, cb, ssl))
    try:
        await core.sleep_ms(0)
    except core.CancelledError:
        server.task.cancel()
        raise
    return server
