"""How Wi-Fi is joined: which network comes next, and how it is tried. Loaded while nothing is joined, forgotten then:
nothing that outlives it may be defined here, for a function keeps its whole module alive.

Joining decides what comes next, and does nothing; the rest does it, and decides nothing.
"""

import random

from micropython import const

TRY = const(0)  # network number `argument`
REST = const(1)  # with the radio off, `argument` ms
CYCLE = const(2)  # the same, and the radio starts from nothing then
RESET = const(3)  # the board

_LOOK_MS = const(20)
_JOIN_MS = const(20000)
_FIRST_PAUSE_MS = const(1000)
_LONGEST_PAUSE_MS = const(300000)
_HELD_MS = const(60000)  # a connection that lasts so long is a good one
_CYCLE_EVERY = const(4)  # rounds that nothing came of
_MUTE_MS = const(900000)  # for which a radio may not answer before the board is reset for it
_EXPLAIN_EVERY = const(8)


class Joining:
    """What to do next about Wi-Fi. Told what happened, `next` says what comes: no radio, no clock, no waiting in here.

    count: of networks, the preferred one first; best: the one that worked last; choose(n): any of 0 … n - 1.
    Times are in ms of a count that never wraps.
    """

    def __init__(self, count: int, best: int, choose):
        self.best = best
        self.rounds = 0  # since a good connection, in which each network was tried
        self._count = count
        self._choose = choose
        self._pause = _FIRST_PAUSE_MS
        self._mute_since = None
        self.plan(range(count))

    def plan(self, order) -> None:
        """Try them in this order, the best one before all."""
        self._queue = [index for index in order if index != self.best]
        if self.best < self._count:
            self._queue.insert(0, self.best)

    def next(self, now: int) -> tuple:
        """(TRY, index), (REST, ms), (CYCLE, ms) or (RESET, 0)."""
        if self._queue:
            return TRY, self._queue[0]
        self.plan(range(self._count))
        self.rounds += 1
        # full jitter, so that a street of nodes does not come back in one moment
        wait = self._choose(self._pause) + _FIRST_PAUSE_MS
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_MS)
        if self._mute_since is not None:
            if now - self._mute_since >= _MUTE_MS:
                self._mute_since = now
                return RESET, 0
            return CYCLE, wait
        return (REST if self.rounds % _CYCLE_EVERY else CYCLE), wait

    def failed(self, now: int, mute: bool) -> None:
        """The network that was tried is not joined. mute: the radio itself did not do as it was told."""
        self._queue.pop(0)
        if not mute:
            self._mute_since = None
        elif self._mute_since is None:
            self._mute_since = now

    def joined(self) -> None:
        """The network that was tried is joined."""
        self.best = self._queue[0]
        self._mute_since = None

    def lost(self, held_ms: int) -> None:
        """It is lost again, after so long: one that lasts only moments is no reason to hurry."""
        self._queue.clear()
        if held_ms >= _HELD_MS:
            self.rounds = 0
            self._pause = _FIRST_PAUSE_MS
            self.plan(range(self._count))

    def move(self, index: int) -> None:
        """It is left for this one."""
        self.best = index
        self.plan(range(self._count))


async def join(link, pulse, held_ms, to) -> int:
    """Try until a network is joined: its number.

    held_ms: how long the connection before held, None when there was none, -1 when its end was not seen; to: the
    number of the network that it was left for, or None.
    """
    best, rounds, pause = link._known
    joining = Joining(len(link._networks), best, lambda count: random.getrandbits(24) % count)
    joining.rounds = rounds
    joining._pause = pause or _FIRST_PAUSE_MS
    if to is not None:
        link._log.info("link", "leaving " + link._networks[best][0] + " for " + link._networks[to][0])
        joining.move(to)
    elif held_ms is not None:
        if held_ms >= 0:
            link._log.warning("link", "lost " + link._networks[best][0])
        joining.lost(held_ms)
    while True:
        what, argument = joining.next(link._mono())
        if what == TRY:
            if await _try(link, pulse, joining, argument):
                link._known = argument, joining.rounds, joining._pause
                return argument
        elif what == RESET:
            link._log.error("link", "the radio does not answer: starting the board again")
            link.reset()
        else:
            if joining.rounds % _EXPLAIN_EVERY == 1:
                _explain(link, joining)
            _switch_off(link, what == CYCLE)
            link.rounds += 1
            link._log.warning("link", "no network joined; next try in %d s" % (argument // 1000))
            await pulse.sleep(argument)


def _switch_off(link, wholly):
    try:
        if wholly:
            link._board.wifi_off()
        else:
            link._wlan.active(False)
    except (OSError, ValueError, RuntimeError, AttributeError):
        pass  # it is off, or does not answer: that shows in the next try


async def _try(link, pulse, joining, index):
    ssid = link._networks[index][0]
    mute = False
    try:
        link.problem = await _join(link, pulse, index)
    except ValueError as error:
        link.problem = str(error)  # a key that can be none
    except (OSError, RuntimeError) as error:
        link.problem = "the radio does not answer: " + str(error)
        mute = True
    if link.problem:
        link._log.warning("link", "could not join " + ssid + ": " + link.problem)
        joining.failed(link._mono(), mute)
        return False
    joining.joined()
    link._log.info("link", "joined " + ssid)
    if link._notes and len(link._networks) > 1:
        link._notes.put("network", ssid)
    return True


async def _join(link, pulse, index):
    """Why it cannot be joined, "" when it is."""
    ssid, key = link._networks[index]
    board = link._board
    link._wlan = wlan = board.wifi()
    link._settle(wlan)
    wlan.connect(ssid, key.reveal() or None)
    end = link._mono() + _JOIN_MS
    while link._mono() < end:
        await pulse.sleep(_LOOK_MS)
        if wlan.isconnected():
            return ""
        if wlan.status() not in board.WIFI_WAITS:
            break
    problem = board.wifi_problem(wlan.status())
    try:
        wlan.disconnect()
    except OSError:
        pass  # there was nothing to end
    return problem


def _explain(link, joining):
    """Look around why nothing is joined, and in which order to go on."""
    try:
        order = link._look("explain")
        joining.plan([index for index, _ in order])
        for index, problem in order:
            if problem:
                link.problem = problem
                link._log.warning("link", link._networks[index][0] + ": " + problem)
    except (OSError, ValueError, RuntimeError, AttributeError, MemoryError):
        pass  # a radio that cannot look around has said so
