"""`tagonode scan`: the chips on a connected board's buses, told apart, and the lines of node.toml for them."""

import json
import os
import pty
import re
import time
import tomllib

import pytest
from harness import boards, commands
from harness.guest import faultsuite
from tagonode import build, config, device, places, port, scan
from tagonode.drivers import BUILT_IN
from tagonode.simulate import settings_files
from tagonode.virtual import wiring
from tagonode.virtual.bus import DirectI2C, I2CBus
from tagonode.virtual.environment import Environment
from test_driver_table import DRIVERS_KNOWN

TAGONODE = boards.MPREMOTE.parent / "tagonode"
I2C_DRIVERS = [name for name in places.drivers() if BUILT_IN.find(name).bus == "i2c"]
TOKEN = "5ca11ab1-0000-4000-8000-00000badcafe"
NODE = '[wifi]\nnetworks = ["field"]\n'

SOLDERED = (
    {"driver": "ads1115", "bus": "i2c0"},
    {"driver": "aht20", "bus": "i2c0"},
    {"driver": "bh1750", "bus": "i2c0"},
    {"driver": "bme280", "bus": "i2c0"},
    {"driver": "ina219", "bus": "i2c0", "address": 0x45},
    {"driver": "max17048", "bus": "i2c0"},
    {"driver": "scd4x", "bus": "i2c0"},
    {"driver": "sht4x", "bus": "i2c0"},
    {"driver": "aht10", "bus": "i2c1"},
    {"driver": "bh1750", "bus": "i2c1", "address": 0x5C},
    {"driver": "bme280", "bus": "i2c1", "address": 0x77},
    {"driver": "bmp280", "bus": "i2c1"},
    {"driver": "ina219", "bus": "i2c1"},
    {"driver": "sht3x", "bus": "i2c1", "address": 0x45},
)


def run(*arguments: object) -> tuple[int, str]:
    """(exit status, all it said)."""
    done = commands.run(TAGONODE, "scan", *arguments, timeout=60)
    return done.returncode, done.stdout + done.stderr


# ---- the table


def addresses(text: str) -> set[int]:
    """Of "I2C 0x44 … 0x46" or "I2C 0x23, 0x5C"."""
    numbers = [int(number, 16) for number in re.findall("0x[0-9A-F]+", text)]
    return set(range(numbers[0], numbers[-1] + 1)) if "…" in text else set(numbers)


def test_every_i2c_driver_is_in_the_table_with_all_its_addresses():
    assert sorted(known.driver for known in scan.KNOWN) == sorted(I2C_DRIVERS)
    for known in scan.KNOWN:
        assert BUILT_IN.find(known.driver).address in known.addresses
        assert set(known.addresses) == addresses(DRIVERS_KNOWN[known.driver.upper()][0])


# ---- telling chips apart: each simulated chip, asked in this process


class Bench:
    """One chip on a bus, on a clock of its own."""

    def __init__(self, chip):
        self.clock = faultsuite.Clock()
        world = Environment(illuminance=800, voltage=5, current=0.1, battery=3.9, state_of_charge=70, co2=600)
        for quantity in ("voltage_0", "voltage_1", "voltage_2", "voltage_3"):
            world.set(**{quantity: 1.2})
        self.chip = chip(world, self.clock.seconds) if callable(chip) else chip
        self.clock.elapse(5)
        self.i2c = DirectI2C(I2CBus([self.chip], elapse=self.clock.elapse))

    def ask(self, data: bytes, wait_ms: int | None, length: int) -> bytes | None:
        """As tools/tagonode/onboard/scan.py asks."""
        try:
            if wait_ms is None:
                return self.i2c.readfrom_mem(self.chip.address, data[0], length)
            if data:
                self.i2c.writeto(self.chip.address, data)
                self.clock.elapse(wait_ms / 1000)
            return self.i2c.readfrom(self.chip.address, length)
        except OSError:
            return None

    def identify(self) -> scan.Found:
        return scan.identify(self.chip.address, scan.Chip(self.ask))

    def driver(self, name: str, monkeypatch, address: int):
        """The chip's driver, with this clock for its `time`."""
        made = device.load("drivers").driver_class(name)(self.i2c, address=address)
        for cls in type(made).__mro__[:-1]:
            module = __import__(cls.__module__, fromlist=["time"])
            if hasattr(module, "time"):
                monkeypatch.setattr(module, "time", self.clock)
        return made


CASES = [(known.driver, address) for known in scan.KNOWN for address in known.addresses]


@pytest.mark.parametrize("name, address", CASES, ids=[f"{name}-{address:#x}" for name, address in CASES])
@pytest.mark.parametrize("state", ["power-on", "measured", "measuring"])
def test_each_chip_is_itself_at_each_of_its_addresses(name, address, state, monkeypatch):
    bench = Bench(lambda *world: wiring.CHIPS[name](*world, address=address))
    if state != "power-on":
        driver = bench.driver(name, monkeypatch, address)
        driver.measure()
        if state == "measuring":
            driver.start()
            bench.clock.elapse(0.2)  # by then the quick ones are done; the slow one answers meanwhile, too
    found = bench.identify()
    assert (found.driver, found.certain) == (name, name != "bh1750")


@pytest.mark.parametrize("address", sorted({address for known in scan.KNOWN for address in known.addresses}), ids=hex)
@pytest.mark.parametrize(
    "stranger",
    [
        lambda address: faultsuite.Registers(address, {}, 0x00),
        lambda address: faultsuite.Registers(address, {}, 0xFF),
        lambda address: faultsuite.Registers(address, {0: 0x12, 1: 0x34}, 0x55),
        lambda address: faultsuite.Mute(address),
        lambda address: faultsuite.Babbler(address),
    ],
    ids=["zeros", "ones", "memory", "mute", "noise"],
)
def test_a_stranger_is_taken_for_nobody(stranger, address):
    found = Bench(stranger(address)).identify()
    assert not found.certain
    silent = address in (0x23, 0x5C)
    assert found.driver == ("bh1750" if silent else None)
    assert found.candidates == [known.driver for known in scan.KNOWN if address in known.addresses]


class Expander:
    """A PCF8574: each byte it is sent switches its eight pins, each that is read is their state."""

    def __init__(self, address: int):
        self.address = address
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def read(self, length: int) -> bytes:
        return b"\x5a" * length


def test_a_relay_board_is_not_switched():
    expander = Expander(0x38)
    found = Bench(expander).identify()
    assert (found.driver, found.candidates, expander.written) == (None, ["aht20", "aht10"], [])
    expander = Expander(0x23)
    assert Bench(expander).identify().certain is False and expander.written == []


def test_an_address_of_no_driver():
    assert Bench(Expander(0x3C)).identify() == scan.Found(0x3C, None, False, [])


# ---- a board


@pytest.fixture(scope="module")
def board():
    with boards.board(sensors=SOLDERED) as made:
        yield made


@pytest.fixture(autouse=True)
def healed(request):
    yield
    if "board" in request.fixturenames:
        for bus in request.getfixturevalue("board").board.hardware.i2c.values():
            bus.heal()


def test_all_chips_of_a_board_that_has_nothing_on_it_yet(board):
    status, said = run("--port", board.port, "--board", "pico_w", "--json")
    assert status == 0, said
    result = json.loads(said.splitlines()[-1])
    found = {(bus["name"], chip["driver"], chip["address"]) for bus in result["buses"] for chip in bus["chips"]}
    soldered = {
        (each["bus"], each["driver"], each.get("address", BUILT_IN.find(each["driver"]).address)) for each in SOLDERED
    }
    assert found == soldered
    unsure = {chip["driver"] for bus in result["buses"] for chip in bus["chips"] if not chip["certain"]}
    assert unsure == {"bh1750"}
    # the lines can be pasted as they are, several sensors of a kind too
    pasted = config.check(tomllib.loads(NODE + result["toml"]), "pasted")
    assert {(sensor.bus, sensor.driver, sensor.address) for sensor in pasted.model.sensors} == soldered


def test_a_table_for_people(board):
    board.board.hardware.i2c[1].unplug(0x45)
    board.board.hardware.i2c[0].chips.append(Expander(0x3C))
    try:
        status, said = run("--port", board.port, "--board", "pico_w")
    finally:
        board.board.hardware.i2c[0].chips.pop()
    assert status == 0
    for words in (
        "i2c0",
        "0x3c",
        "no driver has this address",
        "0x76",
        "bme280",
        "identified itself",
        "by its address",
    ):
        assert words in said
    assert 'driver = "bme280"\nbus = "i2c0"\naddress = 0x76\n' in said
    assert "sht3x" not in said
    assert "\x1b" not in said


def test_a_board_that_has_been_deployed_to_says_itself_what_it_is(board):
    """Its own module of the board is asked, and its program starts again."""
    source = (places.BOARDS / "pico_w.py").read_text()
    assert '"i2c1": "gp7,gp6"' in source
    files = build.compile_all(build.modules_for(["boards.pico_w"]))
    del files["/boards/pico_w.mpy"]
    files["/boards/pico_w.py"] = source.replace('"i2c1": "gp7,gp6"', '"i2c1": "gp11,gp10"').encode()
    files |= settings_files({"format": 1, "board": "pico_w", "tagoio.token": TOKEN})
    files["/main.py"] = b"print('main.py runs')\nwhile True: pass\n"
    try:
        board.wait_for_line("main.py runs", board.restart(files))
        before = len(board.lines)
        board.board.hardware.i2c[1].hold_sda()
        status, said = run("--port", board.port, "--json")
        assert status == 0, said
        result = json.loads(said.splitlines()[-1])
        assert [(bus["name"], bus["scl"], bus["sda"]) for bus in result["buses"]] == [("i2c0", 5, 4), ("i2c1", 11, 10)]
        assert [len(bus["chips"]) for bus in result["buses"]] == [8, 6]
        assert TOKEN not in said
        board.wait_for_line("main.py runs", before)
    finally:
        with port.board_at(board.port) as transport:
            transport.exec("import os\nfor name in ('main.py', 'settings.json', 'settings.2.json'): os.remove(name)")
            transport.exec("for name in os.listdir('boards'): os.remove('boards/' + name)")


def switch(name):
    return lambda bus: setattr(bus, name, True)


@pytest.mark.parametrize(
    "trouble, words",
    [
        (
            lambda bus: setattr(bus, "pulled_up", False),
            "no chip answers, and nothing pulls the lines up (SCL is pin 5, SDA is pin 4)",
        ),
        (switch("stuck"), "SDA is held low (SCL is pin 5, SDA is pin 4)"),
        (switch("all_zeros"), "SDA is held low (SCL is pin 5, SDA is pin 4)"),
        (lambda bus: [bus.unplug(chip.address) for chip in bus.chips], "no chip answers (SCL is pin 5, SDA is pin 4)"),
    ],
    ids=["no pull-ups", "stuck", "all zeros", "nothing there"],
)
def test_a_bus_on_which_nothing_answers(board, trouble, words):
    trouble(board.board.hardware.i2c[0])
    board.board.hardware.i2c[1].all_ones = True
    status, said = run("--port", board.port, "--board", "pico_w")
    assert status == 1
    assert f"i2c0: {words}" in said
    assert "i2c1: no chip answers (SCL is pin 7, SDA is pin 6)" in said


def test_what_is_not_known_is_left_to_the_user(board):
    bus = board.board.hardware.i2c[0]
    bus.chips.append(faultsuite.Registers(0x46, {}, 0xFF))
    try:
        status, said = run("--port", board.port, "--board", "pico_w")
    finally:
        bus.chips.pop()
    assert status == 0
    assert "# i2c0, address 0x46: ina219 or sht4x? What is printed on it decides." in said


# ---- what keeps it from scanning


def silent_port() -> tuple[int, int, str]:
    """A port with nothing behind it."""
    ours, line = pty.openpty()
    return ours, line, os.ttyname(line)


def test_no_such_port():
    status, said = run("--port", "/dev/ttyNOWHERE9")
    assert status == 1
    assert said.startswith("there is no port /dev/ttyNOWHERE9: ") and "plug the board in" in said


def test_no_port_at_all(tmp_path):
    (tmp_path / "file").write_text("")
    status, said = run("--port", tmp_path / "file")
    assert (status, said) == (1, f"{tmp_path / 'file'} is no serial port: name the one that the board is on\n")


def test_no_permission(tmp_path, monkeypatch):
    (tmp_path / "port").write_text("")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    group = (tmp_path / "port").group()
    with pytest.raises(port.PortError, match=rf"no permission to open .*sudo usermod -aG {group} \$USER"):
        scan.scan(str(tmp_path / "port"))


def test_a_port_that_is_in_use(board):
    with port.board_at(board.port):
        status, said = run("--port", board.port, "--board", "pico_w")
    assert status == 1 and f"{board.port} is in use by another program: close it" in said


def test_a_port_where_nobody_answers():
    ours, line, name = silent_port()
    try:
        status, said = run("--port", name)
    finally:
        os.close(ours)
        os.close(line)
    assert status == 1
    assert said.startswith(f"no MicroPython answers at {name}: press the board's reset button") and "flash" in said
    assert len(said.splitlines()) == 1


def test_a_board_that_goes_away(board, monkeypatch):
    def call(self, *asked):
        self._transport.serial.close()
        return self._transport.eval("1")

    monkeypatch.setattr(scan.Board, "call", call)
    with pytest.raises(port.PortError, match=f"the board at {board.port} went away: check its cable"):
        scan.scan(board.port)


def test_a_board_that_cannot(board):
    text = "could not do it: OSError: .*28"
    with pytest.raises(port.PortError, match=text), port.board_at(board.port) as transport:
        transport.exec("raise OSError(28)")


def test_a_board_that_says_nothing_of_itself(board):
    status, said = run("--port", board.port)
    assert status == 2
    assert said.startswith("this board has no TagoNode yet, so say with --board which one it is (one of esp32, ")


@pytest.mark.parametrize(
    "machine, name",
    [
        ("Raspberry Pi Pico W with RP2040", "pico_w"),
        ("Raspberry Pi Pico 2 W with RP2350", "pico2_w"),
        ("Generic ESP32 module with ESP32", "esp32"),
        ("Generic ESP32S3 module with ESP32S3", "esp32s3"),
        ("Generic ESP32C3 module with ESP32C3", "esp32c3"),
        ("Generic ESP32S3 module with ESP32-S3", "esp32s3"),
        ("UM FeatherS3 with ESP32-S3", "esp32s3"),
    ],
)
def test_a_hint_which_board_it_is(machine, name):
    with pytest.raises(scan.ScanError, match=re.escape(f"it calls itself {machine}: --board {name})")):
        scan._which_board(None, None, machine)


def test_no_such_board(board):
    status, said = run("--port", board.port, "--board", "pico")
    assert (status, said.partition(";")[0]) == (2, "--board pico: there is no such board")


def test_it_takes_little_time(board):
    """A board's watchdog goes on meanwhile: 8.4 s on RP2040."""
    began = time.process_time()
    scan.scan(board.port, "pico_w", as_json=True)
    assert time.process_time() - began < 2
