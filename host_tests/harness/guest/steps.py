"""The words of a scripted network: what a connection, a name query or a time query meets.

Each gives plain data for harness/network.py, which plays it in pytest's process.
"""

OK = '{"status":true,"result":"1 Data Added"}'  # what TagoIO says to an accepted POST /data


def _text(data):
    # JSON carries text: bytes travel as latin-1
    return data if isinstance(data, str) else "".join([chr(byte) for byte in data])


def answer(status=200, body=OK, headers=None, close=False):
    """Read a request, answer it. `body`: str (sent as UTF-8) or bytes. close: hang up after the answer.

    Content-Length is set unless `headers` has it or Transfer-Encoding; a header given as None is left out.
    """
    binary = not isinstance(body, str)
    return {
        "do": "answer",
        "status": status,
        "body": _text(body),
        "binary": binary,
        "headers": headers or {},
        "close": close,
    }


def raw(data, close=False):
    """Read a request, send these bytes as they are."""
    return {"do": "raw", "data": _text(data), "close": close}


def cut(after=0, how="fin", of=None):
    """Read a request, send the first `after` bytes of the answer `of`, then end the connection.

    how: "fin" (TCP end without close_notify), "notify" (TLS close_notify first), "rst", or "stall" (silence).
    """
    return {"do": "cut", "after": after, "how": how, "of": of or answer()}


def drop(how="fin"):
    """Read a request and end the connection without a byte of an answer."""
    return cut(0, how)


def cut_request(after=0, how="rst"):
    """Read `after` bytes of the request, then end the connection; how="stall" keeps it open, unread.

    after: a negative number counts from the request's end, a float is a share of the request.
    """
    return {"do": "cut_request", "after": after, "how": how}


def drip(of=None, ms=5, size=1):
    """Read a request, send the answer `of` in pieces of `size` bytes, one every `ms`."""
    return {"do": "drip", "of": of or answer(), "ms": ms, "size": size}


def endless(head, again, ms=0):
    """Read a request, send `head`, then `again` over and over until the client leaves, every `ms`."""
    return {"do": "endless", "head": _text(head), "again": _text(again), "ms": ms}


def stall(at="answer"):
    """Go silent for good: at "connect" (the connection never comes about; the whole script must be this one
    step), "handshake" (no server hello; without TLS no byte is read) or "answer" (the request is read)."""
    return {"do": "stall", "at": at}


def refuse():
    """Connection refused. When other steps are in the script: accepted and reset at once."""
    return {"do": "refuse"}


def cut_handshake(flights=1, how="fin", part=1.0, data=b""):
    """A TLS 1.2 handshake that ends after so many flights: 1 the client's hello, 2 the server's hello and
    certificates (of which `part` is sent), 3 the client's key exchange; how="stall" goes silent instead.

    data: sent in place of the server's next flight, after 1 or 3.
    """
    return {"do": "cut_handshake", "flights": flights, "how": how, "part": part, "data": _text(data)}


def hang_up(how="fin", data=b"", ms=0):
    """End the connection without waiting for a request: after an answer, an idle connection that dies.

    data: what the server says unasked before that; ms: how much later than its answer. A reset waits until what was
    sent before is read: it would be lost, more or less often.
    """
    return {"do": "hang_up", "how": how, "data": _text(data), "ms": ms}


def slowly(of=None, ms=2, size=64):
    """What the server sends on this connection, its handshake included, comes `size` bytes at a time, every `ms`."""
    return {"do": "slowly", "of": of or answer(), "ms": ms, "size": size}


def conn(*steps):
    """Steps of one connection, one a request; the last repeats."""
    return {"do": "conn", "steps": list(steps)}


# what a name query meets


def a(*addresses, ttl=60):
    """An answer with these IPv4 addresses."""
    return {"do": "a", "addresses": list(addresses), "ttl": ttl, "names": []}


def cname(*names, to="127.0.0.1", ttl=60):
    """A chain of aliases that ends at the address `to`."""
    return {"do": "a", "addresses": [to], "ttl": ttl, "names": list(names)}


def nxdomain():
    """There is no such name (RFC 1035: RCODE 3)."""
    return {"do": "rcode", "rcode": 3}


def servfail():
    """The name server failed (RCODE 2)."""
    return {"do": "rcode", "rcode": 2}


def wrong_id(address="192.0.2.66", then=None):
    """A forged answer whose id is not the query's, and after it `then`, when given."""
    return {"do": "wrong_id", "address": address, "then": then}


def garbage(data=b"\x00\x01"):
    """These bytes, whatever was asked; names and time alike."""
    return {"do": "garbage", "data": _text(data)}


def silence():
    """No answer; names and time alike."""
    return {"do": "silence"}


# what a time query meets


def ntp(offset=0, stratum=2, leap=0, unix_ms=None, forged=False):
    """The host's time plus `offset` seconds, or the fixed `unix_ms`. forged: not the query's originate time."""
    return {
        "do": "ntp",
        "offset": offset,
        "stratum": stratum,
        "leap": leap,
        "unix_ms": unix_ms,
        "forged": forged,
    }


def kiss(code="RATE"):
    """A kiss-o'-death packet (RFC 5905, 7.4)."""
    return {"do": "kiss", "code": code}
