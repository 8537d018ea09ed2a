"""The readings that all sides of the benches send."""

import time

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
MANY = tuple(("channel_%d" % n, "°C", 2) for n in range(1, 41))
_FIRST = (21.0, 55.0, 1013.25, 3.9, -65)
_STEP = (0.1, 0.5, 0.2, 0.004, 4)


def channels(count):
    """So many channels; 0: those that all benches have."""
    return MANY[:count] if count else CHANNELS


def _chance():
    # one of its own: the node uses random's as well. The upper bits of a linear congruential generator
    state = 1
    while True:
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        yield state >> 15


def readings(samples, count=0):
    """Yields (unix ms, [value of each channel]) of so many samples, every time the same."""
    chance = _chance()
    values = list(_FIRST)
    moment = START_MS
    whole = channels(count)
    while len(values) < len(whole):
        values.append(20.0)
    for _ in range(samples):
        for i, (_, _, decimals) in enumerate(whole):
            value = values[i] + (next(chance) / 32768 - 1) * (0.1 if count else _STEP[i])
            values[i] = round(value, decimals) if decimals else int(value)
        yield moment + (next(chance) >> 12), values[: len(whole)]
        moment += EVERY_MS


def records(sequence, ms, values):
    """A sample as TagoIO wants it: a list of dicts."""
    seconds, ms = divmod(ms, 1000)
    date = "%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(seconds)[:6]
    return [
        {
            "variable": variable,
            "value": value,
            "unit": unit,
            "time": "%s.%03dZ" % (date, ms),
            "group": "%s_%d" % (TAG, sequence),
        }
        for (variable, unit, _), value in zip(CHANNELS, values)
    ]
