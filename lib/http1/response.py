"""An answer, parsed as its bytes come in. The result is the same however they are cut.

What belongs here: the framing of one answer (RFC 9112) and the few headers an uplink needs. What does not:
reading sockets, deadlines, the meaning of a status.

    response = Response(bytearray(1024))        # once: where bodies are kept
    response.begin("POST")                      # before each request
    while not response.complete:
        n = await readinto(chunk)
        if n:
            response.feed(chunk, n)
        else:
            response.eof()                      # RemoteProtocolError when the answer is not whole
    response.status, response.header("retry-after"), response.body(), response.keep_alive

Bounds: heads of 16 KB and 100 fields an answer, interim answers and trailers included; a body of ``limit``
bytes, of which those beyond the buffer are counted and dropped. Beyond them, and on anything that leaves room
for doubt about where the answer ends, RemoteProtocolError: the connection cannot be used any more.
"""

from micropython import const

# What the next byte belongs to. _FIXED, _CHUNK and _CLOSE are body, the others are lines.
_STATUS = const(0)
_HEADER = const(1)
_CHUNK_SIZE = const(2)
_CHUNK_END = const(3)
_TRAILER = const(4)
_FIXED = const(5)
_CHUNK = const(6)
_CLOSE = const(7)
_DONE = const(8)

_WINDOW = const(128)  # bytes searched for the end of a line at a time
_LINE_MAX = const(256)  # bytes kept of a line; a field that matters is shorter
_HEAD_MAX = const(16384)
_FIELDS_MAX = const(100)

_FRAMING = (b"content-length", b"transfer-encoding", b"connection")
_KEPT = _FRAMING + (b"retry-after", b"date", b"location", b"content-type")
_DIGITS = b"0123456789abcdef"


class RemoteProtocolError(Exception):
    """The peer's bytes are no HTTP/1.1 answer, or larger than we take. Close the connection."""


class Response:
    """One answer after another on one connection.

    ``status``: the final status as int, None before it is known. ``complete``: the answer has ended.
    ``keep_alive``: the connection may carry another request (only meaningful once complete).
    ``started``: at least one byte has come. ``size``: bytes of the body so far, those dropped included.
    """

    def __init__(self, buffer: bytearray, limit: int = 65536):
        self._buffer = buffer
        self._limit = limit
        self._line = bytearray(_LINE_MAX)
        self._fields = {}
        self.begin("GET")

    def begin(self, method: str):
        """Forget the last answer and await the one to a request with this method."""
        self._method = method
        self._state = _STATUS
        self._at = 0  # bytes of the current line
        self._head = 0  # bytes of lines so far
        self._count = 0  # fields so far
        self._left = 0  # bytes of the body or chunk to come
        self._fields.clear()
        self.status = None
        self.size = 0
        self.complete = False
        self.keep_alive = False
        self.started = False

    def header(self, name: str):
        """The value of one of the headers kept (lower-case name), None when the answer has none.
        Kept are content-length, transfer-encoding, connection, retry-after, date, location, content-type."""
        return self._fields.get(name)

    def body(self) -> bytes:
        """A copy of the body's bytes, of the first len(buffer) if it is longer."""
        return bytes(memoryview(self._buffer)[: min(self.size, len(self._buffer))])

    def feed(self, data, n: int = None) -> bool:
        """Take the first ``n`` bytes (all of them by default) of a bytes-like object. True when complete.
        Bytes after the end of the answer belong to nothing we asked for: they forbid keep-alive."""
        data = memoryview(data)
        if n is None:
            n = len(data)
        if n:
            self.started = True
        i = 0
        while i < n:
            state = self._state
            if state < _FIXED:
                window = bytes(data[i : min(n, i + _WINDOW)])
                end = window.find(b"\n")
                size = len(window) if end < 0 else end
                at = self._at
                room = min(size, _LINE_MAX - at)
                if room > 0:
                    self._line[at : at + room] = window[:room]
                self._at = at + size
                i += size
                if self._head + self._at > _HEAD_MAX:
                    raise RemoteProtocolError("head longer than 16 KB")
                if end >= 0:
                    i += 1
                    self._end_of_line(state)
                    self._at = 0
            elif state == _DONE:
                self.keep_alive = False
                break
            else:
                take = n - i
                if state != _CLOSE:
                    take = min(take, self._left)
                    self._left -= take
                room = min(take, len(self._buffer) - self.size)
                if room > 0:
                    self._buffer[self.size : self.size + room] = data[i : i + room]
                self.size += take
                self._check_size(self.size)
                i += take
                if not self._left:
                    if state == _FIXED:
                        self._finish()
                    elif state == _CHUNK:
                        self._state = _CHUNK_END
        return self.complete

    def eof(self):
        """The peer has closed its side. Completes an answer that ends so, else raises RemoteProtocolError."""
        if self._state == _CLOSE:
            self._finish()
        self.keep_alive = False
        if not self.complete:
            raise RemoteProtocolError(
                "the connection closed in the middle of the answer" if self.started
                else "the connection closed without an answer"
            )  # fmt: skip

    def _finish(self):
        self._state = _DONE
        self.complete = True

    def _check_size(self, size):
        if size > self._limit:
            raise RemoteProtocolError(f"body longer than {self._limit} bytes")

    def _end_of_line(self, state):
        size = self._at
        line = bytes(memoryview(self._line)[: min(size, _LINE_MAX)])
        if line[-1:] == b"\r":
            line = line[:-1]
        if b"\r" in line or b"\0" in line:
            raise RemoteProtocolError("control character in the head")
        if state == _CHUNK_SIZE:
            if size > _LINE_MAX:
                raise RemoteProtocolError("chunk extension too long")
            self._left = _number(line.split(b";")[0].rstrip(b" \t"), 16)
            self._check_size(self.size + self._left)
            self._state = _CHUNK if self._left else _TRAILER
            return
        if state == _CHUNK_END:
            if line:
                raise RemoteProtocolError("chunk longer than its size")
            self._state = _CHUNK_SIZE
            return
        self._head += size + 1
        if state == _STATUS:
            self._status_line(line)
        elif line:
            self._count += 1
            if self._count > _FIELDS_MAX:
                raise RemoteProtocolError("more than 100 header fields")
            self._field(line, state == _HEADER)
        elif state == _TRAILER:
            self._finish()
        else:
            self._end_of_head()

    def _status_line(self, line):
        code = line[9:12]
        if line[:7] != b"HTTP/1." or line[8:9] != b" " or line[12:13] not in (b"", b" ") or len(code) != 3:
            raise RemoteProtocolError("no HTTP/1.1 status line")
        self._old = _number(line[7:8], 10) == 0
        self._code = _number(code, 10)
        if self._code < 100 or self._code == 101:
            raise RemoteProtocolError(f"status {self._code}, which nobody asked for")
        self._state = _HEADER

    def _field(self, line, keep):
        name, colon, value = line.partition(b":")
        if not colon or not name or b" " in name or b"\t" in name:  # folded lines begin with white space
            raise RemoteProtocolError("header field folded or without a name")
        name = name.lower()
        if not keep or name not in _KEPT:
            return
        framing = name in _FRAMING
        try:
            name = name.decode()
            value = value.strip(b" \t").decode()
        except ValueError:
            value = None
        if framing and (value is None or self._at > _LINE_MAX):
            raise RemoteProtocolError(name + " unreadable")
        fields = self._fields
        if name not in fields:
            fields[name] = value
        elif name == "connection":
            fields[name] += "," + value
        elif framing:
            raise RemoteProtocolError(name + " twice")

    def _end_of_head(self):
        code = self._code
        fields = self._fields
        if code < 200:
            fields.clear()
            self._state = _STATUS
            return
        length = fields.get("content-length")
        if length is not None:
            length = _number(length.encode(), 10)
        coding = fields.get("transfer-encoding")
        if coding is not None and (coding.lower() != "chunked" or length is not None or self._old):
            raise RemoteProtocolError("transfer coding that is not plain chunked")
        options = fields.get("connection", "").lower().replace(" ", "").replace("\t", "").split(",")
        self.keep_alive = "close" not in options and (not self._old or "keep-alive" in options)
        self.status = code
        if self._method == "HEAD" or code == 204 or code == 304 or (length == 0 and coding is None):
            self._finish()
        elif coding is not None:
            self._state = _CHUNK_SIZE
        elif length is None:
            self._state = _CLOSE
        else:
            self._check_size(length)
            self._left = length
            self._state = _FIXED


def _number(digits, base):
    # int() takes signs, spaces and underscores, a length must not.
    number = 0
    for c in digits.lower():
        digit = _DIGITS.find(bytes((c,)))
        if not 0 <= digit < base:
            number = -1
            break
        number = number * base + digit
    if number < 0 or not digits:
        raise RemoteProtocolError("unreadable number in status or framing")
    return number
