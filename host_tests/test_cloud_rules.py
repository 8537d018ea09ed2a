"""The local TagoIO's rules for data, row by row: TagoIO API, "Sending Data"."""

import json
import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

import pytest
from tagonode.cloud import rules, times

NOW = times.to_ms(datetime(2026, 3, 31, 12, 30, 15, 250_000, tzinfo=UTC))
GROUP = "0123456789abcdef01234567"


def stored(item):
    return rules.check_record(item, NOW, GROUP)


def ms(text):
    """Milliseconds by the standard library's own reader."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


ACCEPTED = [
    # (what is sent besides variable "a", field of the record, what is stored)
    ({"variable": "Temperature"}, "variable", "temperature"),
    ({"variable": "ÄRGER_Ω"}, "variable", "ärger_ω"),
    ({"variable": "v" * 100}, "variable", "v" * 100),
    ({"variable": "a:b/c"}, "variable", "a:b/c"),
    ({}, "value", None),
    ({"value": 21.43}, "value", 21.43),
    ({"value": 0}, "value", 0),
    ({"value": False}, "value", False),
    ({"value": True}, "value", True),
    ({"value": ""}, "value", ""),
    ({"value": "12.5"}, "value", "12.5"),
    ({"value": "x" * 6000}, "value", "x" * 6000),
    ({"value": -1e-300}, "value", -1e-300),
    ({"value": 2**53}, "value", 2**53),
    ({}, "unit", None),
    ({"unit": "°C"}, "unit", "°C"),
    ({"unit": "µ" * 25}, "unit", "µ" * 25),
    ({"unit": ""}, "unit", ""),
    ({}, "time", NOW),
    ({"time": None}, "time", NOW),
    ({"time": "2026-01-02T03:04:05Z"}, "time", ms("2026-01-02T03:04:05+00:00")),
    ({"time": "2026-01-02T03:04:05.678Z"}, "time", ms("2026-01-02T03:04:05.678+00:00")),
    ({"time": "2026-01-02T03:04:05.6789Z"}, "time", ms("2026-01-02T03:04:05.678+00:00")),
    ({"time": "2026-01-02T03:04:05.6Z"}, "time", ms("2026-01-02T03:04:05.600+00:00")),
    ({"time": "2015-11-03 13:44:33"}, "time", ms("2015-11-03T13:44:33+00:00")),
    ({"time": "2026-01-02T03:04:05"}, "time", ms("2026-01-02T03:04:05+00:00")),
    ({"time": "2026-01-02T03:04:05+02:00"}, "time", ms("2026-01-02T01:04:05+00:00")),
    ({"time": "2026-01-02T03:04:05-0330"}, "time", ms("2026-01-02T06:34:05+00:00")),
    ({"time": "2026-01-02 03:04:05.678900"}, "time", ms("2026-01-02T03:04:05.678+00:00")),
    ({"time": "2026-01-02"}, "time", ms("2026-01-02T00:00:00+00:00")),
    ({"time": "1969-12-31T23:59:59.999Z"}, "time", -1),
    ({"time": 1_767_323_045_678}, "time", 1_767_323_045_678),
    ({"time": 1_767_323_045_678.9}, "time", 1_767_323_045_678),
    ({"time": 1_767_323_045}, "time", 1_767_323_045),  # seconds land in 1970
    ({}, "group", GROUP),
    ({"group": None}, "group", GROUP),
    ({"group": "k3x9q2_17"}, "group", "k3x9q2_17"),
    ({"group": "g" * 100}, "group", "g" * 100),
    ({"serie": "old"}, "group", "old"),
    ({"serie": 17}, "group", "17"),
    ({"group": "new", "serie": "old"}, "group", "new"),
    ({}, "location", None),
    ({"location": None}, "location", None),
    ({"location": {"lat": 42.29, "lng": -85.62}}, "location", (-85.62, 42.29)),
    ({"location": {"lat": -90, "lng": 180}}, "location", (180, -90)),
    ({"location": {"type": "Point", "coordinates": [-85.62, 42.29]}}, "location", (-85.62, 42.29)),
    ({"location": {"type": "point", "coordinates": [180, 90]}}, "location", (180, 90)),
    ({"location": {"coordinates": [1, 2]}}, "location", (1, 2)),
    ({}, "metadata", None),
    ({"metadata": {"a": [1, {"b": None}]}}, "metadata", '{"a":[1,{"b":null}]}'),
    ({"metadata": ["x"]}, "metadata", '["x"]'),
    ({"metadata": {"k": "é" * 4996}}, "metadata", '{"k":"' + "é" * 4996 + '"}'),  # 10,000 bytes
    ({"unknown": 1, "_ssl": False}, "variable", "a"),
]


@pytest.mark.parametrize(("item", "field", "expected"), ACCEPTED, ids=lambda x: str(x)[:40])
def test_is_accepted(item, field, expected):
    found = getattr(stored({"variable": "a", **item}), field)
    assert found == expected
    assert type(found) is type(expected)


REFUSED = [
    # (what is sent besides variable "a", what the text must say)
    *({"variable": f"a{c}b"} for c in "*?!<>.-=$ "),
    {"variable": ""},
    {"variable": "v" * 101},
    {"variable": None},
    {"variable": 5},
    {"value": None},
    {"value": {}},
    {"value": [1]},
    {"value": "x" * 6001},
    {"value": "é" * 3001},
    {"unit": "u" * 26},
    {"unit": 5},
    {"unit": None},
    {"time": ""},
    {"time": "yesterday"},
    {"time": "1767323045678"},
    {"time": "20260102"},
    {"time": "2026-02-30T00:00:00Z"},
    {"time": "2026-01-02T24:00:00Z"},
    {"time": "2026-01-02T03:04:60Z"},
    {"time": "2026-01-02T03:04:05Z "},
    {"time": "2026-01-02T03:04:05+25:00"},
    {"time": "0000-01-01T00:00:00Z"},
    {"time": "0001-01-01T00:00:00+01:00"},
    {"time": "2026-01-0２T03:04:05Z"},
    {"time": True},
    {"time": {}},
    {"time": 1e18},
    {"group": "g" * 101},
    {"group": 7},
    {"serie": True},
    {"serie": "s" * 101},
    {"location": {}},
    {"location": "here"},
    {"location": [1, 2]},
    {"location": {"lat": 1}},
    {"location": {"lat": 90.1, "lng": 0}},
    {"location": {"lat": 0, "lng": -180.1}},
    {"location": {"lat": "1", "lng": 2}},
    {"location": {"lat": True, "lng": 2}},
    {"location": {"type": "Point", "coordinates": [1, 2, 3]}},
    {"location": {"type": "Point", "coordinates": [42.0, -120.0]}},
    {"location": {"type": "Polygon", "coordinates": [1, 2]}},
    {"metadata": None},
    {"metadata": "text"},
    {"metadata": {"k": "é" * 4997}},
]


@pytest.mark.parametrize("item", REFUSED, ids=lambda x: str(x)[:40])
def test_is_refused_naming_the_field(item):
    with pytest.raises(rules.Refused) as refusal:
        stored({"variable": "a", **item})
    assert refusal.value.status == 400
    assert refusal.value.message.startswith(next(iter(item)) + " ")


def test_one_bad_record_refuses_all_and_is_named():
    body = [{"variable": "a"}, {"variable": "b", "unit": 5}, {"variable": "c"}]
    with pytest.raises(rules.Refused) as refusal:
        rules.check_records(body, NOW)
    assert refusal.value.message == "[1].unit must be a string"


def test_records_without_group_share_a_new_one():
    first = rules.check_records([{"variable": "a"}, {"variable": "b", "group": "mine"}, {"variable": "c"}], NOW)
    second = rules.check_records({"variable": "a"}, NOW)
    assert first[0].group == first[2].group
    assert first[1].group == "mine"
    assert len(first[0].group) == 24
    assert set(first[0].group) <= set("0123456789abcdef")
    assert second[0].group != first[0].group


@pytest.mark.parametrize("body", [5, "text", None, True, [5], [[{"variable": "a"}]], [None]])
def test_a_body_is_an_object_or_an_array_of_objects(body):
    with pytest.raises(rules.Refused, match="object or an array of objects"):
        rules.check_records(body, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1,]",
        b'{"a":1}{"a":2}',
        b'{"value":NaN}',
        b'{"value":-Infinity}',
        b'{"value":1e400}',
        b'{"value":' + b"9" * 400 + b"}",
        b'{"a":"\xff"}',
        "{}".encode("utf-16"),
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(rules.Refused) as refusal:
        rules.read_json(body)
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("21.0", 21),
        ("2.1e1", 21),
        ("-0.0", 0),
        ("9007199254740993", 9007199254740992),
        ("1e300", 1e300),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
        ("0.1", 0.1),
    ],
)
def test_numbers_are_doubles_and_whole_ones_are_whole(text, expected):
    found = rules.read_json(text.encode())
    assert found == expected
    assert type(found) is type(expected)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_its_value(number):
    found = rules.read_json(json.dumps(number).encode())
    assert found == number
    assert json.loads(rules.write_json(found)) == number


def test_half_a_surrogate_pair_becomes_a_replacement_character():
    body = rules.read_json(rb'{"variable":"a\ud800","value":"x\udfff","metadata":{"k":"\ud83d"}}')
    record = stored(body)
    assert record[:2] == ("a\ufffd", "x\ufffd")
    assert record.metadata == '{"k":"\ufffd"}'


@pytest.mark.parametrize(
    ("time", "period", "retention", "fits"),
    [
        ("2026-03-01T00:00:00Z", "month", 0, True),
        ("2026-02-28T23:59:59.999Z", "month", 0, False),
        ("2023-03-01T00:00:00Z", "month", 36, True),
        ("2023-02-28T23:59:59.999Z", "month", 36, False),
        ("2026-04-01T23:59:59.999Z", "month", 36, True),
        ("2026-04-02T00:00:00Z", "month", 36, False),
        ("2026-03-29T00:00:00Z", "day", 2, True),
        ("2026-03-28T23:59:59.999Z", "day", 2, False),
        ("2026-03-23T00:00:00Z", "week", 1, True),
        ("2026-03-22T23:59:59.999Z", "week", 1, False),
        ("2025-07-01T00:00:00Z", "quarter", 2, True),
        ("2025-06-30T23:59:59.999Z", "quarter", 2, False),
    ],
)
def test_an_immutable_device_keeps_its_window(time, period, retention, fits):
    records = [stored({"variable": "a"}), stored({"variable": "a", "time": time})]
    if fits:
        rules.check_retention(records, NOW, period, retention)
    else:
        with pytest.raises(rules.Refused, match=r"^Time must be between 20\d\d-\d\d-\d\d and 2026-04-01$"):
            rules.check_retention(records, NOW, period, retention)


def test_edits_need_an_id_and_are_at_most_25():
    assert rules.check_edits({"id": "x", "value": 5}) == [("x", {"value": 5})]
    assert rules.check_edits([{"id": "x", "serie": "s"}]) == [("x", {"group": "s"})]
    for body, text in [
        ({"value": 5}, "id"),
        ([{"id": "x"}, {"id": "y", "unit": 5}], r"\[1\].unit"),
        ([{"id": "x"}] * 26, "maximum number of 25 items"),
        (5, "object"),
    ]:
        with pytest.raises(rules.Refused, match=text):
            rules.check_edits(body)


@given(st.integers(times.EARLIEST, times.LATEST))
def test_every_time_answered_can_be_read_again(moment):
    text = times.iso8601(moment)
    assert len(text) == 24
    assert times.parse(text) == (moment, False)
    if moment >= 0:
        parsed = datetime.fromisoformat(text)
        assert math.isclose(parsed.timestamp() * 1000, moment, abs_tol=0.5)
