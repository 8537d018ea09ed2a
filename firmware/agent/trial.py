"""While a change of settings is on trial: it lasts no longer than it takes to see that nothing arrives any more.

Loaded for as long. The change is confirmed by agent.changes, with a POST that TagoIO took.
"""

from micropython import const

from agent import parameters
from tagoio import verdicts

_LOOK_MS = const(5000)
_PATIENCE_MS = const(900000)  # with a link, and nothing delivered
_LONGEST_MS = const(86400000)  # with or without; of a node that sleeps, too


async def watch(pulse, node, remote, folder: str = parameters.FOLDER) -> None:
    """Until it is confirmed, remote.trial False, or undone, which starts the node again."""
    stage = parameters.stage(folder)
    began = None
    try:
        for row in parameters.rows(folder + "/" + stage):
            began = row[0]
            break
    except OSError:
        return  # it is over, or cannot be read: its starts are counted
    remote.watches = watch = remote.watches + 1
    failing = 0
    while remote.trial and watch == remote.watches:  # one that sleeps begins another with each wake
        # the count goes on in sleep, and the time of day may not be known with these settings
        waited = node.clock.mono()
        status = node.status
        if status["verdict"] in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
            failing = 0
        elif node.link.up.is_set():
            failing += _LOOK_MS
        now = node.clock.now()
        if now is not None and isinstance(began, int):  # it may be damaged
            waited = max(waited, now - began * 1000)
        if remote.trial and not node.session.busy() and (failing >= _PATIENCE_MS or waited >= _LONGEST_MS):
            why = "nothing was delivered for %d minutes" % ((failing or waited) // 60000)
            if status["error"]:
                why += " (" + status["error"] + ")"
            node.log.warning("remote", "back to the settings before: " + why)
            parameters.undo(stage, why, folder)
            node.restart()
        await pulse.sleep(_LOOK_MS)
