"""What boards of all ports have in common. A port's module adds to it what is different there, and a board's module
fills in its pins and gives out all names. Nothing is touched before a function is called.
"""

import sys
import time

import machine
import network
from micropython import const

# filled in by the port's module and the board's
BUSES: dict = {}
ADC: tuple = ()
ADC_OPTIONS: dict = {}
WIFI_PROBLEMS: dict = {}

_EPOCH_2000_S = const(946684800)


def bus(name: str):
    """What a sensor's `bus` names: one of BUSES, or "<kind>:<pins>". Raises ValueError for what is not there."""
    from boards import _buses  # for one bus, for each is asked for once

    del sys.modules["boards._buses"]
    delattr(sys.modules["boards"], "_buses")
    return _buses.bus(name, BUSES, ADC, ADC_OPTIONS)


def recover(name: str) -> bool:
    """Free an I2C bus on which a chip that has lost count of the clock holds SDA low, and make it anew. False, and
    nothing done, when it is not held, or is none."""
    if name[:3] != "i2c" or name not in BUSES:
        return False
    scl, sda = [machine.Pin(int(pin.lstrip("gpio"))) for pin in BUSES[name].split(",")]
    if sda.value():
        return False
    from boards._rescue import nine_clocks

    nine_clocks(scl, sda)
    bus(name)
    return True


def wifi():
    """The station interface."""
    return network.WLAN()


def wifi_off() -> None:
    """Switch the radio off as far as that goes: what comes next starts it from nothing."""
    network.WLAN().active(False)


def wifi_problem(status: int) -> str:
    """What a station's status() says about a failed attempt, in words."""
    return WIFI_PROBLEMS.get(status) or "status %d" % status


def sleep(ms: int, feed) -> None:
    """All off but a timer, for so many milliseconds. Where `rtc_memory` gives None RAM is kept, and this returns; else
    the board starts again. feed(): feeds the watchdog, where one goes on in sleep.

    Whoever used the radio has switched it off. It is not asked for here: that alone would start it on an ESP32.
    """
    machine.deepsleep(ms)


def rtc_memory():
    """Where sleep forgets RAM: a function that gives the bytes kept meanwhile, or keeps those (2048 at most) it is
    given. None where RAM is kept."""


def rtc_ms() -> int:
    """Milliseconds of the real-time clock, which goes on in sleep and jumps when it is set."""
    return time.time_ns() // 1000000


def set_rtc(unix_s: int) -> None:
    """Set the real-time clock, which TLS checks certificates against. Ports count from 1970 or from 2000."""
    t = time.gmtime(unix_s if time.gmtime(0)[0] == 1970 else unix_s - _EPOCH_2000_S)
    machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))


reset = machine.reset
unique_id = machine.unique_id
