"""What is kept of a crash: its traceback among the events, and the tally of crashes that safe mode goes by.

Loaded when something crashed. /crashes holds one letter a crash since the last healthy stretch: `w`, the watchdog;
`e`, an error that ended the agent; a `!` behind it says that the reset that follows is its doing.
"""

import gc
import os
import sys

from micropython import const

from agent import events, forget

TALLY = "/crashes"
_TRY_AGAIN_AFTER = const(10)  # crashes: safe mode, which comes after five (agent.assemble), is no better
HEALTHY_MS = 600000
_AGAIN_MS = const(86400000)
_TEXT_MAX = const(120)

_seen = {}  # what crashed how: milliseconds since boot of the last record


def record(what: str, error, node=None, folder: str = events.FOLDER) -> None:
    """Write down that `what` failed with `error` (None: there is none), and what was said last. Of the same once a day,
    since a task may fail every minute for a year. node: None before there is one. Raises OSError.
    """
    mono = node.clock.mono() if node else 0
    key = what if error is None else what + " failed: " + repr(error)[:_TEXT_MAX]
    last = _seen.get(key)
    if last is not None and mono - last < _AGAIN_MS:
        return
    if len(_seen) > 8:
        _seen.clear()
    _seen[key] = mono
    gc.collect()
    from agent import diary

    forget("diary")
    with diary.create(events.CRASH, node and node.clock, folder) as file:
        file.write("%s; %d s after start by %s\n" % (key, mono // 1000, node.cause if node else "?"))
        for line in node.log.last if node else ():
            file.write(line + "\n")
        if error is not None:
            sys.print_exception(error, file)


def tally(path: str = TALLY) -> str:
    """One letter a crash since the last healthy stretch."""
    try:
        with open(path) as file:
            return file.read(_TRY_AGAIN_AFTER + 2)
    except OSError:
        return ""


def _count(text, path):
    with open(path, "w") as file:
        file.write(text)


def ended(error, node=None, path: str = TALLY, folder: str = events.FOLDER) -> None:
    """The agent ended in `error`, and the board is to be reset: write that down. Raises OSError."""
    _count(tally(path).rstrip("!") + "e!", path)
    record("agent", error, node, folder)


def started(cause: str, path: str = TALLY):
    """(why this boot came about, how many crashes there have been). cause: the board's reset_cause()."""
    crashes = tally(path)
    if crashes[-1:] == "!":
        crashes = crashes[:-1]
        cause = "error"
    elif cause == "watchdog":
        crashes += "w"
    else:
        return cause, len(crashes)
    if len(crashes) >= _TRY_AGAIN_AFTER:
        crashes = ""
    try:
        _count(crashes, path)
    except OSError:
        pass  # a flash that takes no more has to be seen to start
    return cause, len(crashes)


def forgive(path: str = TALLY) -> None:
    """Begin the tally anew: the node has been well for a while, or somebody has changed something."""
    try:
        os.remove(path)
    except OSError:
        pass  # there was none
