"""DNS messages, without I/O (RFC 1035): a question for one IPv4 address, and what an answer says."""

import struct

from micropython import const

from session import DnsError

_TYPE_A = const(1)
_TYPE_CNAME = const(5)
_CLASS_IN = const(1)
_QR = const(0x8000)
_RCODE = const(0x000F)
_NXDOMAIN = const(3)
_MAX_POINTERS = const(16)


def encode_query(ident: int, name: str) -> bytes:
    """The question for the A records of `name`, with recursion desired (RFC 1035 section 4.1).

    Raises DnsError for a name with an empty label, a label over 63 bytes, more than 253 bytes or anything but
    visible ASCII: names in other scripts are written in their xn-- form (RFC 5891).
    """
    parts = [struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0)]
    if len(name) > 253:
        raise DnsError("host name is longer than 253 characters: " + name[:40] + "…")
    for label in name.rstrip(".").split("."):
        raw = label.encode()
        if not 0 < len(raw) < 64 or min(raw) < 33 or max(raw) > 126:
            raise DnsError("not a host name: " + name)
        parts.append(bytes((len(raw),)))
        parts.append(raw)
    parts.append(b"\x00\x00\x01\x00\x01")
    return b"".join(parts)


def _name(message, at):
    """Read a name, following pointers: returns (lower-case text, index after it). IndexError past the end."""
    labels = []
    after = -1
    hops = 0
    while True:
        length = message[at]
        if length & 0xC0 == 0xC0:
            hops += 1
            if hops > _MAX_POINTERS:
                raise DnsError("name compression loops")
            if after < 0:
                after = at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            continue
        at += 1
        if length == 0:
            return b".".join(labels).lower(), (after if after >= 0 else at)
        if length & 0xC0 or at + length > len(message) or len(labels) > 127:
            raise DnsError("malformed name")
        labels.append(bytes(message[at : at + length]))
        at += length


def decode_answer(message: bytes, ident: int, name: str):
    """What a datagram says about `name`.

    Returns ("10.0.0.7", None), or (None, "alias.example") when only an alias is given and has to be asked
    for, or None for a datagram that answers another question. Raises DnsError when it is the answer, no use.
    """
    if len(message) < 12:
        return None
    received, flags, questions, answers = struct.unpack_from(">HHHH", message, 0)
    if received != ident:
        return None
    try:
        if not flags & _QR or questions != 1:
            return None
        asked, at = _name(message, 12)
        wanted = name.rstrip(".").lower().encode()
        if asked != wanted:
            return None
        if flags & _RCODE:
            if flags & _RCODE == _NXDOMAIN:
                raise DnsError("no such name: " + name)
            raise DnsError("the name server refuses " + name + ", code " + str(flags & _RCODE))
        at += 4
        for _ in range(min(answers, 32)):
            owner, at = _name(message, at)
            if at + 10 > len(message):
                raise DnsError("malformed answer for " + name)
            kind, klass, _, length = struct.unpack_from(">HHIH", message, at)
            at += 10
            if at + length > len(message):
                raise DnsError("malformed answer for " + name)
            if owner == wanted and klass == _CLASS_IN:
                if kind == _TYPE_A and length == 4:
                    return ".".join([str(octet) for octet in message[at : at + 4]]), None
                if kind == _TYPE_CNAME:
                    wanted = _name(message, at)[0]
            at += length
    except IndexError:
        raise DnsError("malformed answer for " + name) from None
    if wanted == asked:
        raise DnsError("no IPv4 address for " + name)
    try:
        return None, wanted.decode()
    except UnicodeError:
        raise DnsError("malformed alias of " + name) from None
