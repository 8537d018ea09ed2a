"""Wear of the spool: `python host_tests/bench/spool.py [RECORDS]` (part of make bench).

Appends 50,000 records to real littlefs under real MicroPython on a counting flash of 512 KB, for samples of 3, 5 and
8 readings, both program sizes, each sample durable or six a commit, never acknowledged or acknowledged as it goes (40
samples at a time, each batch announced first). Prints erases and bytes programmed per 1,000 records and bytes kept a
record, file system included; exit status 1 when a mean misses its target.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIB = HERE.parent.parent / "lib"
CHANNELS = (3, 5, 8)
ERASES = {("esp32", 1): 20, ("rp2", 1): 50, ("esp32", 6): 6, ("rp2", 6): 10}
KEPT = 8
PROGRAM = {"esp32": 32, "rp2": 256}


def measure(port: str, channels: int, commit_samples: int, ack_samples: int, records: int) -> dict:
    """One run: what spool_wear.py prints."""
    interpreter = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
    arguments = (LIB, port, channels, commit_samples, ack_samples, records, 128)
    done = subprocess.run(
        [interpreter, "-X", "heapsize=2M", "spool_wear.py", *map(str, arguments)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> int:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 50000
    cases = [(p, c, a) for (p, c), a in product(ERASES, (0, 40))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(lambda k: measure(k[0][0], k[1], *k[0][1:], records), list(product(cases, CHANNELS)))
        results = list(runs)
    missed = 0
    print(
        "program  samples a commit  acknowledged  erases of 3, 5, 8 readings = mean (at most)  programmed  kept (of 5)"
    )
    for i, (port, commit_samples, ack_samples) in enumerate(cases):
        three = results[i * 3 : i * 3 + 3]
        mean = sum(r["erases"] for r in three) / 3
        kept = three[1]["kept"] / three[1]["records"]
        most = ERASES[port, commit_samples]
        missed += mean > most or (not ack_samples and kept > KEPT) or any(r["dropped"] for r in three)
        each = " ".join(f"{r['erases']:5.1f}" for r in three)
        programmed = sum(r["programmed"] for r in three) / 3
        print(
            f"{PROGRAM[port]:7}  {commit_samples:16}  {'as it goes' if ack_samples else 'never':>12}  "
            f"{each} = {mean:5.2f} ({most})  {programmed:10.0f}  {kept:.2f}"
        )
    week = measure("rp2", 5, 1, 0, 50400)
    print(f"a week of 5 channels a minute: {week['kept'] // 1024} KB of 512 KB, {week['dropped']} dropped")
    return 1 if missed or week["dropped"] else 0


if __name__ == "__main__":
    sys.exit(main())
