"""The three forms of a date, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.app.http_dates import format_http_date, parse_http_date

EXAMPLE = 784111777  # RFC 9110 section 5.6.7


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_the_three_forms_of_the_rfc_are_read(text: str) -> None:
    assert parse_http_date(text) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_http_date(text) is None


@pytest.mark.parametrize(
    ("year", "meant"), [("94", 1994), ("26", 2026), ("76", 2076), ("77", 1977)]
)
def test_two_digits_are_at_most_fifty_years_ahead(year: str, meant: int) -> None:
    now = parse_http_date("Tue, 24 Nov 2026 00:00:00 GMT")
    found = parse_http_date(f"Sunday, 06-Nov-{year} 08:49:37 GMT", now)
    assert found is not None
    assert format_http_date(found)[12:16] == str(meant)


@given(st.integers(min_value=-62135596800, max_value=253402300799))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_http_date(format_http_date(seconds)) == seconds


def test_a_fraction_is_cut_off() -> None:
    assert format_http_date(EXAMPLE + 0.999) == "Sun, 06 Nov 1994 08:49:37 GMT"
