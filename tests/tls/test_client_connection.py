"""Identity in every handshake, resumed or not; sessions that come and go."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import CertificateRejected, HandshakeFailed
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from httpx_tw.tls.identity import PeerName, pin_of
from httpx_tw.tls.sessions import (
    MAX_PER_KEY,
    SessionKey,
    StoredSession,
    TlsSessionPool,
)
from tests.tls.handshakes import Pair, connect, server_context
from tests.tls.issuing import DAY, authority, new_authority

if TYPE_CHECKING:
    from collections.abc import Callable

both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture
def trusting(tmp_path: Path) -> TLSPolicy:
    return TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))


@pytest.fixture
def contexts() -> ClientContexts:
    return ClientContexts()


class TestFullHandshake:
    @both_versions
    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "::1"])
    def test_the_name_the_certificate_is_for_is_accepted(
        self, contexts: ClientContexts, trusting: TLSPolicy, version: str, host: str
    ) -> None:
        issued = authority().issue("localhost", "127.0.0.1", "::1")
        pair = connect(contexts, server_context(issued, version), trusting, host)
        assert not pair.is_resumed

    @both_versions
    @pytest.mark.parametrize("host", ["other.test", "127.0.0.2", "x.localhost"])
    def test_any_other_name_is_not(
        self, contexts: ClientContexts, trusting: TLSPolicy, version: str, host: str
    ) -> None:
        server = server_context(authority().issue("localhost", "127.0.0.1"), version)
        with pytest.raises(CertificateRejected, match=r"not for .*, but for localhost"):
            connect(contexts, server, trusting, host)

    def test_the_server_hears_why(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        creator = contexts.creator_for("other.test", 443, trusting)
        server = server_context(authority().issue("localhost"), "1.2")
        pair = Pair(creator.clientConnectionForTLS(None), server)
        with pytest.raises(CertificateRejected):
            pair.shake_hands()
        with pytest.raises(SSL.Error, match="alert"):
            pair.server.do_handshake()

    def test_a_certificate_of_somebody_else_is_refused(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        server = server_context(new_authority("Other").issue("localhost"))
        with pytest.raises(CertificateRejected, match="unknown authority"):
            connect(contexts, server, trusting)

    @pytest.mark.parametrize(
        ("begins", "ends", "complaint"),
        [(-2 * DAY, -DAY, "has expired"), (DAY, 2 * DAY, "is not valid yet")],
    )
    def test_a_certificate_out_of_its_time_is_refused(
        self,
        contexts: ClientContexts,
        trusting: TLSPolicy,
        begins: Any,
        ends: Any,
        complaint: str,
    ) -> None:
        issued = authority().issue("localhost", begins=begins, ends=ends)
        with pytest.raises(CertificateRejected, match=complaint):
            connect(contexts, server_context(issued), trusting)

    def test_nothing_in_common_is_a_failed_handshake(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        policy = TLSPolicy(verify=trusting.verify, min_version="1.3")
        server = server_context(authority().issue("localhost"), "1.2")
        creator = contexts.creator_for("localhost", 443, policy)
        pair = Pair(creator.clientConnectionForTLS(None), server)
        with pytest.raises(SSL.Error):
            pair.shake_hands()
        with pytest.raises(HandshakeFailed, match=r"the TLS handshake failed: .*alert"):
            pair.client.do_handshake()

    def test_a_server_that_goes_in_the_middle_is_no_refusal(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        creator = contexts.creator_for("localhost", 443, trusting)
        client = creator.clientConnectionForTLS(None)
        client.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        client.bio_shutdown()
        with pytest.raises(SSL.SysCallError):
            client.do_handshake()

    def test_a_chain_without_end_is_refused(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        server = server_context(authority().issue("localhost"))
        for _ in range(400):
            server.add_extra_chain_cert(authority().certificate)
        with pytest.raises(HandshakeFailed, match="excessive message size"):
            connect(contexts, server, trusting)

    def test_an_unexpected_error_in_the_check_refuses(
        self,
        contexts: ClientContexts,
        trusting: TLSPolicy,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def stumble(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("httpx_tw.tls.client_connection.check_name", stumble)
        with pytest.raises(ZeroDivisionError):
            connect(contexts, server_context(authority().issue("localhost")), trusting)

    def test_server_hostname_goes_before_the_host(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        policy = TLSPolicy(verify=trusting.verify, server_hostname="localhost")
        server = server_context(authority().issue("localhost"))
        pair = connect(contexts, server, policy, "192.0.2.1")
        assert pair.server.get_servername() == b"localhost"

    def test_an_address_is_not_sent_as_a_name(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        server = server_context(authority().issue("127.0.0.1"))
        pair = connect(contexts, server, trusting, "127.0.0.1")
        assert pair.server.get_servername() is None


class TestTalking:
    @both_versions
    def test_it_talks_as_any_connection_does(
        self, contexts: ClientContexts, trusting: TLSPolicy, version: str
    ) -> None:
        server = server_context(authority().issue("localhost"), version)
        pair = connect(contexts, server, trusting)
        pair.client.do_handshake()  # again is fine
        assert pair.client.send(b"a") == pair.client.write(b"b") == 1
        assert pair.client.sendall(b"c") == 1
        pair.move()
        assert b"".join(pair.server.recv(1) for _ in range(3)) == b"abc"
        pair.server.send(b"def")
        pair.move()
        room = bytearray(1)
        assert pair.client.recv_into(room) == 1
        assert bytes(room) + pair.client.recv(1) + pair.client.read(1) == b"def"

    def test_a_failure_without_a_reason_is_one_too(
        self,
        contexts: ClientContexts,
        trusting: TLSPolicy,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        creator = contexts.creator_for("localhost", 443, trusting)
        connection = creator.clientConnectionForTLS(None)

        def fail(_: object) -> None:
            raise SSL.Error([])

        monkeypatch.setattr(SSL.Connection, "do_handshake", fail)
        with pytest.raises(HandshakeFailed, match=r"failed: (\[\]|Error)"):
            connection.do_handshake()


class TestPins:
    def test_the_key_of_the_leaf_or_of_an_authority_will_do(
        self, trusting: TLSPolicy
    ) -> None:
        issued = authority().issue("localhost")
        for certificate in (issued.certificate, authority().certificate):
            policy = TLSPolicy(
                verify=trusting.verify, pins=frozenset({pin_of(certificate)})
            )
            contexts = ClientContexts()
            server = server_context(issued)
            connect(contexts, server, policy)
            assert connect(contexts, server, policy).is_resumed

    @pytest.mark.parametrize("verifies", [True, False])
    def test_any_other_key_will_not(
        self, contexts: ClientContexts, trusting: TLSPolicy, *, verifies: bool
    ) -> None:
        policy = TLSPolicy(
            verify=trusting.verify if verifies else False, pins=frozenset({"ab" * 32})
        )
        with pytest.raises(CertificateRejected, match="pinned key"):
            connect(contexts, server_context(authority().issue("localhost")), policy)

    @both_versions
    def test_a_pin_alone_is_checked_in_each_handshake(
        self, contexts: ClientContexts, version: str
    ) -> None:
        issued = new_authority().issue("elsewhere.test")
        pins = frozenset({pin_of(issued.certificate)})
        policy = TLSPolicy(verify=False, pins=pins)
        server = server_context(issued, version)
        connect(contexts, server, policy)
        assert connect(contexts, server, policy).is_resumed


class TestResumption:
    @both_versions
    @pytest.mark.parametrize("has_tickets", [True, False])
    def test_every_handshake_after_the_first_resumes(
        self,
        contexts: ClientContexts,
        trusting: TLSPolicy,
        version: str,
        *,
        has_tickets: bool,
    ) -> None:
        issued = authority().issue("localhost")
        server = server_context(issued, version, has_tickets=has_tickets)
        resumed = []
        for _ in range(5):
            pair = connect(contexts, server, trusting)
            resumed.append(pair.is_resumed)
            pair.close()
        assert resumed == [False, True, True, True, True]

    @both_versions
    def test_a_server_that_hangs_up_without_a_word_spoils_nothing(
        self, contexts: ClientContexts, trusting: TLSPolicy, version: str
    ) -> None:
        server = server_context(authority().issue("localhost"), version)
        for number in range(3):
            pair = connect(contexts, server, trusting)
            assert pair.is_resumed == (number > 0)
            pair.client.bio_shutdown()
            with pytest.raises(SSL.SysCallError):
                pair.client.recv(1)

    @both_versions
    def test_the_certificate_is_there_when_resumed(
        self, contexts: ClientContexts, trusting: TLSPolicy, version: str
    ) -> None:
        issued = authority().issue("localhost")
        server = server_context(issued, version)
        for _ in range(3):
            pair = connect(contexts, server, trusting)
            found = pair.client.get_peer_certificate()
            assert found is not None
            assert found.to_cryptography() == issued.certificate
            same = pair.client.get_peer_certificate(as_cryptography=True)
            assert same == issued.certificate

    def test_nothing_resumes_with_a_pool_of_size_0(self, trusting: TLSPolicy) -> None:
        contexts = ClientContexts(TlsSessionPool(max_sessions=0))
        server = server_context(authority().issue("localhost"))
        for _ in range(3):
            assert not connect(contexts, server, trusting).is_resumed

    @both_versions
    def test_a_fatal_alert_makes_sessions_forgotten(
        self, contexts: ClientContexts, trusting: TLSPolicy, version: str
    ) -> None:
        server = server_context(authority().issue("localhost"), version)
        connect(contexts, server, trusting)
        pair = connect(contexts, server, trusting)
        held = len(contexts.sessions)
        pair.server.send(b"x" * 100)
        spoilt = bytearray(pair.server.bio_read(65536))
        spoilt[-1] ^= 1
        pair.client.bio_write(bytes(spoilt))
        with pytest.raises(SSL.Error):
            pair.client.recv(100)
        assert len(contexts.sessions) == held - 1

    def test_tickets_without_end_take_no_memory_without_end(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        server = server_context(authority().issue("localhost"))
        client: Any = connect(contexts, server, trusting).client
        for _ in range(100):
            client._keep_session()
        assert len(client._received) == len(contexts.sessions) == MAX_PER_KEY

    def test_a_goodbye_is_no_fatal_alert(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        server = server_context(authority().issue("localhost"))
        pair = connect(contexts, server, trusting)
        held = len(contexts.sessions)
        pair.close()
        assert len(contexts.sessions) == held

    def test_a_session_the_server_chokes_on_is_not_offered_again(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        issued = authority().issue("localhost")
        connect(contexts, server_context(issued, "1.2"), trusting)
        creator = contexts.creator_for("localhost", 443, trusting)
        client = creator.clientConnectionForTLS(None)
        client.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        client.bio_write(b"\x15\x03\x03\x00\x02\x02\x28")  # handshake_failure
        with pytest.raises(HandshakeFailed):
            client.do_handshake()
        assert len(contexts.sessions) == 0

    def test_without_the_private_library_every_handshake_is_full(
        self,
        contexts: ClientContexts,
        trusting: TLSPolicy,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("httpx_tw.tls.openssl_sessions.AVAILABLE", False)
        server = server_context(authority().issue("localhost"))
        for _ in range(3):
            connect(contexts, server, trusting)
        assert contexts.sessions.stats.stores == 0


class TicketCallback(SynchronousTestCase):
    def test_a_problem_in_it_is_logged_and_no_more(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        policy = TLSPolicy(verify=authority().write_certificate(directory / "ca.pem"))
        contexts = ClientContexts()

        def stumble(*_: object) -> None:
            raise ZeroDivisionError

        self.patch(contexts.sessions, "save_session", stumble)
        connect(contexts, server_context(authority().issue("localhost")), policy)
        assert self.flushLoggedErrors(ZeroDivisionError)


class Treacherous(TlsSessionPool):
    """A pool that gives out its one session to whoever asks."""

    def __init__(self) -> None:
        super().__init__()
        self.session: StoredSession | None = None
        self.change: Callable[[StoredSession], StoredSession] = lambda session: session

    def save_session(self, key: SessionKey, session: StoredSession) -> None:
        self.session = self.session or session

    def get_session(self, key: SessionKey) -> StoredSession | None:
        return self.session and self.change(self.session)


def forgetful(session: StoredSession) -> StoredSession:
    """Return the session as a file would give it back: nothing is remembered."""
    made = StoredSession.from_der(session.der, session.certificate)
    assert made is not None
    return made


class TestNobodyElse:
    """A session of one is never good for another."""

    @both_versions
    @pytest.mark.parametrize("change", [lambda session: session, forgetful])
    def test_a_session_for_one_name_is_refused_under_another(
        self, trusting: TLSPolicy, version: str, change: Any
    ) -> None:
        # Both names are of one server, with one set of ticket keys: it would resume.
        pool = Treacherous()
        contexts = ClientContexts(pool)
        server = server_context(authority().issue("a.test"), version)
        connect(contexts, server, trusting, "a.test")
        pool.change = change
        assert connect(contexts, server, trusting, "a.test").is_resumed
        with pytest.raises(CertificateRejected, match=r"not for b\.test, but for a\.t"):
            connect(contexts, server, trusting, "b.test")

    @both_versions
    def test_nothing_is_said_to_the_wrong_one(
        self, trusting: TLSPolicy, version: str
    ) -> None:
        pool = Treacherous()
        contexts = ClientContexts(pool)
        server = server_context(authority().issue("a.test"), version)
        connect(contexts, server, trusting, "a.test")
        creator = contexts.creator_for("b.test", 443, trusting)
        pair = Pair(creator.clientConnectionForTLS(None), server)
        # Whoever writes first has OpenSSL shake hands inside, past do_handshake.
        calls: list[Callable[[], object]] = [
            lambda: pair.client.send(b"secret"),
            lambda: pair.client.write(b"secret"),
            lambda: pair.client.sendall(b"secret"),
            lambda: pair.client.recv(10),
            lambda: pair.client.read(10),
            lambda: pair.client.recv_into(bytearray(10)),
            pair.client.do_handshake,
        ]
        refusals = 0
        for _ in range(3):
            for call in calls:
                try:
                    call()
                except CertificateRejected:
                    refusals += 1
                except SSL.WantReadError:
                    pass
                pair.move()
                with contextlib.suppress(SSL.WantReadError):
                    pair.server.do_handshake()
                pair.move()
        assert refusals > len(calls)
        with pytest.raises(SSL.WantReadError):
            pair.server.recv(10)

    @both_versions
    @pytest.mark.parametrize("change", [lambda session: session, forgetful])
    def test_an_expired_certificate_is_refused_on_resumption(
        self, trusting: TLSPolicy, version: str, change: Any
    ) -> None:
        now = 0.0
        pool = Treacherous()
        contexts = ClientContexts(pool)
        issued = authority().issue("localhost", ends=DAY)
        server = server_context(issued, version)
        connect(contexts, server, trusting)
        pool.change = change
        now = issued.certificate.not_valid_after_utc.timestamp()
        pool.seconds = lambda: now - 1
        assert connect(contexts, server, trusting).is_resumed
        pool.seconds = lambda: now
        with pytest.raises(CertificateRejected, match="has expired"):
            connect(contexts, server, trusting)

    def test_a_session_without_verification_is_not_used_with_it(
        self, contexts: ClientContexts, trusting: TLSPolicy
    ) -> None:
        server = server_context(new_authority("Other").issue("localhost"), "1.2")
        careless = TLSPolicy(verify=False)
        connect(contexts, server, careless)
        assert connect(contexts, server, careless).is_resumed
        with pytest.raises(CertificateRejected, match="unknown authority"):
            connect(contexts, server, trusting)

    @both_versions
    def test_a_server_that_resumes_what_nobody_offered_is_refused(
        self, trusting: TLSPolicy, version: str
    ) -> None:
        # What a bug in OpenSSL or in the pool would look like: no certificate was
        # seen, and nothing is known of what was resumed.
        pool = Treacherous()
        contexts = ClientContexts(pool)
        server = server_context(authority().issue("localhost"), version)
        connect(contexts, server, trusting)
        creator = contexts.creator_for("localhost", 443, trusting)
        pair = Pair(creator.clientConnectionForTLS(None), server)
        pair.client._offered = None  # type: ignore[attr-defined]
        with pytest.raises(CertificateRejected, match="shown no certificate"):
            pair.shake_hands()

    def test_a_broken_certificate_in_a_session_is_refused(
        self, trusting: TLSPolicy
    ) -> None:
        pool = Treacherous()
        contexts = ClientContexts(pool)
        server = server_context(authority().issue("localhost"))
        connect(contexts, server, trusting)

        def break_it(session: StoredSession) -> StoredSession:
            made = StoredSession.from_der(session.der, b"not a certificate")
            assert made is not None
            return made

        pool.change = break_it
        with pytest.raises(CertificateRejected, match="of the session is broken"):
            connect(contexts, server, trusting)

    def test_a_session_without_a_certificate_is_refused(
        self, trusting: TLSPolicy
    ) -> None:
        pool = Treacherous()
        contexts = ClientContexts(pool)
        server = server_context(authority().issue("localhost"))
        connect(contexts, server, trusting)
        pool.change = lambda session: forgetful(
            StoredSession(session.der, None, 0, 1, is_single_use=True)
        )
        with pytest.raises(CertificateRejected, match="shown no certificate"):
            connect(contexts, server, trusting)


class TestOverTwistedsTLS:
    """Twisted's own TLS fails the connection for us, and tells why."""

    def connected(self, host: str, policy: TLSPolicy) -> tuple[Any, Any, list[Any]]:
        lost: list[Any] = []

        class Noting(Protocol):
            def connectionLost(self, reason: Any = None) -> None:
                lost.append(reason.value)

        creator = ClientContexts().creator_for(host, 443, policy)
        factory = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(Noting))
        protocol: Any = factory.buildProtocol(None)
        assert isinstance(protocol, TLSMemoryBIOProtocol)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport, lost

    @pytest.mark.parametrize(
        ("host", "expected"), [("localhost", None), ("b.test", CertificateRejected)]
    )
    def test_the_reason_is_ours(
        self, trusting: TLSPolicy, host: str, expected: type[Exception] | None
    ) -> None:
        protocol, transport, lost = self.connected(host, trusting)
        server = SSL.Connection(server_context(authority().issue("localhost")))
        server.set_accept_state()
        for _ in range(3):
            if not transport.value():
                break
            server.bio_write(transport.value())
            transport.clear()
            with contextlib.suppress(SSL.Error):
                server.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                protocol.dataReceived(server.bio_read(65536))
        assert transport.disconnecting == (expected is not None)
        protocol.connectionLost(Failure(ConnectionDone()))
        assert isinstance(lost[0], expected or ConnectionLost)


def test_a_peer_name_is_not_what_was_typed() -> None:
    assert PeerName.of("[::1%eth0]") == PeerName("::1", is_address=True)
