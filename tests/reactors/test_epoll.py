"""The lean reactor over epoll passes the tests that Twisted has for its own."""

from __future__ import annotations

import select

import pytest

from tests.reactors.installing import check_that_it_installs
from tests.reactors.twisted_suite import outcome_of

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")


def test_it_fails_no_test_of_twisted_that_the_stock_reactor_passes() -> None:
    ours = outcome_of("EPollReactor", "httpx_tw.reactors.epoll.EpollReactor")
    assert ours.ran >= 290, "Twisted's tests were not found"
    if ours.failed:
        # Of what depends on the machine: test_changeUID, where another user cannot
        # run this Python.
        stock = outcome_of("EPollReactor", "twisted.internet.epollreactor.EPollReactor")
        assert set(ours.failed) <= set(stock.failed)
        assert ours.skipped <= stock.skipped
    assert ours.skipped <= 1


def test_it_can_be_installed_once() -> None:
    check_that_it_installs("epoll")
