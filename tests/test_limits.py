"""Tests of limits and timeouts."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import ConfigurationError
from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts


class LimitsTests(SynchronousTestCase):
    def test_defaults_are_the_documented_ones(self) -> None:
        limits = Limits()
        self.assertEqual(limits, DEFAULT_LIMITS)
        self.assertEqual(limits.max_request_line, 8190)
        self.assertEqual(limits.max_header_bytes, 16384)
        self.assertEqual(limits.max_headers, 100)
        self.assertEqual(limits.max_body, 10 * 1024 * 1024)
        self.assertEqual(limits.max_chunk_extension, 1024)
        self.assertEqual(limits.max_pipelined, 16)
        self.assertEqual(limits.max_requests_per_connection, 0)
        self.assertEqual(limits.max_connections, 1000)
        self.assertEqual(limits.backlog, 1024)

    def test_they_are_changed_by_replacing(self) -> None:
        with self.assertRaises(FrozenInstanceError):
            DEFAULT_LIMITS.max_body = 5  # type: ignore[misc]  # that it fails is tested
        self.assertEqual(replace(DEFAULT_LIMITS, max_body=5).max_body, 5)

    def test_negative_values_and_what_is_no_number_are_refused(self) -> None:
        for record in (Limits, Timeouts):
            for field in fields(record):
                for value in (-1, math.nan, "5", None):
                    options: dict[str, Any] = {field.name: value}
                    error = self.assertRaises(ConfigurationError, record, **options)
                    self.assertIn(field.name, str(error))

    def test_zero_is_refused_where_it_means_nothing(self) -> None:
        may_be_zero = {
            "max_body",
            "max_pipelined",
            "max_requests_per_connection",
            "max_connections",
        }
        for field in fields(Limits):
            options: dict[str, Any] = {field.name: 0}
            if field.name in may_be_zero:
                self.assertEqual(getattr(Limits(**options), field.name), 0)
            else:
                self.assertRaises(ConfigurationError, Limits, **options)


class TimeoutsTests(SynchronousTestCase):
    def test_defaults_are_the_documented_ones(self) -> None:
        timeouts = Timeouts()
        self.assertEqual(timeouts, DEFAULT_TIMEOUTS)
        self.assertEqual(timeouts.head, 10)
        self.assertEqual((timeouts.body_idle, timeouts.body_min_rate), (30, 240))
        self.assertEqual(
            (timeouts.response_idle, timeouts.response_min_rate), (30, 240)
        )
        self.assertEqual((timeouts.rate_grace, timeouts.keep_alive), (5, 60))
        self.assertEqual((timeouts.handler, timeouts.drain), (30, 30))
        self.assertEqual(timeouts.linger, 5)

    def test_zero_turns_any_rule_off(self) -> None:
        for field in fields(Timeouts):
            options: dict[str, Any] = {field.name: 0}
            self.assertEqual(getattr(Timeouts(**options), field.name), 0)

    def test_fractions_and_infinity_are_fine(self) -> None:
        self.assertEqual(Timeouts(head=0.5, keep_alive=math.inf).head, 0.5)
