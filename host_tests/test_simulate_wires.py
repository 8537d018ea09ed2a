"""A virtual node whose sensors are on 1-Wire, pins, an ADC and a UART, in either port's names, delivers them all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness import commands

TAGONODE = Path(sys.executable).parent / "tagonode"

NODE = """
board = "{board}"
[wifi]
networks = ["field"]
# seven kinds of sensor are what a Pico W has room for; with health readings it is five
[health]
every = 0
[[sensors]]
driver = "ds18b20"
bus = "onewire:{onewire}"
options = {{ resolution = 10 }}
[[sensors]]
driver = "dht22"
bus = "pin:{dht}"
[sensors.channels.temperature]
variable = "temperature_of_air"
[[sensors]]
driver = "hx711"
bus = "pins:{hx711}"
options = {{ offset = 84213, scale = 21500 }}
[[sensors]]
driver = "analog"
bus = "adc:{soil}"
options = {{ mode = "soil", dry = 2.7, wet = 1.2 }}
[[sensors]]
driver = "analog"
bus = "adc:{ntc}"
options = {{ mode = "ntc", beta = 3435 }}
[sensors.channels.temperature]
variable = "temperature_of_soil"
[[sensors]]
driver = "pulse_counter"
bus = "pin:{rain}"
options = {{ factor = 0.2794, unit = "mm", per_s = 3600 }}
[[sensors]]
driver = "pms5003"
bus = "uart1"
"""
PINS = {
    "pico_w": {
        "onewire": "gp22",
        "dht": "gp15",
        "hx711": "gp20,gp21",
        "soil": "gp27",
        "ntc": "gp28",
        "rain": "gp14",
    },
    "esp32": {
        "onewire": "gpio23",
        "dht": "gpio25",
        "hx711": "gpio18,gpio19",
        "soil": "gpio35",
        "ntc": "gpio36",
        "rain": "gpio14",
    },
}
SAMPLES = 3


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Both at once, since they sleep most of the time: {board: its running command}."""
    running = {}
    for board, pins in PINS.items():
        config = tmp_path_factory.mktemp(board) / "node.toml"
        config.write_text(NODE.format(board=board, **pins))
        options = ("--samples", str(SAMPLES), "--sample-every", "4", "--upload-every", "8", "--json")
        running[board] = subprocess.Popen(
            [str(TAGONODE), "simulate", str(config), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("board", PINS)
def test_all_but_the_dust_of_the_first_half_minute(nodes, board):
    out, err = nodes[board].communicate(timeout=180)
    commands.show(out, err)
    result = json.loads(out.splitlines()[-1])
    assert nodes[board].returncode == 0
    said = result["last_error"]
    assert result["samples"] == SAMPLES
    # temperature, air (2), weight, moisture, the soil's temperature, count and rate; a busy PC may, as an interrupt
    # would, hold a load cell's clock high for too long, which costs that sample's weight (its driver is tested where
    # a pulse lasts as long as the test says: device/test_harness_wires.py)
    assert SAMPLES * 7 <= result["acknowledged"] == result["readings"] <= SAMPLES * 11
    assert "warming up" in said or "clock was high" in said
