"""Remote settings: TagoIO's configuration parameters of this device. When to look for them; how is in modules that are
loaded for that moment (agent.changes), at the start (agent.overlay), and while a change is on trial (agent.trial).
"""

import gc

from micropython import const

from agent import forget

_FIRST_MS = const(10000)  # after the start
_HURRY_MS = const(15000)  # somebody works on the node, or a change is on trial
_RETRY_MS = const(60000)  # after a failure, and twice that after the next
_SELDOM_MS = const(86400000)


class Remote:
    """node: whose settings they are; every_ms: how often to look; sends_ms: how often the uplink sends, which is
    when it looks, unless that is less often. stage: of a change that is under way, as agent.parameters has it.

    maintenance, identified: milliseconds since boot until which somebody works on the node, or looks for it.
    """

    def __init__(self, node, every_ms: int, sends_ms: int, stage: str):
        self.maintenance = self.identified = 0
        self.trial = stage[:6] == "trial."  # whether a change is
        self._node = node
        self._every_ms = every_ms
        self._alone = every_ms < sends_ms
        self._pause = _RETRY_MS
        self.watches = 0  # of trials that were begun
        self.last = 0  # Unix time of the last look
        self._due = 0 if stage else min(_FIRST_MS, every_ms)

    def until_due(self) -> int:
        """Milliseconds until the next look, 0 or more, if that does not wait for the uplink."""
        now = self._node.clock.mono()
        if self.trial:
            return _HURRY_MS
        return max(self._due - now, 0) if self._alone or now < self.maintenance else _SELDOM_MS

    async def errand(self, pulse, uplink) -> None:
        """Look, if it is time to; an errand of the uplink."""
        node = self._node
        now = node.clock.mono()
        if now < self._due and not self.trial:
            return
        wait = min(self._every_ms, self._pause)
        self._pause = min(self._pause * 2, _SELDOM_MS)
        gc.collect()
        try:
            from agent import changes

            forget("changes")
            forget("parameters")
            if await changes.run(pulse, uplink, node, self):
                wait = self._every_ms
                self._pause = _RETRY_MS
        except (OSError, ValueError, MemoryError) as error:
            # nothing here may keep readings from being sent
            node.log.warning("remote", str(error) or repr(error))
        self._due = now + (min(wait, _HURRY_MS) if now < self.maintenance else wait)
        gc.collect()

    async def watch(self, pulse) -> None:
        """While a change is on trial: see that it does not last for ever."""
        from agent import trial

        forget("trial")
        forget("parameters")
        await trial.watch(pulse, self._node, self)
