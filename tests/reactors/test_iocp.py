"""The lean reactor over a completion port passes the tests that Twisted has."""

from __future__ import annotations

import os
import select
from unittest import mock

import pytest

from httpx_tw.errors import ConfigurationError
from httpx_tw.reactors import iocp
from tests.reactors import made as reactors
from tests.reactors.twisted_suite import CORE, outcome_of

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
