"""RP2040 and RP2350 beside a CYW43439 radio, under MicroPython's rp2 port."""

import time

import machine
import network
from micropython import const

from boards import _port
from boards._port import *  # noqa: F403

# RP2040: 24 bits, two counts a microsecond. RP2350 counts half as fast, but the port up to 1.28 does not know.
WATCHDOG_MAX_MS = const(8388)
WIFI_WAITS = (0, 1, 2, 3)

# filled in by the board's module: address of the register WATCHDOG.REASON
WATCHDOG_REASON = 0

_port.WIFI_PROBLEMS = {
    -3: "wrong password",
    -2: "no such network in reach",
    -1: "refused by the network",
    1: "no answer",
    2: "no address given",
}

_PWRON_RESET = const(1)
_PIECE_MS = const(6000)  # of sleep: the watchdog goes on in it
_TIMER = const(1)
_CORE_TEMP = const(4)


def bus(name: str):  # type: ignore[no-redef]
    """As in _port, and "vsys": the board's own supply."""
    if name == "vsys":
        from boards._rp2_vsys import Vsys

        return Vsys()
    return _port.bus(name)


def watchdog(timeout_ms: int):
    """Start the watchdog, with the nearest time-out that this board can do; returns the function that feeds it."""
    return machine.WDT(timeout=min(timeout_ms, WATCHDOG_MAX_MS)).feed


def wifi_off() -> None:  # type: ignore[no-redef]
    """As in _port: the radio's firmware is loaded anew then."""
    network.WLAN().deinit()


def sleep(ms: int, feed) -> None:  # type: ignore[no-redef]
    """As in _port, and RAM is kept. deepsleep() would save nothing more: it is this and a reset, and forgets the time.

    MicroPython 1.24 and 1.25 come back at once on a Pico W (its issue 16181): what is left of a piece is waited for.
    """
    try:
        wifi_off()
    except (OSError, RuntimeError):
        pass  # it does not answer, which the next wake that links finds out: samples are taken all the same
    end = time.ticks_add(time.ticks_ms(), ms)
    while ms > 0:
        feed()
        piece = min(ms, _PIECE_MS)
        machine.lightsleep(piece)
        rest = time.ticks_diff(end, time.ticks_ms()) - (ms - piece)
        if rest > 0:
            time.sleep_ms(rest)
        ms = time.ticks_diff(end, time.ticks_ms())
    feed()


def reset_cause() -> str:
    """Why the board last started, in words. The port calls every reset one by the watchdog, which resets are carried
    out by; the watchdog knows whether its time was up."""
    if machine.reset_cause() == _PWRON_RESET:
        return "power on"
    return "watchdog" if machine.mem32[WATCHDOG_REASON] & _TIMER else "reset"


def temperature() -> float:
    """°C of the CPU, some degrees above its surroundings. RP2040 datasheet 4.9.5: 27 - (V - 0.706) / 0.001721."""
    return 437.227 - machine.ADC(_CORE_TEMP).read_u16() * 0.02925916


def led(on: bool) -> None:
    """The board's light, which is the radio's to switch."""
    machine.Pin("LED", machine.Pin.OUT, value=on)
