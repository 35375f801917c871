"""Byte ranges: which parts of a body a client asks for (RFC 9110 section 14)."""

from __future__ import annotations

import re
import sys
from typing import Final, TypeAlias

__all__ = ["MAX_RANGES", "Span", "content_range", "requested_spans", "unsatisfied"]

Span: TypeAlias = tuple[int, int]
"""Where a part begins, and how many bytes it has: at least one."""

MAX_RANGES: Final = 16
"""Ranges in one request; with more of them Range is ignored, as nginx does. A media
player asks for one, a PDF reader for a handful, and an attacker for thousands."""

_GAP: Final = 80
"""Two parts closer than what it costs to part them (section 15.3.7.2) are sent as
one."""

# Digits are bounded for int() takes quadratic time; nothing is 10^18 bytes long.
_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)")
_MOST_DIGITS: Final = 18


def requested_spans(field: str, size: int) -> list[Span] | None:
    """Return what Range, *field*, selects of *size* bytes, in the client's order.

    None: ignore the field and send everything, for it is not in bytes, or not well
    formed, or asks for too many. An empty list: nothing of it is there (416). Ranges
    that overlap, or nearly touch, become one.
    """
    unit, equals, specs = field.partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    found: list[Span] = []
    # Empty members of a list are skipped (section 5.6.1.2), but counted all the same.
    members = specs.split(",", MAX_RANGES)
    if len(members) > MAX_RANGES:
        return None
    is_empty = True
    for member in members:
        text = member.strip(" \t")
        if not text:
            continue
        is_empty = False
        bounds = _bounds(text, size)
        if bounds is None:
            return None
        first, end = bounds
        if first < end:
            _add(found, first, end)
        elif size == 0 and text[0] == "-" and text.strip("-0"):
            # Section 14.1.2: the last bytes of nothing are all of it; no Content-Range
            # can say so.
            return None
    return None if is_empty else [(first, end - first) for first, end in found]


def _bounds(spec: str, size: int) -> tuple[int, int] | None:
    """Return where *spec* begins and ends, the end excluded; None: it is none."""
    match = _SPEC.fullmatch(spec)
    if match is None or spec == "-":
        return None
    first, last = map(_number, match.groups())
    if first is None:
        assert last is not None
        return max(0, size - last), size
    if last is None:
        return first, size
    if last < first:
        return None
    return first, min(last + 1, size)


def _number(digits: str) -> int | None:
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MOST_DIGITS else sys.maxsize


def _add(found: list[tuple[int, int]], first: int, end: int) -> None:
    """Add a range to *found*, swallowing those it meets; it takes the first's place."""
    place = len(found)
    index = 0
    while index < len(found):
        other_first, other_end = found[index]
        if first <= other_end + _GAP and other_first <= end + _GAP:
            first, end = min(first, other_first), max(end, other_end)
            del found[index]
            place = min(place, index)
            index = 0  # grown, it may meet one that it missed
        else:
            index += 1
    found.insert(place, (first, end))


def content_range(span: Span, size: int) -> str:
    """Return the value of Content-Range for *span* of *size* bytes."""
    first, count = span
    return f"bytes {first}-{first + count - 1}/{size}"


def unsatisfied(size: int) -> str:
    """Return the value of Content-Range for 416 (section 15.5.17)."""
    return f"bytes */{size}"
