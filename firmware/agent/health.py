"""How the node itself is, as readings: a sensor to the sampler, with an interval of its own (health.every).

A variable that a sensor of the settings has already is left out, and so is what a board has not.
"""

import gc

from tagoio import records, verdicts

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
)
# each as failed_<verdict>, how many attempts since boot; no reading as long as there was none
_VERDICTS = (
    verdicts.UNAVAILABLE,
    verdicts.AMBIGUOUS,
    verdicts.THROTTLED,
    verdicts.REJECTED,
    verdicts.TOO_LARGE,
    verdicts.DEVICE_REFUSES,
    verdicts.UNAUTHORISED,
    verdicts.UNTRUSTED,
    verdicts.MISCONFIGURED,
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
        rows = _ROWS + tuple([("failed_" + records.clean_variable(verdict), "", 0) for verdict in _VERDICTS])
        self.channels = tuple([row for row in rows if row[0] not in taken])
        self._left_out = [index for index in range(len(rows)) if rows[index][0] in taken]
        self._least = None

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
        self._least = free if self._least is None else min(free, self._least)
        counters = node.spool.counters
        try:
            rssi = board.wifi().status("rssi") if node.link.up.is_set() else None
        except (OSError, ValueError, RuntimeError):
            rssi = None
        readings = [
            node.clock.mono() // 1000,
            CAUSES.index(node.cause) if node.cause in CAUSES else 0,
            node.house.restarts,
            self._least,
            node.spool.queued,
            counters.dropped,
            counters.quarantined,
            rssi,
            node.clock.state,
            getattr(node.clock, "drift", None),
            board.temperature(),
        ]
        readings.extend([node.uplink.failures.get(verdict) for verdict in _VERDICTS])
        for index in reversed(self._left_out):
            readings.pop(index)
        return readings
