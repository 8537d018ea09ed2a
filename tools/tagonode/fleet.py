"""fleet.csv, one node a line, and the file with what became of them, which survives being interrupted anywhere.

fleet.csv has a column `name`, may have `serial`, and every other column is a tag of that name. UTF-8, with commas or
semicolons.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tagonode.config import looks_secret
from tagonode.problems import Problem, or_nearest

NAME_CHARACTERS = (3, 100)
TEXT_CHARACTERS = 100
TAGS = 29  # TagoIO takes 30, and one is the serial number
COLUMNS = ("name", "serial", "device_id", "token", "result")
# what is secret, or stands in a result file: as tags, everybody who sees the device could read it
_NO_TAGS = (*COLUMNS[2:], "device_token", "password", "wifi_password")

_NO_SECRETS = "take this column out; provision itself makes the tokens, and passwords belong into secrets.toml"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class FleetError(Exception):
    """What is wrong with a CSV file: `problems`, one line each, with file, line and column."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Row:
    """One node to be: `serial` is "" when it has none; `line` of the file it stands in, 0 for none."""

    name: str
    serial: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    line: int = 0


def wrong_name(name: str) -> str | None:
    """Why TagoIO would not take a device's name, None when it would."""
    least, most = NAME_CHARACTERS
    if not least <= len(name) <= most:
        return f"has {len(name)} characters: give {least} to {most}"
    return "holds a control character: take it out" if _CONTROL.search(name) else None


def _wrong_text(text: str) -> str | None:
    if len(text) > TEXT_CHARACTERS:
        return f"has {len(text)} characters: shorten it to {TEXT_CHARACTERS}"
    return "holds a control character: take it out" if _CONTROL.search(text) else None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FleetError([f"{path}: no such file: give a CSV file with a column `name`"]) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise FleetError([f"{path}:{line}: not UTF-8: save the table as CSV UTF-8"]) from None
    except OSError as error:
        raise FleetError([f"{path}: cannot be read ({error.strerror})"]) from None


def _header_problems(path: Path, line: int, header: list[str]) -> list[str]:
    def problem(key: str, text: str) -> str:
        return str(Problem(str(path), line, key, text))

    secret = [at for at, key in enumerate(header, 1) if looks_secret(key)]
    if secret:
        return [problem("", f"the heading of column {at} looks like a token: {_NO_SECRETS}") for at in secret]
    found = []
    if "name" not in header:
        near = or_nearest("name", [each for each in header if each])
        found.append(problem("", f"there is no column `name`{near}"))
    for at, key in enumerate(header):
        if not key:
            found.append(problem("", f"column {at + 1} has no heading: name it, or take it out"))
        elif key in header[:at]:
            found.append(problem(key, "this column is there twice: take one of them out"))
        elif re.sub(r"[\s-]+", "_", key.lower()) in _NO_TAGS:
            found.append(problem(key, f"would be a tag that is called so at TagoIO: {_NO_SECRETS}"))
        elif wrong := _wrong_text(key):
            found.append(problem(key, wrong))
    if len(set(header) - {"name", "serial"}) > TAGS:
        found.append(problem("", f"too many columns: TagoIO takes {TAGS} tags beside the serial number"))
    return found


def read(path: Path) -> list[Row]:
    """The rows of a fleet's CSV file. Raises FleetError with every mistake."""
    text = _text_of(path)
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[Row] = []
    problems: list[str] = []
    taken: dict[str, dict[str, int]] = {"name": {}, "serial": {}}
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = [cell if cell.lower() not in taken else cell.lower() for cell in cells]
                problems += _header_problems(path, line, header)
                if problems:
                    break
                continue
            row, wrong = _row(header, cells, line, taken)
            problems += [str(Problem(str(path), line, key, what)) for key, what in wrong]
            rows.append(row)
    except csv.Error as error:
        problems.append(f"{path}:{reader.line_num}: {error}: check the quotes of this line")
    if not problems and not rows:
        problems = [f"{path}: no node in it: give a heading with `name`, and one line for each node"]
    if problems:
        raise FleetError(problems)
    return rows


def _row(
    header: list[str], cells: list[str], line: int, taken: dict[str, dict[str, int]]
) -> tuple[Row, list[tuple[str, str]]]:
    """A line's Row, and (column, what is wrong with it) for each mistake."""
    if len(cells) > len(header):
        more = len(cells) - len(header)
        return Row(""), [("", f"{more} more than the {len(header)} columns: quote a text that holds the separator")]
    given = dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True))
    wrong = []
    for key, cell in given.items():
        what = wrong_name(cell) if key == "name" else _wrong_text(cell)
        if key == "name" and not cell:
            what = "is empty: give each node a name"
        if key not in taken and looks_secret(cell):
            what = f"looks like a token, and tags are no place for it: {_NO_SECRETS}"
        if not what and cell and key in taken:
            other = taken[key].setdefault(cell, line)
            if other != line:
                what = f"{cell!r} stands in line {other}, too: give each node its own"
        if what:
            wrong.append((key, what))
    tags = {key: cell for key, cell in given.items() if key not in taken and cell}
    return Row(given["name"], given.get("serial", ""), tags, line), wrong


class ResultFile:
    """name, serial, device_id, token and result of each node that is done, for its owner's eyes alone (0600).

    A row is on the disk when `add` returns. A file that was cut anywhere goes on: half a row at its end is taken out.
    Only one process at a time has it. Use it in a `with`. Raises FleetError.
    """

    def __init__(self, path: Path):
        self.path = path
        self.done: dict[tuple[str, str], str] = {}  # (name, serial): device's id
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FleetError([f"{path}: cannot be written ({error.strerror}): name another file with --out"]) from None
        try:
            self._lock()
            whole = self._read()
            with contextlib.suppress(OSError, AttributeError):
                os.fchmod(self._descriptor, 0o600)
            self._begin(whole)
        except OSError as error:
            os.close(self._descriptor)
            raise self._unwritten(error) from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows has none
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FleetError([f"{self.path}: another `tagonode provision` writes it now: wait until it ends"]) from None

    def _unwritten(self, error: OSError) -> FleetError:
        return FleetError([f"{self.path}: cannot be written ({error.strerror}): make room, and run it again"])

    def _read(self) -> int:
        """Its rows into `done`; how many bytes they are. Changes nothing: it may be another's file."""
        content = b""
        while part := os.read(self._descriptor, 1 << 20):
            content += part
        whole = content[: content.rfind(b"\n") + 1]
        try:
            rows = list(csv.reader(io.StringIO(whole.decode("utf-8"), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error):
            rows = [["?"]]
        if rows and rows[0] != list(COLUMNS) or any(len(row) != len(COLUMNS) for row in rows):
            raise FleetError([f"{self.path} is no result file of provision: name another one with --out"])
        if not whole and content and not ",".join(COLUMNS).encode().startswith(content.rstrip(b"\r")):
            raise FleetError([f"{self.path} is no result file of provision: name another one with --out"])
        self.done = {(row[0], row[1]): row[2] for row in rows[1:]}
        return len(whole)

    def _begin(self, whole: int) -> None:
        os.ftruncate(self._descriptor, whole)
        os.lseek(self._descriptor, whole, os.SEEK_SET)
        if not whole:
            self._append(list(COLUMNS))
            with contextlib.suppress(OSError):  # the file's name is to survive, too; Windows cannot do this
                folder = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def _append(self, row: list[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row)
        line = text.getvalue().encode()
        while line:
            line = line[os.write(self._descriptor, line) :]
        os.fsync(self._descriptor)

    def add(self, row: Row, identity: str, token: str, result: str) -> None:
        """Write down what became of a row. Raises FleetError when the disk is full."""
        try:
            self._append([row.name, row.serial, identity, token, result])
        except OSError as error:
            raise self._unwritten(error) from None
        self.done[row.name, row.serial] = identity

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
