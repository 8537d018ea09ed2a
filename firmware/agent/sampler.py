"""One pass over the sensors on every point of the time grid makes one sample, committed to the spool.

A sensor that fails costs its own readings of that sample and nothing else. Sampling waits for nobody: not for the
network, not for the time of day.
"""

import asyncio

from micropython import const

from spool import SpoolError

_LONGEST_CONVERSION_MS = const(6000)
_LOOK_MS = const(60000)
_LONGEST_TEXT = const(500)


class Sensor:
    """A driver's instance, made when it is first used.

    name: as in the settings; driver: its class; bus: what the board calls its bus; address: on that bus, None for the
    driver's own; channels: (variable, unit, decimals) each; every_ms: its interval, 0 for everybody's; options: what
    else its driver is told, a dict.
    """

    def __init__(self, name: str, driver, board, bus: str, address, channels: tuple, every_ms: int = 0, options=None):
        self.name = name
        self.channels = channels
        self.every_ms = every_ms
        self.problem = ""
        self.ready = None  # milliseconds since boot at which the conversion is done, None when none was begun
        self._driver = driver
        self._board = board
        self._bus = bus
        self._address = address
        self._options = options or {}
        self._chip = None

    def start(self) -> int:
        """Begin a conversion; milliseconds until it is done. Raises what the driver raises."""
        if self._chip is None:
            bus = self._board.bus(self._bus)
            where = (bus,) if self._address is None else (bus, self._address)
            self._chip = self._driver(*where, **self._options)
        return self._chip.start()

    def recover(self) -> bool:
        """Free its bus, when a chip on it holds it. True when that was so."""
        return self._board.recover(self._bus)

    def read(self) -> tuple:
        """The readings, in the order of `channels`. Raises ValueError for another number of them, and what the driver
        raises."""
        readings = self._chip.read()
        if len(readings) != len(self.channels):
            raise ValueError("gave %d readings for %d channels" % (len(readings), len(self.channels)))
        return readings


class Sampler:
    """sensors: list of Sensor; spool and clock: where samples and their times go and come from.

    samples and time_ms end the run after so many samples, or so much time, 0 for never. `over` is set at that end;
    committed(urgent) is called after every sample. pipeline: what readings pass through (agent.pipeline), or None.

    `grids`: one an interval, [interval, the point before, the next point], in milliseconds since boot. longest: how
    many ms of conversion a pass waits for.
    """

    longest = _LONGEST_CONVERSION_MS

    def __init__(self, sensors, spool, clock, every_ms, samples, time_ms, log, committed, pipeline=None):
        self.over = asyncio.Event()
        self.errors = 0
        self._sensors = sensors
        self._spool = spool
        self._clock = clock
        self._pipeline = pipeline
        intervals = {sensor.every_ms or every_ms for sensor in sensors}
        if pipeline:
            intervals |= pipeline.windows
        self.grids = [[every, None, 0] for every in intervals]
        self._default_ms = every_ms
        self.left = samples  # 0: as many as there are
        self._end = clock.mono() + time_ms if time_ms else 0
        self._log = log
        self._committed = committed
        self._channels = pipeline.channels if pipeline else [row for sensor in sensors for row in sensor.channels]
        self._values: list = [None] * len(self._channels)

    def failing(self) -> bool:
        """Whether a sensor is in trouble."""
        return any([sensor.problem for sensor in self._sensors])

    async def run(self, pulse) -> None:
        """Sample on the grid until the run is over."""
        while not self.over.is_set():
            after = self.next()
            left = (min(after, self._end) if self._end else after) - self._clock.mono()
            if left > _LOOK_MS:
                # the grid moves when the clock is set: look again
                await pulse.sleep(_LOOK_MS)
                continue
            await pulse.sleep(left)
            await self.take(pulse, after)

    async def take(self, pulse, point: int) -> None:
        """The sample of this point, which `next` gave: now. The run's last one, or one beyond its end, ends it."""
        if not self._end or point <= self._end:
            due = []
            for grid in self.grids:
                if grid[2] == point:
                    grid[1] = point
                    due.append(grid[0])
            mono = self._clock.mono()
            if not (await self._measure(pulse, due, point) and self._commit(mono) and self.left):
                return
            self.left -= 1
            if self.left:
                return
        self.over.set()
        self._committed(True)

    def next(self) -> int:
        """Milliseconds since boot of the next point of a grid: whole multiples of the interval in time of day once that
        is known, so that a fleet samples at the same moments."""
        mono = self._clock.mono()
        now = self._clock.now()
        for grid in self.grids:
            every, last, due = grid
            if due != last and 0 < due <= mono:
                continue  # it passed while others were measured: late is better than never
            due = mono + every - (mono if now is None else now) % every
            # a clock that was set back or forth between two points must not put two samples into one interval
            if last is not None and due - last < every // 2:
                due += every
            grid[2] = due
        return min([grid[2] for grid in self.grids])

    async def _measure(self, pulse, due, point):
        """Fill the values from the sensors whose interval is among `due`, at this point of the grid. False when there
        is nothing to store."""
        mono = self._clock.mono
        # what takes longer is read in a later pass: it shall not hold up the samples
        limit = min(self.longest, min([grid[0] for grid in self.grids]) * 3 // 4)
        started = []
        for sensor in self._sensors:
            # one that was too slow for its own pass is read in the next of any
            if sensor.ready is None and (sensor.every_ms or self._default_ms) not in due:
                continue
            pulse.beat()
            try:
                if sensor.ready is None:
                    wait = min(int(sensor.start()), _LOOK_MS)  # which takes its time, too: counted from its end
                    sensor.ready = mono() + wait
                if sensor.ready - mono() <= limit:
                    started.append(sensor)
            except Exception as error:  # noqa: BLE001 - whatever a driver does wrong costs its own readings only
                self._failed(sensor, error)
        values = self._values
        for index in range(len(values)):
            values[index] = None
        # each as soon as it is done, so that a slow one does not delay the others
        started.sort(key=lambda sensor: sensor.ready)
        for sensor in started:
            await pulse.sleep(sensor.ready - mono())
            sensor.ready = None
            try:
                self._take(sensor, sensor.read())
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(sensor, error)
        if self._pipeline:
            # not the time it is now: windows and heartbeats go by the grid, not by how long conversions take, or by a
            # millisecond of the clock's
            now = self._clock.stamp(point)
            every = due[0]
            self._pipeline.run(values, ((point if now is None else now) + every // 2) // every * every)
        return values.count(None) < len(values)

    def _take(self, sensor, readings):
        at = 0
        for other in self._sensors:
            if other is sensor:
                break
            at += len(other.channels)
        wrong = False
        for value in readings:
            # NaN and the infinities are no readings, and no JSON; a bool is no int on a board; a sample holds 8 kB
            number = isinstance(value, (int, bool)) or isinstance(value, float) and value - value == 0
            if number or isinstance(value, str) and len(value) <= _LONGEST_TEXT:
                self._values[at] = value
            elif value is not None:
                self._failed(sensor, ValueError("gave a value that is neither number nor short text"))
                wrong = True
            at += 1
        if sensor.problem and not wrong:
            self._log.info("sampler", sensor.name + " works again")
            sensor.problem = ""

    def _failed(self, sensor, error):
        self.errors += 1
        text = str(error) or repr(error)
        try:
            if sensor.recover():
                text += "; bus freed"
        except (OSError, ValueError):
            pass  # the next failure tries again
        if text != sensor.problem:
            # said once, not every minute for a year
            self._log.warning("sampler", sensor.name + ": " + text)
            sensor.problem = text

    def _commit(self, mono):
        values = self._values
        for index in range(len(values)):
            value = values[index]
            # what is sent is printed with so many decimals: more would cost flash alone
            if isinstance(value, float) and -1e9 < value < 1e9:
                values[index] = round(value, self._channels[index][2])
        try:
            self._spool.append(self._values, self._clock.stamp(mono), mono)
        except (SpoolError, ValueError) as error:
            self._log.error("spool", "sample not stored: " + str(error))
            if self._pipeline:
                self._pipeline.lost(self._values)
            return False
        self._log.debug("sample", (self._channels, self._values))
        self._committed(self._pipeline is not None and self._pipeline.urgent)
        return True
