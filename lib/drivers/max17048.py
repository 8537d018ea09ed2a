"""MAX17048: voltage and state of charge of a lithium cell over I2C (0x36).

    from drivers.max17048 import MAX17048
    print(MAX17048(i2c).measure())      # (3.912, 71.4): V, %

Headings cited are those of Maxim's datasheet 19-6171 (rev 7). The MAX17049 is the same for two cells in series,
and gives the voltage of one.
"""

from micropython import const

from drivers import Sensor, SensorError

_VCELL = const(0x02)
_SOC = const(0x04)
_VERSION = const(0x08)
_CONFIG = const(0x0C)
_STATUS = const(0x1A)

_RI = const(0x0100)
_SLEEP = const(0x80)
# "Battery Insertion Debounce": 17 ms to the voltage, 175 ms more to the state of charge.
_DEBOUNCE_MS = const(200)


def decode(vcell: int, soc: int) -> tuple:
    """Registers -> (V, %) ("VCELL Register": 78.125 µV a bit; "SOC Register": 1/256 % a bit), or SensorError.

    The gauge may say a little more than 100 %, which is cut.
    """
    volts = vcell / 12800
    # 0 is what it says before its first measurement; below 2.5 V it does not work, 5.12 V is a rail.
    if not (2 < volts < 5.1 and soc < 0x8000):
        raise SensorError(f"{volts:.3f} V, {soc / 256:.0f} % is no measurement")
    return volts, min(soc / 256, 100.0)


class MAX17048(Sensor):
    """The chip measures by itself, every 250 ms, and every 45 s while next to no current flows.

    It lives on the cell: without one there is no answer. It is never told to quick-start, which would throw away
    what its model has learnt.
    """

    CHANNELS = (("voltage", "V"), ("state_of_charge", "%"))

    def __init__(self, bus, address: int = 0x36):
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"

    def _word(self, register: int) -> int:
        high, low = self._bus.readfrom_mem(self._address, register, 2)
        return high << 8 | low

    def _write(self, register: int, value: int):
        self._bus.writeto_mem(self._address, register, bytes((value >> 8, value & 0xFF)))

    def _start(self) -> int:
        if self._ready:
            return 0
        self._ready = True
        status = self._word(_STATUS)
        if not status & _RI:
            return 0
        # Set by a power-on, cleared by us alone ("STATUS Register"): it tells a cell that was exchanged.
        status ^= _RI
        self._write(_STATUS, status)
        return _DEBOUNCE_MS

    def _read(self) -> tuple:
        vcell, soc = self._word(_VCELL), self._word(_SOC)
        # 0x001_; a MAX17043, of other units, says 0x0003.
        version = self._word(_VERSION)
        if version >> 4 != 1:
            raise SensorError(f"version {version:#x} is no MAX17048")
        if self._word(_STATUS) & _RI:
            raise SensorError("lost its power")
        # Somebody else may have put it to sleep ("Sleep Mode"): it answers, with what it measured last.
        config = self._word(_CONFIG)
        if config & _SLEEP:
            self._write(_CONFIG, config ^ _SLEEP)
            raise SensorError("was asleep, and has been woken")
        return decode(vcell, soc)
