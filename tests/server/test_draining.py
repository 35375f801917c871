"""Stopping: who is closed at once, who may finish, and when patience ends."""

# ruff: noqa: N802  # Twisted calls these

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from httpx_tw import Request, Response
from httpx_tw.server.draining import drain, second_signal_calls
from tests.server.fakes import Peer, ServerTestCase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KIB = 1024


class Port:
    """A listening port that can be stopped."""

    stops = 0

    def stopListening(self) -> Deferred[None]:
        self.stops += 1
        return succeed(None)

    def startReading(self) -> None:
        pass

    def stopReading(self) -> None:
        pass


class Draining(ServerTestCase):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.wait: Deferred[Any] = Deferred()
        self.app.get("/", lambda _: "hello")
        self.app.get("/wait", lambda _: self.wait)
        self.app.get("/big", lambda _: "x" * 300 * KIB)
        self.app.get("/stream", lambda _: self.pieces())
        self.port = Port()
        self.clock.callFromThread = self.call  # type: ignore[attr-defined]  # of a reactor

    def call(self, function: Any) -> None:
        self.clock.callLater(0, function)

    async def pieces(self) -> AsyncIterator[bytes]:
        yield b"begun, "
        yield (await self.wait)

    def drain(self, timeout: float = 30) -> Deferred[None]:
        self.factory.gate.add_port(self.port)  # type: ignore[arg-type]  # a fake
        ports: Any = [self.port]
        return Deferred.fromCoroutine(drain(self.factory, ports, self.clock, timeout))

    def asking(self, *targets: str) -> list[Peer]:
        peers = [self.connect() for _ in targets]
        for peer, target in zip(peers, targets, strict=True):
            peer.get(target)
        return peers

    def test_nothing_to_wait_for_is_over_at_once(self) -> None:
        self.successResultOf(self.drain())
        self.assertEqual(self.port.stops, 1)

    def test_idle_connections_are_closed_at_once(self) -> None:
        new = self.connect()
        (used,) = self.asking("/")
        used.take()
        done = self.drain()
        self.turn()
        self.assertTrue(new.transport.is_closed)
        self.assertTrue(used.transport.is_closed)
        self.successResultOf(done)

    def test_requests_in_flight_are_answered_and_then_closed(self) -> None:
        (peer,) = self.asking("/wait")
        done = self.drain()
        self.advance(5)
        self.assertNoResult(done)
        self.wait.callback("finished")
        answer = peer.answer()
        self.assertEqual(answer.body, b"finished")
        self.assertEqual(answer.headers["connection"], "close")
        self.turn()
        self.successResultOf(done)

    def test_streams_and_bodies_are_finished(self) -> None:
        self.app.post("/collect", lambda request: request.body)
        (stream,) = self.asking("/stream")
        body = self.connect()
        body.get("/collect", "Content-Length: 6", method="POST")
        done = self.drain()
        self.wait.callback(b"ended")
        body.send(b"abcdef")
        self.assertEqual(stream.answer().body, b"begun, ended")
        self.assertEqual(body.answer().body, b"abcdef")
        self.turn()
        self.successResultOf(done)

    def test_a_head_that_has_begun_is_answered_and_closed(self) -> None:
        peer = self.connect()
        peer.send("GET / HTTP/1.1\n")
        done = self.drain()
        self.assertNoResult(done)
        peer.send("Host: a\n\n")
        self.assertEqual(peer.answer().headers["connection"], "close")
        self.turn()
        self.successResultOf(done)

    def test_pipelined_requests_get_one_more_answer(self) -> None:
        (peer,) = self.asking("/wait")
        peer.get()
        done = self.drain()
        self.wait.callback("finished")
        self.assertEqual(peer.statuses(), [200])
        self.turn()
        self.successResultOf(done)

    def test_an_answer_nobody_has_read_yet_is_not_cut(self) -> None:
        (peer,) = self.asking("/big")
        done = self.drain()
        self.assertNoResult(done)
        self.assertEqual(len(peer.answer().body), 300 * KIB)
        self.turn()
        self.successResultOf(done)

    def test_a_body_being_discarded_is_the_last(self) -> None:
        peer = self.connect()
        peer.get("/wait", "Content-Length: 10", method="POST")
        self.assertEqual(peer.statuses(), [405])
        done = self.drain()
        peer.send(b"x" * 10)
        self.turn()
        self.successResultOf(done)

    def test_patience_ends(self) -> None:
        cancelled: list[str] = []

        @self.app.get("/coroutine")
        async def coroutine(_: Request) -> None:
            try:
                await Deferred()
            finally:
                cancelled.append("yes")

        (peer,) = self.asking("/coroutine")
        done = self.drain(10)
        self.advance(9)
        self.assertNoResult(done)
        self.advance(2)
        self.assertTrue(peer.transport.is_aborted)
        self.assertEqual(cancelled, ["yes"])
        self.successResultOf(done)

    def test_zero_is_no_patience(self) -> None:
        (peer,) = self.asking("/wait")
        done = self.drain(0)
        self.turn()
        self.assertTrue(peer.transport.is_aborted)
        self.successResultOf(done)

    def test_a_second_signal_ends_patience(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        (peer,) = self.asking("/wait")
        done = self.drain(30)
        signal.raise_signal(signal.SIGTERM)
        self.turn(2)
        self.assertTrue(peer.transport.is_aborted)
        self.successResultOf(done)
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_a_connection_that_comes_while_draining_gets_one_answer(self) -> None:
        self.asking("/wait")
        done = self.drain()
        late = self.connect()
        late.get()
        self.assertEqual(late.answer().headers["connection"], "close")
        self.wait.callback("")
        self.turn(2)
        for peer in self.peers:
            peer.take()
        self.successResultOf(done)

    def test_a_response_in_a_handler_knows_of_the_end(self) -> None:
        self.app.get("/bytes", lambda _: Response(b"abc"))
        (waiting,) = self.asking("/wait")
        waiting.get("/bytes")
        self.drain()
        self.wait.callback("")
        self.assertEqual(waiting.answer().headers["connection"], "close")


class SecondSignals(ServerTestCase):
    """Who hears of a signal while servers drain."""

    def test_all_that_drain_are_told_and_the_old_handler_comes_back(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        told: list[str] = []
        first = second_signal_calls(lambda: told.append("first"))
        second = second_signal_calls(lambda: told.append("second"))
        first.__enter__()
        second.__enter__()
        signal.raise_signal(signal.SIGINT)
        first.__exit__(None, None, None)
        signal.raise_signal(signal.SIGINT)
        second.__exit__(None, None, None)
        self.assertEqual(told, ["first", "second", "second"])
        self.assertEqual(signal.getsignal(signal.SIGINT), before)

    def test_off_the_main_thread_nothing_is_changed(self) -> None:
        handlers: list[object] = []

        def look() -> None:
            with second_signal_calls(lambda: None):
                handlers.append(signal.getsignal(signal.SIGTERM))

        before = signal.getsignal(signal.SIGTERM)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        self.assertEqual(handlers, [before])
