"""The simulated day outdoors: rain in showers, soil that it wets, dust of the traffic, a beehive."""

import time

import pytest
from tagonode.virtual.chips.rain_gauge import RainGauge
from tagonode.virtual.environment import Day

DAY_S = 86400
START = 20000 * DAY_S
SEEDS = (1, 2, 3)


def series(day, quantity, days, step_s):
    return [day.value(quantity, at) for at in range(START, START + days * DAY_S, step_s)]


@pytest.mark.parametrize("seed", SEEDS)
def test_rain_of_a_year(seed):
    day = Day(seed)
    rain = series(day, "rain", 365, 1200)
    assert 350 < sum(rain) / 3 < 1000  # mm
    assert 0.02 < sum(1 for rate in rain if rate) / len(rain) < 0.2, "most of the time it is dry"
    assert 5 < max(rain) < 80  # mm/h
    assert min(rain) == 0
    minutes = series(day, "rain", 20, 60)
    steps = [abs(b - a) for a, b in zip(minutes, minutes[1:], strict=False)]
    assert 0 < max(steps) < 0.2 * max(rain), "showers begin and end gently"


@pytest.mark.parametrize("seed", SEEDS)
def test_soil_is_wetted_by_rain_and_dries(seed):
    day = Day(seed)
    rain, moisture = series(day, "rain", 60, 3600), series(day, "moisture", 60, 3600)
    assert min(moisture) > 5 and max(moisture) < 65
    assert max(moisture) - min(moisture) > 10
    for fallen, before, after in zip(rain[1:], moisture, moisture[1:], strict=False):
        if fallen > 2:
            assert after > before
    rises = [after - before for before, after in zip(moisture, moisture[1:], strict=False)]
    dry = [rise for rise, rate, earlier in zip(rises, rain[1:], rain, strict=False) if not rate and not earlier]
    assert sum(1 for rise in dry if rise < 0) > 0.9 * len(dry)
    assert min(rises) > -1, "soil dries slowly"


@pytest.mark.parametrize("seed", SEEDS)
def test_dust_of_the_traffic(seed):
    day = Day(seed)
    for at in range(START, START + 14 * DAY_S, 1800):
        fine, usual, coarse = (day.value(name, at) for name in ("pm1_0", "pm2_5", "pm10"))
        assert 0 < fine < usual < coarse < 120

    def mean(hour, free):
        days = [d for d in range(28) if (START // DAY_S + d) % 7 > 4 or not free]
        return sum(day.value("pm2_5", START + d * DAY_S + hour * 3600) for d in days) / len(days)

    assert mean(8, False) > 1.5 * mean(13, False)
    assert mean(18, False) > 1.2 * mean(13, False)
    assert mean(8, True) < mean(8, False)


@pytest.mark.parametrize("seed", SEEDS)
def test_beehive(seed):
    hive = series(Day(seed), "weight", 60, 600)
    assert min(hive) > 20 and max(hive) < 50
    assert max(abs(b - a) for a, b in zip(hive, hive[1:], strict=False)) < 0.25, "kilograms do not jump"
    hours = list(zip(*[hive[i : i + 144] for i in range(0, len(hive), 144)], strict=True))
    assert sum(hours[72]) < sum(hours[132]), "at noon the foragers are out"


def test_the_seed_is_all_there_is():
    one, same, other = Day(5), Day(5), Day(6)
    for quantity in ("rain", "moisture", "pm2_5", "weight"):
        values = series(one, quantity, 30, 7200)
        assert [same.value(quantity, at) for at in reversed(range(START, START + 30 * DAY_S, 7200))] == values[::-1]
        assert series(other, quantity, 30, 7200) != values


def test_a_gauge_tips_for_what_falls():
    day = Day(2)
    now = [float(START)]
    gauge = RainGauge(day, lambda: now[0])
    fallen = 0.0
    for at in range(START, START + 3 * DAY_S, 60):
        now[0] = float(at + 60)
        gauge.edges()
        fallen += sum(day.value("rain", at + 5 + 10 * i) for i in range(6)) / 360
    assert fallen > 1
    assert gauge.tips == pytest.approx(fallen / 0.2794, abs=1)


def test_it_is_cheap():
    """A node asks a few times a second."""
    day = Day(1)
    began = time.process_time()
    for i in range(200):
        for quantity in ("rain", "moisture", "pm10", "weight"):
            day.value(quantity, START + 777 * i)
    assert (time.process_time() - began) / 200 < 0.02
