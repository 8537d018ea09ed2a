"""The bytes of a record, and the search for good records in a file. FORMAT.md is the reference.

Belongs here: what a record looks like. Does not belong here: which files there are, what is queued, when to write.
"""

import json
from binascii import crc32
from struct import pack, unpack

from micropython import const

_CONTEXT = const(0x80)  # kinds below are samples: the kind byte holds their flags
_REJECT = const(0x83)
_RECORD_MAX = const(8192)  # bytes of the longest body
_RECORD_MIN = const(6)  # bytes of the shortest record
_GOOD = const(0x2144DF1C)  # CRC-32 of anything followed by its own CRC-32

_EXCEPTIONS = const(1)
_UNSTAMPED = const(2)
_ESTIMATED = const(4)
_LOCATION = const(8)
_METADATA = const(16)
_FLAGS = const(32)  # the first value which is no set of flags

_NONE = const(0)
_FALSE = const(1)
_TRUE = const(2)
_INT = const(3)
_DECIMAL = const(4)
_FLOAT32 = const(5)
_FLOAT64 = const(6)
_TEXT = const(7)

_WINDOW = const(512)  # bytes of a file held at a time


def put(out: bytearray, n: int) -> None:
    """Appends an unsigned LEB128 number."""
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)


def put_signed(out: bytearray, n: int) -> None:
    """Appends a signed number: 0, -1, 1, -2 … become 0, 1, 2, 3 …"""
    put(out, n << 1 if n >= 0 else ~(n << 1))


def put_text(out: bytearray, text: str) -> None:
    raw = text.encode()
    put(out, len(raw))
    out.extend(raw)


def seal(body: bytearray, seed: int = 0) -> bytes:
    """A whole record: length, body, CRC-32 of both started from `seed`. Raises ValueError when it is too long."""
    n = len(body)
    if n > _RECORD_MAX:
        raise ValueError("sample of %d bytes: the spool stores at most 8192" % n)
    out = bytearray()
    put(out, n)
    out.extend(body)
    out.extend(pack("<I", crc32(out, seed)))
    return out


def _decimal(value: float, scale: int) -> int:
    """The integer n with n / scale == value exactly, or None."""
    n = value * scale
    if -1e9 < n < 1e9:  # false for NaN too
        n = round(n)
        if n / scale == value:
            return n
    return None


def put_value(out: bytearray, value, scale: int) -> None:
    """Appends one value with its type, whatever it is. Raises ValueError for a type that cannot be stored."""
    kind = type(value)
    if value is None:
        out.append(_NONE)
    elif kind is bool:
        out.append(_FALSE + value)
    elif kind is int:
        out.append(_INT)
        put_signed(out, value)
    elif kind is float:
        n = _decimal(value, scale)
        if n is not None:
            out.append(_DECIMAL)
            put_signed(out, n)
            return
        try:
            raw = pack("<f", value)
        except OverflowError:  # CPython; MicroPython packs an infinity
            raw = pack("<f", 0.0)
        if unpack("<f", raw)[0] == value or value != value:
            out.append(_FLOAT32)
        else:
            raw = pack("<d", value)
            out.append(_FLOAT64)
        out.extend(raw)
    elif kind is str:
        out.append(_TEXT)
        put_text(out, value)
    else:
        raise ValueError("a value must be a number, text, True, False or None")


class Context:
    """What the samples of one segment have in common.

    base: sequence of its first sample. total: readings sampled before it. time, every: a sample's time is expected at
    time + (sequence - base) * every, in ms. tag: text of 6. channels: tuple of (variable, unit, decimals).
    """

    seed: int  # from which the CRCs of the segment's samples start

    def __init__(self, base: int, total: int, time: int, every: int, tag: str, channels: tuple):
        self.base = base
        self.total = total
        self.time = time
        self.every = every
        self.tag = tag
        self.channels = channels
        self.key = crc32(tag.encode())
        self.scales = scales = []
        for channel in channels:
            scales.append(10 ** channel[2])

    def encode(self) -> bytes:
        """Its record. Sets `seed`."""
        out = bytearray((_CONTEXT,))
        for n in (self.base, self.total, self.time, self.every):
            put(out, n)
        put_text(out, self.tag)
        put(out, len(self.channels))
        for variable, unit, decimals in self.channels:
            put_text(out, variable)
            put_text(out, unit)
            out.append(decimals)
        self.seed = crc32(out)
        return seal(out)


class Sample:
    """One pass over the sensors, as `peek` hands it out: the same object again and again.

    sequence: from 1. time: Unix ms, or None: then `mono` ms after the start of opening `boot`. estimated: the clock was
    not sure. channels: (variable, unit, decimals) each. values: one a channel, None where there is nothing to send.
    location, metadata: what was given to `append`, or None. place: where it comes from, for the queue alone.
    """

    sequence: int
    time: int
    mono: int
    boot: int
    estimated: bool
    channels: tuple
    location: object
    metadata: object
    place: tuple

    def __init__(self):
        self.values = []


class Scan:
    """Walks over the good records of one file, in constant memory, whatever bytes it holds.

    read(source, at, buffer) -> count fills the buffer from the file `source`; None when source is the bytes themselves.
    base: what a context must start at, None for any. at: where the first record begins.
    After a true `step()`: kind; start, stop: where the record lies in `buffer`; at: file position of the next.
    """

    kind: int
    start: int
    stop: int
    i: int  # where in the buffer the next `get` reads
    known: Context = None  # taken when it is the one in the file, which then takes no memory
    channels: tuple = ()  # taken by a context with the same ones

    def __init__(self, read, source, base: int = None, at: int = 0, context: Context = None):
        self.read = read
        self.source = source
        self.base = base
        self.at = at
        self.context = context
        self.damaged = False
        # `filled` bytes of the file from `offset` on are in the buffer
        if read:
            self.buffer = bytearray(_WINDOW)
            self.offset = -1
            self.filled = 0
        else:
            self.buffer = source
            self.offset = 0
            self.filled = len(source)
        self.view = memoryview(self.buffer)

    def step(self) -> bool:
        at = self.at
        size = _RECORD_MIN
        while True:
            buffer = self.buffer
            start = at - self.offset
            if start + size > self.filled and self.read and (start or self.filled == len(buffer)):
                if len(buffer) < size:
                    self.buffer = buffer = bytearray(size)
                    self.view = memoryview(buffer)
                self.offset = at
                start = 0
                self.filled = self.read(self.source, at, buffer)
            i = self.filled - start
            if i < _RECORD_MIN:
                if i > 0:
                    self.damaged = True
                self.at = at
                return False
            i = start + 1
            stop = buffer[start]
            if stop > 127:
                stop = stop & 127 | buffer[i] << 7
                i += 1
            kind = buffer[i]
            if 0 < stop <= _RECORD_MAX and (kind < _FLAGS or _CONTEXT <= kind <= _REJECT):
                stop += i + 4
                if stop <= self.filled:
                    view = self.view
                    seed = 0
                    if kind < _REJECT and kind != _CONTEXT:
                        seed = -1
                        if self.context:
                            seed = self.context.seed if kind < _FLAGS else self.context.key
                    if seed >= 0 and crc32(view[start:stop], seed) == _GOOD:
                        self.i = i + 1
                        self.kind = kind
                        self.start = start
                        self.stop = stop
                        self.at = at + stop - start
                        if kind != _CONTEXT or self._context(crc32(view[i : stop - 4])):
                            return True
                elif stop - start > size:
                    size = stop - start
                    continue
            at += 1
            size = _RECORD_MIN
            self.damaged = True

    def get(self) -> int:
        """The next unsigned number of the record."""
        buffer = self.buffer
        i = self.i
        byte = buffer[i]
        i += 1
        n = byte & 127
        shift = 7
        while byte > 127:
            byte = buffer[i]
            i += 1
            n |= (byte & 127) << shift
            shift += 7
        self.i = i
        return n

    def get_signed(self) -> int:
        n = self.get()
        return ~(n >> 1) if n & 1 else n >> 1

    def get_raw(self, size: int) -> bytes:
        i = self.i
        self.i = i + size
        return bytes(self.view[i : i + size])

    def get_text(self) -> str:
        return str(self.get_raw(self.get()), "utf-8")

    def get_value(self, scale: int) -> object:
        tag = self.get()
        if tag == _NONE:
            return None
        if tag <= _TRUE:
            return tag == _TRUE
        if tag == _TEXT:
            return self.get_text()
        if tag == _FLOAT32:
            return unpack("<f", self.get_raw(4))[0]
        if tag == _FLOAT64:
            return unpack("<d", self.get_raw(8))[0]
        if tag > _TEXT:
            raise ValueError
        n = self.get_signed()
        return n / scale if tag == _DECIMAL else n

    def _context(self, seed: int) -> bool:
        if self.context:
            return self.context.seed == seed
        known = self.known
        if known and known.seed == seed and known.base == self.base:
            self.context = known
            return True
        base, total, time, every, tag = self.get(), self.get(), self.get(), self.get(), self.get_text()
        if self.base is not None and base != self.base:
            return False  # another segment's bytes
        channels = []
        for _ in range(self.get()):
            channels.append((self.get_text(), self.get_text(), self.get()))
        same = tuple(channels)
        if same == self.channels:
            same = self.channels
        self.context = Context(base, total, time, every, tag, same)
        self.context.seed = seed
        return True

    def sample(self, out: Sample, whole: bool = True, first: int = 0) -> bool:
        """Decodes the sample of the last `step()`. whole: False leaves out what is not needed to count its readings.
        Returns False when its fields do not fill the record, or when its sequence is below `first`.
        """
        try:
            context = self.context
            flags = self.kind
            delta = self.get()
            out.sequence = context.base + delta
            if out.sequence < first:
                return False
            out.channels = context.channels
            out.estimated = bool(flags & _ESTIMATED)
            out.time = None
            out.boot = out.mono = 0
            if flags & _UNSTAMPED:
                out.boot = self.get()
                out.mono = self.get()
            else:
                out.time = self.get_signed() + context.time + delta * context.every
            mask = self.get() if flags & _EXCEPTIONS else 0
            values = out.values
            values.clear()
            if not whole and not mask:
                values.extend(context.scales)
                return True
            buffer = self.buffer
            i = self.i
            for scale in context.scales:
                if mask & 1:
                    if buffer[i] == _NONE:  # most of them: the channels of other sensors
                        value = None
                        i += 1
                    else:
                        self.i = i
                        value = self.get_value(scale)
                        i = self.i
                else:
                    # as get_signed: a call a value is what a batch's time would mostly go into
                    byte = buffer[i]
                    i += 1
                    n = byte & 127
                    shift = 7
                    while byte > 127:
                        byte = buffer[i]
                        i += 1
                        n |= (byte & 127) << shift
                        shift += 7
                    value = ~(n >> 1) if n & 1 else n >> 1
                    if scale > 1:
                        value /= scale
                values.append(value)
                mask >>= 1
            self.i = i
            out.location = json.loads(self.get_text()) if flags & _LOCATION else None
            out.metadata = json.loads(self.get_text()) if flags & _METADATA else None
            return self.i == self.stop - 4
        except (ValueError, IndexError):
            return False


def encode_sample(
    context: Context, sequence: int, values: list, time: int, boot: int, mono: int, estimated: bool, location, metadata
) -> bytes:
    """The record of one sample in a segment with this context."""
    body = bytearray(1)
    delta = sequence - context.base
    put(body, delta)
    flags = _ESTIMATED if estimated else 0
    if time is None:
        flags |= _UNSTAMPED
        put(body, boot)
        put(body, mono)
    else:
        put_signed(body, time - context.time - delta * context.every)
    mask = 0
    bit = 1
    packed = bytearray()
    for value, scale in zip(values, context.scales):
        # What a channel usually carries costs no type: a float of its decimals or, without decimals, an int.
        n = None
        if scale == 1:
            if type(value) is int:
                n = value
        elif type(value) is float:
            n = _decimal(value, scale)
        if n is None:
            mask |= bit
            put_value(packed, value, scale)
        else:
            put_signed(packed, n)
        bit <<= 1
    if mask:
        flags |= _EXCEPTIONS
        put(body, mask)
    body.extend(packed)
    for extra, flag in ((location, _LOCATION), (metadata, _METADATA)):
        if extra is not None:
            text = json.dumps(extra)
            json.loads(text)  # NaN and the like: refused now rather than when it is read
            flags |= flag
            put_text(body, text)
    body[0] = flags
    return seal(body, context.seed)
