"""The readings of agent.health. Loaded for one of them, and forgotten."""

# as the README's tables of reset causes have them
CAUSES = ("", "power on", "reset", "watchdog", "deep sleep", "soft reset", "error")
ROWS = (
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


def readings(node, least, channels) -> tuple:
    """Those of `channels`, rows of ROWS, of this node; None for what cannot be told now. least: bytes of free heap."""
    board = node.board
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
        least,
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
    return tuple([reading for reading, row in zip(readings, ROWS) if row in channels])
