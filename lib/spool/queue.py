"""The queue: which files there are, what each holds, and when they are written. DESIGN.md says why it is so.

A commit rewrites one small *slot* (j0, j1 …), which littlefs keeps inline in the folder and replaces in one step. When
all slots are full, what is still queued moves to the end of the last *segment* (s<first sequence>) in one append, and
the slots are used again from there. A state record in the slots says what is settled.
"""

import os
from binascii import crc32
from collections import namedtuple
from struct import pack, unpack

from micropython import const

from spool.records import (
    CONTEXT,
    REJECT,
    ROUND,
    STATE,
    Context,
    Sample,
    Scan,
    encode_sample,
    put,
    put_text,
    put_value,
    seal,
)

_SLOT = const(126)  # bytes of a slot: inline up to 128 where programs are of 32 bytes
_SLOTS = const(28)
_HEAD = const(5)  # a slot's number and its check
_CHUNK = const(4096)  # bytes that one move may add to a segment, rounded up
_OVERHEAD = const(20480)  # bytes of the folder itself and of the quarantine files
_REBASE = const(8000)  # samples after which a segment's small numbers would grow longer
_PARTIAL = const(16)  # samples that may be settled in part at a time
_REJECTS = const(2048)  # bytes of a quarantine file, of which there are two
_MAGIC = b"TnS"
_VERSION = const(1)

_RESERVE = const(16384)  # bytes of the disk left to others
_ENOENT = const(2)
_ENOSPC = const(28)

Counters = namedtuple("Counters", ("sampled", "acknowledged", "queued", "quarantined", "dropped", "damaged"))


class SpoolError(Exception):
    """The spool cannot do what was asked now. Nothing that was committed is lost; the call may be repeated."""


def _number(name: str) -> int:
    try:
        return int(name[1:])
    except ValueError:
        return -1


def _failed(what: str, e: OSError) -> SpoolError:
    return SpoolError("%s (error %s): check the flash" % (what, e.args[0]))


def _ones(mask: int) -> int:
    n = 0
    while mask:
        n += mask & 1
        mask >>= 1
    return n


class Spool:
    """A durable queue of samples in a folder.

    path: the folder; made when missing. channels: tuple of (variable, unit, decimals) for what is appended from now on.
    limit: bytes that it may take. policy: "drop_oldest" or "drop_newest" when these are used up. commit_samples,
    commit_ms: a commit at the latest after so many samples, and at the first append so many ms after the last commit
    (0: not by time). tag_bytes: 6 random bytes for the tag of a new spool. every: ms between samples, if known (a wrong
    one costs bytes). log: called with a line of text for each event. ticks: time.ticks_ms, needed with commit_ms.
    Raises SpoolError when the folder cannot be used or belongs to a newer firmware, ValueError for wrong arguments.
    """

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
        if policy not in ("drop_oldest", "drop_newest"):
            raise ValueError("policy must be drop_oldest or drop_newest")
        if limit < 65536:
            raise ValueError("limit must be at least 65536 bytes")
        self._path = path
        self._channels = tuple(tuple(c) for c in channels)
        self._limit = limit
        self._segment_bytes = min(max(limit // 16 & ~4095, 8192), 32768)
        self._oldest = policy == "drop_oldest"
        self._commit_samples = commit_samples
        self._commit_ms = commit_ms
        self._log = log
        self._ticks = ticks
        self._every = every
        self._time = 0  # of the newest sample
        self._epoch = 0  # changes when files moved under a reader
        self._hint = None  # where the first unsettled sample lies
        self._errors = 0
        self.tag = None
        self._reset()
        try:
            self._recover()
        except OSError as e:
            raise _failed("spool folder %s cannot be opened" % path, e) from e
        self.boot += 1
        self._due = not self._context  # a new segment must be begun
        if self.tag is None:
            self.tag = "".join(["abcdefghijklmnopqrstuvwxyz0123456789"[b % 36] for b in tag_bytes or os.urandom(6)])[:6]

    # ---- state

    def _reset(self) -> None:
        self.next_sequence = 1
        self._cursor = 1  # first unsettled
        self._upto = 0  # last of the batch in flight
        self.boot = 0
        self._sampled = self._acknowledged = self._quarantined = self._dropped = self._damaged = 0
        self._declined = 0  # readings dropped before they had a sequence: in none of the above
        self._partial = {}  # sequence -> bits of its settled readings
        self._segments = []  # their first sequences
        self._context = None  # of the last segment
        self._size = 0  # of the last segment when the slots were last emptied into it
        self._moved = 0  # newest sequence in the segments
        self._first = self._last = 0  # numbers of the slots in use
        self._slot = b""  # content of the last one
        self._at = 0  # where its last record begins when that is a state, else 0
        self._dirty = False  # the slot in memory is newer than its file
        self._waiting = 0  # samples not yet committed
        self._since = 0
        self._unsaved = False  # the state is newer than the last state record
        self._bad = []  # slots whose head was damaged
        self._renew = False  # the slots must be emptied at the next chance

    def _state(self, kind: int = STATE) -> bytes:
        out = bytearray((kind,))
        cursor = self._cursor
        for n in (
            self.next_sequence,
            self.next_sequence - cursor,
            self._upto - cursor + 1 if self._upto >= cursor else 0,
            self.boot,
            self._sampled,
            self._acknowledged,
            self._quarantined,
            self._dropped,
            self._damaged,
            self._declined,
            self._size,
            len(self._partial),
        ):
            put(out, n)
        for sequence, mask in self._partial.items():
            put(out, sequence - cursor)
            put(out, mask)
        return seal(out, crc32(self.tag.encode()))

    def _load(self, scan: Scan) -> bool:
        """Takes over a state record unless what is known is newer."""
        get = scan.get
        n = get()
        if n < self.next_sequence:
            return False
        self.next_sequence = n
        self._cursor = cursor = n - get()
        self._upto = cursor + get() - 1
        self.boot = get()
        self._sampled = get()
        self._acknowledged = get()
        self._quarantined = get()
        self._dropped = get()
        self._damaged = get()
        self._declined = get()
        self._size = get()
        self._partial = {}
        for _ in range(get()):
            n = cursor + get()
            self._partial[n] = get()
        return True

    def _count(self, scan: Scan, sample: Sample) -> None:
        """Takes over a sample record found at start-up."""
        if not scan.sample(sample, False):
            return
        gap = sample.sequence - self.next_sequence
        if gap >= 0:
            channels = len(sample.values)
            self._sampled += channels - sample.values.count(None) + gap * channels
            self.next_sequence = sample.sequence + 1
        self.boot = max(self.boot, sample.boot)

    @property
    def queued(self) -> int:
        """Readings waiting."""
        return self._sampled - self._acknowledged - self._quarantined - self._dropped - self._damaged

    @property
    def counters(self) -> Counters:
        """Readings: sampled = acknowledged + queued + quarantined + dropped + damaged, across restarts."""
        n = self._declined
        return Counters(
            self._sampled + n,
            self._acknowledged,
            self.queued,
            self._quarantined,
            self._dropped + n,
            self._damaged,
        )

    @property
    def samples_queued(self) -> int:
        """Samples not yet settled (one lost to damage counts until the reader has passed it)."""
        return self.next_sequence - self._cursor

    @property
    def in_flight(self) -> tuple:
        """(first, last) sequence of the batch announced by `begin` and not settled since, or None."""
        return (self._cursor, self._upto) if self._upto >= self._cursor else None

    def _event(self, text: str) -> None:
        if self._log:
            self._log("spool: " + text)

    # ---- files

    def _read(self, name: str, at: int, buffer: bytearray) -> int:
        try:
            with open(self._path + "/" + name, "rb") as f:
                f.seek(at)
                n = f.readinto(buffer)
            self._errors = 0
            return n
        except OSError as e:
            if e.args[0] == _ENOENT:
                return 0
            # A passing fault must not cost readings; a lasting one must not block the queue for ever.
            self._errors += 1
            if self._errors < 4:
                raise _failed("%s cannot be read" % name, e) from e
            self._event("%s cannot be read: skipped" % name)
            return 0

    def _size_of(self, name: str) -> int:
        try:
            return os.stat(self._path + "/" + name)[6]
        except OSError:
            return 0

    def _remove(self, name: str) -> bool:
        try:
            os.remove(self._path + "/" + name)
            return True
        except OSError as e:
            self._event("%s cannot be removed (error %s)" % (name, e.args[0]))
            return False

    def _segment(self, base: int, at: int = 8) -> Scan:
        return Scan(lambda at, buffer: self._read("s%d" % base, at, buffer), 512, base, at)

    def _context_of(self, base: int) -> Context:
        scan = self._segment(base)
        while not scan.context and scan.step():
            pass
        return scan.context

    def _read_slot(self, n: int) -> bytes:
        raw = bytearray(_SLOT)
        return raw[: self._read("j%d" % n, 0, raw)]

    def _journal(self, number: int, raw: bytes = None) -> Scan:
        if raw is None:
            raw = self._slot if number == self._last else self._read_slot(number % _SLOTS)

        def read(at: int, buffer: bytearray) -> int:
            n = max(len(raw) - at, 0)
            buffer[:n] = raw[at:]
            return n

        context = self._context
        scan = Scan(read, _SLOT, context.base if context else 0, _HEAD)
        scan.context = context
        scan.raw = raw
        scan.last = raw is self._slot
        return scan

    # ---- opening

    def _recover(self) -> None:
        try:
            names = os.listdir(self._path)
        except OSError:
            os.mkdir(self._path)
            return
        slots = []
        segments = self._segments
        for name in names:
            n = _number(name)
            if name[0] == "s" and n > 0:
                segments.append(n)
            elif name[0] == "j" and 0 <= n < _SLOTS:
                slots.append(n)
            elif name not in ("q0", "q1"):
                self._event("foreign file %s is left alone" % name)
        segments.sort()
        head = bytearray(8)
        for base in segments:
            n = self._read("s%d" % base, 0, head)
            if n == 8 and head[:3] == _MAGIC and crc32(head[:4]) == unpack("<I", head[4:])[0] and head[3] > _VERSION:
                raise SpoolError(
                    "%s was written by a newer firmware (format %d): install that one or choose another folder"
                    % (self._path, head[3])
                )
        # The last segment gives the context; one cut short while it was made holds nothing yet.
        while segments:
            self._context = self._context_of(segments[-1])
            if self._context:
                self.tag = self._context.tag
                break
            self._event("s%d is empty or not readable: removed" % segments[-1])
            self._remove("s%d" % segments.pop())
        slots = self._find_slots(slots)
        self._base()
        if self._replay(slots) or self._bad:
            self._base()
            self._survey(8)
            self._replay(slots)
            # Never give a number again that a lost record may have had.
            self.next_sequence += _SLOTS * 16
            self._renew = self._unsaved = True
            self._event("the journal was damaged: going on at sequence %d" % self.next_sequence)
        elif segments and self._size_of("s%d" % segments[-1]) != self._size:
            self._survey(self._size)
        if segments and self._cursor < segments[0]:
            self._skip(segments[0])
        self._collect()

    def _find_slots(self, names: list) -> list:
        """[(number, content)] of the slots in the order they were written."""
        found = []
        for n in names:
            raw = self._read_slot(n)
            number = -1
            if len(raw) >= _HEAD:
                number = raw[0] | raw[1] << 8 | raw[2] << 16
                if crc32(raw[:3]) & 0xFFFF != raw[3] | raw[4] << 8 or number % _SLOTS != n:
                    number = -1
            if number >= 0:
                found.append((number, raw))
            elif raw:
                self._bad.append((n, raw))
        after = max(found)[0] + 1 if found else _SLOTS
        for n, raw in self._bad:
            found.append((after - (after - n) % _SLOTS, raw))
        found.sort()
        return found

    def _base(self) -> None:
        """What the last segment's context alone says."""
        context = self._context
        if context:
            self.next_sequence = self._cursor = context.base
            self._sampled = self._acknowledged = context.total
            self._moved = context.base - 1

    def _replay(self, slots: list) -> bool:
        """Takes over what the slots say. True when something in those in use was not readable."""
        damaged = bool(slots)
        if damaged:
            self._first = slots[0][0]
        sample = Sample()
        last = -1
        for number, raw in slots:
            if number != last + 1:
                damaged = True  # one is missing
            scan = self._journal(number, raw)
            self._last = last = number
            self._slot = raw
            self._at = 0
            while scan.step():
                if STATE <= scan.kind <= ROUND:
                    self._at = scan.at - scan.stop + scan.start
                    if self._load(scan) and scan.kind == ROUND:
                        self._first = number
                        self._moved = max(self._moved, self.next_sequence - 1)
                        damaged = False
                elif scan.kind < CONTEXT:
                    self._at = 0
                    self._count(scan, sample)
            damaged = damaged or scan.damaged
        return damaged

    def _survey(self, at: int) -> None:
        """Takes over what the end of the last segment says."""
        if self._segments:
            sample = Sample()
            scan = self._segment(self._segments[-1], at)
            scan.context = self._context
            while scan.step():
                if scan.kind == STATE:
                    self._load(scan)
                elif scan.kind < CONTEXT:
                    self._count(scan, sample)
                    self._moved = max(self._moved, sample.sequence)

    # ---- settling the books

    def _missing(self, base: int, total: int) -> int:
        """Readings of samples before `base` that no counter has yet, when `total` were sampled before it."""
        n = total - self._acknowledged - self._quarantined - self._dropped - self._damaged
        for sequence, mask in self._partial.items():
            if sequence >= base:
                n += _ones(mask)
        return max(n, 0)

    def _move_cursor(self, sequence: int) -> None:
        self._cursor = sequence
        self._partial = {n: mask for n, mask in self._partial.items() if n >= sequence}
        self._unsaved = True

    def _skip(self, base: int) -> None:
        """The segments before `base` are gone: what was queued in them is dropped."""
        context = self._context_of(base)
        if context:
            self._dropped += self._missing(base, context.total)
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
        before = self._dropped
        segments.pop(0)
        self._epoch += 1
        if self._cursor < segments[0]:
            self._skip(segments[0])
        self._event("full: %d of the oldest readings dropped" % (self._dropped - before))
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
        free = disk[1] * disk[3]
        return disk[3] > disk[2] or free < _RESERVE

    # ---- writing

    def _write(self, name: str, mode: str, parts) -> None:
        """Writes what parts() yields. Answers a full disk by dropping the oldest segment, where the policy is so."""
        before = self._size_of(name) if mode == "ab" else 0
        while True:
            size = 0
            try:
                with open(self._path + "/" + name, mode) as f:
                    n = before
                    for part in parts():
                        n += len(part)
                        f.write(part)
                    size = n
                return
            except OSError as e:
                if before and self._size_of(name) == size:
                    return  # an append is all there, whatever was said when the file was closed
                if e.args[0] != _ENOSPC or not self._oldest or not self._drop():
                    raise

    def _commit(self) -> None:
        if self._dirty:
            self._write("j%d" % (self._last % _SLOTS), "wb", lambda: (self._slot,))
            self._dirty = False
        self._waiting = 0

    def _start_slot(self) -> None:
        self._last += 1
        head = pack("<I", self._last)[:3]
        self._slot = head + pack("<H", crc32(head) & 0xFFFF)
        self._at = 0

    def _start_round(self) -> None:
        """Nothing in the slots is needed any more: begins again with the state alone."""
        self._start_slot()
        self._first = self._last
        self._at = _HEAD
        self._slot += self._state(ROUND)
        self._dirty = True
        self._unsaved = self._renew = False
        self._epoch += 1

    def _live(self) -> int:
        """The first sequence that is queued and only in the slots."""
        return max(self._cursor, self._moved + 1)

    def _parts(self, record: bytes):
        yield self._state()
        live = self._live()
        for number in range(self._first, self._last + 1):
            scan = self._journal(number)
            while scan.step():
                if scan.kind < CONTEXT and scan.context.base + scan.get() >= live:
                    yield memoryview(scan.buffer)[scan.start : scan.stop]
        if record:
            yield record

    def _roll(self, record: bytes = None, readings: int = 0) -> None:
        """Empties the slots into the last segment, followed by a record too large for a slot."""
        self._commit()
        context = self._context
        if context:
            name = "s%d" % self._segments[-1]
            if record or self._live() < self.next_sequence:
                while self._oldest and self._full() and self._drop():
                    pass
                self._write(name, "ab", lambda: self._parts(record))
            if record:
                self.next_sequence += 1
                self._sampled += readings
            self._size = self._size_of(name)
        self._moved = self.next_sequence - 1
        self._start_round()
        while self._bad:
            self._remove("j%d" % self._bad.pop()[0])
        self._due = (
            not context
            or context.channels != self._channels
            or self._size > self._segment_bytes - 2048
            or self.next_sequence - context.base > _REBASE
            or (self._time and not context.time)
        )

    def _rotate(self) -> None:
        """Begins a new segment. No slot may hold samples then: they could not be read with its context."""
        if self._context:
            self._commit()
        base = self.next_sequence
        context = Context(base, self._sampled, self._time, self._every, self.tag, self._channels)
        record = context.encode()
        head = _MAGIC + bytes((_VERSION,))
        self._write("s%d" % base, "wb", lambda: (head, pack("<I", crc32(head)), record, record, self._state()))
        self._context = context
        if not self._segments or self._segments[-1] != base:
            self._segments.append(base)
        self._size = self._size_of("s%d" % base)
        self._due = False
        self._start_round()
        self._collect()

    def _fit(self, end: int, size: int, spare: int) -> bool:
        """Makes room in a slot. False when the slots must be emptied first."""
        if not self._slot or self._renew:
            return False
        if end + size <= _SLOT:
            return True
        self._commit()
        if self._last - self._first >= _SLOTS - spare:
            return False
        self._start_slot()
        return True

    def _save(self, commit: bool = True) -> None:
        """Writes the state."""
        self._unsaved = True
        if not self._context:
            return  # nothing was ever stored
        try:
            body = self._state()
            if self._fit(self._at or len(self._slot), len(body), 2):
                end = self._at or len(self._slot)
                if end == _HEAD and self._last == self._first:
                    body = self._state(ROUND)
                self._slot = self._slot[:end] + body
                self._at = end
                self._dirty = True
                self._unsaved = False
            else:
                self._roll()
            if commit:
                self._commit()
        except OSError as e:
            raise _failed("the state of the queue cannot be written", e) from e

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
        try:
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
                    self._declined += readings
                    self._event("full: %d new readings dropped" % readings)
                    self._save()
                    return 0
                if large:
                    self._roll(record, readings)
                    break
                self._roll()
            if not large:
                before = self._slot, self._at
                self._slot = self._slot + record  # not in place: before and readers hold the old one
                self._at = 0
                self._dirty = True
                if self._ticks:
                    now = self._ticks()
                    if not self._waiting:
                        self._since = now
                    late = self._commit_ms and (now - self._since) & 0x3FFFFFFF >= self._commit_ms
                else:
                    late = False
                self._waiting += 1
                if late or self._waiting >= self._commit_samples:
                    waiting = self._waiting
                    try:
                        self._commit()
                    except OSError:
                        # It may be on flash all the same: still dirty, the next commit takes it back.
                        self._slot, self._at = before
                        self._waiting = waiting - 1
                        raise
                self.next_sequence += 1
                self._sampled += readings
        except OSError as e:
            raise _failed("a sample cannot be stored", e) from e
        if large:
            try:
                self._commit()
            except OSError:
                pass  # the sample is on flash; the state follows with the next commit
        return sequence

    def sync(self) -> None:
        """Puts on flash what is not there yet: before sleep, reset or an update. Raises SpoolError."""
        if self._unsaved:
            self._save()
        try:
            self._commit()
        except OSError as e:
            raise _failed("the journal cannot be written", e) from e

    close = sync

    # ---- for the uplink

    def _source(self, k: int) -> Scan:
        """File number k in the order of the queue: the segments, then the slots. None past the end."""
        n = len(self._segments)
        if k < n:
            return self._segment(self._segments[k])
        k += self._first - n
        return self._journal(k) if k <= self._last and self._slot else None

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
            segments = self._segments
            if epoch != self._epoch:  # at the start, and when files have moved
                epoch = self._epoch
                sequence = max(sequence, self._cursor)
                hint = self._hint
                k = 0
                if hint and hint[0] == epoch and hint[1] <= sequence:
                    k = hint[2]
                elif sequence > self._moved:
                    k = len(segments)
                else:
                    hint = None
                    while k + 1 < len(segments) and segments[k + 1] <= sequence:
                        k += 1
                scan = self._source(k)
                if hint and k < len(segments):
                    scan.at, scan.context = hint[3:]
            if scan is None:
                break
            stop = segments[k + 1] if k + 1 < len(segments) else self._moved + 1 if k < len(segments) else 1 << 60
            while scan.step():
                if scan.kind < CONTEXT and scan.sample(sample, values):
                    n = sample.sequence
                    if sequence <= n < stop and self._cursor <= n < self.next_sequence:
                        sequence = n + 1
                        readings = sample.values
                        mask = self._partial.get(n, 0)
                        for i in range(len(readings)) if mask else ():
                            if mask >> i & 1:
                                readings[i] = None
                        if readings.count(None) < len(readings):
                            empty = False
                            sample.context = scan.context
                            sample.place = (epoch, sequence, k, scan.at, scan.context)
                            yield sample
                            if epoch != self._epoch:
                                break
            else:
                # What was the last slot when it was copied may have grown.
                if k < len(segments) or not scan.last or scan.raw is self._slot:
                    k += 1
                scan = self._source(k)
        if empty and self._cursor < self.next_sequence:
            self._drained()

    def _drained(self) -> None:
        """Nothing readable is queued any more: what the books still hold was damaged."""
        self._move_cursor(self.next_sequence)
        lost = self.queued
        if lost > 0:
            self._damaged += lost
            self._event("%d readings were damaged on flash" % lost)
        elif lost < 0:
            self._sampled -= lost

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
            for sample in self.peek(False):
                context = sample.context
                if context.base != base:
                    base = context.base
                    if base > self._cursor:
                        lost = max(lost, self._missing(base, context.total) - count)
                if sample.sequence > upto:
                    break
                count += len(sample.values) - sample.values.count(None)
                place = sample.place
            else:
                sample = None
            self._acknowledged += count
            if lost:
                self._damaged += lost
                self._event("%d readings were damaged on flash" % lost)
            self._hint = place
            if sample:
                self._move_cursor(sample.sequence)
            else:
                self._drained()
        self._upto = 0
        self._save()
        self._collect()

    def _settle(self, sequence: int, index: int, reason: str) -> bool:
        for sample in self.peek():
            if sample.sequence >= sequence:
                break
        else:
            return False
        if sample.sequence != sequence or sample.values[index] is None:
            return False
        if len(self._partial) >= _PARTIAL and sequence not in self._partial:
            raise SpoolError("%d samples are settled in part: acknowledge the oldest first" % _PARTIAL)
        if reason is not None:
            self._reject(sample, index, reason)
            self._quarantined += 1
        else:
            self._acknowledged += 1
        self._partial[sequence] = self._partial.get(sequence, 0) | 1 << index
        for sample in self.peek(False):
            self._move_cursor(sample.sequence)
            break
        self._save()
        self._collect()
        return True

    def settle(self, sequence: int, index: int) -> bool:
        """The reading of channel `index` has been accepted; the rest of its sample stays queued. False when it is not
        queued. Raises SpoolError as `ack` does.
        """
        return self._settle(sequence, index, None)

    def quarantine(self, sequence: int, index: int, reason: str) -> bool:
        """Sets one reading aside with the reason; the rest of its sample stays queued. False when it is not queued.
        Raises SpoolError as `ack` does.
        """
        return self._settle(sequence, index, reason)

    def _reject(self, sample: Sample, index: int, reason: str) -> None:
        for row in self.quarantined_rows():
            if row[0] == sample.sequence and row[1] == index:
                return  # written before the power went
        variable, unit, decimals = sample.channels[index]
        value = sample.values[index]
        body = bytearray((REJECT,))
        put(body, sample.sequence)
        put(body, index)
        put(body, 0 if sample.time is None else sample.time + 1)
        put_text(body, variable)
        put_text(body, unit)
        put_value(body, value[:256] if isinstance(value, str) else value, 10**decimals)
        body.append(decimals)
        put_text(body, reason[:256])
        record = seal(body)
        try:
            if self._size_of("q0") + len(record) > _REJECTS:
                if self._size_of("q1"):
                    self._remove("q1")
                os.rename(self._path + "/q0", self._path + "/q1")
            self._write("q0", "ab", lambda: (record,))
        except OSError as e:
            raise _failed("the quarantine cannot be written", e) from e

    def quarantined_rows(self):
        """Yields (sequence, index, time, variable, unit, value, reason) of the newest quarantined readings, oldest
        first: as many as fit in 4 kB.
        """
        for name in ("q1", "q0"):
            if self._size_of(name):
                scan = Scan(lambda at, buffer, name=name: self._read(name, at, buffer), 512)
                while scan.step():
                    if scan.kind == REJECT:
                        yield scan.reject()
