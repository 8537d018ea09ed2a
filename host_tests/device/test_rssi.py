"""RSSI: a number while there is a link, SensorError while there is none, in each port's own words."""

import pytest
from drivers import SensorError
from drivers.rssi import RSSI


class Radio:
    """network.WLAN's status("rssi"): says, in turn, what it is given; exceptions are raised."""

    def __init__(self, *says):
        self._says = list(says)

    def status(self, what):
        assert what == "rssi"
        said = self._says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def test_channels():
    assert RSSI.CHANNELS == (("rssi", "dBm"),)


@pytest.mark.parametrize("dbm", (-1, -42, -94, -127))
def test_a_link(dbm):
    sensor = RSSI(Radio(dbm))
    assert sensor.start() == 0
    assert sensor.read() == (dbm,)


@pytest.mark.parametrize(
    "said", (0, 31, -128, -255, OSError(-1), OSError(5), ValueError("unknown status param"))
)
def test_no_link(said):
    sensor = RSSI(Radio(said, -60))
    with pytest.raises(SensorError, match="RSSI: .*no Wi-Fi link"):
        sensor.measure()
    assert sensor.measure() == (-60,)
