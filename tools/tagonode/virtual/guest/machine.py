"""`machine` for a virtual board: the names and signatures of the real module, wired to the backplane."""

import struct

import backplane

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_LOADED_WHEN_USED = {"UART": "uart", "dht_readinto": "dht"}
_DATETIME = "<8H"
_WDT_MAX_MS = 8388  # RP2040 datasheet 4.7: a 24-bit counter that loses two counts a microsecond


class Pin:
    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    PULL_UP = 1
    PULL_DOWN = 2
    IRQ_FALLING = 4
    IRQ_RISING = 8

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        # "LED" and the other pins behind a Pico W's radio have names; the wires have numbers
        self._unit = {"LED": 254, "WL_GPIO2": 253}.get(id, id)
        self._pulses = None  # pulses.Pulses, when a part listens to them
        if value is not None:
            self.value(value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if backplane.call(backplane.PIN_INIT, self._unit, bytes((mode & 0xFF,)))[0] and mode == self.OUT:
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

    def irq(self, handler=None, trigger=IRQ_FALLING | IRQ_RISING, *, priority=1, wake=None, hard=False):
        import pulses

        pulses.irq(self, self._unit, handler, trigger)


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._unit = id

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
        self._unit = id._unit if isinstance(id, Pin) else id

    def read_uv(self):
        return struct.unpack("<I", backplane.call(backplane.ADC_READ_UV, self._unit))[0]

    def read_u16(self):
        return min(65535, self.read_uv() * 65535 // 3300000)


class WDT:
    def __init__(self, id=0, timeout=5000):
        if backplane.call(backplane.PORT) == b"rp2" and timeout > _WDT_MAX_MS:
            raise ValueError("timeout exceeds " + str(_WDT_MAX_MS))
        backplane.call(backplane.WDT_START, 0, struct.pack("<I", timeout))

    def feed(self):
        backplane.call(backplane.WDT_FEED)


class RTC:
    def __init__(self, id=0):
        pass

    def datetime(self, new=None):
        """(year, month, day, weekday, hours, minutes, seconds, subseconds), the weekday counted from Monday."""
        if new is None:
            return struct.unpack(_DATETIME, backplane.call(backplane.RTC_GET))
        backplane.call(backplane.RTC_SET, 0, struct.pack(_DATETIME, *new))
        return None


def reset():
    backplane.call(backplane.RESET)


def soft_reset():
    backplane.call(backplane.RESET, 1)


def deepsleep(time_ms=0):
    backplane.call(backplane.DEEPSLEEP, 0, struct.pack("<I", time_ms))


def reset_cause():
    return backplane.call(backplane.RESET_CAUSE)[0]


def unique_id():
    return backplane.call(backplane.UNIQUE_ID)


def __getattr__(name):
    if name in _LOADED_WHEN_USED:
        return getattr(__import__(_LOADED_WHEN_USED[name]), name)
    raise AttributeError(name)
