"""Calls go to workers, results come back, and nothing is lost or told twice."""

from __future__ import annotations

import contextvars
import threading
import traceback
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.python import log  # noqa: TID251  # what is tested is its context
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import (
    ConfigurationError,
    DeadlinePassed,
    NoWorkers,
    PoolStopped,
    QueueFull,
)
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig, defer_to_pool
from tests.workers.running import (
    Gate,
    OnAReactor,
    Told,
    adds_up,
    in_thread,
    on_every_reactor_and_pool,
)

if TYPE_CHECKING:
    from twisted.python.failure import Failure

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="-")


class PoolContract(OnAReactor):
    """What holds for every pool, on every reactor."""

    # There and back

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
            try:
                await pool.submit(fail)
            except ZeroDivisionError as error:
                names = [
                    frame.name for frame in traceback.extract_tb(error.__traceback__)
                ]
            assert names[-1] == "fail"
            assert "run" not in names, "a frame of the worker's"
            await pool.stop()

        self.run_async(test)

    def test_a_call_that_exits_is_reported_and_its_worker_goes_on(self) -> None:
        async def test() -> None:
            pool, told = self.a_pool(num_workers=1), Told()
            pool.offload(lambda _: exit(3), None, told)
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

    # Posts

    def test_posts_come_in_order_and_before_the_end_of_their_call(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            heard: list[Any] = []

            def speak(_: Any) -> None:
                for number in range(100):
                    pool.post(heard.append, number)

            pool.offload(speak, None, lambda *_: heard.append("end"))
            await self.until(lambda: len(heard) == 101)
            assert heard == [*range(100), "end"]
            await pool.stop()

        self.run_async(test)

    def test_a_post_that_fails_is_logged(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            pool.post(int, "x")
            heard = Deferred[None]()
            pool.post(heard.callback, None)
            await heard
            await pool.stop()

        self.run_async(test)
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_a_thread_that_posts_without_end_leaves_the_reactor_time(self) -> None:
        async def test() -> None:
            pool = self.a_pool()
            is_over: list[bool] = []

            def speak() -> None:
                while not is_over:
                    pool.post(id, 1)

            speaking = pool.submit(speak)
            await self.turn(20)
            is_over.append(True)
            await speaking
            await pool.stop()

        self.run_async(test)

    # The bound

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
            assert told.results == [QueueFull]
            pool.offload(gate, 3, told)
            gate.open()
            await self.until(lambda: len(told.results) == 4)
            assert told.results == [QueueFull, 0, 2, 3]
            assert pool.stats.dropped == 1
            await pool.stop()

        self.run_async(test)

    # Giving up

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
            try:
                await waiting
            except DeadlinePassed as error:
                assert "0.03" in str(error)
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

    # What comes along

    def test_a_call_sees_the_context_variables_of_its_submission(self) -> None:
        async def test() -> None:
            pool = self.a_pool(num_workers=1)

            def use() -> str:
                seen = variable.get()
                variable.set("of the call before")
                return seen

            assert await pool.submit(use) == "-"
            token = variable.set("submitted")
            submitted = pool.submit(use)
            variable.reset(token)
            assert await submitted == "submitted"
            assert await pool.submit(use) == "-"
            await pool.stop()

        self.run_async(test)

    def test_a_call_logs_with_the_context_of_its_submission(self) -> None:
        events: list[Any] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)
        pool = self.pool_type(WorkerPoolConfig(num_workers=1))
        done = Deferred[None]()
        heard: list[None] = []
        case = self

        class Speaker:
            """A descriptor that offloads a call, and gives way to another's turn."""

            def __init__(self, name: str) -> None:
                self.name = name
                self.ours, self.theirs = case.pair()

            def fileno(self) -> int:
                return self.ours.fileno()

            def logPrefix(self) -> str:
                return self.name

            def doRead(self) -> None:
                self.ours.recv(10)
                pool.offload(lambda _: log.msg("x", who=self.name), None, told)

            def connectionLost(self, reason: object) -> None:
                pass

        def told(*_: object) -> None:
            heard.append(None)
            if len(heard) == 3:
                done.callback(None)

        async def test() -> None:
            pool.start(self.reactor)
            speakers = [Speaker(name) for name in "abc"]
            for speaker in speakers:
                self.reactor.addReader(speaker)
                speaker.theirs.send(b"x")
            await done
            for speaker in speakers:
                self.reactor.removeReader(speaker)
            log.callWithContext({"system": "outer", "more": 1}, submit_nested)
            await nested[0]
            await pool.stop()

        nested: list[Deferred[Any]] = []

        def submit_nested() -> None:
            nested.append(pool.submit(speak_nested))

        def speak_nested() -> None:
            log.msg("x", inner=1)
            pool.submit(log.msg, "x", innermost=1).result()

        self.run_async(test)
        spoke = [(event["who"], event["system"]) for event in events if "who" in event]
        assert sorted(spoke) == [("a", "a"), ("b", "b"), ("c", "c")]
        for key in ("inner", "innermost"):
            (event,) = [event for event in events if key in event]
            assert (event["system"], event["more"]) == ("outer", 1)

    def pair(self) -> Any:
        import socket

        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        return pair

    # Threads

    def test_threads_start_with_the_work_and_end_without_it(self) -> None:
        async def test() -> None:
            pool, gate = self.a_pool(num_workers=3, idle_timeout_ms=30), Gate()
            assert pool.stats.workers == 0
            for _ in range(2):
                gate = Gate()
                working = [pool.submit(gate) for _ in range(5)]
                await self.until(lambda gate=gate: len(gate.entered) == 3)
                assert pool.stats.workers == 3
                gate.open()
                await gatherResults(working)
                await self.until(lambda: pool.stats.workers == 0)
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
                try:
                    await each
                except NoWorkers as error:
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

    # The end

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


on_every_reactor_and_pool(PoolContract, globals())


class Unstartable:
    """A thread, when there are too many."""

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def die_once(pool: WorkerPool) -> None:
    """Let the next worker that passes on a call be hit by an exception there."""
    bring = pool._desk.returns.bring

    def fail(entry: Any) -> None:
        pool._desk.returns.bring = bring  # type: ignore[method-assign]
        raise MemoryError

    pool._desk.returns.bring = fail  # type: ignore[method-assign]


def threads_of(name: str) -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith(name)
    ]


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
        import os

        if not hasattr(os, "sched_getaffinity"):
            return
        assert WorkerPool()._crew.most == len(os.sched_getaffinity(0))
