"""The lean reactor over epoll(7), Linux: ``--reactor=httpx-epoll``."""

from __future__ import annotations

import select
import sys

from twisted.internet.main import installReactor

from httpx_tw.errors import ConfigurationError
from httpx_tw.reactors.lean import LeanReactor
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
    if not hasattr(select, "epoll"):
        raise ConfigurationError(f"no epoll on {sys.platform}")
    installReactor(EpollReactor())
