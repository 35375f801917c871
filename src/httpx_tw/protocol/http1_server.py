"""The server's side of an HTTP/1.1 connection. See http1.py for what sides are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from httpx_tw.errors import IncompleteMessage, LocalProtocolError
from httpx_tw.protocol.events import (
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    PEER_CLOSED,
    RequestHead,
)
from httpx_tw.protocol.framing import BodyReader, body_reader
from httpx_tw.protocol.http1_reader import (
    END_OF_HEAD,
    LONGEST_KNOWN,
    RequestHeadParser,
)
from httpx_tw.protocol.http1_writer import (
    STATUS_LINES,
    field_lines,
    status_line,
)

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits
    from httpx_tw.protocol.http1 import Event

from httpx_tw.protocol.http1 import Side

__all__ = ["ServerSide"]

_MAX_HELD: Final = 64 * 1024
"""Bytes a client may send ahead of its answers, whatever they are: one read's worth."""


class ServerSide(Side):
    """The server's side. One object a connection; small, for there are many idle ones.

    :param parser: shared by all connections of a thread.
    """

    __slots__ = (
        "_known",
        "_parser",
        "_peer_closed",
        "_trailers",
        "keep_alive",
        "request",
    )

    def __init__(self, parser: RequestHeadParser, limits: Limits) -> None:
        super().__init__(limits)
        self._parser = parser
        self._known = parser.known
        self.request: RequestHead | None = None
        """The request of the exchange going on, or None between two."""
        self.keep_alive = True
        """False: the connection ends with this exchange."""
        self._peer_closed = False
        self._trailers: HeaderPairs | None = None

    # Reading

    def receive(self, data: bytes) -> Event:
        """Take bytes from the peer and return the next event.

        :raises RemoteProtocolError: with the status to answer; the connection is then
            good for nothing but that answer.
        """
        if self.request is None and self._position == len(self._buffer):
            # Byte for byte a head that was parsed before? (To hash one with most of its
            # body behind it, 64 KiB, takes 27 µs.)
            request = self._known.get(data) if len(data) <= LONGEST_KNOWN else None
            if (
                request is None
                and data.find(END_OF_HEAD) + 4 == len(data) > 4
                and data[0] > 13
            ):
                # Nearly every read of nearly every server: one head, whole, and nothing
                # else. The long way gives the same, 0.5 µs later.
                request = self._parser.parse(data)
            if request is not None:
                self.request = request
                self.keep_alive = request.keep_alive
                if request.body_length:
                    self._body = body_reader(request.body_length, self.limits)
                return request
        self._append(data)
        return self.next_event()

    def next_event(self) -> Event:
        """Return the next event; NEED_DATA and PAUSED repeat. See receive."""
        if self.request is not None:
            if self._body is not None:
                return self._body_event(self._body)
            return PAUSED
        if self._position < len(self._buffer):
            self._skip_empty_lines()
        if self._position == len(self._buffer):
            # Nothing is kept for an idle connection.
            self._buffer = b""
            self._position = self._fresh = 0
            return PEER_CLOSED if self._peer_closed else NEED_DATA
        head = self._take_head()
        if head is None:
            if self._peer_closed:
                raise IncompleteMessage("the client closed in the middle of a head")
            return NEED_DATA
        request = self._known.get(head) or self._parser.parse(head)
        self.request = request
        self.keep_alive = request.keep_alive
        if request.body_length:
            self._body = body_reader(request.body_length, self.limits)
        return request

    def _body_event(self, body: BodyReader) -> Event:
        event = self._read_body(body)
        if event is END_OF_MESSAGE:
            self._trailers = body.trailers
        elif event is NEED_DATA and self._peer_closed:
            raise IncompleteMessage("the client closed in the middle of a body")
        return event

    def hold(self, data: bytes) -> None:
        """Take bytes from the peer for a later ``next_event``."""
        self._append(data)

    def hold_eof(self) -> None:
        """Note for ``next_event`` that the client has shut down its side.

        What it sent before is still answered: half-close says "that was all".
        ``next_event`` raises IncompleteMessage where it stopped in mid-message.
        """
        self._peer_closed = True

    def receive_eof(self) -> Event:
        """Note that the client has shut down its side, and return the next event.

        :raises IncompleteMessage: see ``hold_eof``.
        """
        self.hold_eof()
        return self.next_event()

    @property
    def trailers(self) -> HeaderPairs:
        """The trailer fields of the request body, complete after END_OF_MESSAGE."""
        return self._trailers or []

    @property
    def is_idle(self) -> bool:
        """Between two exchanges, with nothing of the next one received."""
        return self.request is None and self._position == len(self._buffer)

    @property
    def peer_has_closed(self) -> bool:
        """Whether the client has shut down its side."""
        return self._peer_closed

    @property
    def body_is_read(self) -> bool:
        """No more of the request's body is to come."""
        return self._body is None

    @property
    def body_left(self) -> int:
        """Bytes of request body still to come; -1 when nobody can know."""
        body = self._body
        if body is None:
            return 0
        left = getattr(body, "left", None)
        return -1 if left is None else int(left)

    @property
    def is_full(self) -> bool:
        """The client has sent ahead as much as we hold; stop reading."""
        held = len(self._buffer) - self._position
        if held >= _MAX_HELD:
            return True
        limit = self.limits.max_pipelined
        # Blank lines are counted for requests: some may be inside a body, so this errs
        # on the safe side.
        return bool(held) and self._buffer.count(END_OF_HEAD, self._position) >= limit

    # Writing

    def response(
        self, status: int, fixed: bytes, headers: HeaderPairs, body: bytes
    ) -> bytes:
        """Return a whole response in one piece. See whole_response."""
        return b"".join(self.whole_response(status, fixed, headers, body))

    def whole_response(
        self, status: int, fixed: bytes, headers: HeaderPairs, body: bytes
    ) -> tuple[bytes, bytes]:
        """Return the head of a response that is here whole, and what follows it.

        :param fixed: header lines sent with every response (Date, Server), ready made.
        :param headers: checked fields, none of them about framing.
        """
        request = self.request
        framing = b""
        if status >= 200 and status != 204:
            # RFC 9110 section 8.6: none in 1xx and 204; in 304 and HEAD it says what a
            # GET would have had, which for 304 we do not know.
            if status != 304:
                framing = b"content-length: %d\r\n" % len(body)
            elif body:
                body = b""
        else:
            body = b""
        if request is not None and request.method == "HEAD":
            body = b""
        head = b"%b%b%b%b%b\r\n" % (
            STATUS_LINES.get(status) or status_line(status),
            fixed,
            field_lines(headers),
            framing,
            self._connection_field(),
        )
        return head, body

    def response_head(
        self, status: int, fixed: bytes, headers: HeaderPairs, length: int | None
    ) -> bytes:
        """Return the head of a response whose body comes in pieces by ``data``.

        :param length: bytes to come; None: unknown, so chunked, or for an HTTP/1.0
            client until close (RFC 9112 section 6.3, step 8).
        """
        request = self.request
        self._chunked = False
        bodiless = (
            status < 200
            or status in {204, 304}
            or (request is not None and request.method == "HEAD")
        )
        self._left = 0 if bodiless else -1
        framing = b""
        if status >= 200 and status not in {204, 304}:
            if length is not None:
                framing = b"content-length: %d\r\n" % length
                if not bodiless:
                    self._left = length
            elif request is None or request.is_http11:
                framing = b"transfer-encoding: chunked\r\n"
                self._chunked = not bodiless
            else:
                self.keep_alive = False
        return b"%b%b%b%b%b\r\n" % (
            status_line(status),
            fixed,
            field_lines(headers),
            framing,
            self._connection_field(),
        )

    def _connection_field(self) -> bytes:
        if not self.keep_alive or (
            # Who has closed its side and is owed nothing more will not ask again.
            self._peer_closed and self._position == len(self._buffer)
        ):
            self.keep_alive = False
            return b"connection: close\r\n"
        request = self.request
        if request is not None and not request.is_http11:
            # RFC 9112 section 9.3: to HTTP/1.0 persistence must be declared.
            return b"connection: keep-alive\r\n"
        return b""

    def data(self, data: bytes) -> bytes:
        """Return a piece of response body as it goes on the wire; b"" for a HEAD.

        :raises LocalProtocolError: see Side.data.
        """
        request = self.request
        if request is not None and request.method == "HEAD":
            return b""
        return super().data(data)

    def interim(self, status: int, headers: HeaderPairs | None = None) -> bytes:
        """Return a 1xx response: 100 (Continue), 103 (Early Hints), 101.

        It is b"" for an HTTP/1.0 client, which must not be sent one (RFC 9110 section
        15.2).

        :raises LocalProtocolError: when *status* is not 1xx.
        """
        if not 100 <= status < 200:
            raise LocalProtocolError(f"not an interim status: {status!r}")
        if self.request is not None and not self.request.is_http11:
            return b""
        return status_line(status) + field_lines(headers or []) + b"\r\n"

    def start_next_cycle(self) -> bool:
        """The response is complete: be ready for the next request.

        True: nothing of one is here, and the client has not shut down its side.

        :raises LocalProtocolError: when the request's body was not read to its end.
        """
        if self._body is not None:
            raise LocalProtocolError("the request body was not read to its end")
        self.request = None
        self._trailers = None
        return self._position == len(self._buffer) and not self._peer_closed

    def switch_protocols(self) -> bytes:
        """Give up HTTP and return the bytes that were read beyond it."""
        rest = self.unread
        self._buffer = b""
        self._position = 0
        return rest
