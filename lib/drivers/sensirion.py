"""Words protected by a CRC, as Sensirion's chips send them (SHT4x datasheet 4.4, SHT3x datasheet 4.12).

For drivers of this folder; not a driver itself.
"""

from drivers import SensorError


def crc8(data: bytes, start: int, end: int) -> int:
    """CRC-8 of data[start:end]: polynomial 0x31, initial value 0xFF, neither reflected nor inverted."""
    crc = 0xFF
    for i in range(start, end):
        crc ^= data[i]
        for _ in range(8):
            crc = (crc << 1 ^ (0x31 if crc & 0x80 else 0)) & 0xFF
    return crc


def word(frame: bytes, at: int) -> int:
    """The 16-bit word at frame[at], whose CRC follows it. Raises SensorError when that does not fit."""
    if crc8(frame, at, at + 2) != frame[at + 2]:
        raise SensorError("CRC is wrong")
    return frame[at] << 8 | frame[at + 1]
