"""The local TagoIO over HTTPS: envelope, tokens, headers, bodies, and the official Python SDK as a client."""

import contextlib
import http.client
import json
import socket
import ssl
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

import pytest
from cloud_client import Client, trusting
from tagonode.cloud import LocalCloud, rules
from tagonode.cloud.gate import TOKEN_HEADERS

WRITE = "2026-03-31T12:30:15.250Z"


class Clock:
    """Unix seconds that a test can set."""

    def __init__(self):
        self.now = 1_774_960_215.25  # WRITE

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def cloud(clock):
    with LocalCloud(clock=clock) as cloud:
        yield cloud


@pytest.fixture
def token(cloud):
    return cloud.create_device("a device", "mutable")


@pytest.fixture
def client(cloud, token):
    with Client(cloud, token) as client:
        yield client


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_chain_is_verified_with_only_the_root(cloud, version, host):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=cloud.ca_der)
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", cloud.port)) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        certificate = tls.getpeercert()
        assert tls.version() == version.name.replace("_", ".")
    assert ("DNS", "localhost") in certificate["subjectAltName"]
    assert certificate["issuer"] != certificate["subject"]
    assert ssl.PEM_cert_to_DER_cert(cloud.ca_pem.decode()) == cloud.ca_der
    assert cloud.ca_file.read_bytes() == cloud.ca_pem


@pytest.mark.parametrize(
    ("ours", "host", "reason"),
    [(True, "api.tago.io", "Hostname mismatch"), (False, "localhost", "unable to get local issuer")],
)
def test_another_host_name_or_root_is_not_verified(cloud, ours, host, reason):
    context = trusting(cloud.ca_pem) if ours else ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", cloud.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match=reason),
    ):
        context.wrap_socket(plain, server_hostname=host)


def test_one_connection_carries_many_requests_and_is_counted(cloud, token):
    requests, connections, handshakes = cloud.requests, cloud.connections, cloud.handshakes
    up, down = cloud.wire_bytes
    with Client(cloud, token) as client:
        for _ in range(5):
            client.get("/info")
        assert cloud.requests - requests == 5
        assert cloud.connections - connections == 1
        assert cloud.handshakes - handshakes == 1
        (transport,) = cloud._wire.open
        # without it each answer waits for the client's delayed ACK
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        up, down = cloud.wire_bytes[0] - up, cloud.wire_bytes[1] - down
        assert 5 * 100 < up < 5 * 300 + 1000
        assert 5 * 400 + 1500 < down < 5 * 800 + 4000
    assert cloud.traffic.answers[200] >= 5


# -- envelope and headers ----------------------------------------------------------------------------------


def test_envelope_of_an_accepted_call(client, token):
    status, body = client.post({"variable": "t", "value": 1})
    assert (status, body) == (200, {"status": True, "result": "1 Data Added"})
    assert client.answer_headers["Content-Type"] == "application/json; charset=utf-8"
    assert client.answer_headers["Date"].endswith(" GMT")
    assert int(client.answer_headers["Content-Length"]) == len(rules.write_json(body))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("PATCH", "/data"),
        ("POST", "/info"),
        ("GET", "/data/a/b"),
        ("GET", "/docs"),
    ],
)
def test_unknown_routes(client, method, path):
    assert client.call(method, path) == (404, {"status": False, "message": "Route Not Found"})


@pytest.mark.parametrize("header", [*TOKEN_HEADERS, "DEVICE-TOKEN", "Authorization"])
def test_a_token_counts_in_any_header_without_regard_to_case(cloud, token, header):
    with Client(cloud, token, header) as client:
        assert client.get("/info")["name"] == "a device"


def test_the_first_header_with_a_token_counts(cloud, token):
    with Client(cloud) as client:
        both = {"Account-Token": "wrong", "Device-Token": token}
        assert client.call("GET", "/info", headers=both)[0] == 401
        assert client.call("GET", "/info", headers={**both, "Account-Token": " "})[0] == 200
        assert client.call("GET", "/info", headers={"Token": token, "Authorization": "wrong"})[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Device-Token": "x"}, {"Device-Token": ""}, {"Authorization": "Bearer {}"}])
def test_no_good_token(cloud, token, headers):
    headers = {name: text.format(token) for name, text in headers.items()}
    denied = (401, {"status": False, "message": "Authorization denied"})
    with Client(cloud) as client:
        for method, path in [
            ("GET", "/info"),
            ("POST", "/data"),
            ("GET", "/data"),
            ("GET", "/device/params"),
        ]:
            assert client.call(method, path, b"not read" if method == "POST" else None, headers) == denied


def test_an_account_token_is_no_device_token_and_prefixes_are_read(cloud, token):
    with Client(cloud) as client:
        assert client.call("GET", "/info", headers={"Device-Token": cloud.account_token})[0] == 401
        assert client.call("GET", "/info", headers={"Device-Token": "at" + token})[0] == 200
        assert client.call("GET", "/info", headers={"Device-Token": "zz" + token})[0] == 401


@pytest.mark.parametrize(
    ("permission", "calls"),
    [
        ("full", {"GET /info": 200, "POST /data": 200, "PUT /data": 200, "DELETE /data": 200}),
        (
            "write",
            {"GET /info": 401, "GET /data": 401, "POST /data": 200, "PUT /data": 200, "DELETE /data": 401},
        ),
        (
            "read",
            {"GET /info": 200, "GET /data": 200, "POST /data": 401, "PUT /data": 401, "DELETE /data": 401},
        ),
        ("deny", {"GET /info": 401, "GET /data": 401, "POST /data": 401}),
    ],
)
def test_permissions(cloud, token, permission, calls):
    limited = cloud.store.create_token(cloud.device(token).id, permission=permission)
    with Client(cloud, limited) as client:
        for call, expected in calls.items():
            body = {"POST": {"variable": "a"}, "PUT": {"id": "none"}}.get(call.split()[0])
            assert client.call(*call.split(), body)[0] == expected, call


def test_an_expired_token(cloud, token):
    identity = cloud.device(token).id
    for expires_at, status in [(1, 401), (2**50, 200)]:
        with Client(cloud, cloud.store.create_token(identity, expires_at=expires_at)) as client:
            assert client.call("GET", "/info")[0] == status


def test_a_disabled_device(cloud, client, token):
    cloud.store.edit_device(cloud.device(token).id, active=False)
    refusal = (403, {"status": False, "message": "Device is deactivated"})
    assert client.call("GET", "/info") == refusal
    assert client.post({"variable": "a"}) == refusal
    cloud.store.edit_device(cloud.device(token).id, active=True)
    assert client.call("GET", "/info")[0] == 200


# -- bodies ------------------------------------------------------------------------------------------------


def test_a_body_of_200_kb_fits_and_one_byte_more_does_not(client):
    records = [{"variable": f"v{n}", "value": "x" * 5900} for n in range(33)]
    body = json.dumps(records).encode()
    body += b" " * (200_000 - len(body))
    assert client.post(body) == (200, {"status": True, "result": "33 Data Added"})
    before = client.get("/data?query=count")
    refusal = (413, {"status": False, "message": "Body must be at most 200 kB"})
    assert client.post(body + b" ") == refusal
    assert client.post(b" " * 2_000_000) == refusal
    assert client.get("/data?query=count") == before  # over the same connection


def test_a_chunked_body(cloud, client):
    client.connection.request(
        "POST", "/data", iter([b'[{"vari', b'able":"a"}', b"]"]), client.headers, encode_chunked=True
    )
    assert json.loads(client.connection.getresponse().read())["result"] == "1 Data Added"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("application/json", 200), ("Application/JSON; charset=utf-8", 200), ("text/plain", 400), ("", 200)],
)
def test_content_types(client, content_type, status):
    assert client.call("POST", "/data", {"variable": "a"}, {"Content-Type": content_type})[0] == status


def test_a_compressed_body_is_refused(client):
    status, body = client.call("POST", "/data", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert status == 400
    assert "Content-Encoding" in body["message"]


def test_a_body_that_is_cut_short_stores_nothing(cloud, token):
    head = f"POST /data HTTP/1.1\r\nHost: localhost\r\nDevice-Token: {token}\r\nContent-Length: 90\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", cloud.port)) as plain,
        trusting(cloud.ca_pem).wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(head.encode() + b'{"variable":"a"}')
    with Client(cloud, token) as client:
        assert client.get("/data?query=count") == 0


@pytest.mark.parametrize("head", ["POST /nowhere", "PUT /device/params/0", "POST /data"])
def test_nobody_is_answered_in_the_middle_of_his_request(cloud, head):
    """Also where the body is of no interest: a client takes an early answer for a broken connection."""
    port = int(cloud.plain_url.rpartition(":")[2])
    other = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(other), socket.create_connection(("127.0.0.1", port), timeout=20) as early:
        early.sendall(f"{head} HTTP/1.1\r\nHost: localhost\r\nToken: nobodys\r\nContent-Length: 2\r\n\r\n[".encode())
        for _ in range(3):  # time enough for an answer
            other.request("GET", "/info")
            assert other.getresponse().read()
        early.setblocking(False)
        with pytest.raises(BlockingIOError):
            early.recv(1000)
        early.settimeout(20)
        early.sendall(b"]")
        assert early.recv(1000).startswith(b"HTTP/1.1 40")


def test_one_bad_record_stores_none(client):
    records = [{"variable": "a", "value": n} for n in range(50)]
    records[49]["unit"] = 5
    assert client.post(records) == (400, {"status": False, "message": "[49].unit must be a string"})
    assert client.get("/data") == []
    assert client.post([]) == (200, {"status": True, "result": "0 Data Added"})


def test_a_full_disk_stores_none_and_the_next_post_goes_on(cloud, client, caplog):
    (pages,) = cloud.store._writer.execute("PRAGMA page_count").fetchone()
    cloud.store._writer.execute(f"PRAGMA max_page_count={pages + 5}")
    body = [{"variable": "a", "value": "x" * 1000}] * 150
    try:
        assert client.post(body) == (500, {"status": False, "message": "Internal Server Error"})
        assert "disk is full" in caplog.text
        assert client.get("/data") == []
    finally:
        cloud.store._writer.execute("PRAGMA max_page_count=1000000")
    assert client.post(body)[0] == 200
    assert client.get("/data?query=count") == 150


def test_concurrent_posts_are_all_stored_whole(cloud, token):
    def send(name):
        with Client(cloud, token) as client:
            for n in range(10):
                assert client.post([{"variable": name, "group": f"{name}_{n}"}] * 20)[0] == 200

    threads = [threading.Thread(target=send, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    groups = [record["group"] for record in cloud.records(token)]
    assert len(groups) == 800
    assert {groups.count(group) for group in groups} == {20}
    # the records of one POST lie together: nobody else wrote in between
    assert len({tuple(groups[i : i + 20]) for i in range(0, 800, 20)}) == 40


# -- data --------------------------------------------------------------------------------------------------


def test_a_record_as_it_comes_back(cloud, client, token):
    client.post(
        {
            "variable": "Temp",
            "value": 21.5,
            "unit": "°C",
            "location": {"lat": 1, "lng": 2},
            "metadata": {"a": 1},
        }
    )
    (record,) = client.get("/data?details=true")
    identity = record.pop("id")
    group = record.pop("group")
    assert len(identity) == len(group) == 24
    assert record == {
        "device": cloud.device(token).id,
        "variable": "temp",
        "value": 21.5,
        "unit": "°C",
        "location": {"type": "Point", "coordinates": [2, 1]},
        "metadata": {"a": 1},
        "time": WRITE,
        "created_at": WRITE,
    }
    assert "created_at" not in client.get("/data")[0]
    assert client.get(f"/data?ids={identity}") == client.get(f"/data/{identity}") == client.get("/data/temp")
    client.post({"variable": "bare"})
    assert set(client.get("/data/bare")[0]) == {"id", "device", "variable", "group", "time"}


TEXT = st.text(st.characters(codec="utf-8"), max_size=25)
NAME = st.text(st.characters(codec="utf-8", exclude_characters="*?!<>.-=$ "), min_size=1, max_size=100).filter(
    lambda name: len(name.lower()) <= 100
)
LEAF = st.one_of(TEXT, st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
SENT = st.fixed_dictionaries(
    {"variable": NAME},
    optional={
        "value": LEAF,
        "unit": TEXT,
        "group": TEXT.filter(bool),
        "time": st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
        "location": st.fixed_dictionaries({"lat": st.floats(-90, 90), "lng": st.floats(-180, 180)}),
        "metadata": st.recursive(
            st.dictionaries(TEXT, st.one_of(st.none(), LEAF), max_size=3),
            lambda inner: st.dictionaries(TEXT, st.one_of(inner, st.lists(inner, max_size=2)), max_size=3),
            max_leaves=5,
        ),
    },
)


def as_doubles(value):
    """JSON with every number as the double that JavaScript makes of it."""
    if isinstance(value, dict):
        return {name: as_doubles(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_doubles(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@settings(max_examples=60, deadline=None)
@given(sent=st.lists(SENT, min_size=1, max_size=5))
def test_what_is_posted_is_what_comes_back(cloud, sent):
    with Client(cloud, cloud.create_device("round trip", "mutable")) as client:
        assert client.post(sent) == (200, {"status": True, "result": f"{len(sent)} Data Added"})
        got = sorted(client.get("/data?qty=10000"), key=lambda record: record["id"])
        if len({record["variable"] for record in got}) == 1:
            name = client.get("/data?query=last_insert")[0]
            assert name == got[-1]
    for before, after in zip(sent, got, strict=True):
        expected = {**before, "variable": before["variable"].lower()}
        if "location" in before:
            place = before["location"]
            expected["location"] = {"type": "Point", "coordinates": [place["lng"], place["lat"]]}
        found = {name: after[name] for name in after if name in expected}
        assert as_doubles(found) == as_doubles(expected)
        assert type(after.get("value")) is bool if isinstance(before.get("value"), bool) else True
        assert "value" in before or "value" not in after


def test_delete_forms(client):
    def fill():
        client.call("DELETE", "/data?qty=all")
        client.post([{"variable": v, "value": n, "time": n} for n in range(20) for v in ("a", "b")])

    for path, left, text in [
        ("/data", 39, "1 Data Removed"),
        ("/data?qty=10", 30, "10 Data Removed"),
        ("/data?qty=all", 0, "40 Data Removed"),
        ("/data?variables=a", 25, "15 Data Removed"),
        ("/data/a", 39, "1 Data Removed"),
        ("/data/a?qty=3", 37, "3 Data Removed"),
        ("/data/a?qty=all", 20, "20 Data Removed"),
        ("/data?query=last_item", 38, "2 Data Removed"),
        ("/data?values=3", 38, "2 Data Removed"),
        ("/data/0123456789abcdef01234567", 40, "0 Data Removed"),
    ]:
        fill()
        assert client.call("DELETE", path) == (200, {"status": True, "result": text}), path
        assert client.get("/data?query=count") == left, path
    fill()
    newest = client.get("/data")[0]["id"]
    assert client.call("DELETE", f"/data/{newest}?qty=5")[1]["result"] == "1 Data Removed"
    assert newest not in [record["id"] for record in client.get("/data?qty=100")]


def test_edit(client):
    client.post([{"variable": "a", "value": 1, "unit": "x"}, {"variable": "b"}])
    a = client.get("/data/a")[0]["id"]
    change = {
        "id": a,
        "value": False,
        "location": {"lat": 1, "lng": 2},
        "time": "2026-01-01",
        "metadata": {"k": 1},
    }
    assert client.call("PUT", "/data", change) == (200, {"status": True, "result": "1 item(s) updated"})
    (record,) = client.get("/data/a")
    assert (record["value"], record["unit"], record["metadata"]) == (False, "x", {"k": 1})
    assert (record["time"], record["location"]["coordinates"]) == ("2026-01-01T00:00:00.000Z", [2, 1])
    assert client.call("PUT", "/data", [{"id": "0" * 24, "value": 1}])[1]["result"] == "0 item(s) updated"


def test_an_immutable_device_refuses_changes_and_old_times(cloud):
    with Client(cloud, cloud.create_device("kept")) as client:
        assert client.post({"variable": "a"})[0] == 200
        for method, body, text in [
            ("PUT", {"id": "x"}, "You cannot edit data on immutable device"),
            ("DELETE", None, "Data in immutable devices cannot be deleted"),
        ]:
            assert client.call(method, "/data", body) == (400, {"status": False, "message": text})
        status, body = client.post({"variable": "a", "time": "2000-01-01T00:00:00Z"})
        assert (status, body["message"]) == (400, "Time must be between 2023-03-01 and 2026-04-01")
        assert client.call("GET", "/data?ids=1")[0] == 400
        assert client.get("/info")["type"] == "immutable"


def test_another_device_sees_nothing(cloud, client):
    client.post({"variable": "a"})
    identity = client.get("/data")[0]["id"]
    with Client(cloud, cloud.create_device("other", "mutable")) as other:
        assert other.get("/data") == other.get("/data?query=last_item") == other.get(f"/data?ids={identity}") == []
        assert other.call("DELETE", f"/data/{identity}")[1]["result"] == "0 Data Removed"
        assert other.call("PUT", "/data", {"id": identity, "value": 5})[1]["result"] == "0 item(s) updated"


def test_parameters(cloud, client, token):
    assert client.get("/device/params") == []
    identity = cloud.set_parameter(token, "check_rate", "600")
    row = {"id": identity, "key": "check_rate", "value": "600", "sent": False}
    assert client.get("/device/params") == client.get("/device/params?sent_status=false") == [row]
    assert client.get("/device/params?sent_status=true") == []
    updated = {"status": True, "result": "Params Successfully Updated"}
    assert client.call("PUT", f"/device/params/{identity}", {"sent": True}) == (200, updated)
    assert client.get("/device/params?sent_status=true") == [{**row, "sent": True}]
    assert cloud.set_parameter(token, "check_rate", "300") == identity
    assert client.get("/device/params?sent_status=false") == [{**row, "value": "300"}]
    assert client.call("PUT", "/device/params/none")[0] == 404


def test_rate_limits_are_windows_of_the_clock_minute(cloud, clock, client):
    cloud.limits.per_window["GET /info"] = 2
    try:
        assert [client.call("GET", "/info")[0] for _ in range(2)] == [200, 200]
        refusal = (
            429,
            {"status": False, "message": "Too many requests (Retry-After: 45)"},
        )  # 15.25 s into the minute
        assert client.call("GET", "/info") == refusal
        assert client.get("/data") == []
        clock.now += 44.75
        assert client.call("GET", "/info")[0] == 200
    finally:
        clock.now = Clock().now
        cloud.limits.per_window.clear()


def test_a_fault_of_its_own_is_a_500_in_the_envelope(cloud, client, monkeypatch, caplog):
    monkeypatch.setattr(cloud.store, "info", lambda device: 1 / 0)
    assert client.call("GET", "/info") == (500, {"status": False, "message": "Internal Server Error"})
    assert "ZeroDivisionError" in caplog.text


def test_an_interceptor_may_answer_instead(cloud, client):
    async def intercept(scope, receive, send):
        if scope["path"] != "/info":
            return False
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})
        return True

    cloud.traffic.intercept = intercept
    try:
        assert client.call("GET", "/info") == (503, {})
        assert client.get("/data") == []
    finally:
        cloud.traffic.intercept = None


# -- the official SDK --------------------------------------------------------------------------------------


@pytest.fixture
def device(cloud, token, monkeypatch):
    from tagoio_sdk import Device

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cloud.ca_file))
    return Device({"token": token, "region": {"api": cloud.url, "sse": cloud.url}})


def test_the_python_sdk_sends_and_reads(cloud, device, token):
    assert device.info()["name"] == "a device"
    assert (
        device.sendData({"variable": "temperature", "unit": "F", "value": 55, "time": "2015-11-03 13:44:33"})
        == "1 Data Added"
    )
    many = [{"variable": "humidity", "value": n, "location": {"lat": 42.3, "lng": -85.6}} for n in range(20)]
    assert device.sendData(many) == "20 Data Added"
    assert len(device.getData()) == 15
    assert [r["value"] for r in device.getData({"variables": ["humidity", "temperature"], "qty": 1})] == [
        19,
        55,
    ]
    (temperature,) = device.getData({"variables": "temperature"})
    assert (temperature["unit"], temperature["time"].isoformat()) == ("F", "2015-11-03T13:44:33")
    assert len(device.getData({"query": "last_item"})) == 2
    assert device.getData({"query": "count"})[0]["value"] == 21
    assert device.getData({"query": "sum", "variables": "humidity", "start_date": "1 day"})[0]["value"] == 190
    assert device.getData({"query": "max", "variables": "humidity"})[0]["value"] == 19
    assert device.editData({"id": temperature["id"], "value": 56}) == "1 item(s) updated"
    assert device.getData({"variables": "temperature"})[0]["value"] == 56
    assert device.deleteData({"variables": "humidity", "qty": 5}) == "5 Data Removed"
    assert device.deleteData() == "2 Data Removed"
    identity = cloud.set_parameter(token, "rate", "5")
    assert device.getParameters() == [{"id": identity, "key": "rate", "value": "5", "sent": False}]
    assert device.setParameterAsRead(identity) == "Params Successfully Updated"
    assert device.getParameters(onlyUnRead=True)[0]["sent"] is True  # the SDK asks for the read ones


def test_the_python_sdk_shows_the_texts_of_refusals(cloud, device):
    with pytest.raises(Exception, match="unit must be a string"):
        device.sendData({"variable": "a", "unit": 5})
    device.token = "wrong"
    with pytest.raises(Exception, match="Authorization denied"):
        device.info()


def test_the_plain_listener_has_the_date_and_counts_no_handshake(cloud):
    before = cloud.connections, cloud.handshakes
    connection = http.client.HTTPConnection("127.0.0.1", int(cloud.plain_url.rpartition(":")[2]))
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Date"][-4:]) == (404, " GMT")
    connection.close()
    assert (cloud.connections, cloud.handshakes) == before


def test_plain_http_on_the_tls_port_is_no_answer(cloud):
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port)
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.request("GET", "/info")
        connection.getresponse()
    connection.close()
