"""Who a certificate speaks for: names, addresses, pins, and until when."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import idna
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL
from service_identity import (
    CertificateError,
    VerificationError,
)
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity

from httpx_tw.errors import CertificateRejected, ConfigurationError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["PeerName", "check_name", "complaint_of", "pin_of", "valid_until"]


@dataclass(frozen=True, slots=True)
class PeerName:
    """Whom a certificate has to name: a DNS name or an address. See :meth:`of`."""

    text: str
    """In ASCII and lower case; an address as :mod:`ipaddress` writes it."""

    is_address: bool

    @classmethod
    def of(cls, host: str) -> PeerName:
        """Return the name that *host* is to be verified by.

        An IPv6 address may have brackets and a zone, which no certificate knows; the
        dot at the end of a rooted name is no part of it either (RFC 6066 section 3).

        :raises ConfigurationError: when it is neither a name nor an address.
        """
        bare = host.removeprefix("[").removesuffix("]").partition("%")[0]
        try:
            return cls(str(ipaddress.ip_address(bare)), is_address=True)
        except ValueError:
            pass
        name = host.removesuffix(".").lower()
        if not name.isascii():
            try:
                name = idna.encode(name, uts46=True).decode("ascii")
            except idna.IDNAError as error:
                raise ConfigurationError(
                    f"{host!r} is no host name: {error}"
                ) from error
        if not name or not name.isprintable() or set(name) & set(" /:@[]*"):
            raise ConfigurationError(f"{host!r} is no host name")
        return cls(name, is_address=False)

    @property
    def server_name(self) -> bytes | None:
        """What SNI sends: None for an address (RFC 6066 section 3)."""
        return None if self.is_address else self.text.encode("ascii")


def check_name(certificate: Certificate, name: PeerName) -> None:
    """Check that *certificate* was issued to *name* (RFC 6125, RFC 9110 section 4.3.4).

    Only subjectAltName counts. Whether whoever issued it is to be trusted is not asked.

    :raises CertificateRejected: when it was not.
    """
    kind = IPAddress_ID if name.is_address else DNS_ID
    try:
        verify_service_identity(
            extract_patterns(certificate), [kind(name.text)], optional_ids=[]
        )
    except (CertificateError, VerificationError, ValueError) as error:
        raise CertificateRejected(
            f"the certificate is not for {name.text}, but for {_names_in(certificate)}"
        ) from error


def _names_in(certificate: Certificate) -> str:
    try:
        patterns = extract_patterns(certificate)
    except (CertificateError, ValueError):
        return "names that cannot be read"
    names = [_text_of(getattr(found, "pattern", found)) for found in patterns[:8]]
    return ", ".join(names) + (", …" if len(patterns) > 8 else "") or "nobody"


def _text_of(pattern: object) -> str:
    if isinstance(pattern, bytes):
        return pattern.decode("ascii", "backslashreplace")
    return str(pattern)


def valid_until(certificate: Certificate) -> float:
    """Return the end of the certificate's life, in seconds since the epoch."""
    return certificate.not_valid_after_utc.timestamp()


def pin_of(certificate: Certificate) -> str:
    """Return the SHA-256 of the certificate's public key (SPKI), in hex."""
    key = certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(key).hexdigest()


_Codes = SSL.X509VerificationCodes

_COMPLAINTS: Final = {
    _Codes.ERR_CERT_HAS_EXPIRED: "has expired",
    _Codes.ERR_CERT_NOT_YET_VALID: "is not valid yet",
    _Codes.ERR_CERT_REVOKED: "has been revoked",
    _Codes.ERR_CERT_SIGNATURE_FAILURE: "has a false signature",
    _Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "is self-signed and not trusted",
    _Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN: "is of an authority that is not trusted",
    _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT: "is of an unknown authority",
    _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "is of an unknown authority",
    _Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "is of an unknown authority",
    _Codes.ERR_INVALID_CA: "was issued by one that is no authority",
    _Codes.ERR_INVALID_PURPOSE: "is for another purpose",
}
"""What is wrong with a certificate, by the codes that turn up in practice."""


def complaint_of(code: int) -> str:
    """Say what OpenSSL's verification found, as the end of a sentence."""
    return _COMPLAINTS.get(code, f"is not valid (OpenSSL's verification error {code})")
