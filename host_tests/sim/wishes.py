"""What somebody asks of the node from afar, by TagoIO's configuration parameters, and what has to come of it.

A wish is a parameter with a value. What it means is said here, by hand, and not taken from the agent's tables: a value
in device units, or REFUSED. What is refused is in force at no start; what will do is in force once it was told as
applied; each is told once, and marked as read; what breaks delivery is taken back within a day.
"""

import json
import re
from base64 import b64encode
from collections import Counter, defaultdict
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

REFUSED = "refused"
ASKED = "asked for"  # of what leaves no trace in the settings
BREAKS = "upload.patience", "0.1", 100  # ms: no name server answers within a tenth of it
_MOST = 60  # parameters of a device
_TOLD = re.compile(r"(?: = (?P<shown>.*?))?: (?P<what>applied|done|accepted|refused: |taken back: )", re.DOTALL)
_LIMITS = ("above", "below", "hysteresis")
_ROOT = b"root of the day after\x06\x03\x55\x1d\x13\x04\x05\x30\x03\x01\x01\xff"  # a CA's, as its extension says
_BOUND_H = 28  # of a day that nothing is delivered
_STARTS = 6
_LONG = 3900  # characters that hardly fit a buffer with what is around them


@dataclass
class Wish:
    """at: ms; means: see above. read: marked so."""

    identity: str
    key: str
    text: str
    means: Any
    at: int
    read: bool = False


def good(draw: Random, spec: Any) -> tuple[str, str, Any]:
    """(key, value, what it means)."""
    sample, upload = spec.sample, spec.upload
    kind = draw.randrange(16)
    if kind == 0:
        seconds = draw.choice((sample, sample, 2 * sample, max(sample // 2, 60)))
        return "sample.every", str(seconds), seconds * 1000
    if kind == 1:
        seconds = draw.choice((upload, max(upload, 3600)))
        return "upload.every", str(seconds), seconds * 1000
    if kind == 2:
        seconds = draw.choice((0, 3600, 21600))
        return "health.every", str(seconds), seconds * 1000
    if kind == 3:
        level = draw.choice(("debug", "info", "warning", "error"))
        return "log.level", draw.choice((level, f'"{level}"')), level
    if kind == 4:
        number = draw.choice((0, 1, 20))
        return "log.keep", str(number), number
    if kind == 5:
        seconds = draw.choice((3600, 21600))
        return "clock.every", str(seconds), seconds * 1000
    if kind == 6:
        number = draw.choice((0, 3, 10))
        return "upload.samples", str(number), number
    if kind == 7:
        number = draw.choice((2048, 8192, 32768))
        return "upload.body", str(number), number
    if kind == 8:
        seconds = draw.choice((10, 20, 30.5))
        return "upload.patience", str(seconds), int(seconds * 1000)
    if kind == 9:
        seconds = draw.choice((600, 3600))
        return "remote.every", f" {seconds} ", seconds * 1000
    if kind == 10:
        number = draw.choice((-0.5, 0.0, 1.25))
        return "battery.offset", str(number), number
    if kind == 11:
        number = draw.choice((3.4, 3.9))
        return "battery.alarm.below", str(number), number
    if kind == 12:
        return ("humidity.on", "false", False) if spec.channels > 1 else ("battery.on", "true", True)
    if kind == 13:
        number = draw.choice((0, 3))
        return "battery.decimals", str(number), number
    if kind == 14:
        return "root", b64encode(_ROOT).decode(), ASKED
    return "command", draw.choice(("flush", "identify", "maintenance 5", " Reboot ")), ASKED


def bad(draw: Random, secret: str) -> tuple[str, str, Any]:
    """(key, value, what it means)."""
    key, text = draw.choice(
        (
            ("sample.every", "0"),
            ("sample.every", "nan"),
            ("sample.every", "1e99"),
            ("sample.every", "an hour"),
            ("upload.every", "-1"),
            ("upload.body", "2047"),
            ("upload.body", "4096.5"),
            ("log.level", "loud"),
            ("log.keep", "0x10"),
            ("duty.on", "maybe"),
            ("remote.every", "0"),
            ("health.every", "0.5"),
            ("queue.bytes", "65536"),
            ("watchdog.on", "false"),
            ("tagoio.host", "example.com"),
            ("tagoio.token", secret),
            ("wifi.password", secret),
            ("battery.scale", "inf"),
            ("battery.alarm.hysteresis", "-1"),
            ("nothing.on", "false"),
            ("temperature", "5"),
            ("__class__.every", "5"),
            ("..", "/settings.json"),
            ("Lüftung", '{"a": [1]}'),
            ("rssi.decimals", "7"),
            ("sht40.every", "60"),
            ("k" * 300, "1"),
            ("sample.every", "6" * 6000),
            ("root", "nothing of the kind"),
            ("root", "QUJD" * 700),
            ("root", "QUJD" * 1700),
            ("command", "format"),
            ("command", "maintenance 0"),
            ("command", "reboot now"),
        )
    )
    return key, text, REFUSED


class Wishes:
    """`config`: the settings in force since the last start that read them, None before that."""

    def __init__(self, world: Any):
        self._world = world
        self._wishes: dict[str, Wish] = {}  # by id: the newest
        self._all: dict[str, list[Wish]] = defaultdict(list)  # by key
        self._told: Counter[str] = Counter()
        self._groups: dict[str, str] = {}
        self._deployed: dict[str, Any] = {}
        self._force: dict[str, Any] = {}  # what was told to be in force
        self._before: dict[str, tuple[str, Any]] = {}  # group: what was in force before
        self._done: Counter[str] = Counter()
        self._broken: int | None = None  # since which start nothing can be delivered
        self._starts = 0  # with that
        self._taken = 0  # POSTs that TagoIO had accepted at the last start
        self.sure = True  # the flash could be read and written at each start, and none of its bits had flipped
        self._rotten: dict[str, bytes] = {}  # files, each as it is since
        self.config: dict[str, Any] | None = None
        self.sample_s = world.spec.sample
        self.upload_s = world.spec.upload

    # ---- somebody at TagoIO

    def ask(self, key: str, text: str, means: Any) -> None:
        """A parameter is made or edited."""
        if self.config is None:
            return
        world = self._world
        identity = f"{len(self._all):x}".rjust(24, "a")
        for known in self._wishes.values():
            if known.key == key:
                identity = known.identity
        if len(self._wishes) == _MOST and identity not in self._wishes:
            return
        if key not in self._all:
            self._deployed[key] = self._value(self._first, key)
        wish = self._wishes[identity] = Wish(identity, key, text, means, world.time.now)
        self._all[key].append(wish)
        world.tell(f"    {key[:40]} = {text[:60]!r}: {'to be ' + REFUSED if means is REFUSED else 'will do'}")

    def any(self, draw: Random) -> str:
        """One of the keys that will do: what was asked of it is asked no more when its value is empty."""
        keys = [key for key, wishes in self._all.items() if wishes[0].means is not REFUSED and key != "command"]
        return draw.choice(sorted(keys)) if keys else "log.level"

    # ---- TagoIO

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any] | None:
        """As tagoio.Server.other: TagoIO's parameters."""
        url = urlsplit(target)
        if url.path == "/info":
            return 200, {"status": True, "result": {}}
        if not url.path.startswith("/device/params"):
            return None
        if method == "GET":
            if not self._world.server.may_get:
                return 401, {"status": False, "message": "Authorization Denied"}
            asked = parse_qs(url.query).get("sent_status", [""])[0]
            rows = [
                {"id": wish.identity, "key": wish.key, "value": wish.text, "sent": wish.read}
                for wish in self._wishes.values()
                if not asked or wish.read == (asked == "true")
            ]
            return 200, {"status": True, "result": rows}
        found = self._wishes.get(url.path.rpartition("/")[2])
        if found is None:
            return 400, {"status": False, "message": "Invalid parameter"}
        found.read = json.loads(body).get("sent") is True
        return 200, {"status": True, "result": "Params Successfully Updated"}

    def told(self, record: dict[str, Any]) -> None:
        """TagoIO stores a reading `settings`."""
        text = record["value"]
        for key, wishes in self._all.items():
            name = key[:120]
            found = _TOLD.match(text, len(name)) if text.startswith(name) else None
            if found:
                self._came(key, wishes, found.group("shown"), found.group("what"), record["group"])
                return
        self._world.watch.violation(f"told what nobody asked: {text}")

    def _came(self, key: str, wishes: list[Wish], shown: str | None, what: str, group: str) -> None:
        violation = self._world.watch.violation
        refused = what.startswith("refused")
        if key != "root" and (shown or not refused):
            texts = [(wish, wish.text.strip()) for wish in wishes]
            wishes = [wish for wish, text in texts if (text.startswith(shown) if shown else not text)]
        wishes = [wish for wish in wishes if (wish.means is REFUSED) == refused]
        if not wishes:
            violation(f"{key} = {shown} was told to be {what}")
            return
        if group not in self._groups:
            self._told[key] += 1
            if self._told[key] > len(self._all[key]):
                if self.sure:
                    violation(f"{key} is told {self._told[key]} times, and was asked {len(self._all[key])} times")
                self._told[key] -= 1  # which it does not know any more, where the line of it was damaged
        elif self._groups[group] == what:
            return  # once more, for its answer was lost
        elif not what.startswith("taken"):
            violation(f"{key} is told to be {what}, and was told to be {self._groups[group]}")
        self._groups[group] = what
        if what == "applied" and key != "root":
            self._before[group] = key, self._force.get(key, self._deployed[key])
            self._force[key] = wishes[-1].means if shown else self._deployed[key]
        elif what.startswith("taken") and group in self._before:
            key, means = self._before.pop(group)
            self._force[key] = means  # nobody knew whether it had arrived that all was well

    # ---- the node

    def loaded(self, config: dict[str, Any]) -> None:
        """It has read its settings."""
        world = self._world
        if self.config is None:
            self._first = json.loads(json.dumps(config, default=lambda secret: secret.reveal()))
        self.config = config
        self.sample_s = max(config["sample.every"] // 1000, 1)
        self.upload_s = config["upload.every"] // 1000
        self._taken = world.server.taken
        if not self._all:
            return
        faulty = world.disk.faulty
        self.sure = self.sure and not (faulty.read or faulty.write or faulty.full)
        for key, wishes in self._all.items():
            value = self._value(config, key)
            if value != self._deployed[key] and not any(wish.means == value for wish in wishes):
                world.watch.violation(f"{key} is {value}, and nobody asked for that")
        self._look_at_broken()
        if config[BREAKS[0]] != BREAKS[2]:
            self._broken = None
            self._starts = 0
        elif self._broken is None or world.hardware.cause != "deep sleep":
            self._broken = world.time.now
            self._starts += 1

    def rots(self, path: str, raw: bytes) -> None:
        """A bit of a file of remote settings flips."""
        self.sure = False
        self._rotten[path] = raw

    def off(self, ms: int) -> None:
        """There was no power for so long: what is on trial is no nearer to its end."""
        if self._broken is not None:
            self._broken += ms

    def _look_at_broken(self) -> None:
        if self._broken is not None:
            hours = (self._world.time.now - self._broken) / 3600000
            if hours > _BOUND_H + self.upload_s / 1800 or self._starts > _STARTS:
                after = f"{hours:.0f} hours and {self._starts} starts"
                self._world.watch.violation(f"{BREAKS[0]} lets nothing through, and is in force after {after}")

    @property
    def broken(self) -> bool:
        """A node that sleeps is on trial with what breaks it, and may be for a while."""
        return self._broken is not None and self._world.spec.sleeps

    @staticmethod
    def _value(config: dict[str, Any], key: str) -> Any:
        """What is in force, None when there is nothing of the kind."""
        if key == "tagoio.token":
            return config[key].reveal() if hasattr(config[key], "reveal") else config[key]
        if key in config:
            return config[key]
        name, _, field = key.partition(".")
        for sensor in config["sensors"]:
            if field == "every" and sensor["driver"] == name:
                return sensor.get("every")
            for row in sensor["channels"]:
                if row[0] == name:
                    if field == "decimals":
                        return row[2]
                    steps = row[3] if len(row) > 3 else {}
                    if field.startswith("alarm."):
                        return steps["alarm"][_LIMITS.index(field[6:])] or None if "alarm" in steps else None
                    return steps.get(field)
        return None

    def line(self, line: str) -> None:
        """It has printed something."""
        if "the new settings are kept" in line and self._world.server.taken == self._taken:
            self._world.watch.violation("new settings are kept, and nothing was delivered with them")
        _, found, word = line.partition(" remote: command: ")
        if found:
            word = word.strip()
            self._done[word] += 1
            if self._done[word] > sum(wish.text.strip().lower().startswith(word) for wish in self._all["command"]):
                self._world.watch.violation(f"the command {word} was done more often than asked")

    def calm(self, begun: int) -> None:
        """Nothing has gone wrong since `begun`, ms: what was asked before that is told, read, and in force."""
        world = self._world
        config = self.config
        if config is None or not self._all:
            return
        self._look_at_broken()
        for wish in self._wishes.values() if not self.broken else ():
            again = len(wish.text) > _LONG and len(self._all[wish.key]) > 1  # a mark behind it is not seen
            if wish.at < begun and not wish.read and not again:
                world.watch.violation(f"hours of calm, and the parameter {wish.key[:40]} is not read")
            elif wish.at < begun and not self._told[wish.key] and self.sure:
                world.watch.violation(f"the parameter {wish.key[:40]} is read, and nothing was told of it")
        for key, means in self._force.items():
            value = self._value(config, key)
            if value == means or self.broken:
                continue
            if self.sure:
                world.watch.violation(f"{key} was told to be {means}, and is {value}")
            self._force[key] = value
        files = self._world.disk.files
        self._rotten = {path: raw for path, raw in self._rotten.items() if files.get(path) == raw}
        self.sure = not self._rotten  # which nobody may have read yet: what is on trial is another file
