"""Requests with a device token, and the reading of their answers. Addresses of servers."""

import json

import pytest
from tagoio import calls, regions, verdicts

GROUP = "k3x9q2_17"
TIME = 1767323045678


@pytest.mark.parametrize(
    "call, method, path",
    [
        (calls.get(), "GET", "/data"),
        (calls.get(variables="temperature", qty=1), "GET", "/data?qty=1&variables=temperature"),
        (calls.get(variables=["a", "b"]), "GET", "/data?variables=a&variables=b"),
        (calls.get(groups=(GROUP,), query="count"), "GET", "/data?groups=k3x9q2_17&query=count"),
        (
            calls.get(start_date=TIME, end_date=TIME),
            "GET",
            "/data?end_date=2026-01-02T03%3A04%3A05.678Z&start_date=2026-01-02T03%3A04%3A05.678Z",
        ),
        (calls.get(start_date="1 day", details=True), "GET", "/data?details=true&start_date=1%20day"),
        (calls.get(values=[True, 1.5]), "GET", "/data?values=true&values=1.5"),
        (calls.get(values="a+b&c=d/°"), "GET", "/data?values=a%2Bb%26c%3Dd%2F%C2%B0"),
        (calls.delete(qty="all"), "DELETE", "/data?qty=all"),
        (calls.delete(query="last_item"), "DELETE", "/data?query=last_item"),
        (calls.info(), "GET", "/info"),
        (calls.params(), "GET", "/device/params"),
        (calls.params(sent=False), "GET", "/device/params?sent_status=false"),
        (calls.params(sent=True), "GET", "/device/params?sent_status=true"),
    ],
)
def test_requests_without_a_body(call, method, path):
    assert call == (method, path, None)


@pytest.mark.parametrize(
    "kind",
    [
        "last_item",
        "first_item",
        "last_value",
        "first_value",
        "last_location",
        "first_location",
        "last_insert",
        "first_insert",
        "min",
        "max",
        "count",
        "sum",
        "avg",
        "aggregate",
        "conditional",
    ],  # fmt: skip
)
def test_every_query_kind(kind):
    assert calls.get(query=kind)[1] == "/data?query=" + kind


def test_requests_with_a_body():
    method, path, body = calls.send({"variable": "event", "value": 'door "open"'})
    assert (method, path) == ("POST", "/data")
    assert json.loads(body) == {"variable": "event", "value": 'door "open"'}
    method, path, body = calls.edit([{"id": "6143", "value": 21.5}])
    assert (method, path) == ("PUT", "/data")
    assert json.loads(body) == [{"id": "6143", "value": 21.5}]
    assert calls.mark_read("62 44/é") == ("PUT", "/device/params/62%2044%2F%C3%A9", b'{"sent":true}')


def test_what_is_no_json_is_not_sent():
    with pytest.raises(ValueError, match="JSON"):
        calls.send({"variable": "a", "value": float("nan")})


def test_a_bare_delete_is_refused():
    with pytest.raises(ValueError, match="how much"):
        calls.delete(variables="temperature")


def test_without_tls():
    assert calls.without_tls("/data") == "/data?_ssl=false"
    assert calls.without_tls("/data?qty=1") == "/data?qty=1&_ssl=false"


def test_read():
    def read(status, text):
        return calls.read(status, {}.get, text.encode())

    assert read(200, '{"status":true,"result":529}') == (verdicts.ACCEPTED, "HTTP 200", None, 529)
    assert read(200, '{"status":true,"result":[],"message":"w"}') == (
        verdicts.ACCEPTED_WITH_WARNING,
        "w",
        None,
        [],
    )
    assert read(404, '{"status":false,"message":"Route Not Found"}')[3] is None
    assert read(200, '{"status":true}')[3] is None


@pytest.mark.parametrize(
    "result, number",
    [
        (529, 529),
        (0, 0),
        (1.5, 1.5),
        ("2 Data Removed", 2),
        ("12 item(s) updated", 12),
        ("Successfully Removed", None),
        ("", None),
        ("99999999999 x", None),
        ("²", None),
        ("-5", None),
        (True, None),
        (None, None),
        ([1], None),
        ({}, None),
    ],
)
def test_count(result, number):
    assert calls.count(result) == number


def test_unread():
    rows = [
        {"id": "1", "key": "a", "value": "600", "sent": False},
        {"id": "2", "key": "b", "value": "false", "sent": True},
        {"id": "3", "key": "c", "value": ""},
        {"id": "4", "key": "d", "value": 5, "sent": False},
        {"key": "e", "value": "5", "sent": False},
        "x",
    ]
    assert calls.unread(rows) == [("1", "a", "600"), ("3", "c", "")]
    assert calls.unread(None) == []


@pytest.mark.parametrize(
    "text, address",
    [
        ("us-e1", ("https", "api.us-e1.tago.io", 443, "")),
        ("eu-w1", ("https", "api.eu-w1.tago.io", 443, "")),
        ("https://api.example.com", ("https", "api.example.com", 443, "")),
        ("https://Api.Example.com:8443/", ("https", "api.example.com", 8443, "")),
        ("https://127.0.0.1:8443/v1/x/", ("https", "127.0.0.1", 8443, "/v1/x")),
        ("HTTP://localhost", ("http", "localhost", 80, "")),
    ],
)
def test_addresses(text, address):
    assert regions.parse_url(text) == address


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "no address"),
        ("mars-1", "us-e1"),
        ("api.tago.io", "no address"),
        ("ftp://api.tago.io", "no address"),
        ("https://", "host name"),
        ("https:///data", "host name"),
        ("https://a b", "host name"),
        ("https://[::1]", "host name"),
        ("https://h:0", "port"),
        ("https://h:65536", "port"),
        ("https://h:443443443443", "port"),
        ("https://h:x", "port"),
        ("https://h:", "port"),
        ("https://h/a?b", "path"),
        ("https://h/a b", "path"),
    ],
)
def test_addresses_that_are_none(text, part):
    with pytest.raises(ValueError, match=part):
        regions.parse_url(text)


def test_a_password_in_the_address_is_not_repeated():
    with pytest.raises(ValueError) as caught:
        regions.parse_url("https://user:secret@host")
    assert "secret" not in str(caught.value)
