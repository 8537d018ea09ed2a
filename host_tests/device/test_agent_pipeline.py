"""What readings pass through before they are queued: calibration, range, alarms, filters, derived readings."""

from agentworld import Console

import pytest
from agent import derived, pipeline
from agent.log import Log

CHANNEL = ["temperature", "°C", 2]


class Rig:
    def __init__(self, steps, rows=None, derived_rows=()):
        self.console = Console()
        rows = rows or [CHANNEL + [steps]]
        self.pipeline = pipeline.Pipeline(rows, list(derived_rows), Log("info", self.console))
        self.now = 0

    def feed(self, *values, every=60000):
        """What comes out of the first channel for readings on the grid."""
        out = []
        for value in values:
            self.now += every
            slots = [None] * len(self.pipeline.channels)
            slots[0] = value
            self.pipeline.run(slots, self.now)
            out.append(slots[0])
        return out


CALIBRATIONS = (
    ({"offset": -1.5}, 20.0, 18.5),
    ({"scale": 2}, 20.0, 40.0),
    ({"scale": 2, "offset": 1}, 20.0, 41.0),
    ({"polynomial": [1, 0.5, 0.25]}, 4.0, 7.0),  # 1 + 0.5 x + 0.25 x²
    ({"polynomial": [0, 1], "scale": 3, "offset": -1}, 4.0, 11.0),
    ({"polynomial": [5]}, 4.0, 5),
    ({"offset": 1}, 3, 4),
    ({"offset": 1}, "text", "text"),
    ({"offset": 1}, True, True),
    ({"offset": 1}, None, None),
)


@pytest.mark.parametrize("steps, value, expected", CALIBRATIONS, ids=[str(i) for i in range(len(CALIBRATIONS))])
def test_calibration(steps, value, expected):
    assert Rig(steps).feed(value) == [expected]


def test_a_reading_out_of_range_is_none_and_said_once():
    rig = Rig({"minimum": -40, "maximum": 85, "offset": 1})
    assert rig.feed(-41, -41.5, 20.0, 84, 84.5, 85) == [-40, None, 21, 85, None, None]
    lines = [line for line in rig.console.lines if "warning" in line]
    assert len(lines) == 2
    assert "temperature: -40.5 is below its minimum, -40" in lines[0]


BEYOND = (
    ({"polynomial": [0, 0, 0, 1]}, 1e200),
    ({"scale": 1e300}, -1e300),
    ({"scale": 1e300, "minimum": -40}, 1e300),
    ({"polynomial": [0, 1e300, -1e300]}, 1e300),  # not even infinite
)


@pytest.mark.parametrize("steps, value", BEYOND, ids=[str(i) for i in range(len(BEYOND))])
def test_what_is_beyond_all_numbers_is_none_and_said_once(steps, value):
    rig = Rig(dict(steps, filters=[["average", 9]]))
    assert rig.feed(value, value, 1.0) == [None, None, pipeline._calibration(steps)(1.0)]
    assert len([line for line in rig.console.lines if "warning sampler: temperature: " in line]) == 1


def test_sums_beyond_all_numbers_are_none_and_pass():
    assert Rig({"filters": [["average", 2]]}).feed(1.7e308, 1.7e308, 1.0, 3.0) == [1.7e308, None, 0.85e308, 2.0]
    rig = Rig({"filters": [["window", "sum", 120000]]})
    assert rig.feed(1.7e308, 1.7e308, 1.0, 3.0, 0) == [None, None, None, 4.0, None]


@pytest.mark.parametrize("celsius", (-300.0, -275.0, -273.15, -1000.0, 1e300))
@pytest.mark.parametrize("kind", ("dew_point", "absolute_humidity", "sea_level_pressure"))
def test_no_formula_gives_what_is_no_number(kind, celsius):
    """A temperature that was calibrated out of this world."""
    rows = [["temperature", "°C", 2], ["other", "%", 2]]
    inputs = [1, 0] if kind == "sea_level_pressure" else [0, 1]
    options = {"altitude": 500.0} if kind == "sea_level_pressure" else {}
    rig = Rig(None, rows, [{"kind": kind, "from": inputs, "channel": ["derived", "", 1], "options": options}])
    values = [celsius, 60.0, None]
    rig.pipeline.run(values, 0)
    derived = values[2]
    assert derived is None or isinstance(derived, float) and derived - derived == 0


@pytest.mark.parametrize("low, high", ((0, None), (None, 0)))
def test_a_limit_on_one_side(low, high):
    steps = {}
    if low is not None:
        steps["minimum"] = low
    if high is not None:
        steps["maximum"] = high
    assert Rig(steps).feed(-1, 0, 1) == [-1 if low is None else None, 0, 1 if high is None else None]


FILTERED = (
    ("median of three", [["median", 3]], (1, 9, 2, 3, 90, 4), [1, 5, 2, 3, 3, 4]),
    ("average", [["average", 2]], (1, 3, 5, 5), [1, 2, 4, 5]),
    ("delta", [["delta", 0.5, 600000]], (20, 20.4, 20.5, 20.1, 19.9, 20), [20, None, 20.5, None, 19.9, None]),
    ("heartbeat", [["delta", 5, 180000]], (20, 20, 20, 20, 20, 20, 20), [20, None, None, 20, None, None, 20]),
    (
        "each window ends with the reading on its end",
        [["window", "last", 180000]],
        (1, 2, 3, 4, 5, 6, 7),
        [None, None, 3, None, None, 6, None],
    ),
    ("window min", [["window", "min", 180000]], (3, 1, 2, 9, 8, 7, 0), [None, None, 1, None, None, 7, None]),
    ("window max", [["window", "max", 180000]], (3, 1, 2, 9, 8, 7, 0), [None, None, 3, None, None, 9, None]),
    ("window mean", [["window", "mean", 180000]], (3, 1, 2, 9, 8, 7, 0), [None, None, 2, None, None, 8, None]),
    ("window sum", [["window", "sum", 180000]], (3, 1, 2, 9, 8, 7, 0), [None, None, 6, None, None, 24, None]),
    ("in order: average, then delta", [["average", 2], ["delta", 3, 9999999]], (0, 2, 4), [0, None, 3]),
    ("in order: delta, then average", [["delta", 3, 9999999], ["average", 2]], (0, 2, 4), [0, None, 2]),
    (
        "in order: window, then average",
        [["window", "sum", 120000], ["average", 2]],
        (1, 2, 3, 4, 5, 6, 7),
        [None, 3, None, 5, None, 9, None],
    ),
)


@pytest.mark.parametrize("filters, given, expected", [row[1:] for row in FILTERED], ids=[row[0] for row in FILTERED])
def test_filters(filters, given, expected):
    assert Rig({"filters": filters}).feed(*given) == expected


def test_a_filter_sees_calibrated_readings():
    assert Rig({"scale": 10, "filters": [["delta", 5, 9999999]]}).feed(1, 1.4, 1.5) == [10, None, 15]


def test_a_window_ends_without_a_reading_too():
    rig = Rig({"filters": [["window", "mean", 180000]]})
    assert rig.feed(1, 2, None) == [None, None, 1.5]
    assert rig.feed(None, None, None, None, 9) == [None] * 5
    assert rig.feed(None, None) == [9, None]
    assert rig.pipeline.windows == {180000}


def test_a_window_whose_end_nobody_came_to_ends_with_the_next_that_comes():
    """Also when that is the end of another one, which is not lost then."""
    for late, value, out in ((1, None, [9, None]), (1, 7, [9, None]), (180, 7, [9, 7]), (180, None, [9, None])):
        rig = Rig({"filters": [["window", "max", 180000]]})
        assert rig.feed(9) == [None]
        rig.now = 180000
        assert rig.feed(value, None, every=late * 1000) == out, (late, value)


def test_a_window_before_an_average_passes_nothing_on_while_it_lasts():
    rig = Rig({"filters": [["median", 3], ["window", "sum", 120000], ["average", 2]]})
    assert rig.feed(1, None, 5, None) == [None, 1, None, 2]


def test_a_clock_that_is_set_back_does_not_silence_a_heartbeat():
    rig = Rig({"filters": [["delta", 5, 180000]]})
    assert rig.feed(20) == [20]
    rig.now -= 10000000
    assert rig.feed(20, 20) == [20, None]


STEPS = (1, -1, 59999, -59999, 60000, -60000, 3600000, -3600000, 86400000, -86400000, 1700000000000, -1700000000000)


@pytest.mark.parametrize("steps", ((1, -1), (60001, -60001), (-1, -2, -3), STEPS, (1700000000000,)))
def test_a_clock_that_steps_puts_each_reading_into_one_window(steps):
    """Whatever it does: what comes out of a sum, and what is still in it, is what came in."""
    rig = Rig({"filters": [["window", "sum", 300000]]})
    out = 0
    for i in range(200):
        if i % 7 == 3:
            rig.now += steps[i // 7 % len(steps)]
        (ended,) = rig.feed(1)
        out += ended or 0
        assert ended is None or 1 <= ended <= 8
    (last,) = rig.feed(0, every=86400000)
    assert out + last == 200


def test_a_heartbeat_comes_within_its_time_whatever_the_clock_does():
    for step in STEPS:
        rig = Rig({"filters": [["delta", 5, 300000]]})
        rig.feed(20)
        rig.now = (rig.now + step) // 60000 * 60000  # readings come on the grid of the clock
        assert 20 in rig.feed(20, 20, 20, 20, 20, 20), step


def test_an_alarm_that_flaps_is_told_at_each_change_and_hysteresis_ends_that():
    readings = [29.9, 30.1] * 10
    for hysteresis, changes in ((0, 19), (0.1, 19), (0.3, 1)):
        rig = Rig({"alarm": [30, None, hysteresis]})
        urgent = 0
        for i in range(len(readings)):
            values = [readings[i], None]
            rig.pipeline.run(values, 0)
            urgent += rig.pipeline.urgent
            assert (values[1] is not None) == (rig.pipeline.urgent or i == 0)
        assert urgent == changes, hysteresis


def test_an_alarm_looks_at_no_reading_that_is_none():
    rig = Rig({"alarm": [30, 0, 0], "minimum": -50, "maximum": 99})
    told = []
    for value in (31, None, 120, "text", 31, None, 20):
        values = [value, None]
        rig.pipeline.run(values, 0)
        told.append(values[1])
    assert told == [1, None, None, None, None, None, 0]


ALARM = (
    # reading, state afterwards, whether that is news
    (20, 0, False),
    (30, 0, False),
    (30.1, 1, True),
    (40, 1, False),
    (29.5, 1, False),  # not yet far enough back
    (28.9, 0, True),
    (0, 0, False),
    (-0.1, -1, True),
    (0.9, -1, False),
    (1.1, 0, True),
    (-5, -1, True),
    (35, 1, True),  # from one end to the other
)


def test_an_alarm_with_hysteresis():
    rig = Rig({"alarm": [30, 0, 1]})
    assert rig.pipeline.channels == [("temperature", "°C", 2), ("temperature_alarm", "", 0)]
    first = True
    for value, state, news in ALARM:
        values = [value, None]
        rig.pipeline.run(values, 0)
        assert values == [value, state if news or first else None]
        assert rig.pipeline.urgent == news
        first = False


@pytest.mark.parametrize("filters", ([], [["window", "mean", 600000]]), ids=("plain", "window"))
@pytest.mark.parametrize("value, state", ((20, 0), (31, 1), (-1, -1)))
def test_the_first_reading_after_a_start_tells_the_state(filters, value, state):
    """For TagoIO may have another one from before. That all is well is not urgent."""
    rig = Rig({"alarm": [30, 0, 0], "filters": filters})
    values = [None, None]
    rig.pipeline.run(values, 60000)
    assert values == [None, None]
    values = [value, None]
    rig.pipeline.run(values, 120000)
    assert values == [value if state or not filters else None, state]
    assert rig.pipeline.urgent == bool(state)
    values = [value, None]
    rig.pipeline.run(values, 180000)
    assert values[1] is None and not rig.pipeline.urgent


def test_an_alarm_that_was_lost_is_told_again_and_no_other():
    rig = Rig(None, [["a", "", 2, {"alarm": [30, None, 5]}], ["b", "", 2, {"alarm": [30, None, 0]}], ["c", "", 2]])
    told = []
    for a, lost in ((20, False), (31, True), (28, True), (None, False), (28, False), (28, False), (24, False)):
        values = [a, 35, 35, None, None]
        rig.pipeline.run(values, 0)
        told.append((values[3], values[4], rig.pipeline.urgent))
        if lost:
            rig.pipeline.lost(values)
    # 28 ends it no more than if its beginning had been told at once
    nothing = (None, None, False)
    assert told == [
        (0, 1, True),
        (1, None, True),
        (1, None, True),
        nothing,
        (1, None, True),
        nothing,
        (0, None, True),
    ]


@pytest.mark.parametrize("limits", ([30, None, 0], [None, 0, 0]))
def test_an_alarm_on_one_side(limits):
    rig = Rig({"alarm": limits})
    states = []
    for value in (20, 31, 20, -1, 20):
        values = [value, None]
        rig.pipeline.run(values, 0)
        states.append(values[1])
    assert states == ([0, 1, 0, None, None] if limits[0] else [0, None, None, -1, 0])


def test_an_alarm_comes_with_the_reading_that_raised_it():
    rig = Rig({"alarm": [30, None, 1], "filters": [["window", "mean", 600000]]})
    assert rig.feed(20, 35, 36, 20) == [None, 35, None, 20]


def test_a_sum_is_sent_once_whatever_alarm_its_readings_raise():
    rig = Rig({"alarm": [30, None, 1], "filters": [["window", "sum", 180000]]})
    told = []
    for value in (20, 35, 10, 40, 41, 42):
        rig.now += 60000
        values = [value, None]
        rig.pipeline.run(values, rig.now)
        told.append((values, rig.pipeline.urgent))
    assert told == [
        ([None, 0], False),
        ([None, 1], True),
        ([65, 0], True),
        ([None, 1], True),
        ([None, None], False),
        ([123, None], False),
    ]


def test_two_channels_keep_apart():
    rows = [["a", "", 2, {"filters": [["average", 2]]}], ["b", "", 2, {"filters": [["average", 2]], "offset": 100}]]
    rig = Rig(None, rows)
    values = [1, 1]
    rig.pipeline.run(values, 0)
    assert values == [1, 101]
    values = [3, 5]
    rig.pipeline.run(values, 1)
    assert values == [2, 103]


# from the psychrometric tables of the WMO (guide no. 8) and by the ideal gas law, to what the formulas promise
DERIVED = (
    ("dew_point", (25.0, 60.0), 16.7, 0.1),
    ("dew_point", (20.0, 100.0), 20.0, 0.01),
    ("dew_point", (0.0, 50.0), -9.1, 0.2),
    ("dew_point", (-10.0, 80.0), -12.8, 0.2),
    ("absolute_humidity", (20.0, 50.0), 8.64, 0.05),
    ("absolute_humidity", (30.0, 100.0), 30.3, 0.2),
    ("absolute_humidity", (-10.0, 100.0), 2.36, 0.1),
    ("battery_percent", (3.3,), 0, 0),
    ("battery_percent", (4.2,), 100, 1e-4),
    ("battery_percent", (3.75,), 50, 1e-3),
    ("battery_percent", (2.0,), 0, 0),
    ("battery_percent", (5.0,), 100, 0),
)


@pytest.mark.parametrize("kind, given, expected, tolerance", DERIVED, ids=[str(i) for i in range(len(DERIVED))])
def test_derived(kind, given, expected, tolerance):
    assert derived.FORMULAS[kind](*given) == pytest.approx(expected, abs=tolerance)


def test_sea_level_pressure():
    # the ICAO standard atmosphere: 8.5 °C and 898.75 hPa at 1000 m stand for 1013.25 hPa at sea level
    assert derived.sea_level_pressure(898.75, 8.5, 1000) == pytest.approx(1013.25, abs=0.05)
    assert derived.sea_level_pressure(1000.0, 20.0) == pytest.approx(1000.0, abs=1e-3)


def test_derived_channels_are_made_of_calibrated_readings():
    rows = [["temperature", "°C", 2, {"offset": 5}], ["humidity", "%", 2]]
    row = {"kind": "dew_point", "from": [0, 1], "channel": ["dew_point", "°C", 1, {"offset": 100}]}
    rig = Rig(None, rows, [row])
    assert rig.pipeline.channels[2] == ("dew_point", "°C", 1)
    values = [20.0, 60.0, None]
    rig.pipeline.run(values, 0)
    assert values[2] == pytest.approx(116.7, abs=0.1)


@pytest.mark.parametrize("values", ([None, 60.0, 7], [20.0, None, 7], [20.0, "wet", 7], [20.0, 0.0, 7], [20.0, -1, 7]))
def test_a_derived_channel_without_its_readings_is_none(values):
    rows = [["temperature", "°C", 2], ["humidity", "%", 2]]
    rig = Rig(None, rows, [{"kind": "dew_point", "from": [0, 1], "channel": ["dew_point", "°C", 1]}])
    rig.pipeline.run(values, 0)
    assert values[2] is None


def test_options_of_a_formula():
    rows = [["battery", "V", 3]]
    options = {"empty": 1.0, "full": 3.0}
    row = {"kind": "battery_percent", "from": [0], "options": options, "channel": ["charge", "%", 0]}
    rig = Rig(None, rows, [row])
    values = [2.0, None]
    rig.pipeline.run(values, 0)
    assert values == [2.0, 50.0]
