"""One look at TagoIO's configuration parameters: loaded for it, and dropped.

A change that is under way is brought a step further: reported, marked as read, its commands done. When there is none,
new parameters are fetched, one by one out of the answer as it comes in; what they are worth is decided at the next
start, where there is memory for it (agent.overlay).
"""

import json
import os
from binascii import crc32

from micropython import const

import http1
from agent import forget, parameters
from tagoio import extras, records, verdicts

forget("extras", "tagoio")

_PATH = "/device/params"
_READ = b'{"sent":true}'
_ANSWER_MAX = const(32768)
_ENVELOPE_MAX = const(256)
_MOST = const(60)  # rows at once: as many as a device has
_MINUTE_MS = const(60000)
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
        for c in data:
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
    """(id, key, checksum of its value and what follows it, value, whether it was read) of a parameter; None when it is
    none. value: None when it is long: no copy is made of such a one."""
    head = bytes(row[:_HEAD])
    place = max(head.find(b'"value"'), 0)
    value = None
    if len(row) < _HEAD:
        found = verdicts.parse_envelope(head) or {}
        value = found.get("value")
        if not isinstance(value, str):
            return None
    else:
        # as TagoIO writes it, what is short comes first
        found = verdicts.parse_envelope(head[:place].rstrip(b",") + b"}") or {}
        if "key" not in found:
            found = verdicts.parse_envelope(bytes(row)) or {}
        elif whole and b'"sent":true' in bytes(row[-_TAIL:]):
            found["sent"] = True
    identity, key = found.get("id"), found.get("key")
    if not isinstance(identity, str) or not isinstance(key, str):
        return None
    for c in identity:
        if not ("0" <= c <= "9" or "a" <= c.lower() <= "z" or c in "-_"):
            return None  # it is to be part of a path
    return identity, key, crc32(row[place:]) & 0x3FFFFFFF, value, found.get("sent") is True


class Look:
    """pulse, uplink, node, remote: whose they are, see agent.remote."""

    def __init__(self, pulse, uplink, node, remote, folder: str = parameters.FOLDER):
        self._pulse = pulse
        self._uplink = uplink
        self._node = node
        self._remote = remote
        self._folder = folder

    async def _ask(self, method, path, body=None, size=None, response=None):
        """Whether it was accepted; says why not."""
        verdict, detail, _ = await self._uplink.exchange(self._pulse, method, path, body, size, response)
        if verdict not in _GOOD:
            self._node.log.warning("remote", "%s %s: %s: %s" % (method, path[:14], verdict, detail))
        return verdict

    async def go(self) -> bool:
        """Do what is next. False: it did not work, and is to be tried again before long. Raises OSError."""
        folder = self._folder
        stage = parameters.stage(folder)
        path = folder + "/" + stage
        if stage == "rows":
            # the start could not judge it: fetched again, not before the usual time
            parameters.remove(path)
            return True
        status = self._node.status
        if stage[:6] == "trial." and (status["error"] or status["verdict"] and status["verdict"] not in _GOOD):
            return False
        if stage and stage != "told":
            if not await self._report(path, stage):
                return False
            if stage[:6] == "trial.":
                self._node.log.info("remote", "the new settings are kept")
                os.rename(folder + "/next", folder + "/values")
                self._remote.trial = False
            os.rename(path, folder + "/told")
        if stage:
            path = folder + "/told"
            if not await self._mark(path):
                return False
        return await self._fetch()

    # ---- told

    def _records(self, path, stage):
        """What came of each parameter, as a record in JSON each."""
        why = ""
        for row in parameters.rows(path):
            if not row[0]:
                why = row[3]
        for index, (identity, key, _, reason, shown) in enumerate(parameters.rows(path)):
            if not index:
                time, tag = identity, key
            elif identity:
                text = verdicts.tidy(key)
                if shown:
                    text += " = " + verdicts.tidy(shown)
                if reason:
                    text += ": refused: " + reason
                elif key == "command":
                    text += ": done"
                elif why:
                    text += ": taken back: " + why
                else:
                    text += ": applied"
                yield extras.to_json(
                    {
                        "variable": "settings",
                        "value": text,
                        "time": records.iso8601(time * 1000).decode(),
                        "group": "%s_s%d_%d" % (tag, time, index),
                    }
                )

    def _body(self, path, stage):
        comma = b"["
        for record in self._records(path, stage):
            yield comma + record
            comma = b","
        yield b"]"

    async def _report(self, path, stage):
        size = sum([len(piece) for piece in self._body(path, stage)])
        verdict = await self._ask("POST", "/data", self._body(path, stage), size)
        if verdict in (verdicts.REJECTED, verdicts.TOO_LARGE) and stage[:6] != "trial.":
            return True  # it will never be taken
        return verdict in _GOOD

    # ---- marked as read

    async def _mark(self, path):
        """Mark all of them as read but those that were edited meanwhile, then do the commands."""
        wanted = {}
        for identity, _, checksum, _, _ in parameters.rows(path):
            if not isinstance(identity, str):
                self._remote.last = identity
            elif identity:
                wanted[parameters.checksum(identity)] = checksum

        def take(row, whole):
            found = _parameter(row, whole)
            if found and not found[4]:
                place = parameters.checksum(found[0])
                if wanted.get(place) == found[2]:
                    wanted[place] = True

        if await self._ask("GET", _PATH, None, None, self._rows(take)) not in _GOOD:
            return False
        todo = []
        well = True
        for commands in (False, True):
            for identity, key, _, reason, shown in parameters.rows(path):
                if (key == "command") != commands or not well or not isinstance(identity, str):
                    continue
                if wanted.get(parameters.checksum(identity)) is True:
                    verdict = await self._ask("PUT", _PATH + "/" + identity, (_READ,), len(_READ))
                    well = verdict in _GOOD  # one that is gone meanwhile is not in the next answer
                    if commands and well and not reason:
                        todo.append(shown)
        if well:
            parameters.remove(path)
        for text in todo:
            self._do(*parameters.command(text))
        return well

    def _do(self, word, number):
        remote, node = self._remote, self._node
        node.log.info("remote", "command: " + word)
        now = node.clock.mono()
        if word == "reboot":
            parameters.remove("/crashes")  # in safe mode: it is to try again
            node.restart()
        elif word == "flush":
            self._uplink.flush.set()
        elif word == "identify":
            remote.identified = now + 2 * _MINUTE_MS
        else:
            remote.maintenance = now + number * _MINUTE_MS
            if hasattr(node, "hold"):
                node.hold(number * _MINUTE_MS)  # one that sleeps

    # ---- fetched

    def _rows(self, take):
        return Rows(self._uplink.buffer, take)

    async def _fetch(self):
        folder = self._folder
        path = folder + "/new"
        filtered = not self._remote.first
        file = None
        commands = []
        count = 0
        # the groups of its reports are made of it
        self._remote.last = now = max(self._node.clock.now() // 1000, self._remote.last + 1)
        header = [now, self._node.spool.tag, 0, "", ""]

        def take(row, whole):
            nonlocal file, count
            found = _parameter(row, whole)
            # what sent_status means has been read both ways: the first question is without it
            if found is None or found[4] or count == _MOST or not (whole or filtered):
                return
            identity, key, checksum, value, _ = found
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
                commands.append([identity, key, checksum, reason, value.strip()[:60]])
            parameters.write(file, row)

        verdict = None
        try:
            asked = _PATH + ("?sent_status=false" if filtered else "")
            verdict = await self._ask("GET", asked, None, None, self._rows(take))
        finally:
            if file:
                file.close()
            if verdict not in _GOOD:
                parameters.remove(path)
        if verdict not in _GOOD:
            return True
        self._remote.first = False
        if not count:
            return True
        if count > len(commands):
            os.rename(path, folder + "/rows")
            self._node.log.info("remote", "%d parameters are new: starting again with them" % count)
            self._node.restart()
            return True
        with open(path, "wb") as file:
            for row in [header] + commands:
                parameters.write(file, row)
        os.rename(path, folder + "/done")
        return await self.go()


async def run(pulse, uplink, node, remote) -> bool:
    """As Look.go."""
    return await Look(pulse, uplink, node, remote).go()
