"""A virtual board under real MicroPython, against a hostile TagoIO; what a fault did to it."""

import functools
import itertools
import json
import os
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import certificates
from hostile.server import HOST, Fault, Hostile
from hostile.tagoio import sequence_of
from tagonode import build, config, device, places
from tagonode.simulate import HEAP_KIB, settings_files
from tagonode.virtual import image
from tagonode.virtual.board import VirtualBoard
from tagonode.virtual.wiring import build_hardware

verdicts = device.load("tagoio.verdicts")

TOKEN = "7d0f00d5-cafe-4bad-9a5e-c0ffee123456"
WIFI_PASSWORD = "correct horse battery"
BOARD = "pico_w"
PATIENCE_S = 0.3
WINDOW_S = 0.3
SETTINGS: dict[str, Any] = {
    "board": BOARD,
    "wifi": {"networks": ["field"]},
    "sample": {"every": 0.05},
    "health": {"every": 0},
    "remote": {"every": 0},
    "upload": {"every": 0.1, "patience": PATIENCE_S, "window": WINDOW_S},
    # these need no time to measure: what comes late is not the sensors' fault
    "sensors": [{"driver": "battery", "bus": "battery"}, {"driver": "rssi", "bus": "wifi"}],
}
_RACES = 3
WATCHDOG_S = 8.388  # of a Pico W
_BUSY_S = 0.02  # of waiting for a processor: from then on one may come too late
_ROW_S = 30  # how long each part of a fault may take before it is called endless
# a disk that is busy elsewhere would hold up the board's flash, and with it the sampling
_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
_WORDS = {value for name, value in vars(verdicts).items() if name.isupper() and isinstance(value, str)}
_SAID = re.compile(r"(?P<at>\d+\.\d+) (?P<level>warning|error) (?P<who>\w+): (?P<text>.*)")
_PAUSE = re.compile(r"; next try in (?P<s>[\d.]+) s$")
_DEADLINE = ("nothing moved for", "no answer from", "no end in sight")
_HARMLESS = ("set aside a reading",)  # of the uplink's other words


class BoardError(Exception):
    """The board does not start; what it said."""


@dataclass
class Outcome:
    """What a fault did. gap: longest time between two samples, s; unfed: the watchdog, s; seconds: all of it; problems:
    [] when all is well."""

    fault: Fault
    verdicts: list[str] = field(default_factory=list)
    requests: int = 0
    lost: int = 0
    twice: int = 0
    gap: float = 0.0
    unfed: float = 0.0
    seconds: float = 0.0
    late: bool = False  # the machine was busy elsewhere, which cost a deadline
    races: int = 0  # problems that come of a request and a close which cross each other
    problems: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def only_raced(self) -> bool:
        return bool(self.races) and self.races == len(self.problems)

    def __str__(self) -> str:
        said = " ok"
        if self.problems:
            said = "\n".join(["", *self.problems, "--- console", *self.console, "--- server", *self.trace])
        return f"{self.fault.name}:{said}"


@functools.cache
def _firmware() -> dict[str, bytes]:
    roots = build.root_files(certificates.root_pem(), "the root of the tests")
    drivers = [sensor["driver"] for sensor in SETTINGS["sensors"]]
    return {**build.firmware_files(BOARD, drivers), **roots}


@functools.cache
def _guest() -> dict[str, bytes]:
    return {f"{source.stem}.mpy": build.compile_module(source, source.stem) for source in places.GUEST.glob("*.py")}


def prepare() -> None:
    """Make once what all rigs share; a must before rigs are made in several threads."""
    certificates.chain("good", HOST)
    certificates.chain("unknown_issuer", HOST)
    _firmware()
    _guest()


class Lateness:
    """Seconds that a board had to wait for a processor, its chips' thread too, or for Python: a busy machine's."""

    def __init__(self, threads: Callable[[], list[int]]) -> None:
        self._spans: deque[tuple[float, float, float]] = deque(maxlen=10000)  # from, to (unix time), and how many
        self._threads = threads
        self._waited: dict[int, float] = {}  # threads, and how long each has waited
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        before = time.time()
        while not self._ended.wait(0.01):
            now = time.time()
            late = max(0.0, now - before - 0.015)
            for thread in self._threads():
                with suppress(OSError), open(f"/proc/{thread}/schedstat") as file:
                    waited = int(file.read().split()[1]) / 1e9
                    late += waited - self._waited.get(thread, waited)
                    self._waited[thread] = waited
            self._spans.append((before, now, late))
            before = now

    def between(self, start: float, end: float) -> float:
        """The same between two moments, unix time."""
        # what a thread waited is known when it runs again, and we look every 10 ms
        return sum(late for since, to, late in list(self._spans) if since <= end + 0.02 and to >= start)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


class Rig:
    """Board and server, ready when the context begins: the first readings have arrived.

    settings: in place of those in SETTINGS.
    """

    def __init__(self, settings: dict[str, dict], heap_kib: int = HEAP_KIB[BOARD]):
        self.server = Hostile(TOKEN)
        self.state: dict = {}
        self.most_free = 0  # bytes of the board's heap, at the best moment since somebody set it to 0
        self._settings: dict[str, Any] = {
            key: {**own, **settings.get(key, {})} if isinstance(own, dict) else own for key, own in SETTINGS.items()
        }
        self._heap_kib = heap_kib
        self._variables: list[str] = []
        self._lines: list[tuple[float, str]] = []  # of the fault that is played, and when they came (unix time)
        self._unbalanced: list[str] = []
        self._news = threading.Condition()
        self._refused: dict[tuple[int, str], str] = {}  # readings that belong into quarantine
        self._checked = 0  # samples up to this one have been looked at
        self._breaks: set[int] = set()  # samples that the power was cut before
        self.boots = 1

    # ---- life

    def __enter__(self) -> "Rig":
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagonode-", dir=_MEMORY)))
            stack.enter_context(self.server)
            self.board = self._make(work)
            self._lates = Lateness(self._threads)
            stack.callback(self._lates.close)
            stack.callback(self.board.power_cut)
            self.board.power_on()
            if not self._wait(lambda: self.state.get("acknowledged", 0) > 0, _ROW_S):
                raise BoardError(f"the board did not start:\n{self._console()}")
            self._end = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.close()

    def _make(self, work: Path) -> VirtualBoard:
        checked = config.check(self._settings, "rig")
        values = checked.device_settings(TOKEN, WIFI_PASSWORD)
        self._variables = [row[0] for sensor in checked.model.sensors for row in sensor.device_channels()]
        values.update(
            {
                "tagoio.host": HOST,
                "tagoio.port": self.server.port,
                "ntp.servers": [f"127.0.0.1:{self.server.ntp_port}"],
                "build.time": values["build.time"] - 60,
            }
        )
        guest = work / "guest"
        guest.mkdir()
        for name, code in _guest().items():
            (guest / name).write_bytes(code)
        flash, geometry = work / "node.img", image.GEOMETRIES[BOARD]
        with image.mounted(flash, geometry) as files:
            image.write_tree(files, {**_firmware(), **settings_files(values)})
        networks = dict.fromkeys(checked.model.wifi.networks, WIFI_PASSWORD)
        nameserver = f"127.0.0.1:{self.server.dns_port}"
        hardware = build_hardware(BOARD, checked.model.sensors, networks, nameserver, serial="hostile", seed=1)
        return VirtualBoard(flash, geometry, hardware, self._heap_kib, guest, self._take)

    def reboot(self) -> None:
        """Cut the board's power and switch it on again."""
        self.boots += 1
        self.board.power_cut()
        self.state = {**self.state, "this_run": 0}
        self.board.power_on()
        if not self._wait(lambda: self.state["clock"] and self.state["this_run"], _ROW_S):
            raise BoardError(f"the board did not start again:\n{self._console()}")

    def _take(self, line: str) -> None:
        with self._news:
            if line.startswith("@{"):
                try:
                    state = json.loads(line[1:])
                except ValueError:
                    return  # the power went in the middle of the line
                parts = ("acknowledged", "queued", "quarantined", "dropped", "damaged")
                if state["sampled"] != sum(state[name] for name in parts):
                    self._unbalanced.append(line)
                if not state["this_run"]:
                    self._breaks.add(state["samples"] + 1)
                self.state = state
                self.most_free = max(self.most_free, state["free"])
            else:
                self._lines.append((time.time(), line))
            if TOKEN in line or WIFI_PASSWORD in line:
                self._unbalanced.append("a secret on the console: " + line)
            self._news.notify_all()

    def _wait(self, ready: Callable[[], object], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._news:
            while not ready():
                left = deadline - time.monotonic()
                if left <= 0 or self.board.halted.is_set():
                    return False
                self._news.wait(min(left, 0.01))  # the server gives no notice
        return True

    def _console(self) -> str:
        return "\n".join(line for _, line in self._lines)

    def _samples(self) -> int:
        return self.state.get("samples", 0)

    # ---- the board's process

    def _threads(self) -> list[int]:
        """The ids of the board's process and of the thread that plays its chips, as far as they run."""
        process, thread = self.board._process, self.board._thread
        ids = (process.pid if process else None, thread.native_id if thread else None)
        return [each for each in ids if each is not None]

    def descriptors(self) -> list[str]:
        """What the board's process has open."""
        folder = f"/proc/{self._threads()[0]}/fd"
        found = []
        for name in os.listdir(folder):
            try:
                found.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                continue
        return found

    # ---- a fault

    def play(self, fault: Fault) -> Outcome:
        """Let a fault happen, heal it, wait until everything has arrived, and look at what came of it.

        A connection that is closed in the very moment of a request is nobody's mistake; one that is closed in that
        moment three times in a row is one that was not looked at.
        """
        for _ in range(_RACES):
            outcome = self._play(fault)
            if not outcome.only_raced:
                break
        return outcome

    def _play(self, fault: Fault) -> Outcome:
        outcome = Outcome(fault)
        if fault.fresh:
            self.reboot()
        if fault.fresh or self._said():
            self._arrived()  # nothing may be in doubt from before
        with self._news:
            self._lines.clear()
            self._unbalanced.clear()
            before = dict(self.state)
        self.server.tagoio.complaints.clear()
        started = time.monotonic()
        self.board.hardware.longest_unfed_s = 0.0
        self.server.begin(fault)
        problem = self._let_it_happen(fault, outcome)
        met = self.server.met
        self._refused.update(self.server.notes.refused)
        self.server.heal()
        if fault.reboot:
            self.reboot()
        last = self._arrived()
        if problem:
            outcome.problems.append(f"{problem}; met {met} times")
        if last is None:
            outcome.problems.append(f"not everything arrived within {_ROW_S} s")
            last = self._samples()
        outcome.seconds = time.monotonic() - started
        outcome.requests = len(self.server.requests)
        outcome.unfed = self.board.hardware.longest_unfed_s
        if outcome.unfed > WATCHDOG_S:
            outcome.problems.append(f"the watchdog was not fed for {outcome.unfed:.3f} s")
        self._look(outcome, last, before)
        self._checked = last
        with self._news:
            self._lines.clear()
        self.server.tagoio.forget(last - 50)
        self._breaks = {sequence for sequence in self._breaks if sequence > last - 50}
        self.server.tagoio.refuses = lambda record: None
        return outcome

    def _let_it_happen(self, fault: Fault, outcome: Outcome) -> str | None:
        missing: list[str] = []
        quarantined = self.state["quarantined"]

        def done() -> bool:
            missing[:] = [str(wanted) for wanted in fault.verdicts if not self._was_said(*wanted)]
            return self.server.met >= fault.times and not missing

        if not self._wait(done, _ROW_S):
            return f"not said: {', '.join(missing)}" if missing else "not met often enough"
        if fault.cured:
            refused = self.server.notes.refused
            if not self._wait(lambda: self.state["quarantined"] - quarantined >= len(refused), _ROW_S):
                return "not every refused reading was set aside"
            if self._arrived() is None:
                return "not everything arrived while the fault lasted"
        if fault.samples_in_peace:
            asked, last = len(self.server.requests), self._samples() + fault.samples_in_peace
            if not self._wait(lambda: self._samples() >= last, _ROW_S):
                return "sampling ended"
            if len(self.server.requests) != asked:
                return "it did not wait as it was told"
        return None

    def _was_said(self, verdict: str, text: str) -> bool:
        return any(
            said in verdict.split("|") and (text in detail or self._excused(at, detail))
            for at, said, detail in self._said()
        )

    def _excused(self, at: float, detail: str) -> bool:
        """Whether this may come of a machine that is busy elsewhere: it costs deadlines."""
        late = any(words in detail for words in _DEADLINE)
        return late and self._lates.between(at - 3 * PATIENCE_S, at) > _BUSY_S

    def _said(self) -> list[tuple[float, str, str]]:
        """(when, verdict, detail) of every verdict on the console."""
        found = []
        for at, line in self._lines:
            said = _SAID.fullmatch(line)
            if said and said["who"] == "uplink":
                verdict, _, detail = said["text"].partition(": ")
                if verdict in _WORDS:
                    found.append((at, verdict, _PAUSE.sub("", detail)))
        return found

    def _arrived(self) -> int | None:
        """Wait until all that has been sampled by now has left the queue; the last sample of it. None: it has not."""
        # state lines come late: of what the server has seen they may not tell yet, nor of the trouble that there was
        last = max(self._samples(), self.server.last_sample)
        old = self.state

        def there() -> bool:
            state = self.state
            if state is old:
                return False
            settled = state["acknowledged"] + state["quarantined"] + state["dropped"] + state["damaged"]
            return settled >= last * len(self._variables) and not state["error"]

        return last if self._wait(there, _ROW_S) else None

    # ---- looking

    def _look(self, outcome: Outcome, last: int, before: dict) -> None:
        fault, problems, tagoio = outcome.fault, outcome.problems, self.server.tagoio
        readings = list(itertools.product(range(self._checked + 1, last + 1), self._variables))
        stored = {reading: tagoio.stored(*reading) for reading in readings}
        missing = [reading for reading in readings if not stored[reading] and reading not in self._refused]
        twice = [reading for reading in readings if len(stored[reading]) > 1]
        outcome.lost, outcome.twice = len(missing), len(twice)
        if missing:
            problems.append(f"lost: {missing[:10]}")
        if any(any(copy != stored[reading][0] for copy in stored[reading]) for reading in twice):
            problems.append("stored twice, and not with the same time and value")
        with self._news:
            state, lines = dict(self.state), [line for _, line in self._lines]
            problems += self._unbalanced
        self._look_at_console(outcome, lines)
        resent = state.get("resent", 0) - (before.get("resent", 0) if not (fault.reboot or fault.fresh) else 0)
        may = fault.twice or outcome.late
        if twice and not (may and resent):
            problems.append(f"stored twice, {resent} batches counted as resent: {twice[:10]}")
        if resent and not may:
            problems.append(f"{resent} batches were sent again without a word about the first time")
        for (sequence, variable), reason in self.server.notes.refused.items():
            if not any(f"set aside a reading of sample {sequence}: {reason}" in line for line in lines):
                problems.append(f"{variable} of sample {sequence} was not set aside for {reason!r}")
        if state["quarantined"] != len(self._refused):
            problems.append(f"{state['quarantined']} readings in quarantine, but {len(self._refused)} were refused")
        for name in ("dropped", "damaged"):
            if state[name] != before[name]:
                problems.append(f"{state[name] - before[name]} readings {name}")
        problems += tagoio.complaints
        if self.server.misled:
            problems.append(f"a stranger got {self.server.misled}")
        self._look_at_schedule(outcome, last)
        outcome.console = lines[-40:]
        outcome.trace = list(self.server.trace)
        if self.board.failure is not None:
            problems.append(f"the board failed: {self.board.failure!r}")

    def _look_at_console(self, outcome: Outcome, lines: list[str]) -> None:
        fault = outcome.fault
        allowed = {word for wanted, _ in fault.verdicts for word in wanted.split("|")} | set(fault.also)
        for at, verdict, detail in self._said():
            if verdict not in outcome.verdicts:
                outcome.verdicts.append(verdict)
            raced = verdict in fault.racing and self._lates.between(at - WINDOW_S / 2, at) > 2 * _BUSY_S
            outcome.late = outcome.late or raced or self._excused(at, detail)
            if verdict not in allowed and not (outcome.late and verdict in (verdicts.AMBIGUOUS, verdicts.UNAVAILABLE)):
                outcome.problems.append(f"said, but out of place: {verdict}: {detail}")
                outcome.races += verdict in fault.racing
        for line in lines:
            said = _SAID.fullmatch(line)
            verdict = said and said["who"] == "uplink" and said["text"].partition(": ")[0] in _WORDS
            if line.startswith(("Traceback", "TagoNode could not")) or (
                said and not verdict and not said["text"].startswith(_HARMLESS)
            ):
                outcome.problems.append("complained: " + line)

    def _look_at_schedule(self, outcome: Outcome, last: int) -> None:
        times: dict[int, float] = {}
        for sequence in range(self._checked, last + 1):
            for variable in self._variables:
                for record in self.server.tagoio.stored(sequence, variable):
                    assert sequence_of(record) == sequence
                    times[sequence] = datetime.fromisoformat(record["time"]).timestamp()
        every = self._settings["sample"]["every"]
        for sequence, taken in times.items():
            before = times.get(sequence - 1)
            if before is None or sequence in self._breaks:
                continue
            gap = taken - before
            outcome.gap = max(outcome.gap, gap)
            if gap > 1.75 * every:
                busy = self._lates.between(before, taken)
                # a sample takes several turns of the chips' thread, each of which may be as late
                if gap > 1.75 * every + 3 * busy:
                    outcome.problems.append(
                        f"{gap:.3f} s from sample {sequence - 1} to the next; the machine was busy for {busy:.3f} s"
                    )
