"""The uplink bench's node with a mark at each call of its functions, for hotpath.py. Runs under MicroPython only.

A mark is a call of hex(), at which callgrind writes down what was spent since the last one. Functions and methods of
MODULES are wrapped; what a generator does is counted step by step, as its own. Usage: micropython -c "import
hotpath_marks" ORDER.json; order["trace"] names a file that gets a line for each mark: the function that was entered,
or nothing for one that was left.
"""

import json
import sys
from array import array

_MOST = 400000  # marks
_PASSED = ("ImageFlash",)  # its work is CountingFlash's

MODULES = (
    "agent.batch",
    "agent.clock",
    "agent.sampler",
    "agent.supervisor",
    "agent.uplink",
    "drivers",
    "drivers.battery",
    "drivers.bme280",
    "drivers.bmp280",
    "drivers.rssi",
    "http1.request",
    "http1.response",
    "session.client",
    "session.resolver",
    "spool.queue",
    "spool.records",
    "tagoio.records",
    "tagoio.verdicts",
    "counting_flash",
    "sampling",
)

_names = []
_trace = array("h", bytes(2 * _MOST))
_at = 0


def _enter(name):
    global _at
    _trace[_at] = name
    _at += 1
    hex(0)


def _leave():
    global _at
    _trace[_at] = -1
    _at += 1
    hex(0)


def _generator():
    yield


class _Steps:
    """A generator or coroutine whose steps are marked."""

    def __init__(self, name, generator):
        self._name = name
        self._generator = generator

    def __iter__(self):
        return self

    def __next__(self):
        return self._step(self._generator.send, None)

    def send(self, value):
        return self._step(self._generator.send, value)

    def throw(self, error):
        return self._step(self._generator.throw, error)

    def _step(self, how, value):
        _enter(self._name)
        try:
            return how(value)
        finally:
            _leave()

    def close(self):
        self._generator.close()


def marked(name, function):
    """`function`, with marks."""
    _names.append(name)
    number = len(_names) - 1
    kind = type(_generator())

    def call(*args, **kwargs):
        _enter(number)
        try:
            result = function(*args, **kwargs)
        finally:
            _leave()
        return _Steps(number, result) if type(result) is kind else result

    return call


def _wrap():
    kinds = (type(_wrap), type(_generator), type(marked("", _wrap)))
    replaced = []
    for path in MODULES:
        module = __import__(path, None, None, ("x",))
        for name in dir(module):
            thing = getattr(module, name)
            if type(thing) in kinds and getattr(module, "__name__", path) == path:
                replaced.append((thing, marked(path + "." + name, thing)))
            elif isinstance(thing, type) and name not in _PASSED:
                _wrap_class(path, thing, kinds)
    # a function is known by its name in each module that imports it
    for module in list(sys.modules.values()):
        for name in dir(module):
            thing = getattr(module, name)
            for old, new in replaced:
                if thing is old:
                    setattr(module, name, new)


_seen = []


def _wrap_class(path, kind, kinds):
    if kind in _seen:
        return
    _seen.append(kind)
    try:
        own = kind.__dict__
    except AttributeError:
        return
    for name in list(own):
        if type(own[name]) in kinds and not name.startswith("__"):
            setattr(kind, name, marked(path + "." + kind.__name__ + "." + name, own[name]))


def _nothing():
    pass


def _calls(function):
    for _ in range(100):
        function()


def _calibrate():
    """What marks cost: calls of nothing, with and without."""
    nothing = marked("nothing", _nothing)
    marked("calls of nothing, marked", _calls)(nothing)
    marked("calls of nothing", _calls)(_nothing)


with open(sys.argv[1]) as file:
    _order = json.load(file)
_wrap()
_calibrate()
import uplink_drain  # noqa: E402, F401 - which runs

with open(_order["trace"], "w") as file:
    for i in range(_at):
        file.write((_names[_trace[i]] if _trace[i] >= 0 else "") + "\n")
