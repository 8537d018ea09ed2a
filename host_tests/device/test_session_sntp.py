"""The time of day: what a reply says, which replies count, and what a bad one leads to."""

import asyncio
import os
import struct

import pytest
from harness import a, garbage, kiss, network, ntp, nxdomain, silence
from session import sntp
from session.resolver import Resolver

NONCE = b"ORIGINAL"
BUILD = 1767225600  # 2026-01-01
UNIX_AFTER_NTP = 2208988800
ERA = 1 << 32


def reply(unix, fraction=0, nonce=NONCE, head=0x24, stratum=2, code=b"GPS\0"):
    seconds = (unix + UNIX_AFTER_NTP) % ERA
    stamp = struct.pack(">II", seconds, fraction)
    return bytes((head, stratum, 6, 0xEC)) + bytes(8) + code + stamp + nonce + stamp + stamp


TIMES = [
    # (unix seconds, not before, fraction, unix milliseconds)
    (BUILD, BUILD, 0, 1767225600000),
    (BUILD, BUILD, 1 << 31, 1767225600500),
    (BUILD, BUILD, ERA - 1, 1767225600999),
    (2085978495, BUILD, 0, 2085978495000),  # the last second of era 0, 2036-02-07T06:28:15Z
    (2085978497, BUILD, 1 << 30, 2085978497250),
    (4102444800, BUILD, 0, 4102444800000),  # 2100-01-01
    (4102444800, 4102444800, 0, 4102444800000),
    (6380945793, 4102444800, 0, 6380945793000),  # era 2
]


@pytest.mark.parametrize("unix, not_before, fraction, said", TIMES)
def test_times(unix, not_before, fraction, said):
    assert sntp.decode(reply(unix, fraction), NONCE, not_before) == said
    # longer ones carry extension fields or a signature
    assert sntp.decode(reply(unix, fraction) + bytes(20), NONCE, not_before) == said


NOT_OURS = [
    ("other_nonce", reply(BUILD, nonce=b"ORIGINAm")),
    ("zero_nonce", reply(BUILD, nonce=bytes(8))),
    ("a_request", reply(BUILD, head=0x23)),
    ("broadcast", reply(BUILD, head=0x25)),
    ("short", reply(BUILD)[:47]),
    ("empty", b""),
]


@pytest.mark.parametrize("datagram", [pytest.param(row[1], id=row[0]) for row in NOT_OURS])
def test_what_is_not_our_reply_is_passed_over(datagram):
    assert sntp.decode(datagram, NONCE, BUILD) is None


USELESS = [
    ("kiss_rate", reply(BUILD, head=0xE4, stratum=0, code=b"RATE"), "refuses us: b'RATE'"),
    ("kiss_without_alarm", reply(BUILD, stratum=0, code=b"DENY"), "refuses us: b'DENY'"),
    ("alarm", reply(BUILD, head=0xE4), "not synchronised"),
    ("stratum_16", reply(BUILD, stratum=16), "not synchronised"),
    ("stratum_255", reply(BUILD, stratum=255), "not synchronised"),
    ("no_time", reply(-UNIX_AFTER_NTP), "no time"),
]


@pytest.mark.parametrize("datagram, reason", [pytest.param(*row[1:], id=row[0]) for row in USELESS])
def test_replies_of_no_use(datagram, reason):
    with pytest.raises(sntp.SntpError, match=reason):
        sntp.decode(datagram, NONCE, BUILD)


# asking


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def resolver_of(net):
    return Resolver(lambda: net.dns, 40)


@network(ntp=ntp(unix_ms=1767323045678), dns={"time.example": a("127.0.0.1")})
async def test_asking(net):
    before = descriptors()
    for server in (net.ntp, "time.example:" + net.ntp.split(":")[1]):
        for _ in range(5):
            unix_ms, ticks, trip = await sntp.ask(resolver_of(net), server, BUILD)
            # half the way there and back is added
            assert unix_ms - trip // 2 in (1767323045677, 1767323045678)
            assert isinstance(ticks, int) and 0 <= trip < 2000
    assert net.time_queries() == 10
    # asked for anew each time: a pool of servers shows another one
    assert net.queries() == ["time.example"] * 5
    assert descriptors() == before


@network(ntp=ntp(offset=-10 * 365 * 86400))
async def test_a_server_behind_the_build_is_taken_for_the_next_era(net):
    unix_ms, _, _ = await sntp.ask(resolver_of(net), net.ntp, BUILD)
    # far beyond what a clock believes: better than a time before the build
    assert unix_ms > BUILD * 1000 + 100 * 365 * 86400000


FAILURES = [
    pytest.param(network(ntp=silence()), OSError, "no answer from 127.0.0.1 in 40 ms", id="silence"),
    pytest.param(network(ntp=ntp(forged=True)), OSError, "no answer", id="forged"),
    pytest.param(network(ntp=garbage(b"\x24" * 600)), OSError, "no answer", id="garbage"),
    pytest.param(network(ntp=garbage(b"")), OSError, "no answer", id="empty"),
    pytest.param(network(ntp=kiss("RATE")), sntp.SntpError, "refuses us: b'RATE'", id="kiss"),
    pytest.param(network(ntp=ntp(stratum=16, leap=3)), sntp.SntpError, "not synchronised", id="unsynchronised"),
]


@pytest.mark.parametrize("net, kind, reason", FAILURES)
async def test_failures(net, kind, reason):
    before = descriptors()
    for _ in range(10):
        with pytest.raises(kind, match=reason):
            await sntp.ask(resolver_of(net), net.ntp, BUILD, 40)
    assert net.time_queries() == 10
    assert descriptors() == before


@network(dns=nxdomain())
async def test_names_that_are_not_found(net):
    with pytest.raises(ValueError, match="no such name: time.example"):
        await sntp.ask(resolver_of(net), "time.example", BUILD)
    assert net.time_queries() == 0


@network(ntp=silence())
async def test_cancelled_while_asking(net):
    before = descriptors()
    for _ in range(5):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for_ms(sntp.ask(resolver_of(net), net.ntp, BUILD), 30)
    await asyncio.sleep_ms(1)
    assert descriptors() == before
