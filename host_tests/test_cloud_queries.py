"""GET /data of the local TagoIO: spellings, dates, and every kind of query against a simple oracle."""

import sqlite3
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pytest
from tagonode.cloud import queries, rules, times
from tagonode.cloud.rules import Record, Refused
from tagonode.cloud.store import Store

NOW = times.to_ms(datetime(2026, 3, 31, 12, 30, 15, tzinfo=UTC))


def read(text, **options):
    return queries.read(parse_qsl(text, keep_blank_values=True), NOW, **options)


@pytest.mark.parametrize(
    "text",
    [
        "variable=a&variable=b",
        "variables=A&variables=b",
        "variable[]=a&variable[]=b",
        "variables[0]=a&variables[1]=b",
        "variables%5B0%5D=a&variables%5B1%5D=b",
        "variable=a&variables=b&variables=a",
    ],
)
def test_spellings_of_a_list(text):
    assert read(text).variables == ("a", "b")


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("", "qty", 15),
        ("qty=10000", "qty", 10_000),
        ("skip=7", "skip", 7),
        ("query=default", "kind", "default"),
        ("query=", "kind", "default"),
        ("ordination=asc", "ascending", True),
        ("ordination=ASCENDING", "ascending", True),
        ("ordination=descending", "ascending", False),
        ("details=True", "details", True),
        ("detail=true", "details", True),
        ("details=false", "details", False),
        ("serie=s&groups=g", "groups", ("s", "g")),
        ("ids[]=x&id=y", "ids", ("x", "y")),
        ("value=5&values[]=b", "values", ("5", "b")),
        ("_ssl=false&nonsense=1", "kind", "default"),
    ],
)
def test_parameters(text, field, expected):
    assert getattr(read(text), field) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query=newest", "Invalid query"),
        ("query=sum", "start_date field is required"),
        ("query=avg&end_date=2026-01-01", "start_date field is required"),
        ("query=avg&start_date=2 months", "one month"),
        ("query=min&start_date=2026-01-01&end_date=2026-02-05", "one month"),
        ("query=aggregate&function=avg", "interval must be one of"),
        ("query=aggregate&interval=day&function=median", "function must be one of"),
        ("query=conditional&start_date=1 day&function=gt", "value must be a number"),
        ("query=conditional&start_date=1 day&function=is&value=1", "function must be one of"),
        ("query=conditional&function=gt&value=1", "start_date field is required"),
        ("qty=0", "qty must be"),
        ("qty=ten", "qty must be"),
        ("qty=all", "qty must be"),
        ("qty=10001", "qty must be"),
        ("skip=-1", "skip must be"),
        ("ordination=up", "ordination must be one of"),
        ("start_date=tomorrow", "Invalid start_date"),
        ("end_date=1767323045678", "Invalid end_date"),
        ("start_date=1 fortnight", "Invalid start_date"),
        ("start_date=999999 years", "Invalid start_date"),
        ("timezone=Mars/Base", "Invalid timezone"),
        ("timezone=../../etc/passwd", "Invalid timezone"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(Refused, match=message) as refusal:
        read(text)
    assert refusal.value.status == 400


def test_ids_of_immutable_devices_and_kinds_that_cannot_delete():
    with pytest.raises(Refused, match="not supported on Immutable"):
        read("ids=1", immutable=True)
    with pytest.raises(Refused, match="Invalid query"):
        read("query=count", delete=True)
    assert read("qty=all", delete=True).qty == queries.ALL


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2014-12-25", "2014-12-25T00:00:00.000Z"),
        ("2014-12-25 23:33:22", "2014-12-25T23:33:22.000Z"),
        ("2026-01-02+03%3A04%3A05.678900", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05%2B02:00", "2026-01-02T01:04:05.000Z"),
        ("Wed Nov 03 2015 13:44:33 GMT-0500 (EST)", "2015-11-03T18:44:33.000Z"),
        ("Tue, 03 Nov 2015 18:44:33 GMT", "2015-11-03T18:44:33.000Z"),
        ("1 hour", "2026-03-31T11:30:15.000Z"),
        ("1hour", "2026-03-31T11:30:15.000Z"),
        ("90 min", "2026-03-31T11:00:15.000Z"),
        ("2 days", "2026-03-29T12:30:15.000Z"),
        ("1 week", "2026-03-24T12:30:15.000Z"),
        ("1 month", "2026-02-28T12:30:15.000Z"),
        ("13 months", "2025-02-28T12:30:15.000Z"),
        ("1 year", "2025-03-31T12:30:15.000Z"),
        ("30 s", "2026-03-31T12:29:45.000Z"),
        ("1 m", "2026-03-31T12:29:15.000Z"),
        ("1 M", "2026-02-28T12:30:15.000Z"),
        ("1 y", "2025-03-31T12:30:15.000Z"),
    ],
)
def test_start_dates(text, start):
    assert times.iso8601(read(f"start_date={text}").start) == start


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2014-12-25", "2014-12-25T23:59:59.999Z"),
        ("1 day", "2026-04-01T12:30:15.000Z"),
        ("1 month", "2026-04-30T12:30:15.000Z"),
        ("2014-12-25&timezone=America/New_York", "2014-12-26T04:59:59.999Z"),
        ("2026-03-29&timezone=Europe/Berlin", "2026-03-29T21:59:59.999Z"),  # a day of 23 hours
    ],
)
def test_end_dates_are_inclusive_and_relative_ones_lie_ahead(text, end):
    assert times.iso8601(read(f"end_date={text}").end) == end


def test_a_date_without_zone_is_in_the_asked_one():
    query = read("start_date=2026-07-01 12:00:00&timezone=Europe/Berlin")
    assert times.iso8601(query.start) == "2026-07-01T10:00:00.000Z"


# -- against the oracle --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("queries") / "cloud.sqlite", durable=False)
    yield store
    store.close()


RECORD = st.builds(
    Record,
    variable=st.sampled_from(["a", "b", "c\0d"]),
    value=st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, -1.25, "2", "x", "", "true"])),
    unit=st.none(),
    time=st.integers(-2, 6).map(lambda hours: NOW - hours * 3_600_000),
    group=st.sampled_from(["g1", "g2"]),
    location=st.one_of(st.none(), st.just((1, 2.5))),
    metadata=st.none(),
)


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def oracle(rows, query):
    """What a query selects from (order of arrival, Record) pairs: indices newest first, or a number."""

    def named(value, text):
        number = queries._number(text)
        if isinstance(value, bool):
            return text.lower() == str(value).lower()
        return value == (text if isinstance(value, str) else number) and value is not None

    def keep(record):
        return (
            (not query.variables or record.variable in query.variables)
            and (not query.groups or record.group in query.groups)
            and (not query.values or any(named(record.value, text) for text in query.values))
            and (query.start is None or record.time >= query.start)
            and (query.end is None or record.time <= query.end)
        )

    rows = [(n, record) for n, record in rows if keep(record)]
    numbers = [(n, record) for n, record in rows if is_number(record.value)]
    if query.kind == "count":
        return len(rows)
    if query.kind in ("sum", "avg"):
        total = sum(record.value for _, record in numbers)
        return total if query.kind == "sum" or not numbers else total / len(numbers)

    def by_time(row):
        return row[1].time, row[0]

    def by_variable(rows):
        return [[row for row in rows if row[1].variable == v] for v in dict.fromkeys(r.variable for _, r in rows)]

    def newest_first(rows):
        return sorted(rows, key=by_time, reverse=not query.ascending)

    if query.kind == "default":
        parts = by_variable(rows) if len(query.variables) > 1 else [rows]
        chosen = [row for part in parts for row in newest_first(part)[query.skip : query.skip + query.qty]]
    elif query.kind in ("min", "max"):
        sign = 1 if query.kind == "max" else -1
        chosen = [max(part, key=lambda row: (sign * row[1].value, *by_time(row))) for part in by_variable(numbers)]
    else:
        end, what = query.kind.split("_")
        if what == "value":
            rows = [row for row in rows if row[1].value is not None]
        if what == "location":
            rows = [row for row in rows if row[1].location is not None]
        pick = max if end == "last" else min
        key = (lambda row: row[0]) if what == "insert" else by_time
        chosen = [pick(part, key=key) for part in by_variable(rows)]
    return [n for n, _ in newest_first(chosen)]


KINDS = [*queries.ONE_PER_VARIABLE, *queries.NUMBERS, "default"]
FILTERS = st.fixed_dictionaries(
    {"kind": st.sampled_from(KINDS)},
    optional={
        "variables": st.lists(st.sampled_from(["a", "b", "c\0d", "none"]), unique=True, max_size=3).map(tuple),
        "groups": st.sampled_from([("g1",), ("g1", "g2"), ("none",)]),
        "values": st.sampled_from([("2",), ("true",), ("x", "0.5"), ("",)]),
        "start": st.integers(-1, 5).map(lambda hours: NOW - hours * 3_600_000),
        "end": st.integers(-1, 5).map(lambda hours: NOW - hours * 3_600_000),
        "qty": st.integers(1, 4),
        "skip": st.integers(0, 3),
        "ascending": st.booleans(),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(st.lists(RECORD, max_size=8), max_size=3),
    asked=st.lists(FILTERS, min_size=1, max_size=8),
)
def test_every_kind_against_the_oracle(store, batches, asked):
    _, token = store.create_device("oracle", "mutable")
    device = store.access(token).device
    for batch in batches:
        store.add(device, batch, NOW)
    arrived = [record for batch in batches for record in batch]
    identities = [row["id"] for row in store.records(device)]
    for fields in asked:
        query = queries.Query(**fields)
        found = store.select(device, query)
        expected = oracle(list(enumerate(arrived)), query)
        if isinstance(expected, list):
            assert [identities.index(row["id"]) for row in found] == expected, query
        else:
            assert found == pytest.approx(expected), query
            assert isinstance(found, int) or not found.is_integer()


@pytest.fixture(scope="module")
def week(store):
    """A device with a reading every half hour over 100 days: the value is the number of the half hour."""
    _, token = store.create_device("week", "mutable")
    device = store.access(token).device
    start = times.to_ms(datetime(2025, 12, 1, tzinfo=UTC))
    rows = [Record("t", n, None, start + n * 1_800_000, "g", None, None) for n in range(4800)]
    rows.append(Record("t", "text", None, start, "g", None, None))
    store.add(device, rows, NOW)
    return device


@pytest.mark.parametrize(
    ("interval", "function", "newest", "oldest", "how_many"),
    [
        ("hour", "sum", ("2026-03-10T23:00:00.000Z", 4798 + 4799), ("2025-12-01T00:00:00.000Z", 1), 2400),
        ("day", "max", ("2026-03-10T00:00:00.000Z", 4799), ("2025-12-01T00:00:00.000Z", 47), 100),
        ("week", "min", ("2026-03-09T00:00:00.000Z", 98 * 48), ("2025-12-01T00:00:00.000Z", 0), 15),
        ("month", "avg", ("2026-03-01T00:00:00.000Z", 4559.5), ("2025-12-01T00:00:00.000Z", 743.5), 4),
        ("quarter", "min", ("2026-01-01T00:00:00.000Z", 31 * 48), ("2025-10-01T00:00:00.000Z", 0), 2),
        ("year", "max", ("2026-01-01T00:00:00.000Z", 4799), ("2025-01-01T00:00:00.000Z", 1487), 2),
    ],
)
def test_aggregates_use_calendar_buckets(store, week, interval, function, newest, oldest, how_many):
    buckets = store.select(week, read(f"query=aggregate&interval={interval}&function={function}"))
    found = [(bucket["time"], bucket["value"]) for bucket in buckets]
    assert (found[0], found[-1], len(found)) == (newest, oldest, how_many)


@pytest.mark.parametrize(
    ("function", "operand", "expected"),
    [
        ("gt", 4797, [4799, 4798]),
        ("gte", 4798, [4799, 4798]),
        ("lt", 2, [1, 0]),
        ("lte", 1, [1, 0]),
        ("eq", 7, [7]),
    ],
)
def test_conditional(store, week, function, operand, expected):
    query = read(f"query=conditional&start_date=2025-01-01&function={function}&value={operand}")
    assert [row["value"] for row in store.select(week, query)] == expected


def test_conditional_not_equal(store, week):
    query = read("query=conditional&start_date=2025-01-01&function=ne&value=4799&qty=1")
    assert [row["value"] for row in store.select(week, query)] == [4798]


def test_the_newest_of_each_variable_is_found_without_reading_the_rest(store, week):
    """The plan searches the index and never scans the table, whatever the number of records."""
    for text in (
        "query=last_item",
        "variable=t&variable=u",
        "group=g",
        "query=last_value&variable=t",
        "qty=5",
    ):
        statement, arguments = queries.build(read(text), week.number, lambda identity: 0)
        plan = [row[3] for row in store._writer.execute("EXPLAIN QUERY PLAN " + statement, arguments)]
        assert not [step for step in plan if step.startswith("SCAN data")], (text, plan)


def test_a_mutable_device_is_full_at_50000_and_says_so(store):
    _, token = store.create_device("full", "mutable")
    device = store.access(token).device
    rows = [Record("t", n, None, NOW, "g", None, None) for n in range(rules.MUTABLE_RECORDS)]
    store.add(device, rows, NOW)
    with pytest.raises(Refused, match="^The device has reached the limit of 50000 data registers$"):
        store.add(device, rows[:1], NOW)
    assert store.count(device) == 50_000


def test_a_batch_that_fails_in_its_middle_stores_nothing_and_the_next_one_is_stored(store):
    _, token = store.create_device("torn", "mutable")
    device = store.access(token).device
    good = Record("t", 1, None, NOW, "g", None, None)
    with pytest.raises(sqlite3.Error):
        store.add(device, [good, good._replace(value=object()), good], NOW)
    assert store.count(device) == 0
    store.add(device, [good], NOW)
    assert store.count(device) == 1
