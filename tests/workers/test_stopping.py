"""A pool that stops loses nothing, and leaves nothing it does not name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpx_tw.errors import (
    PoolStopped,
)
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig
from tests.workers.running import (
    Gate,
    OnAReactor,
    Told,
    adds_up,
    in_thread,
    on_every_reactor_and_pool,
    threads_of,
)

if TYPE_CHECKING:
    from twisted.python.failure import Failure


class StopContract(OnAReactor):
    """The end."""

    def test_a_pool_that_is_not_running_refuses(self) -> None:
        async def test() -> None:
            pool = self.pool_type()
            self.refuses(pool)
            assert (await pool.stop()).finished == 0
            pool.start(self.reactor)
            pool.start(self.reactor)
            assert await pool.submit(str, 1) == "1"
            await pool.stop()
            self.refuses(pool)
            pool.start(self.reactor)
            assert await pool.submit(str, 2) == "2"
            await pool.stop()

        self.run_async(test)

    def refuses(self, pool: WorkerPool) -> None:
        assert not pool.is_running
        for way in (
            lambda: pool.offload(str, 1, Told()),
            lambda: pool.submit(str, 1),
            lambda: pool.try_submit(str, 1),
            lambda: pool.callInThread(str, 1),
            lambda: pool.post(str, 1),
        ):
            self.assertRaises(PoolStopped, way)

    def test_stop_runs_what_is_queued(self) -> None:
        async def test() -> None:
            pool, told = self.a_pool(), Told()
            for number in range(50):
                pool.offload(abs, -number, told)
            stopped = pool.stop()
            assert not pool.is_running
            self.assertRaises(PoolStopped, pool.submit, str)
            self.assertRaises(PoolStopped, pool.start, self.reactor)
            report = await stopped
            assert (report.finished, report.dropped, report.abandoned) == (50, (), ())
            assert sorted(told.results) == list(range(50))
            assert (pool.stats.workers, pool.stats.completed) == (0, 50)

        self.run_async(test)
        assert not threads_of("workers")

    def test_stop_refuses_who_waits_for_room(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1, max_queue_size=1), Gate()
            running, queued, waiting = (pool.submit(gate, n) for n in range(3))
            await self.until(lambda: gate.entered == [0])
            blocked = in_thread(pool.submit, gate, 3)
            await self.until(lambda: pool.stats.waiting == 2)
            stopped = pool.stop()
            self.failureResultOf(waiting, PoolStopped)
            blocked.join()
            assert isinstance(blocked.error, PoolStopped)
            gate.open()
            report = await stopped
            assert await queued == 1
            assert await running == 0
            assert len(report.dropped) == 2
            assert adds_up(pool)

        self.run_async(test)

    def test_stop_names_what_it_leaves(self) -> None:
        async def test() -> None:
            pool, gate, told = self.a_pool(num_workers=1), Gate(), Told()
            pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            pool.submit(sorted, [2, 1]).addErrback(lambda failure: told(None, failure))
            report = await pool.stop(timeout=0.01)
            assert report.finished == 0
            assert report.dropped == ("sorted",)
            assert len(report.abandoned) == 1
            assert report.abandoned[0].startswith("workers-1: ")
            assert told.results == [PoolStopped] * 2
            stats = pool.stats
            assert (stats.dropped, stats.abandoned, stats.workers) == (2, 1, 1)
            gate.open()
            await self.until(lambda: not threads_of("workers"))
            assert told.results == [PoolStopped] * 2
            assert pool.stats.overdue == 0
            # It can be used again, and by then has all of its workers.
            pool.start(self.reactor)
            assert await pool.submit(str, 1) == "1"
            await pool.stop()

        self.run_async(test)

    def test_what_was_abandoned_before_is_waited_for(self) -> None:
        async def test() -> None:
            pool, gate, told = self.a_pool(num_workers=1), Gate(), Told()
            task = pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            task.cancel()
            stopped = pool.stop()
            await self.turn(3)
            self.assertNoResult(stopped)
            gate.open()
            assert (await stopped).abandoned == ()

        self.run_async(test)

    def test_a_second_stop_brings_the_end_forward(self) -> None:
        async def test() -> None:
            pool, gate, told = self.a_pool(num_workers=1), Gate(), Told()
            pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            first = pool.stop()
            later = pool.stop(100.0)
            second = pool.stop(0.0)
            assert await first == await second == await later
            gate.open()
            await self.until(lambda: not threads_of("workers"))

        self.run_async(test)

    def test_a_stop_under_way_is_finished_with_the_reactor(self) -> None:
        pool, gate = self.pool_type(WorkerPoolConfig(num_workers=1)), Gate()
        stopped: list[Any] = []

        async def test() -> None:
            pool.start(self.reactor)
            pool.offload(gate, 0, Told())
            pool.offload(str, 1, Told())
            await self.until(lambda: gate.entered == [0])
            pool.stop().addCallback(stopped.append)
            self.reactor.addSystemEventTrigger("before", "shutdown", gate.open)

        self.run_async(test)
        assert [report.finished for report in stopped] == [2]
        assert not threads_of("workers")

    def test_the_reactor_waits_no_longer_than_the_stop_may_take(self) -> None:
        pool, gate, told = self.pool_type(), Gate(), Told()

        async def test() -> None:
            pool.start(self.reactor)
            pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            pool.stop(0.05)

        self.run_async(test)
        assert told.results == [PoolStopped]
        gate.open()
        while threads_of("workers"):
            pass

    def test_calls_submitted_by_calls_run_while_it_stops(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1), Gate()

            def nest() -> Any:
                gate()
                pool.callInThread(gate, "called")
                return pool.submit(str, 1).result() + pool.try_submit(str, 2).result()

            nesting = pool.submit(nest)
            await self.until(lambda: len(gate.entered) == 1)
            stopped = pool.stop()
            gate.open()
            await stopped
            assert await nesting == "12"
            assert gate.left == [None, "called"]
            assert adds_up(pool)

        self.run_async(test)

    def test_it_stops_with_the_reactor(self) -> None:
        pool = self.pool_type(WorkerPoolConfig(num_workers=1))
        told = Told()

        async def test() -> None:
            pool.start(self.reactor)
            for number in range(10):
                pool.offload(abs, -number, told)

        self.run_async(test)
        assert not pool.is_running
        assert len(told.results) == 10
        assert not threads_of("workers")

    def test_stop_under_load_two_hundred_times(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=3)
            done, told = 0, 0

            def end(_: Any, failure: Failure | None) -> None:
                nonlocal told
                told += 1
                if pool.is_running:
                    load()
                assert failure is None

            def load() -> None:
                nonlocal done
                done += 1
                pool.offload(abs, -1, end)

            for round_ in range(200):
                pool.start(self.reactor)
                for _ in range(8):
                    load()
                await self.turn(round_ % 5)
                report = await pool.stop()
                assert report.dropped == report.abandoned == ()
                assert done == told
                assert not threads_of("workers")
            assert pool.stats.completed == done == pool.stats.total

        self.run_async(test)


on_every_reactor_and_pool(StopContract, globals())
