"""Runs on the board for `tagonode spool`: hands out the files of its queue, and changes nothing.

Each function returns plain numbers, texts and lists, which its repr() carries to the PC.
"""

import hashlib
import os
from binascii import b2a_base64, hexlify

import machine

_QUEUE = "/queue/"


def feed():
    """Once hold() was called: the PC is still there."""


def hold(ms):
    """From now on the board starts again by itself when the PC is silent for so long."""
    global feed
    try:  # noqa: SIM105 - there is no contextlib
        feed = machine.WDT(timeout=ms).feed
    except (ValueError, OSError):
        pass  # one that cannot is started again by its button


def has_program():
    """Whether there is a program to go on with."""
    return "main.py" in os.listdir("/")


def files():
    """[[name, bytes]] of the queue; none when there is no queue."""
    try:
        return [[row[0], os.stat(_QUEUE + row[0])[6]] for row in os.ilistdir(_QUEUE[:-1]) if row[1] == 0x8000]
    except OSError:
        return []


def part(name, at, size):
    """So many bytes of a file from a place on, as base64."""
    feed()
    with open(_QUEUE + name, "rb") as file:
        file.seek(at)
        return b2a_base64(file.read(size)).decode()


def sha256(name):
    """Of a file's content, in hex."""
    feed()
    found = hashlib.sha256()
    with open(_QUEUE + name, "rb") as file:
        while True:
            piece = file.read(512)
            if not piece:
                return hexlify(found.digest()).decode()
            found.update(piece)
