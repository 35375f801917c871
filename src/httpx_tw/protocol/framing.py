"""How long a message body is, and where each piece of it ends: RFC 9112 section 6.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from httpx_tw.errors import HeadTooLarge, RemoteProtocolError
from httpx_tw.protocol.events import (
    CHUNKED,
    END_OF_MESSAGE,
    NEED_DATA,
    UNTIL_CLOSE,
    Signal,
)
from httpx_tw.protocol.grammar import (
    CHUNK_LINE,
    DIGITS,
    FIELD_LINE,
    UNPARSEABLE,
    is_token,
    list_members,
)

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits

__all__ = [
    "BodyReader",
    "ChunkedReader",
    "LengthReader",
    "UntilCloseReader",
    "body_reader",
    "refused_codings",
    "request_body_length",
    "response_body_length",
]

# Fields that must not change the message after its body was read (RFC 9110 section
# 6.5.1): framing, routing, authentication, and what says how the content is to be read.
NOT_IN_TRAILERS: Final = frozenset(
    b"authorization cache-control connection content-encoding content-length "
    b"content-range content-type cookie expect host keep-alive max-forwards "
    b"proxy-authenticate proxy-authorization proxy-connection range set-cookie te "
    b"trailer transfer-encoding upgrade www-authenticate".split()
)


def _declared(headers: HeaderPairs) -> tuple[list[bytes], list[bytes]]:
    """Return the values of Transfer-Encoding and of Content-Length, field by field."""
    codings: list[bytes] = []
    lengths: list[bytes] = []
    for name, value in headers:
        size = len(name)
        if size == 17 and name.lower() == b"transfer-encoding":
            codings.append(value)
        elif size == 14 and name.lower() == b"content-length":
            lengths.append(value)
    return codings, lengths


def _content_length(lengths: list[bytes]) -> int:
    """Steps 5 and 6 of section 6.3, without the leniency for equal repetitions."""
    if len(lengths) > 1:
        raise RemoteProtocolError(f"{len(lengths)} Content-Length fields, expected one")
    value = lengths[0]
    significant = value.lstrip(b"0") or b"0"
    if not DIGITS.fullmatch(significant) or not value.isdigit():
        raise RemoteProtocolError("Content-Length is not a number of bytes")
    return int(significant)


def request_body_length(headers: HeaderPairs, *, is_http11: bool) -> int:
    """Return the number of bytes of body that follow a request head, or CHUNKED.

    :raises RemoteProtocolError: 400 for contradictions, 501 for a transfer coding other
        than exactly ``chunked``.
    """
    codings, lengths = _declared(headers)
    if not codings:
        # Step 7: neither field is present, so there is no body.
        return _content_length(lengths) if lengths else 0
    # Section 6.1: HTTP/1.0 knows no transfer codings, and a message with both fields is
    # how requests are smuggled. Both may be answered leniently; we do not.
    if not is_http11:
        raise RemoteProtocolError("Transfer-Encoding in an HTTP/1.0 request")
    if lengths:
        raise RemoteProtocolError("both Transfer-Encoding and Content-Length")
    if len(codings) > 1 or codings[0].lower() != b"chunked":
        raise refused_codings(codings)
    return CHUNKED


def refused_codings(codings: list[bytes]) -> RemoteProtocolError:
    """Return why Transfer-Encoding fields that are not exactly ``chunked`` are refused.

    RFC 9112 section 6.1: 501 for codings we do not understand. What is no list of
    codings at all is 400.
    """
    members = [member for value in codings for member in list_members(value)]
    if members and all(map(is_token, members)):
        return RemoteProtocolError("a transfer coding other than chunked", 501)
    return RemoteProtocolError("malformed Transfer-Encoding")


def response_body_length(
    headers: HeaderPairs, *, status: int, method: str, is_http11: bool
) -> int:
    """Return the length of the body of a response to *method*, in bytes.

    Or CHUNKED, or UNTIL_CLOSE.

    :raises RemoteProtocolError: when the framing contradicts itself.
    """
    # Step 1: these never have a body, whatever their fields say.
    if method == "HEAD" or status < 200 or status in {204, 304}:
        return 0
    # Step 2: a successful CONNECT becomes a tunnel at the end of the head.
    if method == "CONNECT" and status < 300:
        return 0
    codings, lengths = _declared(headers)
    if codings:
        # Step 3, refused as for requests: no honest server sends both.
        if lengths:
            raise RemoteProtocolError("both Transfer-Encoding and Content-Length")
        if not is_http11:
            raise RemoteProtocolError("Transfer-Encoding in an HTTP/1.0 response")
        # Step 4.
        members = list_members(b",".join(codings))
        if members != [b"chunked"]:
            raise RemoteProtocolError("a transfer coding other than chunked")
        return CHUNKED
    if lengths:
        return _content_length(lengths)
    # Step 8.
    return UNTIL_CLOSE


class BodyReader(Protocol):
    """Takes one body out of the bytes of a connection."""

    trailers: HeaderPairs

    def read(self, buffer: bytes, position: int) -> tuple[bytes | Signal, int]:
        """Return the next piece of *buffer* from *position*, and where it ended.

        A piece is never empty; instead of one come NEED_DATA or END_OF_MESSAGE.

        :raises RemoteProtocolError: when the body is malformed.
        """

    def at_eof(self) -> bool:
        """Whether the body is complete when the connection ends here."""


class LengthReader:
    """A body of a length known beforehand."""

    __slots__ = ("_left", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.trailers: HeaderPairs = []

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return self._left

    def read(self, buffer: bytes, position: int) -> tuple[bytes | Signal, int]:
        """See BodyReader.read."""
        if self._left == 0:
            return END_OF_MESSAGE, position
        piece = buffer[position : position + self._left]
        if not piece:
            return NEED_DATA, position
        self._left -= len(piece)
        return piece, position + len(piece)

    def at_eof(self) -> bool:
        """See BodyReader.at_eof."""
        return self._left == 0


class UntilCloseReader:
    """A response body that ends where the connection does (section 6.3, step 8)."""

    __slots__ = ("trailers",)

    def __init__(self) -> None:
        self.trailers: HeaderPairs = []

    def read(self, buffer: bytes, position: int) -> tuple[bytes | Signal, int]:
        """See BodyReader.read."""
        piece = buffer[position:]
        return (piece or NEED_DATA), len(buffer)

    def at_eof(self) -> bool:
        """See BodyReader.at_eof."""
        return True


class ChunkedReader:
    """A chunked body: RFC 9112 section 7.1, read to the letter.

    llhttp could do this, but not with a limit on a line, and not without copying each
    piece through a callback; the two bytes after a chunk and the extension line are
    where most of the CVEs of 2025 were.
    """

    __slots__ = (
        "_expects_crlf",
        "_extension_bytes",
        "_left",
        "_limits",
        "_state",
        "trailers",
    )

    _SIZE, _DATA, _TRAILERS, _DONE = range(4)

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = self._SIZE
        self._expects_crlf = False  # the CRLF that ends a chunk's data is still to come
        self._left = 0
        self._extension_bytes = 0
        self.trailers: HeaderPairs = []

    def read(  # noqa: C901, PLR0912  # one branch a state; parting it would hide the cycle
        self, buffer: bytes, position: int
    ) -> tuple[bytes | Signal, int]:
        """See BodyReader.read."""
        while True:
            if self._state == self._DATA:
                piece = buffer[position : position + self._left]
                if not piece:
                    return NEED_DATA, position
                self._left -= len(piece)
                if not self._left:
                    self._state = self._SIZE
                    self._expects_crlf = True
                return piece, position + len(piece)
            if self._state == self._DONE:
                return END_OF_MESSAGE, position
            if self._expects_crlf:
                ending = buffer[position : position + 2]
                if not b"\r\n".startswith(ending):
                    raise RemoteProtocolError("chunk data is not followed by CRLF")
                if len(ending) < 2:
                    return NEED_DATA, position
                self._expects_crlf = False
                position += 2
            line, position = self._line(buffer, position)
            if line is None:
                return NEED_DATA, position
            if self._state == self._SIZE:
                self._chunk_begins(line)
            else:
                self._trailer(line)

    def _line(self, buffer: bytes, position: int) -> tuple[bytes | None, int]:
        in_trailers = self._state == self._TRAILERS
        limit = (
            self._limits.max_header_bytes
            if in_trailers
            else self._limits.max_chunk_extension
        )
        end = buffer.find(b"\r\n", position, position + limit + 2)
        if end >= 0:
            return buffer[position:end], end + 2
        # One more may be here already: the CR of a line as long as the limit.
        if len(buffer) - position > limit + 1:
            if in_trailers:
                raise HeadTooLarge(f"trailer line of more than {limit} bytes", 431)
            raise RemoteProtocolError(f"chunk-size line of more than {limit} bytes")
        if not in_trailers and UNPARSEABLE.search(buffer, position):
            # Else a client that ends its lines with LF alone waits for a deadline.
            raise RemoteProtocolError("malformed chunk-size line")
        return None, position

    def _chunk_begins(self, line: bytes) -> None:
        match = CHUNK_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("malformed chunk-size line")
        # A byte of data with a KiB of extension costs us a thousand times what it
        # carries (CVE-2023-39326); all together they get what a header block gets.
        self._extension_bytes += len(match[2])
        if self._extension_bytes > self._limits.max_header_bytes:
            raise RemoteProtocolError(
                f"chunk extensions of more than {self._limits.max_header_bytes} bytes"
            )
        self._left = int(match[1], 16)
        self._state = self._DATA if self._left else self._TRAILERS
        if not self._left:
            self._extension_bytes = 0  # from here it counts the trailer section

    def _trailer(self, line: bytes) -> None:
        if not line:
            self._state = self._DONE
            return
        self._extension_bytes += len(line) + 2
        if self._extension_bytes > self._limits.max_header_bytes:
            raise HeadTooLarge(
                f"trailer section of more than {self._limits.max_header_bytes} bytes",
                431,
            )
        match = FIELD_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("malformed trailer field")
        if len(self.trailers) >= self._limits.max_headers:
            raise HeadTooLarge(f"more than {self._limits.max_headers} trailers", 431)
        if match[1].lower() not in NOT_IN_TRAILERS:
            self.trailers.append((match[1], match[2]))

    def at_eof(self) -> bool:
        """See BodyReader.at_eof."""
        return self._state == self._DONE


def body_reader(length: int, limits: Limits) -> BodyReader:
    """Return the reader for a ``body_length`` as events have it."""
    if length == CHUNKED:
        return ChunkedReader(limits)
    if length == UNTIL_CLOSE:
        return UntilCloseReader()
    return LengthReader(length)
