"""The real sampler and drivers, taking the bench's readings as fast as they are wanted. Runs under MicroPython only."""

import asyncio

from uplink_readings import EVERY_MS, START_MS, readings

from agent.sampler import Sampler, Sensor
from agent.supervisor import Pulse
from drivers.battery import BATTERY
from drivers.bme280 import BME280
from drivers.rssi import RSSI

CTRL_MEAS = 0xF4


class Registers:
    """A BME280 that has measured already: machine.I2C's methods on a copy of its 256 registers."""

    def __init__(self, image):
        self._image = image

    def writeto_mem(self, address, register, data):
        # the conversion is over at once: mode is sleep again
        self._image[register] = data[0] & 0xFC if register == CTRL_MEAS else data[0]

    def readfrom_mem(self, address, register, length):
        return bytes(self._image[register : register + length])

    def readfrom_mem_into(self, address, register, buffer):
        buffer[:] = self._image[register : register + len(buffer)]


class Level:
    """An ADC in the middle of its range, and a radio within reach."""

    def read_u16(self):
        return 0x9000

    def status(self, what):
        return -60


class Board:
    def __init__(self, image):
        self._image = image

    def bus(self, name):
        return Registers(self._image) if name == "i2c0" else Level()

    def recover(self, name):
        return False


class Replayed(Sensor):
    """Its chip is read as on a board; what comes of it is then taken from `values` of the sampling."""

    sampling = None
    at = 0

    def read(self):
        first = super().read()
        return self.sampling.values[self.at : self.at + len(first)]


class Steps(Pulse):
    """Time passes by sleeping alone, and stands still while no sample is wanted."""

    def __init__(self, sampling):
        super().__init__("sampler")
        self._sampling = sampling

    async def sleep(self, ms):
        if ms > 1000:
            await self._sampling.next()
        else:
            self._sampling.ms += max(ms, 0)
            await asyncio.sleep_ms(0)


class Sampling:
    """Runs the sampler on its spool; it is the sampler's clock, too."""

    def __init__(self, order, spool, channels, log):
        with open(order["chip"], "rb") as file:
            board = Board(bytearray(file.read()))
        self.ms = START_MS - EVERY_MS // 2
        self.values = ()
        self._source = readings(order["samples"], order["channels"])
        self._wanted = asyncio.Event()
        self._left = 0
        self._over = False
        self._stored = asyncio.Event()
        sensors = []
        at = 0
        wired = ((BME280, "i2c0", 3), (BATTERY, "battery", 1), (RSSI, "wifi", 1))
        for driver, bus, count in wired if not order["channels"] else wired[:1] * (order["channels"] // 3):
            sensor = Replayed(driver.__name__.lower(), driver, board, bus, None, tuple(channels[at : at + count]))
            sensor.sampling, sensor.at = self, at
            at += count
            sensors.append(sensor)
        self._sampler = Sampler(sensors, spool, self, EVERY_MS, 0, 0, log, self._committed)
        self._task = None

    def mono(self):
        return self.ms

    now = mono

    def stamp(self, mono):
        return mono

    def _committed(self, urgent):
        self._left -= 1
        if not self._left:
            self._wanted.clear()
            self._stored.set()

    async def next(self):
        """Until another sample is wanted, and it is time for it."""
        await self._wanted.wait()
        for moment, values in self._source:
            self.ms, self.values = moment, values
            return
        self._over = True
        self._stored.set()
        await asyncio.Event().wait()

    async def take(self, count):
        """Store so many samples, or as many as there are."""
        if self._over:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._sampler.run(Steps(self)))
        self._left = count
        self._stored.clear()
        self._wanted.set()
        await self._stored.wait()
