"""Days and nights of a node's Wi-Fi and clock, in virtual time under real MicroPython with the whole firmware.

Each scenario gives its figure; `make scenarios` prints them.
"""

import os
import socket
import threading
import time
from datetime import datetime
from email.utils import formatdate
from itertools import pairwise

import deployrig
import pytest
from harness import certificates
from hostile.rig import WATCHDOG_S
from tagonode import build
from tagonode.virtual import board
from virtualnode import FIGURES, HOST, WIFI_PASSWORD, VirtualNode, write_down

DAY_S = 86400
MID_2026 = 1782000000.0  # 2026-06-21
BEFORE_CERTIFICATES = 946598400  # 1999-12-31: the stand-in's begin in 2000
SLOW = {"upload": {"every": 1800}}  # handshakes are what takes time here


def taken(node: VirtualNode, variable: str = "battery") -> dict[int, float | None]:
    """{sequence: Unix time, None when it went without} of what has arrived."""
    rows = {}
    for record in node.records():
        if record["variable"] == variable:
            said = record["metadata"].get("clock") if record.get("metadata") else None
            moment = datetime.fromisoformat(record["time"]).timestamp()
            rows[int(record["group"].rpartition("_")[2])] = None if said else moment
    return rows


def all_arrived(node: VirtualNode) -> bool:
    # what is taken meanwhile waits for its own turn
    return bool(node.state["acknowledged"]) and node.state["queued"] <= 5 * 31


def worst(node: VirtualNode) -> float:
    """How wrong the worst stamp is, in seconds."""
    return max(abs(moment - node.truth[sequence - 1]) for sequence, moment in taken(node).items() if moment)


# ---- Wi-Fi


def test_access_point_1_gone_2_used_1_back():
    with VirtualNode({**SLOW, "wifi": {"networks": ["first", "second"]}}) as node:
        radio = node.hardware.radio
        first, second = radio.access_points
        first.rssi = second.rssi = lambda: -61.0
        node.run(hours=0.5)
        assert radio._wanted[0] == "first"
        gone = node.clock()
        radio.access_points = [second]
        node.run_until(lambda: node.said("joined second"), 300)
        away = node.said("joined second")[0] - gone
        node.run(hours=0.5)
        back = node.clock()
        radio.access_points = [first, second]
        node.run_until(lambda: len(node.said("joined first")) == 2, 3600)
        returned = node.said("joined first")[1] - back
        node.run(hours=0.6)
        times = sorted(taken(node).items())
        assert [sequence for sequence, _ in times] == list(range(1, len(times) + 1))
        assert node.state["samples"] >= 60 and all_arrived(node)
        assert away < 30 and returned <= 610
        node.check()
        node.figure(f"on 2 after {away:.0f} s, on 1 again {returned:.0f} s after it is back, no sample missing")


def test_a_weak_access_point_is_left_for_a_better_one_known():
    with VirtualNode({**SLOW, "wifi": {"networks": ["first", "second"]}}) as node:
        first, second = node.hardware.radio.access_points
        node.run(hours=1)
        first.rssi, second.rssi = lambda: -88.0, lambda: -61.0
        node.run(hours=1)
        assert node.hardware.radio._wanted[0] == "second"
        first.rssi = lambda: -76.0  # better, and not yet good
        node.run(hours=1)
        assert node.hardware.radio._wanted[0] == "second"
        node.run(hours=4)
        joins = len(node.said("joined "))
        assert joins == 2
        node.check()
        node.figure(f"{joins} joins in 7 h")


@pytest.mark.parametrize("board_name", ["pico_w", "esp32"])
def test_reasons_and_rest_of_networks_that_cannot_be_joined(board_name):
    with VirtualNode({**SLOW, "board": board_name}) as node:
        radio = node.hardware.radio
        (point,) = radio.access_points
        reasons = []
        for change, wanted in (
            (lambda: setattr(point, "key", "another password 5"), "wrong password"),
            (lambda: setattr(point, "ssid", "elsewhere"), "no such network in reach"),
            (lambda: setattr(radio, "addresses", False), "no address given" if board_name == "pico_w" else "no answer"),
        ):
            point.key, point.ssid, radio.addresses = WIFI_PASSWORD, "field", True
            change()
            node.power_cycle()
            before = len(node.lines)
            node.run(hours=1)
            said = [line for _, line in node.lines[before:] if "could not join field" in line]
            assert said and all(wanted in line for line in said), said
            tries = len(said)
            assert tries >= 3600 / 330
            reasons.append(f"{wanted}: {tries} tries")
        assert len(node.boots) == 0  # nothing is wrong with the board
        node.check()
        node.figure("; ".join(reasons) + " in an hour each")


def test_a_wrong_password_is_corrected_by_a_deployment(tmp_path):
    """The command, by mpremote over the port, while the node complains; true time, for mpremote knows no other."""
    started = time.monotonic()
    with deployrig.rig(tmp_path) as rig:
        token = rig.cloud.device_token
        wrong = build.make(rig.node, rig.ca).files(token, "misspelt 8172")
        rig.fresh(more=dict(wrong), every=0.2)
        complaint = "could not join field: wrong password"
        rig.board.wait(lambda: [line for line in rig.board.lines if complaint in line])
        rig.board.wait(lambda: rig.states() and rig.states()[-1]["samples"] >= 4)  # it samples all the same
        assert rig.cloud.count(token) == 0
        before = len(rig.board.lines)
        done = rig.run()
        assert done.returncode == 0, done.stderr
        rig.wait_for_delivery(before)
        state = next(state for state in rig.states(before) if state["acknowledged"])
        assert state["acknowledged"] >= 3 * 4 and not state["dropped"]  # those from before, too
        unfed = rig.board.board.hardware.longest_unfed_s
        assert unfed < WATCHDOG_S
        took = time.monotonic() - started
        figure = f"it says {complaint!r}; deployed, and all {state['acknowledged']} readings arrive"
        write_down(rig.name, rig.board.board.hardware, took, rig.board.boots, took, figure)


def test_a_weak_signal_is_named():
    with VirtualNode() as node:
        (point,) = node.hardware.radio.access_points
        point.rssi, point.key = lambda: -91.0, "another password 5"
        node.run(60)
        node.figure("weak signal, -91 dBm")
        assert node.said("field: weak signal, -91 dBm: move the node or the access point")
        node.check()


@pytest.mark.parametrize("healed_by", ["deinit", "reset"])
def test_a_radio_that_does_not_answer(healed_by):
    with VirtualNode(SLOW) as node:
        node.run(hours=0.2)
        radio = node.hardware.radio
        radio.sick, since = healed_by, node.clock()
        node.run_until(lambda: not radio.sick, 3600, 10)
        healed = node.clock() - since
        node.run(hours=1)
        assert len(node.boots) == (healed_by == "reset")
        assert healed < (60 if healed_by == "deinit" else 1800)
        times = sorted(taken(node).items())
        assert [sequence for sequence, _ in times] == list(range(1, len(times) + 1)) and all_arrived(node)
        node.check()
        node.figure(f"healed after {healed:.0f} s by {'a power-cycle of the radio' if not node.boots else 'a reset'}")


def test_a_radio_that_is_broken_for_good_costs_no_sample():
    with VirtualNode(SLOW) as node:
        node.run(hours=0.2)
        node.hardware.radio.sick = "for ever"
        node.run(hours=4)
        resets = len(node.boots)
        assert node.state["samples"] >= 60 * 4.2 - 5 - 2 * resets
        assert 4 * 3600 / 2000 <= resets <= 4 * 3600 / 900
        node.check()
        node.figure(f"{node.state['samples']} samples kept, {resets} resets in 4 h")


def test_country_hostname_address_and_power_saving():
    fixed = {"address": "192.168.7.9/24", "gateway": "192.168.7.1", "power_save": "none", "dns": "127.0.0.1"}
    with VirtualNode({"wifi": {"country": "DE", "hostname": "beehive-7", **fixed}}) as node:
        node.run(60)
        radio = node.hardware.radio
        assert (radio.country, radio.hostname, radio.configured) == ("DE", "beehive-7", {"pm": 0})
        assert radio._address == ["192.168.7.9", "255.255.255.0", "192.168.7.1", "127.0.0.1"]
        assert node.said("joined field")
        node.figure("all of them reach the radio")


# ---- the network behind it


@pytest.mark.parametrize("health", [0, 3600], ids=["plain", "with health"])
def test_who_starts_a_node_sees_its_first_sample_soon(health):
    """Not with the next of upload.every, after a start and after a reset."""
    with VirtualNode({"upload": {"every": 300}, "health": {"every": health}}, unix=MID_2026 + 7) as node:
        seen = []
        for _ in range(3):
            since, before = node.clock(), len(taken(node))
            node.run_until(lambda: len(taken(node)) > before, 90)  # noqa: B023 - asked at once
            seen.append(node.clock() - since)
            node.power_cycle()
        assert max(seen) < 60 + 15 + 5
        node.run(hours=0.5)
        assert node.state["requests"] <= 8 + 2 * bool(health)  # and the others as ever
        node.check()
        node.figure(f"first sample at TagoIO {max(seen):.0f} s after the start, of one a minute")


# a slice in the suite; make scenarios has all of it
DAYS = 3 if FIGURES in os.environ else 0.5


def test_link_up_but_no_internet_for_three_days():
    with VirtualNode(SLOW) as node:
        node.run(hours=2)
        node.offline()
        since = node.clock()
        node.run(days=DAYS, within=200)
        assert node.boots == []  # an outage is no reason to start again
        assert len(node.said("joined")) == 1
        node.online()
        node.run_until(lambda: all_arrived(node), 7200, 60)
        recovered = node.clock() - since - DAYS * DAY_S
        rows = taken(node)
        assert sorted(rows) == list(range(1, len(rows) + 1))
        assert len(rows) >= (DAYS * 1440 + 120) - 35
        assert all(59 < b - a < 61 for a, b in pairwise(list(rows.values())[1:])) and worst(node) < 1
        node.check()
        node.figure(f"{len(rows)} samples, all delivered {recovered / 60:.0f} min after it is back, no restart")


class Portal:
    """A captive portal: answers every HTTP request by its page, and TLS with a certificate of its own."""

    def __init__(self, date: float):
        context = certificates.chain("self_signed", "portal.example").server_context()
        self.servers = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))]
        self.tls, self.plain = (server.getsockname()[1] for server in self.servers)
        self.asked: list[bytes] = []
        head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(date, usegmt=True)}\r\nContent-Length: 5\r\n\r\nLogin"

        def serve(server: socket.socket, tls: bool) -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    connection.settimeout(5)
                    if tls:
                        connection = context.wrap_socket(connection, server_side=True)
                    self.asked.append(connection.recv(4096))
                    connection.sendall(head.encode())
                except OSError:
                    pass
                finally:
                    connection.close()

        for server, tls in zip(self.servers, (True, False), strict=True):
            threading.Thread(target=serve, args=(server, tls), daemon=True).start()

    def __enter__(self) -> "Portal":
        return self

    def __exit__(self, *error: object) -> None:
        for server in self.servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()


@pytest.mark.parametrize("knows_time", [True, False], ids=["time known", "cold start"])
def test_captive_portal(knows_time):
    lie = MID_2026 + 400 * DAY_S
    with Portal(lie) as portal, VirtualNode(SLOW, unix=MID_2026) as node:
        relay = node.relay
        target = relay._target
        if knows_time:
            node.run(hours=1)
        node.board.power_cut() if not knows_time else None
        relay._target = ("127.0.0.1", portal.tls)
        node.ntp.stop()
        if not knows_time:
            node.set(clock__http=f"127.0.0.1:{portal.plain}")
            node.board.power_on()
        node.run(hours=3)
        assert portal.asked == [] or all(b"Device-Token" not in text for text in portal.asked)
        assert node.state["clock"] == (2 if knows_time else 0)
        if knows_time:
            assert "untrusted" in node.state["error"]
        kept = node.state["samples"]
        assert kept >= 60 * (3 + knows_time) - 2 and node.boots == []
        relay._target = target
        node.run_until(lambda: node.state["clock"] == 2 and all_arrived(node), 7200, 60)
        rows = taken(node)
        assert len(rows) >= kept - 35 and None not in rows.values()
        # on the grid of true minutes, whatever the portal said
        assert max(abs(moment - MID_2026) for moment in rows.values() if moment) < 10 * 3600
        node.check()
        node.figure(f"{kept} samples kept, the portal got no token, nobody believed its date")


# ---- the clock


@pytest.mark.parametrize("build", ["recent", "older than the certificate"])
def test_ntp_blocked_date_used(build):
    old = build != "recent"
    extra = {"build.time": BEFORE_CERTIFICATES} if old else {}
    with VirtualNode(SLOW, unix=time.time() + 3600, extra=extra, tls_clock=True, ppm=30) as node:
        node.board.power_cut()
        node.ntp.stop()
        node.set(clock__http=node.cloud.plain_url.removeprefix("http://"))
        node.board.power_on()
        node.run(hours=4)
        assert node.state["clock"] == 2
        assert bool(node.said("estimated by the Date of")) == old
        assert node.said("set by the Date of " + HOST)
        (first, *_) = node.said("set by the Date of")
        wrong = worst(node)
        assert wrong < 2
        assert all_arrived(node) and None not in taken(node).values()
        node.check()
        node.figure(
            f"known {first:.0f} s after power-on{', estimated before' * old}; stamps {wrong:.1f} s wrong at most"
        )


def test_no_time_for_three_days_and_two_reboots_then_sync():
    ppm = 40
    every = 60 if FIGURES in os.environ else 600  # as often in the table as in the field
    with VirtualNode({**SLOW, "sample": {"every": every}}, unix=MID_2026, ppm=ppm) as node:
        node.offline()
        node.ntp.stop()
        lost = 0
        for _ in range(2):
            node.run(days=0.5)
            lost = node.state["samples"]
            node.power_cycle()
        node.run(days=2, within=200)
        assert node.state["clock"] == 0 and node.boots == []
        node.online()
        node.run_until(lambda: node.state["clock"] == 2 and all_arrived(node), 3 * 3600, 60)
        rows = taken(node)
        assert sorted(rows) == list(range(1, len(rows) + 1)) and len(rows) >= (3 * 86400 - 2400) // every
        assert all(rows[sequence] is None for sequence in range(1, lost + 1))
        known = {sequence: moment for sequence, moment in rows.items() if moment is not None}
        assert sorted(known) == list(range(lost + 1, len(rows) + 1))
        late = node.clock.unix()
        over = [
            abs(moment - node.truth[sequence - 1]) - 2 - 50e-6 * (late - node.truth[sequence - 1])
            for sequence, moment in known.items()
        ]
        assert max(over) <= 0
        node.check()
        node.figure(
            f"{len(known)} samples at most {worst(node):.1f} s wrong (crystal {ppm} ppm), {lost} marked as without time"
        )


@pytest.mark.parametrize("days", [-1, 1])
def test_the_clock_steps_a_day(days):
    built = {"build.time": int(MID_2026) - 7 * DAY_S}
    with VirtualNode({**SLOW, "clock": {"every": 3600}}, unix=MID_2026, extra=built) as node:
        node.run(hours=1.5)
        truth = node.clock._start
        # all servers, and TagoIO, say so from now on
        node.clock._start = truth + days * DAY_S
        node.run(hours=3)
        node.clock._start = truth
        node.run(hours=3)
        rows = taken(node)
        assert sorted(rows) == list(range(1, len(rows) + 1)) and len(rows) >= 7.5 * 60 - 40
        assert node.state["dropped"] == node.state["damaged"] == 0 and all_arrived(node)
        arrived = [int(record["group"].rpartition("_")[2]) for record in node.records()]
        assert arrived == sorted(arrived)  # nothing overtook
        steps = [line for _, line in node.lines if "stepped by" in line]
        assert len(steps) == 2 and len(node.said("it has to be said twice")) == 2
        node.check()
        node.figure(f"{len(rows)} samples in order; {steps[0].rpartition(': ')[2]}, and back")


@pytest.mark.parametrize("ppm", [-45])
def test_a_bad_crystal_is_learnt_and_known_after_a_restart(ppm):
    with VirtualNode({**SLOW, "sample": {"every": 300}}, unix=MID_2026, ppm=ppm) as node:
        node.run(hours=25)
        assert node.said("corrected by")
        before = len(node.said("corrected by"))
        node.power_cycle()
        node.run(60)
        node.ntp.stop()
        start = len(node.truth)
        node.run(days=DAYS, within=200)
        rows = taken(node)
        wrong = max(
            abs(rows[sequence] - node.truth[sequence - 1]) for sequence in range(start + 1, max(rows)) if rows[sequence]
        )
        assert before <= 4 and node.state["clock"] == 2
        assert wrong < min(1.5, DAYS * 3.9 / 2)  # the crystal alone would be 3.9 s a day off
        node.check()
        node.figure(f"{wrong:.1f} s wrong after {DAYS} days without NTP, {DAYS * 3.9:.1f} s by the crystal alone")


# ---- the watchdog


BLOCKS = """
import time
from drivers import Sensor

class RSSI(Sensor):
    CHANNELS = (("rssi", "dBm"),)
    BUS = "wifi"
    reads = 0

    def __init__(self, wlan):
        pass

    def _read(self):
        RSSI.reads += 1
        if RSSI.reads % 20 == 0:
            FAULT
        return (-60,)
"""


@pytest.mark.parametrize("fault", ["while True: time.sleep_ms(10)", "time.sleep(9)"], ids=["for ever", "nine seconds"])
def test_a_task_that_blocks(fault):
    files = {"/lib/drivers/rssi.py": BLOCKS.replace("FAULT", fault).encode()}
    with VirtualNode(SLOW, unix=MID_2026, files=files) as node:
        node.may_be_bitten = True
        node.run(hours=1.5)
        bites = node.boots.count(board.WDT_RESET)
        assert bites == len(node.boots) >= 4
        times = sorted(node.truth)
        longest = max(b - a for a, b in pairwise(times))
        assert longest <= 121
        assert node.state["dropped"] == node.state["damaged"] == 0
        node.check()
        node.figure(f"{bites} bites in 1.5 h, never more than {longest:.0f} s between samples, nothing lost but theirs")


def test_names_that_stall():
    with VirtualNode(SLOW, extra={"ntp.servers": ["time.example"]}) as node:
        node.names.overrides["time.example"] = "127.0.0.1"
        node.names.silent = True
        node.clock.patience = 0
        node.run(hours=1)
        assert node.said("no time from time.example") and node.state["samples"] >= 58
        node.names.silent = False
        node.clock.patience = 5
        node.run(60)
        node.check()
        node.figure("every name takes two queries of two seconds, asked for beside all else")


# ---- the heap


HEAPS = [192, 208, 256, 384, 768] if FIGURES in os.environ else [192]


@pytest.mark.parametrize("heap_kib", HEAPS)
def test_the_heap_is_flat_over_a_day(heap_kib):
    with VirtualNode({**SLOW, "health": {"every": 300}}, heap_kib=heap_kib) as node:

        def least() -> int:
            """Free bytes after a collection at the worst moment since the start, as TagoIO was told last."""
            return [record["value"] for record in node.records() if record["variable"] == "heap_min"][-1]

        node.run(hours=1.6)
        first = least()
        node.run(hours=22.6, within=300)
        last = least()
        assert node.state["samples"] >= 1440 and node.boots == []
        node.check()
        node.figure(f"{first / 1024:.1f} KB free at the worst moment of the first hour, {last / 1024:.1f} of the day")
        assert last >= first - 1024
