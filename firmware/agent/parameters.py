"""What is kept of remote settings, in /remote. Names say how far a change has come, so that each step is one rename,
and whenever the power goes the node is before it or after it:

    new         being fetched
    rows        fetched; judged at the next start (agent.overlay), which makes it one of:
    trial.<n>   in force since <n> starts, to be confirmed by a delivered POST (agent.trial, agent.changes)
    done        nothing to try: all refused, or commands
    undone      was on trial, and nothing was delivered
    told        reported to TagoIO: what is left is to mark it as read, and to do its commands

There is one of them at most, but for `new`. Beside it: `values`, the settings in force over those of the deployment,
and `next`, those on trial, both sealed as settings files are; <checksum>.der, roots that they name; `seen`, what was
dealt with, or read before: [checksum of a parameter's id, of its key and value] in each line.

The first line of the list is [Unix time of the fetch, the queue's tag, 0, "", ""]. In `rows`, two lines follow for each
parameter: [checksum of key and value], and it as TagoIO gave it. In the others, one: [id, key, that checksum, why it
is refused or "", what is shown of its value]; with the id "" it says in its fourth place why all of it was undone.
"""

import json
import os
from binascii import crc32

FOLDER = "/remote"


def checksum(text: str) -> int:
    """Of a parameter's id; small, so that it costs no heap of its own."""
    return crc32(text.encode()) & 0x3FFFFFFF


def stage(folder: str = FOLDER) -> str:
    """Name of the list there is, "" when there is none. What was judged counts, until `rows` is gone."""
    found = ""
    try:
        for name in os.listdir(folder):
            if name in ("done", "undone", "told") or name[:6] == "trial." or name == "rows" and not found:
                found = name
    except OSError:
        pass  # nobody has ever changed anything
    return found


def write(file, row) -> None:
    """Write one line, with its own checksum before it. row: a list, or JSON as bytes without line breaks."""
    if isinstance(row, list):
        row = json.dumps(row).encode()
    file.write(b"%08x " % (crc32(row) & 0xFFFFFFFF))
    file.write(row)
    file.write(b"\n")


def rows(path: str):
    """What the lines of a file hold, one after the other; damaged ones are left out. Raises OSError."""
    with open(path, "rb") as file:
        while True:
            line = file.readline()
            if not line:
                return
            row = line[9:-1]
            if row and line[:8] == b"%08x" % (crc32(row) & 0xFFFFFFFF):
                try:
                    row = json.loads(row)
                except ValueError:
                    continue
                yield row


def undo(name: str, why: str, folder: str = FOLDER) -> None:
    """The change on trial, whose list this is, is given up. Raises OSError."""
    path = folder + "/" + name
    with open(path, "ab") as file:
        write(file, ["", "", 0, why, ""])
    os.rename(path, folder + "/undone")


def command(text: str) -> tuple:
    """(word, number) of a command's text. Raises ValueError, which says what there is."""
    word, _, number = text.strip().lower().partition(" ")
    if word == "maintenance" and number.isdigit() and len(number) < 5 and 1 <= int(number) <= 1440:
        return word, int(number)
    if word not in ("reboot", "flush", "identify") or number:
        raise ValueError("give reboot, flush, identify, or maintenance and 1 to 1440 minutes")
    return word, 0


def folder(path: str = FOLDER) -> None:
    """Make the folder, if it is not there. Raises OSError."""
    try:
        os.mkdir(path)
    except OSError as error:
        if error.errno != 17:  # EEXIST
            raise


def there(path: str) -> bool:
    """Whether there is such a file."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def remove(path: str) -> None:
    """Remove a file, if it is there. Raises OSError when it stays there."""
    try:
        os.remove(path)
    except OSError as error:
        if error.errno != 2:  # ENOENT
            raise
