"""Seeds bugs in agent, queue, uplink, clock and settings, one at a time, and lives in the simulation until it notices.

    python host_tests/campaigns/sim_mutations.py [word | number]     those with the word in their name; so many of them

Each has to be found within its bound of node-years of hostile lives. Prints for each the seed that finds it, how long
that took, and what was broken; exit status 0 when all were found. A bug is a text that takes another's place when the
module is loaded: the tree stays as it is.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

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
    ("what was in flight is forgotten at a start", "agent.uplink", "if self._batch.recall():", "if False:", 3, {}),
    (
        "a doubt begins anew at each wake",
        "agent.uplink",
        ' and self._status["verdict"] != verdicts.AMBIGUOUS',
        "",
        1,
        {"sleeps": True},
    ),
    ("what is in flight is not on flash", "agent.batch", "self._spool.begin(self.last)", "pass", 3, {}),
    ("an answer to a question is not read", "agent.doubt", "if there:", "if False:", 1, {}),
    ("a lost answer is asked for only once", "agent.doubt", "_ENDS = const(8)", "_ENDS = const(1)", 4, {}),
    ("a token on the console", "agent.uplink", "token = self._token.reveal()", "token = self._token.reveal(); self._log.error('uplink', token)", 1, {}),
    ("samples get the time of sending", "agent.batch", "self._clock.stamp(sample.mono)", "self._clock.now()", 2, {}),
    ("boots are confused", "spool.opening", "spool.boot += 1", "pass", 6, _AWAKE),
    ("a server that refuses all spoils readings", "agent.refusal", "batch._accepts = False", "batch._accepts = True", 3, _AWAKE),
    ("a commit is left for later", "spool.queue", "self._waiting >= self._commit_samples", "self._waiting > self._commit_samples", 1, {"commit_samples": 1}),
    ("a number is given twice", "spool.opening", "spool.next_sequence = sample.sequence + 1", "spool.next_sequence = sample.sequence", 1, {}),
    ("a move forgets a sample", "spool.queue", "        live = self._live()\n        for", "        live = self._live() + 1\n        for", 3, _MINUTELY),
    ("settled readings come again", "spool.queue", "                            if mask >> i & 1:\n", "                            if False:\n", 2, {}),
    ("one bit of a settled sample is kept", "spool.settling", "partial.get(sequence, 0) | 1 << index", "1 << index", 3, _AWAKE),
    ("what is dropped is not counted", "spool.queue", "self._books[_DROPPED] += self._missing", "self._books[_DROPPED] += 0 * self._missing", 4, dict(_MINUTELY, policy="drop_oldest")),
    ("what is declined is not counted", "spool.queue", "self._books[_DECLINED] += readings", "self._books[_DECLINED] += 0", 4, dict(_MINUTELY, policy="drop_newest")),
    ("ticks wrap", "agent.clock", "self._mono += ticks_diff(ticks, self._ticks)", "self._mono += ticks - self._ticks", 1, _AWAKE),
    ("the crystal is corrected the wrong way", "agent.clock", "+ (mono - self._at) * self._tenths", "- (mono - self._at) * self._tenths", 6, _AWAKE),
    ("an estimate is taken for the time", "agent.timing", "clock.state = ESTIMATED", "clock.state = SYNCED; clock.synced.set()", 8, {}),
    ("a Date moves what NTP has set", "agent.timing", "if source != SYNCED and not clock._coarse", "if False", 8, _DEEP),
    ("sleep takes no time", "agent.duty", 'kept["mono"] + slept', 'kept["mono"]', 1, _DEEP),
    ("after a delivery the next is never due", "agent.duty", "self._next = mono + wait + (self._every_ms", "self._next = mono + 4000000000 + (self._every_ms", 1, {"sleeps": True}),
    ("the watchdog is fed by a timer", "agent.supervisor", "            if not late:\n                self.feed()\n", "            self.feed()\n            if not late:\n                pass\n", 2, _AWAKE),
    ("a task that fails is not started again", "agent.supervisor", "            except Exception as error:", "            except ZeroDivisionError as error:", 2, _AWAKE),
    ("safe mode for ever", "agent.safe", "        crash.forgive()\n", "", 4, _AWAKE),
    ("the server is not verified", "session.connecting", "context.verify_mode = ssl.CERT_REQUIRED", "pass", 1, {}),
    ("sockets are left open", "session.client", "socks = self._sock, self._raw", "socks = (self._sock,)", 3, _AWAKE),
    ("a query leaves its socket open", "session.udp", "    finally:\n        sock.close()\n", "    finally:\n        pass\n", 1, _AWAKE),
    ("a gateway is believed", "tagoio.troubles", "if status in (502, 504):", "if status == 0:", 2, {}),
    ("any 200 will do", "tagoio.troubles", "verdict = AMBIGUOUS if success", 'verdict = "accepted" if success', 2, {}),
    ("decimals get lost", "tagoio.records", 'b"%.*f" % (decimals, value)', 'b"%.*f" % (0, value)', 1, {}),
    ("only the first copy of the settings", "agent.settings", 'FILES = ("/settings.json", "/settings.2.json")', 'FILES = ("/settings.json",)', 8, {}),
]  # fmt: skip

_DAYS = 12


def hunt(mutation: Mutation) -> tuple[str, int, float, float, str]:
    """(name, seed that found it or 0, node-years until then, seconds, what was broken)."""
    name, module, text, becomes, bound, more = mutation
    began = time.process_time()
    lived = 0.0
    seed = 0
    while lived < bound:
        seed += 1
        spec: Spec = replace(spec_of(seed), days=_DAYS, hostile=True, littlefs=False, **more)
        if "sample" not in more and spec.sample < 3600:
            spec = replace(spec, sample=3600, upload=3600)
        row = live(spec, overlay=((module, text, becomes),))
        lived += row["lived"] / 365
        if row["violations"]:
            return name, seed, lived, time.process_time() - began, row["violations"][0]
    return name, 0, lived, time.process_time() - began, f"NOT FOUND in {bound} node-years"


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = MUTATIONS[: int(wanted)] if wanted.isdecimal() else [row for row in MUTATIONS if wanted in row[0] + row[1]]
    missed = 0
    with ProcessPoolExecutor() as pool:
        hunts = {pool.submit(hunt, row): row for row in chosen}
        for ended in as_completed(hunts):
            row = hunts[ended]
            name, seed, years, seconds, broken = ended.result()
            missed += not seed
            print(
                f"{row[1]:16} {name:45} seed {seed:3} {years:6.2f} of {row[4]} node-years {seconds:5.1f} s: {broken[:90]}",
                flush=True,
            )
    print(f"sim-mutations: {len(chosen)} bugs, {missed} not found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
