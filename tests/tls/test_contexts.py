"""Policies, and the contexts made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.logger import LogLevel, capturedLogs
from zope.interface.verify import verifyObject

from httpx_tw.errors import CertificateRejected, ConfigurationError
from httpx_tw.tls.certificates import ServerCertificates, ServerTLS
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from httpx_tw.tls.sessions import TlsSessionPool
from tests.tls.handshakes import connect, server_context
from tests.tls.issuing import Authority, authority, new_authority

if TYPE_CHECKING:
    from pathlib import Path


class TestPolicy:
    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"verify": None}, "verify must be a path"),
            ({"verify": ""}, "verify must be a path"),
            ({"verify": b"ca.pem"}, "verify must be a path"),
            ({"cert": 5}, "cert must be a path"),
            ({"cert": ()}, "a tuple of 0"),
            ({"cert": ("a", "b", "c", "d")}, "a tuple of 4"),
            ({"cert": ("a", "b", b"c")}, "password of cert must be a string"),
            ({"cert": ("a", "")}, "cert must be a path"),
            ({"min_version": "1.1"}, "min_version must be one of 1.2, 1.3, got '1.1'"),
            ({"alpn": "h2"}, "alpn must be several names"),
            ({"alpn": ("",)}, "no name of a protocol"),
            ({"alpn": ("ä",)}, "no name of a protocol"),
            ({"pins": {"abc"}}, "64 hex digits"),
            ({"pins": {b"ab" * 32}}, "64 hex digits"),
            ({"pins": {"g" * 64}}, "64 hex digits"),
            ({"server_hostname": "a b"}, "no host name"),
        ],
    )
    def test_nonsense_is_refused(self, options: Any, complaint: str) -> None:
        with pytest.raises(ConfigurationError, match=complaint):
            TLSPolicy(**options)

    def test_what_means_the_same_is_equal(self, tmp_path: Path) -> None:
        colons = ":".join(["AB"] * 32)
        given: Any = {"alpn": ["http/1.1"], "pins": [colons], "cert": tmp_path}
        one = TLSPolicy(verify=tmp_path, **given)
        other = TLSPolicy(
            verify=str(tmp_path),
            cert=(str(tmp_path),),
            pins=frozenset({"ab" * 32}),
        )
        assert one == other
        assert hash(one) == hash(other)

    def test_a_password_is_not_shown(self) -> None:
        assert "geheim" not in repr(TLSPolicy(cert=("a", "b", "geheim")))


class TestContexts:
    @pytest.fixture
    def ca(self, tmp_path: Path) -> str:
        return authority().write_certificate(tmp_path / "ca.pem")

    def test_a_creator_is_what_twisted_wants(self) -> None:
        creator = ClientContexts().creator_for("a.test", 443)
        assert verifyObject(IOpenSSLClientConnectionCreator, creator)

    def test_one_policy_has_one_context(self, ca: str) -> None:
        contexts = ClientContexts()
        policy = TLSPolicy(verify=ca)
        first = contexts.creator_for("a.test", 443, policy)
        second = contexts.creator_for("b.test", 1, TLSPolicy(verify=ca))
        other = contexts.creator_for("a.test", 443, TLSPolicy(verify=ca, alpn=()))
        assert first._context is second._context
        assert first._context is not other._context
        contexts.clear()
        assert contexts.creator_for("a", 1, policy)._context is not first._context

    def test_what_was_made_for_a_server_serves_its_next_connections(
        self, ca: str
    ) -> None:
        contexts = ClientContexts()
        policy = TLSPolicy(verify=ca)
        first = contexts.creator_for("a.test", 443, policy)
        assert contexts.creator_for("a.test", 443, TLSPolicy(verify=ca)) is first
        assert contexts.creator_for("a.test", 444, policy) is not first
        assert contexts.creator_for("b.test", 443, policy).name.text == "b.test"
        for number in range(1000):
            contexts.creator_for("a.test", 1000 + number, policy)
        assert len(contexts._contexts[policy].creators) == 1000
        assert contexts.creator_for("a.test", 443, policy) is not first

    def test_only_so_many_contexts_are_kept(self, ca: str) -> None:
        contexts = ClientContexts()
        first = contexts.creator_for("a", 1, TLSPolicy(verify=ca))._context
        for number in range(40):
            policy = TLSPolicy(verify=ca, alpn=(f"p/{number}",))
            contexts.creator_for("a", 1, policy)
            assert (
                contexts.creator_for("a", 1, TLSPolicy(verify=ca))._context is first
            ), "in use all the time"
        assert len(contexts._contexts) == 32

    def test_the_default_trusts_whom_the_platform_trusts(self) -> None:
        server = server_context(authority().issue("localhost"))
        with pytest.raises(CertificateRejected):
            connect(ClientContexts(), server, TLSPolicy())

    def test_a_directory_of_authorities_is_trusted(self, tmp_path: Path) -> None:
        # OpenSSL looks for the hash of the subject's name.
        store = tmp_path / "authorities"
        store.mkdir()
        hashed = f"{_subject_hash(authority()):08x}.0"
        authority().write_certificate(store / hashed)
        server = server_context(authority().issue("localhost"))
        connect(ClientContexts(), server, TLSPolicy(verify=store))

    def test_verify_false_is_said_loudly(self) -> None:
        server = server_context(new_authority().issue("elsewhere.test"))
        with capturedLogs() as logged:
            connect(ClientContexts(), server, TLSPolicy(verify=False))
        assert [event["log_level"] for event in logged] == [LogLevel.warn]
        assert "NOT VERIFIED" in logged[0]["log_format"]

    def test_what_cannot_be_used_is_named(self, tmp_path: Path, ca: str) -> None:
        junk = tmp_path / "junk.pem"
        junk.write_bytes(b"junk")
        contexts = ClientContexts()
        for policy, complaint in (
            (TLSPolicy(verify=tmp_path / "none"), "cannot read .*none: No such file"),
            (TLSPolicy(verify=junk), r"junk\.pem has no certificates in PEM"),
            (TLSPolicy(verify=ca, ciphers="NOSUCH"), "no such ciphers"),
            (TLSPolicy(verify=ca, ciphers="ä"), "no such ciphers"),
            (TLSPolicy(verify=ca, cert=junk), r"junk\.pem has no certificate"),
            (TLSPolicy(verify=ca, cert=ca), r"ca\.pem has no key"),
        ):
            with pytest.raises(ConfigurationError, match=complaint):
                contexts.creator_for("a.test", 443, policy)

    def test_alpn_is_offered(self, tmp_path: Path, ca: str) -> None:
        path = authority().issue("localhost").write(tmp_path / "localhost.pem")
        server = ServerCertificates(ServerTLS(certfile=path, alpn=("h2", "http/1.1")))
        for alpn, expected in (
            (("http/1.1",), b"http/1.1"),
            (("http/1.1", "h2"), b"h2"),
            ((), b""),
        ):
            policy = TLSPolicy(verify=ca, alpn=alpn)
            pair = connect(ClientContexts(), server, policy)
            assert pair.client.get_alpn_proto_negotiated() == expected

    @pytest.mark.parametrize("password", [None, "geheim"])
    def test_a_client_certificate_is_shown(
        self, tmp_path: Path, ca: str, password: str | None
    ) -> None:
        clients = new_authority("Clients")
        alice = clients.issue("alice")
        path = alice.write(tmp_path / "alice.pem", password)
        cert = path if password is None else (path, path, password)
        made = ServerCertificates(
            ServerTLS(
                certfile=authority().issue("localhost").write(tmp_path / "l.pem"),
                ca_certs=clients.write_certificate(tmp_path / "clients.pem"),
            )
        )
        pair = connect(ClientContexts(), made, TLSPolicy(verify=ca, cert=cert))
        shown = pair.server.get_peer_certificate()
        assert shown is not None
        assert shown.to_cryptography() == alice.certificate

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_min_version(self, ca: str, version: Any) -> None:
        policy = TLSPolicy(verify=ca, min_version=version)
        pair = connect(
            ClientContexts(), server_context(authority().issue("localhost")), policy
        )
        assert pair.client.get_protocol_version() == SSL.TLS1_3_VERSION

    def test_ciphers(self, ca: str) -> None:
        server = server_context(authority().issue("localhost"), "1.2")
        policy = TLSPolicy(verify=ca, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
        pair = connect(ClientContexts(), server, policy)
        assert pair.client.get_cipher_name() == "ECDHE-ECDSA-AES128-GCM-SHA256"


class TestKeys:
    """What makes two connections different for sessions."""

    def key(self, policy: TLSPolicy, host: str = "a.test", port: int = 443) -> object:
        return ClientContexts().creator_for(host, port, policy).key

    def test_all_that_is_asked_makes_a_difference(self, tmp_path: Path) -> None:
        ca = authority().write_certificate(tmp_path / "ca.pem")
        path = authority().issue("me").write(tmp_path / "me.pem")
        policy = TLSPolicy(verify=ca)
        keys = [
            self.key(policy),
            self.key(policy, host="b.test"),
            self.key(policy, port=8443),
            self.key(TLSPolicy(verify=False)),
            self.key(TLSPolicy()),
            self.key(TLSPolicy(verify=ca, cert=path)),
            self.key(TLSPolicy(verify=ca, min_version="1.3")),
            self.key(TLSPolicy(verify=ca, ciphers="ECDHE+AESGCM")),
            self.key(TLSPolicy(verify=ca, alpn=())),
            self.key(TLSPolicy(verify=ca, pins=frozenset({"ab" * 32}))),
            self.key(TLSPolicy(verify=ca, server_hostname="c.test")),
        ]
        assert len(set(keys)) == len(keys)
        assert self.key(policy) == keys[0]
        assert self.key(policy, host="A.test.") == keys[0]

    def test_what_is_in_the_files_makes_a_difference(self, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        authority().write_certificate(path)
        before = self.key(TLSPolicy(verify=path))
        new_authority().write_certificate(path)
        assert self.key(TLSPolicy(verify=path)) != before

    def test_what_is_in_the_directory_makes_a_difference(self, tmp_path: Path) -> None:
        before = self.key(TLSPolicy(verify=tmp_path))
        authority().write_certificate(tmp_path / "00000000.0")
        (tmp_path / "directory").mkdir()
        after = self.key(TLSPolicy(verify=tmp_path))
        assert after != before
        (tmp_path / "00000000.0").rename(tmp_path / "00000001.0")
        assert self.key(TLSPolicy(verify=tmp_path)) != after


def test_closing_writes_the_sessions(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    ClientContexts(TlsSessionPool(path=path)).close()
    assert path.exists()


def _subject_hash(issuer: Authority) -> int:
    return X509.from_cryptography(issuer.certificate).subject_name_hash()
