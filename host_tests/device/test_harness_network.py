"""The scripted network, and sockets, TLS and streams behaving alike on both runtimes.

The connector here is the smallest that can be written for MicroPython; lib/session has the real one.
"""

import asyncio
import errno
import select
import socket
import ssl
import struct

import pytest
from harness import (
    a,
    answer,
    cname,
    conn,
    cut,
    cut_handshake,
    cut_request,
    drip,
    drop,
    endless,
    hang_up,
    kiss,
    network,
    ntp,
    nxdomain,
    raw,
    refuse,
    silence,
    slowly,
    stall,
    wrong_id,
)

GET = b"GET /data HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"


class Writable:
    """Waits until a socket can be written, through asyncio's own queue."""

    def __init__(self, sock):
        self.sock = sock

    def __iter__(self):
        yield asyncio.core._io_queue.queue_write(self.sock)

    __await__ = __iter__


class Connection:
    def __init__(self, net):
        self.net = net
        self.raw = self.secure = self.stream = None

    async def open(self, hostname=None, roots=None, verify=ssl.CERT_REQUIRED):
        self.raw = socket.socket()
        self.raw.setblocking(False)
        try:
            self.raw.connect(socket.getaddrinfo("127.0.0.1", self.net.port)[0][-1])
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        await Writable(self.raw)
        if self.net.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.verify_mode = verify
            for root in self.net.roots if roots is None else roots:
                context.load_verify_locations(cadata=root)
            self.secure = context.wrap_socket(
                self.raw, server_hostname=hostname or self.net.host, do_handshake_on_connect=False
            )
        self.stream = asyncio.StreamWriter(self.secure or self.raw, {})

    async def send(self, data):
        self.stream.write(data)
        await self.stream.drain()

    async def head(self):
        lines = []
        while True:
            line = await self.stream.readline()
            if line in (b"", b"\r\n"):
                return lines
            lines.append(line)

    def close(self):
        for each in (self.secure, self.raw):
            if each is not None:
                each.close()


async def exchange(net, *requests, **options):
    """The whole answer to each request as (status line, body by Content-Length)."""
    connection = Connection(net)
    try:
        await connection.open(**options)
        answers = []
        for request in requests:
            await connection.send(request)
            head = await connection.head()
            length = 0
            for line in head:
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = await connection.stream.readexactly(length)
            answers.append((head[0].strip() if head else b"", body))
        return answers
    finally:
        connection.close()


@network(answer(200, '{"status":true}'))
async def test_answers_over_verified_tls(net):
    assert await exchange(net, POST % (5, b"abcde")) == [(b"HTTP/1.1 200 OK", b'{"status":true}')]
    (request,) = net.requests()
    assert request["method"] == "POST"
    assert request["path"] == "/data"
    assert request["headers"]["content-length"] == "5"
    assert request["body"] == "abcde"
    assert (request["connection"], request["tls"], request["handshake"]) == (0, True, "ok")


@network(answer(201, "°C"), tls=False)
async def test_answers_without_tls(net):
    assert net.url.startswith("http://")
    assert await exchange(net, GET) == [(b"HTTP/1.1 201 Created", b"\xc2\xb0C")]


@network(conn(answer(200), answer(429, "slow down"), answer(202)), answer(503))
async def test_steps_per_connection_and_request(net):
    got = await exchange(net, GET, GET, GET, GET)
    assert [int(status.split()[1]) for status, _ in got] == [200, 429, 202, 202]
    assert int((await exchange(net, GET))[0][0].split()[1]) == 503
    assert int((await exchange(net, GET))[0][0].split()[1]) == 503
    assert [request["connection"] for request in net.requests()] == [0, 0, 0, 0, 1, 2]


# what each runtime must raise, and no request may have arrived
UNTRUSTED = {
    "wrong_host": "does not match",
    "unknown_issuer": "not correctly signed by the trusted CA",
    "self_signed": "not correctly signed by the trusted CA",
    "no_intermediate": "not correctly signed by the trusted CA",
    "expired": "validity has expired",
    "not_yet_valid": "validity starts in the future",
}


@pytest.mark.parametrize(
    "net, text",
    [pytest.param(network(answer(), certificate=kind), UNTRUSTED[kind], id=kind) for kind in sorted(UNTRUSTED)],
)
async def test_bad_certificates(net, text):
    with pytest.raises(ValueError, match=text):
        await exchange(net, GET)
    assert net.requests() == []
    assert [c["handshake"] for c in net.connections()] == ["failed"]


@network(answer(), certificate="wrong_host")
async def test_nothing_is_verified_unless_asked(net):
    assert ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).verify_mode == ssl.CERT_NONE
    assert len(await exchange(net, GET, verify=ssl.CERT_NONE)) == 1
    assert len(await exchange(net, GET, verify=ssl.CERT_OPTIONAL)) == 1


@network(answer())
async def test_required_without_a_root_or_a_name(net):
    with pytest.raises(OSError) as caught:
        await exchange(net, GET, roots=())
    assert caught.value.errno == -30336
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    with pytest.raises(ValueError, match="requires server_hostname"):
        context.wrap_socket(socket.socket())


@network(answer(), tls="1.3")
async def test_server_without_tls_1_2(net):
    with pytest.raises(OSError) as caught:
        await exchange(net, GET)
    assert caught.value.errno == -30592


@network(answer())
async def test_a_certificate_for_the_address(net):
    assert len(await exchange(net, GET, hostname="127.0.0.1")) == 1


def test_roots_are_bytes_one_each():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ValueError, match="invalid cert"):
        context.load_verify_locations(cadata=b"nonsense")
    with pytest.raises(TypeError):
        context.load_verify_locations(cadata=bytearray(b"nonsense"))


@network(refuse())
async def test_refused(net):
    with pytest.raises(OSError) as caught:
        await exchange(net, GET)
    assert caught.value.errno in (errno.ECONNREFUSED, errno.ECONNRESET)


@network(refuse(), answer())
async def test_reset_then_served(net):
    with pytest.raises(OSError) as caught:
        await exchange(net, GET)
    assert caught.value.errno == errno.ECONNRESET
    assert len(await exchange(net, GET)) == 1


@pytest.mark.parametrize(
    "net",
    [network(stall(at)) for at in ("connect", "handshake", "answer")],
    ids=("connect", "handshake", "answer"),
)
async def test_stalls_until_cancelled(net):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(exchange(net, GET), 0.15)


@pytest.mark.parametrize("net", [network(cut(after=20, how=h)) for h in ("fin", "notify")], ids=("fin", "notify"))
async def test_cut_answer_looks_like_the_end(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        got = b""
        while True:
            data = await connection.stream.read(100)
            if not data:
                break
            got += data
        assert got == b"HTTP/1.1 200 OK\r\nCon"
    finally:
        connection.close()


@network(cut(after=20, how="rst"))
async def test_reset_answer(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        with pytest.raises(OSError) as caught:
            while await connection.stream.read(100):
                pass
        assert caught.value.errno == errno.ECONNRESET
    finally:
        connection.close()


@network(drop())
async def test_drop_reads_all_and_says_nothing(net):
    assert await exchange(net, POST % (3, b"xyz")) == [(b"", b"")]
    assert net.requests()[0]["body"] == "xyz"


@network(cut_request(after=60))
async def test_cut_request(net):
    with pytest.raises((OSError, EOFError)):
        for _ in range(100):
            await exchange(net, POST % (100, b"x" * 100))
            raise EOFError  # an end without an answer is good, too
    (request,) = net.requests()
    assert not request["complete"]
    assert request["method"] == "POST"


@network(drip(answer(200, "abc"), ms=1), tls=False)
async def test_drip_comes_in_pieces(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        reads = 0
        got = b""
        while not got.endswith(b"abc"):
            got += await connection.stream.read(1000)
            reads += 1
        assert reads > 10
    finally:
        connection.close()


@network(raw(b"HTTP/1.0 200 OK\r\n\r\nuntil \xff the end", close=True))
async def test_raw_and_read_to_the_end(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        assert await connection.stream.read() == b"HTTP/1.0 200 OK\r\n\r\nuntil \xff the end"
        with pytest.raises(EOFError):
            await connection.stream.readexactly(1)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "net",
    [network(conn(answer(), hang_up(how))) for how in ("fin", "notify", "rst")]
    + [network(conn(answer(), hang_up("fin")), tls=False)],
    ids=("fin", "notify", "rst", "plain"),
)
async def test_idle_connection_that_dies_is_seen_by_poll(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        await connection.stream.readexactly(110)
        poller = select.poll()
        poller.register(connection.secure or connection.raw, select.POLLIN)
        assert poller.poll(2000) != []
    finally:
        connection.close()


@network(answer(200, "x" * 50000))
async def test_long_answers_and_partial_reads(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        buffer = bytearray(1000)
        got = 0
        while got < 50000:
            n = await connection.stream.readinto(buffer)
            if n is not None:
                assert 0 < n <= 1000
                got += n
    finally:
        connection.close()


@network(answer())
async def test_long_requests(net):
    body = b"0123456789" * 2000
    (answered,) = await exchange(net, POST % (len(body), body))
    assert answered[0] == b"HTTP/1.1 200 OK"
    assert net.requests()[0]["body"] == body.decode()


HANDSHAKES = [
    cut_handshake(1),
    cut_handshake(1, data=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    cut_handshake(2, part=0.5),
    cut_handshake(2),
    cut_handshake(3),
]


@pytest.mark.parametrize("net", [network(step) for step in HANDSHAKES], ids=("1", "1 plain", "half of 2", "2", "3"))
async def test_a_handshake_cut_at_each_flight_takes_no_request(net):
    with pytest.raises(OSError):
        status = (await exchange(net, GET))[0][0]
        raise OSError("an end without a word: " + str(status))
    assert [c["handshake"] for c in net.connections()] == ["cut"]
    assert net.requests() == []


@pytest.mark.parametrize(
    "net",
    [network(cut_handshake(2, "rst")), network(cut_handshake(3, "rst"))],
    ids=("2", "3"),
)
async def test_a_handshake_that_is_reset(net):
    with pytest.raises(OSError) as caught:
        await exchange(net, GET)
    assert caught.value.errno == errno.ECONNRESET


@pytest.mark.parametrize(
    "net",
    [network(cut_handshake(flights, "stall", part)) for flights, part in ((1, 1), (2, 0.5), (3, 1))],
    ids=("1", "half of 2", "3"),
)
async def test_a_handshake_that_stalls(net):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(exchange(net, GET), 0.15)
    assert net.requests() == []


@network(slowly(conn(answer(200, "first"), answer(200, "second")), ms=1, size=100))
async def test_a_slow_wire_carries_all(net):
    got = await exchange(net, POST % (3, b"abc"), GET)
    assert [body for _, body in got] == [b"first", b"second"]
    assert [request["body"] for request in net.requests()] == ["abc", ""]


LONG = POST % (1000, b"x" * 1000)


@pytest.mark.parametrize(
    "net, taken",
    [
        (network(cut_request(after=0.5, how="notify")), len(LONG) // 2),
        (network(cut_request(after=-1, how="notify")), len(LONG) - 1),
        (network(cut_request(after=1.0, how="notify")), len(LONG)),
    ],
    ids=("half", "all but one", "all"),
)
async def test_a_share_of_a_request_is_read(net, taken):
    with pytest.raises(OSError):
        await exchange(net, LONG)
        raise OSError("an end without a word is good, too")
    (request,) = net.requests()
    assert len(request["body"]) == taken - (len(LONG) - 1000)


@network(cut_request(after=1, how="stall"))
async def test_a_request_that_nobody_reads(net):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(exchange(net, GET), 0.15)


@network(conn(answer(200, "yes"), hang_up("notify", b"HTTP/1.1 408 Request Timeout\r\n\r\n")))
async def test_a_server_that_speaks_unasked(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        assert (await connection.head())[0] == b"HTTP/1.1 200 OK\r\n"
        assert await connection.stream.readexactly(3) == b"yes"
        assert await connection.head() == [b"HTTP/1.1 408 Request Timeout\r\n"]
    finally:
        connection.close()


@network(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000))
async def test_an_answer_without_end(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        await connection.head()
        for _ in range(100):
            assert await connection.stream.readexactly(500) == b"x" * 500
    finally:
        connection.close()


@network(stall("answer"), tls=False)
async def test_write_keeps_what_the_socket_does_not_take(net):
    connection = Connection(net)
    try:
        await connection.open()
        connection.stream.write(GET)
        for _ in range(1000):
            connection.stream.write(b"x" * 20000)
            if connection.stream.out_buf:
                break
        assert connection.stream.out_buf
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for_ms(connection.stream.drain(), 50)
    finally:
        connection.close()


def plain_exchange(address, data):
    """One datagram there and back; None after 300 ms."""
    host, port = address.split(":")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect(socket.getaddrinfo(host, int(port))[0][-1])
        sock.setblocking(False)
        sock.write(data)
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        replies = []
        while poller.poll(300 if not replies else 20):
            replies.append(sock.recv(600))
        return replies
    finally:
        sock.close()


def query(name):
    question = b"".join([bytes([len(part)]) + part.encode() for part in name.split(".")])
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + question + b"\x00\x00\x01\x00\x01"


@network(
    dns={
        "api.tago.io": cname("edge.tago.io", "pool.example", to="127.0.0.7"),
        "gone.example": nxdomain(),
        "mute.example": [silence(), a("10.0.0.1", "10.0.0.2")],
        "spoofed.example": wrong_id("6.6.6.6", then=a("10.0.0.3")),
        "*": a("127.0.0.1", ttl=7),
    }
)
def test_names(net):
    def ask(name):
        return plain_exchange(net.dns[0], query(name))

    (reply,) = ask("api.tago.io")
    assert reply[:4] == b"\x12\x34\x81\x80"
    assert reply[6:8] == b"\x00\x03"
    assert reply.endswith(b"\x00\x04\x7f\x00\x00\x07")
    (reply,) = ask("gone.example")
    assert reply[3] & 15 == 3
    assert ask("mute.example") == []
    (reply,) = ask("mute.example")
    assert reply[7] == 2
    forged, true = ask("spoofed.example")
    assert forged[:2] != b"\x12\x34"
    assert true[:2] == b"\x12\x34"
    (reply,) = ask("anything.else")
    assert reply.endswith(b"\x00\x00\x00\x07\x00\x04\x7f\x00\x00\x01")
    assert net.queries()[:2] == ["api.tago.io", "gone.example"]


def time_query(net):
    return plain_exchange(net.ntp, b"\x23" + bytes(39) + b"ORIGINAL")


@network(ntp=[ntp(unix_ms=1767323045678), silence(), kiss("DENY"), ntp(stratum=16, leap=3), ntp(forged=True)])
def test_time(net):
    (reply,) = time_query(net)
    assert len(reply) == 48
    assert reply[0] & 7 == 4
    assert reply[24:32] == b"ORIGINAL"
    seconds, fraction = struct.unpack("!II", reply[40:48])
    assert seconds - 2208988800 == 1767323045
    assert fraction * 1000 // (1 << 32) in (677, 678)
    assert time_query(net) == []
    (reply,) = time_query(net)
    assert (reply[1], reply[12:16]) == (0, b"DENY")
    (reply,) = time_query(net)
    assert (reply[0] >> 6, reply[1]) == (3, 16)
    (reply,) = time_query(net)
    assert reply[24:32] == bytes(8)
    assert net.time_queries() == 5


@pytest.mark.parametrize("net", [network(stall()), network(stall(), tls=False)], ids=("tls", "plain"))
async def test_nothing_there_is_none_and_never_blocks(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        sock = connection.secure or connection.raw
        assert sock.read(10) is None
        assert sock.readinto(bytearray(10)) is None
        assert sock.readline() is None
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        assert list(poller.poll(0)) == []
    finally:
        connection.close()


@network(stall("handshake"))
async def test_nothing_is_taken_before_the_handshake(net):
    connection = Connection(net)
    try:
        await connection.open()
        assert connection.secure.write(GET) is None
        assert connection.secure.read(1) is None
    finally:
        connection.close()


@network(answer(), certificate="expired")
async def test_a_failed_handshake_leaves_the_socket_to_its_owner(net):
    connection = Connection(net)
    await connection.open()
    with pytest.raises(ValueError):
        await connection.send(GET)
    connection.secure.close()
    connection.raw.setblocking(True)  # still open: it is not closed with the TLS object
    connection.raw.close()


@network(cut(after=20, how="rst"), tls=False)
async def test_what_came_before_a_reset_arrives(net):
    connection = Connection(net)
    try:
        await connection.open()
        await connection.send(GET)
        await asyncio.sleep_ms(60)  # a slow device: the reset waits for it
        assert await connection.stream.read(100) == b"HTTP/1.1 200 OK\r\nCon"
        with pytest.raises(OSError) as caught:
            await connection.stream.read(100)
        assert caught.value.errno == errno.ECONNRESET
    finally:
        connection.close()
