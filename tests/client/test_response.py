"""Responses as callers see them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.body import ResponseBody
from httpx_tw.client.outgoing import OutgoingRequest
from httpx_tw.client.pool_facts import PoolKey
from httpx_tw.client.response import ClientResponse, ConnectionFacts
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import BodyNotRead, StatusError
from httpx_tw.protocol.events import ResponseHead

FACTS = ConnectionFacts(peer=("192.0.2.2", 80), local=None, tls=None)
REQUEST = OutgoingRequest(
    "GET",
    parse_url("http://a.example/"),
    [],
    key=PoolKey("http", "a.example", 80),
    limit=1000,
)


class Link:
    """A connection nobody needs to hear of."""

    def body_wanted(self) -> None:
        pass

    body_sated = body_dropped = body_wanted


def found(
    body: bytes | None = b"", status: int = 200, *fields: tuple[bytes, bytes]
) -> ClientResponse:
    head = ResponseHead(status, "Reason", list(fields))
    return ClientResponse(head, REQUEST, FACTS, body)


def typed(body: bytes, content_type: bytes) -> ClientResponse:
    return found(body, 200, (b"Content-Type", content_type))


class HeadTests(SynchronousTestCase):
    def test_head_is_what_came(self) -> None:
        response = found(b"", 404, (b"A", b"b"), (b"a", b"c"))
        self.assertEqual((response.status, response.reason), (404, "Reason"))
        self.assertEqual(response.http_version, "HTTP/1.1")
        self.assertEqual(response.headers["a"], "b, c")
        self.assertIs(response.headers, response.headers)
        self.assertEqual(str(response.url), "http://a.example/")
        self.assertEqual(repr(response), "<ClientResponse 404 http://a.example/>")

    def test_status_has_its_questions(self) -> None:
        for status, answers in (
            (200, (True, False, False)),
            (302, (False, True, False)),
            (404, (False, False, True)),
            (503, (False, False, True)),
        ):
            response = found(b"", status, (b"Location", b"/"))
            self.assertEqual(
                (response.is_success, response.is_redirect, response.is_error), answers
            )
        self.assertFalse(found(b"", 302).is_redirect)

    def test_bad_status_raises_on_demand(self) -> None:
        for status in (200, 302):
            response = found(b"", status)
            self.assertIs(response.raise_for_status(), response)
        for status in (400, 503):
            with self.assertRaises(StatusError) as caught:
                found(b"", status).raise_for_status()
            self.assertEqual(caught.exception.status, status)


class BodyTests(SynchronousTestCase):
    def coming(self) -> ClientResponse:
        response = found(None)
        response.stream = ResponseBody(Link())
        return response

    def pieces(self, response: ClientResponse, lines: str = "") -> list[Any]:
        async def collect() -> list[Any]:
            source = getattr(response, lines)() if lines else response
            return [piece async for piece in source]

        return list(self.successResultOf(Deferred.fromCoroutine(collect())))

    def test_body_that_was_read_is_there(self) -> None:
        response = found(b"hello")
        self.assertEqual(response.body, b"hello")
        self.assertEqual(self.successResultOf(response.read()), b"hello")
        self.assertEqual(self.pieces(response), [b"hello"])
        self.assertEqual(self.pieces(found(b"")), [])
        response.close()

    def test_body_on_its_way_has_to_be_read(self) -> None:
        response = self.coming()
        with self.assertRaises(BodyNotRead):
            response.text()
        reading = response.read()
        assert response.stream is not None
        response.stream.feed(b"hello")
        response.stream.finish([])
        self.assertEqual(self.successResultOf(reading), b"hello")
        self.assertEqual(response.text(), "hello")

    def test_pieces_are_taken_from_the_stream(self) -> None:
        response = self.coming()
        assert response.stream is not None
        response.stream.feed(b"a")
        response.stream.feed(b"b")
        response.stream.finish([])
        self.assertEqual(self.pieces(response), [b"a", b"b"])

    def test_block_closes_it(self) -> None:
        response = self.coming()

        async def use() -> None:
            async with response:
                pass

        self.successResultOf(Deferred.fromCoroutine(use()))
        assert response.stream is not None
        self.assertIsNotNone(response.stream.error)

    def test_text_is_in_the_charset_that_is_said(self) -> None:
        for body, content_type, text in (
            ("é".encode(), b"text/plain", "é"),
            (b"\xe9", b"text/plain; charset=iso-8859-1", "é"),
            (b"\xe9", b'text/plain; a=b; CharSet="Latin-1"', "é"),
            ("é".encode(), b"text/plain; charset=unheard-of", "é"),
            ("é".encode(), b"text/plain; charset=rot13", "é"),
            ("é".encode(), b"text/plain; charset=punycode", "é"),
            (b"a\xff", b"text/plain", "a\ufffd"),
        ):
            self.assertEqual(typed(body, content_type).text(), text)
        self.assertEqual(found(b"\xe9").text("latin-1"), "é")

    def test_json_is_json(self) -> None:
        self.assertEqual(found('{"a":"é"}'.encode()).json(), {"a": "é"})
        with self.assertRaises(ValueError):
            found(b"{").json()

    def test_text_comes_in_whole_characters(self) -> None:
        response = self.coming()
        assert response.stream is not None
        for byte in "aé€".encode():
            response.stream.feed(bytes([byte]))
        response.stream.feed(b"\xe2")
        response.stream.finish([])
        self.assertEqual("".join(self.pieces(response, "iter_text")), "aé€\ufffd")

    def test_lines_come_without_their_ends(self) -> None:
        for body, lines in (
            (b"a\nb\r\n\nc", ["a", "b", "", "c"]),
            (b"a\n", ["a"]),
            (b"", []),
            (b"a\r", ["a"]),
            (b"a\rb\n", ["a\rb"]),
        ):
            for size in (1, 2, 100):
                response = self.coming()
                assert response.stream is not None
                for start in range(0, len(body), size):
                    response.stream.feed(body[start : start + size])
                response.stream.finish([])
                self.assertEqual(self.pieces(response, "iter_lines"), lines)
