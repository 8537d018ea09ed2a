"""What a node prints, taken apart, and what to do about its errors. The forms are those of firmware/agent/log.py."""

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from tagonode import device

verdicts = device.load("tagoio.verdicts")

LEVELS = ("error", "warning", "info", "debug")
CLOCK = ("not known yet", "estimated", "synced")

_LOG = re.compile(r"(\d+\.\d{3}) (" + "|".join(LEVELS) + r") ([\w.]+): (.*)")
# TagoIO's device tokens are UUIDs
_TOKEN = re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b", re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class LogLine:
    """A line for people. at: seconds since the board's start."""

    at: float
    level: str
    who: str
    text: str


@dataclass(frozen=True)
class StateLine:
    """What the node says of itself: the keys of `status` in firmware/agent/app.py."""

    values: dict[str, Any]

    def count(self, name: str) -> int:
        """A counter, 0 where the line has none that is a number."""
        value = self.values.get(name, 0)
        return int(value) if isinstance(value, (int, float)) else 0

    @property
    def error(self) -> str:
        """The last attempt's error, "" when it went well."""
        return str(self.values.get("error", ""))

    @property
    def clock(self) -> str:
        state = self.count("clock")
        return CLOCK[state] if 0 <= state < len(CLOCK) else str(state)

    def text(self) -> str:
        """On one line, for those who read it in a file."""
        words = [f"{name} {self.count(name)}" for name in ("samples", "queued", "acknowledged", "requests")]
        words += [f"{name} {self.count(name)}" for name in ("quarantined", "dropped", "damaged") if self.count(name)]
        words += [f"clock {self.clock}", f"free {self.count('free')}"]
        if self.values.get("verdict"):
            words.append(f"verdict {self.values['verdict']}")
        if self.error:
            words.append(f"error {self.error}")
        return "state " + ", ".join(words)


@dataclass(frozen=True)
class Reading:
    variable: str
    unit: str
    decimals: int
    value: Any

    def __str__(self) -> str:
        shown = f"{self.value:.{self.decimals}f}" if isinstance(self.value, float) else str(self.value)
        return " ".join(filter(None, (self.variable, shown, self.unit)))


@dataclass(frozen=True)
class SampleLine:
    """A sample's readings. at: seconds since the board's start."""

    at: float
    readings: tuple[Reading, ...]

    def value(self, variable: str) -> Any:
        """The reading of this variable, None when the sample has none."""
        return next((reading.value for reading in self.readings if reading.variable == variable), None)


@dataclass(frozen=True)
class Text:
    """Anything else: what boot code, drivers and the prompt print."""

    text: str


Line = LogLine | StateLine | SampleLine | Text


def parse(line: str) -> Line:
    """One line as a board prints it. What is cut or garbled is Text; tokens and control characters are taken out."""
    line = clean(line)
    if line.startswith("@{"):
        try:
            return StateLine(json.loads(line[1:]))
        except ValueError:
            return Text(line)
    found = _LOG.fullmatch(line)
    if not found:
        return Text(line)
    at, level, who, text = float(found[1]), found[2], found[3], found[4]
    if (level, who) == ("debug", "sample"):
        readings = _readings(text)
        if readings is not None:
            return SampleLine(at, readings)
    return LogLine(at, level, who, text)


def _readings(text: str) -> tuple[Reading, ...] | None:
    try:
        channels, values = ast.literal_eval(text)
        rows = [(str(variable), str(unit), int(decimals)) for variable, unit, decimals in channels]
        found = [Reading(*row, value) for row, value in zip(rows, values, strict=True) if value is not None]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return tuple(found)


def clean(line: str) -> str:
    """Without what a terminal takes for a command, and without anything that looks like a token."""
    return _TOKEN.sub("<token>", _CONTROL.sub("", line))


# verdict -> what whoever stands before the board can do; the details name more where they can
_REMEDIES = {
    verdicts.REJECTED: "the reading is set aside with TagoIO's reason: tagonode spool shows it; the others go on",
    verdicts.TOO_LARGE: "nothing: smaller batches follow",
    verdicts.DEVICE_REFUSES: "look at the device's page at TagoIO: the plan's limits, its data retention, whether it "
    "is active. The readings are kept",
    verdicts.THROTTLED: "nothing: it waits. If this lasts, raise upload.every, or the account's rate limit at TagoIO",
    verdicts.UNAUTHORISED: "give it a token that is valid: tagonode provision CONFIG, then tagonode deploy CONFIG. "
    "The readings are kept",
    verdicts.UNTRUSTED: "nothing was sent: correct what the error names, then tagonode build and deploy",
    verdicts.MISCONFIGURED: "correct [tagoio] in node.toml, then tagonode deploy CONFIG. The readings are kept",
    verdicts.UNAVAILABLE: "nothing, if it passes: the readings are kept and sent later. If not: does its network lead "
    "to the internet, and is TagoIO up?",
    verdicts.AMBIGUOUS: "nothing: it asks TagoIO whether the readings arrived before it sends them again",
}

# who says it, words in it -> what to do
_LOG_REMEDIES = (
    ("link", "no network joined", "check the names under [wifi], the password, the distance; boards join 2.4 GHz only"),
    ("link", "could not join", "check the network's password, and the distance; boards join 2.4 GHz networks only"),
    ("clock", "no time from", "let UDP port 123 through, or name a server that answers under [ntp]"),
    ("spool", "sample not stored", "look at the queue: tagonode spool --port PORT"),
    ("watchdog", "", "nothing: the watchdog restarts the board. If it comes back, report what was printed before"),
)


def remedy(error: str) -> str:
    """What to do about a state line's error ("verdict: detail"); "" when there is nothing to say."""
    verdict, _, detail = error.partition(": ")
    if detail.startswith("no address for the server"):
        return "check tagoio.host, and that the network has a name server. The readings are kept"
    if detail.startswith("queue: "):
        return "look at the queue: tagonode spool --port PORT. A full flash: remove what is not the node's"
    return _REMEDIES.get(verdict, "")


def log_remedy(line: LogLine) -> str:
    """What to do about a warning or an error in the log; "" when the line says it itself."""
    if line.level not in ("error", "warning"):
        return ""
    if line.who == "uplink":
        return remedy(line.text)
    return next((text for who, words, text in _LOG_REMEDIES if who == line.who and words in line.text), "")
