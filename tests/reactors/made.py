"""Reactors made for one test, and never installed."""

from __future__ import annotations

import os
import select
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from httpx_tw.reactors.epoll import EpollReactor
from httpx_tw.reactors.io_uring import UringReactor
from httpx_tw.reactors.iocp import IocpReactor
from httpx_tw.reactors.iocp_poller import IocpPoller
from httpx_tw.reactors.kqueue import KqueueReactor
from httpx_tw.reactors.kqueue_poller import KqueuePoller
from httpx_tw.reactors.poll import PollReactor
from tests.reactors import fake_kqueue
from tests.reactors.fake_afd import FakeAfd
from tests.reactors.ring_here import REFUSAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.trial.unittest import SynchronousTestCase

    from httpx_tw.reactors.poller import Poller


class EmulatedKqueueReactor(KqueueReactor):
    """Over the stand-in."""

    make_poller: ClassVar[Callable[[], Poller]] = partial(KqueuePoller, fake_kqueue)


class EmulatedIocpReactor(IocpReactor):
    """Over the stand-in."""

    make_poller: ClassVar[Callable[[], Poller]] = lambda: IocpPoller(FakeAfd())


OURS: dict[str, Callable[[], Any]] = {}
if hasattr(select, "epoll"):
    OURS["epoll"] = EpollReactor
if hasattr(select, "poll"):
    OURS["poll"] = PollReactor
if not REFUSAL:
    OURS["io_uring"] = UringReactor
if hasattr(select, "kqueue"):
    OURS["kqueue"] = KqueueReactor
elif hasattr(select, "POLLRDHUP"):
    OURS["kqueue"] = EmulatedKqueueReactor
if os.name == "nt":
    OURS["iocp"] = IocpReactor
elif hasattr(select, "POLLRDHUP"):
    OURS["iocp"] = EmulatedIocpReactor
"""By the kernel's interface: what this platform can make."""


def stock(interface: str) -> Any:
    """Return a new reactor of Twisted's own over *interface*."""
    if interface in {"epoll", "io_uring"}:  # Twisted has none over io_uring
        from twisted.internet.epollreactor import EPollReactor

        return EPollReactor()
    from twisted.internet.pollreactor import PollReactor as StockPollReactor

    return StockPollReactor()


def made(case: SynchronousTestCase, make: Callable[[], Any]) -> Any:
    """Return a new reactor, which ends with the test."""
    reactor = make()
    case.addCleanup(unmake, reactor)
    return reactor


def unmake(reactor: Any) -> None:
    """Give back what a reactor holds: it has no method for that."""
    for waker in list(reactor._internalReaders):
        reactor.removeReader(waker)
        waker.connectionLost(None)
    reactor._internalReaders.clear()
    for call in reactor.getDelayedCalls():
        call.cancel()
    poller = getattr(reactor, "_poller", None)
    if poller is not None and hasattr(poller, "close"):
        poller.close()


def run(reactor: Any, patience: float = 20.0) -> None:
    """Run it until it is stopped, which a passing test does long before *patience*."""
    too_late: list[bool] = []

    def give_up() -> None:
        too_late.append(True)
        reactor.stop()

    watchdog = reactor.callLater(patience, give_up)
    reactor.run(installSignalHandlers=False)
    assert not too_late, "the reactor was never stopped"
    watchdog.cancel()
