"""Parts of an open file as the body of a response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from httpx_tw.app.files.on_disk import descriptor_of
from httpx_tw.app.files.opened import OpenFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx_tw.app.ranges import Span

__all__ = ["PIECE", "FileBody", "Part", "body_of_file", "pieces_of_file"]

PIECE: Final = 64 * 1024
"""Bytes read at once where a file is not sent by the kernel: what a stream may hold
before it waits, and four records of TLS."""

Part: TypeAlias = "bytes | Span"
"""What is sent as it is, or where in the file and how much."""


class FileBody:
    """A body that is parts of a file, with bytes between them.

    The server has the kernel send it (see transport/file_sender.py). To everybody else,
    middleware for instance, it is an iterable of bytes like any stream, to use once.

    :param parts: None: the whole file. Bytes and spans are sent in order.
    :param owns_file: the file is for this body alone, and closed with it.
    """

    __slots__ = ("_pieces", "file", "is_whole", "length", "owns_file", "parts")

    def __init__(
        self,
        file: OpenFile,
        parts: tuple[Part, ...] | None = None,
        *,
        owns_file: bool = False,
    ) -> None:
        self.file = file
        self.owns_file = owns_file
        self.is_whole = parts is None
        """Nothing has been selected of it yet: see server/static.py."""
        self.parts: tuple[Part, ...]
        self.length: int
        """Bytes in all."""
        if parts is None:
            self.length = file.size
            self.parts = ((0, file.size),) if file.size else ()
        else:
            self.parts = parts
            self.length = sum(
                len(part) if isinstance(part, bytes) else part[1] for part in parts
            )
        self._pieces: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._pieces is None:
            self._pieces = self._read()
        return next(self._pieces)

    def _read(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            offset, left = part
            while left:
                data = self.file.read(offset, min(left, PIECE))
                if not data:
                    return  # it has become shorter, which the server notices
                yield data
                offset += len(data)
                left -= len(data)

    def skip(self, count: int) -> None:
        """Leave out the first *count* bytes, which are all of the first part or less.

        They have been sent. The part must be a span.
        """
        (offset, length), *others = self.parts
        assert isinstance(length, int)
        rest = (offset + count, length - count)
        self.parts = (rest, *others) if rest[1] else tuple(others)

    def close(self) -> None:
        """Give nothing more, and close the file if it is for this body alone."""
        self._pieces = iter(())
        self.parts = ()
        if self.owns_file:
            # It would go with the last reference; but a traceback that is logged may
            # have one, for as long as the log likes.
            self.file.close()


def body_of_file(file: Any) -> FileBody | None:
    """Return the rest of *file*, a file object, as a body; None: it has to be read.

    *file* is closed with the body.
    """
    fd = descriptor_of(file)
    if fd is None:
        return None
    position = file.tell()
    opened = OpenFile(fd, owner=file)
    rest = max(0, opened.size - position)
    return FileBody(opened, ((position, rest),) if rest else (), owns_file=True)


def pieces_of_file(file: Any) -> Iterator[bytes | str]:
    """Yield what a file object gives to ``read``, and close it at the end."""
    try:
        while piece := file.read(PIECE):
            yield piece
    finally:
        file.close()
