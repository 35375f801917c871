"""The life of a connection: phases, pipelining, early answers, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from httpx_tw import (
    App,
    HTTPError,
    Limits,
    Request,
    Response,
    SwitchProtocols,
    Timeouts,
)
from httpx_tw.app.response import to_response
from httpx_tw.headers import Headers
from httpx_tw.server.connection import HTTP1Connection
from httpx_tw.server.wire import Phase
from tests.server.fakes import Peer, ServerTestCase

if TYPE_CHECKING:
    from twisted.python.failure import Failure

KIB = 1024


class Waiting:
    """A handler that waits until the test fires it, each call by its number."""

    def __init__(self) -> None:
        self.calls: list[tuple[Request, Deferred[Any]]] = []

    def __call__(self, request: Request) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.calls.append((request, answer))
        return answer

    async def in_coroutine(self, request: Request) -> Any:
        return await self(request)

    def fire(self, number: int, result: Any) -> None:
        self.calls[number][1].callback(result)


class PlainRequests(ServerTestCase):
    """Requests without a body, answered at once."""

    def setUp(self) -> None:
        super().setUp()
        self.app.get("/", lambda _: "hello")
        self.app.get("/big", lambda _: "x" * (KIB * KIB))
        self.peer = self.connect()

    def test_a_request_is_answered_and_the_connection_kept(self) -> None:
        for _ in range(3):
            self.peer.get()
        self.assertEqual([a.body for a in self.peer.answers()], [b"hello"] * 3)
        self.assertFalse(self.peer.sees_end)
        self.assertIs(self.peer.connection.phase, Phase.IDLE)

    def test_every_split_of_the_bytes_gives_the_same_answer(self) -> None:
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        for at in range(1, len(request)):
            peer = self.connect()
            peer.send(request[:at])
            self.assertIs(peer.connection.phase, Phase.HEAD)
            peer.send(request[at:])
            self.assertEqual(peer.answer().body, b"hello")

    def test_many_requests_in_one_read_are_answered_in_order(self) -> None:
        self.app.get("/{n}", lambda request: request.path_params["n"])
        requests = [f"GET /{n} HTTP/1.1\nHost: a\n\n" for n in range(200)]
        self.peer.send("".join(requests))
        bodies = [answer.body for answer in self.peer.answers()]
        self.assertEqual(bodies, [b"%d" % n for n in range(200)])

    def test_connection_close_is_heeded(self) -> None:
        self.peer.get("/", "Connection: close")
        self.assertEqual(self.peer.answer().headers["connection"], "close")
        self.assertTrue(self.peer.sees_end)

    def test_http_10_is_closed_unless_it_asks_otherwise(self) -> None:
        self.peer.send("GET / HTTP/1.0\n\n")
        self.assertEqual(self.peer.answer().headers["connection"], "close")
        self.assertTrue(self.peer.sees_end)
        peer = self.connect()
        peer.send("GET / HTTP/1.0\nConnection: keep-alive\n\n")
        self.assertEqual(peer.answer().headers["connection"], "keep-alive")
        self.assertFalse(peer.sees_end)

    def test_head_has_the_length_and_not_the_body(self) -> None:
        self.peer.get(method="HEAD")
        self.peer.get()
        head, get = self.peer.answers("HEAD GET")
        self.assertEqual((head.headers["content-length"], head.body), ("5", b""))
        self.assertEqual(get.body, b"hello")

    def test_a_handler_may_close(self) -> None:
        self.app.get("/bye", lambda _: Response("bye", headers={"Connection": "close"}))
        self.peer.get("/bye")
        self.peer.get("/")
        self.assertEqual(self.peer.answer().body, b"bye")
        self.assertTrue(self.peer.sees_end)

    def test_the_last_request_of_a_connection_says_so(self) -> None:
        self.serve(Limits(max_requests_per_connection=2))
        peer = self.connect()
        peer.send("GET / HTTP/1.1\nHost: a\n\n" * 3)
        first, second = peer.answers()
        self.assertNotIn("connection", first.headers)
        self.assertEqual(second.headers["connection"], "close")
        self.assertTrue(peer.sees_end)

    def test_other_forms_of_target_reach_their_path(self) -> None:
        self.app.get("/p", lambda request: request.query_string or "none")
        self.peer.get("http://a/p?q")
        self.peer.get("http://a?q")
        self.peer.get("http://a")
        self.peer.get("/%70")
        self.peer.get("*", method="OPTIONS")
        statuses = self.peer.answers()
        self.assertEqual(statuses[0].body, b"q")
        self.assertEqual([a.body for a in statuses[1:3]], [b"hello"] * 2)
        self.assertEqual(statuses[3].body, b"none")
        self.assertLess(statuses[4].status, 300)

    def test_an_undecodable_path_is_refused(self) -> None:
        self.peer.get("/%ff")
        self.assertEqual(self.peer.answer().status, 400)

    def test_what_is_returned_is_sent_alike_by_each_way(self) -> None:
        for result in ("text", b"\0\1", {"a": 1}, [1], b"", "x" * 5000, b"x" * 5000):
            self.app = App()
            self.app.get("/", lambda _, result=result: result)
            self.app.get("/general", lambda _, result=result: to_response(result))
            self.serve()
            peer = self.connect()
            peer.get()
            peer.get("/general")
            short, general = peer.answers()
            self.assertEqual(short, general)

    def test_text_that_is_no_text_is_answered_500(self) -> None:
        self.app.get("/lone", lambda _: "\ud800")
        self.peer.get("/lone")
        self.assertEqual(self.peer.answer().status, 500)
        self.assertEqual(len(self.errors), 1)
        self.flushLoggedErrors(UnicodeEncodeError)

    def test_an_answer_of_no_known_kind_is_answered_500(self) -> None:
        self.app.get("/object", lambda _: object())
        self.peer.get("/object")
        self.assertEqual(self.peer.answer().status, 500)
        self.flushLoggedErrors(TypeError)

    def test_the_app_sees_the_peer(self) -> None:
        seen: list[Request] = []
        self.app.get("/who", lambda request: seen.append(request))
        self.peer.get("/who")
        self.connect(is_secure=True).get("/who")
        plain, secure = seen
        self.assertEqual(plain.client, ("192.0.2.1", 40000))
        self.assertEqual((plain.scheme, plain.is_secure), ("http", False))
        self.assertEqual((secure.scheme, secure.is_secure), ("https", True))

    def test_the_peer_of_a_unix_socket_has_no_address(self) -> None:
        seen: list[Request] = []
        self.app.get("/who", lambda request: seen.append(request))
        self.connect(peer=object()).get("/who")
        self.assertIsNone(seen[0].client)
        self.assertEqual(self.log.lines[-1][0], "unix")

    def test_bytes_that_come_from_inside_a_handler_are_not_lost(self) -> None:
        peer = self.peer

        def greedy(_: Request) -> str:
            if len(self.log.lines) < 3:
                peer.connection.dataReceived(b"GET /greedy HTTP/1.1\r\nHost: a\r\n\r\n")
            return "more"

        self.app.get("/greedy", greedy)
        peer.get("/greedy")
        self.assertEqual([a.body for a in peer.answers()], [b"more"] * 4)

    def test_a_body_that_comes_from_inside_a_handler_is_not_lost(self) -> None:
        peer = self.peer

        @self.app.post("/greedy")
        async def greedy(request: Request) -> bytes:
            peer.connection.dataReceived(b"abc")
            peer.connection.readConnectionLost()
            return await request.read()

        peer.get("/greedy", "Content-Length: 3", method="POST")
        self.assertEqual(peer.answer().body, b"abc")
        self.assertTrue(peer.sees_end)


class Pipelining(ServerTestCase):
    """Requests behind one whose handler waits."""

    def setUp(self) -> None:
        super().setUp()
        self.wait = Waiting()
        self.app.get("/wait", self.wait)
        self.app.get("/coroutine", self.wait.in_coroutine)
        self.app.get("/now/{n}", lambda request: request.path_params["n"])
        self.peer = self.connect()

    def test_answers_leave_in_the_order_of_the_requests(self) -> None:
        for target in ("/wait", "/now/1", "/coroutine", "/now/2"):
            self.peer.get(target)
        self.assertEqual(self.peer.answers(), [])
        self.assertEqual(len(self.wait.calls), 1)
        self.wait.fire(0, "first")
        self.assertEqual([a.body for a in self.peer.answers()], [b"first", b"1"])
        self.wait.fire(1, "second")
        bodies = [answer.body for answer in self.peer.answers()]
        self.assertEqual(bodies, [b"first", b"1", b"second", b"2"])

    def test_a_later_connection_overtakes_an_earlier_one(self) -> None:
        other = self.connect()
        self.peer.get("/wait")
        other.get("/wait")
        self.wait.fire(1, "b")
        self.assertEqual(other.answer().body, b"b")
        self.assertEqual(self.peer.answers(), [])
        self.wait.fire(0, "a")
        self.assertEqual(self.peer.answer().body, b"a")

    def test_reading_pauses_when_enough_requests_are_held(self) -> None:
        self.peer.get("/wait")
        for n in range(15):
            self.peer.get(f"/now/{n}")
        self.assertTrue(self.peer.transport.is_reading)
        self.peer.get("/now/15")
        self.assertFalse(self.peer.transport.is_reading)
        self.wait.fire(0, "")
        self.assertTrue(self.peer.transport.is_reading)
        self.assertEqual(len(self.peer.answers()), 17)

    def test_reading_pauses_when_enough_bytes_are_held(self) -> None:
        self.peer.get("/wait")
        self.peer.send(b"GET /now/1 HTTP/1.1\r\nX: " + b"x" * 70 * KIB)
        self.assertFalse(self.peer.transport.is_reading)
        self.wait.fire(0, "")
        self.assertEqual(self.peer.statuses(), [200, 431])

    def test_who_has_sent_all_and_closed_still_gets_every_answer(self) -> None:
        self.peer.get("/wait")
        self.peer.get("/wait")
        self.peer.transport.deliver_eof()
        self.assertFalse(self.peer.sees_end)
        self.wait.fire(0, "first")
        self.wait.fire(1, "second")
        first, second = self.peer.answers()
        self.assertNotIn("connection", first.headers)
        self.assertEqual(second.headers["connection"], "close")
        self.assertTrue(self.peer.transport.is_closed)

    def test_half_a_request_behind_an_answer_is_refused_at_the_end(self) -> None:
        self.peer.get("/wait")
        self.peer.send(b"GET / HT")
        self.peer.transport.deliver_eof()
        self.wait.fire(0, "")
        self.assertEqual(self.peer.statuses(), [200, 400])

    def test_a_client_that_does_not_read_gets_no_further_answers(self) -> None:
        calls: list[int] = []

        def big(_: Request) -> str:
            calls.append(1)
            return "x" * 100 * KIB

        self.app.get("/big", big)
        for _ in range(5):
            self.peer.get("/big")
        self.assertEqual(len(calls), 1)
        self.assertFalse(self.peer.transport.is_reading)
        self.peer.take(120 * KIB)
        self.assertEqual(len(calls), 2)
        self.assertEqual(len(self.peer.answers()), 5)
        self.assertTrue(self.peer.transport.is_reading)


class Bodies(ServerTestCase):
    """Requests with a body: collected, streamed, or not wanted."""

    def setUp(self) -> None:
        super().setUp()
        self.app.post("/collect", lambda request: request.body)
        self.app.post("/small", lambda request: request.body, max_body=10)
        self.wait = Waiting()

        @self.app.post("/stream")
        async def stream(request: Request) -> bytes:
            return b"".join([piece async for piece in request])

        @self.app.post("/read")
        async def read(request: Request) -> bytes:
            return await request.read()

        @self.app.post("/ignore")
        async def ignore(_: Request) -> str:
            return "no, thanks"

        @self.app.post("/later")
        async def later(request: Request) -> bytes:
            await self.wait(request)
            return await request.read()

        self.app.get("/", lambda _: "next")
        self.peer = self.connect()

    def test_a_body_is_collected_or_streamed(self) -> None:
        for target in ("/collect", "/stream", "/read"):
            peer = self.connect()
            peer.get(target, "Content-Length: 6", method="POST")
            peer.send(b"abc")
            self.assertEqual(peer.answers(), [])
            peer.send(b"def")
            peer.get()
            self.assertEqual([a.body for a in peer.answers()], [b"abcdef", b"next"])

    def test_a_chunked_body_and_its_trailers(self) -> None:
        seen: list[Any] = []

        @self.app.post("/trailers")
        async def trailers(request: Request) -> bytes:
            body = await request.read()
            seen.append(request.trailers)
            return body

        for target in ("/collect", "/trailers"):
            peer = self.connect()
            peer.get(target, "Transfer-Encoding: chunked", method="POST")
            peer.send("3\nabc\n")
            peer.send("0\nX-Sum: 1\n\n")
            self.assertEqual(peer.answer().body, b"abc")
        self.assertEqual(seen, [[(b"X-Sum", b"1")]])

    def test_a_body_over_the_limit_is_refused_before_it_is_sent(self) -> None:
        for target in ("/small", "/collect"):
            peer = self.connect()
            length = f"Content-Length: {11 * KIB * KIB}"
            peer.get(target, length, "Expect: 100-continue", method="POST")
            answer = peer.answer()
            self.assertEqual((answer.status, answer.interim), (413, []))
            self.assertTrue(peer.transport.is_write_closed)
            self.assertIs(peer.connection.phase, Phase.LINGERING)

    def test_a_chunked_body_over_the_limit_is_refused_when_it_is(self) -> None:
        self.peer.get("/small", "Transfer-Encoding: chunked", method="POST")
        self.peer.send("6\nabcdef\n")
        self.assertEqual(self.peer.answers(), [])
        self.peer.send("6\nabcdef\n")
        self.assertEqual(self.peer.statuses(), [413])

    def test_a_streamed_body_over_the_limit_fails_in_the_handler(self) -> None:
        self.serve(Limits(max_body=10))
        peer = self.connect()
        peer.get("/stream", "Transfer-Encoding: chunked", method="POST")
        peer.send("6\nabcdef\n6\nabcdef\n")
        self.assertEqual(peer.statuses(), [413])

    def test_continue_is_sent_when_a_plain_handlers_body_is_collected(self) -> None:
        self.peer.get(
            "/collect", "Content-Length: 3", "Expect: 100-continue", method="POST"
        )
        self.assertEqual(self.peer.take(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.peer.send(b"abc")
        self.assertEqual(self.peer.answer().body, b"abc")

    def test_continue_is_sent_when_a_coroutine_asks_for_the_body(self) -> None:
        self.peer.get(
            "/later", "Content-Length: 3", "Expect: 100-continue", method="POST"
        )
        self.assertEqual(self.peer.take(), b"")
        self.wait.fire(0, None)
        self.assertEqual(self.peer.take(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.peer.send(b"abc")
        self.assertEqual(self.peer.answer().body, b"abc")
        self.assertFalse(self.peer.sees_end)

    def test_who_waits_for_continue_is_not_too_slow(self) -> None:
        self.peer.get(
            "/later", "Content-Length: 3", "Expect: 100-continue", method="POST"
        )
        self.advance(20)
        self.wait.fire(0, None)
        self.peer.send(b"abc")
        self.assertEqual(self.peer.answer().body, b"abc")

    def test_no_continue_for_a_body_nobody_asks_for(self) -> None:
        for target, status in (("/ignore", 200), ("/nowhere", 404)):
            peer = self.connect()
            peer.get(target, "Content-Length: 3", "Expect: 100-continue", method="POST")
            answer = peer.answer()
            self.assertEqual((answer.status, answer.interim), (status, []))
            # It may send the body now or not: nobody could tell it from a request.
            self.assertEqual(answer.headers["connection"], "close")
            self.assertTrue(peer.sees_end)

    def test_a_refusal_does_not_wait_for_the_body(self) -> None:
        self.app.get("/only-get", lambda _: "")
        for target, status in (("/nowhere", 404), ("/only-get", 405)):
            peer = self.connect()
            peer.get(target, "Content-Length: 100", method="POST")
            self.assertEqual(peer.answer().status, status)
            peer.send(b"x" * 100)
            peer.get()
            self.assertEqual(peer.statuses(), [status, 200])

    def test_a_refusal_is_not_a_matter_of_size(self) -> None:
        self.peer.get("/nowhere", f"Content-Length: {1 << 40}", method="POST")
        self.assertEqual(self.peer.statuses(), [404])
        self.assertTrue(self.peer.sees_end)

    def test_an_async_page_may_read_the_body_of_what_it_refuses(self) -> None:
        @self.app.not_found
        async def page(request: Request) -> bytes:
            return await request.read()

        self.peer.post("/nowhere", b"abc", "Expect: 100-continue")
        answer = self.peer.answer()
        self.assertEqual(
            (answer.status, answer.interim, answer.body), (404, [100], b"abc")
        )

    def test_a_small_unread_body_is_discarded_and_the_connection_kept(self) -> None:
        self.peer.get("/ignore", f"Content-Length: {60 * KIB}", method="POST")
        self.assertEqual(self.peer.statuses(), [200])
        self.assertIs(self.peer.connection.phase, Phase.DISCARDING)
        self.peer.send(b"x" * 60 * KIB)
        self.peer.get()
        self.assertEqual(self.peer.statuses(), [200, 200])

    def test_a_large_unread_body_ends_the_connection_gently(self) -> None:
        self.peer.get("/ignore", f"Content-Length: {65 * KIB}", method="POST")
        answer = self.peer.answer()
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(self.peer.transport.is_write_closed)
        self.assertFalse(self.peer.transport.is_closed)
        self.peer.send(b"x" * 65 * KIB)
        self.peer.transport.deliver_eof()
        self.assertTrue(self.peer.transport.is_closed)

    def test_an_unread_chunked_body_is_discarded_up_to_a_size(self) -> None:
        self.peer.get("/ignore", "Transfer-Encoding: chunked", method="POST")
        self.peer.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        self.assertIs(self.peer.connection.phase, Phase.DISCARDING)
        self.peer.send(b"8001\r\n" + b"x" * 0x8001 + b"\r\n")
        self.assertIs(self.peer.connection.phase, Phase.LINGERING)
        self.assertEqual(self.peer.statuses(), [200])

    def test_an_unread_chunked_body_may_end(self) -> None:
        self.peer.get("/ignore", "Transfer-Encoding: chunked", method="POST")
        self.peer.send("3\nabc\n0\n\n")
        self.peer.get()
        self.assertEqual(self.peer.statuses(), [200, 200])

    def test_what_is_wrong_with_an_unread_body_is_not_answered_again(self) -> None:
        self.peer.get("/ignore", "Transfer-Encoding: chunked", method="POST")
        self.peer.send("nonsense\n")
        self.assertEqual(self.peer.statuses(), [200])
        self.assertTrue(self.peer.sees_end)
        other = self.connect()
        other.get("/ignore", "Content-Length: 3", method="POST")
        other.transport.deliver_eof()
        self.assertEqual(other.statuses(), [200])
        self.assertTrue(other.transport.is_closed)

    def test_without_lingering_an_unread_body_ends_the_connection(self) -> None:
        self.serve(timeouts=Timeouts(linger=0))
        peer = self.connect()
        peer.get("/ignore", "Content-Length: 3", method="POST")
        self.assertEqual(peer.answer().headers["connection"], "close")
        self.assertTrue(peer.transport.is_closed)

    def test_the_body_of_an_answered_request_fails(self) -> None:
        kept: list[Request] = []

        @self.app.post("/keep")
        async def keep(request: Request) -> str:
            kept.append(request)
            return "answered"

        self.peer.get("/keep", "Content-Length: 3", method="POST")
        self.assertEqual(self.peer.statuses(), [200])
        self.failureResultOf(Deferred.fromCoroutine(kept[0].read()))

    def test_a_client_that_stops_in_a_body_is_answered_400(self) -> None:
        self.peer.get("/collect", "Content-Length: 3", method="POST")
        self.peer.send(b"ab")
        self.peer.transport.deliver_eof()
        self.assertEqual(self.peer.statuses(), [400])
        self.assertTrue(self.peer.transport.is_closed)

    def test_a_bad_chunk_ends_the_handler_and_is_answered_once(self) -> None:
        self.peer.get("/stream", "Transfer-Encoding: chunked", method="POST")
        self.peer.send("3\nabc\nnonsense\n")
        self.assertEqual(self.peer.statuses(), [400])
        self.assertEqual(self.errors, [])

    def test_a_fast_client_waits_for_a_slow_handler(self) -> None:
        self.app.post("/hold", self._hold, max_body=0)
        self.peer.get("/hold", f"Content-Length: {KIB * KIB}", method="POST")
        self.peer.send(b"x" * 65 * KIB)
        self.assertFalse(self.peer.transport.is_reading)
        self.peer.send(b"x" * (KIB - 65) * KIB)
        self.wait.fire(0, None)
        self.assertTrue(self.peer.transport.is_reading)
        self.turn()
        self.assertEqual(self.peer.answer().body, str(KIB * KIB).encode())

    async def _hold(self, request: Request) -> str:
        await self.wait(request)
        return str(sum([len(piece) async for piece in request]))

    def test_an_echo_streams_both_ways(self) -> None:
        @self.app.post("/echo")
        async def echo(request: Request) -> Response:
            return Response.stream(request)

        self.peer.get("/echo", "Transfer-Encoding: chunked", method="POST")
        self.peer.send("3\nabc\n")
        self.assertEqual(self.peer.answer().body, b"abc")
        self.peer.send("3\ndef\n0\n\n")
        answer = self.peer.answer()
        self.assertEqual((answer.body, answer.is_whole), (b"abcdef", True))


class Refusals(ServerTestCase):
    """What is no acceptable request, by the answer it gets."""

    def refused(self, data: str | bytes, limits: Limits | None = None) -> int:
        self.serve(limits or Limits())
        peer = self.connect()
        peer.send(data)
        answer = peer.answer()
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(peer.sees_end)
        self.assertEqual(self.factory.statistics().protocol_errors, 1)
        return answer.status

    def test_each_limit_and_rule_has_its_status(self) -> None:
        long = "x" * 9000
        head = "GET / HTTP/1.1\nHost: a\n"
        post = "POST / HTTP/1.1\nHost: a\n"
        for data, status in (
            (f"GET /{long} HTTP/1.1\nHost: a\n\n", 414),
            (f"GET /{long}", 414),
            (f"{head}X: {long}\nY: {long}\n\n", 431),
            (head + "X: y\n" * 100 + "\n", 431),
            ("GET / HTTP/1.1\n\n", 400),
            (f"{head}Host: a\n\n", 400),
            (f"{head}X : y\n\n", 400),
            ("GET / HTTP/2.0\n\n", 505),
            (f"{post}Transfer-Encoding: gzip\n\n", 501),
            (f"{post}Transfer-Encoding: chunked\nContent-Length: 1\n\n", 400),
            (f"{post}Content-Length: 1\nContent-Length: 2\n\n", 400),
            (b"\x16\x03\x01\x02\x00\x01", 400),
        ):
            with self.subTest(data[:60]):
                self.assertEqual(self.refused(data), status)

    def test_a_long_chunk_line_is_refused(self) -> None:
        self.app.post("/", lambda _: "")
        head = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
        self.assertEqual(self.refused(f"{head}1;{'x' * 1100}"), 400)

    def test_a_refusal_follows_the_answers_before_it(self) -> None:
        self.app.get("/", lambda _: "well")
        peer = self.connect()
        peer.send("GET / HTTP/1.1\nHost: a\n\nnonsense\n\n")
        self.assertEqual(peer.statuses(), [200, 400])

    def test_the_rest_is_read_and_forgotten_until_the_client_goes(self) -> None:
        peer = self.connect()
        peer.send("nonsense\n\n")
        self.assertEqual(peer.statuses(), [400])
        peer.get()
        self.assertEqual(peer.statuses(), [400])
        peer.transport.deliver_eof()
        self.assertTrue(peer.transport.is_closed)

    def test_over_tls_it_is_closed_as_a_whole(self) -> None:
        peer = self.connect(is_secure=True)
        peer.send("nonsense\n\n")
        self.assertEqual(peer.statuses(), [400])
        peer.transport.turn()
        self.assertFalse(peer.transport.is_write_closed)
        self.assertTrue(peer.transport.is_closed)

    def test_a_refusal_in_the_middle_of_a_response_aborts_it(self) -> None:
        wait = Waiting()

        async def pieces(request: Request) -> Any:
            yield b"begun"
            await wait(request)

        @self.app.post("/")
        async def stream(request: Request) -> Response:
            return Response.stream(pieces(request))

        peer = self.connect()
        peer.get("/", "Transfer-Encoding: chunked", method="POST")
        peer.send("nonsense\n")
        self.assertTrue(peer.transport.is_aborted)
        self.turn()
        self.assertTrue(peer.transport.is_closed)

    def test_a_refused_request_may_be_a_head_request(self) -> None:
        @self.app.head("/")
        async def read(request: Request) -> bytes:
            return await request.read()

        peer = self.connect()
        peer.get("/", "Transfer-Encoding: chunked", method="HEAD")
        peer.send("nonsense\n")
        answer = peer.answer("HEAD")
        self.assertEqual((answer.status, answer.body), (400, b""))


class Endings(ServerTestCase):
    """Clients that go, and connections that are ended."""

    def setUp(self) -> None:
        super().setUp()
        self.wait = Waiting()
        self.app.get("/wait", self.wait)
        self.peer = self.connect()

    def test_a_client_that_closes_idle_is_closed(self) -> None:
        self.peer.transport.deliver_eof()
        self.turn()
        self.assertTrue(self.peer.transport.is_closed)
        self.assertEqual(self.factory.statistics().disconnects, 0)

    def test_half_a_head_and_an_end_is_answered_400(self) -> None:
        self.peer.send(b"GET / HT")
        self.peer.transport.deliver_eof()
        self.assertEqual(self.peer.statuses(), [400])

    def test_a_half_closed_client_gets_its_answer(self) -> None:
        self.peer.get("/wait")
        self.peer.transport.deliver_eof()
        self.wait.fire(0, "late")
        self.assertEqual(self.peer.answer().body, b"late")
        self.assertTrue(self.peer.transport.is_closed)

    def test_a_client_that_is_gone_cancels_a_deferred_quietly(self) -> None:
        self.peer.get("/wait")
        self.peer.transport.lose()
        self.assertEqual(self.errors, [])
        self.assertEqual(self.factory.statistics().disconnects, 1)
        self.wait.fire(0, "to nobody")
        self.assertEqual(self.factory.statistics().requests, 0)

    def test_a_client_that_is_gone_cancels_a_coroutine_where_it_waits(self) -> None:
        steps: list[str] = []

        @self.app.get("/steps")
        async def steps_(request: Request) -> None:
            try:
                steps.append("began")
                await self.wait(request)
            finally:
                steps.append("cleaned up")

        self.peer.get("/steps")
        self.peer.transport.lose()
        self.assertEqual(steps, ["began", "cleaned up"])
        self.assertEqual(self.errors, [])

    def test_a_client_that_is_gone_ends_who_reads_its_body(self) -> None:
        seen: list[type[BaseException]] = []

        @self.app.post("/read")
        async def read(request: Request) -> None:
            try:
                await request.read()
            except Exception as error:
                seen.append(type(error))
                raise

        self.peer.get("/read", "Content-Length: 3", method="POST")
        self.peer.transport.lose()
        self.assertEqual([error.__name__ for error in seen], ["ConnectionLost"])
        self.assertEqual(self.errors, [])

    def test_an_answer_to_a_lost_connection_is_dropped(self) -> None:
        def gone(_: Request) -> Any:
            self.peer.connection.abort()
            return self._never_run()

        self.app.get("/gone", gone)
        self.peer.get("/gone")
        self.turn()
        self.assertTrue(self.peer.transport.is_closed)
        self.assertEqual(self.factory.statistics().requests, 0)

    async def _never_run(self) -> None:
        raise AssertionError

    def test_an_error_on_a_lost_connection_is_logged_and_not_answered(self) -> None:
        def gone(_: Request) -> Any:
            self.peer.connection.abort()
            raise RuntimeError("too late")

        self.app.get("/gone", gone)
        self.peer.get("/gone")
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.factory.statistics().requests, 0)

    def test_abort_twice_is_once(self) -> None:
        connection = self.peer.connection
        connection.abort()
        connection.abort()
        self.turn()
        connection.abort()
        self.assertIs(connection.phase, Phase.CLOSED)

    def test_what_has_ended_is_not_refused(self) -> None:
        self.peer.connection.close()
        self.peer.connection.refuse(408, "too late")
        self.assertEqual(self.peer.statuses(), [])

    def test_close_twice_is_once(self) -> None:
        self.peer.connection.close()
        self.peer.connection.close()
        self.turn()
        self.assertTrue(self.peer.transport.is_closed)


class HandlerErrors(ServerTestCase):
    """What handlers raise."""

    def setUp(self) -> None:
        super().setUp()
        self.peer = self.connect()

        def secret(_: Request) -> None:
            raise RuntimeError("a secret")

        async def secret_async(request: Request) -> None:
            await request.read()
            secret(request)

        def refuse(_: Request) -> None:
            raise HTTPError(418, "short and stout")

        self.app.get("/secret", secret)
        self.app.get("/secret-async", secret_async)
        self.app.get("/refuse", refuse)

    def test_an_exception_is_a_500_without_detail_a_traceback_and_a_hook(self) -> None:
        for target in ("/secret", "/secret-async"):
            self.peer.get(target)
        for answer in self.peer.answers():
            self.assertEqual(answer.status, 500)
            self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.errors), 2)
        for failure in self.flushLoggedErrors(RuntimeError):
            self.assertIn("a secret", failure.getTraceback())
        self.assertEqual(self.factory.statistics().handler_errors, 2)

    def test_an_http_error_is_an_answer(self) -> None:
        self.peer.get("/refuse")
        answer = self.peer.answer()
        self.assertEqual((answer.status, answer.body), (418, b"short and stout"))
        self.assertEqual(self.factory.statistics().handler_errors, 0)

    def test_an_error_page_may_wait_and_its_client_may_go(self) -> None:
        wait = Waiting()

        @self.app.error_page(418)
        async def page(request: Request, _: HTTPError) -> Any:
            return await wait(request)

        @self.app.get("/refuse-async")
        async def refuse(_: Request) -> None:
            raise HTTPError(418)

        self.peer.get("/refuse-async")
        wait.fire(0, "a page")
        self.assertEqual(self.peer.answer().body, b"a page")
        self.peer.get("/refuse-async")
        self.peer.transport.lose()
        self.assertTrue(wait.calls[1][1].called)
        self.assertEqual(self.errors, [])


class Told(Protocol):
    """A protocol that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def connectionMade(self) -> None:
        self.told.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.told.append("lost")


@implementer(IHalfCloseableProtocol)
class ToldOfHalves(Told):
    """The same, of half-closes too."""

    def readConnectionLost(self) -> None:
        self.told.append("read end")

    def writeConnectionLost(self) -> None:
        self.told.append("write end")


class Switching(ServerTestCase):
    """Leaving HTTP behind."""

    def setUp(self) -> None:
        super().setUp()
        self.protocol = Told()
        fields = Headers({"X-Chat": "1"})
        self.app.get("/chat", lambda _: SwitchProtocols("chat", self.protocol, fields))
        self.app.post("/chat", lambda _: SwitchProtocols("chat", self.protocol))

        @self.app.post("/unread")
        async def unread(_: Request) -> SwitchProtocols:
            return SwitchProtocols("chat", self.protocol)

        self.peer = self.connect()

    def switch(self, rest: bytes = b"") -> None:
        head = (
            b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n"
        )
        self.peer.send(head + b"\r\n" + rest)

    def test_the_protocol_gets_the_connection_and_what_was_read(self) -> None:
        self.switch(b"early")
        self.peer.send(b"later")
        self.assertEqual(
            self.peer.take(),
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: chat\r\n"
            b"connection: upgrade\r\nX-Chat: 1\r\n\r\n",
        )
        self.assertEqual(self.protocol.told, ["made", b"early", b"later"])
        assert self.protocol.transport is not None
        self.protocol.transport.write(b"hi")
        self.assertEqual(self.peer.take(), b"hi")
        self.advance(200)
        self.assertFalse(self.peer.transport.is_closed)
        self.peer.transport.lose()
        self.assertEqual(self.protocol.told[-1], "lost")

    def test_nothing_read_beyond_is_nothing_received(self) -> None:
        self.switch()
        self.assertEqual(self.protocol.told, ["made"])

    def test_an_end_closes_a_protocol_that_knows_no_halves(self) -> None:
        self.switch()
        self.peer.transport.deliver_eof()
        self.peer.take()
        self.assertEqual(self.protocol.told, ["made", "lost"])

    def test_a_protocol_that_knows_halves_is_told_of_them(self) -> None:
        self.protocol = ToldOfHalves()
        self.switch()
        self.peer.transport.deliver_eof()
        self.peer.connection.writeConnectionLost()
        self.assertEqual(self.protocol.told, ["made", "read end", "write end"])

    def test_an_aborted_protocol_is_told(self) -> None:
        self.switch()
        self.factory.abort()
        self.turn()
        self.assertEqual(self.protocol.told, ["made", "lost"])

    def test_what_was_not_offered_is_a_500(self) -> None:
        self.peer.get("/chat")
        self.peer.get("/chat", "Connection: upgrade", "Upgrade: other")
        self.assertEqual(self.peer.statuses(), [500, 500])
        self.assertEqual(len(self.flushLoggedErrors()), 2)

    def test_a_request_with_a_body_is_read_first(self) -> None:
        upgrade = ("Connection: upgrade", "Upgrade: chat")
        self.peer.get("/unread", "Content-Length: 3", *upgrade, method="POST")
        self.assertEqual(self.peer.statuses(), [500])
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        other = self.connect()
        other.post("/chat", b"abc", *upgrade)
        self.assertEqual(self.protocol.told, ["made"])

    def test_a_protocol_that_fails_at_once_ends_the_connection(self) -> None:
        self.protocol.makeConnection = _raise  # type: ignore[method-assign]  # on purpose
        self.switch()
        self.turn()
        self.assertTrue(self.peer.transport.is_closed)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


def _raise(*_: object) -> None:
    raise RuntimeError("on purpose")


class Interfaces(ServerTestCase):
    """What Twisted is promised."""

    def test_a_connection_takes_any_interim_event_of_the_transport(self) -> None:
        peer = Peer(HTTP1Connection(self.factory))
        self.peers.append(peer)
        peer.connection.stopProducing()
        peer.connection.writeConnectionLost()
        self.assertIs(peer.connection.phase, Phase.HEAD)
