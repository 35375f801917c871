"""The syntax of HTTP/1.1 as regular expressions, each with the rule it stands for."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "CHUNK_LINE",
    "DIGITS",
    "FIELD_LINE",
    "HOST",
    "HTTP_VERSION",
    "TOKEN",
    "UNPARSEABLE",
    "is_token",
    "list_members",
]

_TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"

TOKEN: Final = re.compile(_TCHAR + rb"+")
"""RFC 9110 section 5.6.2."""

DIGITS: Final = re.compile(rb"[0-9]{1,18}")
"""Content-Length = 1*DIGIT (RFC 9110 section 8.6), and no more than a file can be long:
18 digits stay below 2**63, so no peer of ours can read a wrapped-round number."""

HTTP_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])")
"""RFC 9112 section 2.3: case-sensitive, one digit each."""

# RFC 3986 section 3.2.2. A reg-name may be empty in http URIs' Host (RFC 9112 section
# 3.2), and we take no userinfo (RFC 9110 section 4.2.4). Nor a comma, though it is a
# sub-delim: it is how a proxy joins two Host fields to one.
_REG_NAME: Final = rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*"
_IP_LITERAL: Final = (
    rb"\[(?:[0-9A-Fa-f:.]{2,45}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\]"
)

HOST: Final = re.compile(rb"(?:%b|%b)(?::[0-9]{0,5})?" % (_IP_LITERAL, _REG_NAME))
"""Host = uri-host [ ":" port ] (RFC 9110 section 7.2)."""

UNPARSEABLE: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What can stand nowhere in a head: a bare LF, a bare CR, a control character.

RFC 9112 section 2.2 allows reading a bare LF as a line end; that leniency has hidden
header fields from proxies often enough (CVE-2025-22871, CVE-2025-55315)."""

FIELD_LINE: Final = re.compile(
    rb"(%b+):[ \t]*+((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
    % _TCHAR
)
"""field-line = field-name ":" OWS field-value OWS (RFC 9112 section 5).

The first OWS gives nothing back: else 16 KiB of spaces and a bad byte cost a second."""

_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'

CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"((?:[ \t]*;[ \t]*%b+(?:[ \t]*=[ \t]*(?:%b+|%b))?)*)" % (_TCHAR, _TCHAR, _QUOTED)
)
"""chunk-size [ chunk-ext ] (RFC 9112 section 7.1).

15 hex digits stay below 2**63. Bad whitespace is taken where section 7.1.1 obliges us
to, round an extension, and nowhere else."""


def is_token(text: bytes) -> bool:
    """Whether *text* is a token (RFC 9110 section 5.6.2)."""
    return TOKEN.fullmatch(text) is not None


def list_members(value: bytes) -> list[bytes]:
    """Split a comma-separated list into its members, in lower case, empty ones dropped.

    For lists of tokens only (RFC 9110 section 5.6.1): it knows no quoted strings.
    """
    return [m for m in (part.strip(b" \t").lower() for part in value.split(b",")) if m]
