"""Analog: divider, soil probe and thermistor against formulas turned round; pins that are wired wrongly."""

import pytest
import wirefaults
from drivers import SensorError, analog
from drivers.analog import Analog
from tagonode.virtual.chips.voltages import VOLTAGES
from tagonode.virtual.environment import Environment


class ADC:
    """An ADC of 12 bits on a part of `voltages`, or on a callable that gives microvolts."""

    def __init__(self, microvolts):
        self._microvolts = microvolts
        self.samples = 0

    def read_u16(self):
        return min(65535, int(self._microvolts() / 3300000 * 4095 + 0.5) * 65535 // 4095)

    def read_uv(self):
        self.samples += 1
        return min(3300000, int(self._microvolts()))


class PlainADC:
    """read_u16 only."""

    def __init__(self, microvolts):
        self.read_u16 = lambda: min(65535, int(microvolts() / 3300000 * 65535 + 0.5))


# mode: (what there is to measure, how far off)
MODES = {
    "voltage": ("voltage", (0.8, 3.1, 1.7), 0.001),
    "soil": ("moisture", (5.0, 95.0, 40.0), 0.1),
    "ntc": ("temperature", (-20.0, 60.0, 25.0), 0.1),
}


def make_rig(mode):
    quantity, values, tolerance = MODES[mode]
    names = {"quantity": "voltage"} if mode == "voltage" else {}
    return wirefaults.WireRig(
        lambda rig: Analog(rig.bus, mode=mode),
        lambda rig: VOLTAGES[mode](rig.environment, rig.clock.seconds, **names),
        wirefaults.AdcWire,
        (analog,),
        [{quantity: value} for value in values],
        (tolerance,),
        crc=False,
    )


@pytest.mark.parametrize("mode", ("voltage", "soil", "ntc"))
@pytest.mark.parametrize("fault", wirefaults.FAULTS)
def test_survives(fault, mode):
    wirefaults.check(fault, lambda: make_rig(mode))


def seconds():
    return 0.0


def constant(volts):
    return lambda: volts * 1e6


def test_channels():
    assert Analog.CHANNELS == (("voltage", "V"),)
    assert Analog(None).CHANNELS == (("voltage", "V"),)
    assert Analog(None, mode="soil").CHANNELS == (("moisture", "%"),)
    assert Analog(None, mode="ntc").CHANNELS == (("temperature", "°C"),)
    with pytest.raises(ValueError, match="mode is voltage, soil or ntc"):
        Analog(None, mode="lux")


@pytest.mark.parametrize("ratio", (1.0, 2.0, 11.0))
def test_divider(ratio):
    environment = Environment()
    part = VOLTAGES["voltage"](environment, seconds, ratio=ratio)
    for volts in (0.2, 1.1, 3.0):
        environment.set(battery=volts * ratio)
        for kind in (ADC, PlainADC):
            assert Analog(kind(part.microvolts), ratio=ratio).measure() == pytest.approx((volts * ratio,), rel=0.001)


def test_soil():
    environment = Environment()
    for dry, wet in ((2.8, 1.3), (0.4, 2.9)):  # the second: a resistive probe, wetter is higher
        part = VOLTAGES["soil"](environment, seconds, dry=dry, wet=wet)
        sensor = Analog(ADC(part.microvolts), mode="soil", dry=dry, wet=wet)
        for percent in (0, 12.5, 50, 99.9, 100):
            environment.set(moisture=percent)
            assert sensor.measure() == pytest.approx((percent,), abs=0.01)


def test_soil_is_cut_a_little_beyond_its_ends_and_refused_far_beyond():
    for volts, percent in ((2.85, 0), (3.1, 0), (1.25, 100), (0.96, 100)):
        assert Analog(ADC(constant(volts)), mode="soil").measure() == (percent,)
    for volts in (3.2, 0.9, 0.1):
        with pytest.raises(SensorError, match="Analog: .* V is not between dry"):
            Analog(ADC(constant(volts)), mode="soil").measure()


# A 10 kΩ thermistor of curve 3 (10K3A1): its table, and the coefficients given with it
TABLE = ((0, 32650.8), (10, 19903.5), (25, 10000), (40, 5326.4), (50, 3602.3))
STEINHART_HART = (1.129148e-3, 2.34125e-4, 8.76741e-8)


def test_thermistor_of_a_data_sheet():
    for celsius, ohms in TABLE:
        assert analog.by_steinhart_hart(ohms, *STEINHART_HART) == pytest.approx(celsius, abs=0.015)
        assert analog.by_beta(ohms, 10000, 3895) == pytest.approx(celsius, abs=0.3)
        volts = 3.3 * ohms / (ohms + 10000)
        sensor = Analog(ADC(constant(volts)), mode="ntc", steinhart_hart=STEINHART_HART)
        assert sensor.measure() == pytest.approx((celsius,), abs=0.015)


@pytest.mark.parametrize("high_side", (False, True))
def test_thermistor_grid(high_side):
    environment = Environment()
    options = {"series_ohms": 4700.0, "ohms_25": 10000.0, "beta": 3435.0, "high_side": high_side}
    part = VOLTAGES["ntc"](environment, seconds, **options)
    sensor = Analog(ADC(part.microvolts), mode="ntc", **options)
    for celsius in (-40, -12.3, 0, 24.99, 60, 120):
        environment.set(temperature=celsius)
        assert sensor.measure() == pytest.approx((celsius,), abs=0.001)


@pytest.mark.parametrize("volts", (0.0, 0.003, 3.2999, 3.3))
def test_open_and_shorted(volts):
    for options in ({}, {"mode": "soil"}, {"mode": "ntc"}, {"mode": "ntc", "high_side": True}):
        for kind in (ADC, PlainADC):
            with pytest.raises(SensorError, match="Analog: pin at its rail"):
                Analog(kind(constant(volts)), **options).measure()


def test_thermistor_nearly_open_and_nearly_shorted():
    for volts in (0.025, 3.28):
        with pytest.raises(SensorError, match="open or shorted"):
            Analog(ADC(constant(volts)), mode="ntc").measure()
    with pytest.raises(SensorError, match="does not fit"):
        Analog(ADC(constant(0.04)), mode="ntc").measure()


def test_mean_of_noise():
    noisy = [1.9, 1.88, 1.92, 1.86, 1.94]
    adc = ADC(lambda: noisy[adc.samples % 5] * 1e6)
    assert Analog(adc).measure() == pytest.approx((1.9,), abs=0.011)
    assert adc.samples == 4


def test_an_adc_that_raises_and_comes_back():
    class Failing(ADC):
        broken = True

        def read_u16(self):
            if self.broken:
                raise OSError(116)  # what esp32's ADC2 does while Wi-Fi is on
            return super().read_u16()

    adc = Failing(constant(1.5))
    sensor = Analog(adc)
    with pytest.raises(SensorError, match="Analog: no answer .*ADC1"):
        sensor.measure()
    adc.broken = False
    assert sensor.measure() == pytest.approx((1.5,))
