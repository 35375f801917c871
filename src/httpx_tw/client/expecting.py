"""A request body that waits for the server to want it: 100 (Continue)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Expectation"]


class Expectation:
    """What a connection waits for before it sends a body (RFC 9110 section 10.1.1).

    It has a timer of its own: the pool's tick may be a second late, which is as long
    as this waits, and few requests have one.

    :param patience: seconds until *send* is called without a 100; inf: never.
    """

    __slots__ = ("_send", "_timer")

    def __init__(
        self, clock: Any, patience: float | None, send: Callable[[], None]
    ) -> None:
        self._send: Callable[[], None] | None = send
        self._timer: Any = None
        if patience is not None and patience != inf:
            self._timer = clock.callLater(patience, self._overdue)

    def meet(self) -> None:
        """Send the body: the server wants it. Met already is fine."""
        send = self._send
        self.drop()
        if send is not None:
            send()

    def drop(self) -> None:
        """Never send it."""
        self._send = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _overdue(self) -> None:
        self._timer = None
        self.meet()
