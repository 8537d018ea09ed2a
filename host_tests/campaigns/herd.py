"""Herd campaign: `python host_tests/campaigns/herd.py` (make campaign-herd).

200 virtual nodes under real MicroPython, powered on together, share one profile of the local TagoIO, which takes 250
requests a window for each route and answers 429 to the rest. A window has some seconds here in place of a minute, and
so has the nodes' upload.window. All of them sample and upload on the same grid, the worst case. Proves:

- every reading arrives, once, and the books balance;
- after the window of the start no node is refused twice in one window;
- the requests spread over the window: its fullest tenth meets less than three times the mean of the tenths.

Scenarios: `roomy` (the limit has room for all), `tight` (for half of the nodes), `busy` (each node uploads four times
a window). Prints each one's histogram of requests per tenth of the window, then one summary line; exit status 0 only
when nothing failed. A slice with fewer nodes runs in the suite (test_herd.py).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from rich.console import Console

from tagonode import config
from tagonode.cloud import LocalCloud
from tagonode.cloud.limits import DATA_ROUTES, Window
from tagonode.simulate import Node, Options, Simulation

TENTHS = 10
LONGEST_S = 240  # for each part of a scenario, on the slowest machine
NODE = {
    "board": "pico_w",
    "wifi": {"networks": ["field"]},
    "health": {"every": 0},
    "sensors": [{"driver": "bme280", "bus": "i2c0"}],
}
NO_SENSOR = "sampler: bme280: "


@dataclass(frozen=True)
class Herd:
    """One scenario. limit: requests a window; window: seconds; every: windows between the uploads of a node;
    windows: how many of them are looked at."""

    name: str
    limit: int
    nodes: int = 200
    window: int = 10
    every: float = 1.0
    windows: int = 3

    @property
    def crowded(self) -> float:
        """So many times the mean of the tenths are too much for one of them."""
        # Nodes that pick their moments independently do not get to 3, not one herd of 200 in 10^12; fewer of them get
        # further by chance: 50 to 4, one herd in 10^6. Nodes that move together come in a tenth or two: 5 to 10.
        return max(3.0, 1 + 2 * (200 / self.nodes) ** 0.3)

    def run(self) -> "Outcome":
        """Play it."""
        with LocalCloud() as cloud:
            cloud.limits.window_s = self.window
            cloud.limits.per_window = dict.fromkeys(DATA_ROUTES, self.limit)
            every = self.window * self.every
            settings = {**NODE, "sample": {"every": every}, "upload": {"every": every, "window": self.window}}
            with open(os.devnull, "w") as nowhere:
                play = _Play(self, cloud, config.check(settings, self.name), Console(file=nowhere))
                result = play.run()
                result["problems"] += play.last_words
            met = [window for route in DATA_ROUTES for window in cloud.limits.windows(route)]
            return Outcome(self, result, play.begin, met, cloud.count(), dict(cloud.traffic.answers))


class _Play(Simulation):
    """A simulation that ends by itself: when every node has been heard of and the windows after that have passed, the
    sensors fall silent, so that nothing new comes and what is queued leaves at its usual pace."""

    begin: int | None = None  # Unix ms of the first window that is looked at

    def __init__(self, herd: Herd, cloud: LocalCloud, node_config: config.NodeConfig, console: Console):
        super().__init__(Options(nodes=herd.nodes, cloud=cloud), node_config, console)
        self._herd = herd
        self._cloud = cloud
        self._silent: set[str] = set()
        self.last_words: list[str] = []  # of nodes that did not do what was waited for

    def _line_taker(self, node: Node):
        take = super()._line_taker(node)

        def watching(line: str) -> None:
            take(line)
            if NO_SENSOR in line:
                self._silent.add(node.name)

        return watching

    def _watch(self) -> None:
        names = {self._cloud.device(node.settings["tagoio.token"]).id: node.name for node in self.nodes}
        if not self._all("sends", lambda: {names[arrival.device] for arrival in self._cloud.limits.arrivals()}):
            return
        length = self._herd.window * 1000
        now = int(time.time() * 1000)
        self.begin = now - now % length + length
        end = (self.begin + self._herd.windows * length) / 1000
        time.sleep(max(0, end - time.time()))
        for node in self.nodes:
            node.board.hardware.i2c[0].stuck = True
        if self._all("notices that its sensor is silent", lambda: self._silent):
            self._all("empties its queue", lambda: {node.name for node in self.nodes if not node.count("queued")})

    def _all(self, what: str, done: Callable[[], set[str]]) -> bool:
        """Wait until done() has the names of all nodes. False when that takes too long or a node stands still."""
        deadline = time.monotonic() + LONGEST_S
        while len(ready := done()) < len(self.nodes):
            missing = [node for node in self.nodes if node.name not in ready]
            dead = [node for node in missing if node.dead]
            if dead or time.monotonic() > deadline:
                for node in dead or missing:
                    self.last_words.append(f"{node.name} never {what}: {(node.console or ['it said nothing'])[-1]}")
                return False
            time.sleep(0.2)
        return True


@dataclass
class Outcome:
    """What came of a herd: histograms of requests per tenth of a window, and `problems`, empty when all is well.

    begin: Unix ms of the first window that is looked at; met: all that came; answers: {status: how many}.
    """

    herd: Herd
    result: dict
    begin: int | None
    met: list[Window]
    stored: int
    answers: dict[int, int]
    taken: list[int] = field(default_factory=lambda: [0] * TENTHS)
    refused: list[int] = field(default_factory=lambda: [0] * TENTHS)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._judge_books()
        self._judge_refusals()
        self._judge_spread()

    def _judge_books(self) -> None:
        self.problems += self.result["problems"]
        if not self.result["delivered"]:
            self.problems.append(f"of {self.result['readings']} readings {self.result['acknowledged']} were delivered")
        if self.stored != self.result["acknowledged"]:
            self.problems.append(f"{self.result['acknowledged']} acknowledged, but {self.stored} stored")
        strange = {status: n for status, n in self.answers.items() if status not in (200, 429)}
        if strange:
            self.problems.append(f"answers that nobody expects: {strange}")

    def _judge_refusals(self) -> None:
        first = min((window.start for window in self.met), default=0)
        for window in self.met:
            for device, times in window.refused.items():
                if window.start != first and len(times) > 1:
                    at = ", ".join(f"{(t - window.start) / 1000:.2f} s" for t in times)
                    self.problems.append(f"device {device} was refused {len(times)} times in one window: at {at}")

    def _judge_spread(self) -> None:
        if self.begin is None:
            heard = len({device for window in self.met for device in (*window.taken, *window.refused)})
            self.problems.append(f"of {self.herd.nodes} nodes {heard} sent anything")
            return
        length = self.herd.window * 1000
        for window in self.met:
            if self.begin <= window.start < self.begin + self.herd.windows * length:
                for found, counts in ((window.taken, self.taken), (window.refused, self.refused)):
                    for times in found.values():
                        for at in times:
                            counts[(at - window.start) * TENTHS // length] += 1
        if self.crowd >= self.herd.crowded:
            self.problems.append(f"the fullest tenth of the window met {self.crowd:.1f} times the mean")

    @property
    def crowd(self) -> float:
        """Requests in the fullest tenth of the window, in multiples of the mean of the tenths."""
        both = [taken + refused for taken, refused in zip(self.taken, self.refused, strict=True)]
        return max(both) * TENTHS / max(1, sum(both))

    def report(self) -> str:
        """The histogram and the figures, for people."""
        herd, result = self.herd, self.result
        lines = [
            f"{herd.name}: {herd.nodes} nodes, {herd.limit} requests in {herd.window} s, an upload every "
            f"{herd.window * herd.every:g} s; requests of {herd.windows} windows, + taken, - refused"
        ]
        scale = 60 / max(60, *(t + r for t, r in zip(self.taken, self.refused, strict=True)))
        for tenth, (taken, refused) in enumerate(zip(self.taken, self.refused, strict=True)):
            bar = "+" * round(taken * scale) + "-" * round(refused * scale)
            lines.append(f"{tenth * herd.window / TENTHS:5.1f} s {taken:5} {refused:5}  {bar}".rstrip())
        lines.append(
            f"  fullest tenth {self.crowd:.2f} times the mean; {result['acknowledged']} of {result['readings']} "
            f"readings delivered, {self.stored} stored; {result['handshakes']} handshakes, "
            f"{result['requests']} requests, answered {self.answers}"
        )
        shown = self.problems[:10]
        lines += [f"  FAILED {problem}" for problem in shown]
        if len(self.problems) > len(shown):
            lines.append(f"  FAILED and {len(self.problems) - len(shown)} more")
        return "\n".join(lines)


SCENARIOS = (
    Herd("roomy", limit=250),
    Herd("tight", limit=100),
    Herd("busy", limit=250, every=0.25, window=20, windows=2),
)


def in_memory() -> None:
    """Keep the nodes' flash images in memory where that is possible: 200 chips at once are much for one disk."""
    if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"


def main() -> int:
    parser = argparse.ArgumentParser(description="How a herd of nodes shares one rate limit.")
    names = [herd.name for herd in SCENARIOS]
    parser.add_argument("scenario", nargs="*", choices=[*names, []], help=f"which to play: {', '.join(names)}; all")
    parser.add_argument("--nodes", type=int, help="how many nodes; the limit goes with them")
    parser.add_argument("--window", type=int, help="seconds of a window")
    chosen = parser.parse_args()
    in_memory()
    started = time.monotonic()
    failures = 0
    herds = [herd for herd in SCENARIOS if not chosen.scenario or herd.name in chosen.scenario]
    for herd in herds:
        if chosen.nodes:
            herd = replace(herd, nodes=chosen.nodes, limit=max(1, herd.limit * chosen.nodes // herd.nodes))
        if chosen.window:
            herd = replace(herd, window=chosen.window)
        outcome = herd.run()
        failures += len(outcome.problems)
        print(outcome.report(), flush=True)
    print(f"campaign-herd: {len(herds)} herds, {failures} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
