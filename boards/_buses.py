"""The buses that sensors are on, made when one is first used: loaded by _port for that, and dropped."""

import machine
import network
from micropython import const

_I2C_HZ = const(100000)
_BAUD = const(9600)


def bus(name: str, pins_of: dict, adc: tuple, adc_options: dict):
    """As _port.bus; pins_of, adc and adc_options: its BUSES, ADC and ADC_OPTIONS."""
    kind, _, pins = name.partition(":")
    pins = pins or pins_of.get(name)
    if pins:
        numbers = [int(pin.lstrip("gpio")) for pin in pins.split(",")]
        made = [machine.Pin(number) for number in numbers]
        pin = made[0]
        if kind == "pins":
            return tuple(made)
        if kind == "pin":
            return pin
        if kind == "onewire":
            from onewire import OneWire

            return OneWire(pin)
        if kind == "adc" or kind == "battery":
            if numbers[0] not in adc:
                raise ValueError(pins + " cannot be measured while Wi-Fi is on")
            return machine.ADC(pin, **adc_options)
        if kind[:3] == "i2c":
            return machine.I2C(int(kind[3:]), scl=pin, sda=made[1], freq=_I2C_HZ)
        if kind[:4] == "uart":
            return machine.UART(int(kind[4:]), _BAUD, tx=pin, rx=made[1])
    if name == "wifi":
        return network.WLAN()
    raise ValueError("no bus " + name + " on this board")
