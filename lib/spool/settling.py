"""Settling one reading of a sample, and the quarantine. Seldom needed: imported for one call and dropped, so that its
code costs no heap. Nothing that outlives the call may be defined here.
"""

from micropython import const

from spool.queue import SpoolError, failed
from spool.records import Sample, Scan, put, put_text, put_value, seal

_REJECT = const(0x83)  # kind of record
_PARTIAL = const(16)  # samples that may be settled in part at a time
_STATE = const(90)  # bytes of a state to which another may be added: it must fit in a slot when its counters have grown
_BYTES = const(2048)  # bytes of a quarantine file, of which there are two
_ACKNOWLEDGED = const(1)  # places in Spool._books
_QUARANTINED = const(2)


def settle(spool, os, sequence: int, index: int, reason: str) -> bool:
    """Counts one reading as accepted, or sets it aside when there is a reason. False when it is not queued."""
    oldest = 0
    for sample in spool.peek():
        oldest = oldest or sample.sequence
        if sample.sequence >= sequence:
            break
    else:
        return False
    if sample.sequence != sequence or sample.values[index] is None:
        return False
    partial = spool._partial
    if sequence > oldest and (
        (len(partial) >= _PARTIAL and sequence not in partial) or len(spool._state()) + index // 7 > _STATE
    ):
        raise SpoolError("%d samples are settled in part: acknowledge the oldest first" % len(partial))
    if reason is not None:
        try:
            _reject(spool, os, sample, index, reason)
        except SpoolError as e:
            if not e.full:
                raise
            # a reading that nobody takes must not keep the others from leaving, and so from making room
            spool._log("%s; the row of sample %d is not kept: %s" % (e, sequence, reason))
        if sequence < spool._cursor:
            return False  # it was dropped to make room
    spool._books[_ACKNOWLEDGED if reason is None else _QUARANTINED] += 1
    partial[sequence] = partial.get(sequence, 0) | 1 << index
    for sample in spool.peek(False):
        spool._move_cursor(sample.sequence)
        break
    spool._save()
    spool._collect()
    return True


def _reject(spool, os, sample: Sample, index: int, reason: str) -> None:
    for row in rows(spool):
        if row[0] == sample.sequence and row[1] == index:
            return  # written before the power went
    spool._commit()  # a number of which there is a row is not given again
    variable, unit, decimals = sample.channels[index]
    value = sample.values[index]
    body = bytearray((_REJECT,))
    put(body, sample.sequence)
    put(body, index)
    put(body, 0 if sample.time is None else sample.time + 1)
    put_text(body, variable)
    put_text(body, unit)
    put_value(body, value[:256] if isinstance(value, str) else value, 10**decimals)
    body.append(decimals)
    put_text(body, reason[:256])
    record = seal(body)
    if spool._size_of("q0") + len(record) > _BYTES:
        if spool._size_of("q1"):
            spool._remove("q1")
        try:
            os.rename(spool._path + "q0", spool._path + "q1")
        except OSError as e:
            raise failed("q0 cannot be renamed", e) from e
    spool._write("q0", "ab", (record,))


def rows(spool):
    """Yields (sequence, index, time, variable, unit, value, reason) of what is in quarantine, oldest first."""
    for name in ("q1", "q0"):
        if spool._size_of(name):
            scan = Scan(spool._read, name)
            while scan.step():
                if scan.kind == _REJECT:
                    sequence, index, time = scan.get(), scan.get(), scan.get()
                    variable, unit = scan.get_text(), scan.get_text()
                    i = scan.i
                    scan.get_value(1)
                    scale = 10 ** scan.get()
                    reason = scan.get_text()
                    scan.i = i
                    value = scan.get_value(scale)
                    yield sequence, index, time - 1 if time else None, variable, unit, value, reason
