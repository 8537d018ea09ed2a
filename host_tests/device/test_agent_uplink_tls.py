"""From the queue to a server: for every answer and failure nothing is lost, nothing settled that was not taken.

The queue, the encoder, the verdicts, the session and TLS are the real ones; the server plays a script; waits pass at
once and are written down.
"""

import json

from uplinkrig import NOON_MS, TOKEN, Rig

import pytest
from harness import OK, answer, conn, cut, drop, hang_up, heap, network, nxdomain, refuse, stall
from session.client import Deadlines, Session
from session.resolver import Resolver
from tagoio import verdicts

ROOMY = heap("320K")  # for what the test itself keeps


SHORT = Deadlines(3000)


def over(net, deadlines=SHORT, host=None):
    return Session(host or net.host, net.port, lambda: net.roots, Resolver(lambda: net.dns), deadlines)


def records(net, complete=True):
    """All records of all requests that arrived whole, request by request."""
    return [json.loads(request["body"]) for request in net.requests() if request["complete"]]


@network(answer())
async def test_a_batch_as_tagoio_wants_it(net, tmp):
    rig = Rig(tmp, over(net), samples=2)
    await rig.run()
    (request,) = net.requests()
    assert (request["method"], request["path"]) == ("POST", "/data")
    assert request["headers"]["device-token"] == TOKEN
    assert request["headers"]["host"] == "localhost"
    assert int(request["headers"]["content-length"]) == len(request["body"].encode())
    group = rig.spool.tag + "_"
    first = {"time": "2026-01-01T11:58:40.000Z", "group": group + "1"}
    second = {"time": "2026-01-01T11:59:40.000Z", "group": group + "2"}
    expected = []
    for shared, temperature, note in ((first, 20, "n0"), (second, 21, "n1")):
        expected.append(dict(shared, variable="temperature", value=temperature, unit="°C"))
        expected.append(dict(shared, variable="note", value=note))
    assert records(net) == [expected]
    assert rig.spool.counters == (4, 4, 0, 0, 0, 0)
    assert rig.seen == []
    assert rig.status == {"verdict": "accepted", "error": "", "requests": 1, "handshakes": 1, "resent": 0}


@network(answer())
@ROOMY
async def test_a_backlog_in_several_batches_over_one_connection(net, tmp):
    rig = Rig(tmp, over(net), samples=60, body=2048)
    await rig.run()
    sent = records(net)
    assert [record["value"] for batch in sent for record in batch if record["variable"] == "temperature"] == [
        20 + i for i in range(60)
    ]
    for request in net.requests():
        assert len(request["body"].encode()) <= 2048
    assert len(sent) == rig.status["requests"] <= 9
    assert rig.status["handshakes"] == 1
    assert rig.spool.queued == 0


@network(answer())
@ROOMY
async def test_a_sample_larger_than_the_limit_goes_alone(net, tmp):
    rig = Rig(tmp, over(net), samples=1, body=2048)
    rig.spool.append([1.0, "x" * 3000], NOON_MS)
    rig.spool.append([2.0, "y"], NOON_MS)
    await rig.run()
    assert [len(batch) for batch in records(net)] == [2, 2, 2]
    assert rig.spool.queued == 0


def refusal(text):
    return '{"status":false,"message":"%s"}' % text


JITTER = 60000
LIMIT = "Too many requests (Retry-After: 8)"
FULL = "The device has reached the limit of 50000 data registers"
PORTAL = "<html><body>Please log in</body></html>"

TROUBLE = (
    # what the server does first, the verdict, the bounds of the wait
    ("429 text", answer(429, refusal(LIMIT)), verdicts.THROTTLED, 8000, 8000 + JITTER),
    ("429 header", answer(429, "", {"Retry-After": "3"}), verdicts.THROTTLED, 3000, 3000 + JITTER),
    ("429 bare", answer(429, refusal("Too many requests")), verdicts.THROTTLED, 20000, 20000 + JITTER),
    ("500", answer(500, refusal("Internal server error")), verdicts.UNAVAILABLE, 0, 2000),
    ("503", answer(503, PORTAL), verdicts.UNAVAILABLE, 0, 2000),
    ("503 later", answer(503, "", {"Retry-After": "40"}), verdicts.UNAVAILABLE, 40000, 42000),
    ("401", answer(401, refusal("Authorization denied")), verdicts.UNAUTHORISED, 30000, 90000),
    ("403 echo", answer(403, refusal("no such token: " + TOKEN)), verdicts.UNAUTHORISED, 30000, 90000),
    ("limit", answer(400, refusal(FULL)), verdicts.DEVICE_REFUSES, 30000, 90000),
    ("302", answer(302, PORTAL, {"Location": "https://portal.example/login"}), verdicts.MISCONFIGURED, 30000, 90000),
    ("404", answer(404, PORTAL), verdicts.MISCONFIGURED, 30000, 90000),
    ("refused", refuse(), verdicts.UNAVAILABLE, 0, 2000),
    ("hangs up", hang_up("fin"), None, 0, 2000),
)


@pytest.mark.parametrize(
    "net, verdict, least, most",
    [
        pytest.param(network(conn(step, answer()), answer()), verdict, a, b, id=id)
        for id, step, verdict, a, b in TROUBLE
    ],
)
@ROOMY
async def test_trouble_then_good(net, tmp, verdict, least, most):
    rig = Rig(tmp, over(net))
    await rig.run()
    ((acknowledged, said, wait),) = rig.seen
    assert acknowledged == 0  # nothing is settled that nobody took
    assert said == verdict or verdict is None
    assert least <= wait <= most
    assert said + ": " in rig.console.text()
    # afterwards all of it, unchanged, and the books balance
    assert len(records(net)[-1]) == 6
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)
    assert rig.status["error"] == "" and rig.status["verdict"] == "accepted"
    batches = [request["body"] for request in net.requests() if request["complete"]]
    assert batches == [batches[0]] * len(batches)


NOTHING_THERE = answer(200, '{"status":true,"result":[]}')
DOUBT = (
    ("502", answer(502, PORTAL)),
    ("504", answer(504, PORTAL)),
    ("portal", answer(200, PORTAL)),
    ("empty 200", answer(200, "")),
    ("no answer", drop()),
    ("reset", drop("rst")),
    ("half an answer", cut(40)),
    ("all but one byte", cut(109)),
)


@pytest.mark.parametrize(
    "net",
    [
        pytest.param(
            network(conn(step, NOTHING_THERE, NOTHING_THERE, answer()), conn(NOTHING_THERE, NOTHING_THERE, answer())),
            id=id,
        )
        for id, step in DOUBT
    ],
)
@ROOMY
async def test_what_may_have_arrived_is_asked_for_before_it_is_sent_again(net, tmp):
    rig = Rig(tmp, over(net))
    await rig.run()
    first, second, third = rig.seen
    assert (first[:2], second[:2]) == ((0, verdicts.AMBIGUOUS), (0, verdicts.AMBIGUOUS))
    assert 5000 <= first[2] < 7000
    assert 15000 <= second[2] < 17000
    assert third[2] < 2000
    asked = [request for request in net.requests() if request["method"] == "GET"]
    group = rig.spool.tag + "_3"
    moment = "2026-01-01T11:59:40.000Z"
    assert [request["path"] for request in asked] == [
        "/data?qty=1&variables=note&groups=" + group,
        "/data?qty=1&variables=note&start_date=%s&end_date=%s" % (moment, moment),
    ]
    assert [request["headers"]["device-token"] for request in asked] == [TOKEN, TOKEN]
    batches = [request["body"] for request in net.requests() if request["complete"] and request["method"] == "POST"]
    assert len(batches) == 2 and batches[0] == batches[1]
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)
    assert rig.status["resent"] == 0


@network(stall("answer"), conn(NOTHING_THERE, NOTHING_THERE, answer()))
@ROOMY
async def test_a_server_that_says_nothing(net, tmp):
    brief = Deadlines(3000)
    brief.answer = 150
    rig = Rig(tmp, over(net, brief))
    await rig.run()
    assert [row[:2] for row in rig.seen] == [(0, verdicts.AMBIGUOUS)] * 3
    assert rig.spool.queued == 0


@network(answer(200, OK[:-1] + ',"message":"Variable name was changed"}'))
async def test_a_warning_is_an_acceptance_and_is_said(net, tmp):
    rig = Rig(tmp, over(net))
    await rig.run()
    assert rig.seen == []
    assert rig.spool.counters == (6, 6, 0, 0, 0, 0)
    assert rig.status["verdict"] == verdicts.ACCEPTED_WITH_WARNING
    assert rig.status["warning"] == "Variable name was changed"
    assert "Variable name was changed" in rig.console.text()


UNTRUSTED = (
    ("wrong_host", "another host"),
    ("unknown_issuer", "vouches"),
    ("self_signed", "vouches"),
    ("no_intermediate", "vouches"),
    ("expired", "expired"),
    ("not_yet_valid", "not valid yet"),
)


@pytest.mark.parametrize(
    "net, says",
    [pytest.param(network(answer(), certificate=kind), says, id=kind) for kind, says in UNTRUSTED],
)
async def test_a_server_that_is_not_the_one_gets_nothing(net, tmp, says):
    rig = Rig(tmp, over(net), waits=3)
    await rig.run()
    assert net.requests() == []
    assert [c["handshake"] for c in net.connections()] == ["failed"] * 3
    assert rig.spool.counters == (6, 0, 6, 0, 0, 0)
    assert rig.status["verdict"] == verdicts.UNTRUSTED
    assert says in rig.status["error"]
    assert says in rig.console.text()
    for i, wait in enumerate(rig.waits):
        assert 30000 <= wait <= 30000 + (60000 << i)


@network(answer(), tls="1.3")
async def test_a_server_without_our_tls_gets_nothing(net, tmp):
    rig = Rig(tmp, over(net), waits=1)
    await rig.run()
    assert net.requests() == []
    assert rig.spool.queued == 6
    assert "TLS 1.2" in rig.status["error"]


async def test_without_roots_nothing_is_sent(net, tmp):
    rig = Rig(tmp, Session(net.host, net.port, lambda: (), Resolver(lambda: net.dns), SHORT), waits=1)
    await rig.run()
    assert net.requests() == []
    assert rig.spool.queued == 6
    assert "no trusted root" in rig.status["error"]


@network(conn(drop(), answer()), conn(NOTHING_THERE, NOTHING_THERE, answer()), tls=False)
@ROOMY
async def test_in_the_open_only_as_told(net, tmp):
    session = Session(net.host, net.port, None, Resolver(lambda: net.dns), SHORT)
    rig = Rig(tmp, session, samples=1, plain=True)
    await rig.run()
    paths = [request["path"] for request in net.requests()]
    assert paths[0] == paths[3] == "/data?_ssl=false"
    assert all(path.endswith("&_ssl=false") for path in paths[1:3])
    assert net.requests()[0]["headers"]["host"] == "localhost"
    assert rig.spool.queued == 0


@network(answer(), dns=nxdomain())
async def test_a_name_that_is_none(net, tmp):
    rig = Rig(tmp, over(net, host="api.example"), waits=2)
    await rig.run()
    assert net.connections() == []
    assert rig.spool.queued == 6
    assert "no such name: api.example" in rig.status["error"]


@network(conn(answer(), hang_up("fin")), answer())
@ROOMY
async def test_a_connection_that_died_while_idle_costs_nothing(net, tmp):
    session = over(net)
    rig = Rig(tmp, session, samples=30, body=2048)
    await rig.run()
    assert rig.spool.queued == 0
    values = [r["value"] for batch in records(net) for r in batch if r["variable"] == "temperature"]
    assert sorted(set(values)) == [20 + i for i in range(30)]
