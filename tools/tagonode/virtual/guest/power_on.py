"""What happens between power-on and boot.py: wires, flash, search path; then the board's own files run.

micropython -X heapsize=N -m power_on RX_FD TX_FD IMAGE BLOCKS PROG
"""

import sys

import backplane

backplane.attach(int(sys.argv[1]), int(sys.argv[2]))

import flash  # noqa: E402
import machine  # noqa: E402, F401 - loaded from here, before the search path becomes the board's
import network  # noqa: E402, F401

flash.mount_root(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))


def _run(name):
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return
    exec(compile(source, name, "exec"), {"__name__": "__main__"})


_run("boot.py")
_run("main.py")
