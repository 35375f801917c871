"""A pool that is moved by hand does what the real one does."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python import log  # noqa: TID251  # what is tested is its context
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import DeadlinePassed, PoolStopped, QueueFull
from httpx_tw.testing.workers import SteppedWorkerPool
from httpx_tw.workers.pool import WorkerPoolConfig
from tests.workers.running import Told, adds_up


class SteppedWorkerPoolTests(SynchronousTestCase):
    def a_pool(self, clock: Clock | None = None, **config: int) -> SteppedWorkerPool:
        pool = SteppedWorkerPool(WorkerPoolConfig(**config))
        pool.start(clock)
        pool.start(clock)
        return pool

    def test_nothing_happens_by_itself(self) -> None:
        pool = self.a_pool()
        answer = pool.submit(divmod, 7, 2)
        assert pool.stats.queue_depth == 1
        task = pool.begin()
        assert (pool.stats.queue_depth, pool.stats.active, pool.stats.workers) == (
            0,
            1,
            1,
        )
        pool.run(task)
        self.assertNoResult(answer)
        pool.deliver()
        assert self.successResultOf(answer) == (3, 1)
        assert (pool.stats.completed, pool.stats.workers) == (1, 0)

    def test_the_next_and_all(self) -> None:
        pool, told = self.a_pool(), Told()
        self.assertRaises(IndexError, pool.run_next)
        for number in range(4):
            pool.offload(abs, -number, told)
        pool.run_next()
        assert told.results == [0]
        assert pool.run_all() == 3
        assert told.results == [0, 1, 2, 3]
        assert pool.run_all() == 0

    def test_errors_come_back(self) -> None:
        pool = self.a_pool()
        answer = pool.submit(int, "x")
        pool.run_all()
        self.failureResultOf(answer, ValueError)

    def test_posts_wait_for_delivery_and_come_before_their_calls_end(self) -> None:
        pool, heard = self.a_pool(), list[Any]()

        def speak(_: object) -> None:
            pool.post(heard.append, 1)
            pool.post(pool.post, heard.append, 2)

        pool.offload(speak, None, lambda *_: heard.append("end"))
        pool.run(pool.begin())
        assert heard == []
        pool.deliver()
        assert heard == [1, "end", 2]

    def test_a_full_queue_refuses_lets_wait_or_sheds(self) -> None:
        pool, told = self.a_pool(max_queue_size=1), Told()
        pool.offload(str, 1, told)
        self.assertRaises(QueueFull, pool.offload, str, 2, told)
        waiting = pool.submit(str, 3)
        assert pool.stats.waiting == 1
        assert pool.shed_oldest()
        pool.offload(str, 4, told)
        pool.run_all()
        assert told.results == [QueueFull, "4"]
        assert self.successResultOf(waiting) == "3"
        assert adds_up(pool)

    def test_a_call_can_be_cancelled_in_each_of_its_places(self) -> None:
        pool, told = self.a_pool(), Told()
        queued = pool.offload(str, 1, told)
        assert queued.cancel()
        begun = pool.offload(str, 2, told)
        assert pool.begin() is begun
        assert begun.cancel()
        assert pool.stats.overdue == 1
        pool.run(begun)
        ran = pool.submit(str, 3)
        pool.run(pool.begin())
        ran.cancel()
        self.failureResultOf(ran, CancelledError)
        pool.deliver()
        assert told.results == []
        assert (pool.stats.cancelled, pool.stats.abandoned) == (3, 2)
        assert pool.stats.overdue == 0

    def test_deadlines_pass_by_the_clock(self) -> None:
        clock = Clock()
        pool = self.a_pool(clock, request_timeout_ms=2000)
        answers = [pool.submit(str, number) for number in range(2)]
        clock.pump([0.5] * 5)
        for answer in answers:
            self.failureResultOf(answer, DeadlinePassed)
        later = pool.submit(str, 3)
        clock.advance(1)
        pool.run_all()
        assert self.successResultOf(later) == "3"
        assert pool.stats.wait.sum == 1.0
        self.successResultOf(pool.stop())
        assert clock.getDelayedCalls() == []

    def test_without_a_clock_they_do_not(self) -> None:
        pool = self.a_pool(request_timeout_ms=1)
        answer, stopped = pool.submit(str, 1), pool.stop(0.0)
        pool.stop(0.0)
        self.assertNoResult(stopped)
        pool.run_all()
        assert self.successResultOf(answer) == "1"
        assert self.successResultOf(stopped).finished == 1

    def test_stop_waits_for_the_steps_until_its_time_is_over(self) -> None:
        clock = Clock()
        pool = self.a_pool(clock)
        begun, queued = pool.submit(str, 1), pool.submit(sorted, [])
        task = pool.begin()
        stopped = pool.stop(3.0)
        self.assertRaises(PoolStopped, pool.submit, str, 1)
        self.assertRaises(PoolStopped, pool.start, clock)
        clock.advance(3.0)
        report = self.successResultOf(stopped)
        assert report.dropped == ("sorted",)
        assert report.abandoned == ("workers-stepped: str",)
        for each in (begun, queued):
            self.failureResultOf(each, PoolStopped)
        pool.run(task)
        pool.deliver()
        assert pool.stats.overdue == 0

    def test_a_call_is_in_a_worker_while_it_runs(self) -> None:
        pool = self.a_pool(max_queue_size=1)
        events: list[Any] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)

        def nest() -> str:
            one, other = pool.submit(str, 1), pool.submit(str, 2)
            log.msg("x", seen=1)
            return str(one.result() + other.result())

        answer: Deferred[str] = log.callWithContext(
            {"system": "of the call"}, pool.submit, nest
        )
        pool.adjustPoolsize(0, 5)
        pool.run_next()
        assert self.successResultOf(answer) == "12"
        assert [each["system"] for each in events if "seen" in each] == ["of the call"]
        assert pool.stats.completed == 3
