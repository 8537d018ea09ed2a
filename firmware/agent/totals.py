"""Sensors that count for ever: what they have counted is on flash, so that neither reset nor power cut takes it back.

Loaded only where a driver says COUNTS = True: such a one takes `total`, what its earlier lives have counted, and has
the attribute of that name. A file of a few bytes for each, which littlefs keeps inline and replaces in one step, is
written when a reading differs from it, before that goes on its way: so the file may be ahead of what was reported,
never behind. What comes between the last reading and a reset is lost with it.
"""

import os

from micropython import const

from agent.sampler import Sensor

_FOLDER = "/totals"
_ENOENT = const(2)


def _failed(path, what, error):
    return OSError("%s cannot be %s (error %s): check the flash" % (path, what, error.args[0]))


class Counter(Sensor):
    """As agent.sampler.Sensor. `total` among its options is where it begins; a higher one than is kept moves it there.

    folder: where totals are kept; made when missing. A file there is called after bus and address of its sensor.
    """

    def __init__(
        self, name: str, driver, board, bus: str, address, channels, every_ms: int = 0, options=None, folder=_FOLDER
    ):
        super().__init__(name, driver, board, bus, address, channels, every_ms, options)
        self._path = folder + "/" + (bus if address is None else "%s_%s" % (bus, address)).replace(":", "_")
        self._kept = None  # the total in the file, None while it was not read

    def start(self) -> int:
        """As Sensor's. Raises OSError when the file cannot be read, and ValueError, once, when it holds no number."""
        if self._kept is None:
            self._kept = self._recall()
            # its own copy: the settings stay what they are
            self._options = dict(self._options, total=max(self._kept, self._options.get("total", 0)))
        return super().start()

    def read(self) -> tuple:
        """As Sensor's. Raises OSError when the total cannot be kept: a count that may go back is none."""
        readings = super().read()
        total = self._chip.total
        if total != self._kept:
            try:
                with open(self._path, "w") as file:
                    file.write(str(total))
            except OSError as error:
                raise _failed(self._path, "kept", error) from None
            self._kept = total
        return readings

    def _recall(self):
        try:
            os.mkdir(self._path.rpartition("/")[0])
        except OSError:
            pass  # it is there; if it is not, the first write says so
        try:
            with open(self._path) as file:
                return int(file.read() or 0)  # empty: the power went while it was made
        except OSError as error:
            if error.args[0] == _ENOENT:
                return 0
            raise _failed(self._path, "read", error) from None
        except ValueError:
            self._kept = 0
            raise ValueError(self._path + " holds no total: counting from 0 again") from None
