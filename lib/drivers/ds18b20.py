"""DS18B20 (and DS1822): temperature over 1-Wire, with the official onewire module.

    from machine import Pin
    from onewire import OneWire
    from drivers.ds18b20 import DS18B20
    print(DS18B20(OneWire(Pin(22))).measure())      # (21.4375,): °C

Several on one wire are told apart by their ROM address; without one, the error lists those that are there.
Pages cited are those of Maxim's datasheet 19-7487 Rev 6.
"""

import time

from micropython import const

from drivers import Sensor, SensorError

_CONVERT_T = const(0x44)
_WRITE_SCRATCHPAD = const(0x4E)
_READ_SCRATCHPAD = const(0xBE)
_POWER_ON = const(0x0550)  # 85 °C (page 6)
# slower ones than the datasheet's are sold: 60 looks, 10 ms apart
_LOOKS = const(60)
_LOOK_MS = const(10)


def decode(scratchpad: bytes) -> float:
    """°C of a scratchpad, the undefined bits of a low resolution left out (page 6), or SensorError."""
    raw = scratchpad[0] | scratchpad[1] << 8
    if raw & 0x8000:
        raw -= 0x10000
    raw &= -8 >> (scratchpad[4] >> 5 & 3)
    if raw == _POWER_ON:
        raise SensorError("85 °C is what it says before it has measured")
    if not -880 <= raw <= 2000:  # -55 … 125 °C
        raise SensorError(f"{raw / 16} °C is no measurement")
    return raw / 16


class DS18B20(Sensor):
    """bus: onewire.OneWire, with a pull-up of 4.7 kΩ. Three wires: it does not run on the data line's power.

    address: ROM code, as OneWire.scan() gives it, as text ("28ff641e8316034c") or as an int of those digits;
    None for the only one on the wire. resolution: 9 … 12 bits; 94 … 750 ms (page 3).

    TH and TL, alarms to others, hold a mark: it is gone when the supply was.
    """

    CHANNELS = (("temperature", "°C"),)
    BUS = "onewire"
    _REMEDY = "check data wire, pull-up (4.7 k) and supply (VDD is needed)"

    def __init__(self, bus, address=None, resolution: int = 12):
        if not 9 <= resolution <= 12:
            raise ValueError("DS18B20: resolution is 9 … 12 bits")
        self._bus = bus
        self._address = address
        self._settings = bytes((0x5A, 0xA5, resolution - 9 << 5 | 0x1F))
        self._wait_ms = (750 >> 12 - resolution) + 10
        self._scratchpad = bytearray(9)
        self._rom = b""

    def _identify(self):
        rom = self._address
        if rom is None:
            # On a wire that is held low scan() would find 255 of them, in 4 s.
            if not self._bus.reset() or not self._bus.readbit():
                raise SensorError("nobody there, or wire held low")
            found = [each for each in self._bus.scan() if each[0] in (0x28, 0x22)]
            if len(found) != 1:
                names = ", ".join([bytes(each).hex() for each in found])
                raise SensorError("give the address of one of " + names if found else "nobody there")
            rom = found[0]
        elif not isinstance(rom, (bytes, bytearray)):
            rom = (int(rom, 16) if isinstance(rom, str) else rom).to_bytes(8, "big")
        self._where = " " + bytes(rom).hex()
        if rom[0] not in (0x28, 0x22) or self._bus.crc8(rom):
            raise SensorError("is no address of a DS18B20")
        self._rom = rom

    def _command(self, code: int):
        if not self._bus.reset():
            raise SensorError("nobody there")
        self._bus.select_rom(self._rom)
        self._bus.writebyte(code)

    def _start(self) -> int:
        if not self._ready:
            self._identify()
            self._ready = True
        self._command(_WRITE_SCRATCHPAD)
        self._bus.write(self._settings)
        self._command(_CONVERT_T)
        # 0 while it converts (page 11): nothing else shows that it heard, for the last result stays readable.
        if self._bus.readbit():
            raise SensorError("does not start measuring")
        self._began = time.ticks_ms()
        return self._wait_ms

    def _read(self) -> tuple:
        if time.ticks_diff(time.ticks_ms(), self._began) < self._wait_ms:
            raise SensorError("asked too early")
        # As long as the wire was left alone since, it says whether it is done (page 11); of several the one begun last.
        for _ in range(_LOOKS):
            if self._bus.readbit():
                break
            time.sleep_ms(_LOOK_MS)
        else:
            raise SensorError("still measures, 0.6 s too long, or wire held low")
        scratchpad = self._scratchpad
        self._command(_READ_SCRATCHPAD)
        self._bus.readinto(scratchpad)
        if self._bus.crc8(scratchpad):
            raise SensorError("CRC is wrong")
        # All zeros have a right CRC, and not these settings.
        if scratchpad[2:5] != self._settings:
            raise SensorError("lost its settings, or does not keep them")
        return (decode(scratchpad),)
