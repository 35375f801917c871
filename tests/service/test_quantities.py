"""Sizes, durations and counts as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.quantities import (
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("65536", 65536),
        ("64K", 65536),
        ("64k", 65536),
        ("64KiB", 65536),
        ("10M", 10485760),
        ("10MB", 10485760),
        ("1G", 1073741824),
        ("7b", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30", 30), ("1.5", 1.5), ("1.5s", 1.5), ("500ms", 0.5), ("5m", 300)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_counts() -> None:
    assert parse_count("0") == 0
    assert parse_count("2147483647") == 2147483647


@pytest.mark.parametrize("parse", [parse_size, parse_duration, parse_count])
@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "-1", "+1", "x", "1e3", "1_000", "٣", "9" * 20, "1\n"]
)
def test_everything_else_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ConfigurationError, match=r"^expected "):
        parse(text)


def test_a_size_has_no_fractions_and_a_count_no_unit() -> None:
    with pytest.raises(ConfigurationError):
        parse_size("1.5M")
    with pytest.raises(ConfigurationError):
        parse_count("1K")
    with pytest.raises(ConfigurationError):
        parse_count("2147483648")


@given(st.integers(0, 10**15))
def test_a_written_size_is_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**5))
def test_a_written_duration_is_read_back(tenths: int) -> None:
    assert parse_duration(format_duration(tenths / 10)) == pytest.approx(tenths / 10)
