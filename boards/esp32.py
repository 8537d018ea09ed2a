"""ESP32 development boards (ESP32-WROOM-32): 4 MB flash.

Pins: I2C0 on 21 (SDA) and 22 (SCL), I2C1 on 33 and 32; a battery divider (half the battery's voltage) on 34, on
ADC block 1, because block 2 cannot be read while Wi-Fi is on.
"""

import machine
import network
from micropython import const

NAME = "esp32"
WATCHDOG_MAX_MS = const(120000)  # any value goes; two minutes are more than any task promises

BUSES = ("i2c0", "i2c1", "battery", "wifi")

_I2C_PINS = {"i2c0": (0, 22, 21), "i2c1": (1, 32, 33)}
_I2C_HZ = const(100000)
_BATTERY_PIN = const(34)
_LED_PIN = const(2)
_EPOCH_2000_S = const(946684800)

_RESET_CAUSES = {1: "power on", 2: "reset", 3: "watchdog", 4: "deep sleep", 5: "soft reset"}
# ports/esp32/modnetwork_globals.h: the reasons that a station reports
_WIFI_PROBLEMS = {
    200: "lost the access point's beacon",
    201: "no such network in reach",
    202: "wrong password",
    203: "refused by the access point",
    204: "handshake timed out: wrong password?",
    1001: "no answer from the access point",
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
        return machine.ADC(machine.Pin(_BATTERY_PIN), atten=machine.ADC.ATTN_11DB)
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
    """Set the real-time clock, which TLS checks certificates against. esp32 counts from 2000."""
    import time

    t = time.gmtime(unix_s if time.gmtime(0)[0] == 1970 else unix_s - _EPOCH_2000_S)
    machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))


def led(on: bool) -> None:
    """The board's light, where there is one on GPIO 2."""
    machine.Pin(_LED_PIN, machine.Pin.OUT).value(1 if on else 0)


def unique_id() -> bytes:
    """What tells this board from all others."""
    return machine.unique_id()
