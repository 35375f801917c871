"""Tests of the events."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.protocol.events import (
    CHUNKED,
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    PEER_CLOSED,
    UNTIL_CLOSE,
    RequestHead,
    ResponseHead,
    Signal,
)


class EventTests(SynchronousTestCase):
    def test_each_signal_has_its_name(self) -> None:
        signals = {NEED_DATA, END_OF_MESSAGE, PAUSED, PEER_CLOSED}
        self.assertEqual(signals, set(Signal))

    def test_special_lengths_are_no_lengths(self) -> None:
        self.assertLess(CHUNKED, 0)
        self.assertLess(UNTIL_CLOSE, 0)
        self.assertNotEqual(CHUNKED, UNTIL_CLOSE)

    def test_plain_request_has_no_body_and_no_wishes(self) -> None:
        request = RequestHead("GET", "/", [], is_http11=True, keep_alive=True)
        self.assertEqual(request.body_length, 0)
        self.assertFalse(request.expects_continue or request.upgrade)

    def test_interim_is_every_1xx_but_switching_protocols(self) -> None:
        interim = {s for s in range(100, 600) if ResponseHead(s, "").is_interim}
        self.assertEqual(interim, set(range(100, 200)) - {101})

    def test_heads_have_nothing_in_common(self) -> None:
        first, second = ResponseHead(200, ""), ResponseHead(200, "")
        first.headers.append((b"A", b"b"))
        self.assertEqual(second.headers, [])
