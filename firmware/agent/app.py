"""The running node: its tasks, and the state that it reports."""

import asyncio
import gc
import os
from binascii import crc32

from micropython import const

from agent import forget
from agent.supervisor import Supervisor
from spool import SpoolError

_ROOTS = ("/roots", "/remote")
_WATCHDOG_MS = const(30000)
_STATE_MS = const(100)
_QUIET_MS = const(10000)
# Collecting often keeps the heap in one piece: TLS and littlefs need large blocks for years.
_COLLECT_BYTES = const(16384)
_COUNTERS = ("sampled", "acknowledged", "queued", "quarantined", "dropped", "damaged")


def roots():
    """The trusted root certificates on this board, one DER file each, as bytes: the deployment's, those of remote
    settings."""
    for folder in _ROOTS:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name[-4:] == ".der":
                with open(folder + "/" + name, "rb") as file:
                    der = file.read()
                # one that came from afar is named after its checksum: a damaged one must not keep the others from use
                if folder == _ROOTS[0] or name[:8] == "%08x" % (crc32(der) & 0xFFFFFFFF):
                    yield der


class Node:
    """One node, whose parts agent.assemble makes. `status` is what its state lines say.

    cause: why the board started; crashes: how many there have been since it was last healthy. `events`: an
    agent.events.Events, None where nobody wants to know.
    """

    def __init__(self, config: dict, board, log, clock, spool, cause: str = "", crashes: int = 0):
        self.board = board
        self.log = log
        self.clock = clock
        self.spool = spool
        self.cause = cause
        self.link = self.resolver = self.uplink = self.sampler = self.house = self.events = self.session = None
        self.remote = None
        self.status = {
            "verdict": "", "error": "", "warning": "", "requests": 0, "handshakes": 0, "resent": 0, "done": False
        }  # fmt: skip
        # so many samples are sent at once
        self._enough = config["upload.samples"] if config["upload.every"] else 1
        self._watchdog = config["watchdog.on"]
        self._light = config["led.on"]
        self._clock_every_ms = config["clock.every"]
        self._time_servers = config.get("ntp.servers", ())
        self._date_server = config["clock.http"]
        self._changed = asyncio.Event()
        self._first = spool.next_sequence
        self._open_ended = not config["run.samples"] and not config["run.time"]
        self._crashes = crashes

    def attach(self, link, resolver, uplink, session) -> None:
        """The parts with which it reaches TagoIO."""
        self.link = link
        self.resolver = resolver
        self.uplink = uplink
        self.session = session
        link.reset = self.restart
        link.busy = session.busy
        uplink.changed = self._changed.set

    def restart(self) -> None:
        """Start the board again; what waits to be written is written first."""
        try:
            self.spool.sync()
        except SpoolError as error:
            self.log.error("spool", str(error))
        self.board.reset()

    def committed(self, urgent: bool) -> None:
        """A sample is on flash. urgent: it is to be sent at once, for an alarm or because the run is over."""
        self._changed.set()
        if self.spool.next_sequence == self._first + 1 and self._open_ended:
            # whoever has just started it shall not wait for long; nor shall all that start at once come at once
            urgent = self.uplink.spread = True
        if urgent or self._enough and self.spool.samples_queued >= self._enough:
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
        """State lines whenever something changed, not more than ten a second."""
        last = None
        while True:
            mark = (self.spool.queued, self.spool.next_sequence, self.status["error"], self.sampler.over.is_set())
            if mark != last:
                last = mark
                self.report()
            self._changed.clear()
            await pulse.wait(self._changed, _QUIET_MS)
            await pulse.sleep(_STATE_MS)

    async def _keep_time(self, pulse):
        if self.events:
            self.clock.stepped = lambda text: self.events.add("event", text)
        every_ms = self._clock_every_ms
        await self.clock.run(pulse, self.link, self.resolver, self._time_servers, every_ms, self._by_date)

    async def _by_date(self, pulse):
        from agent import bootstrap

        forget("bootstrap")
        session = self.session
        plain = self._date_server or session.host
        return await bootstrap.ask(pulse, self.clock, session, session.host, self.resolver, plain, self.log)

    def look(self, light) -> int:
        """What the light is to show: one of the states of `light`, which is agent.light."""
        return light.state(
            self.link.up.is_set(), bool(self.clock.state), bool(self.status["error"]), self.sampler.failing()
        )

    async def _shine(self, pulse):
        from agent import light

        def look():
            if self.remote and self.clock.mono() < self.remote.identified:
                return light.IDENTIFY
            return self.look(light)

        await light.run(pulse, self.board.led, look)

    async def _recover(self, pulse):
        from agent import crash

        await pulse.sleep(crash.HEALTHY_MS)
        crash.forgive()

    def crashed(self, what: str, error=None) -> None:
        """Keep a record of a crash, if that can be done."""
        try:
            from agent import crash

            crash.record(what, error, self)
            self.uplink.flush.set()
        except Exception as problem:  # noqa: BLE001 - whatever it was that crashed, this must not be the next
            self.log.warning("crash", "no record of it: " + repr(problem))

    def start(self, house) -> None:
        """Start the tasks that make it a node that samples."""
        self.reach(house)
        self.uplink.short_of_memory = house.short_of_memory
        house.start("sampler", self.sampler.run)
        house.start("uplink", self.uplink.run)
        house.start("state", self._report)
        if self._crashes:
            house.start("recover", self._recover)

    def reach(self, house) -> None:
        """Start the tasks that keep link and time, and show how it is."""
        house.start("link", self.link.run)
        house.start("clock", self._keep_time)
        if self.remote and self.remote.trial:
            house.start("trial", self.remote.watch)
        if self._light:
            house.start("light", self._shine)

    async def run(self) -> None:
        """Start every task and look after them."""
        feed = self.board.watchdog(_WATCHDOG_MS) if self._watchdog else lambda: None
        self.house = house = Supervisor(feed, self.log, self.crashed)
        self.start(house)
        await house.run()


def run() -> None:
    """What main.py calls: never returns while the node is well."""
    node = None
    try:
        from agent.assemble import assemble

        node = assemble()
        del assemble
        forget("assemble")
        forget("settings")
        gc.collect()
        gc.threshold(_COLLECT_BYTES)
        asyncio.run(node.run())
    except Exception as error:
        from agent import crash

        crash.ended(error, node)
        raise
