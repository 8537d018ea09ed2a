"""The ROM loader of an ESP32 on a pty: as much of Espressif's serial protocol as esptool needs to recognise the chip
and to write its flash ("ESP32 series: Serial Protocol", esptool's documentation).

What runs on a chip is not run: a program that is loaded into RAM is taken for esptool's own flasher, and answers from
then on as that does. The flash is a bytearray.
"""

import contextlib
import hashlib
import os
import pty
import struct
import threading
import tty
import zlib
from typing import Any

_END, _ESC = b"\xc0", b"\xdb"
_HEAD = struct.Struct("<BBHI")
_INVALID = bytes([1, 5])  # status, "received message is invalid"
FLASH_BYTES = 4 << 20

_FLASH_BEGIN, _FLASH_DATA, _MEM_END, _SYNC, _READ_REG = 0x02, 0x03, 0x06, 0x08, 0x0A
_DEFL_BEGIN, _DEFL_DATA, _MD5, _SECURITY_INFO = 0x10, 0x11, 0x13, 0x14
_ERASE_FLASH = 0xD0

# name -> (registers, chip id of the security information, None where the ROM has no such command). 0x40001000 tells an
# ESP32 from its elders.
CHIPS: dict[str, tuple[dict[int, int], int | None]] = {
    "ESP32": ({0x40001000: 0x00F01D83}, None),
    "ESP32-S3": ({}, 9),
    "ESP32-C3": ({}, 5),
    "ESP32-C6": ({}, 13),
}
# where the SPI controller's first data word is, in which a flash chip's identity is read: 4 MB
_FLASH_ID_AT = {"ESP32": 0x3FF42080, "ESP32-S3": 0x60002058, "ESP32-C3": 0x60002058, "ESP32-C6": 0x60003058}


class RomLoader:
    """`port`: where the chip is; flash: its content, which was erased as a whole `erased` times. deaf: answers nothing;
    forgets: writes nothing."""

    def __init__(self, chip: str):
        self.registers, self._chip_id = dict(CHIPS[chip][0]), CHIPS[chip][1]
        self.registers[_FLASH_ID_AT[chip]] = 0x164020
        self.flash = bytearray(b"\xff" * FLASH_BYTES)
        self.erased = 0
        self.deaf = False
        self.forgets = False
        self._is_stub = False
        self._at = 0
        self._inflate: Any = None
        self._ours, self._line = pty.openpty()
        tty.setraw(self._line)
        self.port = os.ttyname(self._line)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "RomLoader":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._line)
        self._thread.join(10)
        os.close(self._ours)

    def _serve(self) -> None:
        pending = b""
        with contextlib.suppress(OSError):  # nobody has the line open any more
            while True:
                pending += os.read(self._ours, 65536)
                *packets, pending = pending.split(_END)
                for packet in packets:
                    plain = packet.replace(b"\xdb\xdc", _END).replace(b"\xdb\xdd", _ESC)
                    if len(plain) >= _HEAD.size and plain[0] == 0 and not self.deaf:
                        _, command, _, _ = _HEAD.unpack_from(plain)
                        self._take(command, plain[_HEAD.size :])

    def _send(self, plain: bytes) -> None:
        packet = _END + plain.replace(_ESC, b"\xdb\xdd").replace(_END, b"\xdb\xdc") + _END
        while packet:
            packet = packet[os.write(self._ours, packet) :]

    def _answer(self, command: int, value: int = 0, data: bytes = b"", status: bytes = b"\0\0") -> None:
        status = status if self._is_stub else status + b"\0\0"
        body = data + status
        self._send(_HEAD.pack(1, command, len(body), value) + body)

    def _take(self, command: int, data: bytes) -> None:
        if command == _SYNC:
            self._is_stub = False  # as after the reset that came before; a pty has no lines to see one by
            for _ in range(8):
                self._answer(command, 0x20120707)
        elif command == _READ_REG:
            self._answer(command, self.registers.get(struct.unpack("<I", data)[0], 0))
        elif command == _SECURITY_INFO and self._chip_id is not None:
            self._answer(command, 0, struct.pack("<IB7BII", 0, 0, *bytes(7), self._chip_id, 0))
        elif command == _MEM_END:
            self._answer(command)
            self._is_stub = True
            self._send(b"OHAI")
        elif command == _SECURITY_INFO:
            self._answer(command, status=_INVALID)
        elif command == _ERASE_FLASH:
            self.flash[:] = b"\xff" * FLASH_BYTES
            self.erased += 1
            self._answer(command)
        elif command in (_FLASH_BEGIN, _DEFL_BEGIN):
            _, _, _, self._at = struct.unpack_from("<4I", data)
            self._inflate = zlib.decompressobj()
            self._answer(command)
        elif command == _DEFL_DATA:
            self._write(self._inflate.decompress(data[16:]))
            self._answer(command)
        elif command == _FLASH_DATA:
            self._write(data[16:])
            self._answer(command)
        elif command == _MD5:
            at, size = struct.unpack_from("<2I", data)
            digest = hashlib.md5(self.flash[at : at + size])
            self._answer(command, 0, digest.digest() if self._is_stub else digest.hexdigest().encode())
        else:
            # registers stay as they are, so that each transfer of the SPI controller is over at once
            self._answer(command)

    def _write(self, content: bytes) -> None:
        if not self.forgets:
            self.flash[self._at : self._at + len(content)] = content
        self._at += len(content)
