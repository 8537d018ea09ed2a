"""tagonode deploy: a node onto its board, over its serial port, so that it has the old version or the new one whenever
that is interrupted.

New files go into /incoming and are verified there. One rename then commits them, and firmware/boot.py moves them into
place at the next start, as often as it takes. What remains is checked once more before the node is started, and its
first delivered reading waited for.
"""

import binascii
import contextlib
import csv
import functools
import hashlib
import http.client
import json
import shlex
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mpremote.transport import TransportExecError
from mpremote.transport_serial import SerialTransport
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tagonode import build, config, places, port
from tagonode import console as printed
from tagonode.monitor import Follower, Here

_SCRIPT = places.ONBOARD / "files.py"
_BOOT = "/boot.py"
_COMMIT = "commit"
_CHUNK = 1536  # bytes a piece: as base64 it fits in a small block of heap
_SILENCE_MS = 8000  # after which the board starts by itself: RP2040's watchdog waits 8.3 s at most
_RESERVE_BLOCKS = 6  # for the directories that the new files go through, and for littlefs itself
_INLINE = 128  # a file of so many bytes lies in its directory
_BACK_S = 15.0  # until a board with USB of its own has its port again
_MINUTE_S = 60.0
_DELIVERED = (printed.verdicts.ACCEPTED, printed.verdicts.ACCEPTED_WITH_WARNING)
# no later attempt will do better
_HOPELESS = (printed.verdicts.UNAUTHORISED, printed.verdicts.MISCONFIGURED, printed.verdicts.DEVICE_REFUSES)


class DeployError(Exception):
    """Why a board has no new version, or does not deliver, with the remedy."""


@dataclass
class Outcome:
    """What became of one board. sent: files; size: bytes of them; delivered: the first reading, in words."""

    port: str
    serial: str = ""
    sent: int = 0
    size: int = 0
    removed: int = 0
    delivered: str | None = None
    error: str | None = None


# told of what is going on: text, how much of it is done, of how much
Tell = Callable[[str, int, int], None]


def check_board(wanted: str, where: str, machine: str, implementation: str, version: list[int], mpy: int) -> None:
    """Raises DeployError when this is not the board, or not the MicroPython, that the node was built for."""
    oldest = ".".join(map(str, build.OLDEST_MICROPYTHON))
    if implementation != "micropython":
        raise DeployError(f"the board at {where} runs {implementation}, no MicroPython: tagonode flash puts it on")
    if port.board_called(machine) != wanted:
        text = f"the board at {where} is a {machine}, and node.toml is for {wanted}"
        if machine.startswith("Raspberry Pi Pico") and " W" not in machine:
            raise DeployError(f"{text}: if it is one, it has the MicroPython of a board without Wi-Fi: tagonode flash")
        raise DeployError(f"{text}: connect the right board, or correct `board`")
    if tuple(version) < build.OLDEST_MICROPYTHON:
        raise DeployError(
            f"the board at {where} has MicroPython {'.'.join(map(str, version))}, and TagoNode needs {oldest} or newer"
            ": tagonode flash puts it on"
        )
    if mpy != build.MPY_VERSION:
        raise DeployError(
            f"the MicroPython of the board at {where} reads .mpy files of version {mpy}, and these have "
            f"{build.MPY_VERSION}: update TagoNode, or put an older MicroPython on the board (tagonode flash)"
        )


@dataclass(frozen=True)
class Secrets:
    """What is added to the settings that are sent."""

    token: str
    wifi_passwords: str | Mapping[str, str]  # one for all, or {network: password}

    def __repr__(self) -> str:
        return "<secrets>"


def find_secrets(path: Path, node: config.NodeConfig, fleet: Path | None = None) -> Callable[[str], Secrets]:
    """What a board of this serial number is given: from the environment, else from secrets.toml beside node.toml; its
    token from `fleet`, the result file of provision --csv, if there is one. Raises DeployError and ConfigError."""
    mistakes = config.secret_problems(path) or config.unknown_networks(node, path)
    if mistakes:
        raise config.ConfigError(mistakes)
    file = path.parent / config.SECRETS_FILE
    tokens = None if fleet is None else _tokens(fleet)
    token = config.secret(config.ENV_TOKEN, path)
    if not token and tokens is None:
        raise DeployError(
            f"the node has no device token yet: run tagonode provision {shlex.quote(str(path))}, or write "
            f'token = "…" into {file}, or set {config.ENV_TOKEN}'
        )
    passwords = config.wifi_passwords(node, path)
    without = [ssid for ssid in node.model.wifi.networks if ssid not in passwords]
    if without:
        raise DeployError(
            f"there is no password for the Wi-Fi network {', '.join(map(repr, without))}: write "
            f'wifi_password = "…" into {file}, or set {config.ENV_WIFI} ("", nothing, for an open network)'
        )

    def of(serial: str) -> Secrets:
        if tokens is None:
            return Secrets(token or "", passwords)
        if serial.lower() not in tokens:
            raise DeployError(f"no line of {fleet} has the serial number {serial}, which this board has: provision it")
        return Secrets(tokens[serial.lower()], passwords)

    return of


def _tokens(fleet: Path) -> dict[str, str]:
    """{serial number: token} of a result file of provision --csv."""
    try:
        with open(fleet, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {row["serial"].lower(): row["token"] for row in rows if row["serial"] and row["token"]}
    except OSError as error:
        raise DeployError(f"--fleet {fleet}: {error.strerror}: name the result file of provision --csv") from None
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error):
        raise DeployError(f"--fleet {fleet} is no result file of provision --csv: name that") from None


# ---- on the board


class Prompt:
    """The board's prompt, with the script on it. Unless something is asked of it every few seconds, it restarts."""

    def __init__(self, transport: SerialTransport, where: str):
        self._transport = transport
        self.where = where
        implementation = transport.eval("__import__('sys').implementation.name")
        if implementation != "micropython":
            check_board("", where, "", implementation, [], 0)
        self._begin()

    def _begin(self) -> None:
        self._transport.exec(_SCRIPT.read_bytes())
        self.call("hold", _SILENCE_MS)

    def call(self, function: str, *arguments: Any) -> Any:
        """Call one of the script's functions."""
        return port.call(self._transport, function, *arguments)

    def hashes(self, paths: Iterable[str]) -> dict[str, str | None]:
        """SHA-256 of files on the board, None for those that are not there."""
        paths = list(paths)
        lines = self._transport.exec(f"hashes({paths!r})").decode().split()
        return {path: None if line == "None" else line for path, line in zip(paths, lines, strict=True)}

    def soft_reset(self) -> None:
        """Run boot.py, and come back to the prompt."""
        self._transport.enter_raw_repl(timeout_overall=_SILENCE_MS / 1000)
        self._begin()

    def restart(self) -> None:
        port.restart(self._transport)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _folders(paths: Iterable[str]) -> list[str]:
    """The folders that these paths go through, each after the one it is in."""
    found = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    return sorted(found - {"/"})


def journal(files: Iterable[str], obsolete: Iterable[str], kept: Iterable[str]) -> list[str]:
    """The lines of /incoming/commit: files to move into place, boot.py and the manifest last; then what to remove, and
    folders that nothing of `kept` is in any more."""
    last = (_BOOT, build.MANIFEST)
    obsolete = sorted(obsolete)
    moves = sorted(files, key=lambda path: (last.index(path) if path in last else -1, path))
    folders = set(_folders(obsolete)) - set(_folders(kept))
    return [
        *(f"+{path}" for path in moves),
        *(f"-{path}" for path in obsolete),
        *(f"-{path}" for path in sorted(folders, reverse=True)),
    ]


def _ours(path: str) -> bool:
    """Whether a manifest's path is one that a deployment may remove."""
    return path.startswith("/") and not path.startswith("/queue/") and ".." not in path and path.isprintable()


class Installer:
    """Brings a board to hold `files`: {path: content}, manifest included."""

    def __init__(self, prompt: Prompt, files: Mapping[str, bytes], tell: Tell):
        self._prompt = prompt
        self._files = files
        self._tell = tell
        self._wanted = {path: _sha256(content) for path, content in files.items()}

    def install(self, outcome: Outcome) -> None:
        """Send what differs, switch, and check. Raises DeployError and PortError."""
        call = self._prompt.call
        self._tell("looking at its files", 0, 1)
        self._finish_what_was_committed()
        obsolete = [path for path in call("deployed") if path not in self._files and _ours(path)]
        obsolete = [path for path in obsolete if path != build.MANIFEST]
        on_board = self._prompt.hashes(self._wanted)
        changed = [path for path in sorted(self._files) if on_board[path] != self._wanted[path]]
        self._refuse_shadows()
        if not changed and not obsolete:
            call("leave")
            return
        missing = self._what_is_not_there_yet(changed)
        self._check_space(missing)
        self._send(missing)
        if _BOOT in changed and not call("finishes"):
            call("start_with_boot")
            changed.remove(_BOOT)
        call("make", _folders(self._files))
        call("commit", journal(changed, obsolete, self._files))
        self._tell("switching to the new version", 1, 1)
        self._prompt.soft_reset()
        self._verify()
        outcome.sent, outcome.size = len(missing), sum(len(self._files[path]) for path in missing)
        outcome.removed = len(obsolete)

    def _finish_what_was_committed(self) -> None:
        """A boot.py that is not ours has left it."""
        call = self._prompt.call
        if _COMMIT not in call("staged"):
            return
        if not call("finishes"):
            self._write(_BOOT)
            call("start_with_boot")
        self._prompt.soft_reset()
        if _COMMIT in call("staged"):
            raise DeployError(
                f"the board at {self._prompt.where} cannot finish the deployment before this one: look what boot.py "
                "prints (tagonode monitor), or erase the board (tagonode flash) and deploy again"
            )

    def _what_is_not_there_yet(self, changed: list[str]) -> list[str]:
        """The changed files, but for what an interrupted deployment has left of them; what else it left goes."""
        staged = self._prompt.call("staged")
        names = [f"/incoming/{path.replace('/', '|')}" for path in staged]
        found = dict(zip(staged, self._prompt.hashes(names).values(), strict=True))
        good = [path for path in changed if found.get(path) == self._wanted[path]]
        self._prompt.call("forget", [path for path in staged if path not in good])
        return [path for path in changed if path not in good]

    def _check_space(self, paths: list[str]) -> None:
        block, free = self._prompt.call("space")
        needed = sum(-(-len(self._files[path]) // block) for path in paths if len(self._files[path]) > _INLINE)
        folders = _folders(self._files)
        needed += 2 * (len(folders) - len(self._prompt.call("there", folders))) + _RESERVE_BLOCKS
        if needed > free:
            raise self._full(needed * block, free * block)

    def _full(self, needed: int, free: int) -> DeployError:
        return DeployError(
            f"the flash of the board at {self._prompt.where} is too full: {needed // 1024} KiB are needed and "
            f"{free // 1024} KiB are free: remove files of your own from it; or fetch its queue (tagonode spool --port)"
            ", erase the board (tagonode flash) and deploy again"
        )

    def _send(self, paths: list[str]) -> None:
        total = sum(len(self._files[path]) for path in paths)
        done = 0

        def tell(size: int) -> None:
            self._tell(f"sending {len(paths)} files", done + size, total)

        for path in paths:
            self._write(path, tell)
            done += len(self._files[path])

    def _write(self, path: str, tell: Callable[[int], None] = lambda size: None) -> None:
        """One file into /incoming. Raises DeployError when it does not arrive as it is."""
        call = self._prompt.call
        content = self._files[path]
        try:
            call("begin", path)
            for at in range(0, len(content), _CHUNK):
                call("put", binascii.b2a_base64(content[at : at + _CHUNK], newline=False).decode())
                tell(min(at + _CHUNK, len(content)))
            arrived = call("end", path)
        except TransportExecError as error:
            if "ENOSPC" not in error.error_output:
                raise
            block, free = call("space")
            raise self._full(len(content) + _RESERVE_BLOCKS * block, free * block) from None
        if arrived != self._wanted[path]:
            raise DeployError(
                f"{path} did not arrive at {self._prompt.where} as it was sent: try another cable or USB port, and "
                "deploy again"
            )

    def _verify(self) -> None:
        for again in (True, False):
            on_board = self._prompt.hashes(self._wanted)
            wrong = [path for path in self._wanted if on_board[path] != self._wanted[path]]
            if not wrong:
                return
            if again:
                # what brought us to the prompt may have stopped boot.py on its way: it goes on where it was
                self._prompt.soft_reset()
        raise DeployError(
            f"{wrong[0]} is not on the board at {self._prompt.where} as it was sent: deploy again; if that does "
            "not help, its flash is worn out or its boot.py was changed"
        )

    def _refuse_shadows(self) -> None:
        """MicroPython takes a .py before the .mpy of that name."""
        sources = [path.removesuffix(".mpy") + ".py" for path in self._files if path.endswith(".mpy")]
        shadows = self._prompt.call("there", sources)
        if shadows:
            raise DeployError(
                f"{', '.join(shadows)} on the board at {self._prompt.where} would be taken in place of what is "
                f"deployed: remove it (mpremote connect {self._prompt.where} rm :{shadows[0]})"
            )


# ---- afterwards


def patience_s(settings: Mapping[str, Any]) -> float:
    """How long a node with these settings may take to deliver its first reading."""
    return (settings["sample.every"] + settings["upload.every"]) / 1000 + _MINUTE_S


def wait_for_delivery(
    events: Iterable[Any], where: str, seconds: float, tell: Tell, clock: Callable[[], float] = time.monotonic
) -> printed.StateLine:
    """Until the node says that it has delivered. events: those of monitor.Follower. Raises DeployError."""
    until = clock() + seconds
    state: printed.StateLine | None = None
    lines: list[str] = []
    problem = remedy = ""
    for event in events:
        said = printed.parse(event) if isinstance(event, str) else None
        if isinstance(said, printed.StateLine):
            state = said
            if said.values.get("verdict") in _DELIVERED:
                return said
            if said.error:
                problem, remedy = said.error, printed.remedy(said.error)
        elif isinstance(said, printed.LogLine):
            if said.level in ("error", "warning"):
                problem, remedy = f"{said.who}: {said.text}", printed.log_remedy(said)
        elif isinstance(said, printed.Text) and said.text:
            lines = [*lines, said.text][-20:]
            if said.text.startswith("TagoNode could not go on"):
                raise DeployError(f"the node at {where} cannot start: {_last_words(lines)}")
        left = until - clock()
        if state is not None and problem.split(":")[0] in _HOPELESS or left <= 0:
            break
        tell(_progress(state, problem), int(seconds - left), int(seconds))
    if problem:
        raise DeployError(f"{where} has the new version, but delivers nothing: {problem}{remedy and ': ' + remedy}")
    if state is None:
        raise DeployError(
            f"{where} has the new version, but says nothing: press its reset button; tagonode monitor --port {where} "
            "shows what it prints"
        )
    raise DeployError(
        f"{where} has the new version and works, but has delivered nothing after {seconds:.0f} s: "
        f"tagonode monitor --port {where} shows how it goes on"
    )


def _last_words(lines: list[str]) -> str:
    """The error at the end of a traceback."""
    words = [line for line in lines[:-1] if line and not line.startswith((" ", "Traceback"))]
    if not words:
        return "it does not say why"
    return f"{words[-1]}: report it with what tagonode monitor shows"


def _progress(state: printed.StateLine | None, problem: str) -> str:
    if state is None:
        return "starting"
    text = f"waiting for the first delivery: {state.count('samples')} samples, clock {state.clock}"
    return f"{text}, {problem}" if problem else text


def _seen_at_tagoio(made: build.Build, token: str) -> str | None:
    """The newest readings that TagoIO has of this device, in words; None when it does not say.

    By a connection of the PC, verified by the certificates that the board has.
    """
    settings = made.node.device_settings("", "", build.built_at())
    if not made.trusted:
        return None
    rows = [row for sensor in settings["sensors"] for row in sensor["channels"]]
    measured = {row[0] for row in [*rows, *(each["channel"] for each in settings.get("derived", ()))]}
    context = ssl.create_default_context(cadata=b"".join(root.der for root in made.trusted))
    connection = http.client.HTTPSConnection(
        settings["tagoio.host"], settings["tagoio.port"], timeout=10, context=context
    )
    try:
        connection.request("GET", settings["tagoio.prefix"] + "/data?qty=50", headers={"Device-Token": token})
        records = json.loads(connection.getresponse().read())["result"]
        records = [record for record in records if record["variable"] in measured]
        newest = [record for record in records if record.get("group") == records[0].get("group")]
        words = [f"{record['variable']} {record['value']} {record.get('unit', '')}".strip() for record in newest]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError):
        return None
    finally:
        connection.close()
    return printed.clean(", ".join(sorted(words))) or None


@contextlib.contextmanager
def _follow(where: str) -> Iterator[Follower]:
    """What the board prints. One with USB of its own is gone for a moment when it starts."""
    until = time.monotonic() + _BACK_S
    while True:
        try:
            follower = Follower(where)
            break
        except port.PortError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
    try:
        yield follower
    finally:
        follower.close()


# ---- all of it


@dataclass(frozen=True)
class Job:
    """What is to be deployed. wait: seconds for the first delivery, 0 for not at all."""

    made: build.Build
    secrets: Callable[[str], Secrets]
    wait: float

    def run(self, where: str, tell: Tell) -> Outcome:
        """Deploy to the board at a port; whatever goes wrong is in the outcome."""
        outcome = Outcome(where)
        try:
            secrets = self._install(where, outcome, tell)
            if self.wait:
                with _follow(where) as follower:
                    events = (event for event in follower.events() if not isinstance(event, Here))
                    state = wait_for_delivery(events, where, self.wait, tell)
                seen = _seen_at_tagoio(self.made, secrets.token)
                outcome.delivered = seen or f"{state.count('acknowledged')} readings so far"
        except (DeployError, port.PortError) as error:
            outcome.error = str(error)
        return outcome

    def _install(self, where: str, outcome: Outcome, tell: Tell) -> Secrets:
        tell("connecting", 0, 1)
        with port.board_at(where) as transport:
            prompt = Prompt(transport, where)
            try:
                machine, implementation, version, mpy, outcome.serial = prompt.call("who")
                check_board(self.made.node.board, where, machine, implementation, version, mpy)
                secrets = self.secrets(outcome.serial)
                files = self.made.files(secrets.token, secrets.wifi_passwords)
                Installer(prompt, files, tell).install(outcome)
            finally:
                with contextlib.suppress(Exception):
                    prompt.restart()
        return secrets


class Display:
    """One line a board: a bar on a terminal, else a line whenever something else begins."""

    def __init__(self, console: Console, ports: list[str]):
        self._console = console
        self._said: dict[str, str] = {}
        self._bars = Progress(
            TextColumn("{task.fields[port]}"), BarColumn(20), TextColumn("{task.description}"), console=console
        )
        self._rows = {where: self._bars.add_task("", port=where) for where in ports}

    def tell(self, where: str, text: str, done: int, total: int) -> None:
        self._bars.update(self._rows[where], description=text, completed=done, total=max(total, 1))
        if not self._console.is_terminal and self._said.get(where) != text:
            self._said[where] = text
            self._console.print(f"{where}: {text}", markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._bars.stop()


def _show(console: Console, outcome: Outcome) -> None:
    if outcome.error:
        console.print(outcome.error, style="red", markup=False, highlight=False, soft_wrap=True)
        return
    text = "nothing to send"
    if outcome.sent or outcome.removed:
        text = f"{outcome.sent} files sent, {outcome.size:,} bytes"
    if outcome.removed:
        text += f", {outcome.removed} removed"
    if outcome.delivered:
        text += f"; delivered: {outcome.delivered}"
    console.print(f"{outcome.port}: {text}", style="green", markup=False, highlight=False, soft_wrap=True)


def run_all(job: Job, ports: list[str], console: Console) -> list[Outcome]:
    """Deploy to all of them side by side."""
    outcomes: dict[str, Outcome] = {}
    with Display(console, ports) as display:

        def one(where: str) -> None:
            outcomes[where] = job.run(where, functools.partial(display.tell, where))

        # daemons: Ctrl-C ends the command at once, and the boards' watchdogs do the rest
        threads = [threading.Thread(target=one, args=(where,), daemon=True) for where in ports]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [outcomes.get(where) or Outcome(where, error=f"{where}: the deployment broke off") for where in ports]


def deploy(
    path: Path,
    ports: list[str],
    all_ports: bool = False,
    ca: Path | None = None,
    wait: float | None = None,
    as_json: bool = False,
    fleet: Path | None = None,
) -> int:
    """Deploy a node.toml to boards; returns 0 when all of them deliver, else 1.

    Raises ConfigError, BuildError and DeployError when it cannot start.
    """
    secrets = find_secrets(path, config.load(path), fleet)
    made = build.make(path, ca)
    if all_ports:
        ports = port.on_usb()
    if not ports:
        raise DeployError("no board is found on USB: plug them in, with cables that carry data")
    settings = made.node.device_settings("", "", build.built_at())
    job = Job(made, secrets, patience_s(settings) if wait is None else wait)
    console = Console(stderr=as_json)
    if len(ports) > 1 and fleet is None:
        text = "these boards share one token, and so are one device at TagoIO: --fleet gives each its own"
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
    outcomes = run_all(job, ports, console)
    for outcome in outcomes:
        _show(console, outcome)
        if as_json:
            sys.stdout.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
    sys.stdout.flush()
    failed = sum(1 for outcome in outcomes if outcome.error)
    if len(outcomes) > 1:
        console.print(f"{len(outcomes)} boards: {len(outcomes) - failed} deployed, {failed} failed", highlight=False)
    return 1 if failed else 0
