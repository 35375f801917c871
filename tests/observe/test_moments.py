"""The names of moments."""

from __future__ import annotations

from httpx_tw.client.timing import DialTimes, Timing
from httpx_tw.observe.moments import DIAL_PHASES, MOMENTS, PHASES, STEPS


def test_no_two_moments_have_one_name() -> None:
    assert len(MOMENTS) == len(STEPS) + len(PHASES)
    assert list(PHASES)[: len(DIAL_PHASES)] == list(DIAL_PHASES)


def test_timings_have_an_attribute_for_each_phase() -> None:
    timing, times = Timing(), DialTimes(0.0)
    assert [getattr(timing, phase) for phase in PHASES] == [None] * len(PHASES)
    assert [getattr(times, phase) for phase in DIAL_PHASES] == [None] * len(DIAL_PHASES)
