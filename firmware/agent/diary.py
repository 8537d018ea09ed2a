"""The files of agent.events. Loaded when something happens, and forgotten.

An event is a small file in /events, `<number>.<variable>`: its first line is the time (unix ms, 0: not known), the rest
its text. The numbers rise for ever, which makes the group of each, `<tag>_e<number>`, its own. What was delivered ends
in `.sent`: the newest is kept for its number, and the last three crashes for whoever comes with a cable.
"""

import os

from micropython import const

from agent import events
from agent.events import CRASH, FOLDER, young

_MOST = const(16)  # that wait; the oldest goes first
_CRASHES = const(3)


def listing(folder: str = FOLDER) -> list:
    """[(number, file name)], oldest first."""
    found = []
    try:
        for name in os.listdir(folder):
            number = name.split(".")[0]
            if number.isdigit():
                found.append((int(number), name))
    except OSError:
        pass  # nothing has ever happened
    found.sort()
    return found


def create(variable: str, clock, folder: str = FOLDER):
    """The file of a new event, which takes its text, and counts when it is closed. Raises OSError.

    clock: None where there is none. Of the events that wait the oldest makes room, of crashes all but the last three.
    """
    found = listing(folder)
    number = found[-1][0] + 1 if found else 1
    if not found:
        try:
            os.mkdir(folder)
        except OSError:
            pass  # it is there
    prune(folder, found, False, CRASH, _CRASHES - 1 if variable == CRASH else _CRASHES)
    prune(folder, found, False, "", _MOST - 1)
    unix_ms = None
    if clock:
        mono = clock.mono()
        unix_ms = clock.stamp(mono)
        if unix_ms is None:
            young[number] = mono
    events.made += 1
    file = open("%s/%d.%s" % (folder, number, variable), "w")
    file.write("%d\n" % (unix_ms or 0))
    return file


def prune(folder, found, sent, variable, keep):
    """Remove all but the newest `keep` of this kind, whose name has `variable`, "" for any, and which is `sent`."""
    for number, name in reversed(found):
        parts = name.split(".")
        if (parts[-1] == "sent") == sent and variable in ("", parts[1]):
            keep -= 1
            if keep < 0:
                os.remove(folder + "/" + name)
                found.remove((number, name))


def delivered(folder: str, number: int, name: str) -> None:
    """TagoIO has it."""
    os.rename(folder + "/" + name, folder + "/" + name + ".sent")
    young.pop(number, None)
    found = listing(folder)
    prune(folder, found, True, CRASH, _CRASHES)
    prune(folder, [each for each in found if ".crash" not in each[1]], True, "", 1)
