"""Which of the faults of a failing life matter: the shortest list that still breaks the same invariant."""

import re
import time
from collections.abc import Callable, Sequence

from .faults import Fault
from .interpreter import Overlay
from .spec import Spec
from .world import World

_DAY_MS = 86400000


def likeness(violation: str) -> str:
    """What stays of a violation when its numbers and names are left out."""
    return re.sub(r"\d+|'[^']*'", "#", violation.split(":")[0])[:40]


def play(spec: Spec, faults: Sequence[Fault], overlay: Overlay = ()) -> World:
    """A life with these faults."""
    world = World(spec, faults, overlay)
    world.run()
    return world


def shrink(
    spec: Spec,
    faults: Sequence[Fault],
    overlay: Overlay = (),
    seconds: float = 120,
    told: Callable[[str], None] = lambda line: None,
) -> list[Fault]:
    """The faults that are left when every other one could be taken away, or the time is over. [] when none fails."""
    deadline = time.monotonic() + seconds
    world = play(spec, faults, overlay)
    if not world.watch.violations:
        return []
    wanted = likeness(world.watch.violations[0])
    over = world.time.now
    left = [fault for fault in faults if fault.at <= over]

    def fails(candidate: list[Fault]) -> bool:
        tried = play(spec, candidate, overlay)
        return any(likeness(violation) == wanted for violation in tried.watch.violations)

    size = max(1, len(left) // 2)
    while time.monotonic() < deadline:
        at = 0
        smaller = False
        while at < len(left) and time.monotonic() < deadline:
            candidate = left[:at] + left[at + size :]
            if fails(candidate):
                left = candidate
                smaller = True
                told(f"{len(left)} faults left")
            else:
                at += size
        if size == 1 and not smaller:
            break
        size = max(1, size // 2)
    return left
