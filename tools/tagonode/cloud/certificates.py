"""The stand-in's own CA: root, intermediate and leaf, with the extensions and lifetimes of a public chain.

The root is what a client pins; the server sends leaf and intermediate, as RFC 5246 section 7.4.2 wants.
Profiles follow RFC 5280 section 4.2. The certificates become valid a day before they are made, so that a
board whose clock is not set meets the same refusal here as in the field.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOSTS = ("localhost", "127.0.0.1", "::1")
ROOT_DAYS, INTERMEDIATE_DAYS, LEAF_DAYS = 3650, 1825, 397
RENEW_DAYS = 30
# certificates that no client may accept: (their name for people, host or None for the server's own, first day, days)
_BAD = {
    "wrong_host": ("for another host", "elsewhere.example", -1, LEAF_DAYS),
    "unknown_issuer": ("from an unknown issuer", None, -1, LEAF_DAYS),
    "expired": ("that has expired", None, -31, 30),
    "not_yet_valid": ("that is not valid yet", None, 1, LEAF_DAYS),
}
BAD_KINDS = {kind: row[0] for kind, row in _BAD.items()}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def _pem_key(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "TagoNode local stand-in"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issue(
    subject: x509.Name,
    key: Key,
    issuer: x509.Certificate | None,
    issuer_key: Key,
    days: int,
    path_length: int | None = None,
    hosts: Sequence[str] = (),
    first_day: int = -1,
) -> x509.Certificate:
    """One certificate: self-signed when `issuer` is None, a CA's unless `hosts` are given; valid from `first_day` on,
    counted from today."""
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=first_day)
    ca = not hosts
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        .add_extension(_usage(ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer:
        above = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False
        )
    if hosts:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        ).add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class CertificateAuthority:
    """The chain, kept as PEM files in `folder`: made when it is missing, renewed before it expires.

    `root.pem`, `root.der`: for those who verify. `chain.pem`, `leaf.key`: for the server. The keys are
    readable by their owner only. Root and intermediate are RSA-2048, the leaf P-256, which is what boards
    meet most.
    """

    def __init__(self, folder: Path, hosts: Sequence[str] = HOSTS):
        self.folder = Path(folder)
        self.root_pem_file = self.folder / "root.pem"
        self.root_der_file = self.folder / "root.der"
        self.chain_file = self.folder / "chain.pem"
        self.key_file = self.folder / "leaf.key"
        self._root_key_file = self.folder / "root.key"
        self._intermediate_key_file = self.folder / "intermediate.key"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._is_good(hosts):
            self._make(hosts)
        self.root_pem = self.root_pem_file.read_bytes()
        self.root_der = self.root_der_file.read_bytes()

    def _write(self, path: Path, content: bytes, private: bool = False) -> None:
        draft = path.with_suffix(path.suffix + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def _is_good(self, hosts: Sequence[str]) -> bool:
        try:
            chain = x509.load_pem_x509_certificates(self.chain_file.read_bytes())
            chain += x509.load_pem_x509_certificates(self.root_pem_file.read_bytes())
            leaf = chain[0]
            for below, above in pairwise(chain):
                below.verify_directly_issued_by(above)
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            key = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
            if not self.root_der_file.exists() or key.public_key() != leaf.public_key():
                return False
        except (OSError, ValueError, TypeError, IndexError, InvalidSignature):
            return False
        soon = datetime.now(UTC) + timedelta(days=RENEW_DAYS)
        return set(names) >= {_alternative(host) for host in hosts} and all(c.not_valid_after_utc > soon for c in chain)

    def _authority(self) -> tuple[x509.Certificate, Key]:
        """The kept root, so that clients which pinned it go on; or a new one."""
        try:
            root = x509.load_pem_x509_certificate(self.root_pem_file.read_bytes())
            key = serialization.load_pem_private_key(self._root_key_file.read_bytes(), None)
            fresh = root.not_valid_after_utc > datetime.now(UTC) + timedelta(days=LEAF_DAYS)
            if fresh and isinstance(key, rsa.RSAPrivateKey) and key.public_key() == root.public_key():
                return root, key
        except (OSError, ValueError):
            pass
        key = rsa.generate_private_key(65537, 2048)
        root = _issue(_name("TagoNode local root"), key, None, key, ROOT_DAYS)
        self._write(self._root_key_file, _pem_key(key), private=True)
        self._write(self.root_pem_file, _pem(root))
        return root, key

    def _make(self, hosts: Sequence[str]) -> None:
        root, root_key = self._authority()
        self._write(self.root_der_file, root.public_bytes(serialization.Encoding.DER))
        key = rsa.generate_private_key(65537, 2048)
        intermediate = _issue(
            _name("TagoNode local intermediate"), key, root, root_key, INTERMEDIATE_DAYS, path_length=0
        )
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        leaf = _issue(_name(hosts[0]), leaf_key, intermediate, key, LEAF_DAYS, hosts=hosts)
        self._write(self._intermediate_key_file, _pem_key(key), private=True)
        self._write(self.key_file, _pem_key(leaf_key), private=True)
        self._write(self.chain_file, _pem(leaf) + _pem(intermediate))

    def bad(self, kind: str, hosts: Sequence[str] = HOSTS) -> bytes:
        """A chain with its key, PEM, that clients have to refuse. `kind`: one of BAD_KINDS.

        Raises ValueError when the folder is damaged.
        """
        _, other, first_day, days = _BAD[kind]
        names = (other,) if other else tuple(hosts)
        if kind == "unknown_issuer":
            issuer_key: Key = ec.generate_private_key(ec.SECP256R1())
            issuer = _issue(_name("Unknown root"), issuer_key, None, issuer_key, INTERMEDIATE_DAYS)
        else:
            issuer = x509.load_pem_x509_certificates(self.chain_file.read_bytes())[1]
            try:
                kept = serialization.load_pem_private_key(self._intermediate_key_file.read_bytes(), None)
            except (OSError, ValueError) as error:
                raise ValueError(f"{self.folder} lacks a key ({error}): remove it, and start anew") from error
            if not isinstance(kept, rsa.RSAPrivateKey):
                raise ValueError(f"{self._intermediate_key_file} holds another key: remove {self.folder}, start anew")
            issuer_key = kept
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _issue(_name(names[0]), key, issuer, issuer_key, days, hosts=names, first_day=first_day)
        return _pem_key(key) + _pem(leaf) + _pem(issuer)
