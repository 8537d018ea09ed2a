"""What one chip under its port of MicroPython has and has not, and the port's own words when it is asked for more.

Texts and errors are those of ports/rp2 and ports/esp32 of MicroPython (machine_pin.c, machine_adc.c, machine_i2c.c,
machine_uart.c, machine_wdt.c, modmachine.c, machine_rtc.c); a ValueError here is raised as one on the board.
"""

from dataclasses import dataclass, field

POWER_ON, HARD, WATCHDOG, DEEP_SLEEP, SOFT = 1, 2, 3, 4, 5  # as machine.py has them

OF_THE_RADIO = (252, 253, 254)  # pins behind a Pico W's radio, which have names; the guest's machine.py gives numbers
UNNAMED = 255  # a name that nobody knows
VSYS, RADIO_SELECT, PIO1 = 29, 25, 7  # of a Pico W: the pin that measures VSYS is the radio's clock
CORE_TEMPERATURE = 30  # what rp2 calls ADC channel 4


def _numbers(*parts: int | tuple[int, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in parts:
        found |= {part} if isinstance(part, int) else set(range(part[0], part[1] + 1))
    return frozenset(found)


@dataclass(frozen=True)
class Chip:
    """machine: what a board of it calls itself; pins: those there are; adc: those the ADC reads; adc_alone: of them,
    those it reads while the radio is off; inputs: those that drive nothing; i2c, uarts: how many; nack: errno;
    id_bytes: length of unique_id; cold_rtc: Unix time after power-on; open_drain, outputs, falling, rising: numbers of
    Pin's constants; i2c_defaults: (scl, sda) of each bus; temperature: how the CPU's is read; registers: {address:
    name}, those of memory that are simulated.
    """

    port: str
    machine: str
    pins: frozenset[int]
    adc: frozenset[int]
    adc_alone: frozenset[int] = frozenset()
    inputs: frozenset[int] = frozenset()
    i2c: int = 2
    uarts: int = 2
    nack: int = 19
    id_bytes: int = 6
    cold_rtc: int = 946684800  # 2000-01-01T00:00:00Z
    open_drain: int = 7
    outputs: tuple[int, ...] = (3, 7)
    falling: int = 2
    rising: int = 1
    i2c_defaults: tuple[tuple[int, int], ...] = ((18, 19), (25, 26))
    shortest_watchdog_ms: int = 0
    longest_watchdog_ms: int = 1 << 31
    temperature: str = ""
    registers: dict[int, str] = field(default_factory=dict)

    def check_pin(self, pin: int) -> None:
        """Pin(number)"""
        if pin not in self.pins:
            raise ValueError("invalid pin")

    def check_mode(self, pin: int, mode: int) -> None:
        """Pin(number, mode)"""
        if mode in self.outputs and pin in self.inputs:
            raise ValueError("pin can only be input")

    def adc_pin(self, number: int, channel: bool) -> int:
        """ADC(Pin) or, channel, ADC(number): the pin it reads."""
        if number not in self.adc:
            raise ValueError("invalid pin")
        return number

    def check_i2c(self, unit: int, scl: int, sda: int) -> None:
        """I2C(unit, scl=, sda=)"""
        if unit >= self.i2c:
            raise ValueError(f"I2C({unit}) doesn't exist")

    def check_uart(self, unit: int, tx: int, rx: int) -> None:
        """UART(unit, tx=, rx=)"""
        if unit >= self.uarts:
            raise ValueError(f"UART({unit}) does not exist")

    def check_watchdog(self, timeout_ms: int) -> None:
        """WDT(timeout=)"""
        if timeout_ms < self.shortest_watchdog_ms:
            raise ValueError("WDT timeout too short")

    def check_sleep(self, ms: int) -> None:
        """deepsleep(ms)"""

    def reset_cause(self, cause: int) -> int:
        """What machine.reset_cause() makes of why the board started."""
        return cause

    def register(self, address: int, cause: int) -> int:
        """mem32[address]"""
        raise ValueError(f"nothing simulated at {address:#x}")


class Rp2(Chip):
    """RP2040 and RP2350. Numbers of I2C and UART pins: table "GPIO functions" of the data sheets."""

    def check_pin(self, pin: int) -> None:
        if pin == UNNAMED:
            raise ValueError("unknown named pin")
        if pin not in OF_THE_RADIO:
            super().check_pin(pin)

    def adc_pin(self, number: int, channel: bool) -> int:
        if channel and number <= 4:
            return 26 + number
        if number not in self.adc:
            raise ValueError("Pin doesn't have ADC capabilities")
        return number

    def check_i2c(self, unit: int, scl: int, sda: int) -> None:
        super().check_i2c(unit, scl, sda)
        for pin, low, name in ((scl, 1, "SCL"), (sda, 0, "SDA")):
            if pin % 2 != low or pin // 2 % 2 != unit:
                raise ValueError(f"bad {name} pin")

    def check_uart(self, unit: int, tx: int, rx: int) -> None:
        if unit >= self.uarts:
            raise ValueError(f"UART({unit}) doesn't exist")
        for pin, low, name in ((tx, 0, "TX"), (rx, 1, "RX")):
            if pin % 4 != low or (pin + 4) // 8 % 2 != unit:
                raise ValueError(f"bad {name} pin")

    def check_watchdog(self, timeout_ms: int) -> None:
        if timeout_ms > self.longest_watchdog_ms:
            raise ValueError(f"timeout exceeds {self.longest_watchdog_ms}")

    def check_sleep(self, ms: int) -> None:
        if ms >= (1 << 32) // 1000:
            raise ValueError("sleep too long")

    def reset_cause(self, cause: int) -> int:
        # machine.reset() has the watchdog do it, and deepsleep() ends in machine.reset()
        return POWER_ON if cause == POWER_ON else WATCHDOG

    def register(self, address: int, cause: int) -> int:
        if self.registers.get(address) != "WATCHDOG.REASON":
            return super().register(address, cause)
        return {POWER_ON: 0, WATCHDOG: 1}.get(cause, 2)  # TIMER, FORCE


def _rp2(machine: str, watchdog_reason: int) -> Rp2:
    return Rp2(
        port="rp2",
        machine=machine,
        pins=_numbers((0, 29)),
        adc=_numbers((26, 29)),
        nack=5,
        id_bytes=8,
        cold_rtc=1609459200,  # 2021-01-01T00:00:00Z
        open_drain=2,
        outputs=(1, 2),
        falling=4,
        rising=8,
        i2c_defaults=((5, 4), (7, 6)),
        longest_watchdog_ms=8388,
        temperature="adc",
        registers={watchdog_reason: "WATCHDOG.REASON"},
    )


CHIPS: dict[str, Chip] = {
    "rp2": _rp2("Raspberry Pi Pico W with RP2040", 0x40058008),
    "rp2350": _rp2("Raspberry Pi Pico 2 W with RP2350", 0x400D8008),
    "esp32": Chip(
        port="esp32",
        machine="Generic ESP32 module with ESP32",
        pins=_numbers((0, 19), (21, 23), (25, 27), (32, 39)),
        adc=_numbers(0, 2, 4, (12, 15), (25, 27), (32, 39)),
        adc_alone=_numbers(0, 2, 4, (12, 15), (25, 27)),
        inputs=_numbers((34, 39)),
        uarts=3,
        shortest_watchdog_ms=1000,
        temperature="raw",
    ),
    "esp32s3": Chip(
        port="esp32",
        machine="Generic ESP32S3 module with ESP32S3",
        pins=_numbers((0, 21), (26, 48)),
        adc=_numbers((1, 20)),
        adc_alone=_numbers((11, 20)),
        uarts=3,
        shortest_watchdog_ms=1000,
        temperature="mcu",
    ),
    "esp32c3": Chip(
        port="esp32",
        machine="Generic ESP32C3 module with ESP32C3",
        pins=_numbers((0, 21)),
        adc=_numbers((0, 5)),
        adc_alone=_numbers(5),
        i2c=1,
        shortest_watchdog_ms=1000,
        temperature="mcu",
    ),
    "virtual": Chip(
        port="virtual",
        machine="virtual board",
        pins=_numbers((0, 31)),
        adc=_numbers((0, 31)),
        open_drain=2,
        outputs=(1, 2),
        falling=4,
        rising=8,
        i2c_defaults=((1, 0), (3, 2)),
        id_bytes=8,
    ),
}

BOARDS = {"pico_w": "rp2", "pico2_w": "rp2350"}  # others are called as their chip


def chip_of(board: str) -> str:
    """The name in CHIPS of a board's chip."""
    return BOARDS.get(board, board)
