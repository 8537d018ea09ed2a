"""One look at TagoIO's configuration parameters: loaded for it, and dropped.

A change that is under way is brought a step further (agent.reports). When there is none, all parameters are fetched,
one by one out of the answer as it comes in, and the new ones kept: those that are not marked as read, and those that
are, but changed: whoever edits one at TagoIO may leave its mark. What they are worth is decided at the next start,
where there is memory for it (agent.overlay).
"""

import json
import os
from binascii import crc32

from micropython import const

import http1
from agent import forget, parameters
from tagoio import verdicts

_PATH = "/device/params"
_ANSWER_MAX = const(262144)  # 60 of the longest
_ENVELOPE_MAX = const(256)
_MOST = const(60)  # rows at once: as many as a device has
_GOOD = (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING)
_HEAD = const(400)  # bytes of a row that is read as one; of a longer one, what is looked at
_TAIL = const(40)


class Rows(http1.Response):
    """An answer whose result is a list of objects: take(row, whole) is given each as it comes in, in bytes that change
    when it returns. whole: False when it did not fit in `buffer`, and ends before its end.

    What is left is the envelope, its `body`: it takes the place of its own buffer.
    """

    def __init__(self, buffer: bytearray, take):
        self._row = memoryview(buffer)
        self._take = take
        self._envelope = bytearray(_ENVELOPE_MAX)
        http1.Response.__init__(self, self, _ANSWER_MAX)  # type: ignore[arg-type]

    def begin(self, method: str):
        # how deep, bytes of the row, of the envelope, whether it is nested, 1 in a text, 2 behind its backslash
        self._place = (0, 0, 0, False, 0)
        http1.Response.begin(self, method)

    def __len__(self):
        return _ANSWER_MAX

    def __setitem__(self, where, data):
        row, envelope, most = self._row, self._envelope, len(self._row)
        depth, length, size, nested, text = self._place
        data = bytes(data)
        end = len(data)
        plain = end and min(data) >= 32
        i = 0
        while i < end:
            c = data[i]
            if text == 1 and depth > 2 and plain and c != 34 and c != 92:
                # a row's text, up to its end or a backslash, at once: most of an answer is such
                stop = data.find(b'"', i)
                stop = end if stop < 0 else stop
                other = data.find(b"\\", i, stop)
                stop = stop if other < 0 else other
                if length < most:
                    take = min(stop - i, most - length)
                    row[length : length + take] = data[i : i + take]
                length += stop - i
                i = stop
                continue
            i += 1
            level = depth
            if c < 32:
                continue
            if text:
                text = 1 if text == 2 or c != 34 and c != 92 else 0 if c == 34 else 2
            elif c == 32:
                continue
            elif c == 34:  # "
                text = 1
            elif c == 123 or c == 91:  # { [
                level = depth = depth + 1
                if depth == 3:
                    length = 0
                    nested = False
                elif depth > 3:
                    nested = True
            elif c == 125 or c == 93:  # } ]
                depth -= 1
            if level > 2:
                if length < most:
                    row[length] = c
                length += 1
                if depth == 2 and not nested:
                    self._take(row[: min(length, most)], length <= most)
            elif size < _ENVELOPE_MAX and (level != 2 or c != 44):  # the commas between the rows are left out
                envelope[size] = c
                size += 1
        self._place = depth, length, size, nested, text

    def body(self) -> bytes:
        return bytes(self._envelope[: self._place[2]])


def _parameter(row, whole):
    """(id, key, checksum of key and value, value, whether it was read) of a parameter; None when it is none. value:
    None when it is long: no copy is made of such a one."""
    tail = bytes(row[-_TAIL:])
    end = len(row) - len(tail.partition(b',"sent"')[2])
    value = None
    if end < _HEAD:
        found = verdicts.parse_envelope(bytes(row)) or {}
        value = found.get("value")
        if not isinstance(value, str):
            return None
        text = value.encode()
    else:
        head = bytes(row[:_HEAD])
        place = max(head.find(b'"value"'), 0)
        text = row[place:end]
        # as TagoIO writes it, what is short comes first
        found = verdicts.parse_envelope(head[:place].rstrip(b",") + b"}") or {}
        if "key" not in found:
            found = verdicts.parse_envelope(bytes(row)) or {}
            if whole and not isinstance(found.get("value"), str):
                return None
        elif head[place : place + 9] != b'"value":"':
            return None
        elif whole and b'"sent":true' in tail:
            found["sent"] = True
    identity, key = found.get("id"), found.get("key")
    if not isinstance(identity, str) or not identity or not isinstance(key, str):
        return None
    for c in identity:
        if not ("0" <= c <= "9" or "a" <= c.lower() <= "z" or c in "-_"):
            return None  # it is to be part of a path
    return identity, key, crc32(text, crc32(key.encode())) & 0x3FFFFFFF, value, found.get("sent") is True


class Look:
    """pulse, uplink, node, remote: whose they are, see agent.remote. `parameters`: that module, for agent.reports."""

    def __init__(self, pulse, uplink, node, remote, folder: str = parameters.FOLDER):
        self.pulse = pulse
        self.uplink = uplink
        self.node = node
        self.remote = remote
        self.parameters = parameters
        self._folder = folder

    async def ask(self, method, path, body=None, size=None, response=None):
        """The verdict on a request; says why it is not a good one."""
        verdict, detail, _ = await self.uplink.exchange(self.pulse, method, path, body, size, response)
        if verdict not in _GOOD:
            self.node.log.warning("remote", "%s %s: %s: %s" % (method, path[:14], verdict, detail))
        return verdict

    async def fetch(self, path, take) -> bool:
        """GET parameters. take(parameter, row, whole) is given each, as _parameter makes them, and what Rows gives of
        it. False: what came does not count."""

        def take_row(row, whole):
            found = _parameter(row, whole)
            if found:
                take(found, row, whole)

        return await self.ask("GET", path, None, None, Rows(self.uplink.buffer, take_row)) in _GOOD

    def seen(self) -> dict:
        """{checksum of its id: checksum} of the parameters that were dealt with, or were read before."""
        try:
            return dict(parameters.rows(self._folder + "/seen"))
        except OSError:
            return {}

    def remember(self, seen: dict) -> None:
        """Keep what `seen` gives from now on. Raises OSError."""
        if seen == self.seen():
            return
        folder = self._folder
        parameters.folder(folder)
        with open(folder + "/new", "wb") as file:
            for row in seen.items():
                parameters.write(file, list(row))
        os.rename(folder + "/new", folder + "/seen")

    async def go(self) -> bool:
        """Do what is next. False: it did not work, and is to be tried again before long. Raises OSError."""
        stage = parameters.stage(self._folder)
        if stage == "rows":
            # the start could not judge it: fetched again, not before the usual time
            parameters.remove(self._folder + "/rows")
            return True
        if stage and not await self._go_on(stage):
            return False
        return await self._fetch_new()

    async def _go_on(self, stage):
        from agent import reports

        forget("reports")
        folder = self._folder
        path = folder + "/" + stage
        on_trial = stage[:6] == "trial."
        status = self.node.status
        if on_trial and not self.remote.trial and parameters.there(folder + "/next"):
            # the start could not do its part, and went on with the deployment's settings: nothing of these is tried
            why = "the flash failed at a start"
            self.node.log.warning("remote", "back to the settings before: " + why)
            parameters.undo(stage, why, folder)
            self.node.restart()
            return False
        if on_trial and (status["error"] or status["verdict"] and status["verdict"] not in _GOOD):
            return False
        if stage != "told":
            if not await reports.report(self, path, on_trial):
                return False
            if on_trial:
                self.node.log.info("remote", "the new settings are kept")
                if parameters.there(folder + "/next"):  # or else the flash failed after this, the last time
                    os.rename(folder + "/next", folder + "/values")
                self.remote.trial = False
            os.rename(path, folder + "/told")
        return await reports.mark(self, folder + "/told", _PATH)

    async def _fetch_new(self):
        folder = self._folder
        path = folder + "/new"
        file = None
        commands = []
        count = 0
        # the groups of its reports are made of it
        self.remote.last = now = max(self.node.clock.now() // 1000, self.remote.last + 1)
        header = [now, self.node.spool.tag, 0, "", ""]
        before = self.seen()
        seen = {}

        def take(found, row, whole):
            nonlocal file, count
            if count == _MOST or len(seen) == _MOST:
                return
            identity, key, checksum, value, read = found
            place = parameters.checksum(identity)
            seen[place] = before.get(place, checksum if read else None)
            # of one that is cut short nobody knows whether it was read
            if seen[place] == checksum and (read or not whole):
                return
            if file is None:
                parameters.folder(folder)
                file = open(path, "wb")
                parameters.write(file, header)
            count += 1
            parameters.write(file, [checksum])
            if not whole:
                wrong = "is longer than %d bytes with its name" % len(row)
                row = json.dumps({"id": identity, "key": key, "value": "", "wrong": wrong}).encode()
            elif key == "command" and value:
                reason = ""
                try:
                    parameters.command(value)
                except ValueError as error:
                    reason = str(error)
                commands.append([identity, key, checksum, reason, "" if reason else value.strip()])
            parameters.write(file, row)

        good = False
        try:
            good = await self.fetch(_PATH, take)
        finally:
            if file:
                file.close()
            if not good:
                parameters.remove(path)
        if not good:
            return True
        if not count:
            self.remember(seen)
            return True
        if count > len(commands):
            os.rename(path, folder + "/rows")
            self.node.log.info("remote", "%d parameters are new: starting again with them" % count)
            self.node.restart()
            return True
        with open(path, "wb") as file:
            for row in [header] + commands:
                parameters.write(file, row)
        os.rename(path, folder + "/done")
        return await self.go()


async def run(pulse, uplink, node, remote) -> bool:
    """As Look.go."""
    return await Look(pulse, uplink, node, remote).go()
