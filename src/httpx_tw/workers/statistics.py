"""The figures of a pool: how they are kept, and the record of them at one moment."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from httpx_tw.workers.tasks import Task

__all__ = ["BOUNDS", "Histogram", "Tally", "WorkerPoolStats", "summed"]

BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper ends of the buckets, in seconds, each included; one more has no end. Waits
begin at a wake-up (50 us), calls end at the deadline (30 s), three to a decade between,
as Prometheus's clients have it."""

_FIRST: Final = BOUNDS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many took how long."""

    bounds: tuple[float, ...]
    """Upper end of each bucket but the last, in seconds, itself included."""
    counts: tuple[int, ...]
    """Of each bucket by itself, one more than there are bounds."""
    sum: float
    """Of all, in seconds."""
    count: int
    """Of all: the sum of the counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPoolStats:
    """A pool's figures at one moment; counts are since it was made.

    Each call that was submitted is in exactly one place, so that always::

        total == rejected + waiting + queue_depth + active
                 + completed + errors + cancelled + timed_out + dropped
    """

    total: int
    """Calls submitted, those that were refused for a full queue included."""
    rejected: int
    """Calls refused for a full queue."""
    waiting: int
    """Calls whose submitters wait for room in the queue, now."""
    queue_depth: int
    """Calls in the queue, now."""
    active: int
    """Calls that a worker has taken and whose end is awaited, now."""
    completed: int
    """Calls that returned."""
    errors: int
    """Calls that raised."""
    cancelled: int
    """Calls given up by who submitted them."""
    timed_out: int
    """Calls given up for their deadline, in the queue or in a worker."""
    dropped: int
    """Calls given up by the pool: for its end, or because it could start no thread."""
    abandoned: int
    """Calls given up (in one of the three ways) when a worker had already taken them.
    They are counted there, and here once more."""
    overdue: int
    """Abandoned calls that have not returned yet: each keeps a worker busy, now."""
    workers: int
    """Threads, now."""
    idle: int
    """Threads that wait for work, now."""
    wait: Histogram
    """From submission to start, of calls that returned or raised in time."""
    run: Histogram
    """From start to end, of the same calls."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under their names, for JSON and the like."""
        return asdict(self)


class Tally:
    """Counts that one thread keeps, or that are kept under one lock."""

    __slots__ = (
        "abandoned", "cancelled", "completed", "dropped", "errors", "rejected",
        "returned", "run_counts", "run_sum", "timed_out", "wait_counts", "wait_sum",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rejected = self.completed = self.errors = 0
        self.cancelled = self.timed_out = self.dropped = 0
        self.abandoned = self.returned = 0
        self.wait_sum = self.run_sum = 0.0
        self.wait_counts = [0] * (len(BOUNDS) + 1)
        self.run_counts = [0] * (len(BOUNDS) + 1)

    def record(self, task: Task) -> None:
        """Count a call that returned or raised."""
        started = task.started
        wait = started - task.submitted
        run = task.ended - started
        # Where calls are what costs, they are short: no search, 0.07 us less.
        self.wait_counts[bisect_left(BOUNDS, wait) if wait > _FIRST else 0] += 1
        self.wait_sum += wait
        self.run_counts[bisect_left(BOUNDS, run) if run > _FIRST else 0] += 1
        self.run_sum += run
        if task.error is None:
            self.completed += 1
        else:
            self.errors += 1

    def count(self, outcome: str, *, is_abandoned: bool) -> None:
        """Count a call that was given up."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        self.abandoned += is_abandoned

    def counts(self) -> tuple[Any, ...]:
        """Return everything; two that are equal say that nothing moved in between."""
        return (
            self.rejected, self.completed, self.errors, self.cancelled,
            self.timed_out, self.dropped, self.abandoned, self.returned,
            self.wait_sum, self.run_sum, *self.wait_counts, *self.run_counts,
        )  # fmt: skip


def summed(
    tallies: tuple[Tally, Tally], calls: tuple[int, int, int], threads: tuple[int, int]
) -> WorkerPoolStats:
    """Return the record of both *tallies*.

    :param calls: how many are outstanding; how many of these wait, and are queued.
    :param threads: how many there are; how many of these are idle.
    """
    outstanding, waiting, queued = calls
    workers, idle = threads

    def both(name: str) -> int:
        return int(sum(getattr(tally, name) for tally in tallies))

    ends = {
        name: both(name)
        for name in (
            "rejected", "completed", "errors", "cancelled", "timed_out", "dropped",
        )
    }  # fmt: skip
    return WorkerPoolStats(
        total=sum(ends.values()) + outstanding,
        **ends,
        waiting=waiting,
        queue_depth=queued,
        active=outstanding - waiting - queued,
        abandoned=both("abandoned"),
        overdue=both("abandoned") - both("returned"),
        workers=workers,
        idle=idle,
        wait=_histogram(tallies, "wait"),
        run=_histogram(tallies, "run"),
    )


def _histogram(tallies: tuple[Tally, Tally], of: str) -> Histogram:
    pairs = zip(*(getattr(tally, f"{of}_counts") for tally in tallies), strict=True)
    counts = tuple(sum(pair) for pair in pairs)
    return Histogram(
        bounds=BOUNDS,
        counts=counts,
        sum=sum(getattr(tally, f"{of}_sum") for tally in tallies),
        count=sum(counts),
    )
