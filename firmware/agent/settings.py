"""The settings table, once for both sides, and how a board reads its settings.

Each row of TABLE: (key, kind, default, lowest, highest). On the PC the key is `section.name` of node.toml and the
same table makes the model that checks it; on the board settings are one flat dict in device units:

    SECONDS  int milliseconds here, seconds with fractions in node.toml
    INT      int
    BOOL     bool
    TEXT     str; lowest and highest are lengths
    CHOICE   str; `lowest` is the tuple of words, `highest` None

Beside the table a settings file holds "board", "sensors", "wifi.networks", "ntp.servers" and the like, whose form
is nested; the builder writes them and Settings hands them on as they are.
"""

import gc
import json
import os
from binascii import crc32

from micropython import const

from agent import forget
from agent.log import Secret

SECONDS = const(0)
INT = const(1)
BOOL = const(2)
TEXT = const(3)
CHOICE = const(4)

FORMAT = const(1)
# the second copy is written after the first, so that one of them is whole whenever the power goes
FILES = ("/settings.json", "/settings.2.json")

TABLE = (
    ("tagoio.host", TEXT, "api.us-e1.tago.io", 1, 253),
    ("tagoio.port", INT, 443, 1, 65535),
    ("tagoio.prefix", TEXT, "", 0, 100),
    # false sends token and readings in the open: plain HTTP with _ssl=false
    ("tagoio.ssl", BOOL, True, None, None),
    ("sample.every", SECONDS, 60000, 20, 86400000),
    ("upload.every", SECONDS, 300000, 0, 604800000),
    # sends as soon as so many samples wait, whatever the time; 0: by time only
    ("upload.samples", INT, 0, 0, 100000),
    ("upload.body", INT, 32768, 2048, 200000),
    # how long a server may be silent after a request; the other stages' deadlines go with it
    ("upload.patience", SECONDS, 20000, 100, 60000),
    # in which a server counts its rate limit; every other wait of the uplink goes with it
    ("upload.window", SECONDS, 60000, 100, 3600000),
    ("queue.bytes", INT, 393216, 65536, 16777216),
    ("queue.policy", CHOICE, "drop_oldest", ("drop_oldest", "drop_newest"), None),
    ("queue.commit_samples", INT, 1, 1, 100),
    ("queue.commit_every", SECONDS, 0, 0, 86400000),
    ("clock.every", SECONDS, 21600000, 60000, 604800000),
    # whom to ask for the time over plain HTTP where there is no NTP, "name" or "name:port"; "": tagoio.host
    ("clock.http", TEXT, "", 0, 253),
    # of the place where the node is, two letters (ISO 3166): which channels it may use; "": the world's common ones
    ("wifi.country", TEXT, "", 0, 2),
    ("wifi.hostname", TEXT, "", 0, 32),
    # "192.168.1.50/24", the way out, and the name server; "": what the network gives
    ("wifi.address", TEXT, "", 0, 18),
    ("wifi.gateway", TEXT, "", 0, 15),
    ("wifi.dns", TEXT, "", 0, 15),
    # auto: as MicroPython sets it; none answers fastest, powersave lasts longest
    ("wifi.power_save", CHOICE, "auto", ("auto", "none", "performance", "powersave"), None),
    ("watchdog.on", BOOL, True, None, None),
    ("led.on", BOOL, True, None, None),
    ("log.level", CHOICE, "info", ("error", "warning", "info", "debug"), None),
    # how many lines are kept in memory, and written down when something crashes
    ("log.keep", INT, 8, 0, 100),
    # how often the node reports how it is itself, and what happened to it; 0: never
    ("health.every", SECONDS, 3600000, 0, 604800000),
    # how often to look for configuration parameters at TagoIO, which change these settings; 0: never
    ("remote.every", SECONDS, 3600000, 0, 604800000),
    # all off between samples: upload.every says how often it links
    ("duty.on", BOOL, False, None, None),
    # of a wake with the radio on, at most
    ("duty.awake", SECONDS, 60000, 10000, 600000),
    # awake after power on, within a computer's reach
    ("duty.stay", SECONDS, 60000, 0, 3600000),
    ("run.samples", INT, 0, 0, 1000000000),
    ("run.time", SECONDS, 0, 0, 604800000),
)

# What a remote setting may change: sections, and single keys. All of it comes into force on trial.
REMOTE = (
    "sample", "health", "log", "led", "duty", "remote", "clock.every",
    "upload.every", "upload.samples", "upload.body", "upload.patience", "upload.window",
    "queue.commit_samples", "queue.commit_every",
)  # fmt: skip

# 0 switches them off; else each second at most: what the node says of itself must not crowd out what it measures
SELDOM = ("health.every", "remote.every")
_SELDOM_MS = const(1000)


def problem(row: tuple, value):
    """What is wrong with `value` for this row of TABLE, in device units; None when it will do."""
    key, kind, _, low, high = row
    if kind == BOOL:
        return None if isinstance(value, bool) else "has to be true or false"
    if kind == CHOICE:
        return None if value in low else "has to be one of " + ", ".join(low)
    if kind == TEXT:
        if not isinstance(value, str):
            return "has to be a text"
        return None if low <= len(value) <= high else "has to have " + str(low) + " to " + str(high) + " characters"
    if isinstance(value, bool) or not isinstance(value, int):
        return "has to be a whole number"
    if key in SELDOM and 0 < value < _SELDOM_MS:
        return "has to be 0, or 1 second at least"
    return None if low <= value <= high else "has to be from " + str(low) + " to " + str(high)


def seal(values: dict, dumps=json.dumps) -> str:
    """The text of a settings file: one line of JSON, one line with its CRC-32 in hex.

    dumps has to write characters beyond ASCII as they are: MicroPython reads an escaped emoji as two halves.
    """
    text = dumps(values)
    return text + "\n%08x\n" % (crc32(text.encode()) & 0xFFFFFFFF)


def unseal(text: str) -> dict:
    """The settings in a file's text. Raises ValueError when it is torn, damaged, of a newer format, or no settings."""
    body, _, rest = text.partition("\n")
    if rest.strip() != "%08x" % (crc32(body.encode()) & 0xFFFFFFFF):
        raise ValueError("checksum does not match")
    values = json.loads(body)
    if not isinstance(values, dict) or not isinstance(values.get("format"), int):
        raise ValueError("holds no settings")
    if values["format"] > FORMAT:
        raise ValueError("written for newer firmware")
    return values


def _apply_remote(values, log, board):
    try:
        os.stat("/remote")  # where agent.parameters keeps what was changed
    except OSError:
        return
    from agent import overlay

    try:
        cause = board(values["board"]).reset_cause() if board else ""
        overlay.apply(values, log, cause=cause)
    except Exception as error:  # noqa: BLE001 - whatever came from afar, the node starts with its deployment's settings
        log.warning("settings", "remote settings cannot be used: " + (str(error) or repr(error)))
    forget("overlay")
    forget("parameters")
    del overlay
    gc.collect()  # before anything that stays comes to lie behind it


def load(log, files: tuple = FILES, board=None) -> dict:
    """The board's settings, defaults filled in, values out of range replaced by their defaults and logged.

    Takes the first file that is whole. "tagoio.token" and the Wi-Fi keys come as Secret. board: gives a board's module
    by its name. Raises ValueError when no file is whole, since the board was never deployed to or its flash is gone, or
    when something without a default is missing.
    """
    values = None
    for name in files:
        try:
            with open(name) as file:
                values = unseal(file.read())
            break
        except (OSError, ValueError) as error:
            log.warning("settings", name + " cannot be used: " + str(error))
    if values is None:
        raise ValueError("no settings on this board: run tagonode deploy")
    for key in ("board", "build.time", "sensors"):
        if key not in values:
            raise ValueError("the settings have no " + key + ": run tagonode deploy")
    for row in TABLE:
        key = row[0]
        if key not in values:
            values[key] = row[2]
            continue
        wrong = problem(row, values[key])
        if wrong:
            log.warning("settings", key + " " + wrong + ": using " + str(row[2]))
            values[key] = row[2]
    if values["remote.every"]:
        _apply_remote(values, log, board)
    values["tagoio.token"] = Secret(values.get("tagoio.token", ""))
    values["wifi.networks"] = [(ssid, Secret(key)) for ssid, key in values.get("wifi.networks", ())]
    return values
