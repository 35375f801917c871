"""A Twisted body producer, push or pull, as the source of a response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from httpx_tw.server import coroutines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.python.failure import Failure
    from twisted.web.iweb import IBodyProducer

__all__ = ["BodyConsumer"]


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
        self._waiting: coroutines.RunningCoroutine | None = None
        self._may_send = True
        self._body: IBodyProducer | None = None

    async def consume(self, body: IBodyProducer) -> None:
        """Run *body* to its end; when cancelled, stop it."""
        self._body = body
        try:
            await body.startProducing(self)
        except BaseException:
            body.stopProducing()
            raise
        finally:
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

    def write(self, data: bytes) -> None:
        """See IConsumer. What is written against our wish is still sent, in order."""
        if not data:
            return
        self._may_send = self._send(data)
        if self._waiting is not None:
            return
        if not self._may_send:
            self._pause()
        elif self._producer is not None and not self._is_push:
            self._wait()

    def _pause(self) -> None:
        producer = self._producer or self._body
        if self._is_push and producer is not None:
            producer.pauseProducing()
        self._wait()

    def _wait(self) -> None:
        self._waiting = coroutines.start(
            self._until_drained(), self._resume, self._lost
        )

    def _resume(self, _: object) -> None:
        self._waiting = None
        producer = self._producer or self._body
        if producer is not None:
            producer.resumeProducing()

    def _lost(self, failure: Failure) -> None:
        # The exchange is being cancelled; consume() stops the producer.
        self._waiting = None
        failure.trap(Exception)
