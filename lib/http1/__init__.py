"""HTTP/1.1 from the client's side as a protocol without I/O (RFC 9112): bytes in, facts out."""

from http1.errors import LocalProtocolError, RemoteProtocolError
from http1.request import encode_head
from http1.response import Response
