"""Which root certificates a board trusts: that of the chain its server has today, and those it may well have next.

A board in the field cannot be told of a new one easily, and each costs it heap: DER and some 1.2 KB on rp2, where TLS
keeps them in MicroPython's heap.
"""

import contextlib
import datetime
import os
import socket
import ssl
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

# By their names in certifi. TagoIO's hosts are on AWS, whose certificates end in Amazon's roots: 1 for RSA, 3 for the
# elliptic curves that AWS is moving to. Should TagoIO take another issuer, these two sign most of the rest of the web:
# Let's Encrypt (ISRG) and Google, which signs for Cloudflare, too (GTS R4, which needs half of R1's space).
LIKELY = ("Amazon Root CA 1", "Amazon Root CA 3", "ISRG Root X1", "GTS Root R4")
PATIENCE_S = 15


class RootsError(Exception):
    """Why there is nothing to trust, with the remedy."""


@dataclass(frozen=True)
class Root:
    """A root certificate."""

    name: str
    der: bytes
    until: datetime.date


def _root(certificate: x509.Certificate) -> Root:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else certificate.subject.rfc4514_string()
    return Root(name, certificate.public_bytes(Encoding.DER), certificate.not_valid_after_utc.date())


def files(trusted: Iterable[Root]) -> dict[str, bytes]:
    """{path on the board: DER}: one file each, since MicroPython takes only the first certificate of several."""
    return {f"/roots/{number:02d}.der": root.der for number, root in enumerate(trusted)}


def _distinct(trusted: Iterable[Root]) -> list[Root]:
    return list({root.der: root for root in trusted}.values())


def of_pem(pem: bytes, origin: str) -> list[Root]:
    """The certificates of a PEM text, each once. Raises RootsError."""
    try:
        return _distinct(map(_root, x509.load_pem_x509_certificates(pem)))
    except ValueError as error:
        raise RootsError(
            f"{origin} holds no PEM certificate ({error}): give the CA's file, -----BEGIN CERTIFICATE-----"
        ) from None


def of_file(path: Path) -> list[Root]:
    """The certificates of a PEM file. Raises RootsError."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise RootsError(f"--ca {path}: {error.strerror}: name a PEM file") from None
    return of_pem(pem, f"--ca {path}")


def store() -> Path:
    """The PC's trust store, a PEM file: $SSL_CERT_FILE, else Mozilla's list as certifi has it."""
    return Path(os.environ.get("SSL_CERT_FILE") or certifi.where())


def likely(trusted: Iterable[Root], names: Iterable[str] = LIKELY) -> list[Root]:
    """Those of `trusted` that have these names, in the order of the names."""
    known = {root.name: root for root in trusted}
    return [known[name] for name in names if name in known]


def of_host(host: str, port: int, trust: Path | None = None) -> list[Root]:
    """The root of the chain that this host has, which is verified, then the likely ones. trust: in place of store().

    Raises RootsError.
    """
    trust = trust or store()
    try:
        context = ssl.create_default_context(cafile=str(trust))
    except (OSError, ssl.SSLError):
        raise RootsError(f"{trust} is no list of trusted certificates: correct SSL_CERT_FILE, or unset it") from None
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # boards speak no newer one
    chain = _chain(host, port, context)
    return _distinct([_root(x509.load_der_x509_certificate(chain[-1])), *likely(_all_of(trust))])


def _all_of(trust: Path) -> list[Root]:
    """Certificate by certificate: one that this library does not like is no reason to do without the others."""
    end = b"-----END CERTIFICATE-----"
    found = []
    with warnings.catch_warnings(category=CryptographyDeprecationWarning, action="ignore"):
        for piece in trust.read_bytes().split(end)[:-1]:
            with contextlib.suppress(ValueError):
                found.append(_root(x509.load_pem_x509_certificate(piece + end)))
    return found


def _chain(host: str, port: int, context: ssl.SSLContext) -> list[bytes]:
    """The verified chain of a host, leaf first, each as DER. Raises RootsError."""
    where = f"{host}:{port}"
    other = "or give the root yourself with --ca FILE.pem"
    try:
        with (
            socket.create_connection((host, port), PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            return _verified(secure)
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message.rstrip(".")
        raise RootsError(f"the certificate of {where} does not verify ({why}): {_remedy(error)}, {other}") from None
    except ssl.SSLError as error:
        reason = (error.reason or "no reason given").lower().replace("_", " ")
        raise RootsError(
            f"{where} does not speak TLS 1.2, which boards need ({reason}): correct [tagoio] host and port, {other}"
        ) from None
    except socket.gaierror:
        raise RootsError(f"there is no host {host}: check the network and [tagoio] host, {other}") from None
    except TimeoutError:
        raise RootsError(f"{where} does not answer: check the network and [tagoio] host and port, {other}") from None
    except OSError as error:
        raise RootsError(f"{where} cannot be reached ({error.strerror or error}): check the network, {other}") from None


def _verified(secure: Any) -> list[bytes]:
    if hasattr(secure, "get_verified_chain"):
        return secure.get_verified_chain()
    # Python 3.11 and 3.12 have it already, one level below
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in secure._sslobj.get_verified_chain()]


# OpenSSL's X509_V_ERR_… (x509_vfy.h)
_NOT_YET_VALID, _EXPIRED, _HOSTNAME = 9, 10, 62


def _remedy(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _HOSTNAME:
        return "correct [tagoio] host to the name that the server has"
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
        return "check this PC's clock; if it is right, the server's owner has to renew it"
    return "a network that looks into TLS has a root of its own: use another network"
