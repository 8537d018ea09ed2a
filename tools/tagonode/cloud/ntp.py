"""A small time server for virtual boards: SNTP (RFC 4330) with the packet of RFC 5905 section 7.3, on UDP."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable

NTP_TO_UNIX = 2_208_988_800  # seconds from 1900 to 1970
_PACKET = struct.Struct("!BBbbiI4sQQQQ")
_CLIENT, _SERVER = 3, 4
_PRECISION = -20  # about a microsecond
_LOCAL = b"LOCL"  # reference identifier of an uncalibrated local clock


def timestamp(seconds: float) -> int:
    """The 64-bit NTP timestamp of a Unix time, without its era: 2036 wraps to 0 (RFC 4330 section 3)."""
    return round((seconds + NTP_TO_UNIX) * 2**32) & 0xFFFFFFFFFFFFFFFF


def answer(request: bytes, received: float, now: Callable[[], float]) -> bytes | None:
    """The reply to one datagram, or None when it is not a client's request.

    `received` and what `now` gives are Unix seconds, at arrival and when the reply is made.
    """
    if len(request) < _PACKET.size:
        return None
    version, mode = request[0] >> 3 & 7, request[0] & 7
    if mode != _CLIENT or not 1 <= version <= 4:
        return None
    poll = struct.unpack_from("!b", request, 2)[0]
    (transmit,) = struct.unpack_from("!Q", request, 40)
    moment = timestamp(received)
    return _PACKET.pack(
        version << 3 | _SERVER, 1, poll, _PRECISION, 0, 0, _LOCAL, moment, transmit, moment, timestamp(now())
    )


class NtpServer:
    """Answers on `host`:`port` (0: any free one) until `stop()`. `clock` gives Unix seconds."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, clock: Callable[[], float] = time.time):
        self.requests = 0
        self._stopping = False
        self._clock = clock
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.host, self.port = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, name="ntp", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                request, peer = self._socket.recvfrom(512)
                if self._stopping:
                    return
                reply = answer(request, self._clock(), self._clock)
                if reply:
                    self.requests += 1
                    self._socket.sendto(reply, peer)
            except OSError:  # an address that cannot be answered
                if self._stopping:
                    return

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._socket.fileno() >= 0:
            self._stopping = True
            self._socket.sendto(b"", (self.host, self.port))  # wakes the thread
            self._thread.join(5)
            self._socket.close()
