"""Cookies as browsers send them and as servers must write them (RFC 6265)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from httpx_tw.errors import InvalidHeader

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CookieAttributes",
    "CookieOptions",
    "SameSite",
    "parse_cookies",
    "set_cookie_line",
]

SameSite: TypeAlias = Literal["Lax", "Strict", "None"]

# RFC 6265 section 4.1.1: a name is a token, a value is cookie-octets, and path-value
# is anything but control characters and ";".
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
_PATH = re.compile(r"/[ -:<-~]*(?<! )")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def parse_cookies(fields: Iterable[str]) -> dict[str, str]:
    """Return what the Cookie *fields* of one request hold; nothing is ever refused.

    A pair without "=" or without a name is skipped, one pair of double quotes around a
    value is taken off, and of two cookies with one name the first wins: browsers put
    the more specific path first (RFC 6265 section 5.4).
    """
    cookies: dict[str, str] = {}
    for field in fields:
        for pair in field.split(";"):
            name, equals, value = pair.partition("=")
            name = name.strip()
            if equals and name and name not in cookies:
                value = value.strip()
                if len(value) > 1 and value[0] == value[-1] == '"':
                    value = value[1:-1]
                cookies[name] = value
    return cookies


@dataclass(slots=True, kw_only=True)
class CookieAttributes:
    """What a Set-Cookie says besides name and value. See Response.set_cookie."""

    max_age: int | None = None
    expires: datetime | None = None
    path: str | None = "/"
    domain: str | None = None
    secure: bool = False
    http_only: bool = True
    same_site: SameSite | None = "Lax"


class CookieOptions(TypedDict, total=False):
    """CookieAttributes as keyword arguments."""

    max_age: int | None
    expires: datetime | None
    path: str | None
    domain: str | None
    secure: bool
    http_only: bool
    same_site: SameSite | None


def set_cookie_line(name: str, value: str, attributes: CookieAttributes) -> str:
    """Return the value of the Set-Cookie field that sets *name* to *value*.

    :raises InvalidHeader: for a name, value, path or domain that RFC 6265 section 4.1.1
        forbids, and for attributes that browsers refuse together. It is a ValueError.
    """
    if not _NAME.fullmatch(name):
        raise InvalidHeader(f"not a cookie name: {name!r}")
    if not _VALUE.fullmatch(value):
        raise InvalidHeader(
            f"cookie {name} holds an octet that a cookie must not; encode it, for"
            " instance with base64 or urllib.parse.quote"
        )
    _check_together(name, attributes)
    return "; ".join((f"{name}={value}", *_attribute_parts(attributes)))


def _attribute_parts(attributes: CookieAttributes) -> list[str]:
    parts = []
    if attributes.max_age is not None:
        parts.append(f"Max-Age={int(attributes.max_age)}")
    if attributes.expires is not None:
        parts.append(f"Expires={_http_date(attributes.expires)}")
    if attributes.path is not None:
        if not _PATH.fullmatch(attributes.path):
            raise InvalidHeader(f"not a cookie path: {attributes.path!r}")
        parts.append(f"Path={attributes.path}")
    if attributes.domain is not None:
        domain = attributes.domain.removeprefix(".")
        if not _DOMAIN.fullmatch(domain):
            raise InvalidHeader(f"not a cookie domain: {attributes.domain!r}")
        parts.append(f"Domain={domain}")
    if attributes.secure:
        parts.append("Secure")
    if attributes.http_only:
        parts.append("HttpOnly")
    if attributes.same_site is not None:
        parts.append(f"SameSite={attributes.same_site}")
    return parts


def _check_together(name: str, attributes: CookieAttributes) -> None:
    # RFC 6265bis sections 4.1.2.7 and 4.1.3: browsers drop these without a word.
    if attributes.same_site not in (None, "Lax", "Strict", "None"):
        raise InvalidHeader(
            f"same_site is Lax, Strict, None or nothing: {attributes.same_site!r}"
        )
    lowered = name.lower()
    if not attributes.secure and (
        attributes.same_site == "None" or lowered.startswith(("__secure-", "__host-"))
    ):
        raise InvalidHeader(f"browsers accept cookie {name} like this only if secure")
    if lowered.startswith("__host-") and (
        attributes.domain is not None or attributes.path != "/"
    ):
        raise InvalidHeader(f"cookie {name} must have path / and no domain")


def _http_date(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise InvalidHeader("the expiry of a cookie needs a time zone")
    return format_datetime(moment.astimezone(UTC), usegmt=True)
