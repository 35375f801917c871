"""The lean reactor over kqueue(2), the BSDs and macOS: ``--reactor=httpx-kqueue``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from twisted.internet.interfaces import IReactorDaemonize
from zope.interface import implementer

from httpx_tw.reactors.kqueue_poller import KqueuePoller
from httpx_tw.reactors.lean import LeanReactor, install_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.reactors.poller import Poller

__all__ = ["KqueuePoller", "KqueueReactor", "install"]


@implementer(IReactorDaemonize)
class KqueueReactor(LeanReactor):
    """See LeanReactor."""

    make_poller: ClassVar[Callable[[], Poller]] = KqueuePoller

    def beforeDaemonize(self) -> None:
        """See IReactorDaemonize: a kqueue is not inherited by a child process."""
        self._poller.close()

    def afterDaemonize(self) -> None:
        """See IReactorDaemonize: watch all that was watched before."""
        self.renew_poller()


def install() -> None:
    """Make it this process's reactor.

    :raises ReactorAlreadyInstalledError: when there is one.
    :raises ConfigurationError: when the platform has no kqueue.
    """
    install_over("kqueue", KqueueReactor)
