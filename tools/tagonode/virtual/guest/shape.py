"""Gives `machine` and `network` the names and numbers of the board's port, and takes away those it has not.

Run when the wires are attached, and then forgotten.
"""

import backplane
import machine
import network


def _give(place, present, **values):
    for name, value in values.items():
        if present:
            setattr(place, name, value)
        elif hasattr(place, name):
            delattr(place, name)


def shape():
    port = backplane.call(backplane.PORT)
    rp2, esp32 = port == b"rp2", port == b"esp32"
    pin, adc = machine.Pin, machine.ADC
    _give(machine, not rp2, HARD_RESET=2, DEEPSLEEP_RESET=4, SOFT_RESET=5)
    _give(machine.RTC, not rp2, memory=machine._memory)
    _give(machine, rp2, lightsleep=machine._lightsleep)
    _give(adc, esp32, ATTN_0DB=0, ATTN_2_5DB=1, ATTN_6DB=2, ATTN_11DB=3)
    _give(adc, not rp2, read_uv=machine._read_uv)
    _give(adc, rp2, CORE_TEMP=4)
    _give(pin, not esp32, ALT=3)
    if esp32:
        _give(pin, True, IN=1, OUT=3, OPEN_DRAIN=7, PULL_UP=2, PULL_DOWN=1, IRQ_FALLING=2, IRQ_RISING=1)
        _give(network, True, STAT_IDLE=1000, STAT_CONNECTING=1001, STAT_GOT_IP=1010)
        _give(network, True, STAT_WRONG_PASSWORD=202, STAT_NO_AP_FOUND=201, STAT_CONNECT_FAIL=203)
    else:
        _give(pin, True, IN=0, OUT=1, OPEN_DRAIN=2, PULL_UP=1, PULL_DOWN=2, IRQ_FALLING=4, IRQ_RISING=8)
        _give(network, True, STAT_IDLE=0, STAT_CONNECTING=1, STAT_GOT_IP=3)
        _give(network, True, STAT_WRONG_PASSWORD=-3, STAT_NO_AP_FOUND=-2, STAT_CONNECT_FAIL=-1)
