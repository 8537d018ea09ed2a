"""Builds the device side of a test's fixtures from the JSON that the collector prepared."""

import sys


def make(name, given, fds):
    """fds: the descriptors that came with this test."""
    if name == "tmp":
        return _tmp(given)
    if name == "net":
        from harness import Net

        return Net(given)
    if name == "chips":
        from harness import Chips

        return Chips(given, fds)
    if name == "cloud":
        return Cloud(given)
    raise ValueError(f"no fixture called {name!r}")


def _tmp(given):
    if sys.implementation.name != "micropython":
        return given["folder"]
    import flash
    import vfs

    device = flash.ImageFlash(given["image"], given["blocks"])
    vfs.VfsLfs2.mkfs(device, readsize=32, progsize=given["program"])
    vfs.mount(vfs.VfsLfs2(device, readsize=32, progsize=given["program"]), "/flash")
    return "/flash"


class Cloud:
    """The local TagoIO. host, port; roots: list of DER bytes to trust; token: of a mutable device, which has
    `parameters`: {key: value} that it has not read."""

    host = "localhost"

    def __init__(self, given):
        from binascii import a2b_base64

        self.port = given["port"]
        self.roots = [a2b_base64(given["root"])]
        self.token = given["token"]
        self.parameters = given["parameters"]
