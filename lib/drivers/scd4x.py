"""SCD40, SCD41: CO₂, temperature and humidity over I2C (0x62).

    from drivers.scd4x import SCD4X
    print(SCD4X(i2c).measure())     # (612, 21.4, 45.2): ppm, °C, %

Sections cited are those of Sensirion's datasheet SCD4x (version 1.3). It draws up to 205 mA for moments: a weak
supply shows as a chip that loses its settings.
"""

import time

from micropython import const

from drivers import Sensor, SensorError
from drivers.sensirion import crc8, word

# Table 9.
_START_PERIODIC_MEASUREMENT = b"\x21\xb1"
_READ_MEASUREMENT = b"\xec\x05"
_STOP_PERIODIC_MEASUREMENT = b"\x3f\x86"
_SET_SENSOR_ALTITUDE = b"\x24\x27"
_GET_SENSOR_ALTITUDE = b"\x23\x22"
_GET_DATA_READY_STATUS = b"\xe4\xb8"
# A command takes 1 ms, a stop 500 ms (table 9); a port's sleep may end up to 1 ms early.
_COMMAND_MS = const(2)
_STOP_MS = const(505)
# A result comes every 5 s (3.5.1), by a clock of which no tolerance is given.
_INTERVAL_MS = const(5500)


def decode(frame: bytes) -> tuple:
    """Nine bytes -> (ppm, °C, %) (3.5.2), within the chip's range (1.1), or SensorError."""
    co2 = word(frame, 0)
    celsius = 175 * word(frame, 3) / 65535 - 45
    # 0 ppm comes with a measurement that failed.
    if not (0 < co2 <= 40000 and -41 < celsius < 86):
        raise SensorError(f"out of range ({co2} ppm, {celsius:.1f} °C)")
    return co2, celsius, 100 * word(frame, 6) / 65535


class SCD4X(Sensor):
    """Measures every 5 s by itself; a reading is the newest result, 5 s old at most, and each is given once.

    altitude: in m, 0 … 3000: the air's density falsifies CO₂ by some 11 % at 1000 m. Without it, the one stored in
    the chip counts (0 m from the factory). The first reading takes 6 s, of which start() sleeps 0.5 s.
    """

    CHANNELS = (("co2", "ppm"), ("temperature", "°C"), ("humidity", "%"))

    def __init__(self, bus, address: int = 0x62, altitude: int = None):
        if not 0 <= (altitude or 0) <= 3000:
            raise ValueError("altitude is 0 … 3000 m")
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"
        self._altitude = altitude

    def _command(self, command: bytes, wait_ms: int = _COMMAND_MS):
        # Not every port raises when a byte after the address is not acknowledged.
        if self._bus.writeto(self._address, command) not in (None, len(command)):
            raise SensorError("refuses a command")
        time.sleep_ms(wait_ms)

    def _answer(self, command: bytes, length: int = 3) -> bytes:
        self._command(command)
        return self._bus.readfrom(self._address, length)

    def _has_result(self) -> int:
        # The other bits are not defined (3.8.2).
        return word(self._answer(_GET_DATA_READY_STATUS), 0) & 0x7FF

    def _start(self) -> int:
        if not self._ready:
            # Allowed while it measures or not; the CRC says that a Sensirion chip is there.
            self._has_result()
            # Measuring, it obeys nothing else (table 9); and only a stop ends an unknown mode.
            self._command(_STOP_PERIODIC_MEASUREMENT, _STOP_MS)
            if self._altitude is not None:
                value = int(self._altitude).to_bytes(2, "big")
                value += bytes((crc8(value, 0, 2),))
                self._command(_SET_SENSOR_ALTITUDE + value)
                if self._answer(_GET_SENSOR_ALTITUDE) != value:
                    raise SensorError("does not take the altitude")
            self._command(_START_PERIODIC_MEASUREMENT)
            self._ready = True
            return _INTERVAL_MS
        return 0 if self._has_result() else _INTERVAL_MS

    def _read(self) -> tuple:
        # After a loss of power it idles, and has none.
        if not self._has_result():
            raise SensorError("does not measure")
        return decode(self._answer(_READ_MEASUREMENT, 9))
