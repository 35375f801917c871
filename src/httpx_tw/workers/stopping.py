"""The end of a pool: who waits for it, until when, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred

from httpx_tw.errors import PoolStopped
from httpx_tw.workers.tasks import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.workers.crew import Crew
    from httpx_tw.workers.desk import Desk
    from httpx_tw.workers.tasks import Task

__all__ = ["Stop", "StopReport"]

_MOMENT: Final = 0.01  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReport:
    """What became of the calls that a pool held when it was told to stop."""

    finished: int
    """Calls that returned or raised meanwhile."""
    dropped: tuple[str, ...]
    """Calls that never ran, by the names of the functions."""
    abandoned: tuple[str, ...]
    """Calls that are running yet, as "thread: function". Such a thread ends when its
    call does; until then it is there."""


class Stop:
    """A pool's way from the order to stop to the report.

    It is over when no call is left and no thread; and when the time is, with no call
    left and no threads but those of calls that were given up.

    :param reactor: None: there is none, and somebody blocks.
    :param ended: called when it is over, before those who wait hear of it.
    """

    def __init__(
        self, desk: Desk, crew: Crew, reactor: Any, ended: Callable[[], object]
    ) -> None:
        self._desk = desk
        self._crew = crew
        self._reactor = reactor
        self._ended = ended
        self._ended_before = desk.ended()
        self._deadline = inf
        self._call: Any = None
        self._waiting: list[Deferred[StopReport]] = []
        self._dropped: list[str] = []
        self._is_out_of_time = False
        self._is_over = False

    def begin(self) -> None:
        """Refuse who waits for room, and let the workers leave when they can."""
        self._drop(list(self._desk.waiting))
        self._crew.dismiss()
        if self._desk.queue:
            self._crew.wake()

    def wait(self, timeout: float) -> Deferred[StopReport]:
        """Wait with the others. The earliest time anybody gave it counts."""
        deferred: Deferred[StopReport] = Deferred()
        self._waiting.append(deferred)
        deadline = monotonic() + timeout
        if deadline < self._deadline:
            self._deadline = deadline
            if self._call is not None:
                self._call.reset(timeout)
            elif self._reactor is not None:
                self._call = self._reactor.callLater(timeout, self._time_is_over)
        return deferred

    def block(self) -> None:
        """Wait for the end in this thread, and do meanwhile what the reactor would."""
        returns, bell = self._desk.returns, Event()
        ring, returns.ring = returns.ring, bell.set
        while True:
            returns.answer()
            self.look()
            if self._is_over:
                break
            if not bell.wait(max(0.0, self._deadline - monotonic())):
                self._run_out_of_time()
                # Threads that have nothing left to do may need a moment to leave.
                self._deadline = monotonic() + _MOMENT
            bell.clear()
        returns.ring = ring

    def look(self) -> None:
        """See whether it is over."""
        if self._is_over or self._desk.outstanding:
            return
        left_behind = self._desk.overdue() if self._is_out_of_time else 0
        if len(self._crew.workers) <= left_behind:
            self._complete()

    def _time_is_over(self) -> None:
        self._call = None
        self._desk.returns.take_in()  # what is here is in time
        self._run_out_of_time()
        self.look()

    def _run_out_of_time(self) -> None:
        self._is_out_of_time = True
        self._drop(list(self._desk.outstanding))

    def _drop(self, tasks: list[Task]) -> None:
        self._dropped += map(name_of, self._desk.drop(tasks, PoolStopped))

    def _complete(self) -> None:
        self._is_over = True
        if self._call is not None:
            self._call.cancel()
        self._crew.join()
        self._desk.returns.take_in()  # what these threads brought at the last moment
        report = StopReport(
            finished=self._desk.ended() - self._ended_before,
            dropped=tuple(self._dropped),
            abandoned=tuple(self._crew.describe()),
        )
        self._ended()
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(report)
