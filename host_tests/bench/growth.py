"""How TagoNode's cost grows: `python host_tests/bench/growth.py [--json]` (make bench-growth).

On real MicroPython, over real TLS, with what waits from 10 to 50,000 records, samples of 1 to 40 channels, and 1 to 12
sensors: heap, instructions (valgrind's) and bytes on the wire. Behind each column is its slope, by least squares: what
one more record, channel or sensor costs. Counts only; exit status 1 when the heap sees how much is waiting.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench import compare, uplink  # noqa: E402
from bench.uplink_readings import START_MS  # noqa: E402
from tagonode import device  # noqa: E402
from virtualnode import VirtualNode  # noqa: E402

BACKLOGS = (10, 100, 1000, 10000, 50000)
CHANNELS = (1, 2, 5, 10, 20, 40)
SENSORS = (1, 2, 4, 8, 12)
SAMPLES = 40
_NODES_HEAP_KB = 448  # with twelve drivers
# twelve that one Pico W can have, of as many drivers
WIRED = (
    {"driver": "bme280", "bus": "i2c0", "address": 0x76},
    {"driver": "sht4x", "bus": "i2c0", "address": 0x44},
    {"driver": "bh1750", "bus": "i2c0", "address": 0x23},
    {"driver": "scd4x", "bus": "i2c0", "address": 0x62},
    {"driver": "ina219", "bus": "i2c0", "address": 0x40},
    {"driver": "ads1115", "bus": "i2c0", "address": 0x48},
    {"driver": "max17048", "bus": "i2c0", "address": 0x36},
    {"driver": "aht20", "bus": "i2c0", "address": 0x38},
    {"driver": "ds18b20", "bus": "onewire:gp22"},
    {"driver": "dht22", "bus": "pin:gp21"},
    {"driver": "battery", "bus": "battery"},
    {"driver": "rssi", "bus": "wifi"},
)


def wired(sensors: int) -> list[dict[str, Any]]:
    """So many of WIRED, with channels of names of their own."""
    found = []
    for number, sensor in enumerate(WIRED[:sensors]):
        names = [name for name, _ in device.load("drivers").driver_class(sensor["driver"]).CHANNELS]
        found.append({**sensor, "channels": {name: {"variable": f"{name}_{number}"} for name in names}})
    return found


class Bench(compare.Bench):
    def counted_drain(self, readings: int) -> int:
        """Instructions from reset until a backlog is sent."""
        return self._counted(lambda: self.drain(readings, probe=False))

    def counted(self, samples: int, **order: Any) -> int:
        """Instructions of a run of the whole pipeline, its queue in a folder of the PC."""
        queue = self._folder / "counted"
        shutil.rmtree(queue, ignore_errors=True)
        place = {"image": "", "folder": str(queue), "turn": 20}
        return self._counted(lambda: self.run("tagonode", samples, **place, **order))

    def whole(self, channels: int) -> dict[str, Any]:
        """One run with so many channels, its queue in a folder of the PC; its heap is looked at."""
        queue = self._folder / "whole"
        shutil.rmtree(queue, ignore_errors=True)
        place = {"image": "", "folder": str(queue), "chip": "", "turn": 20, "probe": True, "channels": channels}
        return self.run("tagonode", SAMPLES, **place)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """By how much y rises for one more x, by least squares."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def by_backlog(bench: Bench, counting: bool) -> list[dict[str, Any]]:
    found = []
    none = bench.counted_drain(0) if counting else 0
    for readings in BACKLOGS:
        run = bench.drain(readings)
        row = {"x": readings, "heap": run["heap_peak"], "bytes": (run["up"] + run["down"]) / readings}
        if counting:
            row["instructions"] = (bench.counted_drain(readings) - none) / readings
        found.append(row)
    return found


def by_channels(bench: Bench, counting: bool) -> list[dict[str, Any]]:
    found = []
    for channels in CHANNELS:
        run = bench.whole(channels)
        records = channels * SAMPLES
        row = {"x": channels, "heap": run["heap_peak"], "bytes": (run["up"] + run["down"]) / records}
        if counting:
            order = {"chip": "", "channels": channels}
            spent = bench.counted(SAMPLES, **order) - bench.counted(SAMPLES // 2, **order)
            row["instructions"] = spent / (records / 2)
        found.append(row)
    return found


def by_sensors(bench: Bench, counting: bool) -> list[dict[str, Any]]:
    """The heap is a whole virtual node's, with as many drivers; instructions are of so many BME280."""
    found = []
    for sensors in SENSORS:
        with VirtualNode({"sensors": wired(sensors)}, unix=START_MS // 1000, heap_kib=_NODES_HEAP_KB) as node:
            node.run(hours=1)
            readings = len({record["variable"] for record in node.records()})
            row = {"x": sensors, "channels": readings, "heap": _NODES_HEAP_KB * 1024 - node.state["free"]}
        if counting:
            order = {"channels": 3 * sensors}
            spent = bench.counted(SAMPLES, **order) - bench.counted(SAMPLES // 2, **order)
            row["instructions"] = spent / (3 * sensors * SAMPLES / 2)
        found.append(row)
    return found


HEADS = {
    "x": "",
    "channels": "channels",
    "heap": "heap, bytes",
    "instructions": "instructions a record",
    "bytes": "wire bytes a record",
}


def show(console: Console, title: str, what: str, found: list[dict[str, Any]], slopes: dict[str, float]) -> None:
    table = Table(title=title)
    keys = [key for key in HEADS if key in found[0]]
    for key in keys:
        table.add_column(HEADS[key] or what, justify="right")
    for row in found:
        table.add_row(*(f"{row[key]:,.1f}" if key == "bytes" else f"{row[key]:,.0f}" for key in keys))
    table.add_section()
    one = what.removesuffix("s")
    table.add_row(f"one more {one}", *(f"{slopes[key]:+,.3g}" if key in slopes else "" for key in keys[1:]))
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="How TagoNode's cost grows.")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout, the tables on stderr")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    if not console.is_terminal:
        console.width = uplink.WIDTH
    counting = shutil.which("valgrind") is not None
    if not counting:
        console.print(f"instructions: {compare.NO_VALGRIND}", style="yellow")
    result: dict[str, Any] = {}
    with Bench() as bench:
        for key, title, what, measure in (
            ("backlog", "What waits, sent at once", "records", by_backlog),
            ("channels", "Channels of a sample: stored and sent", "channels", by_channels),
            ("sensors", "Sensors: a whole node's heap, and instructions with so many BME280", "sensors", by_sensors),
        ):
            with uplink.working(console, title):
                found = measure(bench, counting)
            xs = [row["x"] for row in found]
            kinds = [kind for kind in ("heap", "instructions", "bytes") if kind in found[0]]
            slopes = {kind: slope(xs, [row[kind] for row in found]) for kind in kinds}
            show(console, title, what, found, slopes)
            result[key] = {"rows": found, "slopes": slopes}
    heaps = [row["heap"] for row in result["backlog"]["rows"]]
    growth = max(heaps) - min(heaps)
    missed = growth > uplink.MOST_GROWTH
    if missed:
        text = f"missed: the heap grows with what waits by {growth} bytes, at most {uplink.MOST_GROWTH}"
        console.print(text, style="red")
    if options.json:
        print(json.dumps(result))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
