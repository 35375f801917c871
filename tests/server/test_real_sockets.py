"""The whole server over real sockets, on whatever reactor runs."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import socket
from pathlib import Path
from tempfile import NamedTemporaryFile, mkdtemp
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from twisted.internet import ssl
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ServerEndpoint,
    quoteStringArgument,
    wrapClientTLS,
)
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue

from httpx_tw import HTTPFactory, Request, Response, Server, SwitchProtocols
from httpx_tw.transport.listener import TLSStreamPort
from tests.server.live import QUICK, LiveTestCase, RawClient, reactor
from tests.server.test_connection import Told
from tests.transport.tls_pair import pem

KIB = 1024
MIB = 1024 * KIB
HEAD = "GET / HTTP/1.1\nHost: a\n\n"


class Conversations(LiveTestCase):
    """One body of tests for every way to listen: see the classes below."""

    async def open(self, **options: Any) -> RawClient:
        """Serve ``self.app`` and connect to it."""
        return await self.connect_to(await self.serve(self.app, **options))

    async def test_files_arrive_whole_and_in_their_turn(self) -> None:
        with NamedTemporaryFile() as file:
            file.write(os.urandom(MIB) * 3)
            file.flush()
            self.app.get("/file", lambda _: Response.file(file.name))
            client = await self.open()
            client.send("GET /file HTTP/1.1\nHost: a\n\n" + HEAD)
            client.send("GET /file HTTP/1.1\nHost: a\nRange: bytes=-9\n\n")
            answers = await client.answers(3)
            content = Path(file.name).read_bytes()
        self.assertTrue(answers[0].body == content)
        self.assertEqual(answers[1].body, b"hello")
        self.assertEqual((answers[2].status, answers[2].body), (206, content[-9:]))

    async def test_keep_alive_and_pipelining(self) -> None:
        client = await self.open()
        client.send(HEAD)
        await client.answers(1)
        client.send(HEAD * 50)
        answers = await client.answers(51)
        self.assertEqual([answer.body for answer in answers], [b"hello"] * 51)

    async def test_large_bodies_both_ways(self) -> None:
        @self.app.post("/echo", max_body=0)
        async def echo(request: Request) -> bytes:
            return await request.read()

        self.app.post("/collect", lambda request: request.body, max_body=0)
        client = await self.open()
        body = os.urandom(8 * MIB)
        for count, path in enumerate(("/echo", "/collect"), 1):
            head = f"POST {path} HTTP/1.1\nHost: a\nContent-Length: {len(body)}\n\n"
            client.send(head)
            client.send(body)
            await client.until(
                lambda n=count: client.count >= n * len(body)  # type: ignore[misc]  # mypy cannot infer it
            )
        answers = await client.answers(2)
        self.assertEqual([answer.body == body for answer in answers], [True, True])

    async def test_a_large_stream(self) -> None:
        self.app.get(
            "/stream", lambda _: Response.stream(b"x" * 64 * KIB for _ in range(128))
        )
        client = await self.open()
        client.send("GET /stream HTTP/1.1\nHost: a\n\n")
        await client.until(lambda: client.count >= 8 * MIB)
        (answer,) = await client.answers(1)
        self.assertEqual(len(answer.body), 8 * MIB)

    async def test_a_half_closed_client_gets_its_answers(self) -> None:
        self.app.get("/wait", lambda _: deferLater(reactor, 0.05, lambda: "late"))
        client = await self.open()
        client.send(HEAD.replace("/ ", "/wait ") * 2)
        client.tcp.loseWriteConnection()
        await client.closed()
        answers = await client.answers(2)
        self.assertEqual([answer.body for answer in answers], [b"late"] * 2)

    async def test_an_early_refusal_is_seen_by_who_is_still_sending(self) -> None:
        self.app.post("/small", lambda _: "", max_body=10)
        client = await self.open()
        client.send(f"POST /small HTTP/1.1\nHost: a\nContent-Length: {4 * MIB}\n\n")
        client.send(b"x" * 4 * MIB)
        (answer,) = await client.answers(1)
        self.assertEqual(answer.status, 413)

    async def test_a_trickled_head_is_cut(self) -> None:
        client = await self.open(timeouts=QUICK)
        for byte in "GET / HTTP/1.1\nX: y":
            if client.raw:
                break
            client.send(byte)
            await deferLater(reactor, 0.1)
        (answer,) = await client.answers(1)
        self.assertEqual(answer.status, 408)

    async def test_a_body_that_stops_is_cut(self) -> None:
        self.app.post("/", lambda request: request.body)
        client = await self.open(timeouts=QUICK)
        client.send("POST / HTTP/1.1\nHost: a\nContent-Length: 10\n\nabc")
        (answer,) = await client.answers(1)
        self.assertEqual(answer.status, 408)

    async def test_a_response_never_read_is_cut(self) -> None:
        ended: Deferred[str] = Deferred()

        async def endless() -> Any:
            try:
                while True:
                    yield b"x" * 64 * KIB
            finally:
                ended.callback("ended")

        self.app.get("/endless", lambda _: endless())
        client = await self.open(timeouts=QUICK)
        client.send(HEAD)
        await client.answers(1)  # TLS reads to be able to write
        client.tcp.pauseProducing()
        client.send("GET /endless HTTP/1.1\nHost: a\n\n")
        self.assertEqual(await ended, "ended")
        client.keeps = False
        client.tcp.resumeProducing()
        await client.closed()

    async def test_a_client_that_goes_cancels_its_handler(self) -> None:
        begun: Deferred[None] = Deferred()
        ended: Deferred[str] = Deferred()

        @self.app.get("/wait")
        async def wait(_: Request) -> None:
            try:
                begun.callback(None)
                await Deferred()
            finally:
                ended.callback("ended")

        client = await self.open()
        client.send("GET /wait HTTP/1.1\nHost: a\n\n")
        await begun
        client.tcp.abortConnection()
        self.assertEqual(await ended, "ended")

    async def test_an_endless_stream_leaves_others_their_turn(self) -> None:
        async def endless() -> Any:
            while True:
                yield b"x" * 64 * KIB

        self.app.get("/endless", lambda _: endless())
        greedy = await self.open()
        greedy.keeps = False
        greedy.send("GET /endless HTTP/1.1\nHost: a\n\n")
        await greedy.until(lambda: greedy.count > 4 * MIB)
        other = await self.again()
        other.send(HEAD)
        (answer,) = await other.answers(1)
        self.assertEqual(answer.body, b"hello")

    async def test_a_switched_connection_speaks_its_own_protocol(self) -> None:
        protocol = Told()
        self.app.get("/chat", lambda _: SwitchProtocols("chat", protocol))
        client = await self.open()
        client.send(
            "GET /chat HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: chat\n\nearly"
        )
        (answer,) = await client.answers(1)
        self.assertEqual(answer.status, 101)
        assert protocol.transport is not None
        protocol.transport.write(b"hi there")
        await client.until(lambda: client.raw.endswith(b"hi there"))
        self.assertEqual(protocol.told, ["made", b"early"])

    async def test_stopping_answers_what_is_in_flight(self) -> None:
        begun: Deferred[None] = Deferred()
        answer: Deferred[str] = Deferred()

        def wait(_: Request) -> Deferred[str]:
            begun.callback(None)
            return answer

        self.app.get("/wait", wait)
        client = await self.open()
        client.send("GET /wait HTTP/1.1\nHost: a\n\n")
        await begun
        idle = await self.again()
        stopped = self.stop()
        await idle.closed()
        answer.callback("finished")
        (finished,) = await client.answers(1)
        self.assertEqual(finished.body, b"finished")
        await client.closed()
        await stopped

    # How it listens

    async def again(self) -> RawClient:
        """Open one more connection to what was opened."""
        peer = self.clients[-1].tcp.getPeer()
        return await self.connect(f"tcp:127.0.0.1:{peer.port}")

    def stop(self) -> Deferred[Any]:
        """Stop the server."""
        return self.server.stop()

    async def serve_with(self, *arguments: Any, **options: Any) -> Server:
        self.server = await super().serve_with(*arguments, **options)
        return self.server


class UnixConversations(Conversations):
    """The same over a Unix socket."""

    async def test_a_client_that_goes_cancels_its_handler(self) -> None:
        self.skipTest("no resets here: who is gone looks like one who only listens")

    async def open(self, **options: Any) -> RawClient:
        directory = mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.path = f"{directory}/http"
        self.server = Server(self.app, **options)
        await self.server.start(reactor, [f"unix:{self.path}"])
        self.addCleanup(self.server.stop)
        return await self.again()

    async def again(self) -> RawClient:
        return await self.connect(f"unix:{self.path}")


class StockPortConversations(Conversations):
    """The same on a port of the reactor's own: no StreamPort, no AcceptGate."""

    async def open(self, **options: Any) -> RawClient:
        factory = HTTPFactory(self.app, reactor, **options)
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.factory = factory
        self.addCleanup(self.stop)
        return await self.again()

    async def again(self) -> RawClient:
        return await self.connect(f"tcp:127.0.0.1:{self.port.getHost().port}")

    def stop(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(self.port.stopListening)
        await self.factory.drain()


class AdoptedPortConversations(Conversations):
    """The same on a socket that was bound elsewhere, as systemd does."""

    async def open(self, **options: Any) -> RawClient:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)  # a socket's own name
        self.number = listening.getsockname()[1]
        self.server = Server(self.app, **options)
        await self.server.start(reactor, [_Adopting(listening)])  # type: ignore[list-item]  # as much of one as is used
        listening.close()
        self.addCleanup(self.server.stop)
        return await self.again()

    async def again(self) -> RawClient:
        return await self.connect(f"tcp:127.0.0.1:{self.number}")


class _Adopting:
    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening

    async def listen(self, factory: HTTPFactory) -> Any:
        return reactor.adoptStreamPort(self.listening.fileno(), socket.AF_INET, factory)


class _Stock(SSL4ServerEndpoint):
    """One of somebody's own, which is left to do things in its way."""


class TLSConversations(Conversations):
    """The same over Twisted's stock TLS."""

    def tearDown(self) -> None:
        warnings = [warning["message"] for warning in self.flushWarnings()]
        known = ["Passing pyOpenSSL"]  # Twisted's own, about its own use of it
        if not IReactorFDSet.providedBy(reactor):
            # Its port on IOCP leaves the socket of the accept under way.
            known.append("unclosed <socket.socket")
        others = [each for each in warnings if not any(k in each for k in known)]
        self.assertEqual(others, [])

    async def test_a_half_closed_client_gets_its_answers(self) -> None:
        self.skipTest("TLS ends both sides at once")

    async def test_an_idle_client_does_not_hold_up_the_stop(self) -> None:
        client = await self.open()
        client.send(HEAD)
        await client.answers(1)
        client.tcp.pauseProducing()  # it pools the connection, and does not look
        await self.server.stop()
        client.tcp.resumeProducing()
        await client.closed()

    async def open(self, **options: Any) -> RawClient:
        certificate = self.certificate()
        self.server = Server(self.app, **options)
        endpoint = _Stock(reactor, 0, certificate.options(), interface="127.0.0.1")
        self.trust = certificate
        await self.server.start(reactor, [endpoint])
        self.addCleanup(self.server.stop)
        return await self.again()

    async def again(self) -> RawClient:
        port = self.server.addresses[0].port
        endpoint = wrapClientTLS(
            ssl.optionsForClientTLS("localhost", trustRoot=self.trust),
            HostnameEndpoint(reactor, "127.0.0.1", port),
        )
        return await self.connect_by(endpoint)

    @staticmethod
    def certificate() -> ssl.PrivateCertificate:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        day = dt.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1)
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        loaded: ssl.PrivateCertificate = ssl.PrivateCertificate.loadPEM(pem)
        return loaded


class DirectTLSConversations(TLSConversations):
    """The same over the direct transport, which endpoint strings get."""

    async def open(self, **options: Any) -> RawClient:
        directory = mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        both = Path(directory, "both.pem")
        both.write_bytes(b"".join(pem()))
        self.trust: Any = ssl.Certificate.loadPEM(pem()[0])
        self.server = Server(self.app, **options)
        quoted = quoteStringArgument(str(both))  # on Windows there is a colon in it
        files = f"privateKey={quoted}:certKey={quoted}"
        await self.server.start(reactor, [f"ssl:0:interface=127.0.0.1:{files}"])
        if IReactorFDSet.providedBy(reactor):
            self.assertIsInstance(self.server._ports[0], TLSStreamPort)
        self.addCleanup(self.server.stop)
        return await self.again()

    async def test_twisteds_endpoint_object_gets_it_too(self) -> None:
        await self.open()
        await self.server.stop()
        self.trust = certificate = self.certificate()
        endpoint = SSL4ServerEndpoint(
            reactor, 0, certificate.options(), interface="127.0.0.1"
        )
        await self.server.start(reactor, [endpoint])
        if IReactorFDSet.providedBy(reactor):
            self.assertIsInstance(self.server._ports[0], TLSStreamPort)
        self.assertIs(endpoint._reactor, reactor)
        client = await self.again()
        client.send(HEAD)
        await client.answers(1)

    async def test_a_request_knows_that_it_came_over_tls(self) -> None:
        self.app.get("/scheme", lambda request: f"{request.scheme} {request.is_secure}")
        client = await self.open()
        client.send("GET /scheme HTTP/1.1\nHost: a\nConnection: close\n\n")
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, b"https True")
        await client.closed()


class Curl(LiveTestCase):
    """A client that is not ours."""

    async def curl(self, *arguments: str) -> str:
        executable = shutil.which("curl")
        if executable is None:
            self.skipTest("no curl")
        output, errors, code = await getProcessOutputAndValue(
            executable, ["-sS", "--noproxy", "*", "-m", "10", *arguments], os.environ
        )
        self.assertEqual((errors, code), (b"", 0))
        return str(output, "latin-1")

    async def test_get_twice_on_one_connection(self) -> None:
        url = await self.serve(self.app)
        written = await self.curl(
            f"{url}/", f"{url}/", "-w", " %{http_code} %{num_connects}\n"
        )
        self.assertEqual(written, "hello 200 1\nhello 200 0\n")

    async def test_head_and_http_10(self) -> None:
        url = await self.serve(self.app)
        self.assertIn("content-length: 5", await self.curl("-I", url))
        self.assertEqual(await self.curl("-0", url), "hello")

    async def test_an_upload_with_continue(self) -> None:
        @self.app.put("/upload")
        async def upload(request: Request) -> str:
            return str(len(await request.read()))

        path = Path(self.mktemp())
        path.write_bytes(b"x" * 2 * MIB)
        url = await self.serve(self.app)
        for fields in ([], ["-H", "Transfer-Encoding: chunked"]):
            written = await self.curl(
                "-T", str(path), "-H", "Expect: 100-continue", *fields, f"{url}/upload"
            )
            self.assertEqual(written, str(2 * MIB))

    async def test_an_upload_nobody_wants(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"x" * 2 * MIB)
        url = await self.serve(self.app)
        written = await self.curl(
            "-T", str(path), f"{url}/nowhere", "-o", os.devnull, "-w", "%{http_code}"
        )
        self.assertEqual(written, "404")
