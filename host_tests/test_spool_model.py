"""The spool against a plain list: any calls in any order, failing, full and read-only disks, and losses of power."""

import errno
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pytest
import spool.queue
from campaigns.spool_memory import Memory
from spool import Spool, SpoolError
from tagonode import spoolreader

CHANNEL_SETS = (
    (("temperature", "°C", 2), ("rssi", "dBm", 0)),
    (("note", "", 0), ("level", "%", 1), ("door", "", 3)),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.integers(-5000, 15000).map(lambda n: n / 100),
    st.text(max_size=8),
    st.text(alphabet="x", min_size=100, max_size=700),
)
JSON = st.one_of(st.none(), st.dictionaries(st.sampled_from("ab"), st.integers(0, 9), min_size=1))


def same(a, b):
    return type(a) is type(b) and (a == b or a != a and b != b)


class SpoolMachine(RuleBasedStateMachine):
    @initialize(
        policy=st.sampled_from(("drop_oldest", "drop_newest")),
        commit_samples=st.sampled_from((1, 1, 4)),
        blocks=st.sampled_from((128, 128, 14)),
    )
    def start(self, policy, commit_samples, blocks):
        self.memory = Memory(spool.queue, blocks=blocks)
        self.policy = policy
        self.commit_samples = commit_samples
        self.channels = CHANNEL_SETS[0]
        self.samples = {}  # sequence -> [values, time, mono, location, channels]
        self.settled = {}
        self.cursor = self.next = 1
        self.committed = 1
        self.sampled = self.acknowledged = self.quarantined = self.dropped = 0
        self.sampled_at = {1: 0}
        self.mono = 0
        self.refused = None
        self.spool = self.open()

    def open(self):
        return Spool("/spool", self.channels, 65536, self.policy, self.commit_samples, tag_bytes=b"abcdef")

    def left(self, sequence):
        gone = self.settled.get(sequence, set())
        return [i for i, v in enumerate(self.samples[sequence][0]) if v is not None and i not in gone]

    def advance(self, sequence):
        self.cursor = max(self.cursor, sequence)
        while self.cursor < self.next and not self.left(self.cursor):
            self.cursor += 1
        self.settled = {n: s for n, s in self.settled.items() if n >= self.cursor}

    def follow_drops(self):
        """The oldest readings may go at any call that writes: a run from the front."""
        lost = self.spool.counters.dropped - self.dropped
        assert lost >= 0
        while self.dropped < self.spool.counters.dropped:
            assert self.policy == "drop_oldest"
            self.dropped += len(self.left(self.cursor))
            self.advance(self.cursor + 1)
        assert self.dropped == self.spool.counters.dropped

    def take(self, sample):
        self.samples[self.next] = sample
        self.next += 1
        self.sampled += sum(v is not None for v in sample[0])
        self.sampled_at[self.next] = self.sampled

    @rule(data=st.data(), stamped=st.booleans(), location=JSON)
    def append(self, data, stamped, location):
        values = [data.draw(VALUES) for _ in self.channels]
        self.mono += 60000
        time = 1767322800000 + self.mono if stamped else None
        readings = sum(v is not None for v in values)
        try:
            sequence = self.spool.append(values, time, mono=self.mono, location=location)
        except SpoolError:
            self.refused = [values, time, 0 if stamped else self.mono, location, self.channels]
            self.follow_drops()
            return
        if sequence == 0:
            if readings:
                assert self.policy == "drop_newest"
                self.sampled += readings
                self.dropped += readings
            return
        assert sequence == self.next
        self.take([values, time, 0 if stamped else self.mono, location, self.channels])
        self.refused = None
        self.committed = max(self.committed, self.next - self.commit_samples + 1)
        self.follow_drops()

    @rule(size=st.integers(1, 60), acknowledge=st.booleans())
    def upload(self, size, acknowledge):
        last = 0
        for sample in self.spool.peek():
            last = sample.sequence
            size -= 1
            if not size:
                break
        if not last:
            return
        try:
            self.spool.begin(last)
            self.committed = self.next
        except SpoolError:
            self.follow_drops()
            return
        self.follow_drops()
        assert self.spool.in_flight == ((self.cursor, last) if last >= self.cursor else None)
        if acknowledge:
            with suppress(SpoolError):  # it counts all the same, unless the power goes before the next commit
                self.spool.ack(last)
            self.acknowledged += sum(len(self.left(n)) for n in range(self.cursor, last + 1))
            self.advance(last + 1)
            self.follow_drops()
            assert self.spool.in_flight is None

    @rule(at=st.integers(0, 5), index=st.integers(0, 1), rejected=st.booleans())
    def one_reading(self, at, index, rejected):
        sequence = self.cursor + at
        if sequence >= self.next:
            return
        queued = index in self.left(sequence)
        try:
            if rejected:
                done = self.spool.quarantine(sequence, index, "it is no good")
            else:
                done = self.spool.settle(sequence, index)
            assert done == queued
        except SpoolError:
            books = self.spool.counters
            if books.acknowledged == self.acknowledged and books.quarantined == self.quarantined:
                self.follow_drops()
                return
        if queued:
            if rejected:
                self.quarantined += 1
            else:
                self.acknowledged += 1
            self.settled.setdefault(sequence, set()).add(index)
            self.advance(self.cursor)
        self.follow_drops()

    @rule(which=st.sampled_from(CHANNEL_SETS), clean=st.booleans())
    def reopen(self, which, clean):
        self.memory.fail = lambda operation, name: None
        try:
            self.spool.sync()
        except SpoolError:
            self.follow_drops()
            return  # the disk is full
        self.committed = self.next
        self.follow_drops()
        self.channels = which
        self.spool = self.open()

    @precondition(lambda self: self.policy == "drop_oldest" and self.memory.blocks > 100)
    @rule()
    def power_cut(self):
        """What was not committed is gone, and nothing else. A sample that was refused because a write failed may be
        there when the power goes before the next write takes it back: the disk had done what it said it could not."""
        self.memory.fail = lambda operation, name: None
        books = self.spool.counters
        self.spool = self.open()
        if self.refused and self.spool.next_sequence == self.next + 1:
            self.take(self.refused)
        self.refused = None
        assert self.committed <= self.spool.next_sequence <= self.next
        if self.spool.counters != books:
            # Either uncommitted samples or a state that could not be written: follow it, it must be of the past.
            self.next = self.spool.next_sequence
            for n in [n for n in self.samples if n >= self.next]:
                del self.samples[n]
            self.sampled = self.sampled_at[self.next]
            self.committed = self.next
            now = self.spool.counters
            assert now.acknowledged <= self.acknowledged and now.quarantined <= self.quarantined
            assert now.sampled == self.sampled
            if (now.acknowledged, now.quarantined, now.dropped) != (
                self.acknowledged,
                self.quarantined,
                self.dropped,
            ):
                self.acknowledged, self.quarantined = now.acknowledged, now.quarantined
                self.dropped = now.dropped
                found = {s.sequence: [v is not None for v in s.values] for s in self.spool.peek()}
                self.cursor = min(found, default=self.next)
                self.settled = {}
                for n in range(self.cursor, self.next):
                    there = found.get(n, [False] * len(self.samples[n][0]))
                    values = self.samples[n][0]
                    gone = {i for i, v in enumerate(values) if v is not None and not there[i]}
                    if gone:
                        self.settled[n] = gone
            self.advance(self.cursor)

    @rule(
        code=st.sampled_from((errno.EIO, errno.ENOSPC, errno.EROFS)),
        effect=st.booleans(),
        times=st.integers(1, 3),
        after=st.integers(0, 3),
        what=st.sampled_from(("write", "remove", "rename")),
    )
    def disk_fails(self, code, effect, times, after, what):
        left = [after, times]

        def fail(operation, name):
            if operation != what:
                return None
            if left[0]:
                left[0] -= 1
            elif left[1]:
                left[1] -= 1
                return code, effect
            return None

        self.memory.fail = fail

    @rule()
    def disk_works(self):
        self.memory.fail = lambda operation, name: None

    @invariant()
    def books_balance(self):
        if not hasattr(self, "spool"):
            return
        books = self.spool.counters
        assert books.sampled == sum(books[1:])
        assert books == (
            self.sampled,
            self.acknowledged,
            self.sampled - self.acknowledged - self.quarantined - self.dropped,
            self.quarantined,
            self.dropped,
            0,
        )
        assert self.memory.used() * 4096 <= 65536 + 8192

    @invariant()
    def queue_is_the_list(self):
        if not hasattr(self, "spool"):
            return
        expected = [n for n in range(self.cursor, self.next) if self.left(n)]
        found = []
        for sample in self.spool.peek():
            found.append(sample.sequence)
            values, time, mono, location, channels = self.samples[sample.sequence]
            left = self.left(sample.sequence)
            assert (sample.time, sample.mono, sample.location) == (time, mono, location)
            assert sample.channels == channels
            for i, value in enumerate(sample.values):
                assert same(value, values[i]) if i in left else value is None
        assert found == expected

    def teardown(self):
        if not hasattr(self, "spool"):
            return
        self.memory.fail = lambda operation, name: None
        self.memory.blocks = 200
        self.spool.sync()
        read = spoolreader.read_files(self.memory.files)
        assert [s.sequence for s in read.queued] == [n for n in range(self.cursor, self.next) if self.left(n)]
        assert not read.damage
        assert read.readings == self.spool.queued


SpoolMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSpool = SpoolMachine.TestCase


@pytest.fixture(autouse=True)
def _own_os(monkeypatch):
    monkeypatch.setattr(spool.queue, "os", spool.queue.os)
    monkeypatch.setattr(spool.queue, "open", open, raising=False)


def test_a_failed_append_after_reopening_leaves_nothing():
    channels = CHANNEL_SETS[0]
    memory = Memory(spool.queue)
    Spool("/spool", channels).append([1.5, 1], 1767322800000)
    queue = Spool("/spool", channels)
    memory.fail = lambda operation, name: (errno.EIO, False) if operation == "write" else None
    with pytest.raises(SpoolError, match="j2 cannot be written"):
        queue.append([2.5, 2], 1767322800000)
    memory.fail = lambda operation, name: None
    queue.sync()
    assert Spool("/spool", channels).next_sequence == 2
    assert queue.append([2.5, 2], 1767322800000) == 2


def test_a_refused_sample_that_was_written_all_the_same_is_whole_after_a_power_cut():
    memory = Memory(spool.queue)
    queue = Spool("/spool", CHANNEL_SETS[0])
    assert queue.append([1.5, 1], 1767322800000) == 1
    memory.fail = lambda operation, name: (errno.EIO, True) if operation == "write" else None
    with pytest.raises(SpoolError, match="cannot be written"):
        queue.append([2.5, 2], 1767322800000)
    memory.fail = lambda operation, name: None
    found = Spool("/spool", CHANNEL_SETS[0])
    assert [(sample.sequence, list(sample.values)) for sample in found.peek()] == [(1, [1.5, 1]), (2, [2.5, 2])]
    assert (found.next_sequence, found.queued) == (3, 4)
    # without a power cut the next sample takes its place
    assert queue.append([3.5, 3], 1767322800000) == 2
    found = Spool("/spool", CHANNEL_SETS[0])
    assert [(sample.sequence, list(sample.values)) for sample in found.peek()] == [(1, [1.5, 1]), (2, [3.5, 3])]


def test_a_first_append_that_failed_leaves_nothing():
    memory = Memory(spool.queue)
    queue = Spool("/spool", CHANNEL_SETS[0])
    memory.fail = lambda operation, name: (errno.EIO, False) if operation == "write" else None
    with pytest.raises(SpoolError, match="s1 cannot be written"):
        queue.append([2.5, 2], 1767322800000)
    memory.fail = lambda operation, name: None
    queue.sync()
    queue = Spool("/spool", CHANNEL_SETS[0])
    assert queue.append([2.5, 2], 1767322800000) == 1
    assert Spool("/spool", CHANNEL_SETS[0]).samples_queued == 1


def test_a_sample_that_was_refused_in_the_middle_of_a_drop_leaves_nothing():
    """The disk is full, the oldest segment goes, and then the next one cannot be read."""
    memory = Memory(spool.queue)
    queue = Spool("/spool", CHANNEL_SETS[0], 65536)
    while len([name for name in memory.files if name[0] == "s"]) < 2:
        queue.append(["x" * 100, 1], 1767322800000)
    queue.append([1.5, 1], 1767322800000)
    memory.fail = lambda operation, name: (
        (errno.ENOSPC, False) if operation == "write" else (errno.EIO, False) if operation == "read" else None
    )
    with pytest.raises(SpoolError, match="cannot be read"):
        queue.append([2.5, 2], 1767322800000)
    memory.fail = lambda operation, name: None
    sequence = queue.append([3.5, 3], 1767322800000)
    assert [list(sample.values) for sample in queue.peek() if sample.sequence == sequence] == [[3.5, 3]]
