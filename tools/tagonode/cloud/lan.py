"""Under which names and addresses others in the network reach this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

_ELSEWHERE = "192.0.2.1"  # RFC 5737: nobody has it; nothing is sent there


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_addresses() -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((_ELSEWHERE, 9))  # which of its addresses the way out begins with
        found.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        found += [str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return [address for address in dict.fromkeys(found) if not is_loopback(address)]


def names(host: str) -> list[str]:
    """Addresses and names for the certificate of a server that listens on `host`, the best to print first."""
    if is_loopback(host):
        return []
    if host in ("0.0.0.0", "::", ""):
        own = socket.gethostname()
        return list(dict.fromkeys([*_own_addresses(), own, own if "." in own else f"{own}.local"]))
    return [host]
