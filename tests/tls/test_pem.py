"""Pairs in directories, and how a change of files looks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.x509.oid import ExtensionOID
from OpenSSL import SSL

from httpx_tw.errors import CertificateRejected, ConfigurationError
from httpx_tw.tls.identity import PeerName, check_name
from httpx_tw.tls.pem import (
    Pair,
    content_digest,
    load_client_authorities,
    load_pair,
    look_of,
    names_and_end,
    pairs_in,
)
from tests.tls import handshakes
from tests.tls.issuing import Issued, authority

if TYPE_CHECKING:
    from pathlib import Path


def test_pairs_are_found_by_their_names_the_default_first(tmp_path: Path) -> None:
    for name in ("b.pem", "b.key", "a.pem", "default.pem", ".c.pem", "README"):
        (tmp_path / name).touch()
    for name in ("bot/fullchain.pem", "bot/privkey.pem", "half/fullchain.pem"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    default, a, b = (tmp_path / f"{name}.pem" for name in ("default", "a", "b"))
    bot = tmp_path / "bot"
    assert pairs_in(tmp_path) == [
        Pair(default, default),
        Pair(a, a),
        Pair(b, tmp_path / "b.key"),
        Pair(bot / "fullchain.pem", bot / "privkey.pem"),
    ]


def test_a_file_that_was_replaced_looks_different(tmp_path: Path) -> None:
    path = tmp_path / "a.pem"
    gone = look_of([path])
    path.write_bytes(b"1")
    before = look_of([path])
    assert before != gone
    assert before == look_of([path])
    new = tmp_path / "new"
    new.write_bytes(b"2")
    os.utime(new, ns=(0, path.stat().st_mtime_ns))
    new.replace(path)
    assert look_of([path]) != before


def test_a_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"1")
    assert content_digest([a]) != content_digest([b])
    before = content_digest([a, b])
    b.write_bytes(b"2")
    assert content_digest([a, b]) != before
    b.unlink()
    with pytest.raises(ConfigurationError, match="cannot read"):
        content_digest([a, b])


def test_names_are_in_lower_case_and_addresses_none_of_them(tmp_path: Path) -> None:
    issued = authority().issue("A.test", "*.b.test", "192.0.2.1")
    path = tmp_path / "a.pem"
    issued.write(path)
    names, end = names_and_end(path)
    assert names == ["a.test", "*.b.test"]
    assert end == issued.certificate.not_valid_after_utc.timestamp()


def test_the_chain_is_sent_along(tmp_path: Path) -> None:
    issued = authority().issue("localhost")
    path = tmp_path / "chain.pem"
    path.write_bytes(
        issued.certificate_pem + authority().certificate_pem + issued.key_pem()
    )
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    load_pair(server, path)
    hands = handshakes.Pair(SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD)), server)
    hands.shake_hands()
    chain = hands.client.get_peer_cert_chain() or []
    assert [each.to_cryptography() for each in chain] == [
        issued.certificate,
        authority().certificate,
    ]


def test_a_key_that_tls_has_no_use_for_is_refused(tmp_path: Path) -> None:
    key = x25519.X25519PrivateKey.generate()
    issued = authority().issue("localhost")
    odd = Issued(issued.certificate, key)  # type: ignore[arg-type]  # that is the point
    path = odd.write(tmp_path / "odd.pem")
    with pytest.raises(ConfigurationError, match="does not belong"):
        load_pair(SSL.Context(SSL.TLS_SERVER_METHOD), path)


def test_one_that_belongs_but_is_of_no_use_is_refused_too(tmp_path: Path) -> None:
    key = x25519.X25519PrivateKey.generate()
    issuer = authority()
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
    )
    odd = Issued(builder.sign(issuer.key, hashes.SHA256()), key)  # type: ignore[arg-type]  # as above
    path = odd.write(tmp_path / "odd.pem")
    with pytest.raises(ConfigurationError, match=r"OpenSSL refuses .*odd\.pem"):
        load_pair(SSL.Context(SSL.TLS_SERVER_METHOD), path)


class Refusing:
    """A context that takes nothing, and says why, or not."""

    def __init__(self, *why: object) -> None:
        self._why = why

    def load_verify_locations(self, _: object) -> None:
        raise SSL.Error(*self._why)


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (([("x509", "", "too large")],), r"ca\.pem: too large$"),
        (([],), r"ca\.pem$"),
    ],
)
def test_what_openssl_says_is_passed_on(
    tmp_path: Path, why: tuple[object, ...], said: str
) -> None:
    path = authority().write_certificate(tmp_path / "ca.pem")
    context: Any = Refusing(*why)
    with pytest.raises(ConfigurationError, match=said):
        load_client_authorities(context, path)


def test_names_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    issuer = authority()
    broken = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"junk")
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(issuer.key.public_key())
        .serial_number(1)
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(broken, critical=False)
    )
    certificate = builder.sign(issuer.key, hashes.SHA256())
    path = tmp_path / "broken.pem"
    Issued(certificate, issuer.key).write(path)
    with pytest.raises(ConfigurationError, match=r"broken\.pem: bad extensions"):
        names_and_end(path)
    with pytest.raises(CertificateRejected, match="names that cannot be read"):
        check_name(certificate, PeerName.of("a.test"))


def test_authorities_are_named_to_clients(tmp_path: Path) -> None:
    path = authority().write_certificate(tmp_path / "ca.pem")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    load_client_authorities(context, path)
    names = SSL.Connection(context).get_client_ca_list(as_cryptography=True)
    assert names == [authority().certificate.subject]
