"""What there is to measure around a simulated node, as functions of time.

Quantities (unit): temperature (°C), humidity (%), pressure (hPa), illuminance (lx), co2 (ppm), battery (V),
rssi (dBm). A chip asks `environment.value(quantity, at)` at the moment it converts. Plain Python that
MicroPython runs as well; no state but the seed, so that any moment can be asked for, in any order.
"""

from math import cos, exp, log, pi, sin

_DAY_S = 86400.0


class Environment:
    """Fixed values, set by name: Environment(temperature=21.5); environment.set(temperature=-3)."""

    def __init__(self, **values):
        self._values = {"temperature": 20.0, "humidity": 50.0, "pressure": 1013.25}
        self._values.update(values)

    def set(self, **values) -> None:
        self._values.update(values)

    def value(self, quantity: str, at: float) -> float:
        return self._values[quantity]


def chance(seed: int, name: str) -> float:
    """A number in 0 … 1 that depends on seed and name alone (FNV-1a, then mixed), alike on every runtime."""
    h = 2166136261
    for byte in f"{seed}/{name}".encode():
        h = (h ^ byte) * 16777619 & 0xFFFFFFFF
    # FNV's last bytes reach the high bits poorly: mix as MurmurHash3's finaliser does.
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (h ^ h >> 16) / 4294967296


def saturation(celsius: float) -> float:
    """Saturation vapour pressure of water in hPa (Magnus, coefficients of Alduchov and Eskridge 1996)."""
    return 6.1094 * exp(17.625 * celsius / (celsius + 243.04))


class Day:
    """Days as they follow each other outdoors, at a place and in a season that the seed picks.

    The sun drives temperature and light, clouds and fronts modulate both, humidity follows from the dew point
    of the air mass, pressure carries fronts and the tide of the atmosphere, and a solar-charged cell keeps
    its node alive. `at` counts seconds; midnight, local, is at every multiple of 86400.
    """

    def __init__(self, seed: int = 1):
        self._seed = seed
        self._mean = 4 + 14 * chance(seed, "mean")
        self._swing = 4 + 4 * chance(seed, "swing")
        self._height = 1 - exp(-chance(seed, "height") * 0.1)  # of the air column that is below the node
        self._noon = 12.5 + chance(seed, "noon")
        self._link = -52 - 25 * chance(seed, "link")

    def value(self, quantity: str, at: float) -> float:
        return getattr(self, "_" + quantity)(at)

    def _waves(self, name: str, at: float, periods: tuple) -> float:
        """Sum of sines with seeded phases, within ±1: weather that is smooth and does not repeat for long."""
        total = 0.0
        for period in periods:
            total += sin(2 * pi * (at / period + chance(self._seed, f"{name}{period}")))
        return total / len(periods)

    def _grain(self, name: str, at: float, seconds: int) -> float:
        """Noise within ±1 that changes every so many seconds."""
        return 2 * chance(self._seed, f"{name}{int(at // seconds)}") - 1

    def _sun(self, at: float) -> float:
        """Height of the sun as a share of the highest possible; 0 at night."""
        return max(0.0, cos(2 * pi * (at % _DAY_S / 3600 - self._noon) / 24) * 0.85 + 0.05)

    def _cloud(self, at: float) -> float:
        """Cover, 0 … 1."""
        return min(1.0, max(0.0, 0.45 + 0.7 * self._waves("cloud", at, (7919, 31013, 201001))))

    def _front(self, at: float) -> float:
        """Which air mass, -1 (cold, low pressure) … 1."""
        return self._waves("front", at, (233003, 410009, 609173))

    def _temperature(self, at: float) -> float:
        # The warmest time comes some two and a half hours after noon; clouds flatten the day.
        day = cos(2 * pi * (at % _DAY_S / 3600 - self._noon - 2.4) / 24)
        flat = 1 - 0.55 * self._cloud(at)
        gust = 0.15 * self._waves("gust", at, (311, 823))
        return self._mean + 5 * self._front(at) + self._swing * flat * day + gust

    def _humidity(self, at: float) -> float:
        dew_point = self._mean - 3.5 + 4 * self._front(at) + 1.5 * self._waves("dew", at, (40009, 90001))
        return min(99.0, max(5.0, 100 * saturation(dew_point) / saturation(self._temperature(at))))

    def _pressure(self, at: float) -> float:
        tide = 0.9 * cos(2 * pi * (at % _DAY_S / 3600 - 10) / 12)  # peaks at 10 and 22 o'clock
        gust = 0.05 * self._waves("pressure", at, (127, 541))
        return (1014 + 14 * self._front(at + 20000) + tide) * (1 - self._height) + gust

    def _illuminance(self, at: float) -> float:
        return 0.2 + 108000 * self._sun(at) ** 1.3 * (1 - 0.8 * self._cloud(at))

    def _co2(self, at: float) -> float:
        # Plants breathe out at night and in by day, under air that mixes when the sun is up.
        return 424 + 22 * (0.4 - self._sun(at)) + 6 * self._waves("co2", at, (1801, 5003))

    def _battery(self, at: float) -> float:
        # A Li-ion cell under a small panel: fullest towards evening, emptiest at dawn, less so under clouds.
        day = cos(2 * pi * (at % _DAY_S / 3600 - 17) / 24)
        charge = 0.7 + 0.2 * day * (1 - 0.4 * self._cloud(at)) + 0.08 * self._front(at)
        return 3.45 + 0.62 * charge + 0.09 * log(0.3 + charge) + 0.004 * self._grain("battery", at, 7)

    def _rssi(self, at: float) -> float:
        # Foliage and people move slowly, reflections quickly.
        fading = 3 * self._waves("fade", at, (613, 2003)) + 2 * self._grain("rssi", at, 5)
        return float(round(min(-30.0, max(-94.0, self._link + fading))))
