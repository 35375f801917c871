"""Tests of the syntax as regular expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.protocol.grammar import (
    CHUNK_LINE,
    DIGITS,
    FIELD_LINE,
    HOST,
    HTTP_VERSION,
    UNPARSEABLE,
    is_token,
    list_members,
)
from tests.protocol.work import assert_linear

if TYPE_CHECKING:
    import re
    from collections.abc import Callable


def matches(pattern: re.Pattern[bytes]) -> Callable[[bytes], bool]:
    return lambda text: pattern.fullmatch(text) is not None


class TokenTests(SynchronousTestCase):
    """RFC 9110 section 5.6.2."""

    def test_exactly_the_77_characters_of_a_token_are_one(self) -> None:
        tokens = {bytes([byte]) for byte in range(256) if is_token(bytes([byte]))}
        expected = b"!#$%&'*+-.^_`|~0123456789"
        expected += b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        self.assertEqual(tokens, {bytes([byte]) for byte in expected})
        self.assertEqual(len(tokens), 77)

    def test_nothing_is_no_token(self) -> None:
        self.assertFalse(is_token(b""))

    def test_one_bad_byte_anywhere_spoils_it(self) -> None:
        for text in (b" a", b"a ", b"a b", b"a\n", b"a\x00", b"a:", b"a\xe9"):
            self.assertFalse(is_token(text), text)


class DigitsTests(SynchronousTestCase):
    def test_eighteen_digits_are_the_most(self) -> None:
        self.assertTrue(DIGITS.fullmatch(b"9" * 18))
        self.assertFalse(DIGITS.fullmatch(b"9" * 19))

    def test_eighteen_digits_fit_in_63_bits(self) -> None:
        self.assertLess(int(b"9" * 18), 2**63)

    def test_only_ascii_digits_count(self) -> None:
        for text in (b"", b"+5", b"-5", b"5_0", b"0x5", b" 5", b"5\n", b"\xb2", b"5.0"):
            self.assertFalse(DIGITS.fullmatch(text), text)


class VersionTests(SynchronousTestCase):
    def test_the_name_is_upper_case_and_both_numbers_one_digit(self) -> None:
        is_version = matches(HTTP_VERSION)
        self.assertTrue(is_version(b"HTTP/1.1"))
        self.assertTrue(is_version(b"HTTP/9.9"))
        for text in (b"http/1.1", b"HTTP/1.10", b"HTTP/11.1", b"HTTP/1", b"HTTP/ 1.1"):
            self.assertFalse(is_version(text), text)


class HostTests(SynchronousTestCase):
    """RFC 9110 section 7.2, RFC 3986 section 3.2.2."""

    def test_names_addresses_and_ports_are_hosts(self) -> None:
        for text in (
            b"", b"a", b"example.com", b"EXAMPLE.com.", b"127.0.0.1", b"a_b", b"a:80",
            b"a:", b"[::1]", b"[::1]:8080", b"[2001:db8::ff00:42:8329]", b"[v1.a:b]",
            b"%41", b"xn--bcher-kva.example",
        ):  # fmt: skip
            self.assertTrue(HOST.fullmatch(text), text)

    def test_anything_else_is_not(self) -> None:
        for text in (
            b"a b", b"a,b", b"a/b", b"a@b", b"user:pw@host", b"a:b", b"a:800000",
            b"a:-1", b"::1", b"[::1", b"::1]", b"[]", b"[::1]a", b"[g::1]", b"a?b",
            b"a#b", b"a\\b", b"a%4", b"%zz", b"a:80:80", b"<script>", b'a"',
            b"a\xe9", b"a\x00", b"http://a",
        ):  # fmt: skip
            self.assertFalse(HOST.fullmatch(text), text)


class UnparseableTests(SynchronousTestCase):
    def test_a_line_end_of_both_characters_is_fine(self) -> None:
        self.assertIsNone(UNPARSEABLE.search(b"GET / HTTP/1.1\r\nA:\tb\xff\r\n\r\n"))

    def test_a_carriage_return_at_the_end_may_still_become_one(self) -> None:
        self.assertIsNone(UNPARSEABLE.search(b"GET / HTTP/1.1\r"))

    def test_half_a_line_end_and_every_other_control_character_are_found(self) -> None:
        controls = {byte for byte in (*range(32), 127) if byte not in b"\t\r\n"}
        for text in (
            b"a\nb",
            b"\n",
            b"a\rb",
            b"a\r\r\n",
            *map(bytes, ([c] for c in controls)),
        ):
            self.assertIsNotNone(UNPARSEABLE.search(b"x" + text), text)


class FieldLineTests(SynchronousTestCase):
    """RFC 9112 section 5."""

    def test_whitespace_round_the_value_is_not_part_of_it(self) -> None:
        for text in (b"A:b", b"A: b", b"A:\t b \t"):
            match = FIELD_LINE.fullmatch(text)
            assert match is not None
            self.assertEqual(match.groups(), (b"A", b"b"))

    def test_a_value_may_be_empty_or_hold_spaces_tabs_and_high_bytes(self) -> None:
        for value in (b"", b"a b", b"a\tb", b"\xe9", b"a: b", b'"q;"'):
            match = FIELD_LINE.fullmatch(b"A: %b" % value)
            assert match is not None
            self.assertEqual(match[2], value)

    def test_what_is_no_field_line_is_refused(self) -> None:
        for text in (
            b"", b"A", b": b", b"A : b", b" A: b", b"A\t: b", b"A: b\r", b"A: b\n",
            b"A: \x00", b"A: b\rc", b"A: b\nC: d", b"A: \x7f", b"\xe9: b", b"A b: c",
            b"A: \x01 ",
        ):  # fmt: skip
            self.assertIsNone(FIELD_LINE.fullmatch(text), text)

    def test_a_long_run_of_whitespace_is_read_once(self) -> None:
        for before in (b"A:", b"A: b", b"A: b c\t", b"A"):
            assert_linear(self, FIELD_LINE.fullmatch, before, b" ", b"\x01")
            assert_linear(self, FIELD_LINE.fullmatch, before, b"b ", b"\x01")


class ChunkLineTests(SynchronousTestCase):
    """RFC 9112 section 7.1."""

    def test_sizes_are_hexadecimal_digits_of_either_case(self) -> None:
        for text in (b"0", b"5", b"aF", b"0005", b"f" * 15):
            match = CHUNK_LINE.fullmatch(text)
            assert match is not None
            self.assertEqual(match.groups(), (text, b""))

    def test_the_largest_size_fits_in_63_bits(self) -> None:
        self.assertLess(int(b"f" * 15, 16), 2**63)

    def test_other_spellings_of_a_size_are_refused(self) -> None:
        for text in (
            b"", b"+5", b"-5", b"0x5", b"5_0", b"5h", b" 5", b"5 ", b"5\t",
            b"f" * 16, b"5,", b"5\n", b"5\r", b"5\x00", b"\xb2", b"5.", b"5 5", b"g",
            b";a",
        ):  # fmt: skip
            self.assertIsNone(CHUNK_LINE.fullmatch(text), text)

    def test_extensions_may_be_names_values_and_quoted_strings(self) -> None:
        for extension in (
            b";a", b";a=b", b' ; a = "b c" ', b';a="\\"";b', b"\t;\ta\t=\tb",
            b';a="\xe9"', b';a=""', b";a=b;c;d=e",
        ):  # fmt: skip
            self.assertIsNotNone(
                CHUNK_LINE.fullmatch(b"5" + extension.rstrip()), extension
            )

    def test_malformed_extensions_are_refused(self) -> None:
        for extension in (
            b";", b";;a", b";=b", b";a=b c", b';a="b', b';a=b"', b";a\n", b";a\r",
            b";a=\x00", b';a="\n"', b';a="\\\n"', b";a b", b"; a=b ", b'; "a"',
            b";a=(b)",
        ):  # fmt: skip
            self.assertIsNone(CHUNK_LINE.fullmatch(b"5" + extension), extension)

    def test_hostile_extensions_are_read_once(self) -> None:
        for piece in (b" ", b";a", b";a=b", b' ;a="\\"', b"\t;\ta", b'\\"', b"a"):
            assert_linear(self, CHUNK_LINE.fullmatch, b"5;a", piece, b"\x01")


class ListMembersTests(SynchronousTestCase):
    def test_members_are_stripped_lowered_and_never_empty(self) -> None:
        self.assertEqual(list_members(b" a,, B\t,,c "), [b"a", b"b", b"c"])
        self.assertEqual(list_members(b""), [])
        self.assertEqual(list_members(b" , "), [])

    @given(st.lists(st.from_regex(rb"\A[a-z]+\Z")))
    def test_joining_and_splitting_give_the_same(self, members: list[bytes]) -> None:
        self.assertEqual(list_members(b", ".join(members)), members)
