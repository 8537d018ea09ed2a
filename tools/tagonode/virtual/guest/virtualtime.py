"""`time` of a virtual board whose time passes only when nothing runs: days go by in seconds.

Every sleep moves the clock, none of them takes time; what is computed, sent or received takes none of the board's.
Each look at the ticks is a microsecond, so that a loop that waits for them ends. While sockets are waited for, the
host says for how long, in the PC's time, an answer may be on its way, before the board's own time goes on.

Runs in place of the module `time`, for asyncio, too; the watchdog counts here. The ticks begin high, because
MicroPython's task queue stamps new tasks with the PC's, which have to be in the past.
"""

import asyncio.core as core
import builtins
import select
import socket
import struct
import sys
from time import gmtime, localtime, mktime, ticks_add, ticks_diff  # noqa: F401 - given out

import backplane
import machine
import network

_FIRST_MS = 10**12
_STALL_US = 14000000

_us = 0  # since the start
_told = 0  # the host knows of this moment
_host = 0  # at which the host has to be asked
_bite = 1 << 61  # at which the watchdog bites
_limit = 0  # the sooner of them
_fed = 0
_unfed = 0  # the longest time
_joined = False
_call = backplane.call
_print = print
_poll = core.IOQueue.wait_io_event


def _tell(what):
    """Tell the host what time it is. It answers when time may go on. Returns how long to wait for sockets, in ms."""
    global _told, _host, _limit, _joined
    _joined = False
    reply = _call(backplane.TIME, what, struct.pack("<QQ", _us, _unfed))
    _told = _us
    _host, patience = struct.unpack("<QH", reply)
    _limit = min(_host, _bite)
    return patience


def _meet():
    _tell(backplane.BITE if _us >= _bite else 0)


def _pass(us):
    global _us
    end = _us + us
    while end >= _limit:
        _us = max(_us, _limit)
        _meet()
    _us = end


def call(op, unit=0, payload=b""):
    """backplane.call, at a moment that the host knows."""
    global _joined
    if _us != _told:
        _tell(0)
    if op == backplane.WIFI:
        _joined = False
    return _call(op, unit, payload)


def _say(*what, **how):
    # so that the host knows when it was said
    if _us != _told:
        _tell(0)
    _print(*what, **how)


def _isconnected(self):
    # what the host does to the network it does when time may not go on without it
    global _joined
    if not _joined:
        joined = network._radio("isconnected")
        _joined = joined
    return _joined


def wait_io_event(queue, ms):
    """In the place of asyncio's."""
    if queue.map:
        _poll(queue, 0)
        if ms == 0 or _someone():
            return
        patience = _tell(backplane.WAITING)
        if patience:
            _poll(queue, patience)
            if _someone():
                return
    _pass(ms * 1000 if ms >= 0 else _limit - _us)


def _someone():
    task = core._task_queue.peek()
    return task is not None and ticks_diff(task.ph_key, ticks_ms()) <= 0


class _Module:
    """A builtin module, some of whose names are other ones."""

    def __init__(self, module, **names):
        for name in dir(module):
            setattr(self, name, getattr(module, name))
        for name in names:
            setattr(self, name, names[name])


def _getaddrinfo(host, port, *more):
    # whatever goes to the network comes by here, or by Poll: servers shall know what time it is
    if _us != _told:
        _tell(0)
    if host.strip("0123456789."):
        _pass(_STALL_US)  # as lwIP does where two name servers are silent
        raise OSError(-2)
    return socket.getaddrinfo(host, port, *more)


class Poll:
    """In the place of select.poll."""

    def __init__(self):
        poll = select.poll()
        self.register = poll.register
        self.modify = poll.modify
        self.unregister = poll.unregister
        self._poll = poll.poll

    def poll(self, ms=-1):
        if _us != _told:
            _tell(0)
        return self._poll(ms)


class WDT:
    """In the place of machine's."""

    def __init__(self, id=0, timeout=5000):
        global _fed
        call(backplane.WDT_START, 0, struct.pack("<I", timeout))
        self._us = timeout * 1000
        _fed = _us
        self.feed()

    def feed(self):
        global _fed, _unfed, _bite, _limit
        _unfed = max(_unfed, _us - _fed)
        _fed = _us
        _bite = _us + self._us
        _limit = min(_host, _bite)


def ticks_us():
    global _us
    _us += 1
    if _us >= _limit:
        _meet()
    return _FIRST_MS * 1000 + _us


def ticks_ms():
    return ticks_us() // 1000


ticks_cpu = ticks_us


def time():
    year, month, day, _, hour, minute, second, _ = machine.RTC().datetime()
    return mktime((year, month, day, hour, minute, second, 0, 0))


def time_ns():
    year, month, day, _, hour, minute, second, ms = struct.unpack("<8H", call(backplane.RTC_GET))
    return int(mktime((year, month, day, hour, minute, second, 0, 0))) * 1000000000 + ms * 1000000


def sleep_us(us):
    _pass(max(us, 0))


def sleep_ms(ms):
    _pass(max(ms, 0) * 1000)


def sleep(seconds):
    _pass(max(int(seconds * 1000000), 0))


def start():
    """Take the place of time, before anybody else asks for it."""
    sys.modules["time"] = sys.modules["virtualtime"]
    sys.modules["socket"] = _Module(socket, getaddrinfo=_getaddrinfo)
    sys.modules["select"] = _Module(select, poll=Poll)
    core.ticks = ticks_ms
    core.IOQueue.wait_io_event = wait_io_event
    builtins.print = _say
    backplane.call = call
    machine.WDT = WDT
    network.WLAN.isconnected = _isconnected
    _tell(0)
