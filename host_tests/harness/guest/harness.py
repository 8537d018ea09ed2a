"""What device tests import as `harness`: marks for the runner and the steps of a scripted network.

The same file runs on CPython and on MicroPython. It opens nothing by itself: servers, chips and files live in
pytest's process and are described to this side by plain JSON.
"""

from pytest import add_mark
from steps import (  # noqa: F401 - for tests to import from here
    OK,
    a,
    answer,
    cname,
    conn,
    cut,
    cut_handshake,
    cut_request,
    drip,
    drop,
    endless,
    garbage,
    hang_up,
    kiss,
    ntp,
    nxdomain,
    raw,
    refuse,
    servfail,
    silence,
    slowly,
    stall,
    wrong_id,
)


def only(runtime, why):
    """Run this test on one runtime alone ("cpython" or "micropython"); `why` is shown where it is skipped."""
    if runtime not in ("cpython", "micropython") or not why:
        raise ValueError('only(runtime, why): runtime is "cpython" or "micropython", and why says the reason')
    return lambda function: add_mark(function, "only", (runtime, why))


def heap(size):
    """Heap of the MicroPython run: "128K", "1M" or bytes. 192K unless told."""
    return lambda function: add_mark(function, "heap", str(size))


def timeout(seconds):
    """How long the test may take on either runtime before it is stopped and fails. 30 s unless told."""
    return lambda function: add_mark(function, "timeout", seconds)


def flash(blocks=128, program=256):
    """Geometry of the littlefs behind `tmp` on MicroPython: 4096-byte blocks, and bytes a program."""
    return lambda function: add_mark(function, "flash", {"blocks": blocks, "program": program})


class network:
    """Marks a test with the script of its `net`, or stands among the values of parametrize("net", ...).

    network(*steps, tls=True, certificate="good", host="localhost", dns=None, ntp=None); harness/network.py
    says what they mean, steps.py has the steps.
    """

    is_script = True

    def __init__(self, *script, **options):
        self.plain = {"script": list(script), "options": options}

    def __call__(self, function):
        return add_mark(function, "network", self.plain)


def ask(port, method, *arguments):
    """Ask the simulated world in pytest's process (harness/control.py). Blocks for as long as that takes."""
    import json
    import socket

    control = socket.socket()
    try:
        control.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        control.write(json.dumps([method, arguments]).encode() + b"\n")
        said = json.loads(control.read())
    finally:
        control.close()
    if "error" in said:
        raise RuntimeError(said["error"])
    return said["is"]


class Net:
    """What a test gets as `net`: where the servers are, and what they have seen.

    host, port, url, tls; roots: list of DER bytes to trust; dns: ["address:port"]; ntp: "address:port".
    """

    def __init__(self, given):
        from binascii import a2b_base64

        self.host = given["host"]
        self.port = given["port"]
        self.url = given["url"]
        self.tls = given["tls"]
        self.roots = [a2b_base64(root) for root in given["roots"]]
        self.dns = given["dns"]
        self.ntp = given["ntp"]
        self._control = given["control"]

    def requests(self):
        """[{method, path, headers (lower-case names), body, complete, connection, tls, handshake}] so far."""
        return ask(self._control, "requests")

    def connections(self):
        """[{connection, tls, handshake: "ok", "failed", "refused", "stalled" or "none"}] so far."""
        return ask(self._control, "connections")

    def queries(self):
        """Names asked for so far, in lower case."""
        return ask(self._control, "queries")

    def time_queries(self):
        """How often the time was asked for."""
        return ask(self._control, "time_queries")


class chips:
    """Marks a test with the simulated chips it finds behind `machine`, for its argument `chips`.

    chips(*names or dicts, port="rp2", environment={}, adc={channel: volts}, networks={ssid: password});
    harness/chips.py says what they mean. Without the mark: one BME280 on bus 0.
    """

    is_script = True

    def __init__(self, *names, **options):
        self.plain = {"chips": list(names), "options": options}

    def __call__(self, function):
        return add_mark(function, "chips", self.plain)


class Chips:
    """What a test gets as `chips`: the world around the board, and the faults of its buses.

    The board's own view is `machine.I2C(unit)`, `machine.ADC(channel)`, `network.WLAN()`, as on a board.
    A reset of the board by device code arrives in the test as SystemExit, and the wires are cut.
    """

    def __init__(self, given, fds):
        import backplane

        self._control = given["control"]
        backplane.attach(*fds)
        import shape

        shape.shape()

    def set(self, **values):
        """Change what there is to measure: set(temperature=-3.5)."""
        ask(self._control, "set", values)

    def adc(self, channel, volts):
        """The voltage at an ADC pin."""
        ask(self._control, "adc", channel, volts)

    def transfers(self, unit=0):
        """How many I2C transfers the bus has seen."""
        return ask(self._control, "transfers", unit)

    def switch(self, name, on=True, unit=0):
        """A lasting fault of the bus: "stuck", "all_zeros" or "all_ones"."""
        ask(self._control, name, unit, on)

    def bus(self, method, *arguments, unit=0):
        """Do heal, power_on, unplug, plug, hold_sda, nack_at, lose_at or flip_at to the bus: see virtual/bus.py."""
        ask(self._control, method, unit, *arguments)

    def wire(self, bus, name, *arguments):
        """A method, or a value to set, of the wire that a config calls so, or of the part on it: see virtual/wires.py.

        wire("pin:gp14", "tip"), wire("onewire:gp22", "stuck", 0)
        """
        return ask(self._control, "wire", bus, name, *arguments)

    def resets(self):
        """Resets that the board asked for: "hard", "soft", "deepsleep"."""
        return ask(self._control, "resets")

    def slept(self):
        """Milliseconds of the deep sleep that ended the test, None for no sleep."""
        return ask(self._control, "slept")

    def pin(self, number):
        """What the board has set a pin to, None when it has not."""
        return ask(self._control, "pins").get(str(number))

    def interrupts(self):
        """Whether the board serves interrupts."""
        return ask(self._control, "interrupts")

    def cause(self, number):
        """Why the board started: a number of virtual/ports.py."""
        ask(self._control, "cause", number)

    def celsius(self, celsius):
        """How hot the CPU is."""
        ask(self._control, "celsius", celsius)

    def watchdog(self):
        """{"watchdog_s": None while it is off, "longest_unfed_s"}"""
        return ask(self._control, "fed")
