"""Raspberry Pi Pico W: RP2040, CYW43439 radio, 2 MB flash."""

from micropython import const

from boards import _port, _rp2
from boards._rp2 import *  # noqa: F403

NAME = "pico_w"
BUSES = _port.BUSES = {
    "i2c0": "gp5,gp4",
    "i2c1": "gp7,gp6",
    "uart1": "gp8,gp9",
    "battery": "gp26",
    "vsys": "",
    "wifi": "",
}
ADC = _port.ADC = (26, 27, 28)
_PINS = const("gp0-gp22 gp26-gp28")

_rp2.WATCHDOG_REASON = const(0x40058008)
