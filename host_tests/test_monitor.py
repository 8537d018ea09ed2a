"""`tagonode monitor`: what a board prints, taken apart, and followed across resets and pulled cables."""

import contextlib
import io
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
import tty
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import pytest
from harness import boards, commands
from tagonode import console, monitor, port
from tagonode.device import load

verdicts = load("tagoio.verdicts")

TAGONODE = boards.MPREMOTE.parent / "tagonode"
TOKEN = "5ca11ab1-0000-4000-8000-00000badcafe"
STATE = {"samples": 12, "this_run": 12, "queued": 3, "acknowledged": 45, "requests": 9, "clock": 2, "free": 65536}
STATE |= {"verdict": "accepted", "error": "", "quarantined": 0, "dropped": 0, "damaged": 0}
SAMPLE = r"1.500 debug sample: ([('temperature', '\xb0C', 2), ('rssi', 'dBm', 0)], [21.4, -67])"


# ---- lines


@pytest.mark.parametrize(
    "line, parsed",
    [
        ("12.345 warning uplink: unavailable: x", console.LogLine(12.345, "warning", "uplink", "unavailable: x")),
        ("0.001 info app: TagoNode on pico_w", console.LogLine(0.001, "info", "app", "TagoNode on pico_w")),
        ("12.345 shouting app: x", console.Text("12.345 shouting app: x")),
        ('@{"queued": 5}', console.StateLine({"queued": 5})),
        ('@{"queued": 5, "ackno', console.Text('@{"queued": 5, "ackno')),
        ("rst:0x1 (POWERON_RESET),boot:0x13", console.Text("rst:0x1 (POWERON_RESET),boot:0x13")),
        ("\x1b[2Jgone\x07 \x9b31m", console.Text("gone 31m")),
        (f"1.000 error uplink: {TOKEN}!", console.LogLine(1, "error", "uplink", "<token>!")),
        (f"Token {TOKEN.replace('-', '').upper()}", console.Text("Token <token>")),
        (
            SAMPLE,
            console.SampleLine(
                1.5, (console.Reading("temperature", "°C", 2, 21.4), console.Reading("rssi", "dBm", 0, -67))
            ),
        ),
        ("1.500 debug sample: ([('a', '', 2)], [None])", console.SampleLine(1.5, ())),
        (
            "1.500 debug sample: ([('a', '', 2)], [1, 2])",
            console.LogLine(1.5, "debug", "sample", "([('a', '', 2)], [1, 2])"),
        ),
        ("1.500 debug sample: ([('a', '', 2)], [1", console.LogLine(1.5, "debug", "sample", "([('a', '', 2)], [1")),
        ("1.500 debug sample: exit()", console.LogLine(1.5, "debug", "sample", "exit()")),
    ],
    ids=range(14),
)
def test_a_line_taken_apart(line, parsed):
    assert console.parse(line) == parsed


@given(st.text() | st.text().map(lambda text: "@{" + text) | st.text().map(lambda text: "1.000 debug sample: " + text))
def test_no_line_is_too_odd(line):
    parsed = console.parse(line)
    if isinstance(parsed, console.Text):
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", parsed.text)


@given(st.uuids(), st.text(), st.sampled_from(["1.000 error uplink: ", "@{}", "", "1.000 debug sample: "]))
def test_no_token_gets_through(token, text, head):
    for words in (f"{head}{text} {token} ", f'@{{"error": "{token}"}}'):
        assert str(token) not in repr(console.parse(words))


def test_what_the_agent_logs_is_understood():
    """By its own Log, so that the two cannot drift apart."""
    said: list[str] = []
    log = load("agent.log").Log("debug", said.append)
    log.mono = lambda: 61002
    log.warning("uplink", "x: y")
    log.state(STATE)
    log.debug("sample", ([("rssi", "dBm", 0)], [-67]))
    parsed = [console.parse(line) for line in said]
    assert parsed == [
        console.LogLine(61.002, "warning", "uplink", "x: y"),
        console.StateLine(STATE),
        console.SampleLine(61.002, (console.Reading("rssi", "dBm", 0, -67),)),
    ]


def test_a_state_on_one_line():
    line = console.StateLine(STATE | {"dropped": 2, "error": "unavailable: x", "clock": 1})
    assert line.text() == (
        "state samples 12, queued 3, acknowledged 45, requests 9, dropped 2, clock estimated, free 65536, "
        "verdict accepted, error unavailable: x"
    )
    assert console.StateLine({}).text().startswith("state samples 0")
    assert console.StateLine({"clock": 9, "queued": "no number"}).text().startswith("state samples 0, queued 0")


# ---- what to do

TROUBLES = sorted(
    {value for name, value in vars(verdicts).items() if name.isupper() and isinstance(value, str) and name[0] != "_"}
    - {verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING}
)
ADVICE = {
    "ambiguous": "asks TagoIO whether",
    "device refuses": "the device's page at TagoIO",
    "misconfigured": "correct [tagoio] in node.toml",
    "rejected": "tagonode spool shows it",
    "throttled": "raise upload.every",
    "too large": "smaller batches follow",
    "unauthorised": "tagonode provision CONFIG",
    "unavailable": "does its network lead to the internet",
    "untrusted": "correct what the error names",
}


def test_every_trouble_is_in_the_table():
    assert sorted(ADVICE) == TROUBLES


@pytest.mark.parametrize("verdict", TROUBLES)
def test_each_verdict_comes_with_what_to_do(verdict):
    assert ADVICE[verdict] in console.remedy(f"{verdict}: detail")
    assert ADVICE[verdict] in console.log_remedy(console.LogLine(1, "warning", "uplink", f"{verdict}: x; next try"))
    assert console.log_remedy(console.LogLine(1, "info", "uplink", f"{verdict}: x")) == ""


@pytest.mark.parametrize(
    "who, text, words",
    [
        ("link", "no network joined; next try in 5 s", "check the names under [wifi]"),
        ("link", "could not join field: wrong password", "check the network's password"),
        ("clock", "no time from pool.ntp.org: timeout", "UDP port 123"),
        ("spool", "sample not stored: no space", "tagonode spool"),
        ("watchdog", "no progress in uplink", "the watchdog restarts the board"),
        ("uplink", "unavailable: no address for the server: check its name", "check tagoio.host"),
    ],
)
def test_each_complaint_comes_with_what_to_do(who, text, words):
    assert words in console.log_remedy(console.LogLine(1, "warning", who, text))


def test_an_error_that_says_it_itself():
    assert console.log_remedy(console.LogLine(1, "warning", "sampler", "bme280: no answer, check the wires")) == ""
    assert console.remedy("") == console.remedy("something new") == ""
    assert "network" in console.remedy("unavailable: nobody answers")
    assert "tagonode spool" in console.remedy("unavailable: queue: q0 cannot be written (error 28): check the flash")


# ---- a board


class Monitor:
    """The command, running; `lines` is what it has printed."""

    def __init__(self, *arguments: object):
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [TAGONODE, "monitor", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def wait(self, words: str) -> str:
        """The first line with these words."""

        def found() -> str | None:
            return next((line for line in self.lines if words in line), None)

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, 20), f"no {words!r} in {self.lines}"
            return found() or ""

    def ended(self) -> int:
        return self._process.wait(20)

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        status = self._process.wait(20)
        commands.show("\n".join(self.lines))
        if self._process.stdout:
            self._process.stdout.close()
        return status


@contextlib.contextmanager
def monitoring(*arguments: object):
    running = Monitor(*arguments)
    try:
        yield running
    finally:
        status = running.stop()
    assert status == 0
    assert not [line for line in running.lines if "\x1b" in line or "Traceback" in line]


MAIN = """
import json, time
state = {}
n = 0
print("0.001 info app: TagoNode on pico_w")
print("0.002 warning uplink: unauthorised: Authorization Denied, token TOKEN; next try in 30.0 s")
while True:
    n += 1
    state.update(samples=n, this_run=n, error="unauthorised: Authorization Denied", clock=2)
    print("%d.000 debug sample: ([('temperature', '\\\\xb0C', 2), ('rssi', 'dBm', 0)], [%d.5, -67])" % (n, n))
    print("@" + json.dumps(state))
    time.sleep_ms(100)
""".replace("TOKEN", TOKEN)


@pytest.fixture(scope="module")
def board():
    with boards.board({"/boot.py": "", "/main.py": MAIN}) as made:
        yield made


def test_a_running_board_is_followed_and_not_disturbed(board):
    before = len(board.lines)
    with monitoring("--port", board.port) as running:
        running.wait("-- listening to " + board.port)
        running.wait("sample temperature")
        state = running.wait("state samples")
        assert "clock synced" in state and "error unauthorised: Authorization Denied" in state
        sample = re.fullmatch(r"(\d+)\.000 sample temperature (\d+)\.50 °C, rssi -67 dBm", running.wait("sample temp"))
        assert sample and sample[1] == sample[2]
    assert not [line for line in board.lines[before:] if "KeyboardInterrupt" in line or "MPY" in line or ">>>" in line]
    assert board.boots == []


def test_a_board_that_restarts(board):
    with monitoring("--port", board.port) as running:
        running.wait("sample temperature")
        board.restart()
        running.wait("-- the board has started again")
        line = running.wait("warning uplink")
        assert line == (
            "0.002 warning uplink: unauthorised: Authorization Denied, token <token>; next try in 30.0 s -> give it a "
            "token that is valid: tagonode provision CONFIG, then tagonode deploy CONFIG. The readings are kept"
        )
    assert TOKEN not in "\n".join(running.lines)


def test_lines_of_json(board):
    with monitoring("--port", board.port, "--json", "--plot", "rssi") as running:
        running.wait('"kind": "sample"')
        running.wait('"kind": "state"')
        board.restart()
        running.wait('"kind": "log"')
    found = {row["kind"]: row for row in map(json.loads, reversed(running.lines))}
    assert found["sample"]["readings"] == {"rssi": -67}
    assert found["state"]["error"] == "unauthorised: Authorization Denied" and "provision" in found["state"]["remedy"]
    assert found["port"] == {"kind": "port", "here": True, "text": f"listening to {board.port}; Ctrl-C ends"}
    log = found["log"]
    assert (log["level"], log["who"]) in {("warning", "uplink"), ("info", "app")} and log["at"] < 1


def test_a_variable_that_is_not_there(board):
    with monitoring("--port", board.port, "--plot", "humidity") as running:
        running.wait("-- no reading called humidity so far; there are rssi, temperature")
    assert not [line for line in running.lines if " sample " in line]


def test_a_board_at_its_prompt(board):
    assert board.mpremote("resume", "exec", "pass").returncode == 0
    try:
        with monitoring("--port", board.port) as running, open(board.port, "wb", buffering=0) as typing:
            running.wait("-- listening")
            typing.write(b"\r")
            running.wait("-- the board waits at its prompt, no program runs: press its reset button")
    finally:
        board.restart()


def test_on_a_terminal_there_is_a_panel_and_a_plot(board):
    ours, line = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [TAGONODE, "monitor", "--port", board.port, "--plot", "temperature"], stdout=line, stderr=line, env=environment
    )
    os.close(line)
    seen = ""
    deadline = time.monotonic() + 20
    while not ("┤" in seen and "what to do: " in seen) and time.monotonic() < deadline:
        seen += os.read(ours, 65536).decode("utf-8", "replace")
    board.restart()
    while "\x1b[33mwarning" not in seen and time.monotonic() < deadline:
        seen += os.read(ours, 65536).decode("utf-8", "replace")
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the line's other end is closed
        while piece := os.read(ours, 65536):
            seen += piece.decode("utf-8", "replace")
    os.close(ours)
    commands.show(seen)
    assert process.wait(20) == 0
    for words in ("listening to", "samples", "clock synced", "last error: ", "temperature °C", "┤", "\x1b[33mwarning"):
        assert words in seen
    assert "give it a token that is valid" in seen and TOKEN not in seen


# ---- the port comes and goes


@contextlib.contextmanager
def pulled_port(tmp_path):
    """(port, plug()): a port that a cable can be pulled from; plug() returns the descriptor of its other end."""
    path, open_ends = tmp_path / "ttyACM0", []

    def plug() -> int:
        path.unlink(missing_ok=True)  # first of all: the terminal's name may be somebody else's in a moment
        while open_ends:
            os.close(open_ends.pop())
        ours, line = pty.openpty()
        tty.setraw(line)
        open_ends.extend((ours, line))
        path.symlink_to(os.ttyname(line))
        return ours

    def pull() -> None:
        path.unlink()
        while open_ends:
            os.close(open_ends.pop())

    try:
        yield path, plug, pull
    finally:
        while open_ends:
            os.close(open_ends.pop())


def test_a_pulled_cable(tmp_path):
    with pulled_port(tmp_path) as (path, plug, pull):
        ours = plug()
        with monitoring("--port", path) as running:
            running.wait("-- listening")
            os.write(ours, b"1.000 info app: one\r\n2.000 info app: cut sho")
            running.wait("1.000 info app: one")
            pull()
            running.wait(f"-- {path} is gone: waiting for it to come back")
            running.wait("cut sho")
            ours = plug()
            running.wait(f"-- {path}: back again")
            os.write(ours, b"0.001 info app: two\n" + b"x" * 5000 + b"\n")
            running.wait("-- the board has started again")
            running.wait("0.001 info app: two")
            running.wait("x" * 4097)


def test_a_board_that_comes_back_at_another_port(tmp_path, monkeypatch):
    """Found by its USB serial number."""
    with pulled_port(tmp_path) as (path, plug, pull):
        ours = plug()
        usb = SimpleNamespace(device=str(path), vid=0x2E8A, pid=5, serial_number="e661")
        stranger = SimpleNamespace(device="/dev/null", vid=0x2E8A, pid=5, serial_number="e662")
        monkeypatch.setattr(port.serial.tools.list_ports, "comports", lambda: [stranger, usb])
        follower = monitor.Follower(str(path), retry_s=0.01)
        events = itertools.islice(follower.events(), 300)
        assert next(events) == monitor.Here(str(path), False)
        os.write(ours, b"one\n")
        assert next(event for event in events if isinstance(event, str)) == "one"
        pull()
        assert next(event for event in events if isinstance(event, monitor.Gone)).why == f"{path} is gone"
        ours = plug()
        other = path.with_name("ttyACM1")
        path.rename(other)
        usb.device = str(other)
        assert next(event for event in events if isinstance(event, monitor.Here)) == monitor.Here(str(other), True)
        follower.close()


# ---- what keeps it from beginning


def test_no_such_port():
    done = commands.run(TAGONODE, "monitor", "--port", "/dev/ttyNOWHERE9", timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("there is no port /dev/ttyNOWHERE9: ") and "plug the board in" in done.stderr


def test_no_permission(tmp_path, monkeypatch):
    (tmp_path / "port").write_text("")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(port.PortError, match=r"no permission to open .*sudo usermod -aG"):
        monitor.monitor(str(tmp_path / "port"))


def test_a_port_in_use(board):
    with port.board_at(board.port):
        done = commands.run(TAGONODE, "monitor", "--port", board.port, timeout=30)
    assert done.returncode == 1 and f"{board.port} is in use by another program: close it" in done.stderr
    board.restart()


def test_wrong_use():
    assert commands.run(TAGONODE, "monitor", timeout=30).returncode == 2


# ---- the plot


def test_a_chart():
    lines = monitor.chart("temperature °C", [(float(i), 20 + i % 7) for i in range(100)], 80).splitlines()
    assert len(lines) == 12 and all(len(line) <= 80 for line in lines)
    assert "temperature °C" in lines[0] and "26.0" in lines[2] and "99.0" in lines[-1]


@pytest.mark.parametrize(
    "seen, state, words",
    [
        (set(), None, "waiting for two readings of rssi"),
        ({"rssi"}, STATE, "waiting for two readings of rssi"),
        ({"a", "b"}, STATE, "no reading called rssi so far; there are a, b"),
        (set(), STATE | {"this_run": 0}, "waiting for two readings of rssi"),
        (set(), STATE, 'set level = "debug" under [log] in node.toml, and deploy'),
    ],
)
def test_why_there_is_no_chart_yet(seen, state, words):
    assert words in monitor.waiting("rssi", seen, state and console.StateLine(state))


def test_the_panel_without_anything_heard_yet():
    shown = Console(file=io.StringIO(), width=100, force_terminal=True)
    screen = monitor.Screen("rssi", shown)
    shown.print(screen.render())
    screen.line(console.parse("2.000 error sampler: bme280: no answer"))
    screen.line(console.parse("@" + json.dumps(STATE | {"dropped": 7})))
    screen.line(console.parse("5.000 debug sample: ([('rssi', 'dBm', 0)], [-67])"))
    screen.line(console.parse("6.000 debug sample: ([('rssi', 'dBm', 0)], [-60])"))
    shown.print(screen.render())
    said = shown.file.getvalue()
    for words in ("no state yet", "waiting for two readings", "dropped 7", "last error: ", "bme280: no answer", "┤"):
        assert words in said
    assert len(screen._values) == 2
    screen.line(console.parse("1.000 debug sample: ([('rssi', 'dBm', 0)], [-60])"))
    assert list(screen._values) == [(1.0, -60.0)]  # of the new start alone



# ---- a node

NODE = """
board = "pico_w"
[wifi]
networks = ["field"]
[sample]
every = 1
[upload]
every = 0
[log]
level = "debug"
[[sensors]]
driver = "bme280"
bus = "i2c0"
"""


def test_a_node_with_the_agent_on_it(tmp_path):
    """Its samples and its state, and no token: the node does not notice."""
    (tmp_path / "node.toml").write_text(NODE)
    simulation = subprocess.Popen(
        [TAGONODE, "simulate", tmp_path / "node.toml", "--terminal", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    lines = commands.lines(simulation.stderr)
    where = next(found[0] for line in lines if (found := re.search(r"/dev/\S+", line)))
    reader = threading.Thread(target=lambda: said.extend(lines), daemon=True)
    reader.start()
    with monitoring("--port", where) as running:
        sample = running.wait(" sample ")
        assert re.search(r"temperature -?\d+\.\d\d °C, humidity \d+\.\d\d %, pressure \d+\.\d\d hPa", sample)
        state = running.wait("verdict accepted")
        assert "clock synced" in state and " error " not in state
        simulation.send_signal(signal.SIGINT)
        result = json.loads((simulation.stdout.read() if simulation.stdout else "").splitlines()[-1])
        running.wait("is gone: a virtual board comes back at another port")
        assert running.ended() == 0  # and lets go: the next program that asks for a terminal may get that name
    simulation.wait(30)
    assert result["conserved"] and result["acknowledged"] > 0 and result["boots"] == 1
    reader.join(5)
    for stream in (simulation.stdout, simulation.stderr):
        if stream:
            stream.close()
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", "\n".join(running.lines))
