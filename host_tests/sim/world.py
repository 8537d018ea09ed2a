"""One node and all that is around it: its life, from power-on to power-on, in one process and one thread.

Everything that could be otherwise comes from the seed, each part of the world having a generator of its own, so that a
fault left out changes as little as possible of the rest.
"""

import math
import zlib
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any

from . import flash, machine, net, radio, tagoio
from .faults import calms
from .idle import KNOWS, Idle
from .interpreter import REPOSITORY, Interpreter, Overlay
from .loop import Ended, Loop, Time
from .replay import KNOWS as REPLAYED
from .replay import Replay
from .spec import DAY_MS, Spec
from .watch import Watch
from .wishes import Wishes

BUILT_S = 1767225600
HOST = "api.us-e1.tago.io"
TOKEN = "5a16405f-b32c-4c91-ae39-cbb2caba18d8"
PASSWORD = "correct horse battery 9"
NETWORK, OTHER_NETWORK = "field", "barn"
ADDRESS, OTHER_ADDRESS = "10.1.0.1", "10.66.66.66"
TIME_SERVERS = ("pool.ntp.org", "time.cloudflare.com")
ROOTS = (b"root of today", b"root of tomorrow")
FLASH_BYTES = 800 * 1024
_BOOT, _MAIN = REPOSITORY / "firmware" / "boot.py", REPOSITORY / "firmware" / "main.py"
_LINES = 400
_QUIET_MS = 45000  # between two looks whether there is a state line to print, which nobody reads here
_FOR_EVER_MS = 1 << 40
_START_MS = 800  # from reset to the first line of the program


class Sht4x:
    """The chip. mode: "" or what it does wrong; block_ms: for how long it holds up the processor; hangs: for ever, when
    it is not 0; hung: since the board has started it has."""

    def __init__(self, climate: Callable[[], tuple[float, float]], spend: Callable[[int], None]):
        self.mode = ""
        self.block_ms = 0
        self.hangs = 0
        self.hung = False
        self.writes = 0
        self._spend = spend
        self._climate = climate
        self._frame = b""

    def write(self, data: bytes) -> None:
        self.writes += 1
        if self.hangs:
            self.hung = True
            self._spend(_FOR_EVER_MS)
        if self.block_ms:
            self._spend(self.block_ms)
        if self.mode == "odd":
            raise KeyError("odd")
        if self.mode == "dead":
            raise OSError(5, "no acknowledge")
        celsius, percent = self._climate()
        words = (0x1234, 0x5678)
        if data == b"\xfd":
            words = (round((celsius + 45) / 175 * 65535), round((percent + 6) / 125 * 65535))
            if self.mode == "rails":
                words = (0xFFFF, 0xFFFF)
        self._frame = b"".join(self._sealed(word) for word in words)
        if self.mode == "crc":
            self._frame = self._frame[:2] + b"\0" + self._frame[3:]

    def read(self, size: int) -> bytes:
        if self.mode == "dead" or len(self._frame) < size:
            raise OSError(5, "no acknowledge")
        return self._frame[:size]

    @staticmethod
    def _sealed(word: int) -> bytes:
        raw = bytes((word >> 8 & 255, word & 255))
        return raw + _CRC[_CRC[raw[0] ^ 0xFF] ^ raw[1]].to_bytes(1, "big")


def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc << 1 ^ (0x31 if crc & 0x80 else 0)) & 0xFF
        table.append(crc)
    return table


_CRC = _crc_table()


class World:
    """spec: which node; faults: what is done to it, see faults.py; overlay: bugs seeded in the agent; say: takes each
    line of the story, None when nobody listens. fast: passes over what is idle, and over what was read before, see
    idle.py and replay.py.
    happened: how many faults of each kind."""

    ROOTS = ROOTS
    SECRETS = TOKEN, PASSWORD

    def __init__(
        self,
        spec: Spec,
        faults: Any = (),
        overlay: Overlay = (),
        say: Callable[[str], None] | None = None,
        fast: bool = True,
    ):
        self.spec = spec
        self.faults = list(faults)
        self.time = Time()
        self.start_s = BUILT_S + 86400 * 20 + self.draw("start").randrange(86400)
        self.end = int(spec.days * DAY_MS)
        self._say = say
        self.console: deque[str] = deque(maxlen=_LINES)
        self.boots = 0
        self.deep_sleeps = 0
        self.running = False
        self.injected: BaseException | None = None
        self.injected_for_good = False  # nobody is there to catch it
        self.happened: Counter[str] = Counter()
        port = "rp2" if spec.board.startswith("pico") else "esp32"
        self.loop = Loop(self.time, self._unretrieved)
        self.hardware = machine.Hardware(self.time, port, self.draw("board"), bytes(self.draw("id").randbytes(8)))
        self.networks = {NETWORK: PASSWORD, OTHER_NETWORK: PASSWORD}
        self.radio = radio.Radio(self.time, port, self.networks)
        draw_flash = self.draw("flash")
        if spec.littlefs:
            from .littlefs import LittleDisk

            self.disk: Any = LittleDisk(FLASH_BYTES, draw_flash.random, 256 if port == "rp2" else 32)
        else:
            self.disk = flash.Disk(FLASH_BYTES, draw_flash.random)
        self.net = net.Network(
            self.time, self.loop, self.draw("net"), self.unix, self.hardware.rtc, lambda: self.radio.up
        )
        self.radio.changed = self.net.link_changed
        self.watch = Watch(self)
        self._idle = Idle(self) if fast and not any(row[0] in KNOWS for row in overlay) else None
        self.loop.idle = self._idle
        known = fast and not any(row[0].startswith(REPLAYED) for row in overlay)
        self._replay = Replay(None if spec.littlefs else self.disk) if known else None
        day = 86400.0
        self.certificate = net.Certificate(HOST, ROOTS[0], self.start_s - 30 * day, self.start_s + 4000 * day)
        self.server = tagoio.Server(TOKEN, self.unix, self.draw("server"), self.watch, self.certificate)
        self.wishes = Wishes(self)
        self.server.other = self.wishes.answer
        self.plain_wrong_s = 0.0
        self._network_map()
        self.chip = Sht4x(self.climate, self.time.spend)
        self.hardware.chips[0x44] = self.chip
        self.hardware.microvolts = lambda: 1950000 - int(self.time.now / DAY_MS * 100) % 200000
        self._urandom = self.draw("entropy")
        provided = {
            **self.hardware.modules(spec.board),
            **self.net.modules(),
            "asyncio": self.loop.asyncio,
            "network": self.radio.module(),
            "os": self.disk.module(self._urandom.randbytes),
        }
        self.interpreter = Interpreter(provided, self.disk.open, self._print, overlay)
        self.interpreter.loaded = self._loaded
        provided["sys"] = self.hardware.sys_module(self.interpreter.modules, self._print)
        self._first_files()

    def _loaded(self, name: str, module: Any) -> None:
        self.watch.loaded(name, module)
        if name == "agent.app":
            module._QUIET_MS = _QUIET_MS
        if self._idle is not None:
            self._idle.loaded(name, module)
        if self._replay is not None:
            self._replay.loaded(name, module)

    def draw(self, what: str) -> Random:
        """The generator of a part of this world."""
        return Random(f"{what} {self.spec.seed}")

    # ---- surroundings

    def unix(self) -> float:
        """True Unix time."""
        return self.start_s + self.time.now / 1000 * (1 + self.spec.ppm / 1e6)

    def climate(self) -> tuple[float, float]:
        day = self.time.now / DAY_MS
        return 15 + 8 * math.sin(day * 6.2832) + (zlib.crc32(b"%d" % self.time.now) % 100) / 50, 55.0

    def _network_map(self) -> None:
        network = self.net
        network.addresses = {HOST: ADDRESS, **dict.fromkeys(TIME_SERVERS, "10.2.0.1")}
        network.servers[(ADDRESS, 443)] = lambda: tagoio.Endpoint(self.server)
        day = 86400.0
        fake = net.Certificate(HOST, b"nobody's root", self.start_s - day, self.start_s + 4000 * day)
        network.servers[(OTHER_ADDRESS, 443)] = lambda: tagoio.Impostor(fake, self.watch)
        date = lambda: self.unix() + self.plain_wrong_s  # noqa: E731
        secrets = (TOKEN, PASSWORD)
        for address in (ADDRESS, OTHER_ADDRESS):
            network.servers[(address, 80)] = lambda: tagoio.PlainDate(date, self.watch, secrets)

    def settings(self) -> dict[str, Any]:
        """The node's, in device units."""
        spec = self.spec
        sensors: list[dict[str, Any]] = [
            {
                "driver": "sht4x",
                "bus": "i2c0",
                "channels": [["temperature", "°C", 2], ["humidity", "%", 1]][: spec.channels],
            },
            {"driver": "battery", "bus": "battery", "channels": [["battery", "V", 2]]},
            {"driver": "rssi", "bus": "wifi", "channels": [["rssi", "dBm", 0]]},
        ]
        if spec.channels == 1:
            sensors = sensors[1:2]
        networks = [[NETWORK, PASSWORD], [OTHER_NETWORK, PASSWORD]][: spec.networks]
        return {
            "format": 1,
            "board": spec.board,
            "build.time": BUILT_S,
            "build.version": "sim",
            "sensors": sensors,
            "wifi.networks": networks,
            "ntp.servers": list(TIME_SERVERS),
            "tagoio.token": TOKEN,
            "tagoio.host": HOST,
            "sample.every": spec.sample * 1000,
            "upload.every": spec.upload * 1000,
            "queue.policy": spec.policy,
            "queue.bytes": 65536 if spec.sample < 600 else 131072,
            "queue.commit_samples": spec.commit_samples,
            "health.every": spec.health * 1000,
            "led.on": False,
            "remote.every": spec.remote * 1000,
            "duty.on": spec.sleeps,
        }

    def _first_files(self) -> None:
        self.disk.power_on()
        self.disk.make_folder("/roots")
        for number, root in enumerate(ROOTS):
            self.disk.put(f"/roots/{number}.der", root)
        text = self.interpreter.module("agent.settings").seal(self.settings())
        for name in ("/settings.json", "/settings.2.json"):
            self.disk.put(name, text.encode())
        self.disk.power_off()

    # ---- what it says

    def tell(self, text: str) -> None:
        """A line of the story."""
        if self._say is not None:
            day, ms = divmod(self.time.now, DAY_MS)
            s = ms // 1000
            self._say(f"day {day:3} {s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.{ms % 1000:03} {text}")

    def _print(self, *what: Any, **_: Any) -> None:
        if not self.running and self.boots:
            return  # a program whose power is gone says nothing
        line = " ".join(str(each) for each in what)
        self.watch.line(line)
        self.console.append(line)
        if self._say is not None and not line.startswith("@"):
            self.tell("  | " + line.rstrip().replace("\n", "\n                       | "))

    def _unretrieved(self, what: str, error: BaseException | None) -> None:
        self.tell(f"{what}: {error!r}")
        if error is self.injected and self.injected_for_good:
            self.watch.may_bite = True  # a task has ended that should not: only the watchdog can mend that
        else:
            self.watch.violation(f"{what}: {error!r}")

    # ---- life

    def run(self) -> None:
        """Live until the end, or until an invariant is broken (watch.violations)."""
        self.time.at(self.end, self._over)
        for fault in self.faults:
            fault.plan(self)
        for _, end in calms(self.spec):
            self.time.at(end - 1, self.watch.calm)
        cause = "power on"
        while cause != "over" and not self.watch.violations:
            cause = self._boot(cause)
        self.watch.finish()

    def _over(self) -> None:
        raise Ended("over")

    def power_cut(self) -> None:
        """Now."""
        raise Ended("power cut")

    def _boot(self, cause: str) -> str:
        self.boots += 1
        if cause == "deep sleep":
            self.deep_sleeps += 1
        else:
            self.tell(f"--- starts: {cause}")
        self.hardware.start(cause)
        self.watch.boot(cause)
        self.chip.hung = False
        try:
            self.disk.power_on()
            self.running = True
            self.interpreter.run(_BOOT, "boot")
            self.interpreter.run(_MAIN, "main")
            ended = Ended("halted")
        except Ended as how:
            ended = how
        self.running = False
        self.disk.power_off()
        self.net.power_off()
        self.loop.end()
        self.interpreter.restart()
        self.watch.ended(ended.cause)
        try:
            self.radio.power_off()
            if ended.cause == "deep sleep":
                clock = self.hardware.rtc()
                self.time.sleep(int(ended.sleep_ms * (1 + self.spec.sleep_ppm / 1e6)))
                self.hardware.rested(clock, ended.sleep_ms)
                self.time.sleep(_START_MS)
            else:
                self.time.sleep(ended.sleep_ms or _START_MS)
                self.wishes.off(ended.sleep_ms)
        except Ended as how:
            # off, and off again: what is meant for a running board finds none
            return how.cause
        return ended.cause
