"""Power-cut campaign of remote settings: `python host_tests/campaigns/remote_powercut.py` (make campaign-remote).

Cuts the power before, in the middle of and after each flash operation of remote changes, then 50 times at several
random moments one after the other, with programs of 32 and 256 bytes, under real MicroPython (remote_scenario.py says
what has to come of it). Ends with one summary line; exit status 0 only without a violation.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import trustme

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAMS = (32, 256)
SEEDS = 50


@dataclass(frozen=True)
class Job:
    """The cuts with number % every == first, and so many rounds of several cuts."""

    program: int
    first: int = 0
    every: int = 1
    seeds: int = 0

    def run(self, root: Path = ROOT) -> dict:
        """Makes the cuts, with firmware and libraries of this folder. Returns {"cuts", "operations", "violations"}.

        Raises RuntimeError when the interpreter itself fails.
        """
        interpreter = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
        with tempfile.NamedTemporaryFile() as certificate:
            certificate.write(trustme.CA().cert_pem.bytes())
            certificate.flush()
            numbers = [self.program, self.first, self.every, self.seeds]
            command = [interpreter, "-X", "heapsize=8M", HERE / "remote_scenario.py", root, certificate.name, *numbers]
            done = subprocess.run([str(each) for each in command], capture_output=True, text=True)
        if done.returncode or not done.stdout:
            raise RuntimeError(f"{self}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description="Cuts the power at every flash operation of remote changes.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="rounds of several cuts at random")
    seeds = parser.parse_args().seeds
    jobs = [Job(program, first, 4, -(-seeds // 8)) for program in PROGRAMS for first in range(4)]
    started = time.monotonic()
    cuts, violations = 0, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for job, result in zip(jobs, pool.map(Job.run, jobs), strict=True):
            cuts += result["cuts"]
            for text in result["violations"]:
                violations.append(f"program {job.program}: {text}")
                print(violations[-1])
    print(f"campaign-remote: {cuts} cuts, {len(violations)} violations, {time.monotonic() - started:.0f} s")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
