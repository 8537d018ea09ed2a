"""The two ways in which HTTP goes wrong. Any other exception out of this package is a bug."""


class LocalProtocolError(Exception):
    """Our side asked for something that must not be sent. The message never holds a header's value."""


class RemoteProtocolError(Exception):
    """The peer's bytes are no HTTP/1.1 answer, or larger than we take. Close the connection."""
