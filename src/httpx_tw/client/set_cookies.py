"""Set-Cookie fields, read as RFC 6265 section 5.2 and its successor have it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from httpx_tw.client.dates import parse_date

__all__ = ["MAX_COOKIE_SIZE", "SetCookie", "parse_set_cookie"]

MAX_COOKIE_SIZE: Final = 4096
"""Bytes of name and value together; a larger cookie is ignored (RFC 6265bis 5.6)."""

# RFC 6265bis section 5.6, steps 1 and 6: a longer attribute is ignored.
_MAX_ATTRIBUTE: Final = 1024

# Step 1: with a control character other than TAB the whole field is ignored.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DELTA: Final = re.compile(r"-?[0-9]+")

MAX_AGE: Final = 400 * 24 * 3600.0
"""The longest a cookie is kept: 400 days (RFC 6265bis section 5.5), in seconds."""


@dataclass(slots=True)
class SetCookie:
    """What one Set-Cookie field says.

    SameSite is not kept: a program has no sites, all its requests are its own.
    """

    name: str
    value: str
    expires: float | None = None
    """Seconds since the epoch, not later than in 400 days; None: with the session."""

    domain: str | None = None
    """In lower case, without a leading dot; None: only the host that set it."""

    path: str | None = None
    """Begins with ``/``; None: the default for the URL."""

    secure: bool = False
    http_only: bool = False


def parse_set_cookie(field: str, now: float) -> SetCookie | None:
    """Return what the value of a Set-Cookie *field* says, or None: it is to be ignored.

    *field* is Latin-1, as header fields are given; so is the cookie, and what goes back
    is, byte for byte, what came. *now* is in seconds since the epoch.
    """
    if _CONTROL.search(field):
        return None
    pair, _, rest = field.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    # Browsers keep nameless cookies, by accident of history; they have been used to
    # smuggle others past __Host- (RFC 6265bis section 5.7). RFC 6265 ignores them.
    if not equals or not name or len(name) + len(value) > MAX_COOKIE_SIZE:
        return None
    cookie = SetCookie(name, value)
    max_age: float | None = None
    for attribute in rest.split(";"):
        key, _, setting = attribute.partition("=")
        key, setting = key.strip(" \t").lower(), setting.strip(" \t")
        if len(setting) > _MAX_ATTRIBUTE:
            continue
        if key == "max-age":
            if _DELTA.fullmatch(setting):
                max_age = int(setting)
        else:
            _take_attribute(cookie, key, setting)
    _limit_age(cookie, max_age, now)
    return cookie


def _take_attribute(cookie: SetCookie, key: str, setting: str) -> None:
    # Of two attributes of one name the last counts (RFC 6265 section 5.3).
    match key:
        case "expires":
            date = parse_date(setting)
            if date is not None:
                cookie.expires = date
        case "domain":
            cookie.domain = setting.removeprefix(".").lower() or None
        case "path":
            cookie.path = setting if setting.startswith("/") else None
        case "secure":
            cookie.secure = True
        case "httponly":
            cookie.http_only = True
        case _:
            pass  # SameSite, Partitioned, Priority: about pages in frames


def _limit_age(cookie: SetCookie, max_age: float | None, now: float) -> None:
    # RFC 6265 section 5.3, step 3: Max-Age outranks Expires.
    if max_age is not None:
        cookie.expires = now + min(max_age, MAX_AGE) if max_age > 0 else 0.0
    elif cookie.expires is not None:
        cookie.expires = min(cookie.expires, now + MAX_AGE)
