"""Bodies that wait for 100 (Continue): RFC 9110 section 10.1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.expecting import Expectation
from httpx_tw.client.pool_facts import DropReason
from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import ConnectionLost, ReadTimeout
from tests.client.fakes import OK, URL, ClientTestCase, response

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

EXPECT = {"Expect": "100-continue"}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ExpectationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[int] = []

    def made(self, patience: float | None = 1.0) -> Expectation:
        return Expectation(self.clock, patience, lambda: self.sent.append(1))

    def test_it_is_met_once(self) -> None:
        expectation = self.made()
        expectation.meet()
        expectation.meet()
        self.assertEqual(self.sent, [1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_patience_ends(self) -> None:
        expectation = self.made()
        self.clock.advance(1)
        expectation.meet()
        self.assertEqual(self.sent, [1])

    def test_dropped_it_is_never_met(self) -> None:
        expectation = self.made()
        expectation.drop()
        expectation.meet()
        self.clock.advance(2)
        self.assertEqual(self.sent, [])

    def test_without_end_there_is_no_timer(self) -> None:
        for patience in (None, float("inf")):
            self.made(patience)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ExpectingTests(ClientTestCase):
    def put(self, content: Any = b"hello", **options: Any) -> Deferred[Any]:
        return self.client.put(URL, content=content, headers=EXPECT, **options)

    def closed_for(self) -> DropReason:
        self.turn()
        self.assertTrue(self.peer.is_closed)
        (reason,) = self.client.pool.stats().dropped
        return reason

    def test_body_waits_for_100(self) -> None:
        deferred = self.put()
        self.assertTrue(self.peer.take().endswith(b"content-length: 5\r\n\r\n"))
        self.advance(0.75)
        self.assertEqual(self.peer.take(), b"")
        self.peer.send(CONTINUE)
        self.assertEqual(self.peer.take(), b"hello")
        self.advance(5)
        self.assertEqual(self.peer.take(), b"")
        self.peer.send(OK)
        self.assertEqual(self.result(deferred).status, 200)
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_bodies_of_every_kind_do(self) -> None:
        for content in (b"hello", b"h" * 200_000, iter([b"hel", b"lo"]), [b"hello"]):
            deferred = self.put(content)
            self.assertTrue(self.peer.take().endswith(b"\r\n\r\n"))
            self.peer.send(CONTINUE)
            self.assertIn(b"h", self.peer.take())
            self.peer.send(OK)
            self.assertEqual(self.result(deferred).status, 200)

    def test_other_interim_responses_are_not_it(self) -> None:
        deferred = self.put()
        self.peer.take()
        self.peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        self.assertEqual(self.peer.take(), b"")
        self.peer.send(CONTINUE + CONTINUE)
        self.assertEqual(self.peer.take(), b"hello")
        self.peer.send(OK)
        self.result(deferred)

    def test_server_that_says_nothing_gets_it_after_a_second(self) -> None:
        deferred = self.put()
        self.peer.take()
        self.advance(1)
        self.assertEqual(self.peer.take(), b"hello")
        self.peer.send(CONTINUE + OK)  # it came to its senses
        self.assertEqual(self.result(deferred).status, 200)
        self.assertEqual(self.client.pool.stats().idle, 1)

    def test_patience_can_be_said(self) -> None:
        deferred = self.put(timeout=Timeout(expect=5))
        self.peer.take()
        self.advance(4.5)
        self.assertEqual(self.peer.take(), b"")
        self.advance(0.5)
        self.assertEqual(self.peer.take(), b"hello")
        self.peer.send(OK)
        self.result(deferred)

    def test_patience_without_end_ends_with_the_read_timeout(self) -> None:
        deferred = self.put(timeout=Timeout(expect=None, read=10))
        self.peer.take()
        self.advance(9)
        self.assertEqual(self.peer.take(), b"")
        self.assertNoResult(deferred)
        self.advance(3)
        self.error(deferred, ReadTimeout)
        self.assertEqual(self.closed_for(), DropReason.TIMED_OUT)

    def test_short_read_timeout_does_not_count_meanwhile(self) -> None:
        deferred = self.put(timeout=Timeout(expect=3, read=1))
        self.advance(2.5)
        self.assertNoResult(deferred)
        self.advance(0.5)
        self.assertTrue(self.peer.take().endswith(b"hello"))
        self.advance(2)
        self.error(deferred, ReadTimeout)

    def test_refusal_comes_without_the_body_and_ends_the_connection(self) -> None:
        # The server waits for five bytes: the next request must not be those.
        for answer in (response(413, b"no"), response(401), response(200, b"fine")):
            deferred = self.put(timeout=Timeout(expect=None))
            self.peer.take()
            self.peer.send(answer)
            self.assertEqual(b"%d" % self.result(deferred).status, answer[9:12])
            self.assertEqual(self.peer.take(), b"")
            self.assertEqual(self.closed_for(), DropReason.NOT_REUSABLE)

    def test_refusal_piece_by_piece_too(self) -> None:
        deferred = self.put(iter([b"a"]))
        self.peer.take()
        self.peer.send(b"HTTP/1.1 413 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.peer.send(b"2\r\nno\r\n")
        self.advance(2)
        self.peer.send(b"0\r\n\r\n")
        self.assertEqual(self.result(deferred).text(), "no")
        self.assertEqual(self.peer.take(), b"")
        self.assertEqual(self.closed_for(), DropReason.NOT_REUSABLE)

    def test_refusal_of_the_expectation_alone_is_not_the_end(self) -> None:
        for content in (b"hello", iter([b"hello"])):
            deferred = self.put(content)
            self.assertIn(b"Expect:", self.peer.take())
            self.peer.send(response(417))
            self.turn()
            again = self.peer.take()
            self.assertNotIn(b"Expect:", again)
            self.assertIn(b"hello", again)
            self.peer.send(OK)
            self.assertEqual(self.result(deferred).status, 200)

    def test_body_that_was_sent_already_is_not_sent_again(self) -> None:
        deferred = self.put(iter([b"hello"]))
        self.peer.take()
        self.advance(1)
        self.peer.take()
        self.peer.send(response(417))
        self.assertEqual(self.result(deferred).status, 417)

    def test_iterator_that_was_not_read_follows_a_redirect(self) -> None:
        deferred = self.put(iter([b"hello"]))
        self.peer.take()
        self.peer.send(response(307, b"", "Location: /there"))
        self.turn()
        self.assertTrue(self.peer.take().startswith(b"PUT /there "))
        self.peer.send(CONTINUE)
        self.assertIn(b"hello", self.peer.take())
        self.peer.send(OK)
        self.assertEqual(self.result(deferred).status, 200)

    def test_cancelled_meanwhile_nothing_is_left(self) -> None:
        deferred = self.put()
        deferred.cancel()
        self.error(deferred, CancelledError)
        self.assertEqual(self.closed_for(), DropReason.CANCELLED)

    def test_connection_lost_meanwhile_is_told(self) -> None:
        deferred = self.put()
        self.peer.transport.lose()
        self.error(deferred, ConnectionLost)
