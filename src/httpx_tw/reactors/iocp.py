"""The lean reactor over a completion port, Windows: ``--reactor=httpx-iocp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.internet import tcp
from twisted.internet.main import CONNECTION_LOST, installReactor

from httpx_tw.errors import ConfigurationError
from httpx_tw.reactors.iocp_poller import IocpPoller
from httpx_tw.reactors.lean import LeanReactor
from httpx_tw.reactors.poller import EventMask

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.reactors.poller import Poller

__all__ = ["IocpPoller", "IocpReactor", "install"]

_ERROR: Final = int(EventMask.ERROR)


class IocpReactor(LeanReactor):
    """See LeanReactor. Nothing but sockets can be watched."""

    make_poller: ClassVar[Callable[[], Poller]] = IocpPoller

    def _doReadOrWrite(self, selectable: Any, fd: int, event: int) -> None:  # noqa: N802  # Twisted's
        super()._doReadOrWrite(selectable, fd, event)  # type: ignore[no-untyped-call]  # as above
        # The driver tells of a reset, and then need not tell whoever receives: Wine's
        # gives the end, as of a peer that may be listening still.
        if (
            event & _ERROR
            and isinstance(selectable, tcp.Connection)
            and selectable.connected
        ):
            self._disconnectSelectable(selectable, CONNECTION_LOST, False)  # type: ignore[no-untyped-call]  # as above


def install() -> None:
    """Make it this process's reactor.

    :raises ReactorAlreadyInstalledError: when there is one.
    :raises ConfigurationError: when this is not Windows.
    """
    try:
        reactor = IocpReactor()
    except OSError as error:
        raise ConfigurationError(f"no completion ports here: {error}") from error
    installReactor(reactor)
