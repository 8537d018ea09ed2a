"""HTTP/1.1 from the client's side as a protocol without I/O (RFC 9112): bytes in, facts out.

LocalProtocolError is our own fault, RemoteProtocolError the peer's; any other exception is a bug.
"""

from http1.request import LocalProtocolError, encode_head  # noqa: F401 - what the package offers
from http1.response import RemoteProtocolError, Response  # noqa: F401
