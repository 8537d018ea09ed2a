"""A power-cut scenario under CPython, on littlefs-python: the arguments and the answer of powercut_scenario.py."""

import json
import sys
from pathlib import Path

sys.path[:0] = [sys.argv[1], str(Path(__file__).resolve().parent.parent)]

if __name__ == "__main__":
    from harness.shim import mp_micropython

    sys.modules["micropython"] = mp_micropython
    import spool
    import spool.queue
    from campaigns import powercut_scenario
    from campaigns.littlefs_cpython import CPythonDisk

    seed, program, commit_samples = (int(a) for a in sys.argv[2:5])
    disk = CPythonDisk(program, spool.queue)
    first, every = (int(a) for a in sys.argv[6:8])
    stop = "stop" in sys.argv
    print(json.dumps(powercut_scenario.run(disk, spool, seed, commit_samples, sys.argv[5], first, every, stop)))
