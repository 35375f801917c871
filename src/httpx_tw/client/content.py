"""Bodies of requests, whatever the caller has: bytes, one piece after the other."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

from twisted.internet.defer import Deferred
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer

from httpx_tw.client.file_pieces import PIECE_SIZE, FileSpan, pieces_of_file
from httpx_tw.errors import BodyConsumed, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = [
    "PIECE_SIZE",
    "Content",
    "ContentInput",
    "Piece",
    "Pieces",
    "as_content",
]

Piece: TypeAlias = bytes | FileSpan
"""What a body is made of."""


class Pieces(Protocol):
    """One reading of a content."""

    def next(
        self,
    ) -> Piece | Deferred[bytes | None] | Deferred[Piece | None] | None:
        """Return the next piece, or a Deferred of it; None: that was all.

        A piece may be empty; it is skipped. A span of a file is used up before the next
        piece is asked for.
        """

    def close(self) -> None:
        """Let go of it: no more is wanted."""


class Content(Protocol):
    """A request body.

    ``data`` is all of it, when that is at hand and small enough for one write.
    """

    @property
    def data(self) -> bytes | None:
        """The whole body; None: it comes in pieces."""

    @property
    def length(self) -> int | None:
        """Bytes; None: nobody knows, so it is chunked."""

    @property
    def can_replay(self) -> bool:
        """Whether it can be sent from its beginning: again, or nothing was read yet."""

    def open(self) -> Pieces:
        """Begin a reading.

        :raises BodyConsumed: when it cannot be read a second time.
        """


ContentInput: TypeAlias = (
    bytes | bytearray | memoryview | str | Iterable[bytes] | AsyncIterable[bytes] | Any
)
"""Bytes, text (sent as UTF-8), an open binary file, the path of one, anything that
gives bytes by iteration, or Twisted's IBodyProducer. A str is text, never a path."""


def as_content(value: Any) -> Content:  # noqa: PLR0911  # one a kind
    """Return the content that *value* is.

    :raises ConfigurationError: when it is nothing we can send.
    """
    if isinstance(value, str):
        return BytesContent(value.encode())
    if isinstance(value, bytes):
        return BytesContent(value)
    if isinstance(value, bytearray | memoryview):
        return BytesContent(bytes(value))
    if hasattr(value, "open") and hasattr(value, "can_replay"):
        content: Content = value  # made by whoever gave it, as MultipartBody is
        return content
    if IBodyProducer.providedBy(value):
        return ProducerContent(value)
    if hasattr(value, "read"):
        return FileContent(value)
    if isinstance(value, os.PathLike):
        return PathContent(value)
    if isinstance(value, AsyncIterable):
        return AsyncContent(value)
    if isinstance(value, Iterable):
        return IterableContent(value)
    raise ConfigurationError(f"a request body cannot be made of {value!r}")


class BytesContent:
    """A body that is all there."""

    __slots__ = ("_bytes",)

    def __init__(self, data: bytes) -> None:
        self._bytes = data

    @property
    def data(self) -> bytes | None:
        """See Content."""
        return self._bytes if len(self._bytes) <= PIECE_SIZE else None

    @property
    def length(self) -> int | None:
        """See Content."""
        return len(self._bytes)

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return True

    def open(self) -> Pieces:
        """See Content."""
        data = self._bytes
        return _IteratorPieces(
            data[at : at + PIECE_SIZE] for at in range(0, len(data), PIECE_SIZE)
        )


class IterableContent:
    """What a synchronous iterable of bytes gives.

    Iterators can be read once, other iterables (a list) again and again.
    """

    __slots__ = ("_is_read", "_iterable", "length")

    data = None

    def __init__(self, iterable: Iterable[bytes], length: int | None = None) -> None:
        self._iterable = iterable
        self._is_read = False
        self.length = length

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return not self._is_read or iter(self._iterable) is not self._iterable

    def open(self) -> Pieces:
        """See Content."""
        iterator = iter(self._iterable)
        if self._is_read and iterator is self._iterable:
            raise BodyConsumed("this iterator cannot be sent a second time")
        self._is_read = True
        return _IteratorPieces(iterator)


class _IteratorPieces:
    __slots__ = ("_iterator",)

    def __init__(self, iterator: Iterator[Piece]) -> None:
        self._iterator = iterator

    def next(self) -> Piece | None:
        """See Pieces."""
        return next(self._iterator, None)

    def close(self) -> None:
        """See Pieces."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()


class AsyncContent:
    """What an asynchronous iterable of bytes gives."""

    __slots__ = ("_is_read", "_iterable")

    data = None
    length = None

    def __init__(self, iterable: AsyncIterable[bytes]) -> None:
        self._iterable = iterable
        self._is_read = False

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return not self._is_read

    def open(self) -> Pieces:
        """See Content."""
        if self._is_read:
            raise BodyConsumed("this iterator cannot be sent a second time")
        self._is_read = True
        return _AsyncPieces(aiter(self._iterable))


class _AsyncPieces:
    __slots__ = ("_iterator",)

    def __init__(self, iterator: AsyncIterator[bytes]) -> None:
        self._iterator = iterator

    def next(self) -> Deferred[bytes | None]:
        """See Pieces."""
        return Deferred.fromCoroutine(self._next())

    async def _next(self) -> bytes | None:
        return await anext(self._iterator, None)

    def close(self) -> None:
        """See Pieces."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            closing: Deferred[Any] = Deferred.fromCoroutine(_awaited(close()))
            closing.addErrback(lambda _: None)  # it may be running: it ends by itself


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


class FileContent:
    """What an open binary file holds, from where it stands. It is not closed."""

    __slots__ = ("_file", "_start", "length")

    data = None

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start: int | None = None
        self.length: int | None = None
        try:
            self._start = file.tell()
            end = file.seek(0, os.SEEK_END)
            file.seek(self._start)
        except (OSError, AttributeError):  # a pipe, or no file at all
            self._start = None
        else:
            self.length = max(0, end - self._start)

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return self._start is not None

    def open(self) -> Pieces:
        """See Content."""
        return _IteratorPieces(pieces_of_file(self._file, self._start, self.length))


class PathContent:
    """What the file at a path holds. It is opened for each sending.

    :raises ConfigurationError: there is no file that can be read.
    """

    __slots__ = ("_path", "length")

    data = None
    can_replay = True

    def __init__(self, path: os.PathLike[str]) -> None:
        self._path = Path(path)
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigurationError(f"cannot send {path}: {error}") from error
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"cannot send {path}: it is no regular file")
        self.length: int | None = status.st_size

    def open(self) -> Pieces:
        """See Content.

        :raises OSError: it cannot be opened any more.
        """
        return _IteratorPieces(self._pieces())

    def _pieces(self) -> Iterator[bytes | FileSpan]:
        with self._path.open("rb") as file:
            yield from pieces_of_file(file, 0, self.length)


class ProducerContent:
    """What an IBodyProducer writes."""

    __slots__ = ("_is_read", "_producer", "length")

    data = None

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._is_read = False
        length = producer.length
        self.length: int | None = None if length is UNKNOWN_LENGTH else length

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return not self._is_read

    def open(self) -> Pieces:
        """See Content."""
        if self._is_read:
            raise BodyConsumed("this body producer cannot be started a second time")
        self._is_read = True
        return _ProducerPieces(self._producer)


class _ProducerPieces:
    """Turns a producer, which pushes, into pieces that are asked for."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._held: list[bytes] = []
        self._waiting: Deferred[bytes | None] | None = None
        self._is_started = False
        self._is_paused = False
        self._is_over = False
        self._error: Any = None

    def next(self) -> bytes | Deferred[bytes | None] | None:
        """See Pieces."""
        if not self._is_started:
            self._is_started = True
            self._producer.startProducing(self).addCallbacks(self._over, self._failed)
        if self._held:
            piece = b"".join(self._held)
            self._held.clear()
            return piece
        if self._error is not None:
            self._error.raiseException()
        if self._is_over:
            return None
        waiting: Deferred[bytes | None] = Deferred()
        self._waiting = waiting
        if self._is_paused:
            self._is_paused = False
            self._producer.resumeProducing()
        return waiting

    def write(self, data: bytes) -> None:
        """See IConsumer: the producer has something."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(data)
            return
        self._held.append(data)
        if not self._is_paused and not self._is_over:
            self._is_paused = True
            self._producer.pauseProducing()

    def close(self) -> None:
        """See Pieces."""
        if self._is_started and not self._is_over:
            self._is_over = True
            self._producer.stopProducing()

    def _over(self, _: object) -> None:
        self._is_over = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _failed(self, failure: Any) -> None:
        self._is_over = True
        self._error = failure
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(failure)
