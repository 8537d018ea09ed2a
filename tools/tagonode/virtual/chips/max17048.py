"""MAX17048: from Maxim's datasheet 19-6171, rev 7 (sections cited by their headings)."""

from tagonode.virtual.bus import Nack

# "Battery Insertion Debounce": the cell's voltage is known after 17 ms, the state of charge 175 ms later.
_VOLTAGE_READY_S = 0.017
_CHARGE_READY_S = 0.192
# "VCELL Register": seconds between updates, active and hibernating
_ACTIVE_S = 0.25
_HIBERNATING_S = 45.0
_QUIET_S = 360.0  # "Hibernate Mode"

_VCELL, _SOC, _MODE, _VERSION, _HIBRT, _CONFIG = 0x02, 0x04, 0x06, 0x08, 0x0A, 0x0C
_VALRT, _CRATE, _VRESET, _STATUS, _CMD = 0x14, 0x16, 0x18, 0x1A, 0xFE
_RI = 0x0100
_WRITABLE = {_HIBRT: 0x8030, _CONFIG: 0x971C, _VALRT: 0x00FF, _VRESET: 0x960C, _STATUS: _RI}


class MAX17048:
    """Measures its cell without being asked, four times a second, or every 45 s when little happens.

    The environment's `battery` (V) and `state_of_charge` (%). clock: callable, seconds. version: as the VERSION
    register says (a MAX17043 says 3). lie: {register: word} that reads give instead of the truth.
    """

    def __init__(self, environment, clock, address: int = 0x36, version: int = 0x0012):
        self.address = address
        self.lie: dict = {}
        self._environment = environment
        self._clock = clock
        self._version = version
        self.power_on()
        # it has been on for a while, and somebody noticed its reset
        self._registers[_STATUS] = 0
        self._began -= 1.0
        self._next = clock()

    def power_on(self) -> None:
        self._pointer = 0
        self._registers = dict(_WRITABLE)
        self._mode = 0
        self._restart()

    def _restart(self):
        self._began = self._clock()
        self._vcell = self._soc = 0
        self._soc_at = None
        self._crate = 0
        self._next = self._began + _VOLTAGE_READY_S
        self._quiet_since = self._began

    @property
    def hibernating(self) -> bool:
        return self._interval() == _HIBERNATING_S

    def _interval(self):
        threshold = self._registers[_HIBRT]
        if threshold == 0xFFFF:
            return _HIBERNATING_S
        if threshold == 0 or self._clock() - self._quiet_since < _QUIET_S:
            return _ACTIVE_S
        return _HIBERNATING_S

    def write(self, data: bytes) -> None:
        self._advance()
        if not data:
            return
        self._pointer = data[0]
        if len(data) != 3:
            return  # bytes alone have no effect ("I2C Bus System")
        value = data[1] << 8 | data[2]
        if data[0] == _CMD and value == 0x5400:
            self.power_on()
            raise Nack  # reset before it could acknowledge ("CMD Register")
        if data[0] == _MODE:
            self._mode = value & 0x2000
            if value & 0x4000:
                self._restart()  # quick-start: as after power-on, but for the settings
        elif data[0] in _WRITABLE:
            self._registers[data[0]] = value

    def read(self, length: int) -> bytes:
        self._advance()
        out = b""
        while len(out) < length:
            even = self._pointer & 0xFE
            value = self.lie.get(even, self._register(even))
            out += bytes((value & 0xFF if self._pointer & 1 else value >> 8,))
            self._pointer = self._pointer + 1 & 0xFF
        return out

    def _register(self, register):
        if register == _MODE:
            return self._mode | (0x1000 if self.hibernating else 0)
        values = {_VCELL: self._vcell, _SOC: self._soc, _VERSION: self._version, _CRATE: self._crate & 0xFFFF}
        return values.get(register, self._registers.get(register, 0xFFFF))

    def _advance(self):
        now = self._clock()
        if self._registers[_CONFIG] & 0x80 and self._mode & 0x2000:
            self._next = now + _ACTIVE_S  # asleep
            return
        if now >= self._next:
            interval = self._interval()
            at = self._next + int((now - self._next) / interval) * interval
            self._measure(at)
            self._next = at + interval
        if not self._soc and now >= self._began + _CHARGE_READY_S:
            self._estimate(self._began + _CHARGE_READY_S)

    def _measure(self, at):
        # The converter has 12 bits, 1.25 mV; four conversions make a value.
        volts = self._environment.value("battery", at)
        vcell = min(65535, max(0, round(volts / 5.12 * 16384) << 2))
        if abs(vcell - self._vcell) > (self._registers[_HIBRT] & 0xFF) << 4:
            self._quiet_since = at
        self._vcell = vcell
        if at >= self._began + _CHARGE_READY_S:
            self._estimate(at)

    def _estimate(self, at):
        """ModelGauge takes the truth from the environment; CRATE is 0.208 % an hour a bit."""
        soc = min(65535, max(0, round(self._environment.value("state_of_charge", at) * 256)))
        if self._soc_at is not None and at > self._soc_at:
            rate = (soc - self._soc) / 256 * 3600 / (at - self._soc_at) / 0.208
            self._crate = min(32767, max(-32768, round(rate)))
            if abs(rate) > self._registers[_HIBRT] >> 8:
                self._quiet_since = at
        self._soc = soc
        self._soc_at = at
