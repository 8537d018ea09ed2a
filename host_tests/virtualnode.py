"""A node in virtual time: the whole firmware under real MicroPython, days of it in seconds, with the local TagoIO
behind a network that can go away.

    with VirtualNode({"sample": {"every": 60}}) as node:
        node.run(hours=8)          # it stands still now: look at anything, change anything
        node.offline()
        node.run(days=3)
        node.online()
        node.run(hours=1)
        assert node.state["queued"] == 0 and len(node.records()) == ...
"""

import functools
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hostile.rig import WATCHDOG_S
from tagonode import build, config, places
from tagonode.cloud.ntp import NtpServer
from tagonode.cloud.server import LocalCloud
from tagonode.simulate import HEAP_KIB, settings_files
from tagonode.virtual import image
from tagonode.virtual.board import VirtualBoard
from tagonode.virtual.hardware import Hardware
from tagonode.virtual.nameserver import NameServer
from tagonode.virtual.relay import CountingRelay
from tagonode.virtual.virtualtime import ClockOfTls, VirtualTime
from tagonode.virtual.wiring import build_hardware

WIFI_PASSWORD = "correct horse battery 9"
HOST = "localhost"
FIGURES = "TAGONODE_FIGURES"  # names a file to which each node adds a line of what came of it
_BUILT_BEFORE_S = 3600
_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
SETTINGS: dict[str, Any] = {
    "board": "pico_w",
    "wifi": {"networks": ["field"]},
    "sample": {"every": 60},
    "upload": {"every": 300},
    "led": {"on": False},
    "health": {"every": 0},
    "sensors": [
        {"driver": "bme280", "bus": "i2c0", "address": 0x76},
        {"driver": "battery", "bus": "battery"},
        {"driver": "rssi", "bus": "wifi"},
    ],
}


@functools.cache
def guest() -> dict[str, bytes]:
    """The compiled modules of a virtual board's firmware."""
    return {f"{source.stem}.mpy": build.compile_module(source, source.stem) for source in places.GUEST.glob("*.py")}


@functools.cache
def firmware(board: str, drivers: tuple[str, ...]) -> dict[str, bytes]:
    return build.firmware_files(board, list(drivers))


def write_down(
    board: str, hardware: Hardware, lived: float, boots: list[int], took: float, figure: str, bitten: bool = False
) -> None:
    """A row of the table of `make scenarios`, when it is made. lived: seconds of the board's; boots: causes of its
    starts after the first; took: seconds of the PC's; figure: what came of it; bitten: its watchdog was to bite."""
    path = os.environ.get(FIGURES)
    if path:
        row = {
            "test": os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0],
            "board": board,
            "lived": lived,
            "boots": 1 + len(boots),
            "unfed": hardware.longest_unfed_s,
            "bitten": bitten,
            "took": took,
            "figure": figure,
        }
        with open(path, "a") as file:
            file.write(json.dumps(row) + "\n")


class VirtualNode:
    """settings: sections of node.toml in place of those in SETTINGS; extra: device settings, as settings.json has them,
    that come last. unix: true time when it begins, now unless told. ppm: as in VirtualTime. heap_kib: of the board.
    tls_clock: TLS sees the board's clock, not the PC's; costs a little. files: more of them for its flash.

    hardware, clock, names, relay, ntp, cloud: what it is made of; state: its last state line; states: all of them, with
    "at"; lines: what it has said, and when; boots: causes of its starts after the first; truth: when it has measured
    an analog input, Unix time, once a sample. The watchdog must have been fed in
    time, a Pico's at that, unless `may_be_bitten` is set. RELAY: what carries its connections.
    """

    RELAY = CountingRelay

    def __init__(
        self,
        settings: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
        *,
        unix: float | None = None,
        ppm: float = 0.0,
        heap_kib: int | None = None,
        tls_clock: bool = False,
        files: dict[str, bytes] | None = None,
    ):
        self.settings: dict[str, Any] = {**SETTINGS}
        for key, value in (settings or {}).items():
            own = self.settings.get(key)
            self.settings[key] = {**own, **value} if isinstance(own, dict) else value
        self.extra = extra or {}
        self.clock = VirtualTime(unix, ppm)
        self.state: dict[str, Any] = {}
        self.states: list[dict[str, Any]] = []
        self.lines: list[tuple[float, str]] = []
        self.boots: list[int] = []
        self.unbalanced: list[str] = []
        self.truth: list[float] = []
        self._heap_kib = heap_kib
        self._tls_clock = tls_clock
        self._files = files or {}
        self.may_be_bitten = False
        self._figure = ""
        self._since = time.monotonic()

    # ---- life

    def __enter__(self) -> "VirtualNode":
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagonode-", dir=_MEMORY)))
            self.cloud = stack.enter_context(LocalCloud(clock=self.clock.unix))
            self.token = self.cloud.create_device("node")
            self.ntp = NtpServer(clock=self._time_of_ntp)
            stack.callback(self.ntp.stop)
            self.names = stack.enter_context(NameServer({HOST: "127.0.0.1"}))
            self.relay = stack.enter_context(self.RELAY(("127.0.0.1", 0), ("127.0.0.1", self.cloud.port)))
            self.board = self._make()
            self.hardware = self.board.hardware
            stack.callback(self.board.power_cut)
            self.board.power_on()
            self._end = stack.pop_all()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._end.close()
        if self.board.failure is not None:
            raise self.board.failure
        self._write_down()
        if kind is None and not self.may_be_bitten:
            gap = self.hardware.longest_unfed_s
            assert gap < WATCHDOG_S, f"the watchdog was not fed for {gap:.3f} s"

    def figure(self, text: str) -> None:
        """What this scenario is about, in a number, for the table of `make scenarios`."""
        self._figure = text

    def _write_down(self) -> None:
        board, took = self.settings["board"], time.monotonic() - self._since
        write_down(board, self.hardware, self.clock(), self.boots, took, self._figure, self.may_be_bitten)

    def _make(self) -> VirtualBoard:
        checked = config.check(self.settings, "node")
        board = checked.board
        self.values: dict[str, Any] = {
            **checked.device_settings(self.token, WIFI_PASSWORD),
            "tagoio.host": HOST,
            "tagoio.port": self.relay.address[1],
            "ntp.servers": [self.ntp.address],
            "build.time": int(self.clock.unix()) - _BUILT_BEFORE_S,
            **self.extra,
        }
        folder = self.folder / "guest"
        folder.mkdir()
        for name, code in guest().items():
            (folder / name).write_bytes(code)
        self.flash, self.geometry = self.folder / "node.img", image.GEOMETRIES[board]
        drivers = tuple(sensor.driver for sensor in checked.model.sensors)
        roots = build.root_files(self.cloud.ca_pem, "the stand-in's CA")
        self.write({**firmware(board, drivers), **roots, **settings_files(self.values), **self._files})
        networks = dict.fromkeys(checked.model.wifi.networks, WIFI_PASSWORD)
        hardware = build_hardware(
            board, checked.model.sensors, networks, self.names.address, serial="node", seed=1, clock=self.clock
        )
        hardware.radio.scan_s = 2.0
        for pin, volts in hardware.adc.items():
            hardware.adc[pin] = self._watched(volts)
        if self._tls_clock:
            hardware.clock_of_tls = ClockOfTls(self.folder / "faketime")
        heap = self._heap_kib or HEAP_KIB[board]
        return VirtualBoard(self.flash, self.geometry, hardware, heap, folder, self._take, self.boots.append)

    def write(self, files: dict[str, bytes]) -> None:
        """Files to its flash, from the PC. Its power has to be off."""
        with image.mounted(self.flash, self.geometry) as filesystem:
            image.write_tree(filesystem, files)

    def set(self, **values: Any) -> None:
        """Other device settings, for its next start: wifi__networks for "wifi.networks". Its power has to be off."""
        self.values.update({key.replace("__", "."): value for key, value in values.items()})
        self.write(settings_files(self.values))

    def _take(self, line: str) -> None:
        if line.startswith("@{"):
            try:
                state = json.loads(line[1:])
            except ValueError:
                return  # the power went in the middle of the line
            parts = ("acknowledged", "queued", "quarantined", "dropped", "damaged")
            if state["sampled"] != sum(state[name] for name in parts):
                self.unbalanced.append(line)
            self.state = state
            self.states.append({**state, "at": self.clock()})
        else:
            self.lines.append((self.clock(), line))
        if self.token in line or WIFI_PASSWORD in line:
            self.unbalanced.append("a secret on the console: " + line)

    def _watched(self, microvolts: Callable[[], float]) -> Callable[[], float]:
        def read() -> float:
            now = self.clock.unix()
            if not self.truth or now - self.truth[-1] > 1:
                self.truth.append(now)
            return microvolts()

        return read

    def run(self, seconds: float = 0, **more: float) -> None:
        """Let so much of its time pass: run(90), run(hours=1), run(days=3, within=seconds of the PC's)."""
        self.clock.run(seconds, **more)

    def run_until(self, ready: Callable[[], object], seconds: float, step: float = 1.0) -> None:
        """Let time pass until ready(), `seconds` of the board's at most."""
        end = self.clock() + seconds
        while not ready():
            assert self.clock() < end, f"not within {seconds} s; it said\n{self.console()}"
            self.run(step)

    # ---- the world

    def _time_of_ntp(self) -> float:
        if not self.relay.passing:
            raise OSError("not reachable")  # the server gives no answer then
        return self.clock.unix()

    def offline(self) -> None:
        """The network gives an address, and nothing comes through."""
        self.clock.patience = 0
        self.names.silent = True
        self.relay.passing = False

    def online(self) -> None:
        self.clock.patience = 5
        self.names.silent = False
        self.relay.passing = True

    def power_cycle(self) -> None:
        self.board.power_cut()
        self.board.power_on()

    # ---- looking

    def console(self, last: int = 60) -> str:
        return "\n".join(f"{at:12.3f} | {line}" for at, line in self.lines[-last:])

    def said(self, text: str) -> list[float]:
        """When it has said this."""
        return [at for at, line in self.lines if text in line]

    def records(self) -> list[dict[str, Any]]:
        """What the stand-in has stored, in order of arrival."""
        return self.cloud.records(self.token)

    def check(self) -> None:
        """What has to hold whatever happened."""
        assert not self.unbalanced, self.unbalanced
        groups = [(record["group"], record["variable"]) for record in self.records()]
        assert len(groups) == len(set(groups)), "stored twice"
        assert len(groups) >= self.state["acknowledged"]
