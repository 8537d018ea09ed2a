"""What a refusal means for the readings: which of them is at fault is found by sending fewer and fewer, and that one
alone is set aside, when others are taken. The part of agent.batch that is seldom needed: loaded then, and forgotten.
"""

from micropython import const

from spool import SpoolError
from tagoio import verdicts

_ALIKE = const(20)  # characters by which two messages are held for the same: numbers and names come later


def refused(batch, verdict: str, reason: str) -> str:
    """As Batch.refused, which has given it back."""
    alike = reason[:_ALIKE]
    if batch._refusal[:_ALIKE] == alike:
        return verdicts.DEVICE_REFUSES
    batch._refusal = ""
    if not batch._most_samples and not batch._aside and not batch._rest:
        batch._accepts = False
    if batch.samples > 1:
        if verdict == verdicts.TOO_LARGE:
            batch._body_max = batch.size // 2
        else:
            batch._suspect_samples = batch.samples
            batch._most_samples = batch.samples // 2
        return verdict
    batch._most_samples = 1
    if batch.readings > 1:
        batch._suspect_readings = batch.readings
        batch._most_readings = batch.readings // 2
        return verdict
    # it is alone
    for sample in batch._samples(batch.last):
        for index in range(len(sample.values)):
            if sample.values[index] is not None:
                return _alone(batch, sample.sequence, index, reason)
    return verdict


def _alone(batch, sequence, index, reason):
    if batch._again != (sequence, index):
        # a server in trouble refuses anything for a while: once more, after a pause
        batch._again = sequence, index
        batch._most_readings = 1
        return verdicts.REJECTED
    alike = reason[:_ALIKE]
    batch._again = None
    batch._search_ended()
    others = []
    for other in batch._aside:
        if other[2][:_ALIKE] != alike:
            batch._accepts = True  # not the same again and again: these readings are at fault
        elif other[0] != sequence and other[0] not in others:
            others.append(other[0])
    if len(others) >= 2 and not batch._accepts:
        # it says the same of everything: nothing is wrong with the readings
        batch._aside.clear()
        batch._refusal = reason
        return verdicts.DEVICE_REFUSES
    batch._aside.append([sequence, index, reason])
    if batch._accepts:
        _set_aside(batch)
    batch._rest = sequence
    return verdicts.REJECTED


def settled(batch):
    """As Batch.taken, where something was looked for. None: the rest of that goes as usual."""
    if not _set_aside(batch):
        return False
    if not batch._most_readings:
        return None
    for sample in batch._samples(batch.last):
        sent = [index for index in range(len(sample.values)) if sample.values[index] is not None]
        for index in sent:
            batch._firmly(batch._spool.settle, batch.last, index)
        batch._suspect_readings -= len(sent)
        break
    if batch._piecemeal:
        if batch._spool.in_flight is None:
            batch._search_ended()
        return True
    batch._spool.begin(0)
    if batch._suspect_readings > 0:
        batch._most_readings = batch._suspect_readings // 2 or 1
    else:
        batch._search_ended()
    return True


def poison(batch, sample, error) -> None:
    """Set aside what of this sample, the next to be sent, can never be encoded: error is a RecordError. Raises
    SpoolError.
    """
    for index in range(len(sample.values)):
        if error.channel in (None, index) and not _quarantine(batch, sample.sequence, index, str(error)):
            raise SpoolError("what can never be sent cannot be set aside")


def _set_aside(batch):
    while batch._aside:
        if not _quarantine(batch, *batch._aside[0]):
            return False
        batch._aside.pop(0)
    return True


def _quarantine(batch, sequence, index, reason):
    if not batch._firmly(batch._spool.quarantine, sequence, index, reason):
        return False
    batch._log.warning("uplink", "set aside a reading of sample %d: %s" % (sequence, reason))
    return True
