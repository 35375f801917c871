"""The sender of a body: as fast as the transport takes it, fair, and able to stop."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.content import as_content
from httpx_tw.client.sending import BURST, BodySender


class Link:
    """A connection as a sender sees it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_sent = False
        self.errors: list[BaseException] = []
        self.sender: BodySender | None = None
        self.pauses_after = -1

    def send_piece(self, data: bytes) -> None:
        if data == b"bad":
            raise ValueError("no")
        self.pieces.append(data)
        if len(self.pieces) == self.pauses_after:
            assert self.sender is not None
            self.sender.pauseProducing()

    def sent(self) -> None:
        self.is_sent = True

    def sending_failed(self, error: BaseException) -> None:
        self.errors.append(error)


class SenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.link = Link()

    def sender(self, content: Any) -> BodySender:
        self.link.sender = sender = BodySender(
            as_content(content), self.link, self.clock
        )
        return sender

    def asynchronous(self, *held: Deferred[Any]) -> Any:
        async def pieces() -> Any:
            for deferred in held:
                yield await deferred

        return pieces()

    def test_everything_is_sent_and_the_end_is_told(self) -> None:
        self.sender([b"a", b"", b"b"]).start()
        self.assertEqual(self.link.pieces, [b"a", b"b"])
        self.assertTrue(self.link.is_sent)

    def test_full_transport_is_waited_for(self) -> None:
        sender = self.sender([b"a", b"b", b"c"])
        self.link.pauses_after = 2
        sender.start()
        self.assertEqual(self.link.pieces, [b"a", b"b"])
        sender.resumeProducing()
        self.assertTrue(self.link.is_sent)

    def test_others_have_their_turn(self) -> None:
        sender = self.sender([b"x" * BURST, b"y"])
        sender.start()
        self.assertEqual(len(self.link.pieces), 1)
        sender.resumeProducing()  # it goes on by itself
        self.assertEqual(len(self.link.pieces), 1)
        self.clock.advance(0)
        self.assertTrue(self.link.is_sent)

    def test_what_comes_later_is_sent_then(self) -> None:
        first: Deferred[bytes] = Deferred()
        second: Deferred[bytes] = Deferred()
        sender = self.sender(self.asynchronous(first, second))
        sender.start()
        self.assertTrue(sender.waits_for_content)
        sender.resumeProducing()
        first.callback(b"a")
        self.assertEqual(self.link.pieces, [b"a"])
        second.callback(b"b")
        self.assertTrue(self.link.is_sent)
        self.assertFalse(sender.waits_for_content)

    def test_what_comes_while_paused_is_sent_and_no_more_asked_for(self) -> None:
        held = [Deferred(), Deferred()]  # type: ignore[var-annotated]  # of bytes
        sender = self.sender(self.asynchronous(*held))
        sender.start()
        sender.pauseProducing()
        held[0].callback(b"a")
        self.assertEqual(self.link.pieces, [b"a"])
        self.assertFalse(sender.waits_for_content)
        sender.resumeProducing()
        held[1].callback(b"b")
        self.assertTrue(self.link.is_sent)

    def test_content_that_raises_fails_it(self) -> None:
        def at_once() -> Any:
            yield b"a"
            raise OSError("disk")

        async def later() -> Any:
            yield b"a"
            raise OSError("disk")

        for content in (at_once(), later()):
            self.setUp()
            self.sender(content).start()
            self.assertIsInstance(self.link.errors[0], OSError)
            self.assertFalse(self.link.is_sent)

    def test_failure_that_comes_later_fails_it(self) -> None:
        held: Deferred[bytes] = Deferred()
        self.sender(self.asynchronous(held)).start()
        held.errback(OSError("disk"))
        self.assertIsInstance(self.link.errors[0], OSError)

    def test_piece_that_cannot_be_sent_fails_it(self) -> None:
        self.sender([b"bad"]).start()
        self.assertIsInstance(self.link.errors[0], ValueError)
        self.setUp()
        held: Deferred[bytes] = Deferred()
        self.sender(self.asynchronous(held)).start()
        held.callback(b"bad")
        self.assertIsInstance(self.link.errors[0], ValueError)

    def test_stopped_it_sends_no_more(self) -> None:
        held: Deferred[bytes] = Deferred()
        sender = self.sender(self.asynchronous(held))
        sender.start()
        sender.stopProducing()
        sender.stop()
        self.assertTrue(sender.is_over)
        self.assertEqual(self.link.errors, [])
        sender = self.sender([b"x" * BURST, b"y"])
        sender.start()
        sender.stop()
        self.clock.advance(0)
        self.assertEqual(self.link.pieces, [b"x" * BURST])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_from_within_it_stops(self) -> None:
        sender = self.sender([b"a", b"b"])

        def stop(data: bytes) -> None:
            sender.stop()

        self.link.send_piece = stop  # type: ignore[method-assign]  # this once
        sender.start()
        self.assertFalse(self.link.is_sent)
