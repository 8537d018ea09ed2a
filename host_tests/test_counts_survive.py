"""A virtual node with a counter whose power goes again and again: its total never goes back, no pulse counts twice."""

import random
import re
import time

import pytest
from harness.boards import board
from tagonode import build, config
from tagonode.simulate import settings_files
from tagonode.virtual.chips.rain_gauge import RainGauge
from tagonode.virtual.environment import Environment

PIN = {"pico_w": ("gp14", 14), "esp32": ("gpio14", 14)}
LIVES = 14
EVERY_S = 0.1
_SAID = re.compile(r"debug sample: .*, \[(\d+), ")


def settings(name):
    data = {
        "board": name,
        "wifi": {"networks": ["nowhere"]},
        "sample": {"every": EVERY_S},
        "log": {"level": "debug"},
        "sensors": [{"driver": "pulse_counter", "bus": f"pin:{PIN[name][0]}"}],
    }
    return config.check(data, "node").device_settings("no token", "no password")


@pytest.mark.parametrize("name", PIN)
def test_the_power_goes_again_and_again(name):
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    sensors = ({"driver": "pulse_counter", "bus": f"pin:{PIN[name][0]}"},)
    files = {**build.firmware_files(name, ["pulse_counter"]), **settings_files(settings(name))}
    with board(files, name, sensors) as node:
        contact = node.board.hardware.wires[PIN[name][1]]
        gauge = contact.parts[0] = RainGauge(Environment(rain=0.0), contact.clock)

        def counts(since):
            return [int(said[1]) for line in node.lines[since:] if (said := _SAID.search(line))]

        before = pulses = last = 0
        for life in range(LIVES):
            node.wait(lambda before=before: counts(before))
            first = counts(before)[0]
            assert last <= first <= last + pulses, f"seed {seed}, life {life}: {first} after {last} and {pulses} pulses"
            pulses = chance.randrange(4)
            tipped = len(node.lines)
            for _ in range(pulses):
                gauge.tip()
                time.sleep(0.1)  # closed for 60 ms of it
            if chance.random() < 0.5:
                node.wait(lambda tipped=tipped, wanted=first + pulses: wanted in counts(tipped))
            else:
                time.sleep(chance.uniform(0, EVERY_S))
            node.board.power_cut()
            seen = counts(before)
            assert seen == sorted(seen), f"seed {seed}, life {life}: {seen}"
            last, pulses = seen[-1], first + pulses - seen[-1]
            before = node.restart()
        assert last > 10
