"""Cookies, read from anybody and written by the book."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.cookies import CookieAttributes, parse_cookies, set_cookie_line
from httpx_tw.app.response import Response
from httpx_tw.errors import InvalidHeader


def line(name: str, value: str, **attributes: Any) -> str:
    return set_cookie_line(name, value, CookieAttributes(**attributes))


class ReadingTests(SynchronousTestCase):
    def test_pairs_are_found_among_anything(self) -> None:
        cookies = parse_cookies(['a=1; b="two"; junk; =x; c=d=e;;  f = g ', "a=2; h="])
        self.assertEqual(cookies, {"a": "1", "b": "two", "c": "d=e", "f": "g", "h": ""})

    @given(st.lists(st.text()))
    def test_no_field_is_refused(self, fields: list[str]) -> None:
        for name, value in parse_cookies(fields).items():
            self.assertTrue(name)
            self.assertNotIn(";", name + value)


class WritingTests(SynchronousTestCase):
    def test_the_defaults_are_safe(self) -> None:
        self.assertEqual(line("a", "1"), "a=1; Path=/; HttpOnly; SameSite=Lax")

    def test_every_attribute_is_written(self) -> None:
        written = line(
            "a",
            "1",
            max_age=5,
            expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
            path="/x",
            domain=".example.com",
            secure=True,
            http_only=False,
            same_site="None",
        )
        self.assertEqual(
            written,
            "a=1; Max-Age=5; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Path=/x;"
            " Domain=example.com; Secure; SameSite=None",
        )
        self.assertEqual(
            line("a", "", path=None, http_only=False, same_site=None), "a="
        )

    def test_what_browsers_drop_or_misread_is_refused(self) -> None:
        for name, value, attributes in (
            ("", "1", {}),
            ("a b", "1", {}),
            ("a;b", "1", {}),
            ("é", "1", {}),
            ("a", "1;2", {}),
            ("a", "1 2", {}),
            ("a", '"1"', {}),
            ("a", "1,2", {}),
            ("a", "a\\b", {}),
            ("a", "\r\n", {}),
            ("a", "é", {}),
            ("a", "1", {"path": "x"}),
            ("a", "1", {"path": "/;Domain=x"}),
            ("a", "1", {"path": "/\r\n"}),
            ("a", "1", {"domain": "a;b"}),
            ("a", "1", {"domain": ""}),
            ("a", "1", {"same_site": "None"}),
            ("a", "1", {"same_site": "lax; Secure"}),
            ("a", "1", {"expires": datetime(2030, 1, 1)}),  # noqa: DTZ001  the point
            ("__Secure-a", "1", {}),
            ("__Host-a", "1", {"secure": True, "path": "/x"}),
            ("__Host-a", "1", {"secure": True, "domain": "example.com"}),
        ):
            with self.assertRaises(InvalidHeader, msg=repr((name, value, attributes))):
                line(name, value, **attributes)

    @given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
    def test_what_is_written_is_read_back(
        self, name: str, value: str, path: str
    ) -> None:
        try:
            written = line(name, value, path=path)
        except InvalidHeader:
            return
        self.assertEqual(written.count(";"), 3)
        self.assertEqual(parse_cookies([written])[name], value)

    def test_a_response_sets_and_deletes(self) -> None:
        response = Response()
        response.set_cookie("a", "1", max_age=60)
        response.delete_cookie("b", path="/x")
        response.delete_cookie("__Host-c")
        self.assertEqual(
            response.headers.get_all("set-cookie"),
            [
                "a=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
                "b=; Max-Age=0; Path=/x; HttpOnly; SameSite=Lax",
                "__Host-c=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
            ],
        )
