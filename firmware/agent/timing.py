"""How a clock comes to know the time: what time servers say, which of it is believed, and how wrong the crystal is.

The part of agent.clock that is needed every few hours: loaded for one setting, and forgotten. Nothing that outlives the
call may be defined here, for a function keeps its whole module alive.
"""

from micropython import const

from agent import clock as module
from agent import forget
from agent.clock import ESTIMATED, SYNCED, UNKNOWN

_SANE_S = const(3155760000)  # a hundred years: no server moves the clock further past the build
_STEP_MS = const(1000)
_LARGE_MS = const(60000)  # a server that says so is believed when another, or it again, says so too
_ALIKE_MS = const(3000)
_COARSE_MS = const(5000)  # by which a Date may be wrong on a slow day
_BASE_MS = const(10800000)  # of a measurement of the crystal: an answer is some 50 ms wrong
_MOST_DRIFT = const(2000)  # tenths of ppm: no crystal is so bad
_ODD_DRIFT = const(500)  # from what is known: weather does less, a wrong answer hours ago does more
_NOTED_DRIFT = const(20)
_TURN_MS = const(30000)


async def ask(clock, pulse, resolver, servers) -> bool:
    """Ask the servers, "name" or "name:port", one after another, until one has set the clock. False: none did."""
    from session import sntp

    forget("sntp", "session")
    if not servers:
        clock._log.warning("clock", "no time server in the settings: build and deploy again")
    for server in servers:
        pulse.beat(_TURN_MS)
        try:
            unix_ms, at_ticks, trip = await sntp.ask(resolver, server, clock._build_s, ticks=module.ticks_ms)
            set(clock, unix_ms, at_ticks, SYNCED)
        except (OSError, ValueError) as error:
            clock._log.warning("clock", "no time from " + server + ": " + str(error))
            continue
        clock._log.info("clock", "set by " + server + ", round trip " + str(trip) + " ms")
        return True
    return False


def _check(clock, unix_ms):
    if not 0 <= unix_ms // 1000 - clock._build_s < _SANE_S:
        raise ValueError("time before this firmware was built, or absurdly late: " + str(unix_ms // 1000))


def estimate(clock, unix_ms: int, at_ticks: int) -> None:
    """Somebody says that it was `unix_ms` when ticks_ms() gave `at_ticks`. ValueError: when that cannot be."""
    _check(clock, unix_ms)
    if clock.state != SYNCED:
        clock.state = ESTIMATED
        clock._set_rtc((unix_ms + module.ticks_diff(module.ticks_ms(), at_ticks) + 500) // 1000)


def disown(clock) -> None:
    """The estimate was none."""
    if clock.state == ESTIMATED:
        clock.state = UNKNOWN
        clock._set_rtc(clock._build_s + clock.mono() // 1000)


def set(clock, unix_ms: int, at_ticks: int, source: int) -> None:
    """As agent.clock.Clock.set."""
    _check(clock, unix_ms)
    mono = clock.mono()
    offset = unix_ms + module.ticks_diff(clock._ticks, at_ticks) - mono
    wrong = 0
    if clock.state == SYNCED:
        wrong = mono + offset - clock.stamp(mono)
        if abs(wrong) > _LARGE_MS:
            suspect = clock._suspect
            clock._suspect = offset
            if suspect is None or abs(offset - suspect) > _ALIKE_MS:
                raise ValueError("%d s off what is known: it has to be said twice" % (wrong // 1000))
    clock._suspect = None
    if source != SYNCED and not clock._coarse and abs(wrong) < _COARSE_MS:
        return  # what a time server said is better than that
    _measure(clock, mono, offset, source, abs(wrong) > _LARGE_MS)
    clock._offset = offset
    clock._at = mono
    clock._coarse = source != SYNCED
    clock.state = SYNCED
    clock._set_rtc((mono + offset + 500) // 1000)
    clock.synced.set()
    if abs(wrong) >= _STEP_MS:
        text = "stepped by %d ms" % wrong
        clock._log.warning("clock", text)
        clock.stepped("clock " + text)
    elif wrong:
        clock._log.info("clock", "corrected by %d ms" % wrong)


def _measure(clock, mono, offset, source, jumped):
    if source != SYNCED:
        return
    if clock._base is None or jumped:
        clock._base = mono, offset, None
        return
    since, before, odd = clock._base
    if mono - since < _BASE_MS:
        return
    clock._base = mono, offset, None
    tenths = (offset - before) * 10000000 // (mono - since)
    if abs(tenths) > _MOST_DRIFT:
        return  # a server's fault
    if clock._measured and abs(tenths - clock._tenths) > _ODD_DRIFT:
        if odd is None or abs(tenths - odd) > _ODD_DRIFT:
            clock._base = mono, offset, tenths  # it has to be measured twice
            return
        clock._tenths = tenths
    clock._tenths = (clock._tenths + tenths) // 2 if clock._measured else tenths
    clock._measured = True
    clock.drift = clock._tenths / 10
    if clock._notes and abs(clock._tenths - clock._noted) >= _NOTED_DRIFT:
        clock._noted = clock._tenths
        clock._notes.put("drift", clock._tenths)
