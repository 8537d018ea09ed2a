"""Drivers that nobody here wrote, reading our simulated chips.

An oracle runs in pytest's process on virtual time: import its modules through `load`, hand it `CircuitI2C`
(CircuitPython drivers) or `SMBus` (Linux drivers) in place of a bus. Oracles are no authority: a datasheet's
worked example is.
"""

import importlib
import sys
import time
import types
from unittest import mock

from tagonode.virtual.bus import I2CBus


class VirtualTime(types.ModuleType):
    """`time` for oracles: passes by sleeping, on the clock of the rig in use."""

    clock = None

    def __getattr__(self, name):
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        self.clock.elapse(seconds)

    def monotonic(self) -> float:
        return self.clock.seconds()


virtual_time = VirtualTime("time")


def load(name: str) -> types.ModuleType:
    """Import an oracle's module so that it, and whatever it imports, sleeps on virtual time."""
    stubs = {"time": virtual_time}
    # Blinka's own would look for the board that this PC is not.
    for stub, names in (
        ("analogio", ("AnalogIn",)),
        ("busio", ("I2C", "SPI", "UART")),
        ("digitalio", ("DigitalInOut", "Direction", "Pull")),
        ("microcontroller", ("Pin",)),
        ("onewireio", ("OneWire",)),
    ):
        stubs[stub] = types.ModuleType(stub)
        for each in names:
            setattr(stubs[stub], each, type(each, (), {}))
    known = set(sys.modules)
    with mock.patch.dict(sys.modules):
        sys.modules.update(stubs)
        module = importlib.import_module(name)
        fresh = {key: sys.modules[key] for key in set(sys.modules) - known - set(stubs)}
    sys.modules.update(fresh)
    return module


class CircuitI2C:
    """busio.I2C, as CircuitPython drivers use it."""

    def __init__(self, bus: I2CBus):
        self._bus = bus

    def try_lock(self) -> bool:
        return True

    def unlock(self) -> None:
        pass

    def scan(self) -> list:
        return self._bus.scan()

    def writeto(self, address, buffer, *, start=0, end=None, stop=True):
        self._bus.transfer(address, bytes(buffer[start:end]), 0, stop)

    def readfrom_into(self, address, buffer, *, start=0, end=None, stop=True):
        end = len(buffer) if end is None else end
        buffer[start:end] = self._bus.transfer(address, b"", end - start, stop)

    def writeto_then_readfrom(
        self, address, out_buffer, in_buffer, *, out_start=0, out_end=None, in_start=0, in_end=None
    ):
        in_end = len(in_buffer) if in_end is None else in_end
        written = bytes(out_buffer[out_start:out_end])
        in_buffer[in_start:in_end] = self._bus.transfer(address, written, in_end - in_start)


class Transceiver:
    """What sensirion_i2c_driver's I2cConnection transceives with."""

    API_VERSION = 1
    channel_count = None

    def __init__(self, bus: I2CBus):
        self._bus = bus

    def transceive(self, slave_address, tx_data, rx_length, read_delay, timeout):
        received = b""
        try:
            if tx_data is not None:
                self._bus.transfer(slave_address, tx_data, 0)
            if rx_length is not None:
                virtual_time.sleep(read_delay)
                received = self._bus.transfer(slave_address, b"", rx_length)
        except OSError as error:
            return 2, error, None  # STATUS_NACK
        return 0, None, received


class SMBus:
    """smbus2.SMBus, as Linux drivers use it."""

    def __init__(self, bus: I2CBus):
        self._bus = bus

    def write_byte_data(self, address, register, value):
        self._bus.transfer(address, bytes((register, value)), 0)

    def read_byte_data(self, address, register):
        return self._bus.transfer(address, bytes((register,)), 1)[0]

    def read_word_data(self, address, register):
        return int.from_bytes(self._bus.transfer(address, bytes((register,)), 2), "little")

    def read_i2c_block_data(self, address, register, length):
        return list(self._bus.transfer(address, bytes((register,)), length))

    def write_i2c_block_data(self, address, register, data):
        self._bus.transfer(address, bytes((register, *data)), 0)
