"""INA219: voltage, current and power of a load, a battery or a solar panel over I2C (0x40 … 0x4F).

    from drivers.ina219 import INA219
    print(INA219(i2c).measure())    # (5.012, 0.183, 0.917): V, A, W

Sections cited are those of Texas Instruments' datasheet SBOS448G.
"""

from micropython import const

from drivers import Sensor, SensorError, polls

_CONFIGURATION = const(0)
_SHUNT_VOLTAGE = const(1)
_BUS_VOLTAGE = const(2)
_POWER = const(3)

_RST = const(0x8000)
# 32 V, 16 samples of each voltage, triggered (8.6.2.1); the range of the shunt comes to it.
_SETTINGS = const(0x2663)
_PG = const(11)
_MODE = const(7)  # 0: power-down
_CNVR = const(2)
# 2 × 16 samples of 586 µs at most (6.5), and one for the clock's grain.
_CONVERSION_MS = const(20)


def decode(bus: int, shunt: int, ohms: float, reach: int) -> tuple:
    """Registers -> (V, A, W) (8.6.3.1, 8.6.3.2), or SensorError.

    bus: 13 bits of 4 mV above three of state; shunt: signed, 10 µV a bit, rails at ±reach.
    """
    if shunt & 0x8000:
        shunt -= 0x10000
    if bus & 1 or bus >> 3 >= 8000 or not -reach < shunt < reach:
        raise SensorError(f"beyond its range ({bus >> 3} × 4 mV, {shunt} × 10 µV; see max_amperes)")
    volts = (bus >> 3) / 250
    amperes = shunt / 100000 / ohms
    return volts, amperes, volts * amperes


class INA219(Sensor):
    """One conversion per reading, the mean of 16 samples over 19 ms; the chip powers down in between (6 µA).

    Voltage is that of IN- against ground, 0 … 26 V; current is positive from IN+ to IN-. Both powers come from
    the voltages, not from the chip's calibration register, which forgets itself with the supply.

    shunt_ohms: as soldered on (0.1 on most modules). max_amperes: the largest current to be told from a short:
    less than 0.4, 0.8 or 1.6 A (at 0.1 Ω) resolves better.
    """

    CHANNELS = (("voltage", "V"), ("current", "A"), ("power", "W"))

    def __init__(self, bus, address: int = 0x40, shunt_ohms: float = 0.1, max_amperes: float = 3.2):
        if shunt_ohms <= 0 or max_amperes <= 0:
            raise ValueError("shunt_ohms and max_amperes are more than 0")
        self._bus = bus
        self._address = address
        self._where = f" at {address:#x}"
        self._ohms = shunt_ohms
        gain = 0
        while gain < 3 and max_amperes * shunt_ohms > 0.0401 * (1 << gain):
            gain += 1
        self._settings = _SETTINGS | gain << _PG
        self._reach = 4000 << gain  # table 4: 40 mV … 320 mV

    def _word(self, register: int) -> int:
        high, low = self._bus.readfrom_mem(self._address, register, 2)
        return high << 8 | low

    def _configure(self, value: int):
        self._bus.writeto_mem(self._address, _CONFIGURATION, bytes((value >> 8, value & 0xFF)))

    def _start(self) -> int:
        if not self._ready:
            self._configure(_RST)
            self._configure(self._settings & ~_MODE)
            self._ready = True
        # Clears CNVR (8.6.3.1), so that a conversion of before cannot be taken for one that never began.
        self._word(_POWER)
        if self._word(_BUS_VOLTAGE) & _CNVR:
            raise SensorError("does not behave as an INA219")
        self._configure(self._settings)
        return _CONVERSION_MS

    def _read(self) -> tuple:
        for _ in polls(_CONVERSION_MS):
            bus = self._word(_BUS_VOLTAGE)
            if bus & _CNVR:
                shunt = self._word(_SHUNT_VOLTAGE)
                if (self._word(_CONFIGURATION) ^ self._settings) & ~_MODE:
                    raise SensorError("lost its settings")
                return decode(bus, shunt, self._ohms, self._reach)
        raise SensorError("never finishes measuring")
