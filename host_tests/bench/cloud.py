"""What the local TagoIO does as it fills up: time of POSTs, of every kind of query and of the page; bytes on disk.

    .venv/bin/python host_tests/bench/cloud.py [RECORDS ...]          # 10000 1000000 3000000 unless said

Eleven devices of five variables, 40 records a POST, a sample a minute; the first device holds half of all. Times are
without HTTP: medians of POSTs that are flushed to the disk one by one, and of five times the same query.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qsl

from tagonode.cloud import queries, rules
from tagonode.cloud.page.overview import Overview
from tagonode.cloud.store import _INSERT, Store

BATCH = 40
DEVICES = 11
POSTS = 300  # that are timed
SIZES = (10_000, 1_000_000, 3_000_000)
VARIABLES = ("temperature", "humidity", "pressure", "battery", "rssi")
QUERIES = (
    "",
    "variables=temperature&qty=100",
    "variables=temperature&start_date=1 day&qty=10000",
    "query=last_item",
    "query=first_value",
    "query=count",
    "query=count&variables=temperature",
    "query=max&variables=temperature",
    "query=avg&variables=temperature&start_date=1 month",
    "query=aggregate&function=avg&interval=day&variables=temperature&start_date=1 month",
    "query=conditional&function=gt&value=29&variables=temperature&start_date=1 month",
    "groups=g0_101",
    "variables=temperature&skip=10000&qty=15",
)


def batch(n, now):
    """(which device, records) of POST number n."""
    which = 0 if n % 2 else 1 + n // 2 % (DEVICES - 1)
    start = now + n * BATCH // 5 * 60_000
    return which, [
        rules.Record(
            VARIABLES[i % 5], 20 + (n * 7 + i) % 1000 / 100, "C", start + i // 5 * 60_000, f"g{which}_{n}", None, None
        )
        for i in range(BATCH)
    ]


def fill(store, devices, first, last, now):
    """POSTs from number `first` to `last`, a thousand in a transaction."""
    for begin in range(first, last, 1000):
        rows = []
        for n in range(begin, min(last, begin + 1000)):
            which, records = batch(n, now)
            rows += [
                (devices[which].number, r.variable, r.time, r.group, r.value, r.unit, None, None, r.time)
                for r in records
            ]
        with store._transaction() as db:
            db.executemany(_INSERT, rows)


def median_ms(act, times=5):
    """Median milliseconds of calls."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        act()
        took.append(time.perf_counter() - begin)
    return statistics.median(took) * 1000


def measure(store, devices, done, now):
    """[(what, milliseconds or a figure with its unit)] of a store that holds `done` POSTs."""
    took = []
    for n in range(done, done + POSTS):
        which, records = batch(n, now)
        begin = time.perf_counter()
        store.add(devices[which], records, records[-1].time)
        took.append((time.perf_counter() - begin) * 1000)
    took.sort()
    moment = records[-1].time
    rows = [
        ("POST of 40 records, flushed", f"{took[POSTS // 2]:.1f} ms, p99 {took[POSTS * 99 // 100]:.1f} ms"),
        ("records a second so", f"{BATCH * POSTS / sum(took) * 1000:,.0f}"),
    ]
    for text in QUERIES:
        ms = median_ms(lambda text=text: store.select(devices[0], queries.read(parse_qsl(text), moment)))
        rows.append((f"`{text or 'no parameters'}`", f"{ms:.1f} ms"))
    page = Overview(store.path)
    node = next(node for node in page.nodes() if node.id == devices[0].id)
    node = node._replace(last_input=moment)
    rows.append(("page: newest of each variable", f"{median_ms(lambda: page.latest(node)):.1f} ms"))
    for days in (1, 7):
        span = (moment - days * 86_400_000, moment)
        ms = median_ms(lambda span=span: page.series(node, *span))
        rows.append((f"page: charts of {days} d", f"{ms:.1f} ms"))
    rows.append(("page: all counts, once a minute", f"{median_ms(lambda: (page.recount(), page.counts()), 3):.1f} ms"))
    page.close()
    store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rows.append(("bytes a record, indexes included", f"{store.path.stat().st_size // ((done + POSTS) * BATCH)}"))
    return rows


def main(sizes) -> None:
    """Print the figures as a table."""
    now = time.time_ns() // 1_000_000
    columns = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "bench.sqlite")
        devices = [store.device(store.create_device(f"device {n}")[0]) for n in range(DEVICES)]
        done = 0
        for size in sizes:
            target = max(done, size // BATCH - POSTS)
            fill(store, devices, done, target, now)
            columns.append(measure(store, devices, target, now))
            done = target + POSTS
        store.close()
    print("| | " + " | ".join(f"{size:,}" for size in sizes) + " |\n| --- |" + " --: |" * len(sizes))
    for rows in zip(*columns, strict=True):
        print(f"| {rows[0][0]} | " + " | ".join(row[1] for row in rows) + " |")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
