"""What device tests import as `harness`: marks for the runner and the steps of a scripted network.

The same file runs on CPython and on MicroPython. It opens nothing by itself: servers, chips and files live in
pytest's process and are described to this side by plain JSON.
"""

from pytest import add_mark

_NONE = "host_tests/README.md"


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
