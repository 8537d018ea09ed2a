"""TagoIO's rules against drawn readings and arbitrary answers. Judges: json, datetime, decimal.
CPython only."""

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pytest
from tagoio import calls, question, records, regions, verdicts

RELAXED = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
LAST = 253402300799999  # 9999-12-31T23:59:59.999Z

text = st.text(max_size=60)
number = st.floats(allow_nan=False, allow_infinity=False)
value = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), number, text)
channel = st.tuples(st.text(min_size=1, max_size=120), st.text(max_size=25), st.integers(0, 6))
tree = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=10,
)


@st.composite
def samples(draw):
    channels = tuple(draw(st.lists(channel, min_size=1, max_size=5)))
    return SimpleNamespace(
        sequence=draw(st.integers(1, 2**40)),
        time=draw(st.one_of(st.none(), st.integers(0, LAST))),
        channels=channels,
        values=[draw(value) for _ in channels],
        location=draw(st.one_of(st.none(), st.tuples(st.floats(-90, 90), st.floats(-180, 180)))),
        metadata=draw(st.one_of(st.none(), st.dictionaries(text, tree, max_size=3))),
    )


def is_the_number(found, given_value, decimals):
    if isinstance(given_value, float):
        if abs(given_value) >= 1e16:
            return found == given_value
        exact = Decimal(given_value)
        return abs(Decimal(repr(found)) - exact) <= Decimal(10) ** -decimals / 2 + abs(exact) * Decimal("1e-15")
    return found == given_value and type(found) is type(given_value)


@RELAXED
@given(st.lists(samples(), max_size=6), st.integers(2, 400))
def test_every_body_parses_to_what_was_given_and_has_the_size_foretold(batch, room):
    encoder = records.Encoder("k3x9q2", bytearray(room))
    foretold = sum((encoder.size(sample) for sample in batch), records.EMPTY)
    pieces = [bytes(piece) for piece in encoder.pieces(batch)]
    body = b"".join(pieces)
    rows = json.loads(body.decode())
    assert len(body) == foretold if rows else body == b"[]"
    assert all(len(piece) == room for piece in pieces[:-1])
    assert b" " not in body or any(" " in str(sample.__dict__) for sample in batch)
    expected = [
        (sample, *what)
        for sample in batch
        for what in zip(sample.channels, sample.values, strict=True)
        if what[1] is not None
    ]
    assert len(rows) == len(expected)
    for row, (sample, (variable, unit, decimals), given_value) in zip(rows, expected, strict=True):
        assert row.pop("variable") == records.clean_variable(variable)
        assert is_the_number(row.pop("value"), given_value, decimals)
        assert row.pop("unit", "") == unit
        assert row.pop("group") == f"k3x9q2_{sample.sequence}"
        if sample.time is not None:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=sample.time)
            assert row.pop("time") == moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{sample.time % 1000:03d}Z"
        if sample.location is not None:
            place = row.pop("location")
            assert place == {
                "lat": pytest.approx(sample.location[0], abs=1e-6),
                "lng": pytest.approx(sample.location[1], abs=1e-6),
            }
        if sample.metadata:
            assert row.pop("metadata") == sample.metadata
        assert not row


@RELAXED
@given(number, st.integers(0, 6))
def test_numbers_are_short_json(given_value, decimals):
    found = records.format_value(given_value, decimals)
    assert is_the_number(json.loads(found), given_value, decimals)
    if abs(given_value) < 1e16:
        whole, _, fraction = found.decode().partition(".")
        assert len(fraction) <= decimals and not fraction.endswith("0")
        assert whole.lstrip("-").isdigit() and found != b"-0"


@RELAXED
@given(st.integers(0, LAST))
def test_time_is_datetimes(unix_ms):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)
    assert records.iso8601(unix_ms).decode() == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_time_is_datetimes_on_every_day_of_four_hundred_years():
    moment = datetime(1970, 1, 1, 23, 59, 59, 999000, tzinfo=UTC)
    for day in range(146097):
        found = records.iso8601(day * 86400000 + 86399999)
        assert found == (moment + timedelta(days=day)).strftime("%Y-%m-%dT23:59:59.999Z").encode()


@RELAXED
@given(st.text(max_size=200))
def test_names_are_safe(name):
    clean = records.clean_variable(name)
    assert 0 < len(clean) <= 100 and set(clean) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert records.clean_variable(clean) == clean


@RELAXED
@given(
    st.one_of(st.floats(), st.text(), st.integers(), st.binary(), st.none(), st.lists(st.integers())),
    st.integers(0, 6),
)
def test_any_value_is_json_or_none(given_value, decimals):
    found = records.format_value(given_value, decimals)
    if (
        isinstance(given_value, float)
        and not math.isfinite(given_value)
        or isinstance(given_value, (bytes, list, type(None)))
    ):
        assert found is None
    else:
        json.loads(found)


VERDICTS = {
    verdicts.ACCEPTED,
    verdicts.ACCEPTED_WITH_WARNING,
    verdicts.REJECTED,
    verdicts.TOO_LARGE,
    verdicts.DEVICE_REFUSES,
    verdicts.THROTTLED,
    verdicts.UNAUTHORISED,
    verdicts.UNAVAILABLE,
    verdicts.UNTRUSTED,
    verdicts.MISCONFIGURED,
    verdicts.AMBIGUOUS,
}
TOKEN = "5a16405f-b32c-4c91-ae39-cbb2caba18d8"
# texts of hypothesis are short: some that a detail has no room for, some with halves of surrogate pairs
long = st.text(st.characters() | st.just("x"), min_size=90, max_size=200)
phrase = st.sampled_from(
    [
        "Too many requests (Retry-After: 8)",
        "retry-after: " + "9" * 300,
        "Authorization denied",
        "request entity too large",
        "Limit reached",
        "time must be between",
    ]
)
said = text | long | phrase | st.builds("{}{}{}".format, text | long, st.just(TOKEN) | phrase, text | st.just(TOKEN))
answer = st.one_of(
    st.binary(max_size=200),
    tree.map(lambda t: json.dumps(t).encode()),
    st.builds(
        lambda t, plain: json.dumps(t, ensure_ascii=not plain).encode("utf-8", "surrogatepass"),
        st.fixed_dictionaries(
            {"status": st.sampled_from([True, False, False, False, None, 1, "true"])},
            optional={
                "message": said | tree,
                "result": said | tree | st.fixed_dictionaries({"message": said}),
            },
        ),
        st.booleans(),
    ),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "location"]), said | st.integers(-5, 10**30).map(str) | st.just("8 s")
)


@RELAXED
@given(st.integers(0, 1200) | st.sampled_from([200, 400, 429, 503, 301, 404]), answer, headers)
def test_every_answer_has_one_verdict(status, body, headers):
    verdict, detail, hint = verdicts.judge(status, headers.get, body, TOKEN)
    assert verdict in VERDICTS - {verdicts.UNTRUSTED}
    assert isinstance(detail, str) and len(detail) <= 120 and TOKEN[:13] not in detail
    assert detail.encode().decode() == detail
    assert len(detail.splitlines()) <= 1 or set(detail) & {"\u2028", "\u2029"}
    assert not any(c < " " or "\x7f" <= c < "\xa0" for c in detail)
    assert hint is None or verdict in (verdicts.THROTTLED, verdicts.UNAVAILABLE) and 1 <= hint <= 3600
    if verdict in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
        assert 200 <= status < 300 and json.loads(body)["status"] is True
    elif status == 429:
        assert verdict == verdicts.THROTTLED
    if verdict == verdicts.REJECTED:
        assert json.loads(body)["status"] is False
    assert verdicts.judge(status, headers.get, bytearray(body), TOKEN) == (verdict, detail, hint)
    *same, result = calls.read(status, headers.get, body, TOKEN)
    assert tuple(same) == (verdict, detail, hint)
    if result is not None:
        assert result == json.loads(body)["result"]


@RELAXED
@given(tree | st.lists(st.dictionaries(st.sampled_from(["id", "key", "value", "sent"]), tree), max_size=4))
def test_readers_take_any_result(result):
    rows = calls.rows(result)
    assert rows == ([row for row in result if isinstance(row, dict)] if isinstance(result, list) else [])
    number = calls.count(result)
    assert number is None or isinstance(number, int | float) and not isinstance(number, bool)
    for names in calls.unread(result):
        assert len(names) == 3 and all(isinstance(name, str) for name in names)
        assert any(names == (row.get("id"), row.get("key"), row.get("value")) for row in rows)


GROUP, TIME, MOMENT = "k3x9q2_17", 1767323045678, "2026-01-02T03:04:05.678Z"
stored_row = st.fixed_dictionaries(
    {},
    optional={
        "id": text,
        "variable": st.sampled_from(["temperature", "humidity"]) | text,
        "value": st.integers() | st.booleans() | text | st.sampled_from(['"group":"k3x9q2_17"', "},{"]),
        "unit": text,
        "group": st.sampled_from([GROUP, "k3x9q2_1", "other"]) | text,
        "time": st.sampled_from([MOMENT, "2026-01-02T03:04:05.679Z"]) | text,
        "location": st.just({"type": "Point", "coordinates": [-85.6, 42.3]}),
    },
)
stored_rows = st.lists(stored_row | stored_row | tree, max_size=4)


@RELAXED
@given(
    stored_rows,
    st.sampled_from([True, True, True, False, None, 1]),
    st.sampled_from([GROUP, None]),
    st.sampled_from([TIME, None]),
    st.sampled_from([(",", ":"), (", ", ": "), (",\n", " : ")]),
    st.booleans(),
)
def test_a_reading_is_found_as_json_finds_it_and_a_cut_answer_never_says_more(rows, status, group, time, marks, plain):
    whole = json.dumps({"status": status, "result": rows}, separators=marks, ensure_ascii=plain).encode()
    there = any(
        isinstance(row, dict)
        and row.get("variable") == "temperature"
        and (group is not None and row.get("group") == group or time is not None and row.get("time") == MOMENT)
        for row in rows
    )
    found = question.found(whole, "Temperature", group, time)
    assert found is (there if status is True else None)
    possible = (None, True) if found else (None,)
    for cut in range(len(whole)):
        assert question.found(bytearray(whole[:cut]), "Temperature", group, time) in possible


@RELAXED
@given(answer | st.binary(max_size=300).map(lambda raw: b'{"status":true,"result":[' + raw))
def test_any_bytes_are_no_proof(body):
    found = question.found(body, "temperature", GROUP, TIME)
    assert found is None or found is False or GROUP.encode() in body or MOMENT.encode() in body


@RELAXED
@given(st.sampled_from(["resolve", "connect", "handshake", "send", "answer"]), text | long, st.booleans())
def test_every_failure_has_one_verdict(stage, reason, sent):
    verdict, detail, hint = verdicts.judge_failure(stage, reason, sent)
    assert (verdict == verdicts.AMBIGUOUS) == sent
    assert verdict in VERDICTS and len(detail) <= 120 and detail.encode()
    assert (hint is not None) == (verdict == verdicts.UNTRUSTED)


@RELAXED
@given(
    st.dictionaries(
        st.sampled_from(["variables", "groups", "values", "ids", "timezone", "query"]),
        st.one_of(text, st.lists(text, min_size=1, max_size=3)),
    )
)
def test_queries_are_read_back_by_urllib(filters):
    path = calls.get(**filters)[1]
    assert path.isascii() and path.isprintable() and " " not in path
    expected = [(k, v) for k in sorted(filters) for v in ([filters[k]] if isinstance(filters[k], str) else filters[k])]
    assert parse_qsl(urlsplit(path).query, keep_blank_values=True) == expected


@RELAXED
@given(st.text(max_size=60).map(lambda t: "https://" + t))
def test_any_address_is_read_or_refused(url):
    try:
        scheme, host, port, prefix = regions.parse_url(url)
    except ValueError:
        return
    parts = urlsplit(url)
    assert (scheme, host, port) == ("https", parts.hostname, parts.port or 443)
    assert prefix == parts.path.rstrip("/")
