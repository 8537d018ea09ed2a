"""The readings that both sides of the uplink bench send. Runs under MicroPython only."""

import random

CHANNELS = (
    ("temperature", "°C", 2),
    ("humidity", "%", 2),
    ("pressure", "hPa", 2),
    ("battery", "V", 3),
    ("rssi", "dBm", 0),
)
TAG = "bench0"  # what the groups begin with
TAG_BYTES = bytes([1, 4, 13, 2, 7, 26])  # from which a spool makes it
EVERY_MS = 60000
START_MS = 1767322800000
_FIRST = (21.0, 55.0, 1013.25, 3.9, -65)
_STEP = (0.1, 0.5, 0.2, 0.004, 4)


def readings(samples):
    """Yields (unix ms, [value of each channel]) of so many samples, every time the same."""
    random.seed(1)
    values = list(_FIRST)
    time = START_MS
    for _ in range(samples):
        for i, (_, _, decimals) in enumerate(CHANNELS):
            value = values[i] + (random.random() * 2 - 1) * _STEP[i]
            values[i] = round(value, decimals) if decimals else int(value)
        yield time + random.getrandbits(4), list(values)
        time += EVERY_MS
