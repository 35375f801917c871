"""The body of a request while it arrives: whole, or piece by piece."""

from __future__ import annotations

import enum
import sys
from collections import deque
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

from httpx_tw.errors import BodyConsumed, BodyTooLarge, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import BinaryIO

    from httpx_tw.headers import HeaderPairs

__all__ = ["HIGH_WATER", "BodyLink", "RequestBody", "check_size", "pieces_of"]

HIGH_WATER = 64 * 1024
"""Unread bytes after which the connection is told to stop reading; as asyncio."""


class BodyLink(Protocol):
    """What the connection offers to a body. Called on the reactor thread."""

    def body_wanted(self) -> None:
        """Somebody waits for body: send 100 (Continue) if owed, resume reading."""

    def body_sated(self) -> None:
        """Enough is buffered: stop reading."""


class _Flow(enum.Enum):
    UNASKED = enum.auto()  # the application has not waited for body yet
    WANTED = enum.auto()  # the link was told that somebody waits
    SATED = enum.auto()  # the link was told to stop


class RequestBody:
    """A request body that may still be on its way.

    The application either reads it whole (:meth:`read`, as often as it likes) or takes
    the pieces as they come (``async for``, once). One waiter at a time: a second one
    gets :class:`~httpx_tw.errors.LocalProtocolError`. Cancelling the one that waits
    loses nothing: what came stays for the next. Only on the reactor thread.

    The server calls :meth:`feed`, :meth:`finish` and :meth:`fail`.
    """

    __slots__ = (
        "_buffered",
        "_flow",
        "_has_streamed",
        "_link",
        "_max_body",
        "_pieces",
        "_waiter",
        "_wake_at",
        "_whole",
        "error",
        "is_complete",
        "received",
        "trailers",
    )

    def __init__(self, link: BodyLink, max_body: int) -> None:
        self.is_complete = False
        """The last byte has come (it may be unread)."""
        self.received = 0
        """Bytes that came so far, read or not."""
        self.trailers: HeaderPairs = []
        """The trailer section, once the body is complete."""
        self.error: Exception | None = None
        """Why there will be no more body; None while all is well."""
        self._link = link
        self._max_body = max_body
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._flow = _Flow.UNASKED
        self._has_streamed = False
        self._whole: bytes | None = None
        self._waiter: Deferred[None] | None = None
        self._wake_at = 0

    # Called by the server.

    def feed(self, data: bytes) -> None:
        """Take the next piece. Over ``max_body`` (0: no limit) the body fails."""
        if self.error is not None or not data:
            return
        self.received += len(data)
        if 0 < self._max_body < self.received:
            self.fail(_too_large(self._max_body))
            return
        self._pieces.append(data)
        self._buffered += len(data)
        if self._waiter is not None:
            if self.received >= self._wake_at:
                self._wake()
        elif self._buffered > HIGH_WATER and self._flow is not _Flow.SATED:
            self._flow = _Flow.SATED
            self._link.body_sated()

    def finish(self, trailers: HeaderPairs) -> None:
        """Say that the last piece has come."""
        if self.error is None:
            self.is_complete = True
            self.trailers = trailers
            self._wake()

    def fail(self, error: Exception) -> None:
        """Raise *error* in whoever waits or asks later. The first one stays."""
        if self.error is None and not self.is_complete:
            self.error = error
            self._pieces.clear()
            self._buffered = 0
            self._wake()

    # Called by the application.

    @property
    def whole(self) -> bytes | None:
        """The body once :meth:`read` has returned it; None before."""
        return self._whole

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole body, waiting for its end; again and again if asked.

        *limit* is in bytes and can only lower the route's; None: the route's alone.

        :raises BodyTooLarge: when it is larger than the limit; answered with 413.
        :raises BodyConsumed: when pieces of it have been taken with ``async for``.
        """
        while self._whole is None:
            self._check_readable(limit)
            if self.is_complete:
                self._whole = b"".join(self._pieces)
                self._pieces.clear()
                self._buffered = 0
            else:
                # Woken only by the end or by the byte too many, not by every piece.
                await self._wait(sys.maxsize if limit is None else limit + 1)
        check_size(len(self._whole), limit)
        return self._whole

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces; after a ``break`` it goes on where it stopped.

        :raises BodyConsumed: when everything has been taken already.
        """
        if self._whole is not None:
            return pieces_of(BytesIO(self._whole))
        if self._has_streamed and self.is_complete and not self._pieces:
            raise BodyConsumed("the request body has been streamed to its end already")
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, waiting for it."""
        while not self._pieces:
            if self.error is not None:
                raise self.error
            if self.is_complete:
                self._has_streamed = True
                raise StopAsyncIteration
            await self._wait(0)
        self._has_streamed = True
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        return piece

    # Ours.

    def _check_readable(self, limit: int | None) -> None:
        if self.error is not None:
            raise self.error
        if self._has_streamed:
            raise BodyConsumed("the request body has been streamed; it is not kept")
        if limit is not None and self.received > limit:
            raise _too_large(limit)

    async def _wait(self, wake_at: int) -> None:
        if self._waiter is not None:
            raise LocalProtocolError("the request body is being waited for already")
        waiter: Deferred[None] = Deferred()
        self._waiter = waiter
        self._wake_at = wake_at
        try:
            if self._flow is not _Flow.WANTED:
                self._flow = _Flow.WANTED
                self._link.body_wanted()  # may feed us before it returns
            await waiter
        finally:  # cancelled, or the coroutine was closed: make room for the next
            if self._waiter is waiter:
                self._waiter = None

    def _wake(self) -> None:
        # Errors are raised by the one who wakes up, not sent through the Deferred: a
        # Failure nobody collects would be logged.
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)


def check_size(size: int, limit: int | None) -> None:
    """Refuse a body of *size* bytes over *limit*. None: no limit.

    :raises BodyTooLarge: with 413.
    """
    if limit is not None and size > limit:
        raise _too_large(limit)


async def pieces_of(body: BinaryIO) -> AsyncIterator[bytes]:
    """Give *body*, which is here already, as a stream."""
    while piece := body.read(HIGH_WATER):
        yield piece


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"request body of more than {limit} bytes, the limit")
