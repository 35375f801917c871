"""The bar of a download."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.service.get.progress import ProgressBar, progress_line

MIB = 1 << 20


def test_a_bar_shows_part_rate_and_what_is_left() -> None:
    line = progress_line(25 * MIB, 100 * MIB, 5.0, 72)
    assert line == (
        " 25% [=====                ] 25.0 MiB of 100.0 MiB  5.0 MiB/s  0:15 left"
    )


def test_without_a_length_there_is_no_bar() -> None:
    assert progress_line(2048, None, 2.0, 70) == "2.0 KiB  1.0 KiB/s"


def test_hours_are_hours() -> None:
    assert "2:46:39 left" in progress_line(1, 10_000, 1.0, 70)


@given(
    received=st.integers(0, 1 << 50),
    total=st.none() | st.integers(0, 1 << 50),
    seconds=st.floats(0, 1e6),
    columns=st.integers(1, 300),
)
def test_a_line_always_fits(
    received: int, total: int | None, seconds: float, columns: int
) -> None:
    line = progress_line(received, total, seconds, columns)
    assert len(line) <= columns
    assert line.isprintable()


def test_it_is_drawn_ten_times_a_second_and_in_the_end() -> None:
    terminal, now = io.StringIO(), [0.0]
    bar = ProgressBar(terminal, lambda: now[0])
    for step in range(100):
        now[0] = step / 50
        bar(step, 100)
    bar.close()
    drawn = terminal.getvalue().split("\r")
    assert 18 <= len(drawn) <= 22
    assert drawn[-1].startswith(" 99%")
    assert drawn[-1].endswith("\n")


def test_what_never_began_leaves_nothing() -> None:
    terminal = io.StringIO()
    ProgressBar(terminal).close()
    assert terminal.getvalue() == ""
