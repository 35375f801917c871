"""What overload gets, and whose the worker threads are."""

from __future__ import annotations

from typing import Any

from httpx_tw.app.route import ANYWHERE, ON_WORKER
from httpx_tw.errors import PoolStopped, QueueFull
from httpx_tw.server.deadlines import NEVER
from httpx_tw.server.threads import Overload, Threads, WaitingCall
from tests.server.stepped_pool import SteppedPool, WorkerTestCase


class Policies(WorkerTestCase):
    """A queue with room for two calls, and a third."""

    def setUp(self) -> None:
        super().setUp()
        self.app.get("/{n:int}", lambda request: f"{request.path_params['n']}")
        self.pool.room = 2

    def ask(self, overload: Overload, count: int = 3) -> list[Any]:
        """Ask on *count* connections."""
        self.lend(overload)
        peers = [self.connect() for _ in range(count)]
        for n, peer in enumerate(peers):
            peer.get(f"/{n}")
        return peers

    def test_rejecting_answers_503_at_once_and_keeps_the_connection(self) -> None:
        *_, third = self.ask(Overload.REJECT)
        answer = third.answer()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.assertFalse(third.sees_end)
        self.pool.run_all()
        third.get("/7")
        self.pool.run_all()
        self.assertEqual(third.statuses(), [503, 200])
        self.assertEqual(self.factory.statistics().handler_errors, 0)

    def test_pipelined_requests_are_rejected_one_by_one(self) -> None:
        self.ask(Overload.REJECT, 2)
        peer = self.connect()
        peer.send("GET /3 HTTP/1.1\nHost: a\n\n" * 3)
        self.assertEqual(peer.statuses(), [503] * 3)
        self.pool.run_all()

    def test_shedding_answers_the_oldest_503(self) -> None:
        first, second, third = self.ask(Overload.SHED_OLDEST)
        self.pool.deliver()
        answer = first.answer()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.pool.run_all()
        self.assertEqual(second.answer().body, b"1")
        self.assertEqual(third.answer().body, b"2")
        first.get("/8")
        self.pool.run_all()
        self.assertEqual(first.statuses(), [503, 200])

    def test_shedding_from_an_empty_queue_rejects(self) -> None:
        self.pool.room = 0
        (peer,) = self.ask(Overload.SHED_OLDEST, 1)
        self.assertEqual(peer.statuses(), [503])

    def test_waiting_holds_the_connection_and_keeps_the_order(self) -> None:
        peers = self.ask(Overload.WAIT, 5)
        for peer in peers[2:]:
            self.assertFalse(peer.transport.is_reading)
        for peer in peers:
            peer.get("/9")
            self.assertEqual(peer.statuses(), [])
        self.pool.run_all()
        self.turn()
        self.pool.run_all()
        for n, peer in enumerate(peers):
            self.assertTrue(peer.transport.is_reading)
            self.assertEqual([a.body for a in peer.answers()], [b"%d" % n, b"9"])

    def test_who_leaves_while_waiting_is_never_called(self) -> None:
        peers = self.ask(Overload.WAIT, 4)
        (waiting, _) = self.pool.waiting
        peers[2].transport.lose()
        self.assertEqual(waiting.fate, "cancelled while waiting")
        self.pool.run_all()
        self.assertEqual(peers[3].statuses(), [200])
        self.assertEqual(self.factory.statistics().disconnects, 1)

    def test_who_waits_too_long_gets_503(self) -> None:
        *others, peer = self.ask(Overload.WAIT)
        self.advance(32)
        self.assertEqual(peer.statuses(), [503])
        self.assertTrue(peer.transport.is_reading)
        self.assertEqual(self.pool.queue, type(self.pool.queue)())
        for other in others:
            self.assertEqual(other.statuses(), [503])

    def test_waiting_for_a_pool_that_stops_is_answered_503(self) -> None:
        *_, peer = self.ask(Overload.WAIT)
        (task,) = self.pool.waiting
        self.pool.waiting.clear()
        self.pool.fail(task, PoolStopped("stopped"))
        self.assertEqual(peer.statuses(), [503])
        self.pool.run_all()

    def test_a_response_that_waited_for_its_turn_is_streamed(self) -> None:
        self.app.get("/stream", lambda _: (piece for piece in (b"a", b"b")))
        self.ask(Overload.WAIT, 2)
        peer = self.connect()
        peer.get("/stream")
        self.assertIs(type(peer.connection._call), WaitingCall)
        self.pool.run_all()
        self.assertEqual(peer.answer().body, b"ab")


class Owning(WorkerTestCase):
    """Who starts and stops the pool."""

    def threads(
        self, pool: SteppedPool, takes_from: int = ANYWHERE, **options: Any
    ) -> Threads:
        given: Any = pool
        return Threads(None, given, Overload.REJECT, takes_from, **options)

    def test_one_that_runs_is_somebody_elses(self) -> None:
        pool = SteppedPool()
        pool.start(None)
        threads = self.threads(pool)
        threads.offload(str, 1, print)
        self.successResultOf(threads.stop(1))
        self.assertEqual((pool.starts, pool.stops), (1, []))

    def test_one_that_does_not_is_started_once_by_the_first_call(self) -> None:
        pool = SteppedPool()
        threads = self.threads(pool, ON_WORKER)
        self.assertEqual(pool.starts, 0)
        threads.offload(str, 1, print)
        threads.submit(str, 1)
        threads.start()
        self.assertEqual(pool.starts, 1)
        self.successResultOf(threads.stop(5))
        self.assertEqual(pool.stops, [5])
        # Not again: the reactor may be on its way out.
        with self.assertRaises(PoolStopped):
            threads.offload(str, 1, print)
        self.assertEqual(pool.starts, 1)

    def test_most_servers_ask_the_pool_itself(self) -> None:
        pool = SteppedPool()
        threads = self.threads(pool)
        threads.start()
        self.assertEqual(threads.offload, pool.offload)

    def test_no_timeout_is_never(self) -> None:
        self.assertEqual(self.threads(SteppedPool()).timeout, NEVER)
        self.assertEqual(self.threads(SteppedPool(), timeout=3).timeout, 3)

    def test_a_stream_waits_for_room_whatever_the_policy(self) -> None:
        pool = SteppedPool(room=0)
        threads = self.threads(pool)
        threads.start()
        with self.assertRaises(QueueFull):
            threads.offload(str, 1, print)
        answer = threads.submit(str, 1)
        pool.room = 1
        pool.admit()
        pool.run_all()
        self.assertEqual(self.successResultOf(answer), "1")
