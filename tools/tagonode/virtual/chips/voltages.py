"""What is on an ADC pin: a soil probe, a divider, a thermistor. Each gives microvolts().

environment, clock: as for chips. Further arguments are those of the driver's options that describe the part; others
are taken and not used, so that a sensor's options can be handed on as they are.
"""

from math import exp

_KELVIN = 273.15


class Divider:
    """The battery, or another `quantity` (V), divided by `ratio`."""

    def __init__(self, environment, clock, quantity="battery", ratio=1.0, **others):
        self._environment = environment
        self._clock = clock
        self._quantity = quantity
        self._ratio = ratio

    def microvolts(self) -> float:
        return 1e6 * self._environment.value(self._quantity, self._clock()) / self._ratio


class SoilProbe:
    """A capacitive probe: `dry` V in air, `wet` V in water, linear with the moisture in between."""

    def __init__(self, environment, clock, dry=2.8, wet=1.3, **others):
        self._environment = environment
        self._clock = clock
        self._dry = dry
        self._wet = wet

    def microvolts(self) -> float:
        moisture = self._environment.value("moisture", self._clock())
        return 1e6 * (self._dry + (self._wet - self._dry) * moisture / 100)


class Thermistor:
    """An NTC of R = R25 exp(B (1/T - 1/298.15 K)) with a resistor in series: to ground, or with high_side to the
    supply."""

    def __init__(
        self,
        environment,
        clock,
        series_ohms=10000.0,
        ohms_25=10000.0,
        beta=3950.0,
        supply=3.3,
        high_side=False,
        **others,
    ):
        self._environment = environment
        self._clock = clock
        self._series_ohms = series_ohms
        self._ohms_25 = ohms_25
        self._beta = beta
        self._supply = supply
        self._high_side = high_side

    def microvolts(self) -> float:
        kelvin = self._environment.value("temperature", self._clock()) + _KELVIN
        ohms = self._ohms_25 * exp(self._beta * (1 / kelvin - 1 / (25 + _KELVIN)))
        lower = self._series_ohms if self._high_side else ohms
        return 1e6 * self._supply * lower / (ohms + self._series_ohms)


VOLTAGES: dict = {"voltage": Divider, "soil": SoilProbe, "ntc": Thermistor}
