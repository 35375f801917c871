"""What an open file gives to a body: pieces, or a span of it that the kernel sends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.app.files.on_disk import descriptor_of
from httpx_tw.errors import ConfigurationError, FileChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PIECE_SIZE", "FileSpan", "pieces_of_file"]

CAN_SPAN: Final = hasattr(os, "pread")

PIECE_SIZE: Final = 64 * 1024
"""Bytes of a body handed to the transport at once."""


class FileSpan:
    """Bytes of a file, from *offset* to what was its end when its length was told.

    It has a descriptor of its own: the caller's may be closed meanwhile, and its number
    be another file's.

    :param fd: duplicated.
    """

    __slots__ = ("fd", "left", "offset")

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = os.dup(fd)
        """-1: closed."""
        self.offset = offset
        """Where what is still to be sent begins."""
        self.left = count
        """Bytes that are still to be sent."""

    def read(self, count: int) -> bytes:
        """Return *count* bytes from where it stands, or fewer; advance by them.

        :raises FileChanged: it has become shorter.
        :raises OSError: it cannot be read.
        """
        piece = os.pread(self.fd, min(count, self.left), self.offset)
        if not piece:
            raise FileChanged(f"a file became {self.left} bytes shorter while sent")
        self.advance(len(piece))
        return piece

    def advance(self, count: int) -> None:
        """Note that *count* bytes have been sent."""
        self.offset += count
        self.left -= count

    def check(self) -> None:
        """Look whether the file still ends where this ends. Before its last bytes.

        Somebody who writes to it while it is sent would else have half of that sent.

        :raises FileChanged: it does not.
        """
        longer = os.fstat(self.fd).st_size - self.offset - self.left
        if longer:
            kind = "longer" if longer > 0 else "shorter"
            raise FileChanged(f"a file became {abs(longer)} bytes {kind} while sent")

    def __iter__(self) -> Iterator[bytes]:
        """Read what is left of it."""
        while self.left:
            yield self.read(PIECE_SIZE)

    def close(self) -> None:
        """Close its descriptor; closed already is fine."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "fd", -1) >= 0:
            self.close()


def pieces_of_file(
    file: Any, start: int | None, length: int | None
) -> Iterator[bytes | FileSpan]:
    """Yield what *file* has, from *start* on: a span of it, or pieces that are read.

    Behind it *file* stands where it ends, however it was sent.

    :param start: None: it cannot be wound back, and is read from where it stands.
    :param length: bytes that were told of, no more and no less; None: all there are.
    :raises FileChanged: it became shorter or longer since.
    :raises ConfigurationError: it gives no bytes.
    """
    if start is not None:
        fd = descriptor_of(file) if CAN_SPAN and length else None
        if fd is not None:
            assert length is not None
            span = FileSpan(fd, start, length)
            try:
                yield span
                file.seek(start + length)
            finally:
                span.close()
            return
        file.seek(start)
    yield from _read(file, length)


def _read(file: Any, length: int | None) -> Iterator[bytes]:
    left = length
    while piece := file.read(PIECE_SIZE):
        if not isinstance(piece, bytes):
            raise ConfigurationError(
                f"a file gave {type(piece).__name__}, not bytes: open it in binary mode"
            )
        if left is not None:
            left -= len(piece)
            if left < 0:
                raise FileChanged("a file became longer while sent")
        yield piece
    if left:
        raise FileChanged(f"a file became {left} bytes shorter while sent")
