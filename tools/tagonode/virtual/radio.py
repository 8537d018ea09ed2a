"""The Wi-Fi chip of a virtual board, as its driver shows it: association takes time, can fail, and can be lost."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

STAT_IDLE, STAT_CONNECTING, STAT_NO_ADDRESS = 0, 1, 2
STAT_WRONG_PASSWORD, STAT_NO_AP_FOUND, STAT_CONNECT_FAIL, STAT_GOT_IP = -3, -2, -1, 3
# ports/esp32/network_wlan.c
_ESP32 = {
    STAT_IDLE: 1000,
    STAT_CONNECTING: 1001,
    STAT_WRONG_PASSWORD: 202,
    STAT_NO_AP_FOUND: 201,
    STAT_CONNECT_FAIL: 203,
    STAT_GOT_IP: 1010,
}

EPERM, EIO = 1, 5


@dataclass
class AccessPoint:
    """One Wi-Fi network in reach: its name, its password, and how strongly the board hears it (dBm)."""

    ssid: str
    key: str
    rssi: Callable[[], float] = lambda: -61.0


@dataclass
class Radio:
    """A station interface.

    scan_s: how long it takes to look around. addresses: whether the networks give any. sick: it raises EIO, until it is
    switched off ("off"), until its firmware starts anew ("deinit"), until the board does ("reset"), or for ever.
    nameserver: what DHCP gives as DNS server, "address" or "address:port"; clock: seconds, monotonic. port: rp2's
    states have other numbers than esp32's, which repeats an attempt that failed, and calls that connecting, unless it
    was told reconnects=0. has_its_pins, broken: on a Pico W others can take its clock.
    """

    clock: Callable[[], float]
    access_points: list[AccessPoint] = field(default_factory=list)
    nameserver: str = "127.0.0.1"
    association_s: float = 0.03
    port: str = "rp2"
    scan_s: float = 0.0
    addresses: bool = True
    sick: str = ""
    country: str = ""
    hostname: str = ""
    configured: dict = field(default_factory=dict)
    has_its_pins: bool = True
    broken: bool = False
    _reconnects: int = -1
    _active: bool = False
    _wanted: tuple[str, str] | None = None
    _since: float = 0.0
    _address: list | None = None

    def power_off(self) -> None:
        self._active = False
        self._wanted = self._address = None
        if self.sick != "for ever":
            self.sick = ""
        self.has_its_pins = True
        self.broken = False
        self._reconnects = -1

    @property
    def active(self) -> bool:
        return self._active

    def operate(self, payload: bytes) -> bytes:
        """One call of the guest's `network`: JSON [method, arguments] in, JSON result out."""
        if self.broken or not self.has_its_pins:
            raise OSError(EIO, "the radio does not hear its clock")
        method, arguments = json.loads(payload)
        if (
            method == "deinit"
            and self.sick in ("off", "deinit")
            or [method, arguments] == ["active", [False]]
            and (self.sick == "off")
        ):
            self.sick = ""
        if self.sick:
            raise OSError(EIO, "the radio does not answer")
        return json.dumps(getattr(self, "_on_" + method)(*arguments)).encode()

    def _access_point(self) -> AccessPoint | None:
        wanted = self._wanted[0] if self._wanted else None
        return next((ap for ap in self.access_points if ap.ssid == wanted), None)

    def _state(self) -> int:
        if not self._active or self._wanted is None:
            return STAT_IDLE
        if self.clock() - self._since < self.association_s:
            return STAT_CONNECTING
        point = self._access_point()
        if point is None:
            return STAT_NO_AP_FOUND
        if point.key != self._wanted[1]:
            return STAT_WRONG_PASSWORD
        if self.addresses or self._address:
            return STAT_GOT_IP
        return STAT_CONNECTING if self.port == "esp32" else STAT_NO_ADDRESS

    def _on_active(self, on):
        if on is not None:
            self._active = bool(on)
            if not on:
                self._wanted = None
        return self._active

    def _on_connect(self, ssid, key):
        if not self._active:
            raise OSError(EPERM, "the radio is off")
        self._wanted = (ssid, key)
        self._since = self.clock()

    def _on_disconnect(self):
        self._wanted = None

    def _on_isconnected(self):
        return self._state() == STAT_GOT_IP

    def _on_status(self, param):
        if param == "rssi":
            point = self._access_point()  # heard from the first beacon on, before the association is complete
            return round(point.rssi()) if point else 0
        state = self._state()
        if self.port != "esp32":
            return state
        return _ESP32[STAT_CONNECTING if state < STAT_IDLE and self._reconnects else state]

    def _on_scan(self):
        return [self.scan_s, [[ap.ssid, "", 6, round(ap.rssi()), 4, 0] for ap in self.access_points]]

    def _on_deinit(self):
        self._active = False
        self._wanted = None

    def _on_config(self, param, settings):
        if "reconnects" in settings:
            if self.port != "esp32":
                raise ValueError("unknown config param")
            self._reconnects = settings["reconnects"]
        self.configured.update(settings)

    def _on_ifconfig(self, settings):
        if settings:
            self._address = settings
            return settings
        if self._state() != STAT_GOT_IP:
            return ["0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0"]
        if self._address:
            return self._address
        return ["127.0.0.1", "255.0.0.0", "127.0.0.1", self.nameserver]

    def _on_country(self, code):
        self.country = self.country if code is None else code
        return self.country

    def _on_hostname(self, name):
        self.hostname = self.hostname if name is None else name
        return self.hostname
