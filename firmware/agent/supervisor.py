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

_LOOK_MS = const(1000)  # which is added to whatever blocks the processor: a watchdog has eight seconds for both
_SLICE_MS = const(60000)
_MARGIN_MS = const(15000)
_FIRST_PAUSE_MS = const(1000)
_LONGEST_PAUSE_MS = const(60000)
# so many times short of memory, none of them ten minutes after the one before, on a board that is up for an hour:
# its heap is in pieces, and will not mend. One that is short of it from the start is no better off after a reset.
_SHORT = const(5)
_SHORT_MS = const(600000)
_SHORT_LOOKS = const(3600)


class Pulse:
    """One task's proof of life."""

    def __init__(self, name: str):
        self.name = name
        self.task = None
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
    """feed(): feeds the hardware watchdog, or does nothing when there is none. crashed(what, error): keeps a record."""

    def __init__(self, feed, log, crashed=lambda what, error: None):
        self.feed = feed
        self._log = log
        self._crashed = crashed
        self._pulses = []
        self._ending = []  # tasks that were told to
        self.restarts = 0
        self._looks = 0
        self._short = 0
        self._short_at = ticks_ms()

    def short_of_memory(self) -> None:
        """Somebody was, and goes on. When that happens again and again, `run` ends in MemoryError."""
        now = ticks_ms()
        if ticks_diff(now, self._short_at) > _SHORT_MS:
            self._short = 0
        self._short += 1
        self._short_at = now

    def start(self, name: str, work) -> None:
        """Run `work(pulse)`, a coroutine function, as a task that is kept alive; its return ends it for good."""
        pulse = Pulse(name)
        self._pulses.append(pulse)
        pulse.task = asyncio.create_task(self._keep(pulse, work))

    def stop(self, name: str) -> None:
        """End the task of this name, if there is one."""
        for pulse in self._pulses:
            if pulse.name == name:
                pulse.task.cancel()
                self._ending.append(pulse.task)
                self._pulses.remove(pulse)
                break

    def rested(self) -> None:
        """Nothing ran for a while, and that was meant so: no promise was broken by it."""
        for pulse in self._pulses:
            pulse.beat()

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
                self._crashed(pulse.name, error)
                if isinstance(error, MemoryError):
                    self.short_of_memory()
            if ticks_diff(ticks_ms(), started) > _LONGEST_PAUSE_MS:
                pause = _FIRST_PAUSE_MS
            await pulse.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_MS)
        self._pulses.remove(pulse)

    async def run(self) -> None:
        """Look after the tasks until they have all ended."""
        silent = None
        while self._pulses:
            self._looks += 1
            # wait_for() forgets a cancel() that comes in the moment in which its time is over: it is told again
            self._ending = [task for task in self._ending if not task.done() and task.cancel()]
            if self._short >= _SHORT and self._looks > _SHORT_LOOKS:
                raise MemoryError("memory ran out " + str(self._short) + " times: only a reset helps")
            now = ticks_ms()
            late = [pulse.name for pulse in self._pulses if ticks_diff(now, pulse.due) > 0]
            if not late:
                self.feed()
            elif late != silent:
                self._log.error("watchdog", "no progress in " + ", ".join(late) + ": leaving it to the watchdog")
                self._crashed("no progress in " + ", ".join(late), None)
            silent = late
            await asyncio.sleep_ms(_LOOK_MS)
