"""ESP32, ESP32-S3 and ESP32-C3, under MicroPython's esp32 port."""

import machine
import network
from micropython import const

from boards import _port
from boards._port import *  # noqa: F403

WATCHDOG_MAX_MS = const(120000)  # any value goes; two minutes are more than any task promises
WIFI_WAITS = (1000, 1001, 1010)

_port.ADC_OPTIONS = {"atten": 3}  # ATTN_11DB: 0.15 to 2.45 V and, less precisely, up to 3.1 V
_port.WIFI_PROBLEMS = {
    15: "wrong password",
    201: "no such network in reach",
    202: "wrong password",
    203: "refused by the network",
    204: "wrong password",
    1001: "no answer",
}
# a brown-out is one of the port's power-ons
_RESET_CAUSES = {1: "power on", 3: "watchdog", 4: "deep sleep", 5: "soft reset"}


def wifi():  # type: ignore[no-redef]
    """The station interface. It tries once when told to: the agent learns at once what was wrong, and tries again."""
    wlan = network.WLAN()
    wlan.config(reconnects=0)
    return wlan


def watchdog(timeout_ms: int):
    """Start the watchdog, with the nearest time-out that this board can do; returns the function that feeds it."""
    return machine.WDT(timeout=min(timeout_ms, WATCHDOG_MAX_MS)).feed


def reset_cause() -> str:
    """Why the board last started, in words."""
    return _RESET_CAUSES.get(machine.reset_cause()) or "reset"


def rtc_memory():  # type: ignore[no-redef]
    """As in _port."""
    return machine.RTC().memory


def temperature() -> float:
    """°C of the CPU, some degrees above its surroundings."""
    import esp32

    if hasattr(esp32, "mcu_temperature"):  # all but the first ESP32, which has one in °F
        return esp32.mcu_temperature()
    return (esp32.raw_temperature() - 32) / 1.8
