"""One connection and its requests, against every way in which a network can fail them.

Each failure is met several times by one session: it must name its stage, say rightly whether the request had left,
leave no descriptor open, and the token must not reach a server that was not verified.
"""

import asyncio
import os
import socket
import ssl
import sys
from binascii import a2b_base64

import http1
import pytest
from harness import (
    a,
    answer,
    conn,
    cut,
    cut_request,
    drip,
    drop,
    garbage,
    hang_up,
    heap,
    network,
    nxdomain,
    only,
    raw,
    refuse,
    servfail,
    silence,
    stall,
    wrong_id,
)
from session.client import Deadlines, Session, SessionError
from session.resolver import Resolver

TOKEN = "9a8b7c6d-secret"
SHORT_MS = 40
BODY = b'[{"variable":"temperature","value":21.5}]'
ENDLESS = 4000  # pieces of 4 KB: more than any socket takes without its peer reading


def descriptors():
    return len(os.listdir("/proc/self/fd"))


async def settle():
    """Lets cancelled tasks end."""
    for _ in range(8):
        await asyncio.sleep_ms(0)


def deadlines(**short):
    """The real ones, some shortened: what must not time out here has all the time of a slow machine."""
    made = Deadlines()
    for stage in short:
        setattr(made, stage, short[stage])
    return made


def roots_of(net):
    return (lambda: iter(net.roots)) if net.tls else None


def session_to(net, host=None, roots=None, limits=None):
    resolver = Resolver(lambda: net.dns, 300)
    host = net.host if host is None else host
    return Session(host, net.port, roots or roots_of(net), resolver, limits or Deadlines())


def head(length, path="/data"):
    fields = (("Device-Token", TOKEN), ("Content-Type", "application/json"))
    return http1.encode_head("POST", path, "localhost", fields, length)


def pieces(count):
    """The same buffer again and again, as an encoder would hand it out."""
    buffer = bytearray(4096)
    for _ in range(count):
        yield memoryview(buffer)


async def post(session, body=(BODY,), length=None, path="/data", limit=65536):
    response = http1.Response(bytearray(256), limit)
    response.begin("POST")
    if length is None:
        length = sum([len(piece) for piece in body])
    await session.request(head(length, path), body, response)
    return response


def said(reasons, error):
    """Whether one of "reasons|or others" is in the error's."""
    return any(reason in error.reason for reason in reasons.split("|"))


async def fails(session, rounds, endless=False, limit=65536):
    """Fail so many times, alike; leave nothing open. Returns what was raised last."""
    before = descriptors()
    seen = set()
    for _ in range(rounds):
        with pytest.raises(SessionError) as caught:
            if endless:
                await post(session, pieces(ENDLESS), ENDLESS * 4096)
            else:
                await post(session, limit=limit)
        error = caught.value
        assert TOKEN not in str(error) and TOKEN not in repr(error)
        assert str(error) == error.stage + ": " + error.reason
        seen.add((error.stage, error.sent))
    await settle()
    assert descriptors() == before
    assert len(seen) == 1, seen
    return error


UNTRUSTED = [
    ("expired", "validity has expired"),
    ("not_yet_valid", "validity starts in the future"),
    ("wrong_host", "does not match"),
    ("unknown_issuer", "not correctly signed by the trusted CA"),
    ("self_signed", "not correctly signed by the trusted CA"),
    ("no_intermediate", "not correctly signed by the trusted CA"),
]
CERTIFICATES = [pytest.param(network(answer(), certificate=kind), reason, id=kind) for kind, reason in UNTRUSTED]
CERTIFICATES.append(pytest.param(network(answer(), tls="1.3"), "30592", id="tls_1.3_only"))


@pytest.mark.parametrize("net, reason", CERTIFICATES)
async def test_a_server_that_is_not_to_be_trusted_learns_nothing(net, reason):
    error = await fails(session_to(net), 5)
    assert (error.stage, error.sent) == ("handshake", False)
    assert reason in error.reason
    assert net.requests() == []
    assert [seen["handshake"] for seen in net.connections()] == ["failed"] * 5


# stage, part of the reason, sent, whether the request has reached the server whole
FAILURES = [
    pytest.param(network(dns=silence()), "resolve", "no answer from", False, False, id="dns_silent"),
    pytest.param(network(dns=nxdomain()), "resolve", "no such name", False, False, id="dns_nxdomain"),
    pytest.param(network(dns=servfail()), "resolve", "refuses localhost, code 2", False, False, id="dns_servfail"),
    pytest.param(network(dns=wrong_id()), "resolve", "no answer from", False, False, id="dns_forged"),
    pytest.param(network(dns=garbage()), "resolve", "no answer from", False, False, id="dns_garbage"),
    pytest.param(network(dns=a("127.0.0.9")), "connect", "efused", False, False, id="dns_lies"),
    pytest.param(network(refuse()), "connect", "efused", False, False, id="refused"),
    pytest.param(network(stall("connect")), "connect", "nothing moved for 40 ms", False, False, id="connect_stalls"),
    pytest.param(network(stall("handshake")), "handshake", "nothing moved for 40", False, False, id="hello_stalls"),
    pytest.param(network(drop("fin")), "answer", "closed without an answer", True, True, id="drop_fin"),
    pytest.param(network(drop("notify")), "answer", "closed without an answer", True, True, id="drop_notify"),
    pytest.param(network(drop("rst")), "answer", "104", True, True, id="drop_rst"),
    pytest.param(network(drop("fin"), tls=False), "answer", "closed without an answer", True, True, id="drop_plain"),
    pytest.param(network(cut(20, "fin")), "answer", "in the middle", True, True, id="head_cut_fin"),
    pytest.param(network(cut(100, "notify")), "answer", "in the middle", True, True, id="body_cut_notify"),
    # ECONNRESET, or the end when the reset was there before the bytes were read
    pytest.param(network(cut(100, "rst"), tls=False), "answer", "104|in the middle", True, True, id="body_cut_rst"),
    pytest.param(network(stall("answer")), "answer", "nothing moved for 40 ms", True, True, id="answer_stalls"),
    pytest.param(network(raw(b"SSH-2.0-x\r\n")), "answer", "no HTTP/1.1", True, True, id="not_http"),
    pytest.param(network(answer(200, "x" * 900)), "answer", "longer than 800", True, True, id="long_answer"),
]  # fmt: skip


@pytest.mark.parametrize("net, stage, reason, sent, arrived", FAILURES)
async def test_failures(net, stage, reason, sent, arrived):
    limits = deadlines(**{stage: SHORT_MS}) if "nothing moved" in reason else None
    session = session_to(net, limits=limits)
    slow = reason == "no answer from" or net.tls and stage not in ("resolve", "connect")
    rounds = 5 if slow else 10
    error = await fails(session, rounds, limit=800)
    assert (error.stage, error.sent) == (stage, sent)
    assert said(reason, error)
    assert [request["complete"] for request in net.requests()] == ([True] * rounds if arrived else [])
    assert session.handshakes == (0 if stage == "resolve" else rounds)
    # after a failure the address is looked up again: the server may have moved
    assert len(net.queries()) >= rounds


# the peer goes away, or says no, before all is sent
UNSENT = [
    pytest.param(network(cut_request(300, "rst"), tls=False), "104|32", id="head_read_plain"),
    pytest.param(network(cut_request(20000, "rst")), "104|32", id="half_read"),
    pytest.param(network(cut_request(20000, "fin")), "closed without an answer", id="half_read_fin"),
    pytest.param(network(stall("handshake"), tls=False), "nothing moved for 40 ms", id="never_reads"),
]


@pytest.mark.parametrize("net, reason", UNSENT)
@heap("1M")  # for the list of what the server has seen
async def test_a_request_that_did_not_leave_is_not_sent(net, reason):
    limits = deadlines(send=SHORT_MS) if "nothing moved" in reason else None
    error = await fails(session_to(net, limits=limits), 3, endless=True)
    assert (error.stage, error.sent) == ("send", False)
    assert said(reason, error)
    assert [request for request in net.requests() if request["complete"]] == []


@network(refuse(), answer())
async def test_reset_at_once(net):
    session = session_to(net)
    with pytest.raises(SessionError) as caught:
        await post(session)
    # whether the reset comes before or after connect() is seen to be done is up to the kernel
    assert caught.value.stage in ("connect", "handshake")
    assert not caught.value.sent
    assert (await post(session)).status == 200


@pytest.mark.parametrize(
    "net",
    [network(answer(413, "too large")), network(answer(413, "too large"), tls=False)],
    ids=("tls", "plain"),
)
async def test_a_refusal_counts_before_all_is_sent(net):
    # the head announces no body, so that the server answers at once
    session = session_to(net)
    before = descriptors()
    response = http1.Response(bytearray(100))
    for _ in range(3):
        response.begin("POST")
        await session.request(head(None), pieces(ENDLESS), response)
        assert (response.status, response.body()) == (413, b"too large")
    assert session.handshakes == 3
    assert descriptors() == before


@network(answer(200))
async def test_success_before_all_is_sent_is_none(net):
    error = None
    response = http1.Response(bytearray(100))
    response.begin("POST")
    with pytest.raises(SessionError) as caught:
        await session_to(net).request(head(None), pieces(ENDLESS), response)
    error = caught.value
    assert (error.stage, error.sent) == ("send", False)
    assert "before the whole request" in error.reason


@network(drip(answer(200), ms=15), tls=False)
async def test_a_dripping_answer_ends_with_the_total(net):
    error = await fails(session_to(net, limits=deadlines(total=200)), 3)
    assert (error.stage, error.sent) == ("answer", True)
    assert "no end in sight after 200 ms" in error.reason


@network(answer(), dns=silence())
async def test_resolving_ends_with_its_deadline(net):
    resolver = Resolver(lambda: net.dns * 50, SHORT_MS)
    session = Session(net.host, net.port, roots_of(net), resolver, deadlines(resolve=200))
    error = await fails(session, 3)
    assert error.stage == "resolve"
    assert "nothing moved for 200 ms" in error.reason


@network(answer())
async def test_hosts_that_cannot_be_asked_for(net):
    for host in ("münchen.example", "a..example", "x" * 64 + ".example", "two words.example", ""):
        with pytest.raises(SessionError, match="not a host name") as caught:
            await post(session_to(net, host=host))
        assert caught.value.stage == "resolve"
    session = Session("api.example", net.port, roots_of(net), Resolver(tuple))
    with pytest.raises(SessionError, match="no name server"):
        await post(session)
    assert net.queries() == []


# what goes right


@pytest.mark.parametrize("net", [network(answer()), network(answer(), tls=False)], ids=("tls", "plain"))
async def test_one_connection_serves_all(net):
    session = session_to(net)
    told = []
    session.progress = told.append
    before = descriptors()
    buffer = bytearray(b"....")

    def parts():
        for text in (b"abcd", b"efgh", b"ij"):
            buffer[: len(text)] = text
            yield memoryview(buffer)[: len(text)]

    for number in range(5):
        response = await post(session, parts(), 10, path="/" + str(number))
        assert response.status == 200
    assert (await post(session, None, 0)).status == 200
    assert session.handshakes == 1
    assert net.queries() == ["localhost"]
    requests = net.requests()
    assert [request["connection"] for request in requests] == [0] * 6
    assert [request["body"] for request in requests] == ["abcdefghij"] * 5 + [""]
    assert requests[0]["headers"]["device-token"] == TOKEN
    # promises longer than the deadline of the stage, so that a watchdog is patient
    assert told and min(told) > Deadlines().send
    session.close()
    session.close()
    assert descriptors() == before


@pytest.mark.parametrize(
    "net",
    [network(answer(200, "x" * 6000)), network(answer(200, "x" * 6000), tls=False)],
    ids=("tls", "plain"),
)
@heap("1M")
async def test_large_both_ways(net):
    session = session_to(net)
    for _ in range(3):
        response = await post(session, pieces(5), 5 * 4096)
        assert (response.status, response.size) == (200, 6000)
    assert session.handshakes == 1
    assert [len(request["body"]) for request in net.requests()] == [5 * 4096] * 3
    session.close()


class Crumbs:
    """A way to `port` on which whatever comes back comes a few bytes at a time."""

    def __init__(self, port):
        self.port = port
        self.here = 0

    async def __aenter__(self):
        while not self.here:
            try:
                here = 20000 + int.from_bytes(os.urandom(2), "big") % 20000
                self.server = await asyncio.start_server(self.serve, "127.0.0.1", here)
                self.here = here
            except OSError:
                pass  # taken
        return self

    async def __aexit__(self, kind, error, traceback):
        self.server.close()
        await self.server.wait_closed()

    async def serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        there = asyncio.create_task(self.copy(reader, far_writer, 4096))
        await self.copy(far_reader, writer, 7)
        there.cancel()
        await writer.wait_closed()
        await far_writer.wait_closed()

    async def copy(self, source, sink, size):
        while True:
            data = await source.read(size)
            if not data:
                return
            sink.write(data)
            await sink.drain()


@network(answer(200, "x" * 1500), raw(b"HTTP/1.1 204 No\r\n\r\n", close=True))
async def test_tls_records_in_crumbs(net):
    """A socket is readable long before a record is whole: that is no end of the connection."""
    async with Crumbs(net.port) as way:
        session = session_to(net)
        session.port = way.here
        for _ in range(3):
            response = await post(session)
            assert (response.status, response.size) == (200, 1500)
        assert session.handshakes == 1
        session.close()


@network(answer())
async def test_a_numeric_host_is_verified_and_not_looked_up(net):
    session = session_to(net, host="127.0.0.1")
    assert (await post(session)).status == 200
    assert net.queries() == []
    session.close()


@network(answer(), certificate="wrong_host")
async def test_a_numeric_host_not_in_the_certificate(net):
    error = await fails(session_to(net, host="127.0.0.1"), 3)
    assert error.stage == "handshake"
    assert net.requests() == []


@network(answer(200, close=True))
async def test_the_server_may_want_a_connection_for_each(net):
    session = session_to(net)
    before = descriptors()
    for _ in range(5):
        assert (await post(session)).status == 200
        assert descriptors() == before
    assert session.handshakes == 5
    assert len(net.queries()) == 1


@pytest.mark.parametrize(
    "net",
    [network(conn(answer(201), hang_up(how)), conn(answer(202))) for how in ("fin", "notify", "rst")]
    + [network(conn(answer(201), hang_up(how)), conn(answer(202)), tls=False) for how in ("fin", "rst")]
    # bytes that come after the answer belong to nothing that was asked
    + [network(drip(raw(b"HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 299 OK"), size=38), answer(202))],
    ids=("fin", "notify", "rst", "plain_fin", "plain_rst", "left_over"),
)  # fmt: skip
async def test_a_connection_that_died_while_idle_is_not_used(net):
    session = session_to(net)
    before = descriptors()
    assert (await post(session)).status == 201
    assert session._poller.poll(5000)
    assert (await post(session)).status == 202
    assert session.handshakes == 2
    assert [request["connection"] for request in net.requests()] == [0, 1]
    session.close()
    assert descriptors() == before


@only("micropython", why="the shim's readinto() drops what came before an error, MicroPython leaves it in the buffer")
async def test_a_reset_on_the_heels_of_an_answer():
    """Whoever answers without reading all of the request resets the connection: the answer counts nevertheless."""
    server, port = listening()
    session = Session("127.0.0.1", port, None, Resolver(tuple))

    def refuse_now(ms):
        if session._stage == "answer":
            connection, _ = server.accept()
            connection.send(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nbig")
            connection.close()

    session.progress = refuse_now
    before = descriptors()
    for _ in range(5):
        response = await post(session)
        assert (response.status, response.body()) == (413, b"big")
    session.close()
    assert descriptors() == before
    # nothing of an earlier answer is taken for one that was never given
    session.progress = lambda ms: session._stage == "answer" and server.accept()[0].close()
    for _ in range(3):
        with pytest.raises(SessionError, match="answer: .*104"):
            await post(session)
    assert descriptors() == before
    server.close()


def listening():
    """A listening socket and its port."""
    while True:
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 20000
        sock = socket.socket()
        try:
            sock.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
            sock.listen(5)
            return sock, port
        except OSError:
            sock.close()


@network(raw(b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 299 No\r\n\r\n"), answer(202))
async def test_bytes_left_over_in_one_piece_with_the_answer(net):
    session = session_to(net)
    assert (await post(session)).status == 201
    assert (await post(session)).status == 202
    session.close()


@network(answer(), dns=[a("127.0.0.9"), a("127.0.0.1")])
async def test_a_server_that_moved_is_found_again(net):
    session = session_to(net)
    with pytest.raises(SessionError, match="connect"):
        await post(session)
    assert (await post(session)).status == 200
    session.close()


@network(conn(answer(), drop()), answer())
async def test_after_any_failure_the_name_is_asked_again(net):
    session = session_to(net)
    assert (await post(session)).status == 200
    with pytest.raises(SessionError, match="answer"):
        await post(session)
    assert len(net.queries()) == 1
    assert (await post(session)).status == 200
    assert len(net.queries()) == 2
    session.close()


# what the caller hands in


class Mine(Exception):
    pass


@pytest.mark.parametrize("kind", [Mine, OSError, ValueError, MemoryError], ids=("own", "os", "value", "memory"))
@network(answer())
async def test_what_the_body_raises_comes_through(net, kind):
    def broken(after):
        for _ in range(after):
            yield b"12345"
        raise kind("flash")

    session = session_to(net)
    before = descriptors()
    for after in (0, 1, 3):
        with pytest.raises(kind) as caught:
            await post(session, broken(after), 100)
        assert type(caught.value) is kind
    await settle()
    assert descriptors() == before
    assert (await post(session)).status == 200
    # of those that were broken off the server may learn later
    assert [request["complete"] for request in net.requests()].count(True) == 1
    session.close()


@network(answer())
async def test_roots_that_cannot_be_read(net):
    bad = [
        (tuple, "no trusted root certificate"),
        (lambda: [b"nonsense"], "invalid cert"),
        (unreadable, "no such file"),
    ]
    given = []
    session = session_to(net, roots=lambda: given[0]())
    before = descriptors()
    for roots, reason in bad * 3:
        given[:] = [roots]
        with pytest.raises(SessionError) as caught:
            await post(session)
        assert (caught.value.stage, caught.value.sent) == ("handshake", False)
        assert reason in caught.value.reason
    assert descriptors() == before
    assert net.requests() == []
    given[:] = [roots_of(net)]
    assert (await post(session)).status == 200
    session.close()


# a root that signed nothing here (P-256, valid until 2049)
OTHER_ROOT = a2b_base64(
    b"MIIBLDCB0qADAgECAgEBMAoGCCqGSM49BAMCMBUxEzARBgNVBAMMCk90aGVyIHJvb3QwHhcNMjAwMTAxMDAwMDAwWhcNNDkwMTAx"
    b"MDAwMDAwWjAVMRMwEQYDVQQDDApPdGhlciByb290MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEatV3yq0uCGZxjwozDKwe06J1"
    b"ocy6UmqMXO+nGyOUkFHrjiNCzvhKPOQXnJ/hnaMyLv9J1/OlL3xN1cLw3AV3o6MTMBEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjO"
    b"PQQDAgNJADBGAiEA8r7YcjA6BXiHk59xg/PxK8EaRk9lMn4DM5k/6e316IICIQCtMgZjFzlZk7uKW1XcKXhLB6uE79GDqpLy0gNC"
    b"kZddJA=="
)


@network(answer())
async def test_any_of_several_roots_may_have_signed(net):
    for roots in ([OTHER_ROOT, net.roots[0]], [net.roots[0], OTHER_ROOT]):
        session = session_to(net, roots=lambda: iter(roots))  # noqa: B023 - used before it changes
        assert (await post(session)).status == 200
        session.close()
    error = await fails(session_to(net, roots=lambda: [OTHER_ROOT]), 3)
    assert "not correctly signed" in error.reason
    assert len(net.requests()) == 2


def unreadable():
    raise OSError(2, "no such file")


class ShortOfMemory:
    """Stands for the ssl module on a board whose heap is full, until `left` failures have been met."""

    def __init__(self, real, at, error):
        self.real = real
        self.at = at
        self.error = error
        self.left = 3

    def fail(self, at):
        if self.at == at and self.left:
            self.left -= 1
            raise self.error

    PROTOCOL_TLS_CLIENT = ssl.PROTOCOL_TLS_CLIENT
    CERT_REQUIRED = ssl.CERT_REQUIRED

    def SSLContext(self, protocol):
        self.fail("context")
        return Context(self, self.real.SSLContext(protocol))


class Context:
    def __init__(self, owner, real):
        self.owner = owner
        self.real = real
        self.verify_mode = real.verify_mode

    def load_verify_locations(self, cadata):
        self.owner.fail("root")
        self.real.load_verify_locations(cadata=cadata)

    def wrap_socket(self, sock, **options):
        self.owner.fail("wrap")
        self.real.verify_mode = self.verify_mode
        return self.real.wrap_socket(sock, **options)


@pytest.mark.parametrize("at", ("context", "root", "wrap"))
@network(answer())
async def test_too_little_memory_for_tls_passes(net, at):
    real = sys.modules["ssl"]
    try:
        for error in (MemoryError("memory allocation failed"), OSError(12, "memory")):
            sys.modules["ssl"] = ShortOfMemory(real, at, error)
            session = session_to(net)
            seen = await fails(session, 3)
            assert (seen.stage, seen.sent) == ("handshake", False)
            assert "memory" in seen.reason
            assert (await post(session)).status == 200
            session.close()
    finally:
        sys.modules["ssl"] = real


# cancelled from outside


@pytest.mark.parametrize(
    "net",
    [
        network(dns=silence()),
        network(stall("connect")),
        network(stall("handshake")),
        network(stall("handshake"), tls=False),
        network(stall("answer")),
    ],
    ids=("resolve", "connect", "handshake", "send", "answer"),
)
async def test_cancelled_while_waiting(net):
    session = Session(net.host, net.port, roots_of(net), Resolver(lambda: net.dns))
    before = descriptors()
    for _ in range(4):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for_ms(post(session, pieces(ENDLESS), 200000), 50)
    await settle()
    assert descriptors() == before


@pytest.mark.parametrize("net", [network(answer()), network(answer(), tls=False)], ids=("tls", "plain"))
@heap("1M")
async def test_cancelled_anywhere(net):
    session = session_to(net)
    before = descriptors()
    for turns in range(40):
        task = asyncio.create_task(post(session, [b"0123456789"] * 3))
        for _ in range(turns):
            await asyncio.sleep_ms(turns & 1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
    assert (await post(session)).status == 200
    session.close()
    await settle()
    assert descriptors() == before
    # no request was mixed with another's bytes
    *earlier, last = net.requests()
    assert last["body"] == BODY.decode()
    for request in earlier:
        assert request["body"] in ("0123456789" * 3)[: len(request["body"])]
        assert not request["complete"] or len(request["body"]) == 30


@network(stall("answer"), tls=False)
async def test_what_the_server_has_was_sent(net):
    """A deadline that strikes at the worst moment, other tasks being slow, must not call a request unsent."""

    async def slow():
        from time import sleep_ms

        while True:
            sleep_ms(3)
            await asyncio.sleep_ms(0)

    busy = asyncio.create_task(slow())
    sent = 0
    for total in range(1, 60, 2):
        with pytest.raises(SessionError) as caught:
            await post(session_to(net, host="127.0.0.1", limits=deadlines(total=total)))
        sent += caught.value.sent
    busy.cancel()
    assert 0 < sent < 30
    assert len([request for request in net.requests() if request["complete"]]) <= sent
