"""One coarse tick for all deadlines of a pool; it runs only while there are any.

A ``callLater`` and its ``cancel`` cost 1.1 µs a request, and a heap entry each; setting
an attribute costs nothing. The price: a deadline is never early, and up to two ticks
late.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["NEVER", "Tick"]

NEVER: Final = inf
"""A deadline that does not pass."""


class Tick:
    """Calls *ticked* with the time; what it returns says when again.

    :param ticked: returns the seconds to the next tick; NEVER: stop.
    """

    __slots__ = ("_call", "_clock", "_ticked", "interval", "latest")

    def __init__(self, clock: IReactorTime, ticked: Callable[[float], float]) -> None:
        self._clock = clock
        self._ticked = ticked
        self._call: IDelayedCall | None = None
        self.interval = NEVER
        """Seconds between two ticks; NEVER: it does not run."""
        self.latest = 0.0
        """The latest it can be before the next tick: the time to set deadlines from,
        for free and never too early. Only while it runs."""

    def hasten(self, interval: float) -> None:
        """Tick each *interval* seconds at least, from now on.

        Call it only if *interval* is less than ``interval``, and before ``latest`` is
        used.
        """
        if self._call is not None:
            self._call.cancel()
        self._schedule(self._clock.seconds(), interval)

    def stop(self) -> None:
        """End; a second stop changes nothing."""
        self.interval = NEVER
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _schedule(self, now: float, interval: float) -> None:
        self.interval = interval
        self.latest = now + interval
        self._call = self._clock.callLater(interval, self._run)

    def _run(self) -> None:
        self._call = None
        now = self._clock.seconds()
        # Until it is known: what is begun meanwhile may need it.
        before = self.interval
        self._schedule(now, before)
        interval = self._ticked(now)
        if interval == NEVER:
            self.stop()
        elif interval > before and self.interval == before:
            self.stop()
            self._schedule(now, interval)
