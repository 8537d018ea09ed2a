"""One kept, verified connection to one server, and one request at a time on it.

What belongs here: sockets, TLS, deadlines. What an answer means is the caller's business; what HTTP looks
like is http1's. A request ends in a complete answer or in SessionError, within its deadlines, and leaves no
socket behind.
"""

import asyncio
import errno
from time import ticks_diff, ticks_ms

from micropython import const

from http1 import RemoteProtocolError
from session import forget, ready

_ZEROS = bytes(512)  # an answer of TagoIO's is shorter
_MARGIN_MS = const(5000)


class SessionError(OSError):
    """A request that got no complete answer.

    stage: "resolve", "connect", "handshake" (the head goes out at its end), "send" or "answer"; reason: what
    was seen there; sent: True once the last byte of the request was handed to the connection, so that the
    server may have acted on it; errno: ETIMEDOUT for a deadline, the network's own number, or None.
    """

    def __init__(self, stage: str, reason: str, sent: bool, errno: int = None):
        super().__init__(stage + ": " + reason)
        self.stage = stage
        self.reason = reason
        self.sent = sent
        self.errno = errno


class Deadlines:
    """How long each stage may take without progress, and a whole request at most, in milliseconds.

    patience: how long a server may be silent before its answer; the others go with it. idle: how long a connection
    may have rested and still be used; one that a router forgot in the meantime would swallow a request.
    """

    def __init__(self, patience: int = 20000):
        self.resolve = self.connect = self.send = patience // 2
        self.handshake = patience * 3 // 4
        self.answer = patience
        self.total = patience * 3
        self.idle = 90000


class Session:
    """Requests to `host`:`port`, one at a time, over verified TLS, or in the clear when `roots` is None.

    roots: see session.connecting. resolver: a Resolver. `progress(ms)`, to be set by who wants it, is called
    whenever something moved, with the milliseconds within which it will be called again: a watchdog can be
    fed on that. `handshakes` counts connections that were begun.
    """

    def __init__(self, host: str, port: int, roots, resolver, deadlines: Deadlines = None):
        self.host = host
        self.port = port
        self.handshakes = 0
        self._roots = roots
        self._resolver = resolver
        self._deadlines = deadlines or Deadlines()
        self.progress = lambda ms: None
        self._context = None
        # kept until a request fails: a moved server is found again, a healthy one never asked for
        self._address = None
        self._lock = asyncio.Lock()
        self._rested = ticks_ms()  # ticks when the last answer was complete
        self._raw = self._sock = self._poller = self._wire = None
        self._stage = ""
        self._sent = False
        self._buf = bytearray(_ZEROS)

    def trust(self) -> None:
        """Load the roots. The first connection does it, too; sooner, the heap has the room in one piece.

        Raises ValueError or OSError when they cannot be used.
        """
        self._connecting().trust(self)

    def _connecting(self):
        from session import connecting  # for one connection, which is kept

        forget("connecting")
        return connecting

    def busy(self) -> bool:
        """Whether a request is on its way."""
        return self._lock.locked()

    def close(self) -> None:
        """Close the connection, if there is one: TLS, then the socket below, left open by a failed TLS."""
        socks = self._sock, self._raw
        self._raw = self._sock = self._poller = self._wire = None
        for sock in socks:
            if sock is not None:
                try:
                    sock.close()
                except OSError:
                    pass  # the peer was faster; the descriptor is free either way

    async def request(self, head: bytes, body, response, progress=None):
        """Send `head`, then `body`; read the answer into `response` (an http1.Response, begun), return that.

        head: all bytes of the request head; body: None, or an iterable of bytes-like pieces of at most 4096
        bytes, each sent before the next is asked for. The connection is kept when the answer allows it. A
        refusal (status 400 and above) counts even when it comes before the whole request was sent. A second call
        waits until the first has ended. progress: in the place of the session's, for this request alone.
        Raises SessionError, and what `body` raises as it is.
        """
        async with self._lock:
            owner = self.progress
            self.progress = progress or owner
            try:
                return await self._request(head, body, response)
            finally:
                self.progress = owner

    async def _request(self, head, body, response):
        self._stage = "send"
        self._sent = False
        reason = number = None
        try:
            await asyncio.wait_for_ms(self._exchange(head, body, response), self._deadlines.total)
        except asyncio.TimeoutError as error:
            number = errno.ETIMEDOUT
            reason = str(error) or "no end in sight after " + str(self._deadlines.total) + " ms"
        except (ValueError, OSError, MemoryError, RemoteProtocolError) as error:
            # a certificate that does not verify is a ValueError
            if not self._stage:
                raise
            reason = str(error) or repr(error)
            number = getattr(error, "errno", None)
            if not isinstance(number, int):
                number = None  # to MicroPython OSError("text").errno is the text
        finally:
            if reason is not None or not (self._sent and response.complete and response.keep_alive):
                self.close()
            self._rested = ticks_ms()
        if reason is not None:
            self._address = None
            raise SessionError(self._stage, reason, self._sent, number)
        return response

    async def _exchange(self, head, body, response):
        # a server that closed while we were idle leaves something to read (close_notify, FIN, RST), as do
        # bytes that nobody asked for
        if self._sock is not None and (
            ticks_diff(ticks_ms(), self._rested) > self._deadlines.idle or self._poller.poll(0)
        ):
            self.close()
        limit = self._deadlines.send
        if self._sock is None:
            await self._connecting().connect(self)
            self._stage = "send"
            if self._sock is not self._raw:
                # the first write begins the handshake: nothing of it leaves before the server is verified
                self._stage = "handshake"
                limit = self._deadlines.handshake
        await self._send(head, limit)
        self._stage = ""  # what `body` raises is not ours
        for piece in body or ():
            self._stage = "send"
            # others may run between the pieces, but not between the last one and _sent
            await asyncio.sleep_ms(0)
            if self._wire.poll(0):
                break  # an answer, or the end, before all is sent: no use to go on
            await self._send(piece, self._deadlines.send)
            self._stage = ""
        else:
            self._sent = True
            self._stage = "answer"
        sock = self._sock
        buf = self._buf
        while not response.complete:
            buf[:] = _ZEROS
            try:
                count = sock.readinto(buf)
            except OSError:
                # a reset on the heels of an answer hides how much came, but text does not end in zeros
                count = len(bytes(buf).rstrip(b"\0"))
                if not count:
                    raise
            if count:
                response.feed(buf, count)
            elif count is None:
                # nothing is left inside TLS, and waiting below it is cheaper
                await self._within(ready(self._raw, False), self._deadlines.answer)
            else:
                response.eof()
        if not self._sent and response.status < 400:
            raise RemoteProtocolError("answered before the whole request was sent")

    async def _send(self, data, limit_ms):
        # Not StreamWriter: between the end of its drain() and us others run, and a deadline then would call a
        # request unsent that has left.
        left = memoryview(data)
        while True:
            self.progress(limit_ms + _MARGIN_MS)
            count = self._sock.write(left)
            if count is not None:
                left = left[count:]
            if not left:
                return
            await self._within(ready(self._sock, True), limit_ms)

    async def _within(self, awaitable, limit_ms):
        self.progress(limit_ms + _MARGIN_MS)
        try:
            return await asyncio.wait_for_ms(awaitable, limit_ms)
        except asyncio.TimeoutError:
            raise asyncio.TimeoutError("nothing moved for " + str(limit_ms) + " ms") from None
