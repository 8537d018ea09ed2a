"""A node that crashes: what it does about it, what arrives, and how it comes back; hours of it in virtual time, the
whole firmware under real MicroPython. Each scenario gives its figure.
"""

from datetime import datetime
from typing import Any

from tagonode import build, places
from tagonode.virtual import image
from virtualnode import WIFI_PASSWORD, VirtualNode

WDT_RESET, HARD_RESET = 3, 2
# In the place of a driver of ours, with a fault in it, which shows when the radio says FAULTY.
FAULTY = -111
START = 1767323120.0  # 2026-01-02T03:05:20Z
DRIVER = """
import time
from drivers import Sensor

class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("this driver's errors cannot be told")

class RSSI(Sensor):
    CHANNELS = (("rssi", "dBm"),)
    BUS = "wifi"
    reads = 0

    def __init__(self, wlan):
        self._wlan = wlan

    def _read(self):
        dbm = self._wlan.status("rssi")
        RSSI.reads += 1
        if dbm == FAULTY:
            FAULT
        return (dbm,)
"""


def faulty(fault: str) -> dict[str, bytes]:
    return {"/lib/drivers/rssi.py": DRIVER.replace("FAULTY", str(FAULTY)).replace("FAULT", fault).encode()}


class Node(VirtualNode):
    """A virtual node with health on and this fault in a driver, which shows at once unless told."""

    def __init__(self, fault: str, broken: bool = True, **options: Any):
        super().__init__({"health": {"every": 3600}}, files=faulty(fault), unix=START, **options)
        self._broken = broken

    def __enter__(self) -> "Node":
        super().__enter__()
        self.broken(self._broken)
        return self

    def broken(self, is_so: bool) -> None:
        self.hardware.radio.access_points[0].rssi = lambda: FAULTY if is_so else -60

    def told(self, variable: str) -> list[Any]:
        """What TagoIO has of this variable, in order of arrival."""
        return [record["value"] for record in self.records() if record["variable"] == variable]

    def files(self, folder: str = "/events") -> list[str]:
        """What lies on its flash. Its power has to be off."""
        with image.mounted(self.flash, self.geometry) as files:
            return sorted(files.listdir(folder))

    def deploy(self, files: dict[str, bytes], remove: tuple[str, ...] = ()) -> None:
        """As tagonode deploy leaves a board before its reset: all sent, the journal committed."""
        self.board.power_cut()
        sent = {"/incoming/" + path.replace("/", "|"): content for path, content in files.items()}
        journal = "".join([f"+{path}\n" for path in files] + [f"-{path}\n" for path in remove])
        self.write({**sent, "/incoming/commit": journal.encode()})
        self.board.power_on()

    def check(self) -> None:
        super().check()
        assert self.hardware.longest_unfed_s <= 8.388
        for record in self.records():
            assert self.token not in str(record["value"]) and WIFI_PASSWORD not in str(record["value"])


def test_a_sensor_task_that_crashes_each_minute():
    """Two of three samples are taken, the crash is told once a day, the watchdog is fed."""
    with Node("raise Unspeakable if RSSI.reads % 3 == 0 else SystemError") as node:
        node.run(hours=3)
        (crash,) = node.told("crash")
        assert crash.startswith('sampler failed: RuntimeError("this driver\'s errors cannot be told",);')
        assert "after start by power on" in crash and 'File "agent.sampler"' in crash
        restarts = node.told("restarts")
        assert restarts == sorted(restarts) and restarts[-1] > 50
        assert node.boots == []  # a task is no reason for a reset
        samples = len(node.told("battery"))
        assert samples > 100
        node.check()
        unfed = node.hardware.longest_unfed_s
        assert unfed < 2
        node.board.power_cut()
        kept = node.files()
        assert len(kept) == 2
        node.figure(f"3 h: {restarts[-1]} crashes, {samples} samples, told once, unfed for {unfed:.1f} s")


def test_a_task_that_blocks_for_ever():
    with Node("time.sleep(1000000)", broken=False) as node:
        node.run(hours=2)
        node.broken(True)
        node.run(69)
        node.broken(False)
        node.run(hours=1)
        assert node.boots == [WDT_RESET]
        (crash,) = [record for record in node.records() if record["variable"] == "crash"]
        assert crash["value"].startswith("reset by the watchdog: something blocked")
        assert node.told("event")[-1].startswith("started by watchdog: TagoNode ")
        assert node.told("reset_cause") == [1, 1, 3]
        node.check()
        unfed = node.hardware.longest_unfed_s
        late = (datetime.fromisoformat(crash["created_at"]) - datetime.fromisoformat(crash["time"])).total_seconds()
        assert late < 5
        samples = node.state["samples"]
        assert 179 <= samples <= 181
        node.figure(f"unfed for {unfed:.3f} s, record at TagoIO {late:.1f} s after, {samples} samples of 180")


def test_ten_crashes_in_a_row_then_a_deployment():
    """Five bites make safe mode; after its hour the node tries again, and crashes again; a deployment mends it."""
    with Node("time.sleep(1000000)") as node:
        node.run(hours=0.5)
        assert node.boots == [WDT_RESET] * 5
        assert node.told("event")[-1].startswith("safe mode after 5 crashes")
        assert len(node.told("battery")) == 0
        node.run(hours=1)
        assert node.boots == [WDT_RESET] * 5 + [HARD_RESET] + [WDT_RESET] * 5
        assert node.told("event")[-1].startswith("safe mode after 5 crashes")
        node.deploy(
            {"/lib/drivers/rssi.mpy": build.compile_module(places.DRIVERS / "rssi.py", "drivers.rssi")},
            remove=("/lib/drivers/rssi.py",),
        )
        node.broken(False)
        node.run(hours=1)
        assert node.told("event")[-1].startswith("started by power on")
        samples = len(node.told("battery"))
        assert samples >= 55
        node.check()
        node.board.power_cut()
        assert "crashes" not in node.files("/")
        node.figure(f"{len(node.boots)} resets, safe mode twice, {samples} samples in the hour after")
