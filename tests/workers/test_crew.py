"""Threads start with the work, end without it, and may fail."""

from __future__ import annotations

import threading
import time
from random import Random
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import NoWorkers
from httpx_tw.workers import crew as crew_module
from httpx_tw.workers.bells import SILENT, LockBell, a_bell
from httpx_tw.workers.crew import Worker
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig
from httpx_tw.workers.queues import SharedQueue
from httpx_tw.workers.tasks import Task
from tests.reactors import made as reactors
from tests.workers.running import (
    PATIENCE,
    Gate,
    OnAReactor,
    Told,
    adds_up,
    error_of,
    in_thread,
    on_every_reactor_and_pool,
    threads_of,
)


class CrewContract(OnAReactor):
    """The threads."""

    def test_threads_start_with_the_work_and_end_without_it(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=3, idle_timeout_ms=30)
            assert pool.stats.workers == 0
            for round_ in (1, 2):
                gate = Gate()
                working = [pool.submit(gate) for _ in range(5)]
                await self.until(lambda: pool.stats.active == 3)
                assert pool.stats.workers == 3
                gate.open()
                await gatherResults(working)
                await self.until(lambda: pool.stats.workers == 0)
                assert pool.stats.completed == 5 * round_
            await pool.stop()

        self.run_async(test)

    def test_retirement_and_work_may_come_together(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=2, idle_timeout_ms=1)
            for round_ in range(150):
                assert await pool.submit(str, round_) == str(round_)
                await self.later(0.0005 + 0.00001 * (round_ % 100))
            await pool.stop()

        self.run_async(test)

    def test_a_thread_that_does_not_start_is_done_without(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=2), Gate()
            first = pool.submit(gate)
            await self.until(lambda: pool.stats.workers == 1)
            pool._crew.make_thread = Unstartable
            second = pool.submit(str, 2)
            await self.turn(3)
            gate.open()
            assert await second == "2"
            await first
            await pool.stop()

        self.run_async(test)

    def test_where_no_thread_starts_the_calls_fail(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=2, max_queue_size=1)
            start, pool._crew.make_thread = pool._crew.make_thread, Unstartable
            queued, waiting = pool.submit(str, 1), pool.submit(str, 2)
            for each in (queued, waiting):
                error = await error_of(each)
                assert isinstance(error, NoWorkers)
                assert "can't start" in str(error)
                assert isinstance(error.__cause__, RuntimeError)
            assert pool.stats.dropped == 2
            assert adds_up(pool)
            pool._crew.make_thread = start
            assert await pool.submit(str, 3) == "3"
            await pool.stop()

        self.run_async(test)

    def test_a_worker_that_dies_is_replaced_and_its_call_reported(self) -> None:
        async def test() -> None:
            pool, told = self.a_pool(num_workers=1), Told()
            die_once(pool)
            pool.offload(str, 1, told)
            pool.offload(str, 2, told)
            await self.until(lambda: len(told.results) == 2)
            assert set(told.results) == {MemoryError, "2"}
            assert adds_up(pool)
            await pool.stop()

        self.run_async(test)
        assert len(self.flushLoggedErrors(MemoryError)) == 1

    def test_the_number_of_threads_may_change(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1, idle_timeout_ms=5), Gate()
            pool.adjustPoolsize(2, 3)
            await self.until(lambda: pool.stats.idle == 2)
            working = [pool.submit(gate) for _ in range(3)]
            await self.until(lambda: len(gate.entered) == 3)
            pool.adjustPoolsize(0, 1)
            gate.open()
            await gatherResults(working)
            await self.until(lambda: pool.stats.workers <= 1)
            for wrong in ((-1, 2), (3, 2)):
                self.assertRaises(ValueError, pool.adjustPoolsize, *wrong)
            await pool.stop()

        self.run_async(test)

    def test_threads_that_are_to_stay_begin_with_the_pool(self) -> None:
        async def test() -> None:
            pool = self.pool_type(WorkerPoolConfig(num_workers=2))
            pool.adjustPoolsize(2)
            assert pool.stats.workers == 0
            for _ in range(2):
                pool.start(self.reactor)
                await self.until(lambda: pool.stats.idle == 2)
                await pool.stop()
                assert pool.stats.workers == 0

        self.run_async(test)

    def test_patience_may_be_longer_than_the_system_can_count(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1, idle_timeout_ms=10**15)
            for number in range(3):
                await pool.submit(str, number)
                await self.until(lambda: pool.stats.idle == 1)
            assert threads_of("workers") == ["workers-1"]
            await pool.stop()

        self.run_async(test)

    def test_with_silence_after_it_no_call_is_left_lying(self) -> None:
        # What comes next would cover up for a wake-up that was lost.
        async def test() -> None:
            random = Random(1)
            pool = self.a_pool(num_workers=3, idle_timeout_ms=2, max_queue_size=8)

            def from_thread(count: int) -> list[Any]:
                return [pool.submit(str, 2) for _ in range(count)]

            for _ in range(60):
                here, there = random.choice([(1, 0), (0, 1), (2, 1), (12, 0), (3, 9)])
                seconds = random.choice([0, 0, 0, 0.0002, 0.001])
                calls = [pool.submit(time.sleep, seconds) for _ in range(here)]
                outcome = in_thread(from_thread, there)
                await gatherResults(calls)
                outcome.join()
                assert [each.result(PATIENCE) for each in outcome.result] == (
                    ["2"] * there
                )
                await self.later(random.choice([0, 0.0005, 0.002, 0.004]))
            await pool.stop()

        for make_bell in (a_bell, LockBell):
            self.patch(crew_module, "a_bell", make_bell)
            self.run_async(test)
            self.reactor = reactors.made(self, self.make_reactor)


on_every_reactor_and_pool(CrewContract, globals())


class RaceTests(SynchronousTestCase):
    """What two threads do at the same moment, one after the other."""

    def setUp(self) -> None:
        self.pool = WorkerPool(WorkerPoolConfig(num_workers=1))
        self.crew: Any = self.pool._crew
        self.desk = self.pool._desk
        self.worker = self.crew._new_worker()
        self.worker.bell = a_bell()
        self.addCleanup(setattr, self.worker, "bell", SILENT)
        self.call: Any = object()

    def test_who_is_woken_when_its_patience_ends_stays(self) -> None:
        self.desk.queue.put(self.call)
        assert not self.crew._leaves(self.worker, 0)
        assert list(self.crew.workers) == [self.worker]
        assert self.crew._departed == []

    def test_who_was_replaced_when_its_patience_ended_leaves(self) -> None:
        hired: list[Any] = []

        class Hiring(SharedQueue):
            """One that somebody is hired for, when it is looked at."""

            def __bool__(queue) -> bool:  # noqa: N805  # self is the test
                hired.append(self.crew._new_worker())
                return True

        self.crew._queue = Hiring()
        assert self.crew._leaves(self.worker, 0)
        assert list(self.crew.workers) == hired
        self.crew.workers.clear()

    def test_a_wake_up_that_crosses_is_used_up(self) -> None:
        self.crew.parked.append(self.worker)
        self.crew.wake()
        self.crew._unpark(self.worker)
        assert not self.worker.bell.wait(0)

    def test_those_who_are_to_stay_do_not_all_leave_at_the_same_moment(self) -> None:
        assert not self.crew._leaves(self.worker, 1)
        other = self.crew._new_worker()
        assert self.crew._leaves(self.worker, 1)
        assert not self.crew._leaves(other, 1)
        assert list(self.crew.workers) == [other]

    def test_who_has_died_is_not_waited_for(self) -> None:
        other = self.crew._new_worker()
        other.bell = LockBell()
        self.crew.parked.extend([other, self.worker])
        del self.crew.workers[self.worker]
        self.desk.queue.put(self.call)
        assert self.crew.wake()
        assert other.bell.wait(0), "nobody comes for the call"

    def test_who_has_died_leaves_nobody_waiting_where_nothing_is_queued(self) -> None:
        self.crew.parked.append(self.worker)
        del self.crew.workers[self.worker]
        assert self.crew.wake()
        assert not self.crew.is_one_coming

    def test_results_do_not_wait_for_a_thread_that_does_not_start(self) -> None:
        told: list[None] = []
        returns = self.desk.returns
        returns.ring = lambda: told.append(None)

        class Failing(threading.Thread):
            def start(thread) -> None:  # noqa: N805  # self is the test
                assert self.crew.is_one_coming
                returns.brought.append((str, ()))  # by who does not ring for it
                raise RuntimeError("can't start new thread")

        self.crew.most, self.crew.make_thread = 2, Failing
        assert not self.crew.wake()
        assert len(told) == 1
        returns.answer()

    def test_who_dies_after_passing_on_does_not_pass_on_again(self) -> None:
        pool = self.pool
        task = Task(self.desk, str, 1, Told(), 0.0)
        task.result, task.started, task.ended = "1", 0.0, 0.0
        self.desk.outstanding[task] = task
        self.desk.returns.brought.append(task)
        self.worker.task = task
        self.crew.parked.append(self.worker)
        self.crew._die(self.worker, MemoryError())
        self.worker.task = task
        self.crew._die(self.worker, MemoryError())
        assert (pool.stats.completed, pool.stats.errors) == (1, 0)
        assert self.crew.parked == []
        assert len(self.flushLoggedErrors(MemoryError)) == 2

    def test_who_is_interrupted_while_it_watches_watches_no_longer(self) -> None:
        def interrupt() -> None:
            assert self.crew.is_watched
            raise KeyboardInterrupt

        self.worker.bell = type("Interrupting", (), {"ring": lambda _: interrupt()})()
        self.crew.parked.append(self.worker)
        self.desk.queue.put(self.call)
        self.assertRaises(KeyboardInterrupt, self.crew.have_done)
        assert not self.crew.is_watched

    def test_one_that_is_on_its_way_is_not_woken_again(self) -> None:
        other = Worker()
        other.bell = LockBell()
        self.crew.parked.extend([other, self.worker])
        self.desk.queue.put(self.call)
        self.crew.have_done()
        self.crew.wake()
        assert self.crew.parked == [other]
        self.crew._arrive()
        self.crew.wake()
        assert self.crew.parked == []

    def test_a_batch_is_given_to_as_many_as_block(self) -> None:
        rung: list[object] = []

        class Blocking(LockBell):
            """That of one who takes a call and blocks before the ring is over."""

            __slots__ = ()

            def ring(bell) -> None:  # noqa: N805  # self is the test
                rung.append(bell)
                self.desk.queue.take_oldest()
                self.crew._arrive()

        for _ in range(3):
            worker = Worker()
            worker.bell = Blocking()
            self.crew.parked.append(worker)
            self.desk.queue.put(self.call)
        self.crew.have_done()
        assert len(rung) == 3
        assert not self.desk.queue

    def test_where_a_thread_starts_after_all_nothing_is_dropped(self) -> None:
        # One failed to start; another was started before that was acted upon.
        self.crew._is_wanting = True
        self.desk.queue.put(self.call)
        self.crew.parked.append(self.worker)
        self.crew._drop_all(RuntimeError("can't start new thread"))
        assert len(self.desk.queue) == 1
        assert self.worker.bell.wait(0), "nobody was woken for what is queued"


class Unstartable(threading.Thread):
    """A thread, when there are too many."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def die_once(pool: WorkerPool) -> None:
    """Let the next worker that passes on a call be hit by an exception there."""
    crew: Any = pool._crew
    pass_on = crew._pass_on

    def fail(task: Any) -> None:
        crew._pass_on = pass_on
        raise MemoryError

    crew._pass_on = fail
