"""The uplink's policy: when, how much, how long it waits, and what it does about a queue in trouble.

A session of the test answers; the queue, the encoder and the verdicts are the real ones.
"""

import asyncio
import json
from binascii import crc32

from agentworld import Enough, Pulse
from uplinkrig import CHANNELS, NOON_MS, Rig

import pytest
from agent import setback, supervisor
from agent.log import Log
from harness import heap
from session.client import SessionError
from spool import Spool, SpoolError
from tagoio import verdicts

ROOMY = heap("320K")  # for what the test itself keeps


class Scripted:
    """In the place of a session: each request meets the next of `steps`, an exception or None for acceptance."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.handshakes = 0
        self.closed = 0
        self.bodies = []
        self.progress = None

    def close(self):
        self.closed += 1

    async def request(self, head, body, response):
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        self.bodies.append(b"".join([bytes(piece) for piece in body]))
        assert b"Content-Length: %d\r\n" % len(self.bodies[-1]) in head
        if callable(step):
            step()
        response.feed(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":true}')
        return response


def failure(stage="connect", text="refused", sent=False):
    return SessionError(stage, text, sent)


@pytest.mark.parametrize("sent", (False, True))
@ROOMY
async def test_backoff_doubles_with_full_jitter_up_to_a_quarter_of_an_hour(tmp, sent):
    rig = Rig(tmp, Scripted(failure("answer" if sent else "connect", "x", sent)), samples=1, waits=80)
    await rig.run()
    waits = rig.waits
    if sent:
        # the batch may be on its way yet; then the question for it meets the same trouble
        assert 5000 <= waits.pop(0) < 7000
    for i, wait in enumerate(waits):
        assert wait < min(2000 << i, 900000)
    late = waits[15:]
    assert max(late) > 450000 and min(late) < 450000  # over the whole of it
    assert len(set(late)) > 40
    assert rig.spool.queued == 2


@ROOMY
async def test_what_somebody_has_to_mend_is_asked_for_rarely(tmp):
    rig = Rig(tmp, Scripted(failure("handshake", "certificate expired")), samples=1, waits=80)
    await rig.run()
    for i, wait in enumerate(rig.waits):
        assert 30000 <= wait < 30000 + min(60000 << i, 3600000)
    assert max(rig.waits) > 1800000


async def test_another_kind_of_trouble_begins_from_the_start(tmp):
    bad = failure("handshake", "certificate expired")
    rig = Rig(tmp, Scripted(*[failure()] * 12, bad, failure(), bad, failure(), None), samples=1)
    await rig.run()
    assert rig.waits[12] < 90000
    assert rig.waits[13] < 2000
    assert rig.waits[14] < 90000
    assert rig.waits[15] < 2000


@ROOMY
async def test_a_success_begins_from_the_start(tmp):
    rig = Rig(tmp, Scripted(*[failure()] * 12, None, failure(), None), samples=30, body=2048)
    await rig.run()
    assert rig.waits[12] < 2000
    assert rig.spool.queued == 0


THROTTLED = (
    # (Retry-After in seconds or None, milliseconds without and with all of the jitter)
    (8, 8000, 68000),
    (3600, 3600000, 3660000),
    (None, 20000, 80000),  # the rig's clock stands at 40 s past the minute
)


@pytest.mark.parametrize("hint, least, most", THROTTLED)
@ROOMY
async def test_a_herd_that_was_turned_away_comes_back_spread_over_a_minute(tmp, hint, least, most):
    rig = Rig(tmp, Scripted(None), samples=0)
    waits = [setback._pause(rig.uplink, verdicts.THROTTLED, hint) for _ in range(300)]
    assert least <= min(waits) < least + 3000
    assert most - 3000 < max(waits) <= most


@pytest.mark.parametrize("every, most", ((300000, 15000), (4000, 4000), (0, 0)))
@ROOMY
async def test_the_first_of_a_start_is_sent_within_a_moment(tmp, every, most):
    """Of random length, and of a second at most where it is sent every second."""
    waits = []
    for _ in range(12):
        rig = Rig(tmp, Scripted(None), samples=1, every=every, first=True)
        await rig.run()
        assert rig.status["verdict"] == "accepted" and len(rig.waits) == bool(most)
        waits.extend(rig.waits)
    assert not most or max(waits) < most and max(waits) - min(waits) > most // 3
    rig = Rig(tmp, Scripted(None), samples=1, every=every)
    await rig.run()
    assert rig.waits == []


async def test_waits_for_the_link_then_for_the_time(tmp):
    rig = Rig(tmp, Scripted(None))
    rig.link.up.clear()
    with pytest.raises(Enough, match="for ever"):
        await rig.uplink.run(rig.pulse)
    assert rig.session.bodies == []
    rig.link.up.set()
    rig.clock.synced.clear()
    with pytest.raises(Enough, match="for ever"):
        await rig.uplink.run(rig.pulse)
    assert rig.session.bodies == []
    rig.clock.synced.set()
    await rig.run()
    assert rig.spool.queued == 0


@ROOMY
async def test_a_connection_from_before_the_link_was_lost_is_closed(tmp):
    rig = Rig(tmp, Scripted(None), samples=60, body=2048)
    rig.link.joins = 0
    closes = []

    def step():
        closes.append(rig.session.closed)
        rig.link.joins = {2: 1, 5: 3}.get(len(closes), rig.link.joins)

    rig.session.steps = [step]
    await rig.run()
    assert closes[:6] == [0, 0, 1, 1, 1, 2]


class Errand:
    """Asks TagoIO something; `found`: how many readings were queued at each time."""

    def __init__(self, rig):
        self.rig = rig
        self.found = []

    async def __call__(self, pulse, uplink):
        self.found.append(self.rig.spool.queued)
        verdict, _, _ = await uplink.exchange(pulse, "POST", "/data", [b"[{", b"}]"], 4)
        assert verdict == verdicts.ACCEPTED


@ROOMY
async def test_errands_come_after_the_readings(tmp):
    rig = Rig(tmp, Scripted(None), samples=20, body=2048)
    errand = Errand(rig)
    rig.uplink.errands.append(errand)
    await rig.run()
    assert errand.found == [0]
    assert rig.session.bodies[-1] == b"[{}]" and len(rig.session.bodies) > 2


@ROOMY
async def test_errands_of_an_empty_queue(tmp):
    """A node whose sensors give nothing has all the more to tell."""
    rig = Rig(tmp, Scripted(None), samples=0)
    errand = Errand(rig)
    rig.uplink.errands.append(errand)
    await rig.run()
    assert errand.found == [0]
    assert rig.session.bodies == [b"[{}]"]


@ROOMY
async def test_errands_wait_for_link_and_time(tmp):
    rig = Rig(tmp, Scripted(None), samples=0)
    errand = Errand(rig)
    rig.uplink.errands.append(errand)
    for event in (rig.link.up, rig.clock.synced):
        event.clear()
        with pytest.raises(Enough, match="for ever"):
            await rig.uplink.run(rig.pulse)
        assert errand.found == []
        assert rig.uplink.flush.is_set()  # readings that were taken meanwhile go at once
        event.set()
    await rig.run()
    assert errand.found != []


@ROOMY
async def test_no_errand_while_uploads_fail(tmp):
    rig = Rig(tmp, Scripted(failure(), failure(), failure(), None), samples=2)
    errand = Errand(rig)
    rig.uplink.errands.append(errand)
    await rig.run()
    assert errand.found == [0]
    assert rig.uplink.failures == {verdicts.UNAVAILABLE: 3}


@ROOMY
async def test_too_little_memory_is_told(tmp):
    texts = ("[Errno 12] ENOMEM", "x", "(-32512, 'MBEDTLS_ERR_SSL_ALLOC_FAILED')")
    rig = Rig(tmp, Scripted(*[failure("handshake", text) for text in texts] + [None]), samples=1)
    told = []
    rig.uplink.short_of_memory = lambda: told.append(rig.status["error"])
    await rig.run()
    assert len(told) == 2 and all(["too little free memory" in each for each in told])


async def test_samples_taken_before_the_time_was_known(tmp):
    rig = Rig(tmp, Scripted(None), samples=0)
    rig.spool.append([1.0, None], None, 2000)
    rig.spool.close()
    again = Spool(tmp + "/queue", CHANNELS)  # the board restarts without ever having known the time
    again.append([2.0, None], None, 3000)
    rig.spool = rig.uplink._spool = rig.uplink._batch._spool = again
    await rig.run()
    first, second = json.loads(rig.session.bodies[0])
    assert "time" not in first
    assert second["time"] == "2026-01-01T12:00:43.000Z"


async def test_memory_that_runs_out_once_is_survived(tmp):
    rig = Rig(tmp, Scripted(MemoryError("once"), None))
    world = rig.world
    world.install(supervisor)
    house = supervisor.Supervisor(lambda: None, Log("info", rig.console))
    house.start("uplink", rig.uplink.run)
    await world.spend(700000)
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)
    assert house.restarts == 1
    assert "MemoryError" in rig.console.text()


POISON = ("x" * 6100, "y" * 7000)


@ROOMY
async def test_a_reading_that_can_never_be_sent_blocks_nobody(tmp):
    rig = Rig(tmp, Scripted(None), samples=2)
    for text in POISON:
        rig.spool.append([30.0, text], NOON_MS)
    rig.spool.append([40.0, "good"], NOON_MS)
    await rig.run()
    assert rig.spool.counters == (10, 8, 0, 2, 0, 0)
    sent = [record["value"] for body in rig.session.bodies for record in json.loads(body)]
    assert sent == [20, "n0", 21, "n1", 30, 30, 40, "good"]
    rows = [(row[0], row[1], "6000" in row[6]) for row in rig.spool.quarantined_rows()]
    assert rows == [(3, 1, True), (4, 1, True)]
    assert rig.console.text().count("set aside a reading of sample") == 2


async def test_what_all_readings_of_a_sample_share_may_be_the_fault(tmp):
    rig = Rig(tmp, Scripted(None), samples=1)
    rig.spool.append([30.0, "a"], NOON_MS, location=[1.5, 2.5, 3.5])
    rig.spool.append([40.0, "b"], NOON_MS, location=[1.5, 2.5])
    await rig.run()
    assert rig.spool.counters == (6, 4, 0, 2, 0, 0)


async def test_an_empty_queue_sends_nothing(tmp):
    rig = Rig(tmp, Scripted(None), samples=0)
    await rig.run()
    assert rig.session.bodies == []
    assert rig.turns == 1


async def test_damaged_samples_are_counted_and_do_not_block(tmp):
    rig = Rig(tmp, Scripted(None), samples=0)

    class Unreadable:
        """The books hold two readings, the flash none."""

        tag, boot, next_sequence = "abcdef", 1, 2
        queued = samples_queued = 1
        acknowledged = 0
        in_flight = None

        def peek(self):
            return iter(())

    spool = rig.uplink._spool = rig.uplink._batch._spool = Unreadable()

    def at_sleep(ms):
        rig.seen.append(ms)
        spool.queued = 0

    rig.pulse = Pulse(rig.world, at_sleep, rig._at_wait)
    await rig.run()
    assert len(rig.seen) == 1
    assert rig.seen[0] < 2000
    assert rig.session.bodies == []


@pytest.mark.parametrize("token", ("", "with space\r\n", "\u00e9"))
@ROOMY
async def test_a_token_that_can_be_none(tmp, token):
    rig = Rig(tmp, Scripted(None), token=token, waits=2)
    await rig.run()
    assert rig.session.bodies == []
    assert rig.status["verdict"] == verdicts.MISCONFIGURED
    assert "Device-Token" in rig.status["error"]
    assert rig.waits[0] >= 30000


async def test_samples_dropped_while_they_are_sent(tmp):
    """The body would be shorter than announced: it is not ended, and what is left goes again."""
    rig = Rig(tmp, Scripted(None), samples=40)
    spool = rig.spool

    class Interrupted(Scripted):
        async def request(self, head, body, response):
            if len(self.steps) == 1:
                return await Scripted.request(self, head, body, response)
            self.steps.pop(0)
            pieces = iter(body)
            next(pieces)
            await asyncio.sleep_ms(0)
            spool.ack(39)  # gone, as when a full queue drops its oldest
            for _ in pieces:
                pass
            raise AssertionError("the body ended as if nothing had happened")

    rig.session = rig.uplink._session = Interrupted("drop", None)
    await rig.run()
    assert rig.spool.counters == (80, 80, 0, 0, 0, 0)
    assert len(json.loads(rig.session.bodies[0])) == 2
    assert rig.seen[0][1] == verdicts.UNAVAILABLE
    assert "dropped while they were sent" in rig.console.text()


async def test_what_is_taken_while_it_sends_waits_for_the_next_turn(tmp):
    rig = Rig(tmp, Scripted(None), samples=3)

    def step():
        if len(rig.session.bodies) < 5:
            rig.spool.append([50.0, None], NOON_MS)

    rig.session.steps = [step]
    await rig.run()
    # each turn sends what was there when it began: no chain of requests with one sample each
    assert rig.turns == len(rig.session.bodies) > 3
    assert rig.spool.queued == 0


class Forgetful(Scripted):
    """What is sent first never arrives, and nobody says so; then all is well."""

    async def request(self, head, body, response):
        if body is None:
            text = b'{"status":true,"result":[]}'
            response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            return response
        if not self.bodies:
            self.bodies.append(b"".join([bytes(piece) for piece in body]))
            raise failure("answer", "nothing moved", True)
        return await super().request(head, body, response)


async def test_a_turn_that_must_be_short_clears_up_a_doubt(tmp):
    session = Forgetful(None)
    rig = Rig(tmp, session, samples=1)
    for _ in range(2):
        rig.uplink.begin(rig.pulse)
        await rig.uplink.turn(rig.pulse, 8000)
    assert not rig.spool.queued, "given up at each turn, the doubt began anew for ever"
    assert len(session.bodies) == 2


@pytest.mark.parametrize("failures", (1, 3))
@ROOMY
async def test_an_acknowledgement_that_cannot_be_written_at_once(tmp, failures):
    rig = Rig(tmp, Scripted(None))
    ack = rig.spool.ack
    left = [0] * failures

    def refusing(upto):
        if left:
            left.pop()
            raise SpoolError("flash")
        ack(upto)

    rig.spool.ack = refusing
    await rig.run()
    assert len(rig.session.bodies) == 1  # sent once
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)


async def test_a_queue_that_cannot_be_written_sends_nothing(tmp):
    rig = Rig(tmp, Scripted(None))
    begin = rig.spool.begin
    left = [0]

    def refusing(upto):
        if left:
            left.pop()
            raise SpoolError("flash is full")
        begin(upto)

    rig.spool.begin = refusing
    await rig.run()
    assert rig.seen[0][:2] == (0, verdicts.UNAVAILABLE)
    assert rig.status["requests"] == 2  # a head went out the first time, no byte of the body
    assert len(rig.session.bodies) == 1
    assert "queue: flash is full" in rig.console.text()


@pytest.mark.parametrize("every", (300000, 60000, 1000))
@pytest.mark.parametrize("at", (0, 40000))
@ROOMY
async def test_sends_on_the_grid_at_a_place_of_its_own(tmp, every, at):
    rig = Rig(tmp, Scripted(None), every=every, now=NOON_MS + at, at_once=False)
    place = crc32(bytes(range(8))) % every
    await rig.run()
    first, second = rig.pulse.waited
    assert 0 < first <= every
    assert (NOON_MS + at + first) % every == place
    assert second == every


async def test_sends_at_once_when_asked(tmp):
    rig = Rig(tmp, Scripted(None), every=0)
    await rig.run()
    assert rig.pulse.waited == [60000]
    assert len(rig.session.bodies) == 1


@ROOMY
async def test_never_promises_much(tmp):
    """But before a request, which may have to wait for that of another task."""
    rig = Rig(tmp, Scripted(failure(), None), samples=30, body=2048)
    await rig.run()
    assert {ms for ms in rig.pulse.beats if ms > 30000} == {240000}
    assert rig.session.progress == rig.pulse.beat
