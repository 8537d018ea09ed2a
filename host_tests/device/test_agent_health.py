"""Health as readings: what each says, what is left out, and that the sampler takes it for a sensor."""

import asyncio
import gc

from agentworld import Console, Enough, Pulse, World

from agent import clock, sampler
from agent import health as module
from agent.health import Health
from agent.log import Log
from agent.vitals import CAUSES
from tagoio import verdicts

NAMES = [
    "uptime",
    "reset_cause",
    "restarts",
    "heap_min",
    "queue_depth",
    "dropped",
    "quarantined",
    "rssi",
    "clock_state",
    "clock_drift",
    "chip_temperature",
    "upload_failures",
    "failed_verdicts",
]


class Wlan:
    def __init__(self, rssi):
        self.rssi = rssi

    def status(self, what):
        assert what == "rssi"
        if isinstance(self.rssi, Exception):
            raise self.rssi
        return self.rssi


class Board:
    def __init__(self):
        self.wlan = Wlan(-67)
        self.celsius = 41.5

    def wifi(self):
        return self.wlan

    def temperature(self):
        return self.celsius


class Counters:
    dropped = 3
    quarantined = 2


class Parts:
    """Stands for several parts of a node at once."""

    def __init__(self, **parts):
        for name in parts:
            setattr(self, name, parts[name])


class Node:
    def __init__(self):
        self.board = Board()
        self.world = World()
        self.world.install(clock, sampler)
        self.clock = clock.Clock(1767225600, lambda second: None, Log("error", Console()))
        self.link = Parts(up=asyncio.Event())
        self.link.up.set()
        self.spool = Parts(queued=17, counters=Counters())
        self.uplink = Parts(failures={verdicts.UNAVAILABLE: 4, verdicts.TOO_LARGE: 1})
        self.house = Parts(restarts=5)
        self.cause = "watchdog"


def health(node, *taken):
    made = Health(3600000, taken)
    made.node = node
    return made


def read(made):
    return {channel[0]: value for channel, value in zip(made.channels, made.read())}


def test_each_variable_says_what_it_is_called():
    node = Node()
    node.world.ms += 7265000
    made = health(node)
    said = read(made)
    assert [channel[0] for channel in made.channels] == NAMES
    free = said.pop("heap_min")
    assert 0 < free <= gc.mem_free() + 65536
    assert {name: said[name] for name in said if said[name] is not None} == {
        "uptime": 7265,
        "reset_cause": CAUSES.index("watchdog"),
        "restarts": 5,
        "queue_depth": 17,
        "dropped": 3,
        "quarantined": 2,
        "rssi": -67,
        "clock_state": 0,
        "chip_temperature": 41.5,
        "upload_failures": 5,
        "failed_verdicts": "too large 1, unavailable 4",
    }
    node.clock.set(1767268800000, node.world.ticks_ms(), clock.SYNCED)
    assert read(made)["clock_state"] == clock.SYNCED


def test_what_a_sensor_gives_already_is_left_out():
    node = Node()
    made = health(node, "temperature", "rssi", "uptime")
    said = read(made)
    assert list(said) != [] and "rssi" not in said and "uptime" not in said
    assert (said["restarts"], said["queue_depth"], said["chip_temperature"]) == (5, 17, 41.5)


def test_what_cannot_be_told_is_no_reading():
    node = Node()
    node.board.celsius = None
    node.board.wlan.rssi = OSError(5)
    node.cause = "something that a new board says"
    said = read(health(node))
    assert (said["rssi"], said["chip_temperature"], said["reset_cause"]) == (None, None, 0)
    node.uplink.failures = {}
    assert (said["upload_failures"], read(health(node))["failed_verdicts"]) == (5, None)
    node.board.wlan.rssi = -70
    node.link.up.clear()
    assert read(health(node))["rssi"] is None


class Heap:
    """In the place of gc: how much is free at each look, after a collection."""

    def __init__(self, *free):
        self.free = list(free)
        self.collected = False

    def collect(self):
        self.collected = True

    def mem_free(self):
        assert self.collected
        self.collected = False
        return self.free.pop(0)


def test_the_least_free_heap_is_remembered():
    made = health(Node())
    real = module.gc
    module.gc = Heap(50000, 40000, 60000, 39999)
    try:
        assert [read(made)["heap_min"] for _ in range(4)] == [50000, 40000, 40000, 39999]
    finally:
        module.gc = real


class Spool:
    def __init__(self):
        self.samples = []
        self.queued = 0
        self.counters = Counters()

    def append(self, values, time, mono):
        self.samples.append((mono, list(values)))


class Thermometer:
    """A sensor of the settings, as the sampler has it."""

    name = "thermometer"
    channels = (("temperature", "°C", 2),)
    every_ms = 0
    problem = ""
    ready = None

    def start(self):
        return 0

    def read(self):
        return (21.5,)

    def recover(self):
        return False


async def test_the_sampler_takes_it_at_an_interval_of_its_own():
    node = Node()
    node.spool = Spool()
    made = health(node)
    sensors = [Thermometer(), made]
    pulse = Pulse(node.world)
    log = Log("error", Console())
    work = sampler.Sampler(sensors, node.spool, node.clock, 60000, 0, 2 * 3600000, log, lambda urgent: None)
    try:
        await work.run(pulse)
    except Enough:
        pass
    assert made.problem == ""
    with_health = [mono for mono, values in node.spool.samples if values[1] is not None]
    assert with_health == [3600000] or with_health == [3600000, 7200000]
    assert len(node.spool.samples) >= 119
    assert all([values[0] == 21.5 for _, values in node.spool.samples])
