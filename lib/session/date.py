"""The time of day from an HTTP answer's Date (RFC 9110 section 6.6.1)."""

from time import ticks_ms

import http1

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def parse(text: str) -> int:
    """Unix seconds of "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7, the one form that may be sent).

    Raises ValueError for anything else, and for a date that there is not.
    """
    try:
        _, day, month, year, clock, zone = text.split(" ")
        hour, minute, second = [int(part) for part in clock.split(":")]
        days, place, years = int(day), _MONTHS.index(month), int(year)
        if len(month) != 3 or place % 3 or zone != "GMT" or not 1970 <= years <= 9999:
            raise ValueError
        if not (0 < days < 32 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 61):
            raise ValueError
    except ValueError:
        raise ValueError("no date: " + text[:40]) from None
    # as in tagoio.records: years that begin in March, so that the leap day is the last
    since_march = (place // 3 + 10) % 12
    years -= since_march > 9
    era, of_era = years // 400, years % 400
    days += (153 * since_march + 2) // 5 - 1
    days += of_era * 365 + of_era // 4 - of_era // 100 + era * 146097 - 719468
    return days * 86400 + hour * 3600 + minute * 60 + second


async def ask(session, host: str, progress=None) -> tuple:
    """(unix ms, the ticks at which it held), half a second of the truth or so, from the server that `session` leads to.

    Nothing is sent but the question. host: as its Host header has it; progress: as in Session.request. Raises
    SessionError, ValueError for an answer without a date, LocalProtocolError for a host that can be none.
    """
    response = http1.Response(bytearray(1), 1 << 20)
    response.begin("HEAD")
    await session.request(http1.encode_head("HEAD", "/", host), None, response, progress)
    ticks = ticks_ms()
    # it is cut off to the second
    return parse(response.header("date") or "") * 1000 + 500, ticks
