"""Five ways to the same readings: `python host_tests/bench/compare.py [--json] [--write]` (part of make bench).

The same 200 samples of 5 readings, on real MicroPython over real TLS, through a relay that counts, to one server with
an RSA-2048 chain of leaf and intermediate:

- a POST a sample by micropython-lib's `requests` (peer_requests.py), and one for 20 samples;
- a file a sample and a POST a file, as Enviro boards do it (peer_files.py);
- a script as an expert writes it: verified, one kept connection, nothing stored (expert.py);
- TagoNode's whole pipeline: drivers, sampler, queue on littlefs, encoder, uplink, session (uplink_drain.py).

Counts come out the same in every run; TCP segments and instructions differ by some percent, as the network's moods do,
and are of the run that needed fewest. Times and CPU are ratios to the expert's within this run, the best of some.
Instructions are valgrind's, less what the interpreter needs to start. What the PC's flash costs is taken out of time,
CPU and instructions: on a board it is C and a chip. Its calls are noted in a diary and done again by themselves for
that; where little of a time is left then, there is none. --write keeps the figures in figures.json,
from which the README's table and picture are made (picture.py). Exit status 1 when a target is missed.
"""

import argparse
import json
import re
import shutil
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
from bench.uplink_readings import CHANNELS, START_MS  # noqa: E402
from tagonode.virtual.chips.bme280 import BME280  # noqa: E402
from tagonode.virtual.environment import Environment  # noqa: E402
from tagonode.virtual.virtualtime import TimeStopped  # noqa: E402
from virtualnode import VirtualNode  # noqa: E402

FEW = 20  # samples: of what costs the same each, and takes long
HEAPS_KB = range(16, 449, 16)
NODE_HEAPS_KB = (128, 144, *range(152, 217, 8), 224, 240, 256, 272, 304, 336, 384, 448, 512)
NODE_HOURS = 2  # of a sample a minute, an upload each five
NO_VALGRIND = "valgrind is not here: sudo apt-get install -y valgrind"

MOST_INSTRUCTIONS = 250_000  # a record
MOST_ERASES = 20  # a thousand records
MOST_KEPT = 8  # bytes a record


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
    "expert": Peer("an expert's script, 50 a POST", "expert", nodelay=True),
    "tagonode": Peer("TagoNode, 50 samples a POST", "uplink_drain"),
}
# what each does not do, or does; nothing that a run could measure
PROPERTIES = {
    "per_sample": ("no", "no", "no"),
    "batched": ("no", "no", "no"),
    "files": ("no", "yes", "no"),
    "expert": ("yes", "no", "no"),
    "tagonode": ("yes", "yes", "yes"),
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
    def run(
        self, name: str, samples: int = SAMPLES, heap: str = ROOMY, late: bool = False, sent: bool = True, **order: Any
    ) -> dict[str, Any]:
        """One run of a peer: what it said, and what server and wire saw of it if it is `sent`."""
        peer = PEERS[name]
        whole = {"samples": samples, **self._order(peer), **order}
        if not sent:
            return self._run(peer.module, heap, host="", port=0, dns="", **whole)
        return self._measured(peer.module, heap, late, peer.closes, **whole)

    def instructions(self, name: str) -> float | None:
        """Of a record, by callgrind; None where there is no valgrind."""
        if shutil.which("valgrind") is None:
            return None
        peer = PEERS[name]
        samples = FEW if peer.few else SAMPLES
        spent = self._counted(lambda: self.run(name, samples)) - self._counted(lambda: self.run(name, 0))
        if peer.stores:
            replay = self._diary(name)
            spent -= self._counted(lambda: self._run("replay_flash", ROOMY, samples=1, **replay))
            spent += self._counted(lambda: self._run("replay_flash", ROOMY, samples=0, **replay))
        return spent / (samples * len(CHANNELS))

    def _diary(self, name: str) -> dict[str, str]:
        """The order of a replay of what the peer does to its flash."""
        diary = self._folder / f"diary-{name}"
        if not diary.exists():
            self.run(name, FEW if PEERS[name].few else SAMPLES, diary=str(diary))
        return {"image": str(self._folder / "flash.img"), "diary": str(diary)}

    def replay(self, name: str, done: bool) -> float:
        """CPU's microseconds of what the peer does to its flash, or of reading about it alone."""
        return self._run("replay_flash", ROOMY, samples=int(done), **self._diary(name))["cpu_us"]

    def kept(self, name: str) -> float | None:
        """Bytes of flash a record that waits, file system included."""
        peer = PEERS[name]
        if not peer.stores:
            return None
        samples = FEW if peer.few else 10 * SAMPLES
        # what an empty folder takes is no record's
        store = {"fill": True, "keep": True}
        none, all_of_them = (self.run(name, n, sent=False, **store)["kept"] for n in (0, samples))
        return (all_of_them - none) / (samples * len(CHANNELS))

    def heaps(self, name: str) -> tuple[int | None, int | None]:
        """(smallest, safe) KB of heap: one that will do, and one from which on every size tried does; None for none."""
        sizes, does = (NODE_HEAPS_KB, whole_node_does) if name == "tagonode" else (HEAPS_KB, self._does(name))
        good = [does(kb) for kb in sizes]
        safe = len(good)
        while safe and good[safe - 1]:
            safe -= 1
        return (sizes[good.index(True)], sizes[safe]) if safe < len(good) else (None, None)

    def _does(self, name: str) -> Callable[[int], bool]:
        samples = FEW if PEERS[name].few else SAMPLES

        def does(kb: int) -> bool:
            try:
                run = self.run(name, samples, f"{kb}K")
            except RuntimeError:
                return False
            return len(run["records"]) == samples * len(CHANNELS)

        return does

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


def whole_node_does(kb: int) -> bool:
    """On a virtual Pico W in virtual time, with Wi-Fi, clock, watchdog and all, in so many KB of heap besides what
    stands for its firmware's own modules: all was sent, without a restart."""
    try:
        with VirtualNode(unix=START_MS // 1000, heap_kib=kb) as node:
            node.run_until(lambda: node.boots or node.clock() >= NODE_HOURS * 3600, NODE_HOURS * 3600 + 60, 30)
            node.run_until(lambda: node.boots or node.state["queued"] == 0, 400)
            return not node.boots and len(node.records()) >= (NODE_HOURS * 60 - 1) * len(CHANNELS)
    except (AssertionError, KeyError, TimeStopped):
        return False


def counts(bench: Bench, missed: list[str]) -> dict[str, dict[str, Any]]:
    """Of each peer: bytes, handshakes, requests, flash. All have to deliver the same."""
    found: dict[str, dict[str, Any]] = {}
    wanted = None
    for name, peer in PEERS.items():
        run = bench.run(name)
        wanted = wanted or run["records"]
        if run["records"] != wanted:
            missed.append(f"{peer.title} delivered other records")
        records = len(run["records"])
        found[name] = {key: run[key] for key in ("wire", "requests", "handshakes")}
        found[name]["up"], found[name]["down"] = run["up"] / records, run["down"] / records
        for key in ("erases", "programmed"):
            found[name][key] = run[key] * 1000 / records if peer.stores else None
        found[name]["kept"] = bench.kept(name)
    return found


_UNSURE = 50  # so many times the expert's time is what taking out the PC's flash may be wrong by


def _ratio(time: float, expert: float, stores: bool) -> float | None:
    """None where it comes out below the expert's, who does the least: other work on this computer was measured. None,
    too, where the PC's flash was taken out of it and little is left: runs gave -0.4, 1.4, 2.4, 9.4 and 14."""
    return time / expert if time >= (_UNSURE if stores else 1) * expert else None


def times(bench: Bench, repeats: int) -> dict[str, dict[str, float | None]]:
    """Of each peer: time of a record as a multiple of the expert's, with acknowledgements at once and late; CPU
    likewise; TCP segments of the whole, the fewest when acknowledgements are late."""
    best: dict[tuple[str, str], float] = {}

    def note(name: str, what: str, value: float) -> None:
        best[name, what] = min(value, best.get((name, what), value))

    for _ in range(repeats):
        for name, peer in PEERS.items():
            samples = FEW if peer.few else SAMPLES
            for key, late in (("time_prompt", False), ("time_late", True)):
                run = bench.run(name, samples, late=late)
                note(name, key, run["us"] / samples)
                if late:
                    for side in ("segments_up", "segments_down"):
                        note(name, side, run[side] * SAMPLES / samples)
                else:
                    note(name, "cpu", run["cpu_us"] / samples)
            note(name, "start", bench.run(name, 0)["cpu_us"] / samples)
            for done in (True, False) if peer.stores else ():
                note(name, f"flash {done}", bench.replay(name, done) / samples)
    for name, peer in PEERS.items():
        best[name, "cpu"] -= best[name, "start"]
        if peer.stores:
            # its image is a file in memory: all of its time is the CPU's
            flash = best[name, "flash True"] - best[name, "flash False"]
            for key in ("time_prompt", "time_late", "cpu"):
                best[name, key] -= flash
    return {
        name: {
            **{
                key: _ratio(best[name, key], best["expert", key], PEERS[name].stores)
                for key in ("time_prompt", "time_late", "cpu")
            },
            **{key: best[name, key] for key in ("segments_up", "segments_down")},
        }
        for name in PEERS
    }


def missed_targets(node: dict[str, Any]) -> list[str]:
    """What TagoNode's figures do not reach, in words. The target of time is of sending alone: uplink.py holds it."""
    targets = (
        ("wire", uplink.MOST_WIRE, "wire bytes a byte of JSON"),
        ("handshakes", 1, "handshakes"),
        ("erases", MOST_ERASES, "erases a thousand records"),
        ("kept", MOST_KEPT, "bytes of flash kept a record"),
        ("instructions", MOST_INSTRUCTIONS, "instructions a record"),
    )
    found = [
        f"{node[key]:,.4g} {what}, at most {most:,}"
        for key, most, what in targets
        if node[key] is not None and node[key] > most
    ]
    return found if node["heap_safe"] else [*found, "no heap that was tried is enough"]


def show(console: Console, figures: dict[str, dict[str, Any]]) -> None:
    table = Table(title=f"{SAMPLES} samples of {len(CHANNELS)} readings to one server, an RSA chain")
    for head, justify in (("", "left"), *((peer.title, "right") for peer in PEERS.values())):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for title, cells in picture.rows(figures):
        table.add_row(title, *cells)
    console.print(table)
    if shutil.which("valgrind") is None:
        console.print(f"instructions: {NO_VALGRIND}", style="yellow")


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
            figures[name].update(zip(("verified", "survives", "once"), PROPERTIES[name], strict=True))
    missed += missed_targets(figures["tagonode"])
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
