"""How the node itself is, as readings: a sensor to the sampler, with an interval of its own (health.every).

A variable that a sensor of the settings has already is left out, and so is what a board has not.
"""

import gc

# as the README's tables of reset causes have them
CAUSES = ("", "power on", "reset", "watchdog", "deep sleep", "soft reset", "error")
_ROWS = (
    ("uptime", "s", 0),
    ("reset_cause", "", 0),
    ("restarts", "", 0),
    ("heap_min", "B", 0),
    ("queue_depth", "", 0),
    ("dropped", "", 0),
    ("quarantined", "", 0),
    ("rssi", "dBm", 0),
    ("clock_state", "", 0),
    ("clock_drift", "ppm", 1),
    ("chip_temperature", "°C", 1),
    ("upload_failures", "", 0),
    ("failed_verdicts", "", 0),
)


class Health:
    """Takes a sensor's place in agent.sampler. taken: variables of other sensors; `node`: whose health it is, set
    before the first reading."""

    name = "health"

    def __init__(self, every_ms: int, taken):
        self.every_ms = every_ms
        self.problem = ""
        self.ready = None
        self.node = None
        self.channels = tuple([row for row in _ROWS if row[0] not in taken])
        self._taken = tuple([row[0] in taken for row in _ROWS])
        self.least = None

    def start(self) -> int:
        return 0

    def recover(self) -> bool:
        return False

    def read(self) -> tuple:
        """The readings, in the order of `channels`; None for what cannot be told now."""
        node = self.node
        board = node.board
        gc.collect()
        free = gc.mem_free()
        self.least = free if self.least is None else min(free, self.least)
        counters = node.spool.counters
        failures = node.uplink.failures
        try:
            rssi = board.wifi().status("rssi") if node.link.up.is_set() else getattr(node, "heard", None)
        except (OSError, ValueError, RuntimeError):
            rssi = None
        readings = [
            node.clock.mono() // 1000,
            CAUSES.index(node.cause) if node.cause in CAUSES else 0,
            node.house.restarts,
            self.least,
            node.spool.queued,
            counters.dropped,
            counters.quarantined,
            rssi,
            node.clock.state,
            getattr(node.clock, "drift", None),
            board.temperature(),
            sum(failures.values()),
            ", ".join(["%s %d" % (verdict, failures[verdict]) for verdict in sorted(failures)]) or None,
        ]
        return tuple([reading for reading, taken in zip(readings, self._taken) if not taken])
