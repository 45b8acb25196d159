"""The sandbox's own certificate authority, for TLS on 127.0.0.1.

Makes a root, and from it the server's certificate and those of clients (the common name is the user,
the organizations are its groups). Guarantees: keys are drawn by the cryptography library and never
shown; certificates are valid from an hour ago for ten years, since a sandbox is short. Needs the
package cryptography (extra `secure`). An `Authority` owns its key.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_ADDRESSES = ("127.0.0.1", "::1", "10.96.0.1")
_BEFORE, _AFTER = timedelta(hours=1), timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, as PEM."""

    certificate: str
    key: str = field(repr=False)


class Authority:
    """A root certificate and what is signed with it."""

    def __init__(self, pair: KeyPair) -> None:
        """Take up a root that was made before; ValueError when it is none."""
        self.pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
        key = serialization.load_pem_private_key(pair.key.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not one of an elliptic curve")
        self._key = key

    @staticmethod
    def create(now: datetime) -> Authority:
        """Make a new root."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject("kcm-sandbox-ca", ())
        usage = _usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
        certificate = (
            _begin(name, name, key, now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return Authority(_pair(certificate, key))

    def server(self, now: datetime) -> KeyPair:
        """Return a certificate for a server on this machine."""
        addresses = [x509.IPAddress(ipaddress.ip_address(one)) for one in _ADDRESSES]
        names = x509.SubjectAlternativeName([*map(x509.DNSName, _NAMES), *addresses])
        return self._issue("kcm-sandbox", (), ExtendedKeyUsageOID.SERVER_AUTH, now, names)

    def client(self, user: str, groups: tuple[str, ...], now: datetime) -> KeyPair:
        """Return a certificate that makes its owner a user with these groups."""
        return self._issue(user, groups, ExtendedKeyUsageOID.CLIENT_AUTH, now, None)

    def _issue(
        self,
        name: str,
        organizations: tuple[str, ...],
        purpose: x509.ObjectIdentifier,
        now: datetime,
        names: x509.SubjectAlternativeName | None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _begin(_subject(name, organizations), self._certificate.subject, key, now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(issuer, critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def server_context(server: KeyPair, ca_pem: str) -> ssl.SSLContext:
    """Return the TLS of a server that takes client certificates of this authority, and asks for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=ca_pem)
    with tempfile.TemporaryDirectory() as folder:
        # The library reads keys from files only; this one is its owner's and gone at once.
        path = os.path.join(folder, "server.pem")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(server.certificate + server.key)
        context.load_cert_chain(path)
    return context


def _subject(name: str, organizations: tuple[str, ...]) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    form = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(form, serialization.PrivateFormat.PKCS8, plain)
    return KeyPair(certificate.public_bytes(form).decode(), private.decode())
