"""One call of a WSGI application: start_response, write, and the answer they make."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.errors import LocalProtocolError
from httpx_tw.hosting.wsgi.fields import checked_fields, checked_status
from httpx_tw.hosting.wsgi.file_wrapper import FileWrapper, first_bytes
from httpx_tw.hosting.wsgi.pieces import Pieces, log_excess
from httpx_tw.server.on_workers import ResponseWriter, begin_response
from httpx_tw.server.whole_responses import ReadyResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from httpx_tw.app.files.body import FileBody
    from httpx_tw.app.request import Request
    from httpx_tw.app.response import Response

    ExcInfo = (
        tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None]
        | None
    )

__all__ = ["Call"]

_WITHOUT_BODY: Final = frozenset((204, 205, 304))

_SPOOL: Final = 1024 * 1024
"""Bytes kept in memory of what cannot be sent yet; as of a request's body."""


class Call:
    """What an application has said so far in answer to *request*.

    Use it on the thread that calls the application.
    """

    __slots__ = (
        "_fields",
        "_has_begun",
        "_has_returned",
        "_left",
        "_length",
        "_request",
        "_status",
        "writer",
    )

    def __init__(self, request: Request) -> None:
        self._request = request
        # What start_response has said; 0: it was not called.
        self._status = 0
        self._has_begun = False  # what it said is sent
        self._has_returned = False
        self.writer: Any = None
        """Where write() sends to, or where it keeps what the middleware around is to
        see first. None: it was not used."""

    # Called by the application

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo = None, /
    ) -> Callable[[bytes], None]:
        """Take status and headers, which are sent with the first byte of body.

        :raises LocalProtocolError: for what HTTP or WSGI forbids, and when it was
            called before and *exc_info* is None.
        """
        if self._status:
            self._begin_anew(exc_info)
        code = checked_status(status)
        self._fields, self._length = checked_fields(headers)
        self._status = code
        return self.write

    def _begin_anew(self, exc_info: ExcInfo) -> None:
        if exc_info is None:
            raise LocalProtocolError("start_response was called twice")
        try:
            if self._has_begun:
                # Too late for an error page: the error ends the connection.
                raise (
                    exc_info[1] or LocalProtocolError("the response has begun")
                ).with_traceback(exc_info[2])
        finally:
            exc_info = None  # else a cycle with this frame, as PEP 3333 warns

    def write(self, data: bytes) -> None:
        """Send *data*, and wait while the client is behind; what start_response gives.

        :raises LocalProtocolError: when the application has returned already.
        :raises ConnectionLost: when the client is gone.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"write() takes bytes, not {type(data).__name__}")
        if self._has_returned:
            raise LocalProtocolError("write() after the application has returned")
        if self.writer is None:
            self._begin()
        if self.writer is None:
            self.writer = SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115  # Pieces closes it
        if self._left >= 0:
            if len(data) > self._left and not self._is_bodiless:
                log_excess(self._request)
            data = data[: self._left]
            self._left -= len(data)
        if data:
            self.writer.write(data)

    # Called when the application has returned

    def whole(self, body: bytes) -> Response | ReadyResponse:
        """Return the answer with *body*, which is all there will be.

        :raises LocalProtocolError: when it is less than Content-Length says.
        """
        self._check_started()
        if self._request.head.method == "HEAD" or self._status in _WITHOUT_BODY:
            return self._bodiless(len(body) or -1)
        if 0 <= self._length != len(body):
            self._check_length(len(body))
            log_excess(self._request)
            body = body[: self._length]
        ready = ReadyResponse(self._status, self._fields, body)
        return ready if self._is_alone else ready.as_response()

    def in_pieces(self, result: Iterable[bytes]) -> Any:
        """Return the answer with what *result* gives: to be sent piece by piece.

        *result* is closed at the end of the response, or here if there will be none.
        """
        self._has_returned = True
        writer = self.writer
        if isinstance(writer, ResponseWriter):
            return self._send(Pieces(self._request, result))
        if writer is not None:
            writer.seek(0)
            return self._pass_on(Pieces(self._request, FileWrapper(writer), result))
        pieces = Pieces(self._request, result)
        try:
            pieces.begin()
            self._check_started()
            if not self._is_bodiless:
                self._begin()
        except BaseException:
            pieces.close()
            raise
        return self._pass_on(pieces) if self.writer is None else self._send(pieces)

    def of_file(self, body: FileBody) -> Response:
        """Return the answer with *body*.

        :raises LocalProtocolError: when it is less than Content-Length says.
        """
        try:
            return self._of_file(body)
        except BaseException:
            body.file.close()
            raise

    def give_up(self) -> None:
        """Let go of what was written: the application has failed."""
        if isinstance(self.writer, SpooledTemporaryFile):
            self.writer.close()

    # Ours

    def _begin(self) -> None:
        """Send status and headers, or leave that to the middleware around.

        Middleware waits for a Response to come back: it is not to be passed by.
        """
        self._has_begun = True
        self._left = 0 if self._is_bodiless else self._length
        if self._is_alone:
            response = self._response((), self._length)
            self.writer = begin_response(self._request, response)

    def _send(self, pieces: Pieces) -> ResponseWriter:
        """Send *pieces* from here: they are closed when the client has all of them."""
        writer: ResponseWriter = self.writer
        try:
            if not self._is_bodiless:
                pieces.limit(self._left)
                for piece in pieces:
                    writer.write(piece)
            writer.finish()
        finally:
            pieces.close()
        return writer

    def _pass_on(self, pieces: Pieces) -> Response:
        """Return the answer with *pieces*, for middleware and then the server."""
        if self._is_bodiless:
            pieces.close()
            return self._bodiless(-1)
        pieces.limit(self._length)
        return self._response(pieces, self._length)

    def _of_file(self, body: FileBody) -> Response:
        self._check_started()
        if self._is_bodiless:
            body.file.close()
            return self._bodiless(body.length)
        if 0 <= self._length != body.length:
            # Where only part of the file is wanted, that is how to say it.
            self._check_length(body.length)
            body = first_bytes(body, self._length)
        return self._response(body, body.length)

    def _check_started(self) -> None:
        if not self._status:
            raise LocalProtocolError("the application did not call start_response")

    def _check_length(self, length: int) -> None:
        if length < self._length:
            raise LocalProtocolError(
                f"a body of {length} bytes, Content-Length {self._length}"
            )

    @property
    def _is_alone(self) -> bool:
        """There is no middleware around the application."""
        route = self._request.route
        return route.call is route.endpoint

    @property
    def _is_bodiless(self) -> bool:
        return self._request.head.method == "HEAD" or self._status in _WITHOUT_BODY

    def _bodiless(self, length: int) -> Response:
        """Return the answer to HEAD, or of a status without body.

        :param length: bytes the body would have had, if that was not said; -1: unknown.
        """
        if self._status in _WITHOUT_BODY:
            return self._response(b"", -1)
        return self._response((), self._length if self._length >= 0 else length)

    def _response(self, body: Any, length: int) -> Response:
        response = ReadyResponse(self._status, self._fields, b"").as_response()
        response.body = body
        response.content_length = None if length < 0 else length
        return response
