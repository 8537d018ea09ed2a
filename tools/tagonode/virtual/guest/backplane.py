"""The guest's end of the wires between a virtual board and its simulated hardware.

Runs inside the board's interpreter (and inside CPython workers of the tests), below the fakes of `machine` and
`network`. One call is one request frame and one reply, like a bus transfer that the CPU waits for; the chips
themselves live in the host process, outside the board's heap.

    request: u8 op, u8 unit, u16 length, payload        reply: i16 status, u16 length, payload

Status 0 is success; a positive status is raised as OSError(status), or for VALUE_ERROR as ValueError(payload); a
negative one is a success, and says that edges wait for interrupt handlers. All numbers are little-endian.
"""

import struct
import sys

SYNC = 0  # bytes -> the same
I2C_TRANSFER = 1  # unit = bus; u8 address, u8 stop, u16 bytes to read, bytes to write -> bytes read
I2C_SCAN = 2  # unit = bus -> one byte an address
ADC_READ_UV = 3  # unit = pin -> u32 microvolts
PIN_SET = 4  # unit = pin; u8 level
PIN_GET = 5  # unit = pin -> u8 level
WDT_START = 6  # u32 milliseconds
WDT_FEED = 7
RTC_SET = 8  # 8 u16: year, month, day, weekday, hours, minutes, seconds, subseconds
RTC_GET = 9  # -> the same
RESET = 10  # does not return
RESET_CAUSE = 11  # -> u8, the constants of machine.py
UNIQUE_ID = 12
DEEPSLEEP = 13  # u32 milliseconds, does not return
WIFI = 14  # JSON [method, arguments] -> JSON
PORT = 15  # -> the MicroPython port's name: "rp2", "esp32"; unit = 1: what the board calls itself
PIN_INIT = 16  # unit = pin; u8 mode, u8 alternate function -> u8: 1 when a part on it listens to pulses
PIN_PULSES = 17  # unit = pin; u8 how many, u32 microseconds that the longest was high
PIN_IRQ = 18  # unit = pin; u8 trigger, 0 for off
PIN_EDGES = 19  # -> u8 pin, u8 level, u32 milliseconds ago, for each edge that waits
ONEWIRE_RESET = 20  # unit = pin -> u8 presence
ONEWIRE_SLOTS = 21  # unit = pin; u8 how many, u8 bits to write -> u8 bits seen
DHT_FRAME = 22  # unit = pin -> 5 bytes
UART_ANY = 23  # -> u16 bytes waiting
UART_READ = 24  # u16 bytes at most -> bytes
UART_WRITE = 25  # bytes
PIN_MAKE = 26  # unit = pin
ADC_MAKE = 27  # unit = pin, or with u8 1 a channel's number -> u8 pin
I2C_MAKE = 28  # unit = bus; u8 scl, u8 sda, or nothing
UART_MAKE = 29  # u8 tx, u8 rx
IRQ = 30  # unit = 1 when interrupts are served
MEM32 = 31  # u32 address -> u32
RTC_MEMORY = 32  # unit = 1: bytes to keep; 0 -> bytes kept
CPU_TEMPERATURE = 33  # -> i16 tenths of °C, how the port calls it
BITSTREAM = 34  # unit = pin; bytes
TIME = 35  # unit = 0, WAITING or BITE; u64 µs since the start, u64 µs unfed at most -> u64 µs up to which, u16 patience
LIGHTSLEEP = 36  # u32 milliseconds -> u8: 1 when it may sleep for them
WAITING = 1  # for sockets: patience is in ms of the PC's time
BITE = 2  # of the watchdog: does not return

VALUE_ERROR = 1000

_HEAD = "<BBH"
_rx = None
_tx = None
_whole = True  # no call has been interrupted
interrupts = None  # called, with nothing, when edges wait
reading = None  # called with a pin's number before it is read


def attach(rx_fd: int, tx_fd: int) -> None:
    """Connect to the host through two inherited pipe descriptors."""
    global _rx, _tx
    _rx = open(rx_fd, "rb", 0)  # noqa: SIM115 - open for the life of the board
    _tx = open(tx_fd, "wb", 0)  # noqa: SIM115


def _read(length):
    data = _rx.read(length)
    while data is not None and 0 < len(data) < length:
        more = _rx.read(length - len(data))
        if not more:
            break
        data += more
    if data is None or len(data) < length:
        sys.exit(0)  # the host is gone: a board without hardware has no power
    return data


def call(op: int, unit: int = 0, payload: bytes = b"") -> bytes:
    """One transfer. Returns the reply's payload; raises OSError(status) for what the hardware refuses."""
    global _whole
    if not _whole:
        import resync

        resync.resync(_tx, _read)
    _whole = False
    _tx.write(struct.pack(_HEAD, op, unit, len(payload)) + payload)
    status, length = struct.unpack("<hH", _read(4))
    data = _read(length) if length else b""
    _whole = True
    if status == VALUE_ERROR:
        raise ValueError(data.decode())
    if status > 0:
        raise OSError(status)
    if status and interrupts:
        interrupts()
    return data
