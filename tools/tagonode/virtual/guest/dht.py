"""`dht` for a virtual board: the names and signatures of the module that esp32 and rp2 firmware freezes."""

import time

import backplane


def dht_readinto(pin, buf):
    """Ask the sensor on the pin: 268 ms of high and low level, then 5 bytes. Raises OSError(110) without an answer."""
    if hasattr(pin, "wire"):  # a pin of tests has its wire in this process
        buf[:] = pin.wire.frame()
        return
    time.sleep_ms(268)
    buf[:] = backplane.call(backplane.DHT_FRAME, pin._unit)


class DHTBase:
    def __init__(self, pin):
        self.pin = pin
        self.buf = bytearray(5)

    def measure(self):
        dht_readinto(self.pin, self.buf)
        if sum(self.buf[:4]) & 0xFF != self.buf[4]:
            raise Exception("checksum error")


class DHT11(DHTBase):
    def humidity(self):
        return self.buf[0]

    def temperature(self):
        return self.buf[2]


class DHT22(DHTBase):
    def humidity(self):
        return (self.buf[0] << 8 | self.buf[1]) * 0.1

    def temperature(self):
        tenths = (self.buf[2] & 0x7F) << 8 | self.buf[3]
        return (-tenths if self.buf[2] & 0x80 else tenths) * 0.1
