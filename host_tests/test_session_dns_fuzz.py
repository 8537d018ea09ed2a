"""Names and time: datagrams of arbitrary bytes, and dnspython as a judge that nobody here wrote. CPython only."""

import ipaddress
import struct
import time
from unittest import mock

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pytest
from harness.shim import mp_time
from session import dns as ours

with mock.patch.multiple(time, create=True, ticks_ms=mp_time.ticks_ms, ticks_diff=mp_time.ticks_diff):
    from session import sntp

RELAXED = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

label = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=12)
name = st.lists(label, min_size=1, max_size=4).map(".".join)
address = st.ip_addresses(v=4).map(str)
ident = st.integers(0, 65535)


def chaos(owner):
    """An A record of 4 bytes that is not the internet's."""
    data = dns.rdata.GenericRdata(dns.rdataclass.HS, dns.rdatatype.A, b"\6\6\6\6")
    return dns.rrset.from_rdata(owner + ".", 60, data)


@st.composite
def answers(draw):
    """(question's name, wire form, address or None, last alias): a chain of aliases with other records between."""
    chain = draw(st.lists(name, min_size=1, max_size=5, unique_by=str.lower))
    wanted = draw(st.none() | address)
    query = dns.message.make_query(chain[0], "A", id=draw(ident))
    reply = dns.message.make_response(query, recursion_available=True)
    rows = [(owner, "CNAME", alias + ".") for owner, alias in zip(chain, chain[1:], strict=False)]
    if wanted is not None:
        rows.append((chain[-1], "A", wanted))
    for owner, kind, data in rows:
        if draw(st.booleans()):
            # another class, of which dnspython knows no addresses like ours
            reply.answer.append(chaos(owner))
        if draw(st.booleans()):
            reply.answer.append(dns.rrset.from_text(owner + ".", 60, "IN", "AAAA", "2001:db8::1"))
        if draw(st.booleans()):
            reply.answer.append(dns.rrset.from_text("zz." + owner + ".", 60, "IN", "A", "6.6.6.6"))
        reply.answer.append(dns.rrset.from_text(owner + ".", 60, "IN", kind, data))
    if draw(st.booleans()):
        reply.additional.append(dns.rrset.from_text("ns.example.", 60, "IN", "A", "6.6.6.6"))
    return chain[0], reply.to_wire(max_size=65535), wanted, chain[-1]


def said(datagram, number, asked):
    """The answer, or the error's name: no other may come out."""
    try:
        return ours.decode_answer(datagram, number, asked)
    except ours.DnsError:
        return "refused"


@given(answers())
@RELAXED
def test_dnspython_is_understood(made):
    asked, wire, wanted, last = made
    number = struct.unpack(">H", wire[:2])[0]
    if wanted is not None:
        assert said(wire, number, asked) == (wanted, None)
    elif last == asked:
        assert said(wire, number, asked) == "refused"
    else:
        assert said(wire, number, asked) == (None, last.lower())
    assert said(wire, number ^ 1, asked) is None
    assert said(wire, number, "x" + asked) is None
    # a question is no answer, nor is what answers two questions, or none
    assert said(wire[:2] + bytes((wire[2] & 0x7F,)) + wire[3:], number, asked) is None
    for questions in (0, 2, 257):
        assert said(wire[:4] + struct.pack(">H", questions) + wire[6:], number, asked) is None
    for length in range(len(wire)):
        check(said(wire[:length], number, asked))


@given(name, ident)
@RELAXED
def test_dnspython_understands(asked, number):
    query = dns.message.from_wire(ours.encode_query(number, asked))
    assert query.id == number
    assert query.flags == dns.flags.RD
    (question,) = query.question
    assert question.name == dns.name.from_text(asked + ".")
    assert (question.rdtype, question.rdclass) == (dns.rdatatype.A, dns.rdataclass.IN)


@given(
    st.text(max_size=300)
    | st.lists(st.text("ab\x1f \x7f", min_size=1, max_size=4), max_size=4).map(".".join)
    | st.lists(st.integers(55, 64), min_size=1, max_size=5).map(lambda sizes: ".".join("x" * n for n in sizes))
)
@example("é.example")
@example("a" * 64)
@example(".".join(["a" * 49] * 5) + ".bcd")
@example(".".join(["a" * 49] * 5) + ".bcde")
@RELAXED
def test_any_text_is_a_name_or_refused(text):
    try:
        wire = ours.encode_query(1, text)
    except ours.DnsError:
        return
    (question,) = dns.message.from_wire(wire).question
    assert len(text) <= 253 and all(33 <= byte <= 126 for label in question.name.labels for byte in label)
    # a backslash begins an escape in dnspython's text form, not in ours
    if "\\" not in text:
        assert question.name == dns.name.from_text(text.rstrip(".") + ".")


@given(answers(), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4), st.integers(0, 600))
@RELAXED
def test_damage_never_gives_another_error_nor_another_form(made, changes, length):
    asked, wire, _, _ = made
    number = struct.unpack(">H", wire[:2])[0]
    damaged = bytearray(wire)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    check(said(bytes(damaged[:length]), number, asked))


@given(st.binary(max_size=300), name)
@RELAXED
def test_any_bytes(tail, asked):
    check(said(tail, 0x1234, asked))
    # the right beginning, so that the rest is looked at
    head = ours.encode_query(0x1234, asked)
    for count in (1, 65535):
        check(said(head[:2] + struct.pack(">HHH", 0x8180, 1, count) + head[8:] + tail, 0x1234, asked))


@st.composite
def pieces_of_messages(draw):
    """A beginning that is right, and records whose names are made of labels and of pointers to anywhere."""
    asked = draw(name)
    wire = ours.encode_query(0x1234, asked)
    count = draw(st.integers(1, 5))
    wire = wire[:2] + struct.pack(">HHH", 0x8180, 1, count) + wire[8:]
    for _ in range(count):
        for word in draw(st.lists(label, max_size=3)):
            wire += bytes((len(word),)) + word.encode()
        end = draw(st.sampled_from(["zero", "question", "anywhere", "itself"]))
        target = {"question": 12, "anywhere": draw(st.integers(0, len(wire) + 20)), "itself": len(wire)}.get(end)
        wire += b"\0" if target is None else struct.pack(">H", 0xC000 | target)
        pointer = struct.pack(">H", 0xC000 | draw(st.integers(12, len(wire) + 20)))
        data = draw(st.just(pointer) | st.binary(max_size=6))
        length = len(data) + draw(st.sampled_from([0, 0, 0, 1, 300]))
        kind = draw(st.sampled_from([dns.rdatatype.A, dns.rdatatype.CNAME, dns.rdatatype.AAAA]))
        wire += struct.pack(">HHIH", kind, draw(st.sampled_from([1, 1, 1, 3])), 60, length) + data
    return asked, wire


@given(pieces_of_messages())
@RELAXED
def test_pointers_to_anywhere_end(made):
    asked, wire = made
    check(said(wire, 0x1234, asked))


def check(found):
    if found is None or found == "refused":
        return
    found_address, alias = found
    assert (found_address is None) != (alias is None)
    if found_address is not None:
        ipaddress.IPv4Address(found_address)
    else:
        assert isinstance(alias, str)


@given(st.binary(max_size=100), st.booleans())
@RELAXED
def test_any_reply_of_a_time_server(datagram, ours_too):
    nonce = b"\x01\x02\x03\x04\x05\x06\x07\x08"
    if ours_too and len(datagram) >= 48:
        datagram = bytes((datagram[0] & 0xF8 | 4,)) + datagram[1:24] + nonce + datagram[32:]
    try:
        unix_ms = sntp.decode(datagram, nonce, 1767225600)
    except sntp.SntpError:
        return
    if unix_ms is not None:
        assert 1767225600 <= unix_ms // 1000 < 1767225600 + (1 << 32)


def test_the_judge_is_awake():
    with pytest.raises(dns.exception.DNSException):
        dns.message.from_wire(b"\0" * 11)
