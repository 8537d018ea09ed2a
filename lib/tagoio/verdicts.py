"""What an attempt at TagoIO came to: one verdict for every answer and for every failure.

What belongs here: reading answers. What does not: deciding what to do about them (the uplink's policy), or
any state; these functions are pure.

``judge`` reads an answer, ``judge_failure`` the lack of one. Both return ``(verdict, detail, hint)``:

- ``verdict``: one of the constants below.
- ``detail``: at most 120 characters for the log and the user, on one line, without the device's token.
- ``hint``: THROTTLED and UNAVAILABLE: seconds to wait as the server told (1 to 3600) or None, then wait for
  the next full minute (THROTTLED) or back off; UNTRUSTED: why, ``"host"``, ``"issuer"``, ``"expired"`` or
  ``"clock"``; else None.

=======================  ===========================================================================
verdict                  meaning, and what the readings need
=======================  ===========================================================================
ACCEPTED                 stored; settle them
ACCEPTED_WITH_WARNING    stored; the detail is the server's warning
REJECTED                 something in the batch is wrong: split it until the offender is alone
TOO_LARGE                halve the batch
DEVICE_REFUSES           nothing is wrong with the readings (limit, retention, disabled device): keep all
THROTTLED                wait
UNAUTHORISED             token unknown, expired, of the wrong kind or permission: keep all, tell the user
UNAVAILABLE              not taken, for now: back off
UNTRUSTED                the server did not prove who it is; nothing was sent
MISCONFIGURED            the address is wrong (redirect, unknown path): keep all, tell the user
AMBIGUOUS                sent whole, no answer that can be understood: ask before sending again
=======================  ===========================================================================

Sources: TagoIO API (envelope, rate limits, status codes); RFC 9110 sections 10.2.3 and 15; the texts of
mbedTLS 3.6 ``x509_crt_verify_info`` and of MicroPython's and CPython's ssl modules.
"""

import json
import sys

from micropython import const

ACCEPTED = "accepted"
ACCEPTED_WITH_WARNING = "accepted with warning"
REJECTED = "rejected"
TOO_LARGE = "too large"
DEVICE_REFUSES = "device refuses"
THROTTLED = "throttled"
UNAUTHORISED = "unauthorised"
UNAVAILABLE = "unavailable"
UNTRUSTED = "untrusted"
MISCONFIGURED = "misconfigured"
AMBIGUOUS = "ambiguous"

_DETAIL_MAX = const(120)


def parse_envelope(body):
    """The answer's JSON object as a dict, or None when the body is anything else: empty, cut short, a list,
    or the page of a proxy or captive portal. ``body``: bytes or bytearray."""
    try:
        answer = json.loads(body)
    except (ValueError, TypeError, RuntimeError, MemoryError):
        return None  # the last two: nested without end
    return answer if isinstance(answer, dict) else None


def message_of(answer: dict):
    """The server's text in any of its forms: ``message`` on top, inside ``result``, or ``result`` itself.
    None when there is none."""
    message = answer.get("message")
    if not message:
        message = answer.get("result")
        if isinstance(message, dict):
            message = message.get("message")
    return message if isinstance(message, str) and message else None


def judge(status: int, header, body, secret: str = None):
    """The verdict on an answer to a whole request.

    ``header``: function from a lower-case header name to its text or None. ``body``: the answer's bytes.
    ``secret``: the device's token, which is blotted out should the server repeat it.
    For a request that changes nothing, AMBIGUOUS is as good as UNAVAILABLE.
    """
    answer = parse_envelope(body)
    said = None if answer is None else message_of(answer)
    detail = tidy(said or f"HTTP {status}", secret)
    if 200 <= status < 300 and answer is not None and answer.get("status") is True:
        if answer.get("message"):
            return ACCEPTED_WITH_WARNING, detail, None
        return ACCEPTED, detail, None

    return _troubles().judge(status, header, answer, said, detail, secret)


def judge_failure(stage: str, text: str, sent: bool):
    """The verdict on an attempt that ended without a full answer.

    ``stage``: "resolve", "connect", "handshake", "send" or "answer". ``text``: the exception's.
    ``sent``: whether the request's last byte was handed to the connection. A server cannot accept a body of
    which a byte is missing, so until then nothing has been delivered; from then on nobody knows.
    """
    if sent:
        return AMBIGUOUS, tidy("sent, but no full answer: " + text), None
    return _troubles().judge_failure(stage, text)


def _troubles():
    """What is behind all that is not plain success: loaded for one call, since a healthy node needs it never."""
    from tagoio import troubles

    del sys.modules["tagoio.troubles"]
    delattr(sys.modules["tagoio"], "troubles")
    return troubles


def tidy(text: str, secret: str = None) -> str:
    """At most 120 characters of it, on one line, `secret` blotted out."""
    # One line, nothing that a terminal takes for a command, no halves of pairs that no UTF-8 text may have (json makes
    # them of an escaped emoji).
    if secret:
        text = text.replace(secret, "***")
    return "".join([c if " " <= c <= "~" or "\x9f" < c < "\ud800" else " " for c in text[:_DETAIL_MAX]])
