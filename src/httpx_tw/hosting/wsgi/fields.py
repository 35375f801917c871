"""What start_response is given, checked, and as the server wants it (PEP 3333)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from httpx_tw.errors import InvalidHeader, LocalProtocolError
from httpx_tw.headers import checked_name, checked_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from httpx_tw.headers import HeaderPairs

__all__ = ["checked_fields", "checked_status"]

# Three digits, a space, a reason without control characters. 1xx is the server's.
_STATUS: Final = re.compile(r"[2-5][0-9]{2} [ -~\x80-\xff]*")
_STATUSES: Final[dict[str, int]] = {}

_LENGTH: Final = b"content-length"

_HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",  # as PEP 3333 and RFC 2616 have it
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110 section 7.6.1: between us and the client, and none of the application's."""

_LEFT_OUT: Final = b""
"""The server writes Date and Server into every response; twice would be once too many.
Not an error: Werkzeug sends a Date with a file."""

_NAMES: Final[dict[str, bytes]] = {}
"""Names that were checked before."""

_MOST_KEPT: Final = 1024
"""Entries of each of these; applications make up few, unless they put data in them."""


def checked_status(status: str) -> int:
    """Return the status code. The reason is not sent: RFC 9112 section 4 ignores it.

    :raises TypeError: when it is no str.
    :raises LocalProtocolError: when it is not like "200 OK", or not 200 to 599.
    """
    code = _STATUSES.get(status)
    return _new_status(status) if code is None else code


def _new_status(status: str) -> int:
    if not isinstance(status, str):
        raise TypeError(f"a status is a str, not {type(status).__name__}")
    if not _STATUS.fullmatch(status):
        raise LocalProtocolError(f"a status is like '200 OK', not {status!r}")
    code = int(status[:3])
    if len(_STATUSES) < _MOST_KEPT:
        _STATUSES[status] = code
    return code


def checked_fields(fields: Iterable[tuple[str, str]]) -> tuple[HeaderPairs, int]:
    """Return header fields as bytes, and what Content-Length says among them or -1.

    Whitespace around a value is taken away (RFC 9110 section 5.5).

    :raises TypeError: for what is no list of pairs of str.
    :raises InvalidHeader: for bad names and values.
    :raises LocalProtocolError: for hop-by-hop fields, and for two lengths.
    """
    if not isinstance(fields, list):
        raise TypeError(f"headers are a list, not {type(fields).__name__}")
    pairs: HeaderPairs = []
    length = -1
    for name, value in fields:
        known = _NAMES.get(name)
        if known is None:
            known = _new_name(name)
        # Nearly all values are ASCII without control characters: 0.1 µs, not 0.4.
        if type(value) is str and value.isascii() and value.isprintable():
            octets = value.strip().encode()
        else:
            octets = _checked_value(value)
        if known is _LENGTH:
            length = _checked_length(octets, length)
        elif known is not _LEFT_OUT:
            pairs.append((known, octets))
    return pairs, length


def _new_name(name: str) -> bytes:
    if not isinstance(name, str):
        raise TypeError(f"a header name is a str, not {type(name).__name__}")
    octets = checked_name(name)
    lowered = octets.lower()
    if lowered in _HOP_BY_HOP:
        raise LocalProtocolError(
            f"{name} is the server's to write, never the application's"
        )
    if lowered == _LENGTH:
        octets = _LENGTH
    elif lowered in (b"date", b"server"):
        octets = _LEFT_OUT
    if len(_NAMES) < _MOST_KEPT:
        _NAMES[name] = octets
    return octets


def _checked_value(value: str) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"a header value is a str, not {type(value).__name__}")
    try:
        return checked_value(value.strip(" \t").encode("latin-1"))
    except UnicodeEncodeError as error:
        raise InvalidHeader(f"a header value is Latin-1, unlike {value!r}") from error


def _checked_length(octets: bytes, before: int) -> int:
    # Not int(): it takes signs, spaces and underscores, and 4,300 digits.
    if not octets.isdigit() or len(octets) > 18:
        raise InvalidHeader(f"not a Content-Length: {octets!r}")
    length = int(octets)
    if before not in (-1, length):
        raise LocalProtocolError(f"two Content-Lengths, {before} and {length}")
    return length
