"""BME280 and BMP280 at register level.

From Bosch's datasheets BST-BME280-DS002 (sections cited) and BST-BMP280-DS001. Raw results are found by
turning the datasheet's integer compensation formulas round, so that a driver which uses the floating point
ones is checked by arithmetic it does not share. Plain Python that MicroPython runs as well.
"""

import struct

from tagonode.virtual.bus import Nack
from tagonode.virtual.environment import chance

_STANDBY_MS = (0.5, 62.5, 125, 250, 500, 1000, 10, 20)  # t_sb (5.4.6)
_FILTER = (1, 2, 4, 8, 16, 16, 16, 16)  # coefficient (5.4.6)
_STARTUP_S = 0.002  # 1.1

# The chip of the BMP280 datasheet's worked example (3.12) with the humidity words of a usual BME280; every
# chip's trimming is scattered around it.
TRIMMING = {
    "T1": 27504,
    "T2": 26435,
    "T3": -1000,
    "P1": 36477,
    "P2": -10685,
    "P3": 3024,
    "P4": 2855,
    "P5": 140,
    "P6": -7,
    "P7": 15500,
    "P8": -14600,
    "P9": 6000,
    "H1": 75,
    "H2": 362,
    "H3": 0,
    "H4": 315,
    "H5": 50,
    "H6": 30,
}


def trimming(seed: int) -> dict:
    """Trimming values of one chip."""
    words = {}
    for name, usual in TRIMMING.items():
        spread = 0.02 if name in ("T1", "T2", "P1", "P2", "H2", "H4") else 0.05
        words[name] = round(usual * (1 + spread * (2 * chance(seed, name) - 1)))
    return words


def t_fine(c: dict, adc: int) -> int:
    """4.2.3, 32-bit integer; °C = t_fine / 5120."""
    var1 = ((adc >> 3) - (c["T1"] << 1)) * c["T2"] >> 11
    var2 = (((adc >> 4) - c["T1"]) * ((adc >> 4) - c["T1"]) >> 12) * c["T3"] >> 14
    return var1 + var2


def pressure(c: dict, adc: int, fine: int) -> float:
    """4.2.3, 64-bit integer; hPa."""
    var1 = fine - 128000
    var2 = var1 * var1 * c["P6"] + (var1 * c["P5"] << 17) + (c["P4"] << 35)
    var1 = (var1 * var1 * c["P3"] >> 8) + (var1 * c["P2"] << 12)
    var1 = ((1 << 47) + var1) * c["P1"] >> 33
    p = (((1048576 - adc) << 31) - var2) * 3125 // var1
    var1 = c["P9"] * (p >> 13) * (p >> 13) >> 25
    var2 = c["P8"] * p >> 19
    return ((p + var1 + var2 >> 8) + (c["P7"] << 4)) / 25600


def humidity(c: dict, adc: int, fine: int) -> float:
    """4.2.3, 32-bit integer; %. Without the clamp to 0 … 100, so that it can be turned round."""
    v = fine - 76800
    offset = (adc << 14) - (c["H4"] << 20) - c["H5"] * v + 16384 >> 15
    slope = (((v * c["H6"] >> 10) * ((v * c["H3"] >> 11) + 32768) >> 10) + 2097152) * c["H2"] + 8192 >> 14
    v = offset * slope
    v -= ((v >> 15) * (v >> 15) >> 7) * c["H1"] >> 4
    return v / 4194304


def _solve(formula, target, top, falling=False):
    """The adc in 0 … top whose formula(adc) comes nearest to target; formula is monotonic."""
    low, high = 0, top
    while high - low > 1:
        middle = low + high >> 1
        if (formula(middle) < target) != falling:
            low = middle
        else:
            high = middle
    return low if abs(formula(low) - target) <= abs(formula(high) - target) else high


class BMP280:
    """A BMP280 on I2C.

    clock: callable, seconds. environment: see environment.py. seed: which chip of the reel (trimming).
    trim: trimming values to use instead. pace: 0 converts in the typical time of 9.1, 1 in the maximum.
    lie: {register: byte} that reads give instead of the truth.
    """

    _CHIP_ID = 0x58
    _HUMID = False

    def __init__(self, environment, clock, address=0x76, seed=1, trim=None, pace=1.0):
        self.address = address
        self.trim = trimming(seed)
        self.trim.update(trim or {})
        self.lie = {}
        self._environment = environment
        self._clock = clock
        self._pace = pace
        self._nvm = self._trimming_bytes()
        self.power_on()
        self._silent_until = self._ready_at = clock()  # it has been on for a while

    def power_on(self) -> None:
        """Supply on, or back after a brown-out."""
        self._reset()
        self._silent_until = self._clock() + _STARTUP_S / 2

    def _reset(self):
        self._ready_at = self._clock() + _STARTUP_S
        self._pointer = 0
        self._image = bytearray(self._nvm)  # registers that a reset loads from NVM
        self._ctrl_hum = self._ctrl_meas = self._config = 0
        self._osrs_h = 0  # in effect, since the last write of ctrl_meas
        self._began = None  # of the running conversion, which the next three belong to
        self._running = (0, 0, 0)
        self._again = False
        self._filtered = [None, None]
        self._data = bytearray(b"\x80\x00\x00\x80\x00\x00" + (b"\x80\x00" if self._HUMID else b""))

    def _trimming_bytes(self):
        c = self.trim
        memory = bytearray(256)
        names = ("T1", "T2", "T3", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9")
        struct.pack_into("<HhhHhhhhhhhh", memory, 0x88, *[c[name] for name in names])
        if self._HUMID:
            memory[0xA1] = c["H1"]
            h45 = (c["H4"] & 15) | (c["H5"] & 15) << 4
            h = (c["H2"], c["H3"], c["H4"] >> 4, h45, c["H5"] >> 4, c["H6"])
            struct.pack_into("<hBbBbb", memory, 0xE1, *h)
        return memory

    # I2C (6.2)

    def write(self, data: bytes) -> None:
        """Register pointer, a value for that register, further pairs of register and value (6.2.1)."""
        self._advance()
        if not data:
            return
        self._pointer = data[0]
        for i in range(0, len(data) - 1, 2):
            self._store(data[i], data[i + 1])

    def read(self, length: int) -> bytes:
        """Registers from the pointer on; results are those of the moment the read began (shadowing, 4)."""
        self._advance()
        data = bytes(self._load((self._pointer + i) & 0xFF) for i in range(length))
        self._pointer = (self._pointer + length) & 0xFF
        return data

    def _store(self, register, value):
        now = self._clock()
        if register == 0xE0 and value == 0xB6:
            self._reset()
        elif now < self._ready_at:
            return
        elif register == 0xF2 and self._HUMID:
            self._ctrl_hum = value & 0x07
        elif register == 0xF5 and self._ctrl_meas & 3 != 3:
            self._config = value & 0xFD
        elif register == 0xF4:
            self._ctrl_meas = value
            self._osrs_h = self._ctrl_hum
            if self._began is not None:
                self._again = True
            elif value & 3:
                self._begin(now)

    def _load(self, register):
        if register in self.lie:
            return self.lie[register]
        if register == 0xD0:
            return self._CHIP_ID
        updating = self._clock() < self._ready_at
        if register == 0xF3:
            return (8 if self._measuring() else 0) | updating
        if register == 0xF2:
            return self._ctrl_hum
        if register == 0xF4:
            return self._ctrl_meas
        if register == 0xF5:
            return self._config
        if 0xF7 <= register < 0xF7 + len(self._data):
            return self._data[register - 0xF7]
        return 0 if updating else self._image[register]

    def spoil(self) -> None:
        """A dip of the supply that the reset circuit missed: trimming is wrong until the next reset."""
        for register in range(0x88, 0xF0):
            self._image[register] ^= 0x11

    # Modes and timing (3.3, 9.1)

    def duration(self, osrs_t: int, osrs_p: int, osrs_h: int) -> float:
        """Seconds that a conversion takes, between the typical and the maximum of 9.1."""
        typical, longest = 1.0, 1.25
        for code, overhead in ((osrs_t, 0), (osrs_p, 1), (osrs_h, 1)):
            if code:
                times = 1 << min(code, 5) - 1
                typical += 2 * times + 0.5 * overhead
                longest += 2.3 * times + 0.575 * overhead
        return (typical + (longest - typical) * self._pace) / 1000

    def _begin(self, at):
        self._began = at
        self._again = False
        self._running = (self._ctrl_meas >> 5, self._ctrl_meas >> 2 & 7, self._osrs_h)

    def _measuring(self):
        return self._began is not None and self._clock() >= self._began

    def _advance(self):
        """Catch up with the clock: finish the conversions that are due."""
        now = self._clock()
        if now < self._silent_until:
            raise Nack()
        while self._began is not None and now >= self._began + self.duration(*self._running):
            done = self._began + self.duration(*self._running)
            self._convert(done)
            if self._ctrl_meas & 3 == 3:
                period = _STANDBY_MS[self._config >> 5] / 1000 + self.duration(*self._running)
                # A filter forgets what is older than some 64 conversions: do not replay a year of them.
                missed = int((now - done) / period) - 64
                self._begin(done + _STANDBY_MS[self._config >> 5] / 1000 + max(0, missed) * period)
            elif self._again and self._ctrl_meas & 3:
                self._begin(done)
            else:
                self._began = None
                self._again = False
                self._ctrl_meas &= 0xFC

    def _convert(self, at):
        osrs_t, osrs_p, osrs_h = self._running
        c = self.trim
        target = self._environment.value("temperature", at) * 5120
        adc_t = self._settle(0, _solve(lambda adc: t_fine(c, adc), target, 0xFFFFF), osrs_t)
        fine = t_fine(c, adc_t)
        self._data[3:6] = self._word(adc_t if osrs_t else 0x80000)
        target = self._environment.value("pressure", at)
        adc_p = _solve(lambda adc: pressure(c, adc, fine), target, 0xFFFFF, falling=True)
        self._data[0:3] = self._word(self._settle(1, adc_p, osrs_p) if osrs_p else 0x80000)
        if self._HUMID:
            target = self._environment.value("humidity", at)
            adc_h = _solve(lambda adc: humidity(c, adc, fine), target, 0xFFFF)
            self._data[6:8] = struct.pack(">H", adc_h if osrs_h else 0x8000)

    def _settle(self, which, adc, osrs):
        """IIR filter (3.4.4); without it, the resolution follows the oversampling (3.4.1, 3.4.2)."""
        coefficient = _FILTER[self._config >> 2 & 7]
        if coefficient == 1:
            self._filtered[which] = None
            unused = 4 - max(0, min(osrs, 5) - 1)
            return adc >> unused << unused
        before = self._filtered[which]
        if before is not None:
            adc = (before * (coefficient - 1) + adc) // coefficient
        self._filtered[which] = adc
        return adc

    @staticmethod
    def _word(adc):
        return bytes((adc >> 12, adc >> 4 & 0xFF, adc << 4 & 0xF0))


class BME280(BMP280):
    """A BME280 on I2C: see BMP280."""

    _CHIP_ID = 0x60
    _HUMID = True
