"""RFC 9110 section 14 as tables, and what no list of ranges may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.app.ranges import (
    MAX_RANGES,
    content_range,
    requested_spans,
    unsatisfied,
)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        # The examples of section 14.1.2, for 10,000 bytes.
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 500)]),
        ("bytes=-500", [(9500, 500)]),
        ("bytes=9500-", [(9500, 500)]),
        ("bytes=0-0,-1", [(0, 1), (9999, 1)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 1000), (9000, 1000)]),
        ("bytes=500-600,601-999", [(500, 500)]),
        ("bytes=500-700,601-999", [(500, 500)]),
        # One byte, everything, more than there is.
        ("bytes=0-", [(0, 10000)]),
        ("bytes=0-99999999999999999999999", [(0, 10000)]),
        ("bytes=9999-9999", [(9999, 1)]),
        ("bytes=-10001", [(0, 10000)]),
        ("bytes=-99999999999999999999999", [(0, 10000)]),
        ("bytes=0000000000000000000000001-2", [(1, 2)]),
        ("BYTES=0-1", [(0, 2)]),
        ("bytes=0-1,,", [(0, 2)]),
        # What is not there is left out; nothing left is 416.
        ("bytes=10000-", []),
        ("bytes=10000-20000", []),
        ("bytes=99999999999999999999999-", []),
        ("bytes=-0", []),
        ("bytes=10000-,5-6", [(5, 2)]),
        # Malformed, or not in bytes: as if it was not there.
        ("bytes", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes=-", None),
        ("bytes=1", None),
        ("bytes=a-b", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-4", None),
        ("bytes=0-1;2-3", None),
        ("bytes=0 - 1", None),
        ("bytes=+1-2", None),
        ("bytes=1-2-3", None),
        ("bytes=\u0661-2", None),
        ("lines=0-1", None),
        ("0-1", None),
    ],
)
def test_what_a_field_selects(
    field: str, expected: list[tuple[int, int]] | None
) -> None:
    assert requested_spans(field, 10000) == expected


@pytest.mark.parametrize(
    ("field", "expected"), [("bytes=0-", []), ("bytes=-1", None), ("bytes=-0", [])]
)
def test_of_nothing(field: str, expected: list[tuple[int, int]] | None) -> None:
    assert requested_spans(field, 0) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("bytes=5000-5009,0-9", [(5000, 10), (0, 10)]),  # the client's order
        ("bytes=0-9,0-9,0-9", [(0, 10)]),
        ("bytes=0-9,5000-5009,5-5005", [(0, 5010)]),  # joins what it bridges
        (
            "bytes=9000-9009,0-9,15-19",
            [(9000, 10), (0, 20)],
        ),  # a gap smaller than a head
        ("bytes=0-9,500-509", [(0, 10), (500, 10)]),
    ],
)
def test_what_overlaps_or_nearly_touches_becomes_one(
    field: str, expected: list[tuple[int, int]]
) -> None:
    assert requested_spans(field, 10000) == expected


def test_too_many_are_ignored() -> None:
    specs = [f"{1000 * n}-{1000 * n}" for n in range(MAX_RANGES)]
    assert len(requested_spans(f"bytes={','.join(specs)}", 10**6) or []) == MAX_RANGES
    specs.append("99-99")
    assert requested_spans(f"bytes={','.join(specs)}", 10**6) is None
    assert requested_spans("bytes=" + "," * MAX_RANGES + "0-1", 10) is None


numbers = st.one_of(st.integers(0, 300), st.integers(0, 10**25), st.just(""))
specs = st.tuples(numbers, numbers).map(lambda pair: f"{pair[0]}-{pair[1]}")


@given(st.lists(specs, max_size=20), st.integers(0, 300))
def test_spans_are_inside_apart_and_no_more_than_asked(
    specs: list[str], size: int
) -> None:
    spans = requested_spans("bytes=" + ",".join(specs), size)
    if not spans:
        return
    assert len(spans) <= len(specs) <= MAX_RANGES
    covered: set[int] = set()
    for first, count in spans:
        assert count > 0
        assert 0 <= first < first + count <= size
        assert covered.isdisjoint(range(first, first + count))
        covered.update(range(first, first + count))


@given(st.text())
def test_any_text_is_taken_or_ignored(text: str) -> None:
    requested_spans(text, 100)
    requested_spans(f"bytes={text}", 100)


def test_the_fields_that_go_with_it() -> None:
    assert content_range((0, 500), 1234) == "bytes 0-499/1234"
    assert unsatisfied(1234) == "bytes */1234"
