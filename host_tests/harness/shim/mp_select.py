"""`select.poll` over sockets, TLS sockets and Python objects that answer ioctl(3, mask)."""

import select as real
import time
from collections.abc import Iterator
from typing import Any

POLLIN, POLLOUT, POLLERR, POLLHUP = real.POLLIN, real.POLLOUT, real.POLLERR, real.POLLHUP
_POLLNVAL = real.POLLNVAL
ALWAYS = POLLERR | POLLHUP | _POLLNVAL
_MP_STREAM_POLL = 3
_SLICE_MS = 1  # how often an object without a descriptor is asked, as on the unix port


class poll:
    def __init__(self) -> None:
        self._masks: dict[int, tuple[Any, int]] = {}

    def register(self, obj: Any, mask: int = POLLIN | POLLOUT) -> None:
        if not (hasattr(obj, "poll_begin") or hasattr(obj, "ioctl") or hasattr(obj, "fileno")):
            raise OSError(22, "stream operation not supported")
        self._masks[id(obj)] = (obj, mask)

    def modify(self, obj: Any, mask: int) -> None:
        if id(obj) not in self._masks:
            raise OSError(2, "ENOENT")
        self._masks[id(obj)] = (obj, mask)

    def unregister(self, obj: Any) -> None:
        self._masks.pop(id(obj), None)

    def poll(self, timeout: int = -1) -> list[tuple[Any, int]]:
        """(object, events) of those that are ready within `timeout` ms; -1 waits for ever."""
        deadline = None if timeout < 0 else time.monotonic() + timeout / 1000
        while True:
            ready = []
            waits: dict[int, list] = {}
            asked = False
            poller = real.poll()
            for obj, mask in self._masks.values():
                if hasattr(obj, "poll_begin"):
                    events, fd, interest = obj.poll_begin(mask)
                    if events:
                        ready.append((obj, events))
                        continue
                elif hasattr(obj, "ioctl"):
                    asked = True
                    events = obj.ioctl(_MP_STREAM_POLL, mask)
                    if events:
                        ready.append((obj, events))
                    continue
                else:
                    fd, interest = obj.fileno(), mask
                waits.setdefault(fd, []).append((obj, mask, interest))
            for fd, rows in waits.items():
                interest = 0
                for row in rows:
                    interest |= row[2]
                if fd < 0:
                    ready += [(obj, _POLLNVAL) for obj, _, _ in rows]
                else:
                    poller.register(fd, interest)
            left = -1.0 if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
            last = left == 0
            if ready:
                left = 0
            elif asked and (left < 0 or left > _SLICE_MS):
                left = _SLICE_MS
            for fd, events in poller.poll(left if left >= 0 else None):
                for obj, mask, _ in waits[fd]:
                    events_here = obj.poll_end(mask, events) if hasattr(obj, "poll_end") else events
                    if events_here:
                        ready.append((obj, events_here))
            if ready or last:
                return ready

    def ipoll(self, timeout: int = -1, flags: int = 0) -> Iterator[tuple[Any, int]]:
        return iter(self.poll(timeout))
