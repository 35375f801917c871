"""The lean reactor over kqueue: Twisted's tests, and becoming a daemon."""

from __future__ import annotations

import os
import select
import socket
from typing import Any

import pytest
from twisted.internet.interfaces import IReactorDaemonize
from twisted.trial.unittest import SynchronousTestCase

from tests.reactors import made as reactors
from tests.reactors.installing import (
    check_that_it_cannot_be_installed,
    check_that_it_installs,
)
from tests.reactors.test_lean import Scripted
from tests.reactors.twisted_suite import CORE, outcome_beside_stock

pytestmark = pytest.mark.skipif(
    "kqueue" not in reactors.OURS, reason="neither kqueue nor the stand-in here"
)

HAS_KQUEUE = hasattr(select, "kqueue")


def test_it_fails_no_test_of_twisted_that_the_stock_reactor_passes() -> None:
    kind: Any = reactors.OURS["kqueue"]
    # The stand-in is good enough for the modules about descriptors and sockets.
    ours = outcome_beside_stock(
        "KQueueReactor",
        f"{kind.__module__}.{kind.__name__}",
        "twisted.internet.kqreactor.KQueueReactor",
        CORE,
    )
    assert ours.ran >= 130, "Twisted's tests were not found"
    assert ours.skipped <= 1


def test_it_is_installed_where_the_platform_has_it() -> None:
    if HAS_KQUEUE:
        check_that_it_installs("kqueue")
    else:
        check_that_it_cannot_be_installed("kqueue")


class DaemonTests(SynchronousTestCase):
    """twistd makes its reactor before it forks, and no kqueue goes through a fork."""

    def setUp(self) -> None:
        if "kqueue" not in reactors.OURS:
            self.skipTest("neither kqueue nor the stand-in here")
        self.reactor = reactors.made(self, reactors.OURS["kqueue"])
        pairs = [socket.socketpair() for _ in range(3)]
        for pair in pairs:
            for end in pair:
                self.addCleanup(end.close)
                end.setblocking(False)
        (self.reading, self.writing, self.both) = (Scripted(ours) for ours, _ in pairs)
        for _, theirs in pairs:
            theirs.send(b"x")
        self.reactor.addReader(self.reading)
        self.reactor.addWriter(self.writing)
        self.reactor.addReader(self.both)
        self.reactor.addWriter(self.both)

    def iterate(self) -> tuple[list[str], list[str], list[str]]:
        self.reactor.iterate(0)
        return (self.reading.notes, self.writing.notes, self.both.notes)

    def test_it_says_that_it_has_to_be_told(self) -> None:
        assert IReactorDaemonize.providedBy(self.reactor)

    def test_all_is_watched_in_the_child(self) -> None:
        self.reactor.beforeDaemonize()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                self.reactor.afterDaemonize()
                expected = (["doRead"], ["doWrite"], ["doRead", "doWrite"])
                status = 0 if self.iterate() == expected else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        self.reactor.afterDaemonize()

    def test_it_holds_nothing_in_between(self) -> None:
        poller = self.reactor._poller
        self.reactor.beforeDaemonize()
        with self.assertRaises(ValueError):
            poller.fileno()
        self.reactor.afterDaemonize()
        assert self.iterate() == (["doRead"], ["doWrite"], ["doRead", "doWrite"])
        assert self.reactor.statistics().registered == 3 + len(
            self.reactor._internalReaders
        )
