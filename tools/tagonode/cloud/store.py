"""What the stand-in remembers: one SQLite file (WAL) with devices, tokens, parameters and data.

A call that changes something has committed when it returns, and has changed everything or nothing. One writer
at a time behind a lock; readers borrow connections of their own and never wait for the writer.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import secrets
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tagonode.cloud import profile, queries, rules, times
from tagonode.cloud.rules import Record, Refused

VERSION = 2  # of the schema, kept in the file as user_version
MAX_BYTES = 4_000_000_000  # of the file: some 30 million records
WAL_BYTES = 64_000_000  # that the file beside it keeps once it was longer
ROOM_EVERY = 50  # so many POSTs pass between looks at the file's size
PRUNED_AT_ONCE = 20_000

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE device (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, type TEXT NOT NULL,
    active INTEGER NOT NULL, visible INTEGER NOT NULL, description TEXT, tags TEXT NOT NULL,
    network TEXT, connector TEXT, serie_number TEXT, payload_decoder TEXT,
    chunk_period TEXT, chunk_retention INTEGER,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, last_input INTEGER);
CREATE TABLE token (
    token TEXT PRIMARY KEY, kind TEXT NOT NULL, device INTEGER REFERENCES device ON DELETE CASCADE,
    name TEXT NOT NULL, permission TEXT NOT NULL, serie_number TEXT,
    created_at INTEGER NOT NULL, expires_at INTEGER) WITHOUT ROWID;
CREATE INDEX token_device ON token (device);
CREATE INDEX token_serial ON token (serie_number);
CREATE TABLE parameter (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    device INTEGER NOT NULL REFERENCES device ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, sent INTEGER NOT NULL);
CREATE INDEX parameter_device ON parameter (device);
-- value has no affinity: a number stays a number, a text a text; a boolean is the one-byte blob 0 or 1
CREATE TABLE data (
    number INTEGER PRIMARY KEY AUTOINCREMENT, device INTEGER NOT NULL, variable TEXT NOT NULL,
    time INTEGER NOT NULL, "group" TEXT NOT NULL, value, unit TEXT, location TEXT, metadata TEXT,
    created_at INTEGER NOT NULL);
CREATE INDEX data_time ON data (device, time);
CREATE INDEX data_variable ON data (device, variable, time);
CREATE INDEX data_group ON data (device, "group");
"""

_INSERT = (
    'INSERT INTO data (device, variable, time, "group", value, unit, location, metadata, created_at) '
    "VALUES (?,?,?,?,?,?,?,?,?)"
)
_log = logging.getLogger("tagonode.cloud")
# what SQLite says of rows that it cannot take, or of itself
_UNSTORABLE = (sqlite3.Error, OverflowError, ValueError, TypeError)
_PREFIXES = ("p-", "a-", "u-", "n-", "at")


class Device(NamedTuple):
    """One row of the table device, in its column order. Times in ms, tags as JSON text."""

    number: int
    id: str
    name: str
    type: str
    active: int
    visible: int
    description: str | None
    tags: str
    network: str | None
    connector: str | None
    serie_number: str | None
    payload_decoder: str | None
    chunk_period: str | None
    chunk_retention: int | None
    created_at: int
    updated_at: int
    last_input: int | None


class Access(NamedTuple):
    """What a token opens: `kind` is account, device or network; `permission` full, write, read or deny."""

    kind: str
    permission: str
    device: Device | None


class _Add:
    """Rows of one POST on their way to the disk. `done` with `error` None: they are there."""

    def __init__(self, device: Device, rows: list[tuple[Any, ...]], now: int):
        self.device, self.rows, self.now = device, rows, now
        self.done = False
        self.error: Exception | None = None


def _pack(value: Any) -> Any:
    return bytes((value,)) if isinstance(value, bool) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, bytes):
        return value != b"\0"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _location_text(location: tuple[Any, Any] | None) -> str | None:
    return None if location is None else rules.write_json(location)


class Store:
    """The database in the file `path`. `durable=False` leaves out the flush to the disk at each commit:
    enough for a file that is thrown away, and still safe against a killed process. `max_bytes`: of the file; when it
    is full, the oldest records of all devices make room."""

    def __init__(self, path: Path, durable: bool = True, max_bytes: int = MAX_BYTES):
        self.path = Path(path)
        self._max_bytes = max_bytes
        self._adds = 0
        self._durable = durable
        self._lock = threading.Lock()
        self._waiting: deque[_Add] = deque()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._used: dict[str, int] = {}  # when each token was shown last, since the start
        self._closed = False
        self._full = self._told = False
        try:
            self.path.touch(mode=0o600)  # it holds tokens
            self._writer = self._connect()
            version = self._writer.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise ValueError(
                    f"{path} was written by a newer TagoNode (format {version}); update, or name another file"
                )
            if version == 0:
                if self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("it holds something else")
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._create()
            elif version < VERSION:
                self._upgrade()
        except (sqlite3.DatabaseError, OSError) as error:
            raise ValueError(
                f"{path} cannot be used as the stand-in's database ({error}); name another file"
            ) from error
        meta = dict(self._writer.execute("SELECT key, value FROM meta"))
        self.profile = meta["profile"]
        self.account_token = meta["account_token"]
        self.network_token = meta["network_token"]
        self._instance = meta["instance"]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
        return connection

    def _create(self) -> None:
        now = self._now()
        account = str(uuid.uuid4())
        with self._transaction() as db:
            for statement in _SCHEMA.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={VERSION}")
            db.executemany(
                "INSERT INTO meta VALUES (?,?)",
                [("profile", rules.new_id()), ("account_token", account), ("instance", secrets.token_hex(3))],
            )
            db.execute("INSERT INTO token VALUES (?,'account',NULL,'Default','full',NULL,?,NULL)", (account, now))
            self._add_network_token(db, now)

    def _upgrade(self) -> None:
        """A file of format 1: it knew no serial numbers and no network."""
        with self._transaction() as db:
            db.execute("CREATE INDEX token_serial ON token (serie_number)")
            self._add_network_token(db, self._now())
            db.execute(f"PRAGMA user_version={VERSION}")

    @staticmethod
    def _add_network_token(db: sqlite3.Connection, now: int) -> None:
        token = str(uuid.uuid4())
        db.execute("INSERT INTO meta VALUES ('network_token',?)", (token,))
        db.execute("INSERT INTO token VALUES (?,'network',NULL,'Default','full',NULL,?,NULL)", (token, now))

    def close(self) -> None:
        """Close every connection. Calls after this one raise sqlite3.ProgrammingError."""
        with self._lock:
            self._closed = True
            self._writer.close()
        with contextlib.suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()

    @staticmethod
    def _now() -> int:
        return time.time_ns() // 1_000_000

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._begun() as db:
            yield db

    @contextlib.contextmanager
    def _begun(self) -> Iterator[sqlite3.Connection]:
        """A transaction of who holds the lock."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:  # on a full disk SQLite has rolled back by itself
                self._writer.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            yield connection
        finally:
            if self._closed:
                connection.close()
            else:
                self._readers.put(connection)

    # -- devices and tokens --------------------------------------------------------------------------------

    def create_device(
        self,
        name: str,
        type: str = "immutable",
        token: str | None = None,
        *,
        allow: Callable[[int], None] = lambda held: None,
        parameters: list[dict[str, Any]] | None = None,
        **fields: Any,
    ) -> tuple[str, str]:
        """Add a device and its first token, which never expires. Returns (id, token).

        `fields`: description, tags (list), network, connector, serie_number, payload_decoder, active,
        visible, chunk_period and chunk_retention (immutable devices only; month and 36 when left out).
        `parameters` as profile.check_parameters gives them. `allow` is asked with the number of devices there are,
        and may raise Refused.
        """
        if type not in ("immutable", "mutable"):
            raise ValueError(f"type must be immutable or mutable, not {type!r}")
        now = self._now()
        identity = rules.new_id()
        token = token or str(uuid.uuid4())
        immutable = type == "immutable"
        row = Device(
            number=None,  # type: ignore[arg-type]  # SQLite gives it
            id=identity,
            name=name,
            type=type,
            active=fields.get("active", True),
            visible=fields.get("visible", True),
            description=fields.get("description"),
            tags=rules.write_json(fields.get("tags", [])),
            network=fields.get("network"),
            connector=fields.get("connector"),
            serie_number=fields.get("serie_number"),
            payload_decoder=fields.get("payload_decoder"),
            chunk_period=fields.get("chunk_period", "month") if immutable else None,
            chunk_retention=fields.get("chunk_retention", 36) if immutable else None,
            created_at=now,
            updated_at=now,
            last_input=None,
        )
        with self._transaction() as db:
            allow(db.execute("SELECT count(*) FROM device").fetchone()[0])
            marks = ",".join("?" * len(row))
            number = db.execute(f"INSERT INTO device VALUES ({marks})", row).lastrowid
            db.execute(
                "INSERT INTO token VALUES (?,'device',?,'Default','full',?,?,NULL)",
                (token, number, row.serie_number, now),
            )
            self._set_parameters(db, number, parameters or [])
        return identity, token

    def edit_device(self, identity: str, **fields: Any) -> None:
        """Change columns of a device, such as active=False. Raises Refused 404."""
        unknown = set(fields) - set(Device._fields[2:14])
        if unknown:
            raise ValueError(f"no such field of a device: {', '.join(sorted(unknown))}")
        if "tags" in fields:
            fields["tags"] = rules.write_json(fields["tags"])
        serial = fields.get("serie_number")
        columns = "".join(f"{name}=?," for name in fields)
        with self._transaction() as db:
            changed = db.execute(
                f"UPDATE device SET {columns} updated_at=? WHERE id=?",
                (*fields.values(), self._now(), identity),
            ).rowcount
            if serial is not None:  # it is the first token's, as when the device is made with it
                db.execute(
                    "UPDATE token SET serie_number=? WHERE token = (SELECT token FROM token WHERE device = "
                    "(SELECT number FROM device WHERE id=?) ORDER BY created_at, token LIMIT 1)",
                    (serial, identity),
                )
        if not changed:
            raise Refused(404, "Invalid Device ID")

    def convert_device(self, identity: str, storage: dict[str, Any]) -> None:
        """Another type, chunk_period and chunk_retention for a disabled, empty device. Raises Refused 400 or 404."""
        device = self.device(identity)
        if device.active:
            raise Refused(400, "Device must be disabled before it is converted")
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM data WHERE device=? LIMIT 1", (device.number,)).fetchone():
                raise Refused(400, "Device must be empty before it is converted")
            db.execute(
                "UPDATE device SET type=?, chunk_period=?, chunk_retention=?, updated_at=? WHERE number=?",
                (*(storage[name] for name in ("type", "chunk_period", "chunk_retention")), self._now(), device.number),
            )

    def delete_device(self, identity: str) -> None:
        """Remove a device with its tokens, parameters and data. Raises Refused 400 or 404."""
        device = self.device(identity)
        if any(tag["key"] == profile.PROTECTION for tag in json.loads(device.tags)):
            raise Refused(400, f"Device has the tag {profile.PROTECTION}: remove that first")
        with self._transaction() as db:
            db.execute("DELETE FROM data WHERE device=?", (device.number,))
            db.execute("DELETE FROM device WHERE number=?", (device.number,))

    def device(self, identity: str) -> Device:
        """The device with this id. Raises Refused 404."""
        with self._reader() as db:
            row = db.execute("SELECT * FROM device WHERE id=?", (identity,)).fetchone()
        if row is None:
            raise Refused(404, "Invalid Device ID")
        return Device(*row)

    def devices(self, query: profile.ListQuery) -> list[dict[str, Any]]:
        """One page of devices: id, name and tags of each, and the fields asked for."""
        where, arguments = query.where, query.arguments
        if query.serial:
            where += " AND number IN (SELECT device FROM token WHERE serie_number=?)"
            arguments += (query.serial,)
        with self._reader() as db:
            rows = db.execute(
                f"SELECT * FROM device WHERE {where} ORDER BY {query.order}, number LIMIT ? OFFSET ?",
                (*arguments, query.amount, (query.page - 1) * query.amount),
            ).fetchall()
        wanted = {"id", "name", "tags", *query.fields}
        answer = []
        for row in rows:
            info = self.info(Device(*row))
            if not query.bucket_names:
                info["bucket"] = info["id"]
            answer.append({name: value for name, value in info.items() if name in wanted})
        return answer

    def create_token(
        self,
        identity: str,
        name: str = "Token",
        permission: str = "full",
        expires_at: int | None = None,
        serial: str | None = None,
    ) -> str:
        """One more token for a device. `expires_at` in ms, None for never. Raises Refused 404."""
        token = str(uuid.uuid4())
        with self._transaction() as db:
            changed = db.execute(
                "INSERT INTO token SELECT ?,'device',number,?,?,?,?,? FROM device WHERE id=?",
                (token, name, permission, serial, self._now(), expires_at, identity),
            ).rowcount
        if not changed:
            raise Refused(404, "Invalid Device ID")
        return token

    def delete_token(self, token: str) -> None:
        """Remove a device's token. Raises Refused 404, also for tokens of other kinds."""
        with self._transaction() as db:
            changed = db.execute("DELETE FROM token WHERE token=? AND kind='device'", (token,)).rowcount
        if not changed:
            raise Refused(404, "Invalid Token")

    def tokens(self, identity: str, query: profile.ListQuery) -> list[dict[str, Any]]:
        """One page of a device's tokens, with the fields asked for, else all of them. Raises Refused 404."""
        device = self.device(identity)
        with self._reader() as db:
            rows = db.execute(
                "SELECT token, name, permission, serie_number, created_at, expires_at FROM token "
                f"WHERE device=? AND {query.where} ORDER BY {query.order}, token LIMIT ? OFFSET ?",
                (device.number, *query.arguments, query.amount, (query.page - 1) * query.amount),
            ).fetchall()
        answer = []
        for token, name, permission, serial, created_at, expires_at in rows:
            expire = "never" if expires_at is None else times.iso8601(expires_at)
            used = self._used.get(token)
            row = {
                "token": token,
                "device_id": device.id,
                "network_id": device.network,
                "name": name,
                "permission": permission,
                "serie_number": serial,
                "last_authorization": used and times.iso8601(used),
                "expire_time": expire,
                "expire_date": expire,
                "created_at": times.iso8601(created_at),
            }
            answer.append({key: row[key] for key in row if not query.fields or key in query.fields})
        return answer

    def has_tokens(self, device: Device) -> bool:
        """Whether a device has a token."""
        with self._reader() as db:
            return db.execute("SELECT 1 FROM token WHERE device=? LIMIT 1", (device.number,)).fetchone() is not None

    def token_of_serial(self, serial: str) -> str:
        """A token of the newest device with this serial number. Raises Refused 404."""
        with self._reader() as db:
            row = db.execute(
                "SELECT token FROM token WHERE serie_number=? AND (expires_at IS NULL OR expires_at > ?) "
                "ORDER BY device DESC, created_at DESC LIMIT 1",
                (serial, self._now()),
            ).fetchone()
        if row is None:
            raise Refused(404, "Invalid Serial Number")
        return str(row[0])

    def access(self, token: str) -> Access | None:
        """What `token` opens; None when it is unknown or has expired. It may carry a short prefix."""
        spellings = [token, *(token[len(prefix) :] for prefix in _PREFIXES if token.startswith(prefix))]
        marks = ",".join("?" * len(spellings))
        with self._reader() as db:
            row = db.execute(
                "SELECT kind, permission, expires_at, device.* FROM token "
                f"LEFT JOIN device ON number = token.device WHERE token IN ({marks})",
                spellings,
            ).fetchone()
        now = self._now()
        if row is None or (row[2] is not None and row[2] <= now):
            return None
        self._used[spellings[-1]] = now
        return Access(row[0], row[1], Device(*row[3:]) if row[3] is not None else None)

    def token_of_first_device(self) -> str | None:
        """The first token of the device that was made first, or None in a store without devices."""
        with self._reader() as db:
            row = db.execute(
                "SELECT token FROM token WHERE device = (SELECT min(number) FROM device) ORDER BY created_at LIMIT 1"
            ).fetchone()
        return str(row[0]) if row else None

    def info(self, device: Device) -> dict[str, Any]:
        """The answer to GET /info."""
        answer = {
            "id": device.id,
            "name": device.name,
            "description": device.description,
            "active": bool(device.active),
            "visible": bool(device.visible),
            "type": device.type,
            "connector": device.connector,
            "network": device.network,
            "profile": self.profile,
            "tags": json.loads(device.tags),
            "payload_decoder": device.payload_decoder,
            "bucket": {"id": device.id, "name": device.name},
            "last_input": device.last_input,
            "created_at": device.created_at,
            "updated_at": device.updated_at,
        }
        for name in ("last_input", "created_at", "updated_at"):
            if answer[name] is not None:
                answer[name] = times.iso8601(answer[name])
        return {name: content for name, content in answer.items() if content is not None}

    def profile_info(self, device: Device) -> dict[str, Any]:
        """The answer to GET /device/:id: what GET /info gives, and what only the profile's owner sees."""
        answer = self.info(device)
        answer["data_retention"] = "forever"
        answer["configuration_params"] = self.parameters(device)
        if device.chunk_period is not None:
            answer["chunk_period"], answer["chunk_retention"] = device.chunk_period, device.chunk_retention
            answer["data_retention"] = f"{device.chunk_retention} {device.chunk_period}"
        if device.serie_number is not None:
            answer["serie_number"] = device.serie_number
        return answer

    # -- parameters ----------------------------------------------------------------------------------------

    def parameters(self, device: Device, sent: bool | None = None) -> list[dict[str, Any]]:
        """The configuration parameters of a device, all of them or those whose `sent` is the given one."""
        with self._reader() as db:
            rows = db.execute(
                "SELECT id, key, value, sent FROM parameter WHERE device=? AND (? IS NULL OR sent=?) ORDER BY number",
                (device.number, sent, sent),
            ).fetchall()
        return [{"id": i, "key": key, "value": value, "sent": bool(read)} for i, key, value, read in rows]

    def set_parameter(self, device: Device, key: str, value: str, sent: bool = False) -> str:
        """Add a parameter, or edit the one which has this key. Returns its id."""
        with self._transaction() as db:
            row = db.execute("SELECT id FROM parameter WHERE device=? AND key=?", (device.number, key)).fetchone()
            if row:
                db.execute("UPDATE parameter SET value=?, sent=? WHERE id=?", (value, sent, row[0]))
                return str(row[0])
            identity = rules.new_id()
            db.execute(
                "INSERT INTO parameter (id, device, key, value, sent) VALUES (?,?,?,?,?)",
                (identity, device.number, key, value, sent),
            )
            return identity

    def set_parameters(self, device: Device, rows: list[dict[str, Any]]) -> None:
        """Add parameters, or edit those with the same id or key; the others stay. All of `rows`, or none.

        `rows` as profile.check_parameters gives them. Raises Refused 404 for an unknown id, 400 for too many.
        """
        with self._transaction() as db:
            self._set_parameters(db, device.number, rows)

    @staticmethod
    def _set_parameters(db: sqlite3.Connection, device: int | None, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            name = "id" if "id" in row else "key"
            found = db.execute(f"SELECT id FROM parameter WHERE device=? AND {name}=?", (device, row[name])).fetchone()
            if found:
                changes = {column: row[column] for column in ("key", "value", "sent") if column in row}
                columns = "".join(f", {column}=?" for column in changes)
                db.execute(f"UPDATE parameter SET id=id{columns} WHERE id=?", (*changes.values(), found[0]))
            elif "id" in row:
                raise Refused(404, "Invalid Parameter ID")
            else:
                db.execute(
                    "INSERT INTO parameter (id, device, key, value, sent) VALUES (?,?,?,?,?)",
                    (rules.new_id(), device, row["key"], row["value"], row.get("sent", False)),
                )
        (held,) = db.execute("SELECT count(*) FROM parameter WHERE device=?", (device,)).fetchone()
        if held > profile.PARAMETERS:
            raise Refused(400, f"A device has at most {profile.PARAMETERS} configuration parameters")

    def delete_parameter(self, device: Device, identity: str) -> None:
        """Remove one parameter. Raises Refused 404."""
        with self._transaction() as db:
            changed = db.execute("DELETE FROM parameter WHERE device=? AND id=?", (device.number, identity)).rowcount
        if not changed:
            raise Refused(404, "Invalid Parameter ID")

    def mark_parameter_read(self, device: Device, identity: str) -> None:
        """Set `sent` of one parameter. Raises Refused 404."""
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE parameter SET sent=1 WHERE device=? AND id=?", (device.number, identity)
            ).rowcount
        if not changed:
            raise Refused(404, "Invalid Parameter ID")

    # -- data ----------------------------------------------------------------------------------------------

    def add(self, device: Device, records: list[Record], now: int) -> None:
        """Store all records of one POST, or none; they are on the disk on return. Raises Refused 400."""
        rows = [
            (
                device.number,
                record.variable,
                record.time,
                record.group,
                _pack(record.value),
                record.unit,
                _location_text(record.location),
                record.metadata,
                now,
            )
            for record in records
        ]
        job = _Add(device, rows, now)
        self._waiting.append(job)
        with self._lock:
            if not job.done:  # else by who held the lock before
                self._add_waiting()
        if job.error is not None:
            raise job.error
        if not job.done:
            raise sqlite3.OperationalError("interrupted before it was stored")

    def _add_waiting(self) -> None:
        """Store what has come while others were writing in one transaction: one flush to the disk for all of it."""
        jobs = []
        while self._waiting:
            jobs.append(self._waiting.popleft())
        try:
            with self._begun() as db:
                for job in jobs:
                    self._add(db, job)
        except _UNSTORABLE:  # one by one: then each of them finds out what is wrong with it
            for job in jobs:
                job.error = None
                try:
                    with self._begun() as db:
                        self._add(db, job)
                except _UNSTORABLE as error:
                    job.error = error
        for job in jobs:
            job.done = True

    def _add(self, db: sqlite3.Connection, job: _Add) -> None:
        if job.device.type == "mutable":
            (held,) = db.execute(
                "SELECT count(*) FROM (SELECT 1 FROM data WHERE device=? LIMIT ?)",
                (job.device.number, rules.MUTABLE_RECORDS),
            ).fetchone()
            if held >= rules.MUTABLE_RECORDS:
                text = f"The device has reached the limit of {rules.MUTABLE_RECORDS} data registers"
                job.error = Refused(400, text)
                return
        self._make_room(db, len(job.rows))
        db.executemany(_INSERT, job.rows)
        db.execute("UPDATE device SET last_input=? WHERE number=?", (job.now, job.device.number))

    def _make_room(self, db: sqlite3.Connection, wanted: int) -> None:
        """Remove the records that came first when the file is full: more of them than are `wanted`."""
        self._adds += 1
        if self._adds % ROOM_EVERY and not self._full:
            return
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        full = (pages - free) * size > self._max_bytes
        if full and not self._told:
            self._told = True
            _log.warning("%s has %d MB, its most: the oldest records make room", self.path, self._max_bytes // 10**6)
        self._full = full
        if full:
            oldest = "SELECT number FROM data ORDER BY number LIMIT ?"
            db.execute(f"DELETE FROM data WHERE number IN ({oldest})", (2 * wanted + 100,))

    def prune(self, now: int) -> int:
        """Remove what immutable devices no longer keep at `now` (Unix ms). Returns how many records."""
        with self._reader() as db:
            rows = db.execute(
                "SELECT number, chunk_period, chunk_retention FROM device WHERE chunk_period IS NOT NULL"
            ).fetchall()
        removed = 0
        for number, period, retention in rows:
            first = rules.retention_start(now, period, retention)
            while True:  # in parts, between which others get to write
                with self._transaction() as db:
                    part = db.execute(
                        "DELETE FROM data WHERE number IN "
                        "(SELECT number FROM data WHERE device=? AND time<? ORDER BY time LIMIT ?)",
                        (number, first, PRUNED_AT_ONCE),
                    ).rowcount
                removed += part
                if part < PRUNED_AT_ONCE:
                    break
        return removed

    def _identity(self, number: int, created_at: int) -> str:
        # 4 bytes of time, 3 of this store, 5 of row number: an id needs no column and no index of its own
        return f"{created_at // 1000 & 0xFFFFFFFF:08x}{self._instance}{number:010x}"

    def _number(self, identity: str) -> int:
        """The row number an id stands for, 0 (no row has it) when it is not one of this store's ids."""
        if len(identity) == 24 and identity[8:14] == self._instance:
            with contextlib.suppress(ValueError):
                return int(identity[14:], 16)
        return 0

    def _record(self, device: Device, details: bool, row: tuple[Any, ...]) -> dict[str, Any]:
        number, variable, time, group, value, unit, location, metadata, created_at = row
        answer = {
            "id": self._identity(number, created_at),
            "device": device.id,
            "variable": variable,
            "value": _unpack(value),
            "unit": unit,
            "group": group,
            "location": location and {"type": "Point", "coordinates": json.loads(location)},
            "metadata": metadata and json.loads(metadata),
            "time": times.iso8601(time),
            "created_at": times.iso8601(created_at) if details else None,
        }
        return {name: content for name, content in answer.items() if content is not None}

    def select(self, device: Device, query: queries.Query) -> list[dict[str, Any]] | int | float:
        """The result of GET /data: records or buckets newest first, or one number."""
        statement, arguments = queries.build(query, device.number, self._number)
        with self._reader() as db:
            rows = db.execute(statement, arguments).fetchall()
        if query.kind in queries.NUMBERS:
            total: int | float = _unpack(rows[0][0] or 0)
            return total
        if query.kind == "aggregate":
            return [{"time": queries.bucket_time(start), "value": _unpack(value)} for start, value in rows]
        return [self._record(device, query.details, row) for row in rows]

    def count(self, device: Device | None = None) -> int:
        """How many records a device holds, or all of them together."""
        with self._reader() as db:
            row = db.execute(
                "SELECT count(*) FROM data WHERE ? IS NULL OR device = ?", (device and device.number,) * 2
            ).fetchone()
        return int(row[0])

    def records(self, device: Device) -> list[dict[str, Any]]:
        """Every record of a device in order of arrival."""
        with self._reader() as db:
            rows = db.execute(
                f"SELECT {queries.COLUMNS} FROM data WHERE device=? ORDER BY number", (device.number,)
            ).fetchall()
        return [self._record(device, True, row) for row in rows]

    def delete(self, device: Device, query: queries.Query) -> int:
        """Remove the records a query selects. Returns how many."""
        statement, arguments = queries.build(query, device.number, self._number, columns="number")
        with self._transaction() as db:
            return db.execute(
                f"DELETE FROM data WHERE number IN (SELECT number FROM ({statement}))", arguments
            ).rowcount

    def empty(self, device: Device) -> None:
        """Remove all of a device's data."""
        with self._transaction() as db:
            db.execute("DELETE FROM data WHERE device=?", (device.number,))

    def edit(self, device: Device, edits: list[tuple[str, dict[str, Any]]]) -> int:
        """Change fields of records by id, all or none. Returns how many records were there to change."""
        store: dict[str, Callable[[Any], Any]] = {"value": _pack, "location": _location_text}
        changed = 0
        with self._transaction() as db:
            for identity, fields in edits:
                columns = "".join(f', "{name}"=?' for name in fields)
                changed += db.execute(
                    f"UPDATE data SET device=device{columns} WHERE number=? AND device=?",
                    (
                        *(store.get(name, lambda same: same)(content) for name, content in fields.items()),
                        self._number(identity),
                        device.number,
                    ),
                ).rowcount
        return changed
