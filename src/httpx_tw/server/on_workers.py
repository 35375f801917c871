"""What runs on a worker thread: an endpoint, and the response it writes from there.

A plain endpoint is called with its request and what it returns goes back to the
reactor thread. Where that is an iterator, the same thread goes on to advance it: what
an application keeps by thread (a database connection, a request's context) stays. The
pieces go through a ResponseWriter, which makes the worker wait for a slow client.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer

from httpx_tw.app.files.body import FileBody
from httpx_tw.app.response import Response, to_response
from httpx_tw.errors import ConnectionLost, LocalProtocolError, PoolStopped
from httpx_tw.server.streaming import octets
from httpx_tw.server.whole_responses import ReadyResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from httpx_tw.app.request import Request
    from httpx_tw.app.route import Endpoint

__all__ = [
    "ResponseWriter",
    "begin_response",
    "call_on_worker",
    "inner_call",
    "is_plain_stream",
    "iterate_on_worker",
]

_log = Logger()

_HIGH_WATER: Final = 64 * 1024
"""Bytes a worker may be ahead of its connection; the connection buffers as much."""

_SIMPLE: Final = frozenset((str, bytes, dict, list, ReadyResponse, type(None)))


class ResponseWriter:
    """A response's body on its way from a worker thread to its connection.

    The worker calls :meth:`write`, which waits while the client is behind, and at last
    :meth:`finish` or :meth:`abort`. The connection iterates over it.

    :param post: has a function called on the reactor thread, from any thread.
    """

    __slots__ = (
        "_ahead",
        "_error",
        "_is_lost",
        "_is_over",
        "_pieces",
        "_post",
        "_room",
        "_waiter",
    )

    def __init__(self, post: Callable[..., object]) -> None:
        self._post = post
        # Guarded by the condition: they are touched from both sides.
        self._room = threading.Condition(threading.Lock())
        self._pieces: deque[bytes] = deque()
        self._ahead = 0
        self._is_lost = False
        self._is_over = False
        self._error: Failure | None = None
        # Of the reactor thread alone.
        self._waiter: Deferred[None] | None = None

    # Called on the worker thread

    def write(self, data: bytes) -> None:
        """Send *data*; wait while the client is more than 64 KiB behind.

        :raises ConnectionLost: when the client is gone, or the response was given up.
        :raises LocalProtocolError: when the response has ended.
        """
        if not data:
            return
        with self._room:
            self._check()
            is_first = not self._ahead
            self._pieces.append(data)
            self._ahead += len(data)
        if is_first:
            # Later ones need not wake it: it has not been here to take this one.
            self._tell_reactor()
        if self._ahead > _HIGH_WATER:
            self._wait_for_room()

    def finish(self) -> None:
        """Say that the response is complete. Once it has ended this does nothing."""
        self._end(None)

    def abort(self, failure: Failure) -> None:
        """Give up: the connection ends, so that no client takes this for the whole.

        *failure* is logged. Once the response has ended that is all; and where the
        client has gone, its ConnectionLost is no news.
        """
        if not (self._end(failure) or failure.check(ConnectionLost)):
            _log.failure("an endpoint failed when its response was over", failure)

    @property
    def is_over(self) -> bool:
        """Whether it was finished or given up, or the client has gone."""
        return self._is_over or self._is_lost

    def _wait_for_room(self) -> None:
        with self._room:
            while self._ahead > _HIGH_WATER and not self._is_lost:
                self._room.wait()
            self._check()

    def _check(self) -> None:
        if self._is_lost:
            raise ConnectionLost("nobody reads the response any more")
        if self._is_over:
            raise LocalProtocolError("the response has ended")

    def _end(self, failure: Failure | None) -> bool:
        with self._room:
            if self.is_over:
                return False
            self._is_over = True
            self._error = failure
        with suppress(ConnectionLost):
            self._tell_reactor()
        return True

    def _tell_reactor(self) -> None:
        try:
            self._post(self._wake)
        except PoolStopped:
            self.lose()
            raise ConnectionLost("the server has stopped") from None

    # Called on the reactor thread

    def lose(self) -> None:
        """Tell the worker that nobody reads any more. From any thread."""
        with self._room:
            self._is_lost = not self._is_over
            self._pieces.clear()
            self._room.notify_all()

    def returned(self, result: Any, failure: Failure | None) -> None:
        """Hear what the endpoint that writes has returned or raised."""
        if failure is not None:
            self.abort(failure)
        elif not self._is_lost and (result is not self or not self._is_over):
            message = "an endpoint that begins its response finishes it, and returns it"
            self.abort(Failure(LocalProtocolError(message)))

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    def __aiter__(self) -> Self:
        """Return itself: it is read once."""
        return self

    async def __anext__(self) -> bytes:
        """Return all that was written since the last time."""
        while True:
            with self._room:
                if self._pieces:
                    data = b"".join(self._pieces)
                    self._pieces.clear()
                    self._ahead = 0
                    self._room.notify()
                    return data
                if self._error is not None:
                    self._error.raiseException()
                if self._is_over:
                    raise StopAsyncIteration
            self._waiter = Deferred()
            await self._waiter

    async def aclose(self) -> None:
        """See lose. It is what the server calls when it stops reading a stream."""
        self.lose()


def begin_response(request: Request, response: Response) -> ResponseWriter:
    """Begin to answer *request* from its worker thread, and return the body's writer.

    *response* gives status and headers; its own body is not used. Where its
    ``content_length`` is not None, so many bytes must be written. The endpoint returns
    the writer, which is given up if it was not finished.

    Call it on the thread the endpoint was called on.

    :raises LocalProtocolError: when the request is being answered already, or there is
        middleware around the endpoint, which waits for what it returns.
    :raises ConnectionLost: when the server has stopped meanwhile.
    """
    if getattr(request, "writer", None) is not None:
        raise LocalProtocolError("this request is being answered already")
    route = request.route
    if route.call is not route.endpoint:
        raise LocalProtocolError(
            f"{route.pattern} has middleware, which would be passed by: return a"
            " Response instead"
        )
    return _begin(request, response)


def _begin(request: Request, response: Response) -> ResponseWriter:
    link: Any = request.link
    request.writer = writer = ResponseWriter(link.post)
    response.body = writer
    try:
        link.post(link.begin_response, request, response)
    except PoolStopped:
        writer.lose()
        raise ConnectionLost("the server has stopped") from None
    return writer


def call_on_worker(request: Request) -> Any:
    """Call the request's endpoint on the worker thread this runs on.

    Returns what the reactor thread is to settle. Once the endpoint has begun to write
    its response, that and what is raised are for ResponseWriter.returned.
    """
    result = request.route.call(request)
    kind = type(result)
    if kind in _SIMPLE or (kind is Response and type(result.body) is bytes):
        return result  # 0.8 µs before _settled would
    return _settled(request, result)


def inner_call(function: Endpoint) -> Endpoint:
    """Return what calls *function* on a worker, for an ``async def`` around it."""

    def call(request: Request) -> Any:
        result = function(request)
        if isinstance(result, Deferred):
            _refuse_deferred(request)
        return result

    return call


def _refuse_deferred(request: Request) -> None:
    # It belongs to the reactor thread, and may be firing there right now.
    raise LocalProtocolError(
        f"the plain endpoint of {request.route.pattern} returned a Deferred from a"
        " worker thread: register it with thread=False, or make it async def"
    )


def _settled(request: Request, result: Any) -> Any:
    if getattr(request, "writer", None) is not None:
        return result
    if isinstance(result, Deferred):
        _refuse_deferred(request)
    if hasattr(result, "__await__"):
        return result  # a coroutine that has not begun runs on the reactor thread
    response = result if isinstance(result, Response) else _try_response(result)
    if response is None or not is_plain_stream(response.body):
        return result
    pieces = response.body
    if request.method == "HEAD":
        # Nobody would see it, and it may have no end.
        response.body = ()
        _close(pieces)
        return response
    writer = _begin(request, response)
    iterate_on_worker(writer, pieces)
    return writer


def _try_response(result: Any) -> Response | None:
    # What cannot be sent is refused where everything is: on the reactor thread.
    try:
        return to_response(result)
    except Exception:  # noqa: BLE001  # it is raised again there
        return None


def is_plain_stream(body: Any) -> bool:
    """Whether *body* is iterated over, and may block while it is.

    What is in a list or a tuple is here already, and a file is sent by the kernel.
    """
    return (
        isinstance(body, Iterable)
        and not isinstance(body, bytes | list | tuple | FileBody)
        and not hasattr(body, "__aiter__")
        and not IBodyProducer.providedBy(body)
    )


def iterate_on_worker(writer: ResponseWriter, pieces: Any) -> None:
    """Write all of *pieces*, and close them here, on the thread that ran them.

    First they are closed, then the response ends, as on the reactor thread: who has
    read it to its end finds done what the application does at the end of it.
    """
    try:
        try:
            for piece in pieces:
                writer.write(octets(piece))
        finally:
            _close(pieces)
    except BaseException:  # noqa: BLE001  # whatever it is, the stream cannot go on
        writer.abort(Failure())
    else:
        writer.finish()


def _close(pieces: Any) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
