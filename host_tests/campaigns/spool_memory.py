"""A folder in memory for the spool under CPython: fast, atomic as littlefs is, and able to fail on request."""

import errno
import os
from types import SimpleNamespace

BLOCK = 4096


class Memory:
    """files: name → bytes, of the one folder there is. blocks: of the disk. fail: called with (operation, name) before
    each operation; returns None, or (errno, whether it takes effect all the same)."""

    def __init__(self, spool_queue, files=None, blocks=128):
        self.files = dict(files or {})
        self.exists = files is not None
        self.blocks = blocks
        self.fail = lambda operation, name: None
        spool_queue.open = self.open
        spool_queue.os = SimpleNamespace(
            listdir=self.listdir,
            mkdir=self.mkdir,
            remove=self.remove,
            rename=self.rename,
            stat=self.stat,
            statvfs=self.statvfs,
            urandom=os.urandom,
        )

    def _do(self, operation, path, effect):
        name = path.rpartition("/")[2]
        failure = self.fail(operation, name)
        if failure is None or failure[1]:
            result = effect(name)
        if failure is not None:
            raise OSError(failure[0], operation)
        return result

    def used(self):
        return sum(-(-len(data) // BLOCK) for data in self.files.values() if len(data) > 512) + 4

    def listdir(self, path):
        if not self.exists:
            raise OSError(errno.ENOENT, path)
        return list(self.files)

    def mkdir(self, path):
        self.exists = True

    def _missing(self, name):
        if name not in self.files:
            raise OSError(errno.ENOENT, name)

    def remove(self, path):
        self._missing(path.rpartition("/")[2])
        self._do("remove", path, lambda name: self.files.pop(name))

    def rename(self, old, new):
        self._do("rename", old, lambda name: self.files.__setitem__(new.rpartition("/")[2], self.files.pop(name)))

    def stat(self, path):
        name = path.rpartition("/")[2]
        self._missing(name)
        return (0,) * 6 + (len(self.files[name]),)

    def statvfs(self, path):
        free = max(self.blocks - self.used(), 0)
        return (BLOCK, BLOCK, self.blocks, free, free)

    def open(self, path, mode):
        name = path.rpartition("/")[2]
        if mode == "rb":
            self._missing(name)
        return _File(self, path, name, mode)


class _File:
    def __init__(self, memory, path, name, mode):
        self.memory, self.path, self.name, self.mode = memory, path, name, mode
        self.at = 0
        self.data = bytearray(b"" if mode == "wb" else memory.files.get(name, b""))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.mode == "rb":
            return
        if kind is None:
            before = self.memory.files.get(self.name)
            self.memory._do("write", self.path, lambda name: self.memory.files.__setitem__(name, bytes(self.data)))
            if self.memory.used() > self.memory.blocks:
                if before is None:
                    del self.memory.files[self.name]
                else:
                    self.memory.files[self.name] = before
                raise OSError(errno.ENOSPC, self.name)

    def seek(self, at):
        self.at = at

    def readinto(self, buffer):
        def read(name):
            data = self.data[self.at : self.at + len(buffer)]
            buffer[: len(data)] = data
            return len(data)

        return self.memory._do("read", self.path, read)

    def write(self, data):
        self.data += data
