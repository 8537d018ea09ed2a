"""Names: what a datagram says (dns), and asking for it where others answer too (resolver)."""

import asyncio
import os
import select
import socket
import struct

import pytest
from harness import a, cname, garbage, network, nxdomain, servfail, silence, wrong_id
from session import dns, udp
from session.lookup import is_address
from session.resolver import Resolver

NAME = "api.tago.io"
ID = 0x1234


def labels(name):
    return b"".join([bytes((len(part),)) + part.encode() for part in name.split(".")]) + b"\0"


def record(owner, kind, data, klass=1):
    return owner + struct.pack(">HHIH", kind, klass, 60, len(data)) + data


def address(owner, text, klass=1):
    return record(owner, 1, bytes([int(part) for part in text.split(".")]), klass)


def message(*records, ident=ID, flags=0x8180, name=NAME, question=None, count=None):
    if question is None:
        question = labels(name) + b"\0\x01\0\x01"
    head = struct.pack(">HHHHHH", ident, flags, 1, len(records) if count is None else count, 0, 0)
    return head + question + b"".join(records)


SELF = b"\xc0\x0c"  # a pointer to the name in the question
LOOP = 12 + len(labels(NAME)) + 4  # where the first answer begins
STRANGER = address(labels("x.example"), "6.6.6.6")
ALIAS = record(SELF, 5, labels("b.c"))
SECOND = record(labels("B.c"), 5, labels("d.e"))
NEAR = record(SELF, 5, b"\x02eu\xc0\x0c")

GOOD = [
    ("plain", message(address(SELF, "10.0.0.7")), ("10.0.0.7", None)),
    ("uncompressed", message(address(labels(NAME), "10.0.0.7")), ("10.0.0.7", None)),
    ("other_case", message(address(labels("API.Tago.IO"), "10.0.0.7"), name="aPi.tAGO.io"), ("10.0.0.7", None)),
    ("first_of_many", message(*[address(SELF, "10.0.0." + str(i)) for i in range(1, 25)]), ("10.0.0.1", None)),
    ("ipv6_before", message(record(SELF, 28, bytes(16)), address(SELF, "10.0.0.7")), ("10.0.0.7", None)),
    ("stranger_before", message(STRANGER, address(SELF, "10.0.0.7")), ("10.0.0.7", None)),
    ("other_class_before", message(address(SELF, "6.6.6.6", klass=3), address(SELF, "10.0.0.7")), ("10.0.0.7", None)),
    ("chain", message(ALIAS, SECOND, address(labels("d.E"), "10.0.0.7")), ("10.0.0.7", None)),
    ("pointer_in_alias", message(NEAR, address(labels("eu.api.tago.io"), "10.0.0.7")), ("10.0.0.7", None)),
    ("alias_alone", message(record(SELF, 5, labels("edge.Example"))), (None, "edge.example")),
    ("alias_of_alias_alone", message(ALIAS, SECOND), (None, "d.e")),
    # shortened to fit in a datagram: what is there still serves
    ("truncated_flag", message(address(SELF, "10.0.0.7"), flags=0x8380), ("10.0.0.7", None)),
]  # fmt: skip


@pytest.mark.parametrize("datagram, said", [pytest.param(*row[1:], id=row[0]) for row in GOOD])
def test_answers(datagram, said):
    assert dns.decode_answer(datagram, ID, NAME) == said
    assert dns.decode_answer(datagram, ID, NAME + ".") == said


NOT_OURS = [
    ("other_id", message(address(SELF, "6.6.6.6"), ident=ID ^ 1)),
    ("other_id_high", message(address(SELF, "6.6.6.6"), ident=ID ^ 0x8000)),
    ("other_name", message(address(SELF, "6.6.6.6"), name="api.tago.iq")),
    ("longer_name", message(address(SELF, "6.6.6.6"), name="api.tago.io.example")),
    ("a_question", message(address(SELF, "6.6.6.6"), flags=0x0100)),
    ("no_question", struct.pack(">HHHHHH", ID, 0x8180, 0, 1, 0, 0) + address(b"\0", "6.6.6.6")),
    ("empty", b""),
    ("short", message()[:11]),
]


@pytest.mark.parametrize("datagram", [pytest.param(row[1], id=row[0]) for row in NOT_OURS])
def test_what_answers_another_question_is_passed_over(datagram):
    assert dns.decode_answer(datagram, ID, NAME) is None


USELESS = [
    ("nxdomain", message(flags=0x8183), "no such name: api.tago.io"),
    ("servfail", message(flags=0x8182), "refuses api.tago.io, code 2"),
    ("refused", message(flags=0x8185), "refuses api.tago.io, code 5"),
    ("nothing", message(), "no IPv4 address"),
    ("ipv6_only", message(record(SELF, 28, bytes(16))), "no IPv4 address"),
    ("strangers_only", message(STRANGER), "no IPv4 address"),
    ("address_too_long", message(record(SELF, 1, bytes(5))), "no IPv4 address"),
    ("promises_more", message(count=9), "malformed"),
    ("loop_in_question", message(question=SELF + b"\0\x01\0\x01"), "loops"),
    ("loop_in_answer", message(address(struct.pack(">H", 0xC000 | LOOP), "6.6.6.6")), "loops"),
    ("loop_in_alias", message(record(SELF, 5, struct.pack(">H", 0xC000 | (LOOP + 12)))), "loops"),
    ("pointer_past_the_end", message(address(b"\xff\xff", "6.6.6.6")), "malformed"),
    ("label_of_reserved_kind", message(address(b"\x80a\0", "6.6.6.6")), "malformed"),
    ("longer_than_the_datagram", message(SELF + struct.pack(">HHIH", 1, 1, 60, 400)), "malformed"),
    ("alias_not_text", message(record(SELF, 5, b"\x02\xff\xfe\0")), "malformed alias"),
]


@pytest.mark.parametrize("datagram, reason", [pytest.param(*row[1:], id=row[0]) for row in USELESS])
def test_answers_of_no_use(datagram, reason):
    with pytest.raises(dns.DnsError, match=reason):
        dns.decode_answer(datagram, ID, NAME)


def test_cut_anywhere():
    whole = GOOD[7][1]
    for length in range(len(whole)):
        try:
            said = dns.decode_answer(whole[:length], ID, NAME)
        except dns.DnsError:
            continue
        assert said is None or said[0] is None


def test_questions():
    assert dns.encode_query(ID, "a.bc") == b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01"
    assert dns.encode_query(ID, "a.bc.") == dns.encode_query(ID, "a.bc")
    dns.encode_query(ID, "x" * 63 + ".io")
    for name in ("", ".", "a..b", ".a", "x" * 64 + ".io", "é.io", "a b.io", "a\n.io", "x." * 127 + "x"):
        with pytest.raises(dns.DnsError, match="host name"):
            dns.encode_query(ID, name)


def test_addresses():
    for text in ("127.0.0.1", "255.255.255.255", "0.0.0.0"):
        assert is_address(text)
    for text in ("256.0.0.1", "1.2.3", "1.2.3.4.5", "1.2.3.x", "1..2.3", "", "localhost", "-1.2.3.4"):
        assert not is_address(text)


# asking


def descriptors():
    return len(os.listdir("/proc/self/fd"))


ASKED = [
    pytest.param(network(dns=a("10.0.0.7")), "10.0.0.7", 1, id="address"),
    pytest.param(network(dns=cname("edge.example", "pool.example", to="10.0.0.8")), "10.0.0.8", 1, id="chain"),
    pytest.param(network(dns=[silence(), a("10.0.0.7")]), "10.0.0.7", 2, id="lost_once"),
    pytest.param(network(dns=[servfail(), a("10.0.0.7")]), "10.0.0.7", 2, id="failed_once"),
    pytest.param(network(dns=wrong_id("6.6.6.6", then=a("10.0.0.7"))), "10.0.0.7", 1, id="forged_first"),
    pytest.param(network(dns=nxdomain()), "no such name", 2, id="nxdomain"),
    pytest.param(network(dns=servfail()), "code 2", 2, id="servfail"),
    pytest.param(network(dns=a()), "no IPv4 address", 2, id="no_address"),
    pytest.param(network(dns=silence()), "no answer from 127.0.0.1 in 60 ms", 2, id="silence"),
    pytest.param(network(dns=wrong_id("6.6.6.6")), "no answer", 2, id="forged"),
    pytest.param(network(dns=garbage(bytes(600))), "no answer", 2, id="garbage"),
]


@pytest.mark.parametrize("net, said, queries", ASKED)
async def test_asking(net, said, queries):
    resolver = Resolver(lambda: net.dns, 60)
    before = descriptors()
    for number in range(1, 6):
        name = "n" + str(number) + ".example"
        try:
            found = await resolver.resolve(name)
        except (OSError, dns.DnsError) as error:
            found = str(error)
        assert said in found
        assert net.queries().count(name) == queries
        assert descriptors() == before


@network(dns=a("10.0.0.7"))
async def test_the_next_server_is_asked(net):
    # on the first nobody listens, the second does not exist
    resolver = Resolver(lambda: ["127.0.0.1:9", "nonsense:x", net.dns[0]], 60)
    before = descriptors()
    for _ in range(5):
        assert await resolver.resolve(NAME) == "10.0.0.7"
    assert net.queries() == [NAME] * 5
    assert await resolver.resolve("10.1.2.3") == "10.1.2.3"
    assert descriptors() == before


def bound():
    """A UDP socket and its "address:port"."""
    while True:
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 20000
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        except OSError:
            sock.close()
            continue
        return sock, "127.0.0.1:" + str(port)


async def received(sock):
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    while not poller.poll(0):
        await asyncio.sleep_ms(1)
    return sock.recvfrom(600)


def question_of(query):
    return struct.unpack(">H", query[:2])[0], query[12:]


async def test_only_the_one_who_was_asked_may_answer():
    server, place = bound()
    stranger, _ = bound()
    try:
        asking = asyncio.create_task(Resolver(lambda: [place], 5000).resolve(NAME))
        query, client = await received(server)
        ident, question = question_of(query)
        assert question == labels(NAME) + b"\0\x01\0\x01"
        # the right id and question from another port never arrive; neither do wrong ones from the right port
        stranger.sendto(message(address(SELF, "6.6.6.6"), ident=ident), client)
        server.sendto(message(address(SELF, "6.6.6.6"), ident=ident ^ 1), client)
        server.sendto(message(address(SELF, "6.6.6.6"), ident=ident, name="other.example"), client)
        server.sendto(message(address(SELF, "10.0.0.7"), ident=ident), client)
        assert await asking == "10.0.0.7"
    finally:
        server.close()
        stranger.close()


async def test_ids_and_ports_change():
    server, place = bound()
    seen = set()
    try:
        resolver = Resolver(lambda: [place], 5000)
        for _ in range(8):
            asking = asyncio.create_task(resolver.resolve(NAME))
            query, client = await received(server)
            seen.add((query[:2], client))
            server.sendto(message(address(SELF, "10.0.0.7"), ident=question_of(query)[0]), client)
            await asking
        assert len({ident for ident, _ in seen}) > 6
    finally:
        server.close()


async def test_aliases_are_followed_but_not_for_ever():
    server, place = bound()
    asked = []

    async def serve():
        while True:
            query, client = await received(server)
            ident, question = question_of(query)
            name = question[1 : 1 + question[0]].decode()
            asked.append(name)
            if name == "n3" and stop:
                reply = address(SELF, "10.0.0.7")
            else:
                reply = record(SELF, 5, labels("n" + str(int(name[1:]) + 1) + ".example"))
            server.sendto(message(reply, ident=ident, question=question), client)

    serving = asyncio.create_task(serve())
    try:
        resolver = Resolver(lambda: [place], 5000)
        stop = True
        assert await resolver.resolve("n1.example") == "10.0.0.7"
        assert asked == ["n1", "n2", "n3"]
        stop = False
        with pytest.raises(dns.DnsError, match="too many aliases"):
            await resolver.resolve("n1.example")
        assert len(asked) < 10
    finally:
        serving.cancel()
        server.close()


@network(dns=silence())
async def test_cancelled_while_asking(net):
    before = descriptors()
    for _ in range(5):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for_ms(Resolver(lambda: net.dns).resolve(NAME), 30)
    await asyncio.sleep_ms(1)
    assert descriptors() == before


async def test_what_accept_raises_comes_through():
    server, place = bound()
    before = descriptors()
    try:
        for _ in range(5):
            asking = asyncio.create_task(udp.ask(*udp.endpoint(place, 53), b"?", int, 5000))
            _, client = await received(server)
            server.sendto(b"no number", client)
            with pytest.raises(ValueError):
                await asking
        assert descriptors() == before
    finally:
        server.close()
