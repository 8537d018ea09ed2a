"""The time of a virtual board that passes only when nothing runs there, so that days take seconds.

The board's own end of it is guest/virtualtime.py.
"""

import heapq
import importlib.util
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE_S = 5.0
_FOR_EVER_US = 1 << 60


class TimeStopped(Exception):
    """The board's program ended, or it came to no end."""


class VirtualTime:
    """A clock to be given to build_hardware, whose value is the board's time in seconds since it was made.

        clock = VirtualTime(unix=...)
        hardware = build_hardware(..., clock=clock)
        board.power_on()                          # and it stands still, at the first moment
        clock.run(hours=8)                        # returns when the board's time is there; it stands still again
        hardware.radio.access_points.clear()      # now anything may be looked at and changed
        clock.run(days=1)

    unix: true Unix time when it begins. ppm: how much the board's crystal is slow: true time passes by so many
    millionths faster than the board's. patience: seconds, in the PC's time, that an answer from the network may take;
    the board's time stands still meanwhile. Set it to 0 while no answer can come: its deadlines then pass at once.
    """

    def __init__(self, unix: float | None = None, ppm: float = 0.0, patience: float = _PATIENCE_S):
        self.patience = patience
        self.ppm = ppm
        self.before: Callable[[], None] = lambda: None  # the board's: takes what was printed up to now
        self._start = time.time() if unix is None else unix
        self._us = 0
        self._boot_us = 0
        self._end_us = 0
        self._still = False
        self._over = False
        self._news = threading.Condition()
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._count = itertools.count()

    def __call__(self) -> float:
        return self._us / 1e6

    def unix(self) -> float:
        """True Unix time."""
        return self._start + self._us / 1e6 * (1 + self.ppm / 1e6)

    def at(self, seconds: float, do: Callable[[], object]) -> None:
        """Call `do` when the board's time is there, in the board's thread, while it stands still."""
        with self._news:
            heapq.heappush(self._events, (round(seconds * 1e6), next(self._count), do))

    def run(self, seconds: float = 0, *, hours: float = 0, days: float = 0, within: float = 120) -> None:
        """Let so much of the board's time pass. Raises TimeStopped when its program ends before, or when it takes more
        than `within` seconds of the PC's."""
        with self._news:
            self._end_us = self._us + round((seconds + hours * 3600 + days * 86400) * 1e6)
            self._still = self._still and self._end_us <= self._us
            self._news.notify_all()
            deadline = time.monotonic() + within
            while not self._still:
                if self._over:
                    raise TimeStopped(f"the board's program ended after {self():.1f} s")
                if not self._news.wait(deadline - time.monotonic()):
                    raise TimeStopped(f"{within:.0f} s later the board's time is no further than {self():.1f} s")

    # ---- the board's

    def power_on(self) -> None:
        self._over = False

    def boot(self) -> None:
        """The board starts, and counts from 0."""
        self._boot_us = self._us

    def told(self, since_boot_us: int) -> int:
        """The board says how late it is. Returns when it has to do so again, both in µs since its start."""
        self.before()
        self._reach(self._boot_us + since_boot_us)
        return self._next() - self._boot_us

    def sleep(self, seconds: float) -> None:
        """The board is off for so long."""
        end = self._us + round(seconds * 1e6)
        while not self._over and self._us < end:
            self._reach(min(end, self._next()))

    def end(self) -> None:
        """The board's power is off, or it halted: whoever waits is told."""
        with self._news:
            self._over = True
            self._news.notify_all()

    def _next(self) -> int:
        end = self._end_us if self._end_us > self._us else _FOR_EVER_US
        return min(end, self._events[0][0] if self._events else _FOR_EVER_US)

    def _reach(self, us: int) -> None:
        self._us = max(self._us, us)
        while self._events and self._events[0][0] <= self._us:
            heapq.heappop(self._events)[2]()
        if self._us < self._end_us:
            return
        with self._news:
            self._still = True
            self._news.notify_all()
            while self._us >= self._end_us and not self._over:
                self._news.wait()


class ClockOfTls:
    """Makes TLS in the board's process see the board's real-time clock, by libfaketime.

    path: a file that it may write. Raises OSError when there is no such library.
    """

    def __init__(self, path: Path):
        spec = importlib.util.find_spec("libfaketime")
        if spec is None or spec.origin is None:
            raise FileNotFoundError(2, "not installed", "libfaketime")
        library = Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        self._path = path
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.set(time.time())

    def set(self, unix: float) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(f"{unix - time.time():+.3f}\n")
        new.replace(self._path)
