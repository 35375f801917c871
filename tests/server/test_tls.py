"""A server with TLS, in one process: certificates that change, and who is who."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from httpx_tw import App, EventServer, HTTPFactory, Server
from httpx_tw.errors import ConfigurationError
from httpx_tw.testing.memory import MemoryTransport
from httpx_tw.tls.certificates import ServerCertificates, ServerTLS
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from tests.tls.handshakes import connect
from tests.tls.issuing import Issued, authority

if TYPE_CHECKING:
    from httpx_tw import Request


def quoted(path: Path) -> str:
    """Return *path* as an endpoint string has it: on Windows it has backslashes."""
    return str(quoteStringArgument(str(path)))


class ServerWithTLS(SynchronousTestCase):
    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        self.path = directory / "localhost.pem"
        self.policy = TLSPolicy(
            verify=authority().write_certificate(directory / "ca.pem")
        )
        self.renew()
        self.reactor = MemoryReactorClock()

    def renew(self) -> Issued:
        issued = authority().issue("localhost")
        new = self.path.with_suffix(".new")
        issued.write(new)
        new.replace(self.path)
        return issued

    def start(self, kind: type[Server] = Server, **options: Any) -> Server:
        tls = ServerTLS(certfile=self.path, **options)
        server = kind(port=0, tls=tls)
        self.successResultOf(server.start(self.reactor))
        return server

    def stop(self, server: Server) -> None:
        stopped = server.stop()
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_new_certificates_are_noticed(self) -> None:
        for kind in (Server, EventServer):
            server = self.start(kind)
            issued = self.renew()
            self.reactor.advance(10)
            pair = connect(ClientContexts(), server.certificates, self.policy)
            shown = pair.client.get_peer_certificate()
            assert shown is not None
            self.assertEqual(shown.to_cryptography(), issued.certificate)
            self.stop(server)

    def test_after_a_stop_it_may_start_again(self) -> None:
        server = self.start()
        self.stop(server)
        self.successResultOf(server.start(self.reactor))
        self.stop(server)

    def test_certificates_may_be_made_beforehand(self) -> None:
        made = ServerCertificates(ServerTLS(certfile=self.path))
        server = Server(port=0, tls=made)
        self.successResultOf(server.start(self.reactor))
        self.assertIs(server.certificates, made)
        self.stop(server)

    def test_certificates_that_cannot_be_used_prevent_the_start(self) -> None:
        self.path.write_text("junk")
        server = Server(port=0, tls=ServerTLS(certfile=self.path))
        self.assertRaises(ConfigurationError, server.start, self.reactor)
        self.assertFalse(server.is_running)

    def test_endpoint_strings_that_say_tls_have_certificates_as_good(self) -> None:
        server = Server()
        self.assertFalse(server.serves_tls)
        directory = self.path.parent
        (directory / "ca.pem").rename(directory / "ca.crt")  # it has no key
        self.policy = TLSPolicy(verify=directory / "ca.crt")
        where = [
            f"ssl:0:privateKey={quoted(self.path)}",
            f"tls:{quoted(directory)}:port=0",
        ]
        self.successResultOf(server.start(self.reactor, where))
        self.assertIsNone(server.certificates)
        self.assertTrue(server.serves_tls)
        for renew in (self.reactor.advance, lambda _: server.reload_certificates()):
            issued = self.renew()
            renew(10)
            self.assertEqual(len(server._certificates), 2)
            for certificates in server._certificates:
                pair = connect(ClientContexts(), certificates, self.policy)
                shown = pair.client.get_peer_certificate()
                assert shown is not None
                self.assertEqual(shown.to_cryptography(), issued.certificate)
        self.stop(server)

    def test_beside_others_of_the_server(self) -> None:
        other = self.path.with_name("other.pem")
        authority().issue("localhost").write(other)
        server = Server(port=0, tls=ServerTLS(certfile=self.path))
        where = ["tcp:0", f"ssl:0:privateKey={quoted(other)}"]
        self.successResultOf(server.start(self.reactor, where))
        self.assertEqual(len(server._certificates), 2)
        self.stop(server)

    def test_what_only_twisteds_own_has_is_left_to_it(self) -> None:
        server = Server()
        where = f"ssl:0:privateKey={quoted(self.path)}:sslmethod=TLS_METHOD"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Twisted would rather not have it either
            self.successResultOf(server.start(self.reactor, [where]))
        self.assertFalse(server.serves_tls)
        self.stop(server)

    def test_strict_transport_security_is_in_every_response(self) -> None:
        server = self.start(hsts=300)
        assert server._factory is not None
        server._factory.fixed.refresh(0)
        field = b"\r\nstrict-transport-security: max-age=300\r\n"
        self.assertIn(field, server._factory.fixed.lines)
        self.stop(server)


class Factory(SynchronousTestCase):
    def test_it_names_its_protocol_to_twisteds_own_tls(self) -> None:
        factory = HTTPFactory(App(), Clock())
        self.assertTrue(verifyObject(IProtocolNegotiationFactory, factory))
        self.assertEqual(factory.acceptableProtocols(), [b"http/1.1"])


class SecureTransport(MemoryTransport):
    """A transport whose peer has shown *certificate*."""

    certificate: Any = None

    def getPeerCertificate(self) -> Any:  # noqa: N802  # Twisted's name
        return self.certificate


class Shown:
    """An X509 of pyOpenSSL, as far as it matters."""

    def to_cryptography(self) -> str:
        return "a certificate"


class ClientCertificate(SynchronousTestCase):
    def seen(self, *, is_secure: bool, certificate: Any = None) -> Any:
        app = App()
        seen: list[Request] = []

        @app.get("/")
        def look(request: Request) -> str:
            seen.append(request)
            return repr(request.client_certificate)

        factory = HTTPFactory(app, Clock())
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        transport = SecureTransport(protocol, is_secure=is_secure)
        transport.certificate = certificate
        transport.deliver(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.addCleanup(transport.lose)
        return seen[0].client_certificate, seen[0], transport

    def test_it_is_that_of_the_connection(self) -> None:
        shown, _, _ = self.seen(is_secure=True, certificate=Shown())
        self.assertEqual(shown, "a certificate")

    def test_without_one_it_is_none(self) -> None:
        self.assertIsNone(self.seen(is_secure=True)[0])

    def test_without_tls_it_is_none(self) -> None:
        self.assertIsNone(self.seen(is_secure=False, certificate=Shown())[0])

    def test_after_the_end_it_is_none(self) -> None:
        _, request, transport = self.seen(is_secure=True, certificate=Shown())
        transport.abortConnection()
        transport.turn()
        self.assertIsNone(request.client_certificate)
