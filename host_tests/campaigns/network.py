"""Network campaign of the uplink: `python host_tests/campaigns/network.py` (make campaign-network).

Each class of the fault matrix (faults.py) is played for hundreds of rounds on one virtual board that is never started
anew: a fault drawn by lot, at a place drawn by lot, healed, everything arrived. After each round nothing may be open
that was not open before, and after all of them the heap has to be as free as after the first. Ends with one summary
line; exit status 0 only without a violation.

    make campaign-network ARGS="--rounds 50 --seed 7 handshake 'idle close'"
"""

import argparse
import dataclasses
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import Manager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faults  # noqa: E402
from hostile.rig import Rig, prepare  # noqa: E402
from hostile.server import Fault  # noqa: E402

ROUNDS = 500
# a board remembers until its next start how large a body may be: there is no second round
CLASSES = [kind for kind in faults.CLASSES if kind != "sizes"]
_SETTINGS = {"upload": {"window": 0.1}}
_WARM = 5  # rounds until buffers, caches and queue have their size
# Of the heap's best moments in the first tenth of the rounds and in the last. A state line may come anywhere between
# two collections, which lie up to 16 KB apart (gc.threshold); of the hundreds in fifty rounds the best come right after
# one, and differ by what is alive then: a text, the queue's list of files. In 500 rounds a leak of one 32-byte block
# a round is four times as much.
_TOLERANCE = 4096
_FEW = 200  # rounds that give no such moments


@dataclasses.dataclass
class Report:
    """What came of a class: rounds played, what went wrong, and the free heap in bytes at both ends."""

    kind: str
    rounds: int
    violations: list[str]
    free: tuple[int, int]


def _playable(kind: str) -> list[Fault]:
    """The faults of a class that leave the board as it was; those that go through many places meet two a round."""
    found = [fault for fault in faults.CLASSES[kind] if not fault.reboot and not fault.fresh]
    return [dataclasses.replace(fault, times=min(fault.times, 2)) for fault in found]


def _leftovers(rig: Rig, usual: list[str]) -> list[str]:
    """What is open besides the usual and one connection, once the board had time to close it."""
    deadline = time.monotonic() + 10
    while True:
        now = sorted(rig.descriptors())
        sockets = [name for name in now if name.startswith("socket:")]
        others = [name for name in now if not name.startswith("socket:")]
        if len(sockets) <= 1 and others == usual:
            return []
        if time.monotonic() > deadline:
            return now
        time.sleep(0.02)  # other sockets, for names, live for milliseconds


def play(kind: str, rounds: int, seed: int, tell: Callable[[int], object] = lambda number: None) -> Report:
    """Play rounds of a class; `tell` hears the number of each."""
    chance = random.Random(f"{seed} {kind}")
    playable = _playable(kind)
    violations: list[str] = []
    free: list[int] = []
    with Rig(faults.SETTINGS.get(kind, _SETTINGS)) as rig:
        usual = sorted(name for name in rig.descriptors() if not name.startswith("socket:"))
        for number in range(rounds):
            rig.server.shift = chance.randrange(1000)
            rig.most_free = 0
            outcome = rig.play(chance.choice(playable))
            free.append(rig.most_free)
            where = f"{kind}, round {number}, seed {seed}: "
            if not outcome.ok:
                violations.append(where + str(outcome))
            left = _leftovers(rig, usual)
            if left:
                violations.append(f"{where}{outcome.fault.name}: left open: {left}")
                break
            if len(violations) > 2:
                break
            tell(number)
    tenth = max(1, (len(free) - _WARM) // 10)
    ends = max(free[_WARM : _WARM + tenth], default=0), max(free[-tenth:], default=0)
    if len(free) >= _FEW and ends[0] - ends[1] > _TOLERANCE:
        violations.append(f"{kind}, seed {seed}: the heap had {ends[0]} bytes free at first, {ends[1]} in the end")
    return Report(kind, len(free), violations, ends)


def _count(queue):
    return lambda number: queue.put(1)


def _play(kind: str, rounds: int, seed: int, queue) -> Report:
    try:
        return play(kind, rounds, seed, _count(queue))
    except Exception as error:  # noqa: BLE001 - one class that cannot be played, or not to its end
        return Report(kind, 0, [f"{kind}, seed {seed}: {error!r}"], (0, 0))


def _tell(report: Report) -> None:
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    first, last = report.free
    harm = f"{len(report.violations)} violations"
    print(f"{report.kind:13} {report.rounds:5} rounds, {harm}, heap free {first} at first, {last} in the end")
    print("".join(f"{violation}\n" for violation in report.violations), end="", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Plays every class of the fault matrix for hundreds of rounds.")
    parser.add_argument("classes", nargs="*", help=f"of {', '.join(CLASSES)}; all of them unless told")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each class")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--boards", type=int, default=4 * (os.cpu_count() or 1), help="at a time")
    options = parser.parse_args()
    unknown = set(options.classes) - set(CLASSES)
    if unknown:
        parser.error(f"there is no class {', '.join(sorted(unknown))}; there are {', '.join(CLASSES)}")
    wanted = options.classes or CLASSES
    started = time.monotonic()
    prepare()
    reports = []
    with Manager() as manager, ProcessPoolExecutor(options.boards) as pool:
        queue = manager.Queue()
        running = {pool.submit(_play, kind, options.rounds, options.seed, queue) for kind in wanted}
        while running:
            done, running = wait(running, 0.5, FIRST_COMPLETED)
            for job in done:
                reports.append(job.result())
                _tell(reports[-1])
            if sys.stderr.isatty():
                print(
                    f"\r{queue.qsize()} of {len(wanted) * options.rounds} rounds", end="", file=sys.stderr, flush=True
                )
    violations = sum(len(report.violations) for report in reports)
    rounds = sum(report.rounds for report in reports)
    took = time.monotonic() - started
    print(f"campaign-network: {rounds} rounds, {violations} violations, seed {options.seed}, {took:.0f} s")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
