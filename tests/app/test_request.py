"""Requests: what the application can ask of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.body import RequestBody
from httpx_tw.app.query import MAX_FIELDS, QueryParams
from httpx_tw.app.router import Router
from httpx_tw.errors import BodyNotRead, BodyTooLarge, HTTPError
from tests.app.fakes import FakeLink, make_request


class HeadTests(SynchronousTestCase):
    def test_it_tells_what_was_asked(self) -> None:
        request = make_request("/a%20b?x=1", "POST", {"Host": "example.com:8080"})
        self.assertEqual(request.method, "POST")
        self.assertEqual(request.target, "/a%20b?x=1")
        self.assertEqual(request.query_string, "x=1")
        self.assertEqual(request.http_version, "1.1")
        self.assertEqual(request.scheme, "http")
        self.assertFalse(request.is_secure)
        self.assertEqual(request.client, ("192.0.2.1", 40000))
        self.assertEqual(request.host, "example.com:8080")
        self.assertEqual(request.url, "http://example.com:8080/a%20b?x=1")
        self.assertEqual(repr(request), "<Request POST /a%20b?x=1>")
        request.head.is_http11 = False
        self.assertEqual(request.http_version, "1.0")

    def test_an_absolute_target_goes_before_host(self) -> None:
        request = make_request("http://a.example/x?y", headers={"Host": "b.example"})
        self.assertEqual(request.host, "a.example")
        self.assertEqual(request.url, "http://a.example/x?y")

    def test_a_url_within_the_query_is_no_host(self) -> None:
        request = make_request("/x?to=http://evil/", headers={"Host": "a"})
        self.assertEqual(request.host, "a")

    def test_the_url_makes_do_without_host_or_path(self) -> None:
        self.assertEqual(make_request("/x").url, "/x")
        self.assertEqual(make_request("*", "OPTIONS", {"Host": "a"}).url, "http://a")

    def test_what_the_body_is_said_to_be(self) -> None:
        request = make_request(
            headers={
                "Content-Type": 'Text/HTML; charset="UTF-8"',
                "Content-Length": "3",
            }
        )
        self.assertEqual(request.content_type, "text/html")
        self.assertEqual(request.charset, "utf-8")
        self.assertEqual(request.content_length, 3)
        bare = make_request()
        self.assertIsNone(bare.content_type)
        self.assertIsNone(bare.charset)
        self.assertIsNone(bare.content_length)

    def test_what_is_derived_is_made_once(self) -> None:
        request = make_request("/?a=1", headers={"Cookie": "b=2"})
        for name in ("headers", "query", "cookies", "state"):
            self.assertIs(getattr(request, name), getattr(request, name))
        self.assertEqual(request.cookies, {"b": "2"})
        request.state["user"] = "me"
        self.assertEqual(request.state, {"user": "me"})

    def test_urls_are_built_by_its_own_router(self) -> None:
        router = Router()
        router.add("/users/{id:int}", ["GET"], lambda _: "", name="user")
        request = make_request("/users/7", finder=router)
        self.assertEqual(request.path_params, {"id": 7})
        self.assertEqual(request.url_for("user", id=8), "/users/8")


class QueryTests(SynchronousTestCase):
    def test_a_name_may_have_several_values(self) -> None:
        query = make_request("/?a=1&b=x+y&a=%C3%A9&flag&=none&&c=1=2").query
        self.assertEqual(query["a"], "1")
        self.assertEqual(query.get("a"), "1")
        self.assertEqual(query.get_all("a"), ["1", "é"])
        self.assertEqual(query.get("b"), "x y")
        self.assertEqual(query.get("flag"), "")
        self.assertEqual(query.get(""), "none")
        self.assertEqual(query.get("c"), "1=2")
        self.assertEqual(query.get("z", 5), 5)
        self.assertEqual(query.get_all("z"), [])
        self.assertEqual(list(query), ["a", "b", "flag", "", "c"])
        self.assertEqual(len(query), 5)
        self.assertEqual(len(query.items()), 6)
        self.assertIn("a", query)
        self.assertNotIn("z", query)
        with self.assertRaises(KeyError):
            query["z"]

    def test_it_is_compared_by_value(self) -> None:
        self.assertEqual(QueryParams("a=%61"), QueryParams("a=a"))
        self.assertNotEqual(QueryParams("a"), "a")
        self.assertEqual(repr(QueryParams("a=1")), "QueryParams([('a', '1')])")

    def test_bad_escapes_stay_as_they_are(self) -> None:
        self.assertEqual(
            QueryParams("a=%zz%&b=%ff").items(), [("a", "%zz%"), ("b", "\ufffd")]
        )

    def test_the_number_of_fields_is_bounded(self) -> None:
        self.assertEqual(len(QueryParams("a&" * (MAX_FIELDS - 1)).get_all("a")), 999)
        with self.assertRaises(HTTPError) as caught:
            QueryParams("&" * MAX_FIELDS)
        self.assertEqual(caught.exception.status, 400)

    @given(st.text())
    def test_any_string_is_a_query(self, text: str) -> None:
        for name, value in QueryParams(text).items():
            self.assertIn(value, QueryParams(text).get_all(name))


class BodyTests(SynchronousTestCase):
    def read(self, request: Any, limit: int | None = None) -> Deferred[bytes]:
        return Deferred.fromCoroutine(request.read(limit))

    def test_a_body_that_is_there_can_be_had_in_every_way(self) -> None:
        request = make_request(body="é".encode())
        self.assertEqual(request.body, "é".encode())
        self.assertEqual(request.text(), "é")
        self.assertEqual(self.successResultOf(self.read(request)), "é".encode())
        self.failureResultOf(self.read(request, 1), BodyTooLarge)
        self.assertEqual(request.trailers, [])

        async def pieces() -> list[bytes]:
            return [piece async for piece in request]

        for body, expected in (("é".encode(), ["é".encode()]), (b"", [])):
            request.give_body(body)
            streaming = Deferred.fromCoroutine(pieces())
            self.assertEqual(self.successResultOf(streaming), expected)

    def test_a_body_on_its_way_must_be_read_first(self) -> None:
        body = RequestBody(FakeLink(), 0)
        request = make_request(body=body)
        with self.assertRaisesRegex(BodyNotRead, r"await request\.read\(\)"):
            request.body  # noqa: B018  asking is the point
        with self.assertRaises(BodyNotRead):
            request.json()
        reading = self.read(request)
        body.feed(b"[1]")
        body.finish([(b"X", b"y")])
        self.assertEqual(self.successResultOf(reading), b"[1]")
        self.assertEqual(request.json(), [1])
        self.assertEqual(request.trailers, [(b"X", b"y")])

    def test_a_body_on_its_way_can_be_streamed(self) -> None:
        body = RequestBody(FakeLink(), 0)
        request = make_request(body=body)

        async def pieces() -> list[bytes]:
            return [piece async for piece in request]

        body.feed(b"a")
        body.finish([])
        streaming = Deferred.fromCoroutine(pieces())
        self.assertEqual(self.successResultOf(streaming), [b"a"])

    def test_text_is_in_its_charset(self) -> None:
        headers = {"Content-Type": "text/plain; charset=ISO-8859-1"}
        request = make_request(headers=headers, body=b"\xe9")
        self.assertEqual(request.text(), "é")
        with self.assertRaises(HTTPError) as caught:
            request.text("utf-8")
        self.assertEqual(caught.exception.status, 400)

    def test_a_charset_that_is_no_text_is_refused(self) -> None:
        for charset in ("idna", "utf-7", "unicode_escape", "zip", "nope"):
            headers = {"Content-Type": f"text/plain; charset={charset}"}
            with self.assertRaises(HTTPError) as caught:
                make_request(headers=headers, body=b"x").text()
            self.assertEqual(caught.exception.status, 415)

    def test_what_is_no_json_is_a_bad_request_that_quotes_nothing(self) -> None:
        for body in (
            b"",
            b"{secret",
            b"NaN",
            b"[-Infinity]",
            b"\xff",
            b"[" * 100_000,
            b"1" * 5000,
            '"x"'.encode("utf-16"),
        ):
            with self.assertRaises(HTTPError) as caught:
                make_request(body=body).json()
            self.assertEqual(caught.exception.status, 400)
            self.assertNotIn("secret", str(caught.exception))

    def test_json_may_begin_with_a_byte_order_mark(self) -> None:
        self.assertEqual(make_request(body=b'\xef\xbb\xbf{"a":1}').json(), {"a": 1})
