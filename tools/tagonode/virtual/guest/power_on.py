"""What happens between power-on and boot.py: wires, flash, search path; then the board's own files run.

micropython -X heapsize=N -m power_on RX_FD TX_FD IMAGE BLOCKS PROG
"""

import builtins
import sys

import backplane

backplane.attach(int(sys.argv[1]), int(sys.argv[2]))

import flash  # noqa: E402
import machine  # noqa: E402, F401 - loaded from here, before the search path becomes the board's
import network  # noqa: E402, F401
import shape  # noqa: E402

shape.shape()
del shape, sys.modules["shape"]

# What a board's firmware has in ROM, where it takes no heap until somebody wants it.
_IN_FIRMWARE = ("onewire", "_onewire", "ds18x20", "dht", "uart", "pulses", "esp32")
_folder = sys.path[1]
_import = builtins.__import__


def _import_from_firmware(name, *more):
    if name not in _IN_FIRMWARE or name in sys.modules or sys.path == ["/firmware"]:
        return _import(name, *more)
    import vfs

    path = sys.path[:]
    vfs.mount(vfs.VfsPosix(_folder), "/firmware")
    sys.path[:] = ["/firmware"]
    try:
        return _import(name, *more)
    finally:
        sys.path[:] = path
        vfs.umount("/firmware")


flash.mount_root(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
builtins.__import__ = _import_from_firmware


def _run(name):
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return
    exec(compile(source, name, "exec"), {"__name__": "__main__"})


_run("boot.py")
_run("main.py")
