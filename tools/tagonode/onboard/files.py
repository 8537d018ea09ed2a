"""Runs on the board for `tagonode deploy`: says what the board is and what lies on it, takes new files into /incoming,
and commits them there; firmware/boot.py moves them into place.

Each function returns plain numbers, texts and lists, which its repr() carries to the PC. What stands for a path in
/incoming has | for /.
"""

import hashlib
import json
import os
import sys
from binascii import a2b_base64, hexlify

import machine

_INCOMING = "/incoming"
_EEXIST = 17
_file = None


def feed():
    """Once hold() was called: the PC is still there."""


def hold(ms):
    """From now on the board starts again by itself when the PC is silent for so long: it may be gone for good."""
    global feed
    try:  # noqa: SIM105 - there is no contextlib
        feed = machine.WDT(timeout=ms).feed
    except (ValueError, OSError):
        pass  # one that cannot is started again by its button


def who():
    """[what its MicroPython calls the board, whose MicroPython it is, version, of .mpy files, serial number in hex]"""
    try:
        name = os.uname()[4]
    except AttributeError:
        name = getattr(sys.implementation, "_machine", "")
    implementation = sys.implementation
    mpy = getattr(implementation, "_mpy", 0) & 0xFF
    return [name, implementation.name, list(implementation.version[:3]), mpy, hexlify(machine.unique_id()).decode()]


def sha256(path):
    """Of a file's content, in hex; None when it is not there."""
    found = hashlib.sha256()
    buffer = bytearray(512)
    view = memoryview(buffer)
    try:
        with open(path, "rb") as file:
            while True:
                size = file.readinto(buffer)
                if not size:
                    return hexlify(found.digest()).decode()
                found.update(view[:size])
    except OSError:
        return None


def hashes(paths):
    """Prints a line for each path: its SHA-256, or None."""
    for path in paths:
        feed()
        print(sha256(path))


def deployed():
    """Paths in the manifest of what was deployed before, none when there is no whole one."""
    try:
        with open("/manifest.json") as file:
            return list(json.load(file)["files"])
    except (OSError, ValueError, KeyError):
        return []


def there(paths):
    """Which of these paths exist."""
    found = []
    for path in paths:
        try:
            os.stat(path)
            found.append(path)
        except OSError:
            pass
    return found


def space():
    """[bytes of a block of flash, how many are free]"""
    status = os.statvfs("/")
    # littlefs counts too many as used for a moment, and then free is beyond the end
    return [status[0], status[3] if status[3] <= status[2] else 0]


def _name(path):
    return _INCOMING + "/" + path.replace("/", "|")


def staged():
    """Paths of what lies in /incoming; "commit" is that of a deployment that nobody has finished."""
    try:
        return [name.replace("|", "/") for name in os.listdir(_INCOMING)]
    except OSError:
        return []


def forget(paths):
    """Remove these from /incoming."""
    for path in paths:
        feed()
        os.remove(_name(path))


def leave():
    """There is to be no /incoming."""
    forget(staged())
    if there([_INCOMING]):
        os.rmdir(_INCOMING)


def begin(path):
    """Open a new file."""
    global _file
    make([_INCOMING])
    _file = open(_name(path), "wb")  # noqa: SIM115 - end() closes it


def put(text):
    """Write on, bytes as base64."""
    feed()
    _file.write(a2b_base64(text))


def end(path):
    """Close the file; returns the SHA-256 of what arrived."""
    _file.close()
    return sha256(_name(path))


def finishes():
    """Whether the board's boot.py finishes what is committed."""
    try:
        with open("/boot.py") as file:
            return "/incoming/commit" in file.read()
    except (OSError, UnicodeError):
        return False


def start_with_boot():
    """boot.py comes first to a board that has none of ours: it works beside any other program."""
    os.rename(_name("/boot.py"), "/boot.py")


def make(folders):
    """Make these folders, where they are not there yet."""
    for folder in folders:
        try:
            os.mkdir(folder)
        except OSError as error:
            if error.errno != _EEXIST:
                raise


def commit(lines):
    """The new version is what counts from here on. lines: "+path" to move into place, "-path" to remove."""
    with open(_INCOMING + "/commit.new", "w") as file:
        for line in lines:
            file.write(line + "\n")
    os.rename(_INCOMING + "/commit.new", _INCOMING + "/commit")
