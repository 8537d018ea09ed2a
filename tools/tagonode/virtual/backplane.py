"""The host's end of the wires: serves one board's requests from its simulated hardware."""

import contextlib
import os
import struct

from tagonode.virtual.guest import backplane as wire
from tagonode.virtual.hardware import Hardware

EIO = 5


class WiresCut(Exception):
    """The guest closed its end: its process is gone."""


class Backplane:
    """Answers requests that arrive on `rx_fd` with replies on `tx_fd`, both raw pipe descriptors it then owns."""

    def __init__(self, hardware: Hardware, rx_fd: int, tx_fd: int):
        self.hardware = hardware
        self.rx_fd = rx_fd
        self._tx_fd = tx_fd

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = os.read(self.rx_fd, length - len(data))
            if not more:
                raise WiresCut
            data += more
        return data

    def serve_one(self) -> int:
        """Wait for one request and answer it: which it was. Raises WiresCut at the end, BoardReset when the guest asks
        for it."""
        op, unit, length = struct.unpack("<BBH", self._read(4))
        payload = self._read(length)
        try:
            reply = self.hardware.operate(op, unit, payload)
            status = -min(self.hardware.waiting_edges(), 32767)
        except OSError as error:
            # OSError(19), as simulated parts raise it in both runtimes, leaves errno unset on CPython
            status, reply = error.errno or (error.args[0] if error.args else EIO), b""
        except ValueError as error:
            status, reply = wire.VALUE_ERROR, str(error).encode()
        with contextlib.suppress(BrokenPipeError):  # killed while it waited; the next read says so
            os.write(self._tx_fd, struct.pack("<hH", status, len(reply)) + reply)
        return op

    def serve(self) -> None:
        """Answer until the guest is gone. For tests that run one board's worth of device code."""
        with contextlib.suppress(WiresCut):
            while True:
                self.serve_one()

    def close(self) -> None:
        os.close(self.rx_fd)
        os.close(self._tx_fd)
