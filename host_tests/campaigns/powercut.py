"""Power-cut campaign of the spool: `python host_tests/campaigns/powercut.py` (make campaign-powercut).

Plays lives of a spool on real littlefs, under real MicroPython and under CPython, with programs of 32 and 256 bytes,
cuts the power before, in the middle of and after each of their flash operations, and checks what a node then finds
(powercut_scenario.py says what). Ends with one summary line; exit status 0 only without a violation.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIB = HERE.parent.parent / "lib"


@dataclass(frozen=True)
class Job:
    """One scenario and the part of its cuts to make: those with number % every == first."""

    runtime: str
    seed: int
    program: int
    commit_samples: int
    policy: str
    first: int = 0
    every: int = 1

    def run(self, lib: Path = LIB, stop: bool = False) -> dict:
        """Makes the cuts, with the spool of this lib folder; stop: at the first violation.

        Returns {"cuts", "operations", "violations", …}. Raises RuntimeError when the interpreter itself fails.
        """
        arguments = [self.seed, self.program, self.commit_samples, self.policy, self.first, self.every]
        if stop:
            arguments.append("stop")
        if self.runtime == "micropython":
            interpreter = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
            command = [interpreter, "-X", "heapsize=40M", HERE / "powercut_scenario.py"]
        else:
            command = [sys.executable, HERE / "powercut_cpython.py"]
        done = subprocess.run([*map(str, command), str(lib), *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self}: {done.stderr or done.stdout}")
        return json.loads(done.stdout.splitlines()[-1])


SCENARIOS = [
    Job("micropython", 1, 32, 1, "drop_oldest"),
    Job("micropython", 2, 256, 1, "drop_oldest"),
    Job("micropython", 3, 32, 6, "drop_newest"),
    Job("micropython", 4, 256, 6, "drop_oldest"),
    Job("micropython", 5, 32, 1, "drop_newest"),
    Job("micropython", 6, 256, 1, "drop_newest"),
    Job("micropython", 7, 32, 1, "drop_oldest"),
    Job("cpython", 8, 32, 1, "drop_oldest"),
    Job("cpython", 9, 256, 6, "drop_oldest"),
]


def parts(scenarios: list[Job], pieces: int) -> list[Job]:
    """The scenarios cut into pieces that can be run side by side."""
    return [Job(**{**s.__dict__, "first": i, "every": pieces}) for s in scenarios for i in range(pieces)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Cuts the power at every flash operation of the spool.")
    parser.add_argument("--seed", type=int, default=0, help="added to the seeds of the scenarios")
    seed = parser.parse_args().seed
    jobs = parts([Job(**{**s.__dict__, "seed": s.seed + seed}) for s in SCENARIOS], 4)
    started = time.monotonic()
    cuts = 0
    violations = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (job, result) in enumerate(zip(jobs, pool.map(Job.run, jobs), strict=True), 1):
            cuts += result["cuts"]
            for text in result["violations"]:
                violations.append(f"{job.runtime} seed {job.seed} program {job.program}: {text}")
                print(violations[-1])
            if sys.stderr.isatty():
                print(f"\r{done} of {len(jobs)} parts, {cuts} cuts", end="", file=sys.stderr, flush=True)
    took = time.monotonic() - started
    print(f"campaign-powercut: {cuts} cuts, {len(violations)} violations, {took:.0f} s")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
