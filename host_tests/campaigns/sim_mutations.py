"""Seeds bugs in agent, queue, uplink, clock and settings, one at a time, and lives in the simulation until it notices.

    python host_tests/campaigns/sim_mutations.py [WORD | NUMBER]     those with the word in their name; so many of them
    python host_tests/campaigns/sim_mutations.py --write             all, and keeps what they came to in sim_mutations.md
    python host_tests/campaigns/sim_mutations.py WORD --trace SEED   the story of that life with the bug in it

Each has to be found within its bound of node-years of hostile lives, seeds 1, 2, … A life counts as a find only when the
sound agent lives the same life unharmed. Prints for each the seed that finds it, how long that took, and what was
broken; exit status 0 when all were found. A bug is a text that takes another's place when the module is loaded: the
tree stays as it is.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).absolute().parents[1]), str(Path(__file__).absolute().parents[2] / "tools")]

from sim.campaign import live  # noqa: E402
from sim.spec import Spec, spec_of  # noqa: E402

# (what is wrong, module, text, what the bug makes of it, node-years within which it has to be found, more of the node)
# ruff: noqa: E501
Mutation = tuple[str, str, str, str, float, dict]

_MINUTELY = {"sample": 60, "upload": 300, "sleeps": False}
_AWAKE = {"sleeps": False}
_DEEP = {"board": "esp32", "sleeps": True}
MUTATIONS: list[Mutation] = [
    (
        "what may have arrived is sent again",
        "agent.uplink",
        "        if verdict == verdicts.AMBIGUOUS:\n            self._doubt = 0\n",
        "        if verdict == verdicts.AMBIGUOUS:\n            batch.returned()\n",
        1,
        {},
    ),
    ("what was in flight is forgotten at a start", "agent.uplink", "if self._batch.recall():", "if False:", 2, {}),
    (
        "a doubt begins anew at each wake",
        "agent.uplink",
        ' and self._status["verdict"] != verdicts.AMBIGUOUS',
        "",
        1,
        {"sleeps": True},
    ),
    ("what is in flight is not on flash", "agent.batch", "self._spool.begin(self.last)", "pass", 2, {}),
    ("an answer to a question is not read", "agent.doubt", "if there:", "if False:", 1, {}),
    ("a lost answer is asked for only once", "agent.doubt", "_ENDS = const(8)", "_ENDS = const(1)", 4, {}),
    ("a token on the console", "agent.uplink", "token = self._token.reveal()", "token = self._token.reveal(); self._log.error('uplink', token)", 1, {}),
    ("samples get the time of sending", "agent.batch", "self._clock.stamp(sample.mono)", "self._clock.now()", 1, {}),
    ("boots are confused", "spool.opening", "spool.boot += 1", "pass", 2, _AWAKE),
    ("a server that refuses all spoils readings", "agent.refusal", "batch._accepts = False", "batch._accepts = True", 1, _AWAKE),
    ("a commit is left for later", "spool.queue", "self._waiting >= self._commit_samples", "self._waiting > self._commit_samples", 1, {"commit_samples": 1}),
    ("a number is given twice", "spool.opening", "spool.next_sequence = sample.sequence + 1", "spool.next_sequence = sample.sequence", 1, {}),
    ("a move forgets a sample", "spool.queue", "        live = self._live()\n        for", "        live = self._live() + 1\n        for", 1, _MINUTELY),
    ("settled readings come again", "spool.queue", "                            if mask >> i & 1:\n", "                            if False:\n", 1, {}),
    ("one bit of a settled sample is kept", "spool.settling", "partial.get(sequence, 0) | 1 << index", "1 << index", 2, _AWAKE),
    ("what is dropped is not counted", "spool.queue", "self._books[_DROPPED] += self._missing", "self._books[_DROPPED] += 0 * self._missing", 2, dict(_MINUTELY, policy="drop_oldest")),
    ("what is declined is not counted", "spool.queue", "self._books[_DECLINED] += readings", "self._books[_DECLINED] += 0", 2, dict(_MINUTELY, policy="drop_newest")),
    ("ticks wrap", "agent.clock", "self._mono += ticks_diff(ticks, self._ticks)", "self._mono += ticks - self._ticks", 1, _AWAKE),
    ("the crystal is corrected the wrong way", "agent.clock", "+ (mono - self._at) * self._tenths", "- (mono - self._at) * self._tenths", 2, {**_AWAKE, "ppm": 45.0}),
    ("an estimate is taken for the time", "agent.timing", "clock.state = ESTIMATED", "return set(clock, unix_ms, at_ticks, clock.BY_DATE)", 2, {}),
    ("a Date moves what NTP has set", "agent.timing", "if source != SYNCED and not clock._coarse", "if False", 2, _DEEP),
    ("sleep takes no time", "agent.duty", 'kept["mono"] + slept', 'kept["mono"]', 1, _DEEP),
    ("after a delivery the next is never due", "agent.duty", "self._next = mono + wait + (self._every_ms", "self._next = mono + 4000000000 + (self._every_ms", 1, {"sleeps": True}),
    ("the watchdog is fed by a timer", "agent.supervisor", "            if not late:\n                self.feed()\n", "            self.feed()\n            if not late:\n                pass\n", 1, _AWAKE),
    ("a task that fails is not started again", "agent.supervisor", "            except Exception as error:", "            except ZeroDivisionError as error:", 1, _AWAKE),
    ("safe mode for ever", "agent.safe", "        crash.forgive()\n", "", 2, _MINUTELY),
    ("the server is not verified", "session.connecting", "context.verify_mode = ssl.CERT_REQUIRED", "pass", 1, {}),
    ("sockets are left open", "session.client", "socks = self._sock, self._raw", "socks = (self._sock,)", 2, _AWAKE),
    ("a query leaves its socket open", "session.udp", "    finally:\n        sock.close()\n", "    finally:\n        pass\n", 1, _AWAKE),
    ("a gateway is believed", "tagoio.troubles", "if status in (502, 504):", "if status == 0:", 2, {}),
    ("any 200 will do", "tagoio.troubles", "verdict = AMBIGUOUS if success", 'verdict = "accepted" if success', 1, {}),
    ("decimals get lost", "tagoio.records", 'b"%.*f" % (decimals, value)', 'b"%.*f" % (0, value)', 1, {}),
    ("only the first copy of the settings", "agent.settings", 'FILES = ("/settings.json", "/settings.2.json")', 'FILES = ("/settings.json",)', 2, {}),
    ("a value out of its range is taken", "agent.settings", 'return None if low <= value <= high else "has to be from "', 'return None if value == value else "has to be from "', 1, {}),
    ("a setting from afar is forgotten at the next start", "agent.overlay", 'values, roots = _read(folder + "/values")', "values, roots = {}, []", 1, {}),
    ("a parameter is dealt with at every look", "agent.changes", "seen[place] = before.get(place, checksum if read else None)", "seen[place] = None", 1, {}),
    ("a parameter is not marked as read", "agent.reports", "if marked is False:", "if marked is None:", 1, {}),
    ("a change is kept, whether anything arrives or not", "agent.reports", "return verdict in _TAKEN\n\n\n", "return True\n\n\n", 2, {}),
    ("a trial has no end", "agent.trial", "(failing >= _PATIENCE_MS or waited >= _LONGEST_MS)", "False", 2, {}),
]  # fmt: skip

_NODE = {"days": 12, "hostile": True, "littlefs": False}
TABLE = Path(__file__).with_suffix(".md")


class Hunt(NamedTuple):
    """seed: that found it, 0 when none did; years: lived until then; seconds: of one core; broken: which invariant."""

    seed: int
    years: float
    seconds: float
    broken: str


def spec(seed: int, more: dict) -> Spec:
    """The life of this seed in which a bug is looked for."""
    node = {**_NODE, **more}
    if "sample" not in more and spec_of(seed).sample < 3600:
        node.update(sample=3600, upload=3600)
    return replace(spec_of(seed), **node)


def hunt(mutation: Mutation) -> Hunt:
    """Live until somebody notices, or until the bound is reached."""
    _, module, text, becomes, bound, more = mutation
    began = time.process_time()
    lived = 0.0
    seed = 0
    also_sound = []
    while lived < bound:
        seed += 1
        row = live(spec(seed, more), overlay=((module, text, becomes),))
        lived += row["lived"] / 365
        if row["violations"]:
            sound = live(spec(seed, more))
            if not sound["violations"]:
                return Hunt(seed, lived, time.process_time() - began, row["violations"][0])
            also_sound.append(f"{seed} ({sound['violations'][0]})")
    failed = "; the sound agent fails, too, in seeds " + ", ".join(also_sound[:3]) if also_sound else ""
    return Hunt(0, lived, time.process_time() - began, f"NOT FOUND in {bound} node-years{failed}")


def chosen(wanted: str) -> list[Mutation]:
    """So many, or those with this word in their name or of a module of that name."""
    if wanted.isdecimal():
        return MUTATIONS[: int(wanted)]
    return [row for row in MUTATIONS if wanted in row[0] or wanted in row[1]]


def table(found: Iterable[tuple[Mutation, Hunt]]) -> str:
    """The text of sim_mutations.md."""
    lines = [
        "# Bugs that the simulation finds",
        "",
        "Each was seeded in the agent by `sim_mutations.py`, which wrote this (`make campaign-sim-bugs ARGS=--write`): the",
        "first seed whose life shows it while the sound agent lives the same one unharmed, after how many node-years of",
        "hostile lives from seed 1 on, of how many that it may take, and which invariant was broken.",
        "",
        "| bug | module | seed | node-years | of | broken |",
        "|---|---|---:|---:|---:|---|",
    ]
    for (name, module, _, _, bound, _), hunted in found:
        broken = hunted.broken.split("\n")[0][:80].replace("|", "/")
        lines.append(f"| {name} | {module} | {hunted.seed or '-'} | {hunted.years:.2f} | {bound:g} | {broken} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wanted", nargs="?", default="", help="a word of their names, or so many")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--write", action="store_true", help="keep the table; only for all of them")
    parser.add_argument("--trace", type=int, metavar="SEED", help="tell the story of one life")
    options = parser.parse_args()
    rows = chosen(options.wanted)
    if not rows or options.write and len(rows) < len(MUTATIONS):
        parser.error("no such bug" if not rows else "--write is for all of them")
    if options.trace:
        _, module, text, becomes, _, more = rows[0]
        live(spec(options.trace, more), overlay=((module, text, becomes),), say=print)
        return 0
    found: dict[str, Hunt] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        # those that may take longest first
        hunts = {pool.submit(hunt, row): row for row in sorted(rows, key=lambda row: -row[4])}
        for ended in as_completed(hunts):
            name, module, _, _, bound, _ = hunts[ended]
            hunted = found[name] = ended.result()
            print(
                f"{len(found):2}/{len(rows)} {module:16} {name:45} seed {hunted.seed:3} {hunted.years:5.2f} of "
                f"{bound:g} node-years {hunted.seconds:5.1f} s: {hunted.broken[:90]}",
                flush=True,
            )
    missed = [name for name, hunted in found.items() if not hunted.seed]
    print(
        f"sim-mutations: {len(rows)} bugs, {len(missed)} not found, {sum(each.years for each in found.values()):.1f} "
        f"node-years, {sum(each.seconds for each in found.values()):.0f} s of one core in all"
        + (": " + "; ".join(missed) if missed else "")
    )
    if options.write:
        TABLE.write_text(table((row, found[row[0]]) for row in rows), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
