"""The lean reactor over a completion port, Windows: ``--reactor=httpx-iocp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from twisted.internet.main import installReactor

from httpx_tw.errors import ConfigurationError
from httpx_tw.reactors.iocp_poller import IocpPoller
from httpx_tw.reactors.lean import LeanReactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.reactors.poller import Poller

__all__ = ["IocpPoller", "IocpReactor", "install"]


class IocpReactor(LeanReactor):
    """See LeanReactor. Nothing but sockets can be watched."""

    make_poller: ClassVar[Callable[[], Poller]] = IocpPoller


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
