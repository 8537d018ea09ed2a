"""A virtual board's serial port: the real mpremote finds there what it finds on a board."""

import datetime
import hashlib
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

from mpremote.transport_serial import SerialTransport

import pytest
from harness import boards, commands
from tagonode.virtual import image
from tagonode.virtual.board import DEEPSLEEP_RESET, HARD_RESET, SOFT_RESET, WDT_RESET
from tagonode.virtual.terminal import Terminal

BOOT = "print('boot.py runs')\n"
# what interrupts find: a program that waits, with something to look at
MAIN = "import time\nstate = 'waiting'\nprint('main.py runs')\nwhile True:\n    time.sleep(60)\n"
BYTES = bytes(range(256)) * 20


@pytest.fixture(scope="module")
def board():
    with boards.board({"/boot.py": BOOT, "/main.py": MAIN}, sensors=({"driver": "bme280", "bus": "i2c0"},)) as made:
        yield made


def start(board, boot=BOOT, main=MAIN) -> int:
    """Start the board with these files; returns how many lines it had printed before."""
    return board.restart({"/boot.py": boot, "/main.py": main})


def test_boot_then_main_then_a_prompt_that_has_their_names(board):
    before = start(board)
    board.wait_for_line("main.py runs", before)
    assert board.lines[before:] == ["boot.py runs", "main.py runs"]
    # resume: no soft reset, which would be a new interpreter
    assert board.mpremote("resume", "eval", "state, __name__").stdout == "waiting __main__\n"
    assert "KeyboardInterrupt: " in board.lines[before:]


def test_exec_skips_main_and_comes_back_with_output_and_errors(board):
    before = start(board)
    board.wait_for_line("main.py runs", before)
    done = board.mpremote("exec", "print(6 * 7)")
    assert (done.returncode, done.stdout) == (0, "42\n")
    assert board.lines[before:].count("boot.py runs") == 2
    assert board.lines[before:].count("main.py runs") == 1
    done = board.mpremote("exec", "print('before'); raise ValueError('honest')")
    assert done.returncode == 1
    assert done.stdout.startswith("before\n") and "ValueError: honest" in done.output


def test_eval(board):
    assert board.mpremote("eval", "[2 ** 70, 'a']").stdout == "[1180591620717411303424, 'a']\n"


def test_run_a_file_of_the_pc(board, tmp_path):
    script = tmp_path / "script.py"
    # longer than the window of a raw paste, with every control character that means something to a prompt
    script.write_text("text = '\\x01\\x02\\x03\\x04'\n" + "# filling\n" * 500 + "print(len(text), state)\n")
    done = board.mpremote("resume", "exec", "state = 'still there'", "run", script)
    assert done.stdout == "4 still there\n"


def test_files(board, tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "bytes.bin").write_bytes(BYTES)
    (tmp_path / "tree" / "deep" / "note.txt").write_text("grün\n")
    tree = tmp_path / "tree"
    done = board.mpremote("fs", "cp", "-r", tree, ":", "+", "cp", tree / "bytes.bin", ":x.bin")
    assert done.returncode == 0, done.output
    done = board.mpremote("ls", ":tree", "+", "cat", ":tree/deep/note.txt", "+", "tree", "+", "sha256sum", ":x.bin")
    for expected in ("5120 bytes.bin", "deep/", "grün", "note.txt", hashlib.sha256(BYTES).hexdigest()):
        assert expected in done.stdout
    assert board.mpremote("cp", ":tree/bytes.bin", tmp_path / "back.bin").returncode == 0
    assert (tmp_path / "back.bin").read_bytes() == BYTES
    done = board.mpremote("rm", "-r", ":tree", "+", "rm", ":x.bin", "+", "ls", "+", "cat", ":x.bin")
    assert "No such file" in done.output and "bytes.bin" not in done.stdout and "main.py" in done.stdout


def test_df_tells_the_size_of_the_boards_flash(board):
    done = board.mpremote("df")
    size, used, free = [int(word) for word in done.stdout.splitlines()[1].split()[1:4]]
    assert size == board.geometry.blocks * image.BLOCK
    assert used + free == size and 0 < used < 100_000


def test_rtc(board):
    done = board.mpremote("rtc", "--set", "+", "rtc")
    year, month, day, weekday, *clock, _ = [int(part) for part in done.stdout.strip("()\n").split(", ")]
    moment = datetime.datetime(year, month, day, *clock)
    assert abs((datetime.datetime.now() - moment).total_seconds()) < 60 and weekday == moment.weekday()


def test_soft_reset_and_reset(board):
    before, boots = len(board.lines), len(board.boots)
    assert board.mpremote("soft-reset").returncode == 0
    assert board.boots[boots:] == [SOFT_RESET]
    assert "boot.py runs" in board.lines[before:] and "main.py runs" not in board.lines[before:]
    assert board.mpremote("resume", "reset").returncode == 0
    board.wait_for_line("main.py runs", before)
    assert board.boots[boots:] == [SOFT_RESET, HARD_RESET]


def test_resets_by_the_program(board):
    boots = len(board.boots)
    board.mpremote("resume", "exec", "--no-follow", "import machine; machine.deepsleep(10)")
    board.wait(lambda: len(board.boots) > boots)
    board.mpremote("resume", "exec", "--no-follow", "import machine; machine.soft_reset()")
    board.wait(lambda: len(board.boots) > boots + 1)
    assert board.boots[boots:] == [DEEPSLEEP_RESET, SOFT_RESET]


def test_the_watchdog_goes_on_across_a_soft_reset(board):
    boots = len(board.boots)
    board.mpremote("exec", "import machine; machine.WDT(timeout=2000)", "soft-reset")
    board.wait(lambda: WDT_RESET in board.boots[boots:])
    assert board.boots[boots:] == [SOFT_RESET, SOFT_RESET, WDT_RESET]


def test_mount_a_folder_of_the_pc(board, tmp_path):
    (tmp_path / "bytes.bin").write_bytes(BYTES)
    (tmp_path / "mounted.py").write_text("print('imported')\n")
    code = (
        "import mounted\n"
        "with open('bytes.bin', 'rb') as f: print(f.read() == bytes(range(256)) * 20)\n"
        "with open('made.bin', 'wb') as f: f.write(b'\\x03\\n\\x04' * 100)\n"
    )
    said = board.mpremote("mount", tmp_path, "exec", code).stdout.splitlines()
    # what mpremote itself says has a buffer of its own, and may come last
    assert [line for line in said if not line.startswith("Local directory ")] == ["imported", "True"]
    assert (tmp_path / "made.bin").read_bytes() == b"\x03\n\x04" * 100


def test_mip_installs_a_package_of_the_pc(board, tmp_path):
    (tmp_path / "greeting.py").write_text("TEXT = 'installed'\n")
    (tmp_path / "package.json").write_text(json.dumps({"urls": [["greeting.py", "greeting.py"]], "version": "1"}))
    done = board.mpremote("mip", "install", tmp_path / "package.json")
    assert done.returncode == 0, done.output
    assert board.mpremote("exec", "import greeting; print(greeting.TEXT)").stdout == "installed\n"


class Typist:
    """Somebody at `mpremote repl`, which has a terminal of its own."""

    def __init__(self, port: str, *before: object):
        self._fd, line = pty.openpty()
        tty.setraw(line)  # until mpremote does it, Ctrl-C would be lost
        command = [str(boards.MPREMOTE), "connect", port, *map(str, before), "repl"]
        self.process = subprocess.Popen(command, stdin=line, stdout=line, stderr=line, close_fds=True)
        os.close(line)
        self._seen = b""

    def sees(self, text: bytes) -> bytes:
        """All up to this text, which appears within 20 s."""
        deadline = time.monotonic() + 20
        while text not in self._seen:
            readable, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"{text!r} did not appear, but {self._seen!r}"
            self._seen += os.read(self._fd, 4096)
        before, _, self._seen = self._seen.partition(text)
        return before + text

    def types(self, data: bytes) -> None:
        os.write(self._fd, data)

    def __enter__(self) -> "Typist":
        return self

    def __exit__(self, *error: object) -> None:
        self.types(b"\x1d")
        try:
            while os.read(self._fd, 4096):
                pass
        except OSError:
            pass  # it has closed its end
        os.close(self._fd)
        self.process.wait(20)


def test_repl(board):
    board.wait_for_line("main.py runs", start(board))
    with Typist(board.port) as typist:
        typist.sees(b"Ctrl-]")
        typist.types(b"\x03")
        typist.sees(b"KeyboardInterrupt: \r\n")
        typist.sees(b">>> ")
        typist.types(b"print(state, 'a\\nb')\r")
        typist.sees(b"waiting a\r\nb\r\n>>> ")
        typist.types(b"input('name? ')\r")
        typist.sees(b"name? ")
        typist.types(b"Ada\r")
        typist.sees(b"'Ada'\r\n>>> ")
        typist.types(b"for i in range(2): print(i)\r\r")
        typist.sees(b"0\r\n1\r\n>>> ")
        typist.types(b"\x04")
        typist.sees(b"MPY: soft reboot\r\n")
        typist.sees(b"main.py runs\r\n")
        typist.types(b"\x03")
        typist.sees(b">>> ")
        typist.types(b"raise SystemExit\r")
        typist.sees(b"MPY: soft reboot\r\n")
        typist.sees(b"main.py runs\r\n")
    assert typist.process.returncode == 0


def test_repl_on_a_mounted_folder(board, tmp_path):
    """What the board sends to have a file opened or read is binary, in the middle of a friendly prompt."""
    content = "a\nb\n" * 1000
    (tmp_path / "text").write_text(content)
    with Typist(board.port, "mount", tmp_path) as typist:
        typist.sees(b">>> ")
        typist.types(b"f = open('made\\n', 'w'); print(f.write(open('text').read())); f.close()\r")
        typist.sees(b"4000")
        typist.sees(b">>> ")  # what is typed before it may be taken for what the board has asked for
        typist.types(b"print(open('text').read() == 'a\\nb\\n' * 1000)\r")
        typist.sees(b"True")
    assert typist.process.returncode == 0
    assert (tmp_path / "made\n").read_text() == content


@pytest.fixture
def prompt(board):
    """mpremote as a library, at the raw prompt of a board that was soft reset."""
    transport = SerialTransport(board.port, timeout=20)
    transport.enter_raw_repl()
    yield transport
    transport.exit_raw_repl()
    transport.close()


READ_CHIP = (
    "import machine\n"
    "bus = machine.I2C(0, scl=machine.Pin(5), sda=machine.Pin(4))\n"
    "def chip(): return bus.readfrom_mem(0x76, 0xD0, 1), bus.scan(), machine.reset_cause()\n"
)


def interrupted(transport, program: str, typed: bytes = b"\x03") -> str:
    """Run a program, and type Ctrl-C once it runs: its traceback."""
    transport.exec_raw_no_follow("print('runs')\n" + program)
    assert transport.read_until(1, b"runs\n").endswith(b"runs\n")
    transport.serial.write(typed)
    _, error = transport.follow(10)
    return error.decode()


def test_ctrl_c_in_the_middle_of_a_call_leaves_the_wires_whole(board, prompt):
    boots = len(board.boots)
    prompt.exec(READ_CHIP)
    right = prompt.eval("chip()")
    assert right[:2] == (b"\x60", [0x76])
    for _ in range(60):
        assert "KeyboardInterrupt" in interrupted(prompt, "while True: chip()")
        assert prompt.eval("chip()") == right
    assert board.boots[boots:] == []


def test_ctrl_c_in_the_middle_of_a_write_leaves_the_file_system_whole(board, prompt):
    boots = len(board.boots)
    write = "n = 0\nwhile True:\n    with open('counted', 'w') as f: f.write('%05d' % n * 200)\n    n += 1\n"
    for _ in range(40):
        assert "KeyboardInterrupt" in interrupted(prompt, write)
        text = prompt.eval("open('counted').read()")
        # the file was open, or closed with all of it
        assert len(text) in (0, 1000) and text == text[:5] * (len(text) // 5)
    prompt.exec("import os; os.remove('counted')")
    assert board.boots[boots:] == []


def test_ctrl_c_at_the_prompt_and_twice_at_once(board, prompt):
    boots = len(board.boots)
    for _ in range(20):
        prompt.serial.write(b"\x03\x03\r\x01")
        prompt.read_until(1, b"raw REPL; CTRL-B to exit\r\n")
        assert "KeyboardInterrupt" in interrupted(prompt, "while True: pass", b"\x03\x03\x03")
    prompt.serial.write(b"\r\x01")
    prompt.read_until(1, b"raw REPL; CTRL-B to exit\r\n")
    assert prompt.eval("1 + 1") == 2
    assert board.boots[boots:] == []


def test_ctrl_c_is_data_to_a_program_that_wants_it(board, prompt):
    code = (
        "import micropython, sys\n"
        "micropython.kbd_intr(-1)\n"
        "print('ready')\n"
        "data = sys.stdin.buffer.read(5)\n"
        "micropython.kbd_intr(3)\n"
        "print(data)\n"
    )
    prompt.exec_raw_no_follow(code)
    assert prompt.read_until(1, b"ready\n").endswith(b"ready\n")
    prompt.serial.write(b"\x01\x03\x04\x03\xff")
    assert prompt.follow(10) == (b"b'\\x01\\x03\\x04\\x03\\xff'\n", b"")


def test_a_board_prints_on_when_nobody_reads(board):
    before = start(board, main="for _ in range(20000): print('x' * 50)\nprint('main.py is through')\n")
    board.wait_for_line("main.py is through", before)
    done = board.mpremote("resume", "eval", "'heard'")
    assert done.stdout == "heard\n"


def test_boot_that_fails_skips_main(board):
    before = start(board, boot="raise RuntimeError('no good')\n")
    board.wait_for_line("RuntimeError: no good", before)
    assert board.mpremote("resume", "eval", "'state' in globals()").stdout == "False\n"
    assert "main.py runs" not in board.lines[before:]


def test_one_program_at_a_time_has_the_port(board):
    transport = SerialTransport(board.port, timeout=20)
    try:
        done = board.mpremote("eval", "1")
    finally:
        transport.close()
    assert done.returncode == 1 and "may be in use by another program" in done.output


def test_nothing_is_typed_by_the_board_itself(board):
    """A line that is open to nobody must not echo what the board prints into its prompt."""
    before = start(board, main="print('print(1/0)')\n")
    board.wait_for_line("print(1/0)", before)
    assert board.mpremote("resume", "eval", "2").stdout == "2\n"
    assert not [line for line in board.lines[before:] if "ZeroDivisionError" in line]


def test_a_reader_that_stops_for_long_loses_the_oldest():
    terminal = Terminal()
    client = os.open(terminal.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        attributes = termios.tcgetattr(client)
        assert not attributes[3] & (termios.ECHO | termios.ICANON)
        for i in range(3000):
            terminal.printed(b"%06d\n" % i)
        deadline = time.monotonic() + 5
        seen = b""
        while not seen.endswith(b"002999\r\n") and time.monotonic() < deadline:
            if select.select([client], [], [], 0.1)[0]:
                seen += os.read(client, 4096)
        assert seen.endswith(b"002998\r\n002999\r\n") and b"000000" not in seen
    finally:
        os.close(client)
        terminal.close()


def test_simulate_with_a_terminal(tmp_path):
    """The node runs, can be stopped and looked into, and goes on after a reset; its books balance."""
    command = [str(boards.MPREMOTE.parent / "tagonode"), "simulate", "--terminal", "--json", "--sample-every", "0.2"]
    process = subprocess.Popen(
        [*command, "--upload-every", "1", "--verbose"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = commands.lines(process.stderr)
    try:
        port = next(line.split()[-1] for line in lines if "mpremote connect" in line)
        assert any("info clock: set by" in line for line in lines)
        look = "import os; print(os.listdir('/queue'))"
        done = commands.run(boards.MPREMOTE, "connect", port, "resume", "exec", look)
        assert done.returncode == 0 and "[" in done.stdout, done.stdout + done.stderr
        assert commands.run(boards.MPREMOTE, "connect", port, "resume", "reset").returncode == 0
        assert any("info clock: set by" in line for line in lines)
    finally:
        process.terminate()
        out, err = process.communicate(timeout=30)
        commands.show(out, err)
    result = json.loads(out.splitlines()[-1])
    assert (result["conserved"], result["boots"], result["problems"]) == (True, 2, [])


@pytest.mark.skipif(sys.platform != "linux", reason="a virtual board has a terminal on Linux only")
def test_killing_the_process_group_leaves_no_board_behind():
    command = [str(boards.MPREMOTE.parent / "tagonode"), "simulate", "--terminal", "--verbose"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert any("info clock: set by" in line for line in commands.lines(process.stdout))
    threads = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [pid for thread in threads for pid in thread.read_text().split()]
    assert children
    os.killpg(process.pid, 9)
    process.wait()
    deadline = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{pid}") for pid in children) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [pid for pid in children if os.path.exists(f"/proc/{pid}")]
    process.stdout.close()
