"""What an answer of TagoIO means that is no plain success, and what it means that there was none.

The part of `verdicts` that a node needs only when something is wrong; `verdicts` loads it for one call. Pure functions.

Sources: TagoIO API (rate limits, status codes); RFC 9110 sections 10.2.3 and 15; the texts of mbedTLS 3.6
``x509_crt_verify_info`` and of MicroPython's and CPython's ssl modules.
"""

from micropython import const

from tagoio.verdicts import (
    AMBIGUOUS,
    DEVICE_REFUSES,
    MISCONFIGURED,
    REJECTED,
    THROTTLED,
    TOO_LARGE,
    UNAUTHORISED,
    UNAVAILABLE,
    UNTRUSTED,
    tidy,
)

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


def judge(status: int, header, answer, said, detail: str, secret: str = None):
    """`verdicts.judge` for what is not accepted. answer: the envelope or None; said: its text; detail: that, tidied."""
    success = 200 <= status < 300
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
        detail = tidy(f"correct the server's address: HTTP {status} sends us to {said}", secret)
    elif status in (404, 405):
        verdict = MISCONFIGURED
        detail = tidy("wrong server address or path: " + detail)
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


def judge_failure(stage: str, text: str):
    """`verdicts.judge_failure` for a request of which not all was sent."""
    if stage == "handshake":
        low = text.lower()
        for row in _HANDSHAKE:
            reason, *phrases, message = row.split("/")
            if any([phrase in low for phrase in phrases]):
                return UNTRUSTED if reason else UNAVAILABLE, message, reason or None
    return UNAVAILABLE, tidy(_STAGES[stage] + ": " + text), None


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
