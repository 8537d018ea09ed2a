"""`tagonode spool`: the queue of a connected board, copied, checked and decoded; the board goes on afterwards."""

import functools
import json
import os
import pty

import pytest
from harness import boards, commands
from tagonode import build, places, port, spool, spoolreader
from tagonode.virtual import image

TAGONODE = boards.MPREMOTE.parent / "tagonode"
SAMPLES = 300
# its own device code makes the queue; then a program that can be seen to run, with a watchdog as the agent has one
MAIN = f"""
import machine, time
from spool import Spool
queue = Spool("/queue", (("temperature", "°C", 2), ("rssi", "dBm", 0)), tag_bytes=b"123456")
while queue.next_sequence <= {SAMPLES}:
    n = queue.next_sequence
    queue.append([20 + n / 100, -n], time=1767322800000 + n * 60000)
queue.close()
watchdog = machine.WDT(timeout=8000)
print("main.py runs")
while True:
    time.sleep_ms(50)
    watchdog.feed()
"""


@functools.cache
def files() -> dict[str, bytes]:
    return {
        f"/lib/spool/{source.stem}.mpy": build.compile_module(source, source.stem)
        for source in (places.LIB / "spool").glob("*.py")
    }


@pytest.fixture(scope="module")
def board():
    with boards.board({"/boot.py": "", "/main.py": MAIN, **files()}) as made:
        made.wait_for_line("main.py runs")
        yield made


def run(*arguments: object):
    return commands.run(TAGONODE, "spool", *arguments, timeout=60)


def test_the_queue_of_a_board(board, tmp_path):
    before = len(board.lines)
    done = run("--port", board.port, "--json", "--save", tmp_path / "node-7")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    readings = [row for row in rows if row["kind"] == "reading"]
    assert [(row["sequence"], row["variable"]) for row in readings] == [
        (n, variable) for n in range(1, SAMPLES + 1) for variable in ("temperature", "rssi")
    ]
    assert readings[-1]["value"] == -SAMPLES and readings[-1]["time"] == 1767322800000 + SAMPLES * 60000
    assert rows[-1]["kind"] == "summary" and rows[-1]["queued"] == 2 * SAMPLES
    assert done.stderr.splitlines() == [
        f"the program of the board on {board.port} is stopped while its queue is copied",
        "the board has been started again",
        f"{len(list((tmp_path / 'node-7').iterdir()))} files of the queue are in {tmp_path / 'node-7'}",
    ]
    board.wait_for_line("main.py runs", before)
    # the copy says the same, and so does the flash itself
    copy = run(tmp_path / "node-7", "--json")
    assert (copy.returncode, copy.stdout) == (0, done.stdout)
    board.board.power_cut()
    with image.mounted(board.flash, board.geometry) as filesystem:
        for path in (tmp_path / "node-7").iterdir():
            with filesystem.open(f"/queue/{path.name}", "rb") as file:
                assert file.read() == path.read_bytes()
    board.restart()


def test_a_table_for_people(board):
    done = run("--port", board.port)
    assert done.returncode == 0, done.stderr
    for words in ("temperature", "20.01", "-300", f"queued {2 * SAMPLES}"):
        assert words in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_the_watchdog_is_fed_while_it_takes_long(board, monkeypatch):
    """With parts so small that the copy would outlast a watchdog that nobody feeds."""
    files, queue = spool._SCRIPTS
    script = queue.read_text()
    slowed = board.flash.with_name("spool.py")
    assert "    with open" in script
    slowed.write_text(script.replace("    with open", "    import time\n    time.sleep_ms(400)\n    with open"))
    monkeypatch.setattr(spool, "_SCRIPTS", (files, slowed))
    monkeypatch.setattr(spool, "_SILENCE_MS", 2500)
    monkeypatch.setattr(spool, "_PART", 512)
    boots = len(board.boots)
    found = spool.fetch(board.port)
    assert sum(map(len, found.values())) > 512 * 8  # 3.2 s at the least
    board.wait(lambda: len(board.boots) > boots)
    assert board.boots[boots:].count(3) == 0  # WDT_RESET: it was a reset of ours that started it again


def test_a_part_that_is_garbled_is_asked_for_again(board, monkeypatch):
    garble = ["/queue/s1", "/queue/s1"]
    call = port.call

    def bad(transport, function, *arguments):
        answer = call(transport, function, *arguments)
        if function == "part" and arguments[0] in garble:
            garble.remove(arguments[0])
            return "AAAA" + answer[4:]
        return answer

    monkeypatch.setattr(port, "call", bad)
    monkeypatch.setattr(port, "_PROMPT_S", 60)  # a board that was started a moment ago, on a busy PC
    found = spool.fetch(board.port)
    assert not garble
    assert spoolreader.read_files(found).readings == 2 * SAMPLES
    garble += ["/queue/s1"] * 100
    with pytest.raises(spool.SpoolError, match="/queue/s1 does not arrive as the board has it: try another cable"):
        spool.fetch(board.port)


def empty_port() -> tuple[int, int, str]:
    ours, line = pty.openpty()
    return ours, line, os.ttyname(line)


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        ((), 2, "give PATH, or --port PORT for a connected board: one of them"),
        (("x", "--port", "/dev/ttyACM0"), 2, "give PATH, or --port PORT"),
        (("x", "--save", "y"), 2, "--save goes with --port: what is at PATH is a copy already"),
        (("--port", "/dev/ttyNOWHERE9"), 1, "there is no port /dev/ttyNOWHERE9: "),
        (("--port", "SILENT"), 1, "no MicroPython answers at SILENT: press the board's reset button"),
        (("--port", "FILE"), 1, "FILE is no serial port: name the one that the board is on"),
        (("--port", "SILENT", "--save", "FOLDER"), 1, "--save FOLDER: there is something already: name a new folder"),
        (("--port", "SILENT", "--save", "FILE"), 1, "--save FILE: there is something already: name a new folder"),
        (("--port", "SILENT", "--save", "FILE/x"), 1, "--save FILE/x: Not a directory: name another folder"),
        (("FOLDER",), 1, "FOLDER holds no spool: neither segments"),
        (("FOLDER/nothing",), 1, "No such file or directory"),
    ],
    ids=range(11),
)
def test_what_keeps_it_from_reading(arguments, status, words, tmp_path):
    ours, line, silent = empty_port()
    folder, file = tmp_path / "folder", tmp_path / "folder" / "file"
    folder.mkdir()
    file.write_text("x")

    def filled(text: str) -> str:
        return text.replace("SILENT", silent).replace("FOLDER", str(folder)).replace("FILE", str(file))

    try:
        done = run(*map(filled, arguments))
    finally:
        os.close(ours)
        os.close(line)
    assert done.returncode == status
    assert filled(words) in done.stderr and "Traceback" not in done.stderr


def test_a_board_without_a_queue():
    with boards.board({"/boot.py": "", "/main.py": "print('main.py runs')\n"}) as bare:
        bare.wait_for_line("main.py runs")
        before = len(bare.lines)
        done = run("--port", bare.port)
        assert done.returncode == 1
        assert "has no queue: it has not sampled yet, or it is no TagoNode (tagonode deploy)" in done.stderr
        bare.wait_for_line("main.py runs", before)


def test_a_board_that_goes_away(board, monkeypatch):
    call = port.call

    def pulled(transport, function, *arguments):
        if function == "part":
            transport.serial.close()
        return call(transport, function, *arguments)

    monkeypatch.setattr(port, "call", pulled)
    with pytest.raises(port.PortError, match=f"the board at {board.port} went away: check its cable"):
        spool.fetch(board.port)


def test_a_queue_of_newer_firmware(monkeypatch):
    monkeypatch.setattr(spool, "fetch", lambda where: {"s1": b"TnS\x09" + (0x12345678).to_bytes(4, "little")})
    monkeypatch.setattr(spoolreader.zlib, "crc32", lambda data, seed=0: 0x12345678)
    with pytest.raises(spool.SpoolError, match="the queue of the board at /dev/x: s1 is of format 9, written by newer"):
        spool.of_board("/dev/x")
