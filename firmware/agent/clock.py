"""The node's time: a monotonic count that never wraps, and the time of day once somebody told it.

Time of day is UNKNOWN after a cold boot and SYNCED after an answer of an NTP server. Samples taken before that
carry the monotonic count and are stamped by `stamp` when they are sent.
"""

import asyncio
from time import ticks_diff, ticks_ms

from micropython import const

from session import sntp

UNKNOWN = const(0)
ESTIMATED = const(1)
SYNCED = const(2)

_FIRST_RETRY_MS = const(1000)
_LONGEST_RETRY_MS = const(900000)
_SANE_S = const(3155760000)  # a hundred years: no server moves the clock further past the build


class Clock:
    """build_s: unix time of the build, below which the clock never goes; set_rtc(unix_s): writes the board's RTC."""

    def __init__(self, build_s: int, set_rtc, log):
        self.state = UNKNOWN
        self.synced = asyncio.Event()
        self._build_s = build_s
        self._set_rtc = set_rtc
        self._log = log
        self._ticks = ticks_ms()
        self._mono = 0
        self._offset = 0
        # certificates are checked against the RTC: from the build time on they have a chance to be valid
        set_rtc(build_s)

    def mono(self) -> int:
        """Milliseconds since boot. Right as long as it is asked once in six days (the tasks do, every minute)."""
        ticks = ticks_ms()
        self._mono += ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._mono

    def now(self):
        """Unix milliseconds, or None while the time of day is unknown."""
        return None if self.state == UNKNOWN else self.mono() + self._offset

    def stamp(self, mono: int):
        """Unix milliseconds of a moment of this boot, given in milliseconds since boot; None while unknown."""
        return None if self.state == UNKNOWN else mono + self._offset

    def set(self, unix_ms: int, at_ticks: int, state: int) -> None:
        """Take it that it was `unix_ms` when ticks_ms() gave `at_ticks`. Raises ValueError for an impossible time."""
        if not 0 <= unix_ms // 1000 - self._build_s < _SANE_S:
            raise ValueError("time before this firmware was built, or absurdly late: " + str(unix_ms // 1000))
        mono = self.mono()
        offset = unix_ms + ticks_diff(self._ticks, at_ticks) - mono
        if self.state != UNKNOWN:
            self._log.info("clock", "corrected by " + str(offset - self._offset) + " ms")
        self._offset = offset
        self.state = state
        self._set_rtc((mono + offset + 500) // 1000)
        self.synced.set()

    async def run(self, pulse, link, resolver, servers, every_ms: int) -> None:
        """Keep the clock right: ask the servers one after another, again after `every_ms`, sooner after a failure."""
        retry = _FIRST_RETRY_MS
        while True:
            await pulse.wait(link.up)
            if await self._ask(pulse, resolver, servers):
                retry = _FIRST_RETRY_MS
                await pulse.sleep(every_ms)
            else:
                await pulse.sleep(retry)
                retry = min(retry * 2, _LONGEST_RETRY_MS)

    async def _ask(self, pulse, resolver, servers):
        if not servers:
            self._log.warning("clock", "no time server in the settings: build and deploy again")
        for server in servers:
            pulse.beat(30000)
            try:
                unix_ms, at_ticks, trip = await sntp.ask(resolver, server, self._build_s)
                self.set(unix_ms, at_ticks, SYNCED)
            except (OSError, ValueError) as error:
                self._log.warning("clock", "no time from " + server + ": " + str(error))
                continue
            self._log.info("clock", "set by " + server + ", round trip " + str(trip) + " ms")
            return True
        return False
