"""Bugs seeded in the spool: each must turn a campaign red. `python host_tests/campaigns/spool_mutations.py`

prints a table and exits 0 only when every one is caught.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from campaigns.powercut import LIB, Job


@dataclass(frozen=True)
class Mutation:
    """In lib/spool/`file`, `old` becomes `new`. campaign: which one must see it: "powercut" or "damage"."""

    name: str
    campaign: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation(
        "the slots are given up before their samples are in the segment (acknowledged before the data)",
        "powercut",
        "queue.py",
        'self._write(name, "ab", None, record)',
        "parts = [bytes(p) for p in self._moving(record)]\n"
        "                    self._moved = self.next_sequence - 1\n"
        "                    self._start_round()\n"
        "                    self._commit()\n"
        '                    self._write(name, "ab", parts)',
    ),
    Mutation(
        "a move that was cut short is not brought to its end by the next start",
        "powercut",
        "opening.py",
        "        spool._renew = spool._unsaved = True\n    if segments",
        "    if segments",
    ),
    Mutation(
        "no CRC check",
        "damage",
        "records.py",
        "if seed >= 0 and crc32(view[start:stop], seed) == _GOOD:",
        "if seed >= 0:",
    ),
    Mutation(
        "the rename of the quarantine is missing",
        "powercut",
        "settling.py",
        'os.rename(spool._path + "q0", spool._path + "q1")',
        'spool._remove("q0")',
    ),
    Mutation(
        "the cursor is not synced by an acknowledgement",
        "powercut",
        "queue.py",
        "        self._upto = 0\n        self._save()\n",
        "        self._upto = 0\n        self._save(False)\n",
    ),
    Mutation(
        "an empty new segment is not handled",
        "powercut",
        "opening.py",
        "        if scan.context:\n"
        "            spool._context = scan.context\n"
        "            spool.tag = scan.context.tag\n",
        "        if not spool._size_of('s%d' % segments[-1]) or scan.context:\n"
        "            spool._context = scan.context\n"
        "            spool.tag = scan.context.tag if scan.context else 'abcdef'\n",
    ),
    Mutation(
        "an acknowledged segment is removed before the acknowledgement is on flash",
        "powercut",
        "queue.py",
        "        self._save()\n        self._collect()\n\n    def settle",
        "        self._collect()\n        self._save()\n\n    def settle",
    ),
    Mutation(
        "the batch in flight is not noted on flash",
        "powercut",
        "queue.py",
        "        if self._upto >= self._cursor:\n            self._save()",
        "        if self._upto >= self._cursor:\n            self._save(False)",
    ),
    Mutation(
        "settled readings are forgotten at the next start",
        "powercut",
        "opening.py",
        "        n = cursor + get()\n        spool._partial[n] = get()",
        "        n = cursor + get()\n        get()",
    ),
    Mutation(
        "what a cut move left in the segment is not looked at",
        "powercut",
        "opening.py",
        'elif segments and spool._size_of("s%d" % segments[-1]) != spool._size:',
        "elif False:",
    ),
    Mutation(
        "a new segment is begun while the slots hold samples of the old",
        "powercut",
        "queue.py",
        "        self._commit()\n        base",
        "        base",
    ),
    Mutation(
        "a sample is reported as stored before it is written",
        "powercut",
        "queue.py",
        "if late or self._waiting >= self._commit_samples:",
        "if late or self._waiting > self._commit_samples:",
    ),
    Mutation(
        "the quarantine row is written after the reading is settled",
        "powercut",
        "settling.py",
        "            _reject(spool, os, sample, index, reason)\n",
        "            spool._books[_QUARANTINED] += 1\n"
        "            partial[sequence] = partial.get(sequence, 0) | 1 << index\n"
        "            spool._save()\n"
        "            _reject(spool, os, sample, index, reason)\n"
        "            spool._books[_QUARANTINED] -= 1\n",
    ),
    Mutation(
        "a damaged context is not looked for a second time",
        "damage",
        "records.py",
        "            at += 1\n            size = _RECORD_MIN\n            self.damaged = True",
        "            self.damaged = True\n            return False",
    ),
    Mutation(
        "a context of another segment is accepted",
        "damage",
        "records.py",
        "return self.context.seed == seed",
        "pass",
    ),
    Mutation(
        "numbers of lost records are given again",
        "damage",
        "opening.py",
        "spool.next_sequence += _SLOTS * 16",
        "pass",
    ),
]

JOBS = [
    Job("micropython", 1, 32, 1, "drop_oldest", 1, 13),
    Job("micropython", 2, 256, 1, "drop_oldest", 0, 2),
    Job("micropython", 1, 32, 1, "drop_oldest", 0, 2),
]


def caught(mutation: Mutation) -> str:
    """What the campaign said, or "" when it saw nothing. Raises ValueError when the code to break is not there."""
    with tempfile.TemporaryDirectory() as folder:
        lib = Path(folder) / "lib"
        shutil.copytree(LIB / "spool", lib / "spool")
        file = lib / "spool" / mutation.file
        text = file.read_text()
        if text.count(mutation.old) != 1:
            raise ValueError(f"{mutation.name}: the code to break is there {text.count(mutation.old)} times")
        file.write_text(text.replace(mutation.old, mutation.new))
        if mutation.campaign == "damage":
            script = Path(__file__).resolve().parent / "spool_damage.py"
            done = subprocess.run(
                [sys.executable, str(script), "2000", str(lib)], capture_output=True, text=True, timeout=300
            )
            return done.stdout.splitlines()[0] if done.returncode == 1 and done.stdout else done.stderr[-300:]
        for job in JOBS:
            try:
                result = job.run(lib, stop=True)
            except RuntimeError as e:
                return str(e).strip().splitlines()[-1]
            if result["violations"]:
                return result["violations"][0]
    return ""


def main() -> int:
    missed = 0
    for mutation in MUTATIONS:
        what = caught(mutation)
        missed += not what
        print(f"{'caught' if what else 'MISSED'}  {mutation.name}: {what}")
    print(f"spool-mutations: {len(MUTATIONS)} seeded, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
