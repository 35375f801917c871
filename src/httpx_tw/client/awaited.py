"""A Deferred that resumes the coroutine which awaits it, and little else."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet import defer

__all__ = ["Awaited"]

_T = TypeVar("_T")

# What Twisted adds to a Deferred that a coroutine awaits.
_RESUME: Any = getattr(defer, "_gotResultInlineCallbacks", None)


class Awaited(defer.Deferred[_T]):
    """A Deferred like any, with a shorter way to fire it.

    Twisted's own is a loop over the callbacks, with all that may come of each. Of a
    Deferred that is awaited there is one, which returns nothing and raises nothing.
    """

    _callbacks: Any = ()
    # Where Twisted calls these two otherwise (the one before 25.5, the other perhaps
    # one day), nothing is lost but the time.

    def fire(self, result: _T) -> None:
        """Do what ``callback`` does, for a *result* that is no Failure.

        0.4 µs less if a coroutine waits for it, and nobody else.
        """
        callbacks = self._callbacks
        if len(callbacks) != 1 or callbacks[0][0][0] is not _RESUME or self.paused:
            self.callback(result)
            return
        arguments = callbacks.pop()[0][1]
        # As Deferred has it, so that the coroutine finds it as it always does.
        self.called = True
        self._canceller = None
        self.result = result
        self._runningCallbacks = True
        try:
            _RESUME(result, *arguments)
        finally:
            self._runningCallbacks = False
            self.result = None  # what _RESUME returned
        if callbacks:  # the coroutine has added to them
            self._runCallbacks()
