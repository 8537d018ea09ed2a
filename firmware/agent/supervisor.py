"""Keeps the tasks alive, and feeds the watchdog on their proven progress and on nothing else.

Every task holds a Pulse and promises when it will show progress next. While every promise is kept, and only then,
the watchdog is fed; a task that hangs breaks its promise, one that blocks stops this loop, and either way the board
comes back by a reset. A task that fails is started again after a pause that grows.
"""

import asyncio
import gc
import sys
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

_LOOK_MS = const(250)
_SLICE_MS = const(60000)
_MARGIN_MS = const(15000)
_FIRST_PAUSE_MS = const(1000)
_LONGEST_PAUSE_MS = const(60000)


class Pulse:
    """One task's proof of life."""

    def __init__(self, name: str):
        self.name = name
        self.due = ticks_add(ticks_ms(), _MARGIN_MS)

    def beat(self, within_ms: int = _MARGIN_MS) -> None:
        """Progress, now; the next will come within so many milliseconds."""
        self.due = ticks_add(ticks_ms(), within_ms)

    async def sleep(self, ms: int) -> None:
        """Sleep, however long, in slices that keep the promise short (and below what sleep_ms can take).

        The other tasks get their turn even when `ms` is 0 or less.
        """
        while True:
            part = max(min(ms, _SLICE_MS), 0)
            self.beat(part + _MARGIN_MS)
            await asyncio.sleep_ms(part)
            ms -= part
            if ms <= 0:
                break
        self.beat()

    async def wait(self, event, ms: int = -1) -> bool:
        """Wait for an asyncio.Event, at most `ms` milliseconds if that is not negative. True when it was set."""
        while not event.is_set():
            part = _SLICE_MS if ms < 0 else min(ms, _SLICE_MS)
            self.beat(part + _MARGIN_MS)
            try:
                await asyncio.wait_for_ms(event.wait(), part)
            except asyncio.TimeoutError:
                if ms >= 0:
                    ms -= part
                    if ms <= 0:
                        break
        self.beat()
        return event.is_set()


class Supervisor:
    """feed(): feeds the hardware watchdog, or does nothing when there is none."""

    def __init__(self, feed, log):
        self._feed = feed
        self._log = log
        self._pulses = []
        self._tasks = []
        self.restarts = 0

    def start(self, name: str, work) -> None:
        """Run `work(pulse)`, a coroutine function, as a task that is kept alive; its return ends it for good."""
        pulse = Pulse(name)
        self._pulses.append(pulse)
        self._tasks.append(asyncio.create_task(self._keep(pulse, work)))

    async def _keep(self, pulse, work):
        pause = _FIRST_PAUSE_MS
        while True:
            started = ticks_ms()
            try:
                await work(pulse)
                break
            except Exception as error:  # noqa: BLE001 - whatever it was, the task goes on
                self.restarts += 1
                gc.collect()  # it may have been the memory: saying so takes some
                self._log.error(
                    pulse.name, "failed: " + repr(error) + "; starting again in " + str(pause // 1000) + " s"
                )
                sys.print_exception(error)
            if ticks_diff(ticks_ms(), started) > _LONGEST_PAUSE_MS:
                pause = _FIRST_PAUSE_MS
            await pulse.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_MS)
        self._pulses.remove(pulse)

    async def run(self) -> None:
        """Look after the tasks until they have all ended."""
        silent = None
        while self._pulses:
            now = ticks_ms()
            late = [pulse.name for pulse in self._pulses if ticks_diff(now, pulse.due) > 0]
            if not late:
                self._feed()
            elif late != silent:
                self._log.error("watchdog", "no progress in " + ", ".join(late) + ": leaving it to the watchdog")
            silent = late
            await asyncio.sleep_ms(_LOOK_MS)
