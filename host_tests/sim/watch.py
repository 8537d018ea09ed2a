"""What has to hold, looked at while it happens: the books of a node, kept by somebody else.

Watch sees every sample that the spool takes, every reading that TagoIO stores, all that is printed, and each verdict.
What it sees it compares with what the node itself counts. The first violation ends the life of the world.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tagonode import spoolreader

from .faults import calm_ms
from .loop import Ended

_KEPT_GROUPS = 600  # samples settled at the node, about which it may still ask
_CLOCK_MS = 2000
_PPM = 50
_SMALL_STEP_MS = 3000
_WORSE_MS = 400
_COARSE_MS = 5000  # nearer than this a Date has nothing to say to a clock that a time server set
_LATE_MS = 15 * 60000


class Entry:
    """A sample that the spool took. channels: as the settings had them then; left: bits of its readings that are not
    settled; true_ms: Unix time; given: what it
    was stamped with; boot: number of the boot; mono: milliseconds since that; good: the clock was right then."""

    __slots__ = ("all", "boot", "channels", "given", "good", "left", "mono", "slack", "true_ms", "values")

    def __init__(
        self, values: tuple, channels: tuple, true_ms: int, given: int | None, boot: int, good: bool, slack: float
    ):
        self.values = values
        self.channels = channels
        self.all = self.left = sum(1 << i for i, value in enumerate(values) if value is not None)
        self.true_ms = true_ms
        self.given = given
        self.boot = boot
        self.mono = 0
        self.good = good
        self.slack = slack

    @property
    def readings(self) -> int:
        return bin(self.left).count("1")

    def settled(self, variable: str) -> bool:
        names = [channel[0] for channel in self.channels]
        return variable in names and not self.left >> names.index(variable) & 1


class Watch:
    """violations: what was broken, in words. seen: states that were met, for coverage."""

    def __init__(self, world: Any):
        self.world = world
        self.violations: list[str] = []
        self.seen: Counter[tuple[str, str]] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.story_of_verdicts: list[str] = []
        self.stored = self.appended = self.accepted_posts = 0
        self.node: Any = None
        self.spool: Any = None
        self.may_bite = False  # a hang was injected: the watchdog has to bite
        self.may_lose = False  # flash was damaged: readings may be lost, and are counted
        self.bites = 0
        self._truth: dict[int, Entry] = {}
        self._maybe: dict[int, list[Entry]] = {}  # whose append has not returned, or failed: the newest last
        self._recent: dict[int, Entry] = {}  # settled a moment ago
        self._sampled = 0  # readings that the spool took or declined
        self._gone = 0  # readings that left the queue unsent
        self._tag = ""
        self._last: dict[str, int] = {}  # variable: newest sequence stored
        self._settled = 0  # every sample up to this one is settled
        self._settling = 0, 0  # sample and bit of the reading that is being settled
        self._blind: set[int] = set()  # samples that were sent again without word, and may be there twice
        self._good_clock = True
        self._set_at = 0
        self._taken_at = 0
        self._set_wrong = 0.0
        self._lies = 0
        self._taught = False  # a lie may have taught a wrong rate
        self._synced_boots: set[int] = set()
        self._boot = 0
        self._secrets: tuple[str, ...] = ()
        self._given_up = False
        self._rotten = False  # a bit of the queue has flipped since the last start
        self._mending = False  # since then, not all that it cost is counted yet
        self._decayed = False  # some time
        self._said_damage = False
        self._flipped: set[str] = set()  # segments
        self._lost: list[int] = []  # samples that a flipped bit took
        self._again: set[int] = set()  # of which the queue may not know any more that they were sent

    def violation(self, what: str) -> None:
        self.violations.append(what)
        self.world.tell("VIOLATION " + what)

    # ---- hooks

    def loaded(self, name: str, module: Any) -> None:
        """A module of the device was executed: look over its shoulder."""
        if name == "spool.queue":
            self._hook_spool(module.Spool)
        elif name == "agent.timing":
            self._hook_timing(module)
        elif name == "agent.uplink":
            self._hook_uplink(module.Uplink)
        elif name == "agent.settings":
            load = module.load

            def read(log: Any, *more: Any) -> dict[str, Any]:
                config = load(log, *more)
                self.world.wishes.loaded(config)
                return config

            module.load = read
        elif name == "agent.app":
            init = module.Node.__init__

            def made(node: Any, *parts: Any) -> None:
                init(node, *parts)
                self.node = node

            module.Node.__init__ = made

    def _hook_spool(self, kind: Any) -> None:
        append, ack, quarantine, init = kind.append, kind.ack, kind.quarantine, kind.__init__

        def opened(spool: Any, *arguments: Any, **more: Any) -> None:
            init(spool, *arguments, **more)
            self.spool = spool
            self._opened()

        def appended(spool: Any, values: list, time: int | None = None, mono: int = 0, *more: Any) -> int:
            entry = self._entry(values, time)
            entry.mono = mono
            sequence = spool.next_sequence
            if entry.left:
                self._maybe.setdefault(sequence, []).append(entry)
            declined = spool._books[5]
            number = append(spool, values, time, mono, *more)
            if entry.left:
                del self._maybe[sequence]
                self._taken(number, sequence, entry, spool._books[5] - declined)
            return number

        def acked(spool: Any, upto: int) -> None:
            self._before_settling()
            self._acknowledged(upto)
            ack(spool, upto)

        def settled(spool: Any, sequence: int, index: int, reason: str | None) -> bool:
            self._before_settling()
            if reason is None:
                self._require(sequence, 1 << index)
            else:
                self._blamed(sequence, index, reason)
            self._settling = sequence, 1 << index
            before = sum(spool._books[1:3])
            try:
                done = quarantine(spool, sequence, index, reason)
            except Ended:
                raise
            except Exception:
                # what cannot be written has taken effect all the same, and is written later
                if sum(spool._books[1:3]) > before:
                    self._is_settled(sequence, index)
                raise
            if done:
                self._is_settled(sequence, index)
            self._settling = 0, 0
            return done

        kind.__init__, kind.append, kind.ack, kind.quarantine = opened, appended, acked, settled

    def _is_settled(self, sequence: int, index: int) -> None:
        entry = self._truth.get(sequence)
        if entry is not None:
            entry.left &= ~(1 << index)
            if not entry.left:
                self._blind.discard(sequence)
                self._recent[sequence] = self._truth.pop(sequence)

    def _blamed(self, sequence: int, index: int, reason: str) -> None:
        """It was at fault, or TagoIO has taken others since, or refuses each for another reason."""
        entry = self._truth.get(sequence)
        if entry is None:
            return
        server = self.world.server
        group, variable = f"{self._tag}_{sequence}", entry.channels[index][0]
        first = server.turned_away.get(group, {}).get(variable)
        if first is None:
            self.violation(f"{variable} of sample {sequence} was set aside, and TagoIO never refused it: {reason}")
        elif server.took < first and len(server.said) < 2:
            self.violation(f"{variable} of sample {sequence} was set aside, while TagoIO refused everything: {reason}")

    def _hook_timing(self, module: Any) -> None:
        set_clock = module.set

        def watched(clock: Any, unix_ms: int, at_ticks: int, source: int) -> None:
            before = clock.now()
            fine = not clock._coarse and self._good_clock
            set_clock(clock, unix_ms, at_ticks, source)
            if fine and source == clock.BY_DATE and clock.now() == before:
                return  # it is left as it is: as right as it was
            world = self.world
            step = _SMALL_STEP_MS if before is None else abs(clock.now() - before)
            wrong = clock.now() - world.unix() * 1000
            lies = world.net.wrong_time_told
            self._synced_boots.add(self._boot)
            self._set_wrong = abs(wrong)
            if fine and source == clock.BY_DATE and before is not None and step < _COARSE_MS:
                was = before - world.unix() * 1000
                if abs(wrong) > abs(was) + _WORSE_MS:
                    self.violation(f"a Date moved what a time server had set: {was:.0f} ms wrong, then {wrong:.0f}")
            # a Date is of the moment at which the answer left, whenever it comes
            most = _CLOCK_MS + (6 * world.net.lag if source == clock.BY_DATE else 0)
            if abs(wrong) > most:
                if lies == self._lies:
                    self.violation(f"the clock was set {wrong:.0f} ms wrong, and nobody had lied")
                if self._good_clock:
                    self._taught = world.deep_sleeps > 0 and not getattr(self.node, "_rate", 0)
                elif step > _SMALL_STEP_MS:
                    self._taught = world.deep_sleeps > 0
                self._good_clock = False
            elif self._good_clock or not self._taught or step < _SMALL_STEP_MS:
                # a lie when nothing is known yet, and two after another, also teach a wrong rate of the clock that goes
                # on in deep sleep, which takes a while to mend
                self._good_clock = True
                self._lies = lies
            self._set_at = world.time.now

        module.set = watched

    def _hook_uplink(self, kind: Any) -> None:
        step, ask = kind._step, kind._ask

        async def stepped(uplink: Any, pulse: Any) -> Any:
            wait = await step(uplink, pulse)
            if wait is not None:
                self._verdict(uplink._status["verdict"])
            return wait

        async def asked(uplink: Any, pulse: Any) -> Any:
            resent = uplink._status["resent"]
            answer = await ask(uplink, pulse)
            if uplink._status["resent"] > resent:
                self._blind.update(sequence for sequence in self._truth if sequence <= uplink._batch.last)
            return answer

        kind._step, kind._ask = stepped, asked

    # ---- samples

    def _entry(self, values: list, given: int | None) -> Entry:
        world = self.world
        true_ms = int(world.unix() * 1000)
        slack = self._slack()
        if given is not None and self._good_clock and abs(given - true_ms) > slack:
            self.violation(f"a sample is stamped {given - true_ms} ms wrong")
        return Entry(tuple(values), self.spool._channels, true_ms, given, self._boot, self._good_clock, slack)

    def _slack(self, since: float | None = None) -> float:
        """ms by which a time may be wrong now, when it was right at `since`: when the clock was set, unless told.

        A clock that goes on in deep sleep is as poor as it is.
        """
        since = self._set_at if since is None else since
        world = self.world
        ppm = _PPM + (1.2 * abs(world.spec.sleep_ppm) if world.deep_sleeps else 0)
        slow = 100 + 5 * world.chip.block_ms  # a sample's time is that of its beginning
        return slow + max(_CLOCK_MS, self._set_wrong) + (world.time.now - since) * ppm / 1e6

    def _taken(self, number: int, sequence: int, entry: Entry, declined: int) -> None:
        self.appended += 1
        self._taken_at = self.world.time.now
        self._note()
        self._sampled += entry.readings
        if not number:
            self._gone += entry.readings
            if declined != entry.readings:
                self.violation(f"{entry.readings} readings were declined, {declined} counted")
        elif number != sequence:
            self.violation(f"sample {sequence} got the number {number}")
        else:
            self._truth[sequence] = entry

    def _opened(self) -> None:
        """After a start: what the spool found has to be what was there."""
        spool = self.spool
        after = spool.next_sequence
        self._tag = self._tag or spool.tag
        if self._tag != spool.tag and self.appended and not self.may_lose:
            self.violation(f"the spool's tag changed from {self._tag} to {spool.tag}")
        self._tag = spool.tag
        for sequence in sorted(self._maybe):
            entry = self._which(sequence)
            if sequence < after and sequence not in self._truth:
                self._truth[sequence] = entry
                self._sampled += entry.readings
            elif spool.counters.sampled == self._sampled + entry.readings:
                self._sampled += entry.readings  # declined, and the power went before the call was over
                self._gone += entry.readings
        self._maybe.clear()
        if self._rotten or self._mending and spool._renew:  # damaged still, for nothing was written since
            self._after_rot()
            return
        self._unsettled_again()
        for sequence in [n for n in self._truth if n >= after]:
            entry = self._truth.pop(sequence)
            if self.world.spec.commit_samples > 1 or self.may_lose:
                self._sampled -= entry.readings  # they waited for their commit
            else:
                self.violation(f"sample {sequence} was committed, and is gone after the start")
        self.check_books()

    def _which(self, sequence: int) -> Entry:
        """Of those that may have got this number: a write that failed may be on flash, and what came after it not."""
        entries = self._maybe[sequence]
        if len(entries) > 1:
            for sample in spoolreader.read_files(self.world.disk.content("/queue")).queued:
                if sample.sequence == sequence:
                    for entry in entries:
                        moment = sample.mono if entry.given is None else sample.time
                        if tuple(sample.values) == entry.values and moment == (entry.given or entry.mono):
                            return entry
        return entries[-1]

    def _unsettled_again(self) -> None:
        """What was settled, but not yet on flash, waits again: that is no loss, and will be asked for."""
        spool = self.spool
        again = {n: entry for n, entry in self._recent.items() if n >= spool._cursor}
        self._recent.clear()
        if again:
            self._truth = dict(sorted({**again, **self._truth}.items()))
        for sequence, entry in self._truth.items():
            settled = spool._partial.get(sequence, 0)
            if sequence == self._settling[0]:
                entry.left &= ~self._settling[1]  # the power went between flash and the end of the call
                if not entry.left and sequence < spool._cursor:  # and it was the last
                    continue
            if settled & entry.left:
                self.violation(f"readings of sample {sequence} are settled after the start, and were not before")
            entry.left = entry.all & ~settled
        entry = self._truth.get(self._settling[0])
        if entry is not None and not entry.left:
            self._recent[self._settling[0]] = self._truth.pop(self._settling[0])
        self._settling = 0, 0

    # ---- flipped bits

    def rots(self, path: str, raw: bytes) -> None:
        """The bytes of a file on flash become these, while the node is off."""
        disk = self.world.disk
        if path.startswith("/remote/"):
            self.world.wishes.rots(path, raw)
        if not path.startswith("/queue/"):
            disk.put(path, raw)
            return
        if self._mending or self._rotten or path in self._flipped:
            return  # what is promised is promised of one at a time
        if "/s" in path[6:]:
            self._flipped.add(path)
        before = {sample.sequence: sample for sample in spoolreader.read_files(disk.content("/queue")).queued}
        disk.put(path, raw)
        after = {sample.sequence: sample for sample in spoolreader.read_files(disk.content("/queue")).queued}
        lost = sorted(before.keys() - after.keys())
        if len(lost) > 1:
            self.violation(f"a flipped bit in {path} costs samples {lost}")
        self._lost += lost
        for sequence in before.keys() & after.keys():
            for one, two in zip(before[sequence].values, after[sequence].values, strict=True):
                if one is not None and two is not None and one != two:
                    self.violation(f"a flipped bit in {path} makes {two} of {one} in sample {sequence}")
        self._rotten = self._decayed = True

    def _after_rot(self) -> None:
        """What is queued now is what the independent reader finds; what that costs is counted when it is all sent."""
        known = {**self._recent, **self._truth}
        self._recent.clear()
        self._truth = {}
        for sample in spoolreader.read_files(self.world.disk.content("/queue")).queued:
            self._again.add(sample.sequence)
            entry = known.get(sample.sequence)
            if entry is not None:
                entry.left = sum(1 << i for i, value in enumerate(sample.values) if value is not None)
                self._truth[sample.sequence] = entry
        self._rotten = False
        self._mending = True
        self._settling = 0, 0

    def _mend(self) -> None:
        """The queue is empty: from here on the books are as exact as ever."""
        counters = self.spool.counters
        if counters.queued:
            self.violation(f"nothing waits, and the node counts {counters}")
        level = self.world.wishes.config["log.level"]
        if self._lost and not self._said_damage and level in ("info", "debug"):
            self.violation(f"samples {self._lost} were lost to a flipped bit, and nothing was said of it")
        self._sampled = counters.sampled
        self._gone = counters.dropped + counters.damaged
        self._lost.clear()
        self._again.clear()
        self._said_damage = self._mending = False

    def check_books(self) -> None:
        """The node's counters against ours. To be called when nothing is under way."""
        spool = self.spool
        if spool is None or self.violations:
            return
        self._before_settling()
        counters = spool.counters
        queued = sum(entry.readings for entry in self._truth.values())
        if counters.sampled != counters.acknowledged + counters.queued + counters.quarantined + (
            counters.dropped + counters.damaged
        ):
            self.violation(f"the node's books do not balance: {counters}")
        elif self.may_lose or self._mending:
            return
        elif counters.sampled != self._sampled:
            self.violation(f"{self._sampled} readings were taken, the node counts {counters}")
        elif counters.queued != queued:
            self.violation(f"{queued} readings wait, the node counts {counters}")
        elif counters.dropped + counters.damaged != self._gone:
            self.violation(f"{self._gone} readings left the queue unsent, the node counts {counters}")
        elif counters.damaged and not self._decayed:
            self.violation(f"readings were damaged on sound flash: {counters}")

    def _before_settling(self) -> None:
        """What the queue has dropped is gone."""
        cursor = self.spool._cursor
        truth = self._truth
        while truth:
            sequence = next(iter(truth))
            if sequence >= cursor:
                break
            self._gone += truth.pop(sequence).readings

    def _require(self, sequence: int, mask: int) -> None:
        entry = self._truth.get(sequence)
        if entry is None:
            return
        rows = self.world.server.stored.get(f"{self._tag}_{sequence}", {})
        channels = entry.channels
        for index in range(len(entry.values)):
            if entry.left & mask & 1 << index and channels[index][0] not in rows:
                self.violation(f"{channels[index][0]} of sample {sequence} is acknowledged, TagoIO does not have it")

    def _acknowledged(self, upto: int) -> None:
        truth = self._truth
        while truth:
            sequence = next(iter(truth))
            if sequence > upto:
                break
            self._require(sequence, -1)
            self._recent[sequence] = truth.pop(sequence)
        while len(self._recent) > _KEPT_GROUPS:
            del self._recent[next(iter(self._recent))]
        for sequence in range(max(self._settled - _KEPT_GROUPS, 0), max(upto - _KEPT_GROUPS, 0)):
            self.world.server.forget(f"{self._tag}_{sequence}")
        self._settled = max(self._settled, upto)
        self._blind = {sequence for sequence in self._blind if sequence > upto}

    def check_reader(self) -> None:
        """The independent reader finds on flash what is queued. Everything has to be committed."""
        if self.spool is None or self.violations:
            return
        found = spoolreader.read_files(self.world.disk.content("/queue"))
        if self.may_lose:
            return
        self._before_settling()
        theirs = {s.sequence: tuple(s.values) for s in found.queued}
        ours = {
            sequence: tuple(value if entry.left >> i & 1 else None for i, value in enumerate(entry.values))
            for sequence, entry in self._truth.items()
        }
        if theirs != ours:
            odd = sorted(n for n in theirs.keys() | ours.keys() if theirs.get(n) != ours.get(n))[:3]
            text = "; ".join(f"{n}: reader {theirs.get(n)}, node {ours.get(n)}" for n in odd)
            self.violation(f"the independent reader of the flash disagrees: {text}")
        if found.damage and not self._decayed:
            self.violation(f"the independent reader finds damage on sound flash: {found.damage[0]}")

    # ---- TagoIO

    def record(self, record: dict[str, Any]) -> None:
        """TagoIO stores a record."""
        tag, _, number = record.get("group", "").rpartition("_")
        if number[:1] == "e" or tag == "safe" or record["variable"] == "settings":
            for secret in self.world_secrets():
                if secret in str(record.get("value")):
                    self.violation("a secret in an event")
            if record["variable"] == "settings":
                self.world.wishes.told(record)
            return
        self.stored += 1
        sequence, variable = int(number), record["variable"]
        entry = self._truth.get(sequence)
        if tag != self._tag:
            self.violation(f"a record of another queue: {record}")
            return
        if sequence in self._again:
            if entry is not None:
                self._check_record(record, entry, variable, sequence)
            return
        if variable in self.world.server.stored.get(record["group"], ()) or entry is None:
            if sequence not in self._blind or entry is None or entry.settled(variable):
                self.violation(f"{variable} of sample {sequence} is stored twice")
            return
        if sequence <= self._last.get(variable, 0):
            self.violation(f"{variable} of sample {sequence} comes after that of {self._last[variable]}")
        self._last[variable] = sequence
        self._check_record(record, entry, variable, sequence)

    def _check_record(self, record: dict[str, Any], entry: Entry, variable: str, sequence: int) -> None:
        names = [channel[0] for channel in entry.channels]
        if variable not in names:
            self.violation(f"sample {sequence} has no {variable}, and TagoIO got {record}")
            return
        index = names.index(variable)
        _, unit, decimals = entry.channels[index]
        value = entry.values[index]
        if isinstance(value, float):
            same = abs(record["value"] - value) <= 0.5 * 10**-decimals + 1e-9
        else:
            same = record["value"] == value
        if not same or record.get("unit", "") != unit:
            self.violation(f"{variable} of sample {sequence} is {value} {unit}, and TagoIO got {record}")
        text = record.get("time")
        if text is None:
            if (record.get("metadata") or {}).get("clock") != "unknown":
                self.violation(f"sample {sequence} has neither time nor mark")
            elif entry.boot == self._boot and self._boot in self._synced_boots:
                # (of an earlier boot the queue does not know when it was, even if that knew the time for a while)
                self.violation(f"sample {sequence} has no time, though its boot knows it")
            return
        moment = int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 + 0.5)
        slack = max(entry.slack, self._slack())
        if entry.given is None:  # stamped now, by a count that went on since then
            slack = max(slack, self._slack(self.world.time.now - (self.world.unix() * 1000 - entry.true_ms)))
        if entry.good and self._good_clock and abs(moment - entry.true_ms) > slack:
            self.violation(f"sample {sequence} was taken {moment - entry.true_ms} ms before its time")

    def world_secrets(self) -> tuple[str, ...]:
        from .world import PASSWORD, TOKEN

        return TOKEN, PASSWORD

    # ---- the rest

    def line(self, line: str) -> None:
        """Something was printed."""
        if line.startswith("TagoNode could not go on"):
            self._given_up = True
        secrets = self._secrets or self.world_secrets()
        self._secrets = secrets
        if secrets[0] in line or secrets[1] in line:
            self.violation("a secret on the console: " + line)
        if self._mending and "damaged" in line:
            self._said_damage = True
        if "remote: " in line:
            self.world.wishes.line(line)

    def boot(self, cause: str) -> None:
        self._boot += 1
        self._given_up = False  # the program ended: the watchdog, or the reset that follows, starts it again
        self.node = self.spool = None

    def ended(self, cause: str) -> None:
        """A boot is over."""
        may_bite, self.may_bite = self.may_bite, False
        if cause == "watchdog":
            self.bites += 1
            self.world.tell("the watchdog bites")
            if not may_bite and not self.world.chip.hung and not self._given_up:
                pulses = self.node.house._pulses if self.node and self.node.house else ()
                late = [pulse.name for pulse in pulses]
                self.violation(f"the watchdog bit, and nothing was wrong; tasks: {', '.join(late)}")
        elif cause == "halted" or cause.startswith("nothing"):
            self.violation(f"the program ended: {cause}")

    def _verdict(self, verdict: str) -> None:
        self.verdicts[verdict] += 1
        self._note("verdict " + verdict)

    def _note(self, *more: str) -> None:
        """Which states are met together now."""
        world, spool = self.world, self.spool
        queue = "slots"
        if not spool or not spool.queued:
            queue = "empty"
        elif spool._partial:
            queue = "settled in part"
        elif spool.in_flight:
            queue = "in flight"
        elif spool._segments[-1] > spool._cursor or len(spool._segments) > 1:
            queue = "segments"
        link = "up" if world.radio.up else "down"
        clock = ("unknown", "estimated", "synced")[self.node.clock.state] if self.node else "unknown"
        states = (*more, "link " + link, "clock " + clock, "queue " + queue)
        for i, one in enumerate(states):
            for other in states[i + 1 :]:
                self.seen[one, other] += 1

    def calm(self) -> None:
        """Nothing has gone wrong for a while: a sound node is well."""
        world, node = self.world, self.node
        if not self.appended:
            self.violation("not a single sample was taken")
        quiet = (world.time.now - self._taken_at) / 1000
        wishes = world.wishes
        if quiet > 2 * wishes.sample_s + 600:
            self.violation(f"hours of calm, and the last sample was taken {quiet:.0f} s ago")
        for sequence, entry in self._truth.items():
            age = world.unix() * 1000 - entry.true_ms
            half = 500 * wishes.sample_s if world.spec.sleeps else 0  # the nearest wake links
            if not wishes.broken and age > wishes.upload_s * 1000 + _LATE_MS + half:
                error = "" if node is None else node.status["error"]
                self.violation(f"hours of calm, and sample {sequence} still waits after {age / 1000:.0f} s: {error}")
            break
        if world.running and node is not None and self.spool is not None:
            self._bounded()
        wishes.calm(world.time.now - calm_ms(world.spec))
        if self._mending and self.spool is not None:
            self._before_settling()
            if not self._truth:
                self._mend()
        if not self.violations:
            self.check_books()
        if self.world.spec.commit_samples == 1:
            self.check_reader()
        if self.violations:
            raise Ended("over")

    def _bounded(self) -> None:
        """What a node holds in memory has bounds, whatever it has been through."""
        world, node = self.world, self.node
        sizes = {
            "tasks": (len(world.loop.tasks), 30),
            "sockets": (len(world.net.sockets), 3),
            "files": (world.disk.open_files, 0),
            "lines": (len(node.log.last), 100),
            "samples settled in part": (len(self.spool._partial), 17),
            "events on flash": (len(world.disk.content("/events")), 22),
            "segments": (len(self.spool._segments), 40),
        }
        for what, (size, most) in sizes.items():
            if size > most:
                self.violation(f"{size} {what}, where {most} would do")

    def finish(self) -> None:
        """The life is over."""


Check = Callable[[Watch], None]
