"""schemathesis over the local TagoIO's own OpenAPI: whatever comes, it answers in the envelope and never with a 5xx.

EXAMPLES in the environment: requests a route and mode, for a longer run than the suite's.
"""

import os

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

import pytest
from tagonode.cloud import LocalCloud

EXAMPLES = int(os.environ.get("EXAMPLES", "4"))
ROUTES = 38


@pytest.fixture(scope="module")
def cloud():
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def operations(cloud):
    document = requests.get(cloud.plain_url + "/openapi.json", timeout=10).json()
    schema = schemathesis.openapi.from_dict(document)
    return {found.label: found for found in (result.ok() for result in schema.get_all_operations())}


def check(case, answer):
    """The envelope: true with a result that is never null, or false with a text."""
    asked = f"{case.method} {case.formatted_path} {case.query} {case.body!r:.200}"
    where = f"{asked}: {answer.status_code} {answer.text:.200}"
    assert answer.status_code < 500, where
    assert answer.headers["content-type"] == ["application/json; charset=utf-8"], where
    body = answer.json()
    if answer.status_code < 300:
        assert body["status"] is True and body["result"] is not None, where
    else:
        assert body["status"] is False and body["message"] and isinstance(body["message"], str), where


def play(cloud, operation, mode, session, seen):
    """Make requests of one route. `seen`: their statuses."""
    device = cloud.device(cloud.create_device("fuzzed", "mutable"))
    parameter = cloud.store.set_parameter(device, "rate", "1")
    owner = "Account-Token" in str(operation.definition.raw["security"])
    token = cloud.account_token if owner else cloud.store.create_token(device.id)
    known = {"identity": device.id, "device": device.id, "target": "temperature", "parameter": parameter}
    known["token"] = cloud.store.create_token(device.id)
    if operation.path == "/device/params/{identity}":
        known["identity"] = parameter

    quick = {"deadline": None, "database": None, "phases": [Phase.generate]}

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), **quick)
    @seed(EXAMPLES)
    @given(operation.as_strategy(generation_mode=mode), st.integers(0, 3))
    def requested(case, strange):
        if strange:  # mostly of what is there
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
            if operation.label == "POST /device/token" and isinstance(case.body, dict):
                case.body["device"] = device.id
        header = "Account-Token" if owner else "Device-Token"
        case.headers.pop("Account-Token", None)
        case.headers.pop("Device-Token", None)
        answer = case.call(base_url=cloud.plain_url, headers={header: token}, session=session)
        seen.append(answer.status_code)
        check(case, answer)

    requested()
    cloud.limits.per_window, cloud.limits.window_s = {}, 60
    cloud.quotas.devices = cloud.quotas.data_input = cloud.quotas.data_output = None
    for key in cloud.faults.all():
        cloud.faults.set(key, None)
    cloud.tls.switch(None)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_ends_in_a_server_fault(cloud, operations, mode, caplog):
    assert len(operations) == ROUTES
    seen = []
    with requests.Session() as session:
        for operation in operations.values():
            play(cloud, operation, mode, session, seen)
    assert "a fault of the local TagoIO's own" not in caplog.text
    # what is asked rightly is answered rightly, and the other way round: the requests do reach the routes
    good = sum(status < 300 for status in seen) / len(seen)
    assert good > 0.3 if mode is GenerationMode.POSITIVE else good < 0.9, sorted(seen)
