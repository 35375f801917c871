"""Response bodies: read whole, piece by piece, pushed on, decoded, and given up."""

from __future__ import annotations

import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.body import HIGH_WATER, ResponseBody
from httpx_tw.client.decoding import body_decoder
from httpx_tw.errors import (
    BodyConsumed,
    DecodingError,
    IncompleteMessage,
    LocalProtocolError,
    ResponseTooLarge,
)


class Link:
    """A connection as a body sees it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def body_wanted(self) -> None:
        self.said.append("wanted")

    def body_sated(self) -> None:
        self.said.append("sated")

    def body_dropped(self) -> None:
        self.said.append("dropped")


class BodyCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = Link()
        self.body = ResponseBody(self.link)

    def decoding(self) -> ResponseBody:
        decoder = body_decoder("deflate", max_size=0, max_ratio=0)
        self.body = ResponseBody(self.link, decoder)
        return self.body

    def next(self) -> Deferred[bytes | None]:
        async def piece() -> bytes | None:
            return await anext(aiter(self.body), None)

        return Deferred.fromCoroutine(piece())


class ReadingTests(BodyCase):
    def test_whole_body_is_read_as_often_as_wanted(self) -> None:
        reading = self.body.read()
        self.assertEqual(self.link.said, ["wanted"])
        self.body.feed(b"hel")
        self.body.feed(b"lo")
        self.assertNoResult(reading)
        self.body.finish([(b"T", b"t")])
        self.assertEqual(self.successResultOf(reading), b"hello")
        self.assertEqual(self.successResultOf(self.body.read()), b"hello")
        self.assertEqual(self.successResultOf(self.next()), b"hello")
        self.assertEqual(self.body.whole, b"hello")
        self.assertEqual(self.body.trailers, [(b"T", b"t")])

    def test_body_that_is_there_already_is_read_at_once(self) -> None:
        self.body.feed(b"hello")
        self.body.finish([])
        self.assertEqual(self.successResultOf(self.body.read()), b"hello")

    def test_empty_body_has_no_pieces(self) -> None:
        self.body.finish([])
        self.assertEqual(self.successResultOf(self.body.read()), b"")
        self.assertIsNone(self.successResultOf(self.next()))

    def test_pieces_are_taken_as_they_come(self) -> None:
        first = self.next()
        self.body.feed(b"a")
        self.assertEqual(self.successResultOf(first), b"a")
        self.body.feed(b"b")
        self.assertEqual(self.successResultOf(self.next()), b"b")
        last = self.next()
        self.body.finish([])
        self.assertIsNone(self.successResultOf(last))
        with self.assertRaises(BodyConsumed):
            aiter(self.body)

    def test_what_was_streamed_is_not_kept(self) -> None:
        self.body.feed(b"a")
        self.successResultOf(self.next())
        self.failureResultOf(self.body.read(), BodyConsumed)

    def test_one_waits_at_a_time(self) -> None:
        reading = self.body.read()
        self.failureResultOf(self.body.read(), LocalProtocolError)
        self.failureResultOf(self.next(), LocalProtocolError)
        self.body.finish([])
        self.successResultOf(reading)

    def test_cancelling_loses_nothing(self) -> None:
        for begin in (self.body.read, self.next):
            waiting: Deferred[Any] = begin()
            self.assertTrue(self.body.is_wanted)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.assertFalse(self.body.is_wanted)

    def test_failure_is_raised_in_who_waits_and_who_asks_later(self) -> None:
        reading = self.body.read()
        self.body.feed(b"a")
        self.body.fail(IncompleteMessage("cut"))
        self.body.fail(IncompleteMessage("again"))
        self.body.feed(b"b")
        self.assertIn("cut", str(self.failureResultOf(reading, IncompleteMessage)))
        self.failureResultOf(self.body.read(), IncompleteMessage)
        self.failureResultOf(self.next(), IncompleteMessage)

    def test_failure_behind_the_end_is_none(self) -> None:
        self.body.finish([])
        self.body.fail(IncompleteMessage("cut"))
        self.assertEqual(self.successResultOf(self.body.read()), b"")

    def test_limit_holds_for_what_came_and_what_comes(self) -> None:
        self.body.feed(b"abc")
        self.failureResultOf(self.body.read(2), ResponseTooLarge)
        self.assertEqual(self.link.said[-1], "dropped")
        self.setUp()
        reading = self.body.read(2)
        self.body.feed(b"abc")
        self.failureResultOf(reading, ResponseTooLarge)


class FlowTests(BodyCase):
    def test_nobody_taking_pieces_stops_the_connection(self) -> None:
        self.body.feed(b"x" * HIGH_WATER)
        self.assertEqual(self.link.said, [])
        self.body.feed(b"x")
        self.body.feed(b"x")
        self.assertEqual(self.link.said, ["sated"])
        for _ in range(3):
            self.successResultOf(self.next())
        waiting = self.next()
        self.assertEqual(self.link.said, ["sated", "wanted"])
        self.body.finish([])
        self.successResultOf(waiting)

    def test_whoever_wants_all_is_given_all(self) -> None:
        self.body.read()
        self.body.feed(b"x" * 10 * HIGH_WATER)
        self.assertEqual(self.link.said, ["wanted"])

    def test_closing_drops_the_rest_once(self) -> None:
        self.body.close()
        self.body.close()
        self.assertEqual(self.link.said, ["dropped"])
        self.failureResultOf(self.body.read(), BodyConsumed)

    def test_closing_behind_the_end_drops_nothing(self) -> None:
        self.body.finish([])
        self.body.close()
        self.assertEqual(self.link.said, [])


class PushTests(BodyCase):
    def setUp(self) -> None:
        super().setUp()
        self.received: list[bytes] = []
        self.ends: list[BaseException | None] = []

    def push(self) -> None:
        self.body.push_to(self.received.append, self.ends.append)

    def test_pieces_are_pushed_and_the_end_is_told(self) -> None:
        self.body.feed(b"a")
        self.push()
        self.body.feed(b"b")
        self.assertEqual((self.received, self.ends), ([b"a", b"b"], []))
        self.body.finish([])
        self.assertEqual(self.ends, [None])

    def test_failure_is_told(self) -> None:
        self.push()
        error = IncompleteMessage("cut")
        self.body.fail(error)
        self.assertEqual(self.ends, [error])

    def test_what_has_ended_before_is_told_at_once(self) -> None:
        self.body.feed(b"a")
        self.body.finish([])
        self.push()
        self.assertEqual((self.received, self.ends), ([b"a"], [None]))
        self.setUp()
        self.body.fail(IncompleteMessage("cut"))
        self.push()
        self.assertEqual(len(self.ends), 1)

    def test_pausing_stops_the_connection(self) -> None:
        self.push()
        self.body.pause()
        self.body.pause()
        self.assertFalse(self.body.is_wanted)
        self.body.resume()
        self.body.resume()
        self.assertTrue(self.body.is_wanted)
        self.assertEqual(self.link.said, ["wanted", "sated", "wanted"])

    def test_pausing_what_is_not_pushed_means_nothing(self) -> None:
        self.body.pause()
        self.body.resume()
        self.assertEqual(self.link.said, [])

    def test_what_is_pushed_cannot_be_taken_otherwise(self) -> None:
        self.push()
        self.failureResultOf(self.body.read(), BodyConsumed)
        with self.assertRaises(BodyConsumed):
            aiter(self.body)
        with self.assertRaises(BodyConsumed):
            self.push()


class DecodingTests(BodyCase):
    def test_whole_body_is_decoded(self) -> None:
        body = self.decoding()
        reading = body.read()
        data = zlib.compress(b"hello" * 1000)
        for start in range(0, len(data), 7):
            body.feed(data[start : start + 7])
        body.finish([])
        self.assertEqual(self.successResultOf(reading), b"hello" * 1000)

    def test_little_that_becomes_much_waits_for_its_reader(self) -> None:
        body = self.decoding()
        size = 50 * HIGH_WATER
        body.feed(zlib.compress(bytes(range(256)) * (size // 256)))
        body.finish([])
        self.assertEqual(self.link.said, ["sated"])
        self.assertLess(body._buffered, 4 * HIGH_WATER)
        total = 0
        while (piece := self.successResultOf(self.next())) is not None:
            total += len(piece)
            self.assertLess(body._buffered, 4 * HIGH_WATER)
        self.assertEqual(total, size)
        self.assertTrue(body.is_complete)

    def test_pushing_stops_within_a_piece(self) -> None:
        body = self.decoding()
        received: list[bytes] = []

        def take(piece: bytes) -> None:
            received.append(piece)
            body.pause()

        ends: list[BaseException | None] = []
        body.push_to(take, ends.append)
        body.feed(zlib.compress(b"x" * 300_000))
        body.finish([])
        self.assertEqual(len(received), 1)
        while not ends:
            body.resume()
        self.assertEqual(len(b"".join(received)), 300_000)

    def test_damage_found_late_fails_the_reader(self) -> None:
        body = self.decoding()
        data = zlib.compress(bytes(range(256)) * 2000, 0)
        body.feed(data[:-4] + b"\0\0\0\0")
        body.finish([])
        outcomes: list[Any] = []
        while not outcomes or isinstance(outcomes[-1], bytes):
            self.next().addBoth(outcomes.append)
        self.assertIsInstance(outcomes[-1].value, DecodingError)
        self.assertGreater(len(outcomes), 2)
        self.assertEqual(self.link.said[-1], "dropped")

    def test_damage_found_at_once_is_raised(self) -> None:
        body = self.decoding()
        with self.assertRaises(DecodingError):
            body.feed(b"\xff\xff\xff\xff\xff")
        body = self.decoding()
        body.feed(zlib.compress(b"hello")[:5])
        with self.assertRaises(DecodingError):
            body.finish([])


@given(st.lists(st.binary(max_size=200), max_size=20), st.booleans(), st.data())
def test_any_history_gives_what_was_fed(
    pieces: list[bytes], coded: bool, data: st.DataObject
) -> None:
    whole = b"".join(pieces)
    link = Link()
    body = ResponseBody(link, body_decoder("deflate", max_size=0) if coded else None)
    wire = zlib.compress(whole) if coded else whole
    taken: list[bytes] = []
    ended: list[Any] = []

    async def take() -> None:
        async for piece in body:
            taken.append(piece)  # noqa: PERF401  # what came before a failure counts
        ended.append(True)

    running: Deferred[None] | None = None
    start = 0
    while start < len(wire):
        size = data.draw(st.integers(1, 50))
        body.feed(wire[start : start + size])
        start += size
        if running is None and data.draw(st.booleans()):
            running = Deferred.fromCoroutine(take())
    body.finish([])
    if running is None:
        running = Deferred.fromCoroutine(take())
    assert ended == [True]
    assert b"".join(taken) == whole
