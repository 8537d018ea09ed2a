"""What there is to measure around a simulated node, as functions of time.

Quantities (unit): temperature (°C), humidity (%), pressure (hPa), illuminance (lx), rain (mm/h), moisture (of the
soil, %), pm1_0, pm2_5, pm10 (µg/m³), co2 (of a room, ppm), weight (of a beehive, kg), battery (V), state_of_charge
(of that battery, %), voltage and current (of its solar panel, V and A), voltage_0 … voltage_3 (at the inputs of an
ADC, V), rssi (dBm). A chip asks `environment.value(quantity, at)` at the moment it converts. Plain Python that
MicroPython runs as well; no state but the seed, so that any moment can be asked for, in any order.
"""

from math import cos, exp, log, pi, sin

_DAY_S = 86400.0
_OUTDOORS_PPM = 424.0
_SLOT_S = 21600  # there is one shower in so many seconds, or none
_DRY_S = 864000.0  # what fell before that has dried
_SOIL_SLOTS = int(_DRY_S / _SLOT_S) + 1


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
    its node alive. Indoors, people come to work five days in seven, breathe, and open the windows. `at` counts
    seconds; midnight, local, is at every multiple of 86400.
    """

    def __init__(self, seed: int = 1):
        self._seed = seed
        self._mean = 4 + 14 * chance(seed, "mean")
        self._swing = 4 + 4 * chance(seed, "swing")
        self._height = 1 - exp(-chance(seed, "height") * 0.1)  # of the air column that is below the node
        self._noon = 12.5 + chance(seed, "noon")
        self._week = int(7 * chance(seed, "week"))
        self._people = 1 + int(4 * chance(seed, "people"))
        self._leak = 0.3 + 0.4 * chance(seed, "leak")
        self._breath = 18000 / (35 + 40 * chance(seed, "room"))  # ppm an hour that one of them (18 l/h) adds
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

    def _daylight(self, at: float) -> float:
        """As a share of what falls on a panel in full sun."""
        return self._sun(at) ** 1.3 * (1 - 0.8 * self._cloud(at))

    def _illuminance(self, at: float) -> float:
        # In half shade, as one hangs a BH1750: above 54612 lx it can only say that it is too bright.
        return 0.2 + 48000 * self._daylight(at)

    def _co2(self, at: float) -> float:
        # Indoors: a room with its people in, their windows opened now and then, is a sum of exponentials. What was
        # the day before yesterday has long leaked out.
        ppm = _OUTDOORS_PPM
        today = int(at // _DAY_S)
        moment = (today - 1) * _DAY_S
        for day in (today - 1, today):
            for hour, people, changes in self._room(day):
                end = min(at, day * _DAY_S + hour * 3600)
                goal = _OUTDOORS_PPM + people * self._breath / changes
                ppm = goal + (ppm - goal) * exp((moment - end) / 3600 * changes)
                moment = end
                if end == at:
                    break
        return ppm + 4 * self._waves("co2", at, (1801, 5003))

    def _room(self, day: int) -> tuple:
        """(until which hour, people, changes of the air per hour) in order; nobody is in on two days in seven."""
        if (day + self._week) % 7 > 4:
            return ((24.0, 0, self._leak),)
        late = [0.7 * chance(self._seed, f"room{day}/{i}") for i in range(4)]
        people = self._people
        arrive, noon, leave = 7.6 + late[0], 12 + late[1], 16.8 + late[2]
        aired = 9.7 + late[3], 14.4 + late[3]
        return (
            (arrive, 0, self._leak),
            (aired[0], people, self._leak),
            (aired[0] + 0.2, people, 8.0),
            (noon, people, self._leak),
            (noon + 0.8, 0, self._leak),
            (aired[1], people, self._leak),
            (aired[1] + 0.2, people, 8.0),
            (leave, people, self._leak),
            (24.0, 0, self._leak),
        )

    def _shower(self, slot: int):
        """(when it begins, how many seconds it lasts, mm) or None: likely under clouds."""
        name = f"shower{slot}"
        cloud = self._cloud((slot + 0.5) * _SLOT_S)
        if chance(self._seed, name) > 0.45 * cloud * cloud:
            return None
        seconds = 1200 + 9000 * chance(self._seed, name + "/s")
        begin = slot * _SLOT_S + (_SLOT_S - seconds) * chance(self._seed, name + "/at")
        return begin, seconds, 0.4 + 9 * chance(self._seed, name + "/mm") ** 2

    def _rain(self, at: float) -> float:
        shower = self._shower(int(at // _SLOT_S))
        if shower is None or not 0 < at - shower[0] < shower[1]:
            return 0.0
        begin, seconds, millimetres = shower
        return 3600 * millimetres / seconds * (1 - cos(2 * pi * (at - begin) / seconds))

    def _moisture(self, at: float) -> float:
        # Rain soaks in as it falls, and half of it has gone after some three days.
        water = 0.0
        last = int(at // _SLOT_S)
        for slot in range(last - _SOIL_SLOTS, last + 1):
            shower = self._shower(slot)
            if shower is not None and at > shower[0]:
                begin, seconds, millimetres = shower
                share = min(1.0, (at - begin) / seconds)
                fallen = millimetres * (share - sin(2 * pi * share) / (2 * pi))
                age = max(0.0, at - begin - seconds)
                water += fallen * exp(-age / (4 * _DAY_S)) * max(0.0, 1 - age / _DRY_S)
        return 60 - 46 * exp(-water / 20)

    def _pm2_5(self, at: float) -> float:
        # Traffic in the morning and the evening of five days in seven; still nights gather it, rain washes it out.
        hour = at % _DAY_S / 3600
        traffic = exp(-(((hour - 8) / 1.4) ** 2)) + 0.8 * exp(-(((hour - 18) / 1.9) ** 2))
        if int(at // _DAY_S) % 7 > 4:
            traffic *= 0.35
        still = 5 + 3 * self._front(at) + 4 * (1 - self._sun(at))
        drift = 1 + 0.25 * self._waves("dust", at, (613, 4409))
        return (still + 16 * traffic) * drift / (1 + 0.3 * self._rain(at))

    def _pm1_0(self, at: float) -> float:
        return 0.65 * self._pm2_5(at)

    def _pm10(self, at: float) -> float:
        return self._pm2_5(at) * (1.35 + 0.2 * self._waves("coarse", at, (2203, 9007)))

    def _weight(self, at: float) -> float:
        # Stores come and go over weeks; nectar is brought in by day and dries by night; foragers are out in the sun.
        stores = 36 + 4 * self._waves("stores", at, (1500007, 2700001))
        nectar = 0.35 * cos(2 * pi * (at % _DAY_S / 3600 - 19) / 24) * (1 - 0.7 * self._cloud(at))
        return stores + nectar - 0.6 * min(1.0, 3 * self._sun(at))

    def _charge(self, at: float) -> float:
        # A Li-ion cell under a small panel: fullest towards evening, emptiest at dawn, less so under clouds.
        day = cos(2 * pi * (at % _DAY_S / 3600 - 17) / 24)
        return 0.7 + 0.2 * day * (1 - 0.4 * self._cloud(at)) + 0.08 * self._front(at)

    def _battery(self, at: float) -> float:
        charge = self._charge(at)
        return 3.45 + 0.62 * charge + 0.09 * log(0.3 + charge) + 0.004 * self._grain("battery", at, 7)

    def _state_of_charge(self, at: float) -> float:
        return 100 * self._charge(at)

    def _current(self, at: float) -> float:
        # A panel of 1 W, whose charger lets go of it as the cell fills.
        return 0.19 * self._daylight(at) * min(1.0, 8 * (1 - self._charge(at)))

    def _voltage(self, at: float) -> float:
        light = self._daylight(at) + 2e-6
        return 6.3 * light / (light + 0.004) - 2 * self._current(at)

    # What hangs on the four inputs of an ADC: a thermistor below 10 kΩ at 3.3 V, a phototransistor, half the
    # battery, and a soil probe.

    def _voltage_0(self, at: float) -> float:
        share = exp(3950 / (self._temperature(at) + 273.15) - 3950 / 298.15)
        return 3.3 * share / (share + 1)

    def _voltage_1(self, at: float) -> float:
        return 3.1 * self._illuminance(at) / (self._illuminance(at) + 20000)

    def _voltage_2(self, at: float) -> float:
        return self._battery(at) / 2

    def _voltage_3(self, at: float) -> float:
        return 2.6 - 0.024 * self._moisture(at)

    def _rssi(self, at: float) -> float:
        # Foliage and people move slowly, reflections quickly.
        fading = 3 * self._waves("fade", at, (613, 2003)) + 2 * self._grain("rssi", at, 5)
        return float(round(min(-30.0, max(-94.0, self._link + fading))))
