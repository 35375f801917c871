"""A server with real worker threads, on real sockets."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import DeferredList
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from httpx_tw import Request, Response, Server, Timeouts
from httpx_tw.errors import ConfigurationError, ConnectionLost
from httpx_tw.server.on_workers import ResponseWriter, begin_response
from httpx_tw.server.threads import Overload
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig
from tests.server.live import QUICK, LiveTestCase, reactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server.live import RawClient

HEAD = "GET {} HTTP/1.1\nHost: a\n\n"
# A busy machine may not let us look for longer than QUICK gives a head after an accept:
# the connection is closed, and who counts the calls inside waits for ever.
TIMEOUTS = replace(QUICK, head=5)
TWO = WorkerPoolConfig(num_workers=2, max_queue_size=2)

word: ContextVar[str] = ContextVar("word", default="none")


class Gate:
    """An endpoint that waits until it is opened, and counts who is inside."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.inside = 0
        self.calls = 0

    def __call__(self, request: Request) -> str:
        """Wait."""
        self.inside += 1
        self.calls += 1
        if not self.opened.wait(5):
            raise TimeoutError
        self.inside -= 1
        return request.path


def threads() -> set[str]:
    """Return the names of the threads there are."""
    return {thread.name for thread in threading.enumerate()}


class ThreadedTestCase(LiveTestCase):
    """Makes servers; afterwards no worker may be left."""

    def setUp(self) -> None:
        super().setUp()
        self.gate = Gate()
        self.app.get("/gate/*", self.gate)
        self.addCleanup(self.no_worker_is_left)

    def no_worker_is_left(self) -> None:
        """Fail if there is one."""
        self.assertEqual([name for name in threads() if "workers" in name], [])

    async def start(
        self, workers: Any = TWO, overload: Any = "reject", **options: Any
    ) -> Server:
        """Start a server with worker threads."""
        server = Server(self.app, port=0, **{"timeouts": TIMEOUTS, **options})
        server.enable_threading(workers, overload=overload)
        self.addCleanup(server.stop)
        self.addCleanup(self.gate.opened.set)  # the first to be called
        await server.start(reactor)
        return server

    async def ask(self, server: Server, *targets: str) -> RawClient:
        """Connect and ask for *targets*."""
        client = await self.connect(f"tcp:127.0.0.1:{server.addresses[0].port}")
        for target in targets:
            client.send(HEAD.format(target))
        return client

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until *condition* is met."""
        while not condition():
            await deferLater(reactor, 0.001)

    async def fill(self, server: Server) -> list[RawClient]:
        """Have a call on each of two threads, and two more in the queue."""
        clients = [await self.ask(server, f"/gate/{n}") for n in range(4)]
        await self.until(lambda: self.gate.inside == 2)
        await self.until(lambda: server.worker_stats.queue_depth == 2)  # type: ignore[union-attr]  # it runs
        return clients

    async def statuses(self, *clients: RawClient) -> list[int]:
        """Return the status of the first answer to each."""
        return [(await client.answers(1))[0].status for client in clients]


class Running(ThreadedTestCase):
    """What runs where."""

    async def test_endpoints_run_on_as_many_threads_as_configured(self) -> None:
        server = await self.start()
        clients = await self.fill(server)
        stats = server.worker_stats
        assert stats is not None
        self.assertEqual((stats.active, stats.queue_depth, stats.workers), (2, 2, 2))
        self.gate.opened.set()
        self.assertEqual(await self.statuses(*clients), [200] * 4)

    async def test_a_full_queue_is_503_at_once(self) -> None:
        server = await self.start()
        clients = await self.fill(server)
        late = await self.ask(server, "/gate/4")
        (answer,) = await late.answers(1)
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.gate.opened.set()
        self.assertEqual(await self.statuses(*clients), [200] * 4)
        stats = server.worker_stats
        assert stats is not None
        self.assertEqual((stats.rejected, stats.completed), (1, 4))

    async def test_whoever_waits_has_a_turn(self) -> None:
        server = await self.start(overload=Overload.WAIT)
        clients = [await self.ask(server, f"/gate/{n}") for n in range(9)]
        await self.until(lambda: server.worker_stats.waiting == 5)  # type: ignore[union-attr]  # it runs
        self.gate.opened.set()
        self.assertEqual(await self.statuses(*clients), [200] * 9)

    async def test_the_oldest_makes_room(self) -> None:
        server = await self.start(overload="shed-oldest")
        running = [await self.ask(server, f"/gate/{n}") for n in range(2)]
        await self.until(lambda: self.gate.inside == 2)
        queued = [await self.ask(server, f"/gate/{n}") for n in range(2)]
        await self.until(lambda: server.worker_stats.queue_depth == 2)  # type: ignore[union-attr]  # it runs
        late = await self.ask(server, "/gate/4")
        self.assertEqual(await self.statuses(queued[0]), [503])
        self.gate.opened.set()
        others = [*running, queued[1], late]
        self.assertEqual(await self.statuses(*others), [200] * 4)

    async def test_a_client_that_goes_cancels_its_queued_call(self) -> None:
        server = await self.start()
        running = [await self.ask(server, f"/gate/{n}") for n in range(2)]
        await self.until(lambda: self.gate.inside == 2)
        gone = await self.ask(server, "/gate/gone")
        await self.until(lambda: server.worker_stats.queue_depth == 1)  # type: ignore[union-attr]  # it runs
        gone.tcp.abortConnection()
        await self.until(lambda: server.worker_stats.cancelled == 1)  # type: ignore[union-attr]  # it runs
        self.gate.opened.set()
        self.assertEqual(await self.statuses(*running), [200] * 2)
        self.assertEqual(self.gate.calls, 2)

    async def test_the_reactors_own_threads_never_wait_behind_ours(self) -> None:
        server = await self.start()
        clients = await self.fill(server)
        # Ours are all at work; names are looked up, and files read, on the reactor's.
        self.assertEqual(await reactor.resolve("localhost"), "127.0.0.1")
        name = await deferToThread(lambda: threading.current_thread().name)
        self.assertNotIn("workers", name)
        self.gate.opened.set()
        self.assertEqual(await self.statuses(*clients), [200] * 4)

    async def test_context_variables_are_one_requests_own(self) -> None:
        def set_word(request: Request) -> str:
            before = word.get()
            word.set(request.path)
            return before

        self.app.get("/word/*", set_word)
        server = await self.start(WorkerPoolConfig(num_workers=1))
        client = await self.ask(server, "/word/1", "/word/2")
        bodies = [answer.body for answer in await client.answers(2)]
        self.assertEqual(bodies, [b"none", b"none"])

    async def test_middleware_hands_its_context_to_the_worker(self) -> None:
        async def layer(request: Request, call_next: Any) -> Any:
            word.set("from middleware")
            return await call_next(request)

        self.app.get("/word", lambda _: word.get(), middleware=[layer])
        server = await self.start()
        client = await self.ask(server, "/word")
        self.assertEqual((await client.answers(1))[0].body, b"from middleware")

    async def test_an_endpoint_that_exits_leaves_the_pool_as_it_was(self) -> None:
        def leave(_: Request) -> None:
            raise SystemExit(3)

        self.app.get("/leave", leave)
        server = await self.start(WorkerPoolConfig(num_workers=1))
        client = await self.ask(server, "/leave", "/leave", "/")
        answers = await client.answers(3)
        self.assertEqual([answer.status for answer in answers], [500, 500, 200])
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 2)

    async def test_a_large_body_is_read_from_its_file_on_the_worker(self) -> None:
        def count(request: Request) -> str:
            lines = sum(1 for _ in request.file)
            return f"{lines} in {threading.current_thread().name.partition('-')[0]}"

        self.app.post("/count", count)
        server = await self.start()
        client = await self.ask(server)
        body = b"line\n" * 500_000
        client.send(f"POST /count HTTP/1.1\nHost: a\nContent-Length: {len(body)}\n\n")
        client.send(body)
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, b"500000 in workers")

    async def test_pipelined_requests_are_answered_in_order(self) -> None:
        self.gate.opened.set()
        server = await self.start(WorkerPoolConfig(num_workers=4))
        targets = [f"/gate/{n}" for n in range(200)]
        clients = [await self.ask(server, *targets) for _ in range(4)]
        for client in clients:
            bodies = [answer.body.decode() for answer in await client.answers(200)]
            self.assertEqual(bodies, targets)


class Streaming(ThreadedTestCase):
    """Responses that a worker writes while others are served."""

    async def test_a_slow_client_holds_its_worker_and_not_the_memory(self) -> None:
        made = [0]
        closed = threading.Event()

        def endless(_: Request) -> Iterator[bytes]:
            try:
                while True:
                    made[0] += 1
                    yield b"x" * 16384
            finally:
                closed.set()

        self.app.get("/endless", endless)
        server = await self.start(timeouts=Timeouts(drain=0.1))
        client = await self.ask(server, "/endless")
        await client.until(lambda: client.count > 1_000_000)
        client.tcp.pauseProducing()
        before = -1
        while made[0] != before:
            before = made[0]
            await deferLater(reactor, 0.1)
        # What the sockets take, and 64 KiB each here and there.
        self.assertLess(made[0] * 16384 - client.count, 12 * 1024 * 1024)
        other = await self.ask(server, "/")
        self.assertEqual(await self.statuses(other), [200])
        client.tcp.abortConnection()
        await self.until(closed.is_set)

    async def test_a_stream_is_advanced_and_closed_by_one_thread(self) -> None:
        seen: list[int] = []

        def pieces(_: Request) -> Iterator[str]:
            try:
                for n in range(50):
                    seen.append(threading.get_ident())
                    yield f"{n},"
            finally:
                seen.append(threading.get_ident())

        self.app.get("/pieces", pieces)
        server = await self.start()
        client = await self.ask(server, "/pieces", "/")
        first, second = await client.answers(2)
        self.assertEqual(first.body.decode(), "".join(f"{n}," for n in range(50)))
        self.assertEqual(second.body, b"hello")
        self.assertEqual(len(seen), 51)
        self.assertEqual(len(set(seen)), 1)
        self.assertNotIn(threading.get_ident(), seen)

    async def test_much_is_written_whole(self) -> None:
        pieces = [bytes([n % 256]) * (n * 37 % 9000) for n in range(2000)]

        def write(request: Request) -> ResponseWriter:
            response = Response()
            response.content_length = sum(map(len, pieces))
            writer = begin_response(request, response)
            for piece in pieces:
                writer.write(piece)
            writer.finish()
            return writer

        self.app.get("/much", write)
        server = await self.start()
        clients = [await self.ask(server, "/much") for _ in range(3)]
        for client in clients:
            (answer,) = await client.answers(1)
            self.assertEqual(answer.body, b"".join(pieces))

    async def test_a_worker_hears_where_it_writes_that_the_client_has_gone(
        self,
    ) -> None:
        heard: list[Exception] = []

        def write(request: Request) -> ResponseWriter:
            writer = begin_response(request, Response())
            try:
                while True:
                    writer.write(b"x" * 1000)
            except ConnectionLost as error:
                heard.append(error)
                raise

        self.app.get("/write", write)
        server = await self.start()
        client = await self.ask(server, "/write")
        await client.until(lambda: client.count > 10_000)
        client.tcp.abortConnection()
        await self.until(lambda: heard)


class Stopping(ThreadedTestCase):
    """Starting, stopping, and changing one's mind."""

    async def test_stopping_answers_what_is_queued(self) -> None:
        server = await self.start()
        clients = await self.fill(server)
        stopped = server.stop()
        self.gate.opened.set()
        self.assertEqual(await self.statuses(*clients), [200] * 4)
        await stopped
        self.no_worker_is_left()

    async def test_stopping_under_load_loses_no_request_and_leaks_no_thread(
        self,
    ) -> None:
        # tests/bench/threads.py does this 200 times.
        self.gate.opened.set()
        for _ in range(10):
            server = await self.start(WorkerPoolConfig(num_workers=4))
            clients = [await self.ask(server) for _ in range(8)]
            for client in clients:
                client.send(HEAD.format("/gate/x") * 10)
            await clients[0].answers(3)
            stopped = server.stop()
            await DeferredList([client.until(lambda: False) for client in clients])
            await stopped
            self.no_worker_is_left()
            figures = server.statistics()
            stats = server.worker_stats
            assert stats is not None
            received = sum([len(await client.answers(99)) for client in clients])
            self.assertEqual(received, figures.responses_2xx)
            self.assertEqual(received, stats.completed)
            self.assertEqual(
                (figures.responses_5xx, stats.dropped, stats.abandoned), (0, 0, 0)
            )

    async def test_a_stream_that_never_ends_does_not_outlive_the_server(self) -> None:
        def endless(_: Request) -> Iterator[bytes]:
            while True:
                yield b"x"

        self.app.get("/endless", endless)
        server = await self.start(timeouts=Timeouts(drain=0.1))
        client = await self.ask(server, "/endless")
        await client.until(lambda: client.count > 1000)
        await server.stop()
        self.no_worker_is_left()

    async def test_what_was_given_up_keeps_nobody_waiting(self) -> None:
        server = await self.start(timeouts=Timeouts(handler=0.1, drain=0.1))
        client = await self.ask(server, "/gate/x")
        self.assertEqual(await self.statuses(client), [503])
        stats = server.worker_stats
        assert stats is not None
        self.assertEqual((stats.timed_out, stats.abandoned), (1, 1))
        await server.stop()
        self.gate.opened.set()
        await self.until(lambda: not any("workers" in name for name in threads()))

    async def test_it_starts_again_with_new_threads(self) -> None:
        self.gate.opened.set()
        server = await self.start()
        for _ in range(2):
            if not server.is_running:
                await server.start(reactor)
            client = await self.ask(server, "/gate/x")
            self.assertEqual(await self.statuses(client), [200])
            await server.stop()
            stats = server.worker_stats
            assert stats is not None
            self.assertEqual(stats.completed, 1)

    async def test_a_pool_of_ones_own_goes_on(self) -> None:
        self.gate.opened.set()
        pool = WorkerPool(TWO)
        pool.start(reactor)
        server = await self.start(pool)
        client = await self.ask(server, "/gate/x")
        self.assertEqual(await self.statuses(client), [200])
        await server.stop()
        self.assertTrue(pool.is_running)
        self.assertEqual(await pool.submit(len, "abc"), 3)
        await pool.stop()

    async def test_threading_may_be_enabled_and_disabled_while_it_serves(self) -> None:
        self.app.get("/where", lambda _: threading.current_thread().name)
        server = await self.start()

        async def where() -> bool:
            client = await self.ask(server, "/where")
            (answer,) = await client.answers(1)
            return answer.body.startswith(b"workers")

        self.assertTrue(server.is_threading_enabled)
        self.assertTrue(await where())
        queued = await self.fill(server)
        server.disable_threading()
        self.assertFalse(server.is_threading_enabled)
        self.assertFalse(await where())
        server.enable_threading(WorkerPoolConfig(num_workers=1))
        self.assertTrue(await where())
        self.gate.opened.set()
        self.assertEqual(await self.statuses(*queued), [200] * 4)
        await server.stop()
        self.no_worker_is_left()

    async def test_a_route_of_its_own_starts_threads_where_there_were_none(
        self,
    ) -> None:
        name = threading.current_thread
        self.app.get("/there", lambda _: name().name, thread=True)
        server = Server(self.app, port=0)
        self.addCleanup(server.stop)
        self.assertIsNone(server.worker_stats)
        await server.start(reactor)
        self.no_worker_is_left()
        client = await self.ask(server, "/there", "/")
        first, _ = await client.answers(2)
        self.assertTrue(first.body.startswith(b"workers"))
        await server.stop()
        self.no_worker_is_left()

    async def test_the_shorter_deadline_of_server_and_workers_holds(self) -> None:
        for workers, handler in ((100, 30.0), (0, 0.1), (30_000, 0.1)):
            config = WorkerPoolConfig(num_workers=1, request_timeout_ms=workers)
            timeouts = Timeouts(handler=handler, drain=0.1, keep_alive=1)
            server = await self.start(config, timeouts=timeouts)
            client = await self.ask(server, "/gate/x")
            self.assertEqual(await self.statuses(client), [503])
            await server.stop()
            self.gate.opened.set()
            await self.until(lambda: not any("workers" in n for n in threads()))
            self.gate.opened.clear()

    def test_an_unknown_policy_is_refused(self) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            Server().enable_threading(overload="hope")
        self.assertIn("reject, wait, shed-oldest", str(caught.exception))


class LeavingTests(ThreadedTestCase):
    """Clients that vanish while workers write to them."""

    timeout = 30

    async def test_every_generator_on_a_worker_is_closed(self) -> None:
        begun: list[int] = []
        ended: list[int] = []

        def pieces() -> Iterator[bytes]:
            begun.append(1)
            try:
                while True:
                    yield bytes(65536)
            finally:
                ended.append(1)

        self.app.get("/endless", lambda _: pieces())
        server = await self.start(WorkerPoolConfig(num_workers=4))
        url = f"http://127.0.0.1:{server.addresses[0].port}"
        clients = [await self.connect_to(url) for _ in range(200)]
        for client in clients:
            client.keeps = False
            client.send(HEAD.format("/endless"))
        while len(begun) < 4:
            await deferLater(reactor, 0.01)
        for client in clients:
            client.tcp.abortConnection()
        for client in clients:
            await client.closed()
        # Those that were waiting for a worker are not begun, or end at once.
        while len(ended) < len(begun) or server.statistics().connections_open:
            await deferLater(reactor, 0.01)
        stats = server.worker_stats
        assert stats is not None
        self.assertEqual((stats.active, stats.queue_depth), (0, 0))
