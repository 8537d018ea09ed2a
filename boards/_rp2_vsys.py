"""The supply of a Pico W, on an ADC pin that is its radio's clock, too."""

import time

import machine
from micropython import const

_PIN = const(29)
_SELECT = const(25)  # the radio's chip select: low while it is spoken to
_PIO1 = const(7)
_SETTLE_US = const(150)


class Vsys:
    """Stands in for a machine.ADC: read_u16() of a third of VSYS, read_uv() of VSYS itself, so `ratio` is 1.

    The radio is spoken to by interrupts: they wait for a sixth of a millisecond, and find their pin as it was.
    """

    RATIO = 1.0

    def read_u16(self) -> int:
        state = machine.disable_irq()
        try:
            machine.Pin(_SELECT, machine.Pin.OUT, value=1)
            adc = machine.ADC(machine.Pin(_PIN, machine.Pin.IN))
            time.sleep_us(_SETTLE_US)
            return adc.read_u16()
        finally:
            machine.Pin(_PIN, machine.Pin.ALT, pull=machine.Pin.PULL_DOWN, alt=_PIO1)
            machine.enable_irq(state)

    def read_uv(self) -> int:
        return self.read_u16() * 9900000 // 65535
