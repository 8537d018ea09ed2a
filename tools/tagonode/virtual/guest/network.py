"""`network` for a virtual board: a station interface whose radio is simulated in the host process."""

import json

import backplane

STA_IF = 0
AP_IF = 1

STAT_IDLE = 0
STAT_CONNECTING = 1
STAT_WRONG_PASSWORD = -3
STAT_NO_AP_FOUND = -2
STAT_CONNECT_FAIL = -1
STAT_GOT_IP = 3


def _radio(method, *args):
    return json.loads(backplane.call(backplane.WIFI, 0, json.dumps([method, args]).encode()))


def country(code=None):
    return _radio("country", code)


def hostname(name=None):
    return _radio("hostname", name)


class WLAN:
    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __init__(self, interface=STA_IF):
        pass

    def active(self, on=None):
        return _radio("active", on)

    def connect(self, ssid=None, key=None, *, bssid=None):
        _radio("connect", ssid, key)

    def disconnect(self):
        _radio("disconnect")

    def isconnected(self):
        return _radio("isconnected")

    def status(self, param=None):
        return _radio("status", param)

    def scan(self):
        import time  # now, for it may be virtual

        seconds, rows = _radio("scan")
        time.sleep_ms(int(seconds * 1000))
        return [(row[0].encode(), b"") + tuple(row[2:]) for row in rows]

    def deinit(self):
        _radio("deinit")

    def config(self, param=None, **settings):
        return _radio("config", param, settings)

    def ifconfig(self, settings=None):
        return tuple(_radio("ifconfig", settings))
