"""Which simulated parts are soldered to a virtual board: what its config names, on the pins its board file uses."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from tagonode.config import board_buses
from tagonode.virtual import ports
from tagonode.virtual.bus import I2CBus
from tagonode.virtual.chips.ads1115 import ADS1115
from tagonode.virtual.chips.aht20 import AHT10, AHT20
from tagonode.virtual.chips.bh1750 import BH1750
from tagonode.virtual.chips.bme280 import BME280, BMP280
from tagonode.virtual.chips.dht22 import DHT11, DHT22
from tagonode.virtual.chips.ds18b20 import DS18B20, rom_of
from tagonode.virtual.chips.hx711 import HX711
from tagonode.virtual.chips.ina219 import INA219
from tagonode.virtual.chips.max17048 import MAX17048
from tagonode.virtual.chips.pms5003 import PMS5003
from tagonode.virtual.chips.rain_gauge import RainGauge
from tagonode.virtual.chips.scd4x import SCD4X
from tagonode.virtual.chips.sht3x import SHT3X
from tagonode.virtual.chips.sht4x import SHT4X
from tagonode.virtual.chips.voltages import VOLTAGES
from tagonode.virtual.environment import Day
from tagonode.virtual.hardware import Hardware
from tagonode.virtual.radio import AccessPoint, Radio
from tagonode.virtual.virtualtime import VirtualTime
from tagonode.virtual.wires import ClockAndData, Contact, DhtLine, OneWireBus, SerialLine

CHIPS: dict[str, Callable] = {
    "ads1115": ADS1115,
    "aht10": AHT10,
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
# on pins and UARTs: driver -> (wire, part)
PARTS: dict[str, tuple[Callable, Callable]] = {
    "dht11": (DhtLine, DHT11),
    "dht22": (DhtLine, DHT22),
    "ds18b20": (OneWireBus, DS18B20),
    "hx711": (ClockAndData, HX711),
    "pms5003": (SerialLine, PMS5003),
    "pulse_counter": (Contact, RainGauge),
}
# chips of which every specimen has its own trimming or serial number
_SCATTERED = {"bme280", "bmp280", "scd4x", "sht4x"}

_BATTERY_RATIO = 2.0  # of the divider on the pin that the board's file calls "battery"
_VSYS_RATIO = 3.0
_WARMER = 8.0  # °C, the CPU than its surroundings


def numbers(bus: str) -> list[int]:
    """Pins or unit in a bus's name: [22] of "onewire:gp22", [20, 21] of "pins:gp20,gp21", [1] of "uart1"."""
    return [int(number) for number in re.findall(r"\d+", bus.rpartition(":")[2])]


def attach(hardware: Hardware, driver: str, bus: str, environment: Any, clock: Callable[[], float], **specimen) -> Any:
    """Solder a part of PARTS to the pins or the UART that `bus` names; several may share a 1-Wire bus. Returns it."""
    make_wire, make_part = PARTS[driver]
    part = make_part(environment, clock, **specimen)
    places: dict[int, Any] = hardware.uarts if bus.startswith("uart") else hardware.wires
    pins = numbers(bus)
    wire = places.get(pins[0])
    if isinstance(wire, OneWireBus) and make_wire is OneWireBus:
        wire.parts.append(part)
        return part
    wire = Contact(part, clock=clock) if make_wire is Contact else make_wire(part)
    for pin in pins:
        places[pin] = wire
    return part


def build_hardware(
    board: str,
    sensors: list,
    networks: dict[str, str],
    nameserver: str,
    serial: str,
    seed: int,
    own_chips: Mapping[str, Callable] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Hardware:
    """A board with its chips in a believable day, starting at the present hour, or where `clock`, a VirtualTime, does.

    sensors: those of the config (driver, bus, address); networks: {ssid: password} in reach; own_chips: {driver: chip}
    that come beside, or in place of, those here.
    """
    chips = {**CHIPS, **(own_chips or {})}
    day = Day(seed)
    port = ports.chip_of(board)
    chip_of_board = ports.CHIPS[port]
    start = clock()
    of_day = clock.unix() if isinstance(clock, VirtualTime) else time.time()

    def now() -> float:
        return of_day + clock() - start

    buses = {unit: I2CBus(nack_errno=chip_of_board.nack) for unit in range(chip_of_board.i2c)}
    for sensor in sensors:
        if sensor.driver in chips and sensor.bus.startswith("i2c"):
            address = {} if sensor.address is None else {"address": sensor.address}
            specimen = {"seed": seed} if sensor.driver in _SCATTERED and chips[sensor.driver] in CHIPS.values() else {}
            chip = chips[sensor.driver](day, now, **specimen, **address)
            buses[int(sensor.bus.removeprefix("i2c"))].chips.append(chip)

    def battery(ratio: float) -> Callable[[], float]:
        return lambda: day.value("battery", now()) / ratio * 1e6

    fixed = board_buses(board).fixed
    adc = {numbers(fixed["battery"][0])[0]: battery(_BATTERY_RATIO)}
    if "vsys" in fixed:
        adc[ports.VSYS] = battery(_VSYS_RATIO)
    for sensor in sensors:
        if sensor.bus.startswith("adc:"):
            if sensor.driver == "battery":
                adc[numbers(sensor.bus)[0]] = battery(sensor.options.get("ratio", _BATTERY_RATIO))
            elif sensor.driver == "analog":
                make = VOLTAGES[sensor.options.get("mode", "voltage")]
                adc[numbers(sensor.bus)[0]] = make(day, now, **sensor.options).microvolts
    points = [AccessPoint(ssid, key, lambda: day.value("rssi", now())) for ssid, key in networks.items()]
    hardware = Hardware(
        radio=Radio(clock=clock, access_points=points, nameserver=nameserver, port=chip_of_board.port),
        i2c=buses,
        adc=adc,
        port=port,
        clock=clock,
        serial=serial,
        celsius=lambda: day.value("temperature", now()) + _WARMER,
    )
    for index, sensor in enumerate(sensors):
        if sensor.driver in PARTS:
            specimen = {}
            if sensor.driver == "ds18b20":
                specimen = {"seed": seed + index, "rom": rom_of(sensor.address)}
            attach(hardware, sensor.driver, sensor.bus, day, now, **specimen)
    return hardware
