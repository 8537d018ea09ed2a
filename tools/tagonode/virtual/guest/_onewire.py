"""`_onewire` for a virtual board: slots of 1-Wire on a pin, which firmware has in C."""

import backplane


class _Far:
    """A wire in the host process."""

    def __init__(self, unit):
        self._unit = unit

    def reset(self):
        return bool(backplane.call(backplane.ONEWIRE_RESET, self._unit)[0])

    def slots(self, count, bits):
        return backplane.call(backplane.ONEWIRE_SLOTS, self._unit, bytes((count, bits)))[0]


def _wire(pin):
    # a pin of tests has its wire in this process
    return pin.wire if hasattr(pin, "wire") else _Far(pin._unit)


def reset(pin):
    return _wire(pin).reset()


def readbit(pin):
    return _wire(pin).slots(1, 1)


def readbyte(pin):
    return _wire(pin).slots(8, 0xFF)


def writebit(pin, value):
    _wire(pin).slots(1, 1 if value else 0)


def writebyte(pin, value):
    _wire(pin).slots(8, value)


def crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc
