"""Requests that are ready: their heads, and whether they may be sent again."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.content import as_content
from httpx_tw.client.outgoing import OutgoingRequest
from httpx_tw.client.pool_facts import PoolKey
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import LocalProtocolError

KEY = PoolKey("http", "a.example", 80)


def request(method: str = "GET", *fields: tuple[bytes, bytes], **options: Any) -> Any:
    url = parse_url("http://me:secret@a.example/x")
    return OutgoingRequest(method, url, list(fields), key=KEY, limit=0, **options)


class OutgoingTests(SynchronousTestCase):
    def test_head_is_made_once(self) -> None:
        made = request("GET", (b"Host", b"a.example"))
        self.assertEqual(made.head, b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")

    def test_head_says_how_long_the_body_is(self) -> None:
        for content, framing in (
            (b"abc", b"content-length: 3"),
            (iter([b"abc"]), b"transfer-encoding: chunked"),
            (b"", b"content-length: 0"),
        ):
            made = request("POST", content=as_content(content))
            self.assertIn(framing, made.head)
        self.assertIn(b"content-length: 0", request("POST").head)

    def test_target_may_be_another(self) -> None:
        made = request(target="http://a.example/x")
        self.assertTrue(made.head.startswith(b"GET http://a.example/x HTTP/1.1\r\n"))

    def test_methods_must_be_tokens(self) -> None:
        for method in ("", "G T", "GET\r\n", "é"):
            with self.assertRaises(LocalProtocolError):
                request(method)

    def test_some_may_be_sent_twice(self) -> None:
        self.assertTrue(request("PUT").is_idempotent)
        self.assertFalse(request("POST").is_idempotent)
        self.assertTrue(request("POST", (b"Idempotency-Key", b"1")).is_idempotent)
        self.assertTrue(request("POST").can_replay)
        self.assertTrue(request("POST", content=as_content(b"a")).can_replay)
        once = as_content(iter([b"a"]))
        self.assertTrue(request("POST", content=once).can_replay)
        once.open()
        self.assertFalse(request("POST", content=once).can_replay)

    def test_only_a_body_is_waited_for(self) -> None:
        expect = (b"expect", b"100-Continue")
        self.assertFalse(request("PUT", expect).expects_continue)
        body = as_content(b"a")
        self.assertTrue(request("PUT", expect, content=body).expects_continue)
        other = (b"Expect", b"something-else")
        self.assertFalse(request("PUT", other, content=body).expects_continue)

    def test_repr_shows_no_password(self) -> None:
        self.assertEqual(repr(request()), "<OutgoingRequest GET http://a.example/x>")
