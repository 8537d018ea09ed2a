"""`time`: the real module plus ticks, which wrap at 2**30 as on 32-bit boards."""

from time import *  # noqa: F403
from time import monotonic_ns, sleep

TICKS_PERIOD = 1 << 30
_HALF = TICKS_PERIOD >> 1

_ms_offset = 0
_us_offset = 0


def set_ticks(ms: int) -> None:
    """Make ticks_ms() and ticks_us() start again at `ms`. Of the shim alone, for tests of the wrap."""
    global _ms_offset, _us_offset
    now = monotonic_ns()
    _ms_offset = ms - now // 1_000_000
    _us_offset = ms - now // 1000


def ticks_ms() -> int:
    return (monotonic_ns() // 1_000_000 + _ms_offset) % TICKS_PERIOD


def ticks_us() -> int:
    return (monotonic_ns() // 1000 + _us_offset) % TICKS_PERIOD


def ticks_cpu() -> int:
    return monotonic_ns() % TICKS_PERIOD


def ticks_add(ticks: int, delta: int) -> int:
    """As in MicroPython: OverflowError for a delta of half the period or more."""
    if not -_HALF < delta < _HALF:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) % TICKS_PERIOD


def ticks_diff(end: int, start: int) -> int:
    return (end - start + _HALF) % TICKS_PERIOD - _HALF


def sleep_ms(ms: int) -> None:
    sleep(max(0, ms) / 1000)


def sleep_us(us: int) -> None:
    sleep(max(0, us) / 1_000_000)
