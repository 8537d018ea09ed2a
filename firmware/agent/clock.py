"""The node's time: a monotonic count that never wraps, and the time of day once somebody told it.

Time of day is UNKNOWN after a cold boot, ESTIMATED after the word of somebody who proved nothing, which serves for
checking certificates alone, and SYNCED after an NTP server's or a verified server's. Samples taken before that carry
the monotonic count and are stamped by `stamp` when they are sent.
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
_STEP_MS = const(1000)
_LARGE_MS = const(60000)  # a server that says so is believed when another, or it again, says so too
_ALIKE_MS = const(3000)
_BASE_MS = const(10800000)  # of a measurement of the crystal: an answer is some 50 ms wrong
_MOST_DRIFT = const(2000)  # tenths of ppm: no crystal is so bad
_NOTED_DRIFT = const(20)


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

    def _check(self, unix_ms):
        if not 0 <= unix_ms // 1000 - self._build_s < _SANE_S:
            raise ValueError("time before this firmware was built, or absurdly late: " + str(unix_ms // 1000))

    def estimate(self, unix_ms: int, at_ticks: int) -> None:
        """Somebody says that it was `unix_ms` when ticks_ms() gave `at_ticks`. ValueError: when that cannot be."""
        self._check(unix_ms)
        if self.state != SYNCED:
            self.state = ESTIMATED
            self._set_rtc((unix_ms + ticks_diff(ticks_ms(), at_ticks) + 500) // 1000)

    def forget(self) -> None:
        """The estimate was none."""
        if self.state == ESTIMATED:
            self.state = UNKNOWN
            self._set_rtc(self._build_s + self.mono() // 1000)

    def set(self, unix_ms: int, at_ticks: int, source: int) -> None:
        """Take it that it was `unix_ms` when ticks_ms() gave `at_ticks`; source: BY_NTP or BY_DATE.

        Raises ValueError for an impossible time, and for one that is far off until it has been said twice.
        """
        self._check(unix_ms)
        mono = self.mono()
        offset = unix_ms + ticks_diff(self._ticks, at_ticks) - mono
        wrong = 0
        if self.state == SYNCED:
            wrong = mono + offset - self.stamp(mono)
            if abs(wrong) > _LARGE_MS:
                suspect = self._suspect
                self._suspect = offset
                if suspect is None or abs(offset - suspect) > _ALIKE_MS:
                    raise ValueError("%d s off what is known: it has to be said twice" % (wrong // 1000))
        self._suspect = None
        self._measure(mono, offset, source, abs(wrong) > _LARGE_MS)
        self._offset = offset
        self._at = mono
        self.state = SYNCED
        self._set_rtc((mono + offset + 500) // 1000)
        self.synced.set()
        if abs(wrong) >= _STEP_MS:
            text = "stepped by %d ms" % wrong
            self._log.warning("clock", text)
            self.stepped("clock " + text)
        elif wrong:
            self._log.info("clock", "corrected by %d ms" % wrong)

    def _measure(self, mono, offset, source, jumped):
        if source != SYNCED:
            return
        if self._base is None or jumped:
            self._base = mono, offset
            return
        since, before = self._base
        if mono - since < _BASE_MS:
            return
        self._base = mono, offset
        tenths = (offset - before) * 10000000 // (mono - since)
        if abs(tenths) > _MOST_DRIFT:
            return  # a server's fault
        self._tenths = (self._tenths + tenths) // 2 if self._measured else tenths
        self._measured = True
        self.drift = self._tenths / 10
        if self._notes and abs(self._tenths - self._noted) >= _NOTED_DRIFT:
            self._noted = self._tenths
            self._notes.put("drift", self._tenths)

    async def run(self, pulse, link, resolver, servers, every_ms: int, otherwise=None) -> None:
        """Keep the clock right: ask the servers one after another, again after `every_ms`, sooner after a failure.

        otherwise(pulse): another way, a coroutine function that says whether it worked, for when none of them answers.
        """
        retry = _FIRST_RETRY_MS
        while True:
            await pulse.wait(link.up)
            if await self._ask(pulse, resolver, servers) or otherwise and await otherwise(pulse):
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
