"""Damages spools in every way and compares the device's reader with the independent one.

`python host_tests/campaigns/spool_damage.py [IMAGES [LIB]]` (10,000 by default) ends with one summary line; exit
status 0 only without a violation. Of each damaged folder it demands: no exception escapes from either reader; both
return the same samples; none of them differs from what was stored; one damaged byte costs one sample at most; the node
goes on working.
"""

import random
import sys
from pathlib import Path

if __name__ == "__main__":
    _ROOT = Path(__file__).resolve().parent.parent.parent
    sys.path[:0] = [
        sys.argv[2] if len(sys.argv) > 2 else str(_ROOT / "lib"),
        str(_ROOT / "host_tests"),
        str(_ROOT / "tools"),
    ]
    from harness.shim import mp_micropython

    sys.modules["micropython"] = mp_micropython

import spool.queue
from campaigns.powercut_scenario import FIVE, START, TWO, make_values
from campaigns.spool_memory import Memory
from spool import Spool, SpoolError
from tagonode import spoolreader


def key(sample):
    return (
        sample.sequence,
        sample.time,
        sample.boot,
        sample.mono,
        sample.estimated,
        tuple(map(repr, sample.values)),
        repr(sample.location),
        repr(sample.metadata),
    )


def base_image(rng):
    """(files, {sequence: key} of all samples ever stored, sequences that are queued)."""
    memory = Memory(spool.queue)
    channels = FIVE
    queue = Spool("/spool", channels, 65536, tag_bytes=rng.randbytes(6))
    stored = {}
    for step in range(rng.choice((3, 40, 150, 400))):
        dice = rng.randrange(40)
        if dice == 0:
            channels = TWO if channels is FIVE else FIVE
        if dice <= 1:
            queue = Spool("/spool", channels, 65536)
        elif dice < 36:
            queue.append(
                make_values(rng, channels),
                START + step * 60000 + rng.randrange(20) if rng.randrange(9) else None,
                mono=step * 60000,
                estimated=rng.randrange(5) == 0,
                location={"lat": 1.5, "lng": step} if rng.randrange(9) == 0 else None,
                metadata={"m": "x" * rng.randrange(300)} if rng.randrange(20) == 0 else None,
            )
            for sample in queue.peek() if dice == 35 else ():
                stored.setdefault(sample.sequence, key(sample))
        else:
            for sample in queue.peek():
                stored.setdefault(sample.sequence, key(sample))
                if rng.randrange(12) == 0:
                    break
            else:
                continue
            last = sample.sequence
            if dice == 36:
                queue.quarantine(last, rng.randrange(len(sample.values)), "refused")
            elif dice == 37:
                queue.begin(last)
            elif rng.randrange(3):
                queue.ack(last)
    queue.sync()
    for sample in queue.peek():
        stored.setdefault(sample.sequence, key(sample))
    return memory.files, stored, [sample.sequence for sample in queue.peek()]


def damage(rng, files, donor):
    """(what was done, the damaged files, how many samples it may cost or None)."""
    files = dict(files)
    name = rng.choice(sorted(files))
    data = bytearray(files[name])
    kind = rng.choice(("flip", "flip", "flip", "bit", "truncate", "append", "splice", "zero", "delete", "foreign"))
    cost = None
    if kind in ("flip", "bit") and data:
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8) if kind == "bit" else rng.randrange(1, 256)
        kind += f" {at}"
        cost = 1
    elif kind == "truncate":
        del data[rng.randrange(len(data) + 1) :]
        kind += f" to {len(data)}"
    elif kind == "append":
        data += rng.randbytes(rng.randrange(1, 300)) if rng.randrange(2) else rng.choice(sorted(donor.values()))
        cost = 1 if name[0] != "j" else None
    elif kind == "splice":
        at = rng.randrange(len(data) + 1)
        other = rng.choice(sorted({**files, **donor}.values()))
        data[at : at + rng.randrange(60)] = other[: rng.randrange(400)]
    elif kind == "zero":
        at = rng.randrange(len(data) + 1)
        end = min(at + rng.randrange(1, 600), len(data))
        data[at:end] = (b"\x00" if rng.randrange(2) else b"\xff") * (end - at)
    files[name] = bytes(data)
    if kind == "delete":
        del files[name]
    elif kind == "foreign":
        files[name] = data = rng.randbytes(rng.randrange(700))
        extra = rng.choice(("s99999999", "s0", "jx", "j77", "readme.txt", "s5", "j3", "q1"))
        files[extra] = rng.randbytes(rng.randrange(300))
        name += " and " + extra
    return f"{kind} of {name}", files, cost


def check(files, stored, queued, cost):
    """The text of the first violation of a damaged folder, or None."""
    Memory(spool.queue, files)
    events = []
    queue = Spool("/spool", FIVE, 131072, log=events.append)
    first = [key(sample) for sample in queue.peek()]
    read = spoolreader.read_files(files)
    second = [key(sample) for sample in read.queued]
    if first != second:
        only = [k[0] for k in set(first) ^ set(second)]
        return f"the readers differ in {sorted(only)[:9]}"
    for found in first:
        if found[0] not in stored:
            return f"sample {found[0]} was invented"
        known = stored[found[0]]
        values = zip(found[5], known[5], strict=True)
        if found[:5] + found[6:] != known[:5] + known[6:] or any(
            a not in (b, "None") and b != "None" for a, b in values
        ):
            return f"sample {found[0]} is wrong: {found} is not {known}"
    if [k[0] for k in first] != sorted({k[0] for k in first}):
        return "the order is wrong"
    lost = set(queued) - {k[0] for k in first}
    if cost is not None and len(lost) > cost:
        return f"{len(lost)} samples lost: {sorted(lost)[:9]}"
    books = queue.counters
    if books.queued < 0 or books.sampled != sum(books[1:]):
        return f"books: {books}"
    rows = list(queue.quarantined_rows())
    if [row[:2] for row in rows] != [(r.sequence, r.index) for r in read.rejects]:
        return "the readers differ in the quarantine"
    # Life goes on.
    sequence = queue.append([1.5, 2.5, 3.5, 4.5, 5], START)
    if cost and sequence in queued:
        return f"sequence {sequence} was given twice"
    queue = Spool("/spool", FIVE, 131072)
    again = [key(sample) for sample in queue.peek()]
    if [k for k in again if k[0] != sequence] != first or again[-1][0] != sequence:
        return "the queue changed when it was opened again"
    queue.ack(sequence)
    books = queue.counters
    if books.queued or books.sampled != sum(books[1:]):
        return f"books after all: {books}"
    if [key(sample) for sample in Spool("/spool", FIVE, 131072).peek()]:
        return "the queue is not empty after all"
    return None


def campaign(images, seed=0):
    """Yields (what was done, violation or None)."""
    rng = random.Random(seed)
    donor = files = None
    for n in range(images):
        if n % 50 == 0:
            donor = files or {"s1": b"TnS"}
            files, stored, queued = base_image(rng)
        what, damaged, cost = damage(rng, files, donor)
        try:
            violation = check(damaged, stored, queued, cost)
        except (OSError, ValueError, LookupError, TypeError, SpoolError, spoolreader.SpoolFormatError) as e:
            violation = f"raised {e!r}"
        yield f"image {n}, {what}", violation


def main():
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    violations = 0
    for what, violation in campaign(images):
        if violation:
            violations += 1
            print(f"{what}: {violation}")
            if violations == 20:
                break
    print(f"campaign-spool-damage: {images} images, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
