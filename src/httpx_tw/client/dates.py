"""Dates in header fields, read as leniently as RFC 6265 section 5.1.1 asks for."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import date
from typing import Final

__all__ = ["parse_date"]

_DELIMITERS: Final = re.compile(r"[\t -/;-@\[-`{-~]+")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY: Final = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR: Final = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        "jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1
    )
}

# Longer than any date; what is longer is no date, and is not looked at.
_LONGEST: Final = 256


def parse_date(text: str) -> float | None:
    """Return the seconds since the epoch that *text* names, or None if it is no date.

    All three forms of RFC 9110 section 5.6.7 are read, and whatever browsers read of
    what servers have put into Expires in thirty years. A zone is ignored: it is UTC.
    """
    if len(text) > _LONGEST:
        return None
    # Step 2: the first token of each kind counts; a token is of the first kind that
    # fits and was not found yet.
    time = day = month = year = None
    for token in _DELIMITERS.split(text):
        if time is None and (match := _TIME.match(token)):
            time = match
        elif day is None and (match := _DAY.match(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS[token[:3].lower()]
        elif year is None and (match := _YEAR.match(token)):
            year = _full_year(int(match[1]))
    if time is None or day is None or month is None or year is None:  # step 5
        return None
    return _seconds(year, month, day, time)


def _full_year(year: int) -> int:
    if 70 <= year <= 99:  # step 3
        return year + 1900
    return year + 2000 if year <= 69 else year  # step 4


def _seconds(year: int, month: int, day: int, time: re.Match[str]) -> float | None:
    hour, minute, second = int(time[1]), int(time[2]), int(time[3])
    if year < 1601 or hour > 23 or minute > 59 or second > 59:  # step 5
        return None
    try:
        date(year, month, day)
    except ValueError:  # step 6: there is no such day
        return None
    return float(timegm((year, month, day, hour, minute, second)))
