"""What runs on a worker: endpoints, the responses they write, and who is gone by then.

Worker and reactor are moved by hand here; with real threads and sockets it is in
test_threaded_server.py.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw import HTTPError, Request, Response
from httpx_tw.app.route import ANYWHERE, ON_WORKER
from httpx_tw.app.upgrade import SwitchProtocols
from httpx_tw.errors import (
    ConfigurationError,
    ConnectionLost,
    DeadlinePassed,
    LocalProtocolError,
    NoWorkers,
    PoolStopped,
    QueueFull,
)
from httpx_tw.limits import Limits
from httpx_tw.server.on_workers import ResponseWriter, begin_response, is_plain_stream
from tests.server.stepped_pool import WorkerTestCase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.server.fakes import Peer


class Writers(SynchronousTestCase):
    """A ResponseWriter between two threads, one of which may be the test."""

    def setUp(self) -> None:
        self.posted: list[Callable[[], object]] = []
        self.writer = ResponseWriter(self.posted.append)

    def read(self) -> Deferred[bytes]:
        """Ask for what comes next, as the connection does."""
        return Deferred.fromCoroutine(self.writer.__anext__())

    def answer(self) -> None:
        """Let the reactor thread answer what was posted."""
        posted, self.posted[:] = list(self.posted), []
        for call in posted:
            call()

    def in_thread(self, write: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=write)
        thread.start()
        self.addCleanup(thread.join)
        return thread

    def test_what_is_written_is_read_at_once_and_woken_once(self) -> None:
        self.writer.write(b"a")
        self.writer.write(b"")
        self.writer.write(b"b")
        self.assertEqual(len(self.posted), 1)
        self.assertEqual(self.successResultOf(self.read()), b"ab")
        self.writer.write(b"c")
        self.assertEqual(len(self.posted), 2)

    def test_who_reads_first_is_woken(self) -> None:
        reading = self.read()
        self.writer.write(b"a")
        self.assertNoResult(reading)
        self.answer()
        self.assertEqual(self.successResultOf(reading), b"a")

    def test_it_ends(self) -> None:
        reading = self.read()
        self.writer.write(b"a")
        self.writer.finish()
        self.writer.finish()
        self.answer()
        self.assertEqual(self.successResultOf(reading), b"a")
        self.failureResultOf(self.read(), StopAsyncIteration)
        self.assertTrue(self.writer.is_over)
        with self.assertRaises(LocalProtocolError):
            self.writer.write(b"late")

    def test_it_fails_behind_what_was_written(self) -> None:
        self.writer.write(b"a")
        self.writer.abort(Failure(ZeroDivisionError()))
        self.assertEqual(self.successResultOf(self.read()), b"a")
        self.failureResultOf(self.read(), ZeroDivisionError)

    def test_a_failure_behind_the_end_is_only_logged(self) -> None:
        self.writer.finish()
        self.writer.abort(Failure(ZeroDivisionError()))
        self.failureResultOf(self.read(), StopAsyncIteration)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_client_that_is_gone_is_no_failure(self) -> None:
        self.writer.lose()
        with self.assertRaises(ConnectionLost):
            self.writer.write(b"a")
        self.writer.abort(Failure(ConnectionLost("gone")))
        self.writer.finish()
        self.assertEqual(self.posted, [])

    def test_who_is_ahead_waits_for_the_reader(self) -> None:
        written = threading.Event()

        def write() -> None:
            self.writer.write(b"x" * 64 * 1024)
            self.writer.write(b"y")
            written.set()

        thread = self.in_thread(write)
        while len(self.writer._pieces) < 2:
            thread.join(0.001)
        self.assertFalse(written.is_set())
        self.assertEqual(len(self.successResultOf(self.read())), 64 * 1024 + 1)
        thread.join()
        self.assertTrue(written.is_set())

    def test_who_waits_hears_that_the_client_is_gone(self) -> None:
        heard: list[BaseException] = []

        def write() -> None:
            try:
                self.writer.write(b"x" * 65 * 1024)
            except ConnectionLost as error:
                heard.append(error)

        thread = self.in_thread(write)
        while not self.writer._pieces:
            thread.join(0.001)
        self.writer.lose()
        thread.join()
        self.assertEqual(len(heard), 1)

    def test_a_reader_that_is_cancelled_is_not_woken(self) -> None:
        reading = self.read()
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.writer.write(b"a")
        self.answer()
        self.assertEqual(self.successResultOf(self.read()), b"a")

    def test_without_a_reactor_there_is_no_client(self) -> None:
        def post(_: object) -> None:
            raise PoolStopped("stopped")

        writer = ResponseWriter(post)
        with self.assertRaises(ConnectionLost):
            writer.write(b"a")
        self.assertTrue(writer.is_over)
        writer = ResponseWriter(post)
        writer.finish()
        self.assertTrue(writer.is_over)

    def test_two_threads_lose_nothing(self) -> None:
        pieces = [bytes([n % 256]) * (n % 97 + 1) for n in range(3000)]

        def write() -> None:
            for piece in pieces:
                self.writer.write(piece)
            self.writer.finish()

        thread = self.in_thread(write)
        got: list[bytes] = []
        reading = self.read()
        while not isinstance(reading.result, Failure) if reading.called else True:
            if reading.called:
                got.append(self.successResultOf(reading))
                reading = self.read()
            else:
                thread.join(0.0001)
                self.answer()
        self.failureResultOf(reading, StopAsyncIteration)
        self.assertEqual(b"".join(got), b"".join(pieces))


class Calls(WorkerTestCase):
    """Which endpoints are called on a worker, and what becomes of what they return."""

    def setUp(self) -> None:
        super().setUp()
        self.places: list[bool] = []
        self.peer = self.connect()

    def here(self, result: Any = "hello") -> Callable[[Request], Any]:
        """Return an endpoint that notes where it is called."""

        def endpoint(_: Request) -> Any:
            self.places.append(self.pool.is_inside)
            return result

        return endpoint

    async def coroutine(self, request: Request) -> str:
        """Note where it runs."""
        del request
        self.places.append(self.pool.is_inside)
        return "hello"

    def test_a_plain_endpoint_is_called_on_a_worker(self) -> None:
        self.app.get("/", self.here())
        self.peer.get()
        self.assertEqual((self.peer.statuses(), self.places), ([], []))
        self.assertEqual(self.factory.statistics().processing, 1)
        self.pool.run_next()
        self.assertEqual(self.peer.answer().body, b"hello")
        self.assertEqual(self.places, [True])
        self.assertEqual(self.factory.statistics().processing, 0)

    def test_what_is_async_or_says_so_stays_on_the_reactor_thread(self) -> None:
        self.app.get("/a", self.coroutine)
        self.app.get("/b", self.here(), thread=False)
        for target in ("/a", "/b"):
            self.peer.get(target)
        self.assertEqual(self.peer.statuses(), [200, 200])
        self.assertEqual(self.places, [False, False])

    def test_without_threading_only_what_says_so_is_called_on_a_worker(self) -> None:
        self.lend(takes_from=ON_WORKER)
        self.app.get("/here", self.here())
        self.app.get("/there", self.here(), thread=True)
        self.peer.get("/here")
        self.assertEqual(self.peer.statuses(), [200])
        self.peer.get("/there")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200, 200])
        self.assertEqual(self.places, [False, True])

    def test_the_routers_own_answers_stay_and_the_applications_pages_too(self) -> None:
        self.app.not_found(self.here("no such thing"))
        self.peer.get("/nowhere")
        self.assertEqual(self.peer.statuses(), [404])
        self.assertEqual(self.places, [False])

    def test_what_it_returns_is_sent_as_ever(self) -> None:
        results: list[tuple[Any, int, bytes]] = [
            ("text", 200, b"text"),
            ({"a": 1}, 200, b'{"a":1}'),
            ([1], 200, b"[1]"),
            (b"bytes", 200, b"bytes"),
            (None, 204, b""),
            (Response.text("made", 201), 201, b"made"),
            (Response.stream([b"a", b"b"]), 200, b"ab"),
            ("x" * 5000, 200, b"x" * 5000),
        ]
        for n, (result, status, body) in enumerate(results):
            self.app.get(f"/{n}", self.here(result))
            peer = self.connect()
            peer.get(f"/{n}")
            self.pool.run_next()
            answer = peer.answer()
            self.assertEqual((answer.status, answer.body), (status, body))

    def test_head_has_no_body(self) -> None:
        self.app.get("/", self.here())
        self.peer.get(method="HEAD")
        self.pool.run_next()
        answer = self.peer.answer("HEAD")
        self.assertEqual(answer.headers["content-length"], "5")
        self.assertEqual(answer.body, b"")

    def test_what_it_raises_is_answered_and_told_on_the_reactor_thread(self) -> None:
        told: list[bool] = []
        self.app.on_error(lambda *_: told.append(self.pool.is_inside))

        def fail(_: Request) -> None:
            raise ZeroDivisionError

        self.app.get("/", fail)
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [500])
        self.assertEqual(told, [False])
        self.assertEqual(self.factory.statistics().handler_errors, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_http_error_is_its_status(self) -> None:
        def refuse(_: Request) -> None:
            raise HTTPError(409)

        self.app.get("/", refuse)
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [409])
        self.assertEqual(self.factory.statistics().handler_errors, 0)

    def test_an_endpoint_may_exit_without_taking_anybody_along(self) -> None:
        def leave(_: Request) -> None:
            raise SystemExit(3)

        self.app.get("/", leave)
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [500])
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_what_cannot_be_sent_is_a_500(self) -> None:
        self.app.get("/", self.here(object()))
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [500])
        self.flushLoggedErrors(TypeError)

    def test_a_coroutine_runs_on_the_reactor_thread(self) -> None:
        self.app.get("/", lambda request: self.coroutine(request))
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.answer().body, b"hello")
        self.assertEqual(self.places, [False])

    def test_a_deferred_is_refused_for_it_belongs_to_the_reactor_thread(self) -> None:
        self.app.get("/", self.here(Deferred()))
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [500])
        (failure,) = self.flushLoggedErrors(LocalProtocolError)
        self.assertIn("thread=False", str(failure.value))

    def test_protocols_are_switched_on_the_reactor_thread(self) -> None:
        class Noting(Protocol):
            made = False

            def connectionMade(self) -> None:
                self.made = True

        protocol = Noting()
        self.app.get("/", self.here(SwitchProtocols("echo", protocol)))
        self.peer.get("/", "Connection: upgrade", "Upgrade: echo")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [101])
        self.assertTrue(protocol.made)

    def test_a_body_is_here_before_the_call(self) -> None:
        self.app.post("/", lambda request: request.body)
        self.peer.get("/", "Content-Length: 3", method="POST")
        self.assertEqual(len(self.pool.queue), 0)
        self.peer.send(b"abc")
        self.pool.run_next()
        self.assertEqual(self.peer.answer().body, b"abc")

    def test_pipelined_requests_are_called_one_after_the_other(self) -> None:
        self.app.get("/{n:int}", lambda request: f"{request.path_params['n']}")
        self.peer.send("".join(f"GET /{n} HTTP/1.1\nHost: a\n\n" for n in range(5)))
        for n in range(5):
            self.assertEqual(len(self.pool.queue), 1)
            self.assertEqual(len(self.peer.answers()), n)
            self.pool.run_next()
        self.assertEqual(
            [a.body for a in self.peer.answers()], [b"0", b"1", b"2", b"3", b"4"]
        )

    def test_requests_behind_one_at_work_are_held_up_to_a_limit(self) -> None:
        self.serve(Limits(max_pipelined=2))
        self.lend()
        self.app.get("/", self.here())
        peer = self.connect()
        for _ in range(6):
            peer.get()
        self.assertFalse(peer.transport.is_reading)
        while self.pool.queue:
            self.pool.run_next()
            self.turn()
        self.assertEqual(peer.statuses(), [200] * 6)
        self.assertTrue(peer.transport.is_reading)

    def test_what_is_wrong_behind_one_at_work_is_answered_behind_it(self) -> None:
        self.app.get("/", self.here())
        self.peer.get()
        self.peer.send("what is this\n\n")
        self.assertEqual(self.peer.statuses(), [])
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200, 400])

    def test_a_client_that_has_said_all_gets_its_answer(self) -> None:
        self.app.get("/", self.here())
        self.peer.get()
        self.peer.transport.deliver_eof()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200])
        self.assertTrue(self.peer.sees_end)

    def test_http_10_is_answered_and_closed(self) -> None:
        self.app.get("/", self.here())
        self.peer.send("GET / HTTP/1.0\n\n")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200])
        self.assertTrue(self.peer.sees_end)

    def test_who_does_not_read_gets_no_further_answers(self) -> None:
        self.app.get("/", self.here("x" * 200_000))
        self.peer.get()
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(len(self.pool.queue), 0)
        self.assertEqual(len(self.peer.answers()), 1)
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200, 200])

    def test_who_does_not_read_is_answered_later_nor_read(self) -> None:
        # An answer by settle(), which is none of the short ones.
        self.app.get("/", self.here(Response.text("x" * 200_000, 201)))
        for _ in range(3):
            self.peer.get()
        self.pool.run_next()
        self.assertEqual(len(self.pool.queue), 0)
        self.assertEqual(self.peer.statuses(), [201])
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [201, 201])
        self.pool.run_next()


class Leaving(WorkerTestCase):
    """Clients that go, deadlines that pass and servers that stop, at every point."""

    def setUp(self) -> None:
        super().setUp()
        self.calls = 0
        self.app.get("/", self.endpoint)
        self.peer = self.connect()

    def endpoint(self, request: Request) -> str:
        """Count the call."""
        del request
        self.calls += 1
        return "hello"

    def test_a_client_that_goes_cancels_its_queued_call(self) -> None:
        self.peer.get()
        (task,) = self.pool.queue
        self.peer.transport.lose()
        self.assertEqual(task.fate, "cancelled while queued")
        self.assertEqual((self.calls, len(self.pool.queue)), (0, 0))
        self.assertEqual(self.factory.statistics().disconnects, 1)

    def test_a_client_that_goes_gives_up_the_call_that_runs(self) -> None:
        self.peer.get()
        task = self.pool.begin()
        self.peer.transport.lose()
        self.pool.run(task)
        self.pool.deliver()
        self.assertEqual(task.fate, "cancelled while running")
        self.assertEqual(self.calls, 1)
        self.assertEqual(self.factory.statistics().requests, 0)

    def test_a_client_that_goes_between_call_and_answer_gets_none(self) -> None:
        self.peer.get()
        self.pool.run(self.pool.begin())
        self.peer.transport.lose()
        self.pool.deliver()
        self.assertEqual(self.factory.statistics().requests, 0)

    def test_in_time_means_from_the_request_to_the_answer(self) -> None:
        self.peer.get()
        (task,) = self.pool.queue
        self.advance(32)
        self.assertEqual(self.peer.statuses(), [503])
        self.assertEqual((self.calls, task.fate), (0, "timed out while queued"))
        self.assertEqual(self.factory.statistics().deadlines_passed, 1)
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [503, 200])

    def test_what_comes_too_late_is_for_nobody(self) -> None:
        self.peer.get()
        late = self.pool.begin()
        self.advance(32)
        self.assertEqual(late.fate, "timed out while running")
        self.peer.get()
        self.pool.run(late)
        self.pool.deliver()
        self.assertEqual(self.peer.statuses(), [503])
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [503, 200])

    def test_what_is_pipelined_behind_a_late_one_is_served(self) -> None:
        self.peer.get()
        self.peer.get()
        self.pool.begin()
        self.advance(32)
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [503, 200])

    def test_a_routes_own_timeout_goes_before_the_threads(self) -> None:
        self.lend(timeout=3)
        self.app.get("/long", self.endpoint, timeout=60)
        self.app.get("/ever", self.endpoint, timeout=0)
        peers = [self.connect() for _ in range(3)]
        for peer, target in zip(peers, ("/", "/long", "/ever"), strict=True):
            peer.get(target)
        self.advance(5)
        self.assertEqual([p.statuses() for p in peers], [[503], [], []])
        self.advance(57)
        self.assertEqual([p.statuses() for p in peers], [[503], [503], []])
        self.pool.run_all()
        self.assertEqual(peers[2].statuses(), [200])

    def test_without_a_timeout_a_call_may_take_for_ever(self) -> None:
        self.lend(timeout=0)
        self.peer.get()
        self.advance(10_000)
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200])

    def test_draining_waits_for_it_and_closes(self) -> None:
        self.peer.get()
        drained = self.factory.drain()
        self.assertNoResult(drained)
        self.pool.run_next()
        self.assertEqual(self.peer.answer().headers["connection"], "close")
        self.assertTrue(self.peer.sees_end)
        self.peer.transport.deliver_eof()
        self.successResultOf(drained)

    def test_aborting_gives_it_up(self) -> None:
        self.peer.get()
        (task,) = self.pool.queue
        self.factory.abort()
        self.turn()
        self.assertEqual(task.fate, "cancelled while queued")

    def test_what_the_pool_cannot_do_is_503_and_try_again(self) -> None:
        for error in (QueueFull("x"), PoolStopped("x"), NoWorkers("x")):
            peer = self.connect()
            peer.get()
            self.pool.fail(self.pool.begin(), error)
            answer = peer.answer()
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.assertEqual(self.factory.statistics().handler_errors, 0)

    def test_the_pools_own_deadline_is_503_too(self) -> None:
        self.peer.get()
        self.pool.fail(self.pool.begin(), DeadlinePassed("no result within 1 s"))
        self.assertEqual(self.peer.statuses(), [503])
        self.assertEqual(self.factory.statistics().deadlines_passed, 1)

    def test_a_stopped_pool_is_503(self) -> None:
        self.pool.is_running = False
        self.peer.get()
        self.assertEqual(self.peer.statuses(), [503])

    def test_threads_may_be_exchanged_while_calls_run(self) -> None:
        self.peer.get()
        task = self.pool.begin()
        old = self.pool
        self.pool = type(old)()
        self.lend()
        other = self.connect()
        other.get()
        old.run(task)
        old.deliver()
        self.assertEqual(self.peer.statuses(), [200])
        self.pool.run_all()
        self.assertEqual(other.statuses(), [200])

    def test_threads_may_be_taken_away_while_calls_run(self) -> None:
        self.peer.get()
        self.factory.use_threads(None)
        self.pool.run_next()
        self.peer.get()
        self.assertEqual(self.peer.statuses(), [200, 200])
        self.assertEqual(self.calls, 2)


class Pieces:
    """An iterator that notes on which thread it is advanced and closed."""

    def __init__(self, test: WorkerTestCase, pieces: list[Any]) -> None:
        self.test = test
        self.pieces = iter(pieces)
        self.advanced: list[bool] = []
        self.closed: list[bool] = []

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.advanced.append(self.test.pool.is_inside)
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        """Note it."""
        self.closed.append(self.test.pool.is_inside)


class Streams(WorkerTestCase):
    """Responses that a worker writes."""

    def setUp(self) -> None:
        super().setUp()
        self.peer = self.connect()
        self.pieces = Pieces(self, [b"ab", "ü", b"", bytearray(b"c")])
        self.app.get("/stream", lambda _: Response.stream(self.pieces))
        self.app.get("/", lambda _: "hello")

    def writes(self, write: Callable[[Request], Any], **options: Any) -> None:
        """Have GET /writes answered by *write*."""
        self.app.get("/writes", write, **options)

    def test_the_worker_that_made_a_stream_advances_and_closes_it(self) -> None:
        self.peer.get("/stream")
        task = self.pool.run_next()
        answer = self.peer.answer()
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual(answer.body, "abüc".encode())
        self.assertEqual(self.pieces.advanced, [True] * 5)
        self.assertEqual(self.pieces.closed, [True])
        self.assertEqual(task.fate, "over")
        self.peer.get()
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200, 200])

    def test_a_generator_without_a_response_is_a_stream_too(self) -> None:
        def endpoint(_: Request) -> Iterator[bytes]:
            yield b"a" if self.pool.is_inside else b"b"

        self.app.get("/g", endpoint)
        self.peer.get("/g")
        self.pool.run_next()
        self.assertEqual(self.peer.answer().body, b"a")

    def test_a_list_is_here_already_and_a_file_is_the_kernels(self) -> None:
        for body in (b"", [b""], (b"",)):
            self.assertFalse(is_plain_stream(body))

    def test_what_is_asynchronous_stays_on_the_reactor_thread(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a" if self.pool.is_inside else b"b"

        self.app.get("/g", lambda _: Response.stream(pieces()))
        self.peer.get("/g")
        self.pool.run_next()
        self.assertEqual(self.peer.answer().body, b"b")

    def test_a_stream_of_an_async_endpoint_is_the_reactor_threads(self) -> None:
        async def endpoint(_: Request) -> Response:
            return Response.stream(self.pieces)

        self.app.get("/g", endpoint)
        self.peer.get("/g")
        self.turn(3)
        self.assertEqual(self.peer.answer().body, "abüc".encode())
        self.assertEqual(self.pieces.advanced, [False] * 5)

    def test_head_closes_it_unread(self) -> None:
        self.peer.get("/stream", method="HEAD")
        self.pool.run_next()
        self.assertEqual(self.peer.answer("HEAD").body, b"")
        self.assertEqual((self.pieces.advanced, self.pieces.closed), ([], [True]))

    def test_one_that_fails_aborts_and_is_logged(self) -> None:
        self.pieces = Pieces(self, [b"a", ZeroDivisionError()])
        self.peer.get("/stream")
        self.pool.run_next()
        self.turn()
        self.assertFalse(any(answer.is_whole for answer in self.peer.answers()))
        self.assertTrue(self.peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.pieces.closed, [True])

    def test_one_that_loses_a_connection_of_its_own_is_not_whole_either(self) -> None:
        self.pieces = Pieces(self, [b"a", ConnectionLost("to somebody else")])
        self.peer.get("/stream")
        self.pool.run_next()
        self.turn()
        self.assertTrue(self.peer.transport.is_aborted)
        self.flushLoggedErrors(ConnectionLost)

    def test_one_of_what_is_no_bytes_aborts(self) -> None:
        self.pieces = Pieces(self, [5])
        self.peer.get("/stream")
        self.pool.run_next()
        self.turn()
        self.assertTrue(self.peer.transport.is_aborted)
        self.flushLoggedErrors(TypeError)

    def test_a_client_that_goes_before_it_begins_has_it_closed(self) -> None:
        self.peer.get("/stream")
        task = self.pool.begin()
        self.pool.run(task)
        self.peer.transport.lose()
        self.pool.deliver()
        self.assertEqual(self.pieces.closed, [True])
        self.assertEqual(self.factory.statistics().requests, 0)

    def test_one_that_comes_too_late_is_told_so(self) -> None:
        heard: list[Exception] = []

        def write(request: Request) -> ResponseWriter:
            writer = begin_response(request, Response())
            self.advance(32)
            self.pool.deliver()
            try:
                writer.write(b"late")
            except ConnectionLost as error:
                heard.append(error)
                raise
            return writer

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [503])
        self.assertEqual(len(heard), 1)

    def test_a_response_is_written_piece_by_piece(self) -> None:
        def write(request: Request) -> ResponseWriter:
            response = Response(status=201)
            response.content_length = 2
            writer = begin_response(request, response)
            writer.write(b"a")
            writer.write(b"b")
            writer.finish()
            return writer

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        answer = self.peer.answer()
        self.assertEqual((answer.status, answer.body), (201, b"ab"))
        self.assertEqual(answer.headers["content-length"], "2")

    def test_one_that_is_not_finished_aborts(self) -> None:
        for returned in (lambda writer: writer, lambda _: None):
            peer = self.connect()

            def write(request: Request, returned: Any = returned) -> Any:
                writer = begin_response(request, Response())
                writer.write(b"a")
                return returned(writer)

            self.app.get(f"/{len(self.peers)}", write)
            peer.get(f"/{len(self.peers)}")
            self.pool.run_next()
            self.turn()
            self.assertTrue(peer.transport.is_aborted)
            self.flushLoggedErrors(LocalProtocolError)

    def test_an_endpoint_that_fails_behind_its_response_is_only_logged(self) -> None:
        def write(request: Request) -> None:
            begin_response(request, Response()).finish()
            raise ZeroDivisionError

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_endpoint_that_fails_within_it_aborts(self) -> None:
        def write(request: Request) -> None:
            begin_response(request, Response()).write(b"a")
            raise ZeroDivisionError

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        self.turn()
        self.assertTrue(self.peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_response_begins_once(self) -> None:
        def write(request: Request) -> ResponseWriter:
            writer = begin_response(request, Response())
            with self.assertRaises(LocalProtocolError):
                begin_response(request, Response())
            writer.finish()
            return writer

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200])

    def test_middleware_is_not_passed_by(self) -> None:
        def write(request: Request) -> Any:
            return begin_response(request, Response())

        self.writes(write, middleware=[lambda request, call_next: call_next(request)])
        self.peer.get("/writes")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [500])
        self.flushLoggedErrors(LocalProtocolError)

    def test_what_cannot_be_begun_is_500_and_the_worker_hears_of_it(self) -> None:
        page: Deferred[str] = Deferred()

        async def slow_page(*_: Any) -> str:
            return await page

        self.app.error_page(500, slow_page)
        writers: list[ResponseWriter] = []

        def write(request: Request) -> ResponseWriter:
            response = Response()
            response.headers.raw.append((b"bad name", b"x"))
            response.status = 99
            writers.append(begin_response(request, response))
            self.pool.deliver()
            writers[0].write(b"a")
            return writers[0]

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        self.assertTrue(writers[0].is_over)
        page.callback("sorry")
        self.assertEqual(self.peer.answer().body, b"sorry")
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_a_server_that_has_stopped_tells_who_begins(self) -> None:
        heard: list[Exception] = []

        def write(request: Request) -> None:
            self.pool.is_running = False
            try:
                begin_response(request, Response())
            except ConnectionLost as error:
                heard.append(error)
                raise

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        self.assertEqual(len(heard), 1)
        self.pool.is_running = True
        self.peer.transport.lose()
        self.flushLoggedErrors(ConnectionLost)

    def test_what_else_an_endpoint_returns_behind_its_response_is_logged(self) -> None:
        def write(request: Request) -> Response:
            begin_response(request, Response()).finish()
            return Response.stream(self.pieces)

        self.writes(write)
        self.peer.get("/writes")
        self.pool.run_next()
        self.assertEqual(self.peer.statuses(), [200])
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)

    def test_the_pools_own_deadline_ends_a_response_that_has_begun(self) -> None:
        def write(request: Request) -> ResponseWriter:
            writer = begin_response(request, Response())
            writer.write(b"a")
            self.pool.deliver()
            self.pool.fail(task, DeadlinePassed("no result within 1 s"))
            with self.assertRaises(LocalProtocolError):
                writer.write(b"b")
            return writer

        self.writes(write)
        self.peer.get("/writes")
        (task,) = self.pool.queue
        self.pool.run_next()
        self.turn()
        self.assertTrue(self.peer.transport.is_aborted)
        self.flushLoggedErrors(DeadlinePassed)

    def test_a_worker_that_is_late_to_return_does_not_answer_the_next(self) -> None:
        def write(request: Request) -> ResponseWriter:
            writer = begin_response(request, Response())
            writer.finish()
            return writer

        self.writes(write)
        self.peer.get("/writes")
        first = self.pool.begin()
        self.pool.run(first)
        returned = self.pool.brought.pop()  # its response is here, it has not returned
        self.pool.deliver()
        self.peer.get()
        self.assertEqual(self.peer.statuses(), [200])
        self.pool.fail(first, DeadlinePassed("too long"))
        returned()
        self.assertEqual(len(self.flushLoggedErrors(DeadlinePassed)), 1)
        self.assertEqual(self.peer.statuses(), [200])
        self.pool.run_next()
        self.assertEqual([a.body for a in self.peer.answers()], [b"", b"hello"])


class Layers(WorkerTestCase):
    """Middleware around plain endpoints, where they are called on workers."""

    def setUp(self) -> None:
        super().setUp()
        self.places: list[tuple[str, bool]] = []
        self.peer = self.connect()

    def note(self, what: str) -> None:
        """Note where this is."""
        self.places.append((what, self.pool.is_inside))

    def plain(self, request: Request, call_next: Any) -> Any:
        """Be a plain middleware."""
        self.note("plain")
        return call_next(request)

    async def asynchronous(self, request: Request, call_next: Any) -> Any:
        """Be an async one."""
        self.note("async")
        response = await call_next(request)
        self.note("behind")
        return response

    def endpoint(self, request: Request) -> str:
        """Be an endpoint."""
        del request
        self.note("endpoint")
        return "hello"

    def get(self, *layers: Any, endpoint: Any = None, **options: Any) -> Peer:
        """Ask for an endpoint with *layers*; the pool has not been moved."""
        path = f"/{len(self.peers)}"
        self.app.get(path, endpoint or self.endpoint, middleware=layers, **options)
        peer = self.connect()
        peer.get(path)
        return peer

    def test_plain_layers_are_called_with_their_endpoint(self) -> None:
        peer = self.get(self.plain)
        self.pool.run_next()
        self.assertEqual(peer.statuses(), [200])
        self.assertEqual(self.places, [("plain", True), ("endpoint", True)])

    def test_what_is_plain_inside_async_is_called_on_a_worker(self) -> None:
        peer = self.get(self.plain, self.asynchronous, self.plain)
        self.assertEqual(peer.statuses(), [])
        self.pool.run_next()
        self.assertEqual(peer.answer().body, b"hello")
        self.assertEqual(
            self.places,
            [
                ("plain", False),
                ("async", False),
                ("plain", True),
                ("endpoint", True),
                ("behind", False),
            ],
        )

    def test_what_says_so_stays_inside_too(self) -> None:
        peer = self.get(self.asynchronous, thread=False)
        self.assertEqual(peer.statuses(), [200])
        self.lend(takes_from=ON_WORKER)
        peer = self.get(self.asynchronous)
        self.assertEqual(peer.statuses(), [200])
        peer = self.get(self.asynchronous, thread=True)
        self.assertEqual(peer.statuses(), [])
        self.pool.run_next()
        self.assertEqual(peer.statuses(), [200])

    def test_a_client_that_goes_cancels_the_call_inside(self) -> None:
        peer = self.get(self.asynchronous)
        (task,) = self.pool.queue
        peer.transport.lose()
        self.assertEqual(task.fate, "cancelled while queued")
        self.assertEqual(self.places, [("async", False)])

    def test_time_that_passes_cancels_it_too(self) -> None:
        peer = self.get(self.asynchronous)
        task = self.pool.begin()
        self.advance(32)
        self.assertEqual(peer.statuses(), [503])
        self.assertEqual(task.fate, "cancelled while running")
        self.pool.run(task)
        self.pool.deliver()

    def test_what_it_raises_comes_out_of_call_next(self) -> None:
        async def forgiving(request: Request, call_next: Any) -> Any:
            try:
                return await call_next(request)
            except ZeroDivisionError:
                return "forgiven"

        def fail(_: Request) -> None:
            raise ZeroDivisionError

        peer = self.get(forgiving, endpoint=fail)
        self.pool.run_next()
        self.assertEqual(peer.answer().body, b"forgiven")

    def test_a_full_queue_comes_out_of_call_next(self) -> None:
        self.pool.room = 0
        peer = self.get(self.asynchronous)
        self.assertEqual(peer.statuses(), [503])
        self.assertEqual(peer.answer().headers["retry-after"], "1")

    def test_a_coroutine_from_inside_runs_on_the_reactor_thread(self) -> None:
        async def coroutine() -> str:
            self.note("coroutine")
            return "hello"

        peer = self.get(self.asynchronous, endpoint=lambda _: coroutine())
        self.pool.run_next()
        self.assertEqual(peer.answer().body, b"hello")
        self.assertIn(("coroutine", False), self.places)

    def test_a_deferred_from_inside_is_refused(self) -> None:
        peer = self.get(self.asynchronous, endpoint=lambda _: Deferred())
        self.pool.run_next()
        self.assertEqual(peer.statuses(), [500])
        self.flushLoggedErrors(LocalProtocolError)

    def test_a_stream_from_inside_is_advanced_by_a_worker(self) -> None:
        for options, takes_from in (({}, ANYWHERE), ({"thread": True}, ON_WORKER)):
            self.lend(takes_from=takes_from)
            pieces = Pieces(self, [b"a", b"b"])
            peer = self.get(
                self.asynchronous,
                endpoint=lambda _, pieces=pieces: Response.stream(pieces),
                **options,
            )
            self.pool.run_next()
            self.pool.run_next()
            self.assertEqual(peer.answer().body, b"ab")
            self.assertEqual(pieces.advanced, [True] * 3)
            self.assertEqual(pieces.closed, [True])

    def test_a_stream_from_inside_without_threading_is_advanced_here(self) -> None:
        self.lend(takes_from=ON_WORKER)
        pieces = Pieces(self, [b"a", b"b"])
        peer = self.get(self.asynchronous, endpoint=lambda _: Response.stream(pieces))
        self.turn(3)
        self.assertEqual(peer.answer().body, b"ab")
        self.assertEqual(pieces.advanced, [False] * 3)

    def test_a_stream_no_worker_can_take_aborts(self) -> None:
        pieces = Pieces(self, [b"a", b"b"])
        peer = self.get(self.asynchronous, endpoint=lambda _: Response.stream(pieces))
        self.pool.run_next()
        self.pool.fail(self.pool.begin(), PoolStopped("stopped"))
        self.pool.deliver()
        self.turn()
        self.assertTrue(peer.transport.is_aborted)
        self.flushLoggedErrors(PoolStopped)

    def test_a_client_that_goes_has_a_queued_stream_closed(self) -> None:
        pieces = Pieces(self, [b"a", b"b"])
        peer = self.get(self.asynchronous, endpoint=lambda _: Response.stream(pieces))
        self.pool.run_next()
        peer.transport.lose()
        self.pool.run_next()
        self.assertEqual(pieces.closed, [True])


class Options(SynchronousTestCase):
    """What a route may ask for."""

    def test_an_async_endpoint_cannot_ask_for_a_worker(self) -> None:
        from httpx_tw import App

        async def endpoint(_: Request) -> None: ...

        with self.assertRaises(ConfigurationError):
            App().get("/", endpoint, thread=True)
