"""node.toml: what it becomes on the board, and what is said about mistakes in what readings pass through."""

import tomllib

import pytest
from tagonode import config, model
from tagonode.drivers import BUILT_IN

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
    ("filters = [{delta = 0.5, heartbeat = 1.25}]", {"filters": [["delta", 0.5, 1250]]}),
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


DECIMALS_OF = (("%", 2), ("µg/m³", 0), ("V", 3), ("", 3), ("my unit", 3))


@pytest.mark.parametrize("unit, decimals", DECIMALS_OF)
def test_decimals_are_those_of_the_unit_that_is_shown(unit, decimals):
    """CO2 in % would be 0 for ever with those of ppm."""
    own = f'unit = "{unit}"\n'
    rows = settings('[[sensors]]\ndriver = "scd4x"\nbus = "i2c1"\n[sensors.channels.co2]\noffset = 1\n' + own + NAMES)
    assert rows["sensors"][1]["channels"][0] == ["co2", unit, decimals, {"offset": 1}]
    battery = '[[sensors]]\ndriver = "battery"\nbus = "battery"\n[[derived]]\nformula = "battery_percent"\n'
    derived = settings(battery + 'of = ["battery"]\n' + own)["derived"][0]
    assert derived["channel"] == ["battery_percent", unit, 0 if unit == "%" else decimals]


FAHRENHEIT = '[sensors.channels.temperature]\nscale = 1.8\noffset = 32\nunit = "°F"\n'
ANOTHER = '[[sensors]]\ndriver = "sht4x"\nbus = "i2c0"\n[sensors.channels]\n' + (
    'temperature = {variable = "t"}\nhumidity = {variable = "h"}\n'
)
SCALED = (
    ("pressure", 100, "Pa", 0),
    ("pressure", 0.1, "kPa", 3),
    ("temperature", 1.8, "°F", 2),
    ("humidity", -0.01, "", 4),
    ("humidity", 1e-9, "", 6),
    ("humidity", 1e9, "", 0),
    ("humidity", 0, "", 3),
    ("humidity", 0.001, None, 5),
)


@pytest.mark.parametrize("channel, scale, unit, decimals", SCALED, ids=[f"{row[0]} {row[1]}" for row in SCALED])
def test_a_scale_moves_the_decimals_that_the_sensor_resolves(channel, scale, unit, decimals):
    """A pressure in kPa with those of hPa would be ten times as coarse as the sensor."""
    own = "" if unit is None else f'unit = "{unit}"\n'
    rows = settings(f"[sensors.channels.{channel}]\nscale = {scale}\n{own}")["sensors"][0]["channels"]
    (row,) = [row for row in rows if row[0] == channel]
    assert row[1:3] == ["%" if unit is None else unit, decimals]
    told = settings(f"[sensors.channels.{channel}]\nscale = {scale}\ndecimals = 1\n{own}")["sensors"][0]["channels"]
    assert [row[2] for row in told if row[0] == channel] == [1]


def test_names_of_health_readings():
    """Refused by default, as health.every is; a sensor's very own is taken: the board leaves out its own then."""
    derived = '[[derived]]\nformula = "dew_point"\nvariable = "Restarts"\n'
    assert "health readings have 'restarts'" in problems(derived)[0]
    settings(derived + "[health]\nevery = 0\n")
    settings('[sensors.channels.humidity]\nvariable = "restarts"\n')


def test_formulas_take_units_that_have_another_name():
    """Not units that they do not know: what nobody converted is what the driver gives."""
    settings('[sensors.channels.temperature]\nunit = "Celsius"\n[[derived]]\nformula = "dew_point"\n')
    settings('[sensors.channels.temperature]\noffset = -0.5\nunit = "C"\n[[derived]]\nformula = "dew_point"\n')
    settings('[sensors.channels.temperature]\nscale = 1.01\n[[derived]]\nformula = "dew_point"\n')
    settings(FAHRENHEIT + '[[derived]]\nformula = "sea_level_pressure"\nof = ["pressure", "t"]\n' + ANOTHER)


def test_units_of_all_arguments_of_formulas_are_known():
    for formula in model.DERIVED_UNITS:
        assert set(model.Derived(formula=formula).arguments()[0]) <= set(model.ARGUMENT_UNITS)


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
    assert set(model.DERIVED_UNITS) == set(model.formulas())


NAMES = '[sensors.channels.temperature]\nvariable = "t"\n[sensors.channels.humidity]\nvariable = "h"\n'
CHANNEL = "[sensors.channels.humidity]\n"
WRONG = (
    (CHANNEL + "offst = 1", "sensors[1].channels.humidity.offst: unknown key; did you mean 'offset'?"),
    (CHANNEL + "filters = [{medan = 5}]", "sensors[1].channels.humidity.filters[1].medan: unknown key"),
    (CHANNEL + "filters = [{median = 1}]", "filters[1].median: 1 is out of range: give at least 2"),
    (CHANNEL + "filters = [{}]", "filters[1]: has to be exactly one of median, average, window, delta"),
    (CHANNEL + "filters = [{median = 3, average = 3}]", "has to be exactly one of"),
    (CHANNEL + 'filters = [{window = "mean"}]', "filters[1]: window needs every"),
    (
        CHANNEL + 'filters = [{window = "mean", every = 0.0004}]',
        "filters[1].every: 0.0004 is out of range: give at least 1",
    ),
    (CHANNEL + "filters = [{delta = 1, heartbeat = 0.9}]", "[1].heartbeat: 0.9 is out of range: give at least 1"),
    (CHANNEL + "filters = [{delta = 1}]", "filters[1]: delta needs heartbeat"),
    (CHANNEL + "filters = [{median = 3, every = 5}]", "filters[1]: window needs every, and nothing else has it"),
    (CHANNEL + 'filters = [{window = "avg", every = 5}]', "'avg' will not do: choose 'min', 'max', 'mean', 'last'"),
    (CHANNEL + "alarm = {}", "alarm: needs above or below"),
    (CHANNEL + "alarm = {above = 1, below = 2}", "alarm: below has to be less than above"),
    (CHANNEL + "alarm = {above = 5, below = 2, hysteresis = 3}", "hysteresis has to be less than above - below, 3"),
    (CHANNEL + "alarm = {above = 1, hysteresis = -1}", "alarm.hysteresis: -1 is out of range: give at least 0"),
    (CHANNEL + "minimum = 5\nmaximum = 5", "humidity: minimum has to be less than maximum"),
    (CHANNEL + "polynomial = []", "polynomial: is empty"),
    ("every = 0", "sensors[1].every: 0 is out of range: give at least 0.02"),
    ("options = {speed = 1}", "sensors[1].options.speed: bme280 has no option 'speed'"),
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
    (
        FAHRENHEIT + '[[derived]]\nformula = "dew_point"',
        "derived[1].formula: derived dew_point: dew_point takes temperature in °C, and 'temperature' is in °F: let "
        "`scale` and `offset` of its channel make °C of it, or leave them",
    ),
    (
        '[[derived]]\nformula = "dew_point"\nof = ["humidity", "humidity"]',
        "derived dew_point: dew_point takes temperature in °C, and 'humidity' is in %",
    ),
)


@pytest.mark.parametrize("text, expected", WRONG)
def test_a_mistake_is_named_with_its_remedy(text, expected):
    (line,) = problems(text)
    assert expected in line


def on_board(board: str, *sensors: str) -> config.NodeConfig:
    """A node of these sensors: "driver bus" each, and more lines of TOML after a semicolon."""
    text = f'board = "{board}"\n[wifi]\nnetworks = ["field"]\n'
    for index, sensor in enumerate(sensors):
        driver, bus, *more = sensor.replace(";", " ;", 1).split(" ", 2)
        text += (
            f'[[sensors]]\ndriver = "{driver}"\nbus = "{bus}"\n' + "".join(more).lstrip(";").replace(";", "\n") + "\n"
        )
        for variable, _ in BUILT_IN.find(driver).channels({}) if driver in BUILT_IN.names() else ():
            text += f'[sensors.channels.{variable}]\nvariable = "{variable}_{index}"\n'
    return config.check(tomllib.loads(text), "node.toml")


GOOD_BUSES = (
    ("pico_w", "bme280 i2c0", "sht4x i2c0", "bme280 i2c1", "battery battery", "rssi wifi"),
    ("pico_w", "battery vsys", "battery adc:gp27", "pms5003 uart1", "dht22 pin:gp15", "hx711 pins:gp20,gp21"),
    (
        "pico2_w",
        'ds18b20 onewire:gp22;address = "28ff641e8316034c"',
        "ds18b20 onewire:gp22;address = 0x28ff641e8316034d",
    ),
    ("pico_w", "ds18b20 onewire:gp22", "ds18b20 onewire:gp21"),
    ("pico_w", "dht22 pin:gp6", "bme280 i2c0"),  # a pin of i2c1, which nobody uses
    ("esp32", "battery battery", "battery adc:gpio39", "ds18b20 onewire:gpio4", "pms5003 uart1"),
    ("esp32s3", "bme280 i2c1", "hx711 pins:gpio4,gpio5"),
    ("esp32c3", "bme280 i2c0", "pulse_counter pin:gpio3"),
    ("virtual", "dht22 pin:gpio31", "battery adc:gpio15"),
)


@pytest.mark.parametrize("board, sensors", [(row[0], row[1:]) for row in GOOD_BUSES])
def test_what_a_board_has(board, sensors):
    rows = on_board(board, *sensors).device_settings("TOKEN", "PASSWORD")["sensors"]
    assert [row["bus"] for row in rows] == [sensor.split(" ")[1].split(";")[0] for sensor in sensors]


def test_a_bus_is_written_as_the_board_reads_it():
    rows = config.check(
        tomllib.loads(BASE.replace("i2c0", "I2C0") + '[[sensors]]\ndriver = "hx711"\nbus = "Pins: GP20, GP21"'), "x"
    ).device_settings("TOKEN", "PASSWORD")["sensors"]
    assert [row["bus"] for row in rows] == ["i2c0", "pins:gp20,gp21"]


NO_PIN = "that is free for sensors: there are"
WRONG_BUSES = (
    ("pico_w", "bme280 i2c9", "bme280: pico_w has no bus 'i2c9'; did you mean 'i2c1'?"),
    ("esp32c3", "bme280 i2c1", "bme280: esp32c3 has no bus 'i2c1'; did you mean 'i2c0'?"),
    ("esp32", "battery vsys", "battery: esp32 has no bus 'vsys'; there are battery, i2c0, i2c1, uart1, wifi"),
    ("pico_w", "bme280 battery", 'bme280 does not work on \'battery\': use "i2c0" or "i2c1"'),
    ("pico_w", "bme280 adc:gp26", 'bme280 does not work on \'adc:gp26\': use "i2c0" or "i2c1"'),
    ("pico_w", "battery i2c0", 'battery does not work on \'i2c0\': use "battery" or "vsys" or "adc:gp28"'),
    ("pico_w", "rssi i2c0", "rssi does not work on 'i2c0': use \"wifi\""),
    ("pico_w", "ds18b20 pin:gp22", "ds18b20 does not work on 'pin:gp22': use \"onewire:gp22\""),
    ("pico_w", "dht22 onewire:gp22", "dht22 does not work on 'onewire:gp22': use \"pin:gp22\""),
    ("pico_w", "hx711 pin:gp22", "hx711 does not work on 'pin:gp22': use \"pins:gp21,gp22\""),
    ("pico_w", "pms5003 i2c0", "pms5003 does not work on 'i2c0': use \"uart1\""),
    ("pico_w", "dht22 pins:gp22", "dht22: 'pins:gp22': give two pins, joined by a comma"),
    ("pico_w", "hx711 pins:gp22,gp22", "hx711: 'pins:gp22,gp22': give two pins"),
    ("pico_w", "dht22 pin:gp22,gp21", "dht22: 'pin:gp22,gp21': give one pin"),
    ("pico_w", "dht22 spi:gp22", "dht22: there is no kind of bus 'spi'; did you mean 'pin'?"),
    (
        "pico_w",
        "dht22 gp22",
        'dht22: \'gp22\' is a pin: say how it is used, "pin:gp22" or "onewire:gp22" or "adc:gp22"',
    ),
    ("pico_w", "dht22 pin:gp23", f"dht22: pico_w has no pin 'gp23' {NO_PIN} gp0-gp22 gp26-gp28"),
    ("pico_w", "dht22 pin:gpio22", f"dht22: pico_w has no pin 'gpio22' {NO_PIN}"),
    ("esp32", "dht22 pin:gpio6", f"dht22: esp32 has no pin 'gpio6' {NO_PIN} gpio4-gpio5 gpio13-gpio19"),
    ("esp32", "dht22 pin:gpio12", f"dht22: esp32 has no pin 'gpio12' {NO_PIN}"),
    ("esp32", "pulse_counter pin:gpio34", f"pulse_counter: esp32 has no pin 'gpio34' {NO_PIN}"),
    ("esp32s3", "dht22 pin:gpio48", f"dht22: esp32s3 has no pin 'gpio48' {NO_PIN}"),
    (
        "pico_w",
        "battery adc:gp22",
        "battery: 'gp22' has no ADC that works while Wi-Fi is on: use one of gp26, gp27, gp28",
    ),
    ("pico_w", "battery adc:gp29", "battery: 'gp29' has no ADC that works while Wi-Fi is on"),
    ("esp32", "battery adc:gpio25", "'gpio25' has no ADC that works while Wi-Fi is on: use one of gpio32, gpio33"),
    ("esp32s3", "battery adc:gpio11", "'gpio11' has no ADC that works while Wi-Fi is on: use one of gpio1, gpio2"),
    ("esp32c3", "battery adc:gpio5", "'gpio5' has no ADC that works while Wi-Fi is on: use one of gpio0, gpio1"),
    ("pico_w", "bme280 i2c0;address = 0x80", "address 0x80 is none of an I2C chip: give 0x08 to 0x77"),
    (
        "pico_w",
        'bme280 i2c0;address = "76"',
        "address '76' is none of an I2C chip: give a number from 0x08 to 0x77, without quotes",
    ),
    ("pico_w", "rssi wifi;address = 9", "rssi has no address: leave it out"),
    (
        "pico_w",
        'ds18b20 onewire:gp22;address = "28ff"',
        "address '28ff' is no ROM code: give its 16 hexadecimal digits",
    ),
)


@pytest.mark.parametrize("board, sensor, expected", WRONG_BUSES)
def test_a_bus_that_is_not_there(board, sensor, expected):
    with pytest.raises(config.ConfigError) as caught:
        on_board(board, sensor)
    (line,) = caught.value.problems
    assert expected in line


TAKEN = (
    ("dht22 pin:gp15", "pulse_counter pin:gp15", "dht22 and pulse_counter are both on pin:gp15: move one of them"),
    ("pms5003 uart1", "pms5003 uart1", "pms5003 and pms5003 are both on uart1"),
    ("battery vsys", "battery vsys", "battery and battery are both on vsys"),
    ("bme280 i2c0", "dht22 pin:gp4", "bme280 on i2c0 and dht22 on pin:gp4 both use gp4: give one of them another pin"),
    ("dht22 pin:gp7", "bme280 i2c1", "dht22 on pin:gp7 and bme280 on i2c1 both use gp7"),
    ("battery battery", "battery adc:gp26", "battery on battery and battery on adc:gp26 both use gp26"),
    ("hx711 pins:gp20,gp21", "hx711 pins:gp19,gp21", "both use gp21"),
    ("hx711 pins:gp20,gp21", "ds18b20 onewire:gp20", "both use gp20"),
    (
        "ds18b20 onewire:gp22",
        "ds18b20 onewire:gp22",
        "several sensors are on onewire:gp22: give each of them its address",
    ),
    (
        'ds18b20 onewire:gp22;address = "28ff641e8316034c"',
        'ds18b20 onewire:gp22;address = "28ff641e8316034c"',
        "ds18b20 and ds18b20 are both at 28ff641e8316034c on onewire:gp22",
    ),
    ("bme280 i2c0", "bmp280 i2c0", "bme280 and bmp280 are both at 0x76 on i2c0"),
)


@pytest.mark.parametrize("one, other, expected", TAKEN)
def test_a_pin_that_is_taken(one, other, expected):
    with pytest.raises(config.ConfigError) as caught:
        on_board("pico_w", one, other)
    (line,) = caught.value.problems
    assert expected in line


def test_channels_follow_the_options():
    rows = on_board("pico_w", "hx711 pins:gp20,gp21").device_settings("TOKEN", "PASSWORD")["sensors"]
    assert rows[0]["channels"] == [["raw_0", "", 3]]
    weighed = 'driver = "hx711"\nbus = "pins:gp20,gp21"\noptions = {scale = 2000.0}'
    assert settings(f"[[sensors]]\n{weighed}")["sensors"][1]["channels"] == [["weight", "kg", 3]]


def test_options_that_a_driver_refuses():
    (line,) = problems('[[sensors]]\ndriver = "hx711"\nbus = "pins:gp20,gp21"\noptions = {gain = 3}')
    assert "sensors[2].options: hx711: its options will not do: HX711: gain is 128, 64 or 32" in line
    (line,) = problems('[[sensors]]\ndriver = "battery"\nbus = "battery"\noptions = {adc = 3}')
    assert "battery has no option 'adc'" in line


@pytest.mark.parametrize("board", config.places.boards())
def test_tables_of_a_board(board):
    buses = config.board_buses(board)
    assert {"i2c0", "uart1", "battery", "wifi"} <= set(buses.fixed)
    assert buses.fixed["battery"][0] in buses.adc
    for name, pins in buses.fixed.items():
        assert set(pins) <= {*buses.pins, *buses.adc}, name
    every = [pin for pins in buses.fixed.values() for pin in pins]
    assert len(every) == len(set(every))
