"""Opening a spool: what the files of its folder say. Imported for that and dropped, so that its code costs no heap
afterwards: nothing that outlives the opening may be defined here, for a function keeps its whole module alive.
"""

from binascii import crc32
from struct import unpack

from micropython import const

from spool.queue import SpoolError, failed
from spool.records import Sample, Scan

_CONTEXT = const(0x80)  # kinds of records; those below are samples
_STATE = const(0x81)
_ROUND = const(0x82)
_SLOT = const(126)
_SLOTS = const(28)
_HEAD = const(5)
_VERSION = const(1)
_SAMPLED = const(0)  # places in Spool._books
_ACKNOWLEDGED = const(1)


def start(
    spool,
    os,
    path: str,
    channels: tuple,
    limit: int,
    policy: str,
    commit_samples: int,
    commit_ms: int,
    tag_bytes: bytes,
    every: int,
) -> None:
    """Sets every attribute of a new Spool from its arguments and from what is on flash, through this `os`."""
    if policy not in ("drop_oldest", "drop_newest"):
        raise ValueError("policy must be drop_oldest or drop_newest")
    if limit < 65536:
        raise ValueError("limit must be at least 65536 bytes")
    spool._path = path + "/"
    spool._channels = tuple([tuple(channel) for channel in channels])
    spool._limit = limit
    spool._segment_bytes = min(max(limit // 16 & ~4095, 8192), 32768)
    spool._oldest = policy == "drop_oldest"
    spool._commit_samples = commit_samples
    spool._commit_ms = commit_ms if spool._ticks else 0
    spool._every = every
    spool._time = spool._epoch = spool._errors = 0
    spool._hint = spool._context = spool.tag = None
    spool.next_sequence = spool._cursor = 1
    spool._upto = spool.boot = spool._size = spool._moved = 0
    spool._books = [0] * 6
    spool._partial = {}
    spool._segments = []
    spool._first = spool._last = spool._at = spool._waiting = spool._since = 0
    spool._slot = b""
    spool._dirty = spool._unsaved = spool._renew = False
    spool._bad = []
    try:
        _recover(spool, os, path)
    except OSError as e:
        raise failed("spool folder %s cannot be opened" % path, e) from e
    spool.boot += 1
    spool._due = not spool._context
    if spool.tag is None:
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        spool.tag = "".join([letters[b % 36] for b in tag_bytes or os.urandom(6)])[:6]


def _recover(spool, os, path: str) -> None:
    try:
        names = os.listdir(path)
    except OSError:
        os.mkdir(path)
        return
    slots = []
    segments = spool._segments
    for name in names:
        n = _number(name)
        if name[0] == "s" and n > 0:
            segments.append(n)
        elif name[0] == "j" and 0 <= n < _SLOTS:
            slots.append(n)
        elif name not in ("q0", "q1"):
            spool._log("foreign file %s is left alone" % name)
    segments.sort()
    head = bytearray(8)
    for base in segments:
        n = spool._read("s%d" % base, 0, head)
        if n == 8 and head[:3] == b"TnS" and crc32(head[:4]) == unpack("<I", head[4:])[0] and head[3] > _VERSION:
            raise SpoolError(
                "%s was written by a newer firmware (format %d): install that one or choose another folder"
                % (path, head[3])
            )
    # The last segment gives the context; one cut short while it was made holds nothing yet.
    while segments:
        scan = spool._segment(segments[-1])
        while not scan.context and scan.step():
            pass
        if scan.context:
            spool._context = scan.context
            spool.tag = scan.context.tag
            break
        spool._log("s%d is empty or not readable: removed" % segments[-1])
        spool._remove("s%d" % segments.pop())
    slots = _find_slots(spool, slots)
    _base(spool)
    if _replay(spool, slots) or spool._bad:
        _base(spool)
        _survey(spool, 8)
        _replay(spool, slots)
        # Never give a number again that a lost record may have had.
        spool.next_sequence += _SLOTS * 16
        spool._renew = spool._unsaved = True
        spool._log("the journal was damaged: going on at sequence %d" % spool.next_sequence)
    elif segments and spool._size_of("s%d" % segments[-1]) != spool._size:
        _survey(spool, spool._size)
        # The power went when the slots had been emptied and were not yet begun anew: that comes first now. A state in
        # them that is newer than the one that was moved would else lose against it at the next start.
        spool._renew = spool._unsaved = True
    if segments and spool._cursor < segments[0]:
        spool._skip(segments[0])
    spool._collect()


def _number(name: str) -> int:
    try:
        return int(name[1:])
    except ValueError:
        return -1


def _find_slots(spool, names: list) -> list:
    """[(number, content)] of the slots in the order they were written."""
    found = []
    bad = []
    for n in names:
        raw = bytearray(_SLOT)
        raw = raw[: spool._read("j%d" % n, 0, raw)]
        number = -1
        if len(raw) >= _HEAD:
            number = raw[0] | raw[1] << 8 | raw[2] << 16
            if crc32(raw[:3]) & 0xFFFF != raw[3] | raw[4] << 8 or number % _SLOTS != n:
                number = -1
        if number >= 0:
            found.append((number, raw))
        elif raw or spool._size_of("j%d" % n):
            spool._bad.append(n)
            bad.append((n, raw))
    after = max(found)[0] + 1 if found else _SLOTS
    for n, raw in bad:
        found.append((after - (after - n) % _SLOTS, raw))
    found.sort()
    return found


def _base(spool) -> None:
    """What the last segment's context alone says."""
    context = spool._context
    if context:
        spool.next_sequence = spool._cursor = context.base
        spool._books[_SAMPLED] = spool._books[_ACKNOWLEDGED] = context.total
        spool._moved = context.base - 1


def _replay(spool, slots: list) -> bool:
    """Takes over what the slots say. True when something in those in use was not readable."""
    damaged = bool(slots)
    if damaged:
        spool._first = slots[0][0]
    sample = Sample()
    last = -1
    for number, raw in slots:
        if number != last + 1:
            damaged = True  # one is missing
        scan = Scan(None, raw, 0, _HEAD, spool._context)
        spool._last = last = number
        spool._slot = raw
        spool._at = 0
        while scan.step():
            if _STATE <= scan.kind <= _ROUND:
                spool._at = scan.start
                if _load(spool, scan) and scan.kind == _ROUND:
                    spool._first = number
                    spool._moved = max(spool._moved, spool.next_sequence - 1)
                    damaged = False
            elif scan.kind < _CONTEXT:
                spool._at = 0
                _count(spool, scan, sample)
        damaged = damaged or scan.damaged
    return damaged


def _survey(spool, at: int) -> None:
    """Takes over what the end of the last segment says."""
    if spool._segments:
        sample = Sample()
        scan = spool._segment(spool._segments[-1])
        scan.at = at
        scan.context = spool._context
        while scan.step():
            if scan.kind == _STATE:
                _load(spool, scan)
            elif scan.kind < _CONTEXT:
                _count(spool, scan, sample)
                spool._moved = max(spool._moved, sample.sequence)


def _load(spool, scan: Scan) -> bool:
    """Takes over a state record unless what is known is newer."""
    get = scan.get
    n = get()
    if n < spool.next_sequence:
        return False
    spool.next_sequence = n
    spool._cursor = cursor = n - get()
    spool._upto = cursor + get() - 1
    spool.boot = get()
    for i in range(len(spool._books)):
        spool._books[i] = get()
    spool._size = get()
    spool._partial = {}
    for _ in range(get()):
        n = cursor + get()
        spool._partial[n] = get()
    return True


def _count(spool, scan: Scan, sample: Sample) -> None:
    """Takes over a sample record."""
    if not scan.sample(sample, False):
        return
    gap = sample.sequence - spool.next_sequence
    if gap >= 0:
        channels = len(sample.values)
        spool._books[_SAMPLED] += channels - sample.values.count(None) + gap * channels
        spool.next_sequence = sample.sequence + 1
    spool.boot = max(spool.boot, sample.boot)
