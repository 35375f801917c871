"""Client and server on real sockets: many requests, large bodies, the worst moment."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory

from httpx_tw import PoolConfig
from httpx_tw.errors import ConnectionLost, IncompleteMessage, ReadTimeout
from httpx_tw.transport import openssl
from httpx_tw.transport.tls_port import listen_tls
from tests.client.live import ClientLiveTestCase, Talker, reactor
from tests.transport.tls_pair import Serves, pem

if TYPE_CHECKING:
    from httpx_tw.client.client import Client

REQUESTS = 10_000
IN_FLIGHT = 32
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def fetch(client: Client, url: str, count: int) -> int:
    """GET *url* one time after the other; return how many were well."""
    well = 0
    for _ in range(count):
        well += (await client.get(url)).body == b"hello"
    return well


async def many(client: Client, url: str, count: int) -> int:
    """GET *url* many times, many at once; return how many were well."""
    each = count // IN_FLIGHT + 1
    running = [
        Deferred.fromCoroutine(fetch(client, url, each)) for _ in range(IN_FLIGHT)
    ]
    return sum(await gatherResults(running, consumeErrors=True)) - (
        each * IN_FLIGHT - count
    )


class Counting(Talker):
    """Counts how many of it are connected."""

    alive: ClassVar[set[Counting]]
    most: ClassVar[int]

    def __init_subclass__(cls) -> None:
        cls.alive = set()
        cls.most = 0

    def connectionMade(self) -> None:
        """See IProtocol."""
        kind = type(self)
        kind.alive.add(self)
        kind.most = max(kind.most, sum(not each.has_ended for each in kind.alive))

    def connectionLost(self, reason: Any = None) -> None:
        """See IProtocol."""
        self.alive.remove(self)

    @property
    def has_ended(self) -> bool:
        """Whether the client has closed, which the reactor may tell us later."""
        handle = self.tcp.getHandle()
        if not select.select([handle], [], [], 0)[0]:  # on IOCP it would wait
            return False
        return not handle.recv(1, socket.MSG_PEEK)


class ManyTests(ClientLiveTestCase):
    timeout = 180  # thousands of dials, each of which asks Wine's server

    async def test_never_more_than_ten_sockets(self) -> None:
        class Counted(Counting):
            pass

        port = await self.listen(Counted)
        client = self.made(pool=PoolConfig(max_requests_per_connection=100))
        url = f"http://127.0.0.1:{port}/"
        self.assertEqual(await many(client, url, REQUESTS), REQUESTS)
        self.assertEqual(Counted.most, 10)

    async def test_closing_idle_connections_at_the_worst_moment_fails_nothing(
        self,
    ) -> None:
        class Fickle(Talker):
            """Closes a connection when the next request is on its way, or has come."""

            def asked(self, head: bytes) -> None:
                self.count += 1
                if self.count == 3:
                    self.tcp.loseConnection()
                elif self.count == 2:
                    self.tcp.write(OK)
                    if id(self) % 3 == 0:
                        self.tcp.loseConnection()
                elif self.count == 1:
                    self.tcp.write(OK)

            def dataReceived(self, data: bytes) -> None:
                if self.count == 2 and id(self) % 3 == 1:
                    self.tcp.abortConnection()
                else:
                    super().dataReceived(data)

        port = await self.listen(Fickle)
        client = self.made()
        url = f"http://127.0.0.1:{port}/"
        self.assertEqual(await many(client, url, REQUESTS), REQUESTS)
        self.assertGreater(client.pool.stats().dialed, REQUESTS // 4)


class BodyTests(ClientLiveTestCase):
    async def test_large_bodies_go_both_ways(self) -> None:
        async def count(request: Any) -> str:
            total = 0
            async for piece in request:
                total += len(piece)
            return str(total)

        self.app.post("/", count, max_body=0)
        url = await self.serve(self.app)
        size = 20_000_000
        client = self.made()
        found = await client.post(url, content=b"x" * size)
        self.assertEqual(found.text(), str(size))
        found = await client.post(url, content=(b"x" * 100_000 for _ in range(200)))
        self.assertEqual(found.text(), str(size))

    async def test_download_is_held_back_by_whoever_reads_slowly(self) -> None:
        class Flood(Talker):
            sent = 0
            paused = 0

            def asked(self, head: bytes) -> None:
                self.tcp.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
                self.tcp.registerProducer(self, False)

            def resumeProducing(self) -> None:
                self.tcp.write(b"x" * 100_000)
                type(self).sent += 100_000
                if self.sent == 50_000_000:
                    self.tcp.unregisterProducer()

            def stopProducing(self) -> None:
                pass

        port = await self.listen(Flood)
        client = self.made()
        total = 0
        async with client.stream("GET", f"http://127.0.0.1:{port}/") as found:
            async for piece in found:
                total += len(piece)
                # What is between is in two sockets, and in one buffer of ours.
                self.assertLess(Flood.sent - total, 12_000_000)
        self.assertEqual(total, 50_000_000)
        self.assertEqual(client.pool.stats().idle, 1)

    async def test_end_in_the_middle_is_told(self) -> None:
        class Cut(Talker):
            answers = (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",)

            def asked(self, head: bytes) -> None:
                super().asked(head)
                self.tcp.loseConnection()

        port = await self.listen(Cut)
        with self.assertRaises(IncompleteMessage):
            await self.made().get(f"http://127.0.0.1:{port}/")

    async def test_over_tls_an_end_without_a_goodbye_is_no_end(self) -> None:
        # Whoever is on the way can end TCP, and cut a body that has no length.
        class UntilTheEnd(Talker):
            says_goodbye = True

            def asked(self, head: bytes) -> None:
                del head
                self.tcp.write(b"HTTP/1.1 200 OK\r\n\r\nnot all of")
                if self.says_goodbye:
                    self.tcp.loseConnection()
                else:
                    self.socket_of(self.tcp).shutdown(socket.SHUT_WR)

            def socket_of(self, transport: Any) -> socket.socket:
                while not hasattr(transport, "socket"):
                    transport = transport.transport
                found: socket.socket = transport.socket
                return found

        class Cut(UntilTheEnd):
            says_goodbye = False

        trusted = Path(self.mktemp())
        trusted.write_bytes(pem()[0])
        client = self.made(verify=trusted)
        for protocol in (UntilTheEnd, Cut):
            factory = Factory.forProtocol(protocol)
            port: Any = listen_tls(reactor, 0, factory, Serves(), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            url = f"https://localhost:{port.getHost().port}/"
            if protocol is UntilTheEnd:
                response = await client.get(url)
                self.assertEqual(response.body, b"not all of")
            else:
                with self.assertRaises(ConnectionLost):
                    await client.get(url)

    async def test_nor_is_it_over_twisteds_own_tls(self) -> None:
        self.patch(openssl, "_CAN_ATTACH", False)
        await self.test_over_tls_an_end_without_a_goodbye_is_no_end()

    async def test_silence_is_a_read_timeout(self) -> None:
        class Silent(Talker):
            answers = (b"",)

        port = await self.listen(Silent)
        with self.assertRaises(ReadTimeout):
            await self.made(timeout=0.1).get(f"http://127.0.0.1:{port}/")
