"""The client's side of an HTTP/1.1 connection. See http1.py for what sides are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from httpx_tw.errors import IncompleteMessage, LocalProtocolError, RemoteProtocolError
from httpx_tw.protocol.events import (
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    PEER_CLOSED,
    UNTIL_CLOSE,
    ResponseHead,
)
from httpx_tw.protocol.framing import LengthReader, body_reader
from httpx_tw.protocol.http1_reader import BODILESS_METHODS, END_OF_HEAD
from httpx_tw.protocol.http1_writer import (
    request_head,
)
from httpx_tw.protocol.similar_heads import similar_head

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits
    from httpx_tw.protocol.http1 import Event
    from httpx_tw.protocol.http1_reader import (
        ResponseHeadParser,
    )

from httpx_tw.protocol.http1 import Side

__all__ = ["ClientSide", "request_framing"]


_BEGINNING: Final = b"HTTP/1."

# Their Content-Length, if there is one, is not that of a body (RFC 9112 section 6.3).
_BODILESS_STATUSES: Final = frozenset({204, 304})


class ClientSide(Side):
    """The client's side: one request at a time, then its response."""

    __slots__ = (
        "_asked",
        "_body_length",
        "_eof",
        "_head",
        "_head_lines",
        "_in_body",
        "_method",
        "_parser",
        "_repeatable",
        "_repeatable_body",
        "_trailers",
        "keep_alive",
        "response",
    )

    def __init__(self, parser: ResponseHeadParser, limits: Limits) -> None:
        super().__init__(limits)
        self._parser = parser
        self._method: str | None = None
        # The same, if the request has no body, until something comes.
        self._asked: str | None = None
        self._in_body = False
        self._body_length = 0  # of the body, until its reader is made
        self._eof = False
        self._trailers: HeaderPairs = []
        # The last head that was parsed when it came as a whole.
        self._head = b""
        self._head_lines: list[bytes] = []  # made when they are needed
        self.response: ResponseHead
        """What it said: the head that the body from take_whole belongs to."""
        # To which method it may be the head of a whole response, and of what body.
        self._repeatable = ""
        self._repeatable_body = 0
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
        head = request_head(
            method, target, [*headers, *request_framing(method, length)]
        )
        self.begin(method, length)
        return head

    def begin(self, method: str, length: int | None) -> None:
        """Make ready for the response to a request whose head was made before.

        It must hold what :func:`request_framing` says, and be sent now.

        :raises LocalProtocolError: see request_head.
        """
        self.ask(method)
        self._asked = None
        self._chunked = length is None
        self._left = length or 0

    def ask(self, method: str) -> None:
        """Make ready for the response to a request without a body: see begin."""
        if self._method is not None:
            raise LocalProtocolError("the exchange before is not over")
        if not self.keep_alive or self._position < len(self._buffer):
            raise LocalProtocolError("the connection cannot be used again")
        self._method = self._asked = method
        if self._trailers:
            self._trailers = []

    # The body is written by data and end: see Side.

    # Reading

    def take_whole(self, data: bytes, limit: float) -> bytes | None:
        """Return the body of the response that *data* is, and end the exchange.

        That is for a response in one read, whose head is like the one before it, as
        nearly all are: then there is nothing to it but this. None: it is something
        else; nothing has changed, and ``receive`` takes it.

        :param limit: bytes of body that are wanted at most.
        """
        if self._asked != self._repeatable:
            return None
        head = self._head
        start = len(head)
        length = self._repeatable_body
        # Whoever is asked for the same again says the same, for a second even with the
        # same Date: then this is all, 3 µs less than to parse it.
        if not data.startswith(head):
            start = data.find(END_OF_HEAD) + 4
            response = self._similar(data[:start])
            if response is None:
                return None
            length = response.body_length
        if start + length != len(data) or length > limit:
            return None
        self._asked = self._method = None
        return data[start:]

    def _similar(self, head: bytes) -> ResponseHead | None:
        """Return what *head* says, if it is like the last, and remember it."""
        if len(head) > self._parser.safe_size:
            return None
        lines = head.split(b"\r\n")
        response = self.response
        response_now = similar_head(
            lines,
            self._head_lines or self._head.split(b"\r\n"),
            response,
            length_counts=response.status not in _BODILESS_STATUSES,
        )
        if response_now is not None:
            self._head = head
            self._head_lines = lines
            self.response = response_now
            self._repeatable_body = response_now.body_length
        return response_now

    def receive(self, data: bytes) -> Event:
        """Take bytes from the peer and return the next event.

        :raises RemoteProtocolError: when they are no response; the connection is
            then of no further use.
        """
        self._asked = None
        if self._position < len(self._buffer) or self._method is None or self._in_body:
            self._append(data)
            return self.next_event()
        # A head, and nothing is left of what came before: nearly always it is whole,
        # and then this is next_event without three of its calls.
        self._buffer = data
        end = data.find(END_OF_HEAD) + 4
        if end == 3:
            self._position = 0
            return self.next_event()
        self._position = end
        head = data if end == len(data) else data[:end]
        if head == self._head and self._method == self._repeatable:
            response = self.response  # its body is too long for one read
        else:
            response = self._parser.parse(head, self._method)
            self._remember(head, response, self._method)
        if response.status < 200 and response.is_interim:
            return response
        return self._final_response(response)

    def _remember(self, head: bytes, response: ResponseHead, method: str) -> None:
        """Let the next response be compared with this one, if that is any use."""
        if (
            response.status >= 200
            and response.keep_alive
            and response.body_length >= 0
            and not response.has_coding
            and method not in BODILESS_METHODS
        ):
            self._repeatable = method
            self._repeatable_body = response.body_length
            self._head = head
            self._head_lines = []
            self.response = response
        else:
            self._repeatable = ""

    def next_event(self) -> Event:
        """Return the next event; NEED_DATA and PAUSED repeat. See receive."""
        if self._in_body:
            return self._body_event()
        if self._method is None:
            if self._position < len(self._buffer):
                self.keep_alive = False  # see _exchange_over
                raise RemoteProtocolError("bytes from the server outside an exchange")
            return PEER_CLOSED if self._eof else PAUSED
        begun = self._buffer[self._position : self._position + len(_BEGINNING)]
        if not _BEGINNING.startswith(begun):
            # The first fault of what comes whole, too, so the first looked for.
            raise RemoteProtocolError("this is not the beginning of a response")
        head = self._take_head() if begun else None
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
            or self._chunked
            or self._left
            # From here on it speaks another protocol, or is a tunnel.
            or response.status == 101
            or (self._method == "CONNECT" and response.status < 300)
        ):
            self.keep_alive = False
        if length:
            self._in_body = True
            self._body_length = length
        else:
            self._exchange_over()
        return response

    def take_whole_body(self) -> bytes | None:
        """Return the body, and end the exchange, if all of it came with the head.

        Only straight after the final head. None: take it by next_event. A body in
        chunks is never whole. For most exchanges this is two events less.
        """
        start = self._position
        end = start + self._body_length
        buffer = self._buffer
        if not self._in_body or self._body_length < 0 or end != len(buffer):
            return None  # not all of it; or more, which next_event deals with
        self._in_body = False
        self._method = None
        self._buffer = b""
        self._position = 0
        return buffer[start:]

    def _exchange_over(self) -> None:
        self._body = None
        self._in_body = False
        self._method = self._asked = None
        if self._position < len(self._buffer):
            # RFC 9112 section 9.2: a response nobody asked for must not be taken for
            # the answer to the next request.
            self.keep_alive = False
        else:
            # Nothing is kept for an idle connection.
            self._buffer = b""
            self._position = 0

    @property
    def body_left(self) -> int | None:
        """Bytes of the response body still to be taken; None: nobody knows."""
        if self._body is None:
            length = self._body_length if self._in_body else 0
            return length if length >= 0 else None
        return self._body.left if isinstance(self._body, LengthReader) else None

    def _body_event(self) -> Event:
        body = self._body
        if body is None:
            body = self._body = body_reader(self._body_length, self.limits)
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


def request_framing(method: str, length: int | None) -> HeaderPairs:
    """Return the fields that say how long a request body is; None: it is chunked."""
    if length is None:
        return [(b"transfer-encoding", b"chunked")]
    # RFC 9110 section 8.6: a method that anticipates content says so even when there is
    # none.
    if length or method in {"POST", "PUT", "PATCH"}:
        return [(b"content-length", b"%d" % length)]
    return []
