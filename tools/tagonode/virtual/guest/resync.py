"""After Ctrl-C in the middle of a call over the wires. Loaded when that has happened."""

import struct

import backplane

_asked = 0


def resync(tx, read):
    """Read until a reply that only this question can have: what was left of others is gone then."""
    global _asked
    _asked += 1
    mark = b"TagoNode's wires %d." % _asked
    tx.write(struct.pack("<BBH", backplane.SYNC, 0, len(mark)) + mark)
    seen = b""
    while seen != mark:
        seen = (seen + read(1))[-len(mark) :]
