"""The way of events to TagoIO. Loaded while any wait, and forgotten."""

import os

from micropython import const

from agent import diary, events, forget
from agent.events import young
from tagoio import extras, records, verdicts

forget("diary")
forget("extras", "tagoio")

_TEXT_MAX = const(1800)  # characters; what is longer is cut
_PIECE = const(4096)
_PAUSE_MS = const(60000)
_LONGEST_PAUSE_MS = const(3600000)
_LONG_MS = const(259200000)  # three days: longer than a server is in trouble


def _body(owner, number, name):
    with open(owner._folder + "/" + name) as file:
        unix_ms = int(file.readline())
        text = file.read(_TEXT_MAX)
    for secret in owner._secrets:
        if secret.reveal():
            text = text.replace(secret.reveal(), str(secret))
    if not unix_ms and number in young:
        unix_ms = owner._clock.stamp(young[number])
    record = {"variable": name.split(".")[1], "value": text, "group": "%s_e%d" % (owner._tag, number)}
    if unix_ms:
        record["time"] = records.iso8601(unix_ms).decode()
    else:
        record["metadata"] = {"clock": "unknown"}  # as with readings: TagoIO's time is that of its arrival
    return unix_ms, extras.to_json([record])


async def send(owner, pulse, uplink) -> None:
    """As agent.events.Events.send. What is refused keeps none that came later from being sent."""
    made = events.made
    failed = False
    for number, name in diary.listing(owner._folder):
        if name[-5:] == ".sent":
            continue
        path = owner._folder + "/" + name
        try:
            unix_ms, body = _body(owner, number, name)
        except OSError:
            failed = True  # it made room for others, or cannot be read just now
            continue
        except ValueError:
            # the power went before it had a text, or what is there is none of ours
            os.remove(path)
            continue
        pieces = [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]
        verdict, detail, _ = await uplink.exchange(pulse, "POST", "/data", pieces, len(body))
        refused = verdict in (verdicts.REJECTED, verdicts.TOO_LARGE)
        if verdict not in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
            owner._log.warning("events", ("refused" if refused else verdict) + ": " + detail)
            # a server in trouble refuses anything for a while
            if not refused or not unix_ms or abs(owner._clock.now() - unix_ms) < _LONG_MS:
                # perhaps it arrived: the same again has the same time and group
                failed = True
                if refused:
                    continue
                break
        if name in os.listdir(owner._folder):  # it may have made room meanwhile
            diary.delivered(owner._folder, number, name)
    if failed:
        owner._retry = owner._clock.mono() + owner._pause
        owner._pause = min(owner._pause * 2, _LONGEST_PAUSE_MS)
    else:
        owner._pause = _PAUSE_MS
        owner._told = made
