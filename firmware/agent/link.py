"""Wi-Fi: join the first network that works, notice when it goes, join again."""

import asyncio
import random

from micropython import const

_LOOK_MS = const(20)
_JOIN_MS = const(20000)
_HEALTHY_LOOK_MS = const(1000)
_FIRST_PAUSE_MS = const(1000)
_LONGEST_PAUSE_MS = const(300000)


class Link:
    """board: the board's module; networks: [(ssid, Secret key)], in order of preference.

    `up` is set while joined; `joins` counts: connections made before the last of them are dead.
    """

    def __init__(self, board, networks, log):
        self.up = asyncio.Event()
        self.joins = 0
        self._board = board
        self._networks = networks
        self._log = log
        self._wlan = None

    def name_servers(self) -> list:
        """The DNS servers that the network gave: ["address"], or [] while the link is down."""
        return [self._wlan.ifconfig()[3]] if self._wlan is not None and self.up.is_set() else []

    async def run(self, pulse) -> None:
        """Keep the link up."""
        pause = _FIRST_PAUSE_MS
        while True:
            self.up.clear()
            self._wlan = wlan = self._board.wifi()
            for ssid, key in self._networks:
                if await self._join(pulse, wlan, ssid, key):
                    pause = _FIRST_PAUSE_MS
                    self.joins += 1
                    self.up.set()
                    while wlan.isconnected():
                        await pulse.sleep(_HEALTHY_LOOK_MS)
                    self._log.warning("link", "lost " + ssid)
                    break
            else:
                wlan.active(False)
                # full jitter, so that a street of nodes does not come back in one moment
                wait = random.getrandbits(24) % pause + _FIRST_PAUSE_MS
                self._log.warning("link", "no network joined; next try in " + str(wait // 1000) + " s")
                await pulse.sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE_MS)

    async def _join(self, pulse, wlan, ssid, key):
        try:
            wlan.active(True)
            wlan.connect(ssid, key.reveal() or None)
            for _ in range(_JOIN_MS // _LOOK_MS):
                await pulse.sleep(_LOOK_MS)
                if wlan.isconnected():
                    self._log.info("link", "joined " + ssid)
                    return True
                if wlan.status() not in self._board.WIFI_WAITS:
                    break
            problem = self._board.wifi_problem(wlan.status())
            wlan.disconnect()
        except (OSError, ValueError, RuntimeError) as error:
            # the three that ports raise; the next network may do
            problem = str(error)
        self._log.warning("link", "could not join " + ssid + ": " + problem)
        return False
