"""The client as people call it, over memory: options, bodies, fields, and the ends."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks  # noqa: TID251  # its users
from twisted.web.client import FileBodyProducer

import httpx_tw
from httpx_tw.client.client import Client
from httpx_tw.client.cookies import CookieJar
from httpx_tw.client.exchange import Exchange
from httpx_tw.client.redirects import RedirectPolicy
from httpx_tw.client.retries import RetryPolicy
from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import (
    ConfigurationError,
    InvalidHeader,
    InvalidURL,
    LocalProtocolError,
    StatusError,
)
from tests.client.fakes import OK, URL, ClientTestCase, response


class CallingTests(ClientTestCase):
    def asked(self, method: str = "GET", url: str = URL, **options: Any) -> bytes:
        """Send a request, have it answered, and return what was sent."""
        deferred = self.client.request(method, url, **options)
        sent = self.peer.answer()
        self.result(deferred)
        return sent

    def fields(self, **options: Any) -> dict[str, str]:
        """Send a request, have it answered, and return its fields."""
        deferred = self.client.request("POST", URL, **options)
        _, fields = self.peer.head()
        self.peer.send(OK)
        self.result(deferred)
        return fields

    def test_client_is_a_public_name(self) -> None:
        self.assertIs(httpx_tw.Client, Client)
        with self.assertRaises(AttributeError):
            httpx_tw.Nothing  # noqa: B018  # it raises

    def test_result_can_be_awaited_and_yielded(self) -> None:
        async def awaiting() -> int:
            return (await self.client.get(URL)).status

        @inlineCallbacks
        def yielding() -> Any:
            found = yield self.client.get(URL)
            return found.status

        def coroutine() -> Deferred[int]:
            return Deferred.fromCoroutine(awaiting())

        for begin in (coroutine, yielding):
            running = begin()
            self.assertNoResult(running)
            self.peer.answer()
            self.assertEqual(self.result(running), 200)

    def test_methods_have_their_names(self) -> None:
        for method in ("get", "head", "post", "put", "patch", "delete", "options"):
            deferred = getattr(self.client, method)(URL)
            line, _ = self.peer.head()
            self.peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            self.result(deferred)
            self.assertEqual(line, f"{method.upper()} / HTTP/1.1")

    def test_own_methods_are_sent_as_they_are(self) -> None:
        self.assertTrue(self.asked("Purge").startswith(b"Purge / HTTP/1.1\r\n"))

    def test_params_are_added_to_the_query(self) -> None:
        self.client = self.made(params={"key": "k"})
        sent = self.asked(url=URL + "a?b=c", params={"d": [1, 2]})
        self.assertIn(b"GET /a?b=c&key=k&d=1&d=2 HTTP", sent)

    def test_base_url_is_what_relative_ones_are_below(self) -> None:
        self.client = self.made(base_url="http://b.example/api/")
        sent = self.asked(url="items?a=b")
        self.assertIn(b"GET /api/items?a=b HTTP/1.1\r\nHost: b.example\r\n", sent)
        self.assertIn(b"Host: a.example\r\n", self.asked(url=URL))

    def test_headers_of_a_request_stand_in_for_the_clients(self) -> None:
        self.client = self.made(headers={"X-A": "1", "X-B": "2"}, user_agent="us")
        sent = self.asked(headers=[("x-a", "3"), ("User-Agent", "me"), ("x-c", "4")])
        for line in (b"x-a: 3", b"X-B: 2", b"User-Agent: me", b"x-c: 4"):
            self.assertEqual(sent.count(b"\r\n" + line + b"\r\n"), 1)
        self.assertNotIn(b"X-A: 1", sent)
        self.assertNotIn(b"us", sent)

    def test_host_may_be_said_otherwise(self) -> None:
        sent = self.asked(headers={"Host": "c.example"})
        self.assertIn(b"Host: c.example\r\n", sent)
        self.assertEqual(sent.count(b"Host"), 1)

    def test_json_is_sent_as_json(self) -> None:
        sent = self.asked("POST", json={"a": ["é", None]})
        self.assertIn(b"\r\nContent-Type: application/json\r\n", sent)
        self.assertTrue(sent.endswith('\r\n\r\n{"a":["é",null]}'.encode()))

    def test_type_may_be_said_otherwise(self) -> None:
        fields = self.fields(json=1, headers={"content-type": "application/x"})
        self.assertEqual(fields["content-type"], "application/x")

    def test_form_is_sent_urlencoded(self) -> None:
        sent = self.asked("POST", data={"a": "b c", "d": ["1", "2"]})
        self.assertTrue(sent.endswith(b"\r\n\r\na=b+c&d=1&d=2"))
        self.assertIn(b"Content-Type: application/x-www-form-urlencoded\r\n", sent)

    def test_data_may_be_bytes(self) -> None:
        self.assertTrue(self.asked("POST", data=b"abc").endswith(b"\r\n\r\nabc"))

    def test_files_are_sent_as_multipart(self) -> None:
        file = io.BytesIO(b"contents")
        sent = self.asked(
            "POST", data={"a": "b"}, files={"f": ("n.txt", file, "text/plain")}
        )
        self.assertIn(b"Content-Type: multipart/form-data; boundary=", sent)
        self.assertIn(b'name="a"\r\n\r\nb\r\n', sent)
        self.assertIn(b'filename="n.txt"', sent)
        self.assertIn(b"\r\n\r\ncontents\r\n", sent)

    def test_content_is_whatever_gives_bytes(self) -> None:
        async def pieces() -> Any:
            yield b"ab"
            yield b"c"

        for content in (
            b"abc",
            bytearray(b"abc"),
            memoryview(b"abc"),
            "abc",
            [b"a", b"bc"],
            iter([b"abc"]),
            io.BytesIO(b"abc"),
            pieces(),
            FileBodyProducer(io.BytesIO(b"abc"), _Cooperator()),
        ):
            deferred = self.client.post(URL, content=content)
            for _ in range(5):
                self.clock.advance(0)
            sent = self.peer.answer()
            self.assertEqual(self.result(deferred).status, 200)
            _, _, body = sent.partition(b"\r\n\r\n")
            if b"chunked" in sent:
                self.assertEqual(_unchunked(body), b"abc")
            else:
                self.assertIn(b"content-length: 3\r\n", sent)
                self.assertEqual(body, b"abc")

    def test_two_bodies_are_refused(self) -> None:
        twice: list[dict[str, Any]] = [
            {"json": 1, "content": b""},
            {"json": 1, "data": {}},
            {"content": b"", "data": {}},
            {"json": 1, "files": {}},
        ]
        for options in twice:
            self.error(self.client.post(URL, **options), ConfigurationError)

    def test_what_is_no_body_is_refused(self) -> None:
        self.error(self.client.post(URL, content=5), ConfigurationError)

    def test_framing_is_our_business(self) -> None:
        self.error(
            self.client.post(URL, headers={"Transfer-Encoding": "chunked"}),
            LocalProtocolError,
        )
        for length in ("x", "4"):
            self.error(
                self.client.post(
                    URL, content=b"abc", headers={"Content-Length": length}
                ),
                LocalProtocolError,
            )
        for headers in ({"Content-Length": "3"}, None):
            sent = self.asked("POST", content=b"abc", headers=headers)
            self.assertEqual(sent.lower().count(b"content-length: 3\r\n"), 1)

    def test_length_of_an_iterator_may_be_said(self) -> None:
        sent = self.asked(
            "POST", content=iter([b"abc"]), headers={"Content-Length": "3"}
        )
        self.assertIn(b"content-length: 3\r\n\r\nabc", sent)

    def test_nonsense_is_told_by_the_deferred(self) -> None:
        self.error(self.client.get("ftp://a/"), InvalidURL)
        self.error(self.client.get("/relative"), InvalidURL)
        self.error(self.client.get(URL, headers={"a": "b\r\nc: d"}), InvalidHeader)
        self.error(self.client.request("G T", URL), LocalProtocolError)
        self.error(self.client.get(URL, timeout=-1), ConfigurationError)
        wrong: Any = "me"
        self.error(self.client.get(URL, auth=wrong), ConfigurationError)

    def test_nonsense_of_the_client_is_told_at_once(self) -> None:
        senseless: list[dict[str, Any]] = [
            {"timeout": -1},
            {"timeout": "5"},
            {"base_url": "nowhere"},
            {"event_hooks": {"moment": []}},
            {"event_hooks": {"request": print}},
            {"retry_budget": -1},
            {"retries": "3"},
            {"retries": True},
            {"pool": 5},
            {"local_address": "localhost"},
            {"cookies": {"a": "b"}},
            {"auth": 5},
            {"proxy": "gopher://a"},
            {"uds": "/s", "proxy": "http://p"},
            {"verify": 5},
            {"headers": {"a": "\n"}},
        ]
        for options in senseless:
            with self.assertRaises((ConfigurationError, InvalidURL, InvalidHeader)):
                Client(**options)

    def test_plain_and_other_gets_of_a_url_are_alike(self) -> None:
        plain = self.client.get(URL)
        first = self.peer.answer()
        self.result(plain)
        again = self.client.get(URL)
        self.assertEqual(self.peer.answer(), first)
        self.result(again)
        self.assertEqual(self.asked(), first)

    def test_more_urls_than_are_remembered_are_no_problem(self) -> None:
        for number in range(1100):
            deferred = self.client.get(f"{URL}{number}")
            self.assertIn(b"GET /%d HTTP" % number, self.peer.answer())
            self.result(deferred)

    def test_userinfo_becomes_credentials_and_is_never_sent(self) -> None:
        deferred = self.client.get("http://me:secret@a.example/")
        sent = self.peer.answer()
        self.assertIn(b"Host: a.example\r\nAuthorization: Basic bWU6c2VjcmV0\r\n", sent)
        found = self.result(deferred)
        self.assertEqual(str(found.url), URL)
        self.assertNotIn("secret", repr(found) + repr(found.request))

    def test_timeouts_may_be_seconds_or_none(self) -> None:
        for timeout in (5, 5.5, None, Timeout(read=1)):
            deferred = self.client.get(URL, timeout=timeout)
            self.peer.answer()
            self.result(deferred)

    def test_elapsed_is_from_the_call_to_the_response(self) -> None:
        for params in (None, {"a": "b"}):
            deferred = self.get(params=params) if params else self.get()
            self.clock.rightNow += 0.5
            self.peer.answer()
            self.assertAlmostEqual(self.result(deferred).elapsed, 0.5)

    def test_policies_may_be_given_in_full(self) -> None:
        self.client = self.made(
            follow_redirects=RedirectPolicy.no_follow(),
            retries=RetryPolicy.aggressive(),
        )
        deferred = self.get()
        self.peer.answer(response(302, b"", "Location: /b"))
        self.assertEqual(self.result(deferred).status, 302)

    def test_jar_may_be_shared(self) -> None:
        jar = CookieJar()
        self.client = self.made(cookies=jar)
        self.assertIs(self.client.cookies, jar)

    def test_defaults_say_who_we_are(self) -> None:
        fields = self.fields()
        self.assertEqual(fields["user-agent"], f"httpx-tw/{httpx_tw.__version__}")
        self.assertEqual(fields["accept"], "*/*")
        self.assertIn("gzip", fields["accept-encoding"])

    def test_what_is_done_to_one_response_shows_in_no_other(self) -> None:
        found = []
        for _ in range(3):
            deferred = self.get()
            self.peer.answer()
            found.append(self.result(deferred))
            found[-1].headers.add("X-Mine", "1")
        for response_ in found:
            self.assertEqual(response_.headers.get_all("X-Mine"), ["1"])


class CookieTests(ClientTestCase):
    def test_cookies_are_kept_and_sent_back(self) -> None:
        deferred = self.get()
        self.peer.answer(
            response(200, b"", "Set-Cookie: a=b; Path=/", "Set-Cookie: c=d; Path=/x")
        )
        self.result(deferred)
        deferred = self.get()
        self.assertIn(b"\r\nCookie: a=b\r\n", self.peer.answer())
        self.result(deferred)

    def test_cookies_of_a_request_come_first(self) -> None:
        self.client.cookies.set("a", "b", domain="a.example")
        deferred = self.get(cookies={"e": "f"})
        self.assertIn(b"\r\nCookie: e=f; a=b\r\n", self.peer.answer())
        self.result(deferred)

    def test_cookie_field_of_the_caller_is_left_alone(self) -> None:
        self.client.cookies.set("a", "b", domain="a.example")
        deferred = self.get(headers={"Cookie": "x=y"})
        sent = self.peer.answer()
        self.assertIn(b"\r\nCookie: x=y\r\n", sent)
        self.assertEqual(sent.count(b"Cookie"), 1)
        self.result(deferred)

    def test_cookies_of_the_client_are_for_its_base_url(self) -> None:
        self.client = self.made(base_url=URL, cookies={"a": "b"})
        deferred = self.get("x")
        self.assertIn(b"\r\nCookie: a=b\r\n", self.peer.answer())
        self.result(deferred)
        deferred = self.get("http://b.example/")
        self.assertNotIn(b"Cookie", self.peer.answer())
        self.result(deferred)

    def test_cookies_of_streams_are_kept_too(self) -> None:
        deferred = self.client.request("GET", URL, stream=True)
        self.peer.answer(response(200, b"", "Set-Cookie: a=b"))
        self.result(deferred)
        self.assertEqual(self.client.cookies.get("a"), "b")


class StreamingTests(ClientTestCase):
    def test_block_closes_what_was_not_read(self) -> None:
        async def use() -> list[bytes]:
            pieces = []
            async with self.client.stream("GET", URL) as found:
                async for piece in found:
                    pieces.append(piece)
                    break
            return pieces

        running = Deferred.fromCoroutine(use())
        self.peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        self.assertEqual(self.result(running), [b"abc"])
        self.peer.send(b"defghij")
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_block_of_a_request_that_fails_is_not_entered(self) -> None:
        async def use() -> None:
            async with self.client.stream("GET", "nowhere"):
                raise AssertionError

        self.error(Deferred.fromCoroutine(use()), InvalidURL)

    def test_status_is_raised_on_demand(self) -> None:
        deferred = self.get()
        self.peer.answer(response(404, b"no"))
        found = self.result(deferred)
        self.assertTrue(found.is_error)
        with self.assertRaises(StatusError) as caught:
            found.raise_for_status()
        self.assertEqual(caught.exception.status, 404)
        self.assertIs(caught.exception.response, found)
        self.assertIn(URL, str(caught.exception))


class ExchangeTests(ClientTestCase):
    """Seen from inside: what is over stays over."""

    def test_failing_twice_is_fine(self) -> None:
        deferred = self.get()
        exchange = self.peer.connection.exchange
        assert isinstance(exchange, Exchange)
        self.peer.answer()
        self.result(deferred)
        exchange.failed(ValueError("late"))
        deferred.cancel()
        self.assertEqual(self.client.pool.stats().idle, 1)


class _Cooperator:
    """Runs a task at once."""

    def cooperate(self, iterator: Any) -> Any:
        return _Task(iterator)


class _Task:
    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def whenDone(self) -> Deferred[Any]:  # noqa: N802  # Twisted calls it
        for _ in self._iterator:
            pass
        done: Deferred[Any] = Deferred()
        done.callback(None)
        return done

    def pause(self) -> None:
        pass

    resume = stop = pause


def _unchunked(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        count = int(size, 16)
        pieces.append(rest[:count])
        body = rest[count + 2 :]
    return b"".join(pieces)
