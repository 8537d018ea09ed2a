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
    cut_request,
    drip,
    drop,
    garbage,
    hang_up,
    kiss,
    ntp,
    nxdomain,
    raw,
    refuse,
    servfail,
    silence,
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

    def _ask(self, question):
        import json
        import socket

        control = socket.socket()
        try:
            control.connect(socket.getaddrinfo("127.0.0.1", self._control)[0][-1])
            control.write(question.encode() + b"\n")
            return json.loads(control.read())
        finally:
            control.close()

    def requests(self):
        """[{method, path, headers (names in lower case), body, complete, connection, tls, handshake}] so far."""
        return self._ask("requests")

    def connections(self):
        """[{connection, tls, handshake: "ok", "failed", "refused", "stalled" or "none"}] so far."""
        return self._ask("connections")

    def queries(self):
        """Names asked for so far, in lower case."""
        return self._ask("queries")

    def time_queries(self):
        """How often the time was asked for."""
        return self._ask("time_queries")
