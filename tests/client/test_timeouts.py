"""Timeouts: what callers may give, and how often they are to be looked at."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.timeouts import (
    DEFAULT_TIMEOUT,
    NO_TIMEOUT,
    Timeout,
    as_timeout,
)
from httpx_tw.errors import ConfigurationError


class TimeoutTests(SynchronousTestCase):
    def test_all_are_finite_by_default(self) -> None:
        timeout = Timeout()
        for name in ("connect", "read", "write", "pool", "total"):
            self.assertLess(getattr(timeout, name), inf)

    def test_zero_and_none_turn_one_off(self) -> None:
        for off in (0, 0.0, None):
            self.assertEqual(Timeout(read=off).read, inf)

    def test_seconds_are_for_each_part_and_the_total_is_as_usual(self) -> None:
        timeout = as_timeout(5)
        self.assertEqual(
            (timeout.connect, timeout.read, timeout.write, timeout.pool), (5, 5, 5, 5)
        )
        self.assertEqual(timeout.total, DEFAULT_TIMEOUT.total)

    def test_none_is_none_at_all(self) -> None:
        self.assertEqual(as_timeout(None), NO_TIMEOUT)
        self.assertEqual(NO_TIMEOUT.total, inf)

    def test_timeout_is_itself(self) -> None:
        timeout = Timeout(read=1)
        self.assertIs(as_timeout(timeout), timeout)

    def test_nonsense_is_refused(self) -> None:
        senseless: list[Any] = [-1, nan, "5", True, [1]]
        for value in senseless:
            with self.assertRaises(ConfigurationError):
                Timeout(read=value)

    def test_it_is_looked_at_often_enough(self) -> None:
        for timeout, interval in (
            (Timeout(), 1.0),
            (NO_TIMEOUT, 1.0),
            (Timeout(read=2), 0.5),
            (Timeout(total=0.001), 0.02),
        ):
            self.assertEqual(timeout.interval, interval)
