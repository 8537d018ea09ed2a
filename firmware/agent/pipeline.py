"""What becomes of a reading between its sensor and the queue. On a board only when its settings ask for it.

Each channel has its steps, in this order: polynomial, scale and offset (calibration); minimum and maximum (range
check); the alarm's look; then the filters in the order in which the settings name them:

    ("median", n)             the median of the last n readings
    ("average", n)            the mean of the last n readings
    ("window", what, ms)      one reading at the end of each window of the clock: min, max, mean, last or sum
    ("delta", by, ms)         only what differs by so much from what was reported last, and one every `ms` all the same

Derived channels (agent.derived) are made of calibrated readings and have steps of their own. A step that has nothing
to report gives None; windows are asked at each of their ends, for which the sampler has a grid, with a reading or None.
Texts and booleans pass unchanged.
"""


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _calibration(steps):
    polynomial = tuple(steps.get("polynomial", ()))
    scale = steps.get("scale", 1)
    offset = steps.get("offset", 0)
    low = steps.get("minimum")
    high = steps.get("maximum")

    def step(value):
        if polynomial:
            x, value = value, 0
            for coefficient in reversed(polynomial):
                value = value * x + coefficient
        value = value * scale + offset
        if low is not None and value < low:
            raise ValueError("%.7g is below its minimum, %s" % (value, low))
        if high is not None and value > high:
            raise ValueError("%.7g is above its maximum, %s" % (value, high))
        return value

    return step


def _keep(kept, n, value):
    """`kept` with the value, and no more than the last n."""
    if len(kept) == n:
        kept.pop(0)
    kept.append(value)
    return kept


# Each is given the list in which it keeps what it has in mind: numbers, for a memory that outlives sleep.


def _median(kept, n):
    def step(value, now):
        ranked = sorted(_keep(kept, n, value))
        middle = len(ranked) // 2
        return ranked[middle] if len(ranked) & 1 else (ranked[middle - 1] + ranked[middle]) / 2

    return step


def _average(kept, n):
    def step(value, now):
        _keep(kept, n, value)
        return sum(kept) / len(kept)

    return step


def _window(kept, what, every_ms):
    def end():
        _, count, total, low, high = kept
        kept.clear()
        if what == "mean":
            return total / count
        return low if what == "min" else high if what == "max" else total

    def step(value, now):
        # a window ends with its last millisecond, so that a reading on the grid belongs to the one that it ends
        window = (now - 1) // every_ms
        ended = end() if kept and window != kept[0] else None
        if value is not None:
            if not kept:
                kept.extend((window, 0, 0, value, value))
            kept[1] += 1
            kept[2] = value if what == "last" else kept[2] + value
            kept[3] = min(kept[3], value)
            kept[4] = max(kept[4], value)
        return end() if ended is None and kept and not now % every_ms else ended

    return step


def _delta(kept, by, every_ms):
    def step(value, now):
        if not kept or abs(value - kept[0]) >= by or not 0 <= now - kept[1] < every_ms:
            kept[:] = value, now
            return value
        return None

    return step


FILTERS: dict = {"median": _median, "average": _average, "window": _window, "delta": _delta}


class _Alarm:
    """above, below: limits or None; hysteresis: how far back within them a reading has to come to end the alarm.
    state: 1 above, -1 below, 0 neither. told: what was said last, None after a start, LOST when that was lost."""

    LOST = 2

    def __init__(self, above, below, hysteresis):
        self._above = above
        self._below = below
        self._hysteresis = hysteresis
        self.state = 0
        self.told = None

    def look(self, value) -> bool:
        """Whether the state is to be told with this reading."""
        was = self.state
        back = self._hysteresis
        if self._above is not None and value > self._above - (back if was > 0 else 0):
            self.state = 1
        elif self._below is not None and value < self._below + (back if was < 0 else 0):
            self.state = -1
        else:
            self.state = 0
        news = self.state != self.told
        self.told = self.state
        return news


class Pipeline:
    """sensors: their channels as rows [variable, unit, decimals, {steps}], in the order of the values; derived: rows
    {"kind", "from": [indexes of values], "options", "channel": a row as above}.

    `channels` are those of the spool, (variable, unit, decimals) each: the sensors', the derived ones, then one of -1,
    0, 1 for each alarm, named after its channel.
    """

    def __init__(self, rows: list, derived: list, log):
        self._log = log
        self._derived: list = []
        if derived:
            from agent import derived as formulas

            for row in derived:
                self._derived.append((formulas.FORMULAS[row["kind"]], row["from"], row.get("options", {})))
                rows = rows + [row["channel"]]
        self.channels = [tuple(row[:3]) for row in rows]
        self._first_derived = len(rows) - len(derived)
        self._kept: list = []  # what each filter has in mind
        self._out = set()  # indexes of channels whose reading is out of range
        self.windows = set()  # how long they last, in milliseconds
        # (calibration or None, alarm or None, index of its state, filters as (function, whether it is a window),
        # whether one of them sums up)
        self._steps = []
        for row in rows:
            steps = row[3] if len(row) > 3 else {}
            calibration = alarm = None
            place = 0
            for key in ("polynomial", "scale", "offset", "minimum", "maximum"):
                if key in steps:
                    calibration = _calibration(steps)
            if "alarm" in steps:
                alarm = _Alarm(*steps["alarm"])
                place = len(self.channels)
                self.channels.append((row[0] + "_alarm", "", 0))
            filters = []
            sums = False
            for name, *options in steps.get("filters", ()):
                self._kept.append([])
                filters.append((FILTERS[name](self._kept[-1], *options), name == "window"))
                if name == "window":
                    self.windows.add(options[1])
                    sums = sums or options[0] == "sum"
            self._steps.append((calibration, alarm, place, filters, sums))
        self._off = [index for index in range(len(rows)) if rows[index][3:] and rows[index][3].get("on") is False]
        self.urgent = False  # an alarm began or ended with the last values

    def run(self, values: list, now: int) -> None:
        """Turn what the sensors gave into what is queued, in place. now: milliseconds, of the clock if it is known; a
        multiple of what windows last at their ends."""
        self.urgent = False
        first = self._first_derived
        for index in range(first, len(values)):
            values[index] = None
        for index in range(len(self._steps)):
            if index >= first:
                values[index] = self._derive(self._derived[index - first], values)
            self._calibrate(index, values)
        for index in self._off:
            values[index] = None
        for index in range(len(self._steps)):
            if values[index] is None or _is_number(values[index]):
                values[index] = self._filter(index, values[index], now, values)

    def lost(self, values: list) -> None:
        """These were not stored: alarms among them are told again with their next readings."""
        for _, alarm, place, _, _ in self._steps:
            if alarm and values[place] is not None:
                alarm.told = alarm.LOST

    def memory(self) -> list:
        """What filters and alarms have in mind, as JSON takes it."""
        return [self._kept, [[row[1].state, row[1].told] for row in self._steps if row[1]]]

    def recall(self, memory: list) -> None:
        """Have in mind what `memory` gave, for the same rows."""
        for kept, before in zip(self._kept, memory[0]):
            kept[:] = before
        alarms = [row[1] for row in self._steps if row[1]]
        for alarm, before in zip(alarms, memory[1]):
            alarm.state, alarm.told = before

    def _calibrate(self, index, values):
        calibration = self._steps[index][0]
        value = values[index]
        if calibration and _is_number(value):
            try:
                value = calibration(value)
                if value - value != 0:
                    raise ValueError("%s is no number" % value)  # calibrated beyond all of them
                values[index] = value
                self._out.discard(index)
            except (ValueError, ArithmeticError) as error:
                values[index] = None
                if index not in self._out:
                    # said once, not every minute for a year
                    self._out.add(index)
                    self._log.warning("sampler", self.channels[index][0] + ": " + str(error))

    def _derive(self, row, values):
        formula, inputs, options = row
        readings = [values[index] for index in inputs]
        for reading in readings:
            if not _is_number(reading):
                return None
        try:
            reading = formula(*readings, **options)
            # neither complex nor infinite
            return reading if _is_number(reading) and reading - reading == 0 else None
        except (ValueError, ArithmeticError):
            return None  # outside of what the formula is made for

    def _filter(self, index, value, now, values):
        _, alarm, place, filters, sums = self._steps[index]
        reported = value
        for step, is_window in filters:
            if reported is not None or is_window:
                reported = step(reported, now)
                if reported is not None and reported - reported != 0:  # a sum beyond all numbers
                    reported = None
        if alarm and value is not None:
            quiet = alarm.told is None  # the first after a start: TagoIO may have another state from before
            if alarm.look(value):
                values[place] = alarm.state
                if alarm.state or not quiet:
                    self.urgent = True
                    if reported is None and not sums:
                        return value  # an alarm comes with the reading that raised it; a sum has it in it
        return reported
