"""The other half of agent.changes: tells TagoIO what came of a change, marks its parameters as read, does its commands.
Loaded where there is one under way, and dropped. look: an agent.changes.Look.
"""

from micropython import const

from agent import forget
from tagoio import extras, records, verdicts

forget("extras", "tagoio")

_READ = b'{"sent":true}'
_MINUTE_MS = const(60000)
_LONG_S = const(259200)  # three days: longer than a server is in trouble
_TAKEN = (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING)


def _records(look, path):
    """What came of each parameter, as a record in JSON each."""
    why = ""
    for row in look.parameters.rows(path):
        if not row[0]:
            why = row[3]
    time, tag = 0, look.node.spool.tag  # where the first line is damaged
    for identity, key, checksum, reason, shown in look.parameters.rows(path):
        if not isinstance(identity, str):
            time, tag = identity, key
        elif identity:
            text = verdicts.tidy(key)
            if shown:
                text += " = " + verdicts.tidy(shown)
            if reason:
                text += ": refused: " + reason
            elif key == "command":
                text += ": accepted"
            elif path[-6:] == "undone":  # whether or not it can be read why; one that is kept may hold a reason, too
                text += ": taken back: " + why
            else:
                text += ": applied"
            # a clock that was wrong may come by the same second again: not by the row's number
            group = "%s_s%d_%d" % (tag, time, checksum)
            record = {"variable": "settings", "value": text, "group": group}
            if time:
                record["time"] = records.iso8601(time * 1000).decode()
            yield extras.to_json(record)


def _body(look, path):
    comma = b"["
    for record in _records(look, path):
        yield comma + record
        comma = b","
    yield b"]"


async def report(look, path: str, on_trial: bool) -> bool:
    """Tell it. False: it has to be told again."""
    size = sum([len(piece) for piece in _body(look, path)])
    if size == 1:  # damaged, and nothing is left to tell; a trial is over when readings have arrived since the start
        return not on_trial or bool(look.node.status["verdict"])
    verdict = await look.ask("POST", "/data", _body(look, path), size)
    if (
        verdict in (verdicts.REJECTED, verdicts.TOO_LARGE, verdicts.DEVICE_REFUSES)
        and not on_trial
        and look.node.status["verdict"] in _TAKEN
    ):
        # a server in trouble refuses anything for a while; this one takes readings, and will never take what is old
        for row in look.parameters.rows(path):
            age = look.node.clock.now() // 1000 - row[0] if not isinstance(row[0], str) else 0
            return abs(age) > _LONG_S
    return verdict in _TAKEN


async def mark(look, path: str, rows_path: str) -> bool:
    """Mark all of them as read but those that were edited meanwhile, then do the commands. False: some are left."""
    parameters = look.parameters
    wanted = {}
    for identity, _, checksum, _, _ in parameters.rows(path):
        if not isinstance(identity, str):
            look.remote.last = identity
        elif identity:
            wanted[parameters.checksum(identity)] = checksum

    read = {}

    def take(found, row, whole):
        place = parameters.checksum(found[0])
        if wanted.get(place) == found[2]:
            read[place] = found[4]

    if not await look.fetch(rows_path, take):
        return False
    seen = look.seen()
    todo = []
    failed = 0
    for commands in (False, True):
        for identity, key, checksum, reason, shown in parameters.rows(path):
            if (key == "command") != commands or not isinstance(identity, str) or not identity:
                continue
            place = parameters.checksum(identity)
            marked = read.get(place)
            if marked is False:
                # one may be gone meanwhile, and is not in the next answer; with a second it is the server
                if failed < 2:
                    verdict = await look.ask("PUT", rows_path + "/" + identity, (_READ,), len(_READ))
                    marked = verdict in _TAKEN
                if not marked:
                    failed += 1 if verdict in (verdicts.MISCONFIGURED, verdicts.REJECTED) else 2
                    continue
                seen.pop(place, None)
            # one whose mark arrived, though the answer did not, is not done yet
            if marked and commands and not reason and seen.get(place) != checksum:
                todo.append(shown)
            # an edit that the mark came after is found by it
            seen[place] = checksum
    look.remember(seen)
    if not failed:
        parameters.remove(path)
    for text in todo:
        _do(look, *parameters.command(text))
    return not failed


def _do(look, word, number):
    remote, node = look.remote, look.node
    node.log.info("remote", "command: " + word)
    now = node.clock.mono()
    if word == "reboot":
        look.parameters.remove("/crashes")  # in safe mode: it is to try again
        node.restart()
    elif word == "flush":
        look.uplink.flush.set()
    elif word == "identify":
        remote.identified = now + 2 * _MINUTE_MS
    else:
        remote.maintenance = now + number * _MINUTE_MS
        if hasattr(node, "hold"):
            node.hold(number * _MINUTE_MS)  # one that sleeps
