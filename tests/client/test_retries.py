"""Retries: how often, how long, and of what."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.retries import (
    RetryBudget,
    RetryPolicy,
    is_idempotent,
    parse_retry_after,
    retry_budget_from,
)
from httpx_tw.errors import ConfigurationError

NOW = 1_800_000_000.0
POLICY = RetryPolicy()


def after_response(
    status: int = 503, policy: RetryPolicy = POLICY, **facts: Any
) -> float | None:
    known: dict[str, Any] = {"retries": 0, "idempotent": True} | facts
    return policy.after_response(status, **known)


def after_error(policy: RetryPolicy = POLICY, **facts: Any) -> float | None:
    known: dict[str, Any] = {"retries": 0, "idempotent": True, "was_sent": True} | facts
    return policy.after_error(**known)


class DelayTests(SynchronousTestCase):
    def test_each_delay_is_twice_the_one_before_up_to_a_limit(self) -> None:
        delays = [POLICY.delay(retry) for retry in range(8)]
        self.assertEqual(delays, [0, 1, 2, 4, 8, 16, 30, 30])

    def test_chance_shortens_a_delay_by_up_to_its_half(self) -> None:
        self.assertEqual(POLICY.delay(2, 0.5), 1.5)
        self.assertEqual(RetryPolicy(jitter=0).delay(2, 0.9), 2)
        self.assertEqual(RetryPolicy(jitter=1).delay(1, 0.75), 0.25)

    @given(
        st.integers(1, 10**6),
        st.floats(0, 1, exclude_max=True),
        st.floats(1, 1e9),
        st.floats(0, 1e9),
    )
    def test_no_delay_is_over_the_limit_or_below_zero(
        self, retry: int, chance: float, multiplier: float, initial: float
    ) -> None:
        policy = RetryPolicy(backoff_multiplier=multiplier, initial_delay=initial)
        self.assertTrue(0 <= policy.delay(retry, chance) <= policy.max_delay)


class ResponseTests(SynchronousTestCase):
    def test_what_may_get_better_is_tried_again(self) -> None:
        for status in range(100, 600):
            expected = 1.0 if status in {429, 500, 502, 503, 504} else None
            self.assertEqual(after_response(status), expected)

    def test_three_times_and_no_more(self) -> None:
        delays = [after_response(retries=retries) for retries in range(5)]
        self.assertEqual(delays, [1, 2, 4, None, None])
        self.assertIsNone(after_response(policy=RetryPolicy.none()))

    def test_only_what_may_be_repeated(self) -> None:
        self.assertIsNone(after_response(idempotent=False))
        policy = RetryPolicy(retry_only_idempotent=False)
        self.assertEqual(after_response(policy=policy, idempotent=False), 1)

    def test_retry_after_is_waited_for_if_it_is_longer(self) -> None:
        self.assertEqual(after_response(retry_after=0.0), 1)
        self.assertEqual(after_response(retry_after=7.0, chance=0.5), 7)
        self.assertEqual(after_response(retry_after=60.0), 60)

    def test_who_asks_for_too_long_is_not_disturbed(self) -> None:
        self.assertIsNone(after_response(retry_after=60.1))
        self.assertIsNone(after_response(retry_after=float("inf")))


class ErrorTests(SynchronousTestCase):
    def test_an_error_is_tried_again_like_a_status(self) -> None:
        delays = [after_error(retries=retries, chance=0.5) for retries in range(4)]
        self.assertEqual(delays, [0.75, 1.5, 3, None])

    def test_what_may_have_arrived_is_repeated_only_if_it_may_be(self) -> None:
        self.assertIsNone(after_error(idempotent=False))
        self.assertEqual(after_error(idempotent=False, was_sent=False), 1)
        policy = RetryPolicy(retry_only_idempotent=False)
        self.assertEqual(after_error(policy, idempotent=False), 1)

    def test_errors_can_be_left_alone(self) -> None:
        policy = RetryPolicy(retry_on_connection_error=False)
        self.assertIsNone(after_error(policy, was_sent=False))


class PolicyTests(SynchronousTestCase):
    def test_the_aggressive_one_comes_back_soon_and_often(self) -> None:
        policy = RetryPolicy.aggressive()
        self.assertEqual([policy.delay(n) for n in (1, 2, 3)], [0.5, 0.75, 1.125])
        self.assertEqual(policy.max_retries, 5)

    def test_statuses_may_be_any_collection(self) -> None:
        statuses: Any = [418, 503]
        policy = RetryPolicy(retry_on_status=statuses)
        self.assertEqual(policy.retry_on_status, frozenset({418, 503}))
        self.assertEqual(hash(policy), hash(RetryPolicy(retry_on_status=statuses)))

    def test_what_makes_no_sense_is_refused(self) -> None:
        refused: tuple[dict[str, Any], ...] = (
            {"max_retries": -1},
            {"initial_delay": -0.1},
            {"initial_delay": float("nan")},
            {"max_delay": -1},
            {"backoff_multiplier": 0.5},
            {"jitter": 1.1},
            {"jitter": -0.1},
            {"max_retry_after": -1},
            {"retry_on_status": {200}},
            {"retry_on_status": {600}},
        )
        for options in refused:
            self.assertRaises(ConfigurationError, RetryPolicy, **options)


class IdempotentTests(SynchronousTestCase):
    def test_methods_are_as_rfc_9110_has_them(self) -> None:
        for method in "GET HEAD OPTIONS TRACE PUT DELETE".split():
            self.assertTrue(is_idempotent(method))
        for method in "POST PATCH CONNECT get PROPFIND".split():
            self.assertFalse(is_idempotent(method))

    def test_a_key_makes_a_request_repeatable(self) -> None:
        self.assertTrue(is_idempotent("POST", ["accept", "idempotency-key"]))
        self.assertFalse(is_idempotent("POST", ["accept"]))


class Counting:
    """A pool, as a budget sees it."""

    requests = 0


class BudgetTests(SynchronousTestCase):
    def test_retries_are_a_part_of_all_requests(self) -> None:
        budget = RetryBudget(ratio=0.5, reserve=2)
        self.assertEqual([budget.try_withdraw() for _ in range(3)], [True, True, False])
        budget.deposit()
        self.assertFalse(budget.try_withdraw())
        budget.deposit()
        self.assertTrue(budget.try_withdraw())
        self.assertEqual(budget.left, 0)

    def test_it_saves_no_more_than_its_reserve(self) -> None:
        budget = RetryBudget(ratio=1, reserve=2)
        for _ in range(10):
            budget.deposit()
        self.assertEqual(budget.left, 2)

    def test_requests_of_a_pool_are_counted_once(self) -> None:
        budget = RetryBudget(ratio=0.5, reserve=10)
        pools = [Counting(), Counting()]
        pools[0].requests = 100  # before anybody looked
        for pool in pools * 2:
            budget.watch(pool)
        while budget.try_withdraw():
            pass
        for pool in pools:
            pool.requests += 4
        self.assertEqual((budget.left, budget.left), (4, 4))
        del pools[0], pool  # a pool may go
        pools[0].requests += 2
        self.assertEqual(budget.left, 5)

    def test_it_may_be_said_in_short(self) -> None:
        budget = RetryBudget()
        self.assertIs(retry_budget_from(budget), budget)
        for nothing in (0, 0.0, None):
            self.assertIsNone(retry_budget_from(nothing))
        short = retry_budget_from(0.5)
        assert short is not None
        self.assertEqual(short.left, 100)
        wrong: Any
        for wrong in (-1, float("nan"), True, "0.5"):
            self.assertRaises(ConfigurationError, retry_budget_from, wrong)

    def test_it_is_not_negative(self) -> None:
        self.assertRaises(ConfigurationError, RetryBudget, -1)
        self.assertRaises(ConfigurationError, RetryBudget, reserve=-1)


class RetryAfterTests(SynchronousTestCase):
    def test_it_is_seconds_or_a_date(self) -> None:
        for value, seconds in (
            ("0", 0),
            ("120", 120),
            (" 7 ", 7),
            ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
            ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
            ("9" * 5000, float("inf")),
        ):
            self.assertEqual(parse_retry_after(value, NOW), seconds)

    def test_anything_else_says_nothing(self) -> None:
        for value in (None, "", "soon", "-1", "1.5", "+1", "1, 2", "\u0663", "\xb2"):
            self.assertIsNone(parse_retry_after(value, NOW))

    @given(st.text())
    def test_no_text_is_too_much(self, value: str) -> None:
        seconds = parse_retry_after(value, NOW)
        self.assertTrue(seconds is None or seconds >= 0)
