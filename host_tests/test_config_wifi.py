"""[wifi]: what a fixed address and a country have to look like, and what of it comes to the board."""

import pytest
from tagonode import build, config

NODE = {"sensors": [{"driver": "rssi", "bus": "wifi"}]}
FIXED = {"address": "192.168.1.50/24", "gateway": "192.168.1.1", "dns": "192.168.1.1"}


def wifi(**keys: str) -> config.NodeConfig:
    return config.check({**NODE, "wifi": {"networks": ["field"], **keys}}, "node.toml")


def test_what_comes_to_the_board() -> None:
    checked = wifi(country="DE", hostname="beehive-7", power_save="none", **FIXED)
    values = checked.device_settings("token", "password")
    assert values["wifi.networks"] == [["field", "password"]]
    assert (values["wifi.country"], values["wifi.hostname"], values["wifi.power_save"]) == ("DE", "beehive-7", "none")
    assert [values[f"wifi.{name}"] for name in FIXED] == list(FIXED.values())
    assert "/boards/_wifi.mpy" in build.firmware_files("pico_w", checked.drivers, settings=values)


def test_who_wants_nothing_special_has_no_code_for_it() -> None:
    checked = wifi()
    values = checked.device_settings("token", "password")
    assert "/boards/_wifi.mpy" not in build.firmware_files("pico_w", checked.drivers, settings=values)


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"country": "D1"}, "give its two letters"),
        ({"country": "D"}, "give its two letters"),
        ({"address": "192.168.1.50/24"}, "gateway is missing"),
        ({**FIXED, "dns": ""}, "dns is missing"),
        ({**FIXED, "address": "192.168.1.50"}, "is not in the network of address"),
        ({**FIXED, "address": "192.168.1.500/24"}, "192.168.1.50/24"),
        ({**FIXED, "gateway": "192.168.2.1"}, "192.168.2.1 is not in the network"),
        ({**FIXED, "dns": "router"}, "and the like"),
        ({"power_save": "some"}, "power_save"),
        ({"hostname": "x" * 33}, "hostname"),
    ],
)
def test_mistakes(keys: dict[str, str], words: str) -> None:
    with pytest.raises(config.ConfigError, match=words):
        wifi(**keys)


def test_wifi_itself_is_missing() -> None:
    with pytest.raises(config.ConfigError, match=r"wifi: is missing: add \[wifi\] with networks"):
        config.check(NODE, "node.toml")
