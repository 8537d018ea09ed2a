"""The spool on real littlefs under CPython: littlefs-python on the scenario's flash, as the spool's `os` and `open`."""

import errno
import os
from types import SimpleNamespace

from littlefs import LittleFS, LittleFSError, UserContext

from . import powercut_scenario as scenario


class _Context(UserContext):
    def __init__(self, flash):
        self.flash = flash

    def read(self, cfg, block, off, size):
        buffer = bytearray(size)
        self.flash.readblocks(block, buffer, off)
        return buffer

    def prog(self, cfg, block, off, data):
        self.flash.writeblocks(block, data, off)
        return 0

    def erase(self, cfg, block):
        self.flash.erase(block)
        return 0

    def sync(self, cfg):
        return 0


class _File:
    """What MicroPython's file on VfsLfs2 does, with its errors as OSError."""

    def __init__(self, filesystem, path, mode):
        try:
            self.raw = _call(filesystem.open, path, mode, buffering=0)
        except OSError as e:
            if mode != "ab" or e.errno != errno.ENOENT:
                raise
            self.raw = _call(filesystem.open, path, "wb", buffering=0)  # its append does not create

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _call(self.raw.close)

    def seek(self, at):
        return self.raw.seek(at)

    def readinto(self, buffer):
        data = self.raw.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        return _call(self.raw.write, bytes(data))


def _call(function, *arguments, **keywords):
    try:
        return function(*arguments, **keywords)
    except LittleFSError as e:
        raise OSError(abs(e.code), str(e)) from e
    except FileNotFoundError as e:
        raise OSError(errno.ENOENT, str(e)) from e


class CPythonDisk:
    """Stands in for the spool module's `os` and `open`; the geometry is that of MicroPython's ports."""

    root = ""

    def __init__(self, program, spool_queue):
        self.program = program
        self.filesystem = None
        spool_queue.os = SimpleNamespace(
            listdir=lambda path: _call(self.filesystem.listdir, path),
            mkdir=lambda path: _call(self.filesystem.mkdir, path),
            remove=lambda path: _call(self.filesystem.remove, path),
            rename=lambda a, b: _call(self.filesystem.rename, a, b),
            stat=lambda path: (0,) * 6 + (_call(self.filesystem.stat, path).size,),
            statvfs=self._statvfs,
            urandom=os.urandom,
        )
        spool_queue.open = lambda path, mode: _File(self.filesystem, path, mode)

    def _statvfs(self, path):
        free = scenario.BLOCKS - self.filesystem.used_block_count
        return (scenario.BLOCK, scenario.BLOCK, scenario.BLOCKS, free, free)

    def _make(self, flash, mount):
        return LittleFS(
            _Context(flash),
            mount=mount,
            block_size=scenario.BLOCK,
            block_count=scenario.BLOCKS,
            read_size=32,
            prog_size=self.program,
            cache_size=4 * self.program,
            lookahead_size=32,
            block_cycles=100,
        )

    def format(self, flash):
        self._make(flash, False).format()

    def mount(self, flash):
        self.filesystem = self._make(flash, True)

    def unmount(self):
        self.filesystem = None
