"""WSGI applications on a real server: worker threads, slow clients, files, endings."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from wsgiref.validate import validator

from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from httpx_tw.hosting.wsgi import WSGIApp
from tests.server.live import LiveTestCase, RawClient, reactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse

    from twisted.internet.defer import Deferred

    from tests.server.fakes import Answer

Environ = dict[str, Any]
TEXT = [("Content-Type", "text/plain")]
MIB = 1024 * 1024


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"hello"]


class WSGITestCase(LiveTestCase):
    """Serves one WSGI application after the other."""

    async def start(self, application: Any, **options: Any) -> RawClient:
        """Serve *application*, and connect to it."""
        app = application
        if not isinstance(app, WSGIApp):
            app = WSGIApp(application)
        self.app = app
        return await self.connect_to(await self.serve(app, **options))

    async def ask(
        self, application: Any, request: str = "GET / HTTP/1.1\nHost: a\n\n"
    ) -> Answer:
        """Serve *application*, send it *request*, and return its answer."""
        client = await self.start(application)
        client.send(request)
        (answer,) = await client.answers(1, request.partition(" ")[0])
        return answer

    def own_file(self, content: bytes) -> Path:
        """Return the path of a file that goes with the test."""
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content)
        return path

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the reactor turn until *condition* is met."""
        for _ in range(1000):
            if condition():
                return
            await deferLater(reactor, 0.005)
        self.fail("it never happened")


class AnswerTests(WSGITestCase):
    async def test_it_is_called_on_a_worker_thread(self) -> None:
        seen = []

        def application(environ: Environ, start_response: StartResponse) -> Any:
            seen.append(threading.current_thread())
            return hello(environ, start_response)

        answer = await self.ask(application)
        self.assertEqual((answer.status, answer.body), (200, b"hello"))
        self.assertIsNot(seen[0], threading.main_thread())

    async def test_requests_follow_each_other_on_a_connection(self) -> None:
        client = await self.start(hello)
        client.send("GET / HTTP/1.1\nHost: a\n\n" * 20)
        answers = await client.answers(20)
        self.assertEqual([answer.body for answer in answers], [b"hello"] * 20)

    async def test_the_validator_has_no_complaint(self) -> None:
        def application(
            environ: Environ, start_response: StartResponse
        ) -> Iterator[bytes]:
            start_response("200 OK", TEXT)
            yield b"hel"
            yield environ["wsgi.input"].read(100)

        request = (
            "POST /%C3%A9?x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
            "2\nlo\n0\n\n"
        )
        answer = await self.ask(validator(application), request)
        self.assertEqual((answer.status, answer.body), (200, b"hello"))

    async def test_names_and_addresses_are_those_of_the_socket(self) -> None:
        seen: Environ = {}

        def application(environ: Environ, start_response: StartResponse) -> Any:
            seen.update(environ)
            return hello(environ, start_response)

        client = await self.start(application)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await client.answers(1)
        host, peer = client.tcp.getHost(), client.tcp.getPeer()
        self.assertEqual(seen["REMOTE_ADDR"], host.host)
        self.assertEqual(seen["REMOTE_PORT"], str(host.port))
        self.assertEqual(seen["SERVER_NAME"], peer.host)
        self.assertEqual(seen["SERVER_PORT"], str(peer.port))

    async def test_a_head_is_answered_like_a_get_without_its_body(self) -> None:
        answer = await self.ask(hello, "HEAD / HTTP/1.1\nHost: a\n\n")
        self.assertEqual(answer.headers["content-length"], "5")
        self.assertEqual(answer.body, b"")

    async def test_a_head_of_a_stream_leaves_the_connection_in_order(self) -> None:
        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("200 OK", [*TEXT, ("Content-Length", "10")])
            return iter([b"hello"] * 2)

        client = await self.start(application)
        client.send("HEAD / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\nHost: a\n\n")
        head, get = await client.answers(2, "HEAD GET")
        self.assertEqual(head.headers["content-length"], "10")
        self.assertEqual(get.body, b"hello" * 2)

    async def test_not_modified_has_no_length(self) -> None:
        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("304 Not Modified", [("Content-Length", "5")])
            return []

        answer = await self.ask(application)
        self.assertEqual(answer.status, 304)
        self.assertNotIn("content-length", answer.headers)

    async def test_a_route_of_our_own_goes_first(self) -> None:
        app = WSGIApp(hello)
        app.get("/health", lambda _: "well")
        client = await self.start(app)
        client.send("GET /health HTTP/1.1\nHost: a\n\nBREW / HTTP/1.1\nHost: a\n\n")
        bodies = [answer.body for answer in await client.answers(2)]
        self.assertEqual(bodies, [b"well", b"hello"])


class BodyTests(WSGITestCase):
    """What a client sends."""

    @staticmethod
    def digest(environ: Environ, start_response: StartResponse) -> list[bytes]:
        """Answer with what was sent, or what it comes to."""
        body = environ["wsgi.input"]
        count, checksum = 0, hashlib.sha256()
        while data := body.read(100_000):
            count += len(data)
            checksum.update(data)
        start_response("200 OK", TEXT)
        length = environ.get("CONTENT_LENGTH", "-")
        return [f"{length} {count} {checksum.hexdigest()[:8]}".encode()]

    async def test_a_large_body_is_read_from_a_file(self) -> None:
        body = bytes(range(256)) * 12_000
        client = await self.start(self.digest)
        head = f"POST / HTTP/1.1\nHost: a\nContent-Length: {len(body)}\n\n"
        client.send(head)
        client.send(body)
        (answer,) = await client.answers(1)
        expected = hashlib.sha256(body).hexdigest()[:8]
        self.assertEqual(answer.body.decode(), f"{len(body)} {len(body)} {expected}")

    async def test_who_waits_for_100_continue_gets_it(self) -> None:
        client = await self.start(self.digest)
        client.send(
            "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nExpect: 100-continue\n\n"
        )
        await client.until(lambda: b"100 Continue" in client.raw)
        client.send(b"hello")
        (answer,) = await client.answers(1)
        self.assertEqual(answer.interim, [100])
        self.assertTrue(answer.body.startswith(b"5 5 "))

    async def test_a_body_may_be_left_unread(self) -> None:
        client = await self.start(hello)
        client.send("POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nGET /")
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        answers = await client.answers(2)
        self.assertEqual([answer.body for answer in answers], [b"hello"] * 2)


class ErrorTests(WSGITestCase):
    async def test_an_error_before_the_response_is_a_500(self) -> None:
        def application(environ: Environ, start_response: StartResponse) -> NoReturn:
            start_response("200 OK", TEXT)
            raise LookupError("no stock")

        answer = await self.ask(application)
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"stock", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    async def test_an_error_within_the_response_ends_the_connection(self) -> None:
        closed = []

        def application(
            environ: Environ, start_response: StartResponse
        ) -> Iterator[bytes]:
            start_response("200 OK", TEXT)
            try:
                yield b"hel"
                raise LookupError("no stock")
            finally:
                closed.append(threading.current_thread().name)

        client = await self.start(application)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await client.closed()
        (answer,) = await client.answers(1)
        self.assertFalse(answer.is_whole)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual(len(closed), 1)
        self.assertNotEqual(closed[0], threading.main_thread().name)

    async def test_an_error_after_writing_ends_the_connection(self) -> None:
        def application(environ: Environ, start_response: StartResponse) -> NoReturn:
            start_response("200 OK", TEXT)(b"hel")
            raise LookupError("no stock")

        client = await self.start(application)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await client.closed()
        (answer,) = await client.answers(1)
        self.assertFalse(answer.is_whole)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    async def test_a_stream_that_is_too_short_ends_the_connection(self) -> None:
        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("200 OK", [*TEXT, ("Content-Length", "6")])
            return iter([b"hel", b"lo"])

        client = await self.start(application)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await client.closed()
        (answer,) = await client.answers(1)
        self.assertFalse(answer.is_whole)
        self.assertTrue(self.flushLoggedErrors())

    async def test_a_stream_that_is_too_long_is_cut(self) -> None:
        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("200 OK", [*TEXT, ("Content-Length", "4")])
            return iter([b"hel", b"lo"])

        client = await self.start(application)
        with capturedLogs() as events:
            client.send("GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\nHost: a\n\n")
            answers = await client.answers(2)
        self.assertEqual([answer.body for answer in answers], [b"hell"] * 2)
        said = [formatEvent(event) for event in events]
        self.assertEqual(sum("longer than its Content-Length" in s for s in said), 2)


class StreamTests(WSGITestCase):
    async def test_each_piece_is_sent_before_the_next_is_asked_for(self) -> None:
        go_on = threading.Event()

        def application(
            environ: Environ, start_response: StartResponse
        ) -> Iterator[bytes]:
            start_response("200 OK", TEXT)
            yield b"first"
            go_on.wait(5)
            yield b"second"

        client = await self.start(application)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await client.until(lambda: b"first" in client.raw)
        self.assertNotIn(b"second", client.raw)
        go_on.set()
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, b"firstsecond")

    async def test_the_client_has_all_before_the_result_is_closed(self) -> None:
        go_on = threading.Event()

        class Result:
            def __iter__(self) -> Iterator[bytes]:
                yield b"hello"

            def close(self) -> None:
                go_on.wait(5)

        def application(environ: Environ, start_response: StartResponse) -> Result:
            start_response("200 OK", TEXT)
            return Result()

        answer = await self.ask(application)
        go_on.set()
        self.assertEqual(answer.body, b"hello")
        self.assertTrue(answer.is_whole)

    async def test_what_is_written_is_sent_at_once(self) -> None:
        go_on = threading.Event()

        def application(environ: Environ, start_response: StartResponse) -> Any:
            write = start_response("200 OK", TEXT)
            write(b"first")
            go_on.wait(5)
            write(b"second")
            return [b"third"]

        client = await self.start(application)
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await client.until(lambda: b"first" in client.raw)
        go_on.set()
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, b"firstsecondthird")

    async def _slow_reader(self, application: Any, given: list[int]) -> None:
        client = await self.start(application)
        client.keeps = False
        client.tcp.pauseProducing()
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await self.until(lambda: given)
        last = -1
        while given[-1] != last:
            last = given[-1]
            await deferLater(reactor, 0.1)
        self.assertLess(last, 200, "200 MiB would not be held by a kernel")
        client.tcp.resumeProducing()
        await client.until(lambda: client.count > (last + 20) * MIB)
        client.tcp.abortConnection()
        await client.closed()

    async def test_a_slow_reader_holds_the_application_up(self) -> None:
        given: list[int] = []
        closed: list[bool] = []

        def application(
            environ: Environ, start_response: StartResponse
        ) -> Iterator[bytes]:
            start_response("200 OK", TEXT)
            try:
                for number in range(1000):
                    given.append(number)
                    yield b"x" * MIB
            finally:
                closed.append(True)

        await self._slow_reader(application, given)
        await self.until(lambda: closed)
        self.assertLess(given[-1], 900)

    async def test_a_slow_reader_holds_write_up(self) -> None:
        given: list[int] = []
        heard: list[str] = []

        def application(
            environ: Environ, start_response: StartResponse
        ) -> Iterable[bytes]:
            write = start_response("200 OK", TEXT)
            try:
                for number in range(1000):
                    given.append(number)
                    write(b"x" * MIB)
            except Exception as error:
                heard.append(type(error).__name__)
                raise
            return []

        await self._slow_reader(application, given)
        await self.until(lambda: heard)
        self.assertEqual(heard, ["ConnectionLost"])

    async def test_middleware_is_around_what_is_written(self) -> None:
        def application(environ: Environ, start_response: StartResponse) -> Any:
            write = start_response("200 OK", TEXT)
            for _ in range(3):
                write(b"x" * MIB)
            return [b"end"]

        async def stamp(request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers.add("X-Stamp", "yes")
            return response

        app = WSGIApp(application)
        app.use(stamp)
        answer = await self.ask(app)
        self.assertEqual(answer.headers["x-stamp"], "yes")
        self.assertEqual(len(answer.body), 3 * MIB + 3)


class FileTests(WSGITestCase):
    def file(self, size: int) -> Any:
        """Open a file of *size* bytes."""
        return self.own_file(bytes(range(256)) * (size // 256)).open("rb")

    async def test_a_file_is_sent_and_closed(self) -> None:
        file = self.file(3 * MIB)

        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("200 OK", TEXT)
            file.seek(MIB)
            return environ["wsgi.file_wrapper"](file, 8192)

        answer = await self.ask(application)
        self.assertEqual(answer.headers["content-length"], str(2 * MIB))
        self.assertEqual(answer.body, bytes(range(256)) * (2 * MIB // 256))
        await self.until(lambda: file.closed)

    async def test_part_of_a_file_is_sent(self) -> None:
        file = self.file(512)

        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("206 Part", [*TEXT, ("Content-Length", "3")])
            return environ["wsgi.file_wrapper"](file)

        answer = await self.ask(application)
        self.assertEqual(answer.body, b"\0\1\2")
        await self.until(lambda: file.closed)

    async def test_a_client_that_goes_lets_the_file_be_closed(self) -> None:
        file = self.file(64 * MIB)

        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("200 OK", TEXT)
            return environ["wsgi.file_wrapper"](file)

        client = await self.start(application)
        client.keeps = False
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await client.until(lambda: client.count > 0)
        client.tcp.abortConnection()
        await client.closed()
        await self.until(lambda: file.closed)

    async def test_what_is_no_file_is_read(self) -> None:
        file = tempfile.SpooledTemporaryFile()  # noqa: SIM115  # it is closed by the server
        file.write(b"hello")
        file.seek(0)

        def application(environ: Environ, start_response: StartResponse) -> Any:
            start_response("200 OK", TEXT)
            return environ["wsgi.file_wrapper"](file, 2)

        answer = await self.ask(application)
        self.assertEqual(answer.body, b"hello")
        await self.until(lambda: file.closed)


class StopTests(WSGITestCase):
    async def test_a_server_that_stops_lets_a_call_finish(self) -> None:
        entered, go_on = threading.Event(), threading.Event()

        def application(environ: Environ, start_response: StartResponse) -> Any:
            entered.set()
            go_on.wait(5)
            return hello(environ, start_response)

        server = await self.serve_with(WSGIApp(application))
        client = await self.connect_to(f"http://a:{server.addresses[0].port}")
        client.send("GET / HTTP/1.1\nHost: a\n\n")
        await self.until(entered.is_set)
        stopped: Deferred[None] = server.stop()
        go_on.set()
        (answer,) = await client.answers(1)
        self.assertEqual(answer.body, b"hello")
        await stopped
