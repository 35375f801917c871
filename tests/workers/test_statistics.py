"""The figures always add up, and are those of what really happened."""

from __future__ import annotations

import json
import threading
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import DeadlinePassed, PoolStopped, QueueFull
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig
from httpx_tw.workers.statistics import BOUNDS, Tally
from tests.reactors import made as reactors
from tests.workers.running import (
    OnAReactor,
    adds_up,
    on_every_reactor_and_pool,
)

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from httpx_tw.workers.statistics import WorkerPoolStats
    from httpx_tw.workers.tasks import Task


class TallyTests(SynchronousTestCase):
    def test_calls_are_sorted_by_how_long_they_took(self) -> None:
        tally = Tally()
        for wait, run in ((0.0, BOUNDS[0]), (BOUNDS[-1] * 2, BOUNDS[0] * 1.01)):
            tally.record(Recorded(wait, run))  # type: ignore[arg-type]  # as a Task
        assert (tally.wait_counts[0], tally.wait_counts[-1]) == (1, 1)
        assert tally.run_counts[:2] == [1, 1]
        assert sum(tally.wait_counts) == sum(tally.run_counts) == tally.completed == 2
        assert tally.wait_sum == BOUNDS[-1] * 2


class RecordTests(SynchronousTestCase):
    def test_the_record_can_be_written_as_json(self) -> None:
        written = json.loads(json.dumps(WorkerPool().stats.as_dict()))
        assert written["total"] == 0
        assert written["run"]["bounds"] == list(BOUNDS)


class Recorded:
    """What is recorded of a task."""

    error = None

    def __init__(self, wait: float, run: float) -> None:
        self.submitted = 0.0
        self.started = wait
        # Exactly *run* later, as far as floats go.
        self.ended = run if not wait else wait + run


class Ledger:
    """What the submitters of calls have heard of them; any thread writes into it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts = dict.fromkeys(
            ["refused", "completed", "errors", "cancelled", "timed_out", "dropped"], 0
        )
        self.submitted = 0
        self.ran: list[None] = []

    def heard(self, outcome: str) -> None:
        with self.lock:
            self.counts[outcome] += 1

    def of(self, error: BaseException | None) -> str:
        kinds: list[tuple[type[BaseException], str]] = [
            (ZeroDivisionError, "errors"),
            (DeadlinePassed, "timed_out"),
            (PoolStopped, "dropped"),
            (CancelledError, "cancelled"),
        ]
        if error is None:
            return "completed"
        return next(name for kind, name in kinds if isinstance(error, kind))

    def agrees_with(self, stats: WorkerPoolStats) -> None:
        found = {
            "refused": stats.rejected, "completed": stats.completed,
            "errors": stats.errors, "cancelled": stats.cancelled,
            "timed_out": stats.timed_out, "dropped": stats.dropped,
        }  # fmt: skip
        assert found == self.counts
        assert stats.total == self.submitted == sum(self.counts.values())
        assert stats.run.count == stats.wait.count == stats.completed + stats.errors
        assert stats.run.count == sum(stats.run.counts)


def work(seed: int, ledger: Ledger) -> None:
    """Be quick, slow, or wrong."""
    ledger.ran.append(None)
    kind = Random(seed).randrange(8)
    if kind == 0:
        raise ZeroDivisionError
    if kind == 1:
        threading.Event().wait(0.003)


class Program:
    """Something random that is done with a pool, on the reactor thread."""

    def __init__(self, pool: WorkerPool, reactor: Any) -> None:
        self.pool = pool
        self.reactor = reactor
        self.ledger = Ledger()
        self.tasks: list[Task] = []
        self.deferreds: list[Deferred[Any]] = []
        self.threads: list[threading.Thread] = []

    async def run(self, steps: list[tuple[str, int]]) -> None:
        for step, seed in steps:
            await getattr(self, step)(seed)
            assert adds_up(self.pool)
        await self.restart(0)
        for thread in self.threads:
            while thread.is_alive():
                await self.turn(0)
        await self.pool.stop(20.0)
        await gatherResults(self.deferreds)
        stats = self.pool.stats
        assert (stats.waiting, stats.queue_depth, stats.active) == (0, 0, 0)
        assert (stats.workers, stats.overdue) == (0, 0)
        self.ledger.agrees_with(stats)

    async def turn(self, seed: int) -> None:
        seconds = Random(seed).choice([0, 0, 0.001, 0.004])
        await deferLater(self.reactor, seconds, lambda: None)

    async def offload(self, seed: int) -> None:
        ledger = self.ledger

        def finished(_: Any, failure: Failure | None) -> None:
            ledger.heard(ledger.of(failure and failure.value))

        for number in range(seed % 7):
            ledger.submitted += 1
            try:
                self.tasks.append(
                    self.pool.offload(
                        lambda seed: work(seed, ledger), seed + number, finished
                    )
                )
            except QueueFull:
                ledger.heard("refused")

    async def submit(self, seed: int) -> None:
        ledger = self.ledger
        for number in range(seed % 5):
            ledger.submitted += 1
            deferred = self.pool.submit(work, seed + number, ledger)
            deferred.addCallbacks(
                lambda _: ledger.heard("completed"),
                lambda failure: ledger.heard(ledger.of(failure.value)),
            )
            self.deferreds.append(deferred)

    async def cancel(self, seed: int) -> None:
        random = Random(seed)
        for _ in range(3):
            if (
                self.tasks
                and self.tasks.pop(random.randrange(len(self.tasks))).cancel()
            ):
                self.ledger.heard("cancelled")
            if self.deferreds:
                random.choice(self.deferreds).cancel()

    async def from_thread(self, seed: int) -> None:
        thread = threading.Thread(target=self._in_thread, args=(seed,))
        self.threads.append(thread)
        thread.start()

    def _in_thread(self, seed: int) -> None:
        ledger, random = self.ledger, Random(seed)
        for number in range(6):
            submit = random.choice([self.pool.submit, self.pool.try_submit])
            with ledger.lock:
                ledger.submitted += 1
            try:
                future = submit(work, seed + number, ledger)
                assert adds_up(self.pool)
                if random.random() < 0.3 and future.cancel():
                    ledger.heard("cancelled")
                    continue
                ledger.heard(ledger.of(future.exception(20)))
            except QueueFull:
                ledger.heard("refused")
            except DeadlinePassed:
                ledger.heard("timed_out")
            except PoolStopped as error:
                self._refused(error)

    def _refused(self, error: PoolStopped) -> None:
        if "was stopped" in str(error):
            self.ledger.heard("dropped")  # while it waited
        else:
            with self.ledger.lock:
                self.ledger.submitted -= 1  # it was never taken on

    async def restart(self, seed: int) -> None:
        stopped = self.pool.stop(Random(seed).choice([0.0, 0.001, 5.0]))
        await stopped
        self.pool.start(self.reactor)


EXAMPLES = 25  # a reactor is made and run for each
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["turn", "turn", "offload", "submit", "cancel", "from_thread", "restart"]
        ),
        st.integers(0, 1000),
    ),
    max_size=25,
)


class FiguresContract(OnAReactor):
    """Whatever is done with a pool, and by whomever."""

    def test_they_are_exact(self) -> None:
        # Within, for hypothesis keeps the examples of one test case from another's.
        @settings(max_examples=EXAMPLES)
        @given(steps=STEPS, timeout=st.sampled_from([0, 5, 1000]))
        def check(steps: list[tuple[str, int]], timeout: int) -> None:
            self.reactor = self.make_reactor()
            try:
                self.run_program(steps, timeout)
            finally:
                reactors.unmake(self.reactor)

        check()

    def run_program(self, steps: list[tuple[str, int]], timeout: int) -> None:
        config = WorkerPoolConfig(
            num_workers=2, max_queue_size=5, request_timeout_ms=timeout
        )
        pool = self.pool_type(config)

        async def test() -> None:
            pool.start(self.reactor)
            await Program(pool, self.reactor).run(steps)

        self.run_async(test)

    def test_they_hold_still_for_a_reader_in_another_thread(self) -> None:
        async def test() -> None:
            pool, is_over = self.a_pool(max_queue_size=50), threading.Event()
            wrong: list[WorkerPoolStats] = []

            def read() -> None:
                while not is_over.is_set():
                    stats = pool.stats
                    if stats.active < 0 or stats.run.count != sum(stats.run.counts):
                        wrong.append(stats)

            reader = threading.Thread(target=read)
            reader.start()
            for _ in range(30):
                await gatherResults([pool.submit(str, 1) for _ in range(20)])
            is_over.set()
            reader.join()
            await pool.stop()
            assert wrong == []

        self.run_async(test)


on_every_reactor_and_pool(FiguresContract, globals())
