"""What follows when an attempt came to nothing: what is said, and how long to wait. The part of agent.uplink that a
node needs when something is wrong: loaded then, and forgotten.
"""

from micropython import const

from tagoio import verdicts

_SPREAD = const(12)  # doublings of a wait at most
_ANSWERED = const(4)  # points of doubt, after which it is asked more slowly


def wait(uplink, verdict: str, detail: str, hint) -> int:
    """Milliseconds until the next try, after the attempt that ended in this verdict."""
    uplink._status["error"] = verdict + ": " + detail
    uplink.failures[verdict] = uplink.failures.get(verdict, 0) + 1
    if "memory" in detail and verdict == verdicts.UNAVAILABLE:
        uplink.short_of_memory()
    if verdict in (verdicts.REJECTED, verdicts.TOO_LARGE):
        # the next batch is a smaller one, or the same reading once more
        wait = uplink._window_ms // 30 if uplink._batch.doubted else 0
    else:
        wait = _pause(uplink, verdict, hint)
    uplink._log.warning("uplink", "%s: %s; next try in %d.%d s" % (verdict, detail, wait // 1000, wait % 1000 // 100))
    return wait


def _pause(uplink, verdict, hint):
    """Milliseconds until the next try. hint: seconds that the server asked for, or None."""
    window = uplink._window_ms
    if verdict == verdicts.THROTTLED:
        uplink._failures = 0
        # TagoIO counts by the clock minute; all that it turned away would come back at its edge
        return (hint * 1000 if hint else window - uplink._clock.now() % window) + uplink._jitter(window)
    if uplink._doubt is not None and verdict == verdicts.AMBIGUOUS:
        # the batch may be on its way yet
        return window // (12 if uplink._doubt < _ANSWERED else 4) + uplink._jitter(window // 30)
    slow = verdict not in (verdicts.UNAVAILABLE, verdicts.AMBIGUOUS)
    if slow != uplink._slow:
        uplink._slow = slow
        uplink._failures = 0
    doubled = min(uplink._failures, _SPREAD)
    uplink._failures += 1
    if slow:
        # somebody has to change something (token, certificate, address): ask rarely, for years if need be
        return window // 2 + uplink._jitter(min(window * 60, window << doubled))
    return (hint or 0) * 1000 + uplink._jitter(min(window * 15, window // 30 << doubled))
