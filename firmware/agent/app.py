"""Puts the node together: board, settings, spool, connection and tasks, and lets them run."""

import asyncio
import gc
import os
import sys

from micropython import const

from agent import clock, link, log, sampler, settings, supervisor, uplink
from session.client import Session
from session.resolver import Resolver
from spool import Spool

_ROOTS = "/roots"
# not /spool: a folder of that name would hide the package, since / comes first on the search path
_SPOOL = "/queue"
_WATCHDOG_MS = const(30000)
_STATE_MS = const(500)
# Collecting often keeps the heap in one piece: TLS and the encoder need large blocks for years.
_COLLECT_BYTES = const(16384)
_COUNTERS = ("sampled", "acknowledged", "queued", "quarantined", "dropped", "damaged")


def roots():
    """The trusted root certificates on this board, one DER file each, as bytes."""
    for name in sorted(os.listdir(_ROOTS)):
        with open(_ROOTS + "/" + name, "rb") as file:
            yield file.read()


def load_board(name: str):
    """The module boards/<name>.py."""
    module = "boards." + name
    __import__(module)
    return sys.modules[module]


class Node:
    """One running node. `status` is what its state lines say."""

    def __init__(self, config: dict, board, journal):
        self.config = config
        self.board = board
        self.log = journal
        self.clock = clock.Clock(config["build.time"], board.set_rtc, journal)
        journal.mono = self.clock.mono
        self.sensors = [sampler.load_sensor(row, board, journal) for row in config["sensors"]]
        channels = []
        for sensor in self.sensors:
            channels.extend(sensor.channels)
        self.spool = Spool(
            _SPOOL,
            tuple(channels),
            limit=config["queue.bytes"],
            policy=config["queue.policy"],
            commit_samples=config["queue.commit_samples"],
            every=config["sample.every"],
            log=lambda text: journal.warning("spool", text),
        )
        self.status = {"verdict": "", "error": "", "requests": 0, "handshakes": 0, "done": False}
        self._changed = asyncio.Event()
        self._first = self.spool.next_sequence
        self.link = link.Link(board, config["wifi.networks"], journal)
        self.resolver = Resolver(self.link.name_servers)
        self.session = Session(config["tagoio.host"], config["tagoio.port"], roots, self.resolver)
        self.uplink = uplink.Uplink(
            self.spool, self.session, self.clock, self.link, config, self.status, journal, board.unique_id()
        )
        self.sampler = sampler.Sampler(
            self.sensors,
            self.spool,
            self.clock,
            config["sample.every"],
            config["run.samples"],
            config["run.time"],
            journal,
            self._committed,
        )

    def _committed(self):
        self._changed.set()
        if not self.config["upload.every"] or self.sampler.over.is_set():
            self.uplink.flush.set()

    def report(self) -> None:
        """One state line."""
        status = self.status
        status["samples"] = self.spool.next_sequence - 1
        status["this_run"] = self.spool.next_sequence - self._first
        for name, count in zip(_COUNTERS, self.spool.counters):
            status[name] = count
        status["over"] = self.sampler.over.is_set()
        status["done"] = status["over"] and not self.spool.queued
        status["clock"] = self.clock.state
        status["free"] = gc.mem_free()
        self.log.state(status)

    async def _report(self, pulse):
        """State lines whenever something changed, not more than two a second."""
        last = None
        while True:
            mark = (
                self.spool.queued,
                self.spool.next_sequence,
                self.status["error"],
                self.sampler.over.is_set(),
            )
            if mark != last:
                last = mark
                self.report()
            self._changed.clear()
            await pulse.wait(self._changed, _STATE_MS)
            await pulse.sleep(_STATE_MS // 5)

    async def run(self) -> None:
        """Start every task and look after them."""
        feed = self.board.watchdog(_WATCHDOG_MS) if self.config["watchdog.on"] else lambda: None
        house = supervisor.Supervisor(feed, self.log)
        config = self.config
        house.start("link", self.link.run)
        house.start("sampler", self.sampler.run)
        house.start(
            "clock",
            lambda pulse: self.clock.run(
                pulse, self.link, self.resolver, config.get("ntp.servers", ()), config["clock.every"]
            ),
        )
        house.start("uplink", self.uplink.run)
        house.start("state", self._report)
        await house.run()


def run() -> None:
    """What main.py calls: never returns while the node is well."""
    journal = log.Log()
    config = settings.load(journal)
    journal.set_level(config["log.level"])
    node = Node(config, load_board(config["board"]), journal)
    journal.info("app", "TagoNode on " + config["board"] + ", " + str(node.spool.queued) + " readings queued")
    gc.collect()
    gc.threshold(_COLLECT_BYTES)
    asyncio.run(node.run())
