"""One kept, verified connection to one server, and one request at a time on it.

What belongs here: sockets, TLS, deadlines. What an answer means is the caller's business; what HTTP looks like is
http1's. A request ends in a complete answer or in SessionError, within its deadlines, and leaves no socket behind.
"""

import asyncio
import errno
import gc
import select
import socket
import ssl

from http1 import RemoteProtocolError

_PIECE = 4096  # TLS records go out in 4 KB buffers on esp32 and rp2; larger writes are copied
_CONNECTING = (errno.EINPROGRESS, 115, 119)  # 115 on unix and rp2, 119 in esp32's lwIP
_POLL_MS = 5
_MARGIN_MS = 5000
_IPPROTO_TCP = 6
_TCP_NODELAY = 1


class SessionError(OSError):
    """A request that got no complete answer.

    stage: "resolve", "connect", "handshake", "send" or "answer"; reason: what was seen there; sent: True once the
    last byte of the request was handed to the connection, so that the server may have acted on it.
    """

    def __init__(self, stage: str, reason: str, sent: bool):
        super().__init__(stage + ": " + reason)
        self.stage = stage
        self.reason = reason
        self.sent = sent


class Deadlines:
    """How long each stage may take without progress, and a whole request at most, in milliseconds."""

    resolve = 10000
    connect = 10000
    handshake = 15000
    send = 10000
    answer = 20000
    total = 60000


def verifying_context(roots):
    """A TLS client context that trusts the DER certificates that `roots()` yields one by one, and nothing else.

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


class Session:
    """Requests to `host`:`port`, over TLS verified against `roots` (a callable, see verifying_context) unless `roots` is None.

    resolver: a Resolver. `progress(ms)`, to be set by who wants it, is called whenever something moved, with the
    milliseconds within which it will be called again: a watchdog can be fed on that. `handshakes` counts connections
    that were begun.
    """

    def __init__(self, host: str, port: int, roots, resolver, deadlines=Deadlines):
        self.host = host
        self.port = port
        self.handshakes = 0
        self._roots = roots
        self._resolver = resolver
        self._deadlines = deadlines
        self.progress = lambda ms: None
        self._context = None
        self._raw = self._tls = self._stream = self._poller = None
        self._stage = ""
        self._sent = False
        self._buf = bytearray(1024)

    def close(self) -> None:
        """Close the connection, if there is one. asyncio's wait_closed() leaves the raw socket open: both go here."""
        tls, raw = self._tls, self._raw
        self._raw = self._tls = self._stream = self._poller = None
        for sock in (tls, raw):
            if sock is not None:
                try:
                    sock.close()
                except OSError:
                    pass  # the peer was faster; the descriptor is free either way

    async def request(self, head: bytes, body, response):
        """Send `head`, then the pieces of `body`, and read the answer into `response` (an http1.Response, begun).

        head: all bytes of the request head; body: an iterable of bytes-like pieces of at most 4096 bytes, each sent
        before the next is asked for, or None. Returns `response`. Raises SessionError. The connection is kept
        when the answer allows it.
        """
        self._sent = False
        reason = None
        try:
            await asyncio.wait_for_ms(self._exchange(head, body, response), self._deadlines.total)
        except asyncio.TimeoutError:
            reason = "no end in sight after " + str(self._deadlines.total) + " ms"
        except (ValueError, OSError, EOFError, RemoteProtocolError) as error:
            # a certificate that does not verify is a ValueError
            reason = str(error) or repr(error)
        finally:
            if reason is not None or not response.complete or not response.keep_alive:
                self.close()
        if reason is not None:
            raise SessionError(self._stage, reason, self._sent)
        return response

    async def _exchange(self, head, body, response):
        if self._stream is not None and self._is_stale():
            self.close()
        self._enter("send")
        if self._stream is None:
            await self._connect()
            self._enter("send" if self._tls is None else "handshake")
        stream = self._stream
        # on a new connection the first write begins the handshake: nothing of it leaves before the server is verified
        stream.write(head)
        await self._within(stream.drain(), self._deadlines.handshake)
        self._enter("send")
        for piece in body or ():
            stream.write(piece)
            await self._within(stream.drain(), self._deadlines.send)
        self._sent = True
        self._enter("answer")
        await self._read(stream, response)

    async def _read(self, stream, response):
        buf = self._buf
        while not response.complete:
            count = await self._within(stream.readinto(buf), self._deadlines.answer)
            if count:
                response.feed(buf, count)
            else:
                response.eof()

    async def _within(self, awaitable, limit_ms):
        self.progress(limit_ms + _MARGIN_MS)
        try:
            return await asyncio.wait_for_ms(awaitable, limit_ms)
        except asyncio.TimeoutError:
            raise OSError("nothing moved for " + str(limit_ms) + " ms") from None

    def _enter(self, stage):
        self._stage = stage

    def _is_stale(self):
        # a server that closed while we were idle leaves a readable event (close_notify, FIN, RST)
        return bool(self._poller.poll(0))

    async def _connect(self):
        self._enter("resolve")
        address = await self._within(self._resolver.resolve(self.host), self._deadlines.resolve)
        self._enter("connect")
        gc.collect()  # the handshake needs one piece of 16.7 KB where TLS lives on the heap
        if self._roots is not None and self._context is None:
            self._context = verifying_context(self._roots)
            gc.collect()
        self.handshakes += 1
        try:
            raw = self._raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            raw.setblocking(False)
            raw.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
            await self._within(self._reach(raw, address), self._deadlines.connect)
        except OSError:
            self._resolver.forget()
            raise
        sock = raw
        if self._context is not None:
            sock = self._tls = self._context.wrap_socket(
                raw, server_hostname=self.host, do_handshake_on_connect=False
            )
        self._poller = select.poll()
        self._poller.register(sock, select.POLLIN)
        self._stream = asyncio.StreamReader(sock)

    async def _reach(self, raw, address):
        try:
            raw.connect(socket.getaddrinfo(address, self.port)[0][-1])
        except OSError as error:
            if error.errno not in _CONNECTING:
                raise
        poller = select.poll()
        poller.register(raw, select.POLLOUT)
        while True:
            for _, event in poller.poll(0):
                if event & (select.POLLERR | select.POLLHUP):
                    raise OSError(errno.ECONNREFUSED, "refused, or no way there")
                return
            await asyncio.sleep_ms(_POLL_MS)
