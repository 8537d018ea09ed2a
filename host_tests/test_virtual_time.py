"""A virtual board's time that passes only when nothing runs: everything that waits, and what stands behind it."""

import datetime
import threading
import time
from itertools import pairwise

import pytest
import virtualnode
from tagonode.virtual import board, image, virtualtime, wiring

START = 1767322800.0  # 2026-01-02T03:00:00Z


class Bench:
    """A board of virtual time with this main.py; `lines`: (when, what it has printed)."""

    def __init__(self, folder, main: str, ppm: float = 0.0):
        guest = folder / "guest"
        guest.mkdir()
        for name, code in virtualnode.guest().items():
            (guest / name).write_bytes(code)
        self.lines: list[tuple[float, str]] = []
        self.boots: list[int] = []
        self.clock = virtualtime.VirtualTime(START, ppm)
        self.hardware = wiring.build_hardware("pico_w", [], {"field": "x"}, "127.0.0.1:53", "x", 1, clock=self.clock)
        flash, geometry = folder / "flash.img", image.GEOMETRIES["pico_w"]
        with image.mounted(flash, geometry) as files:
            image.write_tree(files, {"/boot.py": b"", "/main.py": main.encode()})
        self.board = board.VirtualBoard(
            flash, geometry, self.hardware, 128, guest, self._take, lambda cause: self.boots.append(cause)
        )

    def _take(self, line: str) -> None:
        self.lines.append((self.clock(), line))

    def __enter__(self) -> "Bench":
        self.board.power_on()
        return self

    def __exit__(self, *error: object) -> None:
        self.board.power_cut()
        assert self.board.failure is None


WAITS = """
import time, asyncio
def say(*what): print(*what)
for wait in (lambda: time.sleep(2), lambda: time.sleep_ms(500), lambda: time.sleep_us(2500)):
    start = time.ticks_ms(); wait(); say("slept", time.ticks_diff(time.ticks_ms(), start))
start = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), start) < 7: pass
say("spun")
async def tick(every, times):
    for _ in range(times):
        await asyncio.sleep_ms(every)
    say("ticked", every)
async def both():
    start = time.ticks_ms()
    await asyncio.gather(tick(1000, 86400), tick(60000, 1440))
    say("day", time.ticks_diff(time.ticks_ms(), start) // 10000)
    try:
        await asyncio.wait_for_ms(asyncio.Event().wait(), 5000)
    except asyncio.TimeoutError:
        say("timeout")
asyncio.run(both())
time.sleep(100000)
"""


def test_whatever_waits_takes_no_time(tmp_path):
    started = time.monotonic()
    with Bench(tmp_path, WAITS) as bench:
        bench.clock.run(days=1, seconds=10)
        said = [(round(at, 1), line) for at, line in bench.lines]
    assert said == [
        (2.0, "slept 2000"),
        (2.5, "slept 500"),
        (2.5, "slept 2"),
        (2.5, "spun"),
        (pytest.approx(86402.5, abs=2), "ticked 60000"),
        (pytest.approx(86402.5, abs=2), "ticked 1000"),
        (pytest.approx(86402.5, abs=2), "day 8640"),
        (pytest.approx(86407.5, abs=2), "timeout"),
    ]
    assert time.monotonic() - started < 60
    assert bench.clock() == pytest.approx(86410, abs=0.01)
    assert bench.clock.unix() == pytest.approx(START + 86410, abs=0.01)


def test_true_time_is_faster_than_a_slow_crystal(tmp_path):
    with Bench(tmp_path, "import time\ntime.sleep(1000000)", ppm=50) as bench:
        bench.clock.run(days=10)
        assert bench.clock.unix() - START == pytest.approx(864000 + 43.2, abs=0.01)


def test_it_stands_still_at_once_and_between_runs(tmp_path):
    with Bench(tmp_path, "import time\nwhile True:\n    time.sleep(1)\n    print('x')") as bench:
        bench.clock.run(0)
        assert (bench.clock(), bench.lines) == (0, [])
        bench.clock.run(4.5)
        time.sleep(0.05)
        assert len(bench.lines) == 4  # all that was printed has been read
        bench.clock.run(1)
        assert len(bench.lines) == 5


def test_events_come_at_their_moment(tmp_path):
    seen: list[tuple[float, int, str]] = []
    with Bench(tmp_path, "import time\nwhile True:\n    time.sleep(1)\n    print('x')") as bench:
        for at in (2.5, 1.25, 2.5):
            bench.clock.at(
                at, lambda: seen.append((bench.clock(), len(bench.lines), threading.current_thread().name[:5]))
            )
        bench.clock.run(2)
        assert [row[0] for row in seen] == [1.25]
        bench.clock.run(2)
    assert [row[0] for row in seen] == [1.25, 2.5, 2.5]
    assert seen[0][2] == "board"


SLEEPS = """
import machine, time
print("start", machine.reset_cause(), machine.RTC().datetime()[:7])
machine.RTC().datetime((2026, 5, 6, 2, 7, 8, 9, 0))
time.sleep(30)
print(machine.RTC().datetime()[:7])
machine.deepsleep(600000)
"""


def test_deep_sleep_and_the_rtc(tmp_path):
    with Bench(tmp_path, SLEEPS) as bench:
        bench.clock.run(1300)
    assert [at for at, _ in bench.lines] == pytest.approx([0, 30, 630, 660, 1260, 1290], abs=0.1)
    assert bench.lines[1][1] == "(2026, 5, 6, 2, 7, 8, 39)"
    assert bench.lines[2][1].endswith("(2026, 5, 6, 2, 7, 18, 39)")
    assert bench.boots == [board.DEEPSLEEP_RESET] * 3


@pytest.mark.parametrize(
    "trouble, late",
    [
        ("import asyncio; asyncio.run(asyncio.wait_for_ms(asyncio.Event().wait(), 60000))", 5),
        ("time.sleep(60)", 5),
        ("while time.ticks_diff(time.ticks_ms(), start) < 20000: pass", 5),
        ("import socket; socket.getaddrinfo('api.example', 443)", 5),
    ],
    ids=["awaits", "sleeps", "spins", "asks for a name"],
)
def test_the_watchdog_bites(tmp_path, trouble, late):
    main = "import machine, time\nw = machine.WDT(timeout=5000)\nfor _ in range(7):\n    time.sleep(4)\n    w.feed()\n"
    main += f"start = time.ticks_ms()\nprint('now')\n{trouble}\nprint('never')"
    with Bench(tmp_path, main) as bench:
        bench.clock.run(40)
        assert bench.boots == [board.WDT_RESET]
        assert [(round(at), line) for at, line in bench.lines] == [(28, "now")]
        assert bench.hardware.longest_unfed_s == pytest.approx(4, abs=0.01)
        bench.clock.run(22)
    assert [(round(at), line) for at, line in bench.lines] == [(28, "now"), (28 + late + 28, "now")]


def test_a_program_that_ends_is_told(tmp_path):
    ended = pytest.raises(virtualtime.TimeStopped, match=r"ended after 3\.0 s")
    with Bench(tmp_path, "import time\ntime.sleep(3)\nprint(3)") as bench, ended:
        bench.clock.run(60)


def test_an_hour_of_a_node():
    with virtualnode.VirtualNode() as node:
        node.run(hours=1)
        records = node.records()
        assert node.state["samples"] in (59, 60)
        assert node.state["acknowledged"] >= 5 * 54
        assert len(records) == node.state["acknowledged"]
        times = sorted({record["time"] for record in records})
        taken = [datetime.datetime.fromisoformat(t).timestamp() for t in times]
        assert {round(later - sooner, 2) for sooner, later in pairwise(taken[1:])} == {60}
        node.check()
