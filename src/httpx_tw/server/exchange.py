"""One request and its response, where that takes longer than one call.

An exchange exists while a body is collected, a handler waits or a response streams. A
request without a body whose handler returns at once never needs one.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.iweb import IBodyProducer

from httpx_tw.app.body import RequestBody
from httpx_tw.app.files.body import FileBody
from httpx_tw.app.spool import MAX_IN_MEMORY, SpooledBody
from httpx_tw.app.trailers import Trailers, trailer_lines
from httpx_tw.errors import BodyTooLarge
from httpx_tw.server import coroutines
from httpx_tw.server.deadlines import Pace
from httpx_tw.server.file_sending import send_file_body
from httpx_tw.server.streaming import BodyConsumer, octets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.python.failure import Failure

    from httpx_tw.app.request import Request
    from httpx_tw.app.response import Response
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.server.answering import Answering

__all__ = ["Exchange"]

_log = Logger()

_TURN = 256 * 1024
"""Bytes a stream may send before the reactor gets a turn: about 0.1 ms on loopback."""

_PIECE = 4 * 1024
"""Bytes a piece counts for at least: the system call for a small one takes as long. A
stream of single bytes would keep the reactor for a second, one of none for ever."""


class Exchange:
    """What a connection keeps for a request that is not answered at once."""

    __slots__ = (
        "_answer",
        "_body",
        "_connection",
        "_drained",
        "_max_body",
        "_pieces",
        "_running",
        "_size",
        "_spool",
        "_stream",
        "_trailers",
        "_turn",
        "continue_owed",
        "pace",
        "request",
        "response_started",
        "status",
    )

    def __init__(self, connection: Answering, request: Request, max_body: int) -> None:
        self._connection = connection
        self.request = request
        self.response_started = False
        self.status = 0
        # The request's body: collected for a plain handler, or streamed.
        self.continue_owed = False
        self.pace: Pace | None = None
        self._max_body = max_body
        self._pieces: list[bytes] = []
        self._spool: SpooledBody | None = None
        self._size = 0
        self._body: RequestBody | None = None
        # What the handler returned and has not finished: a Deferred or a coroutine.
        self._answer: Deferred[Any] | None = None
        self._running: coroutines.RunningCoroutine | None = None
        # The response's body, if it streams.
        self._stream: coroutines.RunningCoroutine | None = None
        self._trailers: Trailers | None = None
        self._drained: Deferred[None] | None = None
        self._turn = 0

    # The request's body

    def expect_body(self, now: float, *, streams: bool) -> bytes | RequestBody:
        """Make ready for a body; return what the Request is to have of it at first."""
        self.pace = Pace(now)
        if self.continue_owed:
            # The client waits for us, not we for it: see body_wanted.
            self.pace.hold(now)
        if not streams:
            return b""
        self._body = RequestBody(self._connection, self._max_body)
        return self._body

    def body_received(self, data: bytes, now: float) -> None:
        """Take a piece of body.

        :raises BodyTooLarge: when a collected body goes over its limit.
        :raises OSError: when it is too large for memory, and there is no room for it in
            a file either.
        """
        assert self.pace is not None
        self.pace.moved(len(data), now)
        if self._body is not None:
            self._body.feed(data)
            return
        self._size += len(data)
        if self._max_body and self._size > self._max_body:
            raise BodyTooLarge(f"a body of more than {self._max_body} bytes")
        if self._spool is None and self._size <= MAX_IN_MEMORY:
            self._pieces.append(data)
            return
        self._keep_in_file(data)

    def _keep_in_file(self, data: bytes) -> None:
        spool = self._spool
        if spool is None:
            spool = self._spool = SpooledBody()
            pieces, self._pieces = self._pieces, []
            spool.write(b"".join(pieces))
        spool.write(data)

    def body_ended(self, trailers: HeaderPairs) -> None:
        """Note that the body is complete."""
        self.pace = None
        self.continue_owed = False
        if self._body is not None:
            self._body.finish(trailers)

    def reading_held(self, now: float) -> None:
        """The application is slower than the client: do not blame the client."""
        if self.pace is not None:
            self.pace.hold(now)

    def reading_goes_on(self, now: float) -> None:
        """Reading goes on; so does the client's time."""
        if self.pace is not None:
            self.pace.go_on(now)

    def collected(self) -> bytes | SpooledBody:
        """Return the collected body.

        :raises OSError: when the file of a large one could not be completed.
        """
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.complete()
            return spool
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    # The handler's answer, when it takes time

    def wait_for(self, answer: Deferred[Any]) -> None:
        """Settle with the connection when *answer*, a Deferred, has fired."""
        self._answer = answer
        answer.addCallbacks(self._fired, self._errored)

    def run(self, coroutine: Any) -> None:
        """Run *coroutine*, and settle with the connection when it is over."""
        running = coroutines.start(coroutine, self._answered, self._failed)
        if running is not None:
            # Otherwise it is over, and what it answered with may be waited for already.
            self._running = running

    def _fired(self, result: Any) -> None:
        if self._answer is not None:
            self._answered(result)

    def _errored(self, failure: Failure) -> None:
        # Nobody wants the outcome of one that was abandoned; it is no error either.
        if self._answer is not None:
            self._failed(failure)

    def _answered(self, result: Any) -> None:
        self._answer = self._running = None
        self._connection.settle(self.request, result)

    def _failed(self, failure: Failure) -> None:
        self._answer = self._running = None
        self._connection.failed(self.request, failure)

    def abandon(self, error: Exception) -> None:
        """End whatever is going on; its outcome is of no interest any more."""
        answer, self._answer = self._answer, None
        running = [each for each in (self._running, self._stream) if each is not None]
        self._running = self._stream = None
        # First nobody listens any more: one who waits for the body is woken by its end,
        # and fails at once.
        for each in running:
            each.disown()
        if self._body is not None:
            self._body.fail(error)
        if answer is not None:
            answer.cancel()
        for each in running:
            each.cancel()

    # The response, when it streams

    def stream(self, response: Response) -> None:
        """Send *response*, whose head is on its way, piece by piece."""
        self.response_started = True
        self.status = response.status
        self._trailers = response.trailers
        stream = coroutines.start(
            self._send(response.body), self._stream_ended, self._stream_failed
        )
        if stream is not None:
            self._stream = stream

    async def _send(self, body: Any) -> None:
        if self.request.method == "HEAD":
            # Nobody would see it, and it may have no end.
            await _close_unread(body)
        elif isinstance(body, FileBody):
            await send_file_body(
                body, self._connection, self._send_piece, self._until_drained
            )
        elif IBodyProducer.providedBy(body):
            await BodyConsumer(self._send_piece, self._until_drained).consume(body)
        elif isinstance(body, AsyncIterable):
            await self._send_async(body)
        elif writer := self._connection.written_by_worker(self.request, body):
            await self._send_async(writer)
        else:
            await self._send_plain(body)

    async def _send_async(self, body: AsyncIterable[Any]) -> None:
        iterator = aiter(body)
        try:
            async for piece in iterator:
                if not self._send_piece(piece):
                    await self._until_drained()
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    async def _send_plain(self, body: Iterable[Any]) -> None:
        iterator = iter(body)
        try:
            for piece in iterator:
                if not self._send_piece(piece):
                    await self._until_drained()
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def _send_piece(self, piece: bytes | str) -> bool:
        """Send *piece*; False: wait until drained before the next."""
        data = octets(piece)
        connection = self._connection
        connection.send_body(data)
        self._turn += max(len(data), _PIECE)
        return not (connection.is_write_paused or self._turn >= _TURN)

    async def _until_drained(self) -> None:
        connection = self._connection
        if connection.is_write_paused:
            self._drained = Deferred()
            try:
                await self._drained
            finally:
                self._drained = None
        else:
            # The socket takes all we give: let the others have their turn.
            await connection.factory.next_turn()
        self._turn = 0

    @property
    def trailers(self) -> HeaderPairs:
        """The fields behind the body that has been sent.

        Raises what the application's functions for them raise.
        """
        return trailer_lines(self._trailers)

    def drained(self) -> None:
        """Note that the transport has sent what it held."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def _stream_ended(self, _: object) -> None:
        self._stream = None
        self._connection.stream_ended()

    def _stream_failed(self, failure: Failure) -> None:
        self._stream = None
        _log.failure(
            "the response to {method} {path} failed after it had begun: aborted",
            failure=failure,
            method=self.request.method,
            path=self.request.path,
        )
        # No client may take a truncated body for a whole one.
        self._connection.stream_failed()

    def is_too_slow(self, now: float) -> bool:
        """Whether the request's body comes too slowly."""
        timeouts = self._connection.factory.timeouts
        return self.pace is not None and self.pace.is_too_slow(
            now,
            idle=timeouts.body_idle,
            rate=timeouts.body_min_rate,
            grace=timeouts.rate_grace,
        )


async def _close_unread(body: Any) -> None:
    """Let go of a stream nobody will read, and of the file behind it."""
    if IBodyProducer.providedBy(body):
        # FileBodyProducer, for one, closes its file and then fails: it has not begun.
        with suppress(Exception):
            body.stopProducing()
        return
    close = getattr(body, "aclose", None) or getattr(body, "close", None)
    if close is not None:
        closing = close()
        if isawaitable(closing):
            await closing
