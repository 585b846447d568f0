"""Who a farm node is to its peers: an Ed25519 key with a self-signed certificate for TLS.

A node is known by its **fingerprint**, the SHA-256 of its public key in hex. The listener proves
its key by TLS itself. The dialler signs the listener's fingerprint and a fresh challenge, so what
it signs is of no use to anyone else, a man in the middle included.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from node.errors import NodeError

KEY_BYTES = 32
SIGNATURE_BYTES = 64
_DOMAIN = b"farmctl peer 1"
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "farm node")])
#: Peers look at the key alone; the certificate is only its vessel.
_FOREVER = timedelta(days=36_500)


class Identity:
    """A node's key and the TLS contexts made with it."""

    def __init__(self, path: Path) -> None:
        """``path`` holds key and certificate as PEM; made at the first start, readable by its
        owner alone. Raises `NodeError` where it holds anything else."""
        if not path.exists():
            _create(path)
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            self._server = _context(ssl.PROTOCOL_TLS_SERVER)
            self._server.load_cert_chain(path)
        except (OSError, ValueError, ssl.SSLError) as error:
            raise NodeError(
                f"{path} holds no key of a peer; restore it, or move it away for a new one"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise NodeError(f"{path} holds a key of another kind; move it away for a new one")
        self._key = key
        self._client = _context(ssl.PROTOCOL_TLS_CLIENT)

    @property
    def public_key(self) -> bytes:
        return _raw(self._key.public_key())

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_key)

    @property
    def server_context(self) -> ssl.SSLContext:
        return self._server

    @property
    def client_context(self) -> ssl.SSLContext:
        """Takes any certificate; its key is compared afterwards (`peer_fingerprint`)."""
        return self._client

    def sign(self, listener: str, challenge: bytes) -> bytes:
        """Prove this key to the listener with that fingerprint."""
        return self._key.sign(_statement(listener, challenge))


def fingerprint(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()


def peer_fingerprint(certificate: bytes) -> str:
    """Of the key in a certificate (DER). Raises ValueError where it is of another kind."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the certificate holds a key of another kind")
    return fingerprint(_raw(key))


def is_proved(public_key: bytes, signature: bytes, listener: str, challenge: bytes) -> bool:
    """Whether the holder of a key signed this listener's challenge."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, _statement(listener, challenge))
    except (ValueError, InvalidSignature):
        return False
    return True


def _statement(listener: str, challenge: bytes) -> bytes:
    return _DOMAIN + bytes.fromhex(listener) + challenge


def _raw(key: Ed25519PublicKey) -> bytes:
    form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return key.public_bytes(*form)


def _context(side: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _create(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _FOREVER)
        .sign(key, None)
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(*form, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret + certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
