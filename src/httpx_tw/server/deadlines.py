"""Deadlines are attributes; one coarse tick a server looks at all of them.

A ``callLater`` and its ``cancel`` cost 1.1 µs a request, and a heap entry each. Setting
an attribute costs nothing, and looking at 10,000 connections once a second costs 1 ms.
The price: a deadline is never early, and up to two ticks late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from httpx_tw.limits import Timeouts

__all__ = ["MAX_INTERVAL", "NEVER", "Pace", "Tick", "interval_for"]

NEVER: Final = float("inf")
"""A deadline that does not pass."""

MAX_INTERVAL: Final = 1.0
"""Seconds between two ticks, unless a timeout is so short that it wants more."""

_MIN_INTERVAL: Final = 0.02


def interval_for(timeouts: Timeouts) -> float:
    """Return a tick's length: a second, or a quarter of the shortest timeout."""
    durations = (
        timeouts.head,
        timeouts.body_idle,
        timeouts.response_idle,
        timeouts.keep_alive,
        timeouts.handler,
        timeouts.rate_grace,
    )
    shortest = min((d for d in durations if d), default=4 * MAX_INTERVAL)
    return min(MAX_INTERVAL, max(_MIN_INTERVAL, shortest / 4))


class Tick:
    """Calls *ticked* with the time, each *interval* seconds, between start and stop.

    ``latest`` is the latest it can be before the next tick: the time to set deadlines
    from, for free and never too early.
    """

    __slots__ = ("_call", "_clock", "_interval", "_ticked", "latest")

    def __init__(
        self, clock: IReactorTime, interval: float, ticked: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._ticked = ticked
        self._call: IDelayedCall | None = None
        self.latest = clock.seconds() + interval

    @property
    def interval(self) -> float:
        """Seconds between two ticks."""
        return self._interval

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._call is not None

    def start(self) -> None:
        """Begin; a second start changes nothing."""
        if self._call is None:
            self.latest = self._clock.seconds() + self._interval
            self._call = self._clock.callLater(self._interval, self._run)

    def stop(self) -> None:
        """End; a second stop changes nothing."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        # The next one first: whatever happens in this one, deadlines go on.
        self._call = self._clock.callLater(self._interval, self._run)
        now = self._clock.seconds()
        self.latest = now + self._interval
        self._ticked(now)


class Pace:
    """How fast a transfer goes, against a minimum; times in seconds.

    It is told of progress and asked at each tick. While the transfer waits for us and
    not for the peer, it is held, and that time does not count.
    """

    __slots__ = ("_began", "_held_since", "_moved_at", "_total")

    def __init__(self, now: float) -> None:
        self._began = now
        self._moved_at = now
        self._total = 0
        self._held_since: float | None = None

    def moved(self, count: int, now: float) -> None:
        """Note that *count* bytes came or went."""
        self._total += count
        self._moved_at = now

    def hold(self, now: float) -> None:
        """Stop the clock; held already is fine."""
        if self._held_since is None:
            self._held_since = now

    def go_on(self, now: float) -> None:
        """Let the clock run again; running already is fine."""
        if self._held_since is not None:
            waited = now - self._held_since
            self._began += waited
            self._moved_at += waited
            self._held_since = None

    def is_too_slow(
        self, now: float, *, idle: float, rate: float, grace: float
    ) -> bool:
        """Whether nothing moved for *idle*, or less than *rate* bytes/s after *grace*.

        0 turns either rule off.
        """
        if self._held_since is not None:
            return False
        if idle and now - self._moved_at >= idle:
            return True
        overdue = now - self._began - grace
        return bool(rate) and overdue > 0 and self._total < overdue * rate
