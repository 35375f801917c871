"""What the programs do whose clients block: as many threads as requests in flight."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from asking import Task

__all__ = ["measure"]


def measure(task: Task, ask: Callable[[], None]) -> None:
    """Warm up, measure, and report."""
    for requests in (task.requests // 10, task.requests):
        share = requests // task.in_flight  # take() is no counter for threads
        task.begin(share * task.in_flight)
        threads = [
            Thread(target=_repeat, args=(ask, share)) for _ in range(task.in_flight)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    task.requests = share * task.in_flight
    task.report()


def _repeat(ask: Callable[[], None], times: int) -> None:
    for _ in range(times):
        ask()
