"""One measured round, and servers measured in turn."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.load import Load
    from harness.processes import Process

__all__ = ["Round", "Summary", "interleave", "measure", "summarise"]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of load cost. Times are in seconds."""

    requests: int
    cpu_per_request: float
    per_second: float
    p50: float
    p99: float
    busy: float
    """CPU seconds per second: 1.0 is a whole core."""
    trouble: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Several rounds as one row: medians, and the spread of the CPU time."""

    cpu_us: float
    cpu_us_min: float
    cpu_us_max: float
    per_second: float
    p50_ms: float
    p99_ms: float
    busy: float


def measure(process: Process, port: int, load: Load, seconds: float) -> Round:
    """Drive the server for *seconds* and return what that cost it."""
    before = process.cpu()
    result = load.run(port, seconds)
    used = process.cpu().since(before)
    return Round(
        requests=result.requests,
        cpu_per_request=used / result.requests if result.requests else float("nan"),
        per_second=result.per_second,
        p50=result.p50,
        p99=result.p99,
        busy=used / result.seconds if result.seconds else float("nan"),
        trouble=result.trouble,
    )


def interleave(
    running: Mapping[str, tuple[Process, int]], load: Load, rounds: int, seconds: float
) -> dict[str, list[Round]]:
    """Measure servers that all run already, in turn (A B A B …), after a warm-up.

    What the machine does meanwhile then meets all of them alike.
    """
    for _, port in running.values():
        load.run(port, 1)
    found: dict[str, list[Round]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, (process, port) in running.items():
            found[name].append(measure(process, port, load, seconds))
    return found


def summarise(rounds: list[Round]) -> Summary:
    """Return the medians over *rounds*; there must be one at least."""
    cost = [one.cpu_per_request * 1e6 for one in rounds]
    return Summary(
        cpu_us=statistics.median(cost),
        cpu_us_min=min(cost),
        cpu_us_max=max(cost),
        per_second=statistics.median(one.per_second for one in rounds),
        p50_ms=statistics.median(one.p50 for one in rounds) * 1e3,
        p99_ms=statistics.median(one.p99 for one in rounds) * 1e3,
        busy=statistics.median(one.busy for one in rounds),
    )
