"""TagoNode's side of the uplink bench: the real queue, encoder, uplink and session over real TLS.

Usage: micropython -c "import uplink_drain" ORDER.json; prints one line of JSON. See uplink.py for the order.
"""

import asyncio
import gc
import json
import sys
import time

from counting_flash import CountingFlash, kept, mount
from uplink_readings import EVERY_MS, START_MS, TAG_BYTES, channels, readings

from agent import uplink
from agent.clock import SYNCED, Clock
from agent.log import Log, Secret
from agent.settings import TABLE
from agent.supervisor import Pulse
from session.client import Session
from session.resolver import Resolver
from spool import Spool


class Link:
    def __init__(self):
        self.up = asyncio.Event()
        self.up.set()
        self.joins = 1


class Over(Exception):
    """Everything was sent."""


class Heap:
    """`peak`: the most bytes that were in use at any probe, as far as something holds them."""

    def __init__(self):
        self.peak = 0

    def probe(self):
        gc.collect()
        self.peak = max(self.peak, gc.mem_alloc())


class ProbedSpool(Spool):
    """Looks at the heap at every sample that is read, which is where a backlog would pile up."""

    heap = Heap()

    def peek(self, values=True):
        for sample in super().peek(values):
            self.heap.probe()
            yield sample


class Feeder(Pulse):
    """Fills the queue with `turn` samples whenever it is empty and says so, as upload.samples does.

    Times in microseconds: taking_us is not the node's, storing_us is until the samples are in the queue.
    """

    def __init__(self, spool, flash, status, source, turn, sampling):
        super().__init__("uplink")
        self.flush = None
        self.taking_us = self.storing_us = self.storing_flash_us = 0
        self._spool = spool
        self._flash = flash
        self._status = status
        self._source = source
        self._turn = turn
        self._sampling = sampling

    def beat(self, within_ms=15000):
        if isinstance(self._spool, ProbedSpool):
            self._spool.heap.probe()

    async def wait(self, event, ms=-1):
        if event is self.flush and not event.is_set():
            if not self._spool.queued:
                await self._store()
            elif self._status["requests"]:
                raise RuntimeError("%d readings were left in the queue" % self._spool.queued)
            event.set()
        return await super().wait(event, ms)

    async def sleep(self, ms):
        if self._status["error"]:
            raise RuntimeError(self._status["error"])
        await super().sleep(ms)

    async def _store(self):
        if self._sampling:
            await self._sampling.take(self._turn)
            if not self._spool.queued:
                raise Over
            return
        started = time.ticks_us()
        samples = []
        for sample in self._source:
            samples.append(sample)
            if len(samples) == self._turn:
                break
        if not samples:
            raise Over
        gc.collect()
        taken = time.ticks_us()
        before = self._flash.us
        for ms, values in samples:
            self._spool.append(values, ms)
        self.taking_us += time.ticks_diff(taken, started)
        self.storing_us += time.ticks_diff(time.ticks_us(), taken)
        self.storing_flash_us += self._flash.us - before


async def drain(order):
    flash = mount(order) if order["image"] else CountingFlash
    folder = "/flash/queue" if order["image"] else order["folder"]
    with open(order["root"], "rb") as file:
        root = file.read()
    source = readings(order["samples"], order["channels"])
    own = channels(order["channels"])
    kind = ProbedSpool if order["probe"] else Spool
    spool = kind(folder, own, tag_bytes=TAG_BYTES, every=EVERY_MS)
    if order["fill"]:
        for ms, values in source:
            spool.append(values, ms)
        spool.close()
        return {"kept": kept() if order["image"] else 0}
    log = Log("warning", lambda line: print(line, file=sys.stderr))
    clock = Clock(START_MS // 1000, lambda second: None, log)
    clock.set(START_MS, time.ticks_ms(), SYNCED)
    settings = {row[0]: row[2] for row in TABLE}
    settings.update(
        {
            "upload.body": order["body"],
            "tagoio.host": order["host"],
            "tagoio.port": order["port"],
            "tagoio.token": Secret(order["token"]),
        }
    )
    status = {"verdict": "", "error": "", "warning": "", "requests": 0, "handshakes": 0, "resent": 0}
    session = Session(order["host"], order["port"], lambda: (root,), Resolver(lambda: (order["dns"],)))
    buffer = bytearray(uplink.BUFFER)
    sender = uplink.Uplink(spool, session, clock, Link(), settings, status, log, bytes(range(8)), buffer)
    sampling = None
    if order["chip"]:
        from sampling import Sampling

        sampling = Sampling(order, spool, own, log)
    pulse = Feeder(spool, flash, status, source, order["turn"], sampling)
    pulse.flush = sender.flush
    gc.collect()
    before = gc.mem_alloc()
    flash_before = flash.us
    started = time.ticks_us()
    try:
        await sender.run(pulse)
    except Over:
        pass
    us = time.ticks_diff(time.ticks_us(), started) - pulse.taking_us
    session.close()
    return {
        "us": us,
        "sending_us": us - pulse.storing_us,
        "sending_flash_us": flash.us - flash_before - pulse.storing_flash_us,
        "storing_flash_us": pulse.storing_flash_us,
        "flash_us": flash.us - flash_before,
        "erases": flash.erases,
        "programmed": flash.programmed,
        "acknowledged": spool.counters.acknowledged,
        "queued": spool.queued,
        "heap_before": before,
        "heap_peak": ProbedSpool.heap.peak,
    }


def main():
    with open(sys.argv[1]) as file:
        order = json.load(file)
    print(json.dumps(asyncio.run(drain(order))))


main()
