"""Readings made of other readings. Each formula takes numbers in the units of the drivers' channels.

A formula may raise ValueError or ArithmeticError outside of the range that it is made for: then there is no reading.
"""

from math import exp, log

# Alduchov and Eskridge, "Improved Magnus form approximation of saturation vapor pressure", J. Appl. Meteor. 35 (1996)
_A = 17.625
_B = 243.04  # °C
_ES0 = 6.1094  # hPa


def dew_point(temperature: float, humidity: float) -> float:
    """°C at which this air would be saturated; °C, % (above 0). Magnus formula, -40 to 50 °C to 0.4 %."""
    gamma = log(humidity / 100) + _A * temperature / (_B + temperature)
    return _B * gamma / (_A - gamma)


def absolute_humidity(temperature: float, humidity: float) -> float:
    """Grams of water in a cubic metre of this air; °C, %. Ideal gas law with 461.5 J/(kg K)."""
    vapour = humidity / 100 * _ES0 * exp(_A * temperature / (_B + temperature))
    return vapour * 100000 / (461.5 * (temperature + 273.15))


def sea_level_pressure(pressure: float, temperature: float, altitude: float = 0.0) -> float:
    """hPa that this pressure stands for at sea level; hPa, °C, metres. ICAO lapse rate of 6.5 K/km (Doc 7488)."""
    return pressure * (1 - 0.0065 * altitude / (temperature + 273.15 + 0.0065 * altitude)) ** -5.25588


def battery_percent(voltage: float, empty: float = 3.3, full: float = 4.2) -> float:
    """Charge between two resting voltages, 0 to 100 %, on a straight line; volts. Rough for lithium cells, whose
    voltage falls slowly in the middle: good for a warning, not for a gauge (that is a MAX17048's job)."""
    return min(max((voltage - empty) / (full - empty) * 100, 0.0), 100.0)


# kind: formula; its inputs are its positional arguments in this order
FORMULAS = {
    "dew_point": dew_point,
    "absolute_humidity": absolute_humidity,
    "sea_level_pressure": sea_level_pressure,
    "battery_percent": battery_percent,
}
