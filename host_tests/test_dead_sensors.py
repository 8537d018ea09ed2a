"""Eight sensors on two buses of one virtual node: what three of them suffer is not the other five's concern."""

import datetime
from collections import Counter

from virtualnode import VirtualNode

EVERY_S = 60
SAMPLES = 200
# driver, bus, what its channels are called here
SENSORS = (
    ("bme280", "i2c0", ("bme_t", "bme_h", "bme_p")),
    ("bh1750", "i2c0", ("light",)),
    ("aht20", "i2c0", ("aht_t", "aht_h")),
    ("sht4x", "i2c0", ("sht4_t", "sht4_h")),
    ("bmp280", "i2c1", ("bmp_t", "bmp_p")),
    ("sht3x", "i2c1", ("sht3_t", "sht3_h")),
    ("ina219", "i2c1", ("volt", "amp", "watt")),
    ("max17048", "i2c1", ("cell", "charge")),
)
CHANNELS = {
    "bme280": ("temperature", "humidity", "pressure"),
    "bh1750": ("illuminance",),
    "bmp280": ("temperature", "pressure"),
    "ina219": ("voltage", "current", "power"),
    "max17048": ("voltage", "state_of_charge"),
}
DYING = ("bme280", "sht3x", "ina219")


class Stranger:
    """Another chip at an address: acknowledges everything, and all it ever says is 0xFF."""

    def __init__(self, address: int):
        self.address = address

    def power_on(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def read(self, length: int) -> bytes:
        return b"\xff" * length


class Weak:
    """A chip whose supply breaks down whenever it is read."""

    def __init__(self, chip):
        self._chip = chip
        self.address = chip.address

    def power_on(self) -> None:
        self._chip.power_on()

    def write(self, data: bytes) -> None:
        self._chip.write(data)

    def read(self, length: int) -> bytes:
        self._chip.power_on()
        return self._chip.read(length)


def settings():
    sensors = []
    for driver, bus, names in SENSORS:
        channels = CHANNELS.get(driver, ("temperature", "humidity"))
        renamed = {channel: {"variable": name} for channel, name in zip(channels, names, strict=True)}
        sensors.append({"driver": driver, "bus": bus, "channels": renamed})
    # the code of eight drivers is more than a Pico W's heap has room for beside all else
    return {"board": "pico2_w", "sample": {"every": EVERY_S}, "run": {"samples": SAMPLES}, "sensors": sensors}


def chip_at(bus, address):
    return next(i for i, chip in enumerate(bus.chips) if chip.address == address)


def test_three_of_eight_die_and_come_back():
    with VirtualNode(settings()) as node:
        first, second = node.hardware.i2c[0], node.hardware.i2c[1]

        def sampled():
            return node.state.get("samples", 0)

        node.run_until(lambda: sampled() >= 40, 50 * EVERY_S)
        first.unplug(0x76)  # no answer at all
        weak, stranger = chip_at(second, 0x40), chip_at(second, 0x44)
        healthy = second.chips[weak], second.chips[stranger]
        second.chips[weak] = Weak(healthy[0])
        second.chips[stranger] = Stranger(0x44)
        node.run_until(lambda: sampled() >= 120, 90 * EVERY_S, step=EVERY_S / 4)
        first.plug(0x76)
        second.chips[weak], second.chips[stranger] = healthy
        for chip in healthy:
            chip.power_on()
        node.run_until(lambda: node.state.get("done"), 100 * EVERY_S, step=EVERY_S / 4)
        node.check()
        names = {name for _, _, names in SENSORS for name in names}
        records = [record for record in node.records() if record["variable"] in names]
    seen = Counter(record["variable"] for record in records)
    for driver, _, own in SENSORS:
        counts = [seen[name] for name in own]
        if driver in DYING:
            # gone for 80 of 200 samples, and back with the next
            assert all(118 <= count <= 121 for count in counts), (driver, counts)
        else:
            # the first pass may come too soon after power-on for a chip
            assert all(count >= SAMPLES - 1 for count in counts), (driver, counts)
    # on schedule: a sample on each point of the grid, to the hundredth of a second, whoever is dead
    times = sorted({datetime.datetime.fromisoformat(record["time"]).timestamp() for record in records})
    assert len(times) == SAMPLES
    # (the first one may come before the time of day is known)
    off = [abs(moment - round(moment / EVERY_S) * EVERY_S) for moment in times[1:]]
    assert max(off) < 0.01, max(off)
    assert {round(b - a) for a, b in zip(times[1:], times[2:], strict=False)} == {EVERY_S}
    print(
        {driver: [seen[name] for name in own] for driver, _, own in SENSORS}, f"{max(off):.3f} s off the grid at most"
    )
    newest = {record["variable"] for record in records if record["group"].endswith(f"_{SAMPLES}")}
    assert newest == names
    for driver in DYING:
        assert len(node.said(f"{driver} works again")) == 1
