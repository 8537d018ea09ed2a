"""The time of day from an NTP server (SNTP client, RFC 4330)."""

import os
import struct
from time import ticks_diff, ticks_ms

from micropython import const

from session import forget, udp

forget("udp")

_PORT = const(123)
_UNIX_AFTER_NTP_S = const(2208988800)
_ERA_S = const(4294967296)


class SntpError(ValueError):
    """The server answered, but not with a time to trust."""


def decode(datagram: bytes, nonce: bytes, not_before_s: int):
    """Unix milliseconds that a reply gives, or None when it is not the reply to our `nonce`.

    Of the NTP eras the first is taken that gives `not_before_s` (unix) or later, so 2036 is no trouble.
    Raises SntpError for an unsynchronised server or a kiss of death (RFC 4330 sections 5 and 8).
    """
    if len(datagram) < 48 or datagram[24:32] != nonce or datagram[0] & 7 != 4:
        return None
    if datagram[1] == 0:
        raise SntpError("time server refuses us: " + str(datagram[12:16]))
    if datagram[0] >> 6 == 3 or datagram[1] > 15:
        raise SntpError("time server is not synchronised itself")
    seconds, fraction = struct.unpack(">II", datagram[40:48])
    if seconds == 0:
        raise SntpError("time server sent no time")
    unix = seconds - _UNIX_AFTER_NTP_S
    while unix < not_before_s:
        unix += _ERA_S
    return unix * 1000 + (fraction * 1000 >> 32)


async def ask(resolver, server: str, not_before_s: int, timeout_ms: int = 2000, ticks=ticks_ms) -> tuple:
    """Ask `server`, a name or address with or without ":port".

    Returns (unix ms, the ticks at which it held, round trip in ms).
    Raises OSError when nobody answers, ValueError (SntpError, DnsError) for an answer of no use.
    """
    name, port = udp.endpoint(server, _PORT)
    address = await resolver.resolve(name)
    nonce = os.urandom(8)
    start = ticks()
    # version 4, client; the transmit timestamp is a random number: it comes back, and tells nobody our clock
    request = b"\x23" + bytes(39) + nonce
    unix_ms = await udp.ask(address, port, request, lambda datagram: decode(datagram, nonce, not_before_s), timeout_ms)
    end = ticks()
    trip = ticks_diff(end, start)
    return unix_ms + trip // 2, end, trip
