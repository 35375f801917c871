"""Responses: what they hold, and what can never get into their headers."""

from __future__ import annotations

import contextlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from httpx_tw.app.response import Response, to_response
from httpx_tw.errors import InvalidHeader, LocalProtocolError
from httpx_tw.headers import Headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from twisted.internet.interfaces import IConsumer

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"


@implementer(IBodyProducer)
class Producer:
    def __init__(self, length: Any) -> None:
        self.length = length

    def startProducing(  # noqa: N802  Twisted calls it
        self, consumer: IConsumer
    ) -> Deferred[None]:
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing to pause."""

    def resumeProducing(self) -> None:
        """Nothing to resume."""

    def stopProducing(self) -> None:
        """Nothing to stop."""


class ConstructorTests(SynchronousTestCase):
    def test_the_type_follows_the_body(self) -> None:
        for response, body, kind in (
            (Response("é"), "é".encode(), TEXT),
            (Response(b"x"), b"x", BINARY),
            (Response(bytearray(b"x")), b"x", BINARY),
            (Response(memoryview(b"x")), b"x", BINARY),
            (Response(), b"", None),
            (Response("<p>", content_type="text/html"), b"<p>", "text/html"),
            (Response("a", headers={"Content-Type": "a/b"}), b"a", "a/b"),
            (Response("a", 200, {"content-type": "a/b"}, "c/d"), b"a", "c/d"),
            (Response("a", headers={"X": "y"}), b"a", TEXT),
            (Response.text("x"), b"x", TEXT),
            (Response.html("x"), b"x", "text/html; charset=utf-8"),
            (
                Response.json({"é": [1, None]}),
                '{"é":[1,null]}'.encode(),
                "application/json",
            ),
            (Response.empty(), b"", None),
        ):
            self.assertEqual(response.body, body)
            self.assertIs(type(response.body), bytes)
            self.assertEqual(response.headers.get("content-type"), kind)

    def test_one_response_shares_nothing_with_the_next(self) -> None:
        Response.text("x").headers.set("Content-Type", "a/b")
        self.assertEqual(Response.text("x").headers["content-type"], TEXT)

    def test_a_status_is_a_final_one(self) -> None:
        self.assertEqual(Response(status=HTTPStatus.IM_A_TEAPOT).status, 418)
        for status in (0, 99, 100, 101, 199, 600, -1, True, "200", None, 200.5):
            with self.assertRaises(ValueError, msg=repr(status)):
                Response(status=status)  # type: ignore[arg-type]

    def test_no_body_where_http_has_none(self) -> None:
        for status in (204, 205, 304):
            with self.assertRaises(LocalProtocolError):
                Response(b"x", status)
            with self.assertRaises(LocalProtocolError):
                Response.stream([b"x"], status)

    def test_json_is_what_the_rfc_calls_json(self) -> None:
        for value in (float("nan"), float("inf")):
            with self.assertRaises(ValueError):
                Response.json(value)
        with self.assertRaises(TypeError):
            Response.json({1, 2})
        self.assertEqual(Response.json("\ud800").body, b'"\\ud800"')

    def test_a_body_that_is_no_body_is_named(self) -> None:
        bodies: list[Any] = [{}, [], None, 1, iter([b"x"])]
        for body in bodies:
            with self.assertRaisesRegex(TypeError, "Response.json"):
                Response(body)

    def test_the_representation_is_short(self) -> None:
        self.assertEqual(repr(Response("abc")), "<Response 200 3>")
        self.assertEqual(repr(Response.stream([])), "<Response 200 stream>")


class StreamTests(SynchronousTestCase):
    def test_pieces_are_kept_as_they_are(self) -> None:
        pieces: list[bytes | str] = [b"a", "b"]
        response = Response.stream(pieces, content_type="text/csv", content_length=2)
        self.assertIs(response.body, pieces)
        self.assertEqual(response.content_length, 2)
        self.assertEqual(response.headers["content-type"], "text/csv")

    def test_a_producer_knows_its_length(self) -> None:
        self.assertEqual(Response.stream(Producer(7)).content_length, 7)
        self.assertEqual(
            Response.stream(Producer(7), content_length=5).content_length, 5
        )
        self.assertIsNone(Response.stream(Producer(UNKNOWN_LENGTH)).content_length)

    def test_what_is_no_stream_is_refused(self) -> None:
        for pieces in (b"x", "x", bytearray(b"x"), None, 1):
            with self.assertRaises(TypeError):
                Response.stream(pieces)  # type: ignore[arg-type]
        with self.assertRaises(ValueError):
            Response.stream([], content_length=-1)


class RedirectTests(SynchronousTestCase):
    def test_the_location_is_a_clean_url(self) -> None:
        for url, location in (
            ("/a b?q=é#f", "/a%20b?q=%C3%A9#f"),
            ("https://[::1]:8080/x%2Fy", "https://[::1]:8080/x%2Fy"),
            ("../x", "../x"),
            ("/100%", "/100%25"),
            ("/a\r\nX: y\0", "/a%0D%0AX:%20y%00"),
            ("/\\evil", "/%5Cevil"),
        ):
            self.assertEqual(Response.redirect(url).headers["location"], location)

    def test_only_redirects_redirect(self) -> None:
        for status in (301, 302, 303, 307, 308):
            self.assertEqual(Response.redirect("/", status).status, status)
        for status in (200, 300, 304, 306, 404):
            with self.assertRaises(ValueError):
                Response.redirect("/", status)
        with self.assertRaises(ValueError):
            Response.redirect("")

    @given(st.text(min_size=1))
    def test_nothing_breaks_out_of_location(self, url: str) -> None:
        try:
            raw = Response.redirect(url).headers.raw
        except ValueError:  # a lone surrogate
            return
        self.assertRegex(raw[0][1], rb"\A[!-~]+\Z")


class FramingTests(SynchronousTestCase):
    def test_what_frames_the_message_is_the_servers(self) -> None:
        for name, value in (
            ("Content-Length", "1"),
            ("transfer-ENCODING", "chunked"),
            (b"Content-Length", b"1"),
            ("Connection", "keep-alive"),
            ("Keep-Alive", "timeout=5"),
            ("Upgrade", "h2c"),
            ("Date", "now"),
            ("Trailer", "X"),
        ):
            response = Response()
            with self.assertRaises(LocalProtocolError):
                Response(headers=[(name, value)])
            for refuse in (
                response.headers.add,
                response.headers.set,
                response.headers.setdefault,
                response.headers.__setitem__,
            ):
                with self.assertRaises(LocalProtocolError):
                    refuse(name, value)
            self.assertEqual(response.headers.raw, [])

    def test_headers_may_come_as_headers_and_be_taken_away(self) -> None:
        response = Response(headers=Headers({"X-A": "1", "X-B": "2"}))
        response.headers.remove("x-a")
        self.assertEqual(response.headers.raw, [(b"X-B", b"2")])
        with self.assertRaises(LocalProtocolError):
            Response(headers=Headers({"Content-Length": "1"}))

    def test_the_connection_may_be_closed(self) -> None:
        response = Response(headers={"connection": "Close"})
        self.assertTrue(response.headers.closes)
        self.assertEqual(response.headers.raw, [])
        response.headers.remove("Connection")
        self.assertFalse(response.headers.closes)
        response.headers["Connection"] = "close"
        self.assertTrue(response.headers.closes)

    @given(st.text(), st.text())
    def test_no_line_break_ever_gets_into_a_header(self, name: str, value: str) -> None:
        response = Response("x")
        for attempt in (
            lambda: response.headers.add(name, value),
            lambda: response.headers.set("X-" + name, value),
            lambda: response.set_cookie(name, value),
            lambda: response.set_cookie("a", "b", path="/" + value, domain=name),
            lambda: response.headers.raw.extend(
                Response("x", content_type=value).headers.raw
            ),
            lambda: response.headers.raw.extend(
                Response(headers={name: value}).headers.raw
            ),
        ):
            with contextlib.suppress(InvalidHeader, LocalProtocolError):
                attempt()
        for pair in response.headers.raw:
            for part in pair:
                self.assertIsNone(re.search(rb"[\r\n\0]", part))


class ResultTests(SynchronousTestCase):
    def test_what_endpoints_return_becomes_a_response(self) -> None:
        for result, status, body, kind in (
            ("x", 200, b"x", TEXT),
            (b"x", 200, b"x", BINARY),
            (bytearray(b"x"), 200, b"x", BINARY),
            ({"a": 1}, 200, b'{"a":1}', "application/json"),
            ([1], 200, b"[1]", "application/json"),
            (None, 204, b"", None),
        ):
            response = to_response(result)
            self.assertEqual((response.status, response.body), (status, body))
            self.assertEqual(response.headers.get("content-type"), kind)

    def test_a_response_stays_itself(self) -> None:
        response = Response()
        self.assertIs(to_response(response), response)

    def test_generators_of_both_kinds_are_streams(self) -> None:
        def plain() -> Iterator[str]:
            yield "a"

        async def waiting() -> AsyncIterator[bytes]:
            yield b"a"

        for stream in (plain(), waiting(), iter([b"a"])):
            response = to_response(stream)
            self.assertIs(response.body, stream)
            self.assertIsNone(response.content_length)
            self.assertEqual(response.headers["content-type"], BINARY)

    def test_everything_else_is_named(self) -> None:
        for result in (1, True, 1.5, ("x", 200), {1}, object(), range(2)):
            with self.assertRaisesRegex(TypeError, type(result).__name__):
                to_response(result)
