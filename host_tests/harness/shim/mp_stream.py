"""What every MicroPython stream does on top of one receive and one send: py/stream.c for non-blocking use."""

from typing import Any

_CHUNK = 4096


class Stream:
    """Subclasses give _receive(n) and _send(view): BlockingIOError when they would block, b"" at the end."""

    def _receive(self, n: int) -> bytes:
        raise NotImplementedError

    def _send(self, data: memoryview) -> int:
        raise NotImplementedError

    def read(self, n: int = -1) -> bytes | None:
        """Up to n bytes, as many as there are now; None when none is there yet, b"" at the end."""
        whole = b""
        while n < 0 or len(whole) < n:
            try:
                data = self._receive(_CHUNK if n < 0 else n - len(whole))
            except BlockingIOError:
                return whole or None
            if not data:
                break
            whole += data
        return whole

    def readinto(self, buf: Any, nbytes: int = -1) -> int | None:
        view = memoryview(buf).cast("B")
        data = self.read(len(view) if nbytes < 0 else min(nbytes, len(view)))
        if data is None:
            return None
        view[: len(data)] = data
        return len(data)

    def readline(self, limit: int = -1) -> bytes | None:
        line = b""
        while limit < 0 or len(line) < limit:
            try:
                byte = self._receive(1)
            except BlockingIOError:
                return line or None
            line += byte
            if not byte or byte == b"\n":
                break
        return line

    def write(self, buf: Any, *limits: int) -> int | None:
        """How much was taken, None when nothing could be taken now."""
        view = memoryview(buf.encode() if isinstance(buf, str) else buf).cast("B")
        if len(limits) == 2:
            view = view[limits[0] :]
        if limits:
            view = view[: limits[-1]]
        sent = 0
        while sent < len(view):
            try:
                sent += self._send(view[sent:])
            except BlockingIOError:
                return sent or None
        return sent
