"""The local TagoIO's own API under /admin: faults of one device or of all, bad certificates, limits."""

import http.client
import socket
import ssl

import pytest
from cloud_client import Client, trusting
from tagonode.cloud import LocalCloud
from tagonode.cloud.faults import EVERY, Fault

RECORD = {"variable": "t", "value": 1}


@pytest.fixture(scope="module")
def cloud():
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture
def token(cloud):
    yield cloud.create_device("victim", "mutable")
    for device in cloud.faults.all():
        cloud.faults.set(device, None)


@pytest.fixture
def owner(cloud):
    with Client(cloud, cloud.account_token, "Account-Token") as client:
        yield client


def switch_on(owner, cloud, token, **fault):
    status, body = owner.call("PUT", f"/admin/faults/{cloud.device(token).id}", fault)
    assert status == 200, body
    return body["result"]


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("400", 400, {"status": False, "message": "Error on object parse"}),
        ("400_inside", 400, {"status": False, "result": {"message": "Error on object parse"}}),
        ("401_text", 401, {"status": False, "result": "Authorization denied"}),
        ("200_false", 200, {"status": False, "message": "Error on object parse"}),
        ("429", 429, {"status": False, "message": "Too many requests (Retry-After: 7)"}),
        ("429_inside", 429, {"status": False, "result": {"message": "Too many requests (Retry-After: 7)"}}),
    ],
)
def test_refusals_in_every_form_and_nothing_is_done(cloud, owner, token, kind, status, body):
    assert switch_on(owner, cloud, token, kind=kind, seconds=7) == {
        "kind": kind, "seconds": 7, "times": None, "uploads": False,
    }  # fmt: skip
    with Client(cloud, token) as client:
        assert client.post(RECORD) == (status, body)
        assert client.post(RECORD) == (status, body)  # over the same connection
    assert cloud.count(token) == 0
    with Client(cloud, cloud.create_device("another")) as other:
        assert other.post(RECORD)[0] == 200


def test_a_fault_ends_by_itself_after_its_times_and_may_be_of_uploads_only(cloud, owner, token):
    switch_on(owner, cloud, token, kind="500", times=2, uploads=True)
    with Client(cloud, token) as client:
        assert client.call("GET", "/data")[0] == 200
        assert [client.post(RECORD)[0] for _ in range(3)] == [500, 500, 200]
    assert owner.get("/admin/faults") == {}


def test_everyone_has_the_fault_of_everyone_but_for_his_own(cloud, owner, token):
    assert owner.call("PUT", "/admin/faults/*", {"kind": "500", "times": 2})[0] == 200
    cloud.faults.set(cloud.device(token).id, Fault("413"))
    with Client(cloud, token) as client, Client(cloud, cloud.device_token) as other:
        assert client.call("GET", "/info")[0] == 413
        assert other.call("GET", "/info")[0] == 500
        cloud.faults.set(EVERY, None)
        assert other.call("GET", "/info")[0] == 200
    assert set(owner.get("/admin/faults")) == {cloud.device(token).id}
    assert owner.call("DELETE", f"/admin/faults/{cloud.device(token).id}")[0] == 200
    assert owner.get("/admin/faults") == {}


@pytest.mark.parametrize(("kind", "stored"), [("reset", 0), ("lost", 1)])
def test_connections_that_end(cloud, owner, token, kind, stored):
    switch_on(owner, cloud, token, kind=kind, times=1)
    with Client(cloud, token) as client, pytest.raises((OSError, http.client.HTTPException)):
        client.post(RECORD)
    assert cloud.count(token) == stored
    with Client(cloud, token) as client:
        assert client.post(RECORD)[0] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "a fault is a JSON object"),
        ({}, "a fault is a JSON object"),
        ({"kind": "flood"}, "kind must be one of"),
        ({"kind": ["500"]}, "kind is a string"),
        ({"kind": "500", "colour": 1}, "a fault is a JSON object of"),
        ({"kind": "500", "times": 0}, "times must be"),
        ({"kind": "500", "times": True}, "times must be null or"),
        ({"kind": "slow", "seconds": -1}, "seconds must be"),
        ({"kind": "slow", "seconds": "1"}, "seconds must be a number"),
        ({"kind": "slow", "seconds": 1e9}, "seconds must be"),
        ({"kind": "500", "uploads": 1}, "uploads must be true or false"),
    ],
)
def test_faults_that_are_none(owner, body, message):
    status, answer = owner.call("PUT", "/admin/faults/*", body)
    assert status == 400
    assert message in answer["message"]
    assert owner.get("/admin/faults") == {}


def test_the_admin_api_is_the_owners(cloud, token, owner):
    for header in ({}, {"Device-Token": token}):
        with Client(cloud) as client:
            assert client.call("PUT", "/admin/faults/*", {"kind": "500"}, header)[0] == 401
            assert client.call("GET", "/admin/limits", None, header)[0] == 401
    assert owner.call("PUT", "/admin/faults/000000000000000000000000", {"kind": "500"})[0] == 404


def test_limits_by_the_admin_api(cloud, owner):
    status, body = owner.call("PUT", "/admin/limits", {"plan": "starter", "window_s": 2, "per_window": {"GET /x": 1}})
    assert status == 200
    assert body["result"]["per_window"]["POST /data"] == 5000
    assert body["result"]["per_window"]["GET /x"] == 1
    assert (body["result"]["devices"], body["result"]["window_s"]) == (100, 2)
    assert owner.call("PUT", "/admin/limits", {"per_window": {"GET /x": None}, "devices": None})[0] == 200
    assert (cloud.limits.per_window["GET /device"], cloud.quotas.devices) == (100, None)
    assert "GET /x" not in cloud.limits.per_window
    for wrong in ([], {"plan": "gold"}, {"plan": []}, {"window_s": 0}, {"per_window": {"a": -1}}, {"colour": 1},
                  {"per_window": 5}, {"devices": "many"}):  # fmt: skip
        assert owner.call("PUT", "/admin/limits", wrong)[0] == 400, wrong
    assert cloud.limits.window_s == 2
    cloud.limits.per_window, cloud.limits.window_s = {}, 60
    assert owner.get("/admin/limits") == {
        "window_s": 60, "per_window": {}, "devices": None, "data_input": None, "data_output": None,
        "used": cloud.quotas.used(),
    }  # fmt: skip


def handshake(cloud, context):
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=20) as plain:
        context.wrap_socket(plain, server_hostname="localhost").close()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wrong_host", "Hostname mismatch"),
        ("unknown_issuer", "unable to get local issuer certificate|self.signed certificate in certificate chain"),
        ("expired", "certificate has expired"),
        ("not_yet_valid", "certificate is not yet valid"),
    ],
)
def test_bad_certificates(cloud, owner, token, kind, reason):
    trustful = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trustful.check_hostname, trustful.verify_mode = False, ssl.CERT_NONE
    with Client(cloud, token) as client:
        client.get("/info")
        assert owner.call("PUT", "/admin/certificate", {"kind": kind, "seconds": 600})[0] == 200
        try:
            with pytest.raises((http.client.HTTPException, OSError)):  # who is connected has to come anew
                client.get("/info")
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                handshake(cloud, trusting(cloud.ca_pem))
            begun, accepted = cloud.tls.bad[2:]
            handshake(cloud, trustful)
            # a client that takes it is told of; TLS 1.3 lets him go before the server has seen his last message
            while cloud.tls.bad.accepted == accepted:
                pass
            assert (begun, accepted) == (1, 0)
            assert cloud.tls.bad.begun == 2
            assert 590 < cloud.tls.bad.seconds <= 600
            assert str(cloud.tls.bad).startswith("certificate ")
        finally:
            cloud.tls.switch(None)
    handshake(cloud, trusting(cloud.ca_pem))
    assert cloud.tls.bad is None


def test_a_bad_certificate_ends_by_itself(cloud, owner, monkeypatch):
    from tagonode.cloud import handshakes

    now = [100.0]
    monkeypatch.setattr(handshakes.time, "monotonic", lambda: now[0])
    cloud.tls.switch("expired", 60)
    now[0] = 159.9
    assert cloud.tls.bad.kind == "expired"
    now[0] = 160.0
    assert cloud.tls.bad is None
    monkeypatch.undo()
    handshake(cloud, trusting(cloud.ca_pem))
    assert owner.get("/admin/certificate") == {"kind": None}
    assert owner.call("DELETE", "/admin/certificate")[0] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "good"}, "kind must be one of"),
        ({"kind": "expired", "seconds": 0}, "seconds must be above 0"),
        ({"kind": "expired", "seconds": 1e9}, "at most 86400"),
        ({"kind": "expired", "seconds": True}, "must be a number"),
        ({"kind": 1}, "kind is a string"),
        ([], "JSON object"),
    ],
)
def test_certificates_that_are_none(cloud, owner, body, message):
    status, answer = owner.call("PUT", "/admin/certificate", body)
    assert status == 400
    assert message in answer["message"]
    assert cloud.tls.bad is None
