"""What happened, in words, beside the readings: kept on flash until TagoIO has it, each sent once.

An event is a small file in /events, `<number>.<variable>`: its first line is the time (unix ms, 0: not known), the rest
its text. The numbers rise for ever, which makes the group of each, `<tag>_e<number>`, its own. What was delivered ends
in `.sent`: the newest is kept for its number, and the last three crashes for whoever comes with a cable.
"""

import os

from micropython import const

from tagoio import records, verdicts

FOLDER = "/events"
CRASH = "crash"

_MOST = const(16)  # that wait; the oldest goes first
_CRASHES = const(3)
_TEXT_MAX = const(1800)  # characters; what is longer is cut
_PIECE = const(4096)
_PAUSE_MS = const(60000)
_LONGEST_PAUSE_MS = const(3600000)

_young = {}  # number: milliseconds since this boot, of events that came before the time was known


def listing(folder: str = FOLDER) -> list:
    """[(number, file name)], oldest first."""
    found = []
    try:
        for name in os.listdir(folder):
            number = name.split(".")[0]
            if number.isdigit():
                found.append((int(number), name))
    except OSError:
        pass  # nothing has ever happened
    found.sort()
    return found


def create(variable: str, clock, folder: str = FOLDER):
    """The file of a new event, which takes its text, and counts when it is closed. Raises OSError.

    clock: None where there is none. Of the events that wait the oldest makes room, of crashes all but the last three.
    """
    found = listing(folder)
    number = found[-1][0] + 1 if found else 1
    if not found:
        try:
            os.mkdir(folder)
        except OSError:
            pass  # it is there
    _prune(folder, found, False, CRASH, _CRASHES - 1 if variable == CRASH else _CRASHES)
    _prune(folder, found, False, "", _MOST - 1)
    unix_ms = None
    if clock:
        mono = clock.mono()
        unix_ms = clock.stamp(mono)
        if unix_ms is None:
            _young[number] = mono
    file = open("%s/%d.%s" % (folder, number, variable), "w")
    file.write("%d\n" % (unix_ms or 0))
    return file


def _prune(folder, found, sent, variable, keep):
    """Remove all but the newest `keep` of this kind."""
    for number, name in reversed(found):
        parts = name.split(".")
        if (parts[-1] == "sent") == sent and variable in ("", parts[1]):
            keep -= 1
            if keep < 0:
                os.remove(folder + "/" + name)
                found.remove((number, name))


class Events:
    """Adds events and, as an errand of the uplink, sends them. tag: the queue's; secrets: of class Secret, which leave
    with no event, however they got into it."""

    def __init__(self, clock, tag: str, secrets, log, folder: str = FOLDER):
        self._clock = clock
        self._tag = tag
        self._secrets = secrets
        self._log = log
        self._folder = folder
        self._retry = 0  # milliseconds since boot, before which nothing is tried
        self._pause = _PAUSE_MS

    def add(self, variable: str, text: str) -> None:
        """It happened now. A flash that takes no more is said, and no reason to stop."""
        try:
            with create(variable, self._clock, self._folder) as file:
                file.write(text)
        except OSError as error:
            self._log.warning("events", "not kept: " + text + ": " + str(error))

    def _body(self, number, name):
        with open(self._folder + "/" + name) as file:
            unix_ms = int(file.readline())
            text = file.read(_TEXT_MAX)
        for secret in self._secrets:
            if secret.reveal():
                text = text.replace(secret.reveal(), str(secret))
        if not unix_ms and number in _young:
            unix_ms = self._clock.stamp(_young[number])
        record = {"variable": name.split(".")[1], "value": text, "group": "%s_e%d" % (self._tag, number)}
        if unix_ms:
            record["time"] = records.iso8601(unix_ms).decode()
        else:
            record["metadata"] = {"clock": "unknown"}  # as with readings: TagoIO's time is that of its arrival
        return records.to_json([record])

    async def send(self, pulse, uplink) -> None:
        """Tell TagoIO what waits, oldest first; after a failure not before a pause, which grows."""
        if self._clock.mono() < self._retry:
            return
        for number, name in listing(self._folder):
            if name[-5:] == ".sent":
                continue
            path = self._folder + "/" + name
            try:
                body = self._body(number, name)
            except (OSError, ValueError):
                # the power went before it had a text, or what is there is none of ours
                os.remove(path)
                continue
            pieces = [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]
            verdict, detail, _ = await uplink.exchange(pulse, "POST", "/data", pieces, len(body))
            if verdict in (verdicts.REJECTED, verdicts.TOO_LARGE):
                self._log.warning("events", "refused: " + detail)
            elif verdict not in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
                # perhaps it arrived: the same again has the same time and group
                self._log.warning("events", verdict + ": " + detail)
                self._retry = self._clock.mono() + self._pause
                self._pause = min(self._pause * 2, _LONGEST_PAUSE_MS)
                return
            self._pause = _PAUSE_MS
            os.rename(path, path + ".sent")
            _young.pop(number, None)
            found = listing(self._folder)
            _prune(self._folder, found, True, CRASH, _CRASHES)
            _prune(self._folder, [each for each in found if ".crash" not in each[1]], True, "", 1)
