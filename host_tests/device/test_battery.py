"""BATTERY: volts from whatever ADC a port has, and pins that are not wired as they should be."""

import pytest
import wirefaults
from drivers import SensorError, battery
from drivers.battery import BATTERY
from tagonode.virtual.chips.voltages import VOLTAGES


class PlainADC:
    """read_u16 only, as rp2 has it. volts: at the pin, one a sample, the last one for ever."""

    def __init__(self, *volts, full_scale=3.3):
        self._volts = list(volts)
        self._full_scale = full_scale

    def volts(self):
        return self._volts.pop(0) if len(self._volts) > 1 else self._volts[0]

    def read_u16(self):
        return min(65535, max(0, int(self.volts() / self._full_scale * 65535 + 0.5)))


class CalibratedADC(PlainADC):
    """read_uv as well, as esp32 has it: u16 there is raw, and off by percents."""

    def read_u16(self):
        return min(65535, int(self.volts() * 0.9 / self._full_scale * 65535))

    def read_uv(self):
        return int(self.volts() * 1000000)


class FailingADC:
    def read_u16(self):
        raise OSError(116)  # what esp32's ADC2 does while Wi-Fi is on


def make_rig():
    return wirefaults.WireRig(
        lambda rig: BATTERY(rig.bus, ratio=2.0),
        lambda rig: VOLTAGES["voltage"](rig.environment, rig.clock.seconds, ratio=2.0),
        wirefaults.AdcWire,
        (battery,),
        ({"battery": 3.9}, {"battery": 2.5}, {"battery": 4.2}),
        (0.002,),
        crc=False,
    )


@pytest.mark.parametrize("fault", wirefaults.FAULTS)
def test_survives(fault):
    wirefaults.check(fault, make_rig)


def test_channels():
    assert BATTERY.CHANNELS == (("battery", "V"),)


@pytest.mark.parametrize("volts", (0.05, 1.2, 1.85, 3.2))
@pytest.mark.parametrize("ratio", (1.0, 2.0, 3.0))
def test_volts(volts, ratio):
    assert BATTERY(PlainADC(volts), ratio).measure() == pytest.approx((volts * ratio,), abs=0.0001 * ratio)
    assert BATTERY(CalibratedADC(volts), ratio).measure() == pytest.approx((volts * ratio,), abs=1e-5 * ratio)


def test_default_ratio_is_a_divider_of_equal_resistors():
    assert BATTERY(PlainADC(1.9)).measure() == pytest.approx((3.8,), abs=0.001)


def test_reference():
    adc = PlainADC(1.0, full_scale=2.5)
    assert BATTERY(adc, 2.0, reference=2.5).measure() == pytest.approx((2.0,), abs=0.001)


def test_mean_of_noise():
    adc = PlainADC(1.9, 1.88, 1.92, 1.86, 1.94)  # the first decides whether the pin is at a rail
    assert BATTERY(adc, 2.0).measure() == pytest.approx((3.8,), abs=0.001)


@pytest.mark.parametrize("volts", (0.0, 0.003, 3.3, 5.0))
def test_a_pin_at_its_rail_is_no_reading(volts):
    for adc in (PlainADC(volts), CalibratedADC(volts * 1.2)):
        with pytest.raises(SensorError, match="BATTERY: pin at its rail .*divider"):
            BATTERY(adc).measure()


def test_an_adc_that_raises():
    with pytest.raises(SensorError, match="BATTERY: no answer .*ADC1"):
        BATTERY(FailingADC()).measure()


def test_recovers():
    adc = PlainADC(0.0, 1.9)
    sensor = BATTERY(adc)
    with pytest.raises(SensorError):
        sensor.measure()
    assert sensor.start() == 0
    assert sensor.read() == pytest.approx((3.8,), abs=0.001)
