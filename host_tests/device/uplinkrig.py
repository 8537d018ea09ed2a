"""An uplink with the real queue, encoder, verdicts and clock around it, for its tests."""

import asyncio
import gc

from agentworld import Console, Enough, Pulse, World

from agent import clock, uplink
from agent.log import Log
from agent.notes import Notes
from agent.settings import Secret
from spool import Spool

TOKEN = "5a16405f-b32c-4c91-ae39-cbb2caba18d8"
BUILD_S = 1767225600
NOON_MS = (BUILD_S + 43200) * 1000
CHANNELS = (("temperature", "°C", 2), ("note", "", 0))


class Link:
    def __init__(self):
        self.up = asyncio.Event()
        self.up.set()
        self.joins = 1


class Rig:
    """An uplink with `samples` samples in its queue, and a world that stands still but for its waits.

    `seen`: at every wait what had been settled, what was said, and how long it was. It ends when the queue is empty
    and it would wait for the next turn, or after `waits` waits. first: it is the first sample of a start.
    """

    def __init__(
        self,
        tmp,
        session,
        samples=3,
        waits=20,
        now=NOON_MS + 40000,
        every=300000,
        body=32768,
        token=TOKEN,
        at_once=True,
        plain=False,
        first=False,
    ):
        gc.threshold(4096)  # as on a board: what a test keeps must not cut the heap into pieces
        self.console = Console()
        log = Log("debug", self.console)
        self.world = World()
        self.world.install(clock)
        self.clock = clock.Clock(BUILD_S, lambda second: None, log)
        self.spool = Spool(tmp + "/queue", CHANNELS)
        for i in range(samples):
            self.spool.append([20.0 + i, "n%d" % i], now - 60000 * (samples - i))
        self.clock.set(now, self.world.ticks_ms(), clock.SYNCED)
        self.status = {"verdict": "", "error": "", "requests": 0, "handshakes": 0, "resent": 0}
        self.session = session
        self.link = Link()
        settings = {
            "upload.every": every,
            "upload.body": body,
            "upload.window": 60000,
            "tagoio.ssl": not plain,
            "tagoio.host": "localhost",
            "tagoio.port": 80 if plain else 443,
            "tagoio.prefix": "",
            "tagoio.token": Secret(token),
        }
        self.uplink = uplink.Uplink(
            self.spool,
            session,
            self.clock,
            self.link,
            settings,
            self.status,
            log,
            bytes(range(8)),
            bytearray(uplink.BUFFER),
            Notes(tmp + "/notes.json"),
        )
        self.uplink.spread = first
        if at_once:
            self.uplink.flush.set()
        self.seen = []
        self.turns = 0
        self._waits = waits
        self.pulse = Pulse(self.world, self._at_sleep, self._at_wait)

    def _at_sleep(self, ms):
        self.seen.append((self.spool.counters.acknowledged, self.status["verdict"], ms))
        if len(self.seen) >= self._waits:
            raise Enough

    def _at_wait(self, event, ms):
        if event is self.uplink.flush:
            self.turns += 1
            if not self.spool.queued:
                raise Enough

    async def run(self):
        """Until there is nothing left to send or it has waited often enough."""
        try:
            await self.uplink.run(self.pulse)
        except Enough:
            pass
        finally:
            self.session.close()
        counters = self.spool.counters
        assert counters.sampled == sum(counters[1:])
        assert TOKEN not in self.console.text()
        assert TOKEN not in repr(self.status)

    @property
    def waits(self):
        return [ms for _, _, ms in self.seen]
