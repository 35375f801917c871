"""A pool at work: slots, dials, deadlines, and what is left when it is closed."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError

from httpx_tw.client.client import Client
from httpx_tw.client.pool_facts import DropReason
from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import (
    ClientClosed,
    ConnectFailed,
    ConnectTimeout,
    NameNotResolved,
    PoolExhausted,
    PoolExhaustedForHost,
    PoolTimeout,
    TotalTimeout,
)
from tests.client.fakes import OK, URL, ClientTestCase

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from httpx_tw.client.response import ClientResponse


class NonBlocking:
    """A socket as most reactors have them."""

    def getblocking(self) -> bool:
        return False


def _note(answered: list[int], number: int, _: object) -> None:
    answered.append(number)


class LimitTests(ClientTestCase):
    def test_never_more_than_the_limit_and_in_the_order_of_asking(self) -> None:
        self.client = self.made(
            self.pool(max_per_host=3, max_requests_per_connection=7)
        )
        answered: list[int] = []
        deferreds = []
        for number in range(100):
            deferred = self.get(f"{URL}{number}")
            deferred.addCallback(partial(_note, answered, number))
            deferreds.append(deferred)
        for _ in range(100):
            peers = [p for p in self.dialer.peers if not p.transport.is_closed]
            self.assertLessEqual(len(peers), 3)
            for peer in peers:
                if peer.take():
                    peer.send(OK)
            self.turn()
        self.assertEqual(answered, list(range(100)))

    def test_who_may_not_wait_is_refused(self) -> None:
        self.client = self.made(self.pool(max_per_host=1, max_connections=2))
        first = self.get()
        self.error(self.get(wait=False), PoolExhaustedForHost)
        second = self.get("http://b.example/")
        error = self.error(self.get("http://c.example/", wait=False), PoolExhausted)
        self.assertNotIsInstance(error, PoolExhaustedForHost)
        for deferred, peer in zip([first, second], self.dialer.peers, strict=True):
            peer.answer()
            self.result(deferred)

    def test_waiting_for_a_slot_takes_no_longer_than_the_pool_timeout(self) -> None:
        self.client = self.made(self.pool(max_per_host=1), timeout=Timeout(pool=2))
        first = self.get()
        second = self.get()
        self.advance(1.9)
        self.assertNoResult(second)
        self.advance(1.2)
        self.error(second, PoolTimeout)
        self.peer.answer()
        self.result(first)
        self.assertEqual(self.client.pool.stats().waiting, 0)

    def test_total_timeout_covers_waiting(self) -> None:
        self.client = self.made(self.pool(max_per_host=1))
        first = self.get()
        second = self.get(timeout=Timeout(total=2))
        self.advance(3.2)
        self.error(second, TotalTimeout)
        self.peer.answer()
        self.result(first)

    def test_cancelled_while_waiting_it_leaves_the_queue(self) -> None:
        self.client = self.made(self.pool(max_per_host=1))
        first, second, third = self.get(), self.get(), self.get()
        second.cancel()
        self.error(second, CancelledError)
        self.peer.answer()
        self.result(first)
        self.peer.answer()
        self.result(third)


class DialTests(ClientTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.dialer.is_slow = True

    def test_dial_takes_no_longer_than_the_connect_timeout(self) -> None:
        deferred = self.get(timeout=Timeout(connect=3))
        self.advance(2.9)
        self.assertNoResult(deferred)
        self.advance(1.7)
        self.error(deferred, ConnectTimeout)
        self.assertEqual(self.client.pool.stats().total, 0)

    def test_failed_dial_is_told_as_it_is(self) -> None:
        for error, kind in (
            (NameNotResolved("no such name"), NameNotResolved),
            (OSError("cable cut"), ConnectFailed),
        ):
            deferred = self.get()
            self.dialer.fail(error)
            found = self.error(deferred, kind)
            self.assertIn(str(error), str(found))
        self.assertIsInstance(found.__cause__, OSError)

    def test_failed_dial_lets_the_next_dial(self) -> None:
        self.client = self.made(self.pool(max_per_host=1))
        first, second = self.get(), self.get()
        self.dialer.fail(ConnectFailed("no"))
        self.error(first, ConnectFailed)
        self.dialer.land()
        self.peer.answer()
        self.result(second)

    def test_cancelled_dial_is_abandoned(self) -> None:
        deferred = self.get()
        deferred.cancel()
        self.error(deferred, CancelledError)
        self.assertEqual(self.client.pool.stats().total, 0)

    def test_dial_others_need_goes_on(self) -> None:
        self.client = self.made(self.pool(max_per_host=1))
        first, second = self.get(), self.get()
        first.cancel()
        self.error(first, CancelledError)
        self.dialer.land()
        self.peer.answer()
        self.result(second)
        self.assertEqual(len(self.dialer.dialed), 1)

    def test_late_dial_is_kept(self) -> None:
        first = self.get()
        self.dialer.land()
        second = self.get()
        self.peer.answer()  # which also serves the second
        self.result(first)
        self.dialer.land()
        self.dialer.peers[0].answer()
        self.result(second)
        self.assertEqual(self.client.pool.stats().idle, 2)

    def test_timeouts_of_waiting_and_dialling_change_over(self) -> None:
        # The second's dial serves the first; the second goes on with the first's.
        timeout = Timeout(pool=5, connect=60)
        first, second = self.get(timeout=timeout), self.get(timeout=timeout)
        self.dialer.land(1)
        self.advance(4)
        self.peer.answer()
        self.result(first)
        self.peer.answer()
        self.result(second)
        self.dialer.fail(ConnectFailed("too late to matter"))
        self.assertEqual(self.client.pool.stats().dials_failed, 1)

    def test_who_waits_for_the_dial_of_another_waits_for_the_pool(self) -> None:
        self.client = self.made(self.pool(max_per_host=2))
        timeout = Timeout(pool=5, connect=60)
        first, second, third = (self.get(timeout=timeout) for _ in range(3))
        self.dialer.land(1)
        self.advance(8)
        self.error(third, PoolTimeout)
        self.assertNoResult(second)
        self.dialer.land(0)
        for deferred, peer in zip([first, second], self.dialer.peers, strict=True):
            peer.answer()
            self.result(deferred)


class CleanupTests(ClientTestCase):
    def idle(self, count: int = 1) -> None:
        deferreds = [self.get() for _ in range(count)]
        for deferred, peer in zip(deferreds, self.dialer.peers[-count:], strict=True):
            peer.answer()
            self.result(deferred)

    def test_idle_connections_are_closed_in_time_by_themselves(self) -> None:
        self.client = self.made(self.pool(idle_timeout_ms=10_000))
        self.idle(2)
        self.advance(9.5)
        self.assertEqual(self.client.pool.stats().idle, 2)
        self.advance(8)
        self.assertEqual(self.client.pool.stats().total, 0)
        dropped = self.client.pool.stats().dropped
        self.assertEqual(dropped, {DropReason.IDLE_TOO_LONG: 2})
        self.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cleanup_does_so_at_once(self) -> None:
        self.idle()
        self.assertEqual(self.client.pool.cleanup(), 0)
        self.clock.rightNow += 70
        self.assertEqual(self.client.pool.cleanup(), 1)
        self.turn()

    def test_pool_nobody_used_has_nothing_to_clean(self) -> None:
        from httpx_tw.client.pool import ConnectionPool

        pool = ConnectionPool()
        self.assertEqual(pool.cleanup(), 0)
        pool.close_idle()
        self.result(pool.close())
        self.assertEqual(pool.stats().total, 0)

    def test_all_idle_can_be_closed(self) -> None:
        self.idle(3)
        self.client.pool.close_idle()
        self.turn()
        self.assertEqual(self.client.pool.stats().total, 0)
        self.assertEqual(self.dialer.addresses_forgotten, 1)

    def test_worn_out_connection_is_replaced(self) -> None:
        self.client = self.made(self.pool(max_requests_per_connection=2))
        for _ in range(4):
            self.idle()
            self.turn()
        self.assertEqual(len(self.dialer.peers), 2)

    def test_connections_of_a_host_are_counted(self) -> None:
        self.idle(2)
        self.assertEqual(self.client.pool.host_connection_count("a.example", 80), 2)
        self.assertEqual(self.client.pool.host_connection_count("a.example", 81), 0)

    def test_tick_runs_only_while_there_is_something(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.idle()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.peer.transport.lose()
        self.advance(6)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ClosingTests(ClientTestCase):
    def test_closing_fails_whatever_goes_on(self) -> None:
        self.client = self.made(self.pool(max_per_host=1))
        busy, waiting = self.get(), self.get()
        self.dialer.is_slow = True
        dialing = self.get("http://b.example/")
        closed = self.client.close()
        for deferred in (busy, waiting, dialing):
            self.error(deferred, ClientClosed)
        self.assertNoResult(closed)
        self.turn()
        self.result(closed)
        self.assertTrue(self.dialer.is_closed)

    def test_closing_closes_idle_connections(self) -> None:
        deferred = self.get()
        self.peer.answer()
        self.result(deferred)
        closed = self.client.close()
        self.turn()
        self.result(closed)
        self.result(self.client.close())

    def test_closed_pool_takes_no_requests(self) -> None:
        self.result(self.client.close())
        self.error(self.get(), ClientClosed)
        self.error(self.client.post(URL), ClientClosed)

    def test_shared_pool_stays_open(self) -> None:
        other = Client(pool=self.client.pool)
        self.result(other.close())
        deferred = self.get()
        self.peer.answer()
        self.result(deferred)

    def test_context_closes(self) -> None:
        client = self.made()

        async def use() -> None:
            async with client:
                pass

        self.result(use())
        self.error(client.get(URL), ClientClosed)


class StaleTests(ClientTestCase):
    """The server closes an idle connection at the worst moment."""

    def idle(self, count: int = 1) -> None:
        deferreds = [self.get() for _ in range(count)]
        for deferred, peer in zip(deferreds, self.dialer.peers[-count:], strict=True):
            peer.answer()
            self.result(deferred)

    def test_idempotent_request_is_sent_again_on_another(self) -> None:
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
            self.idle()
            count = len(self.dialer.peers)
            deferred = self.client.request(method, URL)
            self.peer.transport.lose()
            self.assertEqual(len(self.dialer.peers), count + 1)
            self.peer.answer()
            self.assertEqual(self.result(deferred).status, 200)

    def test_any_number_of_stale_connections_is_gone_through(self) -> None:
        self.idle(5)
        deferred = self.get()
        for peer in reversed(self.dialer.peers[:5]):
            self.assertNoResult(deferred)
            peer.transport.lose()
        self.peer.answer()
        self.assertEqual(self.result(deferred).body, b"hello")

    def test_other_requests_are_not_sent_again(self) -> None:
        from httpx_tw.errors import ConnectionLost

        self.idle()
        deferred = self.client.post(URL, content=b"pay")
        self.peer.transport.lose()
        self.error(deferred, ConnectionLost)

    def test_new_connection_that_is_closed_is_no_stale_one(self) -> None:
        from httpx_tw.errors import ConnectionLost

        deferred = self.get()
        self.peer.take()
        self.peer.transport.lose()
        self.error(deferred, ConnectionLost)
        self.assertEqual(len(self.dialer.peers), 1)

    def test_response_that_has_begun_is_not_asked_for_again(self) -> None:
        from httpx_tw.errors import ConnectionLost

        for sent in (b"H", b"HTTP/1.1 100 Continue\r\n\r\n"):
            self.idle()
            deferred = self.get()
            self.peer.take()
            self.peer.send(sent)
            self.peer.transport.lose()
            self.error(deferred, ConnectionLost)

    def test_body_that_cannot_be_sent_again_is_not(self) -> None:
        from httpx_tw.errors import ConnectionLost

        self.idle()
        deferred = self.client.put(URL, content=iter([b"abc"]))
        self.peer.transport.lose()
        self.error(deferred, ConnectionLost)

    def test_connection_known_to_be_closed_takes_no_post(self) -> None:
        self.idle()
        stale = self.peer

        class Closed(NonBlocking):
            def recv(self, size: int, flags: int) -> bytes:
                return b""

        stale.transport.socket = Closed()  # type: ignore[attr-defined]  # as a real one has
        deferred = self.client.post(URL, content=b"pay")
        self.assertIsNot(self.peer, stale)
        self.assertIn(b"pay", self.peer.answer())
        self.result(deferred)
        self.turn()

    def test_connection_known_to_be_open_does(self) -> None:
        class Silent(NonBlocking):
            def recv(self, size: int, flags: int) -> bytes:
                raise BlockingIOError

        class Broken(NonBlocking):
            def recv(self, size: int, flags: int) -> bytes:
                raise ConnectionResetError

        self.idle()
        self.peer.transport.socket = Silent()  # type: ignore[attr-defined]  # see above
        deferred: Deferred[ClientResponse] = self.client.post(URL)
        self.peer.answer()
        self.result(deferred)
        self.assertEqual(len(self.dialer.peers), 1)
        self.peer.transport.socket = Broken()  # type: ignore[attr-defined]  # see above
        deferred = self.client.post(URL)
        self.assertEqual(len(self.dialer.peers), 2)
        self.peer.answer()
        self.result(deferred)
        self.turn()

    def test_on_a_socket_that_blocks_nobody_waits(self) -> None:
        here, there = socket.socketpair()  # as Twisted's are on IOCP
        self.addCleanup(here.close)
        self.idle()
        self.peer.transport.socket = here  # type: ignore[attr-defined]  # see above
        deferred: Deferred[ClientResponse] = self.client.post(URL)
        self.peer.answer()
        self.result(deferred)
        self.assertEqual(len(self.dialer.peers), 1)
        there.close()
        deferred = self.client.post(URL)
        self.assertEqual(len(self.dialer.peers), 2)
        self.peer.answer()
        self.result(deferred)
        self.turn()
