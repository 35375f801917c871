"""A bar that shows how much of a download has come, on a terminal."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final, TextIO

from httpx_tw.service.get.report import size

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProgressBar", "progress_line"]

INTERVAL: Final = 0.1
"""Seconds between two drawings: often enough to be seen to move."""


def progress_line(
    received: int, total: int | None, seconds: float, columns: int
) -> str:
    """Return one line of at most *columns* characters.

    :param total: None: nobody knows; then there is no bar, and no time that is left.
    :param seconds: since the beginning.
    """
    rate = received / seconds if seconds > 0 else 0.0
    facts = f"{size(received)}  {size(rate)}/s"
    if not total:
        return facts[:columns]
    part = min(1.0, received / total)
    left = "" if not rate else f"  {_clock((total - received) / rate)} left"
    facts = f" {size(received)} of {size(total)}  {size(rate)}/s{left}"
    percent = f"{100 * part:3.0f}% "
    width = columns - len(percent) - len(facts) - 2
    if width < 5:
        return (percent + facts.lstrip())[:columns]
    bar = "=" * int(part * width)
    return f"{percent}[{bar:<{width}}]{facts}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class ProgressBar:
    """Draws the line again and again; call it as the progress of a download."""

    def __init__(
        self, terminal: TextIO, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal = terminal
        self._seconds = seconds
        self._begun = seconds()
        self._drawn = float("-inf")
        self._last: tuple[int, int | None] | None = None

    def __call__(self, received: int, total: int | None) -> None:
        """Show that *received* bytes of *total* are there."""
        self._last = received, total
        now = self._seconds()
        if now - self._drawn >= INTERVAL:
            self._drawn = now
            self._draw(now)

    def close(self) -> None:
        """Draw it as it is in the end, and leave the line."""
        if self._last is not None:
            self._draw(self._seconds())
            self._terminal.write("\n")
            self._terminal.flush()

    def _draw(self, now: float) -> None:
        assert self._last is not None
        columns = shutil.get_terminal_size().columns - 1
        line = progress_line(*self._last, now - self._begun, columns)
        self._terminal.write(f"\r{line:<{columns}}")
        self._terminal.flush()
