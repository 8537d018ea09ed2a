"""The spool on real littlefs (MicroPython) and on a PC's folder (CPython): what callers see."""

import gc
import os
import sys
from binascii import crc32
from struct import pack

import pytest
from harness import flash, heap, only, timeout
from spool import Spool, SpoolError

CHANNELS = (("temperature", "°C", 2), ("rssi", "dBm", 0))
START = 1767322800000


def new(tmp, channels=CHANNELS, **options):
    return Spool(tmp + "/spool", channels, **options)


def queue(spool):
    return [(s.sequence, list(s.values)) for s in spool.peek()]


def test_a_sample_comes_back_as_it_was_given(tmp):
    spool = new(tmp)
    assert (
        spool.append([21.43, -67], START, estimated=True, location={"lat": 1.5, "lng": -2.25}, metadata={"a": [1]}) == 1
    )
    for _ in range(2):
        for sample in spool.peek():
            assert sample.sequence == 1
            assert sample.values == [21.43, -67]
            assert sample.time == START
            assert sample.estimated
            assert sample.channels == CHANNELS
            assert sample.location == {"lat": 1.5, "lng": -2.25}
            assert sample.metadata == {"a": [1]}
        spool = new(tmp)
    assert spool.next_sequence == 2


@pytest.mark.parametrize(
    "value",
    (
        0,
        1,
        -1,
        127,
        -128,
        2**31,
        -(2**63),
        10**25,
        True,
        False,
        0.0,
        21.43,
        -0.01,
        1013.25,
        5.0,
        0.1 + 0.2,
        1e300,
        -1e-30,
        16777217.0,
        "",
        "on",
        "Größe µg/m³ 温度",
        "x" * 2500,
    ),
)
def test_values(tmp, value):
    channels = (("a", "", 0), ("b", "", 2), ("c", "", 9))
    spool = new(tmp, channels)
    spool.append([value, value, value], START)
    spool.append([None, value, None], START + 60000)
    for found in queue(new(tmp, channels)):
        for got in found[1]:
            assert got is None or type(got) is type(value) and got == value
    assert spool.counters.queued == 4


def test_not_a_number_and_infinity(tmp):
    spool = new(tmp)
    spool.append([float("nan"), float("-inf")], START)
    values = queue(spool)[0][1]
    assert values[0] != values[0]
    assert values[1] == float("-inf")


@pytest.mark.parametrize("value", ([1], b"x", {"a": 1}))
def test_a_value_of_another_kind_is_refused(tmp, value):
    spool = new(tmp)
    with pytest.raises(ValueError, match="number, text"):
        spool.append([value, 1], START)
    with pytest.raises(ValueError, match="1 values for 2 channels"):
        spool.append([1], START)
    with pytest.raises(ValueError, match="at most 8192"):
        spool.append(["x" * 9000, 1], START)
    assert spool.append([1.5, 1], START) == 1
    assert spool.counters.sampled == 2


def test_nothing_to_store(tmp):
    spool = new(tmp)
    assert spool.append([None, None], START) == 0
    spool.begin(0)
    spool.ack(0)
    spool.ack(5)
    assert queue(spool) == []
    assert new(tmp).next_sequence == 1
    assert list(spool.quarantined_rows()) == []


def test_samples_without_time_know_their_boot(tmp):
    spool = new(tmp)
    boot = spool.boot
    spool.append([1.5, 1], None, mono=123456)
    spool = new(tmp)
    assert spool.boot > boot
    spool.append([1.5, 2], None, mono=5)
    assert [(s.time, s.boot, s.mono) for s in spool.peek()] == [(None, boot, 123456), (None, spool.boot, 5)]


def test_the_tag_is_made_once(tmp):
    spool = new(tmp, tag_bytes=b"\x00\x01\x02\x23\x24\xff")
    assert spool.tag == "abc9ad"
    spool.append([1.5, 1], START)
    assert new(tmp, tag_bytes=b"zzzzzz").tag == "abc9ad"


def test_a_batch_in_flight_is_known_after_a_crash(tmp):
    spool = new(tmp)
    for i in range(5):
        spool.append([1.5, i], START + i)
    assert spool.in_flight is None
    spool.begin(3)
    spool = new(tmp)
    assert spool.in_flight == (1, 3)
    spool.ack(3)
    spool = new(tmp)
    assert spool.in_flight is None
    assert queue(spool) == [(4, [1.5, 3]), (5, [1.5, 4])]
    spool.begin(5)
    spool.begin(0)
    assert spool.in_flight is None


def test_a_partly_settled_sample_survives(tmp):
    spool = new(tmp)
    for i in range(3):
        spool.append([1.5, i], START + i)
    assert spool.quarantine(1, 1, "rssi must be lower")
    assert spool.settle(2, 0)
    assert not spool.settle(2, 0)
    assert not spool.quarantine(9, 0, "never sampled")
    spool = new(tmp)
    assert queue(spool) == [(1, [1.5, None]), (2, [None, 1]), (3, [1.5, 2])]
    assert list(spool.quarantined_rows()) == [(1, 1, START, "rssi", "dBm", 0, "rssi must be lower")]
    assert tuple(spool.counters) == (6, 1, 4, 1, 0, 0)
    assert spool.settle(1, 0)
    assert spool.samples_queued == 2
    spool.ack(3)
    assert tuple(new(tmp).counters) == (6, 5, 0, 1, 0, 0)


def test_at_most_16_samples_are_settled_in_part(tmp):
    spool = new(tmp)
    for i in range(20):
        spool.append([1.5, i], START + i)
    for n in range(1, 17):
        spool.settle(n, 0)
    with pytest.raises(SpoolError, match="acknowledge the oldest first"):
        spool.settle(17, 0)
    spool = new(tmp)
    spool.ack(3)
    assert spool.settle(17, 0)
    assert spool.counters.acknowledged == 3 + 16 + 1


def test_the_quarantine_is_bounded(tmp):
    spool = new(tmp)
    for i in range(100):
        spool.append([1.5, i], START + i)
        spool.quarantine(i + 1, 0, "reason " * 9)
        spool.ack(i + 1)
    rows = list(spool.quarantined_rows())
    assert 20 < len(rows) < 60
    assert rows[-1][0] == 100
    assert spool.counters.quarantined == 100
    for name in ("q0", "q1"):
        assert os.stat(tmp + "/spool/" + name)[6] <= 2048


def test_changed_channels_leave_old_samples_alone(tmp):
    spool = new(tmp)
    spool.append([1.5, 1], START)
    other = (("door", "", 0),)
    spool = new(tmp, other)
    assert [s.channels for s in spool.peek()] == [CHANNELS]
    spool.append([True], START)
    spool = new(tmp, CHANNELS)
    spool.append([2.5, 2], START)
    assert [(s.values[0], s.channels) for s in spool.peek()] == [
        (1.5, CHANNELS),
        (True, other),
        (2.5, CHANNELS),
    ]
    assert [s.sequence for s in new(tmp).peek()] == [1, 2, 3]


def test_bundled_commits(tmp):
    now = [0]
    spool = new(tmp, commit_samples=4, commit_ms=60000, ticks=lambda: now[0])
    for i in range(3):
        spool.append([1.5, i], START + i)
    assert new(tmp).next_sequence == 1
    spool.append([1.5, 3], START)
    assert new(tmp).next_sequence == 5
    spool.append([1.5, 4], START)
    now[0] += 60001
    spool.append([1.5, 5], START)
    assert new(tmp).next_sequence == 7
    spool.append([1.5, 6], START)
    assert len(queue(spool)) == 7
    spool.sync()
    assert new(tmp).next_sequence == 8
    spool.append([1.5, 7], START)
    spool.begin(8)
    assert new(tmp).in_flight == (1, 8)


@pytest.mark.parametrize("policy", ("drop_oldest", "drop_newest"))
def test_a_full_queue(tmp, policy):
    events = []
    spool = new(tmp, limit=65536, policy=policy, log=events.append)
    numbers = []
    for i in range(60):
        n = spool.append(["x" * 1500, i], START + i * 60000)
        if n:
            numbers.append(n)
    books = spool.counters
    found = queue(spool)
    assert books.sampled == 120
    assert books.dropped == 120 - 2 * len(found) > 0
    assert numbers == list(range(1, len(numbers) + 1))
    assert found[-1][0] == numbers[-1]
    assert found[0][1][1] == (0 if policy == "drop_newest" else 60 - len(found))
    assert "full: " in events[0] and "readings dropped" in events[0]
    assert tuple(new(tmp, policy=policy).counters) == tuple(books)
    used = sum(os.stat(tmp + "/spool/" + n)[6] for n in os.listdir(tmp + "/spool"))
    assert 20000 < used < 65536


def test_what_is_declined_is_counted_once_when_that_cannot_be_written(tmp):
    spool = new(tmp, limit=65536, policy="drop_newest")
    while spool.append(["x" * 1500, 1], START):
        pass
    before = spool.counters

    def fails(commit=True):
        raise SpoolError("j1 cannot be written (error 28): check the flash")

    spool._save = fails
    assert spool.append(["x" * 1500, 1], START) == 0
    del spool._save
    assert tuple(spool.counters) == (before.sampled + 2,) + tuple(before[1:4]) + (before.dropped + 2, 0)
    assert spool.append(["x" * 1500, 1], START) == 0
    assert new(tmp).counters.dropped == before.dropped + 4


def test_on_a_full_flash_what_is_declined_outlives_a_start_and_what_waits_can_be_sent(tmp):
    def opened():
        spool = new(tmp, policy="drop_newest")
        write = spool._write

        def full(name, *more):
            if name[0] == "s" and spool._segments:
                raise SpoolError("%s cannot be written (error 28): check the flash" % name)
            write(name, *more)

        spool._write = full
        spool._full = lambda: True
        return spool

    taken = declined = 0
    for _ in range(50):  # wakes; each tries to send, in vain
        spool = opened()
        for i in range(10):
            if spool.append([1.5, i], START + (taken + declined) * 60000):
                taken += 1
            else:
                declined += 1
        spool.begin(spool.next_sequence - 1)
        assert spool.in_flight == (1, taken)
        assert tuple(opened().counters) == (2 * (taken + declined), 0, 2 * taken, 0, 2 * declined, 0)
    assert taken > 100 and declined > 10
    spool.ack(taken)
    assert tuple(opened().counters) == (2 * (taken + declined), 2 * taken, 0, 0, 2 * declined, 0)


@pytest.mark.parametrize("policy", ("drop_oldest", "drop_newest"))
def test_a_segment_whose_removal_ended_in_an_error_blocks_nobody(tmp, policy):
    """Whose folder entry had gone by then: littlefs tells of what failed after it, too."""
    events = []
    spool = new(tmp, limit=65536, policy=policy, log=events.append)
    remove = spool._remove

    def lies(name):
        spool._remove = remove
        os.remove(spool._path + name)
        events.append("%s cannot be removed (error 5)" % name)
        return False

    spool._remove = lies
    stored = 0
    for i in range(400):
        n = spool.append(["x" * 1500, i], START + i * 60000)
        assert n or policy == "drop_newest"
        stored = n or stored
        if policy == "drop_newest" and i % 10 == 9:
            spool.ack(spool.next_sequence - 1)
    assert spool._remove == remove and len(spool._segments) < 9
    assert [event for event in events if "removed" in event] == ["s1 cannot be removed (error 5)"]
    assert stored == 400
    used = sum(os.stat(tmp + "/spool/" + n)[6] for n in os.listdir(tmp + "/spool"))
    assert used < 65536 + 8192
    assert tuple(new(tmp, limit=65536, policy=policy).counters) == tuple(spool.counters)


class Failing:
    """What `open` is to the queue while files whose names begin with this letter cannot be written, or not read."""

    def __init__(self, letter, error=28, reading=False):
        self.letter = letter
        self.error = error
        self.reading = reading
        self.met = 0

    def __call__(self, path, mode):
        if path.split("/")[-1][0] == self.letter and (mode == "rb") == self.reading:
            self.met += 1
            raise OSError(self.error)
        return open(path, mode)

    def __enter__(self):
        sys.modules["spool.queue"].open = self
        return self

    def __exit__(self, *_):
        del sys.modules["spool.queue"].open


@pytest.mark.parametrize("policy", ("drop_oldest", "drop_newest"))
def test_on_a_full_flash_a_reading_is_set_aside_without_a_row_and_nothing_is_dropped(tmp, policy):
    events = []
    spool = new(tmp, limit=65536, policy=policy, log=events.append)
    samples = 0
    while len(spool._segments) < 3:
        samples += 1
        spool.append(["x" * 1500, samples], START + samples * 60000)
    with Failing("q") as full:
        assert spool.quarantine(1, 0, "no good")
        assert full.met == 1
    assert events == ["q0 cannot be written (error 28): check the flash; the row of sample 1 is not kept: no good"]
    assert not list(spool.quarantined_rows())
    with Failing("q", 5), pytest.raises(SpoolError):
        spool.quarantine(1, 1, "no good")
    assert tuple(spool.counters) == (2 * samples, 0, 2 * samples - 1, 1, 0, 0)
    assert tuple(new(tmp, limit=65536).counters) == tuple(spool.counters)
    assert [n for n, _ in queue(spool)] == list(range(1, samples + 1))


def test_a_reading_that_is_dropped_to_make_room_is_counted_once(tmp):
    """Its row waits for a commit, which gives up the oldest segment."""
    spool = new(tmp, limit=65536, commit_samples=2)
    samples = 0
    while len(spool._segments) < 3:
        samples += 1
        spool.append(["x" * 1500, samples], START + samples * 60000)
    commit = spool._commit

    def drops():
        spool._commit = commit
        assert spool._drop()

    spool._commit = drops
    assert not spool.quarantine(1, 0, "no good")
    books = spool.counters
    waiting = queue(spool)
    assert waiting[0][0] > 1 and books.queued == 2 * len(waiting) and books.quarantined == 0
    spool.ack(samples)
    assert tuple(spool.counters) == (2 * samples, books.queued, 0, 0, books.dropped, 0)


def test_a_number_of_which_there_is_a_row_is_not_given_again(tmp):
    spool = new(tmp, commit_samples=6)
    for i in range(7):
        spool.append([1.5, i], START + i * 60000)
    # the power goes when the row is to be written
    with Failing("q", 5), pytest.raises(SpoolError):
        spool.quarantine(7, 1, "no good")
    assert new(tmp).next_sequence == 8


@pytest.mark.parametrize("channels", (2, 9, 24, 40))
def test_a_state_fits_in_a_slot_however_many_readings_are_settled_alone(tmp, channels):
    spool = new(tmp, tuple([("c%d" % i, "", 0) for i in range(channels)]))
    # a node that has lived
    spool.append(list(range(channels)), START)
    spool.ack(1)
    spool._books[0] = spool._books[1] = 16380
    samples = 60
    for i in range(samples):
        spool.append(list(range(channels)), START + i * 60000)
    settled = refused = 0
    for sequence in range(40, 60):
        for index in range(channels - 1, 0, -1):
            try:
                assert spool.settle(sequence, index)
                settled += 1
            except SpoolError:
                refused += 1
    assert refused and settled >= 4 * (channels - 1)
    before = queue(spool)
    # each number may grow by a byte while they wait
    spool._books[:] = [2097200, 2097200 - spool.queued - 51, 17, 17, 17, 17]
    spool.begin(samples)
    again = new(tmp, spool._channels)
    assert queue(again) == before
    assert tuple(again.counters) == tuple(spool.counters)
    # the oldest one can always be settled to its end
    for sequence in range(2, samples + 2):
        for index in range(channels):
            again.settle(sequence, index)
    assert again.queued == 0


@pytest.mark.parametrize("letter", ("j", "s"))
def test_what_littlefs_holds_for_corrupt_does_not_keep_the_rest_from_use(tmp, letter):
    spool = new(tmp, limit=65536)
    samples = 0
    while samples < 100 or len(spool._segments) < 2:
        samples += 1
        spool.append(["x" * 1500, samples], START + samples * 60000)
    for _ in range(20):
        samples += 1
        spool.append([1.5, samples], START + samples * 60000)
    events = []
    with Failing(letter, 5, True), pytest.raises(SpoolError):
        new(tmp, limit=65536)
    with Failing(letter, 84, True) as corrupt:
        spool = new(tmp, limit=65536, log=events.append)
        assert corrupt.met
    assert [event for event in events if event.endswith("cannot be read: skipped")]
    fresh = spool.append([2.5, 1], START)
    assert fresh > samples
    spool.sync()
    assert queue(new(tmp, limit=65536))[-1] == (fresh, [2.5, 1])


def test_a_newer_format_is_left_alone(tmp):
    spool = new(tmp)
    spool.append([1.5, 1], START)
    with open(tmp + "/spool/s999", "wb") as f:
        f.write(b"TnS\x02" + pack("<I", crc32(b"TnS\x02")) + b"what only the future knows")
    with pytest.raises(SpoolError, match="newer firmware .format 2."):
        new(tmp)
    with open(tmp + "/spool/s999", "rb") as f:
        assert len(f.read()) == 34


def test_foreign_files_and_empty_files(tmp):
    spool = new(tmp)
    spool.append([1.5, 1], START)
    for name in ("readme.txt", "s70", "j20", "x", "s"):
        with open(tmp + "/spool/" + name, "wb") as f:
            if name != "s70" and name != "j20":
                f.write(b"hello")
    events = []
    spool = new(tmp, log=events.append)
    assert queue(spool) == [(1, [1.5, 1])]
    assert spool.append([1.5, 2], START) == 2
    assert "readme.txt" in os.listdir(tmp + "/spool")
    assert any("foreign file readme.txt" in e for e in events)


def test_an_open_iterator_tolerates_everything(tmp):
    spool = new(tmp)
    for i in range(300):
        spool.append([1.5, i], START + i * 60000)
    seen = []
    for sample in spool.peek():
        seen.append(sample.sequence)
        if sample.sequence < 700:
            spool.append([1.5, 1], START)
            spool.append([1.5, 2], START)
        if sample.sequence % 50 == 0:
            spool.ack(sample.sequence - 10)
    assert seen == list(range(1, spool.next_sequence))


def test_a_folder_that_cannot_be(tmp):
    with pytest.raises(SpoolError, match="check the flash"):
        new(tmp + "/missing/deeper")
    with pytest.raises(ValueError, match="policy"):
        new(tmp, policy="drop")
    with pytest.raises(ValueError, match="limit"):
        new(tmp, limit=1000)


FIVE = (("temperature", "°C", 2), ("humidity", "%", 2), ("pressure", "hPa", 2), ("battery", "V", 3), ("rssi", "dBm", 0))


def use_everything(tmp):
    spool = new(tmp)
    spool.append([1.5, 1], START)
    assert spool.quarantine(1, 0, "no good")
    assert len(list(spool.quarantined_rows())) == 1
    return spool


def test_what_is_seldom_needed_is_not_kept_loaded(tmp):
    use_everything(tmp)
    for name in ("opening", "settling"):
        assert "spool." + name not in sys.modules
        assert not hasattr(sys.modules["spool"], name)


@only("micropython", why="CPython's heap says nothing about a board's")
def test_no_code_that_is_seldom_needed_stays_in_memory(tmp):
    """One function that something still refers to would keep its module: 2.4 KB of heap, or 6.5 for the opening."""
    gc.collect()
    before = gc.mem_alloc()
    spool = use_everything(tmp)
    gc.collect()
    assert gc.mem_alloc() - before < 3000
    assert spool.queued == 1


@only("micropython", why="CPython's heap says nothing about a board's")
@heap("96K")
@flash(blocks=128)
@timeout(120)
def test_a_week_offline_takes_no_memory(tmp):
    """10,080 samples in and 50,400 readings out, in half the heap of a node; 512 KB of flash hold them."""
    spool = new(tmp, FIVE)
    spool.append([20.01, 50.25, 1013.25, 3.701, -60], START)
    list_of_one = queue(spool)
    assert len(list_of_one) == 1
    gc.collect()
    before = gc.mem_alloc()
    most = 0
    for i in range(1, 10080):
        spool.append([20 + i % 1000 / 100, 50.25, 1013.25 - i % 300 / 10, 3.701, -60 - i % 20], START + i * 60000)
        if i % 1000 == 0:
            gc.collect()
            most = max(most, gc.mem_alloc() - before)
    assert spool.counters.queued == 50400
    drained = 0
    last = 0
    while spool.queued:
        n = 0
        for sample in spool.peek():
            assert sample.sequence == last + n + 1
            n += 1
            if n == 120:
                break
        spool.begin(sample.sequence)
        spool.ack(sample.sequence)
        last = sample.sequence
        drained += n
        if drained % 1200 == 0:
            gc.collect()
            most = max(most, gc.mem_alloc() - before)
    assert drained == 10080
    assert tuple(spool.counters) == (50400, 50400, 0, 0, 0, 0)
    assert most < 4096


def test_what_was_settled_after_a_torn_move_stays_settled(tmp):
    """The power goes when the slots have been moved to the segment, and before they are begun anew."""
    folder = tmp + "/spool/"
    spool = new(tmp)
    slots = {}
    size = 0
    for n in range(1000):
        before = slots
        spool.append([float(n), n], START + 60000 * n)
        slots = {}
        for name in os.listdir(folder):
            if name[0] == "j":
                with open(folder + name, "rb") as file:
                    slots[name] = file.read()
        grown = os.stat(folder + "s1")[6]
        if size and grown > size:
            break
        size = grown
    for name in slots:
        os.remove(folder + name)
    for name, content in before.items():
        with open(folder + name, "wb") as file:
            file.write(content)
    spool = new(tmp)
    assert [sequence for sequence, _ in queue(spool)] == list(range(1, n + 1))
    spool.begin(n)
    spool = new(tmp)
    assert spool.in_flight == (1, n)
    spool.ack(n)
    spool.sync()
    spool = new(tmp)
    assert queue(spool) == []
    assert spool.counters == (2 * n, 2 * n, 0, 0, 0, 0)


def test_what_is_announced_after_a_move_that_failed_is_known_after_a_start(tmp):
    """A slot cannot be read while the slots are moved to the segment: what came before it is there, and older."""
    spool = new(tmp)
    read = spool._read

    def failing(name, at, buffer):
        if name == "j9":
            raise SpoolError("j9 cannot be read (error 5): check the flash")
        return read(name, at, buffer)

    spool._read = failing
    n = 0
    with pytest.raises(SpoolError):
        while n < 1000:
            spool.append([float(n), n], START + 60000 * n)
            n += 1
    spool._read = read
    spool.begin(n)
    spool = new(tmp)
    assert spool.in_flight == (1, n)
    assert [sequence for sequence, _ in queue(spool)] == list(range(1, n + 1))
    assert spool.append([float(n), n], START + 60000 * n) == n + 1
    spool.ack(n)
    spool = new(tmp)
    assert queue(spool) == [(n + 1, [float(n), n])]
    assert spool.counters == (2 * n + 2, 2 * n, 2, 0, 0, 0)
