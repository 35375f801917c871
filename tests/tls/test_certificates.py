"""What a server shows to whom, and what happens when its files change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from OpenSSL import SSL
from twisted.logger import LogLevel, capturedLogs

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.certificates import ServerCertificates, ServerTLS
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from httpx_tw.tls.openssl_sessions import was_resumed
from tests.tls.handshakes import VERSIONS, Pair, connect
from tests.tls.issuing import DAY, Issued, authority, new_authority

if TYPE_CHECKING:
    from pathlib import Path

    from OpenSSL.crypto import X509

both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])


def client_context(version: str = "1.3") -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(VERSIONS[version])
    return context


def shown_to(
    certificates: ServerCertificates,
    name: str | None = None,
    *,
    version: str = "1.3",
    alpn: tuple[bytes, ...] = (),
) -> Pair:
    """Shake hands as a client that names *name* and believes anything."""
    client = SSL.Connection(client_context(version))
    if name is not None:
        client.set_tlsext_host_name(name.encode())
    if alpn:
        client.set_alpn_protos(list(alpn))
    pair = Pair(client, certificates)
    pair.shake_hands()
    assert pair.say() == b"hello"
    return pair


def serial_of(pair: Pair) -> int:
    certificate = pair.client.get_peer_certificate()
    assert certificate is not None
    return certificate.get_serial_number()


def serial(issued: Issued) -> int:
    return issued.certificate.serial_number


def common_name(certificate: X509) -> str:
    (name,) = certificate.to_cryptography().subject
    return str(name.value)


@pytest.fixture
def trusting(tmp_path: Path) -> TLSPolicy:
    return TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.crt"))


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({}, "certfile or cert_dir"),
            ({"keyfile": "k", "cert_dir": "d"}, "keyfile is of no use"),
            ({"chainfile": "c", "cert_dir": "d"}, "chainfile is of no use"),
            ({"certfile": "c", "min_version": "1.1"}, "min_version must be one of"),
            ({"certfile": "c", "cert_reqs": "maybe"}, "cert_reqs must be one of"),
            ({"certfile": "c", "hsts": -1}, "hsts must not be negative"),
            ({"certfile": "c", "cert_reqs": "required"}, "need each other"),
            ({"certfile": "c", "cert_reqs": "none", "ca_certs": "a"}, "need each"),
        ],
    )
    def test_nonsense_is_refused(self, options: Any, complaint: str) -> None:
        with pytest.raises(ConfigurationError, match=complaint):
            ServerTLS(**options)

    def test_authorities_alone_mean_required(self) -> None:
        assert ServerTLS(certfile="c", ca_certs="a").cert_reqs == "required"
        assert ServerTLS(certfile="c").cert_reqs == "none"

    def test_a_password_is_not_shown(self) -> None:
        assert "geheim" not in repr(ServerTLS(certfile="c", password="geheim"))

    def test_unknown_ciphers_are_refused(self, tmp_path: Path) -> None:
        path = authority().issue("a.test").write(tmp_path / "a.pem")
        for ciphers in ("NOSUCH", "ä"):
            with pytest.raises(ConfigurationError, match="no such ciphers"):
                ServerCertificates(ServerTLS(certfile=path, ciphers=ciphers))


class TestFiles:
    def test_the_key_may_be_apart(self, tmp_path: Path) -> None:
        issued = authority().issue("a.test")
        (tmp_path / "a.crt").write_bytes(issued.certificate_pem)
        (tmp_path / "a.key").write_bytes(issued.key_pem())
        made = ServerCertificates(
            ServerTLS(certfile=tmp_path / "a.crt", keyfile=tmp_path / "a.key")
        )
        assert serial_of(shown_to(made)) == serial(issued)

    def test_so_may_the_chain(self, tmp_path: Path) -> None:
        issued = authority().issue("a.test")
        path = issued.write(tmp_path / "a.pem")
        chain = tmp_path / "chain.pem"
        authority().write_certificate(chain)
        made = ServerCertificates(ServerTLS(certfile=path, chainfile=chain))
        trusting = TLSPolicy(verify=str(chain))
        shown = connect(ClientContexts(), made, trusting, host="a.test")
        sent = shown.client.get_peer_cert_chain(as_cryptography=True)
        assert sent == [issued.certificate, authority().certificate]
        chain.write_text("junk")
        assert not made.reload()
        chain.unlink()
        with pytest.raises(ConfigurationError, match=r"cannot read .*chain\.pem"):
            ServerCertificates(made.options)

    def test_the_key_may_be_encrypted(self, tmp_path: Path) -> None:
        path = authority().issue("a.test").write(tmp_path / "a.pem", "geheim")
        shown_to(ServerCertificates(ServerTLS(certfile=path, password="geheim")))
        for password, complaint in (
            (None, "is encrypted: it needs a password"),
            ("wrong", "no key in PEM .*, or not with this password"),
        ):
            with pytest.raises(ConfigurationError, match=complaint):
                ServerCertificates(ServerTLS(certfile=path, password=password))

    def test_a_password_for_a_key_without_one_does_no_harm(
        self, tmp_path: Path
    ) -> None:
        path = authority().issue("a.test").write(tmp_path / "a.pem")
        shown_to(ServerCertificates(ServerTLS(certfile=path, password="geheim")))

    def test_what_cannot_be_used_is_named(self, tmp_path: Path) -> None:
        issued = authority().issue("a.test")
        good = issued.write(tmp_path / "good.pem")
        junk = tmp_path / "junk.pem"
        junk.write_bytes(b"junk")
        other = tmp_path / "other.key"
        other.write_bytes(authority().issue("a.test").key_pem())
        for options, complaint in (
            (ServerTLS(certfile=tmp_path / "none.pem"), r"cannot read .*none\.pem: No"),
            (ServerTLS(certfile=junk), r"junk\.pem has no certificate in PEM"),
            (ServerTLS(certfile=good, keyfile=junk), r"junk\.pem has no key in PEM"),
            (ServerTLS(certfile=good, keyfile=other), "does not belong to"),
            (ServerTLS(certfile=good, ca_certs=junk), r"junk\.pem has no certificate"),
            (ServerTLS(certfile=good, ca_certs=tmp_path / "x"), "cannot read .*x: No"),
            (ServerTLS(cert_dir=tmp_path / "none"), "cannot read .*none: "),
            (ServerTLS(cert_dir=tmp_path), r"other\.key|junk\.pem"),
        ):
            with pytest.raises(ConfigurationError, match=complaint):
                ServerCertificates(options)

    def test_a_directory_without_certificates_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".hidden.pem").write_bytes(b"")
        (tmp_path / "README").write_bytes(b"")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ConfigurationError, match="there is no certificate in"):
            ServerCertificates(ServerTLS(cert_dir=tmp_path))

    def test_an_expired_certificate_is_served_with_a_warning(
        self, tmp_path: Path
    ) -> None:
        issued = authority().issue("a.test", begins=-2 * DAY, ends=-DAY)
        path = issued.write(tmp_path / "a.pem")
        with capturedLogs() as logged:
            made = ServerCertificates(ServerTLS(certfile=path))
        assert any(event["log_level"] == LogLevel.warn for event in logged)
        assert serial_of(shown_to(made)) == serial(issued)

    def test_a_certificate_without_names_is_served(self, tmp_path: Path) -> None:
        path = authority().issue().write(tmp_path / "a.pem")
        shown_to(ServerCertificates(ServerTLS(certfile=path)))


class TestChoice:
    """SNI: the very name, a wildcard, the default."""

    @pytest.fixture
    def issued(self, tmp_path: Path) -> dict[str, Issued]:
        directory = tmp_path / "certificates"
        directory.mkdir()
        issued = {
            "default": authority().issue("z.test"),
            "a": authority().issue("a.test", "www.a.test"),
            "wild": authority().issue("*.a.test"),
            "bot": authority().issue("bot.test"),
        }
        for name in ("default", "a"):
            issued[name].write(directory / f"{name}.pem")
        (directory / "wild.pem").write_bytes(issued["wild"].certificate_pem)
        (directory / "wild.key").write_bytes(issued["wild"].key_pem())
        (directory / "bot.test").mkdir()
        (directory / "bot.test/fullchain.pem").write_bytes(
            issued["bot"].certificate_pem
        )
        (directory / "bot.test/privkey.pem").write_bytes(issued["bot"].key_pem())
        return issued

    @both_versions
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("a.test", "a"),
            ("A.TEST", "a"),
            ("www.a.test", "a"),
            ("x.a.test", "wild"),
            ("y.x.a.test", "default"),
            ("bot.test", "bot"),
            ("unknown.test", "default"),
            (None, "default"),
        ],
    )
    def test_the_name_chooses(
        self,
        tmp_path: Path,
        issued: dict[str, Issued],
        version: str,
        name: str | None,
        expected: str,
    ) -> None:
        made = ServerCertificates(ServerTLS(cert_dir=tmp_path / "certificates"))
        pair = shown_to(made, name, version=version)
        assert serial_of(pair) == serial(issued[expected])

    def test_certfile_is_the_default_where_it_is_given(
        self, tmp_path: Path, issued: dict[str, Issued]
    ) -> None:
        own = authority().issue("own.test")
        options = ServerTLS(
            certfile=own.write(tmp_path / "own.pem"), cert_dir=tmp_path / "certificates"
        )
        made = ServerCertificates(options)
        assert serial_of(shown_to(made)) == serial(own)
        assert serial_of(shown_to(made, "a.test")) == serial(issued["a"])

    def test_of_two_for_one_name_the_longer_lived_is_shown(
        self, tmp_path: Path
    ) -> None:
        old = authority().issue("a.test", ends=DAY)
        new = authority().issue("a.test", ends=9 * DAY)
        new.write(tmp_path / "1.pem")
        old.write(tmp_path / "2.pem")
        made = ServerCertificates(ServerTLS(cert_dir=tmp_path))
        assert serial_of(shown_to(made, "a.test")) == serial(new)


class TestHandshakes:
    @pytest.fixture
    def made(self, tmp_path: Path) -> ServerCertificates:
        path = authority().issue("localhost").write(tmp_path / "localhost.pem")
        return ServerCertificates(ServerTLS(certfile=path))

    @both_versions
    def test_tickets_resume(
        self, made: ServerCertificates, trusting: TLSPolicy, version: str
    ) -> None:
        contexts = ClientContexts()
        context = contexts.creator_for("localhost", 443, trusting)._context
        pair = connect(contexts, made, trusting)
        assert not pair.is_resumed
        for _ in range(3):
            assert connect(contexts, made, trusting).is_resumed
        assert context is contexts.creator_for("localhost", 443, trusting)._context

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            ((b"http/1.1",), b"http/1.1"),
            ((b"h2", b"http/1.1"), b"http/1.1"),
            ((b"h2",), b""),
            ((), b""),
        ],
    )
    def test_alpn_fails_nobody(
        self, made: ServerCertificates, offered: tuple[bytes, ...], chosen: bytes
    ) -> None:
        pair = shown_to(made, "localhost", alpn=offered)
        assert pair.client.get_alpn_proto_negotiated() == chosen

    def test_old_versions_are_refused(self, made: ServerCertificates) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_max_proto_version(SSL.TLS1_1_VERSION)
        with pytest.raises(SSL.Error):
            Pair(SSL.Connection(context), made).shake_hands()

    def test_only_1_3_if_so_wished(self, tmp_path: Path) -> None:
        path = authority().issue("localhost").write(tmp_path / "localhost.pem")
        made = ServerCertificates(ServerTLS(certfile=path, min_version="1.3"))
        shown_to(made, version="1.3")
        with pytest.raises(SSL.Error):
            shown_to(made, version="1.2")

    @pytest.mark.parametrize(
        "ciphers",
        [b"AES128-GCM-SHA256", b"ECDHE-ECDSA-AES128-SHA256", b"DHE-RSA-AES128-SHA256"],
    )
    def test_weak_ciphers_are_refused(
        self, made: ServerCertificates, ciphers: bytes
    ) -> None:
        context = client_context("1.2")
        context.set_cipher_list(ciphers)
        with pytest.raises(SSL.Error):
            Pair(SSL.Connection(context), made).shake_hands()

    def test_renegotiation_is_refused(self, made: ServerCertificates) -> None:
        pair = shown_to(made, version="1.2")
        assert pair.client.renegotiate()
        with pytest.raises(SSL.WantReadError):
            pair.client.do_handshake()
        pair.move()
        with pytest.raises(SSL.WantReadError):
            pair.server.recv(1)
        pair.move()
        with pytest.raises(SSL.Error):
            pair.client.do_handshake()


class TestClientCertificates:
    def made(self, tmp_path: Path, **options: Any) -> ServerCertificates:
        path = authority().issue("localhost").write(tmp_path / "localhost.pem")
        clients = new_authority("Clients")
        clients.issue("alice").write(tmp_path / "alice.pem")
        new_authority("Others").issue("mallory").write(tmp_path / "mallory.pem")
        ca_certs = clients.write_certificate(tmp_path / "clients.crt")
        return ServerCertificates(
            ServerTLS(certfile=path, ca_certs=ca_certs, **options)
        )

    @pytest.mark.parametrize(
        ("who", "cert_reqs", "is_served"),
        [
            ("alice", "required", True),
            ("alice", "optional", True),
            (None, "required", False),
            (None, "optional", True),
            ("mallory", "required", False),
            ("mallory", "optional", False),
        ],
    )
    def test_who_is_served(
        self,
        tmp_path: Path,
        trusting: TLSPolicy,
        who: str | None,
        cert_reqs: Any,
        *,
        is_served: bool,
    ) -> None:
        made = self.made(tmp_path, cert_reqs=cert_reqs)
        policy = TLSPolicy(
            verify=trusting.verify, cert=who and str(tmp_path / f"{who}.pem")
        )
        contexts = ClientContexts()
        if not is_served:
            with pytest.raises(SSL.Error):
                connect(contexts, made, policy)
            return
        for resumed in (False, True):  # the ticket remembers who it was
            pair = connect(contexts, made, policy)
            assert pair.is_resumed == resumed
            shown = pair.server.get_peer_certificate()
            assert (shown and common_name(shown)) == who

    def test_other_authorities_end_the_tickets_of_the_old(
        self, tmp_path: Path, trusting: TLSPolicy
    ) -> None:
        made = self.made(tmp_path)
        policy = TLSPolicy(verify=trusting.verify, cert=str(tmp_path / "alice.pem"))
        contexts = ClientContexts()
        connect(contexts, made, policy)
        new_authority("Others").write_certificate(tmp_path / "clients.crt")
        assert made.reload(looks_may_deceive=True)
        with pytest.raises(SSL.Error):
            connect(contexts, made, policy)


class TestReload:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "localhost.pem"
        authority().issue("localhost").write(path)
        return path

    def replace(self, path: Path, content: bytes) -> None:
        """Put *content* in the place of *path*, as who replaces files well does."""
        new = path.with_suffix(".new")
        new.write_bytes(content)
        os.utime(new, ns=(0, path.stat().st_mtime_ns + 1))
        new.replace(path)

    def renewed(self, path: Path) -> Issued:
        issued = authority().issue("localhost")
        self.replace(path, issued.certificate_pem + issued.key_pem())
        return issued

    @both_versions
    @pytest.mark.parametrize("name", ["localhost", None])
    def test_a_new_certificate_is_shown_without_a_restart(
        self, path: Path, version: str, name: str | None
    ) -> None:
        made = ServerCertificates(ServerTLS(certfile=path))
        before = shown_to(made, name, version=version)
        assert not made.reload()
        for _ in range(3):
            issued = self.renewed(path)
            assert made.reload()
            after = shown_to(made, name, version=version)
            assert serial_of(after) == serial(issued)
        assert before.say(b"still here") == b"still here"

    def test_a_handshake_in_progress_is_completed(self, path: Path) -> None:
        made = ServerCertificates(ServerTLS(certfile=path))
        pair = Pair(SSL.Connection(client_context()), made)
        with pytest.raises(SSL.WantReadError):
            pair.client.do_handshake()
        self.renewed(path)
        assert made.reload()
        pair.move()
        pair.shake_hands()

    @both_versions
    def test_tickets_of_before_go_on(
        self, path: Path, trusting: TLSPolicy, version: str
    ) -> None:
        contexts = ClientContexts()
        made = ServerCertificates(ServerTLS(certfile=path))
        connect(contexts, made, trusting)
        self.renewed(path)
        assert made.reload()
        assert connect(contexts, made, trusting).is_resumed

    def test_a_hello_that_is_asked_for_twice_is_answered_while_authorities_change(
        self, path: Path, tmp_path: Path
    ) -> None:
        ca_certs = tmp_path / "clients.crt"
        new_authority().write_certificate(ca_certs)
        made = ServerCertificates(
            ServerTLS(certfile=path, ca_certs=ca_certs, cert_reqs="optional")
        )
        pair = Pair(SSL.Connection(client_context()), made)
        with pytest.raises(SSL.WantReadError):
            pair.client.do_handshake()
        new_authority().write_certificate(ca_certs)
        assert made.reload(looks_may_deceive=True)
        pair.shake_hands()

    def test_a_bad_pair_is_refused_and_the_old_one_stays(self, path: Path) -> None:
        made = ServerCertificates(ServerTLS(certfile=path))
        old = serial_of(shown_to(made))
        good = path.read_bytes()
        mixed = authority().issue("localhost").certificate_pem + (
            authority().issue("localhost").key_pem()
        )
        for content in (b"junk", b"", good[:100], mixed):
            self.replace(path, content)
            with capturedLogs() as logged:
                assert not made.reload()
            assert [event["log_level"] for event in logged] == [LogLevel.error]
            assert "refused, the old ones stay" in logged[0]["log_format"]
            assert serial_of(shown_to(made)) == old
            with capturedLogs() as logged:
                assert not made.reload()
            assert not logged, "it was said before"
        self.replace(path, good)
        made.reload()
        assert serial_of(shown_to(made)) == old
        assert serial_of(shown_to(made)) != serial(self.renewed(path))
        assert made.reload()

    def test_files_that_are_gone_are_said_once(self, tmp_path: Path) -> None:
        directory = tmp_path / "certificates"
        directory.mkdir()
        path = directory / "localhost.pem"
        authority().issue("localhost").write(path)
        made = ServerCertificates(ServerTLS(cert_dir=directory))
        content = path.read_bytes()
        path.unlink()
        with capturedLogs() as logged:
            assert not made.reload()
            assert not made.reload()
        assert len(logged) == 1
        shown_to(made)
        path.write_bytes(content)
        assert not made.reload(), "they are the same again"

    def test_a_file_that_was_only_touched_is_not_new(self, path: Path) -> None:
        made = ServerCertificates(ServerTLS(certfile=path))
        os.utime(path, ns=(0, 0))
        with capturedLogs() as logged:
            assert not made.reload()
        assert not logged

    def test_looks_may_deceive(self, path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"\n" * 40)  # signatures differ in length
        made = ServerCertificates(ServerTLS(certfile=path))
        was = path.stat()
        issued = authority().issue("localhost")
        content = issued.certificate_pem + issued.key_pem()
        path.write_bytes(content.ljust(was.st_size, b"\n"))
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        assert not made.reload()
        assert made.reload(looks_may_deceive=True)
        assert serial_of(shown_to(made)) == serial(issued)

    def test_a_certificate_that_comes_to_a_directory_is_served(
        self, tmp_path: Path
    ) -> None:
        directory = tmp_path / "certificates"
        directory.mkdir()
        authority().issue("a.test").write(directory / "a.pem")
        made = ServerCertificates(ServerTLS(cert_dir=directory))
        issued = authority().issue("b.test")
        issued.write(directory / "b.pem")
        assert made.reload()
        assert serial_of(shown_to(made, "b.test")) == serial(issued)


def test_two_servers_do_not_share_tickets(tmp_path: Path) -> None:
    path = authority().issue("localhost").write(tmp_path / "localhost.pem")
    made = [ServerCertificates(ServerTLS(certfile=path)) for _ in range(2)]
    contexts = ClientContexts()
    ca = authority().write_certificate(tmp_path / "ca.crt")
    connect(contexts, made[0], TLSPolicy(verify=ca))
    pair = connect(contexts, made[1], TLSPolicy(verify=ca))
    assert not was_resumed(pair.client)
