"""Did it arrive? One question to TagoIO about a batch whose answer was lost. Loaded for that question, and dropped."""

from micropython import const

from tagoio import records, verdicts
from tagoio.question import found, question

_ENDS = const(8)  # points after which no further question is worth its wait
_ANSWERED = const(4)  # TagoIO answered, but did not show the reading
_ODD = const(1)  # somebody answered, hardly TagoIO


async def ask(uplink, batch, points: int, pulse) -> tuple:
    """Ask for the last reading of the batch that nobody knows about, by uplink.exchange; give the batch back when it is
    to be sent again.

    points: of doubt so far. Returns (points, None once there is nothing more to ask; whether it is sent again without
    word; verdict, detail, hint as tagoio.verdicts has them). ACCEPTED: it had arrived, and has to be settled.
    """
    wanted = _wanted(batch)
    if wanted is None:
        batch.returned()
        return None, False, verdicts.AMBIGUOUS, "the queue has dropped what was asked for", None
    variable, group, time = wanted
    # whatever of it a server does not understand: once by group, once by time
    by_time = points >= _ANSWERED and time is not None
    asked = question(variable, None, time) if by_time else question(variable, group)
    verdict, detail, hint = await uplink.exchange(pulse, "GET", asked)
    response = uplink.response
    there = None
    if verdict in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
        # by its group alone: another node of the same device may have sampled at the same moment
        there = found(response.body(), variable, group)
        if there:
            return points, False, verdicts.ACCEPTED, "it had arrived: " + group, None
    elif verdict == verdicts.THROTTLED or response.status is None or response.status >= 500:
        return points, False, verdicts.UNAVAILABLE if verdict == verdicts.AMBIGUOUS else verdict, detail, hint
    points += _ANSWERED if there is False or response.status in (400, 401, 403, 404, 405) else _ODD
    if points < _ENDS:
        return points, False, verdicts.AMBIGUOUS, "not known yet whether %s arrived" % group, None
    batch.returned()
    if there is None:
        text = "no word whether %s arrived (%s): sending it again" % (group, detail)
        return None, True, verdicts.AMBIGUOUS, text, None
    return None, False, verdicts.AMBIGUOUS, group + " did not arrive: sending it again", None


def _wanted(batch):
    """(variable, group, time) of the last reading of the batch, by which it can be asked for; None when it is not
    in the queue any more."""
    if batch.recalled:
        samples = 0
        for sample in batch._samples(batch.last):
            samples += sample.values.count(None) < len(sample.values)
        batch.recalled = False
        if samples == 1:
            # perhaps only some readings of it were sent: they are asked for one by one
            batch._piecemeal = True
            batch._most_samples = batch._most_readings = 1
    found = None
    for sample in batch._samples(batch.last):
        for index in range(len(sample.values)):
            if sample.values[index] is not None:
                found = sample.channels[index][0], sample.sequence, sample.time
    if found is None:
        return None
    return records.clean_variable(found[0]), records.group(batch._spool.tag, found[1]), found[2]
