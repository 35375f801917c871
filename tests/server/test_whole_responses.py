"""The shortest way for whole responses sends what the general way sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpx_tw.app.response import Response
from httpx_tw.limits import Limits
from httpx_tw.server.connection import HTTP1Connection
from httpx_tw.server.whole_responses import ReadyResponse
from httpx_tw.server.wire import JOINED
from tests.server.fakes import Answer, ServerTestCase

if TYPE_CHECKING:
    from httpx_tw.app.request import Request


class SameAnswers(ServerTestCase):
    """A body in one piece goes the shortest way, a stream of it by the general one."""

    def ask(self, response: Response, *fields: str, method: str = "GET") -> Answer:
        path = f"/{id(response)}"
        self.app.get(path, lambda _: response)
        peer = self.connect()
        peer.get(path, *fields, method=method)
        return peer.answer(method)

    def test_both_ways_say_the_same(self) -> None:
        fields = [("X-Name", "\xe9"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")]
        for status in (200, 201, 299, 404, 500, 599):
            for body in (b"", b"x" * 5, b"x" * 5000):
                shortest = self.ask(Response(body, status, fields, "a/b"))
                general = self.ask(
                    Response.stream([body], status, "a/b", len(body), fields)
                )
                self.assertEqual(shortest, general)
                self.assertEqual((shortest.status, shortest.body), (status, body))

    def test_what_is_ready_is_sent_alike(self) -> None:
        fields = [(b"X-Name", b"\xe9"), (b"Set-Cookie", b"a=b")]
        for status, body in (
            (200, b"hello"),
            (404, b"x" * 5000),
            (304, b""),
            (204, b""),
        ):
            for method in ("GET", "HEAD"):
                ready: Any = ReadyResponse(status, fields, body)
                shortest = self.ask(ready, method=method)
                general = self.ask(ready.as_response(), method=method)
                self.assertEqual(shortest, general)
                self.assertEqual(shortest.headers["x-name"], "\xe9")

    def test_a_connection_goes_on(self) -> None:
        self.app.get("/x", lambda _: Response(b"x", 201))
        peer = self.connect()
        peer.get("/x")
        self.assertEqual(peer.answer().body, b"x")
        peer.send("GET /x HTTP/1.1\nHost: a\n\n" * 2)
        self.assertEqual([answer.body for answer in peer.answers()], [b"x"] * 3)

    def test_it_is_counted_and_logged(self) -> None:
        self.ask(Response(b"hello", 201))
        self.assertEqual(self.factory.responses[2], 1)
        self.assertEqual(self.log.lines[-1][-2:], (201, 5))

    def test_what_needs_a_second_thought_gets_it(self) -> None:
        closed = ("5", "close", b"hello")
        for response, fields, method, expected in (
            (Response(b"hello"), (), "HEAD", ("5", None, b"")),
            (Response(b"", 204), (), "GET", (None, None, b"")),
            (Response(b"", 304), (), "GET", (None, None, b"")),
            (Response(b"hello"), ("Connection: close",), "GET", closed),
            (Response(b"hello", 200, [("Connection", "close")]), (), "GET", closed),
        ):
            answer = self.ask(response, *fields, method=method)
            length = answer.headers.get("content-length")
            closes = answer.headers.get("connection")
            self.assertEqual((length, closes, answer.body), expected)

    def test_http_1_0_is_told_that_the_connection_stays(self) -> None:
        self.app.get("/x", lambda _: Response(b"x"))
        peer = self.connect()
        peer.send("GET /x HTTP/1.0\nConnection: keep-alive\n\n")
        self.assertEqual(peer.answer().headers["connection"], "keep-alive")

    def test_the_last_request_of_a_connection_says_so(self) -> None:
        self.serve(Limits(max_requests_per_connection=1))
        answer = self.ask(Response(b"x"))
        self.assertEqual(answer.headers["connection"], "close")

    def test_a_status_that_was_changed_to_nonsense_is_the_endpoints(self) -> None:
        response = Response(b"x")
        status: Any = "good"
        response.status = status
        self.assertEqual(self.ask(response).status, 500)
        self.assertEqual(len(self.errors), 1)
        self.flushLoggedErrors()


class LargeBodies(ServerTestCase):
    """A body that is too large to be copied for it does not go out with its head."""

    def setUp(self) -> None:
        super().setUp()
        self.sent: list[int] = []
        send = HTTP1Connection.send

        def noting(connection: HTTP1Connection, data: bytes) -> None:
            self.sent.append(len(data))
            send(connection, data)

        self.patch(HTTP1Connection, "send", noting)

        @self.app.get("/at-once/{size:int}")
        def at_once(request: Request) -> bytes:
            return bytes(request.path_params["size"])

        @self.app.get("/later/{size:int}")
        async def later(request: Request) -> bytes:
            return bytes(request.path_params["size"])

    def ask(self, target: str, *fields: str, method: str = "GET") -> list[int]:
        """Return how many bytes went in each call, without the head where it is one."""
        self.sent.clear()
        peer = self.connect()
        peer.get(target, *fields, method=method)
        size = len(peer.answer(method).body)
        return [sent for sent in self.sent if sent >= size]

    def test_whichever_way_it_goes(self) -> None:
        for where in ("/at-once", "/later"):
            for fields in ((), ("Connection: close",)):
                (joined,) = self.ask(f"{where}/{JOINED}", *fields)
                self.assertGreater(joined, JOINED)
                size = JOINED + 1
                self.assertEqual(self.ask(f"{where}/{size}", *fields), [size])

    def test_a_head_request_has_the_head_alone(self) -> None:
        for where in ("/at-once", "/later"):
            (head,) = self.ask(f"{where}/{JOINED + 1}", method="HEAD")
            self.assertLess(head, 1000)
