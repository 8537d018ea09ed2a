"""`ssl` and `tls` as MicroPython has them on mbedTLS: non-blocking, verification failures as ValueError."""

import errno
import ssl as real
from typing import Any

from . import mp_select
from .mp_stream import Stream

PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER = 0, 1
PROTOCOL_DTLS_CLIENT, PROTOCOL_DTLS_SERVER = 2, 3
CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = 0, 1, 2
MBEDTLS_VERSION = "Mbed TLS 3.6.6 (as played by OpenSSL)"

_CONN_EOF = -0x7280
_CA_CHAIN_REQUIRED = -0x7680
_FATAL_ALERT_MESSAGE = -0x7780
_UNEXPECTED_MESSAGE = -0x7700
_INVALID_RECORD = -0x7200
_MAX_FRAGMENT = 4096  # bytes a board encrypts at a time

# OpenSSL's verify_code -> mbedtls_x509_crt_verify_info
_EXPIRED = "The certificate validity has expired\n"
_FUTURE = "The certificate validity starts in the future\n"
_UNTRUSTED = "The certificate is not correctly signed by the trusted CA\n"
_WRONG_HOST = "The certificate Common Name (CN) does not match with the expected CN\n"
_VERIFY = {9: _FUTURE, 10: _EXPIRED, 62: _WRONG_HOST, 64: _WRONG_HOST}


class SSLContext:
    def __init__(self, protocol: int) -> None:
        server = bool(protocol & 1)
        self._server = server
        context = real.SSLContext(real.PROTOCOL_TLS_SERVER if server else real.PROTOCOL_TLS_CLIENT)
        self._context = context
        context.check_hostname = False
        context.verify_mode = real.CERT_NONE
        # as mbedTLS on the boards: 1.2 and nothing newer, no session tickets
        context.minimum_version = context.maximum_version = real.TLSVersion.TLSv1_2
        context.options |= real.OP_NO_TICKET
        context.hostname_checks_common_name = True
        self._mode = CERT_NONE
        self._roots = 0
        self.verify_callback = None

    @property
    def verify_mode(self) -> int:
        return self._mode

    @verify_mode.setter
    def verify_mode(self, mode: int) -> None:
        self._mode = mode

    def load_verify_locations(self, cadata: bytes) -> None:
        """One DER certificate; what follows it is ignored without a word, as by mbedTLS. Calls accumulate."""
        if not isinstance(cadata, (bytes, str)):
            raise TypeError(f"can't convert '{type(cadata).__name__}' object to str implicitly")
        data = cadata.encode("latin-1") if isinstance(cadata, str) else cadata
        # a PEM file is no certificate to the boards before 1.29: refuse it, as they do
        try:
            self._context.load_verify_locations(cadata=data[: _der_length(data)])
        except (real.SSLError, IndexError, ValueError):
            raise ValueError("invalid cert") from None
        self._roots += 1

    def load_cert_chain(self, cert: bytes, key: bytes) -> None:
        raise NotImplementedError("the scripted network is the server in device tests")

    def get_ciphers(self) -> list[str]:
        return [cipher["name"] for cipher in self._context.get_ciphers()]

    def set_ciphers(self, ciphers: Any) -> None:
        pass

    def wrap_socket(
        self,
        sock: Any,
        *,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        server_hostname: str | None = None,
    ) -> "SSLSocket":
        if self._mode == CERT_REQUIRED and not server_side and server_hostname is None:
            raise ValueError("CERT_REQUIRED requires server_hostname")
        verify = self._mode != CERT_NONE and not server_side
        # OPTIONAL takes whatever comes: the boards accept even a wrong host
        required = self._mode == CERT_REQUIRED and not server_side
        self._context.check_hostname = False
        self._context.verify_mode = real.CERT_REQUIRED if required else real.CERT_NONE
        self._context.check_hostname = required
        wrapped = SSLSocket(self, sock, server_side, server_hostname, verify and not self._roots)
        if do_handshake_on_connect:
            wrapped.shake_hands()
        return wrapped


def _der_length(data: bytes) -> int:
    """Bytes of the first DER element, its head included."""
    if data[0] != 0x30:
        raise ValueError("no SEQUENCE")
    if data[1] < 0x80:
        return 2 + data[1]
    count = data[1] & 0x7F
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big")


class SSLSocket(Stream):
    """TLS over a socket of the shim. After a failed handshake close() leaves that open, as the real does."""

    def __init__(self, context: SSLContext, sock: Any, server: bool, hostname: str | None, no_roots: bool) -> None:
        self._incoming, self._outgoing = real.MemoryBIO(), real.MemoryBIO()
        self._tls = context._context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=hostname
        )
        self._sock = sock
        self._no_roots = no_roots
        self._unsent = b""
        self._shaken = False
        self._poll_mask = 0
        self._error: OSError | None = None

    def shake_hands(self) -> None:
        while True:
            try:
                self._handshake()
                return
            except BlockingIOError:
                poller = mp_select.poll()
                poller.register(self._sock, self._poll_mask or mp_select.POLLIN)
                poller.poll()

    def _flush(self) -> bool:
        """Send what TLS has made; True when all is out."""
        self._unsent += self._outgoing.read()
        while self._unsent:
            try:
                sent = self._sock._send(memoryview(self._unsent))
            except BlockingIOError:
                self._poll_mask = mp_select.POLLOUT
                return False
            self._unsent = self._unsent[sent:]
        return True

    def _fill(self) -> None:
        """Receive once. BlockingIOError when nothing is there."""
        data = self._sock._receive(16384)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _handshake(self) -> None:
        while not self._shaken:
            try:
                self._tls.do_handshake()
                self._shaken = True
            except real.SSLWantReadError:
                self._need(read=True)
            except real.SSLCertVerificationError as error:
                self._flush()
                self._sock = None
                if self._no_roots:
                    raise self._failed(_CA_CHAIN_REQUIRED, "SSL - No CA Chain is set") from None
                raise ValueError(_VERIFY.get(error.verify_code, _UNTRUSTED)) from None
            except real.SSLEOFError:
                raise self._failed(_CONN_EOF, "SSL - The connection indicated an EOF") from None
            except real.SSLError as error:
                self._flush()
                self._sock = None
                raise self._failed(*_code(error)) from None
        if not self._flush():
            raise BlockingIOError

    def _need(self, read: bool) -> None:
        if not self._flush():
            raise BlockingIOError
        if read:
            try:
                self._fill()
            except BlockingIOError:
                self._poll_mask = mp_select.POLLIN
                raise
            except OSError as error:
                self._error = error
                raise

    def _failed(self, code: int, text: str) -> OSError:
        self._error = OSError(code, text)
        return self._error

    def _begin(self) -> None:
        self._poll_mask = 0
        if self._error is not None:
            raise self._error
        if self._sock is None:
            raise OSError(errno.EBADF, "EBADF")
        self._handshake()

    def _receive(self, n: int) -> bytes:
        self._begin()
        while True:
            try:
                data = self._tls.read(n)
                self._flush()
                self._poll_mask = 0
                return data
            except real.SSLWantReadError:
                self._need(read=True)
            except (real.SSLZeroReturnError, real.SSLEOFError):
                return b""
            except real.SSLError as error:
                raise self._failed(*_code(error)) from None

    def _send(self, data: memoryview) -> int:
        self._begin()
        if not self._flush():
            raise BlockingIOError
        try:
            sent = self._tls.write(data[:_MAX_FRAGMENT])
        except real.SSLWantReadError:
            self._poll_mask = mp_select.POLLIN
            raise BlockingIOError from None
        except real.SSLError as error:
            raise self._failed(*_code(error)) from None
        try:
            self._flush()
        except OSError as error:
            self._error = error
            raise
        self._poll_mask = 0
        return sent

    def poll_begin(self, mask: int) -> tuple[int, int, int]:
        if self._sock is None or self._error is not None:
            return 0, -1, 0
        if self._poll_mask:
            return 0, self._sock.fileno(), self._poll_mask
        if mask & mp_select.POLLIN and (self._incoming.pending or self._tls.pending()):
            return mp_select.POLLIN, -1, 0
        return 0, self._sock.fileno(), mask

    def poll_end(self, mask: int, events: int) -> int:
        # the direction the handshake needs is there: say what was asked, so that the caller comes back in
        if events & self._poll_mask:
            return mask | (events & mp_select.ALWAYS)
        return events & (mask | mp_select.ALWAYS)

    def setblocking(self, flag: bool) -> None:
        if self._sock is not None:
            self._sock.setblocking(flag)

    def cipher(self) -> tuple:
        name, version, _ = self._tls.cipher() or ("", "", 0)
        return (name, version)

    def getpeercert(self, binary_form: bool = False) -> bytes | None:
        if not binary_form:
            raise NotImplementedError
        return self._tls.getpeercert(True)

    def close(self) -> None:
        """Closes the socket below, unless the handshake has failed: the real one leaks it then."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


def _code(error: real.SSLError) -> tuple[int, str]:
    reason = error.reason or ""
    if "ALERT" in reason:
        return _FATAL_ALERT_MESSAGE, "SSL - A fatal alert message was received from our peer"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL"):
        return _INVALID_RECORD, "SSL - An invalid SSL record was received"
    return _UNEXPECTED_MESSAGE, "SSL - An unexpected message was received from our peer"


def wrap_socket(
    sock: Any,
    server_side: bool = False,
    key: Any = None,
    cert: Any = None,
    cert_reqs: int = CERT_NONE,
    cadata: bytes | None = None,
    server_hostname: str | None = None,
    do_handshake: bool = True,
) -> SSLSocket:
    context = SSLContext(PROTOCOL_TLS_SERVER if server_side else PROTOCOL_TLS_CLIENT)
    context.verify_mode = cert_reqs
    if cadata is not None:
        context.load_verify_locations(cadata)
    return context.wrap_socket(
        sock, server_side=server_side, server_hostname=server_hostname, do_handshake_on_connect=do_handshake
    )
