"""TLS handshakes of the stand-in: the certificate they meet, a bad one on request, and how many there were."""

from __future__ import annotations

import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tagonode.cloud.certificates import BAD_KINDS, CertificateAuthority

SECONDS_MAX = 86_400


class BadCertificate(NamedTuple):
    """`kind`: one of BAD_KINDS. `seconds`: how long it will go on, None until it is switched off. `begun`, `accepted`:
    handshakes since it was switched on, and those that a client completed although it has to refuse."""

    kind: str
    seconds: float | None
    begun: int
    accepted: int

    def __str__(self) -> str:
        return f"certificate {BAD_KINDS[self.kind]}"


class Handshakes:
    """`context` is the server's. `drop` ends the connections that are open, so that clients meet the new certificate.

    A bad certificate is met by every client alike: in a handshake nobody has said yet who he is.
    """

    def __init__(self, authority: CertificateAuthority, hosts: Sequence[str], drop: Callable[[], None]):
        self._authority = authority
        self._hosts = hosts
        self._drop = drop
        self._lock = threading.Lock()
        self._bad: tuple[str, ssl.SSLContext, float | None] | None = None
        self._since = (0, 0)
        self.begun = 0
        self.completed = 0
        self.context = self._new_context()
        self.context.load_cert_chain(authority.chain_file, authority.key_file)
        self.context.sni_callback = self._hello

    @staticmethod
    def _new_context() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # boards speak no newer one
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _hello(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        with self._lock:
            self.begun += 1
            bad = self._current()
        if bad is not None:
            connection.context = bad[1]

    def complete(self) -> None:
        """A handshake is through."""
        with self._lock:
            self.completed += 1

    def _current(self) -> tuple[str, ssl.SSLContext, float | None] | None:
        if self._bad is not None and self._bad[2] is not None and time.monotonic() >= self._bad[2]:
            self._bad = None
        return self._bad

    @property
    def bad(self) -> BadCertificate | None:
        """The bad certificate that new connections meet, None when it is the good one."""
        with self._lock:
            current = self._current()
            if current is None:
                return None
            kind, _, until = current
            left = None if until is None else max(0.0, until - time.monotonic())
            return BadCertificate(kind, left, self.begun - self._since[0], self.completed - self._since[1])

    def switch(self, kind: str | None, seconds: float | None = None) -> None:
        """Give new connections a bad certificate for so many seconds, None: until it is switched off; or with `kind`
        None the good one again. Open connections end. Raises ValueError."""
        bad = None
        if kind is not None:
            if kind not in BAD_KINDS:
                raise ValueError(f"kind must be one of {', '.join(BAD_KINDS)}")
            if seconds is not None and not 0 < seconds <= SECONDS_MAX:
                raise ValueError(f"seconds must be above 0 and at most {SECONDS_MAX}")
            context = self._new_context()
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:
                file.write(self._authority.bad(kind, self._hosts))
                file.flush()
                context.load_cert_chain(file.name)
            bad = (kind, context, None if seconds is None else time.monotonic() + seconds)
        with self._lock:
            self._bad = bad
            self._since = self.begun, self.completed
        self._drop()
