"""`machine`, `time`, `gc`, `sys`, `micropython` and `random` of a simulated board.

What reset_cause() says, per port, is in _CAUSES: rp2 calls every reset one by the watchdog, whose register knows more.
"""

import random
import sys
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .loop import NEVER, Ended, Time

_MASK = (1 << 30) - 1
_HALF = 1 << 29
_CAUSES = {
    "esp32": {"power on": 1, "reset": 2, "watchdog": 3, "deep sleep": 4, "soft reset": 5},
    "rp2": {"power on": 1, "reset": 3, "watchdog": 3, "deep sleep": 3, "soft reset": 5},
}
_YEAR_2000_S = 946684800
_LONGEST_SLEEP_RP2_MS = 71 * 60000


class Hardware:
    """What a board is made of, but for its radio. port: "rp2" or "esp32"; draw: this board's generator.

    `chips`: {address: chip}, each with write(data) and read(size); `microvolts()`: at the battery's pin. `rtc_memory`
    survives all but a power cut, `cause` is why it started last.
    """

    def __init__(self, time: Time, port: str, draw: random.Random, unique: bytes):
        self.time = time
        self.port = port
        self.draw = draw
        self.unique = unique
        self.chips: dict[int, Any] = {}
        self.microvolts: Callable[[], int] = lambda: 1950000
        self.stuck = False
        self.cause = "power on"
        self.rtc_memory = b""
        self.rtc_s = 0.0
        self.rtc_at = 0
        self.free = 96 * 1024
        self.fed = 0
        self.longest_unfed = 0
        self.watchdog_ms = 0
        self._booted = 0
        self._first_ticks = 0

    def start(self, cause: str) -> None:
        """The board starts, for this reason."""
        self.cause = cause
        if cause in ("power cut", "power on"):
            self.cause = "power on"
            self.rtc_memory = b""
            self.rtc_s = 0 if self.port == "rp2" else _YEAR_2000_S
            self.rtc_at = self.time.now
        self._booted = self.time.now
        # boards count from 0; from anywhere else, wraps come as often as they can
        self._first_ticks = 0 if self.draw.random() < 0.5 else self.draw.getrandbits(30)
        self.time.bite = NEVER

    def rtc(self) -> float:
        """Unix time, as the board's clock has it."""
        return self.rtc_s + (self.time.now - self.rtc_at) / 1000

    def ticks_ms(self) -> int:
        return (self.time.now - self._booted + self._first_ticks) & _MASK

    @staticmethod
    def ticks_add(ticks: int, delta: int) -> int:
        if not -_HALF < delta < _HALF:
            raise OverflowError("ticks interval overflow")
        return (ticks + delta) & _MASK

    @staticmethod
    def ticks_diff(a: int, b: int) -> int:
        return ((a - b + _HALF) & _MASK) - _HALF

    def rested(self, before: float, ms: int) -> None:
        """The board was in deep sleep: its clock counted so many ms, whatever they were."""
        self.rtc_s = before + ms / 1000
        self.rtc_at = self.time.now

    # ---- modules

    def modules(self, board_name: str) -> dict[str, Any]:
        return {
            "machine": self._machine(),
            "time": self._time(),
            "gc": SimpleNamespace(
                collect=lambda: None, mem_free=lambda: self.free, mem_alloc=lambda: 96 * 1024, threshold=lambda *_: -1
            ),
            "micropython": SimpleNamespace(const=lambda value: value, alloc_emergency_exception_buf=lambda _: None),
            "random": self._random(),
            "esp32": SimpleNamespace(raw_temperature=lambda: 113),
        }

    def _time(self) -> SimpleNamespace:
        time = self.time
        import time as host

        return SimpleNamespace(
            gmtime=lambda s: host.gmtime(s)[:8],  # boards count from 1970 (rp2); _port reckons with both
            sleep=lambda s: time.spend(int(s * 1000)),
            sleep_ms=lambda ms: time.spend(max(ms, 0)),
            sleep_us=lambda us: None,
            ticks_add=self.ticks_add,
            ticks_diff=self.ticks_diff,
            ticks_ms=self.ticks_ms,
            time=lambda: int(self.rtc()),
            time_ns=lambda: int(self.rtc() * 1000) * 1000000,
            ticks_us=lambda: self.ticks_ms() * 1000 & _MASK,
        )

    def _random(self) -> SimpleNamespace:
        own = random.Random(0)

        def getrandbits(bits: int) -> int:
            return own.getrandbits(bits)

        own.seed(self.draw.getrandbits(32))
        return SimpleNamespace(getrandbits=getrandbits, seed=own.seed, random=own.random)

    def sys_module(self, modules: dict[str, Any], console: Callable[[str], None]) -> SimpleNamespace:
        def print_exception(error: BaseException, file: Any = None) -> None:
            text = "".join(traceback.format_exception(error))
            if file is None:
                console(text)
            else:
                file.write(text)

        return SimpleNamespace(
            byteorder="little",
            implementation=SimpleNamespace(name="micropython", version=(1, 28, 0, "")),
            modules=modules,
            path=["", ".frozen", "/lib"],
            platform=self.port,
            print_exception=print_exception,
            version=sys.version,
        )

    def _machine(self) -> Any:
        hardware = self

        class Pin:
            IN, OUT, OPEN_DRAIN, ALT, PULL_UP, PULL_DOWN = 0, 1, 2, 3, 1, 2

            def __init__(self, id: Any, mode: int = -1, pull: int = -1, *, value: Any = None, alt: int = 0):
                self.id = id

            def init(self, *_: Any, **__: Any) -> None:
                pass

            def value(self, level: Any = None) -> int:
                return 0 if hardware.stuck else 1

            __call__ = value

        class I2C:
            def __init__(self, id: int = 0, *, scl: Any = None, sda: Any = None, freq: int = 0):
                pass

            def _chip(self, address: int) -> Any:
                if hardware.stuck:
                    raise OSError(110, "ETIMEDOUT")
                chip = hardware.chips.get(address)
                if chip is None:
                    raise OSError(19 if hardware.port == "esp32" else 5, "no acknowledge")
                return chip

            def writeto(self, address: int, data: Any, stop: bool = True) -> int:
                self._chip(address).write(bytes(data))
                return len(data)

            def readfrom(self, address: int, size: int, stop: bool = True) -> bytes:
                return self._chip(address).read(size)

            def readfrom_into(self, address: int, buffer: Any, stop: bool = True) -> None:
                buffer[:] = self._chip(address).read(len(buffer))

            def scan(self) -> list[int]:
                return sorted(hardware.chips)

        class ADC:
            def __init__(self, id: Any, **_: Any):
                self.core = not isinstance(id, Pin)

            def read_u16(self) -> int:
                return 14343 if self.core else min(65535, hardware.microvolts() * 65535 // 3300000)

            if hardware.port == "esp32":

                def read_uv(self) -> int:
                    return hardware.microvolts()

        class WDT:
            def __init__(self, id: int = 0, timeout: int = 5000):
                if hardware.port == "rp2" and timeout > 8388:
                    raise ValueError("timeout exceeds 8388")
                self.timeout = hardware.watchdog_ms = timeout
                hardware.fed = hardware.time.now
                self.feed()

            def feed(self) -> None:
                now = hardware.time.now
                hardware.longest_unfed = max(hardware.longest_unfed, now - hardware.fed)
                hardware.fed = now
                hardware.time.bite = now + self.timeout

        class RTC:
            def datetime(self, new: Any = None) -> Any:
                import calendar
                import time as host

                if new is None:
                    t = host.gmtime(hardware.rtc())
                    return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0)
                year, month, day, _, hour, minute, second, _ = new
                hardware.rtc_s = calendar.timegm((year, month, day, hour, minute, second))
                hardware.rtc_at = hardware.time.now
                return None

            def memory(self, data: Any = None) -> Any:
                if data is None:
                    return hardware.rtc_memory
                if len(data) > 2048:
                    raise ValueError("buffer too long")
                hardware.rtc_memory = bytes(data)
                return None

        class Registers:
            def __getitem__(self, address: int) -> int:
                return 1 if hardware.cause == "watchdog" else 0

        def reset() -> None:
            raise Ended("reset")

        def soft_reset() -> None:
            raise Ended("soft reset")

        def deepsleep(ms: int = 0) -> None:
            if hardware.port == "rp2" and ms > _LONGEST_SLEEP_RP2_MS:
                raise ValueError("sleep too long")
            raise Ended("deep sleep", ms)

        return SimpleNamespace(
            ADC=ADC,
            DEEPSLEEP_RESET=4,
            HARD_RESET=2,
            I2C=I2C,
            PWRON_RESET=1,
            Pin=Pin,
            RTC=RTC,
            SOFT_RESET=5,
            WDT=WDT,
            WDT_RESET=3,
            deepsleep=deepsleep,
            disable_irq=lambda: 1,
            enable_irq=lambda _: None,
            lightsleep=lambda ms=0: hardware.time.spend(ms),
            mem32=Registers(),
            reset=reset,
            reset_cause=lambda: _CAUSES[hardware.port][hardware.cause],
            soft_reset=soft_reset,
            unique_id=lambda: hardware.unique,
        )
