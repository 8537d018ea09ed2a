"""Certificate chains for servers in tests: root, intermediate and leaf as real ones are, and bad ones.

RSA keys are slow to make, so each chain is made once a process.
"""

import datetime
import ssl
import tempfile
from dataclasses import dataclass
from functools import cache

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

RSA = trustme.KeyType.RSA
KINDS = ("good", "wrong_host", "unknown_issuer", "expired", "not_yet_valid", "self_signed", "no_intermediate")


@dataclass(frozen=True)
class Chain:
    """What a server presents: its key and its certificates, leaf first, all in one PEM text."""

    pem: bytes

    def server_context(self, minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = minimum
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


@cache
def _authority() -> tuple[trustme.CA, trustme.CA]:
    root = trustme.CA(organization_name="TagoNode test root", key_type=RSA)
    return root, root.create_child_ca(key_type=RSA)


def root_pem() -> bytes:
    return _authority()[0].cert_pem.bytes()


def root_der() -> bytes:
    """The root that devices trust in tests."""
    return x509.load_pem_x509_certificate(root_pem()).public_bytes(Encoding.DER)


@cache
def chain(kind: str = "good", host: str = "localhost") -> Chain:
    """The chain of a server called `host` (and 127.0.0.1); `kind` is one of KINDS."""
    if kind not in KINDS:
        raise ValueError(f"certificate={kind!r}: choose one of {', '.join(KINDS)}")
    if kind == "self_signed":
        return _self_signed(host)
    issuer = _authority()[1]
    if kind == "unknown_issuer":
        stranger = trustme.CA(organization_name="Unknown root", key_type=RSA)
        issuer = stranger.create_child_ca(key_type=RSA)
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    validity = {
        "expired": {"not_before": now - 30 * day, "not_after": now - day},
        "not_yet_valid": {"not_before": now + day, "not_after": now + 30 * day},
    }.get(kind, {"not_before": now - day, "not_after": now + 30 * day})
    names = ("elsewhere.example",) if kind == "wrong_host" else (host, "127.0.0.1")
    leaf = issuer.issue_cert(*names, common_name=names[0], key_type=RSA, **validity)
    blobs = [blob.bytes() for blob in leaf.cert_chain_pems]
    if kind == "no_intermediate":
        del blobs[1:]
    return Chain(leaf.private_key_pem.bytes() + b"".join(blobs))


def _self_signed(host: str) -> Chain:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Chain(private + certificate.public_bytes(Encoding.PEM))
