"""tagonode scan: which chips are on the buses of a connected board, with the lines of node.toml that name them.

Chips are asked in ways that do no harm to others: registers are read, and a command is sent to an address only where
it means nothing to any usual chip, or after the chip there has shown that it is none to which each byte is an output.
"""

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from mpremote.transport_serial import SerialTransport
from rich.console import Console
from rich.table import Table

from tagonode import config, device, places, port
from tagonode.drivers import BUILT_IN

_SCRIPT = places.ONBOARD / "scan.py"
# as many as answer when SDA is held low
_ALL = 100
# from power to the first command: SCD4x 2.4
_POWER_UP_S = 1.0


class ScanError(Exception):
    """Why nothing could be scanned, with the remedy."""


class Chip:
    """What answers at one address, and can be asked: each method returns the bytes read, b"" when there was no answer.

    ask(data to write, milliseconds until reading or None for a register, bytes to read).
    """

    def __init__(self, ask: Callable[[bytes, int | None, int], bytes | None]):
        self._ask = ask

    def register(self, number: int, length: int = 2) -> bytes:
        """Contents of a register and those that follow."""
        return self._ask(bytes([number]), None, length) or b""

    def answer(self, command: bytes, wait_ms: int, length: int) -> bytes:
        """The answer to a command, a while later."""
        return self._ask(command, wait_ms, length) or b""

    def read(self, length: int) -> bytes:
        """What it gives unasked."""
        return self._ask(b"", 0, length) or b""


def _words_fit(answer: bytes, words: int) -> bool:
    """Whether it is so many words of 16 bits, each followed by Sensirion's CRC."""
    crc8 = device.load("drivers.sensirion").crc8
    return len(answer) == 3 * words and all(crc8(answer, i, i + 2) == answer[i + 2] for i in range(0, 3 * words, 3))


def _is_aht20(chip: Chip) -> bool:
    """Its frames end in a CRC (AHT20 5.4). What it gives before its first measurement need not."""
    crc8 = device.load("drivers.sensirion").crc8

    def fits(frame: bytes) -> bool:
        return len(frame) == 7 and len(set(frame)) > 1 and crc8(frame, 0, 6) == frame[6]

    frame = chip.read(7)
    return fits(frame) or _is_no_expander(frame) and fits(chip.answer(b"\xac\x33\x00", 90, 7))


def _is_aht10(chip: Chip) -> bool:
    """It takes the command that calibrates it, which an AHT20 does not know, then is busy for a measurement, and done
    (AHT10 5.4)."""
    if not _is_no_expander(chip.read(7)):
        return False
    calibrated = chip.answer(b"\xe1\x08\x00", 15, 1)
    busy = chip.answer(b"\xac\x33\x00", 0, 1)
    done = chip.answer(b"\x71", 90, 6), chip.read(6)
    status = [answer[0] & 0x88 for answer in (calibrated, busy, *done) if answer]
    return status == [0x08, 0x88, 0x08, 0x08] and done[0] == done[1]


def _is_no_expander(frame: bytes) -> bool:
    """A PCF8574 at this address gives its pins again and again, and would switch them at each byte it is sent."""
    return len(set(frame)) > 1


def _is_ina219(chip: Chip) -> bool:
    """Its configuration after power-on (8.6.2.1), or as our driver leaves it. It has no register that identifies it."""
    ours = device.load("drivers.ina219")._SETTINGS
    word = int.from_bytes(chip.register(0), "big")
    return word in (0x399F, *(ours & ~7 | gain << 11 | mode for gain in range(4) for mode in (0, 3, 7)))


def _is_ads1115(chip: Chip) -> bool:
    """Its thresholds after power-on (9.6.4), the lower one perhaps as our driver leaves it."""
    mark = device.load("drivers.ads1115")._MARK
    low, high = (int.from_bytes(chip.register(number), "big") for number in (2, 3))
    return high == 0x7FFF and low in (0x8000, mark)


@dataclass(frozen=True)
class Known:
    """A driver's chip: addresses that it can have; identified(chip) -> bool, None for one that cannot be told."""

    driver: str
    addresses: range | tuple[int, ...]
    identified: Callable[[Chip], bool] | None


# In the order of asking: those that only read registers come first.
KNOWN = (
    Known("bme280", (0x76, 0x77), lambda chip: chip.register(0xD0, 1) == b"\x60"),  # 5.4.1
    Known("bmp280", (0x76, 0x77), lambda chip: chip.register(0xD0, 1) == b"\x58"),  # 4.3.1
    Known("max17048", (0x36,), lambda chip: int.from_bytes(chip.register(8), "big") >> 4 == 0x001),  # "VERSION"
    Known("ina219", range(0x40, 0x50), _is_ina219),
    Known("ads1115", range(0x48, 0x4C), _is_ads1115),
    Known("sht4x", range(0x44, 0x47), lambda chip: _words_fit(chip.answer(b"\x89", 2, 6), 2)),  # serial number, 4.5
    Known("sht3x", (0x44, 0x45), lambda chip: _words_fit(chip.answer(b"\xf3\x2d", 2, 3), 1)),  # status, 4.11
    # get_data_ready_status (3.8.2), which it answers while it measures, too
    Known("scd4x", (0x62,), lambda chip: _words_fit(chip.answer(b"\xe4\xb8", 2, 3), 1)),
    Known("aht20", (0x38,), _is_aht20),
    Known("aht10", (0x38,), _is_aht10),
    Known("bh1750", (0x23, 0x5C), None),
)


@dataclass
class Found:
    """What answers at one address. driver: its driver's name, None when that is open among `candidates`, or when
    those are none; certain: it has identified itself."""

    address: int
    driver: str | None
    certain: bool
    candidates: list[str]


@dataclass
class Bus:
    """One I2C bus and what was found on it. problem: why that is nothing, with the remedy."""

    name: str
    scl: int
    sda: int
    chips: list[Found] = field(default_factory=list)
    problem: str | None = None


def identify(address: int, chip: Chip) -> Found:
    """Which of the drivers' chips it is."""
    candidates = [known for known in KNOWN if address in known.addresses]
    for known in candidates:
        if known.identified is not None and known.identified(chip):
            return Found(address, known.driver, True, [])
    names = [known.driver for known in candidates]
    silent = [known.driver for known in candidates if known.identified is None]
    if len(silent) == 1:
        return Found(address, silent[0], False, names)
    return Found(address, None, False, names)


class Board:
    """The connected board, with the script on it."""

    def __init__(self, transport: SerialTransport):
        self._transport = transport
        transport.exec(_SCRIPT.read_bytes())

    def call(self, function: str, *arguments: Any) -> Any:
        """Call one of the script's functions."""
        return port.call(self._transport, function, *arguments)

    def scan(self, name: str, scl: int, sda: int) -> Bus:
        """All of one bus."""
        bus = Bus(name, scl, sda)
        addresses, levels = self.call("look", name, scl, sda)
        if len(addresses) > _ALL:
            addresses, levels = [], [1, 0]
        if not addresses:
            bus.problem = _nothing(bus, *levels)
        bus.chips = [self._identify(name, address) for address in addresses]
        unsure = [chip.address for chip in bus.chips if chip.candidates and not chip.driver]
        if unsure:
            time.sleep(_POWER_UP_S)
            bus.chips = [self._identify(name, chip.address) if chip.address in unsure else chip for chip in bus.chips]
        return bus

    def _identify(self, name: str, address: int) -> Found:
        return identify(address, Chip(lambda *asked: self.call("ask", name, address, *asked)))


def _nothing(bus: Bus, scl: int, sda: int) -> str:
    """Why no chip answers, as far as the levels of the lines tell."""
    pins = f"SCL is pin {bus.scl}, SDA is pin {bus.sda}"
    if not scl and not sda:
        return (
            f"no chip answers, and nothing pulls the lines up ({pins}): connect the chips' 3.3 V and GND; bare chips "
            "need resistors of 4.7 kΩ from both lines to 3.3 V"
        )
    if not sda or not scl:
        line = "SCL" if sda else "SDA"
        return f"{line} is held low ({pins}): switch the chips off and on; if that does not help, look for a short"
    return f"no chip answers ({pins}): check that SCL and SDA are not swapped, and that each chip has power"


def _which_board(given: str | None, deployed: str | None, machine: str) -> str:
    if given is not None and given not in places.boards():
        raise ScanError(f"--board {given}: there is no such board; there are {', '.join(places.boards())}")
    if given or deployed:
        return given or deployed or ""
    likely = port.board_called(machine)
    hint = f"it calls itself {machine}: --board {likely}" if likely else f"one of {', '.join(places.boards())}"
    raise ScanError(f"this board has no TagoNode yet, so say with --board which one it is ({hint})")


def toml(board: str, buses: list[Bus]) -> str:
    """The lines of node.toml for what was found. Variables of two sensors are named after their drivers."""
    unsure = [
        f"# {bus.name}, address {chip.address:#04x}: {' or '.join(chip.candidates)}? What is printed on it decides.\n"
        for bus in buses
        for chip in bus.chips
        if chip.candidates and not chip.driver
    ]
    sensors = [(bus, chip) for bus in buses for chip in bus.chips if chip.driver]
    channels = {id(chip): BUILT_IN.find(chip.driver or "").channels({}) for _, chip in sensors}
    times = Counter(variable for rows in channels.values() for variable, _ in rows)
    taken: set[str] = set()
    blocks = []
    for bus, chip in sensors:
        remark = "" if chip.certain else "    # as far as its address tells"
        block = ["[[sensors]]", f'driver = "{chip.driver}"{remark}', f'bus = "{bus.name}"']
        block.append(f"address = {chip.address:#04x}")
        for variable, _ in channels[id(chip)]:
            name = variable
            for more in (chip.driver, f"{chip.address:x}", bus.name):
                if name not in taken and (times[variable] == 1 or name != variable):
                    break
                name += f"_{more}"
            taken.add(name)
            if name != variable:
                block += [f"[sensors.channels.{variable}]", f'variable = "{name}"']
        blocks.append("\n".join(block) + "\n")
    return f'# board = "{board}"\n' + "\n".join(unsure + blocks) if unsure or blocks else ""


def _table(buses: list[Bus]) -> Table:
    table = Table("bus", "address", "driver", "how it is known")
    for bus in buses:
        for chip in bus.chips:
            if chip.certain:
                remark = "identified itself"
            elif chip.driver:
                remark = "by its address alone: it cannot be asked"
            elif chip.candidates:
                remark = f"{' or '.join(chip.candidates)}? It did not identify itself"
            else:
                remark = "no driver has this address"
            table.add_row(bus.name, f"{chip.address:#04x}", chip.driver or "?", remark)
    return table


@contextlib.contextmanager
def _working(console: Console, text: str) -> Iterator[None]:
    with console.status(text) if console.is_terminal else contextlib.nullcontext():
        yield


def scan(where: str, given: str | None = None, as_json: bool = False) -> int:
    """Scan the board at a port and print what is there. Returns 0 when chips were found, else 1.

    Raises PortError and ScanError.
    """
    errors = Console(stderr=True)
    with _working(errors, f"looking at the board on {where}"), port.board_at(where) as transport:
        on_board = Board(transport)
        deployed, machine, has_main = on_board.call("who")
        try:
            board = _which_board(given, deployed, machine)
            known = config.board_buses(board).fixed if board in places.boards() else {}
            pins = [
                [name, *(int(pin.lstrip("gpio")) for pin in both)]
                for name, both in known.items()
                if name.startswith("i2c")
            ]
            buses = [on_board.scan(*row) for row in on_board.call("buses", board, pins)]
        finally:
            if has_main:
                port.restart(transport)
    lines = toml(board, buses)
    if as_json:
        result = {"port": where, "board": board, "buses": [asdict(bus) for bus in buses], "toml": lines}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    else:
        _show(buses, lines)
    return 0 if any(bus.chips for bus in buses) else 1


def _show(buses: list[Bus], lines: str) -> None:
    console = Console()
    if any(bus.chips for bus in buses):
        console.print(_table(buses))
    for bus in buses:
        if bus.problem:
            console.print(f"{bus.name}: {bus.problem}", markup=False, highlight=False, soft_wrap=True)
    if lines:
        console.print("\nFor node.toml:\n", style="bold")
        console.print(lines, markup=False, highlight=False, soft_wrap=True)
