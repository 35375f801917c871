"""A certificate for localhost, made anew for each run."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["certificate_in"]


def certificate_in(directory: Path, kind: str = "ec") -> tuple[Path, Path]:
    """Return a certificate and its key in PEM, made when not there.

    :param kind: of the key: "ec" for ECDSA P-256, "rsa" for RSA of 2,048 bits.
    """
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    if not certificate.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
        if kind == "rsa":
            private = rsa.generate_private_key(65537, 2048)
        else:
            private = ec.generate_private_key(ec.SECP256R1())
        key.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        certificate.write_bytes(
            _signed(private).public_bytes(serialization.Encoding.PEM)
        )
    return certificate, key


def _signed(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(private, hashes.SHA256())
    )
