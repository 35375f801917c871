"""The lean reactor over poll passes the tests that Twisted has for its own."""

from __future__ import annotations

import select

import pytest

from tests.reactors.installing import check_that_it_installs
from tests.reactors.twisted_suite import outcome_beside_stock

pytestmark = pytest.mark.skipif(not hasattr(select, "poll"), reason="no poll here")


def test_it_fails_no_test_of_twisted_that_the_stock_reactor_passes() -> None:
    ours = outcome_beside_stock(
        "PollReactor",
        "httpx_tw.reactors.poll.PollReactor",
        "twisted.internet.pollreactor.PollReactor",
    )
    assert ours.ran >= 290, "Twisted's tests were not found"
    assert ours.skipped <= 1


def test_it_can_be_installed_once() -> None:
    check_that_it_installs("poll")
