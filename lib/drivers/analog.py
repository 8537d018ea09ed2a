"""Analog: what an ADC pin can tell: a voltage, soil moisture, a thermistor's temperature.

    from machine import ADC
    from drivers.analog import Analog
    print(Analog(ADC(27), ratio=11.0).measure())                            # (12.6,): V behind a divider
    print(Analog(ADC(27), mode="soil", dry=2.72, wet=1.31).measure())       # (48.2,): %
    print(Analog(ADC(27), mode="ntc", beta=3950).measure())                 # (21.4,): °C

On an ESP32 use a pin of ADC1: the others fail while Wi-Fi is on.
"""

from math import log

from drivers import SensorError
from drivers.battery import BATTERY

_KELVIN = 273.15


def moisture(volts: float, dry: float, wet: float) -> float:
    """% between the probe's two voltages, linear as makers of capacitive probes do it, or SensorError when the
    voltage is over a quarter of their distance outside."""
    percent = (volts - dry) / (wet - dry) * 100
    if not -25 < percent < 125:
        raise SensorError(f"{volts:.3f} V is not between dry ({dry} V) and wet ({wet} V)")
    return min(max(percent, 0.0), 100.0)


def resistance(volts: float, supply: float, series_ohms: float, high_side: bool) -> float:
    """Ω of a resistor in series with series_ohms across the supply, or SensorError. high_side: it is the one
    between supply and pin."""
    if not 0.01 * supply < volts < 0.99 * supply:
        raise SensorError(f"{volts:.3f} V: thermistor is open or shorted")
    return series_ohms * ((supply - volts) / volts if high_side else volts / (supply - volts))


def by_beta(ohms: float, ohms_25: float, beta: float) -> float:
    """°C of a thermistor: 1/T = 1/298.15 K + ln(R/R25) / B."""
    return 1 / (1 / (25 + _KELVIN) + log(ohms / ohms_25) / beta) - _KELVIN


def by_steinhart_hart(ohms: float, a: float, b: float, c: float) -> float:
    """°C of a thermistor: 1/T = A + B ln(R) + C ln(R)³ (Steinhart and Hart, 1968)."""
    x = log(ohms)
    return 1 / (a + b * x + c * x * x * x) - _KELVIN


class Analog(BATTERY):
    """bus: machine.ADC or alike, with read_uv() or read_u16(); the mean of four samples counts.

    mode: "voltage", "soil" or "ntc", which decides the channel.
    ratio: voltage to measure ÷ voltage at the pin (two resistors R1 above R2: (R1 + R2) ÷ R2).
    dry, wet: volts of the soil probe in air and in water.
    series_ohms, supply (V), high_side: the thermistor's other resistor, what both are connected to, and whether
    the thermistor is the upper one. ohms_25, beta: of its data sheet; steinhart_hart: (A, B, C) instead.
    reference: volts at full scale, used with read_u16() only.
    """

    _CHANNELS = {
        "voltage": (("voltage", "V"),),
        "soil": (("moisture", "%"),),
        "ntc": (("temperature", "°C"),),
    }
    CHANNELS = _CHANNELS["voltage"]

    def __init__(
        self,
        bus,
        mode: str = "voltage",
        ratio: float = 1.0,
        dry: float = 2.8,
        wet: float = 1.3,
        series_ohms: float = 10000.0,
        ohms_25: float = 10000.0,
        beta: float = 3950.0,
        steinhart_hart=None,
        supply: float = 3.3,
        high_side: bool = False,
        reference: float = 3.3,
    ):
        if mode not in self._CHANNELS:
            raise ValueError("Analog: mode is voltage, soil or ntc")
        if dry == wet:
            raise ValueError("dry and wet are two voltages")
        if min(series_ohms, ohms_25, beta, supply) <= 0 or steinhart_hart and len(steinhart_hart) != 3:
            raise ValueError("series_ohms, ohms_25, beta and supply are more than 0, steinhart_hart is [a, b, c]")
        super().__init__(bus, ratio, reference)
        self.CHANNELS = self._CHANNELS[mode]
        self._mode = mode
        self._soil = dry, wet
        self._divider = supply, series_ohms, high_side
        self._beta = ohms_25, beta
        self._steinhart_hart = steinhart_hart

    def _read(self) -> tuple:
        (value,) = super()._read()
        if self._mode == "soil":
            value = moisture(value, *self._soil)
        elif self._mode == "ntc":
            ohms = resistance(value, *self._divider)
            if self._steinhart_hart:
                value = by_steinhart_hart(ohms, *self._steinhart_hart)
            else:
                value = by_beta(ohms, *self._beta)
            if not -60 < value < 160:
                raise SensorError(f"{value:.1f} °C: thermistor does not fit its settings")
        return (value,)
