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
_WAIT_MAX = const(3600)

# Refusals that no other reading would escape. A row's words must all be in the text. The sentences behind some of them:
# "The device has reached the limit of 50000 data registers", "Device not found or inactive", and for times outside of
# the retention "Time must be between 2026-01-01 and 2026-02-03".
_DEVICE_REFUSES = (
    "limit reach/limit exceed month/quota/time must between/retention/time too old/time future"
    "/deactivated/disabled/inactive/permission"
)

# What an exception while shaking hands means: the reason (none: not a matter of trust), phrases any of which is in its
# text, what to tell the user. A certificate may fail in several ways at once. A clock that is behind is named last,
# since setting the clock cures that one fault only. One text a row: every tuple would cost a board's heap for ever.
_HANDSHAKE = (
    "host/common name/name mismatch/address mismatch"
    "/the certificate is for another host: check the server's name in the settings",
    "issuer/-30336/no root certificate on this board: build with the default roots or with --ca",
    "issuer/not correctly signed/issuer certificate/self-signed"
    "/no root on this board vouches for the server: build with --ca and the server's root",
    "expired/expired/the server's certificate has expired: renew it, or check this board's clock",
    "clock/in the future/not yet valid/the certificate is not valid yet: this board's clock is behind",
    "/-30592/protocol version/protocol_version/the server broke off the TLS handshake: it must offer TLS 1.2",
    "/enomem/errno 12]/-32512"
    "/too little free memory for TLS, which needs 17 KB in one piece: drop a sensor or a feature",
)

_STAGES = {
    "resolve": "no address for the server: check its name, the network and its DNS",
    "connect": "no connection to the server",
    "handshake": "TLS handshake failed",
    "send": "connection lost while sending",
    "answer": "no full answer",
}


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
    detail = _tidy(said or f"HTTP {status}", secret)
    success = 200 <= status < 300
    if success and answer is not None and answer.get("status") is True:
        if answer.get("message"):
            return ACCEPTED_WITH_WARNING, detail, None
        return ACCEPTED, detail, None

    wait = _wait(header, said)
    if status == 429:
        return THROTTLED, detail, wait
    if status in (502, 504):
        # A gateway speaks for a server behind it, which may have stored the batch.
        return AMBIGUOUS, detail, None
    if status >= 500 or status == 408:
        return UNAVAILABLE, detail, wait
    verdict = None
    if status in (401, 403):
        verdict = UNAUTHORISED
    elif status == 402:
        verdict = DEVICE_REFUSES
    elif status == 413:
        verdict = TOO_LARGE
    elif 300 <= status < 400:
        verdict = MISCONFIGURED
        said = header("location") or "nowhere"
        detail = _tidy(f"correct the server's address: HTTP {status} sends us to {said}", secret)
    elif status in (404, 405):
        verdict = MISCONFIGURED
        detail = _tidy("wrong server address or path: " + detail)
    # 200 and 4xx mean what TagoIO says they mean, if it is TagoIO who speaks.
    elif answer is None or answer.get("status") is not False:
        verdict = AMBIGUOUS if success else UNAVAILABLE
        detail = f"HTTP {status} without an answer of TagoIO's"
    else:
        text = detail.lower()
        if "too many requests" in text:
            return THROTTLED, detail, wait
        verdict = REJECTED
        if "authorization denied" in text:
            verdict = UNAUTHORISED
        elif "entity too large" in text:
            verdict = TOO_LARGE
        else:
            for words in _DEVICE_REFUSES.split("/"):
                if all([word in text for word in words.split()]):
                    verdict = DEVICE_REFUSES
    return verdict, detail, None


def judge_failure(stage: str, text: str, sent: bool):
    """The verdict on an attempt that ended without a full answer.

    ``stage``: "resolve", "connect", "handshake", "send" or "answer". ``text``: the exception's.
    ``sent``: whether the request's last byte was handed to the connection. A server cannot accept a body of
    which a byte is missing, so until then nothing has been delivered; from then on nobody knows.
    """
    if sent:
        return AMBIGUOUS, _tidy("sent, but no full answer: " + text), None
    if stage == "handshake":
        low = text.lower()
        for row in _HANDSHAKE:
            reason, *phrases, message = row.split("/")
            if any([phrase in low for phrase in phrases]):
                return UNTRUSTED if reason else UNAVAILABLE, message, reason or None
    return UNAVAILABLE, _tidy(_STAGES[stage] + ": " + text), None


def retry_after(text):
    """Seconds (1 to 3600) at the start of a Retry-After value, None when it begins otherwise."""
    seconds = -1
    for c in text.lstrip(" :="):
        if not "0" <= c <= "9":
            break
        seconds = min(max(seconds, 0) * 10 + ord(c) - 48, _WAIT_MAX)
    return None if seconds < 0 else max(seconds, 1)


def _wait(header, said):
    # A header with a date is passed over: the text, or the next full minute, serves as well.
    seconds = retry_after(header("retry-after") or "")
    if seconds is None and said:
        at = said.lower().replace(" ", "-").find("retry-after")
        if at >= 0:
            seconds = retry_after(said[at + 11 :])
    return seconds


def _tidy(text, secret=None):
    # One line, nothing that a terminal takes for a command, no halves of pairs that no UTF-8 text may have (json makes
    # them of an escaped emoji).
    if secret:
        text = text.replace(secret, "***")
    return "".join([c if " " <= c <= "~" or "\x9f" < c < "\ud800" else " " for c in text[:_DETAIL_MAX]])
