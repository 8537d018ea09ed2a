"""ESP32-C3 development boards (SuperMini, ESP32-C3-DevKitM-1): 4 MB flash. One I2C, two UARTs."""

import machine
from micropython import const

from boards import _port
from boards._esp32 import *  # noqa: F403

NAME = "esp32c3"
BUSES = _port.BUSES = {"i2c0": "gpio6,gpio5", "uart1": "gpio7,gpio10", "battery": "gpio4", "wifi": ""}
# of ADC block 1: block 2 is the radio's
ADC = _port.ADC = (0, 1, 3, 4)
# not those of the flash (11 to 17), USB (18, 19), the console (20, 21), and those that decide at power-on what starts
# (2, 8, 9)
_PINS = const("gpio0-gpio1 gpio3-gpio7 gpio10")
_LED = const(8)


def led(on: bool) -> None:
    """The light of a SuperMini, which shines when its pin is low."""
    machine.Pin(_LED, machine.Pin.OUT, value=not on)
