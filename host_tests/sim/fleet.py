"""Thousands of light nodes against one server that counts requests: how a fleet shares a limit, and comes back after an
outage.

    python host_tests/sim/fleet.py --nodes 5000 --every 300 --limit 2000 --outage 60

Uplink, batches, requests and answers are the agent's own; queue, clock and link of each node are the stubs of
host_tests/device/herdworld.py. A window is a minute of the server's clock. Ends with one summary line; exit status 0
when every node was heard of again within a day.
"""

import argparse
import gc
import random
import sys
import time
from heapq import heapify, heapreplace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# in the place of this folder, whose littlefs.py is not the package
sys.path[:1] = [str(Path(__file__).absolute().parents[1]), str(Path(__file__).absolute().parents[2] / "tools")]

from sim.interpreter import Interpreter  # noqa: E402
from sim.loop import Loop, Time  # noqa: E402

_WINDOW_MS = 60000
_ROUNDS = 4  # uploads of each node before and after the outage


def herdworld(seed: int) -> Any:
    """host_tests/device/herdworld.py as a module of its own, with the agent's modules behind it."""
    loop = Loop(Time(), lambda what, error: None)
    nothing = SimpleNamespace()
    modules: dict[str, Any] = {
        "asyncio": loop.asyncio,
        "gc": SimpleNamespace(collect=lambda: None, threshold=lambda *_: None, mem_free=lambda: 0),
        "micropython": SimpleNamespace(const=lambda value: value),
        "os": nothing,
        "random": random.Random(seed),
        "select": nothing,
        "socket": nothing,
        "ssl": nothing,
        "time": SimpleNamespace(ticks_ms=lambda: 0, ticks_diff=lambda a, b: a - b, ticks_add=lambda a, b: a + b),
    }
    interpreter = Interpreter(modules, open, print)
    modules["sys"] = SimpleNamespace(modules=interpreter.modules)
    return interpreter.module("host_tests.device.herdworld")


class Fleet:
    """nodes: how many; every: ms between the samples and uploads of a node; limit: requests a minute of all."""

    def __init__(self, nodes: int, every: int, limit: int, seed: int = 1):
        draw = random.Random(seed)
        module = herdworld(seed)
        self.herd = module.Herd([draw.randbytes(8) for _ in range(nodes)], every, _WINDOW_MS, limit)
        self._every = every
        self._taken: list[int] = [0] * nodes  # when the oldest sample of each was taken
        self.delays: list[int] = []
        self.heard: set[int] = set()  # who has delivered since this was emptied

    def spend(self, ms: int) -> None:
        """Let time pass; a node samples a moment before it uploads."""
        herd = self.herd
        end = herd.now + ms
        heap = [(node.due, node.number) for node in herd.nodes]
        heapify(heap)
        while heap[0][0] <= end:
            due, number = heap[0]
            node = herd.nodes[number]
            herd.now = max(herd.now, due)
            if node._waits_for is not None and not node.queue.queued:
                node.queue.append()
                self._taken[number] = herd.now
            before = node.queue.queued
            node.step()
            if node.queue.queued < before:
                self.delays.append(herd.now - self._taken[number])
                self.heard.add(number)
            heapreplace(heap, (node.due, number))
        herd.now = end

    def outage(self, ms: int) -> None:
        """The server is away for so long."""
        self.herd.down = True
        self.spend(ms)
        self.herd.down = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--every", type=int, default=300, help="seconds between the uploads of a node")
    parser.add_argument("--limit", type=int, help="requests a minute of all together; half as many again as needed")
    parser.add_argument("--outage", type=int, default=60, help="minutes without the server in between")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    gc.freeze()
    began = time.monotonic()
    every = chosen.every * 1000
    limit = chosen.limit or max(1, chosen.nodes * 90 // chosen.every)
    fleet = Fleet(chosen.nodes, every, limit, chosen.seed)
    fleet.spend(_ROUNDS * every)
    fleet.outage(chosen.outage * _WINDOW_MS)
    back = fleet.herd.now
    sent = len(fleet.herd.met)
    fleet.heard.clear()
    while len(fleet.heard) < chosen.nodes and fleet.herd.now < back + 24 * 3600000:
        fleet.spend(_WINDOW_MS)
    drained = (fleet.herd.now - back) // _WINDOW_MS
    fleet.spend(_ROUNDS * every)
    met = fleet.herd.met
    refused = sum(not taken for _, _, taken in met)
    after = [at for at, _, _ in met[sent:]]
    first = sum(at < back + _WINDOW_MS for at in after)
    delays = sorted(fleet.delays)
    again = len(fleet.herd.refused_twice())
    print(
        f"fleet: {chosen.nodes} nodes, an upload every {chosen.every} s, {limit} a minute: {len(met)} requests, "
        f"{refused} refused, {again} of them for the second time in a minute; {len(fleet.herd.missed)} tries during "
        f"{chosen.outage} min of outage, {first} in the minute after it, all heard of {drained} min later; delivered "
        f"after {delays[len(delays) // 2] / 1000:.0f} s (median), {delays[-1] / 1000:.0f} s (last); "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if len(fleet.heard) < chosen.nodes else 0


if __name__ == "__main__":
    sys.exit(main())
