"""Runs on the board for `tagonode spool`, after files.py: hands out the files of its queue, and changes nothing.

Each function returns plain texts and lists, which its repr() carries to the PC.
"""

import os
from binascii import b2a_base64


def queue(folder):
    """[[path, bytes]] of the files in a folder; none when there is no such folder."""
    try:
        paths = [folder + "/" + row[0] for row in os.ilistdir(folder) if row[1] == 0x8000]
        return [[path, os.stat(path)[6]] for path in paths]
    except OSError:
        return []


def part(path, at, size):
    """So many bytes of a file from a place on, as base64."""
    with open(path, "rb") as file:
        file.seek(at)
        return b2a_base64(file.read(size)).decode()
