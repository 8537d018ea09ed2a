"""A thousand node-years of simulated lives: `make campaign-sim [YEARS=N] [SEED=N] [DAYS=N] [TRACE=1]`.

    python host_tests/sim/campaign.py --years 5             seeds 1, 2, … until they have lived for five years
    python host_tests/sim/campaign.py --seed 17 --trace     the story of one, and what matters if it failed
    python host_tests/sim/campaign.py --hostile --years 20  lives among faults without end

Uses all cores. What is done is written down in build/campaign-sim/, one line a life, so that a campaign that was
stopped goes on where it was; a changed agent or simulation begins anew. Ends with one summary line; exit
status 0 only without violations.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# in the place of this folder, whose littlefs.py is not the package
sys.path[:1] = [str(Path(__file__).absolute().parents[1]), str(Path(__file__).absolute().parents[2] / "tools")]

from sim import coverage, shrink  # noqa: E402
from sim.faults import faults_of  # noqa: E402
from sim.interpreter import REPOSITORY, Overlay  # noqa: E402
from sim.spec import Spec, hostile_spec_of, spec_of  # noqa: E402
from sim.world import World  # noqa: E402

_STATE = REPOSITORY / "build" / "campaign-sim"
_LEAST_FAULTS_A_YEAR = 100


def live(spec: Spec, overlay: Overlay = (), say: Any = None) -> dict[str, Any]:
    """One life: what is to be known of it."""
    began = time.process_time()
    world = World(spec, faults_of(spec), overlay, say)
    try:
        world.run()
    except Exception:  # noqa: BLE001 - told with its seed, so that it can be played again
        world.watch.violation("the simulation itself failed: " + traceback.format_exc()[-600:])
    return {
        "seed": spec.seed,
        "days": spec.days,
        "lived": world.time.now / 86400000,
        "sample": spec.sample,
        "sleeps": spec.sleeps,
        "faults": sum(world.happened.values()),
        "kinds": dict(world.happened),
        "boots": world.boots,
        "wakes": world.deep_sleeps,
        "bites": world.watch.bites,
        "samples": world.watch.appended,
        "stored": world.watch.stored,
        "seconds": round(time.process_time() - began, 3),
        "seen": {f"{one}|{two}": n for (one, two), n in world.watch.seen.items()},
        "violations": world.watch.violations[:3],
    }


def lives(first: int, years: float, of: Callable[[int], Spec]) -> Iterator[Spec]:
    """Those of the seeds from `first` on, so many years together."""
    seed = first
    while years > 0:
        spec = of(seed)
        years -= spec.node_years
        yield spec
        seed += 1


def _fingerprint() -> str:
    """Of all that a life depends on."""
    total = hashlib.sha256()
    for folder in ("firmware", "lib", "boards", "host_tests/sim"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            total.update(path.read_bytes())
    return total.hexdigest()[:12]


def campaign(first: int, years: float, workers: int, hostile: bool = False) -> int:
    """Play the seeds that have not been played yet. Exit status."""
    _STATE.mkdir(parents=True, exist_ok=True)
    path = _STATE / f"{'hostile' if hostile else 'from'}-{first}-{_fingerprint()}.jsonl"
    done: dict[int, dict[str, Any]] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # it was stopped while it wrote
            done[row["seed"]] = row
    specs = list(lives(first, years, hostile_spec_of if hostile else spec_of))
    wanted = [spec.seed for spec in specs]
    # the long ones first: no core waits for the last one
    todo = sorted((spec for spec in specs if spec.seed not in done), key=lambda spec: -_cost(spec))
    if len(todo) < len(wanted):
        print(f"{len(wanted) - len(todo)} of {len(wanted)} lives are in {path.name} already")
    began = told = time.monotonic()
    with get_context("fork").Pool(workers, maxtasksperchild=50) as pool, path.open("a") as file:
        for row in pool.imap_unordered(live, todo):
            done[row["seed"]] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
            for violation in row["violations"][:1]:
                seed = row["seed"]
                again = f"make campaign-sim SEED={seed} TRACE=1{' ARGS=--hostile' if hostile else ''}"
                print(f"VIOLATION seed {seed}: {violation}\n  {again}", flush=True)
            if time.monotonic() > told + 30:
                told = time.monotonic()
                lived = sum(done[seed]["lived"] for seed in wanted if seed in done) / 365
                print(f"{lived:.1f} of {years:g} node-years, {told - began:.0f} s", flush=True)
    return _summary([done[seed] for seed in wanted], first, time.monotonic() - began)


def _cost(spec: Spec) -> float:
    return spec.days * (10 if spec.sample == 60 else 1)


def _summary(rows: list[dict[str, Any]], first: int, seconds: float) -> int:
    seen: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    for row in rows:
        kinds.update(row["kinds"])
        for pair, n in row["seen"].items():
            one, _, two = pair.partition("|")
            seen[one, two] += n
    for line in coverage.report(seen):
        print(line)
    print("faults: " + ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()))
    years = sum(row["lived"] for row in rows) / 365
    minutely = sum(row["lived"] for row in rows if row["sample"] == 60) / 365
    sleeping = sum(row["lived"] for row in rows if row["sleeps"]) / 365
    faults = sum(kinds.values())
    failed = [row["seed"] for row in rows if row["violations"]]
    few = faults < _LEAST_FAULTS_A_YEAR * years
    print(
        f"campaign-sim: {years:.1f} node-years ({sleeping:.1f} asleep between samples, {minutely:.1f} of one minute), "
        f"{len(rows)} lives from seed {first}, {faults} faults, {sum(row['samples'] for row in rows)} samples, "
        f"{sum(row['boots'] for row in rows)} starts, {sum(row['bites'] for row in rows)} watchdog bites, "
        f"{len(failed)} violations{' in seeds ' + str(failed[:10]) if failed else ''}, {seconds:.0f} s of this run, "
        f"{sum(row['seconds'] for row in rows):.0f} s of one core in all"
        + (f": FEWER THAN {_LEAST_FAULTS_A_YEAR} FAULTS A YEAR" if few else "")
    )
    return 1 if failed or few else 0


def story(spec: Spec, seconds: float) -> int:
    """Tell one life, and if it failed which faults mattered."""
    seed = spec.seed
    print(spec)
    row = live(spec, say=print)
    if row["violations"]:
        print(f"\nseed {seed}: {row['violations'][0]}\nlooking for the faults that matter …")
        left = shrink.shrink(spec, faults_of(spec), seconds=seconds)
        print(f"{len(left)} of {row['faults']} faults are enough:")
        for fault in left:
            print(f"  {fault}")
        print("\nwith these alone:\n")
        World(spec, left, say=print).run()
    print(
        f"campaign-sim: seed {seed}, {row['lived']:.2f} days, {row['faults']} faults, {row['samples']} samples, "
        f"{row['boots']} starts, {len(row['violations'])} violations, {row['seconds']:.1f} s"
    )
    return 1 if row["violations"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=float, help="node-years to live (default 5; with --seed alone: that life only)")
    parser.add_argument("--seed", type=int, help="the first seed (default 1)")
    parser.add_argument("--days", type=float, help="how long the life of --seed is, instead of its own length")
    parser.add_argument("--hostile", action="store_true", help="faults without end, in every life")
    parser.add_argument("--trace", action="store_true", help="tell the story of one seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--shrink", type=float, default=120, help="seconds for finding the faults that matter")
    chosen = parser.parse_args()
    if chosen.trace or chosen.seed is not None and chosen.years is None:
        spec = (hostile_spec_of if chosen.hostile else spec_of)(chosen.seed or 1)
        spec = spec.lasting(chosen.days) if chosen.days else spec
        return story(spec, chosen.shrink) if chosen.trace else _summary([live(spec)], spec.seed, 0)
    return campaign(chosen.seed or 1, chosen.years or 5, chosen.workers, chosen.hostile)


if __name__ == "__main__":
    sys.exit(main())
