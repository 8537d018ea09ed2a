"""Loaded when a node's settings want its Wi-Fi otherwise than as MicroPython has it."""

import network


class Wifi:
    """settings: the board's, of which country, hostname, address, gateway, dns and power_save of Wi-Fi are used."""

    def __init__(self, settings: dict):
        self._country = settings["wifi.country"]
        self._hostname = settings["wifi.hostname"]
        self._power_save = settings["wifi.power_save"]
        self._address: tuple = ()
        if settings["wifi.address"]:
            address, _, bits = settings["wifi.address"].partition("/")
            mask = 0xFFFFFFFF << 32 - int(bits) & 0xFFFFFFFF
            octets = ".".join([str(mask >> shift & 255) for shift in (24, 16, 8, 0)])
            self._address = (address, octets, settings["wifi.gateway"], settings["wifi.dns"])

    def settle(self, wlan) -> None:
        """Switch the station interface on. Raises what ports raise for what they cannot do."""
        if self._country:
            network.country(self._country)
        if self._hostname:
            network.hostname(self._hostname)
        wlan.active(True)
        mode = getattr(wlan, "PM_" + self._power_save.upper(), None)  # older MicroPython has no names for them
        if mode is not None:
            wlan.config(pm=mode)
        if self._address:
            wlan.ifconfig(self._address)
