"""``wsgi.file_wrapper``: a file as the body of a response."""

from __future__ import annotations

from typing import Any

from httpx_tw.app.files.body import FileBody, body_of_file

__all__ = ["FileWrapper", "first_bytes", "sendable"]


class FileWrapper:
    """Gives a file in blocks, to whoever iterates over it.

    The server does not iterate when it is given one for a file on a disk: the kernel
    sends that, from where the file stands.

    :param filelike: has ``read(size)``, and ``close()`` if that is to be called.
    :param block_size: bytes, at most, in each block.
    """

    __slots__ = ("block_size", "filelike")

    def __init__(self, filelike: Any, block_size: int = 64 * 1024) -> None:
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def close(self) -> None:
        """Close the file, if it can be."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


def sendable(wrapper: FileWrapper) -> FileBody | None:
    """Return the rest of the file as a body the kernel can send; None: it cannot."""
    return body_of_file(wrapper.filelike)


def first_bytes(body: FileBody, length: int) -> FileBody:
    """Return the first *length* bytes of what :func:`sendable` returned."""
    ((offset, _),) = body.parts
    return FileBody(body.file, ((offset, length),))
