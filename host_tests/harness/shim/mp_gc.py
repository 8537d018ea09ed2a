"""`gc` with MicroPython's numbers: there is no capped heap here, so they are those of an idle board."""

from gc import *  # noqa: F403

_HEAP = 192 * 1024


def mem_free() -> int:
    return _HEAP // 2


def mem_alloc() -> int:
    return _HEAP - mem_free()


def threshold(amount: int | None = None) -> int | None:
    return -1 if amount is None else None
