"""The lean reactor over io_uring(7), Linux 6.1 and newer: ``--reactor=httpx-uring``.

Our own TCP ports on it have their connections accepted, and bytes received and sent, by
the ring, a batch at a time. Everything else (TLS, Unix sockets, UDP, processes, stock
ports) is told what is ready, as on epoll. Off by default: see install.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.interfaces import IReactorDaemonize
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python import log  # noqa: TID251  # as in lean.py: err is what stock reactors log by
from zope.interface import implementer

from httpx_tw.reactors.epoll import EpollReactor
from httpx_tw.reactors.lean import LeanReactor
from httpx_tw.reactors.ring_calls import RingRefused
from httpx_tw.reactors.uring_poller import UringPoller
from httpx_tw.transport.completion_port import CompletionPort

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.reactors.completions import Completions

__all__ = ["UringReactor", "install"]

_log = Logger()


@implementer(IReactorDaemonize)
class UringReactor(LeanReactor):
    """See LeanReactor.

    :raises RingRefused: when the kernel gives no ring.
    """

    make_poller: ClassVar[Callable[[], UringPoller]] = UringPoller
    _poller: UringPoller

    stream_port = CompletionPort
    """What ListeningReactor makes of a TCP port here."""

    @property
    def completions(self) -> Completions:
        """What streams and ports ask the ring by."""
        return self._poller.completions

    # IReactorFDSet: a stream that is received for counts as a reader

    def removeReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        if reader in self.completions.wanting:
            reader.stopReading()
        else:
            super().removeReader(reader)

    def getReaders(self) -> list[Any]:
        """See IReactorFDSet."""
        return [*super().getReaders(), *self.completions.wanting]

    def getWriters(self) -> list[Any]:
        """See IReactorFDSet."""
        senders = [each for each in self.completions.senders if each._is_sender]  # noqa: SLF001  # its own flag
        return [*super().getWriters(), *senders]

    def disconnectAll(self) -> None:  # noqa: N802  # Twisted calls it
        """Disconnect everybody, when the loop is over; and have the ring let go.

        What was written in the last batch is sent before: on other reactors it would
        have been sent when it was written.
        """
        self.completions.flush()
        self.completions.ring.submit()
        super().disconnectAll()
        self.completions.ring.submit()

    # IReactorDaemonize: a ring is not inherited by a child process

    def beforeDaemonize(self) -> None:
        """See IReactorDaemonize."""
        self._poller.close()

    def afterDaemonize(self) -> None:
        """See IReactorDaemonize: go on with all that was wanted before."""
        before = self.completions
        self.renew_poller()
        for each in before.wanting:
            each.start_over()

    # The loop

    def _dispatch(self, ready: list[tuple[int, int]], turn: Any) -> None:
        completed = self._poller.completed
        # One by one: an iteration inside of an iteration goes on where this one is.
        while completed:
            owner, result = completed.popleft()
            turn.selectable = owner
            try:
                try:
                    why = owner.completed(result)
                except BaseException as error:  # noqa: BLE001  # as _doReadOrWrite
                    log.err()
                    self._disconnectSelectable(owner, error, False)  # type: ignore[no-untyped-call]  # Twisted's
                else:
                    if why:
                        self._disconnectSelectable(owner, why, result is not None)  # type: ignore[no-untyped-call]  # Twisted's
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001  # as callWithLogger
                log.err()
        if ready:
            super()._dispatch(ready, turn)


def install() -> None:
    """Make it this process's reactor; where the kernel refuses, the one over epoll.

    The log then has one line that says why.

    :raises ReactorAlreadyInstalledError: when there is one.
    """
    try:
        reactor: LeanReactor = UringReactor()
    except RingRefused as error:
        _log.warn("{reason}: httpx-epoll in place of httpx-uring", reason=error)
        reactor = EpollReactor()
    installReactor(reactor)
