"""What MicroPython has in `sys` and CPython has not."""

import sys
import traceback


def _print_exception(error: BaseException, file=None) -> None:
    file = file or sys.stdout
    file.write("".join(traceback.format_exception(error)))


def extend() -> None:
    sys.print_exception = _print_exception  # type: ignore[attr-defined]
