"""Request limits: fixed windows of one clock minute, per profile and per route; quotas of a month and of devices.

All devices of the stand-in belong to one profile, so they share what a route takes. Source: TagoIO API, "Rate Limits".
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from tagonode.cloud import times
from tagonode.cloud.rules import Refused

DATA_ROUTES = ("POST /data", "GET /data")  # which TagoIO limits alike: 250 a minute on its free plan
AGGREGATE = "GET /data?query=aggregate"  # limited apart from other questions for data
KEPT = 20_000  # requests that are remembered

# (route, and what the plans free, starter and scale take of it in a minute)
_PLAN_ROWS = (
    ("POST /data", 250, 5_000, 15_000),
    ("GET /data", 250, 5_000, 15_000),
    (AGGREGATE, 5, 10, 100),
    ("PUT /data", 60, 250, 1_000),
    ("DELETE /data", 60, 250, 1_000),
    ("GET /info", 60, 5_000, 10_000),
    ("GET /device/params", 100, 1_000, 5_000),
    ("GET /device/:id", 100, 1_000, 5_000),
    ("GET /device/token/:id", 100, 1_000, 5_000),
    ("GET /device/:id/data_amount", 100, 1_000, 5_000),
    ("POST /device", 10, 250, 5_000),
    ("DELETE /device/:id", 10, 250, 5_000),
    ("GET /device", 50, 100, 500),
    ("PUT /device/:id", 50, 250, 2_000),
    ("POST /device/token", 50, 250, 2_000),
    ("DELETE /device/token", 50, 250, 2_000),
    ("POST /device/:id/convert", 50, 250, 2_000),
    ("POST /device/:id/empty", 50, 250, 2_000),
)
PLANS = ("free", "starter", "scale")
PLAN_DEVICES = {"free": 5, "starter": 100, "scale": 10_000}


def plan_limits(plan: str) -> dict[str, int]:
    """Requests a minute for each route under a plan, one of PLANS; routes that TagoIO does not list are free."""
    column = 1 + PLANS.index(plan)
    return {row[0]: int(row[column]) for row in _PLAN_ROWS}


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

    def follow(self, plan: str) -> None:
        """Take what TagoIO's plan takes: free, starter or scale."""
        self.per_window = plan_limits(plan)

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


class Quotas:
    """What a profile may have, any number unless set: `devices`, and records a month, `data_input`, `data_output`.

    Counted from when the stand-in was started, anew each month (UTC). How the cloud refuses what is above a quota is
    not documented; here it is a 400 with a text that names the limit.
    """

    def __init__(self) -> None:
        self.devices: int | None = None
        self.data_input: int | None = None
        self.data_output: int | None = None
        self._lock = threading.Lock()
        self._month = ""
        self._used = {"data_input": 0, "data_output": 0}

    def spend(self, kind: str, records: int, now: int) -> None:
        """Count records that came in or go out at `now` (Unix ms).

        Raises Refused 400 once a month's quota was reached; the request that reaches it is let through.
        """
        month = times.iso8601(now)[:7]
        limit = getattr(self, kind)
        with self._lock:
            if month != self._month:
                self._month = month
                self._used = dict.fromkeys(self._used, 0)
            if limit is not None and self._used[kind] >= limit:
                name = kind.replace("_", " ")
                raise Refused(400, f"The limit of {limit} {name} transactions of this month has been reached")
            self._used[kind] += records

    def used(self) -> dict[str, int]:
        """Records of this month: {"data_input": n, "data_output": n}."""
        with self._lock:
            return dict(self._used)

    def check_devices(self, held: int) -> None:
        """Raises Refused 400 when a profile with so many devices may not have another one."""
        if self.devices is not None and held >= self.devices:
            raise Refused(400, f"The limit of {self.devices} devices of your plan has been reached")
