"""A worker takes its own latest call, everybody's oldest, another's oldest."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.workers.stealing_pool import StealingQueues, WorkStealingPool
from tests.workers.running import PATIENCE, Gate


class StealingQueuesTests(SynchronousTestCase):
    def setUp(self) -> None:
        # Any object does as a worker or a call.
        queues: Any = StealingQueues()
        self.queues = queues
        self.ann, self.bob = "ann", "bob"
        self.take: Any = queues.taker(self.ann)
        self.take_bobs: Any = queues.taker(self.bob)

    def test_own_calls_first_and_the_latest_of_them(self) -> None:
        self.queues.put("shared 1")
        for call in ("own 1", "own 2"):
            self.queues.put_own(self.ann, call)
        self.queues.put("shared 2")
        assert len(self.queues) == 4
        taken = [self.take() for _ in range(4)]
        assert taken == ["own 2", "own 1", "shared 1", "shared 2"]
        self.assertRaises(IndexError, self.take)

    def test_what_is_stolen_is_the_oldest(self) -> None:
        for call in ("own 1", "own 2", "own 3"):
            self.queues.put_own(self.ann, call)
        assert [self.take_bobs(), self.take_bobs()] == ["own 1", "own 2"]
        assert self.take() == "own 3"
        self.assertRaises(IndexError, self.take_bobs)

    def test_the_oldest_is_the_shared_one_or_that_of_the_longest(self) -> None:
        self.queues.put_own(self.ann, "own 1")
        for call in ("his 1", "his 2"):
            self.queues.put_own(self.bob, call)
        self.queues.put("shared")
        taken = [self.queues.take_oldest() for _ in range(3)]
        assert taken == ["shared", "his 1", "own 1"]
        assert self.queues.take_oldest() == "his 2"
        self.assertRaises(IndexError, self.queues.take_oldest)

    def test_a_call_is_removed_from_wherever_it_is(self) -> None:
        self.queues.put("shared")
        self.queues.put_own(self.ann, "own")
        for call in ("own", "shared"):
            self.queues.remove(call)
            self.assertRaises(ValueError, self.queues.remove, call)
        assert not self.queues

    def test_what_the_departed_leave_is_everybodys(self) -> None:
        self.queues.put_own(self.ann, "own")
        self.queues.forget(self.ann)
        self.queues.forget(self.ann)
        self.queues.forget(self.bob)
        assert self.queues.take_oldest() == "own"


class WorkStealingPoolTests(SynchronousTestCase):
    """What differs; the rest is in every other test of the pools."""

    def test_a_tree_of_calls_is_worked_off_from_its_tip(self) -> None:
        pool, gate, order = WorkStealingPool(), Gate(), list[str]()
        pool.adjustPoolsize(0, 1)
        pool.start()

        def grow() -> Any:
            return [pool.submit(order.append, leaf) for leaf in ("a", "b", "c")]

        def root() -> None:
            gate()
            grow()

        ends = [pool.submit(root), pool.submit(order.append, "later")]
        gate.open()
        for end in ends:
            end.result(PATIENCE)
        self.successResultOf(pool.stop())
        assert order == ["c", "b", "a", "later"]

    def test_who_has_nothing_to_do_steals(self) -> None:
        pool, gate = WorkStealingPool(), Gate()
        pool.adjustPoolsize(0, 2)
        pool.start()

        def root() -> Any:
            stolen = pool.submit(gate, "stolen")
            while not gate.entered:
                pass
            gate.open()
            return stolen.result(PATIENCE)

        assert pool.submit(root).result(PATIENCE) == "stolen"
        self.successResultOf(pool.stop())
