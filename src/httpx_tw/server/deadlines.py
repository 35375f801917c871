"""Deadlines are attributes; one coarse tick a server looks at all of them.

A ``callLater`` and its ``cancel`` cost 1.1 µs a request, and a heap entry each. Setting
an attribute costs nothing, and looking at 10,000 connections once a second costs 1 ms.
The price: a connection may outlive its deadline by one tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from httpx_tw.limits import Timeouts

__all__ = ["MAX_INTERVAL", "Tick", "interval_for"]

MAX_INTERVAL: Final = 1.0
"""Seconds between two ticks, unless a timeout is so short that it wants more."""

_MIN_INTERVAL: Final = 0.02


def interval_for(timeouts: Timeouts) -> float:
    """Return a tick's length: at most a second, and a quarter of the shortest timeout."""
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

    ``now`` is the time of the latest tick: near enough for setting deadlines, and free.
    """

    __slots__ = ("_call", "_clock", "_interval", "_ticked", "now")

    def __init__(
        self, clock: IReactorTime, interval: float, ticked: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._ticked = ticked
        self._call: IDelayedCall | None = None
        self.now = clock.seconds()

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
            self.now = self._clock.seconds()
            self._call = self._clock.callLater(self._interval, self._run)

    def stop(self) -> None:
        """End; a second stop changes nothing."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        # The next one first: whatever happens in this one, deadlines go on.
        self._call = self._clock.callLater(self._interval, self._run)
        self.now = self._clock.seconds()
        self._ticked(self.now)
