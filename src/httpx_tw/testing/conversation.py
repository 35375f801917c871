"""One connection to an app in memory, and the responses that come on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from httpx_tw.errors import ConnectionLost, HTTPXError
from httpx_tw.headers import Headers
from httpx_tw.protocol.events import END_OF_MESSAGE, NEED_DATA, ResponseHead

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.protocol.http1 import Event
    from httpx_tw.protocol.http1_client import ClientSide
    from httpx_tw.testing.memory import MemoryTransport

__all__ = ["Connection", "PendingResponse", "StillWaiting", "TestResponse"]

# A stream without an end would be read for ever.
_MAX_RESPONSE = 64 * 1024 * 1024
_AT_ONCE = 1024 * 1024


class StillWaiting(HTTPXError):
    """The handler has not answered; only time, or something else, makes it go on."""


@dataclass(slots=True)
class TestResponse:
    """A response as the client saw it."""

    __test__ = False  # pytest: no test case

    status: int
    reason: str
    headers: Headers
    content: bytes
    """The body, whole."""
    trailers: Headers
    url: str
    """What was asked for in the end, redirects followed."""
    http_version: str
    """Either "1.1" or "1.0"."""
    interim: list[int] = field(default_factory=list)
    """The statuses of the 1xx responses before this one."""
    history: list[TestResponse] = field(default_factory=list)
    """The redirects that were followed, oldest first."""

    @property
    def text(self) -> str:
        """The body as text: in the charset of Content-Type, or UTF-8."""
        _, _, charset = self.headers.get("content-type", "").partition("charset=")
        return self.content.decode(charset.partition(";")[0].strip(' "') or "utf-8")

    def json(self) -> Any:
        """Return what the body says as JSON."""
        return json.loads(self.content)

    @property
    def is_redirect(self) -> bool:
        """It says where else to ask."""
        return self.status in {301, 302, 303, 307, 308} and "location" in self.headers


class Owner(Protocol):
    """The client, as its responses see it."""

    def advance(self, seconds: float = 0.0) -> None:
        """See TestClient.advance."""

    def raise_what_happened(self) -> None:
        """Raise what a handler raised, if that is wanted."""

    def keep_cookies(self, headers: Headers) -> None:
        """Note the cookies that a response sets."""


class PendingResponse:
    """A response that may still be on its way. Made by TestClient.send."""

    def __init__(self, client: Owner, connection: Connection, url: str) -> None:
        self._client = client
        self._connection = connection
        self._url = url
        self._interim: list[int] = []
        self._head: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self.is_over = False
        """The response is whole, or will never be."""

    @property
    def status(self) -> int | None:
        """The status, as soon as the head is here."""
        return None if self._head is None else self._head.status

    @property
    def content(self) -> bytes:
        """As much of the body as is here."""
        return b"".join(self._pieces)

    @property
    def interim(self) -> list[int]:
        """The statuses of the 1xx responses that came so far."""
        return list(self._interim)

    def result(self) -> TestResponse:
        """Return the response.

        :raises StillWaiting: when it is not over.
        :raises ConnectionLost: when the server ended the connection before its end.

        With ``raise_handler_errors`` it raises what the handler raised.
        """
        client = self._client
        client.advance(0)
        client.raise_what_happened()
        if self._error is not None:
            raise self._error
        if not self.is_over:
            raise StillWaiting(
                "the handler is still waiting: use client.send() and "
                "client.advance(seconds), or await client.async_request()"
            )
        head = self._head
        assert head is not None
        return TestResponse(
            status=head.status,
            reason=head.reason,
            headers=Headers.from_pairs(head.headers.copy()),
            content=self.content,
            trailers=Headers.from_pairs(self._connection.side.trailers),
            url=self._url,
            http_version="1.1" if head.is_http11 else "1.0",
            interim=self._interim,
        )

    def cancel(self) -> None:
        """Go away as a client does that no longer wants its answer."""
        if not self.is_over:
            self.is_over = True
            self._error = ConnectionLost("the request was cancelled")
            self._connection.transport.lose()
            self._client.advance(0)

    # Called by the connection

    def event(self, event: Event) -> None:
        """Take an event of the codec's."""
        if isinstance(event, ResponseHead):
            if event.is_interim:
                self._interim.append(event.status)
                return
            self._head = event
            self._client.keep_cookies(Headers.from_pairs(event.headers))
            self.is_over = event.body_length == 0
        elif isinstance(event, bytes):
            self._pieces.append(event)
            self._size += len(event)
            if self._size > _MAX_RESPONSE:
                self.failed(HTTPXError(f"over {_MAX_RESPONSE} bytes of response"))
                self._connection.transport.lose()
        elif event is END_OF_MESSAGE:
            self.is_over = True

    def failed(self, error: Exception) -> None:
        """End without a response."""
        if not self.is_over:
            self._error = error
            self.is_over = True


class Connection:
    """One connection to the app, used again and again like a browser's."""

    def __init__(
        self, transport: MemoryTransport, side: ClientSide, *, is_secure: bool
    ) -> None:
        self.transport = transport
        self.side = side
        self.is_secure = is_secure
        self._pending: PendingResponse | None = None
        self._eof_was_seen = False

    @property
    def is_idle(self) -> bool:
        """Whether it may be used for the next request."""
        transport = self.transport
        return (
            (self._pending is None or self._pending.is_over)
            and self.side.keep_alive
            and not (transport.is_closed or transport.is_write_closed)
            and transport.is_reading
        )

    def send(
        self,
        pending: PendingResponse,
        method: str,
        target: str,
        headers: HeaderPairs,
        body: bytes,
    ) -> None:
        """Send a request; *pending* is told of what comes back."""
        self._pending = pending
        side = self.side
        head = side.request_head(method, target, headers, len(body))
        self.transport.deliver(head + side.data(body) + side.end())

    def pump(self) -> bool:
        """Take what the server has sent; return whether anything moved."""
        pending, transport = self._pending, self.transport
        data = transport.take(_AT_ONCE)
        ended = transport.is_closed or transport.is_write_closed
        try:
            if data and pending is not None:
                self._received(pending, self.side.receive(data))
            if ended and not self._eof_was_seen:
                self._eof_was_seen = True
                self._ended(pending)
                return True
        except HTTPXError as error:
            if pending is not None:
                pending.failed(error)
            transport.lose()
            return True
        return bool(data)

    def _received(self, pending: PendingResponse, event: Event) -> None:
        while event is not NEED_DATA:
            pending.event(event)
            if pending.is_over:
                return
            event = self.side.next_event()

    def _ended(self, pending: PendingResponse | None) -> None:
        reason = self.transport.close_reason
        if pending is not None and not pending.is_over:
            if self.transport.is_aborted:
                pending.failed(ConnectionLost("the server aborted the connection"))
            else:
                self._received(pending, self.side.receive_eof())
                pending.failed(ConnectionLost(f"the server closed: {reason}"))
        if not self.transport.is_closed:
            # It has shut down its side and reads on, for us to see why: we have.
            self.transport.deliver_eof()
