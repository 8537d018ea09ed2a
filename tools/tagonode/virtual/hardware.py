"""The hardware of one virtual board: what answers when the guest's `machine` and `network` reach for the wires.

Everything here lives in the host process, outside the board's heap, and survives the board's resets, as chips
do. What belongs here: the wiring of simulated parts to operations. The parts themselves: `chips/`, `radio.py`.
"""

import datetime
import hashlib
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tagonode.virtual import ports
from tagonode.virtual.guest import backplane as wire
from tagonode.virtual.radio import Radio
from tagonode.virtual.virtualtime import ClockOfTls, VirtualTime
from tagonode.virtual.wires import ClockAndData, Contact, DhtLine, OneWireBus, SerialLine, Wire

EINVAL, ENODEV, ETIMEDOUT = 22, 19, 110
_RTC_MEMORY_BYTES = 2048
_EDGES_AT_ONCE = 100


class BoardReset(Exception):
    """The guest asked for a reset (`deepsleep_ms` is None) or for deep sleep, or its own watchdog bites."""

    def __init__(self, soft: bool = False, deepsleep_ms: int | None = None, bitten: bool = False):
        super().__init__("soft reset" if soft else "reset")
        self.soft = soft
        self.bitten = bitten
        self.deepsleep_ms = deepsleep_ms


@dataclass
class Hardware:
    """Wires of one board.

    i2c: {bus number: I2CBus}; adc: {pin: callable returning microvolts}; wires: {pin: what wires.py has};
    uarts: {number: SerialLine}; radio: the Wi-Fi chip; port: a name of ports.CHIPS; celsius: how hot the CPU is.
    `clock` gives seconds, monotonic; watchdog and RTC run on it. clock_of_tls: what TLS sees in the place of the RTC.
    """

    radio: Radio
    i2c: dict = field(default_factory=dict)
    adc: dict[int, Callable[[], float]] = field(default_factory=dict)
    wires: dict[int, Wire] = field(default_factory=dict)
    uarts: dict[int, SerialLine] = field(default_factory=dict)
    port: str = "rp2"
    serial: str = "tagonode"
    clock: Callable[[], float] = time.monotonic
    celsius: Callable[[], float] = lambda: 30.0
    clock_of_tls: ClockOfTls | None = None
    pins: dict[int, int] = field(default_factory=dict)
    reset_cause: int = 1
    watchdog_s: float | None = None
    watchdog_deadline: float | None = None
    longest_unfed_s: float = 0.0
    slept_s: float = 0.0  # altogether
    sleep_ppm: float = 0.0  # how slow the clock is that ends a deep sleep, and that the RTC goes by meanwhile
    start_s: float = 0.0  # from that end until the board's program starts
    interrupts: bool = True  # whether the CPU serves them
    _rtc: tuple[float, float] | None = None
    _last_feed: float = 0.0
    _listened: dict[int, int] = field(default_factory=dict)  # {pin: trigger of its interrupt}
    _edges: list[tuple[int, int, float]] = field(default_factory=list)  # (pin, level, when) that wait
    _modes: dict[int, int] = field(default_factory=dict)
    _i2c_pins: dict[int, tuple[int, int]] = field(default_factory=dict)  # {bus: (scl, sda)} since it was made
    _detached: set[int] = field(default_factory=set)  # buses whose pins were made something else since then
    _rtc_memory: bytes = b""

    def power_on(self) -> None:
        """Cold start: the RTC forgets, every chip is in its power-on state."""
        self._rtc = None
        self._rtc_memory = b""
        self.reset_cause = ports.POWER_ON
        for bus in self.i2c.values():
            bus.power_on()
        for line in {id(line): line for line in (*self.wires.values(), *self.uarts.values())}.values():
            line.power_on()
        self.cpu_reset()

    def cpu_reset(self) -> None:
        """What any reset of the CPU does: the watchdog is off until started, and all that a soft reset does."""
        self.watchdog_s = self.watchdog_deadline = None
        self.soft_reset()

    def soft_reset(self) -> None:
        """The interpreter starts anew: the radio is down, pins are as at power-on; the watchdog goes on."""
        for state in (self.pins, self._modes, self._i2c_pins, self._detached):
            state.clear()
        self.interrupts = True
        self._listened.clear()
        self._edges.clear()
        self.radio.power_off()

    @property
    def chip(self) -> ports.Chip:
        return ports.CHIPS[self.port]

    @property
    def unique_id(self) -> bytes:
        return hashlib.sha256(self.serial.encode()).digest()[: self.chip.id_bytes]

    def operate(self, op: int, unit: int, payload: bytes) -> bytes:
        """Carry out one request of the guest; OSError's errno goes back as the reply's status."""
        handler = self._OPERATIONS.get(op)
        if handler is None:
            raise OSError(EINVAL, f"the wires know no operation {op}")
        return handler(self, unit, payload) or b""

    def _sync(self, unit: int, payload: bytes) -> bytes:
        return payload

    def _i2c_make(self, unit: int, payload: bytes) -> None:
        defaults = self.chip.i2c_defaults
        scl, sda = payload or defaults[min(unit, len(defaults) - 1)]
        self.chip.check_i2c(unit, scl, sda)
        self._i2c_pins[unit] = scl, sda
        self._detached.discard(unit)
        for pin in (scl, sda):
            self._modes.pop(pin, None)
            self.pins.pop(pin, None)

    def _i2c_transfer(self, unit: int, payload: bytes) -> bytes:
        address, stop, length = struct.unpack_from("<BBH", payload)
        return self._bus(unit).transfer(address, payload[4:], length, bool(stop))

    def _i2c_scan(self, unit: int, payload: bytes) -> bytes:
        return bytes(self._bus(unit).scan())

    def _bus(self, unit: int):
        if unit not in self.i2c:
            raise OSError(ENODEV, f"no I2C bus {unit} on this board")
        if unit in self._detached:
            raise OSError(ETIMEDOUT, f"the pins of I2C bus {unit} were made something else")
        return self.i2c[unit]

    def _adc_make(self, unit: int, payload: bytes) -> bytes:
        pin = self.chip.adc_pin(unit, bool(payload[0]))
        self._leave_radio(pin)
        return bytes([pin])

    def _adc_read_uv(self, unit: int, payload: bytes) -> bytes:
        if unit in self.chip.adc_alone and self.radio.active:
            raise OSError(ETIMEDOUT, "the radio has this ADC")
        if unit == ports.CORE_TEMPERATURE:
            return struct.pack("<I", round((0.706 - (self.celsius() - 27) * 0.001721) * 1e6))
        if unit not in self.adc:
            raise OSError(EINVAL, f"no ADC channel {unit} on this board")
        if unit == ports.VSYS and self.port in ports.BOARDS.values() and not self.pins.get(ports.RADIO_SELECT):
            return struct.pack("<I", 30000)  # the divider is cut off while the radio is selected
        return struct.pack("<I", max(0, round(self.adc[unit]())))

    def _pin_make(self, unit: int, payload: bytes) -> None:
        self.chip.check_pin(unit)

    def _pin_init(self, unit: int, payload: bytes) -> bytes:
        mode, alternate = payload
        self.chip.check_mode(unit, mode)
        self._detached |= {bus for bus, pins in self._i2c_pins.items() if unit in pins}
        self._modes[unit] = mode
        if unit == ports.VSYS and alternate == ports.PIO1:
            self.radio.has_its_pins = True
        else:
            self._leave_radio(unit)
        return bytes([isinstance(self.wires.get(unit), ClockAndData)])

    def _leave_radio(self, pin: int) -> None:
        """A Pico W's radio is spoken to by interrupts: who takes one of its pins while they may come breaks it."""
        if pin == ports.VSYS and self.chip.port == "rp2":
            self.radio.has_its_pins = False
            self.radio.broken = self.radio.broken or self.interrupts

    def _irq(self, unit: int, payload: bytes) -> None:
        self.interrupts = bool(unit)
        self.radio.broken = self.radio.broken or self.interrupts and not self.radio.has_its_pins

    def _pin_set(self, unit: int, payload: bytes) -> None:
        before, level = self.pins.get(unit, 1), payload[0]
        self.pins[unit] = level
        for number in self._detached:
            scl, sda = self._i2c_pins[number]
            if not before and level:
                if unit == scl and self._modes.get(sda) == self.chip.open_drain and self.pins.get(sda, 1):
                    self.i2c[number].clock()
                elif unit == sda and self.pins.get(scl, 1):
                    self.i2c[number].stop_condition()

    def _pin_get(self, unit: int, payload: bytes) -> bytes:
        for number, pins in self._i2c_pins.items():
            if unit in pins:
                bus = self.i2c.get(number)
                held = bus and (unit == pins[1] and not bus.sda() or not bus.pulled_up)
                return bytes([0 if held else self.pins.get(unit, 1)])
        line = self.wires.get(unit)
        if isinstance(line, Contact):
            self._collect(unit, line)
            return bytes([line.now])
        return bytes([line.level() if isinstance(line, ClockAndData) else self.pins.get(unit, 0)])

    def _pin_pulses(self, unit: int, payload: bytes) -> None:
        count, longest = struct.unpack("<BI", payload)
        line = self.wires.get(unit)
        if isinstance(line, ClockAndData):
            for i in range(count):
                line.pulse(longest if i == 0 else 1)

    def _pin_irq(self, unit: int, payload: bytes) -> None:
        line = self.wires.get(unit)
        if isinstance(line, Contact):
            line.edges()  # what was before is nobody's
            self._listened[unit] = payload[0]

    def _collect(self, unit: int, line: Contact) -> None:
        for when, level in line.edges():
            if self._listened.get(unit, 0) & (self.chip.rising if level else self.chip.falling):
                self._edges.append((unit, level, when))

    def waiting_edges(self) -> int:
        """How many edges wait for the guest's interrupt handlers."""
        for unit in self._listened:
            line = self.wires[unit]
            if isinstance(line, Contact):
                self._collect(unit, line)
        return len(self._edges)

    def _pin_edges(self, unit: int, payload: bytes) -> bytes:
        self.waiting_edges()
        taken, self._edges = self._edges[:_EDGES_AT_ONCE], self._edges[_EDGES_AT_ONCE:]
        reply = b""
        for pin, level, when in taken:
            line = self.wires[pin]
            ago = line.clock() - when if isinstance(line, Contact) else 0
            reply += struct.pack("<BBI", pin, level, max(0, round(ago * 1000)))
        return reply

    def _onewire_reset(self, unit: int, payload: bytes) -> bytes:
        line = self.wires.get(unit)
        return bytes([isinstance(line, OneWireBus) and line.reset()])

    def _onewire_slots(self, unit: int, payload: bytes) -> bytes:
        line = self.wires.get(unit)
        count, bits = payload
        return bytes([line.slots(count, bits) if isinstance(line, OneWireBus) else bits])

    def _dht_frame(self, unit: int, payload: bytes) -> bytes:
        line = self.wires.get(unit)
        if not isinstance(line, DhtLine):
            raise OSError(ETIMEDOUT, f"no DHT on pin {unit}")
        return line.frame()

    def _uart_make(self, unit: int, payload: bytes) -> None:
        if payload:
            self.chip.check_uart(unit, *payload)

    def _uart_any(self, unit: int, payload: bytes) -> bytes:
        return struct.pack("<H", self.uarts[unit].any() if unit in self.uarts else 0)

    def _uart_read(self, unit: int, payload: bytes) -> bytes:
        return self.uarts[unit].read(struct.unpack("<H", payload)[0]) if unit in self.uarts else b""

    def _uart_write(self, unit: int, payload: bytes) -> None:
        if unit in self.uarts:
            self.uarts[unit].write(payload)

    def _wdt_start(self, unit: int, payload: bytes) -> None:
        timeout_ms = struct.unpack("<I", payload)[0]
        self.chip.check_watchdog(timeout_ms)
        self.watchdog_s = timeout_ms / 1000
        if self.virtual_time:
            return  # the guest's own clock counts
        self._last_feed = self.clock()
        self._wdt_feed(unit, payload)

    def _wdt_feed(self, unit: int, payload: bytes) -> None:
        now = self.clock()
        if self.watchdog_s is not None:
            self.longest_unfed_s = max(self.longest_unfed_s, now - self._last_feed)
            self._last_feed = now
            self.watchdog_deadline = now + self.watchdog_s

    def _rtc_set(self, unit: int, payload: bytes) -> None:
        year, month, day, _, hour, minute, second, _ = struct.unpack("<8H", payload)
        try:
            moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
        except ValueError as error:
            raise OSError(EINVAL, str(error)) from None
        self._rtc = (moment.timestamp(), self.clock())
        self._show_tls()

    def _show_tls(self) -> None:
        """TLS has the PC's clock: make it the RTC's."""
        if self.clock_of_tls:
            self._rtc = self._rtc or (self.chip.cold_rtc, self.clock())
            self.clock_of_tls.set(self._rtc[0] + self.clock() - self._rtc[1])

    def _rtc_get(self, unit: int, payload: bytes) -> bytes:
        if self._rtc is None:
            self._rtc = (self.chip.cold_rtc, self.clock())
        at, set_at = self._rtc
        now = at + self.clock() - set_at
        moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
        date = (moment.year, moment.month, moment.day, moment.weekday())
        return struct.pack("<8H", *date, moment.hour, moment.minute, moment.second, int(now % 1 * 1000))

    def _reset(self, unit: int, payload: bytes) -> None:
        raise BoardReset(soft=bool(unit))

    def _reset_cause(self, unit: int, payload: bytes) -> bytes:
        return bytes([self.chip.reset_cause(self.reset_cause)])

    def _mem32(self, unit: int, payload: bytes) -> bytes:
        return struct.pack("<I", self.chip.register(struct.unpack("<I", payload)[0], self.reset_cause))

    def _keep(self, unit: int, payload: bytes) -> bytes:
        if not unit:
            return self._rtc_memory
        if len(payload) > _RTC_MEMORY_BYTES:
            raise ValueError("buffer too long")
        self._rtc_memory = payload
        return b""

    def _cpu_temperature(self, unit: int, payload: bytes) -> bytes:
        return struct.pack("<h", round(self.celsius() * 10)) + self.chip.temperature.encode()

    def _bitstream(self, unit: int, payload: bytes) -> None:
        self.pins[unit] = int(any(payload))

    def _unique_id(self, unit: int, payload: bytes) -> bytes:
        return self.unique_id

    def _deepsleep(self, unit: int, payload: bytes) -> None:
        ms = struct.unpack("<I", payload)[0]
        self.chip.check_sleep(ms)
        # rp2 does not sleep while its radio has something to say
        ms = 0 if self.chip.port == "rp2" and self.radio.active else ms
        late_s = ms * self.sleep_ppm / 1e9
        if self._rtc:
            self._rtc = (self._rtc[0], self._rtc[1] + late_s)
        self.slept_s += ms / 1000 + late_s
        raise BoardReset(deepsleep_ms=round(ms + (late_s + self.start_s) * 1000))

    def _lightsleep(self, unit: int, payload: bytes) -> bytes:
        ms = struct.unpack("<I", payload)[0]
        self.chip.check_sleep(ms)
        sleeps = not self.radio.active
        self.slept_s += ms / 1000 * sleeps
        return bytes([sleeps])

    def _wifi(self, unit: int, payload: bytes) -> bytes:
        return self.radio.operate(payload)

    def _port(self, unit: int, payload: bytes) -> bytes:
        return (self.chip.machine if unit else self.chip.port).encode()

    @property
    def virtual_time(self) -> VirtualTime | None:
        return self.clock if isinstance(self.clock, VirtualTime) else None

    def _time(self, unit: int, payload: bytes) -> bytes:
        time, (us, unfed_us) = self.virtual_time, struct.unpack("<QQ", payload)
        if time is None:
            raise OSError(EINVAL, "this board's time is the PC's")
        self.longest_unfed_s = max(self.longest_unfed_s, unfed_us / 1e6)
        until = time.told(us)
        if unit == wire.BITE:
            raise BoardReset(bitten=True)
        if unit == wire.WAITING:
            self._show_tls()
        return struct.pack("<QH", max(until, us), round(time.patience * 1000))

    _OPERATIONS = {
        wire.SYNC: _sync,
        wire.I2C_TRANSFER: _i2c_transfer,
        wire.I2C_SCAN: _i2c_scan,
        wire.ADC_READ_UV: _adc_read_uv,
        wire.PIN_SET: _pin_set,
        wire.PIN_GET: _pin_get,
        wire.WDT_START: _wdt_start,
        wire.WDT_FEED: _wdt_feed,
        wire.RTC_SET: _rtc_set,
        wire.RTC_GET: _rtc_get,
        wire.RESET: _reset,
        wire.RESET_CAUSE: _reset_cause,
        wire.UNIQUE_ID: _unique_id,
        wire.DEEPSLEEP: _deepsleep,
        wire.LIGHTSLEEP: _lightsleep,
        wire.WIFI: _wifi,
        wire.PORT: _port,
        wire.PIN_INIT: _pin_init,
        wire.PIN_PULSES: _pin_pulses,
        wire.PIN_IRQ: _pin_irq,
        wire.PIN_EDGES: _pin_edges,
        wire.ONEWIRE_RESET: _onewire_reset,
        wire.ONEWIRE_SLOTS: _onewire_slots,
        wire.DHT_FRAME: _dht_frame,
        wire.UART_ANY: _uart_any,
        wire.UART_READ: _uart_read,
        wire.UART_WRITE: _uart_write,
        wire.PIN_MAKE: _pin_make,
        wire.ADC_MAKE: _adc_make,
        wire.I2C_MAKE: _i2c_make,
        wire.UART_MAKE: _uart_make,
        wire.IRQ: _irq,
        wire.MEM32: _mem32,
        wire.RTC_MEMORY: _keep,
        wire.CPU_TEMPERATURE: _cpu_temperature,
        wire.BITSTREAM: _bitstream,
        wire.TIME: _time,
    }
