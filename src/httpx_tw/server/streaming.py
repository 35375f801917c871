"""A Twisted body producer, push or pull, as the source of a response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from httpx_tw.errors import ConnectionLost, LocalProtocolError
from httpx_tw.server import coroutines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure
    from twisted.web.iweb import IBodyProducer

__all__ = ["BodyConsumer", "octets"]


def octets(piece: Any) -> bytes:
    """Return a piece of a body as bytes; str is sent as UTF-8.

    :raises TypeError: for what is neither: ``bytes(5)``, for one, would be five NULs.
    """
    if type(piece) is bytes:
        return piece
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"a piece of a body must be bytes or str, not {piece!r}")


@implementer(IConsumer)
class BodyConsumer:
    """Takes what a producer writes, and makes it wait for the client.

    :param send: sends a piece; False: nothing more before ``until_drained``.
    :param until_drained: a coroutine function that returns when there is room again.
    """

    def __init__(
        self,
        send: Callable[[bytes], bool],
        until_drained: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._send = send
        self._until_drained = until_drained
        self._producer: Any = None
        self._is_push = True
        self._paused: Any = None
        self._waiting: coroutines.RunningCoroutine | None = None
        self._body: IBodyProducer | None = None
        self._done: Deferred[None] | None = None
        self._error: Exception | None = None

    async def consume(self, body: IBodyProducer) -> None:
        """Run *body* to its end; when cancelled, stop it."""
        self._body = body
        try:
            self._done = body.startProducing(self)
            if self._error is not None:
                self._done.cancel()
            await self._done
        except BaseException as error:  # noqa: BLE001  # it is raised again
            body.stopProducing()
            raise (self._error or error) from None
        finally:
            # Whoever writes later would write into the next response.
            self._body = None
            if self._waiting is not None:
                self._waiting.cancel()

    # IConsumer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        self._producer = producer
        self._is_push = streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None
        self._is_push = True

    def write(self, data: bytes) -> None:
        """See IConsumer. What is written against our wish is still sent, in order."""
        if not data or self._body is None or self._error is not None:
            return
        try:
            may_send = self._send(data)
        except LocalProtocolError as error:
            # More than was declared. The producer need not understand it; consume does.
            self._error = error
            if self._done is not None:
                self._done.cancel()
            return
        if self._waiting is not None:
            return
        if not may_send and self._is_push:
            self._paused = self._producer or self._body
            self._paused.pauseProducing()
        if not (may_send and self._is_push):
            self._waiting = coroutines.start(
                self._until_drained(), self._resume, self._lost
            )

    def _resume(self, _: object) -> None:
        self._waiting = None
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.resumeProducing()
        elif self._producer is not None and not self._is_push:
            self._producer.resumeProducing()

    def _lost(self, failure: Failure) -> None:
        # Whatever keeps us from waiting, the response cannot go on.
        self._waiting = None
        self._error = ConnectionLost(f"the response cannot go on: {failure.value}")
        if self._done is not None:
            self._done.cancel()
