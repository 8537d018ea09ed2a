"""How a node is doing, in a few words: from its readings, its habits and its last requests. Pure."""

from __future__ import annotations

from typing import Any

from tagonode.cloud.page.overview import AHEAD_MS, ALARM, LOW, NEWS_VARIABLES, ROLES, WEAK_DBM, Habits, Node
from tagonode.cloud.page.recorder import Exchange

FIRST_WAIT_MS = 330_000  # until the second upload comes: five minutes is a node's default
SLACK_MS = 15_000
COUNTED = {
    "dropped": "readings dropped: its queue was full",
    "quarantined": "readings quarantined: TagoIO refuses them",
}
CLOCK_UNKNOWN = 0
NEWS_MS = 86_400_000  # a reading that is an alarm is shown for a day


def role(name: str, latest: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """{value, unit, time} of what plays this role: a reading, else a key of a reading's metadata, the newest."""
    for variable in ROLES[name]:
        if variable in latest:
            one = latest[variable]
            return {"value": one["value"], "unit": one["unit"], "time": one["time"]}
    found = [
        {"value": one["metadata"][key], "unit": None, "time": one["time"]}
        for one in latest.values()
        if isinstance(one["metadata"], dict)
        for key in ROLES[name]
        if isinstance(one["metadata"].get(key), str | int | float)
    ]
    return max(found, key=lambda one: one["time"], default=None)


def presence(node: Node, habits: Habits, now: int) -> str:
    """`off` (disabled here), `never` (nothing has come yet), `live`, `late` (an upload is missing) or `silent`."""
    if not node.active:
        return "off"
    if node.last_input is None:
        return "never"
    usual = max(habits.upload_ms or FIRST_WAIT_MS, habits.sample_ms or 0)
    age = now - node.last_input
    if age <= 2 * usual + SLACK_MS:
        return "live"
    return "late" if age <= 6 * usual + 4 * SLACK_MS else "silent"


def alarms(
    node: Node, habits: Habits, latest: dict[str, dict[str, Any]], last: Exchange | None, fault: str, now: int
) -> list[dict[str, str]]:
    """[{level: bad, warn or note, text}], the worst first."""
    found: list[tuple[str, str]] = []
    state = presence(node, habits, now)
    if state == "silent":
        found.append(("bad", "Silent: several uploads are missing"))
    elif state == "late":
        found.append(("warn", "Late: an upload is missing"))
    elif state == "off":
        found.append(("note", "Disabled here: its requests are answered 403"))
    if last is not None and last.status is None:
        found.append(("warn", f"Its last request got no answer ({last.method} {last.path})"))
    elif last is not None and last.status is not None and last.status >= 400:
        found.append(("warn", f"Its last request was answered {last.status} ({last.method} {last.path})"))
    battery = role("battery", latest)
    least = LOW.get(battery["unit"] or "") if battery else None
    if battery and least and isinstance(battery["value"], int | float) and battery["value"] < least:
        found.append(("warn", f"Battery is low: {battery['value']} {battery['unit']}"))
    rssi = role("rssi", latest)
    if rssi and isinstance(rssi["value"], int | float) and rssi["value"] < WEAK_DBM:
        found.append(("warn", f"Weak signal: {rssi['value']} dBm"))
    if habits.last_sample and habits.last_sample > now + AHEAD_MS:
        found.append(("warn", "Its clock is ahead: samples lie in the future"))
    for variable, words in COUNTED.items():
        one = latest.get(variable)
        if one and isinstance(one["value"], int | float) and one["value"] > 0:
            found.append(("warn", f"{one['value']:g} {words}"))
    clock = latest.get("clock_state")
    if clock and clock["value"] == CLOCK_UNKNOWN:
        found.append(("warn", "It does not know the time yet"))
    for variable in NEWS_VARIABLES:
        one = latest.get(variable)
        if one and now - one["time"] < NEWS_MS and one["value"] not in (None, False, 0, ""):
            found.append(("warn", f"{variable.capitalize()}: {one['value']}"))
    for variable, one in latest.items():
        name, _, kind = variable.rpartition("_")
        # 1 above its limit, -1 below, 0 when it is over
        if kind == ALARM and name and isinstance(one["value"], int | float) and one["value"]:
            side = "above" if one["value"] > 0 else "below"
            now_at = latest.get(name, {"value": None})
            value = "" if now_at["value"] is None else f": {now_at['value']} {now_at['unit'] or ''}".rstrip()
            found.append(("bad", f"{name} is {side} its limit{value}"))
    if fault:
        found.append(("note", f"Fault switched on: {fault}"))
    order = ("bad", "warn", "note")
    return [{"level": level, "text": text} for level, text in sorted(found, key=lambda one: order.index(one[0]))]
