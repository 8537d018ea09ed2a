"""One recorded life of a spool on littlefs, cut at every flash operation. Runs under MicroPython and under CPython.

`record(seed, program)` plays a scenario on a recording flash and returns the log of its operations together with what
had been promised at each point of it. `Cuts` replays the log, and at each operation checks what a node finds after the
power went just then: before it, in the middle of it, after it.

Usage under MicroPython: micropython powercut_scenario.py LIB SEED PROGRAM COMMIT_SAMPLES POLICY FIRST EVERY [stop]
prints one line of JSON: {"cuts", "operations", "violations": [text …]}.
"""

import random
import sys

BLOCK = 4096
BLOCKS = 48  # 192 kB: the limit of 64 kB overflows before the disk does
LIMIT = 65536
FOLDER = "/spool"
START = 1767322800000

FIVE = (
    ("temperature", "°C", 2),
    ("humidity", "%", 2),
    ("pressure", "hPa", 2),
    ("battery", "V", 3),
    ("rssi", "dBm", 0),
)
TWO = (("door", "", 0), ("note", "", 0))


class RecordingFlash:
    """Keeps the image, and every program and erase in `log` as (block, offset, bytes) or (block, -1, None)."""

    def __init__(self):
        self.image = bytearray(b"\xff" * (BLOCK * BLOCKS))
        self.log = []

    def readblocks(self, n, buffer, offset=0):
        at = n * BLOCK + offset
        buffer[:] = self.image[at : at + len(buffer)]

    def writeblocks(self, n, buffer, offset=0):
        at = n * BLOCK + offset
        data = bytes(buffer)
        self.image[at : at + len(data)] = data
        self.log.append((n, offset, data))

    def erase(self, n):
        self.image[n * BLOCK : (n + 1) * BLOCK] = b"\xff" * BLOCK
        self.log.append((n, -1, None))

    def ioctl(self, op, argument):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:
            self.erase(argument)
        return 0


class ScratchFlash(RecordingFlash):
    """A view of an image which writes elsewhere, so that the image can be used for the next cut."""

    def __init__(self, image):
        self.view = memoryview(image)
        self.blocks = {}

    def _block(self, n):
        if n not in self.blocks:
            self.blocks[n] = bytearray(self.view[n * BLOCK : (n + 1) * BLOCK])
        return self.blocks[n]

    def readblocks(self, n, buffer, offset=0):
        block = self.blocks.get(n)
        if block is None:
            at = n * BLOCK + offset
            buffer[:] = self.view[at : at + len(buffer)]
        else:
            buffer[:] = block[offset : offset + len(buffer)]

    def writeblocks(self, n, buffer, offset=0):
        self._block(n)[offset : offset + len(buffer)] = buffer

    def erase(self, n):
        self.blocks[n] = bytearray(b"\xff" * BLOCK)


def make_values(rng, channels):
    if channels is TWO:
        return [
            rng.randrange(2) == 1,
            "n%d" % rng.randrange(1000) if rng.randrange(4) else "long " * rng.randrange(20, 300),
        ]
    values = [
        round(20 + rng.random() * 5, 2),
        round(50 + rng.random() * 9, 2),
        round(1000 + rng.random() * 30, 2),
        round(3 + rng.random(), 3),
        -rng.randrange(40, 90),
    ]
    if rng.randrange(8) == 0:
        values[rng.randrange(5)] = None
    if rng.randrange(12) == 0:
        values[0] = 0.1 + 0.2  # no multiple of 0.01
    return values


class Promise:
    """What must be found when the power goes now. Taken after each call; `settled` is a copy."""

    def __init__(self, model):
        self.cursor = model.cursor
        self.next = model.next
        self.committed = model.committed
        self.settled = dict(model.settled)
        self.acknowledged = model.acknowledged
        self.quarantined = model.quarantined
        self.dropped = model.dropped
        self.newest = model.newest
        self.in_flight = model.in_flight
        self.rejects = list(model.rejects)
        self.channels = model.channels


class Model:
    """The queue as plain Python values."""

    def __init__(self):
        self.samples = {}  # sequence -> (values, time, mono, channels)
        self.total = {1: 0}  # next sequence -> readings sampled until then
        self.cursor = self.next = self.committed = 1
        self.settled = {}  # sequence -> set of indexes
        self.acknowledged = self.quarantined = self.dropped = 0
        self.newest = 0  # readings dropped before they had a sequence
        self.in_flight = None
        self.rejects = []
        self.channels = FIVE

    def left(self, sequence, settled=None):
        """Indexes of the readings still queued."""
        gone = (self.settled if settled is None else settled).get(sequence, ())
        values = self.samples[sequence][0]
        return [i for i in range(len(values)) if values[i] is not None and i not in gone]

    def advance(self, sequence):
        self.cursor = max(self.cursor, sequence)
        while self.cursor < self.next and not self.left(self.cursor):
            self.cursor += 1
        self.settled = {n: s for n, s in self.settled.items() if n >= self.cursor}


def record(disk, make_spool, SpoolError, seed, commit_samples, policy, calls):
    """Plays the scenario. Returns (model, log, marks): marks are (operations done before, after, Promise after)."""
    rng = random.Random(seed) if hasattr(random, "Random") else _Random(seed)
    flash = RecordingFlash()
    disk.format(flash)
    start = len(flash.log)
    model = Model()
    marks = []
    channels = FIVE
    time = START
    disk.mount(flash)
    spool = make_spool(channels, commit_samples, policy)

    def mark(before):
        marks.append((before - start, len(flash.log) - start, Promise(model)))

    mark(start)
    for call in range(calls):
        before = len(flash.log)
        # Fill, then serve, then fill until it overflows, then serve again.
        phase = call * 5 // calls
        serve = (1, 5, 0, 0, 4)[phase]
        dice = rng.randrange(20)
        if phase in (2, 3) and dice < 17:
            dice = 19 if channels is FIVE and call % 3 == 0 else 0
        if dice < 14 - serve or dice == 19:
            values = make_values(rng, channels)
            metadata = {"x": "m" * rng.randrange(800, 3000)} if dice == 19 else None
            stamped = rng.randrange(10) > 0
            time += 60000 + rng.randrange(9)
            when = time if stamped else None
            sequence = spool.append(values, when, mono=call, metadata=metadata)
            readings = len(values) - values.count(None)
            if sequence == 0:
                if policy != "drop_newest":
                    raise ValueError("a sample was not taken")
                model.newest += readings
                model.dropped += readings
            else:
                if sequence != model.next:
                    raise ValueError("sequence %d instead of %d" % (sequence, model.next))
                model.samples[sequence] = (values, when, 0 if stamped else call, channels, metadata)
                model.next += 1
                model.total[model.next] = model.total[sequence] + readings
                model.committed = model.next if metadata else max(model.committed, model.next - commit_samples + 1)
            while spool.counters.dropped > model.dropped:
                # The oldest went. Which ones is the spool's affair; that it is a run from the front is checked.
                left = model.left(model.cursor)
                model.dropped += len(left)
                model.advance(model.cursor + 1)
            if model.in_flight and model.in_flight[1] < model.cursor:
                model.in_flight = None
            elif model.in_flight:
                model.in_flight = (model.cursor, model.in_flight[1])
        elif dice < 17:
            first = last = 0
            size = rng.randrange(1, 30)
            for sample in spool.peek():
                first = first or sample.sequence
                last = sample.sequence
                size -= 1
                if not size:
                    break
            if last:
                spool.begin(last)
                model.committed = model.next
                model.in_flight = (model.cursor, last)
                mark(before)
                before = len(flash.log)
                if rng.randrange(3) == 0:
                    index = model.left(first)[0]
                    spool.quarantine(first, index, "refused because " + "it is so, " * 8)
                    model.quarantined += 1
                    model.rejects.append((first, index))
                    model.settled[first] = model.settled.get(first, set()) | {index}
                    model.advance(model.cursor)
                    model.in_flight = (model.cursor, last) if last >= model.cursor else None
                    mark(before)
                    before = len(flash.log)
                    left = model.left(first) if first >= model.cursor else ()
                    if left:
                        spool.settle(first, left[-1])
                        model.acknowledged += 1
                        model.settled[first] = model.settled[first] | {left[-1]}
                        model.advance(model.cursor)
                        model.in_flight = (model.cursor, last) if last >= model.cursor else None
                        mark(before)
                        before = len(flash.log)
                if rng.randrange(4):
                    spool.ack(last)
                    for n in range(model.cursor, last + 1):
                        model.acknowledged += len(model.left(n))
                    model.advance(last + 1)
                    model.in_flight = None
        elif dice == 17:
            if rng.randrange(2):
                spool.close()
                model.committed = model.next
                mark(before)
                before = len(flash.log)
            if model.committed == model.next:
                if rng.randrange(4) == 0:
                    channels = model.channels = TWO if channels is FIVE else FIVE
                disk.unmount()
                disk.mount(flash)
                spool = make_spool(channels, commit_samples, policy)
        else:
            spool.sync()
            model.committed = model.next
        mark(before)
        if spool.counters.damaged:
            raise ValueError("call %d: damaged" % call)
        if spool.counters.dropped != model.dropped:
            raise ValueError("dropped %d, expected %d" % (spool.counters.dropped, model.dropped))
    disk.unmount()
    return model, flash.log, start, marks


class _Random:
    """MicroPython's random is one generator for all: this gives it the shape of CPython's class."""

    def __init__(self, seed):
        random.seed(seed)
        self.randrange = random.randrange
        self.random = random.random


def between(found, a, b, exact):
    return found in (a, b) or not exact and min(a, b) <= found <= max(a, b)


def check(model, low, high, spool, SpoolError, make_again, at_once):
    """Compares what an opened spool says with what was promised: `low` before the call in progress, `high` after it.

    Returns the text of the first violation, or None. Then goes on: appends, reads, acknowledges all, opens again.
    at_once: before it appends, what is queued is announced, and the power goes once more.
    """
    dropping = low.dropped != high.dropped
    books = spool.counters
    n = spool.next_sequence
    if not low.committed <= n <= high.next:
        return "next sequence %d, promised %d to %d" % (n, low.committed, high.next)
    if books.damaged:
        return "damaged %d" % books.damaged
    if books.sampled != books.acknowledged + books.queued + books.quarantined + books.dropped + books.damaged:
        return "the books do not balance: %s" % (books,)
    if books.sampled not in (model.total[n] + low.newest, model.total[n] + high.newest):
        return "sampled %d, not %d" % (books.sampled, model.total[n] + low.newest)
    for name in ("acknowledged", "quarantined"):
        if getattr(books, name) not in (getattr(low, name), getattr(high, name)):
            return "%s %d, not %d or %d" % (name, getattr(books, name), getattr(low, name), getattr(high, name))
    if not between(books.dropped, low.dropped, high.dropped, not dropping):
        return "dropped %d" % books.dropped
    flight = spool.in_flight
    if not dropping and flight not in (low.in_flight, high.in_flight):
        return "in flight %s, not %s or %s" % (flight, low.in_flight, high.in_flight)
    first = None
    queued = 0
    expected = 0
    matches = [True, True]
    for sample in spool.peek():
        if first is None:
            first = expected = sample.sequence
            if not between(first, min(low.cursor, n), min(high.cursor, n), not dropping):
                return "first queued is %d, not %d or %d" % (first, low.cursor, high.cursor)
        sequence = sample.sequence
        while expected < sequence:  # only samples with nothing left may be missing
            for k, promise in enumerate((low, high)):
                if model.left(expected, promise.settled):
                    matches[k] = False
            expected += 1
        expected += 1
        if sequence >= n:
            return "sequence %d beyond the end" % sequence
        values, time, mono, channels, metadata = model.samples[sequence]
        if sample.time != time or sample.mono != mono or sample.channels != channels or sample.metadata != metadata:
            return "sample %d differs: %s %s" % (sequence, sample.time, sample.mono)
        plain = sequence not in low.settled and sequence not in high.settled
        if plain and sample.values == values and channels is FIVE:
            queued += 5 - values.count(None)
            continue
        for i in range(len(values)):
            value = sample.values[i]
            if value is not None:
                queued += 1
                if value != values[i] or type(value) is not type(values[i]):
                    return "sample %d: %r instead of %r" % (sequence, value, values[i])
            for k, promise in enumerate((low, high)):
                left = values[i] is not None and i not in promise.settled.get(sequence, ())
                if left != (value is not None):
                    matches[k] = False
    if (
        first is not None
        and expected != n
        or first is None
        and min(low.cursor, high.cursor) < min(n, low.next)
        and books.queued
    ):
        return "queue ends at %d, not %d" % (expected, n)
    if True not in matches:
        return "settled readings differ"
    if queued != books.queued:
        return "queued %d, but %d are there" % (books.queued, queued)
    rows = [row[:2] for row in spool.quarantined_rows()]
    want = low.rejects[-len(rows) :] if rows else low.rejects[:0]
    if rows != want and rows != high.rejects[-len(rows) :] and len(rows) < 20:
        return "quarantine %s" % rows
    if books.quarantined > low.quarantined and rows[-1:] != high.rejects[-1:]:
        return "a reading is quarantined, but its row is not there"
    if len(rows) < min(len(low.rejects), 12):
        return "quarantine lost rows: %d left" % len(rows)
    # Life goes on.
    if at_once and queued:
        spool.begin(n - 1)
        spool = make_again()
        if spool.in_flight is None or spool.in_flight[1] != n - 1:
            return "the batch that was in flight before anything was appended was forgotten"
    for k in range(3):
        # The third is large: the slots are emptied into the segment.
        added = [k == 1, "new"] if high.channels is TWO else [k + 0.25, 2.5, 3.5, 4.5, k]
        sequence = spool.append(added, START + k, metadata={"new": "x" * 300 * (k // 2)})
        if sequence != n + k:
            return "appended as %d, not %d" % (sequence, n + k)
    last = 0
    for sample in spool.peek():
        last = sample.sequence
        if last >= n and (sample.time != START + last - n or not sample.metadata or "new" not in sample.metadata):
            return "another sample has the new number %d" % last
    if last != n + 2:
        return "reads up to %d, not %d" % (last, n + 2)
    spool.begin(last)
    spool = make_again()
    if spool.in_flight is None or spool.in_flight[1] != last:
        return "the batch in flight was forgotten"
    spool.ack(last)
    spool = make_again()
    books = spool.counters
    for sample in spool.peek():
        return "sample %d was acknowledged" % sample.sequence
    if books.queued or books.damaged or spool.in_flight:
        return "not empty after the last acknowledgement: %s %s" % (books, spool.in_flight)
    return None


def cuts(disk, make_spool, SpoolError, recorded, first, every):
    """Yields (text of the cut, violation or None) for every `every`-th cut from `first` on."""
    model, log, start, marks = recorded
    image = bytearray(b"\xff" * (BLOCK * BLOCKS))
    number = 0
    m = 0
    for i in range(len(log)):
        n, offset, data = log[i]
        at = n * BLOCK
        if i >= start:
            done = i - start
            while marks[m][1] <= done and m + 1 < len(marks):
                m += 1
            low = marks[m - 1][2] if m else marks[0][2]
            high = marks[m][2]
            for kind in ("before", "torn"):
                number += 1
                if number % every != first:
                    continue
                scratch = ScratchFlash(image)
                if kind == "torn":
                    if data is None:
                        scratch._block(n)[: BLOCK // 2] = b"\xff" * (BLOCK // 2)
                    else:
                        half = len(data) // 2 if number % 4 else len(data) - 1
                        scratch.writeblocks(n, data[:half], offset)
                what = "operation %d %s (%s of block %d)" % (done, kind, "erase" if data is None else "program", n)
                violation = None
                try:
                    disk.mount(scratch)
                    spool = make_spool(high.channels, 1, "drop_oldest")

                    def again(scratch=scratch, high=high):
                        disk.unmount()
                        disk.mount(scratch)
                        return make_spool(high.channels, 1, "drop_oldest")

                    violation = check(model, low, high, spool, SpoolError, again, number // every % 2 == 0)
                    disk.unmount()
                except (OSError, SpoolError, ValueError, IndexError, KeyError, TypeError, AttributeError) as e:
                    violation = "raised %r" % e
                    disk.unmount()
                yield what, violation
        if data is None:
            image[at : at + BLOCK] = b"\xff" * BLOCK
        else:
            image[at + offset : at + offset + len(data)] = data


class MicroPythonDisk:
    """littlefs of the interpreter, mounted at /cut."""

    def __init__(self, program):
        import vfs

        self.vfs = vfs
        self.program = program
        self.mounted = False

    def format(self, flash):
        self.vfs.VfsLfs2.mkfs(flash, readsize=32, progsize=self.program)

    def mount(self, flash):
        self.vfs.mount(self.vfs.VfsLfs2(flash, readsize=32, progsize=self.program, mtime=True), "/cut")
        self.mounted = True

    def unmount(self):
        if self.mounted:
            self.mounted = False
            self.vfs.umount("/cut")


def run(disk, spool_module, seed, commit_samples, policy, first, every, stop=False, calls=400):
    """All of it. stop: at the first violation."""

    def make_spool(channels, commit_samples, policy):
        return spool_module.Spool(disk.root + FOLDER, channels, LIMIT, policy, commit_samples, tag_bytes=b"abcdef")

    error = spool_module.SpoolError
    recorded = record(disk, make_spool, error, seed, commit_samples, policy, calls)
    count = 0
    violations = []
    for what, violation in cuts(disk, make_spool, error, recorded, first, every):
        count += 1
        if violation:
            violations.append(what + ": " + violation)
            if stop:
                break
    end = recorded[3][-1][2]
    return {
        "cuts": count,
        "operations": len(recorded[1]) - recorded[2],
        "samples": end.next - 1,
        "acknowledged": end.acknowledged,
        "quarantined": end.quarantined,
        "dropped": end.dropped,
        "violations": violations,
    }


if __name__ == "__main__" and sys.implementation.name == "micropython":
    import json

    sys.path.insert(0, sys.argv[1])
    import spool

    disk = MicroPythonDisk(int(sys.argv[3]))
    disk.root = "/cut"
    print(
        json.dumps(
            run(
                disk,
                spool,
                int(sys.argv[2]),
                int(sys.argv[4]),
                sys.argv[5],
                int(sys.argv[6]),
                int(sys.argv[7]),
                "stop" in sys.argv,
            )
        )
    )
