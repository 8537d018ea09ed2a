"""What becomes of readings that a server refuses, and of batches of which nobody knows whether they arrived.

The server stores and answers in a few lines of the test; queue, encoder, verdicts and policy are the real ones.
"""

from agentworld import Enough
from tagoserver import Tago
from uplinkrig import NOON_MS, Rig

import pytest
from harness import heap, only
from session.client import SessionError
from spool import SpoolError
from tagoio import verdicts

ROOMY = heap("400K")  # for what the test itself keeps
HUGE = heap("6M")
BAD = "Invalid value: 99"
CHANNELS = ("temperature", "note")


def refusing(*values, status=400, text=BAD):
    """A server that refuses every POST with one of these values in it."""

    def trouble(n, method, records):
        for record in records or ():
            if record[2] in values:
                return status, text
        return None

    return trouble


def expected(rig, samples, but=()):
    """(group, variable) of all readings of samples 1 to `samples`, except those at (sequence, channel)."""
    tag = rig.spool.tag + "_"
    return sorted(
        [
            (tag + str(sequence), CHANNELS[channel])
            for sequence in range(1, samples + 1)
            for channel in (0, 1)
            if (sequence, channel) not in but
        ]
    )


def quarantined(rig):
    return [(row[0], row[1], row[6]) for row in rig.spool.quarantined_rows()]


def poison(rig, samples, *bad):
    """A queue of `samples` samples, with refused readings at (sequence, channel)."""
    for sequence in range(1, samples + 1):
        values = [20.0 + sequence, "n%d" % sequence]
        for place in bad:
            if place[0] == sequence:
                values[place[1]] = "poison"
        rig.spool.append(values, NOON_MS - 60000 * (samples - sequence))


@pytest.mark.parametrize("channel", (0, 1))
@pytest.mark.parametrize("sequence", (1, 2, 3, 4, 5))
@ROOMY
async def test_one_refused_reading_at_every_position(tmp, sequence, channel):
    tago = Tago(refusing("poison"))
    rig = Rig(tmp, tago, samples=0)
    poison(rig, 5, (sequence, channel))
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 5, ((sequence, channel),))
    assert quarantined(rig) == [(sequence, channel, BAD)]
    assert rig.spool.counters == (10, 9, 0, 1, 0, 0)
    assert len(tago.posts) <= 8  # 2 * log2(10) + 2
    assert rig.waits == [2000]  # only before it is refused for good
    assert "set aside a reading of sample %d: %s" % (sequence, BAD) in rig.console.text()


async def one_in_a_thousand(tmp, sequence):
    tago = Tago(refusing("poison"))
    rig = Rig(tmp, tago, samples=0, body=200000)
    poison(rig, 500, (sequence, sequence % 2))
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 500, ((sequence, sequence % 2),))
    assert rig.spool.counters == (1000, 999, 0, 1, 0, 0)
    assert tago.posts[0] == 1000
    # halving 500 samples, then two readings, and the rest of the sample: below the promise of 2 * log2(1000) + 2
    assert len(tago.posts) - 1 <= 15


@pytest.mark.parametrize("sequence", (1, 251, 500))
@HUGE
async def test_one_refused_reading_in_a_thousand(tmp, sequence):
    await one_in_a_thousand(tmp, sequence)


@only("cpython", why="each takes MicroPython seconds, and those above go the same ways")
@pytest.mark.parametrize("sequence", (2, 250, 333, 499))
@HUGE
async def test_one_refused_reading_elsewhere_in_a_thousand(tmp, sequence):
    await one_in_a_thousand(tmp, sequence)


SEVERAL = (
    ((1, 0), (1, 1)),
    ((1, 0), (1, 1), (2, 0), (2, 1)),
    ((2, 0), (2, 1)),
    ((5, 0), (5, 1)),
    ((1, 0), (2, 0)),
    ((1, 0), (3, 1), (5, 0)),
    ((1, 0), (2, 0), (3, 0), (4, 0), (5, 0)),
    ((1, 1), (2, 1), (3, 1), (4, 1), (5, 1)),
)


@pytest.mark.parametrize("bad", SEVERAL, ids=[str(i) for i in range(len(SEVERAL))])
@ROOMY
async def test_several_refused_readings(tmp, bad):
    tago = Tago(refusing("poison"))
    rig = Rig(tmp, tago, samples=0)
    poison(rig, 5, *bad)
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 5, bad)
    assert sorted(quarantined(rig)) == [(sequence, channel, BAD) for sequence, channel in bad]
    assert rig.spool.queued == 0


@pytest.mark.parametrize("times", (1, 2, 3))
@ROOMY
async def test_a_short_burst_of_refusals_costs_no_good_reading(tmp, times):
    tago = Tago(lambda n, method, records: (400, "Error on object parse") if n <= times else None)
    rig = Rig(tmp, tago)
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 3)
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)


@ROOMY
async def test_a_refused_reading_waits_for_one_that_is_accepted(tmp):
    """Alone in the queue nothing tells a bad reading from a device that takes none."""
    tago = Tago(refusing("poison"))
    rig = Rig(tmp, tago, samples=0)
    rig.spool.append(["poison", None], NOON_MS)
    rounds = []

    def at_wait(event, ms):
        rounds.append(rig.spool.counters)
        if len(rounds) == 2:
            rig.spool.append([21.0, None], NOON_MS)
        if len(rounds) > 2:
            raise Enough

    rig.pulse._at_wait = at_wait
    await rig.run()
    assert rounds[0] == rounds[1] == (1, 0, 1, 0, 0, 0)
    assert rig.spool.counters == (2, 1, 0, 1, 0, 0)


@pytest.mark.parametrize("text", ("Bucket is closed 7", "limit of things"))
@HUGE
async def test_a_device_that_takes_nothing_keeps_all(tmp, text):
    """The third offender in a row with the same message: nothing is wrong with the readings."""
    well = []

    def trouble(n, method, records):
        return None if well else (400, text)

    tago = Tago(trouble)
    rig = Rig(tmp, tago, samples=100, waits=9, body=200000)
    await rig.run()
    assert rig.spool.counters == (200, 0, 200, 0, 0, 0)
    assert [row[1] for row in rig.seen] == [verdicts.REJECTED] * 5 + [verdicts.DEVICE_REFUSES] * 4
    assert min(rig.waits[5:]) >= 30000
    assert len(tago.posts) <= 3 * 12 + 5  # then one reading a try
    assert rig.status["error"] == "device refuses: " + text
    well.append(True)
    rig.seen.clear()
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 100)
    assert rig.spool.counters == (200, 200, 0, 0, 0, 0)
    assert quarantined(rig) == []


@ROOMY
async def test_three_refusals_for_different_reasons_are_three_bad_readings(tmp):
    def trouble(n, method, records):
        for record in records or ():
            if isinstance(record[2], str):
                return 400, record[2] + ": no such thing in the list of things"
        return None

    tago = Tago(trouble)
    rig = Rig(tmp, tago, samples=0)
    for text in ("first", "second", "third"):
        rig.spool.append([None, text], NOON_MS)
    rig.spool.append([21.0, None], NOON_MS)
    await rig.run()
    assert rig.spool.counters == (4, 1, 0, 3, 0, 0)


@ROOMY
async def test_what_certainly_did_not_arrive_is_not_asked_for_after_a_restart(tmp):
    tago = Tago(lambda n, method, records: (500, "x"))
    rig = Rig(tmp, tago, waits=1)
    await rig.run()
    rig.spool.append([1.0, None], NOON_MS)  # writes the note, too
    tago.trouble = lambda n, method, records: None
    rig = Rig(tmp, tago, samples=0)
    await rig.run()
    assert tago.questions == []
    assert rig.spool.counters == (7, 7, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "text",
    (
        "The device has reached the limit of 50000 data registers",
        "Time must be between 2026-10-01 and 2026-12-01",
        "Device is deactivated",
    ),
)
@ROOMY
async def test_what_is_no_fault_of_the_readings_keeps_them(tmp, text):
    tago = Tago(lambda n, method, records: (400, text) if n < 4 else None)
    rig = Rig(tmp, tago)
    await rig.run()
    assert [row[:2] for row in rig.seen] == [(0, verdicts.DEVICE_REFUSES)] * 3
    assert tago.posts == [6, 6, 6, 6]
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)


@pytest.mark.parametrize("most", (1, 2, 3, 7, 20))
@ROOMY
async def test_too_large_is_halved_and_the_size_remembered(tmp, most):
    tago = Tago(lambda n, method, records: (413, "too large") if len(records) > most else None)
    rig = Rig(tmp, tago, samples=20)
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 20)
    assert rig.spool.counters == (40, 40, 0, 0, 0, 0)
    refusals = [size for size in tago.posts if size > most]
    if most > 1:
        assert len(refusals) <= 5  # 40, 20, 10, 4, 2 and never again
    assert set(rig.waits) <= {2000}


@HUGE
async def test_a_server_that_takes_more_again_gets_more_again(tmp):
    """Slowly: one that does not is not asked in vain with every second request."""
    sizes = []

    def trouble(n, method, records):
        sizes.append(len(records or ()))
        return (413, "too large") if len(sizes) == 1 else None

    rig = Rig(tmp, Tago(trouble), samples=120, body=600)
    await rig.run()
    assert rig.spool.counters.acknowledged == 240
    whole = sizes[0]
    assert max(sizes[1:12]) <= whole * 2 // 3  # not at once
    assert max(sizes[12:]) == whole


@ROOMY
async def test_a_reading_that_is_too_large_alone_is_set_aside(tmp):
    tago = Tago(refusing("poison", status=413, text="Payload Too Large"))
    rig = Rig(tmp, tago, samples=0)
    poison(rig, 4, (3, 1))
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 4, ((3, 1),))
    assert quarantined(rig) == [(3, 1, "Payload Too Large")]


@ROOMY
async def test_what_can_never_be_sent_and_not_be_set_aside_either_is_waited_for(tmp):
    """And not tried again at once, for ever: a flash that takes nothing now may do so later."""
    tago = Tago(lambda n, method, records: None)
    rig = Rig(tmp, tago, samples=0, waits=3)
    rig.spool.append([20.5, "x" * 7000], NOON_MS)
    rig.spool.append([21.5, "n"], NOON_MS + 20000)
    quarantine = rig.spool.quarantine
    tries = []

    def fails(*what):
        tries.append(what)
        if len(tries) > 20:
            raise Enough
        raise SpoolError("q0 cannot be written (error 5): check the flash")

    rig.spool.quarantine = fails
    await rig.run()
    assert len(rig.waits) == 3 and len(tries) < 20 and not tago.posts
    assert rig.status["error"] == "unavailable: queue: what can never be sent cannot be set aside"
    rig.spool.quarantine = quarantine
    again = Rig(tmp, tago, samples=0)
    await again.run()
    assert again.spool.counters == (4, 3, 0, 1, 0, 0)
    assert [row[:2] for row in quarantined(again)] == [(1, 1)]


@pytest.mark.parametrize("how, twice", (("lost", 0), ("late", 0), ("cut", 0)))
@pytest.mark.parametrize("samples", (1, 3))
@ROOMY
async def test_an_answer_that_is_lost(tmp, how, twice, samples):
    tago = Tago(lambda n, method, records: how if n == 1 else None)
    rig = Rig(tmp, tago, samples=samples)
    await rig.run()
    assert sorted(tago.stored) == expected(rig, samples)
    assert rig.spool.counters.acknowledged == 2 * samples
    assert len(tago.questions) == {"lost": 1, "late": 2, "cut": 2}[how]
    assert len(tago.posts) == (2 if how == "cut" else 1)
    assert rig.status["resent"] == 0


@pytest.mark.parametrize("status", (400, 401, 403, 404, 405))
@ROOMY
async def test_a_token_that_may_not_ask(tmp, status):
    """Sent again with the same group, and counted."""
    tago = Tago(lambda n, method, records: "lost" if n == 1 else (status, "no") if method == "GET" else None)
    rig = Rig(tmp, tago)
    await rig.run()
    assert len(tago.questions) == 2
    assert len(tago.posts) == 2
    assert sorted(set(tago.stored)) == expected(rig, 3)
    assert len(tago.stored) == 12
    assert rig.status["resent"] == 1
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)


GONE = SessionError("connect", "refused", False)
ASKING = (
    ("not reached", [GONE, GONE, GONE], 4, 0),
    ("throttled", [(429, "Too many requests (Retry-After: 2)")], 2, 0),
    ("server fault", [(500, "x"), (503, "x")], 3, 0),
    ("untrusted", [SessionError("handshake", "certificate expired", False)], 2, 0),
    ("no answer", [SessionError("answer", "nothing moved", True)] * 2, 3, 0),
    ("a redirect", [(302, "x")] * 3, 4, 0),
)


@pytest.mark.parametrize("troubles, questions, resent", [row[1:] for row in ASKING], ids=[row[0] for row in ASKING])
@ROOMY
async def test_trouble_while_it_asks(tmp, troubles, questions, resent):
    left = list(troubles)

    def trouble(n, method, records):
        if n == 1:
            return "lost"
        return left.pop(0) if left else None

    tago = Tago(trouble)
    rig = Rig(tmp, tago)
    await rig.run()
    assert sorted(tago.stored) == expected(rig, 3)
    assert len(tago.questions) == questions
    assert rig.status["resent"] == resent
    assert rig.spool.queued == 0


@ROOMY
async def test_something_that_never_answers_the_question_does_not_block_for_ever(tmp):
    tago = Tago(lambda n, method, records: "lost" if n == 1 else (302, "x") if method == "GET" else None)
    rig = Rig(tmp, tago, waits=30)
    await rig.run()
    assert len(tago.questions) == 8
    assert rig.status["resent"] == 1
    assert rig.spool.queued == 0


POWER = (
    ((2, 1), (5, 0)),
    ((1, 0),),
    # refused alone before the server took anything: they are in the range of the batch that it takes, and not in it
    ((1, 0), (1, 1), (2, 0), (2, 1)),
    # ... and of what is in it only a part was sent
    ((1, 0), (1, 1), (2, 1)),
)


@pytest.mark.parametrize("bad", POWER, ids=("amid", "first", "all of the oldest", "more than the oldest"))
@pytest.mark.parametrize("cut_at", tuple(range(1, 14)))
@pytest.mark.parametrize("done", ("power", "cut"))
@ROOMY
async def test_the_power_goes_at_each_request(tmp, cut_at, done, bad):
    """Before or after the server did it; a new start asks, and nothing is lost, nothing is there twice."""
    refuse = refusing("poison")
    count = [0]

    def trouble(n, method, records):
        count[0] += 1
        if count[0] == cut_at:
            refused = refuse(n, method, records)
            if refused or done == "cut":
                raise Enough
            return "power"
        return refuse(n, method, records)

    tago = Tago(trouble)
    rig = Rig(tmp, tago, samples=0)
    poison(rig, 6, *bad)
    await rig.run()
    if count[0] >= cut_at:
        # the power comes back: all that was only in memory is gone
        rig = Rig(tmp, tago, samples=0)
        await rig.run()
    assert sorted(tago.stored) == expected(rig, 6, bad)
    assert sorted(quarantined(rig)) == [(sequence, channel, BAD) for sequence, channel in bad]
    assert rig.spool.counters == (12, 12 - len(bad), 0, len(bad), 0, 0)
    assert rig.status["resent"] == 0


@ROOMY
async def test_a_queue_that_dropped_what_was_asked_for(tmp):
    tago = Tago(lambda n, method, records: "lost" if n == 1 else None)
    rig = Rig(tmp, tago)
    spool = rig.spool

    def at_sleep(ms):
        if spool.in_flight:
            spool.ack(3)  # gone, as when a full queue drops its oldest
            spool.append([1.0, "x"], NOON_MS)
            spool._upto = 3

    rig.pulse._at_sleep = at_sleep
    await rig.run()
    assert tago.questions == []
    assert rig.spool.queued == 0
