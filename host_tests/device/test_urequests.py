"""Programs as people write them for urequests, and everything a network can do to them.

They must run unchanged, be told by OSError when the network fails them, give nothing to a server that was not
verified, and leave nothing open.
"""

import asyncio
import errno
import gc
import os
import time

import pytest
import urequests
from harness import (
    a,
    answer,
    chips,
    conn,
    cut,
    drip,
    drop,
    heap,
    network,
    nxdomain,
    only,
    raw,
    refuse,
    silence,
    stall,
    timeout,
)

TOKEN = "9a8b7c6d-secret"


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def use(net, roots=None, limit=32768):
    """What a user does once, in boot.py."""
    urequests.configure(roots=roots or net.roots, name_servers=net.dns, limit=limit, progress=ignore)


def ignore(ms):
    pass


# three programs


def post_to_tagoio(url, token, temperature):
    data = [{"variable": "temperature", "value": temperature, "unit": "C"}]
    r = urequests.post(url + "/data", headers={"Device-Token": token}, json=data)
    print(r.status_code)
    status = r.status_code
    r.close()
    return status


@network(answer(202, '{"status":true,"result":"1 Data Added"}'))
def test_program_that_posts_to_tagoio(net):
    use(net)
    before = descriptors()
    for temperature in (21.5, 22):
        assert post_to_tagoio(net.url, TOKEN, temperature) == 202
    assert descriptors() == before
    first, second = net.requests()
    assert (first["method"], first["path"], first["handshake"]) == ("POST", "/data", "ok")
    assert first["headers"]["device-token"] == TOKEN
    assert first["headers"]["content-type"] == "application/json"
    assert first["headers"]["host"] == "localhost:" + str(net.port)
    assert first["body"].replace(" ", "") in (
        # order of a dict's items
        '[{"variable":"temperature","value":21.5,"unit":"C"}]',
        '[{"value":21.5,"variable":"temperature","unit":"C"}]',
        '[{"unit":"C","value":21.5,"variable":"temperature"}]',
        '[{"variable":"temperature","unit":"C","value":21.5}]',
        '[{"value":21.5,"unit":"C","variable":"temperature"}]',
        '[{"unit":"C","variable":"temperature","value":21.5}]',
    )
    assert second["complete"]


def weather(url, tries, sleep):
    while tries:
        try:
            r = urequests.get(url + "/data/2.5/weather?q=London,uk&units=metric&appid=abc", timeout=10)
            if r.status_code == 200:
                report = r.json()
                r.close()
                return report["main"]["temp"]
            r.close()
        except OSError as e:
            print("weather:", e)
        tries -= 1
        sleep(0)
    return None


REPORT = '{"weather":[{"main":"Clouds","icon":"04d"}],"main":{"temp":11.25,"pressure":1014},"name":"London — \\u00e9"}'


@network(refuse(), drop("rst"), answer(503, "busy"), cut(150, of=answer(200, REPORT)), answer(200, REPORT))
def test_program_that_asks_for_the_weather_until_it_gets_it(net):
    use(net)
    before = descriptors()
    assert weather(net.url, 5, time.sleep) == 11.25
    assert weather(net.url, 1, time.sleep) == 11.25
    assert descriptors() == before
    assert len(net.connections()) == 6
    assert net.requests()[-1]["path"] == "/data/2.5/weather?q=London,uk&units=metric&appid=abc"


def update_thingspeak(base, key, t, h):
    url = base + "/update?api_key=" + key + "&field1=" + str(t) + "&field2=" + str(h)
    response = urequests.get(url)
    entry = int(response.text)
    response.close()
    return entry


def light(base, state):
    r = urequests.get(base + "/light/0?turn=" + state, auth=("admin", "päss:word"))
    ison = r.json()["ison"]
    r.close()
    return ison


@network(answer(200, "4711"), answer(200, '{"ison":true}'))
def test_programs_with_a_query_text_and_basic_auth(net):
    use(net)
    assert update_thingspeak(net.url, "KEY", 21.5, 40) == 4711
    assert light(net.url, "on") is True
    first, second = net.requests()
    assert first["path"] == "/update?api_key=KEY&field1=21.5&field2=40"
    assert "content-length" not in first["headers"]
    # RFC 7617; checked with base64(1)
    assert second["headers"]["authorization"] == "Basic YWRtaW46cMOkc3M6d29yZA=="


@network(answer(200, '{"ison":false}'), tls=False)
def test_plain_http_where_the_url_says_so(net):
    use(net)
    assert light(net.url, "off") is False
    assert net.connections()[0]["tls"] is False


# what cannot be trusted learns nothing

UNTRUSTED = [
    ("expired", "validity has expired"),
    ("not_yet_valid", "set the clock: ntptime.settime()"),
    ("wrong_host", "does not match"),
    ("unknown_issuer", "put its root (DER) into /roots"),
    ("self_signed", "put its root (DER) into /roots"),
    ("no_intermediate", "put its root (DER) into /roots"),
]


@pytest.mark.parametrize(
    "net, remedy",
    [pytest.param(network(answer(), certificate=kind), remedy, id=kind) for kind, remedy in UNTRUSTED],
)
def test_a_server_that_is_not_to_be_trusted_learns_nothing(net, remedy):
    use(net)
    before = descriptors()
    for _ in range(3):
        with pytest.raises(OSError) as caught:
            post_to_tagoio(net.url, TOKEN, 21.5)
        said = str(caught.value)
        assert "localhost: handshake: " in said and remedy in said and "\n" not in said
        assert TOKEN not in said
        assert isinstance(caught.value.errno, int)
    assert descriptors() == before
    assert net.requests() == []
    assert [seen["handshake"] for seen in net.connections()] == ["failed"] * 3


@network(answer())
def test_roots_that_are_none(net, tmp):
    before = descriptors()
    os.mkdir(tmp + "/empty")
    for roots, remedy in (
        ([b"-----BEGIN CERTIFICATE-----"], "invalid cert"),
        (tmp + "/empty", "put its root (DER) into /roots"),
        (tmp + "/none", "put its root (DER) into /roots"),
    ):
        use(net, roots)
        with pytest.raises(OSError, match="localhost: handshake: ") as caught:
            urequests.get(net.url)
        assert remedy in str(caught.value)
    assert descriptors() == before
    assert net.requests() == []


@network(answer(), tls=False)
def test_plain_http_needs_no_roots(net, tmp):
    use(net, tmp + "/none")
    assert urequests.get(net.url).status_code == 200


# failures


FAILURES = [
    pytest.param(network(dns=silence()), "resolve: ", errno.ETIMEDOUT, id="dns_silent"),
    pytest.param(network(dns=nxdomain()), "resolve: no such name", 5, id="dns_nxdomain"),
    pytest.param(network(dns=a("127.0.0.9")), "connect: ", errno.ECONNREFUSED, id="dns_lies"),
    pytest.param(network(refuse()), "connect: ", errno.ECONNREFUSED, id="refused"),
    pytest.param(network(stall("connect")), "connect: nothing moved", errno.ETIMEDOUT, id="connect_stalls"),
    pytest.param(network(stall("handshake")), "handshake: nothing moved", errno.ETIMEDOUT, id="hello_stalls"),
    pytest.param(network(stall("answer"), tls=False), "answer: nothing moved", errno.ETIMEDOUT, id="answer_stalls"),
    pytest.param(network(drop("fin")), "answer: the connection closed without", 5, id="drop"),
    pytest.param(network(cut(20, "fin")), "in the middle", 5, id="head_cut"),
    pytest.param(network(cut(100, "notify")), "in the middle", 5, id="body_cut"),
    pytest.param(network(raw(b"SSH-2.0-x\r\n")), "no HTTP/1.1", 5, id="not_http"),
    pytest.param(network(answer(200, "x" * 2001), tls=False), "body longer than 2000 bytes; configure(limit=", 5,
                 id="too_long"),
    pytest.param(network(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n"), tls=False),
                 "configure(limit=", 5, id="too_long_chunks"),
]  # fmt: skip


@pytest.mark.parametrize("net, said, number", FAILURES)
def test_failures(net, said, number):
    use(net, limit=2000)
    before = descriptors()
    stalls = number == errno.ETIMEDOUT
    for _ in range(3):
        with pytest.raises(OSError) as caught:
            urequests.post(
                net.url + "/?key=SECRET",
                json=[1],
                headers={"Device-Token": TOKEN},
                timeout=0.25 if stalls else None,
            )
        error = caught.value
        assert said in str(error) and "localhost: " in str(error)
        assert error.errno == number, error
        assert TOKEN not in str(error) and "SECRET" not in str(error)
    assert descriptors() == before


@network(drip(answer(200, "x" * 900), ms=20), tls=False)
def test_a_dripping_answer_ends_with_three_waits(net):
    use(net)
    before = descriptors()
    with pytest.raises(OSError, match="answer: no end in sight after 2400 ms") as caught:
        urequests.get(net.url, timeout=0.8)
    assert caught.value.errno == errno.ETIMEDOUT
    assert descriptors() == before


@network(drop("rst"))
def test_a_reset(net):
    use(net)
    before = descriptors()
    with pytest.raises(OSError) as caught:
        urequests.get(net.url)
    assert caught.value.errno == errno.ECONNRESET
    assert descriptors() == before


@network(answer(200), dns=[silence(), a("127.0.0.1")])
def test_each_wait_may_take_the_whole_time(net):
    """The second query, after two seconds without an answer to the first, is still in time."""
    use(net)
    assert urequests.get(net.url, timeout=3).status_code == 200


@only("micropython", why="the shim has no capped heap")
@network(answer(200, "x" * 9000), tls=False)
def test_a_body_that_memory_cannot_hold(net):
    use(net)
    assert len(urequests.get(net.url).content) == 9000
    before = descriptors()
    hogs = []
    try:
        while True:
            hogs.append(bytearray(2000))
    except MemoryError:
        # room, but not in one piece
        for index in range(0, len(hogs), 2):
            hogs[index] = None
    with pytest.raises(OSError) as caught:
        urequests.get(net.url)
    error = caught.value
    hogs = None
    assert "localhost: answer: memory" in str(error)
    assert descriptors() == before


BAD_URLS = ("", "localhost", "ftp://localhost/", "https:/localhost", "https://", "https:///p", "https://h:x/", "//h/",
            "https://user:KEY@localhost/", "https://KEY@localhost/", "https://h?KEY", "https://h:/")  # fmt: skip


@network(answer())
def test_what_cannot_be_asked_for(net):
    use(net)
    for url in BAD_URLS:
        with pytest.raises(ValueError, match="not http(s)://host") as caught:
            urequests.get(url)
        assert "KEY" not in str(caught.value)
    for options in (
        {"headers": {"Device-Token": "KEY\r\nX: y"}},
        {"headers": {"Device-Token": "KEYé"}},
        {"headers": {"Host": "KEY\n"}},
        {"headers": {"A\nB": "KEY"}},
        {"data": "KEY", "json": []},
        {"data": gives("a"), "headers": {"Content-Length": "4\r\nX: y"}},
    ):
        with pytest.raises(ValueError) as caught:
            urequests.post(net.url, **options)
        assert "KEY" not in str(caught.value)
    with pytest.raises(ValueError, match="the method"):
        urequests.request("GE T", net.url)
    with pytest.raises(ValueError, match="the method"):
        urequests.request("", net.url)
    for data in ({"a": 1}, [1], 5):
        with pytest.raises(TypeError):
            urequests.post(net.url, data=data)
    assert net.connections() == []


# what is sent


def gives(*pieces):
    yield from pieces


LONG = "äöü" * 1000

# data, headers, body at the server, content-length there (None: in chunks)
BODIES = [
    ("text", "text", {}, "text", 4),
    ("bytes", b"bytes", {}, "bytes", 5),
    ("bytearray", bytearray(b"abc"), {}, "abc", 3),
    ("memoryview", memoryview(b"abcd")[1:], {}, "bcd", 3),
    ("unicode", "αβ", {}, "αβ", 4),
    ("none", None, {}, "", 0),
    ("empty", b"", {}, "", 0),
    ("long", LONG, {}, LONG, 6000),
    ("given length", "abc", {"content-length": "3", "Transfer-Encoding": "x"}, "abc", 3),
    ("wrong length", "abc", {"Content-Length": "99"}, "abc", 3),
    ("pieces", lambda: gives("t", b"est", "", bytearray(b"s"), "ä"), {}, "testsä", None),
    ("no pieces", lambda: gives(), {}, "", None),
    ("long pieces", lambda: gives(LONG, LONG[:10]), {}, LONG + LONG[:10], None),
    ("pieces of known length", lambda: gives("te", b"st"), {"Content-Length": "4"}, "test", 4),
]


@network(conn(answer(200)))
@heap("1M")
def test_bodies(net):
    use(net)
    sent = [urequests.post(net.url, data=data() if callable(data) else data, headers=headers)
            for _, data, headers, _, _ in BODIES]  # fmt: skip
    assert [response.status_code for response in sent] == [200] * len(BODIES)
    for row, seen in zip(BODIES, net.requests()):  # noqa: B905
        name, _, headers, body, length = row
        assert seen["complete"], name
        assert seen["body"] == body, name
        fields = seen["headers"]
        if length is None:
            assert fields["transfer-encoding"] == "chunked" and "content-length" not in fields, name
        else:
            assert fields["content-length"] == str(length) and "transfer-encoding" not in fields, name
    # nothing is added to the caller's
    assert BODIES[8][2] == {"content-length": "3", "Transfer-Encoding": "x"}


@network(answer(200))
def test_what_the_body_raises_comes_through(net):
    def broken():
        yield "a"
        raise OSError(19, "sensor gone")

    use(net)
    before = descriptors()
    for _ in range(3):
        with pytest.raises(OSError, match="sensor gone") as caught:
            urequests.post(net.url, data=broken())
        assert caught.value.errno == 19
    assert descriptors() == before


@network(answer(200), tls=False)
def test_methods_and_headers(net):
    use(net)
    for name in ("get", "post", "put", "patch", "delete", "head"):
        assert getattr(urequests, name)(net.url + "/" + name, timeout=5).status_code == 200
    urequests.request("OPTIONS", net.url)
    urequests.get(
        net.url,
        headers={"User-Agent": b"node", "Host": "other.example", "Connection": "keep-alive", "Authorization": "x"},
        auth=("u", "p"),
        stream=True,
    )
    urequests.post(net.url, json=[], headers={"content-type": "text/x"})
    seen = net.requests()
    assert [one["method"] for one in seen[:7]] == ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
    assert [one["path"] for one in seen[5:7]] == ["/head", "/"]
    lengths = [one["headers"].get("content-length") for one in seen[:7]]
    assert lengths == [None, "0", "0", "0", None, None, None]
    assert seen[0]["headers"]["connection"] == "close"
    fields = seen[7]["headers"]
    assert fields["user-agent"] == "node"
    assert fields["host"] == "other.example"
    assert fields["connection"] == "keep-alive"
    assert fields["authorization"] == "Basic dTpw"
    assert seen[8]["headers"]["content-type"] == "text/x"
    assert seen[8]["body"] == "[]"


TARGETS = [
    ("", "/"),
    ("/", "/"),
    ("/a b?q=New York", "/a%20b?q=New%20York"),
    ("/ü?u=°C", "/%C3%BC?u=%C2%B0C"),
    ("/%20+&=~'(){}|", "/%20+&=~'(){}|"),
    ("/p#part?x", "/p"),
    ("/a://b/c?d=e://f/g?h", "/a://b/c?d=e://f/g?h"),
    ("/x\r\nHost: y", "/x%0D%0AHost:%20y"),
]


@network(answer(200), tls=False)
def test_targets(net):
    use(net)
    for path, _ in TARGETS:
        assert urequests.get(net.url + path).status_code == 200
    assert [one["path"] for one in net.requests()] == [target for _, target in TARGETS]


# what comes back


@network(answer(201, "{}", headers={"X-Rate-Limit": "12", "Content-Type": "text/plain; charset=utf-8", "Empty": ""}))
def test_headers(net):
    use(net)
    r = urequests.get(net.url)
    assert (r.status_code, r.reason, r.encoding) == (201, b"Created", "utf-8")
    assert r.headers == {
        "X-Rate-Limit": "12",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "2",
        "Empty": "",
    }
    assert urequests.get(net.url, parse_headers=False).headers == {}

    def only_mine(line, headers):
        lines.append(line)
        if line.startswith(b"X-"):
            headers["mine"] = line

    lines = []
    assert urequests.get(net.url, parse_headers=only_mine).headers == {"mine": b"X-Rate-Limit: 12\r\n"}
    assert len(lines) == 4 and b"Content-Length: 2\r\n" in lines


STRANGE = (
    b"HTTP/1.1 100 Continue\r\nX: interim\r\nY: interim\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200\r\nX: final\r\nX:  last \r\nLong: " + b"y" * 700 + b"\r\nCaf\xe9: \xe9\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\n\xc3\xa9!\r\n5;x=y\r\n HTTP\r\n8\r\n/1.1 9\r\n\r\n0\r\nTrailer: t\r\n\r\n"
)


@pytest.mark.parametrize(
    "net", [network(raw(STRANGE)), network(drip(raw(STRANGE), ms=0), tls=False)], ids=("once", "byte_by_byte")
)
def test_a_strange_answer(net):
    use(net)
    r = urequests.get(net.url)
    assert (r.status_code, r.reason) == (200, b"")
    assert r.text == "é! HTTP/1.1 9\r\n"
    assert r.content == "é! HTTP/1.1 9\r\n".encode()
    assert r.headers == {"X": "last", "Long": "y" * 700, "Transfer-Encoding": "chunked"}


@network(raw(b"HTTP/1.0 200 OK\nX: y\n\nuntil the end", close=True), tls=False)
def test_an_old_server(net):
    use(net)
    r = urequests.get(net.url)
    assert (r.text, r.headers, r.reason) == ("until the end", {"X": "y"}, b"OK")


@network(answer(200, '{"a": [1, 2.5, "é"]}'), answer(200, "not json"), answer(204, ""), answer(200, b"\xff\xfe"))
def test_the_body_in_its_forms(net):
    use(net)
    r = urequests.get(net.url)
    assert r.json() == {"a": [1, 2.5, "é"]}
    assert r.json() == {"a": [1, 2.5, "é"]}
    assert r.text == '{"a": [1, 2.5, "é"]}'
    assert r.content == r.text.encode()
    assert (r.raw.read(4), r.raw.read()) == (b'{"a"', r.content)
    r.close()
    r.close()
    assert r.content is None
    r = urequests.get(net.url)
    with pytest.raises(ValueError):
        r.json()
    assert r.text == "not json"
    r = urequests.get(net.url)
    assert (r.status_code, r.content, r.text) == (204, b"", "")
    r = urequests.get(net.url)
    assert r.content == b"\xff\xfe"
    with pytest.raises(ValueError):
        r.text  # noqa: B018


@pytest.mark.parametrize(
    "net",
    [network(answer(200, "x" * 8000)), network(answer(200, "x" * 8000, headers={"Content-Length": None}, close=True))],
    ids=("length", "until_close"),
)
def test_a_body_of_the_limit(net):
    use(net, limit=8000)
    assert urequests.get(net.url).text == "x" * 8000
    use(net, limit=7999)
    with pytest.raises(OSError, match="body longer"):
        urequests.get(net.url)


# redirects


class Routed:
    """Ports as a redirect names them all lead to the scripted server; `asked` has what was meant."""

    def __init__(self, net):
        self.net = net
        self.asked = []

    def __enter__(self):
        self.real = urequests.Session
        urequests.Session = self.lead
        return self

    def __exit__(self, *error):
        urequests.Session = self.real

    def lead(self, host, port, roots, *more):
        self.asked.append(("http" if roots is None else "https", host, port))
        return self.real(host, self.net.port, roots, *more)


HERE = "https://localhost"
OTHER = "https://127.0.0.1"  # the same server by another name, which is in its certificate, too

# status, method, Location; then what is asked for in the end ("" when nothing more), and whether the caller's
# headers go along
REDIRECTS = [
    (301, "GET", "/b?x=1", HERE + "/b?x=1", True),
    (302, "GET", HERE + "/b", HERE + "/b", True),
    (302, "GET", HERE + "/b#c", HERE + "/b", True),
    (302, "GET", HERE, HERE + "/", True),
    (302, "GET", HERE + ":443/b", HERE + ":443/b", False),
    (303, "GET", OTHER + "/b", OTHER + "/b", False),
    (307, "GET", OTHER + "/b c", OTHER + "/b%20c", False),
    (308, "HEAD", HERE + "/b", HERE + "/b", True),
    (308, "HEAD", HERE + ":8443/b", HERE + ":8443/b", False),
    (308, "GET", OTHER, OTHER + "/", False),
    (302, "GET", OTHER + "/" + "x" * 900, OTHER + "/" + "x" * 900, False),
    # never turned into GET, and a body never goes elsewhere
    (301, "POST", "/b", "", True),
    (302, "POST", HERE + "/b", "", True),
    (303, "POST", "/b", "", True),
    (302, "DELETE", "/b", "", True),
    (307, "POST", "/b", HERE + "/b", True),
    (308, "PUT", HERE + "/b", HERE + "/b", True),
    (307, "POST", OTHER + "/b", "", True),
    (308, "PATCH", OTHER + "/b", "", True),
    # no redirect, or one to where nobody goes
    (300, "GET", "/b", "", True),
    (304, "GET", "/b", "", True),
    (201, "GET", "/b", "", True),
    (302, "GET", "", "", True),
    (302, "GET", "b", "", True),
    (302, "GET", "//127.0.0.1/b", "", True),
    (302, "GET", "ftp://localhost/b", "", True),
    # out of the verified into the open
    (302, "GET", "http://localhost/b", "", True),
    (307, "POST", "http://localhost/b", "", True),
]


def to(status, location):
    return answer(status, "moved", headers={"Location": location})


@pytest.mark.parametrize(
    "net, row",
    [
        pytest.param(network(to(row[0], row[2]), answer(200, "arrived")), row, id=f"{number}_{row[0]}_{row[1]}")
        for number, row in enumerate(REDIRECTS)
    ],
)
def test_redirects(net, row):
    status, method, location, end, kept = row
    use(net)
    fields = {"Device-Token": TOKEN, "Accept": "text/plain", "Cookie": "c", "Content-Type": "text/x", "Host": "mine"}
    body = "body" if method[0] == "P" else ""
    before = descriptors()
    with Routed(net) as route:
        r = urequests.request(method, HERE + "/a?k=1", headers=fields, data=body or None, auth=("u", "p"))
    assert descriptors() == before
    seen = net.requests()
    assert (seen[0]["path"], seen[0]["headers"]["host"]) == ("/a?k=1", "mine")
    assert len(seen) == (2 if end else 1)
    assert [one["method"] for one in seen] == [method] * len(seen)
    assert [one["body"] for one in seen] == [body] * len(seen)
    last = seen[-1]["headers"]
    assert last["accept"] == "text/plain"
    for name, value in (
        ("device-token", TOKEN), ("cookie", "c"), ("authorization", "Basic dTpw"), ("content-type", "text/x"),
    ):  # fmt: skip
        assert last.get(name) == (value if kept else None)
    if not end:
        assert r.status_code == status
        assert r.headers["Location"] == location
        assert r.text == ("" if status == 304 else "moved")
        return
    assert (r.status_code, r.text) == (200, "" if method == "HEAD" else "arrived")
    scheme, host, port = route.asked[-1]
    assert end == scheme + "://" + last["host"] + seen[-1]["path"]
    assert last["host"].split(":")[0] == host
    assert port == (8443 if ":8443" in end else 443)


@network(to(302, "/again"))
def test_redirects_without_end(net):
    use(net)
    r = urequests.get(net.url)
    assert r.status_code == 302
    assert len(net.requests()) == 5


@network(to(302, "https://u:KEY@localhost/b"))
def test_a_redirect_to_no_url(net):
    use(net)
    with pytest.raises(ValueError, match="not http(s)://host") as caught:
        urequests.get(net.url)
    assert "KEY" not in str(caught.value)


@network(to(307, "http://localhost.example/b"), answer(200), to(307, "http://localhost.example/b"), tls=False)
def test_a_name_that_begins_like_ours_is_another(net):
    use(net)
    with Routed(net) as route:
        assert urequests.get("http://localhost/a", headers={"Device-Token": TOKEN}).status_code == 200
        assert urequests.post("http://localhost/a", headers={"Device-Token": TOKEN}).status_code == 307
    assert route.asked[1] == ("http", "localhost.example", 80)
    assert ["device-token" in one["headers"] for one in net.requests()] == [True, False, True]


@network(to(307, "/b"))
def test_an_iterator_cannot_be_sent_twice(net):
    use(net)
    r = urequests.post(net.url, data=gives("a"))
    assert (r.status_code, r.headers["Location"]) == (307, "/b")
    assert len(net.requests()) == 1


@network(to(301, HERE + "/b"), tls=False)
def test_from_the_open_into_the_verified(net):
    use(net)
    with Routed(net) as route, pytest.raises(OSError, match="localhost: handshake: "):
        urequests.get("http://localhost/a", headers={"Device-Token": TOKEN}, timeout=0.5)
    assert route.asked == [("http", "localhost", 80), ("https", "localhost", 443)]


# where roots and name servers come from


@chips(networks={"shed": "PASSWORD-5678"})
@network(answer(200))
def test_name_servers_of_the_joined_network(net, chips):
    from network import STA_IF, WLAN

    urequests.configure(roots=net.roots)
    urequests._name_servers = None
    before = descriptors()
    with pytest.raises(OSError, match="no name server: the network gave none; join a network first"):
        urequests.get(net.url)
    wlan = WLAN(STA_IF)
    wlan.active(True)
    wlan.connect("shed", "PASSWORD-5678")
    while not wlan.isconnected():
        time.sleep_ms(5)
    assert urequests.get(net.url).status_code == 200
    assert net.queries() == ["localhost"]
    assert descriptors() == before


def put(folder, roots):
    for number, root in enumerate(roots):
        with open(f"{folder}/{number:02d}.der", "wb") as file:
            file.write(root)


@network(answer(200))
def test_roots_of_a_folder(net, tmp):
    os.mkdir(tmp + "/certs")
    put(tmp + "/certs", net.roots)
    use(net, tmp + "/certs")
    for _ in range(2):
        assert urequests.get(net.url).status_code == 200


class Ram:
    """A flash of 8 KB."""

    def __init__(self):
        self.data = bytearray(8192)

    def readblocks(self, n, buf, off=0):
        buf[:] = memoryview(self.data)[n * 512 + off :][: len(buf)]

    def writeblocks(self, n, buf, off=0):
        self.data[n * 512 + off : n * 512 + off + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: 16, 5: 512}.get(op, 0)


@only("micropython", why="on CPython / is the computer's own")
@network(answer(200))
def test_roots_as_the_build_puts_them(net):
    import vfs

    flash = Ram()
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/roots")
    put("/roots", net.roots)
    urequests.configure(name_servers=net.dns)
    assert urequests.get(net.url).status_code == 200


@network(drip(answer(200), ms=1))
def test_a_watchdog_is_fed_while_something_moves(net):
    use(net)
    told = []
    urequests.configure(progress=told.append)
    urequests.get(net.url, timeout=7)
    assert len(told) > 3
    # longer than the longest wait, which is the time-out
    assert min(told) > 7000 and max(told) < 14000
    urequests.configure(progress=ignore)


# for years


@pytest.mark.parametrize(
    "net",
    [network(answer(200, REPORT)), network(answer(200, REPORT), tls=False), network(drop("fin"))],
    ids=("tls", "plain", "failing"),
)
@timeout(120)
def test_a_hundred_calls_leave_nothing(net):
    use(net)
    before = descriptors()
    held = []
    for number in range(100):
        assert weather(net.url, 1, time.sleep) in (11.25, None)
        if number % 20 == 19:
            gc.collect()
            held.append(gc.mem_alloc())
    assert descriptors() == before
    # the first round makes room in lists and tables
    assert max(held[1:]) - held[1] < 256, held
    assert len(net.connections()) == 100


# inside a running event loop


async def tick(ticks):
    while True:
        ticks.append(time.ticks_ms())
        await asyncio.sleep_ms(1)


async def late(reader, writer):
    await asyncio.sleep_ms(40)
    writer.write(b"late")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def listening():
    """A server that answers late, and its port."""
    while True:
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 20000
        try:
            return await asyncio.start_server(late, "127.0.0.1", port), port
        except OSError:
            pass  # taken


@network(answer(200, REPORT), cut(10), answer(200, REPORT))
async def test_inside_a_task(net):
    """The others stand still and go on; who called can wait again; whoever waited, for whatever, gets it."""
    use(net)
    ticks = []
    woken = []
    event = asyncio.Event()
    lock = asyncio.Lock()
    server, port = await listening()
    before = descriptors()

    async def sleeper():
        await asyncio.sleep_ms(40)
        woken.append("slept")

    async def waiter():
        await event.wait()
        async with lock:
            woken.append("told")

    async def reader():
        stream, writer = await asyncio.open_connection("127.0.0.1", port)
        woken.append((await stream.read(4)).decode())
        writer.close()
        await writer.wait_closed()

    ticking, *tasks = [asyncio.create_task(job) for job in (tick(ticks), sleeper(), waiter(), reader())]
    await asyncio.sleep_ms(10)
    me = asyncio.current_task()
    for number in range(3):
        async with lock:
            count = len(ticks)
            if number == 1:
                with pytest.raises(OSError, match="in the middle"):
                    urequests.get(net.url)
            else:
                assert urequests.get(net.url).json()["main"]["temp"] == 11.25
            assert len(ticks) == count
        assert asyncio.current_task() is me
        while len(ticks) == count:
            await asyncio.sleep_ms(1)
    event.set()
    for task in tasks:
        await task
    assert sorted(woken) == ["late", "slept", "told"]
    ticking.cancel()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for_ms(event_that_never_comes(), 5)
    assert descriptors() == before
    server.close()
    await server.wait_closed()


async def event_that_never_comes():
    await asyncio.Event().wait()


@network(answer(200, REPORT))
async def test_from_several_tasks(net):
    use(net)
    before = descriptors()

    async def ask(number):
        for _ in range(3):
            await asyncio.sleep_ms(number)
            assert urequests.get(net.url).status_code == 200

    await asyncio.gather(ask(0), ask(1), ask(2))
    assert len(net.requests()) == 9
    assert descriptors() == before


@network(answer(200, REPORT))
def test_tasks_left_behind_stay_where_they_are(net):
    """A program that calls between two asyncio.run() finds its tasks as it left them."""
    use(net)
    ticks = []

    async def begin():
        task = asyncio.create_task(tick(ticks))
        await asyncio.sleep_ms(3)
        return task

    async def end(task):
        await asyncio.sleep_ms(3)
        task.cancel()

    task = asyncio.run(begin())
    count = len(ticks)
    assert urequests.get(net.url).status_code == 200
    assert len(ticks) == count
    asyncio.run(end(task))
    assert len(ticks) > count


class Stop(BaseException):
    """As Ctrl-C comes: at any place, and not an Exception."""


@pytest.mark.parametrize(
    "net",
    [network(answer(200, REPORT)), network(dns=silence()), network(stall("handshake")), network(stall("answer"))],
    ids=("answer", "resolve", "handshake", "stalled"),
)
async def test_interrupted_anywhere(net):
    """Whatever is raised at whatever place passes through, and the loop outside goes on."""
    use(net)
    before = descriptors()
    ticks = []
    ticking = asyncio.create_task(tick(ticks))
    told = []

    def stop(ms):
        told.append(ms)
        if len(told) == number:
            raise Stop

    urequests.configure(progress=stop)
    stops = 0
    for number in (1, 2, 3, 4):  # noqa: B007 - stop() looks at it
        told.clear()
        try:
            urequests.get(net.url, timeout=0.5)
        except Stop:
            stops += 1
        except OSError:
            pass
        count = len(ticks)
        while len(ticks) == count:
            await asyncio.sleep_ms(1)
        assert descriptors() == before
    assert stops
    ticking.cancel()
    urequests.configure(progress=ignore)


@pytest.mark.parametrize(
    "net",
    [network(answer(200), dns=silence()), network(stall("connect")), network(stall("handshake")), network(answer(200))],
    ids=("resolve", "connect", "handshake", "answer"),
)
def test_ctrl_c(net):
    """Ctrl-C is raised where the time is spent: while the loop waits for the network."""
    use(net)
    before = descriptors()

    def interrupt(ms):
        queue = asyncio.core._io_queue
        wait = queue.wait_io_event
        if wrapped:
            return
        wrapped.append(queue)

        def waiting(dt):
            waits.append(dt)
            if len(waits) == number:
                queue.wait_io_event = wait
                raise KeyboardInterrupt
            wait(dt)

        queue.wait_io_event = waiting

    interrupted = 0
    for number in (1, 2, 3, 4, 5, 9, 20):
        waits = []
        wrapped = []
        urequests.configure(progress=interrupt)
        try:
            urequests.get(net.url, timeout=0.3)
            raise OSError
        except (KeyboardInterrupt, OSError) as error:
            caught = error
        assert isinstance(caught, KeyboardInterrupt) == (len(waits) >= number)
        interrupted += len(waits) >= number
        assert descriptors() == before
    assert interrupted > 1
    urequests.configure(progress=ignore)
