"""ESP32-S3 development boards (ESP32-S3-DevKitC-1): 8 MB flash."""

import machine
from micropython import const

from boards import _port
from boards._esp32 import *  # noqa: F403

NAME = "esp32s3"
BUSES = _port.BUSES = {
    "i2c0": "gpio9,gpio8",
    "i2c1": "gpio16,gpio15",
    "uart1": "gpio17,gpio18",
    "battery": "gpio1",
    "wifi": "",
}
# of ADC block 1: block 2 is the radio's
ADC = _port.ADC = (1, 2, 4, 5, 6, 7, 8, 9, 10)
# not those of flash and PSRAM (26 to 37), USB (19, 20), the console (43, 44), the lights of both versions (38, 48), and
# those that decide at power-on what starts (0, 3, 45, 46)
_PINS = const("gpio1-gpio2 gpio4-gpio18 gpio21 gpio39-gpio42 gpio47")
_LED = const(48)


def led(on: bool) -> None:
    """The coloured light of a DevKitC-1 v1.0, as faint white: 24 bits of WS2812."""
    machine.bitstream(machine.Pin(_LED, machine.Pin.OUT), 0, (400, 850, 800, 450), b"\x08\x08\x08" if on else bytes(3))
