"""Whether work grows with its input, and no faster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.trial.unittest import SynchronousTestCase

SMALL = 1024
FACTOR = 16
COARSE = 0.02


def processor_seconds(work: Callable[[bytes], object], text: bytes) -> float:
    """Return the least processor time *work* took for *text*, of three tries."""
    tries = []
    for _ in range(3):
        began = time.process_time()
        work(text)
        tries.append(time.process_time() - began)
    return min(tries)


def assert_linear(
    case: SynchronousTestCase,
    work: Callable[[bytes], object],
    before: bytes,
    repeated: bytes,
    after: bytes,
) -> None:
    """Fail when *work* on 16 times the input takes much more than 16 times as long.

    Quadratic work takes 256 times as long: the bound lies a factor of four from both.
    What is over in 20 ms passes whatever it is, for clocks are coarse and shared.
    """
    small = processor_seconds(work, before + repeated * SMALL + after)
    large = processor_seconds(work, before + repeated * SMALL * FACTOR + after)
    case.assertLess(large, max(COARSE, 4 * FACTOR * small))
