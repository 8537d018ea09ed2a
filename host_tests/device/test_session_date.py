"""The Date of an HTTP answer: what is one, and who is asked for it."""

import asyncio

import pytest
from harness import answer, drop, network, raw
from session import date
from session.client import Deadlines, Session, SessionError
from session.resolver import Resolver

GOOD = (
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
    ("Tue, 29 Feb 2000 23:59:59 GMT", 951868799),
    ("Wed, 01 Mar 2000 00:00:00 GMT", 951868800),
    ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
    ("Sun, 22 Nov 2026 10:37:48 GMT", 1795343868),
    ("Sun, 28 Feb 2100 12:00:00 GMT", 4107499200),
    ("Mon, 01 Mar 2100 12:00:00 GMT", 4107585600),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799),
)


@pytest.mark.parametrize("text, unix", GOOD)
def test_dates(text, unix):
    assert date.parse(text) == unix


BAD = (
    "",
    "now",
    "Sun Nov  6 08:49:37 1994",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 CET",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 ovD 1994 08:49:37 GMT",
    "Sun, 06 No 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 32 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1969 08:49:37 GMT",
    "Sun, 06 Nov 10000 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, 06 Nov 1994 08:49:37:00 GMT",
    "Sun, x6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 -8:49:37 GMT",
)


@pytest.mark.parametrize("text", BAD)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="no date"):
        date.parse(text)


def asked(net, plain=False):
    resolver = Resolver(lambda: net.dns)
    return Session(net.host, net.port, None if plain else lambda: net.roots, resolver, Deadlines(1000))


HEADERS = {"Date": "Sun, 22 Nov 2026 10:37:48 GMT"}


@network(answer(404, "nothing here", HEADERS))
async def test_any_answer_has_one(net):
    session = asked(net)
    others, ours = [], []
    session.progress = others.append
    unix_ms, ticks = await date.ask(session, "api.example", ours.append)
    session.close()
    # a promise of progress is kept by who gave it
    assert ours and not others
    session.progress(5)
    assert others == [5]
    assert unix_ms == 1795343868500 and isinstance(ticks, int)
    (request,) = net.requests()
    assert (request["method"], request["path"], request["body"]) == ("HEAD", "/", "")
    assert sorted([name.lower() for name in request["headers"]]) == ["host"]


@network(answer(301, "", HEADERS), tls=False)
async def test_in_the_open(net):
    session = asked(net, True)
    unix_ms, _ = await date.ask(session, "api.example")
    session.close()
    assert unix_ms == 1795343868500


@network(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
async def test_an_answer_without_one(net):
    session = asked(net)
    with pytest.raises(ValueError, match="no date"):
        await date.ask(session, "api.example")
    session.close()


@network(drop())
async def test_no_answer(net):
    with pytest.raises(SessionError):
        await date.ask(asked(net), "api.example")
    await asyncio.sleep_ms(0)
