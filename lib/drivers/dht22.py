"""DHT22 (AM2302, AM2301) and DHT11: temperature and humidity on one pin, with the official dht module.

    from machine import Pin
    from drivers.dht22 import DHT22     # DHT11 for that one
    print(DHT22(Pin(15)).measure())     # (21.4, 45.2): °C, %

Source: Aosong's datasheets AM2302 (DHT22) and DHT11 version 1.3.
"""

import time

from drivers import Sensor, SensorError


def decode_dht22(frame: bytes) -> tuple:
    """(°C, %) of a frame, or SensorError. Below 0 °C: sign and magnitude, or two's complement as clones send it."""
    humidity = frame[0] << 8 | frame[1]
    raw = frame[2] << 8 | frame[3]
    if raw & 0x8000:
        # -40 °C is 0x8190 in one notation and 0xFE70 in the other: they do not overlap.
        raw = raw - 0x10000 if raw & 0x4000 else 0x8000 - raw
    if not 0 < humidity <= 1000 or not -400 <= raw <= 800:
        raise SensorError(f"{raw / 10} °C, {humidity / 10} % is no measurement")
    return raw / 10, humidity / 10


def decode_dht11(frame: bytes) -> tuple:
    """(°C, %) of a frame, or SensorError. Whole numbers and tenths; bit 7 of the last tenths is the sign."""
    tenths = frame[3] & 0x7F
    celsius = frame[2] + tenths / 10
    if frame[3] & 0x80:
        celsius = -celsius
    if not 0 < frame[0] <= 100 or frame[1] > 9 or tenths > 9 or not -21 < celsius < 61:
        raise SensorError(f"{bytes(frame).hex()} is no measurement of a DHT11")
    return celsius, frame[0] + frame[1] / 10


class DHT22(Sensor):
    """bus: machine.Pin, with a pull-up of 5 … 10 kΩ.

    The sensor answers with what it measured when it was asked before, and needs 2 s in between: so start()
    asks, too, unless that was done just now. Each asking takes the firmware 270 ms.
    """

    CHANNELS = (("temperature", "°C"), ("humidity", "%"))
    BUS = "pin"
    _REMEDY = "check data wire, pull-up (10 k) and supply"
    _INTERVAL_MS = 2000
    _decode = staticmethod(decode_dht22)

    def __init__(self, bus):
        self._bus = bus
        self._dht = None
        self._asked = None  # ticks

    def _ask(self):
        """A frame whose checksum is right, which the module sees to."""
        if self._dht is None:
            from dht import DHTBase  # here, so that a PC without it can look at CHANNELS

            self._dht = DHTBase(self._bus)
        try:
            self._dht.measure()
        except OSError:
            raise SensorError("no answer") from None
        except Exception as error:  # noqa: BLE001 - a wrong checksum is a plain one
            raise SensorError(str(error)) from None
        self._asked = time.ticks_ms()
        return self._dht.buf

    def _start(self) -> int:
        if self._ready:
            since = time.ticks_diff(time.ticks_ms(), self._asked)
            if 0 <= since < self._INTERVAL_MS:
                return self._INTERVAL_MS - since
        self._ask()
        self._ready = True
        return self._INTERVAL_MS

    def _read(self) -> tuple:
        if time.ticks_diff(time.ticks_ms(), self._asked) < self._INTERVAL_MS:
            raise SensorError("asked too early")
        return self._decode(self._ask())


class DHT11(DHT22):
    """As DHT22, every second, in whole percents and, of old ones, whole degrees."""

    _INTERVAL_MS = 1000
    _decode = staticmethod(decode_dht11)
