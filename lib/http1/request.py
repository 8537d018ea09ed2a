"""A request's head. What belongs here: bytes of the head and the refusal of what would inject into it."""

from http1.errors import LocalProtocolError


def encode_head(method: str, target: str, host: str, headers=(), content_length=None) -> bytes:
    """Request line and headers, ready to send.

    ``target``: path and query, percent-encoded, from the slash on. ``host``: name, with ``:port`` when it is
    not the scheme's own. ``headers``: (name, value) pairs of text, Host and Content-Length not among them.
    ``content_length``: bytes of the body that follows, None for a request without a body.
    Raises LocalProtocolError for anything that is not plain visible ASCII in its place (RFC 9110 section 5).
    """
    if not method.isalpha():
        raise LocalProtocolError("a method must be letters")
    if target[:1] != "/":
        raise LocalProtocolError("a target must begin with /")
    _check("the target", target, 33)
    _check("the host", host, 33)
    head = [method, " ", target, " HTTP/1.1\r\nHost: ", host, "\r\n"]
    for name, value in headers:
        if ":" in name or not name:
            raise LocalProtocolError("a header has a bad name")
        _check("a header's name", name, 33)
        _check("header " + name, value, 32)
        head += (name, ": ", value, "\r\n")
    if content_length is not None:
        head += ("Content-Length: ", str(content_length), "\r\n")
    head.append("\r\n")
    return "".join(head).encode()


def _check(what, text, lowest):
    # Names the place, not the text: it may be the token.
    for c in text:
        if not lowest <= ord(c) <= 126:
            raise LocalProtocolError(what + " holds a space, a line break or another character that is not allowed")
