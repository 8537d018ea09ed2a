"""Nodes that sleep between their samples, in virtual time under real MicroPython with the whole firmware.

Each scenario gives its figure; `make scenarios` prints them, and there some live longer.
"""

import os
from itertools import pairwise
from typing import Any

import pytest
from tagonode.virtual import board, image
from test_years import taken, worst
from virtualnode import FIGURES, VirtualNode

WHOLE = FIGURES in os.environ
START = 1782000123.4  # 2026-06-21
EVERY, UPLOAD = 60, 300
DUTY = {
    "duty": {"on": True},
    "sample": {"every": EVERY},
    "upload": {"every": UPLOAD},
    "remote": {"every": 0},
    "sensors": [
        {"driver": "bme280", "bus": "i2c0", "address": 0x76},
        {"driver": "battery", "bus": "battery"},
    ],
}


whole = pytest.mark.skipif(not WHOLE, reason="make scenarios has it; its rules are in device/test_agent_duty.py")


def sleeper(made: dict, **options: Any) -> VirtualNode:
    """A node whose place in the intervals is always the same."""
    return VirtualNode(made, unix=START, **options)


def settings(board_name: str, **sections) -> dict:
    made = {**DUTY, "board": board_name}
    for name, section in sections.items():
        made[name] = {**made[name], **section} if isinstance(made.get(name), dict) else section
    return made


def awake(node: VirtualNode) -> float:
    """Seconds in which it did not sleep."""
    return node.clock() - node.hardware.slept_s


def off_the_grid(node: VirtualNode, last: int, every: float = EVERY) -> float:
    """Seconds that the true time of the worst of the last samples is away from its point of the grid."""
    return max(abs((moment + every / 2) % every - every / 2) for moment in node.truth[-last:])


def lost(node: VirtualNode) -> set[int]:
    """Samples of those taken that are not there, the newest that wait left out."""
    there = set(taken(node))
    return set(range(1, max(there) + 1)) - there


@pytest.mark.parametrize(
    "name, wakes",
    [("pico_w", 200 if WHOLE else 60), ("esp32", 200 if WHOLE else 17)],
    ids=["light sleep", "deep sleep"],
)
def test_a_cycle_of_wakes(name, wakes):
    with sleeper(settings(name, duty={"stay": 90})) as node:
        hardware = node.hardware
        if name == "esp32":
            # the clock that it sleeps by is a poor one, and its start takes a while
            hardware.sleep_ppm, hardware.start_s = 3000, 1.2
        node.run(seconds=120)
        settled, told = len(node.truth), node.state["samples"]
        began, slept = node.clock(), hardware.slept_s
        node.run(seconds=wakes * EVERY, within=400)
        lived = node.clock() - began
        on = lived - (hardware.slept_s - slept)
        assert len(node.truth) - settled == wakes and node.state["samples"] - told == wakes
        assert lost(node) == set()
        # how poor a clock is has to be measured first, which takes ten minutes
        assert worst(node) < 3
        late = off_the_grid(node, wakes if name == "pico_w" else wakes - 30 if WHOLE else 2)
        assert late < 0.3
        links = node.state["handshakes"]
        assert abs(links - wakes * EVERY / UPLOAD) <= 2
        assert node.boots == ([] if name == "pico_w" else [board.DEEPSLEEP_RESET] * len(node.boots))
        assert on < wakes * 2.5
        node.check()
        upload = (node.relay.up + node.relay.down) / links
        assert upload < 8000
        node.figure(
            f"{wakes} wakes: {late * 1000:.0f} ms off the grid at most, {links} handshakes, "
            f"{upload:.0f} bytes a link, {on / wakes * 1000:.0f} ms awake a wake"
        )


# ---- bad days

BAD = 24 if WHOLE else 3  # hours of each


def test_no_network():
    with sleeper(settings("pico_w")) as node:
        node.run(hours=0.5)
        points, radio = node.hardware.radio.access_points, node.hardware.radio
        radio.access_points = []
        since, before = node.clock(), awake(node)
        node.run(hours=BAD, within=300)
        on = awake(node) - before
        tries = [at for at in node.said("sleeps again") if at > since]
        assert len(tries) <= BAD + 6 and tries[1] - tries[0] < 700
        assert on < len(tries) * 15 + BAD * 60
        assert node.state["samples"] >= 60 * (BAD + 0.5) - 2
        radio.access_points = points
        node.run_until(lambda: node.state["queued"] == 0, 3700, 60)
        assert lost(node) == set() and worst(node) < 1 and node.boots == []
        node.check()
        node.figure(f"{BAD} h without: {len(tries)} tries, {on / BAD:.0f} s awake an hour; all delivered afterwards")


@whole
def test_no_server():
    with sleeper(settings("pico_w", duty={"awake": 30})) as node:
        node.run(hours=0.5)
        node.offline()
        since, before = node.clock(), awake(node)
        node.run(hours=BAD, within=300)
        on = awake(node) - before
        tries = [at for at in node.said("sleeps again") if at > since]
        assert len(tries) <= BAD + 6
        assert on < len(tries) * 35 + BAD * 60
        node.online()
        node.run_until(lambda: node.state["queued"] == 0, 3700, 60)
        assert lost(node) == set() and worst(node) < 1 and node.boots == []
        node.check()
        node.figure(f"{BAD} h without: {len(tries)} tries, {on / BAD:.0f} s awake an hour; all delivered afterwards")


@whole
def test_no_time_for_many_wakes_and_two_starts():
    with sleeper(settings("esp32", duty={"stay": 0, "awake": 15}, queue={"commit_samples": 10})) as node:
        node.offline()
        node.run(seconds=330)
        assert node.state["samples"] == 5
        node.board.power_cut()
        node.board.power_on()
        node.run(seconds=400)
        node.online()
        node.run_until(lambda: node.records() and node.state["queued"] == 0, 1800, 30)
        rows = taken(node)
        assert sorted(rows) == list(range(1, len(rows) + 1)) and len(rows) > 10
        # of the start that ended before anybody told the time
        assert [rows[sequence] for sequence in range(1, 6)] == [None] * 5
        assert None not in [rows[sequence] for sequence in range(6, len(rows) + 1)]
        assert worst(node) < 0.1
        node.check()
        node.figure(
            f"{len(rows)} samples, the 5 of the lost start marked, the others {worst(node) * 1000:.0f} ms wrong"
        )


@pytest.mark.parametrize("name", ["pico_w", pytest.param("esp32", marks=whole)])
def test_an_alarm_is_sent_at_once_and_once(name):
    sensors = [{"driver": "battery", "bus": "battery", "channels": {"battery": {"alarm": {"below": 3.3}}}}]
    made = settings(name, sensors=sensors, upload={"every": 3600}, duty={"stay": 0})
    with sleeper(made) as node:
        pin = next(iter(node.hardware.adc))
        volts = [3.8]
        node.hardware.adc[pin] = lambda: volts[0] * 1e6 / 2
        node.run(seconds=200)
        links = node.state["handshakes"]
        volts[0] = 3.1
        node.run(seconds=300)
        alarms = [record for record in node.records() if record["variable"] == "battery_alarm"]
        assert [record["value"] for record in alarms] == [0, -1]
        assert node.state["handshakes"] == links + 1
        volts[0] = 3.6
        node.run(seconds=70)
        alarms = [record for record in node.records() if record["variable"] == "battery_alarm"]
        assert [record["value"] for record in alarms] == [0, -1, 0]
        node.check()
        node.figure("both of its changes are there a moment after the sample, with one link each")


@whole
def test_windows_go_on_in_deep_sleep():
    window = {"filters": [{"window": "mean", "every": 300}]}
    sensors = [{"driver": "battery", "bus": "battery", "channels": {"battery": window}}]
    with sleeper(settings("esp32", sensors=sensors, duty={"stay": 0})) as node:
        volts = iter(range(100))
        pin = next(iter(node.hardware.adc))
        level = [0.0]
        node.hardware.adc[pin] = lambda: level[0]

        def rise() -> None:
            level[0] = 2.0e6 - next(volts) * 5e4
            node.clock.at(node.clock() + 60, rise)

        rise()
        node.run(seconds=1600)
        values = [record["value"] for record in node.records() if record["variable"] == "battery"]
        # five minutes on a straight line: the means are five steps apart, but for those of before the time was known
        steps = [round(a - b, 2) for a, b in pairwise(values)][2:]
        assert len(steps) >= 1 and steps == [0.5] * len(steps)
        node.check()
        node.figure(f"{len(values)} means, each of five wakes")


@pytest.mark.parametrize("name", ["pico_w", pytest.param("esp32", marks=whole)])
def test_a_dead_sensor_and_a_power_cut_while_awake(name):
    with sleeper(settings(name, duty={"stay": 0})) as node:
        node.run(seconds=125)
        node.hardware.i2c[0].unplug(0x76)
        before, since = awake(node), node.clock()
        node.run(seconds=600)
        assert awake(node) - before < (node.clock() - since) / 60 * 2
        # in the middle of an upload, and right after a sample
        node.run_until(lambda: node.hardware.radio.active, 1000, 0.02)  # joining takes 0.03 s, all else no time
        node.run(0.06)
        node.power_cycle()
        node.run(seconds=700)
        node.run_until(lambda: node.state["queued"] == 0, 900, 30)
        assert lost(node) == set()
        node.check()
        node.figure(f"{len(taken(node))} samples of what is left, none lost, none twice")


@whole
def test_a_flash_that_takes_no_more():
    with sleeper(settings("pico_w", duty={"stay": 0})) as node:
        node.run(seconds=400)
        node.board.power_cut()
        with image.mounted(node.flash, node.geometry) as files, files.open("/mine", "wb") as file:
            file.write(bytes((node.geometry.blocks - files.used_block_count - 3) * 4096))
        node.board.power_on()
        before = awake(node)
        node.run(hours=1)
        assert awake(node) - before < 180 and not node.boots and not node.said("failed: ")
        node.figure(f"{max(0, awake(node) - before):.0f} s awake in an hour, no restart")


HANGS = """
import time
from drivers import Sensor

class BATTERY(Sensor):
    CHANNELS = (("battery", "V"),)
    BUS = "adc"

    def __init__(self, adc):
        self._adc = adc

    def _read(self):
        if self._adc.read_uv() < 500000:
            time.sleep(1000000)
        return (3.7,)
"""


@whole
def test_a_sensor_that_hangs_in_each_wake():
    """Its watchdog bites in the first wakes, safe mode follows; when it is well again, the node sleeps again, and ten
    wakes later all is forgotten."""
    made = settings(
        "esp32", duty={"stay": 0}, health={"every": 3600}, sensors=[{"driver": "battery", "bus": "battery"}]
    )
    with sleeper(made, files={"/lib/drivers/battery.py": HANGS.encode()}) as node:
        node.may_be_bitten = True
        pin = next(iter(node.hardware.adc))
        volts = [2e6]
        node.hardware.adc[pin] = lambda: volts[0]
        node.run(seconds=200)
        volts[0] = 0.0
        node.run(seconds=1000)
        assert node.boots.count(board.WDT_RESET) == 5 and len(node.said("safe mode after 5 crashes")) == 1
        volts[0] = 2e6
        node.run(seconds=3600)
        slept = node.hardware.slept_s
        node.run(seconds=780)
        assert node.hardware.slept_s - slept > 700
        crashes = [record["value"] for record in node.records() if record["variable"] == "crash"]
        assert crashes and all("watchdog" in crash for crash in crashes)
        node.board.power_cut()
        with image.mounted(node.flash, node.geometry) as files:
            assert "crashes" not in files.listdir("/")
        node.figure(f"5 bites, an hour of safe mode, {len(crashes)} crash events, then asleep again")
