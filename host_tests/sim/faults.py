"""What goes wrong, how often, and for how long: the list of faults of a seed, made before anything runs.

A fault is one line: when, what, for how long, and a number from which its details are drawn, so that it is the same
whichever others are there. To add one: a function here that begins it and gives what ends it, and a row in `RATES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from . import wishes
from .loop import Ended, Task
from .spec import DAY_MS, Spec
from .tagoio import Mood

_S, _MIN, _HOUR = 1000, 60000, 3600000
_CALM_EVERY_DAYS = 6.0
_BITES_WITHIN = 420 * _S  # the longest promise of a task, the longest watchdog, and what is between them

End = Callable[[], object]


@dataclass(frozen=True)
class Fault:
    """at, lasts: ms; detail: seed of what else it is."""

    at: int
    kind: str
    lasts: int
    detail: int

    def plan(self, world: Any) -> None:
        """Have it happen."""
        world.time.at(self.at, lambda: self._begin(world))

    def _begin(self, world: Any) -> None:
        world.tell(f"*** {self.kind} for {self.lasts / 1000:.0f} s ({self.detail})")
        world.happened[self.kind] += 1
        end = KINDS[self.kind](world, Random(self.detail), self.lasts)
        if end is not None:
            over = end

            def stop() -> None:
                world.tell(f"*** {self.kind} is over")
                over()

            world.time.at(world.time.now + self.lasts, stop)

    def __str__(self) -> str:
        return f"{self.at} {self.kind} {self.lasts} {self.detail}"

    @staticmethod
    def parse(line: str) -> "Fault":
        at, kind, lasts, detail = line.split()
        return Fault(int(at), kind, int(lasts), int(detail))


KINDS: dict[str, Callable[[Any, Random, int], End | None]] = {}


def _fault(function: Callable[[Any, Random, int], End | None]) -> Callable[[Any, Random, int], End | None]:
    KINDS[function.__name__] = function
    return function


def _hold(thing: Any, name: str, value: Any, normal: Any) -> End:
    setattr(thing, name, value)
    return lambda: setattr(thing, name, normal)


# ---- Wi-Fi


@_fault
def wifi_gone(world: Any, draw: Random, lasts: int) -> End:
    radio = world.radio
    names = set(radio.networks) if draw.random() < 0.7 else {draw.choice(sorted(radio.networks))}
    radio.set_gone(names)
    return lambda: radio.set_gone(set())


@_fault
def wifi_lost(world: Any, draw: Random, lasts: int) -> None:
    world.radio.lose()


@_fault
def wifi_flaps(world: Any, draw: Random, lasts: int) -> None:
    at = world.time.now
    for _ in range(draw.randrange(3, 15)):
        at += int(draw.expovariate(1 / 8000)) + 100
        world.time.at(at, world.radio.lose)


@_fault
def wifi_refuses(world: Any, draw: Random, lasts: int) -> End:
    world.radio.lose()
    return _hold(world.radio, "refuses", True, False)


@_fault
def wifi_no_address(world: Any, draw: Random, lasts: int) -> End:
    world.radio.lose()
    return _hold(world.radio, "addresses", False, True)


@_fault
def wifi_password(world: Any, draw: Random, lasts: int) -> End:
    world.radio.lose()
    right = world.networks
    return _hold(world.radio, "networks", dict.fromkeys(right, "changed"), right)


@_fault
def wifi_weak(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.radio, "rssi", draw.randrange(-95, -78), -61)


@_fault
def radio_sick(world: Any, draw: Random, lasts: int) -> End:
    world.radio.lose()
    return _hold(world.radio, "sick", draw.choice(("off", "deinit", "reset")), "")


# ---- network


@_fault
def net_silent(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "silent", True, False)


@_fault
def outage(world: Any, draw: Random, lasts: int) -> End:
    """Days without a network."""
    return net_silent(world, draw, lasts)


@_fault
def net_slow(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "lag", draw.randrange(200, 900), 30)


@_fault
def net_refused(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "refused", draw.choice((0.3, 1.0)), 0.0)


@_fault
def net_lost(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "lost", draw.choice((0.3, 1.0)), 0.0)


@_fault
def net_cut_up(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "cut_up", draw.choice((0.3, 0.9)), 0.0)


@_fault
def net_cut_down(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "cut_down", draw.choice((0.3, 0.9)), 0.0)


@_fault
def net_datagrams(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "datagrams", draw.uniform(0.2, 0.9), 0.0)


@_fault
def dns(world: Any, draw: Random, lasts: int) -> End:
    kind = draw.choice(("silent", "nxdomain", "servfail", "garbage", "wrong", "alias"))
    world.tell(f"    the name server: {kind}")
    return _hold(world.net, "dns", kind, "")


@_fault
def tls(world: Any, draw: Random, lasts: int) -> End:
    kind = draw.choice(("stall", "reset", "version", "memory"))
    world.tell(f"    handshakes: {kind}")
    return _hold(world.net, "tls", kind, "")


@_fault
def certificate(world: Any, draw: Random, lasts: int) -> End:
    right = world.certificate
    kind = draw.choice(("expired", "not yet valid", "another issuer", "another name", "another root"))
    world.tell(f"    the certificate: {kind}")
    now = world.unix()
    values = {"name": right.name, "issuer": right.issuer, "since": right.since, "until": right.until}
    values.update(
        {
            "expired": {"until": now - 60},
            "not yet valid": {"since": now + 86400 * 40},
            "another issuer": {"issuer": b"nobody's root"},
            "another name": {"name": "example.com"},
            "another root": {"issuer": world.ROOTS[1]},
        }[kind]
    )
    world.server.certificate = type(right)(**values)

    def over() -> None:
        world.server.certificate = world.certificate

    return over


@_fault
def certificate_renewed(world: Any, draw: Random, lasts: int) -> None:
    """For good. To a board that starts without knowing the time it is a certificate of the future."""
    old = world.certificate
    world.certificate = type(old)(old.name, old.issuer, world.unix() - 60, old.until)
    if world.server.certificate is old:
        world.server.certificate = world.certificate


# ---- time


@_fault
def ntp(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.net, "ntp", draw.choice(("silent", "silent", "kiss", "unsynchronised", "zero")), "")


@_fault
def ntp_lies(world: Any, draw: Random, lasts: int) -> End:
    wrong = int(draw.choice((-1, 1)) * 10 ** draw.uniform(3.3, 8.5))
    world.tell(f"    time servers are {wrong} ms wrong")
    return _hold(world.net, "ntp_wrong", wrong, 0)


@_fault
def date_lies(world: Any, draw: Random, lasts: int) -> End:
    """Of a router that has no idea, perhaps because the power went, and the node's with it."""
    end = _hold(world, "plain_wrong_s", draw.choice((-1, 1)) * 10 ** draw.uniform(1, 6), 0.0)
    world.net.ntp = "silent"
    if draw.random() < 0.5:
        world.time.at(world.time.now + 1, lambda: world.running and world.power_cut())

    def over() -> None:
        end()
        world.net.ntp = ""

    return over


# ---- the server

_STATUSES = (
    (500, "Internal Server Error", False, False),
    (500, "<h1>500</h1>", True, False),
    (502, "<h1>Bad Gateway</h1>", True, False),
    (502, "<h1>Bad Gateway</h1>", True, True),
    (503, "Service Unavailable", False, False),
    (504, "<h1>Gateway Time-out</h1>", True, True),
    (504, "<h1>Gateway Time-out</h1>", True, False),
    (408, "Request Timeout", False, False),
    (401, "Authorization Denied", False, False),
    (403, "Authorization Denied", False, False),
    (402, "Payment required: limit reached", False, False),
    (404, "Route not found", False, False),
    (405, "Method not allowed", False, False),
    (400, "<h1>400</h1>", True, False),
    (301, "moved", True, False),
    (302, "moved", True, False),
    (400, "Your account has reached the limit of Data Input", False, False),
    (400, "Device not found or inactive", False, False),
    (400, "Internal validation failed", False, False),
    (200, "The service has trouble", False, False),
    (200, "", True, True),
    (200, "", True, False),
    (204, "", True, True),
)


def _mood(world: Any, mood: Mood) -> End:
    world.server.moods.append(mood)
    world.tell(f"    {mood}")
    return lambda: world.server.moods.remove(mood)


@_fault
def server_status(world: Any, draw: Random, lasts: int) -> End:
    status, text, raw, store = draw.choice(_STATUSES)
    header = draw.choice(("", "", f"Retry-After: {draw.randrange(1, 200)}\r\n", "Retry-After: soon\r\n"))
    if 300 <= status < 400:
        header = "Location: https://example.com/\r\n"
    methods = draw.choice((("POST",), ("POST", "GET"), ("GET",)))
    chance = draw.choice((0.3, 1.0, 1.0))
    return _mood(world, Mood("status", chance, status, text, store, raw, header=header, methods=methods))


@_fault
def server_throttles(world: Any, draw: Random, lasts: int) -> End:
    if draw.random() < 0.5:
        return _hold(world.server, "limit", draw.randrange(1, 4), 0)
    header = draw.choice(("", f"Retry-After: {draw.randrange(1, 120)}\r\n"))
    return _mood(world, Mood("status", draw.choice((0.5, 1.0)), 429, "Too many requests", header=header))


@_fault
def server_answer_lost(world: Any, draw: Random, lasts: int) -> End:
    kind = draw.choice(("silence", "drop"))
    return _mood(world, Mood(kind, draw.choice((0.4, 1.0)), store=draw.random() < 0.7, methods=("POST",)))


@_fault
def server_deaf(world: Any, draw: Random, lasts: int) -> End:
    kind = draw.choice(("silence", "drop"))
    return _mood(world, Mood(kind, draw.choice((0.4, 1.0)), store=draw.random() < 0.5))


@_fault
def server_slow(world: Any, draw: Random, lasts: int) -> End:
    return _mood(world, Mood("slow", draw.choice((0.4, 1.0)), ms=draw.randrange(1000, 30000)))


@_fault
def server_odd(world: Any, draw: Random, lasts: int) -> End:
    kind = draw.choice(("chunked", "split", "close", "portal", "garbage", "warning"))
    return _mood(world, Mood(kind, draw.choice((0.4, 1.0))))


@_fault
def server_poison(world: Any, draw: Random, lasts: int) -> End:
    """Some readings are refused, for as long as it lasts."""
    step = draw.choice((1, 2, 7, 30))
    first = draw.randrange(step)
    names = set(draw.sample(("temperature", "humidity", "battery", "rssi"), draw.randrange(1, 3)))
    text = draw.choice(("Invalid value for ", "An error occurred validating data: "))

    def poison(record: dict[str, Any]) -> str | None:
        number = record.get("group", "_0").rpartition("_")[2]
        if record["variable"] in names and number.isdigit() and int(number) % step == first:
            return f"{text}{record['variable']} in {record['group']}"
        return None

    return _hold(world.server, "poison", poison, lambda record: None)


@_fault
def server_small(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.server, "body_max", draw.choice((300, 700, 1500, 20000)), 200000)


@_fault
def server_write_only(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.server, "may_get", False, True)


@_fault
def server_lags(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.server, "lag", draw.randrange(200, 12000), 0)


# ---- power


_START_MS = 800


def _next_calm(world: Any) -> int:
    coming = (begin for begin, end in calms(world.spec) if end > world.time.now)
    return min(coming, default=int(world.spec.days * DAY_MS))


def _off(draw: Random) -> int:
    return int(draw.choice((_START_MS, _START_MS, 5 * _S, 10 * _MIN, 5 * _HOUR)) * draw.uniform(0.5, 1.5))


@_fault
def power_cut(world: Any, draw: Random, lasts: int) -> None:
    if world.running:
        quiet = _next_calm(world)
        raise Ended("power cut", min(_off(draw), max(quiet - world.time.now, _START_MS)))


@_fault
def power_cut_on_flash(world: Any, draw: Random, lasts: int) -> None:
    """While the flash is worked on."""
    world.disk.cut_in = draw.randrange(1, 25)
    world.disk.cut_after = draw.random() < 0.5


@_fault
def brown_out(world: Any, draw: Random, lasts: int) -> None:
    """The power comes and goes."""
    at = world.time.now
    for _ in range(draw.randrange(2, 10)):
        at += int(draw.expovariate(1 / 6000)) + 50
        cut_in, after = draw.randrange(0, 12), draw.random() < 0.5

        def cut(cut_in: int = cut_in, after: bool = after) -> None:
            if not world.running:
                return
            if not cut_in:
                raise Ended("power cut", 500)
            world.disk.cut_in, world.disk.cut_after = cut_in, after

        world.time.at(at, cut)


@_fault
def reset_button(world: Any, draw: Random, lasts: int) -> None:
    if world.running:
        raise Ended("reset")


# ---- flash

_ONLY = ("/settings.2.json", "/roots/0.der", "/roots/1.der")


@_fault
def flash_write(world: Any, draw: Random, lasts: int) -> End | None:
    """On the model alone: littlefs as it comes for a PC ends the whole process by an assertion after some of them."""
    if world.spec.littlefs:
        return None
    return _hold(world.disk.faulty, "write", draw.choice((0.1, 0.5, 1.0)), 0.0)


@_fault
def flash_read(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.disk.faulty, "read", draw.choice((0.01, 0.1)), 0.0)


@_fault
def flash_full(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.disk.faulty, "full", world.disk.size - world.disk.used() - draw.randrange(3) * 4096, 0)


@_fault
def settings_damaged(world: Any, draw: Random, lasts: int) -> None:
    """The first of the two copies of the settings is torn; at the next start the second has to do."""
    path = "/settings.json"
    if not world.spec.littlefs and world.disk.files.get(path):
        whole = world.disk.files[path]
        world.disk.put(path, whole[: draw.randrange(len(whole))])
        if world.running:
            raise Ended("power cut", 500)


@_fault
def bit_rot(world: Any, draw: Random, lasts: int) -> None:
    """A bit of a file flips while nothing writes it. What the node has in memory would hide it: the power goes, too.

    Of what is there twice the first copy; not the only copy of what a deployment wrote, a root.
    """
    files = {path: raw for path, raw in sorted(world.disk.files.items()) if raw and path not in _ONLY}
    queue = [path for path in files if path.startswith("/queue/")]
    if world.spec.littlefs or not files:
        return
    path = draw.choice(queue if queue and draw.random() < 0.7 else list(files))
    raw = bytearray(files[path])
    raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    world.tell(f"    in {path}")
    world.watch.rots(path, bytes(raw))
    if world.running:
        raise Ended("power cut", 500)


# ---- sensors


@_fault
def sensor(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.chip, "mode", draw.choice(("dead", "crc", "rails", "odd")), "")


@_fault
def sensor_blocks(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.chip, "block_ms", draw.randrange(100, 1300), 0)


@_fault
def bus_stuck(world: Any, draw: Random, lasts: int) -> End:
    return _hold(world.hardware, "stuck", True, False)


# ---- remote settings

_DAY_AND_MORE = 30 * _HOUR  # after which a node that sleeps has taken back what breaks it


@_fault
def remote_good(world: Any, draw: Random, lasts: int) -> None:
    for _ in range(draw.choice((1, 1, 2, 5))):
        world.wishes.ask(*wishes.good(draw, world.spec))
    if draw.random() < 0.2:
        world.wishes.ask(world.wishes.any(draw), "", wishes.ASKED)


@_fault
def remote_bad(world: Any, draw: Random, lasts: int) -> None:
    for _ in range(draw.choice((1, 1, 2, 5, 50))):
        world.wishes.ask(*wishes.bad(draw, world.SECRETS[draw.randrange(2)]))
    if draw.random() < 0.5:
        world.wishes.ask(*wishes.good(draw, world.spec))


@_fault
def remote_breaks(world: Any, draw: Random, lasts: int) -> None:
    """What lets nothing through any more: the node has to go back by itself."""
    ends = [end for _, end in calms(world.spec) if end > world.time.now]
    if ends and ends[0] - calm_ms(world.spec) - world.time.now < _DAY_AND_MORE:
        return
    world.wishes.ask(*wishes.BREAKS)
    if draw.random() < 0.5:
        world.wishes.ask(*wishes.good(draw, world.spec))


# ---- the agent itself


@_fault
def task_fails(world: Any, draw: Random, lasts: int) -> None:
    """An exception at any await."""
    steps = draw.randrange(1, 400)
    quiet = _next_calm(world)
    error: Exception = draw.choice(
        (MemoryError("memory allocation failed"), MemoryError(), OSError(5, "EIO"), RuntimeError("odd"))
    )
    also_main = draw.random() < 0.05

    def inject(task: Task) -> BaseException | None:
        nonlocal steps
        if world.time.now >= quiet:
            world.loop.inject = None  # a node that sleeps may not have come so far before the calm
            return None
        steps -= 1
        if steps > 0 or not also_main and task.coro.__qualname__ == "Supervisor.run":
            return None
        if task.coro.__qualname__ == "Node.run" or task is world.loop.main and not also_main:
            return None
        world.loop.inject = None
        world.injected = error
        # while a supervised task works, its supervisor has to catch it; in the pause after a failure it cannot
        inner = getattr(task.coro, "cr_await", None)
        pauses = inner is None or inner.__qualname__ == "Pulse.sleep"
        world.injected_for_good = pauses or task.coro.__qualname__ != "Supervisor._keep"
        world.tell(f"    {error!r} in {task.coro.__qualname__}")
        return error

    world.loop.inject = inject


@_fault
def task_hangs(world: Any, draw: Random, lasts: int) -> None:
    """A task waits for what never comes: the watchdog has to bite."""
    node = world.watch.node
    pulses = (
        [pulse for pulse in node.house._pulses if pulse.task is not world.loop.current] if node and node.house else []
    )
    if not pulses or not world.running:
        return
    pulse = draw.choice(sorted(pulses, key=lambda pulse: pulse.name))
    world.tell(f"    task {pulse.name}")
    world.loop.lose(pulse.task)
    boots = world.boots
    world.watch.may_bite = True

    def check() -> None:
        # (one that hung in a wake is gone with it)
        if world.boots == boots and pulse in node.house._pulses:
            world.watch.violation("a task hangs, and the watchdog did not bite")
            raise Ended("over")

    world.time.at(world.time.now + _BITES_WITHIN, check)


@_fault
def processor_hangs(world: Any, draw: Random, lasts: int) -> End:
    """A driver that never comes back."""
    chip = world.chip
    boots, writes = world.boots, chip.writes
    chip.hangs += 1  # two may overlap

    def over() -> None:
        chip.hangs -= 1
        if world.boots == boots and chip.writes > writes:
            world.watch.violation("the processor hangs, and the watchdog did not bite")

    return over


# (kind, so many a year, how long at least and at most, ms)
RATES: tuple[tuple[str, float, int, int], ...] = (
    ("wifi_gone", 24, 10 * _S, 9 * _HOUR),
    ("wifi_lost", 40, 0, 0),
    ("wifi_flaps", 12, 0, 0),
    ("wifi_refuses", 6, _MIN, 2 * _HOUR),
    ("wifi_no_address", 5, _MIN, 2 * _HOUR),
    ("wifi_password", 2, _MIN, 12 * _HOUR),
    ("wifi_weak", 6, _MIN, 5 * _HOUR),
    ("radio_sick", 4, _MIN, 3 * _HOUR),
    ("net_silent", 14, 5 * _S, 12 * _HOUR),
    ("outage", 1.5, DAY_MS, 8 * DAY_MS),
    ("net_slow", 14, _MIN, 5 * _HOUR),
    ("net_refused", 8, _MIN, 3 * _HOUR),
    ("net_lost", 10, _MIN, 3 * _HOUR),
    ("net_cut_up", 16, _MIN, 3 * _HOUR),
    ("net_cut_down", 16, _MIN, 3 * _HOUR),
    ("net_datagrams", 10, _MIN, 3 * _HOUR),
    ("dns", 12, _MIN, 3 * _HOUR),
    ("tls", 8, _MIN, 2 * _HOUR),
    ("certificate", 6, _MIN, 30 * _HOUR),
    ("ntp", 10, _MIN, 60 * _HOUR),
    ("ntp_lies", 5, _MIN, 9 * _HOUR),
    ("date_lies", 3, _MIN, 9 * _HOUR),
    ("server_status", 40, _MIN, 4 * _HOUR),
    ("server_throttles", 14, _MIN, 3 * _HOUR),
    ("server_answer_lost", 16, _MIN, 2 * _HOUR),
    ("server_deaf", 10, _MIN, 2 * _HOUR),
    ("server_slow", 8, _MIN, 3 * _HOUR),
    ("server_odd", 10, _MIN, 3 * _HOUR),
    ("server_poison", 10, _MIN, 5 * _HOUR),
    ("server_small", 5, _MIN, 5 * _HOUR),
    ("server_write_only", 5, _MIN, 20 * _HOUR),
    ("server_lags", 5, _MIN, 20 * _HOUR),
    ("power_cut", 20, 0, 0),
    ("power_cut_on_flash", 40, 0, 0),
    ("brown_out", 10, 0, 0),
    ("reset_button", 4, 0, 0),
    ("flash_write", 6, 10 * _S, _HOUR),
    ("flash_read", 5, 10 * _S, _HOUR),
    ("flash_full", 4, _MIN, 10 * _HOUR),
    ("settings_damaged", 1, 0, 0),
    ("sensor", 12, _MIN, 20 * _HOUR),
    ("sensor_blocks", 4, _MIN, 5 * _HOUR),
    ("bus_stuck", 4, _MIN, 5 * _HOUR),
    ("task_fails", 30, 0, 0),
    ("task_hangs", 6, 0, 0),
    ("processor_hangs", 3, 2 * _HOUR, 3 * _HOUR),
    ("remote_good", 16, 0, 0),
    ("remote_bad", 8, 0, 0),
    ("remote_breaks", 4, 0, 0),
    ("bit_rot", 8, 0, 0),
    ("certificate_renewed", 4, 0, 0),
)


def calm_ms(spec: Spec) -> int:
    """How long a calm has to be for a sound node to come to rest: an hour of safe mode or of refusal, the pauses that
    had grown, two uploads."""
    return 4 * _HOUR + 2 * spec.upload * 1000


def calms(spec: Spec) -> list[tuple[int, int]]:
    """[(begin, end)] of the times in which nothing goes wrong, at whose end the node has to be well."""
    every = int(_CALM_EVERY_DAYS * DAY_MS * (0.5 if spec.hostile else 1))
    end = int(spec.days * DAY_MS)
    length = calm_ms(spec)
    marks = list(range(every, end - length, every)) + [end]
    return [(mark - length, mark) for mark in marks if mark > length]


def faults_of(spec: Spec) -> list[Fault]:
    """The faults of a seed, in order. Realistic ones come alone or in bursts; a hostile world has ten times as many."""
    draw = Random(f"faults {spec.seed}")
    end = int(spec.days * DAY_MS)
    quiet = calms(spec)
    found: list[Fault] = []
    for kind, rate, least, most in RATES:
        expected = rate * spec.days / 365 * (10 if spec.hostile else 1)
        at = 0.0
        while expected:
            at += draw.expovariate(expected / end)
            if at >= end:
                break
            times = [int(at)]
            if draw.random() < 0.12:
                step = draw.choice((5 * _S, _MIN, 10 * _MIN))
                for _ in range(draw.randrange(2, 8)):
                    times.append(times[-1] + int(draw.expovariate(1 / step)) + 1)
            for moment in times:
                lasts = int(least * (most / least) ** draw.random()) if least else 0
                fault = _outside(Fault(moment, kind, lasts, draw.getrandbits(30)), quiet, end)
                if fault is not None:
                    found.append(fault)
    found.sort(key=lambda fault: (fault.at, fault.kind))
    return found


_AFTERMATH = 2 * _MIN  # of faults that come in several steps


def _outside(fault: Fault, quiet: list[tuple[int, int]], end: int) -> Fault | None:
    """Cut short where a calm begins; None when it falls into one."""
    lasts = min(fault.lasts, end - 1 - fault.at)
    for begin, over in quiet:
        if begin - _AFTERMATH <= fault.at < over:
            return None
        if fault.at < begin < fault.at + lasts:
            lasts = begin - fault.at
    return Fault(fault.at, fault.kind, lasts, fault.detail)
