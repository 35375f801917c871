"""The body of a response while it arrives: whole, piece by piece, or pushed on."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, fail, succeed

from httpx_tw.errors import (
    BodyConsumed,
    LocalProtocolError,
    RemoteProtocolError,
    ResponseTooLarge,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from httpx_tw.headers import HeaderPairs

__all__ = ["HIGH_WATER", "BodyLink", "Decoder", "ResponseBody"]

HIGH_WATER = 64 * 1024
"""Unread bytes after which the connection stops reading; as the server's."""


class BodyLink(Protocol):
    """What the connection offers to a body. Called on the reactor thread."""

    def body_wanted(self) -> None:
        """Somebody waits for body: read on."""

    def body_sated(self) -> None:
        """Enough is buffered: stop reading."""

    def body_dropped(self) -> None:
        """Nobody wants the rest."""


class Decoder(Protocol):
    """What undoes content codings, piece by piece."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* becomes; nothing is done before a piece is asked for."""

    def finish(self) -> None:
        """Check that the coded data was all there."""


class ResponseBody:
    """A response body that may still be on its way.

    One waiter at a time: a second one gets
    :class:`~httpx_tw.errors.LocalProtocolError`. Cancelling the one that waits loses
    nothing. Only on the reactor thread.

    The connection calls :meth:`feed`, :meth:`finish` and :meth:`fail`.
    """

    __slots__ = (
        "_buffered",
        "_coded",
        "_decoder",
        "_has_ended",
        "_has_streamed",
        "_is_sated",
        "_limit",
        "_link",
        "_pieces",
        "_sink",
        "_undoing",
        "_waiter",
        "_wants_all",
        "_whole",
        "error",
        "is_complete",
        "trailers",
    )

    def __init__(self, link: BodyLink, decoder: Decoder | None = None) -> None:
        self.is_complete = False
        """The last byte has come (it may be unread)."""
        self.error: BaseException | None = None
        """Why there will be no more; None while all is well."""
        self.trailers: HeaderPairs = []
        """The trailer section, once the body is complete."""
        self._link = link
        self._decoder = decoder
        self._limit = inf
        self._coded: deque[bytes] = deque()  # came, and is not decoded yet
        self._undoing: Iterator[bytes] | None = None  # one piece of it, in part
        self._has_ended = False
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._is_sated = False
        self._has_streamed = False
        self._wants_all = False
        self._whole: bytes | None = None
        self._waiter: Deferred[None] | None = None
        self._sink: _Sink | None = None

    # Called by the connection

    def feed(self, data: bytes) -> None:
        """Take the next piece as it was sent.

        :raises RemoteProtocolError: when it cannot be decoded.
        """
        if self.error is not None:
            return
        if self._decoder is None:
            self._take(data)
            return
        self._coded.append(data)
        self._decode_on()

    def finish(self, trailers: HeaderPairs) -> None:
        """Say that the last piece has come.

        :raises RemoteProtocolError: when the coded data is not complete.
        """
        self.trailers = trailers
        self._has_ended = True
        if self._decoder is None:
            self._complete()
        else:
            self._decode_on()

    def can_finish(self, trailers: HeaderPairs) -> bool:
        """Finish, or fail because it cannot be decoded; return which."""
        try:
            self.finish(trailers)
        except RemoteProtocolError as error:
            self.fail(error)
            return False
        return True

    def fail(self, error: BaseException) -> None:
        """Raise *error* in whoever waits or asks later. The first one stays."""
        if self.error is None and not self.is_complete:
            self.error = error
            self._pieces.clear()
            self._coded.clear()
            self._undoing = None
            self._buffered = 0
            if self._sink is not None:
                self._sink.ended(error)
            self._wake()

    def _take(self, data: bytes) -> None:
        if self.error is not None:
            return
        if self._sink is not None:
            self._sink.received(data)
            return
        self._pieces.append(data)
        self._buffered += len(data)
        if self._wants_all:
            if self._buffered > self._limit:
                self._refuse()
        elif self._waiter is not None:
            self._wake()
        elif self._buffered > HIGH_WATER and not self._is_sated:
            self._is_sated = True
            self._link.body_sated()

    def _decode_on(self) -> None:
        """Decode what has come, until somebody has enough of it.

        A few KiB may be megabytes: what nobody has room for stays as it is.
        """
        decoder = self._decoder
        assert decoder is not None
        while self.error is None and not self._holds_back:
            if self._undoing is None:
                if not self._coded:
                    if self._has_ended and not self.is_complete:
                        decoder.finish()
                        self._complete()
                    return
                self._undoing = decoder.feed(self._coded.popleft())
            piece = next(self._undoing, None)
            if piece is None:
                self._undoing = None
            else:
                self._take(piece)

    @property
    def _holds_back(self) -> bool:
        return self._sink.is_paused if self._sink is not None else self._is_sated

    def _complete(self) -> None:
        if self.error is None:
            self.is_complete = True
            if self._sink is not None:
                self._sink.ended(None)
            self._wake()

    def _refuse(self) -> None:
        self.fail(ResponseTooLarge(f"a response body of more than {self._limit} bytes"))
        self._link.body_dropped()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for more."""
        if self._sink is not None:
            return not self._sink.is_paused
        return self._waiter is not None or self._wants_all

    # Called by whoever wants the body

    @property
    def is_decoded(self) -> bool:
        """Whether there are other bytes in it than were sent."""
        return self._decoder is not None

    @property
    def whole(self) -> bytes | None:
        """The body, once all of it was read by :meth:`read`."""
        return self._whole

    def read(self, limit: float = inf) -> Deferred[bytes]:
        """Return the whole body, waiting for its end; again and again if asked.

        :param limit: bytes; over it the connection is dropped.
        :raises ResponseTooLarge: it is over *limit*.
        :raises BodyConsumed: pieces of it have been taken, or it was closed.
        """
        if self._whole is not None:
            return succeed(self._whole)
        if self.error is not None:
            return fail(self.error)
        if self._has_streamed or self._sink is not None:
            return fail(BodyConsumed("the body has been streamed; it is not kept"))
        if self._waiter is not None:
            return fail(LocalProtocolError("the body is being waited for already"))
        self._wants_all = True
        self._limit = limit
        if self._buffered > limit:
            self._refuse()
        else:
            self._want()
        if self.is_complete or self.error is not None:
            return self._all()
        return self._wait().addCallback(lambda _: self._all())

    def _all(self) -> Deferred[bytes]:
        if self.error is not None:
            return fail(self.error)
        self._whole = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        return succeed(self._whole)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces; after a ``break`` it goes on where it stopped.

        :raises BodyConsumed: when everything has been taken already.
        """
        if self._whole is not None:
            return _one_piece(self._whole)
        if self._sink is not None or (
            self._has_streamed and self.is_complete and not self._pieces
        ):
            raise BodyConsumed("the body has been streamed to its end already")
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, waiting for it."""
        while not self._pieces:
            if self.error is not None:
                raise self.error
            self._has_streamed = True
            if self.is_complete:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise LocalProtocolError("the body is being waited for already")
            self._want()
            if self._has_nothing:
                await self._wait()
        self._has_streamed = True
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        return piece

    def push_to(
        self,
        received: Callable[[bytes], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        """Call *received* with each piece as it comes, and *ended* once at the end.

        *ended* gets None, or why there is no more. Between :meth:`pause` and
        :meth:`resume` at most one read of the socket comes.

        :raises BodyConsumed: when something has been taken already.
        """
        if self._has_streamed or self._whole is not None or self._sink is not None:
            raise BodyConsumed("the body has been taken already")
        self._has_streamed = True
        pieces, self._pieces = self._pieces, deque()
        self._buffered = 0
        self._sink = sink = _Sink(received, ended)
        for piece in pieces:
            sink.received(piece)
        if self.error is not None:
            sink.ended(self.error)
        elif self.is_complete:
            sink.ended(None)
        elif not sink.is_paused:
            self._want()  # which may end it

    def pause(self) -> None:
        """See push_to."""
        if self._sink is not None and not self._sink.is_paused:
            self._sink.is_paused = True
            self._link.body_sated()

    def resume(self) -> None:
        """See push_to."""
        if self._sink is not None and self._sink.is_paused:
            self._sink.is_paused = False
            self._want()

    def close(self) -> None:
        """Want no more of it; closed or complete already is fine."""
        if not self.is_complete and self.error is None:
            self.fail(BodyConsumed("the response was closed before its end"))
            self._link.body_dropped()

    # Ours

    def _want(self) -> None:
        self._is_sated = False
        if self._decoder is not None and (self._coded or self._undoing is not None):
            try:
                self._decode_on()
            except RemoteProtocolError as error:
                self.fail(error)
                self._link.body_dropped()
            if self._holds_back:
                return
        if not self._has_ended:
            self._link.body_wanted()

    def _wait(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred(self._not_waited_for)
        self._waiter = waiter
        return waiter

    @property
    def _has_nothing(self) -> bool:
        return not self._pieces and not self.is_complete and self.error is None

    def _not_waited_for(self, _: Deferred[None]) -> None:
        self._waiter = None
        self._wants_all = False

    def _wake(self) -> None:
        # Errors are raised by the one who wakes up, not sent through the Deferred: a
        # Failure nobody collects would be logged.
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)


class _Sink:
    __slots__ = ("ended", "is_paused", "received")

    def __init__(
        self,
        received: Callable[[bytes], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self.received = received
        self.ended = ended
        self.is_paused = False


async def _one_piece(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
