"""What is said about mistakes in a node.toml: config_mistakes.txt has them with their exact texts."""

import re
from pathlib import Path

import pytest
from harness.places import HOST_TESTS
from tagonode import config

BASE = """board = "pico_w"

[wifi]
networks = ["field"]

[sample]
every = 60

[[sensors]]
driver = "bme280"
bus = "i2c0"
address = 0x76
"""
NODE = Path("node.toml")


def mistakes() -> dict[str, tuple[str, list[str]]]:
    """{what: (the whole file with the mistake in it, what is said)} of config_mistakes.txt."""
    found = {}
    text = (HOST_TESTS / "config_mistakes.txt").read_text(encoding="utf-8")
    for block in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        name, *lines = block.rstrip("\n").split("\n")
        old, new, said = ([line[2:] for line in lines if line == mark or line.startswith(mark + " ")] for mark in "-+=")
        assert len(old) + len(new) + len(said) == len(lines) and said and name not in found, name
        if old:
            before = "\n".join(old) + "\n"
            assert BASE.count(before) == 1, name
            found[name] = BASE.replace(before, "".join(line + "\n" for line in new)), said
        else:
            found[name] = BASE + "".join(line + "\n" for line in new), said
    return found


MISTAKES = mistakes()


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said_of(text: str) -> list[str]:
    """What is said of a node.toml of this text."""
    NODE.write_text(text, encoding="utf-8")
    with pytest.raises(config.ConfigError) as caught:
        config.load(NODE)
    return caught.value.problems


@pytest.mark.parametrize("text, expected", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake(text, expected):
    assert said_of(text) == expected


def test_there_are_many_and_each_is_another():
    assert len({re.sub(r"\d+|'.*?'", "", said[0]) for _, said in MISTAKES.values()}) >= 60
    assert all(re.match(r"node\.toml:\d+: ", line) for _, said in MISTAKES.values() for line in said)


def test_what_they_are_made_in_has_none():
    NODE.write_text(BASE)
    assert config.load(NODE).board == "pico_w"


MANY = """\
boerd = "pico"
[wifi]
networks = ["field", ""]
pasword = "x"
[sample]
evry = 0
[queue]
policy = "keep"
[[sensors]]
driver = "bme281"
bus = "i2c9"
adress = 0x80
options = {speed = 1}
[sensors.channels.humidity]
filters = [
  {median = 1},
  {windw = "mean", every = 600},
  {window = "avg"},
]
[[sensors]]
driver = "battery"
bus = "adc:gp22"
[[sensors]]
driver = "nothing like it"
[[derived]]
formula = "dewpoint"
decimals = 9
of = ["temperature"]
"""


def test_all_mistakes_are_told_at_once():
    """Also those behind a key, a board, a driver or a formula that has to be corrected first."""
    said = [re.sub("there is no driver 'nothing like it'; there are .*", "no driver", line) for line in said_of(MANY)]
    assert said == [
        "node.toml:1: boerd: unknown key; did you mean 'board'?",
        "node.toml:1: boerd: there is no board 'pico'; did you mean 'pico_w'?",
        "node.toml:3: wifi.networks[2]: is empty: fill it in",
        "node.toml:4: wifi.pasword: secrets do not belong in this file: set TAGONODE_TOKEN and TAGONODE_WIFI_PASSWORD, or "
        "write secrets.toml beside it",
        "node.toml:6: sample.evry: unknown key; did you mean 'every'?",
        "node.toml:6: sample.evry: 0 is out of range: give at least 0.02",
        "node.toml:8: queue.policy: 'keep' will not do: choose 'drop_oldest' or 'drop_newest'",
        "node.toml:10: sensors[1].driver: there is no driver 'bme281'; did you mean 'bme280'?",
        "node.toml:11: sensors[1].bus: bme280: pico_w has no bus 'i2c9'; did you mean 'i2c1'?",
        "node.toml:12: sensors[1].adress: unknown key; did you mean 'address'?",
        "node.toml:12: sensors[1].adress: address 0x80 is none of an I2C chip: give 0x08 to 0x77",
        "node.toml:13: sensors[1].options.speed: bme280 has no option 'speed'; it takes none",
        "node.toml:16: sensors[1].channels.humidity.filters[1].median: 1 is out of range: give at least 2",
        "node.toml:17: sensors[1].channels.humidity.filters[2].windw: unknown key; did you mean 'window'?",
        "node.toml:18: sensors[1].channels.humidity.filters[3].window: 'avg' will not do: choose 'min', 'max', "
        "'mean', 'last' or 'sum'",
        "node.toml:22: sensors[2].bus: battery: 'gp22' has no ADC that works while Wi-Fi is on: use one of gp26, gp27, "
        "gp28",
        'node.toml:23: sensors[3].bus: is missing: say where it is connected, bus = "i2c0" for example',
        "node.toml:24: sensors[3].driver: no driver",
        "node.toml:26: derived[1].formula: there is no formula 'dewpoint'; did you mean 'dew_point'?",
        "node.toml:27: derived[1].decimals: 9 is out of range: give at most 6",
        "node.toml:28: derived[1].of: dew_point is made of temperature and humidity: name one variable for each in `of`",
    ]
