"""Request limits: fixed windows of one clock minute, a route and a profile. Source: TagoIO API, "Rate Limits"."""

from __future__ import annotations

from tagonode.cloud.rules import Refused


class RateLimits:
    """How many requests a minute each route takes: `per_minute["POST /data"] = 250`. A route not named is free."""

    def __init__(self) -> None:
        self.per_minute: dict[str, int] = {}
        self._minute = 0
        self._used: dict[str, int] = {}

    def take(self, route: str, now: int) -> None:
        """Count one request at `now` ms. Over the limit raises Refused 429; the text says when to come back."""
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
