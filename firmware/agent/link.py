"""Wi-Fi while it is up: notice when it goes, leave it for a better one. How it is joined is agent.joining's."""

import asyncio

from micropython import const

from agent import forget

_HEALTHY_LOOK_MS = const(2000)
_BETTER_MS = const(600000)


class Link:
    """board: the board's module; networks: [(ssid, Secret key)], in order of preference; mono: milliseconds since boot.
    notes: an agent.notes.Notes. settle(wlan): switches the radio on as the settings want it.

    `up` is set while joined; `joins` counts: connections made before the last of them are dead. `problem`: why it is
    not joined; `rounds` counts those in which none of the networks was. busy(): whether somebody uses the connection
    right now; reset(): starts the board again.
    """

    def __init__(self, board, networks, log, mono, notes=None, settle=None):
        self.up = asyncio.Event()
        self.joins = self.rounds = 0
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
        # what agent.joining knows of earlier: the network that worked last, rounds since a good connection, its pause
        self._known = (names.index(last) if last in names else 0, 0, 0)

    def name_servers(self) -> list:
        """The DNS servers that the network gave: ["address"], or [] while the link is down."""
        return [self._wlan.ifconfig()[3]] if self._wlan is not None and self.up.is_set() else []

    async def run(self, pulse) -> None:
        """Keep the link up."""
        held = None  # ms for which the last connection held
        if self.up.is_set():  # this task failed, and starts anew
            self.up.clear()
            held = -1
        to = None
        while True:
            from agent import joining

            forget("joining")
            index = await joining.join(self, pulse, held, to)
            del joining
            since = self._mono()
            self.joins += 1
            self.up.set()
            try:
                to = await self._hold(pulse, index)
            except (OSError, ValueError, RuntimeError) as error:
                self.problem = str(error)
                to = None
            self.up.clear()
            held = self._mono() - since

    async def _hold(self, pulse, index):
        """Until it is lost, None, or there is a better network: its number."""
        wlan = self._wlan
        better = self._mono() + _BETTER_MS
        while wlan.isconnected():
            await pulse.sleep(_HEALTHY_LOOK_MS)
            if len(self._networks) > 1 and self._mono() >= better and not self.busy():
                better = self._mono() + _BETTER_MS
                pulse.beat()
                to = self._look("better", index)
                if to is not None:
                    wlan.disconnect()
                    return to
        return None

    def _look(self, name, *which):
        from agent import scan

        forget("scan")
        return getattr(scan, name)(self._wlan, self._networks, *which)
