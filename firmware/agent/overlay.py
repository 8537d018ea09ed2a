"""At the start: what remote settings change of those of the deployment. Loaded where somebody has changed something,
and dropped.

What was fetched is judged here, where memory is plentiful, by the table that node.toml goes by, too. What will do comes
into force on trial; a trial that has seen too many starts is undone.
"""

import os
from binascii import a2b_base64, crc32

from micropython import const

from agent import forget, parameters, settings

_STARTS = const(5)  # without a delivered POST
_ROOTS = const(2)
_NUMBERS = ("offset", "scale", "minimum", "maximum")
_LIMITS = ("above", "below", "hysteresis")
_BASIC_CONSTRAINTS = b"\x06\x03\x55\x1d\x13"  # RFC 5280 section 4.2.1.9, in DER
_TRUE = b"\x01\x01\xff"


def _number(text):
    try:
        number = float(text)
        if number - number == 0:
            return number
    except ValueError:
        pass
    raise ValueError("has to be a number")


def _whole(text):
    number = _number(text)
    if number != int(number):
        raise ValueError("has to be a whole number")
    # not by way of a float, which on boards has seven digits
    return int(text) if "." not in text and "e" not in text.lower() else int(number)


def _flag(text):
    if text not in ("true", "false"):
        raise ValueError("has to be true or false")
    return text == "true"


def _of_table(row, text):
    """What the text means for a row of the table, in device units."""
    _, kind, _, low, high = row
    if kind == settings.SECONDS:
        try:
            value = _whole(text) * 1000
        except ValueError:
            value = int(_number(text) * 1000 + 0.5)
        if not low <= value <= high:
            raise ValueError("has to be from %s to %s seconds" % (low / 1000, high / 1000))
    elif kind == settings.INT:
        value = _whole(text)
    elif kind == settings.BOOL:
        value = _flag(text)
    else:
        value = text.strip('"')
    wrong = settings.problem(row, value)
    if wrong:
        raise ValueError(wrong)
    return value


def _of_channel(row, field, text):
    """Change a channel's row: [variable, unit, decimals, {steps}]."""
    steps = dict(row[3]) if len(row) > 3 else {}
    if field == "decimals":
        row[2] = _of_table((field, settings.INT, 0, 0, 6), text)
        return
    if field == "on":
        steps[field] = _flag(text)
    elif field in _NUMBERS:
        steps[field] = _number(text)
        if "minimum" in steps and "maximum" in steps and steps["minimum"] >= steps["maximum"]:
            raise ValueError("minimum has to be less than maximum")
    else:
        alarm = list(steps.get("alarm", (None, None, 0)))
        alarm[_LIMITS.index(field[6:])] = _number(text)
        above, below, hysteresis = alarm
        if above is None and below is None:
            raise ValueError("needs alarm.above or alarm.below")
        if hysteresis < 0 or above is not None and below is not None and hysteresis >= above - below:
            raise ValueError("alarm.above - alarm.below has to be more than hysteresis, and that not negative")
        steps["alarm"] = alarm
    if len(row) > 3:
        row[3] = steps
    else:
        row.append(steps)


def _channels(config):
    rows = [derived["channel"] for derived in config.get("derived", ())]
    for sensor in config["sensors"]:
        rows.extend(sensor["channels"])
    return rows


def put(config: dict, key: str, text: str) -> None:
    """Change one of the board's settings. text: in node.toml's notation. Raises ValueError, saying what is wrong."""
    text = text.strip()
    for row in settings.TABLE:
        if row[0] == key:
            if key not in settings.REMOTE and key.split(".")[0] not in settings.REMOTE:
                raise ValueError("can be changed by tagonode deploy alone")
            value = _of_table(row, text)
            if key == "remote.every" and not value:
                raise ValueError("cannot be 0 from here: remote settings would be over for good")
            if key == "duty.on" and value and "pulse_counter" in [each["driver"] for each in config["sensors"]]:
                raise ValueError("pulse_counter would miss what happens in sleep")
            config[key] = value
            return
    name, _, field = key.partition(".")
    known = False
    if field == "every":
        for sensor in config["sensors"]:
            if sensor["driver"] == name:
                known = True
                sensor["every"] = _of_table((field, settings.SECONDS, 0, 20, 86400000), text)
    elif field in _NUMBERS or field in ("on", "decimals") or field[:6] == "alarm." and field[6:] in _LIMITS:
        for row in _channels(config):
            if row[0] == name:
                known = True
                _of_channel(row, field, text)
    if not known:
        raise ValueError("there is no such setting")


def _root(text, folder):
    """Keep a root certificate; the name of its file."""
    from session import connecting

    forget("connecting", "session")
    text = text.split("BEGIN CERTIFICATE-----")[-1].split("-----END")[0]
    try:
        der = a2b_base64("".join(text.split()))
        connecting.verifying_context(lambda: (der,))
    except (ValueError, OSError, TypeError):
        raise ValueError("is no certificate: give one, as PEM or in base64") from None
    # behind the name, it may be said first that this is critical; then whether it is a CA
    place = der.find(_BASIC_CONSTRAINTS) + len(_BASIC_CONSTRAINTS)
    if der[place : place + 10].rfind(_TRUE) < 4:
        raise ValueError("is not a CA's: give the root that the server's chain ends in")
    name = "%08x.der" % (crc32(der) & 0xFFFFFFFF)
    with open(folder + "/" + name, "wb") as file:
        file.write(der)
    return name


def _read(path):
    """(values, roots) of a sealed file; None instead of values when there is none that can be read."""
    try:
        with open(path) as file:
            kept = settings.unseal(file.read())
        return kept["values"], kept["roots"]
    except (OSError, ValueError, KeyError):
        return None, []


def _put_all(config, values, log):
    for key in values:
        try:
            put(config, key, values[key])
        except ValueError as error:
            # judged by other firmware, or beside other settings
            log.warning("settings", "%s %s: using the deployment's" % (key, error))


def _judge(config, values, roots, folder):
    """What was fetched, row by row: (whether something of it is put on trial, the roots then). Changes config and
    `values`, and writes the list with what came of it to `new`."""
    path = folder + "/rows"
    accepted = False
    checksum = 0
    for _ in (0, 1):  # what is refused for the sake of another that comes later will do the second time
        with open(folder + "/new", "wb") as file:
            for row in parameters.rows(path):
                if isinstance(row, list):
                    checksum = row[0]
                    if len(row) > 1:
                        parameters.write(file, row)
                    continue
                key, text = row["key"], row["value"]
                shown = text.strip()
                reason = ""
                try:
                    if "wrong" in row:
                        raise ValueError(row["wrong"])
                    if key == "command":
                        parameters.command(text)
                    else:
                        if key == "root":
                            shown = "%d characters" % len(text)
                            name = _root(text, folder) if text.strip() else ""
                            roots = [each for each in roots if name and each != name][1 - _ROOTS :]
                            if name:
                                roots.append(name)
                        elif shown:
                            put(config, key, text)
                            values[key] = text
                        accepted = True
                except ValueError as error:
                    reason = str(error)
                    shown = ""  # who knows what it is
                parameters.write(file, [row["id"], key, checksum, reason, shown])
    return accepted, roots


def apply(config: dict, log, folder: str = parameters.FOLDER, cause: str = "") -> None:
    """Change `config`, as settings.load has it, as remote settings ask for. cause: why the board started.
    config["remote.stage"] says how far a change has come, as agent.parameters has it. Raises OSError of a flash that
    cannot be written."""
    stage = parameters.stage(folder)
    values, roots = _read(folder + "/values")
    if values is None:
        values = {}
        if parameters.there(folder + "/values"):
            log.warning("settings", "what was changed from afar is damaged on flash: using the deployment's")
    kept = list(roots)
    if stage == "rows":
        for row in parameters.rows(folder + "/rows"):
            if isinstance(row, dict) and not row["value"].strip() and "wrong" not in row:
                values.pop(row["key"], None)  # as the deployment has it
        _put_all(config, values, log)
        accepted, roots = _judge(config, values, roots, folder)
        stage = "done"
        if accepted:
            stage = "trial.1"
            with open(folder + "/next", "w") as file:
                file.write(settings.seal({"format": settings.FORMAT, "values": values, "roots": roots}))
            parameters.remove("/crashes")  # those of other settings: these are to be tried
        os.rename(folder + "/new", folder + "/" + stage)
    else:
        if stage[:6] == "trial.":
            starts = int(stage[6:])
            tried = _read(folder + "/next")
            if not parameters.there(folder + "/next"):
                # confirmed: the power went before it was said
                os.rename(folder + "/" + stage, folder + "/told")
                stage = "told"
            elif starts >= _STARTS or tried[0] is None:
                why = "damaged on flash" if tried[0] is None else "%d starts without a delivered upload" % starts
                parameters.undo(stage, why, folder)
                stage = "undone"
            else:
                values, roots = tried
                if cause != "deep sleep":  # after which a day counts, not a start: agent.trial
                    os.rename(folder + "/" + stage, folder + "/trial.%d" % (starts + 1))
                    stage = "trial.%d" % (starts + 1)
        _put_all(config, values, log)
    for name in os.listdir(folder):
        if name == "rows" or name[-4:] == ".der" and name not in roots and name not in kept:
            os.remove(folder + "/" + name)
    config["remote.stage"] = stage
