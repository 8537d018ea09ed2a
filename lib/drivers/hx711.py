"""HX711: a load cell's amplifier and 24-bit ADC on two pins.

    from machine import Pin
    from drivers.hx711 import HX711
    print(HX711((Pin(20), Pin(21))).measure())                              # (84213,): raw
    print(HX711((Pin(20), Pin(21)), offset=84213, scale=21500).measure())   # (0.0,): kg

To calibrate: `raw` of the empty scale is the offset; put a known weight on, (raw - offset) ÷ kg is the scale.
Pages cited are those of Avia Semiconductor's datasheet HX711.
"""

import time

from micropython import const

from drivers import Sensor, SensorError, polls

_SETTLE_MS = const(450)  # 400 ms at 10 a second (page 3), and 12 % for the oscillator on the chip
_PULSES = {128: 25, 32: 26, 64: 27}  # for the conversion after, by gain (table 3)
_PERIOD_MS = const(120)  # from one result to the next, at most
_POWER_DOWN_US = const(60)
_RESET_US = const(100)


def decode(bits: int) -> int:
    """24 bits in two's complement -> a signed number, or SensorError at a rail and for a line that is held."""
    if bits in (0, 0x7FFFFF, 0x800000, 0xFFFFFF):
        raise SensorError(f"{bits:#08x} is no measurement (check the cell's four wires)")
    return bits - 0x1000000 if bits & 0x800000 else bits


class HX711(Sensor):
    """bus: (data pin DT, clock pin SCK), machine.Pin both.

    gain: 128 or 64 for channel A, 32 for channel B. offset: raw at no weight. scale: raw a kg (negative when the
    cell is turned over); None, for calibrating, gives the channel `raw` in place of `weight`.
    A dip of the supply in the 70 ms after start() may, with a gain other than 128, pass for a weight; so may one
    in the half millisecond of the reading, for the chip sends no checksum.
    """

    CHANNELS = (("weight", "kg"),)
    BUS = "pins"
    _REMEDY = "check wiring and supply"

    def __init__(self, bus, gain: int = 128, offset: float = 0, scale: float = None):
        if gain not in _PULSES:
            raise ValueError("HX711: gain is 128, 64 or 32")
        if scale == 0:
            raise ValueError("scale is the raw value of a kilogram, and not 0")
        self._bus = bus
        self._pulses = _PULSES[gain]
        self._offset = offset
        self._scale = scale
        self._shifted = None  # ticks
        if scale is None:
            self.CHANNELS = (("raw", ""),)

    def _shift(self) -> int:
        """The 24 bits that are ready, by as many pulses as the gain wants. Nothing in the loop allocates."""
        data, clock = self._bus
        for _ in polls(20):
            if not data.value():
                break
            time.sleep_ms(1)
        else:
            raise SensorError("is not ready")
        bits = 0
        longest = 0
        for _ in range(self._pulses):
            before = time.ticks_us()
            clock.value(1)
            clock.value(0)
            longest = max(longest, time.ticks_diff(time.ticks_us(), before))
            bits = bits << 1 | data.value()
        self._shifted = time.ticks_ms()
        if longest > _POWER_DOWN_US:
            # An interrupt came in between, and the chip took it for power-down (page 5).
            raise SensorError(f"clock was high for {longest} us")
        return bits >> self._pulses - 24

    def _start(self) -> int:
        data, clock = self._bus
        if not self._ready:
            data.init(data.IN, data.PULL_UP)  # an unplugged one is never ready
            clock.init(clock.OUT, value=0)
            self._ready = True
            if self._pulses == _PULSES[128]:
                # Power-down and up again: whatever it was in the middle of, it starts over, with this gain.
                clock.value(1)
                time.sleep_us(_RESET_US)
                clock.value(0)
                return _SETTLE_MS
            self._shift()
        elif not data.value() or not 0 <= time.ticks_diff(time.ticks_ms(), self._shifted) < _PERIOD_MS:
            # Drops what was converted before now, and sets the gain again: after power-on it is 128.
            self._shift()
        return _SETTLE_MS

    def _read(self) -> tuple:
        raw = decode(self._shift())
        if self._scale is None:
            return (raw,)
        return ((raw - self._offset) / self._scale,)
