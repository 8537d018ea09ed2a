"""Which simulated parts are soldered to a virtual board: what its config names, on the pins its board file uses."""

import time
from collections.abc import Callable

from tagonode.virtual.bus import I2CBus
from tagonode.virtual.chips.ads1115 import ADS1115
from tagonode.virtual.chips.aht20 import AHT20
from tagonode.virtual.chips.bh1750 import BH1750
from tagonode.virtual.chips.bme280 import BME280, BMP280
from tagonode.virtual.chips.ina219 import INA219
from tagonode.virtual.chips.max17048 import MAX17048
from tagonode.virtual.chips.scd4x import SCD4X
from tagonode.virtual.chips.sht3x import SHT3X
from tagonode.virtual.chips.sht4x import SHT4X
from tagonode.virtual.environment import Day
from tagonode.virtual.hardware import Hardware
from tagonode.virtual.radio import AccessPoint, Radio

CHIPS: dict[str, Callable] = {
    "ads1115": ADS1115,
    "aht20": AHT20,
    "bh1750": BH1750,
    "bme280": BME280,
    "bmp280": BMP280,
    "ina219": INA219,
    "max17048": MAX17048,
    "scd4x": SCD4X,
    "sht3x": SHT3X,
    "sht4x": SHT4X,
}
# chips of which every specimen has its own trimming or serial number
_SCATTERED = {"bme280", "bmp280", "scd4x", "sht4x"}

# boards/<name>.py: the ADC channel (rp2: pin number) of the battery divider, and what it divides by
_BATTERY = {"pico_w": (26, 2.0), "esp32": (34, 2.0)}
_PORTS = {"pico_w": "rp2", "esp32": "esp32"}
_NACK = {"rp2": 5, "esp32": 19}


def build_hardware(
    board: str, sensors: list, networks: dict[str, str], nameserver: str, serial: str, seed: int
) -> Hardware:
    """A board with its chips in a believable day, starting at the present hour.

    sensors: those of the config (driver, bus, address); networks: {ssid: password} in reach.
    """
    day = Day(seed)
    port = _PORTS[board]
    start = time.monotonic()
    of_day = time.time()

    def now() -> float:
        return of_day + time.monotonic() - start

    buses: dict[int, I2CBus] = {0: I2CBus(nack_errno=_NACK[port]), 1: I2CBus(nack_errno=_NACK[port])}
    for sensor in sensors:
        if sensor.driver in CHIPS and sensor.bus.startswith("i2c"):
            address = {} if sensor.address is None else {"address": sensor.address}
            specimen = {"seed": seed} if sensor.driver in _SCATTERED else {}
            chip = CHIPS[sensor.driver](day, now, **specimen, **address)
            buses[int(sensor.bus.removeprefix("i2c"))].chips.append(chip)
    channel, ratio = _BATTERY[board]
    points = [AccessPoint(ssid, key, lambda: day.value("rssi", now())) for ssid, key in networks.items()]
    return Hardware(
        radio=Radio(clock=time.monotonic, access_points=points, nameserver=nameserver),
        i2c=buses,
        adc={channel: lambda: day.value("battery", now()) / ratio * 1e6},
        port=port,
        serial=serial,
    )
