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

_WINDOW = const(128)  # bytes searched for the end of a line at a time
_LINE_MAX = const(256)  # bytes kept of a line; a field that matters is shorter
_HEAD_MAX = const(16384)
_FIELDS_MAX = const(100)

# the headers kept, those that say where the answer ends and whether the connection lives first
_KEPT = ("content-length", "transfer-encoding", "connection", "retry-after", "date", "location", "content-type")
_LENGTH = const(0)
_CODING = const(1)
_CONNECTION = const(2)


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
        self.begin("GET")

    def begin(self, method: str):
        """Forget the last answer and await the one to a request with this method."""
        self._fields = {}  # place in _KEPT -> value, None when it is no text
        self._line = b""  # the current line so far, up to _LINE_MAX bytes
        self._at = 0  # its bytes, all of them
        self._head = 0  # bytes of the lines before it
        self._left = 0  # bytes of the body to come, 0 when a line comes next
        self.status = None
        self.size = 0
        self.complete = self.keep_alive = self.started = False
        self._parser = self._parse(method)
        next(self._parser)

    def header(self, name: str):
        """The value of one of the headers kept (lower-case name), None when the answer has none.
        Kept are content-length, transfer-encoding, connection, retry-after, date, location, content-type."""
        return self._fields.get(_KEPT.index(name)) if name in _KEPT else None

    def body(self) -> bytes:
        """A copy of the body's bytes, of the first len(buffer) if it is longer."""
        return bytes(memoryview(self._buffer)[: self.size])

    def feed(self, data, n: int = None) -> bool:
        """Take the first ``n`` bytes (all of them by default) of a bytes-like object. True when complete.
        Bytes after the end of the answer belong to nothing we asked for: they forbid keep-alive."""
        data = memoryview(data)
        if n is None:
            n = len(data)
        i = 0
        while i < n:
            self.started = True
            if self.complete:
                self.keep_alive = False
                break
            take = min(n - i, self._left)
            if take:
                at = self.size
                room = min(take, len(self._buffer) - at)
                if room > 0:
                    self._buffer[at : at + room] = data[i : i + room]
                self.size = at + take
                i += take
                self._left -= take
                if not self._left:
                    next(self._parser)
                continue
            window = bytes(data[i : min(n, i + _WINDOW)])
            end = window.find(b"\n")
            take = len(window) if end < 0 else end
            self._line += window[: min(take, _LINE_MAX - len(self._line))]
            self._at += take
            i += take
            if self._head + self._at > _HEAD_MAX:
                raise RemoteProtocolError("head longer than 16 KB or 100 fields")
            if end >= 0:
                i += 1
                try:
                    line = self._line.decode()
                    self._text = True
                except ValueError:
                    line = "".join(map(chr, self._line))
                    self._text = False
                if line[-1:] == "\r":
                    line = line[:-1]
                if "\r" in line or "\0" in line:
                    raise RemoteProtocolError("malformed head")
                self._parser.send(line)
                self._line = b""
                self._at = 0
        return self.complete

    def eof(self):
        """The peer has closed its side. Completes an answer that ends so, else raises RemoteProtocolError."""
        if self.size + self._left > self._limit:  # true of a body until the close alone
            self.complete = True
        self.keep_alive = False
        if not self.complete:
            raise RemoteProtocolError(
                "the connection closed in the middle of the answer" if self.started
                else "the connection closed without an answer"
            )  # fmt: skip

    def _expect(self, size):
        if self.size + size > self._limit:
            raise RemoteProtocolError("body longer than %d bytes" % self._limit)
        self._left = size

    def _parse(self, method):
        """Is sent each line, without its end, and resumed when the body that it expects has come."""
        fields = self._fields
        count = 0
        trailer = False
        while True:
            if not trailer:
                line = yield
                self._head += self._at + 1
                code = line[9:12]
                if line[:7] != "HTTP/1." or line[8:9] != " " or line[12:13] not in " " or len(code) != 3:
                    raise RemoteProtocolError("no HTTP/1.1 status line")
                old = _number(line[7:8], 10) == 0
                code = _number(code, 10)
                if code < 100 or code == 101:
                    raise RemoteProtocolError("status %d, which nobody asked for" % code)
            while True:
                line = yield
                self._head += self._at + 1
                if not line:
                    break
                count += 1
                if count > _FIELDS_MAX:
                    raise RemoteProtocolError("head longer than 16 KB or 100 fields")
                name, colon, value = line.partition(":")
                if not colon or not name or " " in name or "\t" in name:  # folded lines begin with white space
                    raise RemoteProtocolError("malformed head")
                name = name.lower()
                if trailer or name not in _KEPT:
                    continue
                i = _KEPT.index(name)
                value = value.strip(" \t") if self._text else None
                if i <= _CONNECTION and (value is None or self._at > _LINE_MAX):
                    raise RemoteProtocolError(name + " unreadable")
                if i not in fields:
                    fields[i] = value
                elif i == _CONNECTION:
                    fields[i] += "," + value
                elif i < _CONNECTION:
                    raise RemoteProtocolError(name + " twice")
            if trailer:
                break
            if code < 200:
                fields.clear()
                continue
            length = fields.get(_LENGTH)
            if length is not None:
                length = _number(length, 10)
            coding = fields.get(_CODING)
            if coding is not None and (coding.lower() != "chunked" or length is not None or old):
                raise RemoteProtocolError("transfer coding that is not plain chunked")
            options = fields.get(_CONNECTION, "").lower().replace(" ", "").replace("\t", "").split(",")
            self.keep_alive = "close" not in options and (not old or "keep-alive" in options)
            self.status = code
            if method == "HEAD" or code == 204 or code == 304 or length == 0:
                break
            if coding is None:
                if length is None:
                    self._left = self._limit + 1  # until the peer closes: all of these are too many
                else:
                    self._expect(length)
                yield
                self._expect(0)
                break
            while True:
                line = yield
                if self._at > _LINE_MAX:
                    raise RemoteProtocolError("malformed chunk")
                length = _number(line.split(";")[0].rstrip(" \t"), 16)
                if not length:
                    break
                self._expect(length)
                yield
                if (yield):
                    raise RemoteProtocolError("malformed chunk")
            trailer = True
        self.complete = True
        yield


def _number(digits, base):
    # int() takes signs, spaces and underscores, a length must not.
    digits = digits.lower()
    if not digits or digits.strip("0123456789abcdef"[:base]):
        raise RemoteProtocolError("unreadable number in status or framing")
    return int(digits, base)
