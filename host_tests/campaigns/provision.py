"""A fleet is provisioned from CSV while the run is killed and interrupted, rate limits hold and answers are lost.

    make campaign-provision [ARGS="--rows 500 --stops 8 --window 6"]

The stand-in takes as much in a second as TagoIO's Starter plan, in windows that are shorter than a minute. The run is
stopped by SIGKILL and SIGINT in turn at random moments, and goes on; one creation of LOST loses its answer. In the end
each row has exactly one device and one token, none was made twice, and the result file says so.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tagonode import places
from tagonode.cloud import LocalCloud
from tagonode.cloud.limits import plan_limits

LOST = 37  # of so many creations one gets no answer
TAGONODE = Path(sys.executable).parent / "tagonode"


@dataclass
class Outcome:
    """What came of it. `wrong`: every breach, in words."""

    rows: int
    runs: int = 0
    lost: int = 0
    throttled: int = 0
    seconds: float = 0
    stops: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class LostAnswers:
    """Closes the connection after some of the creations were done. Wraps what Traffic.intercept was."""

    def __init__(self, cloud: Any, every: int):
        self._app = cloud.traffic._app
        self._every = every
        self._before = cloud.traffic.intercept
        self.creations = 0
        self.lost = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> bool:
        if scope["method"] != "POST" or scope["path"] != "/device":
            return bool(self._before and await self._before(scope, receive, send))
        self.creations += 1
        if self.creations % self._every:
            return False

        status = 0

        async def nothing(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        await self._app(scope, receive, nothing)
        self.lost += status == 201
        scope["state"]["connection"].reset()
        while (await receive())["type"] != "http.disconnect":
            pass
        return True


def write_fleet(path: Path, rows: int) -> None:
    """A CSV file of so many nodes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "serial", "site"])
        writer.writerows([f"node {n:04}", f"SN{n:06}", f"site {n % 7}"] for n in range(rows))


def play(
    folder: Path,
    rows: int,
    stops: int,
    window_s: int,
    seed: int,
    lost: int = LOST,
    stranger: bool = False,
    tighter: int = 1,
) -> Outcome:
    """Provision `rows` nodes, stopping the run `stops` times on the way.

    `stranger`: the profile has a device without a serial number, so that each row's number is asked for by itself.
    `tighter`: the limits are divided by it, so that few rows reach them, too.
    """
    chance = random.Random(seed)
    outcome = Outcome(rows)
    node = folder / "node.toml"
    node.write_text(places.DEFAULT_CONFIG.read_text())
    fleet, out = folder / "fleet.csv", folder / "fleet.result.csv"
    write_fleet(fleet, rows)
    with LocalCloud(db=folder / "cloud.sqlite") as cloud:
        if not stranger:
            cloud.store.delete_device(cloud.device(cloud.device_token).id)
        starter = plan_limits("starter").items()
        cloud.limits.per_window = {route: max(1, limit * window_s // 60 // tighter) for route, limit in starter}
        cloud.limits.window_s = window_s
        answers = LostAnswers(cloud, lost)
        cloud.traffic.intercept = answers
        command = [TAGONODE, "provision", node, "--csv", fleet, "--url", cloud.url, "--ca", cloud.ca_file, "--yes"]
        environment = {**os.environ, "TAGOIO_ACCOUNT_TOKEN": cloud.account_token}
        begin = time.monotonic()
        while True:
            outcome.runs += 1
            process = subprocess.Popen(
                [*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            try:
                if len(outcome.stops) < stops:
                    # by what has been done, not by the clock: the same on a busy machine
                    goal = rows * (len(outcome.stops) + chance.random()) / (stops + 1)
                    while process.poll() is None and answers.creations < goal:
                        time.sleep(0.005)
                    time.sleep(chance.random() * 0.1)
                    number = (signal.SIGKILL, signal.SIGINT)[len(outcome.stops) % 2]
                    if process.poll() is None:
                        process.send_signal(number)
                        outcome.stops.append(signal.Signals(number).name)
                said, _ = process.communicate(timeout=600)
            finally:
                process.kill()
            if process.returncode == 0:
                break
            if len(outcome.stops) >= stops and outcome.runs > stops + 2:
                outcome.wrong.append(f"the run does not end well: {said[-300:]}")
                break
        outcome.seconds = time.monotonic() - begin
        outcome.lost = answers.lost
        outcome.throttled = cloud.traffic.answers.get(429, 0)
        outcome.wrong += breaches(cloud, fleet, out)
    return outcome


def breaches(cloud: Any, fleet: Path, out: Path) -> list[str]:
    """What is wrong with the devices, tokens and the result file, in words."""
    wrong = []
    with fleet.open(newline="", encoding="utf-8") as file:
        wanted = {(row["name"], row["serial"]): row["site"] for row in csv.DictReader(file)}
    with out.open(newline="", encoding="utf-8") as file:
        results = list(csv.DictReader(file))
    if out.stat().st_mode & 0o777 != 0o600:
        wrong.append("the result file is not its owner's alone")
    if sorted((row["name"], row["serial"]) for row in results) != sorted(wanted):
        wrong.append(f"{len(results)} results of {len(wanted)} rows")
    with cloud.store._reader() as db:
        devices = db.execute(
            "SELECT number, id, name, serie_number, tags FROM device WHERE name <> ?", (cloud.FIRST_DEVICE,)
        ).fetchall()
        tokens = db.execute("SELECT token, device FROM token WHERE kind = 'device'").fetchall()
    names = [name for _, _, name, _, _ in devices]
    wrong += [f"{name!r} was made {names.count(name)} times" for name in sorted(set(names)) if names.count(name) > 1]
    wrong += [f"{name!r} was not made" for name, _ in wanted if name not in names]
    by_id = {row["device_id"]: row for row in results}
    for number, identity, name, serial, tags in devices:
        own = [token for token, device in tokens if device == number]
        result = by_id.get(identity)
        if result is None or (result["name"], result["serial"]) != (name, serial):
            wrong.append(f"{name!r} is not in the result file under its id")
        elif own != [result["token"]]:
            wrong.append(f"{name!r} has {len(own)} tokens, or another one than the result file says")
        if f'{{"key":"site","value":"{wanted.get((name, serial))}"}}' not in tags:
            wrong.append(f"{name!r} lacks its tag")
    return wrong


def main() -> int:
    """Play it once, and say what came of it in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--stops", type=int, default=8)
    parser.add_argument("--window", type=int, default=6, help="seconds of a rate limit's window; a minute at TagoIO")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stranger", action="store_true", help="another device is there, without a serial number")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tagonode-provision-") as folder:
        how = (options.rows, options.stops, options.window, options.seed)
        outcome = play(Path(folder), *how, stranger=options.stranger)
    for line in outcome.wrong[:20]:
        print(line)
    print(
        f"provision: {outcome.rows} rows in {outcome.runs} runs, stopped {len(outcome.stops)} times "
        f"({', '.join(outcome.stops)}), {outcome.lost} lost answers, {outcome.throttled} answers of 429, "
        f"{outcome.seconds:.0f} s, seed {options.seed}: {len(outcome.wrong)} violations"
    )
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
