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

from typing import TYPE_CHECKING, Final, TypeAlias

from httpx_tw.errors import IncompleteMessage, LocalProtocolError, RemoteProtocolError
from httpx_tw.protocol.events import (
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    PEER_CLOSED,
    UNTIL_CLOSE,
    RequestHead,
    ResponseHead,
    Signal,
)
from httpx_tw.protocol.framing import BodyReader, body_reader
from httpx_tw.protocol.http1_reader import (
    END_OF_HEAD,
    RequestHeadParser,
    ResponseHeadParser,
    refuse_partial,
)
from httpx_tw.protocol.http1_writer import (
    STATUS_LINES,
    chunk,
    field_lines,
    last_chunk,
    request_head,
    status_line,
)

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits

__all__ = ["ClientSide", "Event", "ServerSide"]

Event: TypeAlias = RequestHead | ResponseHead | bytes | Signal

_MAX_HELD: Final = 64 * 1024
"""Bytes a client may send ahead of its answers, whatever they are: one read's worth."""


class _Side:
    """What both sides do: keep unread bytes, and read one body."""

    __slots__ = ("_body", "_buffer", "_fresh", "_position", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buffer = b""
        self._position = 0
        self._fresh = 0  # how much of an incomplete head was looked at before
        self._body: BodyReader | None = None

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


class ServerSide(_Side):
    """The server's side. One object a connection; small, for there are many idle ones.

    :param parser: shared by all connections of a thread.
    """

    __slots__ = (
        "_chunked",
        "_left",
        "_parser",
        "_peer_closed",
        "_trailers",
        "keep_alive",
        "request",
    )

    def __init__(self, parser: RequestHeadParser, limits: Limits) -> None:
        super().__init__(limits)
        self._parser = parser
        self.request: RequestHead | None = None
        """The request of the exchange going on, or None between two."""
        self.keep_alive = True
        """False: the connection ends with this exchange."""
        self._peer_closed = False
        self._chunked = False
        self._left = 0  # bytes of response body still owed to its Content-Length
        self._trailers: HeaderPairs | None = None

    # Reading

    def receive(self, data: bytes) -> Event:
        """Take bytes from the peer and return the next event.

        :raises RemoteProtocolError: with the status to answer; the connection is then
            good for nothing but that answer.
        """
        if (
            self.request is None
            and self._position == len(self._buffer)
            and data.find(END_OF_HEAD) + 4 == len(data) > 4
            and data[0] > 13
        ):
            # Nearly every read of nearly every server: one head, whole, and nothing
            # else. The long way gives the same, 0.5 µs later.
            self.request = request = self._parser.parse(data)
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
        self.request = request = self._parser.parse(head)
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
        self._peer_closed = True
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
        """Return a whole response, head and body in one piece.

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
        return b"%b%b%b%b%b\r\n%b" % (
            STATUS_LINES.get(status) or status_line(status),
            fixed,
            field_lines(headers),
            framing,
            self._connection_field(),
            body,
        )

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

        :raises LocalProtocolError: when it is longer than the declared length.
        """
        if not data:
            return b""
        if self._chunked:
            return chunk(data)
        if self._left < 0:
            return data
        request = self.request
        if request is not None and request.method == "HEAD":
            return b""
        if len(data) > self._left:
            raise LocalProtocolError(
                f"{len(data) - self._left} bytes more than the declared Content-Length"
            )
        self._left -= len(data)
        return data

    def end(self, trailers: HeaderPairs | None = None) -> bytes:
        """Return what ends the response body.

        :raises LocalProtocolError: when less was sent than the declared length: the
            connection must be aborted, for the client waits for the rest.
        """
        if self._left > 0:
            raise LocalProtocolError(
                f"{self._left} bytes less than the declared Content-Length"
            )
        self._left = 0  # what comes after it would be read as the next response
        if self._chunked:
            self._chunked = False
            return last_chunk(trailers or [])
        return b""

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

    def start_next_cycle(self) -> None:
        """The response is complete: be ready for the next request.

        :raises LocalProtocolError: when the request's body was not read to its end.
        """
        if self._body is not None:
            raise LocalProtocolError("the request body was not read to its end")
        self.request = None
        self._trailers = None

    def switch_protocols(self) -> bytes:
        """Give up HTTP and return the bytes that were read beyond it."""
        rest = self.unread
        self._buffer = b""
        self._position = 0
        return rest


class ClientSide(_Side):
    """The client's side: one request at a time, then its response."""

    __slots__ = (
        "_chunked",
        "_eof",
        "_left",
        "_method",
        "_parser",
        "_trailers",
        "keep_alive",
    )

    def __init__(self, parser: ResponseHeadParser, limits: Limits) -> None:
        super().__init__(limits)
        self._parser = parser
        self._method: str | None = None
        self._eof = False
        self._chunked = False
        self._left = 0
        self._trailers: HeaderPairs = []
        self.keep_alive = True
        """False: the connection cannot be used again."""

    # Writing

    def request_head(
        self, method: str, target: str, headers: HeaderPairs, length: int | None
    ) -> bytes:
        """Return the head of a request and make ready for its response.

        :param headers: checked fields, Host among them, none about framing.
        :param length: bytes of body; 0: none; None: unknown, so chunked.
        :raises LocalProtocolError: while another exchange is going on, or when the
            connection cannot be used again.
        """
        if self._method is not None:
            raise LocalProtocolError("the exchange before is not over")
        if not self.keep_alive or self.unread:
            raise LocalProtocolError("the connection cannot be used again")
        head = request_head(
            method, target, [*headers, *_request_framing(method, length)]
        )
        self._method = method
        self._trailers = []
        self._chunked = length is None
        self._left = length or 0
        return head

    def data(self, data: bytes) -> bytes:
        """Return a piece of request body as it goes on the wire.

        :raises LocalProtocolError: when it is longer than the declared length.
        """
        if not data:
            return b""
        if self._chunked:
            return chunk(data)
        if len(data) > self._left:
            raise LocalProtocolError(
                f"{len(data) - self._left} bytes more than the declared Content-Length"
            )
        self._left -= len(data)
        return data

    def end(self, trailers: HeaderPairs | None = None) -> bytes:
        """Return what ends the request body.

        :raises LocalProtocolError: when less was sent than the declared length.
        """
        if self._chunked:
            self._chunked = False
            return last_chunk(trailers or [])
        if self._left:
            raise LocalProtocolError(
                f"{self._left} bytes less than the declared Content-Length"
            )
        return b""

    # Reading

    def receive(self, data: bytes) -> Event:
        """Take bytes from the peer and return the next event.

        :raises RemoteProtocolError: when they are no response; the connection is
            then of no further use.
        """
        self._append(data)
        return self.next_event()

    def next_event(self) -> Event:
        """Return the next event; NEED_DATA and PAUSED repeat. See receive."""
        body = self._body
        if body is not None:
            return self._body_event(body)
        if self._method is None:
            if self._position < len(self._buffer):
                self.keep_alive = False  # see _exchange_over
                raise RemoteProtocolError("bytes from the server outside an exchange")
            return PEER_CLOSED if self._eof else PAUSED
        head = self._take_head() if self._position < len(self._buffer) else None
        if head is None:
            if self._eof:
                raise IncompleteMessage("the server closed before the end of a head")
            return NEED_DATA
        response = self._parser.parse(head, self._method)
        if response.is_interim:
            return response
        return self._final_response(response)

    def _final_response(self, response: ResponseHead) -> ResponseHead:
        length = response.body_length
        if (
            not response.keep_alive
            or length == UNTIL_CLOSE
            # Answered before the request was all sent: the rest would be read as the
            # next request (RFC 9112 section 9.3).
            or self._unsent
            # From here on it speaks another protocol, or is a tunnel.
            or response.status == 101
            or (self._method == "CONNECT" and response.status < 300)
        ):
            self.keep_alive = False
        if length:
            self._body = body_reader(length, self.limits)
        else:
            self._exchange_over()
        return response

    def _exchange_over(self) -> None:
        self._body = None
        self._method = None
        if self._position < len(self._buffer):
            # RFC 9112 section 9.2: a response nobody asked for must not be taken for
            # the answer to the next request.
            self.keep_alive = False
        else:
            # Nothing is kept for an idle connection.
            self._buffer = b""
            self._position = 0

    @property
    def _unsent(self) -> bool:
        return self._chunked or bool(self._left)

    def _body_event(self, body: BodyReader) -> Event:
        event = self._read_body(body)
        if event is END_OF_MESSAGE:
            self._trailers = body.trailers
            self._exchange_over()
        elif event is NEED_DATA and self._eof:
            if not body.at_eof():
                raise IncompleteMessage("the server closed in the middle of a body")
            self._exchange_over()
            return END_OF_MESSAGE
        return event

    def receive_eof(self) -> Event:
        """Note that the server has closed, and return the next event.

        :raises IncompleteMessage: when it stopped in the middle of a response.
        """
        self._eof = True
        self.keep_alive = False
        return self.next_event()

    @property
    def trailers(self) -> HeaderPairs:
        """The trailer fields of the response body, complete after END_OF_MESSAGE."""
        return self._trailers


def _request_framing(method: str, length: int | None) -> HeaderPairs:
    if length is None:
        return [(b"transfer-encoding", b"chunked")]
    # RFC 9110 section 8.6: a method that anticipates content says so even when there is
    # none.
    if length or method in {"POST", "PUT", "PATCH"}:
        return [(b"content-length", b"%d" % length)]
    return []
