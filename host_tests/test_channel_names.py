"""Two sensors with a channel of one name in one node: it is said, and what the drivers' README says of it works."""

import json
import re
import sys
from pathlib import Path

import pytest
from harness import commands
from tagonode import config, places

TAGONODE = Path(sys.executable).parent / "tagonode"
README = places.DRIVERS / "README.md"


@pytest.fixture
def example() -> str:
    (found,) = re.findall(r"^```toml node\.toml\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return found


def test_as_the_readme_says_both_deliver(example, tmp_path):
    node = tmp_path / "node.toml"
    node.write_text(example)
    done = commands.run(
        *(TAGONODE, "simulate", node, "--samples", 3, "--sample-every", "0.2", "--upload-every", "0.4", "--json"),
        timeout=120,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    # battery_voltage, state_of_charge; panel_voltage, current, power; the first pass may come before a chip is ready
    assert (done.returncode, result["samples"], result["delivered"]) == (0, 3, True), done.stderr
    assert 13 <= result["acknowledged"] <= 15


def test_in_short(example, tmp_path):
    node = tmp_path / "node.toml"
    for names in re.findall(r"^\[sensors\.channels\.voltage\]\nvariable = (.*)$", example, re.MULTILINE):
        example = example.replace(
            f"[sensors.channels.voltage]\nvariable = {names}", f"channels.voltage.variable = {names}"
        )
    assert "[sensors.channels" not in example
    node.write_text(example)
    rows = [row[0] for sensor in config.load(node).model.sensors for row in sensor.device_channels()]
    assert rows == ["battery_voltage", "state_of_charge", "panel_voltage", "current", "power"]


def test_without_a_name_of_its_own_it_is_said(example, tmp_path):
    node = tmp_path / "node.toml"
    node.write_text(re.sub(r"^\[sensors\.channels\.voltage\]\nvariable = .*\n", "", example, flags=re.MULTILINE))
    with pytest.raises(config.ConfigError) as raised:
        config.load(node)
    (problem,) = raised.value.problems
    assert "'voltage'" in problem and "max17048" in problem and "ina219" in problem and "variable" in problem
