"""Wi-Fi as `network` shows it, and what goes wrong with it."""

import errno
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .loop import Time

IDLE, JOINING, NO_ADDRESS, WRONG_PASSWORD, NO_NETWORK, REFUSED, JOINED = range(7)
_NUMBERS = {
    "rp2": (0, 1, 2, -3, -2, -1, 3),
    "esp32": (1000, 1001, 1001, 202, 201, 203, 1010),
}
_PLACES = ("PM_NONE", "PM_PERFORMANCE", "PM_POWERSAVE")


class Radio:
    """networks: {name: password} in reach. `gone`: names that are out of reach now; `refuses`: the access point takes
    nobody; `addresses`: it gives addresses; `sick`: the radio itself raises EIO until it is off ("off"), deinitialised
    ("deinit"), the board reset ("reset"); `rssi`: dBm. changed(up): told when the link comes or goes;
    joining(until): when somebody looks whether it has come, which it cannot have before then.
    """

    def __init__(self, time: Time, port: str, networks: dict[str, str]):
        self.time = time
        self.port = port
        self.networks = networks
        self.gone: set[str] = set()
        self.refuses = False
        self.addresses = True
        self.sick = ""
        self.rssi = -61
        self.join_ms = 2500
        self.changed = lambda up: None
        self.joining: Callable[[int], None] | None = None
        self.joins = 0
        self.up = False
        self._active = False
        self._wanted: tuple[str, str] | None = None
        self._since = 0

    def power_off(self) -> None:
        self._active = False
        self._wanted = None
        self.sick = ""
        self._drop()

    def _drop(self) -> None:
        if self.up:
            self.up = False
            self.changed(False)

    def lose(self) -> None:
        """The link is gone, and the board may join again."""
        self._wanted = None
        self._drop()

    def set_gone(self, gone: set[str]) -> None:
        self.gone = gone
        if self._wanted and self._wanted[0] in gone:
            self._drop()

    def _well(self) -> None:
        if self.sick:
            raise OSError(errno.EIO, "the radio does not answer")

    def state(self) -> int:
        if not self._active or self._wanted is None:
            return IDLE
        if self.up:
            return JOINED
        name, password = self._wanted
        if self.time.now - self._since < self.join_ms:
            return JOINING
        if name not in self.networks or name in self.gone:
            return NO_NETWORK
        if self.networks[name] != password:
            return WRONG_PASSWORD
        if self.refuses:
            return REFUSED
        if not self.addresses:
            return NO_ADDRESS
        self.up = True
        self.joins += 1
        self.changed(True)
        return JOINED

    def module(self) -> Any:
        radio = self

        class WLAN:
            IF_STA, IF_AP = 0, 1
            PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2

            def __init__(self, interface: int = 0):
                pass

            def active(self, on: Any = None) -> bool:
                if on is False and radio.sick == "off":
                    radio.sick = ""
                radio._well()
                if on is not None:
                    radio._active = bool(on)
                    if not on:
                        radio.lose()
                return radio._active

            def connect(self, ssid: str = "", key: Any = None, *, bssid: Any = None) -> None:
                radio._well()
                if not radio._active:
                    raise OSError(errno.EPERM, "the radio is off")
                radio._drop()
                radio._wanted = (ssid, key or "")
                radio._since = radio.time.now

            def disconnect(self) -> None:
                radio._well()
                radio.lose()

            def isconnected(self) -> bool:
                if radio.sick:
                    radio._well()
                if radio.up:
                    return True
                state = radio.state()
                if state == JOINING and radio.joining is not None:
                    radio.joining(radio._since + radio.join_ms)
                return state == JOINED

            def status(self, param: Any = None) -> int:
                radio._well()
                if param == "rssi":
                    return radio.rssi if radio._wanted else 0
                return _NUMBERS[radio.port][radio.state()]

            def scan(self) -> list:
                radio._well()
                radio.time.spend(2000)
                found = [name for name in radio.networks if name not in radio.gone]
                return [(name.encode(), b"", 6, radio.rssi, 4, 0) for name in found]

            def deinit(self) -> None:
                if radio.sick in ("off", "deinit"):
                    radio.sick = ""
                radio._well()
                radio._active = False
                radio.lose()

            def config(self, param: Any = None, **settings: Any) -> None:
                radio._well()

            def ifconfig(self, settings: Any = None) -> tuple:
                if not radio.up:
                    return ("0.0.0.0",) * 4
                return ("10.0.0.9", "255.255.255.0", "10.0.0.1", "10.0.0.1")

        return SimpleNamespace(
            AP_IF=1, STA_IF=0, WLAN=WLAN, country=lambda *_: "XX", hostname=lambda *_: "node", STAT_GOT_IP=3
        )
