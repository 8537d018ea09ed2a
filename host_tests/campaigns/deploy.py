"""Kills `tagonode deploy` at random moments: `python host_tests/campaigns/deploy.py` (make campaign-deploy).

Each round begins with a board that runs one version and a deployment of another, which is killed (SIGKILL) at a moment
between its start and a little after its end. The power of the board is cut then, or a while later. What is on its flash
has to be the old version or the new one, the board has to start into that, and a second deployment has to finish.
The two versions differ in every module, and the new one has some that the old one has not, and the reverse.
Ends with one summary line; exit status 0 only without a violation.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from deployrig import Rig, rig  # noqa: E402
from tagonode import build, deploy  # noqa: E402

VERSIONS = ({"drivers": ("bme280",), "every": 0.5}, {"drivers": ("sht4x", "bh1750"), "every": 0.4})
# a server of forks: the tests' own process has threads, and a new one would import for a second
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tagonode.deploy"])


def _deploy(port: str, files: dict[str, bytes], started, sent, done) -> None:
    """What is killed: the deployment itself, of files that were built before. sent: when all of them are."""

    def tell(text: str, size: int, total: int) -> None:
        if text.startswith("sending") and size == total:
            sent.set()

    started.set()
    with deploy.port.board_at(port) as transport:
        prompt = deploy.Prompt(transport, port)
        deploy.Installer(prompt, files, tell).install(deploy.Outcome(port))
        prompt.restart()
    done.set()


def _killed_after(bench: Rig, files: dict[str, bytes], seconds: float | None, at_the_end: bool = False) -> float | None:
    """Deploy, kill it so many seconds after its start, or after all is sent: how long it took from then on, None when
    it was killed."""
    started, sent, done = _FORKS.Event(), _FORKS.Event(), _FORKS.Event()
    arguments = (bench.board.port, files, started, sent, done)
    process = _FORKS.Process(target=_deploy, args=arguments, daemon=True)
    process.start()
    (sent if at_the_end else started).wait(60)
    begin = time.monotonic()
    if done.wait(60 if seconds is None else seconds):
        process.join(10)
        return time.monotonic() - begin
    process.kill()
    process.join()
    return None


def _versions(bench: Rig) -> list[dict[str, bytes]]:
    """The files of both. MicroPython reads no further than a .mpy's end: one more byte there makes another file."""
    found = []
    for number, version in enumerate(VERSIONS):
        bench.write_node(*version["drivers"], every=version["every"])
        files = {
            path: content + b"x" * number if path.endswith(".mpy") else content
            for path, content in bench.files().items()
            if path != build.MANIFEST
        }
        found.append({**files, build.MANIFEST: build.manifest(bench.name, files)})
    return found


def _start_with(bench: Rig, files: dict[str, bytes]) -> None:
    bench.board.board.power_cut()
    bench.board.flash.unlink()
    bench.board.restart(files)


def rounds(bench: Rig, count: int, seed: int) -> tuple[list[str], dict[str, int]]:
    """(violations, how often the board had the old and the new version after the kill, how often that was too late)."""
    rng = random.Random(seed)
    old, new = _versions(bench)
    violations: list[str] = []
    books = {"old": 0, "new": 0, "too late": 0}
    long = []
    for at_the_end in (False, True):
        _start_with(bench, old)
        took = _killed_after(bench, new, None, at_the_end)
        if took is None:
            return ["a deployment that nobody kills takes more than a minute"], books
        long.append(took)
    for number in range(count):
        _start_with(bench, old)
        # every other one when all is sent, and the board is about to switch
        at_the_end = number % 2
        moment = rng.uniform(0, long[at_the_end])
        of = "after all was sent" if at_the_end else f"of {long[0]:.2f} s"
        what = f"round {number + 1}, killed {moment:.2f} s {of}"
        took = _killed_after(bench, new, moment, bool(at_the_end))
        if took is not None:
            books["too late"] += 1
            long[at_the_end] = min(took, long[at_the_end])  # the PC was busier when that was measured
        before = len(bench.board.lines)
        if number % 6:  # the power goes, too, while the board may be finishing; else its watchdog has to notice
            time.sleep(rng.uniform(0, 0.3))
            bench.board.board.power_cut()
            bench.board.board.power_on()
        try:
            bench.board.wait(lambda before=before: bench.states(before))
        except AssertionError as error:
            violations.append(f"{what}: the board does not start again: {str(error)[-300:]}")
        bench.board.board.power_cut()
        found = bench.version()
        for name, version in (("old", old), ("new", new)):
            if found == version:
                books[name] += 1
                break
        else:
            mixed = sorted(path for path in found.keys() | old.keys() if found.get(path) != old.get(path))
            violations.append(f"{what}: neither the old version nor the new one: {mixed[:5]} are not as in the old")
        bench.board.board.power_on()
        if _killed_after(bench, new, None) is None:
            violations.append(f"{what}: the second deployment does not end")
        bench.board.board.power_cut()
        if bench.version() != new:
            violations.append(f"{what}: after the second deployment it is not the new version")
        if any(path.startswith("/incoming/") for path in bench.flash()):
            violations.append(f"{what}: something is left in /incoming")
    return violations, books


def main() -> int:
    parser = argparse.ArgumentParser(description="Kills deployments at random moments.")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    started = time.monotonic()
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tagonode-") as folder, rig(Path(folder)) as bench:
        violations, books = rounds(bench, options.rounds, seed)
    for violation in violations:
        print(violation)
    counted = ", ".join(f"{number} {name}" for name, number in books.items())
    took = time.monotonic() - started
    print(
        f"campaign-deploy: {options.rounds} kills ({counted}), {len(violations)} violations, seed {seed}, {took:.0f} s"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
