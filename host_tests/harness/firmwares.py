"""Firmware images in the form of those that MicroPython publishes: UF2 for Picos, .bin for the ESP32 family."""

import functools
import hashlib
import operator
import random
import struct

BANNER = b"MicroPython v1.27.0 on 2025-12-09; "
MACHINES = {
    "pico_w": b"Raspberry Pi Pico W with RP2040",
    "pico2_w": b"Raspberry Pi Pico 2 W with RP2350",
    "esp32": b"Generic ESP32 module with ESP32",
    "esp32s3": b"Generic ESP32S3 module with ESP32S3",
    "esp32c3": b"Generic ESP32C3 module with ESP32C3",
}
FAMILIES = {"pico_w": 0xE48BFF56, "pico2_w": 0xE48BFF59}
_ABSOLUTE = 0xE48BFF57
_CHIPS = {"esp32": 0, "esp32s3": 9, "esp32c3": 5, "esp32c6": 13}
_OFFSETS = {"esp32": 0x1000}


def program(board: str, banner: bytes | None = None, size: int = 200_000) -> bytes:
    """Code that says what it is somewhere."""
    text = banner if banner is not None else BANNER + MACHINES.get(board, b"something")
    filling = bytes(random.Random(board).choices(range(64), k=size))
    return filling[: size // 3] + b"\0" + text + b"\0" + filling[size // 3 :]


def uf2_block(data: bytes, number: int, count: int, family: int, address: int, flags: int = 0x2000) -> bytes:
    """One block of 512 bytes (UF2 specification)."""
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, address, len(data), number, count, family)
    return head + data.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)


def uf2(board: str, code: bytes | None = None) -> bytes:
    """A whole UF2, the RP2350's with the lone block before it."""
    code = program(board) if code is None else code
    pieces = [code[at : at + 256].ljust(256, b"\0") for at in range(0, len(code), 256)]
    family = FAMILIES[board]
    blocks = [
        uf2_block(piece, number, len(pieces), family, 0x10000000 + 256 * number) for number, piece in enumerate(pieces)
    ]
    if board == "pico2_w":
        blocks.insert(0, uf2_block(b"\xef" * 256, 0, 2, _ABSOLUTE, 0x10FFFF00))
    return b"".join(blocks)


def _esp_image(chip: int, code: bytes) -> bytes:
    head = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080000) + bytes(4) + struct.pack("<H", chip) + bytes(9) + b"\1"
    body = head + struct.pack("<II", 0x3F400020, len(code)) + code
    checksum = functools.reduce(operator.xor, code, 0xEF)
    body += b"\0" * (15 - len(body) % 16) + bytes([checksum])
    return body + hashlib.sha256(body).digest()


def application(board: str) -> bytes:
    """The application alone, which says so at the begin of its first segment."""
    return _esp_image(_CHIPS[board], struct.pack("<I", 0xABCD5432) + program(board))


def esp(board: str, code: bytes | None = None) -> bytes:
    """Bootloader, partition table and application in one file."""
    base = _OFFSETS.get(board, 0)
    chip = _CHIPS[board]
    table = struct.pack("<HBBII16sI", 0x50AA, 1, 2, 0x9000, 0x6000, b"nvs", 0)
    table += struct.pack("<HBBII16sI", 0x50AA, 0, 0, 0x10000, 0x1F0000, b"factory", 0)
    image = _esp_image(chip, b"bootloader" * 100).ljust(0x8000 - base, b"\xff") + table
    return image.ljust(0x10000 - base, b"\xff") + _esp_image(chip, program(board) if code is None else code)
