"""HTTP/1.1 from the client's side as a protocol without I/O (RFC 9112): bytes in, facts out.

Out of here come LocalProtocolError for our own faults and RemoteProtocolError for the peer's; anything else is a bug.
"""

from http1.request import LocalProtocolError, encode_head  # noqa: F401 - what the package offers
from http1.response import RemoteProtocolError, Response  # noqa: F401
