"""PulseCounter: contacts and open collectors that pulse once for so much rain, water or energy.

    from machine import Pin
    from drivers.pulse_counter import PulseCounter
    rain = PulseCounter(Pin(15), factor=0.2794, unit="mm", per_s=3600)
    rain.start()                # counts from here on
    print(rain.read())          # (1.9558, 0.8382): mm, mm/h

A bucket of a rain gauge: 0.2794 mm; a YF-S201: factor=1/450, unit="l"; an energy meter's S0 output of 1000
pulses a kWh: factor=1, unit="Wh", per_s=3600.
"""

import time

from drivers import Sensor


class PulseCounter(Sensor):
    """bus: machine.Pin; the contact closes to ground, against the pin's own pull-up. Channels: count and rate.

    debounce_ms: for so long after a change of level others are bounces; longer than the contact bounces, shorter than
    it is closed or open at its fastest; 0 for outputs that do not bounce.
    factor: what a pulse stands for, in `unit`. per_s: the rate's time, 60 for a minute. The rate is that since the
    reading before, and of one second at least. Before the first it is that since start(), and None where there was
    neither a second nor a pulse since.

    total: pulses counted in earlier lives. The attribute of that name goes on from there: who wants counts to survive
    a reset keeps it after each read(), and gives it back to the next life, as a node does. Pulses since then are lost.

    Counts while the CPU runs; in deep sleep nobody listens.
    """

    CHANNELS = (("count", "pulses"), ("rate", "pulses/min"))
    BUS = "pin"
    COUNTS = True
    _REMEDY = "use a pin that has interrupts"

    def __init__(
        self, bus, debounce_ms: int = 5, factor: float = 1, unit: str = "pulses", per_s: int = 60, total: int = 0
    ):
        if debounce_ms < 0 or per_s <= 0 or not factor or total < 0:
            raise ValueError("debounce_ms and total are 0 or more, per_s is more than 0, factor is not 0")
        self._bus = bus
        self._debounce_ms = debounce_ms
        self._factor = factor
        self._per_ms = per_s * 1000
        self.total = total
        self._level = 1
        self._changed = self._settled = None  # ticks
        self._before = None  # total and ticks of the reading before, or of the start
        self._counted = False  # whether there was a reading since the start
        time_unit = {1: "s", 60: "min", 3600: "h"}.get(per_s, f"{per_s} s")
        self.CHANNELS = (("count", unit), ("rate", unit + "/" + time_unit))

    def _edge(self, pin):
        """Interrupt handler; it allocates nothing. Looks at the level, so that noise shorter than its own delay is
        none, and takes a change when none was taken for debounce_ms."""
        level = pin.value()
        if level == self._level:
            return
        now = time.ticks_ms()
        if self._settled != self._changed and time.ticks_diff(now, self._changed) < self._debounce_ms:
            return
        self._level = level
        self._changed = now
        self._settled = None
        if not level:
            self.total += 1

    def _start(self) -> int:
        pin = self._bus
        if not self._ready:
            pin.init(pin.IN, pin.PULL_UP)
            self._level = pin.value()
            self._settled = self._changed = now = time.ticks_ms()
            self._before = self.total, now
            self._counted = False
            trigger = pin.IRQ_FALLING | pin.IRQ_RISING
            try:
                # Soft ones wait while the CPU is in a TLS handshake, and their queue is short.
                pin.irq(self._edge, trigger, hard=True)
            except TypeError:
                pin.irq(self._edge, trigger)  # a port without
            self._ready = True
        return 0

    def _read(self) -> tuple:
        self._edge(self._bus)  # in case an interrupt was lost
        now, total = time.ticks_ms(), self.total
        changed = self._changed
        if time.ticks_diff(now, changed) >= self._debounce_ms:
            self._settled = changed  # remembered, for ticks wrap during a dry week
        before, then = self._before
        self._before = total, now
        past = time.ticks_diff(now, then)
        if not self._counted and past < 1000 and total == before:
            rate = None
        else:
            rate = (total - before) * self._per_ms / max(past, 1000) * self._factor
        self._counted = True
        return total * self._factor, rate
