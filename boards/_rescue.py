"""Loaded when an I2C bus is stuck, and not before."""

import time

from micropython import const

_HALF_CLOCK_US = const(5)


def nine_clocks(scl, sda) -> None:
    """UM10204 3.1.16: nine clocks with SDA released make any chip let go of it, STOP makes all of them listen anew.

    Leaves both pins open-drain and high: the bus has to be made anew.
    """
    for pin in (scl, sda):
        pin.init(pin.OPEN_DRAIN, pin.PULL_UP, value=1)
    for pin, level in ((scl, 0), (scl, 1)) * 9 + ((scl, 0), (sda, 0), (scl, 1), (sda, 1)):
        pin.value(level)
        time.sleep_us(_HALF_CLOCK_US)
