"""node.toml: what it becomes on the board, and what is said about mistakes in what readings pass through."""

import tomllib

import pytest
from tagonode import config

BASE = """
board = "pico_w"
[wifi]
networks = ["field"]
[[sensors]]
driver = "bme280"
bus = "i2c0"
"""


def settings(text: str) -> dict:
    return config.check(tomllib.loads(BASE + text), "node.toml").device_settings("TOKEN", "PASSWORD")


def problems(text: str) -> list[str]:
    with pytest.raises(config.ConfigError) as caught:
        config.check(tomllib.loads(BASE + text), "node.toml")
    return [line.removeprefix("node.toml: ") for line in caught.value.problems]


def test_a_channel_without_steps_is_three_fields():
    assert settings("")["sensors"][0]["channels"][0] == ["temperature", "°C", 2]
    assert "derived" not in settings("")


STEPS = (
    ("offset = -0.5", {"offset": -0.5}),
    ("scale = 1.02", {"scale": 1.02}),
    ("polynomial = [1, 0.5]", {"polynomial": [1, 0.5]}),
    ("minimum = -40\nmaximum = 85", {"minimum": -40, "maximum": 85}),
    ("alarm = {above = 30}", {"alarm": [30, None, 0]}),
    ("alarm = {above = 30, below = 1, hysteresis = 0.5}", {"alarm": [30, 1, 0.5]}),
    ("filters = [{median = 5}, {average = 3}]", {"filters": [["median", 5], ["average", 3]]}),
    ('filters = [{window = "mean", every = 600}]', {"filters": [["window", "mean", 600000]]}),
    ("filters = [{delta = 0.5, heartbeat = 0.25}]", {"filters": [["delta", 0.5, 250]]}),
)


@pytest.mark.parametrize("text, expected", STEPS)
def test_what_a_channel_becomes_on_the_board(text, expected):
    row = settings(f"[sensors.channels.humidity]\n{text}")["sensors"][0]["channels"][1]
    assert row == ["humidity", "%", 2, expected]


def test_names_units_decimals_interval_and_options():
    rows = settings(
        """every = 0.5
[sensors.channels.temperature]
variable = "t"
unit = "K"
decimals = 0
"""
    )["sensors"]
    assert rows[0]["every"] == 500
    assert rows[0]["channels"][0] == ["t", "K", 0]


def test_derived_readings_name_their_sources():
    text = """
[[derived]]
formula = "dew_point"
[[derived]]
formula = "sea_level_pressure"
options = {altitude = 120}
variable = "p0"
decimals = 1
offset = 1
[[derived]]
formula = "dew_point"
variable = "again"
of = ["temperature", "humidity"]
"""
    assert settings(text)["derived"] == [
        {"kind": "dew_point", "from": [0, 1], "channel": ["dew_point", "°C", 1]},
        {
            "kind": "sea_level_pressure",
            "from": [2, 0],
            "options": {"altitude": 120},
            "channel": ["p0", "hPa", 1, {"offset": 1}],
        },
        {"kind": "dew_point", "from": [0, 1], "channel": ["again", "°C", 1]},
    ]


def test_every_formula_has_a_unit():
    assert set(config._DERIVED_UNITS) == set(config._formulas())


CHANNEL = "[sensors.channels.humidity]\n"
WRONG = (
    (CHANNEL + "offst = 1", "sensors[1].channels.humidity.offst: unknown key; did you mean 'offset'?"),
    (CHANNEL + "filters = [{medan = 5}]", "sensors[1].channels.humidity.filters[1].medan: unknown key"),
    (CHANNEL + "filters = [{median = 1}]", "filters[1].median: 1 is out of range: give at least 2"),
    (CHANNEL + "filters = [{}]", "filters[1]: has to be exactly one of median, average, window, delta"),
    (CHANNEL + "filters = [{median = 3, average = 3}]", "has to be exactly one of"),
    (CHANNEL + 'filters = [{window = "mean"}]', "filters[1]: window needs every"),
    (CHANNEL + "filters = [{delta = 1}]", "filters[1]: delta needs heartbeat"),
    (CHANNEL + "filters = [{median = 3, every = 5}]", "filters[1]: window needs every, and nothing else has it"),
    (CHANNEL + 'filters = [{window = "avg", every = 5}]', "'avg' will not do: choose 'min', 'max', 'mean', 'last'"),
    (CHANNEL + "alarm = {}", "alarm: needs above or below"),
    (CHANNEL + "alarm = {above = 1, below = 2}", "alarm: below has to be less than above"),
    (CHANNEL + "alarm = {above = 1, hysteresis = -1}", "alarm.hysteresis: -1 is out of range: give at least 0"),
    (CHANNEL + "minimum = 5\nmaximum = 5", "humidity: minimum has to be less than maximum"),
    (CHANNEL + "polynomial = []", "polynomial: is empty"),
    ("every = 0", "sensors[1].every: 0 is out of range: give at least 0.02"),
    ("options = {speed = 1}", "sensors[1]: bme280 has no option 'speed'"),
    (
        '[[derived]]\nformula = "dewpoint"',
        "derived[1].formula: there is no formula 'dewpoint'; did you mean 'dew_point'?",
    ),
    ('[[derived]]\nformula = "battery_percent"', "derived battery_percent: no sensor gives 'voltage'; there are"),
    ('[[derived]]\nformula = "dew_point"\nof = ["temperature"]', "dew_point is made of temperature and humidity"),
    ('[[derived]]\nformula = "dew_point"\nof = ["temperature", "rh"]', "derived dew_point: no sensor gives 'rh'"),
    ('[[derived]]\nformula = "dew_point"\noptions = {altitude = 1}', "dew_point has no option 'altitude'"),
    ('[[derived]]\nformula = "dew_point"\nvariable = "humidity"', "derived humidity: there is a reading of that name"),
    ('[[derived]]\nformula = "dew_point"\n' * 2, "derived dew_point: there is a reading of that name"),
)


@pytest.mark.parametrize("text, expected", WRONG)
def test_a_mistake_is_named_with_its_remedy(text, expected):
    (line,) = problems(text)
    assert expected in line
