"""A node is put together from its settings: which driver, on which bus, with which channels."""

import pytest
from agent.assemble import load_sensor


class Board:
    """Buses by name, and which were asked for."""

    def __init__(self):
        self.asked = []

    def bus(self, name):
        self.asked.append(name)


def test_sensors_come_from_the_settings():
    board = Board()
    row = {"driver": "bme280", "bus": "i2c0", "channels": [["t", "°C", 2], ["h", "%", 1], ["p", "hPa", 2]]}
    sensor = load_sensor(row, board)
    assert sensor.name == "bme280"
    assert sensor.channels == (("t", "°C", 2), ("h", "%", 1), ("p", "hPa", 2))
    assert board.asked == []  # nothing is touched before the first sample
    with pytest.raises(ImportError):
        load_sensor({"driver": "nonesuch", "bus": "i2c0", "channels": []}, board)
