"""Responses in pieces, handlers that wait, clients that read slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from httpx_tw import Request, Response
from httpx_tw.errors import LocalProtocolError
from tests.server.fakes import ServerTestCase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

KIB = 1024


class Streams(ServerTestCase):
    """Iterators and asynchronous iterators."""

    def setUp(self) -> None:
        super().setUp()
        self.steps: list[str] = []
        self.app.get("/plain", lambda _: self.plain())
        self.app.get("/async", lambda _: self.asynchronous())
        self.app.get("/after", lambda _: "after")
        self.peer = self.connect()

    def plain(self) -> Iterator[bytes | str]:
        try:
            yield b"one, "
            yield ""
            yield "two"
        finally:
            self.steps.append("closed")

    async def asynchronous(self) -> AsyncIterator[bytes | str]:
        try:
            yield b"one, "
            await deferLater(self.clock, 1)
            yield "two"
        finally:
            self.steps.append("closed")

    def test_a_generator_is_sent_in_chunks(self) -> None:
        self.peer.get("/plain")
        answer = self.peer.answer()
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual((answer.body, answer.is_whole), (b"one, two", True))
        self.assertEqual(self.steps, ["closed"])

    def test_trailers_follow_what_they_are_about(self) -> None:
        count = 0

        def counted() -> Iterator[bytes]:
            nonlocal count
            for piece in (b"one", b"two"):
                count += len(piece)
                yield piece

        trailers = {"X-Count": lambda: str(count)}
        self.app.get("/t", lambda _: Response.stream(counted(), trailers=trailers))
        self.peer.get("/t")
        self.peer.get("/after")
        raw = self.peer.take()
        self.assertIn(b"\r\ntrailer: X-Count\r\n", raw)
        self.assertIn(b"\r\n0\r\nX-Count: 6\r\n\r\nHTTP/1.1 200", raw)

    def test_where_a_body_is_not_chunked_there_are_no_trailers(self) -> None:
        self.app.get(
            "/t", lambda _: Response.stream(iter([b"a"]), trailers={"X-A": lambda: "b"})
        )
        self.peer.send("GET /t HTTP/1.0\n\n")
        self.assertTrue(self.peer.take().endswith(b"\r\n\r\na"))

    def test_trailers_that_fail_abort_the_connection(self) -> None:
        def broken() -> str:
            raise ZeroDivisionError

        trailers = {"X-A": broken}
        self.app.get("/t", lambda _: Response.stream(iter([b"a"]), trailers=trailers))
        self.peer.get("/t")
        self.assertFalse(any(answer.is_whole for answer in self.peer.answers()))
        self.assertTrue(self.peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_async_generator_is_sent_as_it_comes(self) -> None:
        self.peer.get("/async")
        self.peer.get("/after")
        self.assertEqual(self.peer.answer().body, b"one, ")
        self.assertEqual(self.factory.statistics().writing_response, 1)
        self.advance(1)
        bodies = [answer.body for answer in self.peer.answers()]
        self.assertEqual(bodies, [b"one, two", b"after"])

    def test_an_http_10_client_reads_to_the_end(self) -> None:
        self.peer.send("GET /plain HTTP/1.0\nConnection: keep-alive\n\n")
        answer = self.peer.answer()
        self.assertNotIn("transfer-encoding", answer.headers)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(self.peer.sees_end)
        self.assertEqual((answer.body, answer.is_whole), (b"one, two", True))

    def test_head_does_not_run_a_stream(self) -> None:
        for target in ("/plain", "/async"):
            self.peer.get(target, method="HEAD")
        for answer in self.peer.answers("HEAD HEAD"):
            self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertEqual(self.steps, [])

    def test_head_lets_go_of_what_would_have_been_streamed(self) -> None:
        closed: list[str] = []

        class Pieces:
            def __iter__(self) -> Iterator[bytes]:
                raise AssertionError

            def __next__(self) -> bytes:
                raise AssertionError

            def close(self) -> None:
                closed.append("closed")

        self.app.get("/file", lambda _: Response.stream(Pieces(), content_length=9))
        self.peer.get("/file", method="HEAD")
        self.assertEqual(self.peer.answer("HEAD").headers["content-length"], "9")
        self.app.get("/list", lambda _: Response.stream([b"no close"]))
        self.peer.get("/list", method="HEAD")
        self.assertEqual(len(self.peer.answers("HEAD HEAD")), 2)
        self.assertEqual(closed, ["closed"])

    def test_a_declared_length_is_kept(self) -> None:
        self.app.get(
            "/nine", lambda _: Response.stream([b"nine bytes"[:9]], content_length=9)
        )
        self.peer.get("/nine")
        self.assertEqual(self.peer.answer().body, b"nine byte")

    def test_too_few_bytes_or_too_many_abort(self) -> None:
        for length in (5, 20):
            self.app.get(
                f"/{length}",
                lambda _, n=length: Response.stream([b"nine bytes"], content_length=n),
            )
            peer = self.connect()
            peer.get(f"/{length}")
            self.assertTrue(peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors()), 2)
        self.assertEqual(self.factory.statistics().handler_errors, 2)

    def test_a_stream_that_fails_aborts_and_is_logged(self) -> None:
        async def fail() -> AsyncIterator[bytes]:
            yield b"begun"
            raise RuntimeError("in the middle")

        self.app.get("/fail", lambda _: fail())
        self.peer.get("/fail")
        self.assertFalse(any(a.is_whole for a in self.peer.answers()))
        self.assertTrue(self.peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_client_that_is_gone_closes_the_generator(self) -> None:
        self.peer.get("/async")
        self.peer.take()
        self.peer.transport.lose()
        self.assertEqual(self.steps, ["closed"])
        self.assertEqual(self.factory.statistics().disconnects, 1)

    def test_a_client_that_is_gone_closes_a_plain_generator_too(self) -> None:
        def endless() -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * KIB
            finally:
                self.steps.append("closed")

        self.app.get("/endless", lambda _: endless())
        self.peer.get("/endless")
        self.peer.transport.lose()
        self.assertEqual(self.steps, ["closed"])

    def test_no_reader_no_pieces(self) -> None:
        made: list[int] = []

        def count() -> Iterator[bytes]:
            for n in range(1000):
                made.append(n)
                yield b"x" * 10 * KIB

        async def count_async() -> AsyncIterator[bytes]:
            for piece in count():
                yield piece

        self.app.get("/count", lambda _: count())
        self.app.get("/count-async", lambda _: count_async())
        for target in ("/count", "/count-async"):
            made.clear()
            peer = self.connect()
            peer.get(target)
            self.turn(5)
            self.assertLess(len(made), 10)
            while peer.transport.unsent:
                peer.take()
                self.turn()
                self.assertLess(peer.transport.unsent, 80 * KIB)
            self.assertEqual(len(peer.answer().body), 10_000 * KIB)

    def test_endless_streams_leave_others_their_turn(self) -> None:
        asked: list[int] = []
        turns: list[Deferred[None]] = []

        def next_turn() -> Deferred[None]:
            turns.append(Deferred())
            return turns[-1]

        self.factory.next_turn = next_turn  # type: ignore[method-assign]  # one by one

        def endless(size: int) -> Iterator[bytes]:
            while True:
                asked.append(1)
                yield b"x" * size

        class Sink:
            """A network that takes everything at once."""

            def write(self, transport: Any, data: bytes) -> None:
                del transport, data

        for size in (0, 1, 100 * KIB):
            self.app.get(f"/{size}", lambda _, n=size: endless(n))
            peer = self.connect()
            peer.connection._write = Sink().write
            asked.clear()
            peer.get(f"/{size}")
            self.assertLess(len(asked), 100)
            before = len(asked)
            turns.pop().callback(None)
            self.assertGreater(len(asked), before)
            self.assertLess(len(asked), 200)

    def test_an_iterator_without_close_is_fine(self) -> None:
        class Pieces:
            def __init__(self) -> None:
                self.left = [b"a", b"b"]

            def __aiter__(self) -> Pieces:
                return self

            async def __anext__(self) -> bytes:
                if not self.left:
                    raise StopAsyncIteration
                return self.left.pop(0)

        self.app.get("/pieces", lambda _: Response.stream(Pieces()))
        self.peer.get("/pieces")
        self.assertEqual(self.peer.answer().body, b"ab")

    def test_draining_twice_is_once(self) -> None:
        wait: Deferred[None] = Deferred()

        async def pieces() -> AsyncIterator[bytes]:
            yield b"a"
            await wait

        self.app.get("/wait", lambda _: pieces())
        self.peer.get("/wait")
        exchange = self.peer.connection.exchange
        assert exchange is not None
        exchange.drained()
        wait.callback(None)
        self.assertTrue(self.peer.answer().is_whole)


class Waiting(ServerTestCase):
    """Handlers that hand over from one waiting thing to the next."""

    def test_what_a_deferred_gives_may_have_to_be_waited_for(self) -> None:
        first: Deferred[Any] = Deferred()
        second: Deferred[Any] = Deferred()

        async def coroutine() -> Any:
            return await second

        self.app.get("/", lambda _: first)
        peer = self.connect()
        peer.get()
        first.callback(coroutine())
        self.assertEqual(peer.answers(), [])
        second.callback("in the end")
        self.assertEqual(peer.answer().body, b"in the end")

    def test_what_a_coroutine_gives_at_once_may_have_to_be_waited_for(self) -> None:
        cancelled: list[str] = []

        @self.app.get("/")
        async def outer(_: Request) -> Any:
            return inner()

        async def inner() -> None:
            try:
                await Deferred()
            finally:
                cancelled.append("yes")

        peer = self.connect()
        peer.get()
        peer.transport.lose()
        self.assertEqual(cancelled, ["yes"])

    def test_a_deferred_that_has_fired_is_answered_at_once(self) -> None:
        def fired(_: Request) -> Deferred[str]:
            deferred: Deferred[str] = Deferred()
            deferred.callback("now")
            return deferred

        self.app.get("/", fired)
        peer = self.connect()
        peer.get()
        self.assertEqual(peer.answer().body, b"now")

    def test_a_deferred_that_fails_is_a_500(self) -> None:
        wait: Deferred[None] = Deferred()
        self.app.get("/", lambda _: wait)
        peer = self.connect()
        peer.get()
        wait.errback(RuntimeError("on purpose"))
        self.assertEqual(peer.answer().status, 500)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_handler_may_abort_everything_while_it_begins(self) -> None:
        wait: Deferred[str] = Deferred()

        @self.app.get("/")
        async def stop(_: Request) -> str:
            self.factory.abort()
            return await wait

        peer = self.connect()
        peer.get()
        wait.callback("to nobody")
        self.turn()
        self.assertTrue(peer.transport.is_closed)
        self.assertEqual(self.factory.statistics().requests, 0)


class EarlyHints(ServerTestCase):
    """103 in front of an answer that takes its time (RFC 8297)."""

    def setUp(self) -> None:
        super().setUp()
        self.request: Request | None = None

        @self.app.get("/page")
        async def page(request: Request) -> str:
            self.request = request
            await request.early_hints(
                "</a.css>; rel=preload; as=style", headers={"X-Hint": "1"}
            )
            await deferLater(self.clock, 1)
            await request.early_hints("</b.js>; rel=preload; as=script")
            return "page"

        self.peer = self.connect()

    def test_they_are_sent_at_once(self) -> None:
        self.peer.get("/page")
        self.assertEqual(
            self.peer.take(),
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n"
            b"X-Hint: 1\r\n\r\n",
        )
        self.advance(1)
        answer = self.peer.answer()
        self.assertEqual((answer.interim, answer.body), ([103, 103], b"page"))

    def test_http_1_0_is_sent_none(self) -> None:
        self.peer.send("GET /page HTTP/1.0\n\n")
        self.advance(1)
        answer = self.peer.answer()
        self.assertEqual((answer.interim, answer.body), ([], b"page"))

    def test_behind_the_answer_they_are_not_sent(self) -> None:
        self.app.get("/", lambda _: "hello")
        self.peer.get("/page")
        self.advance(1)
        self.peer.take()
        assert self.request is not None
        self.successResultOf(Deferred.fromCoroutine(self.request.early_hints("</c>")))
        self.assertEqual(self.peer.take(), b"")
        self.peer.transport.lose()
        self.successResultOf(Deferred.fromCoroutine(self.request.early_hints("</c>")))

    def test_in_front_of_the_answer_to_another_request_they_are_not_sent(self) -> None:
        requests: list[Request] = []

        @self.app.get("/slow")
        async def slow(request: Request) -> str:
            requests.append(request)
            await deferLater(self.clock, 1)
            return "slow"

        for _ in range(2):
            self.advance(1)
            self.peer.get("/slow")
        first, second = requests
        # Their heads are the same bytes, and may be the same object.
        self.successResultOf(Deferred.fromCoroutine(first.early_hints("</c>")))
        self.assertEqual(self.peer.answers()[-1].status, 200)
        self.successResultOf(Deferred.fromCoroutine(second.early_hints("</c>")))
        self.advance(1)
        self.assertEqual([a.interim for a in self.peer.answers()], [[], [103]])

    def test_what_must_not_be_sent_is_refused(self) -> None:
        @self.app.get("/bad")
        async def bad(request: Request) -> str:
            for hints in (
                request.early_hints("a\r\nb"),
                request.early_hints(headers={"Content-Length": "1"}),
            ):
                try:
                    await hints
                except LocalProtocolError:
                    continue
                return "sent"
            return "refused"

        self.peer.get("/bad")
        answer = self.peer.answer()
        self.assertEqual((answer.interim, answer.body), ([], b"refused"))


class Deliveries(ServerTestCase):
    """A request's body written to a Twisted consumer."""

    def test_the_consumer_holds_back_the_client(self) -> None:
        consumer = SlowConsumer()

        @self.app.post("/up")
        async def up(request: Request) -> str:
            await request.deliver_to(consumer)
            return str(consumer.size)

        peer = self.connect()
        peer.get("/up", f"Content-Length: {KIB * KIB}", method="POST")
        for _ in range(16):
            peer.send(bytes(64 * KIB))
        self.assertFalse(peer.transport.is_reading)
        self.assertLess(consumer.size, 256 * KIB)
        while consumer.producer is not None:
            consumer.producer.resumeProducing()
            peer.transport.turn()
        self.assertEqual(peer.answer().body, str(KIB * KIB).encode())


class SlowConsumer:
    """Pauses its producer at each write."""

    def __init__(self) -> None:
        self.size = 0
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.producer.pauseProducing()
