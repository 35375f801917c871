"""Futures: what other threads get for the calls they submit."""

from __future__ import annotations

import concurrent.futures
import signal
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from httpx_tw.errors import DeadlinePassed, QueueFull
from httpx_tw.workers.tasks import name_of
from tests.workers.running import (
    PATIENCE,
    Gate,
    OnAReactor,
    Told,
    adds_up,
    in_thread,
    on_every_reactor_and_pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FutureContract(OnAReactor):
    """Submission from other threads than the reactor's."""

    def test_another_thread_gets_a_future(self) -> None:
        async def test() -> None:
            pool = self.a_pool()

            def use() -> Any:
                error = pool.try_submit(int, "x").exception(PATIENCE)
                return pool.submit(int, "ff", base=16).result(PATIENCE), type(error)

            using = in_thread(use)
            await self.until(lambda: using.is_over)
            assert using.result == (255, ValueError)
            assert (pool.stats.completed, pool.stats.errors) == (1, 1)
            await pool.stop()

        self.run_async(test)

    def test_another_thread_blocks_until_there_is_room(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1, max_queue_size=1), Gate()
            running = pool.submit(gate, 0)
            await self.until(lambda: gate.entered == [0])
            queued = pool.submit(gate, 1)
            refused = in_thread(pool.try_submit, gate, 9)
            refused.join()
            assert isinstance(refused.error, QueueFull)
            blocked = in_thread(pool.submit, gate, 2)
            await self.until(lambda: pool.stats.waiting == 1)
            calling = in_thread(pool.callInThread, gate, 3)
            await self.until(lambda: pool.stats.waiting == 2)
            last = pool.submit(gate, 4)
            assert not blocked.is_over
            assert adds_up(pool)
            gate.open()
            assert await last == 4
            calling.join()
            blocked.join()
            assert blocked.result.result(PATIENCE) == 2
            assert gate.left == [0, 1, 2, 3, 4]
            assert (await running, await queued) == (0, 1)
            await pool.stop()

        self.run_async(test)

    def test_a_deadline_ends_the_wait_for_room_and_for_the_result(self) -> None:
        async def test() -> None:
            pool, gate = (
                self.a_pool(num_workers=1, max_queue_size=1, request_timeout_ms=100),
                Gate(),
            )
            running = in_thread(lambda: pool.submit(gate, 0).result(PATIENCE))
            await self.until(lambda: gate.entered == [0])
            queued = in_thread(lambda: pool.submit(gate, 1).result(PATIENCE))
            await self.until(lambda: pool.stats.queue_depth == 1)
            told: list[Any] = []
            waiting = in_thread(
                pool.callInThreadWithCallback, lambda *end: told.append(end), gate, 2
            )
            for each in (running, queued):
                await self.until(lambda each=each: each.is_over)  # type: ignore[misc]
                assert isinstance(each.error, DeadlinePassed)
            # The end of the one that is queued may give it the place, for a moment.
            await self.until(lambda: waiting.error is not None or bool(told))
            error = told[0][1].value if told else waiting.error
            assert isinstance(error, DeadlinePassed)
            assert (pool.stats.timed_out, pool.stats.abandoned) == (3, 1)
            assert adds_up(pool)
            gate.open()
            await pool.stop()
            assert gate.left == [0]
            assert pool.stats.overdue == 0

        self.run_async(test)

    def test_a_queued_future_can_be_cancelled_and_a_running_one_cannot(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1), Gate()

            def use() -> Any:
                running, queued = pool.submit(gate, 0), pool.submit(gate, 1)
                while not gate.entered:
                    pass
                cancelled = queued.cancel(), queued.cancel(), running.cancel()
                gate.open()
                concurrent.futures.wait([running, queued], PATIENCE)
                return cancelled, running.result(), queued.cancelled()

            using = in_thread(use)
            await self.until(lambda: using.is_over)
            assert using.result == ((True, True, False), 0, True)
            assert gate.left == [0]
            assert (pool.stats.cancelled, pool.stats.abandoned) == (1, 0)
            assert adds_up(pool)
            await pool.stop()

        self.run_async(test)

    def test_a_worker_may_come_in_the_middle_of_a_cancellation(self) -> None:
        async def test() -> None:
            pool, first, ran = self.a_pool(num_workers=1), Gate(), Gate()

            def use() -> bool:
                pool.submit(first)
                while not first.entered:
                    pass
                future = pool.submit(ran)
                canceller, withdraw = threading.get_ident(), future.task.desk.withdraw

                def withdraw_late(task: Any) -> Any:
                    if threading.get_ident() == canceller:
                        # Meanwhile the worker gets to it, and finds it cancelled.
                        first.open()
                        pool.submit(str).result(PATIENCE)
                    return withdraw(task)

                future.task.desk = SimpleNamespace(withdraw=withdraw_late)
                return bool(future.cancel())

            using = in_thread(use)
            await self.until(lambda: using.is_over)
            assert using.result is True
            await pool.stop()
            assert ran.entered == []
            stats = pool.stats
            assert (stats.cancelled, stats.completed, stats.overdue) == (1, 2, 0)
            assert adds_up(pool)

        self.run_async(test)

    def test_a_future_cancelled_on_the_way_to_its_worker_never_runs(self) -> None:
        async def test() -> None:
            pool, ran, taken = self.a_pool(num_workers=1), Gate(), Gate()
            run = pool._crew.run

            def run_later(worker: Any, task: Any) -> None:
                taken()
                run(worker, task)

            pool._crew.run = run_later  # type: ignore[method-assign]

            def use() -> bool:
                future = pool.submit(ran)
                while not taken.entered:
                    pass
                was_cancelled = future.cancel()
                taken.open()
                concurrent.futures.wait([future], PATIENCE)
                return bool(was_cancelled)

            using = in_thread(use)
            await self.until(lambda: using.is_over)
            assert using.result is True
            await pool.stop()
            assert ran.entered == []
            assert (pool.stats.cancelled, pool.stats.overdue) == (1, 0)

        self.run_async(test)

    def test_a_worker_may_wait_for_what_it_submits(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1, max_queue_size=3)

            def fibonacci(n: int) -> int:
                if n < 2:
                    return n
                one, other = (
                    pool.submit(fibonacci, n - 1),
                    pool.submit(fibonacci, n - 2),
                )
                assert one.exception() is None
                return int(one.result() + other.result())

            assert await pool.submit(fibonacci, 10) == 55
            assert adds_up(pool)
            assert pool.stats.total == pool.stats.completed == 177
            await pool.stop()

        self.run_async(test)

    def test_a_worker_does_not_wait_for_room(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=1, max_queue_size=1), Gate()

            def nest() -> Any:
                gate()
                try:
                    pool.try_submit(str, 0)
                except QueueFull:
                    return pool.submit(threading.get_ident).result()

            nesting = pool.submit(nest)
            await self.until(lambda: len(gate.entered) == 1)
            queued = pool.submit(threading.get_ident)
            gate.open()
            assert await nesting == await queued
            await pool.stop()

        self.run_async(test)

    def test_the_result_of_a_call_that_another_worker_runs_is_waited_for(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(), Gate()

            def nest() -> Any:
                inner = pool.submit(gate, 5)
                while not gate.entered:
                    pass
                pool.post(gate.open)
                return inner.result(PATIENCE)

            assert await pool.submit(nest) == 5
            await pool.stop()

        self.run_async(test)

    def test_a_thread_that_is_interrupted_while_it_waits_takes_its_call_back(
        self,
    ) -> None:
        pool, gate = self.pool_type(), Gate()
        pool.adjustPoolsize(0, 1)
        pool._room = pool._desk.room = 1
        pool.start()
        pool.submit(gate, 0)
        while not gate.entered:
            pass
        pool.submit(gate, 1)
        # To ask for the statistics would hold the lock that it waits for.
        with interrupted_when(lambda: bool(pool._desk.waiting)):
            self.assertRaises(KeyboardInterrupt, pool.submit, gate, 2)
        assert (pool.stats.waiting, pool.stats.cancelled) == (0, 1)
        gate.open()
        pool.stop()
        assert gate.left == [0, 1]

    def test_a_task_is_known_by_its_function(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(), Gate()
            assert name_of(pool.offload(sorted, [], Told())) == "sorted"
            nameless = pool.offload(gate, 1, Told())
            assert name_of(nameless) == repr(gate)
            gate.open()
            await pool.stop()

        self.run_async(test)


on_every_reactor_and_pool(FutureContract, globals())


@contextmanager
def interrupted_when(is_so: Callable[[], bool]) -> Iterator[None]:
    """Interrupt the main thread, once, when *is_so*, wherever it is then."""
    main = threading.main_thread().ident
    assert main is not None
    heard = threading.Event()

    def interrupt() -> None:
        while not is_so():
            pass
        # One that comes right before a system call does not interrupt that.
        while not heard.wait(0.001):
            signal.pthread_kill(main, signal.SIGINT)

    def hear(*_: object) -> None:
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, hear)
    interrupting = in_thread(interrupt)
    try:
        yield
    finally:
        interrupting.join()
        signal.signal(signal.SIGINT, before)
