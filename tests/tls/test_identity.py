"""Names, addresses, pins, ends."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL

from httpx_tw.errors import CertificateRejected, ConfigurationError
from httpx_tw.tls.identity import (
    PeerName,
    check_name,
    complaint_of,
    pin_of,
    valid_until,
)
from tests.tls.issuing import authority

if TYPE_CHECKING:
    from cryptography import x509


class TestPeerName:
    @pytest.mark.parametrize(
        ("host", "text"),
        [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("under_score.test", "under_score.test"),
        ],
    )
    def test_a_name_is_written_as_certificates_do(self, host: str, text: str) -> None:
        name = PeerName.of(host)
        assert name == PeerName(text, is_address=False)
        assert name.server_name == text.encode()

    @pytest.mark.parametrize(
        ("host", "text"),
        [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[2001:DB8:0::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
        ],
    )
    def test_an_address_is_not_sent_as_a_name(self, host: str, text: str) -> None:
        name = PeerName.of(host)
        assert name == PeerName(text, is_address=True)
        assert name.server_name is None

    @pytest.mark.parametrize(
        "host",
        [
            "",
            ".",
            "a b",
            "a/b",
            "*.test",
            "a\0b",
            "user@host",
            "a:443",
            "ä" * 64,
            "\u3002",
        ],
    )
    def test_what_is_neither_is_refused(self, host: str) -> None:
        with pytest.raises(ConfigurationError, match="is no host name"):
            PeerName.of(host)


class TestCheckName:
    @pytest.mark.parametrize(
        ("names", "host"),
        [
            (["a.test"], "a.test"),
            (["*.a.test"], "b.a.test"),
            (["x.test", "192.0.2.1"], "192.0.2.1"),
            (["2001:db8::1"], "2001:db8:0::1"),
            (["xn--bcher-kva.example"], "bücher.example"),
        ],
    )
    def test_the_right_one_passes(self, names: list[str], host: str) -> None:
        check_name(authority().issue(*names).certificate, PeerName.of(host))

    @pytest.mark.parametrize(
        ("names", "host", "shown"),
        [
            (["a.test"], "b.test", "a.test"),
            (["*.a.test"], "a.test", r"\*.a.test"),
            (["*.a.test"], "c.b.a.test", r"\*.a.test"),
            (["192.0.2.1"], "192.0.2.2", "192.0.2.1"),
            (["x192.test"], "192.0.2.1", "x192.test"),
            ([], "a.test", "nobody|cannot be read"),
            ([f"{n}.test" for n in range(9)], "a.test", "7.test, …"),
        ],
    )
    def test_any_other_is_rejected_and_named(
        self, names: list[str], host: str, shown: str
    ) -> None:
        issued = authority().issue(*names)
        with pytest.raises(CertificateRejected, match=f"not for {host}, .*{shown}"):
            check_name(issued.certificate, PeerName.of(host))

    def test_a_common_name_does_not_count(self) -> None:
        # The name is in the subject, as tests.tls.issuing writes the first one.
        issued = authority().issue("a.test", "b.test")
        subject = issued.certificate.subject.rfc4514_string()
        assert subject == "CN=a.test"
        other = authority().issue("192.0.2.1", "b.test").certificate
        with pytest.raises(CertificateRejected):
            check_name(other, PeerName.of("a.test"))


def test_a_pin_is_of_the_key_alone() -> None:
    issued = authority().issue("a.test")
    spki = issued.key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    assert pin_of(issued.certificate) == hashlib.sha256(spki).hexdigest()


def test_the_end_is_in_seconds_since_the_epoch() -> None:
    certificate: x509.Certificate = authority().issue("a.test").certificate
    end = certificate.not_valid_after_utc
    assert valid_until(certificate) == end.timestamp()


def test_a_complaint_ends_a_sentence() -> None:
    code = SSL.X509VerificationCodes.ERR_CERT_HAS_EXPIRED
    assert complaint_of(code) == "has expired"
    assert "verification error 12345" in complaint_of(12345)
