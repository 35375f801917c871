"""The contract of a poller over kqueue(2), where two filters make one descriptor.

Reading and writing are watched for, fail and are reported each by itself there; all
that is here puts them together again.
"""

from __future__ import annotations

import select
from typing import Any, Final

from httpx_tw.reactors.poller import MAX_EVENTS, EventMask, Poller

__all__ = ["KqueuePoller"]

_READABLE: Final = int(EventMask.READABLE)
_WRITABLE: Final = int(EventMask.WRITABLE)
_ERROR: Final = int(EventMask.ERROR)
_HANGUP: Final = int(EventMask.HANGUP)


class KqueuePoller(Poller):
    """kqueue(2), the BSDs and macOS.

    :param interface: what has ``kqueue``, ``kevent`` and the constants; the select
        module, or a stand-in in a test.
    """

    def __init__(self, interface: Any = select) -> None:
        self._interface = interface
        self._kqueue = interface.kqueue()
        self._filters = (
            (_READABLE, interface.KQ_FILTER_READ),
            (_WRITABLE, interface.KQ_FILTER_WRITE),
        )
        super().__init__()

    def fileno(self) -> int:
        """Return kqueue's own descriptor, which can itself be watched."""
        return int(self._kqueue.fileno())

    def _watch(self, fd: int, events: int) -> None:
        self._change(fd, 0, events)

    def _change(self, fd: int, before: int, events: int) -> None:
        # A filter that is no longer wanted must go: left armed, a writable socket would
        # be reported for ever. One change a call: of several, the kernel stops at the
        # first that fails.
        added = 0
        try:
            for bit, kind in self._filters:
                if events & bit and not before & bit:
                    self._control(fd, kind, self._interface.KQ_EV_ADD)
                    added |= bit
        except OSError:
            # One end of a pipe takes one filter and refuses the other.
            self._delete(fd, added)
            raise
        failure = self._delete(fd, before & ~events)
        if failure is not None:
            raise failure

    def _forget(self, fd: int, before: int) -> None:
        failure = self._delete(fd, before)
        if failure is not None:
            raise failure

    def _delete(self, fd: int, events: int) -> OSError | None:
        """Delete each filter of *events*, whatever becomes of the others."""
        failure: OSError | None = None
        for bit, kind in self._filters:
            if events & bit:
                try:
                    self._control(fd, kind, self._interface.KQ_EV_DELETE)
                except OSError as error:
                    failure = error
        return failure

    def _control(self, fd: int, kind: int, operation: int) -> None:
        self._kqueue.control([self._interface.kevent(fd, kind, operation)], 0, 0)

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        # Two filters are two events: the second of a pair would reach whoever the first
        # made its owner close (and its number reused).
        ready: dict[int, int] = {}
        for event in self._kqueue.control(None, MAX_EVENTS, timeout):
            fd = event.ident
            ready[fd] = ready.get(fd, 0) | self._meaning(event)
        return list(ready.items())

    def _meaning(self, event: Any) -> int:
        interface = self._interface
        if event.flags & interface.KQ_EV_ERROR:
            return _ERROR
        ended = event.flags & interface.KQ_EV_EOF
        if event.filter == interface.KQ_FILTER_READ:
            # The end of the peer's side is read, as b"", behind what came before it.
            return _READABLE | (_ERROR if ended and event.fflags else 0)
        if not ended:
            return _WRITABLE
        # What came before the end is to be read first, and the filter for reading may
        # speak only in the next batch.
        unread = self._masks.get(event.ident, 0) & _READABLE
        return _WRITABLE | _HANGUP | unread | (_ERROR if event.fflags else 0)

    def _close(self) -> None:
        self._kqueue.close()
