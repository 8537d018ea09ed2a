"""RSSI: strength of the Wi-Fi signal at the node, in dBm (-50 is strong, below -80 is poor).

    from drivers.rssi import RSSI
    print(RSSI(wlan).measure())     # (-61,)

A reading like any other, so that a node that falls silent can be told from one that was out of reach.
"""

from drivers import Sensor, SensorError


class RSSI(Sensor):
    """wlan: network.WLAN or alike, in station mode. Raises SensorError while there is no link."""

    CHANNELS = (("rssi", "dBm"),)
    BUS = "wifi"
    _REMEDY = "no Wi-Fi link"

    def __init__(self, wlan):
        self._wlan = wlan

    def _read(self) -> tuple:
        dbm = self._wlan.status("rssi")
        # 0 is what drivers of the radio report without a link.
        if not -128 < dbm < 0:
            raise SensorError(f"{dbm} dBm")
        return (dbm,)
