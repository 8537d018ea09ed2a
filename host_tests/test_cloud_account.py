"""What the local TagoIO lets a profile's owner do: devices, tokens, parameters, data; and how it refuses."""

import sqlite3

import pytest
from cloud_client import Client
from tagonode.cloud import LocalCloud, limits, profile, rules
from tagonode.cloud.limits import Quotas, RateLimits
from tagonode.cloud.rules import Refused
from tagonode.cloud.store import VERSION, Store

NOBODY = "0" * 24
JULY, AUGUST = 1_782_900_000_000, 1_785_600_000_000


@pytest.fixture(scope="module")
def cloud():
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture
def owner(cloud):
    with Client(cloud, cloud.account_token, "Account-Token") as client:
        yield client


def made(owner, name="greenhouse", **fields):
    status, body = owner.call("POST", "/device", {"name": name, **fields})
    assert status == 201, body
    return body["result"]


# -- devices -----------------------------------------------------------------------------------------------


def test_a_device_is_made_with_one_token_that_works_and_never_expires(cloud, owner):
    new = made(owner, serie_number="SN 1", tags=[{"key": "site", "value": "north"}])
    assert set(new) == {"device_id", "bucket_id", "deviceID", "token"}
    assert len(new["device_id"]) == 24
    assert new["device_id"] == new["bucket_id"] == new["deviceID"]
    with Client(cloud, new["token"]) as device:
        info = device.get("/info")
        assert (info["id"], info["name"], info["type"]) == (new["device_id"], "greenhouse", "mutable")
    (token,) = owner.get(f"/device/token/{new['device_id']}")
    assert (token["token"], token["permission"], token["expire_time"]) == (new["token"], "full", "never")
    assert (token["serie_number"], token["device_id"], token["name"]) == ("SN 1", new["device_id"], "Default")
    assert token["last_authorization"].endswith("Z")


def test_what_a_device_was_made_with_is_what_its_owner_sees(owner):
    given = {
        "type": "immutable", "chunk_period": "week", "chunk_retention": 20, "active": False, "visible": False,
        "description": "by the door", "network": "5bbd0d144051a50034cd19fb", "connector": "5f5a8f3351d4db99c40dece5",
        "tags": [{"key": "a", "value": "1"}], "payload_decoder": "Zm9v", "serie_number": "SN 2",
    }  # fmt: skip
    parameters = [{"key": "rate", "value": 600, "sent": False}, {"key": "on", "value": True, "sent": True}]
    identity = made(owner, **given, configuration_params=parameters)["device_id"]
    seen = owner.get(f"/device/{identity}")
    assert {name: seen[name] for name in given} == given
    assert seen["data_retention"] == "20 week"
    rows = [(row["key"], row["value"], row["sent"]) for row in seen["configuration_params"]]
    assert rows == [("rate", "600", False), ("on", "true", True)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "Body must be a JSON object"),
        ({}, "name is required"),
        ({"name": 5}, "name must be a string"),
        ({"name": "ab"}, "name must have 3 to 100 characters"),
        ({"name": "n" * 101}, "name must have 3 to 100 characters"),
        ({"name": "abc", "type": "hybrid"}, "type must be one of mutable, immutable"),
        ({"name": "abc", "type": ["mutable"]}, "type must be one of"),
        ({"name": "abc", "type": "immutable", "chunk_period": "year"}, "chunk_period must be one of"),
        ({"name": "abc", "type": "immutable", "chunk_period": "week", "chunk_retention": 27}, "0 and 26 for week"),
        ({"name": "abc", "type": "immutable", "chunk_retention": 1.5}, "chunk_retention must be a whole number"),
        ({"name": "abc", "active": "yes"}, "active must be true or false"),
        ({"name": "abc", "serie_number": 5}, "serie_number must be a string"),
        ({"name": "abc", "tags": {}}, "tags must be an array"),
        ({"name": "abc", "tags": [{"key": "k", "value": "v"}] * 31}, "tags must be at most 30"),
        ({"name": "abc", "tags": [{"key": "k", "value": 5}]}, "tags[0].value must be a string"),
        ({"name": "abc", "tags": ["k"]}, "tags[0] must be {key, value}"),
        ({"name": "abc", "configuration_params": {}}, "configuration_params must be an array"),
        ({"name": "abc", "configuration_params": [{"key": "a", "value": None}]}, "value must be a string"),
        ({"name": "abc", "configuration_params": [{"key": "k", "value": ""}] * 61}, "at most 60"),
    ],
)  # fmt: skip
def test_devices_that_are_refused(owner, body, message):
    before = len(owner.get("/device?amount=10000"))
    status, answer = owner.call("POST", "/device", body)
    assert (status, answer["status"]) == (400, False)
    assert message in answer["message"]
    assert len(owner.get("/device?amount=10000")) == before


def test_edits_of_a_device(cloud, owner):
    new = made(owner, type="immutable")
    path = f"/device/{new['device_id']}"
    for change, shown in [
        ({"name": "other name"}, None),
        ({"tags": [{"key": "k", "value": "v"}], "description": "d", "visible": False}, None),
        ({"chunk_retention": 12}, {"data_retention": "12 month"}),
        ({"serie_number": "SN 9"}, None),
        ({"network": "n1", "connector": "c1"}, {"network": "n0"}),
    ]:
        status, body = owner.call("PUT", path, change)
        if shown == {"network": "n0"}:  # its token has to go first
            assert (status, body["message"]) == (400, "Delete the device's tokens before changing its network")
            continue
        assert (status, body["result"]) == (200, "Successfully Updated")
        seen = owner.get(path)
        assert {name: seen[name] for name in shown or change} == (shown or change)
    assert owner.get("/device?serial=SN%209")[0]["id"] == new["device_id"]
    assert owner.call("DELETE", f"/device/token/{new['token']}")[1]["result"] == "Token Successfully Removed"
    assert owner.call("PUT", path, {"network": "n1"})[0] == 400
    assert owner.call("PUT", path, {"network": "n1", "connector": "c1"})[0] == 200
    assert owner.call("PUT", path, {"chunk_retention": 99})[0] == 400
    assert owner.call("PUT", f"/device/{made(owner)['device_id']}", {"chunk_retention": 9})[0] == 400
    with Client(cloud, new["token"]) as device:
        assert device.call("GET", "/info")[0] == 401


def test_a_deleted_device_leaves_nothing(cloud, owner):
    new = made(owner, configuration_params=[{"key": "k", "value": "v"}])
    with Client(cloud, new["token"]) as device:
        device.post([{"variable": "a"}] * 5)
        before = cloud.count()
        assert owner.call("DELETE", f"/device/{new['device_id']}") == (
            200, {"status": True, "result": "Successfully Removed"},
        )  # fmt: skip
        assert before - cloud.count() == 5
        assert device.call("GET", "/info")[0] == 401
    assert owner.call("DELETE", f"/device/{new['device_id']}")[0] == 404
    kept = made(owner, tags=[{"key": "_deletion_protection", "value": ""}])["device_id"]
    status, body = owner.call("DELETE", f"/device/{kept}")
    assert (status, "_deletion_protection" in body["message"]) == (400, True)
    assert owner.get(f"/device/{kept}")["id"] == kept


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None), ("PUT", "", {"name": "abc"}), ("DELETE", "", None), ("GET", "/data_amount", None),
        ("POST", "/empty", None), ("POST", "/convert", {"type": "mutable"}), ("GET", "/params", None),
        ("POST", "/params", {"key": "k", "value": ""}), ("DELETE", "/params/x", None), ("GET", "/data", None),
        ("POST", "/data", {"variable": "a"}), ("PUT", "/data", {"id": "x"}), ("DELETE", "/data", None),
    ],
)  # fmt: skip
def test_a_device_that_is_not_there(owner, method, path, body):
    assert owner.call(method, f"/device/{NOBODY}{path}", body) == (
        404, {"status": False, "message": "Invalid Device ID"},
    )  # fmt: skip
    if path == "":
        assert owner.call("GET", f"/device/token/{NOBODY}")[0] == 404
        assert owner.call("POST", "/device/token", {"device": NOBODY, "name": "t"})[0] == 404


def test_only_an_account_token_opens_the_accounts_routes(cloud, owner):
    new = made(owner)
    for token in (None, "wrong", new["token"], cloud.network_token):
        with Client(cloud, token, "Account-Token") as client:
            for method, path in [
                ("GET", "/device"), ("POST", "/device"), ("GET", f"/device/{new['device_id']}"),
                ("DELETE", f"/device/{new['device_id']}"), ("GET", f"/device/token/{new['device_id']}"),
                ("GET", f"/device/{new['device_id']}/data"), ("POST", f"/device/{new['device_id']}/params"),
            ]:  # fmt: skip
                assert client.call(method, path)[0] == 401, (method, path)
    for header in ("Profile-Token", "Token", "Authorization"):
        with Client(cloud, cloud.account_token, header) as client:
            assert client.call("GET", "/device")[0] == 200


# -- lists -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fleet():
    with LocalCloud() as cloud, Client(cloud, cloud.account_token, "Account-Token") as owner:
        for n in range(45):
            kind = ("mutable", "immutable")[n % 3 == 0]
            site = {"key": "site", "value": "north" if n < 20 else "south"}
            fields = {"serie_number": f"S{n}", "active": n % 2 == 0, "type": kind, "network": "n1" if n < 10 else None}
            made(owner, f"node {n:02}", tags=[site, {"key": "row", "value": str(n % 5)}], **fields)
        made(owner, "50%_off")
        yield owner


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 20), ("amount=100", 47), ("page=3", 7), ("page=4", 0), ("page=2&amount=40", 7),
        ("filter[name]=node 07", 1), ("filter[name]=NODE*&amount=100", 45), ("filter[name]=*1", 5),
        ("filter[name]=node", 0), ("filter[name]=50%25_off", 1), ("filter[name]=%25", 0), ("filter[name]=node _1", 0),
        ("filter[active]=False&amount=100", 22), ("filter[type]=immutable&amount=100", 16), ("filter[network]=n1", 10),
        ("filter[tags][0][key]=site&filter[tags][0][value]=north&amount=100", 20),
        ("filter%5Btags%5D%5B0%5D%5Bkey%5D=site&filter%5Btags%5D%5B0%5D%5Bvalue%5D=north&amount=100", 20),
        ("filter[tags][key]=row&filter[tags][value]=2&amount=100", 9),
        ("filter[tags][0][key]=site&filter[tags][0][value]=north&filter[tags][1][key]=row&filter[tags][1][value]=2", 4),
        ("filter[tags][0][key]=site&filter[tags][0][value]=2", 0),
        ("serial=S7", 1), ("serial=S99", 0),
        ("filter[created_at]=1 day&amount=100", 47), ("filter[last_input]=1 day", 0),
        ("filter[nonsense]=1&nonsense=2&amount=100", 47),
    ],
)  # fmt: skip
def test_lists_of_devices(fleet, query, count):
    rows = fleet.get("/device?" + query.replace(" ", "%20"))
    assert len(rows) == count
    assert all(set(row) == {"id", "name", "tags"} for row in rows)


def test_order_and_fields_of_a_list(fleet):
    names = [row["name"] for row in fleet.get("/device?amount=100")]
    assert names == sorted(names)
    assert [row["name"] for row in fleet.get("/device?amount=2&orderBy=name,desc")] == ["node 44", "node 43"]
    assert [row["name"] for row in fleet.get("/device?amount=1&orderBy[0]=created_at&orderBy[1]=desc")]
    pages = [row["id"] for page in (1, 2, 3) for row in fleet.get(f"/device?page={page}&orderBy=created_at,desc")]
    assert len(set(pages)) == 47
    for fields in ("fields=id&fields=type&fields=bucket", "fields[0]=type&fields[1]=bucket", "fields[]=type,bucket"):
        row = fleet.get(f"/device?filter[name]=node%2003&{fields}")[0]
        assert set(row) == {"id", "name", "tags", "type", "bucket"}
        assert row["bucket"] == row["id"]
    row = fleet.get("/device?filter[name]=node%2003&fields=bucket&resolveBucketName=True")[0]
    assert row["bucket"] == {"id": row["id"], "name": "node 03"}


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=one", "amount=0", "amount=10001", "orderBy=colour", "orderBy=name,up", "filter[active]=1",
     "filter[created_at]=some day", "orderBy=name;DROP TABLE device"],
)  # fmt: skip
def test_lists_that_are_refused(fleet, query):
    assert fleet.call("GET", "/device?" + query.replace(" ", "%20"))[0] == 400


# -- tokens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "permission", "expires"),
    [
        ({}, "full", "20"),
        ({"expire_time": "never", "permission": "read"}, "read", "never"),
        ({"expire_time": "1 day", "permission": "write"}, "write", "20"),
        ({"expire_time": "2099-01-01"}, "full", "2099-01-01T23:59:59.999Z"),
    ],
)
def test_more_tokens(cloud, owner, given, permission, expires):
    identity = made(owner)["device_id"]
    status, body = owner.call("POST", "/device/token", {"device": identity, "name": "second", **given})
    new = body["result"]
    assert (status, new["permission"]) == (201, permission)
    assert new["expire_time"] == new["expire_date"]
    assert new["expire_time"].startswith(expires)
    rows = owner.get(f"/device/token/{identity}?fields=name&fields=token&fields=expire_time")
    assert {"name": "second", "token": new["token"], "expire_time": new["expire_time"]} in rows
    with Client(cloud, new["token"]) as device:
        assert device.call("GET", "/info")[0] == (401 if permission == "write" else 200)
        assert device.post({"variable": "a"})[0] == (401 if permission == "read" else 200)
    assert owner.call("DELETE", f"/device/token/{new['token']}")[0] == 200
    assert owner.call("DELETE", f"/device/token/{new['token']}")[0] == 404
    assert owner.call("DELETE", f"/device/token/{cloud.account_token}")[0] == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": None}, "device must be a string"),
        ({"permission": "all"}, "permission must be one of full, write, read"),
        ({"expire_time": "soon"}, "expire_time must be"),
        ({"expire_time": 5}, "expire_time must be a string"),
        ({"name": 5}, "name must be a string"),
        ({"serie_number": []}, "serie_number must be a string"),
    ],
)
def test_tokens_that_are_refused(owner, change, message):
    identity = made(owner)["device_id"]
    status, body = owner.call("POST", "/device/token", {"device": identity, "name": "t", **change})
    assert status == 400
    assert message in body["message"]
    assert len(owner.get(f"/device/token/{identity}")) == 1


def test_a_network_finds_the_newest_device_of_a_serial_number(cloud, owner):
    first, second = made(owner, serie_number="SAME/1"), made(owner, serie_number="SAME/1")
    assert {row["id"] for row in owner.get("/device?serial=SAME/1")} == {first["device_id"], second["device_id"]}
    with Client(cloud, cloud.network_token, "Token") as network:
        assert network.call("GET", "/integration/network/resolve/none") == (
            404, {"status": False, "message": "Invalid Serial Number"},
        )  # fmt: skip
        third = made(owner, serie_number="SAME-1")
        assert network.get("/integration/network/resolve/SAME-1") == third["token"]
        fourth = made(owner, serie_number="SAME-1")
        assert network.get("/integration/network/resolve/SAME-1") == fourth["token"]
        assert network.get(f"/integration/network/resolve/SAME-1/{cloud.store.profile}") == fourth["token"]
        assert network.call("GET", "/integration/network/resolve/SAME-1/other")[0] == 401
        assert network.call("GET", "/device")[0] == 401
    assert owner.call("GET", "/integration/network/resolve/SAME-1")[0] == 401


# -- parameters --------------------------------------------------------------------------------------------


def test_parameters_from_both_sides(cloud, owner):
    new = made(owner)
    path = f"/device/{new['device_id']}/params"
    updated = (201, {"status": True, "result": "Params Successfully Updated"})
    given = [{"key": "rate", "value": 60}, {"key": "note", "value": "", "sent": True}]
    assert owner.call("POST", path, given) == updated
    rate, note = owner.get(path)
    assert (rate["value"], rate["sent"], note["value"], note["sent"]) == ("60", False, "", True)
    with Client(cloud, new["token"]) as device:
        assert device.get("/device/params?sent_status=false") == [rate] == owner.get(path + "?sent_status=false")
        assert device.call("PUT", f"/device/params/{rate['id']}")[0] == 200
        assert owner.get(path + "?sent_status=true") == [{**rate, "sent": True}, note]
        # an edit does not make it unread by itself
        assert owner.call("POST", path, {"id": rate["id"], "value": "30"}) == updated
        assert owner.get(path)[0] == {**rate, "value": "30", "sent": True}
        assert owner.call("POST", path, {"key": "rate", "value": "20", "sent": False}) == updated
        assert device.get("/device/params") == [{**rate, "value": "20"}, note]
        assert owner.call("POST", path, {"id": note["id"], "key": "remark", "value": "x"}) == updated
        assert [row["key"] for row in device.get("/device/params")] == ["rate", "remark"]
    assert owner.call("DELETE", f"{path}/{note['id']}")[1]["result"] == "Successfully Removed"
    assert owner.call("DELETE", f"{path}/{note['id']}")[0] == 404
    for wrong, status in [
        ({"id": NOBODY, "value": "x"}, 404), ({"value": "x"}, 400), ([{"key": "a", "value": {}}], 400), ("text", 400),
        ([{"key": f"k{n}", "value": ""} for n in range(60)], 400), ({"key": "k", "value": "", "sent": "no"}, 400),
    ]:  # fmt: skip
        assert owner.call("POST", path, wrong)[0] == status, wrong
    assert len(owner.get(path)) == 1  # all of a body or none


# -- data, amount, empty, convert --------------------------------------------------------------------------


def test_a_devices_data_by_its_owners_token(owner):
    new = made(owner)
    path = f"/device/{new['device_id']}"
    records = [{"variable": "a", "value": n} for n in range(20)]
    assert owner.call("POST", path + "/data", records)[1]["result"] == "20 Data Added"
    assert owner.get(path + "/data?variables[0]=a&qty=3")[0]["value"] == 19
    assert owner.get(path + "/data?query=count") == owner.get(path + "/data_amount") == 20
    record = owner.get(path + "/data?qty=1")[0]
    assert owner.call("PUT", path + "/data", [{"id": record["id"], "value": 99}])[1]["result"] == "1 item(s) updated"
    assert owner.get(path + "/data?qty=1")[0]["value"] == 99
    assert owner.call("DELETE", path + "/data?variables=a&qty=5")[1]["result"] == "5 Data Removed"
    assert owner.get(path + "/data_amount") == 15
    assert owner.call("POST", path + "/empty", {})[1]["result"] == "Data Successfully Removed"
    assert owner.get(path + "/data_amount") == 0
    assert owner.call("PUT", path, {"active": False})[0] == 200
    assert owner.call("POST", path + "/data", {"variable": "a"})[0] == 200  # only its own tokens are denied


def test_a_device_is_converted_when_it_is_disabled_and_empty(owner):
    path = f"/device/{made(owner)['device_id']}"
    to = {"type": "immutable", "chunk_period": "quarter", "chunk_retention": 4}
    assert "disabled" in owner.call("POST", path + "/convert", to)[1]["message"]
    owner.call("PUT", path, {"active": False})
    owner.call("POST", path + "/data", {"variable": "a"})
    assert "empty" in owner.call("POST", path + "/convert", to)[1]["message"]
    owner.call("POST", path + "/empty")
    assert owner.call("POST", path + "/convert", to)[1]["result"] == "Device type/chunk was converted"
    assert owner.get(path)["data_retention"] == "4 quarter"
    assert owner.call("POST", path + "/convert", {})[0] == 400
    assert owner.call("POST", path + "/convert", {"type": "mutable"})[0] == 200
    assert owner.get(path)["type"] == "mutable"


def test_a_mutable_device_is_full_at_50000_records(cloud, owner, monkeypatch):
    monkeypatch.setattr(rules, "MUTABLE_RECORDS", 50)
    full = (400, {"status": False, "message": "The device has reached the limit of 50 data registers"})
    mutable, immutable = made(owner), made(owner, type="immutable")
    with Client(cloud, mutable["token"]) as device, Client(cloud, immutable["token"]) as other:
        for client, expected in ((device, full), (other, (200, {"status": True, "result": "1 Data Added"}))):
            assert client.post([{"variable": "a"}] * 49)[0] == 200
            assert client.post([{"variable": "a"}] * 2)[0] == 200
            assert client.post({"variable": "a"}) == expected
        assert owner.call("POST", f"/device/{mutable['device_id']}/data", {"variable": "a"}) == full
        assert device.call("DELETE", "/data?qty=2")[0] == 200
        assert device.post({"variable": "a"})[0] == 200


def test_the_text_of_a_full_device():
    assert rules.MUTABLE_RECORDS == 50_000


# -- limits ------------------------------------------------------------------------------------------------

# TagoIO API, "Rate Limits", written down here a second time
STARTER = {
    "POST /data": 5000, "GET /data": 5000, "PUT /data": 250, "DELETE /data": 250, "GET /info": 5000,
    "POST /device": 250,
    "GET /device/params": 1000, "GET /device/:id": 1000, "GET /device": 100, "PUT /device/:id": 250,
    "DELETE /device/:id": 250, "POST /device/token": 250, "DELETE /device/token": 250, "GET /device/token/:id": 1000,
    "GET /device/:id/data_amount": 1000, "GET /data?query=aggregate": 10, "POST /device/:id/convert": 250,
    "POST /device/:id/empty": 250,
}  # fmt: skip


def test_the_limits_of_the_plans():
    assert limits.plan_limits("starter") == STARTER
    assert limits.plan_limits("free")["POST /device"] == 10
    assert limits.plan_limits("scale")["GET /device"] == 500
    books = RateLimits()
    books.follow("free")
    assert books.per_window["POST /data"] == 250
    assert limits.PLAN_DEVICES == {"free": 5, "starter": 100, "scale": 10_000}


@pytest.mark.parametrize(
    ("route", "method", "path"),
    [
        ("GET /device", "GET", "/device"), ("POST /device", "POST", "/device"),
        ("GET /device/:id", "GET", "/device/{}"),
        ("PUT /device/:id", "PUT", "/device/{}"), ("DELETE /device/:id", "DELETE", "/device/{}"),
        ("GET /device/token/:id", "GET", "/device/token/{}"), ("POST /device/token", "POST", "/device/token"),
        ("DELETE /device/token", "DELETE", "/device/token/{}"), ("POST /device/:id/empty", "POST", "/device/{}/empty"),
        ("GET /device/:id/data_amount", "GET", "/device/{}/data_amount"),
        ("POST /device/:id/convert", "POST", "/device/{}/convert"), ("GET /device/:id/data", "GET", "/device/{}/data"),
    ],
)  # fmt: skip
def test_each_route_of_an_account_is_counted_by_itself(cloud, owner, route, method, path):
    cloud.limits.per_window = {route: 0}
    try:
        status, body = owner.call(method, path.format(NOBODY), None if method in ("GET", "DELETE") else {})
        assert status == 429
        assert body["message"].startswith("Too many requests (Retry-After: ")
        assert owner.call("GET", f"/device/{NOBODY}/params")[0] == 404
    finally:
        cloud.limits.per_window = {}


def test_the_devices_of_a_plan(cloud, owner):
    held = len(owner.get("/device?amount=10000"))
    cloud.quotas.devices = held + 1
    try:
        assert made(owner)
        assert owner.call("POST", "/device", {"name": "one more"}) == (
            400, {"status": False, "message": f"The limit of {held + 1} devices of your plan has been reached"},
        )  # fmt: skip
        assert len(owner.get("/device?amount=10000")) == held + 1
    finally:
        cloud.quotas.devices = None


@pytest.mark.parametrize("kind", ["data_input", "data_output"])
def test_a_months_quota_ends_with_the_month(kind):
    quotas = Quotas()
    setattr(quotas, kind, 10)
    quotas.spend(kind, 8, JULY)
    quotas.spend(kind, 8, JULY)  # the one that reaches it is let through
    with pytest.raises(Refused, match=f"The limit of 10 {kind.replace('_', ' ')} transactions of this month"):
        quotas.spend(kind, 1, JULY)
    quotas.spend(kind, 1, AUGUST)
    assert quotas.used()[kind] == 1


def test_quotas_count_records_in_and_out(cloud):
    token = cloud.create_device("counted")
    before = cloud.quotas.used()
    with Client(cloud, token) as client:
        client.post([{"variable": "a"}] * 7)
        client.post([{"variable": ""}] * 7)
        client.get("/data?qty=5")
        client.get("/data?query=count")
        after = cloud.quotas.used()
        assert (after["data_input"] - before["data_input"], after["data_output"] - before["data_output"]) == (7, 6)
        cloud.quotas.data_input = 0
        try:
            assert client.post({"variable": "a"})[0] == 400
            assert client.call("GET", "/data")[0] == 200
        finally:
            cloud.quotas.data_input = None


# -- the file ----------------------------------------------------------------------------------------------


def test_a_file_of_the_first_format_goes_on(tmp_path):
    path = tmp_path / "old.sqlite"
    store = Store(path)
    identity, token = store.create_device("old one")
    store.close()
    with sqlite3.connect(path) as db:  # what the first format lacked
        db.execute("DROP INDEX token_serial")
        db.execute("DELETE FROM token WHERE kind='network'")
        db.execute("DELETE FROM meta WHERE key='network_token'")
        db.execute("PRAGMA user_version=1")
    for _ in range(2):
        store = Store(path)
        assert store.access(token).device.id == identity
        assert store.access(store.network_token).kind == "network"
        assert store._writer.execute("PRAGMA user_version").fetchone()[0] == VERSION
        store.close()


def test_retention_of_every_period():
    for period, most in (("day", 31), ("week", 26), ("month", 36), ("quarter", 36)):
        assert profile.check_retention(period, most) == profile.check_retention(period, str(most)) == most
        for wrong in (most + 1, -1, True, None, "x"):
            with pytest.raises(Refused):
                profile.check_retention(period, wrong)
