"""Tests of header fields, against a naive model of them."""

from __future__ import annotations

from typing import Any, assert_type

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import InvalidHeader
from httpx_tw.headers import Headers, checked_name, checked_value

BAD_VALUES = (
    *("a\r\nb", "a\rb", "a\nb", "a\x00b", "\r\n", "a\n", "\na", "a\x7f", "\x1b[0m"),
    *(" a", "a ", "\ta", "a\t", " ", "\x0b", "\x85\n"),
)
BAD_NAMES = ("", " ", "a b", "a:", ":", "a\r\n", "a\n", "\x00", "é", "a(", "ш", "\x7f")


class CheckedTests(SynchronousTestCase):
    def test_name_is_a_token(self) -> None:
        self.assertEqual(checked_name("X-A_b.1"), b"X-A_b.1")
        self.assertEqual(checked_name(b"x"), b"x")
        for name in BAD_NAMES:
            self.assertRaises(InvalidHeader, checked_name, name)
        self.assertRaises(InvalidHeader, checked_name, b"\xe9")

    def test_value_is_visible_with_whitespace_inside(self) -> None:
        for value in ("", "a", "a b", "a\tb", "a: b", "é", "!~"):
            self.assertEqual(checked_value(value), value.encode("latin-1"))
        self.assertEqual(checked_value(b"a\xff"), b"a\xff")

    def test_value_beyond_latin_1_is_utf_8(self) -> None:
        self.assertEqual(checked_value("€"), "€".encode())
        self.assertEqual(checked_value("€\udcff"), "€".encode() + b"\xff")

    def test_value_that_no_encoding_has_is_refused(self) -> None:
        for value in ("\ud800", "a\udfff", "\udc0a", "€\udc0a"):
            self.assertRaises(InvalidHeader, checked_value, value)

    def test_values_that_would_be_more_than_a_value_are_refused(self) -> None:
        for value in BAD_VALUES:
            self.assertRaises(InvalidHeader, checked_value, value)
            self.assertRaises(InvalidHeader, checked_value, value.encode("latin-1"))

    @given(st.text() | st.binary())
    def test_nothing_that_is_taken_ends_a_line(self, text: str | bytes) -> None:
        for check in (checked_name, checked_value):
            try:
                raw = check(text)
            except InvalidHeader:
                continue
            self.assertFalse({0, 10, 13} & set(raw))
            self.assertEqual(raw, raw.strip())


class HeadersTests(SynchronousTestCase):
    def test_it_is_made_of_pairs_a_mapping_headers_or_nothing(self) -> None:
        pairs: list[tuple[str | bytes, str | bytes]] = [("A", "b"), (b"C", b"d")]
        expected = [(b"A", b"b"), (b"C", b"d")]
        headers = Headers(pairs)
        self.assertEqual(headers.raw, expected)
        self.assertEqual(Headers(iter(pairs)).raw, expected)
        self.assertEqual(Headers({"A": "b", "C": "d"}).raw, expected)
        self.assertEqual(Headers(headers).raw, expected)
        self.assertEqual(Headers().raw, [])
        self.assertEqual(Headers(None).raw, [])

    def test_copy_is_its_own(self) -> None:
        first = Headers({"A": "b"})
        second = Headers(first)
        second.add("C", "d")
        self.assertEqual(first.raw, [(b"A", b"b")])

    def test_pairs_of_the_parser_are_wrapped_as_they_are(self) -> None:
        pairs = [(b"A", b"b")]
        headers = Headers.from_pairs(pairs)
        self.assertIs(headers.raw, pairs)
        self.assertEqual(headers["a"], "b")

    def test_looking_up_takes_any_case_and_bytes(self) -> None:
        headers = Headers({"Content-Type": "text/html"})
        for name in ("Content-Type", "content-type", "CONTENT-TYPE", b"cOnTeNt-type"):
            self.assertEqual(headers[name], "text/html")
            self.assertEqual(headers.get(name), "text/html")
            self.assertEqual(headers.get_all(name), ["text/html"])
            self.assertIn(name, headers)
        self.assertEqual(headers.get_bytes(b"content-type"), b"text/html")

    def test_what_is_missing_is_none_the_default_or_a_key_error(self) -> None:
        headers = Headers({"A": "b"})
        self.assertIsNone(headers.get("x"))
        self.assertEqual(headers.get("x", "y"), "y")
        self.assertEqual(headers.get("x", 5), 5)
        self.assertIsNone(headers.get_bytes(b"x"))
        self.assertEqual(headers.get_all("x"), [])
        self.assertNotIn("x", headers)
        self.assertNotIn(5, headers)
        self.assertNotIn("ш", headers)
        self.assertRaises(KeyError, headers.__getitem__, "x")
        self.assertRaises(KeyError, headers.__delitem__, "x")

    def test_type_of_get_follows_its_default(self) -> None:
        headers = Headers()
        assert_type(headers.get("x"), str | None)
        assert_type(headers.get("x", ""), str)
        assert_type(headers.get("x", None), str | None)
        assert_type(headers.get("x", 5), str | int)

    def test_fields_of_one_name_are_kept_apart_and_joined_when_asked(self) -> None:
        headers = Headers([("A", "1"), ("B", "2"), ("a", "3")])
        self.assertEqual(headers["A"], "1, 3")
        self.assertEqual(headers.get("a"), "1, 3")
        self.assertEqual(headers.get_bytes(b"a"), b"1, 3")
        self.assertEqual(headers.get_all("A"), ["1", "3"])
        self.assertEqual(len(headers), 3)

    def test_setting_replaces_in_the_place_of_the_first(self) -> None:
        headers = Headers([("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")])
        headers.set("a", "5")
        self.assertEqual(headers.raw, [(b"a", b"5"), (b"B", b"2"), (b"C", b"4")])
        headers["D"] = "6"
        self.assertEqual(headers.raw[-1], (b"D", b"6"))
        self.assertEqual(headers["d"], "6")

    def test_removing_takes_every_field_of_the_name(self) -> None:
        headers = Headers([("A", "1"), ("B", "2"), ("a", "3")])
        headers.remove("a")
        headers.remove("a")
        self.assertEqual(headers.raw, [(b"B", b"2")])
        del headers["b"]
        self.assertEqual(len(headers), 0)
        self.assertNotIn("b", headers)

    def test_default_is_set_only_where_there_is_none(self) -> None:
        headers = Headers({"A": "1"})
        headers.setdefault("a", "2")
        headers.setdefault("b", "3")
        self.assertEqual(headers.raw, [(b"A", b"1"), (b"b", b"3")])

    def test_look_ups_follow_changes(self) -> None:
        headers = Headers({"A": "1"})
        self.assertEqual(headers["a"], "1")
        headers.add("A", "2")
        self.assertEqual(headers["a"], "1, 2")
        headers.set("A", "3")
        self.assertEqual(headers["a"], "3")
        headers.remove("A")
        self.assertIsNone(headers.get("a"))

    def test_nothing_invalid_gets_in(self) -> None:
        headers = Headers({"A": "b"})
        for name, value in (
            *(("X", value) for value in BAD_VALUES),
            *((name, "x") for name in BAD_NAMES),
        ):
            for change in (headers.add, headers.set, headers.setdefault):
                self.assertRaises(InvalidHeader, change, name, value)
            self.assertRaises(InvalidHeader, Headers, [(name, value)])
            self.assertRaises(InvalidHeader, headers.__setitem__, name, value)
        self.assertEqual(headers.raw, [(b"A", b"b")])

    def test_iterating_gives_pairs_of_text_in_order(self) -> None:
        headers = Headers([("A", "1"), ("b", "\xe9"), ("A", "2")])
        self.assertEqual(list(headers), [("A", "1"), ("b", "é"), ("A", "2")])
        self.assertEqual(repr(headers), f"Headers({list(headers)!r})")

    def test_equal_headers_differ_at_most_in_the_case_of_names(self) -> None:
        headers = Headers({"A": "b", "C": "d"})
        self.assertEqual(headers, Headers({"a": "b", "c": "d"}))
        self.assertNotEqual(headers, Headers({"A": "B", "C": "d"}))
        self.assertNotEqual(headers, Headers({"C": "d", "A": "b"}))
        self.assertNotEqual(headers, [("A", "b"), ("C", "d")])

    def test_mutable_headers_have_no_hash(self) -> None:
        self.assertRaises(TypeError, hash, Headers())


NAMES = st.sampled_from(["a", "A", "b", "B", "x-y", "X-Y"])
VALUES = st.sampled_from(["", "1", "2", "a b"])


class AgainstTheModel(RuleBasedStateMachine):
    """The same changes to Headers and to a plain list of pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.headers = Headers()
        self.model: list[tuple[str, str]] = []

    def places(self, name: str) -> list[int]:
        return [i for i, (n, _) in enumerate(self.model) if n.lower() == name.lower()]

    @rule(name=NAMES, value=VALUES)
    def add(self, name: str, value: str) -> None:
        self.headers.add(name, value)
        self.model.append((name, value))

    @rule(name=NAMES, value=VALUES)
    def set(self, name: str, value: str) -> None:
        self.headers.set(name, value)
        first, *others = self.places(name) or [len(self.model)]
        self.model[first : first + 1] = [(name, value)]
        for place in reversed(others):
            del self.model[place]

    @rule(name=NAMES, value=VALUES)
    def set_default(self, name: str, value: str) -> None:
        self.headers.setdefault(name, value)
        if not self.places(name):
            self.model.append((name, value))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self.headers.remove(name)
        for place in reversed(self.places(name)):
            del self.model[place]

    @rule(name=NAMES)
    def look_up(self, name: str) -> None:
        values = [self.model[place][1] for place in self.places(name)]
        assert self.headers.get_all(name) == values
        assert self.headers.get(name) == (", ".join(values) if values else None)
        assert (name in self.headers) == bool(values)

    @invariant()
    def same_fields(self) -> None:
        assert list(self.headers) == self.model
        assert len(self.headers) == len(self.model)


class ModelTests(SynchronousTestCase):
    def test_any_changes_give_what_the_model_gives(self) -> None:
        run_state_machine_as_test(AgainstTheModel)


class KindTests(SynchronousTestCase):
    def test_numbers_are_no_values(self) -> None:
        wrong: Any = 5
        with self.assertRaisesRegex(InvalidHeader, "str or bytes, not int"):
            Headers({"A": wrong})
