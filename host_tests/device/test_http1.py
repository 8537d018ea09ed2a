"""HTTP/1.1 heads out, answers in: every answer whole, byte by byte, in two halves, with bytes behind it."""

import http1
import pytest
from http1 import LocalProtocolError, RemoteProtocolError


def parse(raw, method="POST", step=None, room=1024, limit=65536):
    response = http1.Response(bytearray(room), limit)
    response.begin(method)
    step = step or len(raw) or 1
    for i in range(0, len(raw), step):
        response.feed(raw[i : i + step])
    if not response.complete:
        response.eof()
    return response


def facts(response):
    return response.status, response.body(), response.keep_alive, response.size


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = [
    ("length", "POST", OK + b"Content-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    ("length zero", "POST", OK + b"Content-Length: 0\r\n\r\n", (200, b"", True)),
    ("bare line feeds", "POST", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", (200, b"hello", True)),
    ("no reason phrase", "POST", b"HTTP/1.1 429\r\nContent-Length: 2\r\n\r\n{}", (429, b"{}", True)),
    ("empty reason phrase", "POST", b"HTTP/1.1 429 \r\nContent-Length: 2\r\n\r\n{}", (429, b"{}", True)),
    ("names in any case", "POST", OK + b"CONTENT-length:5\r\n\r\nhello", (200, b"hello", True)),
    ("space around value", "POST", OK + b"Content-Length: \t 5 \t\r\n\r\nhello", (200, b"hello", True)),
    ("close", "POST", OK + b"Content-Length: 5\r\nConnection: Close\r\n\r\nhello", (200, b"hello", False)),
    (
        "close in a list",
        "POST",
        OK + b"Content-Length: 0\r\nConnection: foo , close\r\n\r\n",
        (200, b"", False),
    ),
    (
        "close in a second field",
        "POST",
        OK + b"Connection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        (200, b"", False),
    ),
    ("1.0", "POST", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", False)),
    (
        "1.0 kept alive",
        "POST",
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    ("until close", "POST", OK + b"\r\nhello", (200, b"hello", False)),
    ("until close, nothing", "POST", OK + b"\r\n", (200, b"", False)),
    ("chunked", "POST", OK + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", (200, b"hello", True)),
    ("several chunks", "POST", OK + CHUNKED + b"2\r\nhe\r\n03\r\nllo\r\n0\r\n\r\n", (200, b"hello", True)),
    (
        "chunk extension",
        "POST",
        OK + CHUNKED + b'A;x="y"\r\n0123456789\r\n000\r\n\r\n',
        (200, b"0123456789", True),
    ),
    ("trailer", "POST", OK + CHUNKED + b"1\r\nx\r\n0\r\nContent-Length: 9\r\n\r\n", (200, b"x", True)),
    ("chunks like heads", "POST", OK + CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", (200, b"\r\n\r\n", True)),
    ("204", "POST", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
    (
        "304 with a length",
        "GET",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        (304, b"", True),
    ),
    ("HEAD", "HEAD", OK + b"Content-Length: 12345678\r\n\r\n", (200, b"", True)),
    ("HEAD chunked", "HEAD", OK + CHUNKED, (200, b"", True)),
    (
        "100 first",
        "POST",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    (
        "102 and 103 first",
        "POST",
        b"HTTP/1.1 102 P\r\nContent-Length: 7\r\nConnection: close\r\n\r\nHTTP/1.1 103 E\r\nLink: <a>\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    (
        "long field nobody needs",
        "POST",
        OK + b"X: " + b"y" * 5000 + b"\r\nContent-Length: 1\r\n\r\nz",
        (200, b"z", True),
    ),
    ("a hundred fields", "POST", OK + b"X: y\r\n" * 99 + b"Content-Length: 1\r\n\r\nz", (200, b"z", True)),
]


@pytest.mark.parametrize("method, raw, expected", [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE])
def test_answer_is_the_same_at_every_split(method, raw, expected):
    assert facts(parse(raw, method)) == expected + (len(expected[1]),)
    assert facts(parse(raw, method, step=1)) == expected + (len(expected[1]),)
    for cut in range(len(raw) if len(raw) < 300 else 0):
        response = http1.Response(bytearray(64))
        response.begin(method)
        response.feed(raw[:cut])
        response.feed(raw[cut:])
        if not response.complete:
            response.eof()
        assert facts(response) == expected + (len(expected[1]),)


# where the peer's closing is the end, a cut cannot be told
FRAMED = [row for row in WHOLE if not row[0].startswith("until close")]


@pytest.mark.parametrize("method, raw", [row[1:3] for row in FRAMED], ids=[row[0] for row in FRAMED])
def test_a_cut_answer_is_never_complete(method, raw):
    for cut in range(0, len(raw), 1 if len(raw) < 300 else 97):
        response = http1.Response(bytearray(1024))
        response.begin(method)
        assert not response.feed(raw[:cut])
        assert response.started == (cut > 0)
        with pytest.raises(RemoteProtocolError):
            response.eof()


def test_bytes_behind_an_answer_forbid_keep_alive():
    raw = OK + b"Content-Length: 5\r\n\r\nhelloH"
    for step in (1, 7, 1000):
        response = parse(raw, step=step)
        assert facts(response) == (200, b"hello", False, 5)


REFUSED = [
    ("not HTTP", b"SSH-2.0-OpenSSH\r\n"),
    ("HTTP/2", b"HTTP/2 200\r\n\r\n"),
    ("HTTP/0.9", b"<html>hello\n"),
    ("blank line first", b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ("short status", b"HTTP/1.1 20\r\n\r\n"),
    ("long status", b"HTTP/1.1 2000 OK\r\n\r\n"),
    ("status with a sign", b"HTTP/1.1 +20 OK\r\n\r\n"),
    ("status below 100", b"HTTP/1.1 099 OK\r\n\r\n"),
    ("101", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ("two lengths, equal", OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("two lengths, different", OK + b"Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello"),
    ("length list", OK + b"Content-Length: 5, 5\r\n\r\nhello"),
    ("negative length", OK + b"Content-Length: -1\r\n\r\n"),
    ("length with a plus", OK + b"Content-Length: +5\r\n\r\nhello"),
    ("length with an underscore", OK + b"Content-Length: 1_0\r\n\r\n0123456789"),
    ("hexadecimal length", OK + b"Content-Length: a\r\n\r\n0123456789"),
    ("empty length", OK + b"Content-Length:\r\n\r\n"),
    ("endless length", OK + b"Content-Length: " + b"9" * 17 + b"\r\n\r\n"),
    ("length in 300 digits", OK + b"Content-Length: " + b"0" * 300 + b"\r\n\r\n"),
    ("length beyond the limit", OK + b"Content-Length: 65537\r\n\r\n"),
    ("connection options beyond what is kept", OK + b"Connection: " + b"x," * 130 + b"close\r\n"),
    ("length that is no text", OK + b"Content-Length: \xff\r\n\r\n"),
    ("coding and length", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("coding twice", OK + b"Transfer-Encoding: chunked\r\n" + CHUNKED + b"0\r\n\r\n"),
    ("gzip", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in 1.0", b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"0\r\n\r\n"),
    ("folded field", OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    ("field folded by tab", OK + b"X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n"),
    ("space before the colon", OK + b"Content-Length : 5\r\n\r\nhello"),
    ("field without a colon", OK + b"Content-Length\r\n\r\n"),
    ("field without a name", OK + b": 5\r\n\r\n"),
    ("bare carriage return", OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n"),
    ("zero byte", OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("too many fields", OK + b"X: y\r\n" * 101),
    ("endless head", OK + b"X: " + b"y" * 17000),
    ("endless interim answers", b"HTTP/1.1 100 Continue\r\n\r\n" * 700),
    ("chunk size is no number", OK + CHUNKED + b"x\r\n"),
    ("chunk size empty", OK + CHUNKED + b"\r\n"),
    ("chunk size with a sign", OK + CHUNKED + b"-1\r\n"),
    ("chunk size with 0x", OK + CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("chunk size after a space", OK + CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n"),
    ("chunk beyond the limit", OK + CHUNKED + b"10001\r\n"),
    ("huge chunk", OK + CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n"),
    ("chunk extension without end", OK + CHUNKED + b"5;" + b"x" * 300 + b"\r\n"),
    ("chunk longer than its size", OK + CHUNKED + b"4\r\nhello\r\n0\r\n\r\n"),
    ("folded trailer", OK + CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n"),
]


@pytest.mark.parametrize("raw", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_doubtful_answer_is_refused(raw):
    # refused by its bytes, before the peer closes
    for step in (len(raw), 1 if len(raw) < 1000 else 13):
        response = http1.Response(bytearray(64))
        response.begin("POST")
        with pytest.raises(RemoteProtocolError):
            for i in range(0, len(raw), step):
                response.feed(raw[i : i + step])


@pytest.mark.parametrize("framing", [b"Content-Length: 30\r\n\r\n", b"\r\n"], ids=["length", "until close"])
def test_body_beyond_the_buffer_is_counted_and_dropped(framing):
    for step in (1, 4, 1000):
        response = parse(OK + framing + b"0123456789" * 3, step=step, room=12)
        assert response.body() == b"012345678901"
        assert response.size == 30
        assert response.complete


def test_body_limit_holds_for_every_framing():
    for framing in (b"Content-Length: 31\r\n\r\n", b"\r\n", CHUNKED + b"10\r\n0123456789abcdef\r\nf\r\n"):
        with pytest.raises(RemoteProtocolError, match="body longer than 30 bytes"):
            parse(OK + framing + b"0123456789" * 4, limit=30)


def test_headers_that_matter_are_kept():
    head = b"Retry-After: 8\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: x\r\n"
    head += b"Location: /a\r\nContent-Type: text/html\r\n"
    response = parse(b"HTTP/1.1 429 Slow\r\n" + head + b"Content-Length: 0\r\n\r\n", step=1)
    assert response.header("retry-after") == "8"
    assert response.header("date") == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert response.header("location") == "/a"
    assert response.header("content-type") == "text/html"
    assert response.header("server") is None


def test_trailers_are_no_headers():
    raw = OK + CHUNKED + b"0\r\nRetry-After: 8\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
    response = parse(raw)
    assert facts(response) == (200, b"", True, 0)
    assert [response.header(name) for name in ("retry-after", "connection", "content-length")] == [None] * 3


def test_header_that_is_no_text_counts_as_absent():
    assert parse(OK + b"Location: \xff\xfe\r\nContent-Length: 0\r\n\r\n").header("location") is None


def test_interim_answer_leaves_nothing_behind():
    response = parse(b"HTTP/1.1 103 Early\r\nRetry-After: 8\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n")
    assert response.header("retry-after") is None


def test_one_response_serves_a_connection():
    response = http1.Response(bytearray(64))
    for number in range(3):
        response.begin("POST")
        assert response.status is None and not response.complete and not response.started
        assert response.feed(
            OK + b"Retry-After: 1\r\nContent-Length: 1\r\n\r\n%d" % number
            if number
            else OK + b"Content-Length: 1\r\n\r\n0"
        )
        assert response.body() == b"%d" % number
        assert (response.header("retry-after") is None) == (number == 0)


def test_feed_takes_a_part_of_a_buffer():
    response = http1.Response(bytearray(64))
    response.begin("GET")
    buffer = bytearray(OK + b"Content-Length: 2\r\n\r\nhi, and old bytes")
    response.feed(buffer, buffer.find(b", and") if hasattr(buffer, "find") else bytes(buffer).find(b", and"))
    assert facts(response) == (200, b"hi", True, 2)


def test_head():
    head = http1.encode_head(
        "POST",
        "/p/data?a=%20",
        "api.tago.io:8443",
        (("Device-Token", "t-1"), ("Content-Type", "application/json")),
        12,
    )
    assert head == (
        b"POST /p/data?a=%20 HTTP/1.1\r\nHost: api.tago.io:8443\r\nDevice-Token: t-1\r\n"
        b"Content-Type: application/json\r\nContent-Length: 12\r\n\r\n"
    )


def test_head_without_a_body_has_no_length():
    assert http1.encode_head("GET", "/info", "h") == b"GET /info HTTP/1.1\r\nHost: h\r\n\r\n"
    assert http1.encode_head("POST", "/data", "h", (), 0).endswith(b"\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "method, target, host, headers",
    [
        ("GET /", "/", "h", ()),
        ("", "/", "h", ()),
        ("G\r\n", "/", "h", ()),
        ("GET", "", "h", ()),
        ("GET", "data", "h", ()),
        ("GET", "/a b", "h", ()),
        ("GET", "/a\r\nX: y", "h", ()),
        ("GET", "/a\u00b0", "h", ()),
        ("GET", "/", "h\r\nX: y", ()),
        ("GET", "/", "h i", ()),
        ("GET", "/", "", ()),
        ("GET", "/", "h", (("X:", "y"),)),
        ("GET", "/", "h", (("", "y"),)),
        ("GET", "/", "h", (("X\n", "y"),)),
        ("GET", "/", "h", (("X Y", "y"),)),
        ("GET", "/", "h", (("X", "secret\r\nY: z"),)),
        ("GET", "/", "h", (("X", "secret\n"),)),
        ("GET", "/", "h", (("X", "secret\0"),)),
        ("GET", "/", "h", (("X", "secret\u00e9"),)),
    ],
)
def test_injection_is_refused_without_telling_the_value(method, target, host, headers):
    with pytest.raises(LocalProtocolError) as caught:
        http1.encode_head(method, target, host, headers)
    assert "secret" not in str(caught.value)
