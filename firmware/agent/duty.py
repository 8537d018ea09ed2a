"""A node that is off between its samples, for a battery: wake, sample, write down, now and then link and send, sleep.

Its parts are those of any other node. A board that keeps RAM in its sleep (boards: `sleep`) just goes on after it. One
that forgets starts anew at each wake: what the node had in mind is in the memory of its real-time clock, and a wake
that only samples loads nothing that speaks to a network. Whoever works on the node wants it awake: after power on, and
for as long as `hold` says, it lives like a node that never sleeps.
"""

import asyncio
import gc
import json
from binascii import crc32

from micropython import const

from agent import forget
from agent.app import Node
from agent.clock import SYNCED
from spool import SpoolError

_LOOK_MS = const(500)
_MOMENT_MS = const(50)  # no sleep is worth less
_START_MS = const(2000)  # none from which the board starts anew
_PATIENCE_MS = const(8000)  # of a wait between two tries to send: beyond it, the next wake that links tries
_SELDOM_MS = const(3600000)  # between two wakes that link while nothing can be delivered
_TIME_MS = const(3000)  # for a time server's answer, once all is sent
_TIME_EVERY_MS = const(3600000)  # where the clock that goes on in sleep is a poor one
_SLACK_MS = const(600000)
_MOST_RATE = const(50000)  # ppm: no clock is so wrong
_NOTED_RATE = const(500)
_BASE_MS = const(300000)  # of a measurement of it
_FIRST_MS = const(600000)
_LONGEST_LEAD_MS = const(10000)
_GOOD_WAKES = const(10)  # in a row: whatever crashed before is over
_SLOW_SENSOR_MS = const(60000)
_DAY_MS = const(86400000)


class Away:
    """Stands in for link and uplink while neither is there."""

    rounds = 0

    def __init__(self):
        self.up = asyncio.Event()
        self.flush = asyncio.Event()
        self.failures = {}


def pause(failed: int, every_ms: int) -> int:
    """Milliseconds until a wake links again, after so many (1 …) in a row that have not delivered everything."""
    return min(every_ms << min(failed - 1, 12), max(every_ms, _SELDOM_MS))


def learn(rate: int, odd: int, wrong_ms: int, slept_ms: int) -> tuple:
    """(how slow the clock that goes on in sleep is, what was not believed): ppm, when it was `wrong_ms` behind after so
    much sleep, in which `rate`, 0 before the first time, was taken into account. odd: what was not believed the last
    time, or 0: a large change has to be said twice, and alike, since the truth that follows a lie says the opposite,
    and what follows two lies may say anything."""
    if slept_ms < _BASE_MS:
        return rate, odd
    more = wrong_ms * 1000000 // slept_ms
    if rate and abs(more) > _NOTED_RATE:
        if more * odd <= 0 or not abs(odd) <= 2 * abs(more) <= 4 * abs(odd):
            return rate, more
        more += odd
    rate += more // 2 if rate else more
    return (rate or 1) if abs(rate) <= _MOST_RATE else 0, 0


def pack(kept: dict) -> bytes:
    """What the real-time clock's memory takes."""
    text = json.dumps(kept)
    return ("%08x" % (crc32(text.encode()) & 0xFFFFFFFF) + text).encode()


def unpack(raw: bytes) -> dict:
    """The same back. Raises ValueError when it is anything else."""
    text = str(raw, "utf-8")
    if int(text[:8] or "-", 16) != crc32(text[8:].encode()) & 0xFFFFFFFF:
        raise ValueError("not what was kept")
    return json.loads(text[8:])


def recall(board, cause: str):
    """What was kept before the sleep that ends with this start, a dict; None when it is no end of one, or lost.

    cause: why the board started.
    """
    memory = board.rtc_memory()
    if memory is None or cause != "deep sleep":
        return None
    try:
        kept = unpack(memory())
    except ValueError:
        return None
    slept = board.rtc_ms() - kept["rtc"]
    return kept if 0 <= slept <= 2 * (kept["wake"] - kept["mono"]) + _SLACK_MS else None


def resume(clock, board, kept: dict) -> None:
    """Let the clock go on as if there had been no sleep."""
    state, clock._offset, clock._at, clock._coarse = kept["clock"]
    slept = board.rtc_ms() - kept["rtc"]
    clock.mono()
    kept["slept"] += slept
    clock._mono = kept["mono"] + slept + slept * kept["rate"] // 1000000
    clock._set_rtc = board.set_rtc
    if state == SYNCED:
        clock.state = SYNCED
        clock.synced.set()


def due(kept: dict, mono: int) -> bool:
    """Whether the wake that begins now is to link, before anything is sampled."""
    return kept["held"] > mono or kept["next"] <= mono + kept["half"]


def recover(node, kept: dict) -> None:
    """Give a DutyNode what was kept of it in its sleep."""
    node._held, node._next, node._failed, node._urgent, node._asked, node._rate, node._odd = kept["duty"]
    node._soon = kept["soon"]
    node._lead, node._looked, node._slept = kept["lead"], kept["looked"], kept["slept"]
    node.spool.boot, node._first, node.wakes, node.heard, node.restarts = kept["node"]
    node.status["requests"], node.status["handshakes"], node.status["resent"] = kept["sent"]
    node.status["error"] = kept["error"]
    node._told = kept["told"]
    node.uplink.failures.update(kept["failures"])
    sampler = node.sampler
    grids, sampler.left = kept["sampler"]
    # settings that were damaged in the sleep are gone: on the grids of those, no sensor would ever be read
    for grid in sampler.grids:
        for before in grids:
            if before[0] == grid[0]:
                grid[:] = before
    node._point = min([grid[2] for grid in sampler.grids])
    node._woken = kept["wake"]
    if node._health:
        node._health.least = kept["least"]
    if node._pipeline and kept["steps"]:
        node._pipeline.recall(kept["steps"])


class DutyNode(Node):
    """config: the board's settings; notes: an agent.notes.Notes; health, pipeline: an agent.health.Health and an
    agent.pipeline.Pipeline, where there are any; the rest as agent.app.Node's.

    `heard`: strength of the network's signal when there was one last, dBm, or None.
    """

    def __init__(self, config, board, log, clock, spool, cause, crashes, notes, health=None, pipeline=None):
        Node.__init__(self, config, board, log, clock, spool, cause, crashes)
        self.link = self.uplink = Away()
        self.heard = None
        self.wakes = self.restarts = 0
        self._config = config
        self._notes = notes
        self._memory = board.rtc_memory()
        self._every_ms = config["upload.every"]
        self._awake_ms = config["duty.awake"]
        self._sample_ms = min([config["sample.every"]] + [row.get("every", 0) or _DAY_MS for row in config["sensors"]])
        self._held = config["duty.stay"] if cause in ("power on", "reset", "soft reset") else 0
        self._next = 0  # when a wake links again
        self._failed = 0  # wakes in a row that have not delivered everything
        self._soon = False  # among what they have not was an alarm
        self._urgent = False
        self._asked = None  # when the time was asked for
        self._slept = 0  # since it was told
        self._rate = 0  # how slow the clock is that goes on in sleep, ppm
        self._odd = 0  # what was heard of that, and not believed
        self._lead = 0  # ms from the end of a sleep until this node is ready
        self._woken = None  # when this sleep was to end
        self._point = 0  # for which it was
        self._looked = None  # when remote settings are due
        self._told = []  # [what crashed, when]
        self._health = health
        self._pipeline = pipeline
        if self._memory:
            rate = notes.get("sleep_rate", 0)
            self._rate = rate if type(rate) is int and abs(rate) <= _MOST_RATE else 0

    def _kept(self, wake):
        """All that is to be known when the board starts anew."""
        clock, sampler, status = self.clock, self.sampler, self.status
        return {
            "rtc": self.board.rtc_ms(),
            "mono": clock.mono(),
            "wake": wake,
            "held": self._held,
            "next": self._next if not self._urgent else 0,
            "half": self._sample_ms // 2,
            "rate": self._rate,
            "cause": self.cause,
            "clock": [clock.state, clock._offset, clock._at, clock._coarse],
            "duty": [self._held, self._next, self._failed, self._urgent, self._asked, self._rate, self._odd],
            "slept": self._slept,
            "soon": self._soon,
            "lead": self._lead,
            "looked": self._looked,
            "node": [self.spool.boot, self._first, self.wakes, self.heard, self.house.restarts],
            "sent": [status["requests"], status["handshakes"], status["resent"]],
            "error": str(status["error"])[:100],
            "told": self._told,
            "failures": self.uplink.failures,
            "sampler": [sampler.grids, sampler.left],
            "least": self._health.least if self._health else None,
            "steps": self._pipeline.memory() if self._pipeline else None,
        }  # fmt: skip

    # ---- what others ask of it

    def hold(self, ms: int) -> None:
        """Stay awake for so long, within reach of whoever works on it; 0: no longer."""
        self._held = self.clock.mono() + ms

    def attach(self, link, resolver, uplink, session) -> None:
        """As Node's: at the first wake that links."""
        uplink.failures = self.uplink.failures
        session.handshakes = self.status["handshakes"]
        Node.attach(self, link, resolver, uplink, session)

    def committed(self, urgent: bool) -> None:
        """As Node's: this wake links, for an alarm, or when enough samples wait."""
        Node.committed(self, urgent)
        if urgent or not self._failed and self._enough and self.spool.samples_queued >= self._enough:
            self._urgent = True

    def crashed(self, what: str, error=None) -> None:
        """As Node's; of the same once a day, however often the board started anew since then."""
        mono = self.clock.mono()
        key = crc32((what + repr(error)).encode())
        self._told = [row for row in self._told if mono - row[1] < _DAY_MS][-7:]
        if key not in [row[0] for row in self._told]:
            self._told.append([key, mono])
            Node.crashed(self, what, error)

    def start(self, house) -> None:
        """As Node's: this one's task starts the others, and ends them."""
        self.sampler.longest = _SLOW_SENSOR_MS
        house.restarts = self.restarts
        house.start("duty", self._live)

    # ---- its life

    async def _live(self, pulse):
        if self._woken is not None:
            took = self.clock.mono() - self._woken
            self._woken = None
            if 0 <= took < _LONGEST_LEAD_MS:
                self._lead = (3 * self._lead + took) // 4 if self._lead else took
        while True:
            if self.sampler.over.is_set():
                self.hold(_DAY_MS)  # a run on the bench is over: what is left is sent, and looked at
            if self._held > self.clock.mono():
                await self._stay(pulse)
                continue
            point = self._point
            self._point = 0
            if not point or self.clock.mono() - point > self._sample_ms // 2:
                point = self.sampler.next()
            await self._rest(pulse, point)
            await pulse.sleep(point - self.clock.mono())
            await self.sampler.take(pulse, point)
            self.wakes += 1
            if self._crashes and self.wakes >= _GOOD_WAKES:
                from agent import crash

                crash.forgive()
                self._crashes = 0
            if self._urgent or self._next - self.clock.mono() <= self._sample_ms // 2:
                await self._send(pulse)
            self.report()

    async def _stay(self, pulse):
        """Live like a node that never sleeps."""
        house = self.house
        self.log.info("duty", "awake for %d s" % ((self._held - self.clock.mono()) // 1000))
        self._connect()
        try:
            self.reach(house)
            if not self.sampler.over.is_set():
                house.start("sampler", self.sampler.run)
            house.start("uplink", self.uplink.run)
            house.start("state", self._report)
            left = 1
            while left > 0 or self.session.busy():
                left = self._held - self.clock.mono()
                await pulse.sleep(min(max(left, _LOOK_MS), 2 * _LOOK_MS))
            self._next = self.clock.mono() + (0 if self.spool.queued else self.uplink.until_due())
            if self.clock.state == SYNCED:
                self._asked = self.clock._at
                self._slept = 0
        finally:
            for name in ("sampler", "state", "light"):
                house.stop(name)
            self._depart()

    def _connect(self):
        if self.session is None:
            gc.collect()
            from agent import assemble

            forget("assemble")
            forget("settings")
            parts = assemble.reach(self._config, self.board, self.log, self.clock, self._notes)
            assemble.join(self, self._config, self._notes, *parts)
        remote = self.remote
        if remote and self._looked is not None:
            remote._due = self._looked
            self._looked = None

    def _depart(self):
        """Let go of the network."""
        if self.remote:
            self._looked = self.remote._due
        for name in ("uplink", "clock", "link", "trial"):
            self.house.stop(name)
        self.session.close()
        self.link.up.clear()
        try:
            if self._light:
                self.board.led(False)
            self.board.wifi_off()
        except (OSError, ValueError, RuntimeError, AttributeError):
            pass  # it is off, or does not answer: that shows in the next try

    async def _send(self, pulse):
        """Link, send what there is, do the errands, and look at a time server's clock: within the budget of a wake."""
        self._connect()
        clock, link, house = self.clock, self.link, self.house
        began = clock.mono()
        goal = self.spool.next_sequence
        every_ms = self._clock_every_ms
        if self._memory:
            every_ms = min(every_ms, _TIME_EVERY_MS if self._rate else _FIRST_MS)
        asks = (
            not clock.synced.is_set() or self._asked is None or began - self._asked + self._sample_ms // 2 >= every_ms
        )
        known = clock.state == SYNCED
        # by what is known now: what it is worth shows when a server says what is right
        before, drift, at = clock._offset, clock._tenths, clock._at
        done = asyncio.Event()

        async def turn(pulse):
            await pulse.wait(clock.synced)  # even when there is nothing to send yet
            self.uplink.begin(pulse)
            await self.uplink.turn(pulse, _PATIENCE_MS)
            done.set()

        rounds = link.rounds
        tries = self.remote and self.remote.trial
        try:
            house.start("link", link.run)
            if tries:
                house.start("trial", self.remote.watch)
            if asks:
                self._asked = began
                house.start("clock", self._keep_time)
            house.start("uplink", turn)
            while not await pulse.wait(done, _LOOK_MS):
                if clock.mono() - began >= self._awake_ms or link.rounds != rounds:
                    break
            end = clock.mono() + _TIME_MS
            while asks and link.up.is_set() and clock._at == at and clock.mono() < end:
                await pulse.sleep(_LOOK_MS)
            if link.up.is_set():
                self.heard = self.board.wifi().status("rssi")
        except (OSError, ValueError, RuntimeError):
            pass  # a radio that does not say how strong the signal is
        finally:
            self._depart()
        mono = clock.mono()
        if clock._at != at:
            if known and self._memory:
                wrong = clock._offset - before - (clock._at - at) * drift // 10000000
                self._rate, self._odd = learn(self._rate, self._odd, wrong, self._slept)
                noted = self._notes.get("sleep_rate", 0)
                # one that is known is noted, however small: with none, the next lie would be taken for one
                if abs(self._rate - noted) >= _NOTED_RATE or self._rate and not noted:
                    self._notes.put("sleep_rate", self._rate)
            self._slept = 0
            clock._base = None if self._memory else clock._base  # a crystal that rests is not measured
        if done.is_set() and self.spool.next_sequence - self.spool.samples_queued >= goal:
            self._failed = 0
            self._soon = False
            wait = self.uplink.until_due()
            # this wake was the nearest one to a point that is yet to come
            self._next = mono + wait + (self._every_ms if wait <= self._sample_ms // 2 else 0)
        else:
            self._failed += 1
            self._soon = self._soon or self._urgent
            every_ms = self._sample_ms if self._soon else self._every_ms
            if tries:
                every_ms = min(every_ms, _SELDOM_MS)  # what is tried is not tried for a week
            wait = pause(self._failed, every_ms)
            self._next = mono + wait
            text = "sleeps again with %d samples to send; next try in %d s"
            self.log.warning("duty", text % (self.spool.samples_queued, wait // 1000))
        self._urgent = False

    async def _rest(self, pulse, point):
        """Sleep until it is time to be ready for the next point."""
        left = point - self.clock.mono() - self._lead
        if left < (_START_MS if self._memory else _MOMENT_MS):
            return
        if not self._memory:
            gc.collect()
            self.board.sleep(left, self.house.feed)
            self.house.rested()
            return
        try:
            self.spool.sync()
        except SpoolError as error:
            self.log.error("spool", str(error))
        kept = self._kept(point - self._lead)
        try:
            self._memory(pack(kept))
        except ValueError:
            # what filters had in mind is too much for it
            kept["steps"] = None
            self._memory(pack(kept))
        left = self.clock.mono() - kept["mono"] + left
        self.board.sleep(left - left * self._rate // 1000000, self.house.feed)
