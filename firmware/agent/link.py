"""Wi-Fi: join a network that works, notice when it goes, join again.

Joining decides what comes next, and does nothing; Link does it, and decides nothing.
"""

import asyncio
import random

from micropython import const

from agent import forget

TRY = const(0)  # network number `argument`
REST = const(1)  # with the radio off, `argument` ms
CYCLE = const(2)  # the same, and the radio starts from nothing then
RESET = const(3)  # the board

_LOOK_MS = const(20)
_JOIN_MS = const(20000)
_HEALTHY_LOOK_MS = const(2000)
_FIRST_PAUSE_MS = const(1000)
_LONGEST_PAUSE_MS = const(300000)
_HELD_MS = const(60000)  # a connection that lasts so long is a good one
_CYCLE_EVERY = const(4)  # rounds that nothing came of
_MUTE_MS = const(900000)  # for which a radio may not answer before the board is reset for it
_EXPLAIN_EVERY = const(8)
_BETTER_LOOKS = const(300)


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


class Link:
    """board: the board's module; networks: [(ssid, Secret key)], in order of preference; mono: milliseconds since boot.
    notes: an agent.notes.Notes. settle(wlan): switches the radio on as the settings want it.

    `up` is set while joined; `joins` counts: connections made before the last of them are dead. `problem`: why it is
    not joined. busy(): whether somebody uses the connection right now; reset(): starts the board again.
    """

    def __init__(self, board, networks, log, mono, notes=None, settle=None):
        self.up = asyncio.Event()
        self.joins = 0
        self.problem = ""
        self.busy = lambda: False
        self.reset = board.reset
        self._board = board
        self._networks = networks
        self._log = log
        self._mono = mono
        self._notes = notes
        self._settle = settle or (lambda wlan: wlan.active(True))
        self._wlan = None
        names = [row[0] for row in networks]
        last = notes.get("network") if notes else None
        self._joining = Joining(len(networks), names.index(last) if last in names else 0, self._choose)

    def _choose(self, count):
        return random.getrandbits(24) % count

    def name_servers(self) -> list:
        """The DNS servers that the network gave: ["address"], or [] while the link is down."""
        return [self._wlan.ifconfig()[3]] if self._wlan is not None and self.up.is_set() else []

    async def run(self, pulse) -> None:
        """Keep the link up."""
        joining = self._joining
        if self.up.is_set():  # this task failed, and starts anew
            self.up.clear()
            joining.lost(0)
        while True:
            what, argument = joining.next(self._mono())
            if what == TRY:
                await self._try(pulse, argument)
            elif what == RESET:
                self._log.error("link", "the radio does not answer: starting the board again")
                self.reset()
            else:
                if joining.rounds % _EXPLAIN_EVERY == 1:
                    self._explain()
                self._switch_off(what == CYCLE)
                self._log.warning("link", "no network joined; next try in %d s" % (argument // 1000))
                await pulse.sleep(argument)

    def _switch_off(self, wholly):
        try:
            if wholly:
                self._board.wifi_off()
            else:
                self._wlan.active(False)
        except (OSError, ValueError, RuntimeError, AttributeError):
            pass  # it is off, or does not answer: that shows in the next try

    async def _try(self, pulse, index):
        joining, ssid = self._joining, self._networks[index][0]
        mute = False
        try:
            self.problem = await self._join(pulse, index)
        except ValueError as error:
            self.problem = str(error)  # a key that can be none
        except (OSError, RuntimeError) as error:
            self.problem = "the radio does not answer: " + str(error)
            mute = True
        if self.problem:
            self._log.warning("link", "could not join " + ssid + ": " + self.problem)
            joining.failed(self._mono(), mute)
            return
        joining.joined()
        self._log.info("link", "joined " + ssid)
        if self._notes and len(self._networks) > 1:
            self._notes.put("network", ssid)
        since = self._mono()
        self.joins += 1
        self.up.set()
        try:
            to = await self._hold(pulse, index)
        except (OSError, ValueError, RuntimeError) as error:
            self.problem = str(error)
            to = None
        self.up.clear()
        if to is None:
            self._log.warning("link", "lost " + ssid)
            joining.lost(self._mono() - since)
        else:
            self._log.info("link", "leaving " + ssid + " for " + self._networks[to][0])
            joining.move(to)

    async def _join(self, pulse, index):
        """Why it cannot be joined, "" when it is."""
        ssid, key = self._networks[index]
        board = self._board
        self._wlan = wlan = board.wifi()
        self._settle(wlan)
        wlan.connect(ssid, key.reveal() or None)
        for _ in range(_JOIN_MS // _LOOK_MS):
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

    async def _hold(self, pulse, index):
        """Until it is lost, None, or there is a better network: its number."""
        looks = 0
        wlan = self._wlan
        while wlan.isconnected():
            await pulse.sleep(_HEALTHY_LOOK_MS)
            looks += 1
            if looks % _BETTER_LOOKS == 0 and len(self._networks) > 1 and not self.busy():
                pulse.beat()
                to = self._look("better", index)
                if to is not None:
                    wlan.disconnect()
                    return to
        return None

    def _explain(self):
        """Look around why nothing is joined, and in which order to go on."""
        try:
            order = self._look("explain")
            self._joining.plan([index for index, _ in order])
            for index, problem in order:
                if problem:
                    self.problem = problem
                    self._log.warning("link", self._networks[index][0] + ": " + problem)
        except (OSError, ValueError, RuntimeError, AttributeError, MemoryError):
            pass  # a radio that cannot look around has said so

    def _look(self, name, *which):
        from agent import scan

        forget("scan")
        return getattr(scan, name)(self._wlan, self._networks, *which)
