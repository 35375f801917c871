"""Stubs: what they answer, what they note, and how they fail."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as installed_reactor  # noqa: TID251  # tests run on it
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import readBody

from httpx_tw import ConnectionPool, RetryPolicy, Timeout, parallel
from httpx_tw.client.agent import Agent
from httpx_tw.client.blocking import BlockingClient
from httpx_tw.errors import (
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    IncompleteMessage,
    InvalidURL,
    ReadTimeout,
    RemoteProtocolError,
)
from httpx_tw.testing import (
    Silence,
    StubRequest,
    StubResponse,
    Stubs,
    UnexpectedRequest,
)

reactor: Any = installed_reactor
URL = "http://a.example/"


class StubsTestCase(SynchronousTestCase):
    """A client over stubs, with a Clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.stubs = Stubs()
        self.client = self.stubs.client(reactor=self.clock, retries=0)

    def tearDown(self) -> None:
        closing = self.client.close()
        self.clock.advance(0)
        self.successResultOf(closing)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def got(self, deferred: Deferred[Any]) -> Any:
        self.clock.advance(0)
        return self.successResultOf(deferred)

    def failed(self, deferred: Deferred[Any], *kinds: type[BaseException]) -> Any:
        self.clock.advance(0)
        return self.failureResultOf(deferred, *kinds).value


class MatchingTests(StubsTestCase):
    def test_urls_are_compared_as_wholes(self) -> None:
        self.stubs.get("http://a.example", "root")
        self.stubs.get("http://a.example/b", "b")
        self.stubs.get("http://a.example/c?x=1", "c with x")
        self.stubs.get("http://a.example/c", "c")
        self.stubs.get("https://a.example:8443/", "elsewhere")
        self.stubs.get("http://a.example/d/*", "below d")
        for url, body in (
            ("http://a.example/", "root"),
            ("http://a.example/b?any=query", "b"),
            ("http://a.example/c?x=1", "c with x"),
            ("http://a.example/c?x=2", "c"),
            ("https://a.example:8443/", "elsewhere"),
            ("http://a.example/d/e/f", "below d"),
        ):
            self.assertEqual(self.got(self.client.get(url)).text(), body)
        self.failed(self.client.get("http://b.example/"), UnexpectedRequest)

    def test_methods_have_their_names(self) -> None:
        for method in ("get", "post", "put", "patch", "delete"):
            getattr(self.stubs, method)(URL, method)
            found = self.got(getattr(self.client, method)(URL))
            self.assertEqual(found.text(), method)
        self.stubs.add("*", URL, "any")
        found = self.got(self.client.request("PROPFIND", URL))
        self.assertEqual(found.text(), "any")

    def test_several_are_used_up_in_order(self) -> None:
        self.stubs.get(URL, 503, times=2)
        self.stubs.get(URL, "well")
        self.assertEqual(self.stubs.unused, [f"GET {URL}"] * 2)
        seen = [self.got(self.client.get(URL)).status for _ in range(4)]
        self.assertEqual(seen, [503, 503, 200, 200])
        self.assertEqual(self.stubs.unused, [])

    def test_nonsense_is_refused_where_it_is_written(self) -> None:
        self.assertRaises(ConfigurationError, self.stubs.get, URL, times=-1)
        self.assertRaises(InvalidURL, self.stubs.get, "/relative")
        self.assertRaises(ConfigurationError, self.stubs.get, URL, 1.5)


class AnswerTests(StubsTestCase):
    def test_callables_are_given_the_request(self) -> None:
        def answer(request: StubRequest) -> Any:
            return {"sent": request.json(), "agent": request.headers["user-agent"]}

        self.stubs.post(f"{URL}items", answer)
        found = self.got(
            self.client.post(f"{URL}items", json=[1], headers={"User-Agent": "x"})
        )
        self.assertEqual(found.json(), {"sent": [1], "agent": "x"})

    def test_callables_may_take_their_time(self) -> None:
        waiting: Deferred[str] = Deferred()

        async def answer(_: StubRequest) -> str:
            return await waiting

        self.stubs.get(URL, answer)
        deferred = self.client.get(URL)
        self.clock.advance(3)
        self.assertNoResult(deferred)
        waiting.callback("there")
        self.assertEqual(self.got(deferred).text(), "there")

    def test_whole_responses_say_everything(self) -> None:
        self.stubs.get(
            URL, StubResponse(418, "short", headers=[("X", "1"), ("X", "2")])
        )
        found = self.got(self.client.get(URL))
        self.assertEqual(found.status, 418)
        self.assertEqual(found.headers.get_all("x"), ["1", "2"])

    def test_redirects_retries_and_cookies_are_the_clients(self) -> None:
        self.stubs.get(
            URL,
            StubResponse(302, headers={"Location": "/b", "Set-Cookie": "a=1"}),
        )
        self.stubs.get(f"{URL}b", lambda request: request.headers["cookie"])
        self.assertEqual(self.got(self.client.get(URL)).text(), "a=1")
        self.stubs.get(f"{URL}busy", 503, times=1)
        self.stubs.get(f"{URL}busy", "well")
        deferred = self.client.get(f"{URL}busy", retries=RetryPolicy(jitter=0))
        self.clock.advance(0)
        self.clock.advance(1)
        self.assertEqual(self.got(deferred).text(), "well")

    def test_delays_pass_on_the_clock(self) -> None:
        self.stubs.get(URL, StubResponse(body="late", delay=5))
        deferred = self.client.get(URL)
        self.clock.advance(0)
        self.clock.advance(4.5)
        self.assertNoResult(deferred)
        self.clock.advance(0.5)
        self.assertEqual(self.got(deferred).text(), "late")
        deferred = self.client.get(URL, timeout=1)
        self.clock.pump([0.25] * 12)
        self.failed(deferred, ReadTimeout)  # and the delay is over with it: tearDown

    def test_silence_is_a_timeout(self) -> None:
        self.stubs.get(URL, Silence())
        deferred = self.client.get(URL, timeout=Timeout(read=2))
        self.clock.pump([0.5] * 8)
        self.failed(deferred, ReadTimeout)

    def test_errors_are_raised(self) -> None:
        self.stubs.get(URL, ConnectFailed("nobody there"), times=1)
        self.failed(self.client.get(URL), ConnectFailed)
        self.stubs.get(URL, lambda _: ReadTimeout("too slow"))
        self.failed(self.client.get(URL), ReadTimeout)

        def wrong(_: StubRequest) -> str:
            raise KeyError("a mistake of the test")

        self.stubs.post(URL, wrong)
        self.failed(self.client.post(URL), KeyError)
        self.stubs.put(URL, lambda _: 1.5)
        self.failed(self.client.put(URL), ConfigurationError)

    def test_connections_end_as_they_are_told(self) -> None:
        self.stubs.get(URL, StubResponse(close=True))
        self.assertEqual(self.got(self.client.get(URL)).status, 200)
        self.clock.advance(0)
        self.assertEqual(self.client.pool.stats().total, 0)
        self.stubs.get(f"{URL}reset", StubResponse(raw=b"HTTP/1.1 2", reset=True))
        self.failed(self.client.get(f"{URL}reset"), ConnectionLost)
        half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
        self.stubs.get(f"{URL}half", StubResponse(raw=half, close=True))
        self.failed(self.client.get(f"{URL}half"), IncompleteMessage)
        self.stubs.get(f"{URL}junk", StubResponse(raw=b"garbage"))
        self.failed(self.client.get(f"{URL}junk"), RemoteProtocolError)

    def test_large_bodies_and_expectations_are_understood(self) -> None:
        self.stubs.put(URL, lambda request: str(len(request.body)))
        for headers in ({}, {"Expect": "100-continue"}):
            body = iter([b"x" * 100_000] * 5)
            found = self.got(self.client.put(URL, content=body, headers=headers))
            self.assertEqual(found.text(), "500000")

    def test_a_proxy_is_none_of_its_business(self) -> None:
        client = self.stubs.client(reactor=self.clock, proxy="http://proxy.example")
        self.stubs.get("http://a.example/x", "through")
        self.assertEqual(self.got(client.get("http://a.example/x")).text(), "through")
        self.got(client.close())


class RecordTests(StubsTestCase):
    def test_requests_are_kept(self) -> None:
        self.stubs.post(URL, 201)
        self.got(self.client.post(URL, params={"a": "b"}, content=b"hello"))
        (request,) = self.stubs.requests
        self.assertEqual(
            (request.method, request.url, request.body),
            ("POST", f"{URL}?a=b", b"hello"),
        )

    def test_the_unexpected_is_loud(self) -> None:
        error = self.failed(self.client.get(URL), AssertionError)
        self.assertIn(f"GET {URL}", str(error))
        with self.assertRaises(UnexpectedRequest):
            self.stubs.check()
        with self.assertRaises(UnexpectedRequest), self.stubs:
            pass  # the code under test has swallowed it
        with self.assertRaises(ZeroDivisionError), self.stubs:
            raise ZeroDivisionError  # which is what one wants to see

    def test_it_is_not_retried(self) -> None:
        self.failed(self.client.get(URL, retries=3), UnexpectedRequest)
        self.assertEqual(len(self.stubs.requests), 1)

    def test_one_answer_may_be_for_all(self) -> None:
        stubs = Stubs(lambda request: request.method)
        client = stubs.client(reactor=self.clock)
        self.assertEqual(
            self.got(client.delete("https://any.example/x")).text(), "DELETE"
        )
        stubs.check()
        self.got(client.close())


class FacesTests(TestCase):
    """Every face of the client takes them."""

    async def test_client_on_a_reactor(self) -> None:
        with Stubs() as stubs:
            stubs.get(f"{URL}*", lambda request: request.url)
            async with stubs.client() as client:
                found = await parallel.all(client, [f"{URL}{n}" for n in range(30)])
            self.assertEqual(
                [each.unwrap().text() for each in found],
                [f"{URL}{n}" for n in range(30)],
            )

    async def test_agent(self) -> None:
        stubs = Stubs("hello")
        pool = ConnectionPool(reactor=reactor, dialer=stubs)
        found = await Agent(reactor, pool=pool).request(b"GET", URL.encode())
        self.assertEqual(found.code, 200)
        self.assertEqual(await readBody(found), b"hello")
        await pool.close()


class BlockingTests(SynchronousTestCase):
    def test_blocking_client(self) -> None:
        stubs = Stubs()
        stubs.get(URL, {"a": 1})
        with BlockingClient(dialer=stubs) as client:
            self.assertEqual(client.get(URL).json(), {"a": 1})
            self.assertRaises(UnexpectedRequest, client.post, URL)
