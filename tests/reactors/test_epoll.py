"""The lean reactor over epoll passes the tests that Twisted has for its own."""

from __future__ import annotations

import select

import pytest

from tests.reactors.installing import check_that_it_installs
from tests.reactors.twisted_suite import outcome_beside_stock

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")


def test_it_fails_no_test_of_twisted_that_the_stock_reactor_passes() -> None:
    ours = outcome_beside_stock(
        "EPollReactor",
        "httpx_tw.reactors.epoll.EpollReactor",
        "twisted.internet.epollreactor.EPollReactor",
    )
    assert ours.ran >= 290, "Twisted's tests were not found"
    assert ours.skipped <= 1


def test_it_can_be_installed_once() -> None:
    check_that_it_installs("epoll")
