"""The local TagoIO's request limits: TagoIO API, "Rate Limits"; and the books it keeps of what came."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cloud_client import Client
from harness import commands
from tagonode.cloud import LocalCloud, limits
from tagonode.cloud.limits import AGGREGATE, Arrival, RateLimits
from tagonode.cloud.rules import Refused

MINUTE = 1_774_960_200_000  # a clock minute begins
POST, GET = limits.DATA_ROUTES


def wait(books, route, device, at):
    """Seconds that a refusal asks for, None when the request is taken."""
    try:
        books.take(route, device, at)
    except Refused as refusal:
        assert refusal.status == 429
        match = re.fullmatch(r"Too many requests \(Retry-After: (\d+)\)", refusal.message)
        assert match, refusal.message
        return int(match[1])
    return None


@pytest.mark.parametrize(
    ("into_ms", "seconds"), [(0, 60), (1, 60), (999, 60), (1000, 59), (45_250, 15), (59_000, 1), (59_999, 1)]
)
def test_a_limit_that_is_reached_is_free_again_when_the_clock_minute_ends(into_ms, seconds):
    books = RateLimits()
    books.per_window[POST] = 1
    assert wait(books, POST, "a", MINUTE + into_ms) is None
    assert wait(books, POST, "a", MINUTE + into_ms) == seconds
    assert wait(books, POST, "a", MINUTE + 59_999) == 1
    assert wait(books, POST, "a", MINUTE + 60_000) is None


@pytest.mark.parametrize("window_s", [1, 6, 3600])
def test_who_waits_as_long_as_told_comes_in_another_window(window_s):
    books = RateLimits()
    books.window_s = window_s
    books.per_window[POST] = 1
    for into_ms in (0, 1, 499, 500, 999):
        at = MINUTE - MINUTE % (window_s * 1000) + into_ms
        books.take(POST, "a", at)
        asked = wait(books, POST, "a", at)
        assert asked and at + asked * 1000 < MINUTE + 2 * window_s * 1000
        assert wait(books, POST, "a", at + asked * 1000) is None
        books = RateLimits()
        books.window_s = window_s
        books.per_window[POST] = 1


def test_devices_share_a_route_and_routes_share_nothing():
    books = RateLimits()
    books.per_window = {POST: 2, GET: 1}
    assert [wait(books, POST, device, MINUTE) for device in "abc"] == [None, None, 60]
    assert [wait(books, GET, device, MINUTE) for device in "ab"] == [None, 60]
    assert wait(books, AGGREGATE, "a", MINUTE) is None
    # what was refused uses up nothing
    books.per_window[POST] = 3
    assert [wait(books, POST, device, MINUTE) for device in "cd"] == [None, 60]


def test_what_came_before_there_was_a_limit_does_not_count():
    books = RateLimits()
    books.take(POST, "a", MINUTE)
    books.per_window[POST] = 1
    assert [wait(books, POST, "a", MINUTE) for _ in range(2)] == [None, 60]


def test_a_limit_of_nothing_refuses_all():
    books = RateLimits()
    books.per_window[POST] = 0
    assert wait(books, POST, "a", MINUTE + 30_000) == 30


def test_the_books_say_when_each_device_came_and_who_was_refused():
    books = RateLimits()
    books.window_s = 6
    books.per_window[POST] = 2
    for into_ms, route, device in [
        (0, POST, "a"),
        (100, GET, "a"),
        (200, POST, "b"),
        (300, POST, "a"),
        (400, POST, "c"),
        (400, POST, "c"),
        (6000, POST, "c"),
    ]:
        wait(books, route, device, MINUTE + into_ms)
    first, second = books.windows(POST)
    assert first.start == MINUTE
    assert first.taken == {"a": [MINUTE], "b": [MINUTE + 200]}
    assert first.refused == {"a": [MINUTE + 300], "c": [MINUTE + 400] * 2}
    assert (second.start, second.taken, second.refused) == (MINUTE + 6000, {"c": [MINUTE + 6000]}, {})
    assert [window.taken for window in books.windows(GET)] == [{"a": [MINUTE + 100]}]
    assert books.windows("GET /info") == []
    assert books.arrivals()[3] == Arrival(MINUTE + 300, POST, "a", False)


def test_the_books_forget_the_oldest_requests(monkeypatch):
    monkeypatch.setattr(limits, "KEPT", 3)
    books = RateLimits()
    for second in range(5):
        books.take(POST, "a", MINUTE + second * 1000)
    assert [arrival.at - MINUTE for arrival in books.arrivals()] == [2000, 3000, 4000]


def test_over_https_each_route_is_counted_by_itself():
    with LocalCloud(clock=lambda: MINUTE / 1000 + 20) as cloud:
        for route in (POST, GET, AGGREGATE):
            cloud.limits.per_window[route] = 1
        tokens = [cloud.create_device(name) for name in ("a", "b")]
        with Client(cloud, tokens[0]) as one, Client(cloud, tokens[1]) as other:
            aggregate = "/data?query=aggregate&variable=t&function=avg&interval=day&start_date=1%20day"
            assert one.post({"variable": "t", "value": 1})[0] == 200
            assert one.call("GET", "/data")[0] == 200
            assert one.call("GET", aggregate)[0] == 200
            # a body that is not read does not spoil the connection, which is used again
            for client in (other, one):
                status, body = client.post([{"variable": "t", "value": 1, "metadata": {"k": "x" * 4000}}] * 20)
                assert (status, body["status"]) == (429, False)
                assert body["message"] == "Too many requests (Retry-After: 40)"
                assert client.answer_headers["Retry-After"] is None
                assert client.call("GET", "/data/t")[0] == client.call("GET", aggregate)[0] == 429
                assert client.call("GET", "/info")[0] == 200
        # who is not let in costs the profile nothing
        with Client(cloud, "no such token") as stranger:
            assert stranger.call("POST", "/data", {"variable": "t"})[0] == 401
        ids = [cloud.device(token).id for token in tokens]
        (window,) = cloud.limits.windows(POST)
        assert {device: len(times) for device, times in window.taken.items()} == {ids[0]: 1}
        assert {device: len(times) for device, times in window.refused.items()} == {ids[0]: 1, ids[1]: 1}
        assert cloud.connections == 3


class Said:
    """What a Client needs to know of the stand-in that said these fields."""

    def __init__(self, fields):
        self.port = int(fields["url"].rpartition(":")[2])
        self.ca_pem = Path(fields["ca"]).read_bytes()


def test_the_command_takes_a_limit():
    tagonode = Path(sys.executable).parent / "tagonode"
    assert "--limit" in commands.run(tagonode, "cloud", "--help").stdout
    process = subprocess.Popen([tagonode, "cloud", "--json", "--limit", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        fields = json.loads(process.stdout.readline())
        with Client(Said(fields), fields["device_token"]) as client:
            assert client.post({"variable": "t"})[0] == client.call("GET", "/data")[0] == 429
            assert client.call("GET", "/info")[0] == 200
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_command_takes_a_plan():
    tagonode = Path(sys.executable).parent / "tagonode"
    wrong = commands.run(tagonode, "cloud", "--plan", "gold", timeout=60)
    assert (wrong.returncode, wrong.stderr) == (2, "--plan gold: choose one of free, starter, scale\n")
    command = [tagonode, "cloud", "--json", "--plan", "free", "--limit", "7"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        fields = json.loads(process.stdout.readline())
        with Client(Said(fields), fields["account_token"], "Account-Token") as client:
            said = client.get("/admin/limits")
            assert (said["per_window"]["GET /info"], said["per_window"][POST], said["devices"]) == (60, 7, 5)
    finally:
        process.terminate()
        process.communicate(timeout=30)
