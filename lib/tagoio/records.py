"""Readings as TagoIO records: the rules for names, units, values and time, and the encoding of a batch.

What belongs here: everything that decides which bytes a reading becomes. What does not: choosing the
readings, sending the bytes, reading the answer.

One record on the wire, without white space (``unit``, ``time``, ``location``, ``metadata`` only when known)::

    {"variable":"temperature","value":21.43,"unit":"°C","time":"2026-01-02T03:04:05.678Z","group":"k3x9q2_17"}

A body is a JSON array of such records. It is never held in memory: a first pass adds up the sizes, which
gives the exact Content-Length, a second one fills a small buffer again and again::

    encoder = Encoder("k3x9q2", bytearray(4096))        # once: tag of the spool, buffer
    total, last = EMPTY, 0                              # pass 1: choose the batch
    for sample in spool.peek():
        size = encoder.size(sample)                     # RecordError names a reading that cannot be sent
        if total + size > 32768:                        # TagoIO takes 200,000
            break
        total, last = total + size, sample.sequence

    for piece in encoder.pieces(chosen(spool, last)):   # pass 2: memoryviews of the buffer,
        await send(piece)                               # `total` bytes in all

A *sample* is any object with ``sequence`` (int), ``time`` (unix ms or None), ``channels`` (tuple of
(variable, unit, decimals)), ``values`` (one a channel, None = nothing to send), ``location`` (None or
(latitude, longitude) in degrees) and ``metadata`` (None or a dict of JSON values). All records of a sample
carry its time, group, location and metadata. Both passes must see the same samples: the sender compares
the bytes it sent with the size it announced.

Sources: TagoIO API, "Sending data" (names, lengths, 200 kB a body); RFC 8259 (JSON); RFC 3339 (time).
"""

from micropython import const

_VARIABLE_MAX = const(100)  # characters of a variable's name
_UNIT_MAX = const(25)  # characters of a unit; what is longer is cut
_VALUE_MAX = const(6000)  # bytes of a text value as it stands in the JSON, quotes included
EMPTY = const(1)  # size of a body before its first record; if it stays at that there is nothing to send

_DAY_MS = const(86400000)
_TIMED = const(34)  # bytes of ,"time":"2026-01-02T03:04:05.678Z"
_CLOSING = const(2)  # bytes of a record's brace and its separator


class RecordError(ValueError):
    """A reading that no server would take. ``channel`` is its index in the sample's channels,
    or None when the fault lies in what all readings of the sample share (location, metadata)."""

    def __init__(self, channel, reason: str):
        super().__init__(reason)
        self.channel = channel


def clean_variable(name: str) -> str:
    """The name as TagoIO stores it: lower case, everything outside [a-z0-9_] replaced by ``_``,
    cut at 100 characters. Of no name at all it makes ``_``: settings are checked elsewhere, readings are kept."""
    clean = ""
    for c in name[:_VARIABLE_MAX]:
        if "A" <= c <= "Z":
            c = c.lower()
        elif not ("a" <= c <= "z" or "0" <= c <= "9"):
            c = "_"
        clean += c
    return clean or "_"


def quote(text: str) -> bytes:
    """``text`` as a JSON string. Characters beyond ASCII stay as they are, in UTF-8."""
    data = text.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for code in range(32):
        control = b"%c" % code
        if control in data:
            data = data.replace(control, b"\\u%04x" % code)
    return b'"' + data + b'"'


def format_value(value, decimals: int):
    """The JSON of one value as bytes, or None for what JSON has no word for: NaN, infinities, other types.

    A float gets at most ``decimals`` (0 to 6) decimals, no trailing zeros and never a minus before a zero.
    From 10^16 on, where a float has no decimals left, it is printed with an exponent.
    """
    if isinstance(value, float):
        if -1e16 < value < 1e16:
            text = b"%.*f" % (decimals, value)
            if decimals and text[-1] == 48:  # "0"
                text = text.rstrip(b"0")
                if text[-1] == 46:  # "."
                    text = text[:-1]
            return b"0" if text == b"-0" else text
        return str(value).encode() if value - value == 0 else None
    if value is True:
        return b"true"
    if value is False:
        return b"false"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, str):
        return quote(value)
    return None


def iso8601(unix_ms: int) -> bytes:
    """``2026-01-02T03:04:05.678Z`` in ASCII for milliseconds since 1970-01-01 UTC, years 1970 to 9999.

    Integers only, and not through the time module: boards count from different epochs and their floats
    cannot hold a time.
    """
    days, ms = divmod(unix_ms, _DAY_MS)
    return _date(days) + _time_of_day(ms)


def _date(days):
    # Days since 1970-01-01 as in the proleptic Gregorian calendar, counted in eras of 400 years (146,097 days)
    # that begin on 1 March, so that the leap day is the last of its year.
    era, day = divmod(days + 719468, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    year += 400 * era
    month += 3
    if month > 12:
        month -= 12
        year += 1
    return b"%04d-%02d-%02d" % (year, month, day)


def _time_of_day(ms):
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    return b"T%02d:%02d:%02d.%03dZ" % (minutes // 60, minutes % 60, seconds, ms)


def group(tag: str, sequence: int) -> str:
    """What ties the readings of one sample together at the server: ``k3x9q2_17``."""
    return tag + "_" + str(sequence)


def _refusal(value, text):
    if text is None:
        return f"{value} is no JSON value: the sensor gave no number"
    return f"a text of {len(text)} bytes, TagoIO takes {_VALUE_MAX}: shorten it"


class Encoder:
    """Sizes and encodes samples. One for the life of a node; ``tag`` is the spool's, ``buffer`` a bytearray
    of at least a few hundred bytes which every piece is made in."""

    def __init__(self, tag: str, buffer: bytearray):
        self._group = b',"group":"' + tag.encode() + b'_%d"'
        self._days = None  # the day that _date was made for
        self._date = b""
        self._view = memoryview(buffer)
        self._channels = None  # those that _fixed was made for
        self._fixed: list = []

    def size(self, sample) -> int:
        """Bytes which the sample adds to a body: its records and one separator each. A body of n samples has
        EMPTY + their sizes. Raises RecordError for the first reading that cannot be sent: set it aside,
        put None in its place, ask again."""
        shared = _CLOSING + len(self._group % sample.sequence) + len(self._extras(sample))
        if sample.time is not None:
            shared += _TIMED
        fixed = self._constant(sample.channels)
        text_of = format_value
        total = 0
        for index, value in enumerate(sample.values):
            if value is not None:
                _, _, decimals, constant = fixed[index]
                text = text_of(value, decimals)
                if text is None or len(text) > _VALUE_MAX:
                    raise RecordError(index, _refusal(value, text))
                total += len(text) + constant + shared
        return total

    def pieces(self, samples):
        """Generator of the body's bytes as memoryviews of the buffer, all but the last of them full. The
        next step overwrites the one before. ``samples`` is gone through once; it may hand out one reused object."""
        text_of = format_value
        view = self._view
        room = len(view)
        view[:1] = b"["
        at = 1
        for sample in samples:
            values = sample.values
            tail = self._tail(sample)
            for index, (head, middle, decimals, _) in enumerate(self._constant(sample.channels)):
                value = values[index]
                if value is not None:
                    text = text_of(value, decimals)
                    if text is None or len(text) > _VALUE_MAX:
                        raise RecordError(index, _refusal(value, text))
                    record = b"".join((head, text, middle, tail))
                    size = len(record)
                    end = at + size
                    if end <= room:
                        view[at:end] = record
                        at = end
                    else:
                        start = 0
                        while size - start > room - at:
                            end = start + room - at
                            view[at:] = record[start:end]
                            yield view
                            start = end
                            at = 0
                        end = size - start
                        view[:end] = record[start:]
                        at = end
        if view[at - 1] != 44:  # "," of the last record
            at += 1
        view[at - 1 : at] = b"]"
        yield view[:at]

    def _constant(self, channels):
        # A record's bytes up to its value, and from there to what the sample shares: made once a segment.
        if channels is not self._channels:
            fixed = []
            for variable, unit, decimals in channels:
                head = b'{"variable":"' + clean_variable(variable).encode() + b'","value":'
                middle = b',"unit":' + quote(unit[:_UNIT_MAX]) if unit else b""
                fixed.append((head, middle, decimals, len(head) + len(middle)))
            self._fixed = fixed
            self._channels = channels
        return self._fixed

    def _tail(self, sample):
        # What all records of a sample end in.
        text = self._group % sample.sequence + self._extras(sample) + b"},"
        if sample.time is None:
            return text
        days, ms = divmod(sample.time, _DAY_MS)
        if days != self._days:
            self._date = b',"time":"' + _date(days)
            self._days = days
        return self._date + _time_of_day(ms) + b'"' + text

    def _extras(self, sample):
        location = sample.location
        metadata = sample.metadata
        if location is None and not metadata:
            return b""
        from tagoio import extras  # few have any

        return extras.encode(location, metadata)
