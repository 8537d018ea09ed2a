"""Cost of the uplink: `python host_tests/bench/uplink.py [--json] [--repeats N]` (part of make bench).

Everything that is measured runs on real MicroPython and sends over real TLS, through a relay that counts, to one
server with an RSA-2048 chain of leaf and intermediate, over segments of 1460 bytes:

- the same work done twice: 200 samples of 5 readings, 50 samples a POST, by a script as an expert writes it, without a
  queue (expert.py), and by TagoNode's queue on littlefs, encoder, uplink and session (uplink_drain.py);
- a backlog sent with bodies of 2 to 128 KB, to choose the default of upload.body;
- a growing backlog, of which the heap must see nothing.

Exit status 1 when a target is missed. Times are the best of several runs taken in turn, and compared within this run
only: server, relay and boards share one computer.
"""

import argparse
import contextlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)  # and not this folder, where a file is called as a library is

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.uplink_readings import CHANNELS  # noqa: E402
from harness import certificates  # noqa: E402
from harness.bytecode import Bytecode  # noqa: E402
from harness.guest import steps  # noqa: E402
from harness.network import Network  # noqa: E402
from harness.runners import interpreter  # noqa: E402
from tagonode.device import settings as device_settings  # noqa: E402
from tagonode.virtual.relay import CountingRelay  # noqa: E402

SAMPLES, TURN = 200, 50
DECIMALS = {variable: decimals for variable, _, decimals in CHANNELS}
TOKEN = "5a16405f-b32c-4c91-ae39-cbb2caba18d8"
MSS = 1460
HEAP, ROOMY = "192K", "512K"  # in the smaller one, a board's, the expert's script cannot hold its batch

BODIES = tuple(2048 << n for n in range(7))
BACKLOGS = (10, 100, 1000, 10000)
SWEPT = (1000, 10000)  # backlogs that are sent with each of the BODIES
DEFAULTS = {row[0]: row[2] for row in device_settings.TABLE}
DEFAULT_BODY = DEFAULTS["upload.body"]

MOST_WIRE = 1.07
MOST_TIME = 3.5
STALL_US = 20  # a record: half of what a single acknowledgement as late as Linux sends it costs the thousand of them
# bytes: once a backlog is in segments, they are read through a buffer and with a context of their own, however many
MOST_GROWTH = 4096

# what a server says besides its JSON
HEADERS = {
    "Date": "Fri, 02 Jan 2026 03:04:05 GMT",
    "Connection": "keep-alive",
    "Access-Control-Allow-Origin": "*",
    "Strict-Transport-Security": "max-age=15552000; includeSubDomains",
    "Vary": "Origin, Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}

WIDTH = 118  # of what goes into a file
BREAKS_KB = (64, 256, 1024)
SLOW_LINK = 2500  # bytes a second: 20 kbit/s
DEADLINE_S = 3 * DEFAULTS["upload.patience"] // 1000  # of a whole request


class Bench:
    """Runs the two sides. cache: where compiled device code is kept; a folder of its own when None."""

    def __init__(self, cache: Path | None = None):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # the disk's time is not what is measured
        self._work = tempfile.TemporaryDirectory(prefix="uplink-bench-", dir=memory)
        self._folder = Path(self._work.name)
        own, *device = Bytecode(cache or self._folder / "bytecode").path_for(HERE)
        self._path = ":".join([".frozen", *device, own])
        (self._folder / "root.der").write_bytes(certificates.root_der())
        self._under: list[str] = []  # what the interpreter runs under

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._work.cleanup()

    def expert(self, nodelay: bool = True, delay_acks: bool = False) -> dict[str, Any]:
        """The same work by expert.py. nodelay: whether it has heard of TCP_NODELAY."""
        return self._measured("expert", ROOMY, delay_acks, nodelay=nodelay)

    def node(self, delay_acks: bool = False) -> dict[str, Any]:
        """The same work by TagoNode, its queue on littlefs in an image file."""
        return self._measured("uplink_drain", ROOMY, delay_acks, image=str(self._folder / "flash.img"))

    def drain(self, readings: int, body: int = DEFAULT_BODY, probe: bool = True) -> dict[str, Any]:
        """TagoNode sends what has piled up; its heap is looked at all the while, if `probe`."""
        filled = self._folder / f"filled-{readings}"
        if not filled.exists():
            self._run("uplink_drain", ROOMY, folder=str(filled), samples=readings // len(CHANNELS), fill=True)
        queue = self._folder / "queue"
        shutil.copytree(filled, queue)
        try:
            return self._measured("uplink_drain", HEAP, False, folder=str(queue), samples=0, body=body, probe=probe)
        finally:
            shutil.rmtree(queue)

    def _measured(
        self, module: str, heap: str, delay_acks: bool = False, closes: bool = False, **order: Any
    ) -> dict[str, Any]:
        """What the module said, and what the server, which may hang up after each answer, and the wire saw of it."""
        headers = {**HEADERS, "Connection": "close"} if closes else HEADERS
        # one at a time, so that their counts are its own
        with (
            Network(steps.answer(headers=headers, close=closes)) as net,
            CountingRelay(("127.0.0.1", 0), ("127.0.0.1", net.port), delay_acks=delay_acks, mss=MSS) as relay,
        ):
            place = {"host": net.host, "port": relay.address[1], "dns": f"127.0.0.1:{net.dns_port}"}
            said = self._run(module, heap, **place, **order)
        records = [plain(record) for request in net.requests for record in json.loads(request["body"])]
        compact = len(json.dumps(records, separators=(",", ":"), ensure_ascii=False).encode())
        return {
            **said,
            "records": records,
            "compact": compact,
            "requests": len(net.requests),
            "handshakes": sum(each["handshake"] == "ok" for each in net.connections),
            "up": relay.up,
            "down": relay.down,
            "wire": (relay.up + relay.down) / compact,
            "segments_up": relay.segments_up,
            "segments_down": relay.segments_down,
        }

    def _run(self, module: str, heap: str, **order: Any) -> dict[str, Any]:
        """What the module says when it runs on MicroPython. Raises RuntimeError with its traceback when it fails."""
        whole = {
            "root": str(self._folder / "root.der"),
            "token": TOKEN,
            "samples": SAMPLES,
            "turn": TURN,
            "body": DEFAULT_BODY,
            "folder": "",
            "image": "",
            "board": "esp32",
            "diary": "",
            "chip": "",
            "probe": False,
            "fill": False,
            "keep": False,
            "channels": 0,
            **order,
        }
        file = self._folder / "order.json"
        file.write_text(json.dumps(whole))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [*self._under, interpreter(), "-X", f"heapsize={heap}", "-c", f"import {module}", str(file)],
            cwd=self._folder,
            env={**os.environ, "MICROPYPATH": self._path, "PYTHONHASHSEED": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode:
            raise RuntimeError(f"{module} failed:\n{done.stdout}{done.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {**json.loads(done.stdout.splitlines()[-1]), "cpu_us": cpu * 1e6}


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its value as short as it can be written: 21.0 is 21, 981.0599999999999 is 981.06."""
    value = round(record["value"], DECIMALS.get(record["variable"], 2))
    return {**record, "value": int(value) if value == int(value) else value}


def same_work(bench: Bench, repeats: int, missed: list[str]) -> dict[str, Any]:
    """Both sides, with acknowledgements at once and late, in turn."""
    sides = {
        "expert": bench.expert,
        "expert, Nagle on": lambda delay_acks: bench.expert(False, delay_acks),
        "TagoNode": bench.node,
    }
    runs: dict[tuple[str, bool], list[dict]] = {}
    for _ in range(repeats):
        for late in (False, True):
            for name, side in sides.items():
                runs.setdefault((name, late), []).append(side(delay_acks=late))
    figures: dict[str, Any] = {name: dict(runs[name, False][0]) for name in sides}
    first = figures["TagoNode"]["records"]
    for name, each in figures.items():
        if each.pop("records") != first:
            missed.append(f"{name} delivered other records")
        del each["us"], each["cpu_us"]

    def best(name: str, late: bool, of=lambda run: run["us"]) -> float:
        return min(of(run) for run in runs[name, late]) / len(first)

    for late in (False, True):
        key = "late" if late else "prompt"
        for name in sides:
            figures[name][key] = {"us": best(name, late)}
        yardstick = figures["expert"][key]["us"]
        figures["TagoNode"][key] = {
            "us": best("TagoNode", late, lambda run: run["sending_us"] - run["sending_flash_us"]),
            "with_flash_us": best("TagoNode", late, lambda run: run["sending_us"]),
            "with_storing_us": best(
                "TagoNode",
                late,
                lambda run: run["us"] - run["sending_flash_us"] - run["storing_flash_us"],
            ),
            "all_us": best("TagoNode", late),
        }
        for name in sides:
            times = figures[name][key]
            times.update({unit.removesuffix("us") + "ratio": us / yardstick for unit, us in list(times.items())})
    node = figures["TagoNode"]
    if node["wire"] > MOST_WIRE:
        missed.append(f"{node['wire']:.3f} wire bytes a byte of JSON, at most {MOST_WIRE}")
    if node["handshakes"] != 1:
        missed.append(f"{node['handshakes']} handshakes instead of 1")
    if node["late"]["ratio"] > MOST_TIME:
        missed.append(f"sending takes {node['late']['ratio']:.2f} times the expert's, at most {MOST_TIME}")
    if figures["expert, Nagle on"]["late"]["us"] < figures["expert"]["late"]["us"] + STALL_US:
        missed.append("late acknowledgements cost a client with Nagle on nothing: the relay did not delay them")
    return figures


def bodies(bench: Bench, backlogs: tuple[int, ...]) -> list[dict[str, Any]]:
    """Backlogs sent with each size of body."""
    found = []
    for readings in backlogs:
        for body in BODIES:
            run = bench.drain(readings, body)
            del run["records"]
            found.append({"readings": readings, "body": body, **run})
    return found


def spread(runs: list[dict[str, Any]]) -> int:
    """By how much the peaks of the heap differ, in bytes."""
    peaks = [run["heap_peak"] for run in runs]
    return max(peaks) - min(peaks)


def weak_wire(run: dict[str, Any], handshake: float, between: int) -> float:
    """Expected wire bytes a byte of JSON on a link that breaks every `between` bytes in the mean.

    A request of n bytes that starts over whenever the link breaks takes (e^(n/between) - 1) * between bytes, and as
    many new connections as it has breaks.
    """
    request = (run["up"] + run["down"] - handshake) / run["requests"]
    breaks = math.expm1(request / between)
    return (handshake + run["requests"] * breaks * (between + handshake)) / run["compact"]


@contextlib.contextmanager
def working(console: Console, what: str) -> Iterator[None]:
    with console.status(what) if console.is_terminal else contextlib.nullcontext():
        yield


def show_same_work(console: Console, figures: dict[str, Any]) -> None:
    names = list(figures)
    table = Table(title=f"{SAMPLES} samples of {len(CHANNELS)} readings, {TURN} samples a POST, an RSA chain")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for what, key in (("wire bytes up", "up"), ("wire bytes down", "down")):
        table.add_row(what, *(f"{figures[name][key]:,}" for name in names))
    wire = [f"{figures[name]['wire']:.3f}" for name in names]
    table.add_row(f"wire bytes ÷ compact JSON (at most {MOST_WIRE})", *wire)
    for key in ("handshakes", "requests", "segments_up", "segments_down"):
        table.add_row(key.replace("_", " "), *(f"{figures[name][key]}" for name in names))
    for key, title in (("prompt", "prompt ACKs"), ("late", "delayed ACKs")):
        table.add_section()
        table.add_row(f"µs a record, {title}", *(f"{figures[name][key]['us']:.1f}" for name in names))
        bound = f" (at most {MOST_TIME})" if key == "late" else ""
        rows = (
            (f"÷ expert's: sending{bound}", "ratio"),
            ("  … and the block device", "with_flash_ratio"),
            ("  … and storing each sample", "with_storing_ratio"),
            ("  … and both", "all_ratio"),
        )
        for what, ratio in rows:
            cells = [figures[name][key].get(ratio) for name in names]
            table.add_row(what, *("" if cell is None else f"{cell:.2f}" for cell in cells))
    console.print(table)
    console.print(
        "The target is of sending: from the handshake to the last acknowledgement in the queue's books. "
        "The block device under littlefs is Python here and a chip's driver on a board: its time is taken out, "
        "but for the rows that say it is in."
    )


def show_bodies(console: Console, found: list[dict[str, Any]], handshake: float) -> None:
    table = Table(title=f"upload.body; a new connection costs {handshake:,.0f} bytes")
    heads = ("readings", "body", "requests", "wire", "heap peak", f"s at {SLOW_LINK // 125}\nkbit/s", "slowest\nkbit/s")
    for head in (*heads, *(f"wire, cut\nper {kb} KB" for kb in BREAKS_KB)):
        table.add_column(head, justify="right", no_wrap=True)
    readings = None
    for run in found:
        if readings not in (None, run["readings"]):
            table.add_section()
        readings = run["readings"]
        table.add_row(
            f"{readings:,}",
            f"{run['body']:,}{' *' if run['body'] == DEFAULT_BODY else ''}",
            f"{run['requests']}",
            f"{run['wire']:.3f}",
            f"{run['heap_peak']:,}",
            f"{run['body'] / SLOW_LINK:.1f}",
            f"{run['body'] / 125 / DEADLINE_S:.1f}",
            *(f"{weak_wire(run, handshake, kb * 1024):.2f}" for kb in BREAKS_KB),
        )
    console.print(table)
    console.print(
        f"* the default. Slowest: on which a full body is through before its request's deadline of {DEADLINE_S} s. "
        "Wire: bytes a byte of compact JSON; cut: to be expected of a link that breaks once every so many bytes."
    )


def show_heap(console: Console, found: list[dict[str, Any]]) -> None:
    table = Table(title=f"Heap while a backlog is sent, {HEAP[:-1]} KB heap")
    for head in ("readings waiting", "requests", "before, bytes", "peak, bytes"):
        table.add_column(head, justify="right")
    for run in found:
        peak, before = run["heap_peak"], run["heap_before"]
        table.add_row(f"{run['readings']:,}", str(run["requests"]), f"{before:,}", f"{peak:,}")
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="What the uplink costs in bytes, time and heap.")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout, the tables on stderr")
    parser.add_argument("--repeats", type=int, default=12, help="runs of which the best time counts")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    if not console.is_terminal:
        console.width = WIDTH
    missed: list[str] = []
    with Bench() as bench:
        with working(console, "the same work, twice"):
            figures = same_work(bench, options.repeats, missed)
        show_same_work(console, figures)
        load = os.getloadavg()[0]
        if load > (os.cpu_count() or 1):
            console.print(f"the computer is busy (load {load:.1f}): its times are worth little", style="yellow")
        with working(console, "sizes of bodies"):
            one = bench.drain(len(CHANNELS))
            handshake = one["up"] + one["down"] - one["compact"]
            by_body = bodies(bench, SWEPT)
        show_bodies(console, by_body, handshake)
        with working(console, "backlogs"):
            by_backlog = [{"readings": n, **bench.drain(n)} for n in BACKLOGS]
        show_heap(console, by_backlog)
    for run in by_backlog:
        del run["records"]
    growth = spread(by_backlog)
    if growth > MOST_GROWTH:
        missed.append(f"the heap grows with the backlog by {growth} bytes, at most {MOST_GROWTH}")
    for readings in SWEPT:
        growth = spread([run for run in by_body if run["readings"] == readings])
        if growth > MOST_GROWTH:
            missed.append(f"the heap grows with the body by {growth} bytes, at most {MOST_GROWTH}")
    for text in missed:
        console.print(f"missed: {text}", style="red")
    if options.json:
        result = {"load": load, "same_work": figures, "bodies": by_body, "handshake": handshake, "backlogs": by_backlog}
        print(json.dumps({**result, "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
