"""`asyncio` as MicroPython has it, and nothing of what CPython has more.

A small scheduler of its own, because MicroPython's semantics (who runs next, what a cancelled wait does,
streams on sockets that the caller made) are what device code depends on. core.py: the loop, tasks and the I/O
queue, with MicroPython's names, so that a clock of your own takes the place of `core.ticks` and
`core._io_queue`.
"""

from . import core
from .core import (
    CancelledError,
    Loop,
    Task,
    TimeoutError,
    create_task,
    current_task,
    get_event_loop,
    new_event_loop,
    run,
    run_until_complete,
    sleep,
    sleep_ms,
)
from .funcs import gather, wait_for, wait_for_ms
from .stream import Stream, StreamReader, StreamWriter, open_connection, start_server
from .sync import Event, Lock, ThreadSafeFlag

__all__ = [
    "CancelledError",
    "Event",
    "Lock",
    "Loop",
    "Stream",
    "StreamReader",
    "StreamWriter",
    "Task",
    "ThreadSafeFlag",
    "TimeoutError",
    "core",
    "create_task",
    "current_task",
    "gather",
    "get_event_loop",
    "new_event_loop",
    "open_connection",
    "run",
    "run_until_complete",
    "sleep",
    "sleep_ms",
    "start_server",
    "wait_for",
    "wait_for_ms",
]
