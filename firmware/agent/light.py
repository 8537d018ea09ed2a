"""The board's light says how the node is, so that whoever stands before it needs no computer.

Fast blinking: no Wi-Fi. Else flashes, counted, with a pause in between: one, all is well; two, the time is not known
yet; three, uploads fail; four, a sensor fails; five, safe mode; ten, somebody looks for this one. The trouble that
hides the others comes first.
"""

from micropython import const

SEARCHING = const(0)
WELL = const(1)
NO_TIME = const(2)
UPLOAD = const(3)
SENSOR = const(4)
SAFE = const(5)
IDENTIFY = const(10)

_BLINK_MS = const(100)
_FLASH_MS = const(60)
_DARK_MS = const(240)
_PAUSE_MS = const(3000)


def state(joined: bool, time_known: bool, upload_error: bool, sensor_error: bool) -> int:
    """Which of the states above this is: but for SEARCHING, the number of flashes."""
    if not joined:
        return SEARCHING
    if not time_known:
        return NO_TIME
    if upload_error:
        return UPLOAD
    return SENSOR if sensor_error else WELL


async def run(pulse, led, look) -> None:
    """Show what look() -> state gives, until the light cannot be switched any more. led(on): the board's."""
    try:
        while True:
            flashes = look()
            for _ in range(flashes):
                led(True)
                await pulse.sleep(_FLASH_MS)
                led(False)
                await pulse.sleep(_DARK_MS)
            if flashes:
                await pulse.sleep(_PAUSE_MS)
            else:
                led(True)
                await pulse.sleep(_BLINK_MS)
                led(False)
                await pulse.sleep(_BLINK_MS)
    except (OSError, ValueError, RuntimeError):
        return  # a node without its light works as well
