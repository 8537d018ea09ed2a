"""`os` as boards have it: with uname(), by which they say what they are."""

from uos import *  # noqa: F403


def uname():
    import sys
    from collections import namedtuple

    import backplane

    version = "%d.%d.%d" % sys.implementation.version[:3]
    machine = backplane.call(backplane.PORT, 1).decode()
    port = backplane.call(backplane.PORT).decode()
    result = namedtuple("uname_result", ("sysname", "nodename", "release", "version", "machine"))
    return result(port, port, version, "v" + version, machine)
