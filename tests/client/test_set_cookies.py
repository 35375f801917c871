"""Set-Cookie fields, of all kinds that there are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.set_cookies import MAX_AGE, MAX_COOKIE_SIZE, parse_set_cookie

NOW = 1_800_000_000.0


def read(field: str) -> Any:
    return parse_set_cookie(field, NOW)


class PairTests(SynchronousTestCase):
    def test_a_pair_is_split_at_the_first_equals_sign(self) -> None:
        for field, name, value in (
            ("a=b", "a", "b"),
            ("a=b=c", "a", "b=c"),
            (" a\t = b c ;", "a", "b c"),
            ("a=", "a", ""),
            ('a="b"', "a", '"b"'),
            ("a=b,c=d", "a", "b,c=d"),
            ("a=\xe9", "a", "\xe9"),
            ("a b=c", "a b", "c"),
        ):
            cookie = read(field)
            self.assertEqual((cookie.name, cookie.value), (name, value))

    def test_what_has_no_name_is_ignored(self) -> None:
        for field in ("", ";", "a", "=a", " =a", "; a=b", "a; b=c"):
            self.assertIsNone(read(field))

    def test_control_characters_make_it_worthless(self) -> None:
        for character in "\x00\x01\r\n\x1f\x7f":
            for field in (f"a{character}=b", f"a=b{character}", f"a=b; x={character}"):
                self.assertIsNone(read(field))
        self.assertEqual(read("a=b\tc").value, "b\tc")

    def test_a_cookie_is_not_large(self) -> None:
        self.assertIsNotNone(read("a=" + "b" * (MAX_COOKIE_SIZE - 1)))
        self.assertIsNone(read("a=" + "b" * MAX_COOKIE_SIZE))


class AttributeTests(SynchronousTestCase):
    def test_without_attributes_nothing_is_assumed(self) -> None:
        cookie = read("a=b")
        self.assertEqual(
            (cookie.expires, cookie.domain, cookie.path), (None, None, None)
        )
        self.assertFalse(cookie.secure or cookie.http_only)

    def test_attributes_are_read_in_any_case(self) -> None:
        cookie = read("a=b; DOMAIN=.Example.COM ;Path = /x; secure; HttpOnly=yes")
        self.assertEqual((cookie.domain, cookie.path), ("example.com", "/x"))
        self.assertTrue(cookie.secure and cookie.http_only)

    def test_the_last_of_two_counts(self) -> None:
        cookie = read("a=b; Path=/x; Path=/y; Domain=x.example; Domain=y.example")
        self.assertEqual((cookie.path, cookie.domain), ("/y", "y.example"))
        self.assertIsNone(read("a=b; Path=/x; Path=y").path)
        self.assertIsNone(read("a=b; Domain=x.example; Domain=").domain)

    def test_others_are_ignored(self) -> None:
        cookie = read("a=b; SameSite=Strict; Partitioned; x; =; ;=y; Secure2")
        self.assertEqual(cookie, read("a=b"))

    def test_an_endless_attribute_is_ignored(self) -> None:
        self.assertIsNone(read("a=b; Path=/" + "x" * 1024).path)
        self.assertEqual(read("a=b; Path=/" + "x" * 1023).path, "/" + "x" * 1023)
        self.assertIsNone(read("a=b; Max-Age=" + "9" * 1025).expires)


class AgeTests(SynchronousTestCase):
    def expires(self, attributes: str) -> float | None:
        expires: float | None = read(f"a=b; {attributes}").expires
        return expires

    def test_max_age_is_seconds_from_now(self) -> None:
        self.assertEqual(self.expires("Max-Age=60"), NOW + 60)
        self.assertEqual(self.expires("Max-Age=060"), NOW + 60)

    def test_no_age_is_in_the_past(self) -> None:
        for age in ("0", "-1", "-0", "-99999999999999999999"):
            self.assertEqual(self.expires(f"Max-Age={age}"), 0)

    def test_max_age_outranks_expires(self) -> None:
        future = "Expires=Wed, 01 Jan 2031 00:00:00 GMT"
        self.assertEqual(self.expires(f"Max-Age=60; {future}"), NOW + 60)
        self.assertEqual(self.expires(f"{future}; Max-Age=0"), 0)

    def test_what_is_no_number_is_ignored(self) -> None:
        for age in ("", "+1", "1.5", "1e3", "x", "--1", "-", "\xb2", "1 2"):
            self.assertIsNone(self.expires(f"Max-Age={age}"))
        self.assertEqual(self.expires("Max-Age=60; Max-Age=x"), NOW + 60)

    def test_expires_is_a_date(self) -> None:
        self.assertEqual(self.expires("Expires=Fri, 15 Jan 2027 08:00:01 GMT"), NOW + 1)
        self.assertEqual(self.expires("Expires=Thu, 01-Jan-70 00:00:01 GMT"), 1)
        self.assertIsNone(self.expires("Expires=tomorrow"))

    def test_nothing_is_kept_for_years(self) -> None:
        for attributes in (
            "Max-Age=99999999",
            "Max-Age=" + "9" * 1000,
            "Expires=Fri, 31 Dec 9999 23:59:59 GMT",
        ):
            self.assertEqual(self.expires(attributes), NOW + MAX_AGE)


class PropertyTests(SynchronousTestCase):
    @given(st.text(st.characters(max_codepoint=255)))
    def test_any_field_is_a_cookie_or_ignored(self, field: str) -> None:
        cookie = read(field)
        if cookie is not None:
            self.assertFalse({"\r", "\n", "\0", ";"} & set(cookie.name + cookie.value))
