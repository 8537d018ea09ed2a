"""The local TagoIO's file: it is bounded, forgets what immutable devices no longer keep, and has its indexes used."""

import re
import threading
from urllib.parse import parse_qsl

import pytest
from tagonode.cloud import queries, rules, store, times
from tagonode.cloud.rules import Record
from tagonode.cloud.store import Store

NOW = 1_774_960_215_250
DAY = times.DAY_MS


@pytest.fixture
def kept(tmp_path):
    kept = Store(tmp_path / "c.sqlite", durable=False)
    yield kept
    kept.close()


def record(variable="a", time=NOW, group="g", value=1):
    return Record(variable, value, None, time, group, None, None)


def test_a_full_file_forgets_the_oldest_records_of_all(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(store, "ROOM_EVERY", 1)
    bounded = Store(tmp_path / "c.sqlite", durable=False, max_bytes=1_000_000)
    devices = [bounded.device(bounded.create_device(name)[0]) for name in ("first", "second")]
    for n in range(300):
        bounded.add(devices[n % 2], [record(value=f"{n} " + "x" * 500)] * 20, NOW + n)
    size = bounded.path.stat().st_size
    assert size < 1_400_000
    assert caplog.text.count("its most: the oldest records make room") == 1
    for device, last in zip(devices, (298, 299), strict=True):
        values = [int(row["value"].split()[0]) for row in bounded.records(device)]
        assert values[-1] == last
        first = min(values)
        assert 100 < first < 298
        # whole and in order: nothing was taken out of the middle
        assert [value for value in values if value > first + 2] == [
            n for n in range(last % 2, 300, 2) for _ in range(20) if n > first + 2
        ]
    bounded.close()


@pytest.mark.parametrize(
    ("period", "retention", "kept_from"),
    [("day", 3, "2026-03-28"), ("week", 2, "2026-03-16"), ("month", 1, "2026-02-01"), ("quarter", 1, "2025-10-01")],
)
def test_immutable_devices_forget_what_is_older_than_their_retention(kept, period, retention, kept_from, monkeypatch):
    monkeypatch.setattr(store, "PRUNED_AT_ONCE", 7)
    fields = {"chunk_period": period, "chunk_retention": retention}
    device = kept.device(kept.create_device("forgets", "immutable", **fields)[0])
    other = kept.device(kept.create_device("keeps", "mutable")[0])
    start = rules.retention_start(NOW, period, retention)
    days = [record(time=NOW - n * DAY // 2) for n in range(498)] + [record(time=start), record(time=start - 1)]
    for each in (device, other):
        kept.add(each, days, NOW)
    assert times.iso8601(start)[:10] == kept_from
    expected = sum(row.time >= start for row in days)
    assert kept.prune(NOW) == 500 - expected
    assert (kept.count(device), kept.count(other)) == (expected, 500)
    assert kept.prune(NOW) == 0
    # what would be refused now is what is forgotten
    with pytest.raises(rules.Refused, match=f"Time must be between {kept_from}"):
        rules.check_retention([record(time=start - 1)], NOW, period, retention)
    rules.check_retention([record(time=start)], NOW, period, retention)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("", "data_time (device=?)"),
        ("start_date=1 day", "data_time (device=? AND time>?)"),
        ("variables=a", "data_variable (device=? AND variable=?)"),
        ("variables=a&start_date=1 day", "data_variable (device=? AND variable=? AND time>?)"),
        ("variables=a&variables=b&qty=5", "data_variable (device=? AND variable=?)"),
        ("groups=g", "data_group (device=? AND group=?)"),
        ("groups=g&groups=h&variables=a", "data_group (device=? AND group=?)"),
        ("groups=g&start_date=1 day&query=count", "data_group (device=? AND group=?)"),
        ("groups=g&query=last_item", "data_group (device=? AND group=?)"),
        ("ids=0123456789abcdef01234567", "INTEGER PRIMARY KEY (rowid=?)"),
        ("ids=0123456789abcdef01234567&groups=g", "INTEGER PRIMARY KEY (rowid=?)"),
        ("query=last_item", "data_variable (device=? AND variable=?)"),
        ("query=last_value&variables=a", "data_variable (device=? AND variable=?)"),
        ("query=count&variables=a", "data_variable (device=? AND variable=?)"),
        ("query=avg&variables=a&start_date=1 day", "data_variable (device=? AND variable=? AND time>?)"),
    ],
)
def test_every_query_goes_by_an_index(kept, text, index):
    statement, arguments = queries.build(queries.read(parse_qsl(text), NOW), 1, lambda identity: 1)
    plan = [row[3] for row in kept._writer.execute(f"EXPLAIN QUERY PLAN {statement}", arguments)]
    assert any(index in step for step in plan), plan
    assert not any(re.fullmatch(r"SCAN data\b.*", step) for step in plan), plan


def test_posts_that_come_together_are_stored_together_and_refused_alone(kept, monkeypatch):
    """POSTs that wait while another writes go into one transaction. One that cannot be stored costs no other."""
    monkeypatch.setattr(rules, "MUTABLE_RECORDS", 2)
    full = kept.device(kept.create_device("full", "mutable")[0])
    kept.add(full, [record()] * 2, NOW)
    devices = [kept.device(kept.create_device(f"device {n}")[0]) for n in range(8)]
    statements, errors = [], {}
    odd = record(value=2**70)  # more than SQLite's integers hold

    def post(name, device, records):
        try:
            kept.add(device, records, NOW)
        except (rules.Refused, OverflowError) as error:
            errors[name] = error

    def together(posts):
        threads = [threading.Thread(target=post, args=one) for one in posts]
        with kept._lock:
            for thread in threads:
                thread.start()
            while len(kept._waiting) < len(threads):
                pass
            kept._writer.set_trace_callback(statements.append)
        for thread in threads:
            thread.join(20)
        kept._writer.set_trace_callback(None)
        return sum(text == "COMMIT" for text in statements)

    posts = [(n, device, [record(value=n)] * 3) for n, device in enumerate(devices)]
    assert together([*posts, ("f", full, [record()])]) == 1  # commit
    assert [kept.count(device) for device in (*devices, full)] == [3] * 8 + [2]
    assert list(errors) == ["f"]
    assert "limit of 2" in str(errors.pop("f"))
    posts = [(n, device, [record(value=n)] * 2) for n, device in enumerate(devices)]
    together([*posts[:4], ("odd", devices[0], [record(), odd]), *posts[4:]])
    assert list(errors) == ["odd"]
    assert isinstance(errors["odd"], OverflowError)
    assert [kept.count(device) for device in devices] == [5] * 8


def test_a_page_of_records_is_not_sorted(kept):
    for text in ("", "variables=a", "ordination=asc", "query=last_item&variables=a"):
        statement, arguments = queries.build(queries.read(parse_qsl(text), NOW), 1, lambda identity: 1)
        plan = [row[3] for row in kept._writer.execute(f"EXPLAIN QUERY PLAN {statement}", arguments)]
        assert text.startswith("query") or not any("TEMP B-TREE" in step for step in plan), plan
