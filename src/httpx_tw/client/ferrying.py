"""Request bodies that block, read on the thread that waits for the response.

A file on a slow disk or an iterator that thinks for a second would else hold up every
request of the process: they share one reactor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpx_tw.client.content import AsyncContent, ProducerContent
from httpx_tw.client.preparing import content_from

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from httpx_tw.client.content import Content, Pieces
    from httpx_tw.client.errands import Errand

__all__ = ["ferried"]

_AT_HAND = (bytes, bytearray, memoryview, str, type(None))


def ferried(options: dict[str, Any], errand: Errand) -> dict[str, Any]:
    """Return the *options* of a request so that its body is read by *errand*'s thread.

    What is in memory, or asynchronous itself, is left alone.

    :raises ConfigurationError: see content_from.
    """
    data = options.get("data")
    if (
        isinstance(options.get("content"), _AT_HAND)
        and options.get("files") is None
        and not hasattr(data, "read")
    ):
        return options
    rest = dict(options)
    names = ("content", "data", "json", "files")
    found = content_from(**{name: rest.pop(name, None) for name in names})
    assert found is not None  # there is one, or we would not be here
    content, content_type = found
    if isinstance(content, AsyncContent | ProducerContent):
        return options
    rest["content"] = _Ferried(content, content_type, errand)
    return rest


class _Ferried:
    """A content whose pieces another thread gets."""

    def __init__(
        self, content: Content, content_type: str | None, errand: Errand
    ) -> None:
        self._content = content
        self._errand = errand
        self.content_type = content_type
        self.data = content.data
        self.length = content.length

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return self._content.can_replay

    def open(self) -> _FerriedPieces:
        """See Content."""
        return _FerriedPieces(self._content.open(), self._errand)


class _FerriedPieces:
    def __init__(self, pieces: Pieces, errand: Errand) -> None:
        self._pieces = pieces
        self._errand = errand
        self._is_reading = False
        self._is_closed = False

    def next(self) -> Deferred[bytes | None]:
        """See Pieces."""
        return self._errand.fetch(self._read)

    def close(self) -> None:
        """See Pieces."""
        self._is_closed = True
        if not self._is_reading:
            self._pieces.close()

    def _read(self) -> Any:
        # A generator that runs cannot be closed; whoever runs it sees to that.
        self._is_reading = True
        try:
            piece = None if self._is_closed else self._pieces.next()
        finally:
            self._is_reading = False
        if self._is_closed:
            self._pieces.close()
        return piece
