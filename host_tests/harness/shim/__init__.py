"""MicroPython's modules for CPython: what device code imports behaves here as on the unix port and on boards.

`install()` puts them into sys.modules under MicroPython's names, for the whole process: call it in a process
of its own, never in pytest's. Each file says what it mirrors; where the boards and the unix port differ, the
stricter of them is followed. Limits are listed in host_tests/README.md.
"""

import importlib
import sys

# MicroPython's name -> file here. asyncio comes last: it uses the others.
_MODULES = {
    "time": "mp_time",
    "gc": "mp_gc",
    "micropython": "mp_micropython",
    "os": "mp_os",
    "socket": "mp_socket",
    "select": "mp_select",
    "tls": "mp_ssl",
    "ssl": "mp_ssl",
    "asyncio.core": "asyncio_.core",
    "asyncio": "asyncio_",
}


def install() -> None:
    """Take over the names. Modules that already hold the real ones keep them."""
    from . import mp_sys

    mp_sys.extend()
    found = {name: importlib.import_module("." + file, __name__) for name, file in _MODULES.items()}
    sys.modules.update(found)
