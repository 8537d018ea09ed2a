"""What a sensor has counted survives resets and power cuts: it never goes back, and nothing is counted twice."""

import sys

import pytest
from agent.assemble import load_sensor
from agent.sampler import Sensor
from agent.totals import Counter
from harness import heap, only

CHANNELS = (("count", "pulses", 0),)


class Meter:
    """A driver that counts: `pulses` since it was made, on top of what it is told."""

    COUNTS = True

    def __init__(self, bus, address=None, total=0, factor=1):
        self.total = total
        self.factor = factor

    def start(self):
        return 0

    def read(self):
        return (self.total * self.factor,)


class Board:
    def bus(self, name):
        return name


def life(folder, bus="pin:gp14", address=None, **options):
    """A sensor of a node that has just started."""
    return Counter("meter", Meter, Board(), bus, address, CHANNELS, 0, options, folder + "/totals")


def reading(sensor):
    sensor.start()
    return sensor.read()[0]


def test_counts_go_on_in_the_next_life(tmp):
    expected = 0
    for pulses in (0, 1, 7, 0, 1000000000, 3):
        sensor = life(tmp)
        assert reading(sensor) == expected
        sensor._chip.total += pulses
        expected += pulses
        assert reading(sensor) == expected


def test_what_was_reported_is_kept_before(tmp):
    sensor = life(tmp)
    for pulses in (1, 2, 3):
        sensor.start()
        sensor._chip.total += pulses
        reported = sensor.read()[0]
        assert reading(life(tmp)) == reported


def test_written_when_it_differs_and_only_then(tmp):
    import agent.totals

    opened = []

    def spy(path, mode="r"):
        opened.append(mode)
        return open(path, mode)

    agent.totals.open = spy
    try:
        sensor = life(tmp)
        for pulses in (0, 0, 1, 0, 0, 2, 0):
            sensor.start()
            sensor._chip.total += pulses
            sensor.read()
    finally:
        del agent.totals.open
    assert opened == ["r", "w", "w"]


def test_each_sensor_has_its_own(tmp):
    places = (("pin:gp14", None), ("pin:gp15", None), ("i2c0", 0x40), ("i2c0", 0x41), ("i2c1", 0x40))
    for number, (bus, address) in enumerate(places):
        sensor = life(tmp, bus, address)
        sensor.start()
        sensor._chip.total += number + 1
        sensor.read()
    assert [reading(life(tmp, bus, address)) for bus, address in places] == [1, 2, 3, 4, 5]


def test_where_it_begins_is_an_option(tmp):
    """A meter's face shows 4711 when the node is screwed to it; later somebody sets it right, and never back."""
    assert reading(life(tmp, total=4711, factor=2)) == 9422
    sensor = life(tmp, total=4711)
    sensor.start()
    sensor._chip.total += 4
    assert sensor.read() == (4715,)
    assert reading(life(tmp, total=4711)) == 4715
    assert reading(life(tmp, total=5000)) == 5000
    assert reading(life(tmp)) == 5000


def test_a_count_that_cannot_be_kept_is_no_reading(tmp):
    sensor = Counter("meter", Meter, Board(), "pin:gp14", None, CHANNELS, folder=tmp + "/no/such/folder")
    assert reading(sensor) == 0  # nothing to keep
    sensor._chip.total += 1
    for _ in range(2):
        sensor.start()
        with pytest.raises(OSError, match="folder/pin_gp14 cannot be kept (error 2): check the flash"):
            sensor.read()
    sensor._path = tmp + "/now"
    assert reading(sensor) == 1


@pytest.mark.parametrize("text", ("12a4", "nan", "\x00\x00"))
def test_a_file_that_holds_no_number_is_said_once(tmp, text):
    assert reading(life(tmp)) == 0
    with open(tmp + "/totals/pin_gp14", "w") as file:
        file.write(text)
    sensor = life(tmp, total=5)
    with pytest.raises(ValueError, match="totals/pin_gp14 holds no total: counting from 0 again"):
        sensor.start()
    assert reading(sensor) == 5
    assert reading(life(tmp)) == 5


def test_a_file_that_is_empty_is_none(tmp):
    """The power went between its making and its first number."""
    life(tmp).start()
    open(tmp + "/totals/pin_gp14", "w").close()
    assert reading(life(tmp, total=3)) == 3


def test_a_file_that_cannot_be_read_now_is_asked_again(tmp):
    import agent.totals

    first = life(tmp, total=42)
    assert reading(first) == 42

    def broken(path, mode="r"):
        raise OSError(5)

    sensor = life(tmp)
    agent.totals.open = broken
    try:
        for _ in range(2):
            with pytest.raises(OSError, match="totals/pin_gp14 cannot be read (error 5): check the flash"):
                sensor.start()
    finally:
        del agent.totals.open
    assert reading(sensor) == 42


def test_only_sensors_that_count_are_counters():
    row = {"driver": "pulse_counter", "bus": "pin:gp14", "options": {"factor": 2}, "channels": []}
    assert isinstance(load_sensor(row, Board()), Counter)
    row = {"driver": "bme280", "bus": "i2c0", "channels": []}
    assert type(load_sensor(row, Board())) is Sensor
    assert row == {"driver": "bme280", "bus": "i2c0", "channels": []}


def test_a_node_without_counters_does_not_load_this():
    """In a process of its own on MicroPython; on CPython this module has loaded it."""
    if sys.implementation.name != "micropython":
        pytest.skip("the module is loaded once for all tests")
    del sys.modules["agent.totals"]
    load_sensor({"driver": "bme280", "bus": "i2c0", "channels": []}, Board())
    assert "agent.totals" not in sys.modules


class Flash:
    """A block device in RAM that keeps what changed it: (block, offset, data), an erased block's with data None."""

    def __init__(self, block, image):
        self.block = block
        self.image = image
        self.log = []

    def apply(self, number, offset, data):
        at = number * self.block + offset
        data = data or b"\xff" * self.block
        self.image[at : at + len(data)] = data

    def readblocks(self, number, buf, offset=0):
        at = number * self.block + offset
        buf[:] = self.image[at : at + len(buf)]

    def writeblocks(self, number, buf, offset=0):
        self.log.append((number, offset, bytes(buf)))
        self.apply(number, offset, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.image) // self.block
        if op == 5:
            return self.block
        if op == 6:
            self.log.append((arg, 0, None))
            self.apply(arg, 0, None)
        return 0


def mounted(device, program, make=False):
    """Where its littlefs is."""
    import vfs

    if make:
        vfs.VfsLfs2.mkfs(device, readsize=32, progsize=program)
    vfs.mount(vfs.VfsLfs2(device, readsize=32, progsize=program), "/ram")
    return "/ram"


@only("micropython", why="CPython has no littlefs")
@heap("384K")
@pytest.mark.parametrize("program", (32, 256))
def test_the_power_goes_at_each_operation_of_flash(program):
    """And in the middle of it: the total found then is not behind the last one reported, nor ahead of the next."""
    import vfs

    block = 4 * program
    device = Flash(block, bytearray(12 * block))
    mounted(device, program, make=True)
    image = bytearray(device.image)
    device.log.clear()
    sensor = life("/ram")
    reported = []  # (operations, total): after so many of them that was reported
    for _ in range(40):
        total = reading(sensor)
        reported.append((len(device.log), total))
        sensor._chip.total += 1
    vfs.umount("/ram")
    log = device.log
    assert len(log) > 40 and None in [data for _, _, data in log]
    cut = Flash(block, bytearray(len(image)))
    for count in range(len(log)):
        number, offset, data = log[count]
        for part in (None, data and data[: len(data) // 2]):
            cut.image[:] = image
            cut.log.clear()
            if part:
                cut.apply(number, offset, part)
            mounted(cut, program)
            total = reading(life("/ram"))
            vfs.umount("/ram")
            behind = max([0] + [said for operations, said in reported if operations <= count])
            assert total in (behind, behind + 1), (count, total, behind)
        Flash(block, image).apply(number, offset, data)


@only("micropython", why="CPython has no littlefs")
@heap("384K")
def test_what_it_costs_in_flash():
    """Of 1000 readings that differ from the one before: a program each, and an erase for every 15 on a Pico's flash."""
    device = Flash(4096, bytearray(8 * 4096))
    sensor = life(mounted(device, 256, make=True))
    reading(sensor)
    programs = erases = 0
    for _ in range(1000):
        device.log.clear()
        sensor._chip.total += 1
        reading(sensor)
        erased = sum([data is None for _, _, data in device.log])
        erases += erased
        programs += len(device.log) - erased
    assert programs <= 1010 and erases <= 70, (programs, erases)
