"""Calls go to workers, and what comes of them comes back."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
import weakref
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import (
    ConfigurationError,
)
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig, defer_to_pool
from tests.reactors import made as reactors
from tests.workers.running import (
    Gate,
    OnAReactor,
    Told,
    error_of,
    in_thread,
    on_every_reactor_and_pool,
)

if TYPE_CHECKING:
    from twisted.python.failure import Failure


class PoolContract(OnAReactor):
    """There and back."""

    def test_a_call_runs_in_a_worker_and_its_result_comes_back(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            here = threading.get_ident()
            assert await pool.submit(threading.get_ident) != here
            assert await pool.submit(divmod, 7, 2) == (3, 1)
            assert await pool.submit(int, "ff", base=16) == 255
            assert await defer_to_pool(pool, sorted, [2, 1]) == [1, 2]
            await pool.stop()

        self.run_async(test)

    def test_what_it_raises_comes_back_with_the_traceback_of_the_call(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError("here")

        async def test() -> None:
            pool = self.a_pool()
            error = await error_of(pool.submit(fail))
            frames = traceback.extract_tb(error.__traceback__)
            assert [frame.name for frame in frames][-1] == "fail"
            assert "crew.py" not in str(frames), "a frame of the worker's"
            await pool.stop()

        self.run_async(test)

    def test_a_call_that_exits_is_reported_and_its_worker_goes_on(self) -> None:
        async def test() -> None:
            pool, told = self.a_pool(num_workers=1), Told()
            pool.offload(lambda _: sys.exit(3), None, told)
            pool.offload(str, 5, told)
            await self.until(lambda: len(told.results) == 2)
            assert told.results == [SystemExit, "5"]
            assert (pool.stats.errors, pool.stats.completed) == (1, 1)
            await pool.stop()

        self.run_async(test)

    def test_each_call_is_told_once_on_the_reactor_thread(self) -> None:
        async def test() -> None:
            pool, told = self.a_pool(), Told()
            for number in range(500):
                pool.offload(abs, -number, told)
            await self.until(lambda: len(told.results) >= 500)
            await self.turn(3)
            assert sorted(told.results) == list(range(500))
            assert told.threads == {threading.get_ident()}
            await pool.stop()

        self.run_async(test)

    def test_who_fails_when_told_harms_nobody(self) -> None:
        def fail(_: Any, __: Failure | None) -> None:
            raise ZeroDivisionError

        async def test() -> None:
            pool = self.a_pool()
            pool.offload(str, 1, fail)
            pool.offload(int, "x", fail)
            assert await pool.submit(str, 2) == "2"
            await pool.stop()

        self.run_async(test)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2

    def test_a_call_that_is_told_may_offload_the_next(self) -> None:
        async def test() -> None:
            pool, done = self.a_pool(), Deferred[None]()

            def go_on(left: int, _: Failure | None) -> None:
                if left:
                    pool.offload(lambda number: number - 1, left, go_on)
                else:
                    done.callback(None)

            go_on(300, None)
            await done
            await pool.stop()

        self.run_async(test)

    def test_what_is_over_is_held_by_nobody(self) -> None:
        class Thing:
            """What a call is about."""

        def fail(_: Thing) -> None:
            raise ZeroDivisionError

        async def test() -> None:
            pool, told, gate = self.a_pool(num_workers=1), Told(), Gate()
            things = {name: Thing() for name in ("awaited", "told", "failed")}
            things |= {name: Thing() for name in ("cancelled", "of a thread")}
            remembered = {name: weakref.ref(thing) for name, thing in things.items()}
            await pool.submit(id, things["awaited"])
            pool.offload(id, things["told"], told)
            pool.offload(fail, things["failed"], told)
            blocked = pool.submit(gate)
            cancelled = pool.submit(id, things["cancelled"])
            cancelled.addErrback(lambda _: None)
            cancelled.cancel()
            gate.open()
            await blocked
            await self.in_a_thread(pool, things.pop("of a thread"))
            await self.until(lambda: pool.stats.idle == 1)
            things.clear()
            assert [name for name, each in remembered.items() if each()] == []
            await pool.stop()

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.run_async(test)

    async def in_a_thread(self, pool: WorkerPool, thing: object) -> None:
        using = in_thread(lambda: pool.submit(id, thing).result())
        await self.until(lambda: using.is_over)

    def test_it_can_move_to_another_reactor(self) -> None:
        pool = self.pool_type(WorkerPoolConfig(num_workers=1))

        async def test() -> None:
            pool.start(self.reactor)
            assert await pool.submit(str, 1) == "1"
            # The bell that this rings is not heard by the first reactor any more.
            pool.offload(str, 2, Told())
            pool.post(str, 3)

        for _ in range(2):
            self.reactor = reactors.made(self, self.make_reactor)
            self.run_async(test)
        assert pool.stats.completed == 4

    def test_calls_from_timers_and_from_other_threads_calls_are_seen_to(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            for ask in (
                lambda f: self.reactor.callLater(0, f),
                lambda f: self.reactor.callLater(0.002, f),
                self.reactor.callFromThread,
                pool.post,
            ):
                done = Deferred[str]()

                def go(done: Deferred[str] = done) -> None:
                    pool.submit(str, 1).chainDeferred(done)

                ask(go)
                assert await done == "1"
            await pool.stop()

        self.run_async(test)


on_every_reactor_and_pool(PoolContract, globals())


class ConfigurationTests(SynchronousTestCase):
    """What cannot be is refused when it is said."""

    def test_bad_values_are_refused(self) -> None:
        for bad in (
            {"num_workers": -1},
            {"max_queue_size": 0},
            {"idle_timeout_ms": 1.5},
            {"request_timeout_ms": "30000"},
            {"num_workers": True},
        ):
            self.assertRaises(ConfigurationError, WorkerPoolConfig, **bad)

    def test_by_default_there_are_as_many_workers_as_usable_cores(self) -> None:
        if not hasattr(os, "sched_getaffinity"):
            return
        assert WorkerPool()._crew.most == len(os.sched_getaffinity(0))
