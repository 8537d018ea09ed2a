"""`tagonode provision`: the device of a node at TagoIO, its token and its first parameters; of one node or of a fleet.

A device is looked up by its serial number, then by its name, and made only when there is none. So a second run changes
nothing, and a run that was interrupted anywhere, or whose answers were lost, makes nothing twice.
"""

from __future__ import annotations

import json as json_module
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomlkit
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tagonode import config as configs
from tagonode import estimate, fleet
from tagonode.account import Account, AccountError, NoAnswer, Refusal, account_token, explained, reach

# TagoIO's network HTTPS and its connector "Custom HTTPS" (TagoIO API, "Managing Devices")
NETWORK = "5bbd0d144051a50034cd19fb"
CONNECTOR = "5f5a8f3351d4db99c40dece5"
SERIAL_TAG = "serial"
TOKEN_NAME = "TagoNode"
# of an immutable device: the most periods that TagoIO keeps, and days of the shortest such period
RETENTION = {"day": 31, "week": 26, "month": 36, "quarter": 36}
_PERIOD_DAYS = {"quarter": 92, "month": 31, "week": 7, "day": 1}
CHUNK_RECORDS = 1_000_000  # in one period
MUTABLE_RECORDS = 50_000
PARAMETERS = ("sample.every", "upload.every")
_LOOKS = 3  # for a device whose creation was not answered
_SETTLE_S = 2  # before such a look


class ProvisionError(Exception):
    """Why nothing more is done: one line, which names the thing and the remedy."""


class WrongUse(ProvisionError):
    """The command was called wrongly."""


@dataclass(frozen=True)
class Options:
    """The command line's options, as `tagonode provision --help` tells of them."""

    config: Path
    name: str | None = None
    serial: str | None = None
    csv: Path | None = None
    out: Path | None = None
    url: str | None = None
    ca: Path | None = None
    mutable: bool = False
    chunk_period: str | None = None
    chunk_retention: int | None = None
    network: str = NETWORK
    connector: str = CONNECTOR
    yes: bool = False
    json: bool = False


@dataclass(frozen=True)
class Storage:
    """Where a new device keeps its records: `period` is "" for a mutable one."""

    period: str = ""
    retention: int = 0

    def fields(self) -> dict[str, Any]:
        """As POST /device takes them."""
        if not self.period:
            return {"type": "mutable"}
        return {"type": "immutable", "chunk_period": self.period, "chunk_retention": self.retention}

    def __str__(self) -> str:
        if not self.period:
            return f"mutable (full after {MUTABLE_RECORDS:,} records)"
        return f"immutable (keeps {self.retention} {self.period}{'s' if self.retention != 1 else ''})"


@dataclass
class Outcome:
    """What was done for one row."""

    identity: str
    token: str = field(repr=False)
    name: str  # at TagoIO: one that was found by its serial number may be called differently
    created: bool
    token_created: bool = False
    set_parameters: dict[str, str] = field(default_factory=dict)
    kept_parameters: dict[str, str] = field(default_factory=dict)  # those with another value than the config's
    notes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.created or self.token_created or bool(self.set_parameters)


def _records_a_day(node: Any) -> float:
    """At the most frequent, by the config's arithmetic."""
    load = estimate.load_of(node.device_settings("", "", 0))
    return sum(86400 / reading.every_s for reading in load.readings)


def storage_of(options: Options, records_a_day: float) -> Storage:
    """What the options say, else a month's periods, or shorter ones for a node that sends too much for those.

    Raises WrongUse.
    """
    if options.mutable:
        if options.chunk_period or options.chunk_retention is not None:
            raise WrongUse("--chunk-period and --chunk-retention are of immutable devices: leave out them or --mutable")
        return Storage()
    period = options.chunk_period or next(
        (each for each in ("month", "week") if records_a_day * _PERIOD_DAYS[each] < 0.9 * CHUNK_RECORDS), "day"
    )
    if period not in RETENTION:
        raise WrongUse(f"--chunk-period {period}: choose one of {', '.join(RETENTION)}")
    retention = RETENTION[period] if options.chunk_retention is None else options.chunk_retention
    if not 1 <= retention <= RETENTION[period]:
        raise WrongUse(f"--chunk-retention {retention}: give 1 to {RETENTION[period]} for periods of a {period}")
    if records_a_day * _PERIOD_DAYS[period] > CHUNK_RECORDS:
        raise WrongUse(
            f"this node sends up to {records_a_day:,.0f} records a day, and TagoIO keeps {CHUNK_RECORDS:,} in one "
            f"{period}: give a shorter --chunk-period, or sample less often"
        )
    return Storage(period, retention)


class Provisioner:
    """Finds or makes devices. `listed`: the profile's devices where they were all read beforehand."""

    def __init__(self, account: Account, options: Options, storage: Storage, parameters: dict[str, str]):
        self._account = account
        self._options = options
        self.storage = storage
        self._parameters = parameters
        self._names: dict[str, list[dict[str, Any]]] | None = None
        self._serials: dict[str, list[dict[str, Any]]] = {}
        self._strangers = True

    def read_all(self) -> int:
        """Read the profile's devices, which saves a fleet most of its questions. Returns how many there are."""
        rows = self._account.all_devices()
        self._names = {}
        for row in rows:
            self._names.setdefault(row["name"], []).append(row)
            if serial := _serial_of(row):
                self._serials.setdefault(serial, []).append(row)
        # whose serial number stands in their token alone, where a list does not show it
        self._strangers = any(not _serial_of(row) for row in rows)
        return len(rows)

    def find(self, row: fleet.Row, ask: bool = False) -> dict[str, Any] | None:
        """A row's device, None when there is none. `ask`: TagoIO, whatever was read beforehand.

        Raises ProvisionError where it cannot be told.
        """
        found: list[dict[str, Any]] = []
        known = self._names is not None and not ask
        if row.serial:
            tagged = self._account.devices_tagged
            found = self._serials.get(row.serial, []) if known else tagged(SERIAL_TAG, row.serial)
            if not found and (not known or self._strangers):
                found = self._account.devices_of_serial(row.serial)
            _only_one(found, f"with serial number {row.serial}", "take the number from the others")
        if not found:
            found = (self._names or {}).get(row.name, []) if known else self._account.devices_called(row.name)
            _only_one(found, f"called {row.name!r}", "rename the others, or give this one its --serial")
            other = _serial_of(found[0]) if found else ""
            if other and row.serial and other != row.serial:
                raise ProvisionError(
                    f"a device called {row.name!r} is there with serial number {other}, not {row.serial}: give this "
                    "node another name, or correct its number"
                )
        return found[0] if found else None

    def provide(self, row: fleet.Row, preferred: str | None = None) -> Outcome:
        """A row's device with a token that works and its parameters. `preferred`: the token that it had.

        Raises ProvisionError and Refusal for this row, AccountError and NoAnswer for all.
        """
        found = self.find(row)
        if found is None:
            found_or_made = self._create(row)
            if isinstance(found_or_made, Outcome):
                return found_or_made
            found = found_or_made
        return self._complete(row, found, preferred)

    def _create(self, row: fleet.Row) -> Outcome | dict[str, Any]:
        tags = [{"key": key, "value": value} for key, value in row.tags.items()]
        if row.serial:
            tags.append({"key": SERIAL_TAG, "value": row.serial})
        fields = {
            "name": row.name,
            "network": self._options.network,
            "connector": self._options.connector,
            **self.storage.fields(),
            "active": True,
            "visible": True,
            "tags": tags,
            "configuration_params": self._rows(self._parameters),
        }
        if row.serial:
            fields["serie_number"] = row.serial
        for look in range(_LOOKS):
            try:
                identity, token = self._account.create_device(fields)
                break
            except NoAnswer as error:
                # it may be there: whoever looks first makes none twice
                self._account.pause(_SETTLE_S, f"no answer to the making of {row.name!r} ({error}), looking for it")
                found = self.find(row, ask=True)
                if found is not None:
                    return found
                if look == _LOOKS - 1:
                    raise
        outcome = Outcome(identity, token, row.name, created=True, set_parameters=dict(self._parameters))
        self._verify(outcome)
        return outcome

    def _complete(self, row: fleet.Row, found: dict[str, Any], preferred: str | None) -> Outcome:
        """What a device that is there still lacks."""
        identity = found["id"]
        info = self._account.device(identity)
        if info.get("active") is False:
            raise ProvisionError(f"{found['name']!r} is switched off at TagoIO: switch it on there, and run this again")
        token, created = self._token(identity, row, preferred)
        outcome = Outcome(identity, token, found["name"], created=False, token_created=created)
        if info.get("type") == "mutable":
            held = self._account.amount(identity)
            if held >= MUTABLE_RECORDS:
                raise ProvisionError(
                    f"{found['name']!r} is a mutable device and full ({held:,} records): empty it at TagoIO, or delete "
                    "it and let provision make an immutable one"
                )
            outcome.notes.append(f"it is mutable, holds {held:,} records, and is full at {MUTABLE_RECORDS:,}")
        held_parameters = self._account.parameters(identity)
        missing = {key: value for key, value in self._parameters.items() if key not in held_parameters}
        if missing:
            self._account.set_parameters(identity, self._rows(missing))
            outcome.set_parameters = missing
        outcome.kept_parameters = {
            key: held_parameters[key]
            for key, value in self._parameters.items()
            if held_parameters.get(key, value) != value
        }
        self._verify(outcome)
        return outcome

    def _token(self, identity: str, row: fleet.Row, preferred: str | None) -> tuple[str, bool]:
        """(a token that never expires and may do everything, whether it was made now)."""
        for look in range(_LOOKS):
            usable = [
                each["token"]
                for each in self._account.tokens(identity)
                if each.get("permission") == "full" and each.get("expire_time", "never") in ("never", None)
            ]
            if usable:
                return (preferred if preferred and preferred in usable else usable[0]), look > 0
            try:
                return self._account.create_token(identity, TOKEN_NAME, row.serial), True
            except NoAnswer as error:
                if look == _LOOKS - 1:
                    raise
                self._account.pause(_SETTLE_S, f"no answer to the making of a token ({error}), looking for it")
        raise AssertionError

    def _verify(self, outcome: Outcome) -> None:
        why = self._account.works(outcome.token)
        if why:
            raise ProvisionError(f"the token of {outcome.name!r} does not open it ({why}): run this again")

    @staticmethod
    def _rows(parameters: dict[str, str]) -> list[dict[str, Any]]:
        return [{"key": key, "value": value, "sent": False} for key, value in parameters.items()]


def _serial_of(row: dict[str, Any]) -> str:
    return next((tag["value"] for tag in row.get("tags") or [] if tag.get("key") == SERIAL_TAG), "")


def _only_one(found: list[dict[str, Any]], which: str, remedy: str) -> None:
    if len(found) > 1:
        ids = ", ".join(row["id"] for row in found[:3])
        raise ProvisionError(f"{len(found)} devices {which} are there (ids {ids}): {remedy}")


# -- secrets.toml ------------------------------------------------------------------------------------------


def write_token(file: Path, token: str) -> bool:
    """Put the device's token into a secrets.toml, mode 0600; its other keys and its remarks stay.

    Returns whether that changed anything. Raises ProvisionError; configs.read_secrets has seen that it is TOML.
    """
    file = file.resolve()
    try:
        if file.exists():
            document = tomlkit.parse(file.read_text(encoding="utf-8"))
            if document.get("token") == token and (os.name != "posix" or file.stat().st_mode & 0o777 == 0o600):
                return False
        else:
            document = tomlkit.document()
            document.add(tomlkit.comment("Secrets of this node: never commit, never send."))
        document["token"] = token
        handle, draft = tempfile.mkstemp(prefix=".secrets-", dir=file.parent)  # mode 0600
        try:
            with open(handle, "w", encoding="utf-8") as stream:
                stream.write(tomlkit.dumps(document))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, file)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        why = f"{file} cannot be written ({error.strerror}): the device is there, run this again"
        raise ProvisionError(why) from None
    return True


def check_writable(file: Path) -> None:
    """Raises ProvisionError where write_token could not write: before there is a token that would be lost."""
    try:
        handle, draft = tempfile.mkstemp(prefix=".secrets-", dir=file.resolve().parent)
        os.close(handle)
        os.unlink(draft)
    except OSError as error:
        raise ProvisionError(
            f"{file} cannot be written ({error.strerror}): nothing was done; make its folder writable first"
        ) from None


# -- the command -------------------------------------------------------------------------------------------


def _check_url(url: str) -> None:
    """Raises WrongUse for what is no address, or holds what is secret."""
    if "@" in url:
        raise WrongUse("--url holds a user or a password: TagoIO takes the account token alone, leave them out")
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        if not parts.hostname or parts.port == 0 or re.search(r"\s", url):
            raise ValueError
    except ValueError:
        raise WrongUse(f"--url {url} is no address: write it as in https://api.us-e1.tago.io:443") from None


def _address(options: Options, node: Any) -> str:
    if options.url:
        return options.url if "://" in options.url else f"https://{options.url}"
    tagoio = node.model.tagoio
    scheme, usual = ("https", 443) if tagoio.ssl else ("http", 80)
    port = "" if tagoio.port == usual else f":{tagoio.port}"
    return f"{scheme}://{tagoio.host}{port}{tagoio.prefix}"


def _parameters(node: Any) -> dict[str, str]:
    """The config's values of those settings that can be changed from TagoIO, in node.toml's units."""
    values = {}
    for key in PARAMETERS:
        section, name = key.split(".")
        values[key] = f"{getattr(getattr(node.model, section), name):.15g}"
    return values


def _single_row(options: Options) -> fleet.Row:
    name = options.name or options.config.resolve().parent.name
    wrong = fleet.wrong_name(name)
    if wrong:
        source = "--name" if options.name else "the folder's name, which is the device's unless you give --name,"
        raise WrongUse(f"{source} {wrong}")
    return fleet.Row(name, options.serial or "")


class Talk:
    """What people read: on stderr, so that stdout is the JSON's."""

    def __init__(self, options: Options):
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.config = options.config
        self._yes = options.yes

    def say(self, text: str) -> None:
        self.console.print(escape(text))

    def agree(self, question: str) -> None:
        """Go on after a yes. Raises ProvisionError after a no, WrongUse where nobody can be asked."""
        if self._yes:
            return
        if not sys.stdin.isatty():
            raise WrongUse("nothing is done yet: say --yes to go on without being asked")
        if self.console.input(escape(f"{question} [y/N] ")).strip().lower() not in ("y", "yes"):
            raise ProvisionError("nothing was done")


def provision(options: Options, sleep: Callable[[float], None] = time.sleep) -> int:
    """Run the command. Returns the exit status: 0 done, 1 not all of it, 130 stopped by Ctrl-C.

    Raises ProvisionError, AccountError, fleet.FleetError and ConfigError for what stops it as a whole.
    """
    if options.csv is not None and (options.name or options.serial):
        raise WrongUse("--name and --serial are of one node, --csv is of many: give one or the other")
    if options.out is not None and options.csv is None:
        raise WrongUse("--out goes with --csv: the token of one node is written into secrets.toml")
    if options.url is not None:
        _check_url(options.url)
    node = configs.load(options.config)
    storage = storage_of(options, _records_a_day(node))
    rows = fleet.read(options.csv) if options.csv else [_single_row(options)]
    token = account_token()
    url = _address(options, node)
    talk = Talk(options)
    reach(url, options.ca)
    with Account(url, token, options.ca, talk.say, sleep) as account:
        worker = Provisioner(account, options, storage, _parameters(node))
        try:
            if options.csv:
                return _many(options, rows, worker, account, talk)
            with explained(account.host):
                return _one(options, rows[0], worker, account, talk)
        except Refusal as refusal:
            raise ProvisionError(f"{account.host} refuses: {refusal}") from None


def _one(options: Options, row: fleet.Row, worker: Provisioner, account: Account, talk: Talk) -> int:
    secrets = options.config.parent / configs.SECRETS_FILE
    preferred = configs.read_secrets(options.config).get("token")
    check_writable(secrets)
    found = worker.find(row)
    if found is None:
        talk.say(
            f"No device called {row.name!r} is at {account.host}. One is made: {worker.storage}, with a token that "
            f"never expires and has full permission on this device (read, write, delete). It is kept in {secrets}."
        )
        if preferred:
            talk.say(f"The token that {secrets} holds now is replaced.")
        talk.agree("Make it?")
    outcome = worker.provide(row, preferred)
    if found is not None and preferred and preferred != outcome.token:
        talk.say(f"{secrets} holds a token that is none of {outcome.name!r}'s (id {outcome.identity}).")
        talk.agree("Replace it?")
    written = write_token(secrets, outcome.token)
    _tell(outcome, written, secrets, talk)
    if os.environ.get(configs.ENV_TOKEN):
        talk.say(f"Note: {configs.ENV_TOKEN} is set in this shell, and goes before {secrets}.")
    if options.json:
        print(
            json_module.dumps(
                {
                    "name": outcome.name,
                    "serial": row.serial or None,
                    "device_id": outcome.identity,
                    "created": outcome.created,
                    "changed": outcome.changed or written,
                    "parameters": outcome.set_parameters,
                    "secrets": str(secrets),
                }
            ),
            flush=True,
        )
    return 0


def _tell(outcome: Outcome, written: bool, secrets: Path, talk: Talk) -> None:
    where = f"{outcome.name!r} (id {outcome.identity})"
    if not (outcome.changed or written):
        talk.say(f"Nothing to change: {where}, its token and its parameters are there.")
    else:
        talk.say(f"{where} was {'made' if outcome.created else 'there already'}.")
    if outcome.token_created:
        talk.say("It had no token that never expires and has full permission: one was made.")
    if outcome.set_parameters:
        talk.say("Parameters set: " + ", ".join(f"{key} = {value}" for key, value in outcome.set_parameters.items()))
    for key, value in outcome.kept_parameters.items():
        talk.say(f"Parameter {key} is {value} at TagoIO, unlike node.toml: it stays so; change it at TagoIO.")
    for note in outcome.notes:
        talk.say(f"Note: {note}.")
    if written:
        talk.say(f"Its token is in {secrets}. Next: tagonode deploy {shlex.quote(str(talk.config))} --port PORT")


def _many(options: Options, rows: list[fleet.Row], worker: Provisioner, account: Account, talk: Talk) -> int:
    assert options.csv is not None
    out = options.out or options.csv.with_name(options.csv.stem + ".result.csv")
    begin = time.monotonic()
    counts = {"created": 0, "found": 0}
    failed: list[str] = []
    with fleet.ResultFile(out) as results:
        todo = [row for row in rows if (row.name, row.serial) not in results.done]
        before = len(rows) - len(todo)
        stopped = interrupted = False
        if todo:
            with explained(account.host):
                there = worker.read_all()
            talk.say(
                f"{len(rows)} nodes in {options.csv}, {before} done before; {there} devices at {account.host}. Those "
                f"that are missing are made: {worker.storage}, each with a token that never expires and has full "
                f"permission on its device (read, write, delete). The tokens are kept in {out}: keep that to yourself."
            )
            talk.agree(f"Go on with {len(todo)}?")
            try:
                _each(todo, worker, account, talk, results, counts, failed)
            except KeyboardInterrupt:
                stopped = interrupted = True
            except (AccountError, NoAnswer, fleet.FleetError) as error:
                stopped = True
                talk.say(str(error))
        done = before + sum(counts.values())
        summary = f"{done} of {len(rows)} are done: {counts['created']} made, {counts['found']} found, {before} before"
        if not todo:
            talk.say(f"Nothing to change: all {len(rows)} are done, see {out}.")
        else:
            talk.say(f"{summary}; {len(failed)} failed. {time.monotonic() - begin:.0f} s. Result: {out}")
        if stopped or failed:
            talk.say("Run the same command again to go on: what is done is not done twice.")
        if options.json:
            answer = {"rows": len(rows), "before": before, **counts, "failed": failed, "out": str(out)}
            print(json_module.dumps(answer), flush=True)
        return 130 if interrupted else 0 if done == len(rows) else 1


def _each(
    todo: list[fleet.Row],
    worker: Provisioner,
    account: Account,
    talk: Talk,
    results: fleet.ResultFile,
    counts: dict[str, int],
    failed: list[str],
) -> None:
    """Provide each row, one after the other: TagoIO's limits are what takes the time."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=talk.console, disable=not talk.console.is_terminal)
    with progress:
        task = progress.add_task("provisioning", total=len(todo))
        for number, row in enumerate(todo, 1):
            where = f"line {row.line}: {row.name}"
            try:
                with explained(account.host):
                    outcome = worker.provide(row)
            except (ProvisionError, Refusal) as error:
                failed.append(f"{where}: {error}")
                talk.say(f"{where}: {error}")
            else:
                result = "created" if outcome.created else "found"
                results.add(row, outcome.identity, outcome.token, result)
                counts[result] += 1
            progress.advance(task)
            if not talk.console.is_terminal and number % 50 == 0:
                talk.say(f"{number} of {len(todo)}")
