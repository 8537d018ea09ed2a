"""A board that is nowhere but in a simulation: pins as many as anyone wants."""

import machine
from micropython import const

from boards import _port
from boards._port import *  # noqa: F403

NAME = "virtual"
WATCHDOG_MAX_MS = const(120000)
WIFI_WAITS = (0, 1, 2, 3)
BUSES = _port.BUSES = {
    "i2c0": "gpio1,gpio0",
    "i2c1": "gpio3,gpio2",
    "uart1": "gpio4,gpio5",
    "battery": "gpio6",
    "wifi": "",
}
ADC = _port.ADC = (6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_PINS = const("gpio0-gpio31")


def watchdog(timeout_ms: int):
    """Start the watchdog; returns the function that feeds it."""
    return machine.WDT(timeout=min(timeout_ms, WATCHDOG_MAX_MS)).feed


def reset_cause() -> str:
    """Why the board last started, in words."""
    return ("reset", "power on", "reset", "watchdog", "deep sleep", "soft reset")[machine.reset_cause()]


def rtc_memory():  # type: ignore[no-redef]
    """As in _port."""
    return machine.RTC().memory


def temperature():
    """No sensor."""


def led(on: bool) -> None:
    """No light."""
