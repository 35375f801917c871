"""How sizes, durations and counts are written on a command line."""

from __future__ import annotations

import re
from typing import Final

from httpx_tw.errors import ConfigurationError

__all__ = [
    "format_duration",
    "format_size",
    "parse_count",
    "parse_duration",
    "parse_size",
]

_SIZE: Final = re.compile(r"(\d{1,18})(?:([kmg])?(?:i?b)?)", re.IGNORECASE | re.ASCII)
_SIZE_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h)?", re.ASCII)
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}

_COUNT: Final = re.compile(r"\d{1,10}", re.ASCII)
_MAX_COUNT: Final = 2**31 - 1
"""What the kernel takes for a backlog (a C int); more of anything means nothing."""


def parse_size(text: str) -> int:
    """Return the bytes that *text* says: "65536", "64K", "10M", "1G" (powers of 1024).

    :raises ConfigurationError: when it is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"expected a size such as 65536, 64K or 10M, got {text!r}"
        )
    return int(match[1]) * _SIZE_UNITS[(match[2] or "").lower()]


def parse_duration(text: str) -> float:
    """Return the seconds that *text* says: "30", "1.5s", "500ms", "5m", "1h".

    :raises ConfigurationError: when it is no duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"expected a duration such as 30, 1.5s or 5m, got {text!r}"
        )
    return float(match[1]) * _DURATION_UNITS[match[2] or "s"]


def parse_count(text: str) -> int:
    """Return the whole number that *text* says.

    :raises ConfigurationError: when it is none, is negative or is above 2,147,483,647.
    """
    if _COUNT.fullmatch(text) is None or int(text) > _MAX_COUNT:
        raise ConfigurationError(f"expected a whole number, got {text!r}")
    return int(text)


def format_size(size: int) -> str:
    """Write *size* as :func:`parse_size` reads it, as short as is exact."""
    for unit, factor in (("G", 1024**3), ("M", 1024**2), ("K", 1024)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def format_duration(seconds: float) -> str:
    """Write *seconds* as :func:`parse_duration` reads it."""
    return f"{seconds:g}s"
