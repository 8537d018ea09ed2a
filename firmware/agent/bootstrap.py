"""The time of day where no time server answers: from the Date of the one server that can prove who it is.

Certificates are checked against the clock, and the clock of a cold board is as old as its firmware. So: try; where the
certificate is too new for the clock, take the Date of a plain HTTP answer for an estimate, which decides about nothing
but this check, and try again. What counts is the Date of the verified answer. Loaded when it is needed, and dropped.
"""

from agent import forget, timing
from http1 import LocalProtocolError
from session import date
from session.client import Deadlines, Session, SessionError
from session.udp import endpoint
from tagoio import verdicts

forget("timing")
forget("date", "session")
forget("udp", "session")

_PORT = 80
_PATIENCE_MS = 10000
_TURN_MS = 240000


async def ask(pulse, clock, session, host: str, resolver, plain: str, log) -> bool:
    """Set the clock by the Date of `session`'s server, called `host`. plain: whom to ask for an estimate, "name" or
    "name:port". True when the clock is set."""
    for estimated in (False, True):
        pulse.beat(_TURN_MS)  # an upload may come first
        try:
            unix_ms, at_ticks = await date.ask(session, host, pulse.beat)
            timing.set(clock, unix_ms, at_ticks, clock.BY_DATE)
            log.info("clock", "set by the Date of " + host)
            return True
        except SessionError as error:
            _, reason, hint = verdicts.judge_failure(error.stage, error.reason, error.sent)
        except (ValueError, LocalProtocolError) as error:
            reason, hint = str(error), None
        if hint != "clock" or estimated:
            break
        try:
            await _estimate(pulse, clock, resolver, plain)
            log.info("clock", "estimated by the Date of " + plain + ", not verified yet")
        except (OSError, ValueError, LocalProtocolError) as error:
            reason = "no Date from " + plain + ": " + str(error)
            break
    if hint in ("clock", "expired"):
        timing.disown(clock)  # the estimate was wrong
    log.warning("clock", "no time from " + host + ": " + reason)
    return False


async def _estimate(pulse, clock, resolver, plain):
    name, port = endpoint(plain, _PORT)
    session = Session(name, port, None, resolver, Deadlines(_PATIENCE_MS))
    try:
        timing.estimate(clock, *await date.ask(session, name if port == _PORT else plain, pulse.beat))
    finally:
        session.close()
