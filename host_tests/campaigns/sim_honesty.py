"""Is the simulation honest? The same minutes of trouble, in the simulation and on a virtual board: real MicroPython,
real TLS, the local TagoIO. Both have to come to the same verdicts in the same order.

    python host_tests/campaigns/sim_honesty.py [word]

A fault begins in the seventh minute and is over in the twentieth; a verdict, or two in turn, that come again at once
count once, since how often is a matter of jitter. (A reset that crosses the request has no script: it may count either
way.) Prints a line a script; exit status 0 when all agree.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).absolute().parents[1]), str(Path(__file__).absolute().parents[2] / "tools")]

from sim.spec import Spec  # noqa: E402
from sim.tagoio import Mood  # noqa: E402
from sim.world import World  # noqa: E402
from tagonode.cloud import faults  # noqa: E402
from virtualnode import VirtualNode  # noqa: E402

BEGIN_S, END_S, OVER_S = 400, 1180, 3600
_SETTINGS = {"remote": {"every": 0}, "health": {"every": 0}, "sample": {"every": 60}, "upload": {"every": 300}}
_SAID = re.compile(r"warning uplink: ([a-z ]+): .*; next try in ")

Do = Callable[[Any], object]


@dataclass(frozen=True)
class Script:
    """The same trouble in both: what begins and ends it on the board and in the simulation."""

    name: str
    board: tuple[Do, Do]
    simulated: tuple[Do, Do]


def _answers(kind: str, uploads: bool) -> Script:
    """The server does `kind` (of tagonode.cloud.faults), to uploads alone or to all."""
    methods = ("POST",) if uploads else ("GET", "POST", "HEAD")
    if kind == "lost":
        mood = Mood("drop", store=True, methods=methods)
    else:
        _, status, _, body = faults._ANSWERS[kind]
        text = body if isinstance(body, str) else json.dumps(body).replace("{seconds}", "10")
        mood = Mood("status", 1.0, status, text, raw=True, methods=methods)

    def begin(world: World) -> None:
        world.server.moods.append(mood)

    def end(world: World) -> None:
        world.server.moods.remove(mood)

    return Script(
        f"{kind}, {'uploads' if uploads else 'all requests'}",
        (
            lambda node: node.cloud.faults.set(faults.EVERY, faults.Fault(kind, uploads=uploads)),
            lambda node: node.cloud.faults.set(faults.EVERY, None),
        ),
        (begin, end),
    )


def _quiet(node: VirtualNode, silent: bool) -> None:
    node.names.silent = silent


def _out_of_reach(node: VirtualNode) -> None:
    for point in node.hardware.radio.access_points:
        point.ssid += " is gone"


def _in_reach(node: VirtualNode) -> None:
    for point in node.hardware.radio.access_points:
        point.ssid = point.ssid.removesuffix(" is gone")


_WORST = ("500", "502", "503", "401", "400", "413", "200_portal", "200_cut", "429")
SCRIPTS = [
    Script("nothing", (lambda node: None, lambda node: None), (lambda world: None, lambda world: None)),
    *(_answers(kind, True) for kind in faults._ANSWERS),
    *(_answers(kind, False) for kind in _WORST),
    _answers("lost", True),
    Script(
        "no network in reach",
        (_out_of_reach, _in_reach),
        (lambda world: world.radio.set_gone({"field"}), lambda world: world.radio.set_gone(set())),
    ),
    Script(
        "the name server is silent",
        (lambda node: _quiet(node, True), lambda node: _quiet(node, False)),
        (lambda world: setattr(world.net, "dns", "silent"), lambda world: setattr(world.net, "dns", "")),
    ),
    Script(
        "nothing comes through",
        (lambda node: node.offline(), lambda node: node.online()),
        (lambda world: setattr(world.net, "silent", True), lambda world: setattr(world.net, "silent", False)),
    ),
]


def sequence(events: list[tuple[float, str]]) -> list[str]:
    """Verdicts in order, of what a node printed: those that failed are said, the others show in its counters."""
    found: list[str] = []
    acknowledged = 0
    for _, line in events:
        verdict = None
        said = _SAID.search(line)
        if said:
            verdict = said[1]
        elif line.startswith("@{"):
            state = json.loads(line[1:])
            if state["acknowledged"] > acknowledged:
                verdict = "accepted"
            acknowledged = state["acknowledged"]
        if verdict and found[-1:] != [verdict]:
            found.append(verdict)
            if found[-4:-2] == found[-2:]:
                del found[-2:]
    return found


def on_board(script: Script) -> list[str]:
    """The verdicts of real MicroPython."""
    with VirtualNode(_SETTINGS) as node:
        node.run(BEGIN_S)
        script.board[0](node)
        node.run(END_S - BEGIN_S)
        script.board[1](node)
        node.run(OVER_S - END_S)
        events = [(at, line) for at, line in node.lines]
        events += [(state["at"], "@" + json.dumps(state)) for state in node.states]
        events.sort(key=lambda event: event[0])
        return sequence(events)


def simulated(script: Script) -> list[str]:
    """The verdicts of the simulation."""
    spec = Spec(1, OVER_S / 86400, sample=60, upload=300, health=0, remote=0, ppm=0.0)
    world = World(spec)
    events: list[tuple[float, str]] = []
    watch = world.watch.line

    def line(text: str) -> None:
        events.append((world.time.now / 1000, text))
        watch(text)

    world.watch.line = line  # type: ignore[method-assign]
    world.time.at(BEGIN_S * 1000, lambda: script.simulated[0](world))
    world.time.at(END_S * 1000, lambda: script.simulated[1](world))
    world.run()
    if world.watch.violations:
        return ["VIOLATION " + world.watch.violations[0]]
    return sequence(events)


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    differ = 0
    chosen = [script for script in SCRIPTS if wanted in script.name]
    for script in chosen:
        there, here = on_board(script), simulated(script)
        differ += there != here
        print(f"{script.name:35} {'same' if there == here else 'DIFFERS'}: {', '.join(here)}", flush=True)
        if there != here:
            print(f"{'':35} on the board: {', '.join(there)}")
    print(f"sim-honesty: {len(chosen)} scripts, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
