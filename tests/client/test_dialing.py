"""Connections by name, by path, over TLS and through proxies, on real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import (
    CertificateRejected,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    HandshakeFailed,
    NameNotResolved,
    ProxyError,
)
from httpx_tw.tls.certificates import ServerTLS
from tests.client.live import (
    ClientLiveTestCase,
    SocksProxy,
    Talker,
    TunnelProxy,
    reactor,
)
from tests.tls.issuing import authority

if TYPE_CHECKING:
    from httpx_tw.client.client import Client


class PlainTests(ClientLiveTestCase):
    async def test_server_is_reached_by_address_and_by_name(self) -> None:
        port = await self.listen(Talker)
        client = self.made()
        for host in ("127.0.0.1", "localhost"):
            found = await client.get(f"http://{host}:{port}/")
            self.assertEqual(found.body, b"hello")
            self.assertEqual(found.connection.peer, ("127.0.0.1", port))
            self.assertIsNone(found.connection.tls)

    async def test_nobody_listening_is_a_connect_failed(self) -> None:
        port = await self.listen(Talker)
        client = self.made()
        listening = reactor.listenTCP(0, Factory.forProtocol(Talker))
        free = listening.getHost().port
        await listening.stopListening()
        for host in ("127.0.0.1", "localhost"):
            with self.assertRaises(ConnectFailed) as caught:
                await client.get(f"http://{host}:{free}/")
            self.assertIn("127.0.0.1", str(caught.exception))
        self.assertEqual((await client.get(f"http://127.0.0.1:{port}/")).status, 200)

    async def test_name_without_an_address_is_said_so(self) -> None:
        with self.assertRaises(NameNotResolved):
            await self.made().get("http://no-such-name.invalid/")

    async def test_connection_leaves_from_the_local_address(self) -> None:
        port = await self.listen(Talker)
        client = self.made(local_address="127.0.0.5")
        found = await client.get(f"http://127.0.0.1:{port}/")
        assert found.connection.local is not None
        self.assertEqual(found.connection.local[0], "127.0.0.5")

    async def test_local_address_that_is_not_ours_is_a_connect_failed(self) -> None:
        port = await self.listen(Talker)
        with self.assertRaises(ConnectFailed):
            await self.made(local_address="192.0.2.77").get(f"http://127.0.0.1:{port}/")

    async def test_server_is_reached_by_its_path(self) -> None:
        path = str(Path("s.sock").absolute())
        endpoint = serverFromString(reactor, f"unix:{path}")
        listening = await endpoint.listen(Factory.forProtocol(Talker))
        self.addCleanup(listening.stopListening)
        found = await self.made(uds=path).get("http://whatever.example/")
        self.assertEqual(found.body, b"hello")
        self.assertEqual(found.connection.peer, path)
        self.assertIsNone(found.connection.local)

    async def test_path_that_is_none_is_a_connect_failed(self) -> None:
        path = str(Path("none.sock").absolute())
        with self.assertRaises(ConnectFailed):
            await self.made(uds=path).get("http://whatever.example/")

    async def test_dial_can_be_cancelled(self) -> None:
        port = await self.listen(Talker)
        client = self.made()
        deferred = client.get(f"http://localhost:{port}/")
        deferred.cancel()
        with self.assertRaises(CancelledError):
            await deferred
        self.assertEqual(client.pool.stats().total, 0)


class TLSTests(ClientLiveTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ca = authority().write_certificate(Path("ca.pem").absolute())
        self.pem = (
            authority()
            .issue("localhost", "127.0.0.1")
            .write(Path("server.pem").absolute())
        )

    async def secure(self, **options: Any) -> str:
        """Serve ``self.app`` over TLS; return the URL by name."""
        url = await self.serve(self.app, tls=ServerTLS(certfile=self.pem, **options))
        return f"https://localhost:{url.rpartition(':')[2]}/"

    async def test_server_that_proves_who_it_is_is_trusted(self) -> None:
        url = await self.secure()
        client = self.made(verify=self.ca)
        for _ in range(3):
            found = await client.get(url)
            self.assertEqual(found.body, b"hello")
        self.assertEqual(client.pool.stats().dialed, 1)
        facts = found.connection.tls
        assert facts is not None
        self.assertEqual((facts.version, facts.alpn), ("TLSv1.3", "http/1.1"))
        self.assertFalse(facts.is_resumed)
        self.assertTrue(facts.cipher)
        assert facts.certificate is not None
        self.assertIn("localhost", facts.certificate.subject.rfc4514_string())

    async def test_later_connections_resume(self) -> None:
        url = await self.secure()
        client = self.made(verify=self.ca)
        await client.get(url)
        client.pool.close_idle()
        found = await client.get(url)
        assert found.connection.tls is not None
        self.assertTrue(found.connection.tls.is_resumed)
        certificate = found.connection.tls.certificate  # which is not sent again
        assert certificate is not None
        self.assertIn("localhost", certificate.subject.rfc4514_string())

    async def test_where_tls_is_twisteds_as_much_is_known_of_it(self) -> None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(self.pem)
        context.use_privatekey_file(self.pem)
        context.set_alpn_select_callback(lambda _, offered: offered[0])
        path = str(Path("s.sock").absolute())
        talkers = TLSMemoryBIOFactory(
            _Fixed(context), False, Factory.forProtocol(Talker)
        )
        listening = reactor.listenUNIX(path, talkers)
        self.addCleanup(listening.stopListening)
        found = await self.made(uds=path, verify=self.ca).get("https://localhost/")
        facts = found.connection.tls
        assert facts is not None
        self.assertEqual((facts.version, facts.alpn), ("TLSv1.3", "http/1.1"))

    async def test_others_are_not_trusted(self) -> None:
        url = await self.secure()
        with self.assertRaises(CertificateRejected):
            await self.made().get(url)
        found = await self.made(verify=False).get(url)
        self.assertEqual(found.status, 200)

    async def test_wrong_name_is_not_trusted(self) -> None:
        self.pem = authority().issue("other.example").write(Path("o.pem").absolute())
        url = await self.secure()
        with self.assertRaises(CertificateRejected):
            await self.made(verify=self.ca).get(url)

    async def test_what_is_no_tls_is_a_failed_handshake(self) -> None:
        port = await self.listen(Talker)
        for first in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""):

            class Plain(Talker):
                def connectionMade(self) -> None:
                    self.tcp.write(first)  # noqa: B023  # listened to within the loop
                    self.tcp.loseConnection()

            port = await self.listen(Plain)
            with self.assertRaises(ConnectFailed) as caught:
                await self.made().get(f"https://127.0.0.1:{port}/")
            self.assertTrue(str(caught.exception))

    async def test_handshake_is_under_the_connect_timeout(self) -> None:
        class Silent(Talker):
            def dataReceived(self, data: bytes) -> None:
                pass

        port = await self.listen(Silent)
        client = self.made(timeout=Timeout(connect=0.1))
        with self.assertRaises(ConnectTimeout):
            await client.get(f"https://127.0.0.1:{port}/")
        self.assertEqual(client.pool.stats().total, 0)

    async def test_file_that_is_none_fails_the_request(self) -> None:
        url = await self.secure()
        with self.assertRaises((ConfigurationError, HandshakeFailed)):
            await self.made(verify="/no/such/file.pem").get(url)

    async def test_large_bodies_go_both_ways(self) -> None:
        async def echo(request: Any) -> bytes:
            return bytes(await request.read())

        self.app.post("/", echo)
        url = await self.secure()
        sent = bytes(range(256)) * 8000
        found = await self.made(verify=self.ca).post(url, content=iter([sent, b"end"]))
        self.assertEqual(found.body, sent + b"end")


@implementer(IOpenSSLServerConnectionCreator)
class _Fixed:
    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:  # noqa: N802, N803  # Twisted's names
        return SSL.Connection(self._context, None)


class ProxyTests(ClientLiveTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log: list[bytes] = []

    async def proxy(self, kind: type[TunnelProxy] = TunnelProxy) -> int:
        log = self.log

        class Proxy(kind):  # type: ignore[misc, valid-type]  # a proxy with this log
            def __init__(self) -> None:
                super().__init__()
                self.log = log

        return await self.listen(Proxy)

    async def hello(self, client: Client, url: str) -> None:
        for _ in range(2):
            self.assertEqual((await client.get(url)).body, b"hello")
        self.assertEqual(client.pool.stats().dialed, 1)

    async def test_plain_requests_are_handed_to_the_proxy(self) -> None:
        port = await self.proxy()
        client = self.made(proxy=f"http://me:secret@127.0.0.1:{port}")
        for host in ("a.invalid", "b.invalid"):
            found = await client.get(f"http://{host}/x?y#z")
            self.assertEqual(found.body, f"for http://{host}/x?y".encode())
            self.assertIn(f"Host: {host}".encode(), self.log[-1])
            self.assertIn(b"Proxy-Authorization: Basic bWU6c2VjcmV0", self.log[-1])
        # One connection serves both: it is the proxy's.
        self.assertEqual(client.pool.stats().dialed, 1)

    async def test_tls_goes_through_a_tunnel(self) -> None:
        ca = authority().write_certificate(Path("ca.pem").absolute())
        pem = authority().issue("localhost").write(Path("server.pem").absolute())
        url = await self.serve(self.app, tls=ServerTLS(certfile=pem))
        target = f"localhost:{url.rpartition(':')[2]}"
        port = await self.proxy()
        client = self.made(proxy=f"http://me:secret@127.0.0.1:{port}", verify=ca)
        await self.hello(client, f"https://{target}/")
        (head,) = self.log
        self.assertTrue(head.startswith(f"CONNECT {target} HTTP/1.1\r\n".encode()))
        self.assertIn(b"Proxy-Authorization: Basic bWU6c2VjcmV0", head)

    async def test_tls_within_tls_goes_through_a_secure_proxy(self) -> None:
        ca = authority().write_certificate(Path("ca.pem").absolute())
        pem = (
            authority()
            .issue("localhost", "127.0.0.1")
            .write(Path("server.pem").absolute())
        )
        url = await self.serve(self.app, tls=ServerTLS(certfile=pem))
        log = self.log

        class Proxy(TunnelProxy):
            def __init__(self) -> None:
                super().__init__()
                self.log = log

        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(pem)
        context.use_privatekey_file(pem)
        listening = reactor.listenTCP(
            0, TLSMemoryBIOFactory(_Fixed(context), False, Factory.forProtocol(Proxy))
        )
        self.addCleanup(listening.stopListening)
        client = self.made(
            proxy=f"https://127.0.0.1:{listening.getHost().port}", verify=ca
        )
        await self.hello(client, f"https://localhost:{url.rpartition(':')[2]}/")
        self.assertEqual(len(self.log), 1)

    async def test_names_are_resolved_by_socks5h_and_not_by_socks5(self) -> None:
        server = await self.listen(Talker)
        port = await self.proxy(SocksProxy)
        client = self.made(proxy=f"socks5h://127.0.0.1:{port}")
        await self.hello(client, f"http://server.invalid:{server}/")
        self.assertEqual(self.log, [f"server.invalid:{server}".encode()])
        client = self.made(proxy=f"socks5://127.0.0.1:{port}")
        await self.hello(client, f"http://localhost:{server}/")
        self.assertEqual(self.log[1:], [f"127.0.0.1:{server}".encode()])
        with self.assertRaises(NameNotResolved):
            await client.get(f"http://server.invalid:{server}/")

    async def test_some_hosts_need_no_proxy(self) -> None:
        server = await self.listen(Talker)
        client = self.made(proxy="http://proxy.invalid", no_proxy="127.0.0.0/8")
        await self.hello(client, f"http://127.0.0.1:{server}/")

    async def test_environment_is_heeded_only_if_asked(self) -> None:
        server = await self.listen(Talker)
        port = await self.proxy()
        self.patch_environment("http_proxy", f"127.0.0.1:{port}")
        await self.hello(self.made(), f"http://127.0.0.1:{server}/")
        found = await self.made(trust_env=True).get(f"http://127.0.0.1:{server}/")
        self.assertTrue(found.body.startswith(b"for "))

    def patch_environment(self, name: str, value: str) -> None:
        import os

        before = os.environ.get(name)
        os.environ[name] = value
        if before is None:
            self.addCleanup(os.environ.pop, name)
        else:
            self.addCleanup(os.environ.__setitem__, name, before)

    async def test_proxy_that_refuses_is_a_proxy_error(self) -> None:
        for answer in (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            b"garbage\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nand more",
        ):

            class Refusing(Talker):
                answers = (answer,)

            port = await self.listen(Refusing)
            client = self.made(proxy=f"http://127.0.0.1:{port}")
            with self.assertRaises(ProxyError):
                await client.get("https://a.invalid/")
            self.assertEqual(client.pool.stats().total, 0)

    async def test_proxy_that_hangs_up_is_a_proxy_error(self) -> None:
        class Rude(Talker):
            def asked(self, head: bytes) -> None:
                self.tcp.loseConnection()

        port = await self.listen(Rude)
        with self.assertRaises(ProxyError):
            await self.made(proxy=f"http://127.0.0.1:{port}").get("https://a.invalid/")

    async def test_proxy_that_says_nothing_is_a_connect_timeout(self) -> None:
        class Silent(Talker):
            def asked(self, head: bytes) -> None:
                pass

        port = await self.listen(Silent)
        client = self.made(
            proxy=f"http://127.0.0.1:{port}", timeout=Timeout(connect=0.1)
        )
        with self.assertRaises(ConnectTimeout):
            await client.get("https://a.invalid/")
        await deferLater(reactor, 0)
