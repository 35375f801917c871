"""Twisted's body producers as responses: push, pull, and those that misbehave."""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPullProducer, IPushProducer
from twisted.internet.task import Cooperator
from twisted.web.client import FileBodyProducer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from httpx_tw import Response
from tests.server.fakes import Peer, ServerTestCase

KIB = 1024
PIECE = b"x" * 10 * KIB


@implementer(IBodyProducer, IPushProducer)
class Push:
    """Writes when the test says so, and notes what it is told."""

    length: Any = UNKNOWN_LENGTH

    def __init__(self) -> None:
        self.told: list[str] = []
        self.finished: Deferred[None] = Deferred()
        self.consumer: Any = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        return self.finished

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@implementer(IBodyProducer)
class Registering(Push):
    """Registers a pull producer that has *count* pieces."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.pull = Pull(self, count)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        consumer.registerProducer(self.pull, False)
        return self.finished


@implementer(IPullProducer)
class Pull:
    """Gives a piece each time it is asked."""

    def __init__(self, body: Registering, count: int) -> None:
        self.body = body
        self.left = count

    def resumeProducing(self) -> None:
        self.left -= 1
        self.body.consumer.write(PIECE)
        if not self.left:
            self.body.consumer.unregisterProducer()
            self.body.finished.callback(None)

    def stopProducing(self) -> None:
        self.body.told.append("pull stopped")


class Producers(ServerTestCase):
    """See the module."""

    def ask(self, body: Any, length: int | None = None, method: str = "GET") -> Peer:
        self.app.get("/", lambda _: Response.stream(body, content_length=length))
        self.app.get("/next", lambda _: "next")
        peer = self.connect()
        peer.get(method=method)
        return peer

    def read_all(self, peer: Peer) -> bytes:
        for _ in range(3000):
            peer.take()
            self.turn()
        return peer.answers()[0].body

    def test_a_push_producer_is_paused_and_resumed_in_pairs(self) -> None:
        body = Push()
        peer = self.ask(body)
        for _ in range(200):
            body.consumer.write(PIECE)
        self.assertEqual(body.told, ["pause"])
        peer.take()
        self.assertEqual(body.told, ["pause", "resume"])
        body.consumer.write(b"")
        body.consumer.write(b"end")
        body.finished.callback(None)
        answer = peer.answer()
        self.assertEqual(len(answer.body), 2000 * KIB + 3)
        self.assertTrue(answer.is_whole)
        self.assertEqual(body.told, ["pause", "resume"])

    def test_a_registered_push_producer_is_told_in_place_of_the_body(self) -> None:
        body, other = Push(), Push()
        peer = self.ask(body)
        body.consumer.registerProducer(other, True)
        with self.assertRaises(RuntimeError):
            body.consumer.registerProducer(other, True)
        body.consumer.write(b"x" * 100 * KIB)
        peer.take()
        self.assertEqual((body.told, other.told), ([], ["pause", "resume"]))
        body.finished.callback(None)
        self.assertTrue(peer.answer().is_whole)

    def test_a_pull_producer_gives_all_its_pieces(self) -> None:
        body = Registering(200)
        peer = self.ask(body)
        self.assertEqual(len(self.read_all(peer)), 2000 * KIB)
        peer.get("/next")
        self.assertEqual(len(peer.answers()), 2)
        self.assertEqual(body.told, [])

    def test_a_pull_producer_waits_for_the_client(self) -> None:
        body = Registering(200)
        peer = self.ask(body)
        self.turn(100)
        self.assertGreater(body.pull.left, 190)
        self.assertEqual(len(self.read_all(peer)), 2000 * KIB)

    def test_a_pull_producer_may_be_followed_by_the_body_itself(self) -> None:
        body = Registering(1)
        body.finished.pause()  # it has more to write
        peer = self.ask(body)
        body.consumer.write(b"more")
        self.turn(3)
        self.assertEqual(body.told, [])
        body.finished.unpause()
        self.assertEqual(self.read_all(peer), PIECE + b"more")

    def test_a_file_is_sent_whole(self) -> None:
        cooperator = Cooperator(
            scheduler=lambda call: self.clock.callLater(0, call), started=True
        )
        content = b"0123456789" * 100 * KIB
        body = FileBodyProducer(io.BytesIO(content), cooperator)
        peer = self.ask(body)
        self.assertEqual(self.read_all(peer), content)
        headers = peer.answers()[0].headers
        self.assertEqual(headers["content-length"], str(len(content)))

    def test_a_client_that_is_gone_stops_the_producer(self) -> None:
        body = Push()
        peer = self.ask(body)
        body.consumer.write(b"x" * 100 * KIB)
        peer.transport.lose()
        self.assertEqual(body.told, ["pause", "stop"])
        body.consumer.write(b"to nobody")

    def test_a_producer_that_fails_aborts_the_response(self) -> None:
        body = Push()
        peer = self.ask(body)
        body.finished.errback(RuntimeError("on purpose"))
        self.assertTrue(peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_what_is_written_after_the_end_is_dropped(self) -> None:
        body = Push()
        peer = self.ask(body)
        body.consumer.write(b"all")
        body.finished.callback(None)
        body.consumer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.get("/next")
        self.assertEqual([a.body for a in peer.answers()], [b"all", b"next"])

    def test_more_than_was_declared_aborts_the_response(self) -> None:
        body = Push()
        peer = self.ask(body, length=3)
        body.consumer.write(b"four")
        body.consumer.write(b"more")
        self.assertTrue(peer.transport.is_aborted)
        self.assertEqual(body.told, ["stop"])
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_more_than_was_declared_at_once_aborts_too(self) -> None:
        class AtOnce(Push):
            def startProducing(self, consumer: IConsumer) -> Deferred[None]:
                consumer.write(b"four")
                return self.finished

        peer = self.ask(AtOnce(), length=3)
        self.assertTrue(peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_head_stops_a_producer_it_does_not_start(self) -> None:
        body = Push()
        peer = self.ask(body, method="HEAD")
        self.assertEqual(peer.answer("HEAD").status, 200)
        self.assertEqual(body.told, ["stop"])
        file = io.BytesIO(b"abc")
        peer = self.connect()
        self.app.get("/file", lambda _: Response.stream(FileBodyProducer(file)))
        peer.get("/file", method="HEAD")
        self.assertEqual(peer.answer("HEAD").headers["content-length"], "3")
        self.assertTrue(file.closed)

    def test_a_wait_that_fails_ends_the_response(self) -> None:
        def fail() -> Any:
            raise RuntimeError("the clock is broken")

        self.factory.next_turn = fail  # type: ignore[method-assign]  # on purpose
        peer = self.ask(Registering(10))
        self.assertTrue(peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_a_wait_that_fails_later_ends_the_response_too(self) -> None:
        turn: Deferred[None] = Deferred()
        self.factory.next_turn = lambda: turn  # type: ignore[method-assign]  # on purpose
        body = Push()
        peer = self.ask(body)
        for _ in range(8):
            body.consumer.write(b"x" * 40 * KIB)
            peer.take()
        self.assertEqual(body.told, ["pause"])
        turn.errback(RuntimeError("the clock is broken"))
        self.assertTrue(peer.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
