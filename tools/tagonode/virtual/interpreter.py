"""The wheel's MicroPython for a board, run by its path, with the folder of the wheel's module before its arguments: as
the command `micropython`, and with -i SIGUSR1 is Ctrl-C as boards have it.

The wheel's own handler of SIGINT raises KeyboardInterrupt at whatever instruction the processor is, in the middle of
littlefs or of a garbage collection. On a board the interrupt is noted, and raised when the program has finished what it
is doing in C: that is mp_sched_keyboard_interrupt(), which makes a signal handler.
"""

import sys

sys.path.append(sys.argv.pop(1))
import micropython_run  # noqa: E402


def _take_signal() -> None:
    import ctypes
    import signal

    try:
        handler = ctypes.CDLL(micropython_run.__file__).mp_sched_keyboard_interrupt
    except AttributeError:
        return  # SIGINT has to do
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGUSR1, ctypes.cast(handler, ctypes.c_void_p))
    libc.siginterrupt(signal.SIGUSR1, 1)  # calls that wait come back, and the program notices


if "-i" in sys.argv[1:2]:
    _take_signal()
sys.exit(micropython_run.run_main(sys.argv))
