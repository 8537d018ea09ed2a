"""Request limits: fixed windows of one clock minute, per profile and per route. Source: TagoIO API, "Rate Limits".

All devices of the stand-in belong to one profile, so they share what a route takes.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from tagonode.cloud.rules import Refused

DATA_ROUTES = ("POST /data", "GET /data")  # which TagoIO limits alike: 250 a minute on its free plan
AGGREGATE = "GET /data?query=aggregate"  # limited apart from other questions for data
KEPT = 20_000  # requests that are remembered


class Arrival(NamedTuple):
    """One request: Unix ms of its arrival, route, the device's id, and whether it was taken or refused by a limit."""

    at: int
    route: str
    device: str
    taken: bool


@dataclass
class Window:
    """What one route met in one window from `start` (Unix ms) on: {device id: [Unix ms of arrival, …]}."""

    start: int
    taken: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, list[int]] = field(default_factory=dict)


class RateLimits:
    """Requests that each route takes in a window: `per_window["POST /data"] = 250`; others are free.

    `window_s`: the window's length. It is a clock minute, unless a test has no time for that: a whole number of
    seconds, since the refusal's text tells the wait in whole seconds. Windows begin at its multiples in Unix time.
    """

    def __init__(self) -> None:
        self.per_window: dict[str, int] = {}
        self.window_s = 60
        self._lock = threading.Lock()
        self._start = 0
        self._used: dict[str, int] = {}
        self._arrivals: deque[Arrival] = deque(maxlen=KEPT)

    def take(self, route: str, device: str, now: int) -> None:
        """Count one request of a device at `now` (Unix ms).

        Raises Refused 429, whose text says after how many seconds the next window has begun. A refused request uses
        up nothing.
        """
        start = self._start_of(now)
        limit = self.per_window.get(route)
        with self._lock:
            if start != self._start:
                self._start = start
                self._used.clear()
            taken = True
            if limit is not None:
                used = self._used.get(route, 0)
                taken = used < limit
                self._used[route] = used + taken
            self._arrivals.append(Arrival(now, route, device, taken))
        if not taken:
            left = start + self.window_s * 1000 - now
            raise Refused(429, f"Too many requests (Retry-After: {(left + 999) // 1000})")

    def arrivals(self) -> list[Arrival]:
        """The last KEPT requests, the oldest first."""
        with self._lock:
            return list(self._arrivals)

    def windows(self, route: str) -> list[Window]:
        """What a route met window by window, the oldest first; windows without a request are left out.

        No further back than `arrivals`: the first window may lack its beginning once KEPT requests have come.
        """
        found: dict[int, Window] = {}
        for at, met, device, taken in self.arrivals():
            if met == route:
                window = found.setdefault(start := self._start_of(at), Window(start))
                (window.taken if taken else window.refused).setdefault(device, []).append(at)
        return list(found.values())

    def _start_of(self, at: int) -> int:
        return at - at % (self.window_s * 1000)
