"""Passes over what goes on and on: the supervisor's looks, every second, and the link's, every two; fifty looks a
second while Wi-Fi is joined; the ten pieces a minute in which a Pico W sleeps.

Only where a look could not have come out differently: no other task and nothing in the world is due, no promise lapses,
a network is joined and stays so. What the looks would have left behind (their number, the watchdog fed, the link's
promise) is put down. A test plays seeds with and without it and finds the same lines on the console, and never is it
used with a bug seeded in the modules that it knows.
"""

from heapq import heappop, heappush
from typing import Any

from .loop import NEVER, Loop, Task

KNOWS = ("agent.supervisor", "agent.link", "agent.joining", "boards._rp2")
_LOOK_MS = 1000
_HOLD_MS = 2000
_LEAST_MS = 3000


class Idle:
    def __init__(self, world: Any):
        self._world = world
        self._look_ms = 0  # of a link that joins
        world.radio.joining = self._joining

    def loaded(self, name: str, module: Any) -> None:
        """A module of the device was executed."""
        if name == "boards._rp2":
            sleep, piece = module.sleep, module._PIECE_MS
            module.sleep = lambda ms, feed: sleep(self._asleep(ms, piece, feed), feed)
        elif name == "agent.joining":
            self._look_ms = module._LOOK_MS

    def _asleep(self, ms: int, piece: int, feed: Any) -> int:
        """A Pico W goes to sleep for so many ms: how many are left after the pieces in which nothing happens."""
        world = self._world
        time = world.time
        first = time._events[0][0] if time._events else NEVER
        pieces = (min(ms, first - time.now) - 1) // piece
        if pieces > 0:
            feed()
            time.now += pieces * piece
            world.hardware.fed = time.now - piece
            if time.bite != NEVER:
                time.bite = world.hardware.fed + world.hardware.watchdog_ms
            ms -= pieces * piece
        return ms

    def _joining(self, until: int) -> None:
        """The link has looked whether Wi-Fi is joined, which it cannot be before `until`, and looks again."""
        loop = self._world.loop
        if loop.inject is not None:
            return
        now = loop.time.now
        look = self._look_ms
        other = _first(loop._heap)
        events = loop.time._events
        until = min(until, other[0] if other else NEVER, events[0][0] if events else NEVER)
        loop.passed = now, look, (max(until - now - 1, 0) // look + 1) * look

    def __call__(self, loop: Loop, main: Task) -> bool:
        """The supervisor's task is due now. True when its looks up to the next thing that happens are passed over."""
        world = self._world
        node = world.watch.node
        house = node.house if node is not None else None
        if house is None or house._short or house._ending or loop.inject is not None:
            return False
        heap, time = loop._heap, loop.time
        now = time.now
        other = _first(heap)
        link = None
        better = NEVER
        networks = getattr(node.link, "_networks", ())  # a sleeping node has no link most of the time
        if other is not None and networks and not world.radio.sick and world.radio.up:
            link, at = _holding(other[2])
            if link is not None:
                heappop(heap)
                if len(networks) > 1:  # when it looks for a better one
                    better = now + at - node.link._mono()
        following = _first(heap) if link is not None else other
        until = min(following[0] if following else NEVER, time._events[0][0] if time._events else NEVER, better)
        looks = (until - now - 1) // _LOOK_MS
        end = now + looks * _LOOK_MS
        if until - now < _LEAST_MS or not self._kept(house, link, end - now):
            if link is not None:
                heappush(heap, other)
            return False
        if link is not None:
            when = other[0]
            rounds = (end - when) // _HOLD_MS + 1 if end >= when else 0
            heappush(heap, (when + rounds * _HOLD_MS, other[1], other[2]))
            link.due = world.hardware.ticks_add(link.due, rounds * _HOLD_MS)
        house._looks += looks
        world.hardware.fed = end - _LOOK_MS
        if time.bite != NEVER:
            time.bite = end - _LOOK_MS + world.hardware.watchdog_ms
        loop.push(main, end)
        return True

    def _kept(self, house: Any, link: Any, ms: int) -> bool:
        """Whether every promise holds for so long."""
        hardware = self._world.hardware
        ticks = hardware.ticks_ms()
        return all(pulse is link or hardware.ticks_diff(pulse.due, ticks) > ms for pulse in house._pulses)


def _first(heap: list) -> Any:
    while heap and heap[0][2].seq != heap[0][1]:
        heappop(heap)
    return heap[0] if heap else None


def _holding(task: Task) -> tuple[Any, int]:
    """The pulse of the link's task, when that holds the link and sleeps; when it looks for a better one then."""
    step = task.coro
    if step.__name__ != "_keep":
        return None, 0
    pulse = step.cr_frame.f_locals["pulse"]
    if pulse.name != "link":
        return None, 0
    while getattr(step, "cr_await", None) is not None:
        if step.__name__ == "_hold":
            if getattr(step.cr_await, "__name__", "") != "sleep":
                break
            return pulse, step.cr_frame.f_locals["better"]
        step = step.cr_await
    return None, 0
