"""Runs on the board for `tagonode scan`: opens its I2C buses, says which addresses answer, and asks what it is told to.

Each function returns plain numbers, texts, lists and dicts, which its repr() carries to the PC.
"""

import json
import sys
import time

import machine

_I2C_HZ = 100000
_module = None
_buses = {}


def who():
    """[board of the settings on this board or None, what its MicroPython calls it, whether it has a main.py]"""
    board = None
    for name in ("/settings.json", "/settings.2.json"):
        try:
            with open(name) as file:
                board = json.loads(file.readline())["board"]
            break
        except (OSError, ValueError, KeyError):
            pass
    try:
        open("/main.py").close()
        main = True
    except OSError:
        main = False
    return [board, getattr(sys.implementation, "_machine", ""), main]


def buses(board, given):
    """[[name, scl, sda]] of boards/<board>.py, if that is on this board, else those given."""
    global _module
    try:
        _module = getattr(__import__("boards." + board), board)
    except ImportError:
        return given
    found = []
    for name in sorted(_module.BUSES):
        if name.startswith("i2c"):
            found.append([name] + [int(pin.lstrip("gpio")) for pin in _module.BUSES[name].split(",")])
    return found


def _open(name, scl, sda):
    if _module:
        return _module.bus(name)
    return machine.I2C(int(name[3:]), scl=machine.Pin(scl), sda=machine.Pin(sda), freq=_I2C_HZ)


def _level(pin):
    """1 when something pulls the line up, harder than the CPU pulls it down."""
    line = machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_DOWN)
    time.sleep_ms(1)
    return line.value()


def look(name, scl, sda):
    """[addresses that answer, levels of SCL and SDA when none did]"""
    found = _buses[name] = _open(name, scl, sda)
    addresses = found.scan()
    if not addresses and _module and _module.recover(name):
        addresses = found.scan()
    if addresses:
        return [addresses, None]
    return [addresses, [_level(scl), _level(sda)]]


def ask(name, address, data, wait_ms, length):
    """Bytes that are read after writing data: at once, in the same transfer, when wait_ms is None. None: no answer."""
    bus = _buses[name]
    try:
        if wait_ms is None:
            return bus.readfrom_mem(address, data[0], length)
        if data:
            bus.writeto(address, data)
            time.sleep_ms(wait_ms)
        return bus.readfrom(address, length)
    except OSError:
        return None
