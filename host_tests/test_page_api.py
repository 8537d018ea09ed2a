"""The stand-in's page without a browser: who is let in, what it tells, that no token gets out, what it changes."""

import asyncio
import contextlib
import csv
import http.client
import io
import json
import re
import socket
import ssl
import sys
import threading
import urllib.error
import urllib.request
import uuid

import pytest
from cloud_client import Client
from harness import commands, places
from tagonode.cloud import LocalCloud, lan, listening
from tagonode.cloud.certificates import BAD_KINDS
from tagonode.cloud.faults import EVERY, KINDS, Fault
from tagonode.cloud.page import overview, state
from tagonode.cloud.page import recorder as recorder_module
from tagonode.cloud.page.live import Live
from tagonode.cloud.page.overview import RAW_POINTS, Habits, Node
from tagonode.cloud.page.recorder import BODY_KEPT, Exchange, Sender, mask

STATIC = places.REPOSITORY / "tools" / "tagonode" / "cloud" / "page" / "static"
NOW = 1_750_000_000  # s; the stand-in's clock in most tests here
CHANGE = {"X-TagoNode-Page": "1", "Content-Type": "application/json"}


class Page:
    """The page's address, asked as its own scripts ask it."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.port = cloud.page.port

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            sent = {"Host": f"127.0.0.1:{self.port}", **(CHANGE if headers is None else headers)}
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def get(self, path):
        status, _, text = self.ask("GET", f"/page/api/{path}")
        assert status == 200, text
        return json.loads(text)

    def put(self, path, body):
        status, _, text = self.ask("PUT", f"/page/api/{path}", body)
        return status, json.loads(text)

    def node(self, name):
        return next(node for node in self.get("fleet")["nodes"] if node["name"] == name)

    def requests(self, least, query=""):
        """Rows of the inspector, once there are so many: a request is taken down after its answer was sent."""
        told = threading.Event()
        listener = lambda exchange: told.set()  # noqa: E731
        self.cloud.page.recorder.listeners.append(listener)
        try:
            while len(rows := self.get(f"requests?{query}")["requests"]) < least:
                assert told.wait(20), f"{least} requests were to come, not {len(rows)}"
                told.clear()
        finally:
            self.cloud.page.recorder.listeners.remove(listener)
        return rows

    def series(self, node, query="range=1h"):
        found = self.get(f"nodes/{node}/series?{query}")
        return found, {one["name"]: one for one in found["variables"]}


@pytest.fixture(scope="module")
def clock():
    return {"s": NOW}


@pytest.fixture(scope="module")
def cloud(clock):
    with LocalCloud(page=True, page_port=0, clock=lambda: clock["s"]) as running:
        yield running


@pytest.fixture
def page(cloud, clock):
    clock["s"] = NOW
    cloud.page.recorder.clear()
    for device in cloud.faults.all():
        cloud.faults.set(device, None)
    return Page(cloud)


@pytest.fixture
def device(cloud, request):
    """(id, token, client) of a device of the test's own."""
    token = cloud.create_device(request.node.name)
    with Client(cloud, token) as client:
        yield cloud.device(token).id, token, client


def sample(at, **values):
    units = {"temperature": "°C", "battery": "V", "rssi": "dBm"}
    return [{"variable": n, "value": v, "time": int(at * 1000), "unit": units.get(n, "x")} for n, v in values.items()]


# -- its files -------------------------------------------------------------------------------------------------


def test_every_file_is_its_own_and_the_policy_forbids_others(page):
    status, headers, html = page.ask("GET", "/page/", headers={})
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    named = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert len(named) >= 6
    for path in named:
        assert path.startswith("/page/"), path
        status, headers, text = page.ask("GET", path, headers={})
        assert (status, bool(text)) == (200, True), path
        assert headers["content-security-policy"] == policy
    assert "uPlot" in page.ask("GET", "/page/uplot.js", headers={})[2][:200]
    assert not re.search(r"<script(?![^>]*src=)|style=|\son\w+=", html)  # nothing inline
    for file in STATIC.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.", text), file.name
        assert "innerHTML =" not in text, file.name  # what a node sends is never markup


def test_modules_import_what_is_there():
    for file in STATIC.glob("*.js"):
        text = file.read_text()
        for names, module in re.findall(r'import (.+?) from "\./([^"]+)";', text):
            other = (STATIC / module).read_text()
            for name in re.findall(r"[{,] *(\w+)", names):
                assert re.search(rf"export (?:async )?(?:function|const|class) {name}\b", other), (file.name, name)
        assert len(text.splitlines()) < 300, f"{file.name} is too long to read"


def test_the_ca_lies_at_a_plain_path(page, cloud):
    assert page.ask("GET", "/ca.pem", headers={})[2].encode() == cloud.ca_pem
    with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/ca.der") as answer:
        assert answer.read() == cloud.ca_der


PAIRS = [
    *((name, ground, 4.5) for name in ("ink", "muted", "accent") for ground in ("bg", "surface", "raised")),
    *((name, ground, 4.5) for name in ("good", "warn", "bad", "note") for ground in (f"{name}-bg", "surface")),
    *((name, "raised", 4.5) for name in ("good", "warn", "bad", "note")),
    ("on-accent", "accent", 4.5),
    *((name, ground, 3.0) for name in ("edge", "accent") for ground in ("bg", "surface", "raised")),
]


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("name", "ground", "least"), PAIRS)
def test_contrast_of_the_palette(name, ground, least, scheme):
    """WCAG 2.2: 1.4.3 for text, 1.4.11 for the edges of controls."""
    css = (STATIC / "style.css").read_text()
    palette = {n: (a, b)[scheme] for n, a, b in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)}
    light, dark = sorted((_luminance(palette[name]), _luminance(palette[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= least


def test_colours_come_from_the_palette_alone():
    for name in ("style.css", "parts.css"):
        rules = re.sub(r":root(?:\[[^]]*\])? \{.*?\}", "", (STATIC / name).read_text(), flags=re.S)
        assert not re.search(r"#[0-9a-f]{3,8}\b", rules), name


# -- who is let in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("localhost:9999", 200),  # forwarded
        ("[::1]:{port}", 200),
        ("rebound.example:{port}", 421),
        ("localhost.rebound.example", 421),
        ("", 421),
    ],
)
def test_a_foreign_name_gets_nothing(page, host, status):
    for path in ("/page/", "/page/api/fleet", "/ca.pem", "/"):
        found, _, text = page.ask("GET", path, headers={"Host": host.format(port=page.port)})
        assert (found if found != 307 else 200) == status, path
        if status == 421:
            assert "First device" not in text


def test_another_site_cannot_read_or_change(page, device):
    identity = device[0]
    own = f"http://127.0.0.1:{page.port}"
    changes = [
        ("PUT", f"/page/api/nodes/{identity}/parameters", {"key": "k", "value": "v"}),
        ("PUT", f"/page/api/nodes/{identity}/fault", {"kind": "500"}),
        ("PUT", f"/page/api/nodes/{identity}/active", {"active": False}),
        ("PUT", "/page/api/settings", {"plan": "free"}),
        ("PUT", "/page/api/certificate", {"kind": "expired"}),
        ("DELETE", "/page/api/certificate", None),
        ("DELETE", "/page/api/requests", None),
        ("DELETE", f"/page/api/nodes/{identity}/fault", None),
    ]
    foreign = [
        {"Content-Type": "application/json"},  # a form or fetch without the page's own header
        {"Content-Type": "text/plain", "Origin": own},
        {**CHANGE, "Origin": "http://other.example"},
        {**CHANGE, "Origin": "null"},
        {**CHANGE, "Origin": f"http://127.0.0.1:{page.port + 1}"},
        {**CHANGE, "Origin": own.replace("http", "https"), "X-Forwarded-Proto": "https"},
        {**CHANGE, "Sec-Fetch-Site": "cross-site"},
        {**CHANGE, "Sec-Fetch-Site": "same-site"},
    ]
    for method, path, body in changes:
        for headers in foreign:
            status, answered, _ = page.ask(method, path, body, headers)
            assert status == 403, (path, headers)
            assert "access-control-allow-origin" not in answered
        status, answered, _ = page.ask("OPTIONS", path, None, {"Origin": "http://other.example"})
        assert status >= 400
        assert "access-control-allow-origin" not in answered
    assert page.ask("GET", "/page/api/fleet", None, {"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert page.get(f"nodes/{identity}")["parameters"] == []
    assert page.get(f"nodes/{identity}")["active"] is True
    for method, path, body in changes:
        headers = {**CHANGE, "Origin": own, "Sec-Fetch-Site": "same-origin"}
        assert page.ask(method, path, body, headers)[0] == 200, path
    page.put("settings", {"plan": "none"})


def test_more_than_the_page_would_send_is_not_read(page, device):
    path = f"/page/api/nodes/{device[0]}/parameters"
    assert page.ask("PUT", path, {"key": "k", "value": "x" * 70_000})[0] == 413
    assert page.ask("PUT", path, None, {**CHANGE, "Content-Length": "10000000000"})[0] == 413
    assert page.ask("PUT", path, None, {**CHANGE, "Transfer-Encoding": "chunked"})[0] == 413
    assert page.get(f"nodes/{device[0]}")["parameters"] == []


def test_opened_to_a_network_everything_needs_the_key(monkeypatch):
    monkeypatch.setattr(lan, "names", lambda host: ["bench.local", "10.1.2.3"])
    with LocalCloud(page=True, page_port=0) as cloud:
        assert cloud.url == f"https://bench.local:{cloud.port}"
        page = Page(cloud)
        host = {"Host": f"bench.local:{page.port}"}
        path, _, key = cloud.page.address.partition("?key=")
        assert path == f"http://bench.local:{page.port}/page/"
        assert len(key) >= 20
        for locked in ("/page/", "/page/api/fleet", "/page/static/app.js", "/page/?key=wrong", "/page/?key="):
            status, _, text = page.ask("GET", locked, headers=host)
            assert (status, "First device" in text) == (401, False), locked
        assert page.ask("GET", "/ca.pem", headers=host)[0] == 200
        assert page.ask("GET", f"/page/?key={key}", headers={"Host": "rebound.example"})[0] == 421
        status, headers, _ = page.ask("GET", f"/page/?key={key}", headers=host)
        assert status == 200
        cookie = headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        known = {**host, "Cookie": cookie.partition(";")[0]}
        status, _, text = page.ask("GET", "/page/api/fleet", headers=known)
        assert (status, "First device" in text) == (200, True)
        assert page.ask("GET", "/page/api/fleet", headers={**host, "Cookie": "tagonode_page=other"})[0] == 401
        assert page.ask("PUT", "/page/api/settings", {"plan": "free"}, known)[0] == 403  # still not from elsewhere


def test_names_in_a_network():
    assert [lan.is_loopback(host) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost")] == [True] * 4
    assert [lan.is_loopback(host) for host in ("0.0.0.0", "10.0.0.1", "::", "bench")] == [False] * 4
    assert lan.names("127.0.0.1") == []
    assert lan.names("192.168.7.1") == ["192.168.7.1"]
    every = lan.names("0.0.0.0")
    assert every
    assert not [name for name in every if lan.is_loopback(name)]


# -- what it tells -----------------------------------------------------------------------------------------------


def test_a_node_in_the_fleet(page, cloud, device, clock):
    identity, _, client = device
    assert page.node(client_name(page, identity))["state"] == "never"
    for i in range(4):
        clock["s"] = NOW + 10 * i
        client.post(sample(clock["s"] - 1, temperature=20 + i, battery=3.9, rssi=-61))
    node = page.node(client_name(page, identity))
    assert node["state"] == "live"
    assert (node["records"], node["sample_ms"], node["upload_ms"]) == (12, 10_000, 10_000)
    assert node["last_seen"] == (NOW + 30) * 1000
    assert node["last_sample"] == (NOW + 29) * 1000
    assert (node["battery"]["value"], node["battery"]["unit"]) == (3.9, "V")
    assert node["rssi"]["value"] == -61
    assert node["queue"] is None
    assert node["version"] is None
    assert node["latest"]["temperature"]["value"] == 23
    assert node["alarms"] == []
    client.post(
        [{"variable": "queue_depth", "value": 7}, {"variable": "x", "value": 1, "metadata": {"version": "0.1.0"}}]
    )
    node = page.node(client_name(page, identity))
    assert node["queue"]["value"] == 7
    assert node["version"]["value"] == "0.1.0"
    assert node["records"] == 14
    client.post([{"variable": "event", "value": "started by reset: TagoNode 0.2.0 on pico_w, MicroPython 1.28.0"}])
    client.post(sample(NOW + 40, x=1))
    client.post([{"variable": "event", "value": "TagoNode says something else", "time": (NOW + 45) * 1000}])
    clock["s"] += 1
    client.post(sample(NOW + 46, x=2))
    assert page.node(client_name(page, identity))["version"]["value"] == "0.2.0"
    assert (node["trend"]["name"], node["trend"]["values"]) == ("temperature", [20, 21, 22, 23])
    with Client(cloud, cloud.account_token, "Account-Token") as owner:
        owner.call("PUT", f"/device/{identity}", {"name": ""})  # his mistake is not the node's
    page.requests(9)
    assert page.node(client_name(page, identity))["alarms"] == []
    clock["s"] = NOW + 3600
    node = page.node(client_name(page, identity))
    assert node["state"] == "silent"
    assert node["alarms"][0]["level"] == "bad"


def client_name(page, identity):
    return page.get(f"nodes/{identity}")["name"]


def _node(**changed):
    return Node(1, "a" * 24, "n", "immutable", 1, 0, 0, NOW * 1000)._replace(**changed)


def _exchange(status, path="/data"):
    return Exchange(1, 0, "POST", path, Sender("device", "a" * 24, "n"), status=status)


PRESENCE = [
    ({"active": 0}, Habits(None, None, None), 0, "off"),
    ({"last_input": None}, Habits(None, None, None), 0, "never"),
    ({}, Habits(None, None, 1), 600, "live"),  # one upload only: five minutes are usual
    ({}, Habits(2000, 5000, 1), 24, "live"),
    ({}, Habits(2000, 5000, 1), 26, "late"),
    ({}, Habits(2000, 5000, 1), 91, "silent"),
    ({}, Habits(60_000, 300_000, 1), 614, "live"),
    ({}, Habits(60_000, 300_000, 1), 616, "late"),
    ({}, Habits(900_000, 5000, 1), 1_800, "live"),  # it samples less often than it answers
]


@pytest.mark.parametrize(("changed", "habits", "age", "expected"), PRESENCE)
def test_presence(changed, habits, age, expected):
    assert state.presence(_node(**changed), habits, (NOW + age) * 1000) == expected


def _value(value, unit=None, age=0):
    return {"value": value, "unit": unit, "time": (NOW - age) * 1000, "metadata": None}


ALARMS = [
    ({}, None, "", []),
    ({"battery": _value(3.2, "V")}, None, "", ["Battery is low: 3.2 V"]),
    ({"battery": _value(3.4, "V")}, None, "", []),
    ({"state_of_charge": _value(12, "%")}, None, "", ["Battery is low: 12 %"]),
    ({"battery": _value("flat")}, None, "", []),
    ({"rssi": _value(-86, "dBm")}, None, "", ["Weak signal: -86 dBm"]),
    ({"event": _value("started by power on")}, None, "", []),
    ({"crash": _value("OSError: 5")}, None, "", ["Crash: OSError: 5"]),
    ({"dropped": _value(12)}, None, "", ["12 readings dropped: its queue was full"]),
    ({"quarantined": _value(0)}, None, "", []),
    ({"clock_state": _value(0)}, None, "", ["It does not know the time yet"]),
    ({"clock_state": _value(2)}, None, "", []),
    ({"alarm": _value(False)}, None, "", []),
    ({"a_alarm": _value(1), "a": _value(31.5, "°C")}, None, "", ["a is above its limit: 31.5 °C"]),
    ({"a_alarm": _value(-1, age=90_000)}, None, "", ["a is below its limit"]),
    ({"a_alarm": _value(0), "a": _value(20), "b_alarm": _value("x"), "_alarm": _value(1)}, None, "", []),
    ({"crash": _value("old", age=90_000)}, None, "", []),
    ({}, _exchange(429), "", ["Its last request was answered 429 (POST /data)"]),
    ({}, _exchange(None), "", ["Its last request got no answer (POST /data)"]),
    ({}, _exchange(200), "500, server error", ["Fault switched on: 500, server error"]),
]


def test_a_trend_is_of_what_the_node_measures(page, device):
    client = device[2]
    client.post(sample(NOW, a_alarm=1, rssi=-60, soil=3) + sample(NOW - 5, a_alarm=0, soil=2))
    assert page.node(client_name(page, device[0]))["trend"] == {"name": "soil", "values": [2, 3]}


@pytest.mark.parametrize(("latest", "last", "fault", "expected"), ALARMS)
def test_alarms(latest, last, fault, expected):
    found = state.alarms(_node(), Habits(1000, 1000, NOW * 1000), latest, last, fault, NOW * 1000)
    assert [alarm["text"] for alarm in found] == expected


def test_series_point_by_point(page, device, clock):
    identity, _, client = device
    client.post(sample(NOW - 30, temperature=1.5) + sample(NOW - 20, temperature=2) + sample(NOW - 4000, temperature=9))
    client.post([{"variable": "note", "value": "hello"}, {"variable": "door", "value": True}])
    found, by_name = page.series(identity)
    assert set(by_name) == {"temperature"}
    one = by_name["temperature"]
    assert (one["raw"], one["unit"]) == (True, "°C")
    assert one["t"] == [(NOW - 30) * 1000, (NOW - 20) * 1000]
    assert one["v"] == [1.5, 2]
    assert one["a"] == [NOW * 1000] * 2
    clock["s"] = NOW + 5
    client.post(sample(NOW + 4, temperature=3))
    more, by_name = page.series(identity, f"range=1h&after={found['last']}")
    assert by_name["temperature"]["v"] == [3]
    assert by_name["temperature"]["a"] == [(NOW + 5) * 1000]
    assert page.series(identity, f"range=1h&after={more['last']}")[1] == {}
    assert page.series(identity, "range=24h")[1]["temperature"]["v"] == [9, 1.5, 2, 3]
    between = f"from={(NOW - 25) * 1000}&to={NOW * 1000}"
    assert page.series(identity, between)[1]["temperature"]["v"] == [2]
    between = f"from={NOW * 1000 + 4_500}&to={(NOW + 9) * 1000}"  # sampled before, arrived in it
    assert page.series(identity, between)[1] == {}
    assert page.series(identity, f"{between}&by=arrived")[1]["temperature"]["v"] == [3]
    assert page.series(identity, f"{between}&after={found['last']}")[1] == {}
    assert page.series(identity, f"{between}&after={found['last']}&by=arrived")[1]["temperature"]["v"] == [3]
    texts = page.get(f"nodes/{identity}")["texts"]
    assert {(text["variable"], text["value"]) for text in texts} == {("note", "hello"), ("door", True)}


def test_a_long_series_is_gathered_with_its_extremes(page, device):
    identity, _, client = device
    values = [float(i % 100) for i in range(3 * RAW_POINTS)]
    records = [sample(NOW - 3 * RAW_POINTS + i, temperature=v)[0] for i, v in enumerate(values)]
    records[1234]["value"] = 5000.0
    for i in range(0, len(records), 1500):
        assert client.post(records[i : i + 1500])[0] == 200
    _, by_name = page.series(identity, "range=24h")
    one = by_name["temperature"]
    assert one["raw"] is False
    assert len(one["t"]) == len(one["v"]) == len(one["lo"]) == len(one["hi"]) < RAW_POINTS
    assert one["t"] == sorted(one["t"])
    assert max(one["hi"]) == 5000
    assert min(one["lo"]) == 0
    assert all(lo <= v <= hi for lo, v, hi in zip(one["lo"], one["v"], one["hi"], strict=True))


def test_a_gap_is_what_is_longer_than_usual(page, device):
    identity, _, client = device
    client.post([r for i in range(60) if not 20 <= i < 40 for r in sample(NOW - 600 + 10 * i, temperature=i)])
    client.post([r for i in range(6) for r in sample(NOW - 600 + 100 * i, uptime=i)])
    _, by_name = page.series(identity)
    assert 20_000 < by_name["temperature"]["gap"] < 200_000
    assert 200_000 < by_name["uptime"]["gap"] < 2_000_000  # each by its own habit
    found, _ = page.series(identity)
    client.post(sample(NOW, temperature=1))
    _, by_name = page.series(identity, f"range=1h&after={found['last']}")
    assert by_name["temperature"]["gap"] == 35_000


def test_csv(page, device):
    identity, _, client = device
    client.post(sample(NOW - 7200, temperature=1.25))
    client.post(
        [
            *sample(NOW - 60, temperature=-3.5),
            {"variable": "text", "value": '=HYPERLINK("x")', "group": "g_1", "metadata": {"a": "é,1"}},
            {"variable": "place", "value": "a\nb", "location": {"lat": 1, "lng": 2}},
            {"variable": "+cmd|", "value": "@sum(a)", "unit": "-1+1", "group": "\t=1"},
        ]
    )
    status, headers, text = page.ask("GET", f"/page/api/nodes/{identity}/data.csv?range=1h")
    assert status == 200
    assert headers["content-type"].startswith("text/csv")
    assert re.fullmatch(r'attachment; filename="[\w-]+\.csv"', headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["variable"] for row in rows] == ["temperature", "text", "place", "'+cmd|"]
    assert [rows[3][name] for name in ("value", "unit", "group")] == ["'@sum(a)", "'-1+1", "'\t=1"]
    assert rows[0] == {
        "time": "2025-06-15T15:05:40.000Z",
        "arrived": "2025-06-15T15:06:40.000Z",
        "variable": "temperature",
        "value": "-3.5",
        "unit": "°C",
        "group": rows[0]["group"],
        "location": "",
        "metadata": "",
    }
    assert rows[1]["value"] == '\'=HYPERLINK("x")'  # no spreadsheet runs it
    assert json.loads(rows[1]["metadata"]) == {"a": "é,1"}
    assert rows[2]["value"] == "a\nb"
    everything = page.ask("GET", f"/page/api/nodes/{identity}/data.csv?range=all")[2]
    assert everything.count("temperature") == 2


def test_csv_in_pieces(page, device, monkeypatch):
    """Many of one moment, over the end of a piece: each of them once."""
    identity, _, client = device
    client.post([{"variable": "v", "value": n, "time": (NOW - n // 7) * 1000} for n in range(40)])
    for size in (1, 7, 39, 40, 41):
        monkeypatch.setattr(overview, "CSV_ROWS", size)
        text = page.ask("GET", f"/page/api/nodes/{identity}/data.csv?range=all")[2]
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [int(row["value"]) for row in rows] == sorted(range(40), key=lambda n: (-(n // 7), n))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nodes/ffffffffffffffffffffffff", 404),
        ("nodes/ffffffffffffffffffffffff/series", 404),
        ("nodes/{id}/series?range=1y", 400),
        ("nodes/{id}/series?from=-5&to=3", 422),
        ("nodes/{id}/series?by=luck", 422),
        ("nodes/{id}/series?after=99999999999999999999", 422),
        ("nodes/{id}/data.csv?from=0&to=99999999999999999999", 422),
        ("requests/99999999", 404),
        ("nowhere", 404),
    ],
)
def test_questions_that_cannot_be_answered(page, device, path, status):
    found, headers, text = page.ask("GET", "/page/api/" + path.format(id=device[0]))
    assert found == status
    assert json.loads(text)["detail"]
    assert "content-security-policy" in headers


# -- the inspector -----------------------------------------------------------------------------------------------


def test_what_the_inspector_tells_of_a_request(page, device):
    identity, token, client = device
    client.post(sample(NOW, temperature=21))
    client.call("GET", "/info?fields=x")
    client.post([{"variable": "bad name", "value": 1}])
    rows = page.requests(3, f"node={identity}")
    assert [(row["method"], row["path"], row["status"]) for row in rows] == [
        ("POST", "/data", 400),
        ("GET", "/info?fields=x", 200),
        ("POST", "/data", 200),
    ]
    assert [(row["handshake"], row["nth"]) for row in rows] == [("reused", 3), ("reused", 2), ("new", 1)]
    assert len({row["connection"] for row in rows}) == 1
    assert all(row["name"] == page.get(f"nodes/{identity}")["name"] for row in rows)
    first = page.get(f"requests/{rows[2]['number']}")
    assert json.loads(first["request_body"])[0]["value"] == 21
    assert json.loads(first["answer_body"])["status"] is True
    assert first["body_up"] == len(first["request_body"].encode())
    assert first["wire_up"] > first["body_up"] + 500  # a handshake
    assert rows[1]["wire_up"] < first["wire_up"]
    assert ["device-token", "•••"] in first["request_headers"]
    only = page.get(f"requests?node={identity}&failed=true")["requests"]
    assert [row["status"] for row in only] == [400]
    assert page.ask("DELETE", "/page/api/requests")[0] == 200
    assert page.get("requests")["requests"] == []


def test_no_token_leaves_the_inspector(page, cloud, device):
    """Whatever was asked, whatever was answered: the page's API never tells a token or a password."""
    identity, token, client = device
    secret = "Quite-a-pass-phrase-77"
    stranger = str(uuid.uuid4())
    with Client(cloud, cloud.account_token, "Account-Token") as owner:
        made = owner.call("POST", "/device", {"name": "made here"})[1]["result"]
        owner.call("GET", f"/device/token/{identity}")
        extra = owner.call("POST", "/device/token", {"device": identity, "name": "more"})[1]["result"]["token"]
        owner.call("DELETE", f"/device/token/{extra}")
        owner.call("GET", f"/integration/network/resolve/x/{cloud.account_token}")
        owner.call("POST", "/account/login", {"email": "a@b.example", "password": secret})
    for header in ("Token", "Authorization", "Authentication", "Cookie"):
        client.call("GET", "/info", headers={header: stranger})
    client.call("GET", "/info", headers={"Cookie": f"session={secret}", "X-Api-Token": secret})
    client.call("GET", f"/data?token={stranger}&authorization_token={secret}")
    fleet = page.ask("GET", "/page/api/fleet")[2]
    client.post(
        [{"variable": "echo", "value": token}, {"variable": "token", "value": 1, "metadata": {"password": secret}}]
    )
    own = "a-token-of-ones-own-4711"
    named = cloud.create_device("named", token=own)
    with Client(cloud, named) as other:
        other.post([{"variable": "v", "value": own}])
    page.requests(14)
    told = [page.ask("GET", "/page/api/requests")[2]]
    told += [page.ask("GET", f"/page/api/requests/{row['number']}")[2] for row in json.loads(told[0])["requests"]]
    told += [page.ask("GET", "/page/api/settings")[2], page.ask("GET", f"/page/api/nodes/{identity}/series")[2]]
    assert len(told) > 12
    everything = "\n".join([*told, fleet])
    assert "•••" in everything
    secrets = [token, stranger, secret, extra, made["token"], own, cloud.account_token, cloud.network_token]
    found = [i for i, one in enumerate(secrets) if one in everything or one[:13] in everything]
    assert found == []


@pytest.mark.parametrize("shift", [*range(-40, 3), 300, 511, 512, 513, 600])
def test_a_token_at_the_end_of_what_is_kept_of_a_body(shift):
    token = str(uuid.uuid4())
    body = recorder_module._Body()
    text = "x" * (BODY_KEPT + shift - 1) + " " + token + " more"
    for i in range(0, len(text), 1000):
        body.add(text[i : i + 1000].encode())
    shown = body.text([])
    assert len(shown) <= BODY_KEPT
    assert body.size == len(text)
    assert token[:5] not in shown[-60:]


def test_masking_is_quick_whatever_comes():
    for text in ('"' * 200_000, '"token' * 30_000, "0" * 200_000, '{"token":"' * 20_000, "-0000" * 40_000):
        done = threading.Event()
        worker = threading.Thread(target=lambda text=text, done=done: (mask(text), done.set()), daemon=True)
        worker.start()
        assert done.wait(20), text[:10]


def test_long_paths_and_headers_are_cut(page, device):
    identity, _, client = device
    client.call("GET", "/info?" + "x" * 9_000, headers={"X-Long": "y" * 9_000})
    row = page.requests(1, f"node={identity}")[0]
    assert len(row["path"]) == 2_000
    assert max(len(value) for _, value in page.get(f"requests/{row['number']}")["request_headers"]) == 1_000


def test_bodies_that_are_no_text(page, device):
    identity, _, client = device
    client.call("POST", "/data", b"\xff\xfe\x00", {"Content-Type": "application/octet-stream"})
    client.call("POST", "/data", json.dumps([{"variable": "v", "value": "é" * 3000}] * 12, ensure_ascii=False).encode())
    rows = page.requests(2, f"node={identity}")
    assert page.get(f"requests/{rows[1]['number']}")["request_body"] == "3 bytes, not text: ff fe 00"
    long = page.get(f"requests/{rows[0]['number']}")
    assert long["body_up"] > BODY_KEPT
    assert 8_000 < len(long["request_body"]) <= BODY_KEPT


# -- faults ------------------------------------------------------------------------------------------------------

EFFECTS = {
    "429": (429, "Retry-After: 7"),
    "429_inside": (429, "Retry-After: 7"),
    "500": (500, "Internal"),
    "502": (502, "<html>"),
    "503": (503, ""),
    "401": (401, "denied"),
    "401_text": (401, '"result": "Authorization denied"'),
    "400": (400, '"message"'),
    "400_inside": (400, '"result": {"message"'),
    "413": (413, "200 kB"),
    "200_false": (200, '"status": false'),
    "200_portal": (200, "<html>"),
    "200_cut": (200, "resu"),
    "slow": (200, "Data Added"),
    # whichever of request and reset is there first
    "reset": (None, (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)),
    "lost": (None, http.client.RemoteDisconnected),
}


@pytest.mark.parametrize("kind", KINDS)
def test_faults(page, cloud, device, kind):
    identity, token, client = device
    status, said = EFFECTS[kind]
    seconds = 0.01 if kind == "slow" else 7
    fault = {"kind": kind, "seconds": seconds, "times": 1, "uploads": True}
    assert page.put(f"nodes/{identity}/fault", fault)[0] == 200
    assert page.get(f"nodes/{identity}")["fault"]["left"] == 1
    assert client.call("GET", "/info")[0] == 200  # no upload
    connection = client.connection
    headers = {**client.headers, "Content-Type": "application/json"}
    body = json.dumps(sample(NOW, temperature=1))
    if status is None:
        with pytest.raises(said):
            connection.request("POST", "/data", body, headers)
            connection.getresponse()
        connection.close()
    else:
        connection.request("POST", "/data", body, headers)
        answer = connection.getresponse()
        assert (answer.status, said in answer.read().decode()) == (status, True)
    assert cloud.count(token) == (1 if kind in ("slow", "lost") else 0)
    assert client.post(sample(NOW + 1, temperature=2))[0] == 200  # it is used up
    row = page.requests(3, f"node={identity}")[1]
    assert (row["status"], row["fault"]) == (status, KINDS[kind])
    assert page.get(f"nodes/{identity}")["fault"] is None


def test_a_fault_for_all_and_its_end(page, device):
    identity, _, client = device
    assert page.put("nodes/*/fault", {"kind": "500"})[0] == 200
    assert client.call("GET", "/info")[0] == 500
    assert page.get("fleet")["every_fault"]["kind"] == "500"
    assert page.put(f"nodes/{identity}/fault", {"kind": "401"})[0] == 200
    assert client.call("GET", "/info")[0] == 401  # its own comes first
    for name in (identity, "*"):
        assert page.ask("DELETE", f"/page/api/nodes/{name}/fault")[0] == 200
    assert client.call("GET", "/info")[0] == 200


NO_FAULTS = [
    {},
    {"kind": "luck"},
    {"kind": "500", "times": 0},
    {"kind": "slow", "seconds": -1},
    {"kind": "slow", "seconds": 1e9},
]


@pytest.mark.parametrize("fault", NO_FAULTS)
def test_faults_that_are_none(page, device, fault):
    status, body = page.put(f"nodes/{device[0]}/fault", fault)
    assert status in (400, 422)
    assert body["detail"]
    assert page.put("nodes/ffffffffffffffffffffffff/fault", {"kind": "500"})[0] == 404


def test_fault_texts():
    assert str(Fault("slow", 2.5)) == "Slow: answers late (2.5 s)"
    assert str(Fault("500", left=3)) == "500, server error, 3 more"


# -- changes -----------------------------------------------------------------------------------------------------


def test_parameters(page, cloud, device):
    identity, token, client = device
    assert page.put(f"nodes/{identity}/parameters", {"key": " sample.every ", "value": "30"})[0] == 200
    (one,) = client.get("/device/params?sent_status=false")
    assert (one["key"], one["value"], one["sent"]) == ("sample.every", "30", False)
    client.call("PUT", f"/device/params/{one['id']}")
    assert page.get(f"nodes/{identity}")["parameters"][0]["sent"] is True
    assert page.get("fleet")["nodes"][-1]["unread"] == 0
    page.put(f"nodes/{identity}/parameters", {"key": "sample.every", "value": "60"})
    (again,) = client.get("/device/params?sent_status=false")  # unread once more, and still one
    assert (again["id"], again["value"]) == (one["id"], "60")
    for key, value in ((" ", "x"), ("k" * 101, "x"), ("k", "x" * 6001), (1, "x"), ("k", 1)):
        assert page.put(f"nodes/{identity}/parameters", {"key": key, "value": value})[0] in (400, 422)
    assert page.ask("DELETE", f"/page/api/nodes/{identity}/parameters/{one['id']}")[0] == 200
    assert page.ask("DELETE", f"/page/api/nodes/{identity}/parameters/{one['id']}")[0] == 404
    assert client.get("/device/params") == []


def test_a_device_is_disabled_and_enabled(page, device):
    identity, _, client = device
    assert page.put(f"nodes/{identity}/active", {"active": False})[1]["state"] == "off"
    assert client.call("GET", "/info")[0] == 403
    assert page.put(f"nodes/{identity}/active", {"active": True})[1]["state"] == "never"
    assert client.call("GET", "/info")[0] == 200


def test_rate_limits(page, cloud, device):
    _, _, client = device
    status, body = page.put("settings", {"plan": "own", "limit": 2})
    assert (status, body["plan"], body["limit"]) == (200, "own", 2)
    assert [client.post(sample(NOW, temperature=i))[0] for i in range(3)] == [200, 200, 429]
    assert page.put("settings", {"plan": "free"})[1]["limit"] == 250
    for wrong in ({"plan": "gold"}, {"plan": "own"}, {"plan": "own", "limit": -1}):
        assert page.put("settings", wrong)[0] in (400, 422)
    assert page.put("settings", {"plan": "none"})[1]["plan"] == "none"
    assert cloud.limits.per_window == {}


# -- live --------------------------------------------------------------------------------------------------------


def _events(connection):
    connection.request("GET", "/page/api/events")
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.readline().startswith(b"retry")
    return answer


def _next(stream):
    while line := stream.readline():
        if line.startswith(b"data: "):
            return json.loads(line[6:])["nodes"]
    return "over"


def test_news_of_a_node_come_by_themselves(page, device):
    identity, _, client = device
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    with contextlib.closing(connection):
        stream = _events(connection)
        client.post(sample(NOW, temperature=1))
        assert _next(stream) == [identity]
        page.put(f"nodes/{identity}/parameters", {"key": "k", "value": "v"})
        assert _next(stream) == [identity]
        page.put("settings", {"plan": "none"})
        assert _next(stream) == [""]
    client.post(sample(NOW, temperature=1))  # nobody listens any more


def test_the_stand_in_ends_though_browsers_listen():
    cloud = LocalCloud(page=True, page_port=0)
    connection = http.client.HTTPConnection("127.0.0.1", cloud.page.port, timeout=20)
    with contextlib.closing(connection):
        stream = _events(connection)
        ended = threading.Thread(target=cloud.stop)
        ended.start()
        while _next(stream) != "over":
            pass
        ended.join(20)
        assert not ended.is_alive()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(cloud.page.address, timeout=5)


def test_streams_end_when_they_are_closed():
    async def listen():
        live = Live()
        stream = live.events()
        assert (await anext(stream)).startswith("retry")
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        live.close()
        with contextlib.suppress(StopAsyncIteration):
            await asyncio.wait_for(waiting, 20)
            await asyncio.wait_for(anext(stream), 20)
            raise AssertionError("it goes on")

    asyncio.run(listen())


def test_the_usual_port_is_left_to_who_has_it():
    with LocalCloud(page=True) as one, LocalCloud(page=True) as other:
        assert one.page.port != other.page.port
        with pytest.raises(OSError, match=f"Port {one.page.port} on 127.0.0.1"):
            LocalCloud(page=True, page_port=one.page.port)


def test_commands_to_paste_name_no_token(page, cloud):
    command = page.get("settings")["command"]
    assert cloud.device_token not in command
    assert f"--url {cloud.url}" in command
    assert str(cloud.ca_file) in command
    assert cloud.token_file.read_text() == cloud.device_token
    assert cloud.token_file.stat().st_mode & 0o077 == 0


def test_simulate_says_where_its_page_is():
    command = [sys.executable, "-m", "tagonode.cli", "simulate", "--sample-every", "0.2", "--upload-every", "0.5"]
    ended = commands.run(*command, "--samples", "2", "--json", timeout=60)
    assert re.match(r"page  http://127\.0\.0\.1:\d+/page/$", ended.stderr.splitlines()[0])
    assert (ended.returncode, json.loads(ended.stdout.splitlines()[-1])["samples"]) == (0, 2)


def test_names_of_parameters_that_change_a_node(page):
    known = {one["key"]: one["about"] for one in page.get("parameter-names")}
    assert {"sample.every", "upload.every", "log.level", "remote.every", "clock.every"} <= set(known)
    assert not [key for key in known if key.startswith(("wifi.", "tagoio.", "run.")) or not known[key]]


def test_odd_text_in_a_parameter(page, device):
    status, told = page.put(f"nodes/{device[0]}/parameters", {"key": "a\ud800", "value": "\udfff\x00"})
    assert (status, [(one["key"], one["value"]) for one in told["parameters"]]) == (200, [("a?", "?\x00")])
    assert page.put(f"nodes/{device[0]}/parameters", {"key": "\x00" * 101, "value": ""})[0] == 400


def test_bad_certificates_by_the_page(page, cloud):
    assert page.get("settings")["certificate"] is None
    assert [one["kind"] for one in page.get("settings")["certificate_kinds"]] == list(BAD_KINDS)
    try:
        told = page.put("certificate", {"kind": "wrong_host"})[1]["certificate"]
        assert told == {"kind": "wrong_host", "seconds": None, "begun": 0, "accepted": 0, "text": told["text"]}
        assert page.get("fleet")["certificate"]["text"] == "certificate for another host"
        assert page.put("certificate", {"kind": "good"})[0] == 400
        assert page.ask("DELETE", "/page/api/certificate")[0] == 200
        assert page.get("fleet")["certificate"] is None
    finally:
        cloud.tls.switch(None)


def test_who_does_not_finish_a_request_is_dropped(monkeypatch):
    """Slow loris: a connection that asks nothing, half a head, half a body; one that does is kept, and so is one whose
    long request the server itself is in no hurry to read."""
    monkeypatch.setattr(listening, "REQUEST_S", 0.4)
    with LocalCloud(page=True, page_port=0) as cloud:
        half = (
            f"POST /data HTTP/1.1\r\nHost: localhost\r\nToken: {cloud.device_token}\r\nContent-Length: 9\r\n".encode()
        )
        plain_port = int(cloud.plain_url.rpartition(":")[2])
        cases = [(cloud.page.port, b""), (cloud.page.port, half), (plain_port, half), (plain_port, half + b"\r\n[")]
        with contextlib.ExitStack() as stack:
            good = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", plain_port)))
            good.request("GET", "/status")
            assert good.getresponse().read()
            kept = good.sock
            cloud.faults.set(EVERY, Fault("slow", 1, left=1))
            patient = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", plain_port)))
            body = json.dumps([{"variable": "v", "value": "x" * 900}] * 190)
            patient.request("POST", "/data", body, {"Token": cloud.device_token})
            opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for port, _ in cases]
            for connection, (_, sent) in zip(opened, cases, strict=True):
                connection.sendall(sent)
            for connection in opened:
                connection.settimeout(20)
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(100) == b""
            good.request("GET", "/status")
            assert good.getresponse().status == 404
            assert good.sock is kept
            assert patient.getresponse().status == 200
