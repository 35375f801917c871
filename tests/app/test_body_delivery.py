"""A request's body as a Twisted consumer takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from httpx_tw.app.body_delivery import BodyDelivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@implementer(IConsumer)
class Consumer:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producer: Any = None
        self.was_registered = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer
        self.was_registered = True

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)


class Delivery(SynchronousTestCase):
    def setUp(self) -> None:
        self.consumer = Consumer()
        self.asked = 0

    async def pieces(self, *given: bytes) -> AsyncIterator[bytes]:
        for piece in given:
            self.asked += 1
            yield piece

    def run_with(self, *given: bytes) -> Deferred[None]:
        delivery = BodyDelivery(self.consumer)
        return Deferred.fromCoroutine(delivery.run(self.pieces(*given)))

    def test_every_piece_is_written_and_the_producer_goes(self) -> None:
        self.successResultOf(self.run_with(b"a", b"b"))
        self.assertEqual(self.consumer.written, [b"a", b"b"])
        self.assertTrue(self.consumer.was_registered)
        self.assertIsNone(self.consumer.producer)

    def test_nothing_is_asked_for_while_the_consumer_pauses(self) -> None:
        consumer = self.consumer

        def write(data: bytes) -> None:
            consumer.written.append(data)
            consumer.producer.pauseProducing()

        consumer.write = write  # type: ignore[method-assign]  # one that is slow
        running = self.run_with(b"a", b"b")
        self.assertEqual((consumer.written, self.asked), ([b"a"], 1))
        consumer.producer.resumeProducing()
        consumer.producer.resumeProducing()
        self.assertEqual(consumer.written, [b"a", b"b"])
        self.successResultOf(running)

    def test_a_consumer_that_stops_gets_no_more(self) -> None:
        consumer = self.consumer

        def write(data: bytes) -> None:
            consumer.written.append(data)
            consumer.producer.pauseProducing()

        consumer.write = write  # type: ignore[method-assign]  # one that is slow
        running = self.run_with(b"a", b"b", b"c")
        consumer.producer.stopProducing()
        self.successResultOf(running)
        self.assertEqual(consumer.written, [b"a"])
        self.assertIsNone(consumer.producer)

    def test_a_body_that_fails_fails_the_delivery(self) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"a"
            raise ValueError

        running = Deferred.fromCoroutine(BodyDelivery(self.consumer).run(broken()))
        self.failureResultOf(running, ValueError)
        self.assertIsNone(self.consumer.producer)
