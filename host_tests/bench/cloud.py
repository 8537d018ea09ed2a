"""What the local TagoIO does with a million records: time of inserts and of every kind of query, and bytes on disk.

    .venv/bin/python host_tests/bench/cloud.py [RECORDS]

Ten devices of five variables, 40 records a POST; queries are asked of one device, which holds a tenth, and of one that
holds all. Times are of the store, without HTTP; medians of five.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qsl

from tagonode.cloud import queries, rules
from tagonode.cloud.store import Store

BATCH = 40
DEVICES = 10
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
    "groups=g7_100",
    "variables=temperature&skip=10000&qty=15",
)


def fill(store, devices, records, now):
    """Seconds that it took."""
    step = 60_000 * DEVICES
    begin = time.perf_counter()
    for n in range(records // BATCH):
        device = devices[n % len(devices)]
        start = now - (records // BATCH - n) * step // DEVICES
        rows = [
            rules.Record(VARIABLES[i % 5], 20 + (n * 7 + i) % 1000 / 100, "C", start + i, f"g{n % 10}_{n}", None, None)
            for i in range(BATCH)
        ]
        store.add(device, rows, start)
    return time.perf_counter() - begin


def ask(store, device, text, now):
    """Median milliseconds of one query."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        store.select(device, queries.read(parse_qsl(text), now))
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def main(records: int) -> None:
    """Print the figures as a table."""
    now = time.time_ns() // 1_000_000
    tables = []
    for many in (DEVICES, 1):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.sqlite"
            store = Store(path)
            devices = [store.device(store.create_device(f"device {n}")[0]) for n in range(many)]
            seconds = fill(store, devices, records, now)
            size = sum(file.stat().st_size for file in path.parent.iterdir())
            speed = f"{records / seconds:,.0f} a second, {size // records} bytes each"
            print(f"{records:,} records of {many} device(s): {speed}")
            tables.append([ask(store, devices[0], text, now) for text in QUERIES])
            store.close()
    print(f"\n| query | device with {records // DEVICES:,} | device with {records:,} |\n| --- | --: | --: |")
    for text, *figures in zip(QUERIES, *tables, strict=True):
        print(f"| `{text or 'none'}` | " + " | ".join(f"{figure:.1f} ms" for figure in figures) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
