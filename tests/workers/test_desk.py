"""A call has one fate: it is refused, cancelled, late, or told."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, gatherResults

from httpx_tw.errors import (
    DeadlinePassed,
    QueueFull,
)
from tests.workers.running import (
    Gate,
    OnAReactor,
    Told,
    adds_up,
    error_of,
    on_every_reactor_and_pool,
)


class DeskContract(OnAReactor):
    """Room, and giving up."""

    def test_a_full_queue_refuses_at_once(self) -> None:
        async def test() -> None:
            pool, gate, told = (
                self.a_pool(num_workers=1, max_queue_size=2),
                Gate(),
                Told(),
            )
            pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            pool.offload(gate, 1, told)
            waiting = pool.try_submit(gate, 2)
            for refuse in (
                lambda: pool.offload(gate, 3, told),
                lambda: pool.try_submit(gate, 3),
                lambda: pool.callInThread(gate, 3),
            ):
                self.assertRaises(QueueFull, refuse)
            assert (pool.stats.rejected, pool.stats.queue_depth) == (3, 2)
            assert adds_up(pool)
            gate.open()
            assert await waiting == 2
            assert told.results == [0, 1]
            await pool.stop()

        self.run_async(test)

    def test_submit_waits_for_room_in_turn(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1, max_queue_size=1), Gate()
            ends: list[int] = []
            waiting = [pool.submit(gate, number) for number in range(6)]
            for each in waiting:
                each.addCallback(ends.append)
            await self.until(lambda: len(gate.entered) == 1)
            assert adds_up(pool)
            assert pool.stats.waiting >= 4
            gate.open()
            await gatherResults(waiting)
            assert ends == list(range(6))
            await pool.stop()

        self.run_async(test)

    def test_all_workers_wake_up_for_those_who_waited_for_room(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=4, max_queue_size=1), Gate()
            waiting = [pool.submit(gate, number) for number in range(4)]
            await self.until(lambda: len(gate.entered) == 4)
            gate.open()
            await gatherResults(waiting)
            await pool.stop()

        self.run_async(test)

    def test_the_oldest_makes_room(self) -> None:
        async def test() -> None:
            pool, gate, told = (
                self.a_pool(num_workers=1, max_queue_size=2),
                Gate(),
                Told(),
            )
            assert not pool.shed_oldest()
            pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            for number in (1, 2):
                pool.offload(gate, number, told)
            assert pool.shed_oldest()
            assert told.results == [], "told while somebody is at something else"
            pool.offload(gate, 3, told)
            await self.until(lambda: told.results == [QueueFull])
            gate.open()
            await self.until(lambda: len(told.results) == 4)
            assert told.results == [QueueFull, 0, 2, 3]
            assert pool.stats.dropped == 1
            await pool.stop()

        self.run_async(test)

    def test_a_queued_call_that_is_cancelled_never_runs(self) -> None:
        async def test() -> None:
            pool, gate, told = self.a_pool(num_workers=1), Gate(), Told()
            running = pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            queued = pool.offload(gate, 1, told)
            assert queued.cancel()
            assert not queued.cancel()
            gate.open()
            await self.until(lambda: told.results == [0])
            assert not running.cancel()
            assert gate.entered == [0]
            assert (pool.stats.cancelled, pool.stats.abandoned) == (1, 0)
            assert adds_up(pool)
            await pool.stop()

        self.run_async(test)

    def test_a_running_call_that_is_cancelled_is_abandoned_and_still_counted(
        self,
    ) -> None:
        async def test() -> None:
            pool, gate, told = self.a_pool(num_workers=1), Gate(), Told()
            task = pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            assert task.cancel()
            stats = pool.stats
            assert (stats.cancelled, stats.abandoned, stats.overdue) == (1, 1, 1)
            assert (stats.active, stats.workers, stats.idle) == (0, 1, 0)
            gate.open()
            await self.until(lambda: not pool.stats.overdue)
            await self.until(lambda: pool.stats.idle == 1)
            assert told.results == []
            assert pool.stats.abandoned == 1
            await pool.stop()

        self.run_async(test)

    def test_to_cancel_the_deferred_cancels_the_call_wherever_it_is(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1, max_queue_size=1), Gate()
            running, queued, waiting, last = (pool.submit(gate, n) for n in range(4))
            await self.until(lambda: gate.entered == [0])
            for each in (waiting, queued, running):
                each.addErrback(lambda failure: failure.trap(CancelledError))
                each.cancel()
            gate.open()
            assert await last == 3
            assert gate.entered == [0, 3]
            assert (pool.stats.cancelled, pool.stats.abandoned) == (3, 1)
            assert adds_up(pool)
            await pool.stop()

        self.run_async(test)

    def test_a_deadline_counts_from_submission(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1, max_queue_size=1, request_timeout_ms=30)
            gate, told = Gate(), Told()
            pool.offload(gate, 0, told)
            await self.until(lambda: gate.entered == [0])
            pool.offload(gate, 1, told)
            waiting = pool.submit(gate, 2)
            error = await error_of(waiting)
            assert isinstance(error, DeadlinePassed)
            assert "0.03 s" in str(error)
            assert told.results == [DeadlinePassed] * 2
            stats = pool.stats
            assert (stats.timed_out, stats.abandoned, stats.overdue) == (3, 1, 1)
            assert (stats.queue_depth, stats.waiting, stats.active) == (0, 0, 0)
            gate.open()
            await pool.stop()
            assert gate.entered == [0]

        self.run_async(test)

    def test_there_is_no_tick_while_there_is_nothing_to_do(self) -> None:
        async def test() -> None:
            pool = self.a_pool(request_timeout_ms=20)
            await pool.submit(str, 1)
            await self.until(lambda: pool._tick is None)
            await pool.stop()

        self.run_async(test)

    def test_without_a_deadline_there_is_none(self) -> None:
        async def test() -> None:
            pool = self.a_pool(request_timeout_ms=0)
            await pool.submit(str, 1)
            assert pool._tick is None
            await pool.stop()

        self.run_async(test)


on_every_reactor_and_pool(DeskContract, globals())
