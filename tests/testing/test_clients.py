"""The client in memory: what it sends, gets, keeps and raises."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from httpx_tw import App, HTTPError, HTTPXError, Limits, Request, Response, Timeouts
from httpx_tw.errors import ConnectionLost
from httpx_tw.testing import StillWaiting, TestClient, clients
from tests.server.live import reactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx_tw.testing import TestResponse


def make_app() -> App:
    app = App()
    app.get("/", lambda request: f"hello {request.query.get('name', '')}".strip())
    app.get("/seen", lambda request: [list(pair) for pair in request.headers])
    app.route("/echo", echo, methods=["POST", "PUT", "PATCH", "DELETE"])
    app.get("/old", lambda _: Response.redirect("/?name=new", 301))
    app.post("/old", lambda _: Response.redirect("/", 302))
    app.post("/kept", lambda _: Response.redirect("/echo", 307))
    app.get("/round", lambda _: Response.redirect("/round"))
    return app


async def echo(request: Request) -> dict[str, Any]:
    body = await request.read()
    return {
        "method": request.method,
        "type": request.content_type,
        "body": body.decode(),
    }


class Requests(SynchronousTestCase):
    """Plain calls."""

    def setUp(self) -> None:
        self.app = make_app()
        self.client = TestClient(self.app)
        self.addCleanup(self.client.close)

    def test_a_request_is_answered(self) -> None:
        response = self.client.get("/")
        self.assertEqual((response.status, response.reason), (200, "OK"))
        self.assertEqual((response.text, response.content), ("hello", b"hello"))
        self.assertEqual(response.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(response.url, "http://testserver/")
        self.assertEqual(response.http_version, "1.1")
        self.assertEqual((response.history, response.interim), ([], []))
        self.assertEqual(len(response.trailers), 0)
        self.assertFalse(response.is_redirect)

    def test_parameters_join_the_query(self) -> None:
        self.assertEqual(self.client.get("/", params={"name": "Ada"}).text, "hello Ada")
        many = self.client.get("/?name=Ada&x", params=[("y", "é"), ("y", 2)])
        self.assertEqual(many.text, "hello Ada")
        self.assertEqual(many.url, "http://testserver/?name=Ada&x")

    def test_each_verb_sends_its_method(self) -> None:
        for verb in ("post", "put", "patch", "delete"):
            response: TestResponse = getattr(self.client, verb)("/echo", content="abc")
            self.assertEqual(
                response.json(),
                {"method": verb.upper(), "type": None, "body": "abc"},
            )
        self.assertEqual(self.client.head("/").headers["content-length"], "5")
        self.assertIn("GET", self.client.options("/").headers["allow"])

    def test_bodies_have_their_types(self) -> None:
        for options, kind, body in (
            ({"json": {"a": 1}}, "application/json", '{"a": 1}'),
            ({"json": None}, "application/json", "null"),
            (
                {"data": {"a": "1 2", "b": ["x", "y"]}},
                "application/x-www-form-urlencoded",
                "a=1+2&b=x&b=y",
            ),
            ({"content": b"raw"}, None, "raw"),
        ):
            response = self.client.post("/echo", **options)
            answer = response.json()
            self.assertEqual((answer["type"], answer["body"]), (kind, body))
        with self.assertRaises(TypeError):
            self.client.post("/echo", json=1, content=b"")

    def test_header_fields_are_added_or_replaced(self) -> None:
        client = TestClient(self.app, headers={"X-A": "1", "X-B": "2"})
        self.addCleanup(client.close)
        seen = client.get("/seen", headers=[("x-b", "3"), ("x-b", "4")]).json()
        self.assertIn(["Host", "testserver"], seen)
        ours = [pair for pair in seen if pair[0].lower().startswith("x-")]
        self.assertEqual(ours, [["X-A", "1"], ["x-b", "3"], ["x-b", "4"]])
        other = self.client.get("/seen", headers={"Host": "other"}).json()
        self.assertEqual([v for n, v in other if n.lower() == "host"], ["other"])

    def test_cookies_are_kept_sent_and_dropped(self) -> None:
        def login(_: Request) -> Response:
            response = Response("in")
            response.set_cookie("session", "abc")
            return response

        def logout(_: Request) -> Response:
            response = Response("out")
            response.delete_cookie("session")
            return response

        self.app.get("/login", login)
        self.app.get("/logout", logout)
        self.app.get("/cookies", lambda request: request.cookies)
        self.client.get("/login")
        seen = self.client.get("/cookies", cookies={"other": "1"}).json()
        self.assertEqual(seen, {"session": "abc", "other": "1"})
        self.client.get("/logout")
        self.assertEqual(self.client.get("/cookies").json(), {})

    def test_redirects_are_followed_when_asked(self) -> None:
        response = self.client.get("/old")
        self.assertTrue(response.is_redirect)
        response = self.client.get("/old", follow_redirects=True)
        self.assertEqual(response.text, "hello new")
        self.assertEqual([r.status for r in response.history], [301])
        client = TestClient(self.app, follow_redirects=True)
        self.addCleanup(client.close)
        self.assertEqual(client.post("/old", json=1).text, "hello")
        kept = client.post("/kept", json=1, params={"x": 1})
        self.assertEqual((kept.json()["method"], kept.json()["body"]), ("POST", "1"))
        with self.assertRaises(HTTPXError):
            client.get("/round")

    def test_text_is_in_its_own_charset(self) -> None:
        self.app.get(
            "/latin",
            lambda _: Response(
                "é".encode("latin-1"), content_type="text/x; charset=latin-1"
            ),
        )
        self.assertEqual(self.client.get("/latin").text, "é")

    def test_the_connection_is_used_again(self) -> None:
        for _ in range(3):
            self.client.get("/")
        self.client.get("/", headers={"Connection": "close"})
        self.client.get("/")
        figures = self.client.statistics()
        self.assertEqual((figures.connections_accepted, figures.requests), (2, 5))

    def test_https_is_another_connection_and_the_app_knows(self) -> None:
        self.app.get("/scheme", lambda request: request.scheme)
        client = TestClient(self.app, base_url="https://testserver")
        self.addCleanup(client.close)
        self.assertEqual(client.get("/scheme").text, "https")
        self.assertEqual(client.get("http://testserver/scheme").text, "http")

    def test_the_app_sees_the_clients_address(self) -> None:
        self.app.get("/who", lambda request: list(request.client or ()))
        client = TestClient(self.app, client_address=("198.51.100.7", 9))
        self.addCleanup(client.close)
        self.assertEqual(client.get("/who").json(), ["198.51.100.7", 9])

    def test_continue_and_trailers_are_seen(self) -> None:
        response = self.client.post(
            "/echo", content="abc", headers={"Expect": "100-continue"}
        )
        self.assertEqual(response.interim, [100])

    def test_a_refusal_while_sending_is_an_answer(self) -> None:
        client = TestClient(self.app, limits=Limits(max_body=10))
        self.addCleanup(client.close)
        self.assertEqual(client.post("/echo", content="x" * 100_000).status, 413)
        self.assertEqual(client.get("/").status, 200)

    def test_a_stream_is_read_to_its_end(self) -> None:
        self.app.get("/stream", lambda _: iter([b"x" * 100_000] * 50))
        self.assertEqual(len(self.client.get("/stream").content), 5_000_000)

    def test_a_stream_without_an_end_is_given_up(self) -> None:
        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 1_000_000

        self.app.get("/endless", lambda _: endless())
        with self.assertRaises(HTTPXError):
            self.client.get("/endless")

    def test_a_closed_client_sends_nothing(self) -> None:
        with TestClient(self.app) as client:
            client.get("/")
        client.close()
        with self.assertRaises(HTTPXError):
            client.get("/")
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_over_the_limit_of_connections_it_is_refused(self) -> None:
        client = TestClient(self.app, limits=Limits(max_connections=1))
        self.addCleanup(client.close)
        self.app.get("/wait", lambda _: Deferred())
        client.send("GET", "/wait")
        with self.assertRaises(ConnectionLost):
            client.get("/")


class Errors(SynchronousTestCase):
    """What goes wrong in handlers."""

    def setUp(self) -> None:
        self.app = make_app()

        def fail(_: Request) -> None:
            raise ZeroDivisionError("on purpose")

        def refuse(_: Request) -> None:
            raise HTTPError(418)

        async def pieces() -> Any:
            yield b"begun"
            await deferLater(self.client.clock, 1)
            raise ZeroDivisionError("on purpose")

        self.app.get("/fail", fail)
        self.app.get("/refuse", refuse)
        self.app.get("/break", lambda _: pieces())
        self.client = TestClient(self.app)
        self.addCleanup(self.client.close)

    def test_what_a_handler_raises_is_raised_here(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            self.client.get("/fail")
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(self.client.get("/").status, 200)

    def test_or_it_is_the_500_a_client_would_see(self) -> None:
        client = TestClient(self.app, raise_handler_errors=False)
        self.addCleanup(client.close)
        self.assertEqual(client.get("/fail").status, 500)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_what_is_meant_for_the_client_is_an_answer(self) -> None:
        self.assertEqual(self.client.get("/refuse").status, 418)

    def test_a_response_that_breaks_off_is_a_lost_connection(self) -> None:
        pending = self.client.send("GET", "/break")
        self.assertEqual((pending.status, pending.content), (200, b"begun"))
        self.client.advance(1)
        with self.assertRaises(ConnectionLost):
            pending.result()
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_server_that_closes_without_a_word_is_one_too(self) -> None:
        self.app.get("/wait", lambda _: Deferred(), timeout=0)
        pending = self.client.send("GET", "/wait")
        (connection,) = self.client.factory._connections
        connection.close()
        with self.assertRaises(HTTPXError):
            pending.result()


class Steps(SynchronousTestCase):
    """Handlers that wait."""

    def setUp(self) -> None:
        self.app = make_app()
        self.app.get("/wait", lambda _: Deferred())
        self.client = TestClient(self.app, timeouts=Timeouts(handler=30))
        self.addCleanup(self.client.close)

        @self.app.get("/sleep")
        async def sleep(_: Request) -> str:
            for _second in range(3):
                await deferLater(self.client.clock, 1)
            return "awake"

    def test_a_plain_call_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(StillWaiting, "advance"):
            self.client.get("/sleep")

    def test_time_can_be_advanced(self) -> None:
        pending = self.client.send("GET", "/sleep")
        self.client.advance(2.5)
        self.assertFalse(pending.is_over)
        self.client.advance(0.5)
        self.assertTrue(pending.is_over)
        self.assertEqual(pending.result().text, "awake")

    def test_deadlines_pass(self) -> None:
        pending = self.client.send("GET", "/wait")
        self.client.advance(33)
        self.assertEqual(pending.result().status, 503)

    def test_several_may_wait_at_once(self) -> None:
        first = self.client.send("GET", "/sleep")
        self.assertEqual(self.client.get("/").text, "hello")
        second = self.client.send("GET", "/sleep")
        self.client.advance(3)
        self.assertEqual((first.result().text, second.result().text), ("awake",) * 2)
        self.assertEqual(self.client.statistics().connections_accepted, 2)

    def test_a_request_can_be_given_up(self) -> None:
        pending = self.client.send("GET", "/wait")
        pending.cancel()
        pending.cancel()
        with self.assertRaises(ConnectionLost):
            pending.result()
        self.assertEqual(self.client.statistics().disconnects, 1)

    def test_interim_responses_are_seen_as_they_come(self) -> None:
        waiting: Deferred[None] = Deferred()

        @self.app.post("/read")
        async def read(request: Request) -> str:
            await request.read()
            await waiting
            return "done"

        pending = self.client.send(
            "POST", "/read", content="abc", headers={"Expect": "100-continue"}
        )
        self.assertEqual((pending.interim, pending.status), ([100], None))
        waiting.callback(None)
        self.assertEqual(pending.result().text, "done")

    def test_closing_cancels_what_waits(self) -> None:
        ended: list[str] = []

        @self.app.get("/finally")
        async def wait(_: Request) -> None:
            try:
                await Deferred()
            finally:
                ended.append("ended")

        self.client.send("GET", "/finally")
        self.client.close()
        self.assertEqual(ended, ["ended"])

    def test_awaiting_needs_a_reactor(self) -> None:
        self.patch(clients, "sys", SimpleNamespace(modules={}))
        waiting = Deferred.fromCoroutine(self.client.async_get("/wait"))
        self.failureResultOf(waiting, StillWaiting)


class Awaited(TestCase):
    """Handlers that wait for the real reactor."""

    def setUp(self) -> None:
        self.app = make_app()
        self.client = TestClient(self.app, timeouts=Timeouts(handler=0.05))
        self.addCleanup(self.client.close)

        @self.app.route("/sleep", methods=["GET", "POST"], timeout=5)
        async def sleep(_: Request) -> str:
            await deferLater(reactor, 0.01)
            return "awake"

        self.app.get("/to-sleep", lambda _: Response.redirect("/sleep"))

    async def test_get_and_post(self) -> None:
        self.assertEqual((await self.client.async_get("/sleep")).text, "awake")
        response = await self.client.async_post("/sleep", json=1)
        self.assertEqual(response.text, "awake")

    async def test_redirects(self) -> None:
        response = await self.client.async_get("/to-sleep", follow_redirects=True)
        self.assertEqual((response.text, len(response.history)), ("awake", 1))

    async def test_deadlines_go_with_the_reactors_time(self) -> None:
        self.app.get("/wait", lambda _: Deferred())
        response = await self.client.async_get("/wait")
        self.assertEqual(response.status, 503)

    async def test_cancelling_is_going_away(self) -> None:
        waiting = Deferred.fromCoroutine(self.client.async_get("/sleep"))
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        await waiting
        self.assertEqual(self.client.statistics().disconnects, 1)


def test_there_are_no_worker_threads() -> None:
    app = App()
    app.get("/", lambda _: threading.current_thread().name, thread=True)
    with TestClient(app) as client:
        assert client.get("/").text == threading.current_thread().name
