"""The lean reactor over epoll(7), Linux: ``--reactor=httpx-epoll``."""

from __future__ import annotations

from httpx_tw.reactors.lean import LeanReactor, install_over
from httpx_tw.reactors.poller import EpollPoller

__all__ = ["EpollReactor", "install"]


class EpollReactor(LeanReactor):
    """See LeanReactor."""

    make_poller = EpollPoller


def install() -> None:
    """Make it this process's reactor.

    :raises ReactorAlreadyInstalledError: when there is one.
    :raises ConfigurationError: when the platform has no epoll.
    """
    install_over("epoll", EpollReactor)
