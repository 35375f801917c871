"""First come, first served."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.workers.queues import SharedQueue


class SharedQueueTests(SynchronousTestCase):
    worker: Any = object()

    def test_calls_are_taken_in_the_order_they_came(self) -> None:
        queue, calls = SharedQueue(), [object() for _ in range(4)]
        first, second, third, last = calls
        queue.put(first)  # type: ignore[arg-type]  # anything will do
        queue.put_own(self.worker, second)  # type: ignore[arg-type]
        queue.put(third)  # type: ignore[arg-type]
        queue.put(last)  # type: ignore[arg-type]
        assert len(queue) == 4
        assert queue.take_oldest() is first
        queue.remove(third)  # type: ignore[arg-type]
        self.assertRaises(ValueError, queue.remove, third)
        queue.forget(self.worker)
        take = queue.taker(self.worker)
        assert [take(), take()] == [second, last]
        self.assertRaises(IndexError, take)
        self.assertRaises(IndexError, queue.take_oldest)
