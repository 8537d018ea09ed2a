"""What the node says on its console: lines for people, state lines for programs.

12.345 warning uplink: unavailable: …        seconds since boot, level, who, what
@{"queued":5,"acknowledged":95,…}            the state, one JSON object
12.400 debug sample: ([('rssi', 'dBm', 0)], [-67])     a sample: (variable, unit, decimals) of each, the values
"""

import json

from micropython import const

_LINE_MAX = const(100)  # characters of a line that is kept

LEVELS = ("error", "warning", "info", "debug")


class Secret:
    """A text that never shows in a log, an error or a repr. `reveal()` is for the one line that sends it."""

    def __init__(self, text: str):
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self):
        return "<secret>"

    __str__ = __repr__


class Log:
    """Writes lines by `out`. `level` is the least important level that is shown.

    `last`: the newest lines, as many as `keep` was told, for what is written down of a crash.
    """

    def __init__(self, level: str = "info", out=print):
        self.mono = lambda: 0  # milliseconds since boot; the clock's, once there is a clock
        self._level = LEVELS.index(level)
        self._out = out
        self.last = []
        self._keep = 0

    def set_level(self, level: str) -> None:
        self._level = LEVELS.index(level)

    def keep(self, lines: int) -> None:
        """How many lines are kept in memory, each up to 100 characters; 0: none."""
        self._keep = lines
        del self.last[: max(0, len(self.last) - lines)]

    def _write(self, level, who, text):
        if level <= self._level:
            ms = self.mono()
            line = "%d.%03d %s %s: %s" % (ms // 1000, ms % 1000, LEVELS[level], who, text)
            self._out(line)
            if self._keep:
                if len(self.last) >= self._keep:
                    self.last.pop(0)
                self.last.append(line[:_LINE_MAX])

    def error(self, who: str, text: str) -> None:
        self._write(0, who, text)

    def warning(self, who: str, text: str) -> None:
        self._write(1, who, text)

    def info(self, who: str, text: str) -> None:
        self._write(2, who, text)

    def debug(self, who: str, text) -> None:
        self._write(3, who, text)

    def spool(self, text: str) -> None:
        """What the spool has to tell."""
        self._write(1, "spool", text)

    def state(self, values: dict) -> None:
        """One state line, at every level."""
        self._out("@" + json.dumps(values))
