"""Threads start with the work, end without it, and may fail."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import gatherResults

from httpx_tw.errors import (
    NoWorkers,
)
from tests.workers.running import (
    Gate,
    OnAReactor,
    Told,
    adds_up,
    error_of,
    on_every_reactor_and_pool,
)

if TYPE_CHECKING:
    from httpx_tw.workers.pool import WorkerPool


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
            assert told.results == [MemoryError, "2"]
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


on_every_reactor_and_pool(CrewContract, globals())


class Unstartable(threading.Thread):
    """A thread, when there are too many."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def die_once(pool: WorkerPool) -> None:
    """Let the next worker that passes on a call be hit by an exception there."""
    bring = pool._desk.returns.bring

    def fail(entry: Any) -> None:
        pool._desk.returns.bring = bring  # type: ignore[method-assign]
        raise MemoryError

    pool._desk.returns.bring = fail  # type: ignore[method-assign]
