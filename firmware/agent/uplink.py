"""From the spool to TagoIO: choose a batch, send it, act on the verdict. Nothing leaves the spool unaccepted.

Policy only. How a batch is encoded and what an answer means is tagoio's, how bytes travel is session's.
"""

import asyncio
import random

from micropython import const

import http1
from session.client import SessionError
from spool import SpoolError
from tagoio import records, verdicts

BUFFER = const(4096)  # bytes of a body's piece: what one TLS record takes on esp32 and rp2
_PATH = "/data"
_FIRST_WAIT_MS = const(2000)
_LONGEST_WAIT_MS = const(900000)
# somebody has to change something (token, certificate, address) before it can work: ask rarely, for years if need be
_SLOW_FIRST_MS = const(60000)
_SLOW_LONGEST_MS = const(3600000)
_MINUTE_MS = const(60000)
_THROTTLE_JITTER_MS = const(5000)


class Uplink:
    """spool, session, clock, link: what it works with; settings: the board's; status: dict that it keeps up to date.

    `flush` is an Event that asks for sending now. buffer: bytearray of BUFFER bytes, which bodies are made in.
    """

    def __init__(self, spool, session, clock, link, settings, status, log, unique_id: bytes, buffer: bytearray):
        self.flush = asyncio.Event()
        self._spool = spool
        self._session = session
        self._clock = clock
        self._link = link
        self._status = status
        self._log = log
        self._every_ms = settings["upload.every"]
        self._body_max = settings["upload.body"]
        self._host = settings["tagoio.host"]
        if settings["tagoio.port"] != 443:
            self._host += ":" + str(settings["tagoio.port"])
        self._target = settings["tagoio.prefix"] + _PATH
        self._token = settings["tagoio.token"]
        self._encoder = records.Encoder(spool.tag, buffer)
        self._response = http1.Response(bytearray(512))
        self._failures = 0  # in a row, of one pace
        self._slow = False
        self._joins = 0
        # every board waits its own times, so that a fleet does not come back as a herd
        random.seed(int.from_bytes(unique_id, "big") & 0x3FFFFFFF ^ random.getrandbits(30))

    async def run(self, pulse) -> None:
        """Send for ever: on the grid of upload.every, at once when `flush` is set."""
        self._session.progress = pulse.beat
        spool = self._spool
        while True:
            await pulse.wait(self.flush, self._until_due())
            self.flush.clear()
            # what is taken meanwhile waits for its own turn: a slow link would send samples one by one
            goal = spool.next_sequence
            while spool.queued and spool.next_sequence - spool.samples_queued < goal:
                # a reading taken before the time was known gets its time when it is sent: so know it first
                await pulse.wait(self._link.up)
                await pulse.wait(self._clock.synced)
                verdict, detail, hint = await self._attempt(pulse)
                self._status["verdict"] = verdict
                if verdict in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
                    self._failures = 0
                    self._status["error"] = ""
                    if verdict != verdicts.ACCEPTED:
                        self._log.warning("uplink", verdict + ": " + detail)
                    continue
                wait = self._wait(verdict, hint)
                self._status["error"] = verdict + ": " + detail
                self._log.warning(
                    "uplink",
                    "%s: %s; next try in %d.%d s" % (verdict, detail, wait // 1000, wait % 1000 // 100),
                )
                await pulse.sleep(wait)

    def _until_due(self):
        if not self._every_ms:
            return _MINUTE_MS
        now = self._clock.now()
        return self._every_ms - (self._clock.mono() if now is None else now) % self._every_ms

    def _wait(self, verdict, hint):
        """Milliseconds until the next try. hint: seconds that the server asked for, or None."""
        if verdict == verdicts.THROTTLED:
            self._failures = 0
            # TagoIO counts by the clock minute
            wait = hint * 1000 if hint else _MINUTE_MS - self._clock.now() % _MINUTE_MS
            return wait + self._jitter(_THROTTLE_JITTER_MS)
        slow = verdict not in (verdicts.UNAVAILABLE, verdicts.AMBIGUOUS)
        if slow != self._slow:
            self._slow = slow
            self._failures = 0
        doubled = min(self._failures, 10)
        self._failures += 1
        if slow:
            return _SLOW_FIRST_MS // 2 + self._jitter(min(_SLOW_LONGEST_MS, _SLOW_FIRST_MS << doubled))
        return (hint or 0) * 1000 + self._jitter(min(_LONGEST_WAIT_MS, _FIRST_WAIT_MS << doubled))

    def _jitter(self, most):
        return random.getrandbits(24) % most

    async def _choose(self, pulse):
        """The oldest samples that fit in a body: (bytes of the body, last sequence), of which 0 when there is none.

        A reading that can never be encoded is set aside as soon as it is the next to be sent.
        """
        while True:
            pulse.beat()
            size = records.EMPTY
            last = 0
            try:
                for sample in self._samples():
                    more = self._encoder.size(sample)
                    if last and size + more > self._body_max:
                        break
                    size += more
                    last = sample.sequence
                return size, last
            except records.RecordError as error:
                if last:
                    return size, last
                reason = str(error)
                self._log.warning(
                    "uplink", "set aside a reading of sample %d: %s" % (sample.sequence, reason)
                )
                for index in range(len(sample.values)):
                    if error.channel in (None, index):
                        self._spool.quarantine(sample.sequence, index, reason)
                await pulse.sleep(0)

    def _samples(self, last=None):
        boot = self._spool.boot
        for sample in self._spool.peek():
            if last is not None and sample.sequence > last:
                return
            if sample.time is None and sample.boot == boot:
                sample.time = self._clock.stamp(sample.mono)
            yield sample

    def _body(self, size, last):
        """The pieces of a body of exactly `size` bytes: the queue may drop its oldest samples while they are sent."""
        for piece in self._encoder.pieces(self._samples(last)):
            size -= len(piece)
            if size < 0:
                break
            yield piece
        if size:
            raise SpoolError("samples were dropped while they were sent")

    async def _attempt(self, pulse):
        """Send one batch: returns (verdict, detail, hint) as tagoio.verdicts has them."""
        if self._joins != self._link.joins:
            # a connection from before the link was lost is dead, and nothing would say so
            self._joins = self._link.joins
            self._session.close()
        response = self._response
        token = self._token.reveal()
        try:
            size, last = await self._choose(pulse)
            if not last:
                return verdicts.UNAVAILABLE, "queue: nothing in it can be read", None
            pulse.beat()
            head = http1.encode_head(
                "POST",
                self._target,
                self._host,
                (("Device-Token", token), ("Content-Type", "application/json")),
                size,
            )
            response.begin("POST")
            self._spool.begin(last)
            self._status["requests"] += 1
            await self._session.request(head, self._body(size, last), response)
        except SpoolError as error:
            return verdicts.UNAVAILABLE, "queue: " + str(error), None
        except http1.LocalProtocolError as error:
            # settings that can be no request: an empty token, for one
            return verdicts.MISCONFIGURED, str(error), None
        except SessionError as error:
            return verdicts.judge_failure(error.stage, error.reason, error.sent)
        finally:
            self._status["handshakes"] = self._session.handshakes
        verdict = verdicts.judge(response.status, response.header, response.body(), token)
        if verdict[0] in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
            for _ in range(4):
                try:
                    self._spool.ack(last)
                    break
                except SpoolError as error:
                    # the queue passes over what it could not read three times, and writes later what it cannot now
                    self._log.warning("spool", str(error))
        return verdict
