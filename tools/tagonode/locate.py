"""On which line of a TOML file each value stands, for messages about it.

tomllib gives values without their places. The text has been read by it before: whatever is no TOML was refused there,
so that this only has to tell where keys and values begin.
"""

import bisect
import re
import tomllib

Location = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)
_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")  # white space, line ends and comments
_REST = re.compile(r"[^,\]}#\n]+")  # of a number, a date or a truth value


def lines_of(text: str) -> dict[Location, int]:
    """{location: line, counted from 1} of all that a valid TOML text holds. A location is the path of keys and places
    in lists, as in ("sensors", 0, "driver"); () is the first line. Raises ValueError when it loses its way."""
    return _Scanner(text).scan()


def line_of(lines: dict[Location, int], location: Location) -> int | None:
    """The line of a location, or of the nearest that holds it when it is not there itself; None when nothing is known
    but the file."""
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return lines.get(())


class _Scanner:
    def __init__(self, text: str):
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._found: dict[Location, int] = {(): 1}
        self._elements: dict[Location, int] = {}  # of lists of tables: how many there are so far

    def scan(self) -> dict[Location, int]:
        table: Location = ()
        while self._pass(_BETWEEN) and self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _pass(self, pattern: re.Pattern) -> bool:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"unexpected at character {self._at}")
        self._at = match.end()
        return True

    def _next(self, expected: str) -> bool:
        """Whether `expected` comes next, which is then passed."""
        found = self._text.startswith(expected, self._at)
        self._at += len(expected) if found else 0
        return found

    def _mark(self, location: Location, at: int) -> None:
        self._found.setdefault(location, bisect.bisect_left(self._ends, at) + 1)

    def _header(self) -> Location:
        """[table] or [[list]]: the location that the pairs below it belong to."""
        at = self._at
        is_list = self._next("[[")
        if not is_list:
            self._at += 1
        keys = self._key()
        self._at += 2 if is_list else 1
        location: Location = ()
        for key in keys[:-1]:
            location = (*location, key)
            self._mark(location, at)
            if location in self._elements:
                location = (*location, self._elements[location] - 1)
        location = (*location, keys[-1])
        self._mark(location, at)
        if is_list:
            self._elements[location] = self._elements.get(location, 0) + 1
            location = (*location, self._elements[location] - 1)
            self._mark(location, at)
        return location

    def _key(self) -> list[str]:
        """A key, dotted perhaps, with the white space around it."""
        parts = []
        while True:
            self._pass(_SPACE)
            match = _STRINGS.match(self._text, self._at) or _BARE.match(self._text, self._at)
            if match is None:
                raise ValueError(f"no key at character {self._at}")
            self._at = match.end()
            part = match[0]
            parts.append(tomllib.loads("key = " + part)["key"] if part[0] in "\"'" else part)
            self._pass(_SPACE)
            if not self._next("."):
                return parts

    def _pair(self, table: Location) -> None:
        at = self._at
        keys = self._key()
        if not self._next("="):
            raise ValueError(f"no = at character {self._at}")
        self._pass(_SPACE)
        for length in range(1, len(keys) + 1):
            self._mark((*table, *keys[:length]), at)
        self._value((*table, *keys))

    def _value(self, location: Location) -> None:
        if self._next("["):
            index = 0
            while self._pass(_BETWEEN) and not self._next("]"):
                self._mark((*location, index), self._at)
                self._value((*location, index))
                index += 1
                self._pass(_BETWEEN)
                self._next(",")
        elif self._next("{"):
            while self._pass(_BETWEEN) and not self._next("}"):
                self._pair(location)
                self._pass(_BETWEEN)
                self._next(",")
        else:
            self._pass(_STRINGS if self._text[self._at] in "\"'" else _REST)
