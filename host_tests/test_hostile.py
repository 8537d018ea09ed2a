"""What the hostile TagoIO answers while nothing is wrong with it: as the API's pages say."""

import json

import pytest
from hostile.rig import TOKEN
from hostile.tagoio import TagoIO


def record(sequence: int, variable: str, value: float = 1.5) -> dict:
    time = f"2026-01-02T03:04:{sequence:02}.000Z"
    return {"variable": variable, "value": value, "unit": "°C", "time": time, "group": f"k3x9q2_{sequence}"}


@pytest.fixture
def device() -> TagoIO:
    made = TagoIO(TOKEN)
    assert post(made, *[record(n, name) for n in (1, 2, 3) for name in ("temperature", "humidity")]) == (
        200,
        {"status": True, "result": "6 Data Added"},
    )
    return made


def ask(device: TagoIO, method: str, path: str, body: str = "", token: str = TOKEN) -> tuple[int, dict]:
    headers = {"device-token": token, "content-type": "application/json"}
    step = device.request({"method": method, "path": path, "headers": headers, "body": body})
    return step["status"], json.loads(step["body"])


def post(device: TagoIO, *records: dict) -> tuple[int, dict]:
    return ask(device, "POST", "/data", json.dumps(records))


@pytest.mark.parametrize(
    "query, found",
    [
        ("", [3, 2, 1, 3, 2, 1]),
        ("?variables=temperature", [3, 2, 1]),
        ("?variables=temperature&qty=1", [3]),
        ("?qty=1", [3, 3]),  # for each variable
        ("?variables=humidity&groups=k3x9q2_2", [2]),
        ("?groups=k3x9q2_9", []),
        ("?variables=temperature&start_date=2026-01-02T03:04:02.000Z", [3, 2]),
        ("?variables=temperature&end_date=2026-01-02T03:04:02.000Z", [2, 1]),
        ("?variables=temperature&start_date=2026-01-02T03:04:02.000Z&end_date=2026-01-02T03:04:02.000Z", [2]),
    ],
)
def test_questions(device: TagoIO, query: str, found: list[int]) -> None:
    status, answer = ask(device, "GET", "/data" + query)
    assert (status, answer["status"], device.complaints) == (200, True, [])
    assert sorted(int(row["group"].split("_")[1]) for row in answer["result"]) == sorted(found)
    times = [row["time"] for row in answer["result"]]
    assert times == sorted(times, reverse=True)


def test_an_upload_with_a_refused_reading_is_refused_as_a_whole(device: TagoIO) -> None:
    device.refuses = lambda row: "no" if row["value"] == 666 else None
    assert post(device, record(4, "temperature"), record(4, "humidity", 666)) == (
        400,
        {"status": False, "message": "no"},
    )
    assert device.stored(4, "temperature") == device.stored(4, "humidity") == []
    assert post(device, record(4, "temperature"))[0] == 200
    assert device.stored(4, "temperature") == [record(4, "temperature")]


def test_what_comes_twice_is_stored_twice(device: TagoIO) -> None:
    assert post(device, record(3, "temperature"))[0] == 200
    assert len(device.stored(3, "temperature")) == 2 and len(device.stored(3, "humidity")) == 1


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("POST", "/data", "[", 400),
        ("POST", "/data", "[]", 400),
        ("POST", "/data", json.dumps([{**record(4, "t"), "time": "yesterday"}]), 400),
        ("POST", "/data", json.dumps([{**record(4, "t"), "group": "4"}]), 400),
        ("POST", "/data", json.dumps([{**record(4, "Temperature")}]), 400),
        ("POST", "/data", json.dumps([{**record(4, "t"), "colour": "red"}]), 400),
        ("GET", "/data?quantity=1", "", 400),
        ("GET", "/data?start_date=yesterday", "", 400),
        ("GET", "/elsewhere", "", 404),
    ],
)
def test_what_a_node_must_not_send_is_refused_and_noted(
    device: TagoIO, method: str, path: str, body: str, status: int
) -> None:
    assert ask(device, method, path, body)[0] == status
    assert len(device.complaints) == 1


def test_another_token_is_refused_and_noted(device: TagoIO) -> None:
    assert ask(device, "GET", "/info")[0] == 200
    assert ask(device, "GET", "/info", token="not-this-1") == (
        401,
        {"status": False, "message": "Authorization denied"},
    )
    assert len(device.complaints) == 1
