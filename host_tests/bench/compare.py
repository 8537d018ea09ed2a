"""Five ways to the same readings: `python host_tests/bench/compare.py [--json] [--write]`.

The same 200 samples of 5 readings, on real MicroPython over real TLS, through a relay that counts, to one server with
an RSA-2048 chain of leaf and intermediate:

- a POST a sample by micropython-lib's `requests` (peer_requests.py), and one for 20 samples;
- a file a sample and a POST a file, as Enviro boards do it (peer_files.py);
- a script as an expert writes it: verified, one kept connection, nothing stored (expert.py);
- TagoNode's whole pipeline: drivers, sampler, queue on littlefs, encoder, uplink, session (uplink_drain.py).

Counts are of one run and come out the same again; times are ratios to the expert's within this run, the best of
several. Instructions are valgrind's (left out where it is not), less what the interpreter needs to start and what the
PC's flash costs, which is C and a chip on a board. --write keeps the figures in figures.json, from which the README's
table and picture are made (picture.py). Exit status 1 when a target is missed.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench import picture, uplink  # noqa: E402
from bench.uplink import ROOMY, SAMPLES, TURN, working  # noqa: E402
from bench.uplink_readings import CHANNELS  # noqa: E402
from tagonode.virtual.chips.bme280 import BME280  # noqa: E402
from tagonode.virtual.environment import Environment  # noqa: E402

FEW = 20  # samples: of what costs the same each, and takes long
HEAPS_KB = range(16, 449, 16)

MOST_INSTRUCTIONS = 250_000  # a record
MOST_ERASES = 20  # a thousand records


class Peer:
    """module: what runs; few: whether its cost a sample is the same however many; closes: the server hangs up."""

    def __init__(self, title, module, few=False, closes=False, turn=TURN, **order):
        self.title = title
        self.module = module
        self.few = few
        self.closes = closes
        self.order = {"turn": turn, **order}
        self.stores = module != "expert" and module != "peer_requests"


PEERS = {
    "per_sample": Peer("requests, a POST a sample", "peer_requests", few=True, closes=True, turn=1),
    "batched": Peer("requests, 20 samples a POST", "peer_requests", closes=True, turn=20),
    "files": Peer("a file a sample, a POST a file", "peer_files", few=True, closes=True, turn=10),
    "expert": Peer("an expert's script", "expert", nodelay=True),
    "tagonode": Peer("TagoNode", "uplink_drain"),
}
# what each does not do, or does; nothing that a run could measure
PROPERTIES = {
    "per_sample": ("no", "no"),
    "batched": ("no", "no"),
    "files": ("no", "all but what is in doubt"),
    "expert": ("yes", "no"),
    "tagonode": ("yes", "yes"),
}


def registers() -> bytes:
    """The 256 registers of a BME280 that has measured once."""
    now = [0.0]
    chip = BME280(Environment(temperature=21.5, humidity=48, pressure=1013), lambda: now[0])
    now[0] = 1.0
    for register, value in ((0xF5, 0xA0), (0xF2, 1), (0xF4, 0x25)):
        chip.write(bytes((register, value)))
    now[0] = 2.0
    image = bytearray(256)
    for register in range(0x80, 0x100):
        chip.write(bytes((register,)))
        image[register] = chip.read(1)[0]
    return bytes(image)


class Bench(uplink.Bench):
    def run(self, name: str, samples: int = SAMPLES, heap: str = ROOMY, **order: Any) -> dict[str, Any]:
        """One run of a peer: what it said, and what server and wire saw of it."""
        peer = PEERS[name]
        return self._measured(
            peer.module, heap, closes=peer.closes, **{"samples": samples, **self._order(peer), **order}
        )

    def instructions(self, name: str) -> float | None:
        """Of a record, by callgrind; None where there is no valgrind."""
        if shutil.which("valgrind") is None:
            return None
        peer = PEERS[name]
        samples = FEW if peer.few else SAMPLES
        spent = self._counted(lambda: self.run(name, samples)) - self._counted(lambda: self.run(name, 0))
        if peer.stores:
            diary = self._folder / "diary"
            self.run(name, samples, diary=str(diary))
            replay = {"image": str(self._folder / "flash.img"), "diary": str(diary)}
            spent -= self._counted(lambda: self._run("replay_flash", ROOMY, samples=1, **replay))
            spent += self._counted(lambda: self._run("replay_flash", ROOMY, samples=0, **replay))
        return spent / (samples * len(CHANNELS))

    def heaps(self, name: str) -> tuple[int | None, int | None]:
        """(smallest, safe) KB of heap: one that will do, and one from which on every size tried does; None for none."""
        does = self._whole_node_does if name == "tagonode" else self._does
        good = [kb for kb in HEAPS_KB if does(name, kb)]
        safe = max(HEAPS_KB)
        while safe - HEAPS_KB.step in good:
            safe -= HEAPS_KB.step
        return (min(good), safe) if max(HEAPS_KB) in good else (None, None)

    def _does(self, name: str, kb: int) -> bool:
        samples = FEW if PEERS[name].few else SAMPLES
        try:
            run = self.run(name, samples, f"{kb}K")
        except RuntimeError:
            return False
        return len(run["records"]) == samples * len(CHANNELS)

    def _whole_node_does(self, name: str, kb: int) -> bool:
        """On a virtual board, with Wi-Fi, clock, watchdog and all; what stands for its firmware has room of its own."""
        options = ["--samples", "20", "--sample-every", "0.1", "--upload-every", "0.5", "--drain", "10"]
        command = [Path(sys.executable).parent / "tagonode", "simulate", *options, "--heap", str(kb)]
        return kb >= 64 and subprocess.run(command, capture_output=True).returncode == 0

    def _order(self, peer: Peer) -> dict[str, Any]:
        chip = self._folder / "chip"
        if not chip.exists():
            chip.write_bytes(registers())
        image = str(self._folder / "flash.img") if peer.stores else ""
        return {"image": image, "chip": str(chip) if peer.module == "uplink_drain" else "", **peer.order}

    def _counted(self, run: Callable[[], object]) -> int:
        """The instructions of what run() runs."""
        out = self._folder / "callgrind"
        self._under = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable]
        try:
            run()
        finally:
            self._under = []
        found = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
        if found is None:
            raise RuntimeError("callgrind left no total")
        return int(found[1])


def counts(bench: Bench, missed: list[str]) -> dict[str, dict[str, Any]]:
    """Of each peer: bytes, handshakes, requests, segments, flash. All have to deliver the same."""
    found: dict[str, dict[str, Any]] = {}
    wanted = None
    for name, peer in PEERS.items():
        run = bench.run(name)
        wanted = wanted or run["records"]
        if run["records"] != wanted:
            missed.append(f"{peer.title} delivered other records")
        kept = ("compact", "requests", "handshakes", "up", "down", "wire", "segments_up", "segments_down")
        found[name] = {key: run[key] for key in kept}
        for key in ("erases", "programmed"):
            found[name][key] = run[key] * 1000 / len(run["records"]) if peer.stores else None
    return found


def times(bench: Bench, repeats: int) -> dict[str, dict[str, float]]:
    """Of each peer: time of a record as a multiple of the expert's, with acknowledgements at once and late."""
    best: dict[tuple[str, bool], float] = {}
    for _ in range(repeats):
        for late in (False, True):
            for name, peer in PEERS.items():
                samples = FEW if peer.few else SAMPLES
                run = bench.run(name, samples, delay_acks=late)
                us = (run["us"] - run.get("flash_us", 0)) / (samples * len(CHANNELS))
                best[name, late] = min(us, best.get((name, late), us))
    return {
        name: {
            key: best[name, late] / best["expert", late] for key, late in (("time_prompt", False), ("time_late", True))
        }
        for name in PEERS
    }


def show(console: Console, figures: dict[str, dict[str, Any]]) -> None:
    table = Table(title=f"{SAMPLES} samples of {len(CHANNELS)} readings to one server, an RSA chain")
    for head, justify in (("", "left"), *((peer.title, "right") for peer in PEERS.values())):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for title, cells in picture.rows(figures):
        table.add_row(title, *cells)
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="TagoNode beside what people would use instead.")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout, the table on stderr")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the best time counts")
    parser.add_argument("--write", action="store_true", help="keep the figures, the README's table and its picture")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    if not console.is_terminal:
        console.width = uplink.WIDTH
    missed: list[str] = []
    with Bench() as bench:
        with working(console, "counts"):
            figures = counts(bench, missed)
        with working(console, "times"):
            for name, found in times(bench, options.repeats).items():
                figures[name].update(found)
        for name, peer in PEERS.items():
            with working(console, f"instructions of {peer.title}"):
                figures[name]["instructions"] = bench.instructions(name)
            with working(console, f"heaps of {peer.title}"):
                figures[name]["heap_smallest"], figures[name]["heap_safe"] = bench.heaps(name)
            figures[name]["verified"], figures[name]["survives"] = PROPERTIES[name]
    node = figures["tagonode"]
    for key, most, what in (
        ("wire", uplink.MOST_WIRE, "wire bytes a byte of JSON"),
        ("handshakes", 1, "handshakes"),
        ("erases", MOST_ERASES, "erases a thousand records"),
        ("instructions", MOST_INSTRUCTIONS, "instructions a record"),
    ):
        if node[key] is not None and node[key] > most:
            missed.append(f"{node[key]:,.4g} {what}, at most {most:,}")
    show(console, figures)
    for text in missed:
        console.print(f"missed: {text}", style="red")
    if options.write:
        picture.write(figures)
    if options.json:
        print(json.dumps({"peers": figures, "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
