"""Connections: the only package with sockets and TLS."""


class DnsError(ValueError):
    """The answer of a name server is not one: malformed, refused, or without the address asked for."""
