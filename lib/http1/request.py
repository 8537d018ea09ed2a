"""A request's head. What belongs here: bytes of the head and the refusal of what would inject into it."""


class LocalProtocolError(Exception):
    """Our side asked for something that must not be sent. The message never holds a header's value."""


def encode_head(method: str, target: str, host: str, headers=(), content_length=None) -> bytes:
    """Request line and headers, ready to send.

    ``target``: path and query, percent-encoded, from the slash on. ``host``: name, with ``:port`` when it is
    not the scheme's own. ``headers``: (name, value) pairs of text, Host and Content-Length not among them.
    ``content_length``: bytes of the body that follows, None for a request without a body.
    Raises LocalProtocolError for anything that is not plain visible ASCII in its place (RFC 9110 section 5).
    """
    _check("the method", method, 33)
    if target[:1] != "/":
        raise LocalProtocolError("a target must begin with /")
    _check("the target", target, 33)
    _check("the host", host, 33)
    head = "%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, target, host)
    for name, value in headers:
        _check("a header's name", name.replace(":", " "), 33)
        _check("header " + name, value, 32)
        head += "%s: %s\r\n" % (name, value)
    if content_length is not None:
        head += "Content-Length: %d\r\n" % content_length
    return (head + "\r\n").encode()


def _check(what, text, lowest):
    # Names the place, not the text: it may be the token.
    data = text.encode()
    if not data or min(data) < lowest or max(data) > 126:
        raise LocalProtocolError(what + " is empty or holds a forbidden character, such as a line break")
