"""A herd of uplinks in one virtual time, sharing a server that counts requests as TagoIO does.

The uplinks, their batches, requests and answers are the real ones; queues, clocks and links are stubs, so that
hundreds of nodes fit into one interpreter and hours pass in seconds. Each node draws from a random stream of its own,
made by the runtime's generator, as a board has it; all boards get the same entropy at boot, the worst there is.
"""

import gc
import random

from agent import uplink
from session.client import SessionError
from spool import records

BUILD_MS = 1767225600 * 1000  # a full minute
DRAWS = 200
TENTHS = 10
CHANNELS = (("temperature", "°C", 2),)


class Stream:
    """In the place of the module `random`: what a board's generator gives, kept apart from the other boards'."""

    def __init__(self, entropy):
        self._drawn = [entropy]

    def seed(self, value):
        random.seed(value)
        self._drawn = [random.getrandbits(30) for _ in range(DRAWS)]

    def getrandbits(self, bits):
        return self._drawn.pop(0) & (1 << bits) - 1


class Moment:
    """Waits until the herd's time has come to `ms`."""

    def __init__(self, ms):
        self.ms = ms

    def __iter__(self):
        yield self.ms

    __await__ = __iter__


class Always:
    def is_set(self):
        return True


class Queue:
    """In the place of a spool: samples of one reading."""

    tag = "herd"
    boot = 1
    in_flight = None

    def __init__(self):
        self.next_sequence = 1
        self.samples_queued = 0
        self._sample = sample = records.Sample()
        sample.time = BUILD_MS
        sample.boot = 1
        sample.channels = CHANNELS
        sample.location = sample.metadata = None

    @property
    def queued(self):
        return self.samples_queued

    def append(self):
        self.next_sequence += 1
        self.samples_queued += 1

    def peek(self):
        for sequence in range(self.next_sequence - self.samples_queued, self.next_sequence):
            self._sample.sequence = sequence
            self._sample.values = [20.0]
            yield self._sample

    def begin(self, last):
        pass

    def ack(self, last):
        self.samples_queued = self.next_sequence - 1 - last


class Node:
    """One node: its uplink, and the pulse, session, clock, link and log that it is given."""

    synced = up = Always()
    joins = 1
    handshakes = 0

    def __init__(self, herd, number, unique_id, settings):
        self.herd = herd
        self.number = number
        self.queue = Queue()
        self.random = uplink.random = Stream(herd.entropy)
        status = {"verdict": "", "error": "", "warning": "", "requests": 0, "handshakes": 0, "resent": 0}
        self.uplink = uplink.Uplink(self.queue, self, self, self, settings, status, self, unique_id, herd.buffer)
        self.life = self.uplink.run(self)
        self.due = 0
        self._waits_for = None

    # a log
    def info(self, *texts):
        pass

    warning = info

    # a clock
    def now(self):
        return self.herd.now

    mono = now

    def stamp(self, mono):
        return mono

    # a pulse
    def beat(self, within_ms=0):
        pass

    async def sleep(self, ms):
        await Moment(self.herd.now + max(0, ms))

    async def wait(self, event, ms=-1):
        if not event.is_set():
            self._waits_for = event
            await Moment(self.herd.now + ms)
            self._waits_for = None
        return event.is_set()

    # a session
    def close(self):
        pass

    async def request(self, head, body, response):
        size = 0
        for piece in body:
            size += len(piece)
        assert b"Content-Length: %d\r\n" % size in head
        self.herd.meet(self.number, response)

    # what the world does to it
    def flush(self):
        self.uplink.flush.set()
        if self._waits_for is self.uplink.flush:
            self.due = self.herd.now

    def step(self):
        """Live on until the next wait."""
        uplink.random = self.random
        self.due = self.life.send(None)


class Herd:
    """Nodes with these ids, all of them up from the same moment on, on settings {"upload.every", "upload.window"} (ms).

    limit: requests a window. Every request is noted in `met`: (moment in ms, number of the node, taken or not), or,
    while the server is `down`, in `missed`.
    """

    def __init__(self, unique_ids, every, window=60000, limit=250, entropy=0x2AAAAAAA):
        gc.threshold(1 << 21)  # seldom, so that it is quick, but before what is kept lies all over the heap
        self.now = BUILD_MS
        self.buffer = bytearray(uplink.BUFFER)
        self.window = window
        self.limit = limit
        self.entropy = entropy
        self.down = False
        self.met = []
        self.missed = []
        self._window = self._used = 0
        settings = {
            "upload.every": every,
            "upload.window": window,
            "upload.body": 32768,
            "tagoio.host": "localhost",
            "tagoio.port": 443,
            "tagoio.prefix": "",
            "tagoio.ssl": True,
            "tagoio.token": self,
        }
        self.nodes = [Node(self, i, unique_id, settings) for i, unique_id in enumerate(unique_ids)]

    def reveal(self):
        return "5a16405f-b32c-4c91-ae39-cbb2caba18d8"

    def meet(self, number, response):
        """A request arrives."""
        if self.down:
            self.missed.append((self.now, number))
            raise SessionError("connect", "refused", False)
        window = self.now // self.window
        if window != self._window:
            self._window = window
            self._used = 0
        taken = self._used < self.limit
        self._used += taken
        self.met.append((self.now, number, taken))
        if taken:
            body = b'{"status":true,"result":"1 Data Added"}'
        else:
            left = (self.window - self.now % self.window + 999) // 1000
            body = b'{"status":false,"message":"Too many requests (Retry-After: %d)"}' % left
        response.feed(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (200 if taken else 429, len(body)) + body)

    def flush(self):
        """Every node takes a sample and is told to send it at once."""
        for node in self.nodes:
            node.queue.append()
            node.flush()

    def spend(self, ms, sample_every=0):
        """Let time pass. Every node takes a sample at whole multiples of sample_every ms, unless that is 0."""
        end = self.now + ms
        while True:
            node = self.nodes[0]
            for other in self.nodes:
                if other.due < node.due:
                    node = other
            turn = self.now - self.now % sample_every + sample_every if sample_every else end + 1
            if min(node.due, turn) > end:
                break
            if turn <= node.due:
                self.now = turn
                for other in self.nodes:
                    other.queue.append()
            else:
                self.now = max(self.now, node.due)
                node.step()
        self.now = end

    def queued(self):
        return sum([node.queue.queued for node in self.nodes])

    def refused_twice(self):
        """[(window, number of the node)] of those who were refused more than once in a window."""
        seen = set()
        twice = []
        for at, number, taken in self.met:
            one = (at // self.window, number)
            if not taken:
                if one in seen:
                    twice.append(one)
                seen.add(one)
        return twice

    def tenths(self, since=0):
        """Requests from then on (ms) in each tenth of the window."""
        return histogram([at % self.window for at, _, _ in self.met if at >= since], self.window)


def histogram(moments, window):
    """How many of the moments, 0 to `window` - 1, lie in each tenth of the window."""
    counts = [0] * TENTHS
    for moment in moments:
        counts[moment * TENTHS // window] += 1
    return counts


def crowd(counts):
    """The fullest part's count, in multiples of the mean."""
    return max(counts) * len(counts) / max(1, sum(counts))


def correlation(a, b):
    """Pearson's, -1 to 1."""
    n = len(a)
    mean_a, mean_b = sum(a) / n, sum(b) / n
    together = sum([(x - mean_a) * (y - mean_b) for x, y in zip(a, b)])
    return together / (sum([(x - mean_a) ** 2 for x in a]) * sum([(y - mean_b) ** 2 for y in b])) ** 0.5
