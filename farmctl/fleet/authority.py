"""The farm's own certificate authority, for mutual TLS between the bus and the rigs.

The files lie in a home's ``secrets``: on the controller ``ca.key`` and a certificate that serves
and joins the bus; on a rig a certificate that can only join. A private key never leaves the
machine that made it.
"""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from farmctl.errors import BadRequest, StoreError
from farmctl.files import write_secret

CA_KEY = "ca.key"
CA_CERTIFICATE = "ca.crt"
KEY = "bus.key"
CERTIFICATE = "bus.crt"
#: The bus proves this name, under whatever address it is reached.
BUS_NAME = "bus.farmctl.internal"
VALID_DAYS = 3650
#: Clocks of rigs may be this far behind.
BACKDATED = datetime.timedelta(days=1)


def prepare(secrets: Path) -> None:
    """Make the authority, and the certificate of this machine, where there are none."""
    if not (secrets / CA_KEY).exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("farmctl authority")
        certificate = _sign(name, name, key.public_key(), key, _authority_extensions())
        write_secret(secrets / CA_CERTIFICATE, _pem(certificate))
        write_secret(secrets / CA_KEY, _key_pem(key))
    if not (secrets / CERTIFICATE).exists():
        own = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        named = x509.SubjectAlternativeName([x509.DNSName(BUS_NAME)])
        extensions = [*_leaf_extensions(uses), (named, False)]
        write_secret(secrets / KEY, _key_pem(own))
        write_secret(secrets / CERTIFICATE, _issue(secrets, "farm", own.public_key(), extensions))


def create_request(rig: str) -> tuple[str, str]:
    """A new private key and a request to sign its public half, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(rig))
    return _key_pem(key), _pem(request.sign(key, hashes.SHA256()))


def sign_request(secrets: Path, rig: str, request_pem: str) -> tuple[str, str]:
    """A rig's certificate and the authority's, both PEM. The name is the one given here, not the
    request's. Raises `BadRequest` for what is no sound request."""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
        public = request.public_key()
        sound = request.is_signature_valid
    except (ValueError, InvalidSignature) as error:
        raise BadRequest(f"this is no certificate request: {error}") from error
    if not sound or not isinstance(public, ec.EllipticCurvePublicKey):
        raise BadRequest("the certificate request must hold, and be signed by, an EC key")
    prepare(secrets)
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    signed = _issue(secrets, rig, public, _leaf_extensions(uses))
    return signed, (secrets / CA_CERTIFICATE).read_text()


def client_context(secrets: Path) -> ssl.SSLContext:
    """Trusts this farm's authority alone, and shows this machine's certificate. Raises
    `StoreError` naming the file that is missing or unreadable."""
    try:
        context = ssl.create_default_context(cafile=str(secrets / CA_CERTIFICATE))
        context.load_cert_chain(secrets / CERTIFICATE, secrets / KEY)
    except OSError as error:
        text = f"the certificates in {secrets} cannot be used ({error}); enrol this rig again"
        raise StoreError(text) from error
    return context


_Extensions = list[tuple[x509.ExtensionType, bool]]


def _issue(
    secrets: Path, name: str, public: ec.EllipticCurvePublicKey, extensions: _Extensions
) -> str:
    try:
        key = serialization.load_pem_private_key((secrets / CA_KEY).read_bytes(), None)
        authority = x509.load_pem_x509_certificate((secrets / CA_CERTIFICATE).read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"the farm's authority in {secrets} is unreadable: {error}") from error
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return _pem(_sign(_name(name), authority.subject, public, key, extensions))


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    extensions: _Extensions,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - BACKDATED,
        not_valid_after=now + datetime.timedelta(days=VALID_DAYS),
    )
    identities: _Extensions = [
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
    ]
    for extension, critical in [*extensions, *identities]:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _authority_extensions() -> _Extensions:
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(signs_certificates=True), True),
    ]


def _leaf_extensions(uses: list[x509.ObjectIdentifier]) -> _Extensions:
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage(uses), False),
    ]


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(signed: x509.Certificate | x509.CertificateSigningRequest) -> str:
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
