"""A pool used from threads, over real sockets."""

from __future__ import annotations

from twisted.internet.threads import deferToThread

from httpx_tw.client.outgoing import OutgoingRequest
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.pool_facts import PoolConfig, PoolKey
from httpx_tw.client.pool_threads import ThreadsafePool
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import ConnectFailed, LocalProtocolError
from tests.client.live import ClientLiveTestCase, Talker, reactor

THREADS = 4
REQUESTS = 50


class ThreadTests(ClientLiveTestCase):
    async def test_threads_share_a_pool(self) -> None:
        port = await self.listen(Talker)
        key = PoolKey("http", "127.0.0.1", port)
        request = OutgoingRequest(
            "GET",
            parse_url(f"http://127.0.0.1:{port}/"),
            [(b"Host", b"a")],
            key=key,
            limit=1000,
        )
        pool = ConnectionPool(PoolConfig(max_per_host=2), reactor=reactor)
        self.addCleanup(pool.close)
        shared = ThreadsafePool(pool)

        def use() -> int:
            well = 0
            for _ in range(REQUESTS):
                connection = shared.get_connection(key)
                well += shared.send_on(connection, request).body == b"hello"
                shared.release_connection(connection)
            return well

        running = [deferToThread(use) for _ in range(THREADS)]
        for deferred in running:
            self.assertEqual(await deferred, REQUESTS)
        self.assertLessEqual(pool.stats().dialed, 2)

        def look() -> tuple[int, int, int]:
            figures = shared.stats()
            count = shared.host_connection_count("127.0.0.1", port)
            cleaned = shared.cleanup()
            shared.close()
            return figures.idle, count, cleaned

        idle, count, cleaned = await deferToThread(look)
        self.assertEqual((idle, count, cleaned), (pool.stats().dialed,) * 2 + (0,))

    async def test_errors_are_those_of_the_pool(self) -> None:
        pool = ConnectionPool(reactor=reactor)
        shared = ThreadsafePool(pool)
        with self.assertRaises(ConnectFailed):
            await deferToThread(
                shared.get_connection, PoolKey("http", "no.invalid", 80)
            )

    async def test_reactors_own_thread_is_refused(self) -> None:
        with self.assertRaises(LocalProtocolError):
            ThreadsafePool(ConnectionPool(reactor=reactor)).stats()
