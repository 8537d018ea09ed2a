"""Every answer, and every failure to get one, has exactly one verdict."""

import pytest
from tagoio import verdicts
from tagoio.verdicts import (
    ACCEPTED,
    ACCEPTED_WITH_WARNING,
    AMBIGUOUS,
    DEVICE_REFUSES,
    MISCONFIGURED,
    REJECTED,
    THROTTLED,
    TOO_LARGE,
    UNAUTHORISED,
    UNAVAILABLE,
    UNTRUSTED,
    judge,
    judge_failure,
)

TOKEN = "5a16405f-b32c-4c91-ae39-cbb2caba18d8"


def form_a(text):
    return f'{{"status":false,"message":"{text}"}}'


def form_b(text):
    return f'{{"status":false,"result":{{"message":"{text}"}}}}'


def form_c(text):
    return f'{{"status":false,"result":"{text}"}}'


FULL = "The device has reached the limit of 50000 data registers"
HTML = "<html><body>Please log in</body></html>"

ANSWERS = [
    # status, body, verdict, a part of the detail
    (200, '{"status":true,"result":"2 Data Added"}', ACCEPTED, "2 Data Added"),
    (201, '{"status":true,"result":[]}', ACCEPTED, "HTTP 201"),
    (202, '{"result":"1 items added","status":true}', ACCEPTED, "1 items added"),
    (200, '{"status":true}', ACCEPTED, ""),
    (200, '{"status":true,"result":{},"message":"Almost full"}', ACCEPTED_WITH_WARNING, "Almost full"),
    (200, '{"status":true,"message":""}', ACCEPTED, ""),
    (200, '{"status":"true"}', AMBIGUOUS, "without an answer"),
    (200, '{"status":1}', AMBIGUOUS, "without an answer"),
    (200, "{}", AMBIGUOUS, "without an answer"),
    (200, "", AMBIGUOUS, "without an answer"),
    (204, "", AMBIGUOUS, "without an answer"),
    (200, HTML, AMBIGUOUS, "without an answer"),
    (200, "[]", AMBIGUOUS, "without an answer"),
    (200, '"ok"', AMBIGUOUS, "without an answer"),
    (200, "true", AMBIGUOUS, "without an answer"),
    (200, '{"status":true,"result":"2 Data', AMBIGUOUS, "without an answer"),
    (200, form_a("Invalid variable"), REJECTED, "Invalid variable"),
    (400, form_a("Invalid variable"), REJECTED, "Invalid variable"),
    (400, form_b("Invalid variable"), REJECTED, "Invalid variable"),
    (400, form_c("Invalid variable"), REJECTED, "Invalid variable"),
    (422, form_a("Error on object parse"), REJECTED, "Error on object parse"),
    (400, '{"status":false}', REJECTED, "HTTP 400"),
    (400, '{"status":false,"message":5,"result":null}', REJECTED, "HTTP 400"),
    (400, '{"status":false,"message":"Error on value","field_errors":{}}', REJECTED, "Error on value"),
    (400, form_a("The value is above the limit of 6 kB"), REJECTED, "6 kB"),
    (400, form_a("Time must be a string"), REJECTED, "string"),
    (400, "", UNAVAILABLE, "without an answer"),
    (400, HTML, UNAVAILABLE, "without an answer"),
    (400, '{"status":true}', UNAVAILABLE, "without an answer"),
    (400, form_a(FULL), DEVICE_REFUSES, "50000"),
    (400, form_b(FULL), DEVICE_REFUSES, "50000"),
    (200, form_c(FULL), DEVICE_REFUSES, "50000"),
    (400, form_a("Limit reached"), DEVICE_REFUSES, ""),
    (400, form_a("You have exceeded the limit of data input of this month"), DEVICE_REFUSES, ""),
    (400, form_a("Time must be between 2026-01-01 and 2026-02-03"), DEVICE_REFUSES, ""),
    (400, form_a("Time is outside of the data retention"), DEVICE_REFUSES, ""),
    (400, form_a("The time is too old"), DEVICE_REFUSES, ""),
    (400, form_a("Time lies in the future"), DEVICE_REFUSES, ""),
    (400, form_a("Device is deactivated"), DEVICE_REFUSES, ""),
    (400, form_a("Device is disabled"), DEVICE_REFUSES, ""),
    (400, form_a("Device not found or inactive"), DEVICE_REFUSES, ""),
    (400, form_a("Your token has no permission to do that"), DEVICE_REFUSES, ""),
    (402, "", DEVICE_REFUSES, "HTTP 402"),
    (401, form_c("Authorization denied"), UNAUTHORISED, "Authorization denied"),
    (401, "", UNAUTHORISED, "HTTP 401"),
    (403, form_a("Device is deactivated"), UNAUTHORISED, "Device is deactivated"),
    (403, HTML, UNAUTHORISED, "HTTP 403"),
    (200, form_c("Authorization denied"), UNAUTHORISED, "Authorization denied"),
    (400, form_a("Authorization denied"), UNAUTHORISED, "Authorization denied"),
    (404, form_a("Route Not Found"), MISCONFIGURED, "Route Not Found"),
    (404, HTML, MISCONFIGURED, "HTTP 404"),
    (405, "", MISCONFIGURED, "HTTP 405"),
    (301, "", MISCONFIGURED, "https://elsewhere"),
    (302, HTML, MISCONFIGURED, "https://elsewhere"),
    (307, '{"status":true}', MISCONFIGURED, "https://elsewhere"),
    (308, "", MISCONFIGURED, "https://elsewhere"),
    (413, HTML, TOO_LARGE, "HTTP 413"),
    (413, form_a("Too much"), TOO_LARGE, "Too much"),
    (400, form_a("request entity too large"), TOO_LARGE, ""),
    (429, "", THROTTLED, "HTTP 429"),
    (200, form_a("Too many requests (Retry-After: 8)"), THROTTLED, ""),
    (408, "", UNAVAILABLE, "HTTP 408"),
    (408, form_a("Request timeout"), UNAVAILABLE, "Request timeout"),
    (425, "", UNAVAILABLE, "HTTP 425"),
    (500, HTML, UNAVAILABLE, "HTTP 500"),
    (500, form_a("Internal error"), UNAVAILABLE, "Internal error"),
    (503, '{"status":true}', UNAVAILABLE, "HTTP 503"),
    (599, "", UNAVAILABLE, ""),
    (400, form_a("Limit exceeded for this month"), DEVICE_REFUSES, ""),
    (400, form_a("Monthly quota used up"), DEVICE_REFUSES, ""),
    (400, form_a("Limit of 25 items"), REJECTED, ""),
    (400, form_a("The month must be a number"), REJECTED, ""),
    (400, form_b("Authorization denied"), UNAUTHORISED, ""),
    (200, form_b("Request Entity Too Large"), TOO_LARGE, ""),
    (406, HTML, UNAVAILABLE, "HTTP 406"),
    (415, form_a("Content-Type must be application/json"), REJECTED, "Content-Type"),
    (502, HTML, AMBIGUOUS, "HTTP 502"),
    (504, "", AMBIGUOUS, "HTTP 504"),
    (700, "", UNAVAILABLE, ""),
]


@pytest.mark.parametrize("status, body, verdict, part", ANSWERS)
def test_answers(status, body, verdict, part):
    found, detail, _ = judge(status, {"location": "https://elsewhere/x"}.get, body.encode(), TOKEN)
    assert found == verdict
    assert part in detail
    assert len(detail) <= 120


def text_of(wait):
    return form_a(f"Too many requests (Retry-After: {wait})")


WAITS = [
    # Retry-After header, body, seconds
    (None, text_of(8), 8),
    (None, form_b("Too many requests (Retry-After: 8)"), 8),
    (None, form_c("too many requests, retry after 12 s"), 12),
    (None, form_a("retry-after=30"), 30),
    ("5", text_of(8), 5),
    (" 5 ", "", 5),
    ("0", "", 1),
    ("nonsense", text_of(8), 8),
    ("-5", text_of(8), 8),
    ("Wed, 21 Oct 2026 07:28:00 GMT", text_of(8), 8),
    ("Wed, 21 Oct 2026 07:28:00 GMT", "", None),
    ("99999999999999999999999999", "", 3600),
    ("3601", "", 3600),
    ("1.5", "", 1),
    ("", "", None),
    (None, "", None),
    (None, HTML, None),
    (None, form_a("Too many requests"), None),
    (None, text_of("soon"), None),
    (None, text_of("-8"), None),
    (None, text_of("9" * 60), 3600),
    (None, text_of("NaN"), None),
    (None, text_of("8.5"), 8),
    (None, form_a('Too many requests, \\"Retry-After\\": 8'), None),
    (None, form_a("Too many requests (RETRY AFTER: 007)"), 7),
    ("\u0663", text_of("\u0663"), None),  # a digit elsewhere
    ("120, 60", "", 120),
    ("NaN", "", None),
    ("1e3", "", 1),
]


@pytest.mark.parametrize("header, body, seconds", WAITS)
def test_retry_after(header, body, seconds):
    for status in (429, 503) if header or not body else (429,):
        verdict, _, hint = judge(status, {"retry-after": header}.get, body.encode())
        assert verdict == (THROTTLED if status == 429 else UNAVAILABLE)
        assert hint == seconds


def test_only_who_has_to_wait_is_told_how_long():
    for status in (200, 301, 400, 401, 402, 404, 413, 502, 504):
        assert judge(status, {"retry-after": "9"}.get, form_a("x").encode())[2] is None
    assert judge(200, {"retry-after": "9"}.get, form_a("Too many requests").encode())[2] == 9


def test_the_remedy_of_a_redirect_comes_first():
    long = "https://portal.example/" + "x" * 200
    for status in (301, 302, 303, 307, 308):
        detail = judge(status, {"location": long}.get, b"")[1]
        assert detail.startswith(f"correct the server's address: HTTP {status} sends us to https://portal.example/")
        assert judge(status, {}.get, b"")[1].endswith("sends us to nowhere")


def test_the_token_is_blotted_out_even_at_the_cut():
    for filler in (0, 60, 90, 119, 120):
        text = "x" * filler + " token " + TOKEN + " is not known"
        for form in (form_a, form_b, form_c):
            for status in (200, 400, 401, 404, 429, 500):
                detail = judge(status, {}.get, form(text).encode(), TOKEN)[1]
                assert TOKEN[:8] not in detail
                assert len(detail) <= 120
    assert TOKEN not in judge(301, {"location": "/" + TOKEN}.get, b"", TOKEN)[1]


def test_the_detail_is_one_line():
    detail = judge(400, {}.get, b'{"status":false,"message":"a\\nb\\u0000\\u001b[31mc"}')[1]
    assert detail == "a b  [31mc"
    text = "\\u007f\\u009b31m|\\ud800|\\ud83d\\ude00|\u00e9\u2026\u0663|"
    detail = judge(400, {}.get, form_a(text).encode())[1]
    assert detail.replace(" ", "") == "31m|||\u00e9\u2026\u0663|"
    assert detail.encode().decode() == detail


NAME = "\nThe certificate Common Name (CN) does not match with the expected CN"
ISSUER = "The certificate is not correctly signed by the trusted CA"

FAILURES = [
    # stage, text, sent, verdict, reason, a part of the detail
    ("resolve", "no answer from 2 servers", False, UNAVAILABLE, None, "DNS"),
    ("connect", "[Errno 111] ECONNREFUSED", False, UNAVAILABLE, None, "ECONNREFUSED"),
    ("connect", "nothing moved for 15000 ms", False, UNAVAILABLE, None, "no connection"),
    ("handshake", "nothing moved for 15000 ms", False, UNAVAILABLE, None, "TLS handshake"),
    ("handshake", "[Errno 104] ECONNRESET", False, UNAVAILABLE, None, "TLS handshake"),
    (
        "handshake",
        NAME,
        False,
        UNTRUSTED,
        "host",
        "name",
    ),
    (
        "handshake",
        ISSUER,
        False,
        UNTRUSTED,
        "issuer",
        "--ca",
    ),
    ("handshake", "The certificate validity has expired", False, UNTRUSTED, "expired", "expired"),
    ("handshake", "The certificate validity starts in the future", False, UNTRUSTED, "clock", "clock"),
    (
        "handshake",
        "The certificate validity starts in the future\n" + ISSUER,
        False,
        UNTRUSTED,
        "issuer",
        "",
    ),
    (
        "handshake",
        "The certificate validity starts in the future" + NAME,
        False,
        UNTRUSTED,
        "host",
        "",
    ),
    ("handshake", "(-30336, 'MBEDTLS_ERR_SSL_CA_CHAIN_REQUIRED')", False, UNTRUSTED, "issuer", "no root"),
    ("handshake", "(-30592, 'MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE')", False, UNAVAILABLE, None, "TLS 1.2"),
    (
        "handshake",
        "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version",
        False,
        UNAVAILABLE,
        None,
        "TLS 1.2",
    ),
    ("handshake", "[Errno 12] ENOMEM", False, UNAVAILABLE, None, "memory"),
    # CPython's words for the same faults
    (
        "handshake",
        "certificate verify failed: Hostname mismatch, certificate is not valid for 'a'",
        False,
        UNTRUSTED,
        "host",
        "",
    ),
    (
        "handshake",
        "certificate verify failed: IP address mismatch, certificate is not",
        False,
        UNTRUSTED,
        "host",
        "",
    ),
    (
        "handshake",
        "certificate verify failed: unable to get local issuer certificate",
        False,
        UNTRUSTED,
        "issuer",
        "",
    ),
    ("handshake", "certificate verify failed: self-signed certificate", False, UNTRUSTED, "issuer", ""),
    ("handshake", "certificate verify failed: certificate has expired", False, UNTRUSTED, "expired", ""),
    ("handshake", "certificate verify failed: certificate is not yet valid", False, UNTRUSTED, "clock", ""),
    ("send", "[Errno 104] ECONNRESET", False, UNAVAILABLE, None, "sending"),
    ("send", "the answer says: expired", False, UNAVAILABLE, None, "sending"),
    ("handshake", "(-32512, 'MBEDTLS_ERR_SSL_ALLOC_FAILED')", False, UNAVAILABLE, None, "memory"),
    ("handshake", "x" * 500, False, UNAVAILABLE, None, ""),
    ("send", "[Errno 104] ECONNRESET", True, AMBIGUOUS, None, "ECONNRESET"),
    ("answer", "the connection closed without an answer", True, AMBIGUOUS, None, "without an answer"),
    ("answer", "The certificate validity has expired", True, AMBIGUOUS, None, ""),
    ("answer", "x" * 500, True, AMBIGUOUS, None, ""),
    ("answer", "the connection closed", False, UNAVAILABLE, None, ""),
]


@pytest.mark.parametrize("stage, text, sent, verdict, reason, part", FAILURES)
def test_failures(stage, text, sent, verdict, reason, part):
    found, detail, hint = judge_failure(stage, text, sent)
    assert (found, hint) == (verdict, reason)
    assert part in detail
    assert len(detail) <= 120 and "\n" not in detail


@pytest.mark.parametrize(
    "body, dict_expected",
    [
        (b"", False),
        (b"{", False),
        (b"[1", False),
        (b"{}", True),
        (b'{"a":1}', True),
        (b'{"a":1} x', False),
        (b"\xff\xfe", False),
        (b'{"a":"\xff"}', False),
        (b"{[]:1}", False),
        (b"{{}:1}", False),
        (b"-", False),
        (b"1e", False),
        (b"\0", False),
        (b"[" * 900, False),
        (b"[" * 4000, False),  # RuntimeError on CPython, MemoryError on a board
        (b'{"a":' * 1000, False),
        (b'{"a":' * 150, False),
        (b"null", False),
    ],
)
def test_any_body_is_an_object_or_none(body, dict_expected):
    assert isinstance(verdicts.parse_envelope(body), dict) == dict_expected
    assert verdicts.parse_envelope(bytearray(body)) == verdicts.parse_envelope(body)


def test_an_answer_cut_anywhere_is_no_answer():
    whole = b'{"result":[{"a":"b"},5,null],"status":true,"message":"x"}'
    assert judge(200, {}.get, whole)[0] == ACCEPTED_WITH_WARNING
    for cut in range(len(whole)):
        assert judge(200, {}.get, whole[:cut])[0] == AMBIGUOUS
        assert judge(200, {}.get, whole[:cut] + b"<html>")[0] == AMBIGUOUS
