"""A request's body as a Twisted consumer takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["BodyDelivery"]


@implementer(IPushProducer)
class BodyDelivery:
    """The push producer of *consumer* while a body is written to it."""

    __slots__ = ("_consumer", "_is_paused", "_is_stopped", "_resumed")

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._is_paused = False
        self._is_stopped = False
        self._resumed: Deferred[None] | None = None

    async def run(self, pieces: AsyncIterator[bytes]) -> None:
        """Write *pieces*, and return at their end or when the consumer stops them."""
        self._consumer.registerProducer(self, True)
        try:
            async for piece in pieces:
                if self._is_stopped:
                    return
                self._consumer.write(piece)
                if self._is_paused:
                    # Nothing is read meanwhile: the body holds back its connection.
                    self._resumed = Deferred()
                    await self._resumed
        finally:
            self._resumed = None
            self._consumer.unregisterProducer()

    # IPushProducer

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._is_paused = False
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """See IProducer."""
        self._is_stopped = True
        self.resumeProducing()
