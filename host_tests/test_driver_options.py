"""Options that would make a driver give wrong values, or none for years, are refused before a node is built."""

import pytest
from tagonode.drivers import BUILT_IN

NUMBER, WHOLE, BOOL, TEXT = "a number", "a whole number", "true or false", "a text"
NAN, INFINITY = float("nan"), float("inf")

REFUSED = {
    "bh1750": [({"measurement_time": 31}, "measurement_time")],  # which a loss of power would undo
    "ads1115": [
        *[({"full_scale": value}, "choose 6.144") for value in (0, 4, -4.096, 1e30)],
        *[({"full_scale": value}, NUMBER) for value in ("4.096", NAN, INFINITY, False, [])],
    ],
    "analog": [
        ({"mode": "soli"}, "mode is voltage, soil or ntc"),
        ({"mode": 1}, TEXT),
        *[({"ratio": value}, "more than 0") for value in (0, -1)],
        ({"ratio": "2"}, NUMBER),
        ({"mode": "soil", "dry": 1, "wet": 1.0}, "two voltages"),
        *[({"mode": "ntc", name: 0}, "more than 0") for name in ("series_ohms", "ohms_25", "beta", "supply")],
        *[({"mode": "ntc", "steinhart_hart": value}, "[a, b, c]") for value in ([1], [1, 2, 3, 4])],
        ({"high_side": "no"}, BOOL),
        ({"reference": -3.3}, "more than 0"),
    ],
    "battery": [({"ratio": 0}, "more than 0"), ({"ratio": -2}, "more than 0"), ({"ratio": "two"}, NUMBER)],
    "ds18b20": [
        *[({"resolution": value}, "9 … 12 bits") for value in (8, 13)],
        *[({"resolution": value}, WHOLE) for value in ("12", 10.5)],
    ],
    "hx711": [
        ({"gain": 127}, "128, 64 or 32"),
        ({"gain": 128.0}, WHOLE),
        ({"scale": 0}, "not 0"),
        ({"scale": "1"}, NUMBER),
        ({"offset": "x"}, NUMBER),
    ],
    "ina219": [
        *[({name: value}, "more than 0") for name in ("shunt_ohms", "max_amperes") for value in (0, -0.1)],
        ({"shunt_ohms": "0.1"}, NUMBER),
    ],
    "pulse_counter": [
        ({"debounce_ms": -5}, "0 or more"),
        ({"debounce_ms": 2.5}, WHOLE),
        ({"factor": 0}, "not 0"),
        *[({"factor": value}, NUMBER) for value in ("0.28", NAN, INFINITY)],
        *[({"per_s": value}, "more than 0") for value in (0, -60)],
        *[({"per_s": value}, WHOLE) for value in ("min", 0.5)],
        ({"total": -5}, "0 or more"),
        *[({"total": value}, WHOLE) for value in (1.5, "9")],
        ({"unit": 5}, TEXT),
    ],
    "scd4x": [
        *[({"altitude": value}, "0 … 3000 m") for value in (-1, 3001, 65536)],
        *[({"altitude": value}, WHOLE) for value in (1600.5, "1600", True)],
    ],
    "pms5003": [({"standard": "no"}, BOOL), ({"standard": 1}, BOOL)],
}
TAKEN = {
    "ads1115": ({"full_scale": 0.256}, {"full_scale": 6.144}),
    "analog": (
        {"ratio": 11},
        {"mode": "soil", "dry": 1.0, "wet": 2.9},
        {"mode": "ntc", "steinhart_hart": [1.1e-3, 2.3e-4, 8.8e-8], "high_side": True},
    ),
    "battery": ({"ratio": 1}, {"ratio": 5.7, "reference": 3.0}),
    "ds18b20": ({"resolution": 9},),
    "hx711": ({"gain": 32}, {"offset": -84213, "scale": -21500}),  # a cell that is mounted upside down
    "ina219": ({"shunt_ohms": 0.00075, "max_amperes": 100}, {"max_amperes": 99}),
    "pulse_counter": ({"debounce_ms": 0, "factor": -1, "per_s": 1, "total": 4711}, {"factor": 1, "unit": ""}),
    "scd4x": ({"altitude": 0}, {"altitude": 3000}),
    "pms5003": ({"standard": True},),
}


@pytest.mark.parametrize("name, options, said", [(name, *row) for name, rows in REFUSED.items() for row in rows])
def test_refused(name, options, said):
    with pytest.raises(ValueError) as raised:
        BUILT_IN.find(name).channels(options)
    text = str(raised.value)
    assert text.startswith(name + ": ") and said in text and "\n" not in text
    assert "not supported" not in text and "unsupported" not in text


@pytest.mark.parametrize("name, options", [(name, options) for name, rows in TAKEN.items() for options in rows])
def test_taken(name, options):
    assert BUILT_IN.find(name).channels(options)


def test_each_option_of_each_driver_says_what_it_is():
    """But for the one that holds several numbers."""
    for name in BUILT_IN.names():
        driver = BUILT_IN.find(name)
        for option in driver.options:
            if option != "steinhart_hart":
                with pytest.raises(ValueError, match=f"option {option} has to be"):
                    driver.channels({option: {}})
