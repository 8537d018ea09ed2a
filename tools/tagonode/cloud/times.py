"""Times as TagoIO reads and writes them. Inside the stand-in a time is an int: milliseconds since 1970, UTC.

Source: TagoIO API, sending data (field `time`) and getting data (`start_date`, `end_date`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DAY_MS = 86_400_000
EARLIEST = -62_135_596_800_000  # 0001-01-01
LATEST = 253_402_300_799_999  # 9999-12-31

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?(?:([Zz])|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)
# what `String(new Date())` and `toUTCString()` give
_JAVASCRIPT = re.compile(
    r"[A-Z][a-z]{2},? (?:([A-Z][a-z]{2}) (\d\d)|(\d\d) ([A-Z][a-z]{2})) (\d{4}) "
    r"(\d\d):(\d\d):(\d\d) GMT(?:([+-])(\d\d):?(\d\d))?(?: \(.*\))?",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RELATIVE = re.compile(r"(\d{1,6}) ?([A-Za-z]+)", re.ASCII)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "second"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "minute"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "hour"),
    **dict.fromkeys(("d", "day", "days"), "day"),
    **dict.fromkeys(("w", "week", "weeks"), "week"),
    **dict.fromkeys(("M", "month", "months"), "month"),
    **dict.fromkeys(("y", "year", "years"), "year"),
}


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime; microseconds are cut off."""
    return (moment - EPOCH) // MILLISECOND


def to_datetime(ms: int) -> datetime:
    """The aware UTC datetime of `ms` milliseconds since 1970."""
    return EPOCH + ms * MILLISECOND


def iso8601(ms: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`, the only form the API answers with."""
    return to_datetime(ms).isoformat(timespec="milliseconds")[:23] + "Z"


def parse(text: str, zone: tzinfo = UTC) -> tuple[int, bool]:
    """Read an absolute time: ISO 8601, `YYYY-MM-DD HH:MM:SS`, a bare date, or JavaScript's date text.

    A text without a zone is taken in `zone`. Returns (milliseconds, whether it was a date without time).
    Raises ValueError. Digits alone are refused: the API takes an epoch only as a JSON number.
    """
    found = _ISO.fullmatch(text)
    if found:
        year, month, day, hour, minute, second, fraction, utc, sign, zone_hours, zone_minutes = found.groups()
        parts = (int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        micros = int((fraction or "0").ljust(6, "0")[:6])
        if utc:
            zone = UTC
    else:
        found = _JAVASCRIPT.fullmatch(text)
        if not found:
            raise ValueError("not a time")
        name, day, day_first, name_last, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
        name = name or name_last
        if name not in _MONTHS:
            raise ValueError("not a month")
        parts = (
            int(year),
            _MONTHS.index(name) + 1,
            int(day or day_first),
            int(hour),
            int(minute),
            int(second),
        )
        micros = 0
        zone = UTC
    if sign:
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes or 0))
        zone = timezone(-offset if sign == "-" else offset)
    try:
        ms = to_ms(datetime(*parts, micros, tzinfo=zone))
    except OverflowError as error:
        raise ValueError("out of range") from error
    if not EARLIEST <= ms <= LATEST:
        raise ValueError("out of range")
    return ms, len(text) == 10


def shift(moment: datetime, count: int, unit: str) -> datetime:
    """`moment` moved by `count` units; months and years keep the day where the month has it."""
    if unit in _SECONDS:
        return moment + timedelta(seconds=count * _SECONDS[unit])
    months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    following = datetime(year + (month == 11), (month + 1) % 12 + 1, 1, tzinfo=UTC)
    last_day = (following - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


def parse_bound(text: str, now: int, end: bool, zone: tzinfo = UTC) -> int:
    """Read `start_date` or (`end`) `end_date` of a query, in milliseconds. Raises ValueError.

    "1 day" and its like count back from `now` as a start and forward from it as an end. A date without
    time means the first millisecond of that day as a start and its last as an end.
    """
    text = text.strip()
    relative = _RELATIVE.fullmatch(text)
    if relative:
        name = relative[2]
        unit = _UNITS.get(name) or (_UNITS.get(name.lower()) if len(name) > 1 else None)
        if unit is None:
            raise ValueError("not a unit of time")
        count = int(relative[1])
        try:
            return to_ms(shift(to_datetime(now), count if end else -count, unit))
        except OverflowError as error:
            raise ValueError("out of range") from error
    ms, date_only = parse(text, zone)
    if date_only and end:  # by the calendar, since a day of a zone with summer time may have 23 or 25 hours
        year, month, day = map(int, text.split("-"))
        following = datetime(year, month, day) + timedelta(days=1)
        return to_ms(following.replace(tzinfo=zone)) - 1
    return ms


def start_of_period(moment: datetime, period: str) -> datetime:
    """The first instant of the day, week (from Monday), month, quarter or year around `moment`, in UTC."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        return day - timedelta(days=day.weekday())
    if period == "month":
        return day.replace(day=1)
    if period == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    if period == "year":
        return day.replace(month=1, day=1)
    return day
