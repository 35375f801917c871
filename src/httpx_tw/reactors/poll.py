"""The lean reactor over poll(2): ``--reactor=httpx-poll``."""

from __future__ import annotations

from httpx_tw.reactors.lean import LeanReactor, install_over
from httpx_tw.reactors.poller import PollPoller

__all__ = ["PollReactor", "install"]


class PollReactor(LeanReactor):
    """See LeanReactor."""

    make_poller = PollPoller


def install() -> None:
    """Make it this process's reactor.

    :raises ReactorAlreadyInstalledError: when there is one.
    :raises ConfigurationError: when the platform has no poll.
    """
    install_over("poll", PollReactor)
