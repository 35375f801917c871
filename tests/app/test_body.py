"""A request body that is still on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.body import HIGH_WATER, RequestBody
from httpx_tw.errors import (
    BodyConsumed,
    BodyTooLarge,
    ConnectionLost,
    LocalProtocolError,
)
from tests.app.fakes import FakeLink

if TYPE_CHECKING:
    from collections.abc import Coroutine


def start(coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)


async def pieces(body: RequestBody, most: int = -1) -> list[bytes]:
    taken: list[bytes] = []
    async for piece in body:
        taken.append(piece)
        if len(taken) == most:
            break
    return taken


class BodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = FakeLink()
        self.body = RequestBody(self.link, 0)

    def test_reading_waits_for_the_end(self) -> None:
        reading = start(self.body.read())
        self.body.feed(b"a")
        self.assertNoResult(reading)
        self.body.feed(b"b")
        self.body.finish([(b"X", b"y")])
        self.assertEqual(self.successResultOf(reading), b"ab")
        self.assertEqual(self.body.trailers, [(b"X", b"y")])
        self.assertEqual((self.body.received, self.body.is_complete), (2, True))

    def test_reading_again_gives_the_same(self) -> None:
        self.body.feed(b"a")
        self.body.finish([])
        for _ in range(2):
            self.assertEqual(self.successResultOf(start(self.body.read())), b"a")
        self.assertEqual(self.successResultOf(start(pieces(self.body))), [b"a"])

    def test_pieces_come_as_they_are_fed(self) -> None:
        self.body.feed(b"a")
        streaming = start(pieces(self.body))
        self.body.feed(b"b")
        self.assertNoResult(streaming)
        self.body.finish([])
        self.assertEqual(self.successResultOf(streaming), [b"a", b"b"])

    def test_a_stream_goes_on_where_it_was_left(self) -> None:
        for piece in (b"a", b"b", b"c"):
            self.body.feed(piece)
        self.body.finish([])
        self.assertEqual(self.successResultOf(start(pieces(self.body, 1))), [b"a"])
        self.assertEqual(self.successResultOf(start(pieces(self.body))), [b"b", b"c"])

    def test_what_was_streamed_cannot_be_had_again(self) -> None:
        self.body.feed(b"a")
        self.body.finish([])
        self.successResultOf(start(pieces(self.body)))
        self.failureResultOf(start(self.body.read()), BodyConsumed)
        self.failureResultOf(start(pieces(self.body)), BodyConsumed)

    def test_an_empty_body_is_an_empty_stream(self) -> None:
        self.body.finish([])
        self.assertEqual(self.successResultOf(start(pieces(self.body))), [])

    def test_too_much_fails_the_body(self) -> None:
        body = RequestBody(self.link, 3)
        reading = start(body.read())
        body.feed(b"abc")
        self.assertNoResult(reading)
        body.feed(b"d")
        self.assertEqual(self.failureResultOf(reading, BodyTooLarge).value.status, 413)
        body.feed(b"e")
        body.finish([])
        self.failureResultOf(start(body.read()), BodyTooLarge)
        self.assertFalse(body.is_complete)

    def test_a_reader_may_want_less(self) -> None:
        reading = start(self.body.read(limit=2))
        self.body.feed(b"ab")
        self.assertNoResult(reading)
        self.body.feed(b"c")
        self.failureResultOf(reading, BodyTooLarge)
        # It was the reader's limit, not the body's: another may still have it.
        self.body.finish([])
        self.assertEqual(self.successResultOf(start(self.body.read())), b"abc")
        self.failureResultOf(start(self.body.read(2)), BodyTooLarge)

    def test_a_failure_reaches_who_waits_and_who_asks_later(self) -> None:
        reading = start(self.body.read())
        self.body.feed(b"a")
        self.body.fail(ConnectionLost("gone"))
        self.body.fail(ValueError("too late"))
        self.failureResultOf(reading, ConnectionLost)
        self.failureResultOf(start(self.body.read()), ConnectionLost)
        self.failureResultOf(start(pieces(self.body)), ConnectionLost)

    def test_a_failure_after_the_end_changes_nothing(self) -> None:
        self.body.feed(b"a")
        self.body.finish([])
        self.body.fail(ConnectionLost("gone"))
        self.assertEqual(self.successResultOf(start(self.body.read())), b"a")

    def test_two_cannot_wait_at_once(self) -> None:
        reading = start(self.body.read())
        self.failureResultOf(start(self.body.read()), LocalProtocolError)
        self.failureResultOf(start(pieces(self.body)), LocalProtocolError)
        self.body.finish([])
        self.assertEqual(self.successResultOf(reading), b"")

    def test_cancelling_the_waiter_loses_nothing(self) -> None:
        reading = start(self.body.read())
        self.body.feed(b"a")
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.body.feed(b"b")
        self.body.finish([])
        self.assertEqual(self.successResultOf(start(self.body.read())), b"ab")

    def test_a_closed_waiter_makes_room(self) -> None:
        coroutine = self.body.read()
        coroutine.send(None)
        coroutine.close()
        self.body.feed(b"a")
        self.body.finish([])
        self.assertEqual(self.successResultOf(start(self.body.read())), b"a")


class BackpressureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = FakeLink()
        self.body = RequestBody(self.link, 0)

    def test_the_link_is_told_once_that_body_is_wanted(self) -> None:
        start(self.body.read())
        self.body.feed(b"a")
        self.body.feed(b"b")
        self.assertEqual(self.link.told, ["wanted"])

    def test_nobody_waits_when_it_is_there_already(self) -> None:
        self.body.feed(b"a")
        self.body.finish([])
        self.successResultOf(start(self.body.read()))
        self.assertEqual(self.link.told, [])

    def test_the_link_is_told_once_that_it_is_enough(self) -> None:
        self.body.feed(b"x" * HIGH_WATER)
        self.assertEqual(self.link.told, [])
        self.body.feed(b"x")
        self.body.feed(b"x")
        self.assertEqual(self.link.told, ["sated"])

    def test_it_is_wanted_again_when_all_has_been_taken(self) -> None:
        self.body.feed(b"x" * (HIGH_WATER + 1))
        streaming = start(pieces(self.body))
        self.assertEqual(self.link.told, ["sated", "wanted"])
        self.body.finish([])
        self.assertEqual(len(self.successResultOf(streaming)), 1)

    def test_a_reader_of_the_whole_is_never_sated(self) -> None:
        start(self.body.read())
        self.body.feed(b"x" * 3 * HIGH_WATER)
        self.assertEqual(self.link.told, ["wanted"])

    def test_the_link_may_feed_at_once(self) -> None:
        body: RequestBody

        class EagerLink(FakeLink):
            def body_wanted(self) -> None:
                body.feed(b"a")
                body.finish([])

        body = RequestBody(EagerLink(), 0)
        self.assertEqual(self.successResultOf(start(body.read())), b"a")

    @given(st.lists(st.binary(max_size=4)), st.integers(0, 10))
    def test_any_split_streams_the_same_bytes(
        self, split: list[bytes], before: int
    ) -> None:
        body = RequestBody(FakeLink(), 0)
        for piece in split[:before]:
            body.feed(piece)
        streaming = start(pieces(body))
        for piece in split[before:]:
            body.feed(piece)
        body.finish([])
        self.assertEqual(b"".join(self.successResultOf(streaming)), b"".join(split))
