"""The lean reactor over a completion port passes the tests that Twisted has."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from twisted.internet import tcp
from twisted.internet.error import ConnectionLost

from httpx_tw.errors import ConfigurationError
from httpx_tw.reactors import iocp
from httpx_tw.reactors.poller import EventMask
from tests.reactors import made as reactors
from tests.reactors.twisted_suite import CORE, outcome_of

if TYPE_CHECKING:
    from twisted.python.failure import Failure

IS_WINDOWS = os.name == "nt"
SOCKETS = (*CORE, "test_endpoints", "test_threads", "test_newtls", "test_tls")


def test_it_fails_no_test_of_twisted_that_the_stock_reactor_passes() -> None:
    # Twisted's reactors that it can be compared with: they watch sockets, too.
    alias, stock_name, modules = (
        ("SelectReactor", "twisted.internet.selectreactor.SelectReactor", SOCKETS)
        if IS_WINDOWS
        else ("PollReactor", "twisted.internet.pollreactor.PollReactor", CORE)
    )
    if not IS_WINDOWS and not hasattr(select, "POLLRDHUP"):
        pytest.skip("the stand-in needs Linux's poll")
    kind = reactors.OURS["iocp"]
    assert isinstance(kind, type)
    ours = outcome_of(alias, f"{kind.__module__}.{kind.__name__}", modules)
    assert ours.ran >= 130, "Twisted's tests were not found"
    if ours.failed or ours.skipped > 1:
        stock = outcome_of(alias, stock_name, modules)
        assert set(ours.failed) <= set(stock.failed)
        assert ours.skipped <= stock.skipped


@pytest.mark.skipif(
    not (IS_WINDOWS or hasattr(select, "POLLRDHUP")), reason="no stand-in here"
)
def test_a_reset_is_an_end_also_where_what_is_received_is_none() -> None:
    class Reset(tcp.Connection):
        connected = 1

        def __init__(self) -> None:
            self.lost: list[BaseException | None] = []

        def fileno(self) -> int:
            return 5

        def doRead(self) -> None:
            """As of a peer that has ended its side, and no more."""

        def connectionLost(self, reason: Failure) -> None:
            self.lost.append(reason.value)

    kind: Any = reactors.OURS["iocp"]
    reactor = kind()
    connection = Reset()
    with mock.patch.dict(reactor._selectables, {5: connection}):
        reactor._doReadOrWrite(connection, 5, EventMask.READABLE)
        assert not connection.lost
        reset = EventMask.READABLE | EventMask.ERROR | EventMask.HANGUP
        reactor._doReadOrWrite(connection, 5, int(reset))
    reactors.unmake(reactor)
    (reason,) = connection.lost
    assert isinstance(reason, ConnectionLost)


@pytest.mark.skipif(IS_WINDOWS, reason="it is installed there")
def test_elsewhere_it_says_so() -> None:
    with pytest.raises(ConfigurationError, match="no completion ports here"):
        iocp.install()


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="not Linux")
def test_where_there_are_some_it_is_installed() -> None:
    with (
        mock.patch.object(iocp, "IocpReactor", reactors.EmulatedIocpReactor),
        mock.patch.object(iocp, "installReactor") as install,
    ):
        iocp.install()
    ((installed,), _) = install.call_args
    assert isinstance(installed, reactors.EmulatedIocpReactor)
    reactors.unmake(installed)
