"""Who may see the page, and who may change something through it.

- A name in `Host` that is not this machine's is refused: a foreign site that points its own name at this address
  (DNS rebinding) gets nothing. Addresses in figures are let through, since no name has to be resolved for them.
- A change has to come from the page itself: same origin, with a header that no other site can send without asking.
  What it changes is small: a long body is refused before it is read.
- Where the page is open to a network, everything needs the key of the printed address, once; then a cookie has it.

Every answer carries a content security policy under which a browser loads nothing from elsewhere.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "tagonode_page"
CHANGE_HEADER = b"x-tagonode-page"
BODY_BYTES = 65_536
OPEN_PATHS = ("/ca.pem", "/ca.der")  # for real boards: a certificate is public

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")


def is_address(name: str) -> bool:
    """Whether it is an IP address in figures."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware. `names`: host names of this machine; `key`: None on loopback, where none is needed."""

    def __init__(self, app: ASGIApp, names: Iterable[str], key: str | None):
        self._app = app
        self._names = {name.lower() for name in names}
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on, with the page's headers on its answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        refusal, cookie = self._judge(scope, headers)

        async def saying(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
                if cookie:
                    message["headers"].append((b"set-cookie", cookie.encode()))
            await send(message)

        answer = PlainTextResponse(refusal[1], refusal[0]) if refusal else self._app
        return await answer(scope, receive, saying)

    def _judge(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[tuple[int, str] | None, str | None]:
        """(the refusal's status and text or None, the cookie to set or None)"""
        host = headers.get(b"host", b"").decode("latin-1")
        name = host_name(host)
        if name not in self._names and not is_address(name):
            text = "This page is not served under that name: open the address that was printed at the start.\n"
            return (421, text), None
        if scope["path"] in OPEN_PATHS:
            return None, None
        cookie = None
        if self._key is not None:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
            if self._fits(given):
                cookie = f"{COOKIE}={self._key}; Path=/; HttpOnly; SameSite=Strict"
            elif not self._fits(_cookie(headers)):
                return (401, "This page needs its key: open the whole address that tagonode cloud printed.\n"), None
        site = headers.get(b"sec-fetch-site", b"").decode("latin-1")
        if scope["path"].startswith("/page/api/") and site not in ("", "same-origin", "none"):
            return (403, "Another site may not ask this.\n"), None
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get(b"origin", b"").decode("latin-1")
            if CHANGE_HEADER not in headers or (origin and origin != f"{scope.get('scheme', 'http')}://{host}"):
                return (403, "Changes are taken from the page itself only.\n"), None
            length = headers.get(b"content-length", b"0")
            if b"transfer-encoding" in headers or not length.isdigit() or int(length) > BODY_BYTES:
                return (413, "This is more than the page itself would send.\n"), None
        return None, cookie

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._key or "").encode())


def _cookie(headers: dict[bytes, bytes]) -> str:
    try:
        found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
