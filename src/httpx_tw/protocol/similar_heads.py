"""Heads that differ from one that was read before in the values of some fields.

A server answers a client with the same lines again and again, but for a date, a length,
the number of the request. The lines that were there before need no second look, and the
others only at their values: two thirds of the time of a parser, which looks at all.
"""

from __future__ import annotations

import re
from itertools import compress
from operator import ne
from typing import TYPE_CHECKING, Final

from httpx_tw.protocol.events import ResponseHead

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["similar_head"]

# What llhttp takes for a value: RFC 9110 section 5.5, whitespace round it allowed.
_VALUE: Final = re.compile(rb"[\t -~\x80-\xff]*").fullmatch

# With another value in one of these the connection or the message goes on otherwise, or
# llhttp looks at it more closely.
_DECISIVE: Final = frozenset(
    {b"connection", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_LENGTH: Final = b"content-length"
_SIZES: Final = {len(name) for name in (*_DECISIVE, _LENGTH)}
_MOST_LINES: Final = range(10_000)  # far more than any limit of fields


def similar_head(
    lines: Sequence[bytes],
    known_lines: Sequence[bytes],
    known: ResponseHead,
    *,
    length_counts: bool,
) -> ResponseHead | None:
    """Return the head that *lines* are, or None: only a parser can tell.

    Both heads are split at CR LF, with their blank line; *known* is what the parser
    made of *known_lines*.

    :param length_counts: whether Content-Length, if it is there, is what says how long
        the body is. False: its value must be the same.
    """
    if len(lines) != len(known_lines):
        return None
    fields = known.headers.copy()
    body_length = known.body_length
    for index in compress(_MOST_LINES, map(ne, lines, known_lines)):
        if not index:
            return None  # another status
        name = fields[index - 1][0]
        size = len(name)
        line = lines[index]
        value = line[size + 1 :]
        if line[: size + 1] != name + b":" or not _VALUE(value):
            return None
        value = value.strip()
        if size in _SIZES:
            key = name.lower()
            if key == _LENGTH:
                if not (length_counts and len(value) < 16 and value.isdigit()):
                    return None
                body_length = int(value)
            elif key in _DECISIVE:
                return None
        fields[index - 1] = (name, value)
    return ResponseHead(
        known.status,
        known.reason,
        fields,
        known.is_http11,
        known.keep_alive,
        body_length,
        known.sets_cookies,
        known.has_coding,
    )
