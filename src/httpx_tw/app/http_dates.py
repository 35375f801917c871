"""Dates as HTTP writes them (RFC 9110 section 5.6.7)."""

from __future__ import annotations

import calendar
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

__all__ = ["format_http_date", "parse_http_date"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTH = {name: number for number, name in enumerate(_MONTHS, 1)}

_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_NAME = f"(?P<month>{'|'.join(_MONTHS)})"

# One grammar each: IMF-fixdate, RFC 850, asctime. A recipient must take all three, and
# names are in the case of the RFC.
_FORMS = [
    re.compile(pattern)
    for pattern in (
        rf"{_DAY}, (?P<day>[0-9]{{2}}) {_NAME} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_NAME}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"{_DAY} {_NAME} (?P<day>[0-9 ][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
]


def format_http_date(seconds: float) -> str:
    """Return *seconds* since the epoch as an IMF-fixdate, the fraction cut off."""
    # By addition: Windows' gmtime knows nothing before the epoch.
    return format_datetime(_EPOCH + timedelta(seconds=int(seconds)), usegmt=True)


def parse_http_date(text: str, now: float | None = None) -> int | None:
    """Return the date in *text* as seconds since the epoch; None: it is none.

    :param now: for years of two digits, which may be at most 50 years ahead of it;
        None: the time of the machine.
    """
    for form in _FORMS:
        match = form.fullmatch(text)
        if match is not None:
            return _seconds(match, time.time() if now is None else now)
    return None


def _seconds(match: re.Match[str], now: float) -> int | None:
    year = int(match["year"])
    if len(match["year"]) == 2:
        this_year = time.gmtime(now).tm_year
        year += this_year // 100 * 100
        if year > this_year + 50:
            year -= 100
    month, day = _MONTH[match["month"]], int(match["day"])
    hour, minute, second = (int(match[part]) for part in ("hour", "minute", "second"))
    # 60 is a leap second, which the epoch does not count.
    if (
        not year
        or not 1 <= day <= calendar.monthrange(year, month)[1]
        or hour > 23
        or minute > 59
        or second > 60
    ):
        return None
    return calendar.timegm((year, month, day, hour, minute, second))
