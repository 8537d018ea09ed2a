"""The queue: which files there are, what each holds, and when they are written. DESIGN.md says why it is so.

A commit rewrites one small *slot* (j0, j1 …), which littlefs keeps inline in the folder and replaces in one step. When
all slots are full, what is still queued moves to the end of the last *segment* (s<first sequence>) in one append, and
the slots are used again from there. A state record in the slots says what is settled.

What is seldom needed is in modules of its own, imported for one call and dropped: code takes heap while it is loaded.
"""

import os
import sys
from binascii import crc32
from collections import namedtuple
from struct import pack

from micropython import const

from spool.records import Context, Sample, Scan, encode_sample, put, seal

_CONTEXT = const(0x80)  # kinds of records; those below are samples
_STATE = const(0x81)
_ROUND = const(0x82)  # a state with which the slots are used anew

_SLOT = const(126)  # bytes of a slot: inline up to 128 where programs are of 32 bytes
_SLOTS = const(28)
_HEAD = const(5)  # a slot's number and its check
_CHUNK = const(4096)  # bytes that one move may add to a segment, rounded up
_OVERHEAD = const(20480)  # bytes of the folder itself and of the quarantine files
_REBASE = const(8000)  # samples after which a segment's small numbers would grow longer

_RESERVE = const(16384)  # bytes of the disk left to others
_ENOENT = const(2)
_ENOSPC = const(28)
_CORRUPT = const(84)  # littlefs: what lies there contradicts itself

# places in Spool._books: readings
_SAMPLED = const(0)
_ACKNOWLEDGED = const(1)
_DROPPED = const(3)
_DAMAGED = const(4)
_DECLINED = const(5)  # dropped before they had a sequence: in none of the others

Counters = namedtuple("Counters", ("sampled", "acknowledged", "queued", "quarantined", "dropped", "damaged"))


class SpoolError(Exception):
    """The spool cannot do what was asked now. Nothing that was committed is lost; the call may be repeated.

    full: whether it is for want of room on the disk.
    """

    full = False


def failed(what: str, e: OSError) -> SpoolError:
    error = SpoolError("%s (error %s): check the flash" % (what, e.args[0]))
    error.full = e.args[0] == _ENOSPC
    return error


def _forget(name: str) -> None:
    """Lets go of a module of this package, so that its code is gone when its caller is done."""
    del sys.modules["spool." + name]
    delattr(sys.modules["spool"], name)


class Spool:
    """A durable queue of samples in a folder.

    path: the folder; made when missing. channels: tuple of (variable, unit, decimals) for what is appended from now on.
    limit: bytes that it may take. policy: "drop_oldest" or "drop_newest" when these are used up. commit_samples,
    commit_ms: a commit at the latest after so many samples, and at the first append so many ms after the last commit
    (0: not by time). tag_bytes: 6 random bytes for the tag of a new spool. every: ms between samples, if known (a wrong
    one costs bytes). log: called with a line of text for each event. ticks: time.ticks_ms, needed with commit_ms.
    Raises SpoolError when the folder cannot be used or belongs to a newer firmware, ValueError for wrong arguments.
    """

    next_sequence: int
    tag: str
    boot: int  # number of this opening
    _path: str  # with a slash at its end
    _channels: tuple
    _limit: int
    _segment_bytes: int
    _oldest: bool  # the policy: drop these
    _commit_samples: int
    _commit_ms: int  # 0: not by time
    _every: int
    _time: int  # of the newest sample
    _epoch: int  # changes when files moved under a reader
    _hint: tuple  # where the first unsettled sample lies
    _errors: int  # reads that failed in a row
    _cursor: int  # first unsettled
    _upto: int  # last of the batch in flight
    _books: list  # sampled, acknowledged, quarantined, dropped, damaged, declined
    _partial: dict  # sequence -> bits of its settled readings
    _segments: list  # their first sequences
    _context: Context  # of the last segment
    _size: int  # of the last segment when the slots were last emptied into it
    _moved: int  # newest sequence in the segments
    _first: int  # numbers of the slots in use
    _last: int
    _slot: bytes  # content of the last one
    _at: int  # where its last record begins when that is a state, else 0
    _dirty: bool  # the slot in memory is newer than its file
    _waiting: int  # samples not yet committed
    _since: int
    _unsaved: bool  # the state is newer than the last state record
    _bad: list  # slots whose head was damaged
    _renew: bool  # the slots must be emptied at the next chance
    _due: bool  # a new segment must be begun

    def __init__(
        self,
        path: str,
        channels: tuple,
        limit: int = 393216,
        policy: str = "drop_oldest",
        commit_samples: int = 1,
        commit_ms: int = 0,
        tag_bytes: bytes = None,
        log=None,
        ticks=None,
        every: int = 60000,
    ):
        from spool import opening

        _forget("opening")
        self._log = log or bool  # which takes a text and does nothing
        self._ticks = ticks
        opening.start(self, os, path, channels, limit, policy, commit_samples, commit_ms, tag_bytes, every)

    # ---- state

    def _state(self, kind: int = _STATE) -> bytes:
        out = bytearray((kind,))
        cursor = self._cursor
        after = self.next_sequence
        partial = self._partial
        head = [after, after - cursor, max(self._upto - cursor + 1, 0), self.boot]
        for n in head + self._books + [self._size, len(partial)]:
            put(out, n)
        for n, mask in partial.items():
            put(out, n - cursor)
            put(out, mask)
        return seal(out, crc32(self.tag.encode()))

    @property
    def queued(self) -> int:
        """Readings waiting."""
        books = self._books
        return books[_SAMPLED] - sum(books[_ACKNOWLEDGED:_DECLINED])

    @property
    def counters(self) -> Counters:
        """Readings: sampled = acknowledged + queued + quarantined + dropped + damaged, across restarts."""
        sampled, acknowledged, quarantined, dropped, damaged, declined = self._books
        return Counters(sampled + declined, acknowledged, self.queued, quarantined, dropped + declined, damaged)

    @property
    def samples_queued(self) -> int:
        """Samples not yet settled (one lost to damage counts until the reader has passed it)."""
        return self.next_sequence - self._cursor

    @property
    def in_flight(self) -> tuple:
        """(first, last) sequence of the batch announced by `begin` and not settled since, or None."""
        return (self._cursor, self._upto) if self._upto >= self._cursor else None

    # ---- files

    def _read(self, name: str, at: int, buffer: bytearray) -> int:
        try:
            with open(self._path + name, "rb") as f:
                f.seek(at)
                n = f.readinto(buffer)
            self._errors = 0
            return n
        except OSError as e:
            if e.args[0] == _ENOENT:
                return 0
            # A passing fault must not cost readings; a lasting one must not block the queue for ever.
            self._errors += 1
            if self._errors < 4 and e.args[0] != _CORRUPT:
                raise failed(name + " cannot be read", e) from e
            self._log(name + " cannot be read: skipped")
            return 0

    def _size_of(self, name: str) -> int:
        try:
            return os.stat(self._path + name)[6]
        except OSError:
            return 0

    def _remove(self, name: str) -> bool:
        try:
            os.remove(self._path + name)
            return True
        except OSError as e:
            if e.args[0] == _ENOENT:
                return True  # an earlier call did it, and was told of an error all the same
            self._log("%s cannot be removed (error %s)" % (name, e.args[0]))
            return False

    def _segment(self, base: int) -> Scan:
        # a context is kilobytes of names: the last segment's is there already, the others' may have the same names
        scan = Scan(self._read, "s%d" % base, base, 8)
        scan.known = self._context
        scan.channels = self._channels
        return scan

    def _journal(self, number: int) -> Scan:
        raw = self._slot
        if number != self._last:
            raw = bytearray(_SLOT)
            raw = raw[: self._read("j%d" % (number % _SLOTS), 0, raw)]
        return Scan(None, raw, 0, _HEAD, self._context)

    # ---- settling the books

    def _missing(self, base: int, total: int) -> int:
        """Readings of samples before `base` that no counter has yet, when `total` were sampled before it."""
        n = total - sum(self._books[_ACKNOWLEDGED:_DECLINED])
        for sequence, mask in self._partial.items():
            if sequence >= base:
                n += bin(mask).count("1")
        return max(n, 0)

    def _move_cursor(self, sequence: int, lost: int = 0) -> None:
        """The samples before `sequence` are settled, but for `lost` readings that nobody found."""
        self._cursor = sequence
        for n in list(self._partial):
            if n < sequence:
                del self._partial[n]
        self._unsaved = True
        if lost > 0:
            self._books[_DAMAGED] += lost
            self._log("%d readings were damaged on flash" % lost)

    def _skip(self, base: int) -> None:
        """The segments before `base` are gone: what was queued in them is dropped."""
        scan = self._segment(base)
        while not scan.context and scan.step():
            pass
        if scan.context:
            self._books[_DROPPED] += self._missing(base, scan.context.total)
        self._move_cursor(base)

    def _collect(self) -> None:
        """Removes segments of which everything is settled, except the last."""
        segments = self._segments
        while len(segments) > 1 and segments[1] <= self._cursor and self._remove("s%d" % segments[0]):
            segments.pop(0)
            self._epoch += 1

    def _drop(self) -> bool:
        """Gives up the oldest segment. False when there is none but the last."""
        segments = self._segments
        if len(segments) < 2 or not self._remove("s%d" % segments[0]):
            return False
        before = self._books[_DROPPED]
        segments.pop(0)
        self._epoch += 1
        if self._cursor < segments[0]:
            self._skip(segments[0])
        self._log("full: %d of the oldest readings dropped" % (self._books[_DROPPED] - before))
        return True

    def _full(self) -> bool:
        """Whether the next move would exceed the limit or the reserve of the disk."""
        used = _OVERHEAD + _CHUNK
        for base in self._segments:
            used += self._size_of("s%d" % base) + 4095 & ~4095
        if used > self._limit:
            return True
        try:
            disk = os.statvfs(self._path)
        except (OSError, AttributeError):
            return False
        return disk[3] > disk[2] or disk[1] * disk[3] < _RESERVE

    # ---- writing

    def _write(self, name: str, mode: str, parts: tuple = None, record: bytes = None) -> None:
        """Writes `parts`, or else what moves to a segment, with `record` behind. Answers a full disk by dropping the
        oldest segment, where the policy is so. Raises SpoolError.
        """
        before = self._size_of(name) if mode == "ab" else 0
        while True:
            size = 0
            try:
                with open(self._path + name, mode) as f:
                    n = before
                    for part in parts or self._moving(record):
                        n += len(part)
                        f.write(part)
                    size = n
                return
            except OSError as e:
                if before and self._size_of(name) == size:
                    return  # an append is all there, whatever was said when the file was closed
                # no reading is given up for the sake of a row that tells of another
                if e.args[0] != _ENOSPC or name[0] == "q" or not self._oldest or not self._drop():
                    raise failed(name + " cannot be written", e) from e

    def _commit(self) -> None:
        if self._dirty and self._context:  # without a segment a slot cannot be read
            self._write("j%d" % (self._last % _SLOTS), "wb", (self._slot,))
            self._dirty = False
        self._waiting = 0

    def _start_slot(self) -> None:
        self._last += 1
        head = pack("<I", self._last)[:3]
        self._slot = head + pack("<I", crc32(head))[:2]
        self._at = 0

    def _start_round(self) -> None:
        """Nothing in the slots is needed any more: begins again with the state alone."""
        self._start_slot()
        self._first = self._last
        self._at = _HEAD
        self._slot += self._state(_ROUND)
        self._dirty = True
        self._unsaved = self._renew = False
        self._epoch += 1

    def _live(self) -> int:
        """The first sequence that is queued and only in the slots."""
        return max(self._cursor, self._moved + 1)

    def _moving(self, record: bytes):
        """What a move adds to the last segment: the state, what is queued in the slots, `record`."""
        yield self._state()
        live = self._live()
        for number in range(self._first, self._last + 1):
            scan = self._journal(number)
            while scan.step():
                if scan.kind < _CONTEXT and scan.context.base + scan.get() >= live:
                    yield scan.view[scan.start : scan.stop]
        if record:
            yield record

    def _roll(self, record: bytes = None, readings: int = 0) -> None:
        """Empties the slots into the last segment, followed by a record too large for a slot."""
        self._commit()
        context = self._context
        if context:
            name = "s%d" % self._segments[-1]
            try:
                if record or self._live() < self.next_sequence:
                    while self._oldest and self._full() and self._drop():
                        pass
                    self._write(name, "ab", None, record)
            finally:
                # when a slot could not be read, a part is there, with a state that the next in the slots overrules
                self._size = self._size_of(name)
            if record:
                self.next_sequence += 1
                self._books[_SAMPLED] += readings
        self._moved = self.next_sequence - 1
        self._start_round()
        while self._bad:
            self._remove("j%d" % self._bad.pop())
        self._due = (
            not context
            or context.channels != self._channels
            or self._size > self._segment_bytes - 2048
            or self.next_sequence - context.base > _REBASE
            or (self._time > 0 and not context.time)
        )

    def _rotate(self) -> None:
        """Begins a new segment. No slot may hold samples then: they could not be read with its context."""
        self._commit()
        base = self.next_sequence
        context = Context(base, self._books[_SAMPLED], self._time, self._every, self.tag, self._channels)
        record = context.encode()
        name = "s%d" % base
        self._write(name, "wb", (b"TnS\x01", pack("<I", crc32(b"TnS\x01")), record, record, self._state()))
        self._context = context
        if base not in self._segments[-1:]:
            self._segments.append(base)
        self._size = self._size_of(name)
        self._due = False
        self._start_round()
        self._collect()

    def _fit(self, end: int, size: int, spare: int) -> bool:
        """Makes room in a slot. False when the slots must be emptied first."""
        room = _SLOTS - spare - self._last + self._first
        if not self._slot or self._renew or room < 0:
            return False  # below 0 in the slot kept for states: on a full flash nothing else can be written
        if end + size <= _SLOT:
            return True
        self._commit()
        if not room:
            return False
        self._start_slot()
        return True

    def _save(self, commit: bool = True) -> None:
        """Writes the state."""
        self._unsaved = True
        if not self._context:
            return  # nothing was ever stored
        body = self._state()
        if self._fit(self._at or len(self._slot), len(body), 2):
            end = self._at or len(self._slot)
            if end == _HEAD and self._last == self._first:
                body = self._state(_ROUND)
            self._slot = self._slot[:end] + body
            self._at = end
            self._dirty = True
            self._unsaved = False
        else:
            self._roll()
        if commit:
            self._commit()

    # ---- for the sampler

    def append(
        self,
        values: list,
        time: int = None,
        mono: int = 0,
        estimated: bool = False,
        location: object = None,
        metadata: object = None,
    ) -> int:
        """Stores one sample and returns its sequence number, or 0 when there was nothing to store or it was dropped.

        values: one a channel: float, int, bool, text, or None for no reading. time: Unix ms, or None when it is not
        known: then `mono`, ms since the start of this run. estimated: the time is not sure. location, metadata:
        anything that JSON can carry. On flash on return, unless commits are bundled. Raises SpoolError when it cannot
        be stored now (it is not queued then), ValueError when it never can.
        """
        if len(values) != len(self._channels):
            raise ValueError("%d values for %d channels" % (len(values), len(self._channels)))
        readings = len(values) - values.count(None)
        if not readings:
            return 0
        if time is not None:
            if self._time < time < self._time + 100000000:
                self._every = time - self._time
            self._time = time
        sequence = self.next_sequence
        if self._unsaved:
            self._save(False)
        while True:
            if not self._context or self._renew or self._context.channels != self._channels:
                self._roll()
            if self._due:
                self._rotate()
            record = encode_sample(
                self._context, sequence, values, time, self.boot, mono, estimated, location, metadata
            )
            large = len(record) > _SLOT - _HEAD
            if not large and self._fit(len(self._slot), len(record), 3):
                break
            if not self._oldest and (large or self._live() < sequence) and self._full():
                self._books[_DECLINED] += readings
                self._log("full: %d new readings dropped" % readings)
                try:
                    self._save()
                except SpoolError:
                    pass  # they are counted: whoever were to try again would have them counted twice
                return 0
            if large:
                self._roll(record, readings)
                try:
                    self._commit()
                except SpoolError:
                    pass  # the sample is on flash; the state follows with the next commit
                return sequence
            self._roll()
        before = self._slot, self._at
        self._slot = self._slot + record  # not in place: before and readers hold the old one
        self._at = 0
        self._dirty = True
        late = False
        if self._commit_ms:
            now = self._ticks()
            if not self._waiting:
                self._since = now
            late = (now - self._since) & 0x3FFFFFFF >= self._commit_ms
        self._waiting += 1
        if late or self._waiting >= self._commit_samples:
            try:
                self._commit()
            except SpoolError:
                # It may be on flash all the same: still dirty, the next commit takes it back.
                self._slot, self._at = before
                self._waiting -= 1
                raise
        self.next_sequence += 1
        self._books[_SAMPLED] += readings
        return sequence

    def sync(self) -> None:
        """Puts on flash what is not there yet: before sleep, reset or an update. Raises SpoolError."""
        if self._unsaved:
            self._save(False)
        self._commit()

    close = sync

    # ---- for the uplink

    def peek(self, values: bool = True):
        """Yields what is queued, oldest first, in one Sample used again and again: as often as you like.

        Readings already settled are None; samples without any other are left out. Samples still waiting for a commit
        are included: `begin` commits them. Calls of other methods in between are allowed. Raises SpoolError when the
        flash cannot be read. values: False when only sequences and the number of readings matter.
        """
        sample = Sample()
        sequence = 0
        epoch = -1
        empty = True
        while True:
            # file number k in the order of the queue: the segments, then the slots
            segments = self._segments
            count = len(segments)
            hint = None
            if epoch != self._epoch:  # at the start, and when files have moved
                epoch = self._epoch
                sequence = max(sequence, self._cursor)
                hint = self._hint
                if hint and hint[0] == epoch and hint[1] <= sequence:
                    k = hint[2]
                else:
                    hint = None
                    k = 0
                    while k < count and (segments[k + 1] if k + 1 < count else self._moved + 1) <= sequence:
                        k += 1
            if k < count:
                stop = segments[k + 1] if k + 1 < count else self._moved + 1
                scan = self._segment(segments[k])
                if hint:
                    scan.at, scan.context = hint[3:]
            else:
                stop = 0
                number = self._first + k - count
                if number > self._last or not self._slot:
                    break
                scan = self._journal(number)
            newest = scan.buffer is self._slot
            while scan.step():
                if scan.kind < _CONTEXT and scan.sample(sample, values, sequence):
                    n = sample.sequence
                    if n < self.next_sequence and n >= self._cursor and (n < stop or not stop):
                        sequence = n + 1
                        readings = sample.values
                        mask = self._partial.get(n, 0)
                        for i in range(len(readings)) if mask else ():
                            if mask >> i & 1:
                                readings[i] = None
                        if readings.count(None) < len(readings):
                            if empty and not self._hint:
                                # the next search need not pass again what lies before it
                                self._hint = epoch, self._cursor, k, scan.at - (scan.stop - scan.start), scan.context
                            empty = False
                            sample.place = (epoch, sequence, k, scan.at, scan.context)
                            yield sample
                            if epoch != self._epoch:
                                break
            else:
                # What was the newest slot when it was copied may have grown.
                if not newest or scan.buffer is self._slot:
                    k += 1
        if empty and self._cursor < self.next_sequence:
            self._drained()

    def _drained(self) -> None:
        """Nothing readable is queued any more: what the books still hold was damaged."""
        lost = self.queued
        self._move_cursor(self.next_sequence, lost)
        if lost < 0:
            self._books[_SAMPLED] -= lost

    def begin(self, upto: int) -> None:
        """Notes on flash that what is queued up to sequence `upto` is about to be sent; 0: that nothing is.

        Commits what still waits. Raises SpoolError: then do not send.
        """
        self._upto = min(upto, self.next_sequence - 1)
        if self._upto >= self._cursor:
            self._save()
        else:
            self._unsaved = True

    def ack(self, upto: int) -> None:
        """Every reading up to sequence `upto` has been accepted. Raises SpoolError when that cannot be written now: it
        is remembered, and written with the next commit.
        """
        if upto >= self._cursor:
            count = lost = base = 0
            place = None
            cursor = self.next_sequence
            for sample in self.peek(False):
                context = sample.place[4]
                if context.base != base:
                    base = context.base
                    if base > self._cursor:
                        lost = max(lost, self._missing(base, context.total) - count)
                if sample.sequence > upto:
                    cursor = sample.sequence
                    break
                count += len(sample.values) - sample.values.count(None)
                place = sample.place
            self._books[_ACKNOWLEDGED] += count
            self._hint = place
            self._move_cursor(cursor, lost)
            if cursor == self.next_sequence:
                self._drained()
        self._upto = 0
        self._save()
        self._collect()

    def settle(self, sequence: int, index: int) -> bool:
        """The reading of channel `index` has been accepted; the rest of its sample stays queued. False when it is not
        queued. Raises SpoolError as `ack` does.
        """
        return self.quarantine(sequence, index, None)

    def quarantine(self, sequence: int, index: int, reason: str) -> bool:
        """Sets one reading aside with the reason; the rest of its sample stays queued. False when it is not queued.
        Raises SpoolError as `ack` does.
        """
        from spool import settling

        _forget("settling")
        return settling.settle(self, os, sequence, index, reason)

    def quarantined_rows(self):
        """Yields (sequence, index, time, variable, unit, value, reason) of the newest quarantined readings, oldest
        first: as many as fit in 4 kB.
        """
        from spool import settling

        _forget("settling")
        return settling.rows(self)
