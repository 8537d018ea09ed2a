"""Faults of the simulation on real MicroPython: `make campaign-sim-board SEEDS=20 [SEED=1] [ARGS=--bugs]`.

Lives of a day or two on a virtual board in virtual time, with the real littlefs and real TLS against the local TagoIO,
each with some dozens of faults that its seed draws as the simulation does (host_tests/simboard.py). Prints a line a
life, and the story of each that broke an invariant; exit status 0 when none did.

--bugs seeds bugs that real MicroPython alone shows, and some that the simulation finds, too, each in a life of some hours
with the fault that brings it out: exit status 0 when all were found, and the sound firmware was not blamed.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).absolute().parents[1]), str(Path(__file__).absolute().parents[2] / "tools")]

import simboard  # noqa: E402
from sim.faults import Fault  # noqa: E402
from sim.spec import Spec  # noqa: E402

_MIN, _HOUR = 60000, 3600000
_RESETS = [Fault(36 * _MIN, "reset_button", 0, 1)]
_LOST = [Fault(_HOUR // 4, "server_answer_lost", _HOUR, 7)]
_STRANGERS = [Fault(10 * _MIN, "certificate", _HOUR, 1)]
# what is wrong: (module, text, what the bug makes of it, faults that bring it out, hours, samples and uploads every so
# many seconds)
# ruff: noqa: E501
BUGS: dict[str, tuple[str, str, str, list[Fault], tuple[float, int, int]]] = {
    "memory is kept of each request": (
        "agent.uplink",
        "        response.begin(method)\n        try:\n",
        "        response.begin(method)\n        globals().setdefault('kept', []).append(bytearray(1000))\n        try:\n",
        [],
        (3.2, 600, 600),
    ),
    "a file of the queue is not closed": (
        "spool.queue",
        "                with open(self._path + name, mode) as f:\n",
        "                f = open(self._path + name, mode)\n                if f:\n",
        _RESETS,
        (0.9, 600, 1800),
    ),
    "sockets are left open": (
        "session.client",
        "socks = self._sock, self._raw",
        "socks = (self._sock,)",
        _STRANGERS,
        (2.5, 300, 300),
    ),
    "a commit is left for later": (
        "spool.queue",
        "self._waiting >= self._commit_samples",
        "self._waiting > self._commit_samples",
        _RESETS,
        (0.9, 600, 1800),
    ),
    "what may have arrived is sent again": (
        "agent.uplink",
        "        if verdict == verdicts.AMBIGUOUS:\n            self._doubt = 0\n",
        "        if verdict == verdicts.AMBIGUOUS:\n            batch.returned()\n",
        _LOST,
        (2, 300, 600),
    ),
}


def spec_of(seed: int) -> Spec:
    """Which node a seed stands for here. Nodes that wake from deep sleep start once a sample, which takes its time."""
    draw = Random(f"board {seed}")
    board = draw.choice(("pico_w", "pico_w", "esp32", "esp32s3"))
    sleeps = draw.random() < 0.3
    sample = 1800 if sleeps else draw.choice((300, 600, 1800))
    return Spec(
        seed,
        1.0,
        board=board,
        sample=sample,
        upload=draw.choice((1800, 3600)),
        ppm=draw.uniform(-45, 45),
        policy=draw.choice(("drop_oldest", "drop_newest")),
        networks=draw.choice((1, 1, 2)),
        sleeps=sleeps,
        hostile=True,
    )


def as_in_the_suite(seed: int, board: str, hours: float) -> Spec:
    return Spec(seed, hours / 24, board=board, sample=1200, upload=3600, ppm=20, hostile=True)


def seeded(name: str, sound: bool = False) -> simboard.Found:
    """A life with the bug of this name, or with its faults alone."""
    module, text, becomes, faults, (hours, sample, upload) = BUGS[name]
    spec = Spec(1, hours / 24, sample=sample, upload=upload)
    return simboard.live(spec, faults, bugs=() if sound else ((module, text, becomes),))


def bugs() -> int:
    missed = 0
    for name in BUGS:
        began = time.monotonic()
        blamed, found = seeded(name, sound=True).violations, seeded(name).violations
        missed += bool(blamed) or not found
        said = f"the sound firmware: {blamed[0]}" if blamed else found[0] if found else "NOT FOUND"
        print(f"{name}: {said}; {time.monotonic() - began:.0f} s", flush=True)
    print(f"sim-board: {len(BUGS)} bugs, {missed} missed")
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="so many lives")
    parser.add_argument("--seed", type=int, default=1, help="the first of them")
    parser.add_argument("--board", help="this one, as the suite's lives have it: a sample every 20 minutes")
    parser.add_argument("--hours", type=float, default=24, help="so long, with --board")
    parser.add_argument("--trace", action="store_true", help="tell each story as it happens")
    parser.add_argument("--bugs", action="store_true", help="seed bugs instead")
    asked = parser.parse_args()
    if asked.bugs:
        return bugs()
    broken, faults, kinds = 0, 0, Counter[str]()
    for seed in range(asked.seed, asked.seed + asked.seeds):
        began = time.monotonic()
        spec = as_in_the_suite(seed, asked.board, asked.hours) if asked.board else spec_of(seed)
        found = simboard.live(spec, say=print if asked.trace else None)
        kinds += found.happened
        faults += sum(found.happened.values())
        broken += bool(found.violations)
        node = f"{spec.board}{', sleeps' if spec.sleeps else ''}, every {spec.sample} s"
        print(f"seed {seed} ({node}): {found}; {time.monotonic() - began:.0f} s", flush=True)
        if found.violations:
            print("\n".join([*found.story, *(f"VIOLATION {text}" for text in found.violations)]))
    never = sorted(simboard.PLAYED - set(kinds))
    print(f"never met: {', '.join(never) or 'none'}; not played: {', '.join(sorted(simboard.NOT_PLAYED))}")
    print(f"sim-board: {asked.seeds} lives, {faults} faults of {len(kinds)} kinds, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
