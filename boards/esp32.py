"""ESP32 development boards (ESP32-WROOM-32): 4 MB flash."""

import machine
from micropython import const

from boards import _port
from boards._esp32 import *  # noqa: F403

NAME = "esp32"
BUSES = _port.BUSES = {
    "i2c0": "gpio22,gpio21",
    "i2c1": "gpio32,gpio33",
    "uart1": "gpio17,gpio16",
    "battery": "gpio34",
    "wifi": "",
}
# of ADC block 1: block 2 is the radio's
ADC = _port.ADC = (32, 33, 34, 35, 36, 39)
# not those of the flash (6 to 11), the console (1, 3), the light (2), and those that decide at power-on what starts and
# on what voltage (0, 12); 34 and up only measure
_PINS = const("gpio4-gpio5 gpio13-gpio19 gpio21-gpio23 gpio25-gpio27 gpio32-gpio33")
_LED = const(2)


def led(on: bool) -> None:
    """The light that most such boards have on GPIO 2."""
    machine.Pin(_LED, machine.Pin.OUT, value=on)
