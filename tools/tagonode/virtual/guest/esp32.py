"""`esp32` for a virtual board of that port: how hot the CPU is, which chips of the family tell in two ways."""

import struct

import backplane

if backplane.call(backplane.PORT) != b"esp32":
    raise ImportError("no module named 'esp32'")


def __getattr__(name):
    told = backplane.call(backplane.CPU_TEMPERATURE)
    if name != told[2:].decode() + "_temperature":
        raise AttributeError(name)
    celsius = struct.unpack("<h", told[:2])[0] / 10
    return lambda: round(celsius * 1.8 + 32) if name[0] == "r" else round(celsius)
