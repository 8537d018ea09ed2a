"""Simulated chips for device tests: a virtual board's hardware behind the guest's `machine` and `network`.

The device side gets the two ends of the wires as inherited descriptors; what a test does to the world
(values, faults of the bus) comes over a control socket, so that it neither uses the bus nor waits for it.
"""

import contextlib
import os
import threading
import time
from typing import Any

from tagonode.virtual import ports, wiring
from tagonode.virtual.backplane import Backplane, WiresCut
from tagonode.virtual.bus import I2CBus
from tagonode.virtual.environment import Environment
from tagonode.virtual.hardware import BoardReset, Hardware
from tagonode.virtual.radio import AccessPoint, Radio

from .control import Control

_SWITCHES = ("stuck", "all_zeros", "all_ones")
_BUS = ("heal", "power_on", "unplug", "plug", "hold_sda", "nack_at", "lose_at", "flip_at")


class Chips:
    """Hardware with these chips, ready to be wired to a device.

    chips: names of simulated chips, or dicts {"chip": name, "bus": 0, more for its constructor}; the bus of what is no
    I2C is called as in a config: "onewire:gp22", "uart1".
    port: "rp2", "esp32" or another of ports.CHIPS. environment: values of Environment. adc: {pin: volts}.
    networks: {ssid: password}. nameserver: "address:port" that DHCP gives.
    """

    def __init__(
        self,
        *chips: str | dict,
        port: str = "rp2",
        environment: dict | None = None,
        adc: dict | None = None,
        networks: dict | None = None,
        nameserver: str = "127.0.0.1",
    ):
        if port not in ports.CHIPS:
            raise ValueError(f"port={port!r}: choose one of {', '.join(ports.CHIPS)}")
        self.environment = Environment(**(environment or {}))
        self.resets: list[str] = []
        self.slept_ms: int | None = None
        parts: list[tuple[str, str, dict]] = []
        buses = {unit: I2CBus(nack_errno=ports.CHIPS[port].nack) for unit in range(ports.CHIPS[port].i2c)}
        for chip in chips or ("bme280",):
            options = {"chip": chip} if isinstance(chip, str) else dict(chip)
            kind, unit = options.pop("chip"), options.pop("bus", 0)
            if kind in wiring.PARTS:
                parts.append((kind, unit, options))
                continue
            if kind not in wiring.CHIPS:
                known = ", ".join((*wiring.CHIPS, *wiring.PARTS))
                raise ValueError(f"no simulated chip {kind!r}: there are {known}")
            buses[unit].chips.append(wiring.CHIPS[kind](self.environment, time.monotonic, **options))
        self._volts = {int(channel): float(volts) for channel, volts in (adc or {}).items()}
        points = [AccessPoint(ssid, key) for ssid, key in (networks or {}).items()]
        self.hardware = Hardware(
            radio=Radio(clock=time.monotonic, access_points=points, nameserver=nameserver, port=ports.CHIPS[port].port),
            i2c=buses,
            adc={channel: lambda channel=channel: self._volts[channel] * 1e6 for channel in self._volts},
            port=port,
        )
        for kind, bus, options in parts:
            wiring.attach(self.hardware, kind, bus, self.environment, time.monotonic, **options)

    def __enter__(self) -> "Chips":
        # the ends of the device stay open here until it is over: it inherits copies
        host_rx, self._guest_tx = os.pipe()
        self._guest_rx, host_tx = os.pipe()
        self._wires = Backplane(self.hardware, host_rx, host_tx)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._control = Control(self._told)
        return self

    def __exit__(self, *error: object) -> None:
        self._control.close()
        self._closing.set()
        with contextlib.suppress(BrokenPipeError):
            # the device may live on with its ends open: a frame of no meaning wakes the thread in its place
            os.write(self._guest_tx, bytes(4))
        self._thread.join()
        os.close(self._guest_tx)
        os.close(self._guest_rx)
        if not self.resets:
            self._wires.close()

    @property
    def guest_fds(self) -> tuple[int, int]:
        """What the device reads from, and writes to."""
        return self._guest_rx, self._guest_tx

    def describe(self) -> dict:
        return {"control": self._control.port}

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._wires.serve_one()
            except WiresCut:
                return
            except BoardReset as reset:
                kind = "deepsleep" if reset.deepsleep_ms is not None else "soft" if reset.soft else "hard"
                self.resets.append(kind)
                self.slept_ms = reset.deepsleep_ms
                # the CPU is gone: whatever called does not return
                self._wires.close()
                return

    def _told(self, method: str, *arguments: Any) -> Any:
        if method == "set":
            self.environment.set(**arguments[0])
        elif method == "adc":
            self._volts[arguments[0]] = arguments[1]
        elif method == "resets":
            return self.resets
        elif method == "slept":
            return self.slept_ms
        elif method == "pins":
            return {str(pin): level for pin, level in self.hardware.pins.items()}
        elif method == "interrupts":
            return self.hardware.interrupts
        elif method == "cause":
            self.hardware.reset_cause = arguments[0]
        elif method == "celsius":
            self.hardware.celsius = lambda: arguments[0]
        elif method == "fed":
            return {"watchdog_s": self.hardware.watchdog_s, "longest_unfed_s": self.hardware.longest_unfed_s}
        elif method == "wire":
            return self._of_wire(*arguments)
        elif method in ("transfers", *_SWITCHES, *_BUS):
            bus = self.hardware.i2c[arguments[0]]
            if method == "transfers":
                return bus.transfers
            if method in _SWITCHES:
                setattr(bus, method, arguments[1])
            else:
                getattr(bus, method)(*arguments[1:])
        else:
            raise ValueError(f"chips know nothing of {method!r}")
        return None

    def _of_wire(self, bus: str, name: str, *arguments: Any) -> Any:
        """Call a method of the wire, or of the first part on it; set a value of either when it is none."""
        number = wiring.numbers(bus)[0]
        wire = self.hardware.uarts[number] if bus.startswith("uart") else self.hardware.wires[number]
        of = wire if hasattr(wire, name) else wire.parts[0]
        if callable(getattr(of, name)):
            return getattr(of, name)(*arguments)
        if arguments:
            setattr(of, name, arguments[0])
        return getattr(of, name)
