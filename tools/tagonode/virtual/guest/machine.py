"""`machine` for a virtual board: the names and signatures of the real module, wired to the backplane.

It has the numbers of rp2 and the names of all ports, until shape.py makes it one port's.
"""

import struct

import backplane

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_LOADED_WHEN_USED = {"UART": "uart", "dht_readinto": "dht"}
_DATETIME = "<8H"
_PINS_OF_THE_RADIO = {"LED": 254, "WL_GPIO0": 254, "WL_GPIO1": 252, "WL_GPIO2": 253}


class Pin:
    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    ALT = 3
    PULL_UP = 1
    PULL_DOWN = 2
    IRQ_FALLING = 4
    IRQ_RISING = 8

    def __init__(self, id, mode=-1, pull=-1, *, value=None, alt=0):
        if isinstance(id, Pin):
            id = id._unit
        # pins behind a Pico W's radio have names; the wires have numbers
        self._unit = _PINS_OF_THE_RADIO.get(id, id)
        self._pulses = None  # pulses.Pulses, when a part listens to them
        backplane.call(backplane.PIN_MAKE, 255 if isinstance(self._unit, str) else self._unit)
        if mode != -1 or value is not None:
            self.init(mode, pull, value=value, alt=alt)

    def init(self, mode=-1, pull=-1, *, value=None, alt=0):
        if mode != -1:
            told = bytes((mode, alt))
            if backplane.call(backplane.PIN_INIT, self._unit, told)[0] and mode == self.OUT:
                import pulses

                self._pulses = pulses.Pulses(self._unit)
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            if backplane.reading:
                level = backplane.reading(self._unit)
            return backplane.call(backplane.PIN_GET, self._unit)[0] if level is None else level
        if self._pulses:
            return self._pulses.value(level)
        backplane.call(backplane.PIN_SET, self._unit, b"\x01" if level else b"\x00")
        return None

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=None, *, hard=None):
        if hard is not None and not hasattr(Pin, "ALT"):
            raise TypeError("unexpected keyword argument 'hard'")  # esp32
        import pulses

        pulses.irq(self, self._unit, handler, self.IRQ_FALLING | self.IRQ_RISING if trigger is None else trigger)


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._unit = id
        pins = b"" if scl is None else bytes((scl._unit, sda._unit))
        backplane.call(backplane.I2C_MAKE, id, pins)

    def _transfer(self, address, data, length, stop=True):
        head = struct.pack("<BBH", address, stop, length)
        return backplane.call(backplane.I2C_TRANSFER, self._unit, head + bytes(data))

    def scan(self):
        return list(backplane.call(backplane.I2C_SCAN, self._unit))

    def writeto(self, addr, buf, stop=True):
        self._transfer(addr, buf, 0, stop)
        return len(buf)

    def readfrom(self, addr, nbytes, stop=True):
        return self._transfer(addr, b"", nbytes, stop)

    def readfrom_into(self, addr, buf, stop=True):
        buf[:] = self._transfer(addr, b"", len(buf), stop)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        return self._transfer(addr, memaddr.to_bytes(addrsize // 8, "big"), nbytes)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        buf[:] = self._transfer(addr, memaddr.to_bytes(addrsize // 8, "big"), len(buf))

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self._transfer(addr, memaddr.to_bytes(addrsize // 8, "big") + bytes(buf), 0)


class SoftI2C(I2C):
    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        super().__init__(0)


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    CORE_TEMP = 4

    def __init__(self, id, *, atten=None):
        if atten is not None and not hasattr(ADC, "ATTN_11DB"):
            raise TypeError("function doesn't take keyword arguments")
        channel = not isinstance(id, Pin)
        self._unit = backplane.call(backplane.ADC_MAKE, id if channel else id._unit, bytes((channel,)))[0]
        # what it can measure; rp2 has no attenuator, and needs none
        self._full_uv = (1100000, 1500000, 2200000, 3300000)[3 if not hasattr(ADC, "ATTN_11DB") else atten or 0]

    def read_uv(self):
        return min(self._full_uv, struct.unpack("<I", backplane.call(backplane.ADC_READ_UV, self._unit))[0])

    def read_u16(self):
        bits = min(4095, _read_uv(self) * 4096 // self._full_uv)
        return bits << 4 | bits >> 8


_read_uv = ADC.read_uv


class WDT:
    def __init__(self, id=0, timeout=5000):
        backplane.call(backplane.WDT_START, 0, struct.pack("<I", timeout))

    def feed(self):
        backplane.call(backplane.WDT_FEED)


class RTC:
    def __init__(self, id=0):
        pass

    def datetime(self, new=None):
        """(year, month, day, weekday, hours, minutes, seconds, subseconds), the weekday counted from Monday."""
        if new is None:
            return struct.unpack(_DATETIME, backplane.call(backplane.RTC_GET))[:7] + (0,)
        backplane.call(backplane.RTC_SET, 0, struct.pack(_DATETIME, *new))
        return None

    def memory(self, data=None):
        if data is None:
            return backplane.call(backplane.RTC_MEMORY)
        backplane.call(backplane.RTC_MEMORY, 1, bytes(data))
        return None


_memory = RTC.memory


class _Registers:
    def __getitem__(self, address):
        return struct.unpack("<I", backplane.call(backplane.MEM32, 0, struct.pack("<I", address)))[0]


mem32 = _Registers()


def disable_irq():
    backplane.call(backplane.IRQ, 0)
    return 1


def enable_irq(state):
    backplane.call(backplane.IRQ, state)


def bitstream(pin, encoding, timing, data):
    backplane.call(backplane.BITSTREAM, pin._unit, bytes(data))


def reset():
    backplane.call(backplane.RESET)


def soft_reset():
    backplane.call(backplane.RESET, 1)


def deepsleep(time_ms=0):
    backplane.call(backplane.DEEPSLEEP, 0, struct.pack("<I", time_ms))


def _lightsleep(time_ms=0):
    import time

    if backplane.call(backplane.LIGHTSLEEP, 0, struct.pack("<I", time_ms))[0]:
        time.sleep_ms(time_ms)


def reset_cause():
    return backplane.call(backplane.RESET_CAUSE)[0]


def unique_id():
    return backplane.call(backplane.UNIQUE_ID)


def __getattr__(name):
    if name in _LOADED_WHEN_USED:
        return getattr(__import__(_LOADED_WHEN_USED[name]), name)
    raise AttributeError(name)
