"""SOCKS5: the whole conversation, and every way in which it ends."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.socks import SocksHandshake
from httpx_tw.errors import (
    ConfigurationError,
    ProxyAuthenticationRequired,
    ProxyError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

SUCCESS = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"


def handshake(
    *answers: bytes,
    host: str = "a.example",
    credentials: tuple[str, str] | None = ("me", "secret"),
) -> tuple[SocksHandshake, list[bytes]]:
    asked = SocksHandshake(host, 443, credentials)
    return asked, [asked.start(), *map(asked.receive, answers)]


class ConversationTests(SynchronousTestCase):
    def test_without_credentials_none_are_offered(self) -> None:
        asked, said = handshake(b"\x05\x00", SUCCESS, credentials=None)
        request = b"\x05\x01\x00\x03\x09a.example\x01\xbb"
        self.assertEqual(said, [b"\x05\x01\x00", request, b""])
        self.assertTrue(asked.is_done)
        self.assertEqual(asked.leftover, b"")

    def test_with_credentials_they_are_sent_if_they_are_wanted(self) -> None:
        asked, said = handshake(b"\x05\x02", b"\x01\x00", SUCCESS)
        self.assertEqual(said[:2], [b"\x05\x02\x00\x02", b"\x01\x02me\x06secret"])
        self.assertTrue(asked.is_done)
        asked, said = handshake(b"\x05\x00", SUCCESS)
        self.assertNotIn(b"secret", b"".join(said))
        self.assertTrue(asked.is_done)

    def test_names_and_addresses_are_told_apart(self) -> None:
        for host, destination in (
            ("a.example", b"\x03\x09a.example"),
            ("127.0.0.1", b"\x01\x7f\x00\x00\x01"),
            ("::1", b"\x04" + bytes(15) + b"\x01"),
        ):
            _, said = handshake(b"\x05\x00", host=host)
            self.assertEqual(said[1], b"\x05\x01\x00" + destination + b"\x01\xbb")

    def test_the_address_in_the_reply_may_be_of_any_kind(self) -> None:
        for address in (
            b"\x01" + bytes(4),
            b"\x04" + bytes(16),
            b"\x03\x01a",
            b"\x03\x00",
        ):
            reply = b"\x05\x00\x00" + address + b"\x00\x00"
            asked, _ = handshake(b"\x05\x00", reply + b"hello")
            self.assertTrue(asked.is_done)
            self.assertEqual(asked.leftover, b"hello")

    @given(st.lists(st.integers(0, 23)))
    def test_it_does_not_matter_how_it_was_split(self, cuts: list[int]) -> None:
        wire = b"\x05\x02" + b"\x01\x00" + SUCCESS + b"rest"
        edges = [0, *sorted(min(cut, len(wire) - 5) for cut in cuts), len(wire)]
        parts = [wire[a:b] for a, b in pairwise(edges)]
        asked, said = handshake(*parts)
        self.assertTrue(asked.is_done)
        self.assertEqual(asked.leftover, b"rest")
        self.assertEqual(
            b"".join(said),
            b"\x05\x02\x00\x02\x01\x02me\x06secret\x05\x01\x00\x03\x09a.example\x01\xbb",
        )


class RefusalTests(SynchronousTestCase):
    def assert_refused(self, error: type[ProxyError], answers: Iterable[bytes]) -> str:
        return str(self.assertRaises(error, handshake, *answers))

    def test_a_proxy_that_takes_no_strangers_says_so(self) -> None:
        for answers in ((b"\x05\xff",), (b"\x05\x02", b"\x01\x01")):
            self.assert_refused(ProxyAuthenticationRequired, answers)

    def test_a_method_that_was_not_offered_is_refused(self) -> None:
        self.assert_refused(ProxyError, [b"\x05\x01"])
        self.assertRaises(ProxyError, handshake, b"\x05\x02", credentials=None)

    def test_a_reply_other_than_success_is_told_in_words(self) -> None:
        for code, words in ((1, "failure"), (4, "host unreachable"), (5, "refused")):
            answers = [b"\x05\x00", bytes((5, code, 0, 1)) + bytes(6)]
            self.assertIn(words, self.assert_refused(ProxyError, answers))
        self.assertIn("99", self.assert_refused(ProxyError, [b"\x05\x00", b"\x05\x63"]))

    def test_another_version_is_refused_at_its_first_byte(self) -> None:
        self.assert_refused(ProxyError, [b"\x04"])
        self.assert_refused(ProxyError, [b"HTTP/1.1 400"])
        self.assert_refused(ProxyError, [b"\x05\x02", b"\x05"])
        self.assert_refused(ProxyError, [b"\x05\x00", b"\x00"])

    def test_an_unknown_kind_of_address_is_refused(self) -> None:
        self.assert_refused(ProxyError, [b"\x05\x00", b"\x05\x00\x00\x02\x00"])

    def test_what_socks_cannot_say_is_refused_before(self) -> None:
        self.assertRaises(ConfigurationError, SocksHandshake, "a" * 256, 80)
        for credentials in (
            ("", "x"),
            ("x", ""),
            ("x" * 256, "x"),
            ("x", "\u00e9" * 128),
        ):
            self.assertRaises(ConfigurationError, SocksHandshake, "a", 80, credentials)

    @given(st.lists(st.binary()))
    def test_any_bytes_are_a_conversation_or_refused(
        self, answers: list[bytes]
    ) -> None:
        try:
            asked, _ = handshake(*answers)
        except ProxyError:
            return
        self.assertFalse(asked.is_done and len(b"".join(answers)) < 12)
