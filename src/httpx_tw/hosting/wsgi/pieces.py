"""What a WSGI application returned: an iterable of bytes, and perhaps close()."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from httpx_tw.app.request import Request

__all__ = ["Pieces", "log_excess"]

_log: Final = Logger(namespace="httpx_tw.wsgi")


class Pieces:
    """An iterator over the pieces that are to be sent: none is empty, none too much.

    Nothing is asked of the application ahead of what is sent, but for the first piece.
    All of it runs on the thread that called the application.

    :param results: what was returned; one after the other, if there are several.
    """

    __slots__ = ("_first", "_left", "_pieces", "_request", "_results")

    def __init__(self, request: Request, *results: Iterable[bytes]) -> None:
        self._request = request
        self._results = results
        self._pieces: Iterator[Any] = chain.from_iterable(results)
        self._first = b""
        self._left = -1

    def begin(self) -> bytes:
        """Go as far as the first piece, and return it; b"" when there is none.

        It is the first of the iteration nevertheless. An application may wait till now
        to call start_response.
        """
        self._first = self._next()
        return self._first

    def limit(self, length: int) -> None:
        """Give no more than *length* bytes, counted from now. -1: no limit."""
        self._left = length

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        piece, self._first = self._first or self._next(), b""
        if not piece:
            raise StopIteration
        if self._left >= 0:
            if len(piece) > self._left:
                log_excess(self._request)
                self._pieces = iter(())
                piece = piece[: self._left]
                if not piece:
                    raise StopIteration
            self._left -= len(piece)
        return piece

    def _next(self) -> bytes:
        for piece in self._pieces:
            if not isinstance(piece, bytes):
                raise TypeError(
                    f"a WSGI application gives bytes, not {type(piece).__name__}"
                )
            if piece:
                return piece
        return b""

    def close(self) -> None:
        """Close what can be closed, whatever was sent of it; once.

        What that raises is logged: the response does not depend on it.
        """
        results, self._results = self._results, ()
        self._pieces = iter(())
        for result in results:
            close = getattr(result, "close", None)
            if close is None:
                continue
            try:
                close()
            except Exception:  # noqa: BLE001  # it is the application's: anything
                _log.failure(
                    "close() failed after {method} {path}",
                    method=self._request.method,
                    path=_path_of(self._request),
                )


def log_excess(request: Request) -> None:
    """Log that an application gave more than it said it would."""
    _log.error(
        "the response to {method} {path} was longer than its Content-Length: cut",
        method=request.method,
        path=_path_of(request),
    )


def _path_of(request: Request) -> str:
    # As it was sent, which has no control characters, and without secrets of a query.
    return request.target.partition("?")[0]
