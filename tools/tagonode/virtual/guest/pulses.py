"""Pins that are quicker than the wires to the host: pulses out, interrupts in. Loaded when a pin does either.

A call over the wires takes as long as fifty pulses may: pulses are told together, when a pin is looked at next.
Edges wait in the host until the next call of any kind; then their handlers run, one after the other, and find pin
and ticks as they were at the edge.
"""

import struct
import time

import backplane

_LONG_US = 60  # a pulse that is meant, and not in a hurry

_pulsing = []
_handlers = {}  # pin number: (interrupt handler, its pin)
_served = {}  # pin number: level at the edge whose handler runs


class Pulses:
    """What a clock pin has done since the part was told."""

    def __init__(self, unit):
        self._unit = unit
        self._rose = None
        self._count = self._longest = 0
        _pulsing.append(self)
        backplane.reading = reading

    def value(self, level):
        if level:
            self._rose = time.ticks_us()
        elif self._rose is not None:
            self._longest = max(self._longest, time.ticks_diff(time.ticks_us(), self._rose))
            self._count += 1
            self._rose = None
            if self._longest > _LONG_US:
                self.tell()

    def tell(self):
        if self._count:
            told = struct.pack("<BI", self._count, self._longest)
            self._count = self._longest = 0
            backplane.call(backplane.PIN_PULSES, self._unit, told)


def reading(unit):
    """Before a pin is read: the level it had at the edge that is served, None for another."""
    for pulses in _pulsing:
        pulses.tell()
    return _served.get(unit)


class _Time:
    """`time` of a handler's module, with ticks that may stand still."""

    def __init__(self):
        for name in dir(time):
            setattr(self, name, getattr(time, name))


_time = _Time()


def irq(pin, unit, handler, trigger):
    if handler is None:
        _handlers.pop(unit, None)
        trigger = 0
    else:
        names = handler.__globals__
        if "time" in names:
            names["time"] = _time
        _handlers[unit] = handler, pin
    backplane.reading = reading
    backplane.interrupts = _serve
    backplane.call(backplane.PIN_IRQ, unit, bytes((trigger,)))


def _serve():
    backplane.interrupts = None  # one after the other
    now = time.ticks_ms()
    edges = backplane.call(backplane.PIN_EDGES)
    try:
        for i in range(0, len(edges), 6):
            unit, level, ago = struct.unpack("<BBI", edges[i : i + 6])
            if unit in _handlers:
                handler, pin = _handlers[unit]
                then = time.ticks_add(now, -ago)
                _time.ticks_ms = lambda then=then: then
                _served[unit] = level
                handler(pin)
                _served.clear()
    finally:
        _time.ticks_ms = time.ticks_ms
        _served.clear()
        backplane.interrupts = _serve
