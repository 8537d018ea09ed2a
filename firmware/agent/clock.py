"""The node's time: a monotonic count that never wraps, and the time of day once somebody told it.

Time of day is UNKNOWN after a cold boot, ESTIMATED after the word of somebody who proved nothing, which serves for
checking certificates alone, and SYNCED after an NTP server's or a verified server's. Samples taken before that carry
the monotonic count and are stamped by `stamp` when they are sent. How it comes to be known is agent.timing's.
"""

import asyncio
from time import ticks_diff, ticks_ms

from micropython import const

from agent import forget

UNKNOWN = const(0)
ESTIMATED = const(1)
SYNCED = const(2)

_FIRST_RETRY_MS = const(1000)
_LONGEST_RETRY_MS = const(900000)
_MOST_DRIFT = const(2000)  # tenths of ppm: no crystal is so bad


class Clock:
    """build_s: unix time of the build, below which the clock never goes; set_rtc(unix_s): writes the board's RTC;
    notes: an agent.notes.Notes.

    `drift`: how many ppm the crystal is slow, None before that was measured. stepped(text): told of jumps of the time.
    """

    BY_NTP = SYNCED
    BY_DATE = const(3)  # SYNCED, too, but too coarse to measure a crystal by

    def __init__(self, build_s: int, set_rtc, log, notes=None):
        self.state = UNKNOWN
        self.synced = asyncio.Event()
        self.stepped = lambda text: None
        self._build_s = build_s
        self._set_rtc = set_rtc
        self._log = log
        self._notes = notes
        self._ticks = ticks_ms()
        self._mono = 0
        self._offset = 0
        self._at = 0  # the count when the offset was right
        self._coarse = True  # no time server said so
        self._base = None  # count and offset from which the crystal is measured
        self._suspect = None  # the offset that a server claims against all that is known
        drift = notes.get("drift") if notes else None
        if type(drift) is not int or abs(drift) > _MOST_DRIFT:
            drift = 0
        self._tenths = self._noted = drift
        self._measured = bool(drift)
        self.drift = drift / 10 if drift else None
        # certificates are checked against the RTC: from the build time on they have a chance to be valid
        set_rtc(build_s)

    def mono(self) -> int:
        """Milliseconds since boot. Right as long as it is asked once in six days (the tasks do, every minute)."""
        ticks = ticks_ms()
        self._mono += ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._mono

    def now(self):
        """Unix milliseconds, or None while the time of day is not known for sure."""
        return self.stamp(self.mono())

    def stamp(self, mono: int):
        """Unix milliseconds of a moment of this boot, given in milliseconds since boot; None while unknown."""
        if self.state != SYNCED:
            return None
        return mono + self._offset + (mono - self._at) * self._tenths // 10000000

    def set(self, unix_ms: int, at_ticks: int, source: int) -> None:
        """Take it that it was `unix_ms` when ticks_ms() gave `at_ticks`; source: BY_NTP or BY_DATE.

        Raises ValueError for an impossible time, and for one that is far off until it has been said twice.
        """
        from agent import timing

        forget("timing")
        timing.set(self, unix_ms, at_ticks, source)

    async def run(self, pulse, link, resolver, servers, every_ms: int, otherwise=None) -> None:
        """Keep the clock right: ask the servers one after another, again after `every_ms`, sooner after a failure.

        otherwise(pulse): another way, a coroutine function that says whether it worked, for when none of them answers.
        """
        retry = _FIRST_RETRY_MS
        while True:
            await pulse.wait(link.up)
            from agent import timing

            forget("timing")
            known = await timing.ask(self, pulse, resolver, servers)
            del timing
            if known or otherwise and await otherwise(pulse):
                retry = _FIRST_RETRY_MS
                await pulse.sleep(every_ms)
            else:
                await pulse.sleep(retry)
                retry = min(retry * 2, _LONGEST_RETRY_MS)
