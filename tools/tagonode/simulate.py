"""tagonode simulate: virtual nodes with simulated sensors, sending to the local TagoIO or to another server."""

import contextlib
import fcntl
import json
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from littlefs import LittleFSError
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tagonode import build, config, places
from tagonode.build import HEAP_KIB, settings_files
from tagonode.cloud.ntp import NtpServer
from tagonode.cloud.server import LocalCloud
from tagonode.device import regions
from tagonode.device import settings as device_settings
from tagonode.virtual import image
from tagonode.virtual.board import DEEPSLEEP_RESET, VirtualBoard, interpreter
from tagonode.virtual.nameserver import NameServer
from tagonode.virtual.relay import CountingRelay
from tagonode.virtual.terminal import Terminal, TerminalError
from tagonode.virtual.wiring import build_hardware

_RELAY_ADDRESS = "127.0.0.2"
_PATIENCE_S = 30
_COMPLAINT = re.compile(r"\d+\.\d+ (?:warning|error) (.*)")
_NO_READING = re.compile("_[es][0-9]")
_WIFI_PASSWORD = "simulated-network"
_COUNTERS = ("sampled", "acknowledged", "queued", "quarantined", "dropped", "damaged")


class SimulateError(Exception):
    """What keeps a simulation from starting, with the remedy."""


@dataclass
class Options:
    """What the command line asks for; see its help. `cloud`: a stand-in that runs already, for the run's own."""

    config: Path | None = None
    nodes: int = 1
    board: str | None = None
    samples: int | None = None
    seconds: float | None = None
    sample_every: float | None = None
    upload_every: float | None = None
    url: str | None = None
    token: str | None = None
    ca: Path | None = None
    heap: int | None = None
    flash: Path | None = None
    drain: float = 60.0
    terminal: bool = False
    json: bool = False
    verbose: bool = False
    cloud: LocalCloud | None = None


@dataclass
class Server:
    """Where the nodes send: host name and port in the certificate's eyes, root certificates, a token a node."""

    host: str
    port: int
    prefix: str
    roots: dict[str, bytes]
    tokens: list[str]
    cloud: LocalCloud | None = None


@dataclass
class Node:
    """One virtual node and what is known of it from its state lines."""

    name: str
    settings: dict[str, Any]
    image_path: Path
    geometry: image.Geometry
    board: VirtualBoard = field(init=False)
    state: dict[str, Any] = field(default_factory=dict)
    before: int | None = None  # samples that its flash had seen when this run began
    accepted_before: int = 0  # readings, likewise
    requests: int = 0
    handshakes: int = 0
    console: list[str] = field(default_factory=list)
    last_error: str = ""
    complaint: str = ""  # the last warning or error it printed
    gave_up: bool = False  # its program ended in an error

    def take_line(self, line: str) -> None:
        """A line of the node's console: a state line, or one for people."""
        if line.startswith("@{"):
            try:
                state = json.loads(line[1:])
            except ValueError:
                return  # the power went in the middle of the line
            if self.before is None:
                self.before = state["samples"] - state["this_run"]
                self.accepted_before = state["acknowledged"]
            self.state = state
            if state["error"]:
                self.last_error = state["error"]
            return
        complaint = _COMPLAINT.match(line)
        if complaint:
            self.complaint = complaint[1]
        self.gave_up = self.gave_up or line.startswith("TagoNode could not go on")
        self.console.append(line)
        del self.console[:-200]

    def take_boot(self, cause: int) -> None:
        """The board starts again by itself: what is left of its run is what it still has to sample."""
        if cause == DEEPSLEEP_RESET:
            return  # it counts on
        self.requests += self.state.get("requests", 0)
        self.handshakes += self.state.get("handshakes", 0)
        self.state = {**self.state, "requests": 0, "handshakes": 0}
        wanted = self.settings["run.samples"]
        if wanted:
            taken = self.state.get("samples", 0) - (self.before or 0)
            with image.mounted(self.image_path, self.geometry) as files:
                image.write_tree(files, settings_files({**self.settings, "run.samples": max(1, wanted - taken)}))

    @property
    def over(self) -> bool:
        return bool(self.state.get("over"))

    @property
    def done(self) -> bool:
        return bool(self.state.get("done"))

    @property
    def dead(self) -> bool:
        """Nothing more is to be expected of it: it stands still, or cannot even start."""
        return self.board.halted.is_set() or (self.gave_up and not self.state)

    def count(self, name: str) -> int:
        return int(self.state.get(name, 0))

    @property
    def balanced(self) -> bool:
        return self.count("sampled") == sum(self.count(name) for name in _COUNTERS[1:])


def parse_url(url: str) -> tuple[str, int, str]:
    """(host, port, path prefix) of an https URL or a region's name. Raises SimulateError."""
    try:
        scheme, host, port, prefix = regions.parse_url(url)
    except ValueError as error:
        raise SimulateError(f"--url: {error}") from None
    if scheme != "https":
        raise SimulateError(f"--url {url}: give https://HOST[:PORT]; a node sends over verified TLS only")
    return host, port, prefix


def _device_token(cloud: LocalCloud, database: Path | None, name: str) -> str:
    """The token of the stand-in's device for this node; of the same one again when its database was kept."""
    if database is None:
        return cloud.create_device(name)
    token = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{database.absolute().as_uri()}#{name}"))
    try:
        cloud.device(token)
    except KeyError:
        cloud.create_device(name, token=token)
    return token


@contextlib.contextmanager
def _server(options: Options) -> Iterator[Server]:
    if options.url is None:
        database = options.flash.with_name(options.flash.name + ".cloud.db") if options.flash else None
        try:
            local = contextlib.nullcontext(options.cloud) if options.cloud else LocalCloud(db=database, page=True)
        except (OSError, ValueError) as error:
            raise SimulateError(f"the local TagoIO cannot start: {error}") from None
        with local as cloud:
            host, port, prefix = parse_url(cloud.url)
            tokens = [_device_token(cloud, database, f"node-{i + 1}") for i in range(options.nodes)]
            yield Server(host, port, prefix, build.root_files(cloud.ca_pem, "the stand-in's CA"), tokens, cloud)
        return
    if not options.token:
        raise SimulateError("--url needs --token TOKEN: the device token that server knows")
    if not options.ca:
        raise SimulateError("--url needs --ca FILE.pem: the root certificate that the server's chain ends in")
    host, port, prefix = parse_url(options.url)
    try:
        pem = options.ca.read_bytes()
    except OSError as error:
        raise SimulateError(f"--ca {options.ca}: {error.strerror}: name a PEM file") from None
    yield Server(host, port, prefix, build.root_files(pem, f"--ca {options.ca}"), [options.token] * options.nodes)


def _overrides(options: Options) -> dict[str, Any]:
    given = {
        "board": options.board,
        "sample.every": options.sample_every,
        "upload.every": options.upload_every,
        "run.samples": options.samples,
        "run.time": options.seconds,
    }
    return {key: value for key, value in given.items() if value is not None}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep a flash image for this run alone. Raises ValueError when another run has it."""
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"{path} is in use by another run: wait for its end, or name another file") from None
        yield


class Simulation:
    """All nodes of one run, and the books."""

    def __init__(self, options: Options, node_config: config.NodeConfig, console: Console):
        self.options = options
        self.config = node_config
        self.console = console
        self.nodes: list[Node] = []
        self.relay: CountingRelay | None = None
        self.bytes_known = True
        self.heap_kib = options.heap or HEAP_KIB[node_config.board]
        self._news = threading.Event()
        self._stored_before: dict[str, int] = {}

    def run(self) -> dict[str, Any]:
        """Start everything, watch it, stop it; returns the summary. Raises SimulateError, ConfigError, BuildError."""
        with contextlib.ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagonode-")))
            server = stack.enter_context(_server(self.options))
            ntp = NtpServer()
            stack.callback(ntp.stop)
            names = stack.enter_context(NameServer())
            self._start_relay(stack, server, names)
            self._prepare(stack, work, server, ntp.address, names.address)
            if server.cloud is not None:
                if server.cloud.page is not None:
                    text = f"page  {server.cloud.page.address}"
                    self.console.print(text, markup=False, highlight=False, soft_wrap=True)
                self._stored_before = {token: server.cloud.count(token) for token in server.tokens}
            for node in self.nodes:
                stack.callback(node.board.power_cut)
            interrupted = False
            try:
                for node in self.nodes:
                    node.board.power_on()
                self._watch()
            except KeyboardInterrupt:
                interrupted = True
            for node in self.nodes:
                node.board.power_cut()
            return self._summary(server, interrupted)

    def _start_relay(self, stack: contextlib.ExitStack, server: Server, names: NameServer) -> None:
        name = server.host.lower()

        def bypass() -> None:
            # from now on the nodes see for themselves what is wrong with the way to the server
            self.bytes_known = False
            names.overrides.pop(name, None)

        # the relay takes the server's port on another loopback address, and the nodes' name server points there:
        # the board connects, names and verifies as it would without it
        try:
            self.relay = stack.enter_context(CountingRelay((_RELAY_ADDRESS, server.port), (server.host, server.port)))
        except OSError:
            return  # no such address here, or taken: the bytes stay unknown
        names.overrides[server.host.lower()] = _RELAY_ADDRESS

    def _prepare(self, stack: contextlib.ExitStack, work: Path, server: Server, ntp: str, nameserver: str) -> None:
        board = self.config.board
        geometry = image.GEOMETRIES[board]
        firmware = build.firmware_files(board, self.config.drivers, self.config.own_drivers.own())
        own_chips = self._own_chips()
        guest = work / "guest"
        guest.mkdir()
        for source in places.GUEST.glob("*.py"):
            (guest / f"{source.stem}.mpy").write_bytes(build.compile_module(source, source.stem))
        for index in range(self.options.nodes):
            settings = self.config.device_settings(server.tokens[index], _WIFI_PASSWORD)
            settings.update(
                {
                    "tagoio.host": server.host,
                    "tagoio.port": server.port,
                    "tagoio.prefix": server.prefix,
                    "ntp.servers": [ntp],
                    "build.time": settings["build.time"] - 60,  # built before it was started
                }
            )
            path = work / f"node-{index + 1}.img"
            if self.options.flash:
                path = self.options.flash
                if index:
                    path = path.with_name(f"{path.name}.{index + 1}")
            for row in device_settings.TABLE:
                wrong = device_settings.problem(row, settings[row[0]])
                if wrong:
                    raise SimulateError(f"{row[0]} {wrong}: correct --url or the config")
            node = Node(f"node-{index + 1}", settings, path, geometry)
            try:
                stack.enter_context(_locked(path))
                with image.mounted(path, geometry) as files:
                    image.write_tree(files, {**firmware, **server.roots, **settings_files(settings)})
            except (OSError, ValueError, LittleFSError) as error:
                raise SimulateError(f"--flash: {error}") from None
            hardware = build_hardware(
                board,
                self.config.model.sensors,
                dict.fromkeys(self.config.model.wifi.networks, _WIFI_PASSWORD),
                nameserver,
                serial=node.name,
                seed=index + 1,
                own_chips=own_chips,
            )
            terminal = self._terminal(stack, node) if self.options.terminal else None
            node.board = VirtualBoard(
                path, geometry, hardware, self.heap_kib, guest, self._line_taker(node), node.take_boot, terminal
            )
            self.nodes.append(node)

    def _own_chips(self) -> dict[str, Callable]:
        """Simulated chips of the config's own drivers, and a line for each that has none."""
        drivers, found = self.config.own_drivers, {}
        for name in self.config.drivers:
            try:
                chip = drivers.chip(name)
            except ValueError as error:
                raise SimulateError(str(error)) from None
            if chip is not None:
                found[name] = chip
            elif name not in places.drivers():
                text = f"{name} has no simulated chip (drivers/chips/{name}.py): nothing will answer it"
                self.console.print(text, style="yellow", markup=False, highlight=False)
        return found

    def _terminal(self, stack: contextlib.ExitStack, node: Node) -> Terminal:
        """A serial port for the node, and a line that says where it is."""
        try:
            terminal = Terminal()
        except TerminalError as error:
            raise SimulateError(f"--terminal: {error}") from None
        stack.callback(terminal.close)
        self.console.print(f"{node.name}  mpremote connect {terminal.port}", markup=False, highlight=False)
        return terminal

    def _line_taker(self, node: Node):
        def take(line: str) -> None:
            node.take_line(line)
            if self.options.verbose and not line.startswith("@{"):
                self.console.print(f"{node.name}  {line}", markup=False, highlight=False)
            self._news.set()

        return take

    def _watch(self) -> None:
        """Show progress until the run is over."""
        deadline = None
        shown_at = 0.0
        # a run that is to end by its samples ends, too, when no more of them come
        patience = max(_PATIENCE_S, 5 * self.config.model.sample.every)
        taken, taken_at = -1, time.monotonic()
        with self._display() as live:
            while True:
                self._news.wait(0.2)
                self._news.clear()
                now = time.monotonic()
                if live is not None:
                    live.update(self._table())
                elif now - shown_at >= 2:
                    shown_at = now
                    self.console.print(self._line(), markup=False, highlight=False)
                if all(node.done or node.dead for node in self.nodes):
                    return
                if taken != self._sum("samples"):
                    taken, taken_at = self._sum("samples"), now
                if self.options.samples and now - taken_at > patience and deadline is None:
                    self.console.print(f"no new sample for {patience:.0f} s: giving up", style="red")
                    return
                if deadline is None and all(node.over or node.dead for node in self.nodes):
                    deadline = now + self.options.drain
                if deadline is not None and now >= deadline:
                    return

    def _display(self) -> contextlib.AbstractContextManager:
        if self.console.is_terminal:
            return Live(self._table(), console=self.console, refresh_per_second=5)
        return contextlib.nullcontext()

    def _table(self) -> Table:
        table = Table("node", "samples", "queued", "acknowledged", "requests", "last verdict")
        for node in self.nodes[:20]:
            verdict = node.state.get("error") or node.state.get("verdict", "")
            table.add_row(
                node.name,
                str(node.count("samples")),
                str(node.count("queued")),
                str(node.count("acknowledged")),
                str(node.requests + node.count("requests")),
                verdict,
            )
        if len(self.nodes) > 20:
            table.add_row(
                f"… {len(self.nodes)} nodes",
                *(str(self._sum(n)) for n in ("samples", "queued", "acknowledged")),
            )
        return table

    def _line(self) -> str:
        error = next((node.state["error"] for node in self.nodes if node.state.get("error")), "")
        text = f"samples {self._sum('samples')}  queued {self._sum('queued')}  acknowledged {self._sum('acknowledged')}"
        return f"{text}  last error: {error}" if error else text

    def _sum(self, name: str) -> int:
        return sum(node.count(name) for node in self.nodes)

    def _summary(self, server: Server, interrupted: bool) -> dict[str, Any]:
        problems: list[str] = []
        for node in self.nodes:
            if not node.state:
                problems.append(f"{node.name} never started")
            elif not node.balanced:
                problems.append(f"{node.name}: its counters do not balance")
            if node.board.failure is not None:
                problems.append(f"{node.name}: {node.board.failure!r}")
        if server.cloud is not None:
            problems += self._compare_with_cloud(server.cloud, server.tokens)
        result: dict[str, Any] = {
            "nodes": len(self.nodes),
            "samples": self._sum("samples"),
            "readings": self._sum("sampled"),
            **{name: self._sum(name) for name in _COUNTERS[1:]},
            "requests": sum(node.requests + node.count("requests") for node in self.nodes),
            "handshakes": sum(node.handshakes + node.count("handshakes") for node in self.nodes),
            "bytes_up": self.relay.up if self.relay and self.bytes_known else None,
            "bytes_down": self.relay.down if self.relay and self.bytes_known else None,
            "heap_kib": self.heap_kib,
            "boots": sum(node.board.boots for node in self.nodes),
            "conserved": not problems,
            "delivered": False,
            "last_error": next((e for node in self.nodes if (e := node.last_error or node.complaint)), None),
            "problems": problems,
            "interrupted": interrupted,
        }
        for node in self.nodes:
            taken = node.count("samples") - (node.before or 0)
            if node.state and not interrupted and taken < (self.options.samples or 1):
                problems.append(f"{node.name} took {taken} samples of {self.options.samples or 'at least 1'}")
        complete = 0 < result["readings"] == result["acknowledged"]
        result["delivered"] = complete and not problems
        return result

    def _compare_with_cloud(self, cloud: LocalCloud, tokens: list[str]) -> list[str]:
        """The second set of books: what the stand-in stored, against what the nodes say was accepted."""
        problems = []
        for node, token in zip(self.nodes, tokens, strict=True):
            stored = cloud.count(token)
            if stored > node.count("acknowledged"):
                # events and reports, which are no readings, are not in the nodes' books: of groups of their own
                stored -= sum(bool(_NO_READING.search(record.get("group", ""))) for record in cloud.records(token))
            if stored < node.count("acknowledged"):
                problems.append(f"{node.name}: {node.count('acknowledged')} acknowledged, but {stored} stored")
        return problems


def print_summary(console: Console, result: dict[str, Any], nodes: list[Node], flash: bool) -> None:
    """The closing words for people."""
    table = Table(show_header=False, box=None)
    for name in ("samples", "readings", *_COUNTERS[1:], "requests", "handshakes", "bytes_up", "bytes_down"):
        table.add_row(name.replace("_", " "), "unknown" if result[name] is None else f"{result[name]:,}")
    console.print(table)
    for problem in result["problems"]:
        console.print(f"problem: {problem}", style="red", markup=False)
    for node in nodes:
        if node.complaint:
            console.print(f"{node.name} complained last: {node.complaint}", style="yellow", markup=False)
    if result["delivered"]:
        console.print("every reading delivered, the books balance", style="green")
        return
    if result["last_error"]:
        console.print(f"last error: {result['last_error']}", style="yellow", markup=False)
    if result["queued"]:
        kept = "" if flash else ", which is thrown away now; --flash FILE keeps it"
        console.print(f"{result['queued']} readings are still queued on the nodes' flash{kept}", style="yellow")
    for node in nodes:
        if not node.state or (node.board.halted.is_set() and not node.over):
            console.print(f"what {node.name} said last:", style="yellow")
            for line in node.console[-12:]:
                console.print(f"  {line}", markup=False, highlight=False)


def simulate(options: Options) -> int:
    """Run a simulation; returns the exit status: 0 when every reading was delivered and the books balance, else 1.

    Raises ConfigError, BuildError or SimulateError when it cannot start.
    """
    node_config = config.load(options.config, _overrides(options))
    if node_config.board not in image.GEOMETRIES:
        raise SimulateError(
            f"board {node_config.board} has no virtual counterpart; there are {', '.join(image.GEOMETRIES)}"
        )
    if shutil.which(interpreter()) is None:
        raise SimulateError(f"no MicroPython at {interpreter()}: run make install, or correct MICROPYTHON")
    if options.flash is not None and (not options.flash.name or options.flash.is_dir()):
        raise SimulateError(f"--flash {options.flash}: is a folder: name a file in it")
    if options.flash and not options.flash.absolute().parent.is_dir():
        raise SimulateError(f"--flash {options.flash}: there is no folder {options.flash.parent}: make it first")
    console = Console(stderr=options.json)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # leave in order: boards off, temporary files gone
    simulation = Simulation(options, node_config, console)
    result = simulation.run()
    print_summary(console, result, simulation.nodes, options.flash is not None)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return 0 if result["delivered"] else 1
