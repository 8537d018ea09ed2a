"""tagonode monitor: what a running board says, followed without disturbing it, across resets and pulled cables.

It only listens: nothing is ever sent to the board. Values for --plot are those of the lines a node prints for each
sample when its log level is "debug".
"""

import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import plotext
import serial
import serial.tools.list_ports
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text as Styled

from tagonode import console as printed
from tagonode.port import PortError, why_not

_LISTEN_S = 0.25  # how long one look for news takes at most
_RETRY_S = 0.5
_LONGEST_LINE = 4096
_PROMPT = b">>> "
_KEPT = 600  # values of a plot
_PLOT_LINES = 12
_STYLES = {"error": "bold red", "warning": "yellow", "info": "", "debug": "dim"}


class Here(NamedTuple):
    """The port is open."""

    port: str
    again: bool


class Gone(NamedTuple):
    """The port is gone, or cannot be opened again yet."""

    why: str


class Quiet(NamedTuple):
    """Nothing new for a moment. prompt: the board waits at its prompt, so that no program runs."""

    prompt: bool


Event = Here | Gone | Quiet | str


class Follower:
    """The lines of a port, and what becomes of the port itself. Raises PortError when it cannot be opened at first."""

    def __init__(self, port: str, retry_s: float = _RETRY_S):
        self.port = port
        # the name of a pseudo-terminal that is gone is given to whatever program asks for one next, a new shell perhaps
        self.lasting = not port.startswith("/dev/pts/")
        self._retry_s = retry_s
        self._identity: tuple | None = None
        self._open = self._try_to_open()
        if self._open is None:
            raise PortError(why_not(port))

    def _try_to_open(self) -> SerialTransport | None:
        """mpremote's library knows how to open a port without resetting the board behind it."""
        try:
            opened = SerialTransport(self.port, timeout=_LISTEN_S)
        except (TransportError, OSError, ValueError):
            return None
        self._identity = _identity(self.port) or self._identity
        return opened

    def events(self) -> Iterator[Event]:
        """Lines as text, and the other events, for ever, or until a port is gone that is not `lasting`. A board that
        comes back at another port is found by its USB serial number."""
        again = False
        while True:
            if self._open is not None:
                yield Here(self.port, again)
                again = True
                yield from self._listen(self._open)
                yield Gone(f"{self.port} is gone")
                if not self.lasting:
                    return
            yield from self._come_back()

    def _listen(self, transport: SerialTransport) -> Iterator[Event]:
        pending = b""
        try:
            while True:
                line = transport.serial
                data = line.read(max(1, line.in_waiting))
                if not data:
                    yield Quiet(pending.endswith(_PROMPT))
                    continue
                *lines, pending = (pending + data).replace(b"\r\n", b"\n").split(b"\n")
                if len(pending) > _LONGEST_LINE:
                    lines.append(pending)
                    pending = b""
                for each in lines:
                    yield each.decode("utf-8", "replace").rstrip("\r")
        except (OSError, TypeError):  # pyserial: TypeError when it was closed meanwhile
            if pending:
                yield pending.decode("utf-8", "replace")
        finally:
            self.close()

    def _come_back(self) -> Iterator[Event]:
        said = None
        while self._open is None:
            time.sleep(self._retry_s)
            self.port = _where(self._identity) or self.port
            self._open = self._try_to_open()
            if self._open is None:
                why = why_not(self.port)
                if why != said and not why.startswith("there is no port"):
                    yield Gone(why)
                said = why
                yield Quiet(False)

    def close(self) -> None:
        """Let go of the port."""
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.close()
            self._open = None


def _identity(port: str) -> tuple | None:
    """What tells one USB device from others, None when it has no serial number."""
    for each in serial.tools.list_ports.comports():
        if each.device == port and each.serial_number:
            return each.vid, each.pid, each.serial_number
    return None


def _where(identity: tuple | None) -> str | None:
    """The port at which that device is now."""
    for each in serial.tools.list_ports.comports() if identity else ():
        if (each.vid, each.pid, each.serial_number) == identity:
            return str(each.device)
    return None


class Plain:
    """Events as plain lines, or as lines of JSON."""

    def __init__(self, plot: str | None, as_json: bool):
        self._plot = plot
        self._json = as_json
        self._seen: set[str] = set()
        self._hinted = False

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def _say(self, kind: str, text: str, fields: dict[str, Any]) -> None:
        sys.stdout.write((json.dumps({"kind": kind, **fields}, ensure_ascii=False) if self._json else text) + "\n")
        sys.stdout.flush()

    def port(self, text: str, here: bool) -> None:
        self._say("port", f"-- {text}", {"here": here, "text": text})

    def tick(self) -> None:
        pass

    def line(self, line: printed.Line) -> None:
        if isinstance(line, printed.LogLine):
            remedy = printed.log_remedy(line)
            text = f"{line.at:.3f} {line.level} {line.who}: {line.text}" + (f" -> {remedy}" if remedy else "")
            self._say("log", text, {**vars(line), "remedy": remedy})
        elif isinstance(line, printed.StateLine):
            self._say("state", line.text(), {**line.values, "remedy": printed.remedy(line.error)})
            self._hint(line)
        elif isinstance(line, printed.SampleLine):
            self._seen.update(each.variable for each in line.readings)
            readings = [each for each in line.readings if self._plot in (None, each.variable)]
            if readings:
                text = f"{line.at:.3f} sample {', '.join(map(str, readings))}"
                values = {each.variable: each.value for each in readings}
                self._say("sample", text, {"at": line.at, "readings": values})
        elif self._json or line.text:
            self._say("text", line.text, {"text": line.text})

    def _hint(self, state: printed.StateLine) -> None:
        """Say once why there is nothing to plot."""
        if self._plot is not None and not self._hinted and self._plot not in self._seen and state.count("this_run") > 1:
            self._hinted = True
            self.port(waiting(self._plot, self._seen, state), True)


class Screen:
    """Log lines that scroll, above a panel that stays: the node's state, and a variable's recent values."""

    def __init__(self, plot: str | None, console: Console):
        self._plot = plot
        self._console = console
        self._state: printed.StateLine | None = None
        self._complaint: printed.LogLine | None = None
        self._values: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._unit = ""
        self._where = ""
        self._heard = time.monotonic()
        self._seen: set[str] = set()
        self._shown = 0.0
        self._live = Live(console=console, get_renderable=self.render, auto_refresh=False)

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def port(self, text: str, here: bool) -> None:
        self._where = text
        self._console.print(Styled(f"-- {text}", "cyan" if here else "bold red"))

    def tick(self) -> None:
        """Draw the panel anew, not more than four times a second."""
        now = time.monotonic()
        if now - self._shown >= _LISTEN_S:
            self._shown = now
            self._live.refresh()

    def line(self, line: printed.Line) -> None:
        self._heard = time.monotonic()
        if isinstance(line, printed.StateLine):
            self._state = line
        elif isinstance(line, printed.SampleLine):
            self._take(line)
        elif isinstance(line, printed.LogLine):
            if line.level in ("error", "warning"):
                self._complaint = line
            self._console.print(
                Styled.assemble(
                    (f"{line.at:12.3f} ", "dim"), (f"{line.level:8}", _STYLES[line.level]), f"{line.who}: {line.text}"
                ),
                soft_wrap=True,
            )
        else:
            self._console.print(Styled(line.text, "dim"), soft_wrap=True)

    def _take(self, line: printed.SampleLine) -> None:
        self._seen.update(reading.variable for reading in line.readings)
        if self._plot is None:
            self._console.print(
                Styled.assemble((f"{line.at:12.3f} sample  ", "dim"), ", ".join(map(str, line.readings))),
                soft_wrap=True,
            )
        for reading in line.readings:
            if reading.variable == self._plot and isinstance(reading.value, (int, float)):
                self._unit = reading.unit
                if self._values and line.at < self._values[-1][0]:
                    self._values.clear()  # the board has started again
                self._values.append((line.at, float(reading.value)))

    def render(self) -> RenderableType:
        parts: list[RenderableType] = [Panel(self._table(), title=self._where, title_align="left")]
        if self._plot is not None:
            parts.append(self._chart())
        return Group(*parts)

    def _table(self) -> RenderableType:
        ago = Styled(f"last heard {time.monotonic() - self._heard:.0f} s ago", "dim")
        state = self._state
        if state is None:
            return Group("no state yet: a node says it when something changes, at its next sample at the latest", ago)
        names = [*("samples", "queued", "acknowledged", "requests")]
        names += [name for name in ("quarantined", "dropped", "damaged") if state.count(name)]
        verdict = state.values.get("verdict") or "nothing sent yet"
        rows = [
            Styled("   ".join(f"{name} {state.count(name):,}" for name in names)),
            Styled(f"verdict {verdict}   clock {state.clock}   free heap {state.count('free') // 1024} KB"),
        ]
        for label, text, what in self._troubles(state):
            rows.append(Styled.assemble((label, "yellow"), text))
            if what:
                rows.append(Styled.assemble(("what to do: ", "bold"), what))
        return Group(*rows, ago)

    def _troubles(self, state: printed.StateLine) -> Iterator[tuple[str, str, str]]:
        if state.error:
            yield "last error: ", state.error, printed.remedy(state.error)
        complaint = self._complaint
        if complaint is not None and complaint.who != "uplink":
            yield f"last {complaint.level}: ", f"{complaint.who}: {complaint.text}", printed.log_remedy(complaint)

    def _chart(self) -> RenderableType:
        if len(self._values) >= 2:
            title = f"{self._plot} {self._unit}".strip()
            return Styled(chart(title, list(self._values), self._console.width), no_wrap=True)
        return Styled(waiting(self._plot or "", self._seen, self._state), "dim")


def waiting(variable: str, seen: set[str], state: printed.StateLine | None) -> str:
    """Why there is nothing to plot yet, and what to do when it stays so."""
    if seen and variable not in seen:
        return f"no reading called {variable} so far; there are {', '.join(sorted(seen))}"
    if not seen and state is not None and state.count("this_run") > 0:
        return 'this board does not print its readings: set level = "debug" under [log] in node.toml, and deploy'
    return f"waiting for two readings of {variable}"


def chart(title: str, points: list[tuple[float, float]], width: int, height: int = _PLOT_LINES) -> str:
    """A line plot of (seconds, value) in plain characters."""
    figure = plotext.figure
    figure.clear()
    figure.draw(figure.signal([at for at, _ in points], [value for _, value in points], marker="braille").lines())
    figure.plot_size(width, height)
    figure.title(title)
    return "\n".join(map(printed.clean, str(figure.build()).splitlines()))


def monitor(port: str, plot: str | None = None, as_json: bool = False) -> int:
    """Follow a board until Ctrl-C. Returns 0. Raises PortError when there is no port to begin with."""
    follower = Follower(port)
    console = Console()
    screen = Screen(plot, console) if console.is_terminal and not as_json else Plain(plot, as_json)
    try:
        with screen:
            _follow(follower, screen)
    except KeyboardInterrupt:
        pass
    finally:
        follower.close()
    return 0


def _follow(follower: Follower, screen: Screen | Plain) -> None:
    last_at, at_prompt = 0.0, False
    for event in follower.events():
        if isinstance(event, Here):
            text = f"{event.port}: back again" if event.again else f"listening to {event.port}; Ctrl-C ends"
            screen.port(text, True)
        elif isinstance(event, Gone):
            more = "waiting for it to come back" if follower.lasting else "a virtual board comes back at another port"
            screen.port(f"{event.why}: {more}", False)
        elif isinstance(event, Quiet):
            if event.prompt and not at_prompt:
                screen.port("the board waits at its prompt, no program runs: press its reset button", False)
            at_prompt = event.prompt
        else:
            line = printed.parse(event)
            at = getattr(line, "at", None)
            if at is not None:
                if at < last_at:
                    screen.port("the board has started again", True)
                last_at = at
            screen.line(line)
        screen.tick()
