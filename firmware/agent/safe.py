"""Safe mode: a node that crashed again and again does nothing but keep its link and its clock, tell what happened, and
take remote settings. It tries again after an hour, after a remote setting, or after a deployment.
"""

from micropython import const

from agent import crash
from agent.app import Node
from agent.uplink import Uplink

_LASTS_MS = const(3600000)
_EVERY_MS = const(60000)
_SAID = "safe mode after %d crashes, for an hour: nothing is sampled. Deploy a remedy, or change a setting"


class NoQueue:
    """Stands in for the spool, which may be what crashes."""

    tag = "safe"
    queued = samples_queued = 0
    next_sequence = 1
    in_flight = None

    def sync(self) -> None:
        """There is nothing to write."""


class SafeNode(Node):
    """config: the board's settings; session, resolver, buffer: as agent.assemble makes them."""

    def __init__(self, config, board, log, clock, link, session, resolver, buffer, cause, crashes):
        Node.__init__(self, config, board, log, clock, NoQueue(), cause, crashes)
        # what waits is sent as soon as there are link and time
        config["upload.every"] = _EVERY_MS
        uplink = Uplink(self.spool, session, clock, link, config, self.status, log, board.unique_id(), buffer)
        self.attach(link, resolver, uplink, session)
        self.said = _SAID % crashes
        log.error("app", self.said)

    def look(self, light) -> int:
        """As Node's: safe mode, whatever else is wrong."""
        return light.SAFE

    def start(self, house) -> None:
        """As Node's: the tasks that are safe."""
        self.reach(house)
        house.start("uplink", self.uplink.run)
        house.start("safe mode", self._try_again)

    async def _try_again(self, pulse):
        await pulse.sleep(_LASTS_MS)
        self.log.warning("app", "safe mode is over: starting again")
        crash.forgive()
        self.restart()
