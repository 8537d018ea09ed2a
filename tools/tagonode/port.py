"""The board on a serial port, by mpremote's library: its prompt, and errors that say what to do about them."""

import contextlib
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mpremote.transport_serial
import serial
import serial.tools.list_ports
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

# an answer that takes longer than this is none
_SILENCE_S = 2
_BUSY_S = 1.5
_PROMPT_S = 5

# What MicroPython calls the boards, and ours of that kind; the more special names come first.
_MACHINES = (
    ("Pico 2 W", "pico2_w"),
    ("Pico W", "pico_w"),
    ("ESP32S3", "esp32s3"),
    ("ESP32C3", "esp32c3"),
    ("ESP32", "esp32"),
    ("virtual", "virtual"),
)
_NOT_OURS = ("ESP32S2", "ESP32C2", "ESP32C5", "ESP32C6", "ESP32H2", "ESP32P4")

# the library prints what it did not understand
setattr(mpremote.transport_serial, "print", lambda *texts: None)  # noqa: B010 - no name that it has


class PortError(Exception):
    """Why the board cannot be spoken to, with the remedy."""


class NoPrompt(PortError):
    """The port is there, and no MicroPython answers."""


@contextlib.contextmanager
def board_at(port: str) -> Iterator[SerialTransport]:
    """The board's raw prompt after a soft reset, which frees its heap and skips main.py. Raises PortError.

    A program that was interrupted for this does not go on afterwards: see restart().
    """
    transport = _open(port)
    try:
        _enter(transport, port)
        yield transport
    except TransportExecError as error:
        lines = error.error_output.strip().splitlines()
        raise PortError(f"the board at {port} could not do it: {lines[-1] if lines else 'no reason given'}") from None
    except (TransportError, OSError, struct.error):
        raise PortError(f"the board at {port} went away: check its cable, and try again") from None
    finally:
        with contextlib.suppress(OSError):
            if transport.in_raw_repl:
                transport.exit_raw_repl()
            transport.close()


def _enter(transport: SerialTransport, port: str) -> None:
    for last in (False, True):
        try:
            transport.enter_raw_repl(timeout_overall=_PROMPT_S)
            return
        except TransportError:
            # one Ctrl-C may come at a moment in which the program on the board does not heed it
            if last:
                raise NoPrompt(
                    f"no MicroPython answers at {port}: press the board's reset button and try again; make sure that "
                    "it is this board's port, and that MicroPython is on the board (tagonode flash)"
                ) from None


def _open(port: str) -> SerialTransport:
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            return SerialTransport(port, timeout=_SILENCE_S)
        except (TransportError, OSError, ValueError):
            reason = why_not(port)
        # a system that looks at what was plugged in has the port for a moment
        if not reason.endswith("try again") or time.monotonic() > until:
            raise PortError(reason)
        time.sleep(0.1)


def call(transport: SerialTransport, function: str, *arguments: Any) -> Any:
    """Call a function of the script that was executed at the prompt, with plain values, for a plain value."""
    return transport.eval(f"{function}({', '.join(map(repr, arguments))})")


def board_called(machine: str) -> str | None:
    """Which of the boards there are files for calls itself so, None for another."""
    machine = machine.replace("ESP32-", "ESP32")  # either way, by MicroPython's version
    if any(name in machine for name in _NOT_OURS):
        return None
    return next((board for name, board in _MACHINES if name in machine), None)


def on_usb() -> list[str]:
    """The serial ports on USB."""
    return sorted(each.device for each in serial.tools.list_ports.comports() if each.vid is not None)


def restart(transport: SerialTransport) -> None:
    """Start the board anew, as its reset button does. There is no prompt any more."""
    transport.exec_raw_no_follow("import machine; machine.reset()")
    transport.in_raw_repl = False


def why_not(port: str) -> str:
    """Why a port cannot be opened, and what to do."""
    path = Path(port)
    if port.startswith("/") and not path.exists():
        there = on_usb()
        found = f"there is {', '.join(there)}" if there else "no board is found on USB"
        return f"there is no port {port}: {found}; plug the board in, with a cable that carries data"
    if port.startswith("/") and not os.access(port, os.R_OK | os.W_OK):
        return f"no permission to open {port}: join its group (sudo usermod -aG {path.group()} $USER) and log in again"
    try:
        serial.Serial(port, exclusive=True).close()
    except (OSError, ValueError) as error:
        if "exclusively lock" in str(error) or "busy" in str(error):
            return f"{port} is in use by another program: close it (a monitor, Thonny, mpremote), and try again"
        return f"{port} is no serial port: name the one that the board is on"
    return f"{port} could not be opened at once: try again"
