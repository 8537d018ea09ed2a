"""One pass over the sensors on every point of the time grid makes one sample, committed to the spool.

A sensor that fails costs its own readings of that sample and nothing else. Sampling waits for nobody: not for the
network, not for the time of day.
"""

import asyncio

from micropython import const

from spool import SpoolError

_LONGEST_CONVERSION_MS = const(6000)
_LOOK_MS = const(60000)


class Sensor:
    """A driver's instance, made when it is first used.

    name: as in the settings; driver: its class; bus: what the board calls its bus; address: on that bus, None for the
    driver's own; channels: (variable, unit, decimals) each.
    """

    def __init__(self, name: str, driver, board, bus: str, address, channels: tuple):
        self.name = name
        self.channels = channels
        self.problem = ""
        self._driver = driver
        self._board = board
        self._bus = bus
        self._address = address
        self._chip = None

    def start(self) -> int:
        """Begin a conversion; milliseconds until it is done. Raises what the driver raises."""
        if self._chip is None:
            bus = self._board.bus(self._bus)
            self._chip = self._driver(bus) if self._address is None else self._driver(bus, self._address)
        return self._chip.start()

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
    committed() is called after every sample.
    """

    def __init__(self, sensors, spool, clock, every_ms, samples, time_ms, log, committed):
        self.over = asyncio.Event()
        self.errors = 0
        self._sensors = sensors
        self._spool = spool
        self._clock = clock
        self._every_ms = every_ms
        self._left = samples
        self._end = clock.mono() + time_ms if time_ms else 0
        self._log = log
        self._committed = committed
        self._values = [None] * sum([len(sensor.channels) for sensor in sensors])

    async def run(self, pulse) -> None:
        """Sample on the grid until the run is over."""
        due = None
        while not self.over.is_set():
            after = self._next(due)
            until = min(after, self._end) if self._end else after
            left = until - self._clock.mono()
            if left > _LOOK_MS:
                # the grid moves when the clock is set: look again
                await pulse.sleep(_LOOK_MS)
                continue
            await pulse.sleep(left)
            if until != after:
                break
            due = after
            mono = self._clock.mono()
            if await self._measure(pulse) and self._commit(mono) and self._left:
                self._left -= 1
                if not self._left:
                    break
        self.over.set()
        self._committed()

    def _next(self, last):
        """Milliseconds since boot of the next point of the grid that is still ahead: whole multiples of the interval
        in time of day once that is known, so that a fleet samples at the same moments."""
        mono = self._clock.mono()
        now = self._clock.now()
        phase = (mono if now is None else now) % self._every_ms
        due = mono + self._every_ms - phase
        # a clock that was set back or forth between two points must not put two samples into one interval
        if last is not None and due - last < self._every_ms // 2:
            due += self._every_ms
        return due

    async def _measure(self, pulse):
        """Fill the values from all sensors. False when not one of them gave a reading."""
        wait = 0
        started = []
        for sensor in self._sensors:
            pulse.beat()
            try:
                wait = max(wait, min(int(sensor.start()), _LONGEST_CONVERSION_MS))
                started.append(sensor)
            except Exception as error:  # noqa: BLE001 - whatever a driver does wrong costs its own readings only
                self._failed(sensor, error)
        await pulse.sleep(wait)
        some = False
        at = 0
        values = self._values
        for sensor in self._sensors:
            readings = None
            if sensor in started:
                pulse.beat()
                try:
                    readings = sensor.read()
                except Exception as error:  # noqa: BLE001 - as above
                    self._failed(sensor, error)
            wrong = readings is None
            for i in range(len(sensor.channels)):
                value = None if readings is None else readings[i]
                # NaN and the infinities are no readings, and no JSON; a bool is no int on a board
                known = isinstance(value, (int, bool, str)) or isinstance(value, float) and value - value == 0
                if not known and value is not None:
                    self._failed(sensor, ValueError("gave a value that is neither number nor text"))
                    wrong = True
                    value = None
                values[at] = value
                some = some or value is not None
                at += 1
            if sensor.problem and not wrong:
                self._log.info("sampler", sensor.name + " works again")
                sensor.problem = ""
        return some

    def _failed(self, sensor, error):
        self.errors += 1
        text = str(error) or repr(error)
        if text != sensor.problem:
            # said once, not every minute for a year
            self._log.warning("sampler", sensor.name + ": " + text)
            sensor.problem = text

    def _commit(self, mono):
        try:
            self._spool.append(self._values, self._clock.stamp(mono), mono)
        except (SpoolError, ValueError) as error:
            self._log.error("spool", "sample not stored: " + str(error))
            return False
        self._committed()
        return True
