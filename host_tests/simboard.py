"""A life of the simulation on a virtual board: the same faults of the same seed (sim/faults.py), played to the whole
firmware under real MicroPython in virtual time, on a real littlefs, with real TLS to the local TagoIO.

    found = simboard.live(spec)        # some seconds a day of the board's
    assert not found.violations

What a fault of the simulation does to its world it does here to the board's: `Life` has the attributes that faults.py
sets. `PLAYED` are the kinds that it has, `NOT_PLAYED` says why it has not the others.
"""

import asyncio
import json
import os
import socket
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import virtualnode
from sim.faults import Fault, calm_ms, faults_of
from sim.interpreter import Overlay, find
from sim.loop import Ended
from sim.net import Certificate
from sim.spec import DAY_MS, Spec
from sim.tagoio import Mood, Server
from tagonode import build, places, spoolreader
from tagonode.virtual import board
from tagonode.virtual.hardware import BoardReset
from tagonode.virtual.relay import CountingRelay
from tagonode.virtual.virtualtime import TimeStopped
from virtualnode import WATCHDOG_S, VirtualNode

START_S = 1782000000.0  # 2026-06-21
_HERE = Path(__file__).parent
NOT_PLAYED = {
    "wifi_refuses": "the virtual radio knows no access point that takes nobody",
    "outage": "it is net_silent for days",
    "net_slow": "in virtual time the network takes none",
    "net_datagrams": "the name server and the time server lose all, or nothing",
    "ntp_lies": "test_years.py has it",
    "date_lies": "test_years.py has it",
    "server_lags": "what the local TagoIO stores can be found at once",
    "flash_read": "the interpreter's own import would fail",
    "flash_full": "while the board runs the image is its own",
    "settings_damaged": "while the board runs the image is its own",
    "sensor_blocks": "in virtual time a transfer takes none",
    "task_fails": "nobody gets between an await and its task",
    "task_hangs": "nobody gets between an await and its task",
    **dict.fromkeys(("remote_good", "remote_bad", "remote_breaks"), "test_remote.py has them"),
    "processor_hangs": "it costs 20 s of the PC's; test_years.py has it",
}
PLAYED = {
    "wifi_gone",
    "wifi_lost",
    "wifi_flaps",
    "wifi_no_address",
    "wifi_password",
    "wifi_weak",
    "radio_sick",
    "net_silent",
    "net_refused",
    "net_lost",
    "net_cut_up",
    "net_cut_down",
    "dns",
    "tls",
    "certificate",
    "ntp",
    "server_status",
    "server_throttles",
    "server_answer_lost",
    "server_deaf",
    "server_slow",
    "server_odd",
    "server_poison",
    "server_small",
    "server_write_only",
    "power_cut",
    "power_cut_on_flash",
    "brown_out",
    "reset_button",
    "flash_write",
    "sensor",
    "bus_stuck",
}
_CODES = 300  # measurements that can be told apart by their value
_CLOCK_S, _PPM = 2.0, 50
_AROUND_S = 30  # between a measurement and its commit
_HEAP_SHRINKS = 12288  # what trouble has loaded at its worst moment: 10,144 bytes were met, with 49 KB free after it
_PATIENCE_S, _IMPATIENT_S = 5.0, 0.1
_SOCKETS = 2
_WAITS = ("silence", "slow")
_FLASH = "flash_write"
_ORDERS = "<IHHH"  # as hostile/flash.py has them
_SENSORS = [
    {"driver": "sht4x", "bus": "i2c0"},
    {"driver": "battery", "bus": "battery"},
    {"driver": "rssi", "bus": "wifi"},
]
_CHANNELS = 4
_HEALTH = 14  # readings of the node itself, an hour


@dataclass
class Found:
    """What came of a life. losses: measurements that a power cut or a reset took before their commit."""

    violations: list[str] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    stored: int = 0
    queued: int = 0
    set_aside: int = 0
    dropped: int = 0
    losses: int = 0
    boots: int = 0
    resent: int = 0
    story: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{sum(self.happened.values())} faults of {len(self.happened)} kinds, {self.boots} boots, {self.samples} "
            f"samples, {self.losses} lost to the power, {self.stored} readings stored, {self.queued} queued, "
            f"{self.set_aside} set aside, {self.dropped} dropped"
        )


def settings_of(spec: Spec) -> dict[str, Any]:
    """Sections of node.toml."""
    return {
        "board": spec.board,
        "wifi": {"networks": ["field", "barn"][: spec.networks]},
        "sample": {"every": spec.sample},
        "upload": {"every": spec.upload},
        "health": {"every": 3600},
        "remote": {"every": spec.remote},
        "queue": {"policy": spec.policy},
        "duty": {"on": spec.sleeps},
        "sensors": _SENSORS,
    }


class _Time:
    """Of the simulation, in ms."""

    def __init__(self, life: "Life"):
        self._life = life

    @property
    def now(self) -> int:
        return round(self._life.clock() * 1000)

    def at(self, ms: int, do: Callable[[], object]) -> None:
        life = self._life
        life.clock.at(ms / 1000, lambda: life.carry_out(do))


class _Radio:
    def __init__(self, radio: Any, password: str):
        self._radio = radio
        self._points = list(radio.access_points)
        self._heard = [point.rssi for point in self._points]
        self.names = dict.fromkeys((point.ssid for point in self._points), password)

    @property
    def networks(self) -> dict[str, str]:
        return {point.ssid: point.key for point in self._points}

    @networks.setter
    def networks(self, passwords: dict[str, str]) -> None:
        for point in self._points:
            point.key = passwords[point.ssid]

    def set_gone(self, names: set[str]) -> None:
        self._radio.access_points = [point for point in self._points if point.ssid not in names]

    def lose(self) -> None:
        self._radio._wanted = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("addresses", "sick"):
            setattr(self._radio, name, value)
        elif name == "rssi":
            for point, heard in zip(self._points, self._heard, strict=True):
                point.rssi = heard if value > -65 else lambda: float(value)
        else:
            super().__setattr__(name, value)


@dataclass
class _Net:
    """What is wrong with the network now, as sim/net.py has it. draw: for the chances of connections."""

    draw: Random
    silent: bool = False
    refused: float = 0.0
    lost: float = 0.0
    cut_up: float = 0.0
    cut_down: float = 0.0
    dns: str = ""
    ntp: str = ""
    tls: str = ""
    waits: int = 0
    told: Callable[[], object] = lambda: None

    @contextmanager
    def nothing_comes(self) -> Iterator[None]:
        """The board waits meanwhile for what does not come: its time may pass at once."""
        self.waits += 1
        self.told()
        try:
            yield
        finally:
            self.waits -= 1
            self.told()


class _Relay(CountingRelay):
    """The way to TagoIO, on which connections meet what `net` says."""

    net: _Net

    async def _link(self, board: socket.socket) -> None:
        net = self.net
        draw = net.draw.random
        if draw() < net.refused:
            _reset(board)
        elif draw() < net.lost or net.tls == "stall":
            with board:
                await self._swallow(board)
        elif net.tls:
            with suppress(OSError):
                await self._loop.sock_recv(board, 1024)
                if net.tls == "version":
                    await self._loop.sock_sendall(board, b"\x15\x03\x03\x00\x02\x02\x46")
            _reset(board)
        else:
            await super()._link(board)

    async def _swallow(self, source: socket.socket) -> None:
        with self.net.nothing_comes():
            await super()._swallow(source)

    async def _pump(self, source: socket.socket, sink: socket.socket, counter: str) -> None:
        # half a handshake, and some bytes of an answer, are what may be left of a connection
        net, up = self.net, counter == "up"
        draw = net.draw.random
        left = 1 << 40
        if draw() < (net.cut_up if up else net.cut_down):
            left = int(draw() ** 3 * 20000) if up else int(draw() ** 2 * 6000)
        with suppress(OSError):
            while left:
                data = (await self._loop.sock_recv(source, 4096))[:left]
                if not data:
                    return
                if not self.passing:
                    await self._swallow(source)
                    return
                left -= len(data)
                await self._loop.sock_sendall(sink, data)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class _Faulty:
    def __init__(self, disk: "_Disk"):
        self._disk = disk

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "write":
            self._disk.order(fails=int(value * 1000))
        else:
            super().__setattr__(name, value)


class _Disk:
    """Tells the board's flash (hostile/flash.py) what to do wrong."""

    def __init__(self, orders: Path):
        self._orders = orders
        self.faulty = _Faulty(self)
        orders.write_bytes(bytes(struct.calcsize(_ORDERS)))

    def order(self, **changes: int) -> None:
        names = ("left", "share", "fails", "cut")
        values = dict(zip(names, struct.unpack(_ORDERS, self._orders.read_bytes()), strict=True))
        with open(self._orders, "r+b") as file:
            file.write(struct.pack(_ORDERS, *{**values, **changes}.values()))

    @property
    def was_cut(self) -> bool:
        """The power went at the flash; asked once."""
        cut = struct.unpack(_ORDERS, self._orders.read_bytes())[3]
        self.order(cut=0, left=0)
        return bool(cut)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "cut_in":
            self.order(left=value)
        elif name == "cut_after":
            self.order(share=2 if value else 1)
        else:
            super().__setattr__(name, value)


class _Chip:
    """An SHT4x that answers what `mode` says."""

    def __init__(self, bus: Any):
        self._bus = bus
        (self._chip,) = bus.chips
        self._read = self._chip.read
        self._mode = ""

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._mode = mode
        self._bus.heal()
        self._chip.read = self._read
        if mode == "dead":
            self._bus.unplug(self._chip.address)
        elif mode == "odd":
            self._bus.hold_sda()
        elif mode:
            self._chip.read = self._wrong

    def _wrong(self, length: int) -> bytes:
        data = self._read(length)
        if self._mode == "rails":
            return (b"\xff\xff\xac" * 2)[:length]
        return data[:2] + bytes([data[2] ^ 1]) + data[3:] if length > 2 else data


class _Hardware:
    def __init__(self, hardware: Any):
        self._hardware = hardware

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "stuck":
            for bus in self._hardware.i2c.values():
                bus.stuck = value
        else:
            super().__setattr__(name, value)


class _Server(Server):
    """The moods of the simulation's server, in front of the local TagoIO."""

    life: "Life"

    async def intercept(self, scope: Any, receive: Any, send: Any) -> bool:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return True
            body += message.get("body", b"")
            more = message.get("more_body", False)
        told = False

        async def again() -> Any:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._play(scope, body, again, receive, send)
        return True

    async def _play(self, scope: Any, body: bytes, again: Any, receive: Any, send: Any) -> None:
        method = scope["method"]
        mood = next((m for m in self.moods if method in m.methods and self.draw.random() < m.chance), None)
        if mood is None:
            await self._answer_of_its_own(scope, body, again, send)
            return
        kept: list[Any] = []

        async def keep(message: Any) -> None:
            kept.append(message)

        if mood.store or mood.kind not in ("status", "silence", "drop", "portal"):
            await self._answer_of_its_own(scope, body, again, keep)
        connection = scope["state"]["connection"]
        if mood.kind in ("silence", "drop", "garbage"):
            if mood.kind == "garbage":
                connection._transport.write(self.draw.randbytes(self.draw.randrange(1, 300)))
            if mood.kind != "silence":
                connection.reset() if self.draw.random() < 0.5 else connection.close()
            with self.life.net.nothing_comes():
                while (await receive())["type"] != "http.disconnect":
                    pass
        elif mood.kind in ("status", "portal"):
            text = mood.text if mood.raw else json.dumps({"status": False, "message": mood.text})
            if mood.kind == "portal":
                mood, text = Mood("status", status=200), "<html><body>Please sign in</body></html>"
            await _send(send, mood.status, text.encode(), mood.header)
        else:
            await self._odd(mood, kept, send)

    async def _odd(self, mood: Mood, kept: list[Any], send: Any) -> None:
        status = kept[0]["status"]
        body = b"".join(message.get("body", b"") for message in kept[1:])
        if mood.kind == "warning" and status == 200 and body:
            body = json.dumps({**json.loads(body), "message": "The limit of this plan is near"}).encode()
        if mood.kind == "slow":
            with self.life.net.nothing_comes():
                await self.life.wait(mood.ms / 1000)
        header = {"close": "Connection: close\r\n", "chunked": "Transfer-Encoding: chunked\r\n"}.get(mood.kind, "")
        at = self.draw.randrange(1, len(body)) if mood.kind in ("split", "chunked") and len(body) > 1 else 0
        await _send(send, status, body, header, at)

    async def _answer_of_its_own(self, scope: Any, body: bytes, again: Any, send: Any) -> None:
        method, path = scope["method"], scope["path"]
        if self._limited():
            text = f"Too many requests (Retry-After: {60 - int(self.unix()) % 60})"
            await _refuse(send, 429, text)
        elif path == "/data" and method == "GET" and not self.may_get:
            await _refuse(send, 401, "Authorization Denied")
        elif path == "/data" and method == "POST" and len(body) > self.body_max:
            await _refuse(send, 413, "Request Entity Too Large")
        elif path == "/data" and method == "POST" and (problem := self._poisoned(body)):
            self.refused = True
            await _refuse(send, 400, problem)
        else:
            await self.life.node.cloud.traffic._app(scope, again, send)

    def _poisoned(self, body: bytes) -> str | None:
        return next((problem for record in json.loads(body) if (problem := self.poison(record))), None)


async def _refuse(send: Any, status: int, text: str) -> None:
    await _send(send, status, json.dumps({"status": False, "message": text}).encode())


async def _send(send: Any, status: int, body: bytes, header: str = "", at: int = 0) -> None:
    headers = [(b"content-type", b"application/json")]
    for line in header.splitlines():
        name, _, value = line.partition(": ")
        headers.append((name.lower().encode(), value.encode()))
    if "chunked" not in header:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if at:
        await send({"type": "http.response.body", "body": body[:at], "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": body[at:]})


class _Node(VirtualNode):
    """With the relay and the flash of above, and a battery whose volts number its measurements."""

    RELAY = _Relay
    relay: _Relay

    def __init__(self, spec: Spec, net: _Net, files: dict[str, bytes]):
        super().__init__(settings_of(spec), unix=START_S, ppm=spec.ppm, files=files)
        self.net = net
        self.may_be_bitten = True  # _Judge looks at that

    def _make(self) -> Any:
        self.relay.net = self.net
        made = super()._make()
        self.disk = _Disk(Path(f"{self.flash}.orders"))
        guests = self.folder / "guest"
        sound, faulty = places.GUEST / "flash.py", _HERE / "hostile" / "flash.py"
        (guests / "sound_flash.mpy").write_bytes(build.compile_module(sound, "sound_flash"))
        (guests / "flash.mpy").write_bytes(build.compile_module(faulty, "flash"))
        for pin in made.hardware.adc:
            made.hardware.adc[pin] = self._watched(lambda: 1e6 + 5000 * ((len(self.truth) - 1) % _CODES))
        return made

    def _time_of_ntp(self) -> float:
        if self.net.ntp:
            raise OSError("says nothing")
        return super()._time_of_ntp()


class Life:
    """The board and all around it, with the attributes that sim/faults.py sets."""

    ROOTS = (b"the root", b"another root")

    def __init__(self, spec: Spec, node: _Node, say: Callable[[str], None] | None = None):
        self.spec = spec
        self.node = node
        self.clock = node.clock
        self.happened: Counter[str] = Counter()
        self.story: list[tuple[float, str]] = []
        self._say = say
        self._cutting = False
        self.ends: list[float] = []  # of boots: seconds
        self.time = _Time(self)
        self.radio = _Radio(node.hardware.radio, virtualnode.WIFI_PASSWORD)
        self.networks = self.radio.networks
        self.net = node.net
        self.net.told = self._wait
        self.certificate = Certificate(virtualnode.HOST, self.ROOTS[0], 0, 1e11)
        self.server = _Server(node.token, self.unix, Random(f"server {spec.seed}"), self, self.certificate)
        self.server.life = self
        node.cloud.traffic.intercept = self.server.intercept
        self.disk = node.disk
        self.chip = _Chip(node.hardware.i2c[0])
        self.hardware = _Hardware(node.hardware)
        node.board.on_boot = self._booted
        self._shown = ""

    def unix(self) -> float:
        return self.clock.unix()

    @property
    def running(self) -> bool:
        return self.node.board._process is not None

    def tell(self, text: str) -> None:
        """A line of the story."""
        self.story.append((self.clock(), text))
        if self._say:
            self._say(f"{self.clock():12.3f} {text}")

    def carry_out(self, do: Callable[[], object]) -> None:
        """A fault begins or ends: in the board's thread, while the board stands still."""
        try:
            do()
        except Ended as ended:
            if ended.cause == "reset":
                raise BoardReset from None
            self._cutting = True
            raise BoardReset(deepsleep_ms=ended.sleep_ms or 500) from None
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """What faults.py has set is the network's from now on."""
        net, node = self.net, self.node
        node.relay.passing = not net.silent
        node.names.silent = net.silent or net.dns == "silent"
        wrong: dict[str, Any] = {"": "127.0.0.1", "silent": "127.0.0.1", "wrong": "127.0.0.3"}
        node.names.overrides[virtualnode.HOST] = wrong.get(net.dns)
        self._wait()
        kind = self._certificate()
        if kind != self._shown:
            self._shown = kind
            node.cloud.tls.switch(kind or None)

    def _wait(self) -> None:
        """For how long, in the PC's time, an answer may be on its way."""
        net = self.net
        may_wait = net.lost or net.tls or net.ntp or net.dns or any(m.kind in _WAITS for m in self.server.moods)
        self.clock.patience = 0 if net.silent or net.waits else _IMPATIENT_S if may_wait else _PATIENCE_S

    def _certificate(self) -> str:
        shown, now = self.server.certificate, self.unix()
        if shown.until < now:
            return "expired"
        if shown.since > now:
            return "not_yet_valid"
        if shown.name != self.certificate.name:
            return "wrong_host"
        return "unknown_issuer" if shown.issuer != self.ROOTS[0] else ""

    def _booted(self, cause: int) -> None:
        self.ends.append(self.clock())
        if self.disk.was_cut or self._cutting:
            self._cutting = False
            self.node.hardware.power_on()
            cause = board.PWRON_RESET
        self.node.boots.append(cause)
        self.tell(f"--- starts: {cause}")

    def sockets(self) -> int:
        """How many the board's process has open. 0 where the system does not tell, or while the board is off."""
        process = self.node.board._process
        links = Path(f"/proc/{process.pid}/fd").glob("*") if process else ()
        return sum(os.readlink(link).startswith("socket:") for link in links)

    async def wait(self, seconds: float) -> None:
        """Of the board's time, for the server's thread."""
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        self.clock.at(self.clock() + seconds, lambda: loop.call_soon_threadsafe(over.set))
        await over.wait()

    # ---- as a witness of the simulation's server, which stores nothing here

    def record(self, record: dict[str, Any]) -> None:
        """Nobody calls it."""

    def violation(self, what: str) -> None:
        """Nobody calls it."""


def dense(spec: Spec, pace: int = 4) -> list[Fault]:
    """Those of a life `pace` times as long that can be played, closer together and shorter, with the calm at the end:
    the board's days cost seconds, the simulation's milliseconds."""
    long = spec.lasting(spec.days * pace)
    busy = spec.days * DAY_MS - calm_ms(spec)
    scale = busy / (long.days * DAY_MS)
    found = []
    for fault in faults_of(long):
        at, lasts = int(fault.at * scale), int(fault.lasts * scale)
        if fault.kind in PLAYED:
            found.append(Fault(at, fault.kind, min(lasts, int(busy) - at), fault.detail))
    return found


def _with_bugs(spec: Spec, bugs: Overlay) -> dict[str, bytes]:
    """Modules of the firmware in which other texts are."""
    files = {}
    sound = virtualnode.firmware(spec.board, tuple(sensor["driver"] for sensor in _SENSORS))
    for module in {bug[0] for bug in bugs}:
        path = find(module)
        if path is None:
            raise LookupError(f"there is no module {module}")
        source = path.read_text()
        for _, text, becomes in [bug for bug in bugs if bug[0] == module]:
            if text not in source:
                raise LookupError(f"{module} has no {text!r}")
            source = source.replace(text, becomes)
        with tempfile.TemporaryDirectory() as folder:
            changed = Path(folder) / path.name
            changed.write_text(source)
            code = build.compile_module(changed, module)
        (name,) = [name for name in sound if name.endswith("/" + module.replace(".", "/") + ".mpy")]
        files[name] = code
    return files


def live(
    spec: Spec,
    faults: list[Fault] | None = None,
    say: Callable[[str], None] | None = None,
    bugs: Overlay = (),
) -> Found:
    """Live a life with these faults, the dense ones of its seed unless told, and judge it. `say` takes each line of its
    story; bugs: seeded in the firmware, as in sim/interpreter.py. Raises KeyError for a fault that cannot be played,
    LookupError for a bug that has no place."""
    chosen = dense(spec) if faults is None else faults
    for fault in chosen:
        if fault.kind not in PLAYED:
            raise KeyError(f"{fault.kind} cannot be played: {NOT_PLAYED.get(fault.kind, 'not on a virtual board')}")
    net = _Net(Random(f"net {spec.seed}"))
    node = _Node(spec, net, _with_bugs(spec, bugs))
    with node:
        life = Life(spec, node, say)
        for fault in chosen:
            fault.plan(life)
        problem = ""
        try:
            node.run(days=spec.days, within=120 + 60 * spec.days)
        except TimeStopped as stopped:
            problem = str(stopped)
        sockets = life.sockets()
        node.board.power_cut()
        found = _Judge(life, chosen).found
        if problem:
            found.violations.insert(0, problem)
        if sockets > _SOCKETS:
            found.violations.append(f"{sockets} sockets are open after the calm")
        node.figure(str(found))
    return found


class _Judge:
    """Looks at the flash, at what TagoIO has, and at what was measured."""

    def __init__(self, life: Life, faults: list[Fault]):
        self.life = life
        self.node = node = life.node
        self.faults = faults
        story = [(at, f"  | {line}") for at, line in node.lines]
        story += [(at, text) for at, text in life.story]
        told = [f"{at:12.3f} {text}" for at, text in sorted(story, key=lambda line: line[0])]
        self.found = Found(happened=life.happened, boots=1 + len(life.ends), samples=len(node.truth), story=told)
        self.found.violations += node.unbalanced
        self._keys()
        self._measurements()
        self._board()
        self._calm()

    def _require(self, sound: object, text: str) -> None:
        if not sound:
            self.found.violations.append(text)

    def _keys(self) -> None:
        """Each reading that the spool took is in one place, and in one only."""
        found, spool = self.found, spoolreader.load(self.node.flash)
        self.records: dict[tuple[int, str], dict[str, Any]] = {}
        newest: dict[str, int] = {}
        # a reading of which nobody could ask whether it had arrived may be there twice, and the agent says so
        found.resent = max(state["resent"] for state in self.node.states)
        for record in self.node.records():
            tag, _, number = record["group"].rpartition("_")
            variable = record["variable"]
            if not number.isdigit():
                continue  # an event
            key = int(number), variable
            self._require(tag == spool.tag, f"a record of another queue: {record}")
            if key in self.records:
                self._require(found.resent, f"{variable} of sample {number} is stored twice")
                continue
            self._require(key[0] > newest.get(variable, 0), f"{variable} of sample {number} came too late")
            newest[variable] = key[0]
            self.records[key] = record
        self.waiting = {
            (sample.sequence, channel.variable): (sample, value)
            for sample in spool.queued
            for channel, value in zip(sample.channels, sample.values, strict=True)
            if value is not None
        }
        aside = {(reject.sequence, reject.variable): reject for reject in spool.rejects}
        state = spool.state
        found.stored, found.queued, found.set_aside = len(self.records), len(self.waiting), state.quarantined
        found.dropped = state.dropped + state.damaged + state.declined
        self.aside = aside
        self._require(not spool.damage, f"the independent reader finds damage: {spool.damage[:1]}")
        self._require(len(aside) == state.quarantined, f"{len(aside)} were set aside, {state.quarantined} counted")
        places = self.records.keys() | self.waiting.keys() | aside.keys()
        known = len(places) + state.dropped + state.damaged
        self._require(known == state.sampled, f"{state.sampled} readings were taken, {known} are somewhere")
        doubly = (self.records.keys() | self.waiting.keys()) & aside.keys()
        self._require(not doubly, f"set aside, and somewhere else: {sorted(doubly)[:3]}")
        sure = self.records.keys() - self.waiting.keys()
        self._require(len(sure) <= state.acknowledged <= len(self.records), f"{state.acknowledged} acknowledged")
        self.spool = spool

    def _measurements(self) -> None:
        """Each measurement that was taken is there, with its time, but for those of the last moments of a boot."""
        node, truth = self.node, self.node.truth
        seen: dict[int, tuple[Any, Any]] = {}
        for (sequence, variable), record in self.records.items():
            if variable == "battery":
                seen[sequence] = record["value"], record
        for (sequence, variable), (sample, value) in self.waiting.items():
            if variable == "battery":
                seen.setdefault(sequence, (value, sample))
        for (sequence, variable), reject in self.aside.items():
            if variable == "battery":
                seen[sequence] = reject.value, reject
        there, before = set(), -1
        for sequence in sorted(seen):
            value, where = seen[sequence]
            number = before + 1 + (round(value * 100) - 200 - before - 1) % _CODES
            if number >= len(truth):
                self.found.violations.append(f"sample {sequence} has {value} V, which nobody has measured: {where}")
                return
            there.add(number)
            before = number
            if isinstance(where, dict):
                self._time(sequence, truth[number], where)
        gone = [truth[number] - START_S for number in range(len(truth)) if number not in there]
        ends = [*self.life.ends, node.clock()]
        flash = [(fault.at / 1000, (fault.at + fault.lasts) / 1000) for fault in self.faults if fault.kind == _FLASH]
        counted = self.spool.state.dropped + self.spool.state.damaged + self.spool.state.declined
        for at in gone:
            # the board's own seconds are ppm longer, by the evening some of its seconds
            apart = 1 + _PPM * 1e-6 * at
            end = next((end for end in ends if -apart <= end - at <= _AROUND_S), None)
            if end is not None and not self._taken(at, end) or any(a - 9 <= at <= b + 9 for a, b in flash):
                self.found.losses += 1
            else:
                counted -= 1
                self._require(counted >= 0, f"what was measured after {at:.0f} s is nowhere")

    def _taken(self, at: float, end: float) -> bool:
        """The board has said, between the two, that it took one more sample."""
        states = [state for state in self.node.states if state["at"] < end]
        return any(
            new["at"] > at and new["sampled"] > old["sampled"] for old, new in zip(states, states[1:], strict=False)
        )

    def _time(self, sequence: int, moment: float, record: dict[str, Any]) -> None:
        at = moment - START_S
        start = max((end for end in self.life.ends if end <= at), default=0.0)
        known = [said for said in self.node.said("clock: set by") if said <= at + 1]
        if (record.get("metadata") or {}).get("clock"):
            self._require(not [said for said in known if start < said < at - 60], f"sample {sequence} has no time")
            return
        wrong = datetime.fromisoformat(record["time"]).timestamp() - moment
        most = _CLOCK_S + _PPM * 1e-6 * (at - (known[-1] if known else 0))
        self._require(abs(wrong) <= most, f"sample {sequence} is stamped {wrong:.1f} s wrong")

    def _board(self) -> None:
        node = self.node
        said = "\n".join(line for _, line in node.lines)
        gave_up = "TagoNode could not go on" in said
        self._require(board.WDT_RESET not in node.boots or gave_up, "the watchdog bit, and nothing hung")
        gap = node.hardware.longest_unfed_s
        self._require(gap < WATCHDOG_S or gave_up, f"the watchdog was not fed for {gap:.3f} s")
        self._require("memory allocation failed" not in said, "the heap is used up")
        least: dict[int, list[float]] = {}
        for record in node.records():
            if record["variable"] == "heap_min":
                at = datetime.fromisoformat(record["time"]).timestamp() - START_S
                least.setdefault(sum(end <= at for end in self.life.ends), []).append(record["value"])
        for start, values in least.items():
            shrunk = values[0] - values[-1]
            self._require(
                shrunk <= _HEAP_SHRINKS, f"the heap of boot {start + 1} shrank by {shrunk} bytes in {len(values)} h"
            )

    def _calm(self) -> None:
        """After hours without a fault it is well."""
        node, spec = self.node, self.life.spec
        waits = (2 * spec.upload // spec.sample + 2) * _CHANNELS + 2 * _HEALTH
        state = node.state
        self._require(state["queued"] <= waits, f"{state['queued']} readings wait after the calm")
        self._require(state["clock"] == 2, "it does not know the time after the calm")
        still = node.clock.unix() - node.truth[-1]
        self._require(still <= 2 * spec.sample + 60, f"nothing measured for {still:.0f} s after the calm")
