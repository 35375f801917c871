"""Heads of messages and pieces of bodies, to bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from httpx_tw.errors import LocalProtocolError
from httpx_tw.protocol.grammar import is_token

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs

__all__ = [
    "LAST_CHUNK",
    "STATUS_LINES",
    "chunk",
    "field_lines",
    "last_chunk",
    "reason_phrase",
    "request_head",
    "status_line",
]

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {
    # RFC 9110 renamed these; Python 3.11 and 3.12 still have the old phrases.
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode("ascii"))
    for status, phrase in _PHRASES.items()
}
"""The status line of every registered status, made once at import."""

LAST_CHUNK: Final = b"0\r\n\r\n"


def reason_phrase(status: int) -> str:
    """Return the registered phrase of *status*, or "" for one that has none."""
    return _PHRASES.get(status, "")


def status_line(status: int) -> bytes:
    """Return the status line with its CRLF; the phrase may be empty, the space stays.

    :raises LocalProtocolError: when *status* is not three digits.
    """
    line = STATUS_LINES.get(status)
    if line is None:
        if not 100 <= status <= 999:
            raise LocalProtocolError(f"not a status: {status!r}")
        line = b"HTTP/1.1 %d \r\n" % status
    return line


def field_lines(headers: HeaderPairs) -> bytes:
    """Return header fields, checked before (see httpx_tw.headers), as lines."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


def chunk(data: bytes) -> bytes:
    """Return *data*, which must not be empty, as one chunk (RFC 9112 section 7.1).

    An empty one would be the last chunk: whoever has nothing to send sends nothing.
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: HeaderPairs) -> bytes:
    """Return the last chunk with its trailer section."""
    return b"0\r\n%b\r\n" % field_lines(trailers) if trailers else LAST_CHUNK


def request_head(method: str, target: str, headers: HeaderPairs) -> bytes:
    """Return a request head with its blank line.

    :raises LocalProtocolError: when *method* or *target* could not be read back as
        what they are.
    """
    if not method.isascii() or not is_token(method.encode("ascii")):
        raise LocalProtocolError(f"not a method: {method!r}")
    if (
        not target.isascii()
        or any(c <= " " or c == "\x7f" for c in target)
        or not target
    ):
        raise LocalProtocolError(f"not a request target: {target!r}")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (
        method.encode("ascii"),
        target.encode("ascii"),
        field_lines(headers),
    )
