"""What happens between power-on and boot.py: wires, flash, search path; then the board's own files run.

micropython -X heapsize=N -c "import power_on; power_on.start(globals())" RX_FD TX_FD IMAGE BLOCKS PROG PROMPT TIME

PROMPT: "" for a board without a terminal, whose process ends with main.py; "friendly" or "raw" (which skips main.py)
for the prompt that comes after it, given by the interpreter's option -i. TIME: "" for the PC's.
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


def _fill(count):
    """The interpreter keeps names in tables, each twice the one before; names of the fakes bring forward by 225 what a
    board does with its 1,261st: begin one that takes 14 KB of this heap. So it is begun here, where it is in nobody's
    way. board.FAKES_KIB counts it and the names that it is filled up with, but for what a node's own names take.
    """
    for i in range(count):
        getattr(sys, chr(48 + i // 78) + chr(48 + i % 78), None)


_fill(1040)
del _fill
if sys.argv[7]:
    sys.path.append(".frozen")
    import virtualtime

    virtualtime.start()
    del virtualtime

# What a board's firmware has in ROM, where it takes no heap until somebody wants it.
_IN_FIRMWARE = ("onewire", "_onewire", "ds18x20", "dht", "uart", "pulses", "esp32", "resync")
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


def _run(name, names):
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return
    exec(compile(source, name, "exec"), names)


def start(names):
    """Run boot.py and main.py with these globals, which are the prompt's, too."""
    prompt = sys.argv[6]
    names.clear()
    names["__name__"] = "__main__"
    try:
        backplane.call(backplane.SYNC)  # from here on, Ctrl-C stops a program
        _run("boot.py", names)
        if prompt != "raw":
            _run("main.py", names)
    except SystemExit:
        if not prompt:
            raise
        machine.soft_reset()
    except BaseException as error:  # noqa: BLE001 - what a board does with it: print it, and come to the prompt
        if not prompt:
            raise
        sys.print_exception(error)
