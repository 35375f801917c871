"""Races between addresses: who starts when, who wins, and what is left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.happy_eyeballs import ATTEMPT_DELAY, first_of, interleaved
from httpx_tw.errors import ConnectFailed

A, B, C = "2001:db8::1", "192.0.2.1", "192.0.2.2"


class RaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.attempts: dict[str, Deferred[str]] = {}
        self.cancelled: list[str] = []

    def attempt(self, address: str) -> Deferred[str]:
        deferred: Deferred[str] = Deferred(lambda _: self.cancelled.append(address))
        self.attempts[address] = deferred
        return deferred

    def race(self, *addresses: str) -> Deferred[str]:
        return first_of(addresses, self.attempt, self.clock, 80)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_only_address_needs_no_timer(self) -> None:
        outcome = self.race(A)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.attempts[A].callback("a")
        self.assertEqual(self.successResultOf(outcome), "a")

    def test_only_address_that_fails_is_told_with_its_port(self) -> None:
        outcome = self.race(A)
        self.attempts[A].errback(OSError("refused"))
        error = self.failureResultOf(outcome, ConnectFailed).value
        self.assertIn(f"{A} port 80: refused", str(error))
        self.assertIsInstance(error.__cause__, OSError)

    def test_cancel_of_the_only_address_is_no_failure_of_it(self) -> None:
        outcome = self.race(A)
        outcome.cancel()
        self.failureResultOf(outcome, CancelledError)
        self.assertEqual(self.cancelled, [A])

    def test_next_is_tried_beside_the_first_after_a_while(self) -> None:
        outcome = self.race(A, B)
        self.clock.advance(ATTEMPT_DELAY - 0.01)
        self.assertEqual(list(self.attempts), [A])
        self.clock.advance(0.02)
        self.assertEqual(list(self.attempts), [A, B])
        self.attempts[B].callback("b")
        self.assertEqual(self.successResultOf(outcome), "b")
        self.assertEqual(self.cancelled, [A])

    def test_next_is_tried_at_once_when_one_fails(self) -> None:
        outcome = self.race(A, B, C)
        self.attempts[A].errback(OSError("unreachable"))
        self.assertEqual(list(self.attempts), [A, B])
        self.clock.advance(ATTEMPT_DELAY)
        self.attempts[B].errback(OSError("refused"))
        self.assertNoResult(outcome)
        self.attempts[C].callback("c")
        self.assertEqual(self.successResultOf(outcome), "c")

    def test_all_failing_tells_each(self) -> None:
        outcome = self.race(A, B)
        self.attempts[A].errback(OSError("unreachable"))
        self.attempts[B].errback(OSError("refused"))
        error = self.failureResultOf(outcome, ConnectFailed).value
        self.assertIn(f"{A} port 80: unreachable", str(error))
        self.assertIn(f"{B} port 80: refused", str(error))
        self.assertIsInstance(error.__cause__, OSError)

    def test_cancelled_it_cancels_all(self) -> None:
        outcome = self.race(A, B, C)
        self.clock.advance(ATTEMPT_DELAY)
        outcome.cancel()
        self.failureResultOf(outcome, CancelledError)
        self.assertEqual(self.cancelled, [A, B])

    def test_what_is_decided_at_once_is_fine(self) -> None:
        outcome = first_of([A, B], lambda _: succeed("a"), self.clock, 80)
        self.assertEqual(self.successResultOf(outcome), "a")
        outcome = first_of([A, B], lambda _: fail(OSError("no")), self.clock, 80)
        self.failureResultOf(outcome, ConnectFailed)

    def test_kinds_take_turns_and_the_best_is_first(self) -> None:
        self.assertEqual(interleaved([A, "::2", "::3", B, C]), [A, B, "::2", C, "::3"])
        self.assertEqual(interleaved([B, A, C]), [B, A, C])
        self.assertEqual(interleaved([B, C]), [B, C])


@given(st.lists(st.sampled_from([A, B, C, "::2", "::3"]), min_size=1, unique=True))
def test_interleaving_loses_nothing_and_keeps_each_kinds_order(
    addresses: list[str],
) -> None:
    mixed = interleaved(addresses)
    assert sorted(mixed) == sorted(addresses)
    assert mixed[0] == addresses[0]
    for is_six in (True, False):
        kind = [a for a in mixed if (":" in a) is is_six]
        assert kind == [a for a in addresses if (":" in a) is is_six]
