"""Twisted's own users of thread pools use this one."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.threads import deferToThreadPool
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource

from httpx_tw.errors import PoolStopped
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig
from tests.workers.running import (
    PATIENCE,
    Gate,
    OnAReactor,
    error_of,
    in_thread,
    on_every_reactor_and_pool,
    threads_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class ThreadPoolContract(OnAReactor):
    """With a reactor."""

    def test_deferred_calls(self) -> None:
        async def test() -> None:
            pool: Any = self.a_pool()
            assert await deferToThreadPool(self.reactor, pool, divmod, 7, 2) == (3, 1)
            failing = deferToThreadPool(self.reactor, pool, int, "x")
            assert isinstance(await error_of(failing), ValueError)
            await pool.stop()

        self.run_async(test)

    def test_the_callback_is_called_in_the_worker(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1)
            told: list[Any] = []

            def tell(success: bool, result: Any) -> None:
                told.append((success, result, threading.get_ident()))

            pool.callInThreadWithCallback(tell, str, 5)
            worker = await pool.submit(threading.get_ident)
            assert told == [(True, "5", worker)]
            await pool.stop()

        self.run_async(test)

    def test_what_nobody_hears_of_is_logged(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1)

            def fail(*_: object) -> None:
                raise KeyError

            pool.callInThread(int, "x")
            pool.callInThreadWithCallback(fail, str, 5)
            pool.callInThreadWithCallback(fail, int, "y")
            assert await pool.submit(str, 1) == "1"
            await pool.stop()

        self.run_async(test)
        assert len(self.flushLoggedErrors(ValueError)) == 1
        assert len(self.flushLoggedErrors(KeyError)) == 2

    def test_database_connections(self) -> None:
        async def test() -> None:
            pool: Any = self.a_pool(num_workers=1)
            database = ConnectionPool("sqlite3", ":memory:", cp_reactor=self.reactor)
            database.threadpool.stop()
            database.threadpool = pool
            database.start()

            def fill(cursor: sqlite3.Cursor) -> int:
                cursor.execute("create table stones (name)")
                cursor.executemany("insert into stones values (?)", [("a",), ("b",)])
                return cursor.rowcount

            assert await database.runInteraction(fill) == 2
            rows = await database.runQuery("select name from stones order by name")
            assert rows == [("a",), ("b",)]
            wrong = database.runQuery("select nothing")
            assert isinstance(await error_of(wrong), sqlite3.OperationalError)
            await pool.submit(disconnect, database)
            database.close()
            await self.until(lambda: not threads_of("workers"))
            assert not pool.is_running

        self.run_async(test)

    def test_wsgi_applications(self) -> None:
        def application(
            environ: dict[str, Any], start_response: Callable[..., Any]
        ) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield environ["PATH_INFO"].encode()
            yield threading.current_thread().name.encode()

        async def test() -> None:
            pool = self.a_pool()
            site = Site(WSGIResource(self.reactor, pool, application))
            port = self.reactor.listenTCP(0, site, interface="127.0.0.1")
            url = f"http://127.0.0.1:{port.getHost().port}/a"
            asking = in_thread(fetch, url)
            await self.until(lambda: asking.is_over)
            assert asking.result.startswith(b"/aworkers-")
            await port.stopListening()
            await pool.stop()

        self.run_async(test)


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=PATIENCE) as response:
        return bytes(response.read())


def disconnect(database: ConnectionPool) -> None:
    """Close the connection of this thread: sqlite's are bound to their threads."""
    database.disconnect(database.connections[database.threadID()])


on_every_reactor_and_pool(ThreadPoolContract, globals())


class WithoutAReactorTests(SynchronousTestCase):
    """``start()`` as Twisted's pool has it: it serves threads, and ``stop`` blocks."""

    def a_pool(self, **config: int) -> WorkerPool:
        pool = WorkerPool(WorkerPoolConfig(**{"num_workers": 1, **config}))
        pool.start()
        return pool

    def test_it_serves_threads(self) -> None:
        pool, gate = self.a_pool(), Gate()
        assert pool.submit(str, 1).result(PATIENCE) == "1"
        pool.callInThread(gate, 2)
        gate.open()
        report = self.successResultOf(pool.stop())
        assert (report.dropped, report.abandoned) == ((), ())
        assert gate.left == [2]
        assert not threads_of("workers")

    def test_it_has_no_reactor_thread_to_call(self) -> None:
        pool = self.a_pool()
        self.assertRaises(PoolStopped, pool.post, str)
        self.assertRaises(PoolStopped, pool.offload, str, 1, print)
        self.successResultOf(pool.stop())

    def test_stop_waits_no_longer_than_it_is_told(self) -> None:
        pool, gate = self.a_pool(), Gate()
        running, queued = pool.submit(gate, 0), pool.submit(gate, 1)
        while not gate.entered:
            pass
        report = self.successResultOf(pool.stop(0.01))
        assert len(report.dropped) == len(report.abandoned) == 1
        for future in (running, queued):
            assert isinstance(future.exception(PATIENCE), PoolStopped)
        gate.open()
        while threads_of("workers"):
            pass
        assert pool.stats.overdue == 0
        pool.start()
        assert pool.submit(str, 1).result(PATIENCE) == "1"
        self.successResultOf(pool.stop())

    def test_where_no_thread_starts_the_calls_fail(self) -> None:
        from httpx_tw.errors import NoWorkers
        from tests.workers.test_crew import Unstartable

        pool = self.a_pool()
        pool._crew.make_thread = Unstartable
        future = pool.submit(str, 1)
        assert isinstance(future.exception(PATIENCE), NoWorkers)
        self.successResultOf(pool.stop())
