"""How the node itself is, as readings: a sensor to the sampler, with an interval of its own (health.every).

A variable that a sensor of the settings has already is left out, and so is what a board has not. What the readings are
and how they are taken is agent.vitals's.
"""

import gc

from agent import forget


class Health:
    """Takes a sensor's place in agent.sampler. taken: variables of other sensors; `node`: whose health it is, set
    before the first reading. `least`: bytes of heap that were free at the worst reading, None before the first."""

    name = "health"

    def __init__(self, every_ms: int, taken):
        from agent import vitals

        forget("vitals")
        self.every_ms = every_ms
        self.problem = ""
        self.ready = None
        self.node = None
        self.channels = tuple([row for row in vitals.ROWS if row[0] not in taken])
        self.least = None

    def start(self) -> int:
        return 0

    def recover(self) -> bool:
        return False

    def read(self) -> tuple:
        """The readings, in the order of `channels`; None for what cannot be told now."""
        gc.collect()
        free = gc.mem_free()
        self.least = free if self.least is None else min(free, self.least)
        from agent import vitals

        forget("vitals")
        return vitals.readings(self.node, self.least, self.channels)
