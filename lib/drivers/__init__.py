"""What every sensor driver shares: the error, and the rule that a failure means starting over.

A driver is a class named after its chip, in a file named after its chip:

    sensor = BME280(bus)            # touches nothing
    wait_ms = sensor.start()        # begins a conversion (initialises the chip when needed)
    ...                             # the caller waits wait_ms, doing something else
    values = sensor.read()          # numbers, in the order of sensor.CHANNELS
    values = sensor.measure()       # start, sleep and read in one call

Nothing but chip knowledge belongs in a driver: no time stamps, calibration by the user, filters or retries.
"""

import sys
import time


def driver_class(name: str):
    """The class that drivers/<name>.py is named after: bme280 has BME280, pulse_counter has PulseCounter.

    Raises ImportError when there is none.
    """
    module = "drivers." + name
    __import__(module)
    wanted = name.replace("_", "")
    for each in dir(sys.modules[module]):
        if each.lower() == wanted:
            return getattr(sys.modules[module], each)
    raise ImportError("drivers/" + name + ".py has no class of that name")


class SensorError(OSError):
    """No trustworthy reading. The text names the chip, what is wrong and the remedy.

    The next start() initialises the chip again, so that it recovers without a reboot.
    """


def polls(limit_ms: int):
    """Yields as often as a driver may ask whether its chip is done: for limit_ms, and 1000 times at most."""
    began = time.ticks_ms()
    for _ in range(1000):
        yield
        if time.ticks_diff(time.ticks_ms(), began) > limit_ms:
            break


class Sensor:
    """Base of all drivers: a subclass gives CHANNELS, _read() -> tuple and, unless it is 0, _start() -> ms; BUS, too,
    when its bus is not I2C: "onewire", "pin", "pins" (two of them), "uart", "adc" or "wifi".

    Both may raise SensorError("what is wrong"); start() and read() put the chip's name before it and the
    remedy after it, turn errors of the bus and of the arithmetic into SensorError too, and clear _ready, upon
    which the next _start() must initialise the chip.
    """

    CHANNELS: tuple = ()
    BUS = "i2c"
    _REMEDY = "check wiring, supply and address"
    _ready = False
    _started = False
    _where = ""

    def start(self) -> int:
        """Begin a conversion; return how many milliseconds to wait before read(). Raises SensorError."""
        wait_ms = self._guarded(self._start)
        self._started = True
        return wait_ms

    def read(self) -> tuple:
        """The finished conversion: numbers in CHANNELS order and units. Raises SensorError."""
        started, self._started = self._started, False
        return self._guarded(self._read, started)  # type: ignore[attr-defined] # each driver has its own

    def measure(self) -> tuple:
        """start(), a blocking sleep, read(). For scripts; the agent waits without blocking."""
        time.sleep_ms(self.start())
        return self.read()

    def _start(self) -> int:
        return 0

    def _guarded(self, step, started=True):
        try:
            if not started:
                raise SensorError("read() without start()")
            return step()
        except SensorError as error:
            text = error.args[0]
        except OSError as error:
            # 110 is ETIMEDOUT: something holds the clock or the data line down.
            text = "bus stuck" if error.args[0] == 110 else f"no answer ({error})"
        except (ArithmeticError, ValueError) as error:
            text = f"nonsense ({error})"
        self._ready = False
        raise SensorError(f"{type(self).__name__}{self._where}: {text}: {self._REMEDY}")
