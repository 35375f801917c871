"""One side of an HTTP/1.1 connection: what it may read next and how it must answer.

Neither side does I/O. Bytes go in by ``receive``, events come out of it and of
``next_event``; what is to be sent comes back as bytes.

    ServerSide:  RequestHead (bytes* END_OF_MESSAGE)?  PAUSED … start_next_cycle() …
    ClientSide:  ResponseHead* (bytes* END_OF_MESSAGE)?  PAUSED … request_head(…) …

A head whose ``body_length`` is 0 is the whole message: no END_OF_MESSAGE follows it.
Requests are read one at a time: what a client sends ahead stays bytes until the
exchange before it is over, so answers cannot leave out of order (CVE-2023-46137,
CVE-2024-41671) and a client that pipelines a thousand requests costs one buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from httpx_tw.errors import LocalProtocolError, RemoteProtocolError
from httpx_tw.protocol.events import (
    END_OF_MESSAGE,
    RequestHead,
    ResponseHead,
    Signal,
)
from httpx_tw.protocol.http1_reader import (
    END_OF_HEAD,
    refuse_partial,
)
from httpx_tw.protocol.http1_writer import (
    chunk,
    last_chunk,
)

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits
    from httpx_tw.protocol.framing import BodyReader

__all__ = ["Event", "Side"]

Event: TypeAlias = RequestHead | ResponseHead | bytes | Signal


class Side:
    """What both sides do: keep unread bytes, read one body and write another."""

    __slots__ = (
        "_body",
        "_buffer",
        "_chunked",
        "_fresh",
        "_left",
        "_position",
        "limits",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buffer = b""
        self._position = 0
        self._fresh = 0  # how much of an incomplete head was looked at before
        self._body: BodyReader | None = None
        # Of the body being written: bytes still owed to its Content-Length, -1 for one
        # that ends with the connection.
        self._chunked = False
        self._left = 0

    def _append(self, data: bytes) -> None:
        # Concatenation copies what is left over, which the limits keep under 64 KiB:
        # cheaper than the read that brought the data, however small its pieces.
        if self._position == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._position :] + data
            self._fresh = max(0, self._fresh - self._position)
        self._position = 0

    def _skip_empty_lines(self) -> None:
        # RFC 9112 section 2.2: an empty line before a request line is ignored.
        while self._buffer.startswith(b"\r\n", self._position):
            self._position += 2
        rest = self._buffer[self._position : self._position + 2]
        if rest[:1] in {b"\r", b"\n"} and rest != b"\r":
            # Of these llhttp would skip any number.
            raise RemoteProtocolError("a bare CR or LF before a request line")

    def _take_head(self) -> bytes | None:
        """Return the next whole head with its blank line, or None."""
        buffer, start = self._buffer, self._position
        end = buffer.find(END_OF_HEAD, max(start, self._fresh - 3)) + 4
        if end == 3:
            refuse_partial(buffer, start, self._fresh, self.limits)
            self._fresh = len(buffer)
            return None
        self._position = end
        self._fresh = 0
        if start == 0 and end == len(buffer):
            self._buffer = b""
            self._position = 0
            return buffer
        return buffer[start:end]

    def _read_body(self, body: BodyReader) -> bytes | Signal:
        piece, self._position = body.read(self._buffer, self._position)
        if piece is END_OF_MESSAGE:
            self._body = None
        return piece

    @property
    def unread(self) -> bytes:
        """Bytes received and not yet taken as part of a message."""
        return self._buffer[self._position :]

    def data(self, data: bytes) -> bytes:
        """Return a piece of the body being sent as it goes on the wire.

        :raises LocalProtocolError: when it is longer than the declared length.
        """
        if not data:
            return b""
        if self._chunked:
            return chunk(data)
        if self._left < 0:
            return data
        if len(data) > self._left:
            raise LocalProtocolError(
                f"{len(data) - self._left} bytes more than the declared Content-Length"
            )
        self._left -= len(data)
        return data

    @property
    def is_chunked(self) -> bool:
        """The body being sent goes in chunks."""
        return self._chunked

    def expect_body(self, length: int) -> None:
        """Note that a head was sent as it was, and *length* bytes are still to come."""
        self._chunked = False
        self._left = length

    def note_sent(self, count: int) -> None:
        """Note that *count* bytes of the body were sent as they are, by the kernel.

        :raises LocalProtocolError: as ``data``, and where the body is chunked.
        """
        if self._chunked or 0 <= self._left < count:
            raise LocalProtocolError(f"{count} bytes that the head does not allow for")
        if self._left > 0:
            self._left -= count

    def end(self, trailers: HeaderPairs | None = None) -> bytes:
        """Return what ends the body being sent.

        :raises LocalProtocolError: when less was sent than the declared length: the
            connection must be aborted, for the peer waits for the rest.
        """
        if self._left > 0:
            raise LocalProtocolError(
                f"{self._left} bytes less than the declared Content-Length"
            )
        self._left = 0  # what comes after it would be read as the next message
        if self._chunked:
            self._chunked = False
            return last_chunk(trailers or [])
        return b""
