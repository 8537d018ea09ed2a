"""What is sent next, and what the answer means for the readings in it.

A batch is always the oldest part of the queue: samples that fit in a body or, while a reading that the server refuses
is looked for, fewer and fewer of them, in the end some readings of one sample. Nothing leaves the queue before a
server took it, or refused it alone while it took others. What follows from a refusal is agent.refusal's.
"""

from micropython import const

from agent import forget
from spool import SpoolError
from tagoio import records

_ASIDE = "aside"
_TRIES = const(4)  # the queue passes over what it could not read three times


class Batch:
    """`choose` makes the next batch: `size` bytes, samples up to sequence `last`, `samples` and `readings` of them.
    notes: an agent.notes.Notes, where what was left out of a batch outlives a power cut; None: nowhere.

    Then one of: `taken`, `refused`, `returned` says what became of it.
    """

    def __init__(self, spool, clock, buffer: bytearray, body_max: int, log, notes=None):
        self._notes = notes
        self._spool = spool
        self._clock = clock
        self._encoder = records.Encoder(spool.tag, buffer)
        self._body_max = self._body_limit = body_max
        self._log = log
        self.size = self.last = self.samples = self.readings = 0
        # how much the next batch may hold at most, 0: no limit
        self._most_samples = 0
        self._most_readings = 0
        # what is known to hold a refused reading: so many of the oldest samples, so many readings of the oldest
        self._suspect_samples = 0
        self._suspect_readings = 0
        self._rest = 0  # a sample of which a reading was refused: what else it has goes alone
        # which readings of the sample in flight were sent is not known any more; whether it is one is not yet, either
        self._piecemeal = self.recalled = False
        # [sequence, index, reason] refused alone, but nothing else was accepted since
        self._aside = list(notes.get(_ASIDE, ())) if notes else []
        self._again = None  # (sequence, index) of a reading that was refused alone once
        self._accepts = False  # the server took something since it began to refuse
        self._refusal = ""  # what it says to everything

    @property
    def doubted(self) -> bool:
        """Whether a reading that was refused alone has to be refused once more."""
        return self._again is not None

    @property
    def waiting(self) -> bool:
        """Whether a refused reading waits for another that may be accepted."""
        return bool(self._aside)

    # ---- choosing

    async def choose(self, pulse) -> bool:
        """Take the oldest samples that may go together. False when there is nothing to send.

        A reading that can never be encoded is quarantined as soon as it is the next to be sent. Raises SpoolError.
        """
        while True:
            pulse.beat()
            most = 1 if self._refusal else self._most_samples
            size = records.EMPTY
            self.last = self.samples = 0
            try:
                for sample in self._samples():
                    more = self._encoder.size(sample)
                    if size > records.EMPTY and (
                        size + more > self._body_max or self.samples == most or self.last == self._rest
                    ):
                        break
                    self.last = sample.sequence
                    if more:
                        size += more
                        self.samples += 1
                        self.readings = len(sample.values) - sample.values.count(None)
            except records.RecordError as error:
                if size == records.EMPTY:
                    self._refusals().poison(self, sample, error)
                    await pulse.sleep(0)
                    continue
            self.size = size
            if size > records.EMPTY:
                return True
            if not self._most_samples:
                return False
            self._search_ended()  # nothing is left of what was looked at

    def _samples(self, last=None):
        spool = self._spool
        for sample in spool.peek():
            if last is not None and sample.sequence > last:
                return
            if sample.time is None and sample.boot == spool.boot:
                sample.time = self._clock.stamp(sample.mono)
            if sample.time is None:
                # of a start that ended before anybody told the time: TagoIO puts its own there
                sample.metadata = dict(sample.metadata or {}, clock="unknown")
            values = sample.values
            for sequence, index, _ in self._aside:
                if sequence == sample.sequence:
                    values[index] = None
            if self._most_readings:
                room = self._most_readings
                for index in range(len(values)):
                    if values[index] is not None:
                        room -= 1
                        if room < 0:
                            values[index] = None
            yield sample

    def body(self):
        """The pieces of the body, exactly `size` bytes. Raises SpoolError when that is not possible any more."""
        # on flash before the first byte leaves: after a power cut it is known what may have been sent
        self._note()
        self._spool.begin(self.last)
        left = self.size
        for piece in self._encoder.pieces(self._samples(self.last)):
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            # the queue may drop its oldest samples meanwhile
            raise SpoolError("samples were dropped while they were sent")

    def _note(self):
        if self._notes and (self._aside or self._notes.get(_ASIDE)):
            self._notes.put(_ASIDE, list(self._aside))

    # ---- a batch of which nobody knows whether it arrived

    def recall(self) -> bool:
        """Take up the batch that was in flight when the power went or a task failed. False when there is none."""
        flight = self._spool.in_flight
        if flight is None:
            return False
        if self.last != flight[1]:
            self.last = flight[1]
            self._search_ended()
            self.recalled = True
        return True

    # ---- what became of it

    def returned(self) -> None:
        """It did not arrive: it stays in the queue as it is."""
        self._spool.begin(0)
        if self._piecemeal:
            self._search_ended()

    def taken(self) -> bool:
        """The server has all of it. False when the flash cannot be written: then it is still in flight."""
        self._accepts = True
        self._again = None
        self._refusal = ""
        if self._aside or self._most_readings:
            settled = self._refusals().settled(self)
            if settled is not None:
                return settled
        # a server that once took less may take more by now: twice as much after 45 batches
        self._body_max = min(self._body_limit, self._body_max + (self._body_max >> 6))
        self._firmly(self._spool.ack, self.last)
        self._note()
        if self._suspect_samples > self.samples:
            self._suspect_samples -= self.samples
            self._most_samples = self._suspect_samples // 2 or 1
        else:
            self._search_ended()
        return True

    def refused(self, verdict: str, reason: str) -> str:
        """The server refuses it: the next batch is a part of it. Returns the verdict that all this comes to."""
        self.returned()
        return self._refusals().refused(self, verdict, reason)

    def _refusals(self):
        from agent import refusal

        forget("refusal")
        return refusal

    def _search_ended(self):
        self._most_samples = self._most_readings = self._suspect_samples = self._suspect_readings = self._rest = 0
        self._piecemeal = False

    def _firmly(self, settle, *what):
        for _ in range(_TRIES):
            try:
                settle(*what)
                return True
            except SpoolError as error:
                self._log.warning("spool", str(error))
        return False
