"""Raspberry Pi Pico W: RP2040, CYW43439 radio, 2 MB flash.

Pins: I2C0 on GP4 (SDA) and GP5 (SCL), I2C1 on GP6 and GP7; a battery divider (half the battery's voltage) on GP26.
"""

import machine
import network
from micropython import const

NAME = "pico_w"
WATCHDOG_MAX_MS = const(8388)  # RP2040 datasheet 4.7: 24 bits, two counts a microsecond

BUSES = ("i2c0", "i2c1", "battery", "wifi")

_I2C_PINS = {"i2c0": (0, 5, 4), "i2c1": (1, 7, 6)}
_I2C_HZ = const(100000)
_BATTERY_PIN = const(26)

_RESET_CAUSES = {1: "power on", 3: "watchdog"}
_WIFI_PROBLEMS = {
    -3: "wrong password",
    -2: "no such network in reach",
    -1: "refused by the access point",
    1: "no answer from the access point",
    2: "no address from the network",
}

_made: dict = {}


def bus(name: str):
    """What a sensor's `bus` names, one of BUSES ("battery" is an ADC). Raises ValueError for another name."""
    if name in _made:
        return _made[name]
    _made[name] = made = _make(name)
    return made


def _make(name):
    if name in _I2C_PINS:
        unit, scl, sda = _I2C_PINS[name]
        return machine.I2C(unit, scl=machine.Pin(scl), sda=machine.Pin(sda), freq=_I2C_HZ)
    if name == "battery":
        return machine.ADC(machine.Pin(_BATTERY_PIN))
    if name == "wifi":
        return network.WLAN(network.STA_IF)
    raise ValueError("this board has no bus " + name)


def wifi():
    """The station interface."""
    return bus("wifi")


def wifi_problem(status: int) -> str:
    """What a station's status() says about a failed attempt, in words."""
    return _WIFI_PROBLEMS.get(status, "status " + str(status))


def watchdog(timeout_ms: int):
    """Start the watchdog, with the nearest time-out that this board can do; returns the function that feeds it."""
    return machine.WDT(timeout=min(timeout_ms, WATCHDOG_MAX_MS)).feed


def reset_cause() -> str:
    """Why the board last started."""
    return _RESET_CAUSES.get(machine.reset_cause(), "reset")


def reset() -> None:
    """Start again, as after power-on. Does not return."""
    machine.reset()


def set_rtc(unix_s: int) -> None:
    """Set the real-time clock, which TLS checks certificates against. rp2 counts from 1970."""
    import time

    t = time.gmtime(unix_s)
    machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))


def led(on: bool) -> None:
    """The board's light."""
    machine.Pin("LED", machine.Pin.OUT).value(1 if on else 0)


def unique_id() -> bytes:
    """What tells this board from all others."""
    return machine.unique_id()
