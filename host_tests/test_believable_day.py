"""The simulated day as the chips of a room and of a solar-powered node find it: believable, seeded, continuous."""

import drivers
import pytest
from drivers import ads1115, bh1750, ina219, max17048, scd4x
from harness.guest.faultsuite import Clock
from tagonode.virtual import wiring
from tagonode.virtual.bus import DirectI2C, I2CBus
from tagonode.virtual.environment import Day

DAY_S = 86400
WEEK = range(20000 * DAY_S, 20007 * DAY_S, 600)
SEEDS = range(1, 9)
DRIVERS = {
    "scd4x": scd4x.SCD4X,
    "ina219": ina219.INA219,
    "ads1115": ads1115.ADS1115,
    "max17048": max17048.MAX17048,
    "bh1750": bh1750.BH1750,
}


def days(series):
    return [series[i : i + 144] for i in range(0, len(series), 144)]


@pytest.mark.parametrize("seed", SEEDS)
def test_co2_of_a_room(seed):
    day = Day(seed)
    week = days([day.value("co2", at) for at in WEEK])
    busy = [ppm for ppm in week if max(ppm) > 600]
    assert len(busy) == 5, "two days in seven are free"
    for ppm in week:
        assert min(ppm) > 415 and max(ppm) < 5000
        assert max(ppm[:40]) < 800, "a room that was left has aired by the morning"
        if ppm in busy:
            top = max(range(144), key=ppm.__getitem__)
            assert 48 < top < 108, "people are there by day"
            # from ten minutes to the next: it falls steeply when the windows open, and rises steadily
            falls = [a - b for a, b in zip(ppm, ppm[1:], strict=False)]
            assert max(falls) > 0.25 * (max(ppm) - 424)
            assert sum(1 for fall in falls[48:108] if fall < 0) > 30
            assert ppm[143] < ppm[top] / 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_co2_has_no_seam_at_midnight(seed):
    day = Day(seed)
    for midnight in range(20000 * DAY_S, 20030 * DAY_S, DAY_S):
        assert day.value("co2", midnight - 0.001) == pytest.approx(day.value("co2", midnight), abs=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_solar_panel(seed):
    day = Day(seed)
    for at in WEEK:
        hour = at % DAY_S / 3600
        volts, amperes = day.value("voltage", at), day.value("current", at)
        assert 0 <= volts < 6.5 and 0 <= amperes < 0.2
        if hour < 3 or hour > 23:
            assert volts < 0.1 and amperes < 0.0001
        if 12 < hour < 13:
            assert volts > 4 and amperes > 0.005
    assert max(day.value("current", at) for at in WEEK) > 0.08


@pytest.mark.parametrize("seed", SEEDS)
def test_light_is_never_more_than_a_light_sensor_can_say(seed):
    light = [Day(seed).value("illuminance", at) for at in WEEK]
    assert min(light) < 1 and 10000 < max(light) < 0xFFFF / 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cell_and_its_charge_agree(seed):
    day = Day(seed)
    for at in WEEK[::7]:
        percent = day.value("state_of_charge", at)
        assert 30 < percent <= 100
        assert 3.3 < day.value("battery", at) < 4.25


def test_the_seed_is_all_there_is():
    quantities = ("co2", "voltage", "current", "state_of_charge", "voltage_0", "voltage_1", "voltage_2", "voltage_3")
    one, same, other = Day(5), Day(5), Day(6)
    for quantity in quantities:
        series = [one.value(quantity, at) for at in WEEK[::25]]
        assert [same.value(quantity, at) for at in reversed(WEEK[::25])] == series[::-1]
        assert [other.value(quantity, at) for at in WEEK[::25]] != series


@pytest.mark.parametrize("kind", DRIVERS)
def test_drivers_read_a_week(kind, monkeypatch):
    """Nothing of it is out of a chip's range, and readings follow it."""
    clock = Clock()
    for module in (drivers, ads1115, bh1750, scd4x):
        monkeypatch.setattr(module, "time", clock)
    day = Day(3)

    def now():
        return 20000.0 * DAY_S + clock.seconds()

    bus = I2CBus([wiring.CHIPS[kind](day, now)], elapse=clock.elapse)
    sensor = DRIVERS[kind](DirectI2C(bus))
    readings = []
    sensor.measure()
    for _ in range(7 * 24):
        clock.sleep_ms(3594000)
        readings.append(sensor.measure())
    for channel, values in zip(sensor.CHANNELS, zip(*readings, strict=True), strict=True):
        assert len(set(values)) > 40, f"{channel[0]} hardly changes"
