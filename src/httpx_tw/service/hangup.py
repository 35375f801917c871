"""SIGHUP, which operators send to have files read again."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Hangup"]


class Hangup:
    """Has *function* called on the reactor thread for each SIGHUP, while heeded.

    Where there is no such signal, or the reactor does not run on the main thread, it is
    never called.
    """

    def __init__(self, reactor: Any, function: Callable[[], object]) -> None:
        self._reactor = reactor
        self._function = function
        self._before: Any = None
        self._is_heeded = False

    def heed(self) -> None:
        """Take the signal, from whoever has it now; again is fine."""
        is_main = threading.current_thread() is threading.main_thread()
        if hasattr(signal, "SIGHUP") and is_main and not self._is_heeded:
            self._before = signal.signal(signal.SIGHUP, self._came)
            self._is_heeded = True

    def ignore(self) -> None:
        """Give the signal back; not having it is fine."""
        if self._is_heeded:
            self._is_heeded = False
            # None: it was set by somebody outside of Python, who cannot be named.
            signal.signal(signal.SIGHUP, self._before or signal.SIG_DFL)

    def _came(self, *_: object) -> None:
        # Anywhere in the program, and the reactor may be asleep: this wakes it.
        self._reactor.callFromThread(self._function)
