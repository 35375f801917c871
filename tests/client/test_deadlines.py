"""The tick of a pool: it runs only while it is wanted, and as fast as it is wanted."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.deadlines import NEVER, Tick


class TickTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.ticks: list[float] = []
        self.wanted = 1.0
        self.tick = Tick(self.clock, self.ticked)

    def ticked(self, now: float) -> float:
        self.ticks.append(now)
        return self.wanted

    def test_it_does_not_run_by_itself(self) -> None:
        self.assertEqual(self.tick.interval, NEVER)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_runs_until_nobody_wants_it(self) -> None:
        self.tick.hasten(1.0)
        self.clock.pump([1.0] * 3)
        self.wanted = NEVER
        self.clock.pump([1.0] * 3)
        self.assertEqual(self.ticks, [1, 2, 3, 4])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_latest_is_never_before_the_next_tick(self) -> None:
        self.tick.hasten(1.0)
        for _ in range(3):
            (call,) = self.clock.getDelayedCalls()
            self.assertEqual(self.tick.latest, call.getTime())
            self.clock.advance(1.0)

    def test_it_is_hastened_and_slows_down_again(self) -> None:
        self.tick.hasten(1.0)
        self.clock.advance(0.5)
        self.tick.hasten(0.1)
        self.assertEqual(self.tick.latest, 0.6)
        self.wanted = 2.0
        self.clock.advance(0.1)
        self.assertEqual(self.tick.interval, 2.0)
        self.clock.advance(1.9)
        self.assertEqual(len(self.ticks), 1)
        self.clock.advance(0.2)
        self.assertEqual(len(self.ticks), 2)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_what_is_hastened_within_a_tick_stays_so(self) -> None:
        def ticked(now: float) -> float:
            self.ticks.append(now)
            if len(self.ticks) == 1:
                self.tick.hasten(0.1)
            return 1.0

        self.tick = Tick(self.clock, ticked)
        self.tick.hasten(1.0)
        self.clock.advance(1.0)
        self.clock.advance(0.1)
        self.assertEqual(len(self.ticks), 2)

    def test_stopping_twice_is_fine(self) -> None:
        self.tick.hasten(1.0)
        self.tick.stop()
        self.tick.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_within_a_tick_it_stays_so(self) -> None:
        def ticked(now: float) -> float:
            self.tick.stop()
            return NEVER

        self.tick = Tick(self.clock, ticked)
        self.tick.hasten(1.0)
        self.clock.advance(1.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
