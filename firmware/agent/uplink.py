"""From the queue to TagoIO: when to send, what to do about the answer, how long to wait. Policy only.

What is sent and what an answer means for the readings is agent.batch's, how it is encoded and what an answer says is
tagoio's, how bytes travel is session's.
"""

import asyncio
import random
from binascii import crc32

from micropython import const

import http1
from agent import forget
from agent.batch import Batch
from session.client import SessionError
from spool import SpoolError
from tagoio import verdicts

BUFFER = const(4096)  # bytes of a body's piece: what one TLS record takes on esp32 and rp2
_PATH = "/data"
_SELDOM_MS = const(86400000)
_TURN_MS = const(240000)


class Uplink:
    """spool, session, clock, link: what it works with; settings: the board's; status: dict that it keeps up to date.

    `flush` is an Event that asks for sending now; with `spread`, after a moment of random length. buffer: bytearray
    of BUFFER bytes, which bodies are made in and answers are kept in.

    `errands`: coroutine functions errand(pulse, uplink), done after each turn, for what is no reading (agent.events);
    rescue: one of them that is done after failed attempts, too. They ask by `exchange`, and find the answer in
    `response`; until_errand(): milliseconds after which they are to be done all the same. `buffer` is theirs between
    requests. short_of_memory(): told of each attempt that had too little; changed(): of each that is over.
    """

    def __init__(
        self, spool, session, clock, link, settings, status, log, unique_id: bytes, buffer: bytearray, notes=None
    ):
        self.flush = asyncio.Event()
        self.spread = False
        self.errands = []
        self.until_errand = lambda: _SELDOM_MS
        self.rescue = None
        self.failures = {}  # how many attempts since boot ended in which verdict, the accepted ones left out
        self.short_of_memory = lambda: None
        self.changed = lambda: None
        self._spool = spool
        self._session = session
        self._clock = clock
        self._link = link
        self._status = status
        self._log = log
        self._every_ms = settings["upload.every"]
        self._window_ms = settings["upload.window"]
        self._host = settings["tagoio.host"]
        self._plain = not settings["tagoio.ssl"]
        port = settings["tagoio.port"]
        if port != (80 if self._plain else 443):
            self._host += ":" + str(port)
        self._prefix = settings["tagoio.prefix"]
        self._token = settings["tagoio.token"]
        self.buffer = buffer
        self._batch = Batch(spool, clock, buffer, settings["upload.body"], log, notes)
        self.response = http1.Response(buffer)
        self._doubt = None  # points, while nobody knows whether the last batch arrived
        self._failures = 0  # in a row, of one pace
        self._slow = False
        self._joins = 0
        # every board waits its own times and has its own place in the interval, so that a fleet is no herd
        seed = crc32(unique_id)
        self._offset_ms = seed % max(self._every_ms, 1)
        random.seed((seed ^ random.getrandbits(30)) & 0x3FFFFFFF)

    # ---- when

    async def run(self, pulse) -> None:
        """Send for ever: on the grid of upload.every, at once when `flush` is set."""
        self.begin(pulse)
        while True:
            due, errand = self.until_due(), self.until_errand()
            flushed = await pulse.wait(self.flush, min(due, errand))
            if flushed and self.spread:
                self.spread = False
                await pulse.sleep(self._jitter(min(self._every_ms, self._window_ms // 4)))
            if flushed or due <= errand:
                self.flush.clear()
                await self.turn(pulse)
            else:
                await self.do_errands(pulse)

    def begin(self, pulse) -> None:
        """Before the first turn of a task."""
        self._session.progress = pulse.beat
        if self._batch.recall():
            self._doubt = 0  # the power went, or this task failed, while it was on its way

    async def turn(self, pulse, longest: int = 0) -> None:
        """Send what was taken up to now, then do the errands. longest: ms of a wait between two tries, beyond which it
        gives up instead; 0: none. A doubt is cleared up, however long: given up, it would begin anew each time."""
        spool = self._spool
        # what is taken meanwhile waits for its own turn: a slow link would send samples one by one
        goal = spool.next_sequence
        while spool.queued and spool.next_sequence - spool.samples_queued < goal:
            # a reading taken before the time was known gets its time when it is sent: so know it first
            await pulse.wait(self._link.up)
            await pulse.wait(self._clock.synced)
            wait = await self._step(pulse)
            self.changed()
            if wait is None:
                break
            if wait and self.rescue and self._link.up.is_set():
                await self.rescue(pulse, self)
            if longest and wait > longest and self._status["verdict"] != verdicts.AMBIGUOUS:
                break
            await pulse.sleep(wait)
        await self.do_errands(pulse)

    async def do_errands(self, pulse) -> None:
        """The second part of a turn."""
        if self.errands:
            if not self._link.up.is_set() or not self._clock.synced.is_set():
                self.flush.set()  # what is taken until then has waited long enough
            await pulse.wait(self._link.up)
            await pulse.wait(self._clock.synced)
            for errand in self.errands:
                await errand(pulse, self)

    def until_due(self) -> int:
        """Milliseconds until the next turn, by the time of day once it is known."""
        if not self._every_ms:
            return self._window_ms
        now = self._clock.now()
        now = self._clock.mono() if now is None else now
        return self._every_ms - (now - self._offset_ms) % self._every_ms

    def _jitter(self, most):
        return random.getrandbits(28) % max(most, 1)

    # ---- what

    async def _step(self, pulse):
        """One request, and what follows from it: milliseconds to wait before the next, None when there is none."""
        try:
            if self._doubt is not None:
                verdict, detail, hint = await self._ask(pulse)
            elif await self._batch.choose(pulse):
                verdict, detail, hint = await self._send(pulse)
            elif self._spool.queued and not self._batch.waiting:
                verdict, detail, hint = verdicts.UNAVAILABLE, "queue: nothing in it can be read", None
            else:
                return None
        except SpoolError as error:
            verdict, detail, hint = verdicts.UNAVAILABLE, "queue: " + str(error), None
        status = self._status
        status["verdict"] = verdict
        if verdict in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
            self._failures = 0
            status["error"] = ""
            if verdict != verdicts.ACCEPTED:
                status["warning"] = detail
                self._log.warning("uplink", verdict + ": " + detail)
            return 0
        from agent import setback

        forget("setback")
        return setback.wait(self, verdict, detail, hint)

    async def _send(self, pulse):
        """POST the batch: (verdict, detail, hint) as tagoio.verdicts has them."""
        batch = self._batch
        try:
            answer = await self.exchange(pulse, "POST", _PATH, batch.body(), batch.size)
        except SpoolError:
            batch.returned()
            raise
        verdict, detail, hint = answer
        if verdict == verdicts.AMBIGUOUS:
            self._doubt = 0
        elif verdict in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
            self._taken()
        elif verdict in (verdicts.REJECTED, verdicts.TOO_LARGE):
            verdict = batch.refused(verdict, detail)
        else:
            batch.returned()
        return verdict, detail, hint

    def _taken(self):
        arrived = self._batch.taken()
        # what could not be written down now is asked for again
        self._doubt = 0 if not arrived or self._batch.recall() else None

    async def _ask(self, pulse):
        from agent import doubt  # for one question, for they are seldom asked

        forget("doubt")
        points, again, verdict, detail, hint = await doubt.ask(self, self._batch, self._doubt, pulse)
        if verdict == verdicts.ACCEPTED:
            self._log.info("uplink", detail)
            self._taken()
        else:
            self._doubt = points
            self._status["resent"] += again
        return verdict, detail, hint

    # ---- how

    async def exchange(self, pulse, method: str, path: str, body=None, size: int = None, response=None):
        """One request and the verdict on its answer, (verdict, detail, hint) as tagoio.verdicts has them.

        body: an iterable of pieces of JSON, `size` bytes in all; None: no body. response: an http1.Response in the
        place of the uplink's own. To be asked by this task alone.
        """
        session = self._session
        if self._joins != self._link.joins:
            # a connection from before the link was lost is dead, and nothing would say so
            self._joins = self._link.joins
            session.close()
        pulse.beat(_TURN_MS)  # the clock may be asking for the Date: that is waited for
        response = response or self.response
        token = self._token.reveal()
        headers = [("Device-Token", token)]
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        if self._plain:
            path += ("&" if "?" in path else "?") + "_ssl=false"
        response.begin(method)
        try:
            head = http1.encode_head(method, self._prefix + path, self._host, headers, size)
            self._status["requests"] += 1
            await session.request(head, body, response)
        except http1.LocalProtocolError as error:
            # settings that can be no request: an empty token, for one
            return verdicts.MISCONFIGURED, str(error), None
        except SessionError as error:
            response.begin(method)  # what came of an answer does not count
            return verdicts.judge_failure(error.stage, error.reason, error.sent)
        finally:
            self._status["handshakes"] = session.handshakes
        return verdicts.judge(response.status, response.header, response.body(), token)
