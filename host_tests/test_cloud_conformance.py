"""The local TagoIO's answers against TagoIO's OpenAPI file, where that lies beside the project, or TAGOIO_OPENAPI says.

    make conformance [OPENAPI=file]

Where the answers go by something else than the file, `understood` and ABSENT say so, and why.
"""

import os
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

import pytest
from cloud_client import Client
from harness.places import REPOSITORY
from tagonode.cloud import LocalCloud

FILE = Path(os.environ.get("TAGOIO_OPENAPI") or REPOSITORY.parent / "shared" / "tagoio-openapi.yaml")
pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason="TagoIO's OpenAPI file is not beside the project: make conformance OPENAPI=file"
)

# routes of the file which the stand-in does not have: chunks, and CSV files kept at TagoIO
ABSENT = {
    "/device/{deviceID}/data/backup",
    "/device/{deviceID}/data/restore",
    "/device/{deviceID}/chunk",
    "/device/{deviceID}/chunk/backup",
    "/device/{deviceID}/chunk/{chunkID}",
}


@pytest.fixture(scope="module")
def document():
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cloud():
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture
def new(owner):
    status, body = owner.call(
        "POST",
        "/device",
        {
            "name": "conformant",
            "type": "mutable",
            "network": "5bbd0d144051a50034cd19fb",
            "connector": "5f5a8f3351d4db99c40dece5",
            "serie_number": "AB87392C12CA",
            "description": "as documented",
            "payload_decoder": "Zm9v",
            "tags": [{"key": "tagKey1", "value": "value1"}],
            "configuration_params": [{"key": "rate", "value": "60"}],
        },
    )
    assert status == 201
    return body["result"]


def understood(schema):
    """A schema of the file. Its types of a record's `value` are those of its samples: a number here, a text there."""
    if isinstance(schema, list):
        return [understood(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: understood(item) for key, item in schema.items()}
    if "variable" in schema and "value" in schema:
        schema["value"] = {"type": ["string", "number", "boolean"]}
    return schema


class Routes:
    """Validates answers, and remembers which routes of the file were asked."""

    def __init__(self, document):
        self.document = document
        self.asked = set()

    def check(self, method, template, answer):
        """An answer (status, body) is one of those that the file has for the route."""
        operation = self.document["paths"][template][method.lower()]
        status, body = answer
        self.asked.add((method, template))
        assert str(status) in operation["responses"], (method, template, answer)
        content = operation["responses"][str(status)].get("content")
        assert body["status"] is True
        if not content:
            return
        schema = understood(content["application/json"]["schema"])
        # the file lists properties without demanding them: here the envelope's and a record's own are demanded
        schema = {**schema, "required": ["status", "result"], "components": self.document["components"]}
        errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(body)]
        assert not errors, (method, template, errors)


@pytest.fixture
def owner(cloud):
    client = Client(cloud, cloud.account_token, "Profile-Token")
    yield client
    client.close()


@pytest.fixture(scope="module")
def routes(document):
    return Routes(document)


def test_every_answer_is_as_documented(cloud, owner, new, routes):
    identity, token = new["device_id"], new["token"]

    def ask(method, template, body=None, client=owner, query="", **names):
        path = template.format(deviceID=identity, **names) + query
        answer = client.call(method, path, body)
        routes.check(method, template, answer)
        return answer[1]["result"]

    with Client(cloud, token) as device:
        records = [
            {"variable": "temperature", "value": 27.5, "unit": "°C", "location": {"lat": 35.77, "lng": -78.67}},
            {"variable": "temperature", "value": 26, "metadata": {"color": "red"}, "time": "2023-12-01T12:34:56.000Z"},
        ]
        ask("POST", "/data", records, device)
        ask("POST", "/data", records[0], device)
        ask("GET", "/info", client=device)
        for query in ("", "?query=last_item&details=true", "?query=min", "?query=max", "?query=last_location"):
            rows = ask("GET", "/data", client=device, query=query)
        ask("PUT", "/data", [{"id": rows[0]["id"], "value": 27, "metadata": {"color": "blue"}}], device)
        (parameter,) = ask("GET", "/device/params", client=device, query="?sent_status=false")
        ask("PUT", "/device/params/{paramID}", client=device, paramID=parameter["id"])
        ask("DELETE", "/data", client=device, query="?qty=1&variables=temperature")
    ask("GET", "/device", query="?filter[name]=conf*&orderBy=created_at&fields=network&fields=connector")
    for kind in ({"type": "mutable"}, {"type": "immutable", "chunk_period": "quarter", "chunk_retention": 36}):
        fields = {"name": "My first device", "network": "n", "connector": "c", **kind}
        routes.check("POST", "/device", owner.call("POST", "/device", fields))
    ask("GET", "/device/{deviceID}")
    ask("PUT", "/device/{deviceID}", {"name": "Device #2", "active": True, "tags": [], "visible": False})
    second = ask("POST", "/device/token", {"device": identity, "name": "TestToken", "expire_time": "3 hours"})
    ask("GET", "/device/token/{idOrToken}", idOrToken=identity)
    ask("DELETE", "/device/token/{idOrToken}", idOrToken=second["token"])
    ask("POST", "/device/{deviceID}/params", {"key": "updatedKey", "value": "updatedValue", "sent": False})
    rows = ask("GET", "/device/{deviceID}/params", query="?sent_status=false")
    ask("DELETE", "/device/{deviceID}/params/{paramID}", paramID=rows[0]["id"])
    ask("POST", "/device/{deviceID}/data", records)
    row = ask("GET", "/device/{deviceID}/data", query="?qty=10")[0]
    ask("PUT", "/device/{deviceID}/data", {"id": row["id"], "value": 5})
    ask("DELETE", "/device/{deviceID}/data", query="?qty=1")
    ask("GET", "/device/{deviceID}/data_amount")
    ask("POST", "/device/{deviceID}/empty")
    with Client(cloud, cloud.network_token, "Token") as network:
        ask("GET", "/integration/network/resolve/{serieNumber}", client=network, serieNumber="AB87392C12CA")
        path = "/integration/network/resolve/{serieNumber}/{AuthorizationKey}"
        keys = {"serieNumber": "AB87392C12CA", "AuthorizationKey": cloud.store.profile}
        ask("GET", path, client=network, **keys)
    assert owner.call("PUT", f"/device/{identity}", {"active": False})[0] == 200
    ask("POST", "/device/{deviceID}/convert", {"type": "immutable", "chunk_period": "quarter", "chunk_retention": 4})
    ask("DELETE", "/device/{deviceID}")

    documented = {
        (method.upper(), path)
        for path, methods in routes.document["paths"].items()
        if path not in ABSENT
        for method in methods
        if method != "parameters"
    }
    assert routes.asked == documented


def test_a_number_is_answered_where_the_file_has_records(cloud, document):
    # the file's only schema of GET /data is of records, and its query `count` has a number
    assert "count" in str(document["paths"]["/data"]["get"]["parameters"])
    with Client(cloud, cloud.device_token) as device:
        assert device.get("/data?query=count") == 0


@pytest.mark.parametrize(
    ("method", "template", "answer"),
    [
        ("GET", "/info", (200, {"status": True, "result": {"active": "yes"}})),
        ("GET", "/data", (200, {"status": True, "result": 5})),
        ("POST", "/device", (200, {"status": True, "result": {}})),
        ("POST", "/data", (200, {"status": True})),
        ("GET", "/device/params", (200, {"status": True, "result": [{"sent": "no"}]})),
    ],
)
def test_another_answer_is_seen(document, method, template, answer):
    with pytest.raises(AssertionError):
        Routes(document).check(method, template, answer)
