"""Request limits: fixed windows of one clock minute for each route. Source: TagoIO API, "Rate Limits"."""

from __future__ import annotations

from tagonode.cloud.rules import Refused


class RateLimits:
    """Requests a minute that each route takes: `per_minute["POST /data"] = 250`; others are free."""

    def __init__(self) -> None:
        self.per_minute: dict[str, int] = {}
        self._minute = 0
        self._used: dict[str, int] = {}

    def take(self, route: str, now: int) -> None:
        """Count one request at `now` ms. Raises Refused 429, whose text says how long to wait."""
        limit = self.per_minute.get(route)
        if limit is None:
            return
        minute, into = divmod(now, 60_000)
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        used = self._used.get(route, 0)
        if used >= limit:
            raise Refused(429, f"Too many requests (Retry-After: {max(1, (60_000 - into + 999) // 1000)})")
        self._used[route] = used + 1
