"""What the agent's parts are given in tests: time that passes by sleeping alone, a pulse that keeps a diary, a console.

`install(module)` puts a World in the place of a module's clock and event loop.
"""

import asyncio

TICKS = 1 << 30  # ticks_ms() wraps here on 32-bit boards
TURNS = 6  # rounds of the loop in which every task has done what it can do at one moment


class World:
    """Milliseconds that pass when everybody sleeps. Ticks wrap 500 ms after the start unless told.

    In the place of a module's `asyncio` it gives sleep_ms and wait_for_ms; the rest is the real one's.
    """

    def __init__(self, wrap_after_ms=500):
        self.ms = 0
        self._ticks_at_0 = TICKS - wrap_after_ms
        self._wakes = []
        self.create_task = asyncio.create_task
        self.Event = asyncio.Event
        self.TimeoutError = asyncio.TimeoutError
        self.CancelledError = asyncio.CancelledError

    def install(self, *modules):
        for module in modules:
            for name in ("ticks_ms", "ticks_add", "ticks_diff"):
                if hasattr(module, name):
                    setattr(module, name, getattr(self, name))
            if hasattr(module, "asyncio"):
                module.asyncio = self

    def ticks_ms(self):
        return (self._ticks_at_0 + self.ms) % TICKS

    def ticks_add(self, ticks, delta):
        if not -TICKS // 2 < delta < TICKS // 2:
            raise OverflowError("ticks interval overflow")
        return (ticks + delta) % TICKS

    def ticks_diff(self, a, b):
        return (a - b + TICKS // 2) % TICKS - TICKS // 2

    async def sleep_ms(self, ms):
        if ms >= TICKS // 2:
            raise OverflowError("ticks interval overflow")
        await self._until(self.ms + max(ms, 0))

    async def wait_for_ms(self, awaitable, ms):
        task = asyncio.create_task(awaitable)
        await self._until(self.ms + ms, task)
        if not task.done():
            task.cancel()
            raise asyncio.TimeoutError
        return await task

    async def _until(self, ms, task=None):
        self._wakes.append(ms)
        try:
            while True:
                await asyncio.sleep_ms(0)
                if self.ms >= ms or task is not None and task.done():
                    break
        finally:
            self._wakes.remove(ms)

    async def spend(self, ms):
        """Let that much time pass, from one wake-up to the next."""
        end = self.ms + ms
        while True:
            for _ in range(TURNS):
                await asyncio.sleep_ms(0)
            if self.ms >= end:
                break
            self.ms = max(self.ms, min(self._wakes + [end]))


class Enough(Exception):
    """Ends a task that would run for ever."""


class Pulse:
    """In the place of a supervisor's: keeps what it was asked for in `slept`, `waited` and `beats`.

    Sleeping moves `world` on at once. at_sleep(ms) is called at every sleep of more than 0 ms, at_wait(event, ms) at
    every wait for an event that is not set: it may change the world, set the event, or raise Enough.
    """

    def __init__(self, world=None, at_sleep=None, at_wait=None):
        self.world = world or World()
        self.slept = []
        self.waited = []
        self.beats = []
        self._at_sleep = at_sleep
        self._at_wait = at_wait

    def beat(self, within_ms=15000):
        self.beats.append(within_ms)

    async def sleep(self, ms):
        if ms > 0:
            self.slept.append(ms)
            self.world.ms += ms
            if self._at_sleep:
                self._at_sleep(ms)
        await asyncio.sleep_ms(0)

    async def wait(self, event, ms=-1):
        if not event.is_set():
            self.waited.append(ms)
            if self._at_wait:
                self._at_wait(event, ms)
        if not event.is_set() and ms < 0:
            raise Enough("waits for ever")
        if not event.is_set():
            self.world.ms += ms
        await asyncio.sleep_ms(0)
        return event.is_set()


class Console:
    """Takes the place of print."""

    def __init__(self):
        self.lines = []

    def __call__(self, line):
        self.lines.append(line)

    def text(self):
        return "\n".join(self.lines)
