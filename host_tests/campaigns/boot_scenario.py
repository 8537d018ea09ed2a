"""firmware/boot.py on littlefs, cut at every flash operation. Runs under MicroPython and under CPython.

A board with an old version has a new one in /incoming, as tagonode deploy leaves it when it has committed, and boot.py
finishes that while each program and erase of flash is recorded. Then the power is cut before and in the middle of each
of them; boot.py starts again, in every other life is cut once more at random, and starts a last time. It has to leave
the whole new version, all other files as they were, and nothing in /incoming.

Usage under MicroPython: micropython boot_scenario.py CAMPAIGNS BOOT_PY PROGRAM SEED JOURNAL FOLDERS
with the last two as JSON prints one line of JSON: {"cuts", "operations", "violations": [text …]}.
"""

import json
import random
import sys

import powercut_scenario

# path: bytes in the old version, in the new one
FILES = {
    "/agent/app.mpy": (700, 710),
    "/lib/drivers/bme280.mpy": (3000, 3001),
    "/lib/spool/queue.mpy": (5000, 5100),
    "/lib/new/module.mpy": (0, 900),
    "/lib/old/deep/gone.mpy": (100, 0),
    "/lib/old/gone.mpy": (4200, 0),
    "/settings.json": (600, 650),
    "/settings.2.json": (600, 650),
    "/manifest.json": (2000, 2100),
    "/boot.py": (0, 0),
}
KEPT = {"/queue/0001": b"kept" * 100, "/mine.txt": b"mine"}


class Flash(powercut_scenario.RecordingFlash):
    """left: how many more operations there is power for; None: for all."""

    def __init__(self, image=None):
        powercut_scenario.RecordingFlash.__init__(self)
        if image is not None:
            self.image[:] = image
        self.left = None

    def _powered(self):
        if self.left is not None:
            self.left -= 1
        return self.left is None or self.left >= 0

    def writeblocks(self, n, buffer, offset=0):
        if self._powered():
            powercut_scenario.RecordingFlash.writeblocks(self, n, buffer, offset)

    def erase(self, n):
        if self._powered():
            powercut_scenario.RecordingFlash.erase(self, n)


def versions(boot):
    """({path: content} of the old version, of the new one)."""
    old, new = {"/boot.py": boot}, {"/boot.py": boot + b"# newer\n"}
    for path, (before, after) in FILES.items():
        if before:
            old[path] = (b"old" + path.encode() * (before // len(path) + 1))[:before]
        if after:
            new[path] = (b"new" + path.encode() * (after // len(path) + 1))[:after]
    return old, new


def prepare(disk, old, new, journal, folders):
    """The board when deploy has committed."""
    for folder in ["/lib", "/lib/old", "/lib/old/deep", "/queue", "/incoming"] + folders:
        if folder[1:] not in disk.listdir("/"):
            disk.mkdir(folder)
    for files in (old, KEPT):
        for path, data in files.items():
            disk.write(path, data)
    for path, data in new.items():
        disk.write("/incoming/" + path.replace("/", "|"), data)
    disk.write("/incoming/commit", "".join([line + "\n" for line in journal]).encode())


def wrong(disk, old, new):
    """What of a finished board is not as it should be, None when all is."""
    for files in (new, KEPT):
        for path, data in files.items():
            found = disk.read(path)
            if found != data:
                return "%s is %s" % (path, "not there" if found is None else found[:3])
    for path in old:
        if path not in new and disk.read(path) is not None:
            return path + " is still there"
    if "incoming" in disk.listdir("/") and disk.listdir("/incoming"):
        return "left in /incoming: %s" % disk.listdir("/incoming")
    return "/lib/old is still there" if "old" in disk.listdir("/lib") else None


def life(disk, flash, boot, left=None):
    """Power on, run boot.py, power off."""
    disk.mount(flash)
    flash.left = left
    try:
        disk.run(boot)
    except OSError:
        if left is None:
            raise
    finally:
        disk.unmount()
        flash.left = None


def run(disk, boot, seed, journal, folders):
    """All of it, on a disk as below."""
    old, new = versions(boot)
    flash = Flash()
    disk.format(flash)
    disk.mount(flash)
    prepare(disk, old, new, journal, folders)
    disk.unmount()
    image = bytearray(flash.image)
    start = len(flash.log)
    life(disk, flash, boot)
    log = flash.log[start:]
    random.seed(seed)
    cuts = 0
    violations = []

    def check(what, flash):
        disk.mount(flash)
        found = wrong(disk, old, new)
        disk.unmount()
        if found:
            violations.append(what + ": " + found)

    check("without a cut", flash)
    scratch = Flash()
    for index, (n, offset, data) in enumerate(log):
        at = n * powercut_scenario.BLOCK
        for kind in ("before", "torn"):
            scratch.image[:] = image
            if kind == "torn" and data is None:
                scratch.image[at : at + 2048] = b"\xff" * 2048
            elif kind == "torn":
                half = data[: len(data) // 2]
                scratch.image[at + offset : at + offset + len(half)] = half
            cuts += 1
            if cuts % 2:
                life(disk, scratch, boot, random.getrandbits(16) % len(log))
            try:
                life(disk, scratch, boot)
                check("%s operation %d of %d" % (kind, index, len(log)), scratch)
            except OSError as error:
                violations.append("%s operation %d of %d: raised %r" % (kind, index, len(log), error))
            del scratch.log[:]
        if data is None:
            image[at : at + powercut_scenario.BLOCK] = b"\xff" * powercut_scenario.BLOCK
        else:
            image[at + offset : at + offset + len(data)] = data
    return {"cuts": cuts, "operations": len(log), "violations": violations}


class MicroPythonDisk:
    """littlefs of the interpreter as its root."""

    def __init__(self, program):
        import vfs

        self._vfs = vfs
        self._program = program
        vfs.umount("/")

    def format(self, flash):
        self._vfs.VfsLfs2.mkfs(flash, readsize=32, progsize=self._program)

    def mount(self, flash):
        self._vfs.mount(self._vfs.VfsLfs2(flash, readsize=32, progsize=self._program), "/")

    def unmount(self):
        self._vfs.umount("/")

    def run(self, boot):
        exec(compile(boot, "boot.py", "exec"), {"__name__": "__main__"})

    def listdir(self, path):
        import os

        return os.listdir(path)

    def mkdir(self, path):
        import os

        os.mkdir(path)

    def write(self, path, data):
        with open(path, "wb") as file:
            file.write(data)

    def read(self, path):
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError:
            return None


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as file:
        boot = file.read()
    disk = MicroPythonDisk(int(sys.argv[3]))
    print(json.dumps(run(disk, boot, int(sys.argv[4]), json.loads(sys.argv[5]), json.loads(sys.argv[6]))))
